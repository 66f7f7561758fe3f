"""The house keeps its shape: contracts hold, public names are documented, pages are current."""

import ast
import importlib.metadata
import re
import subprocess
import sys
from pathlib import Path

import pytest
import typer

from infra.cli import app
from transforms import errors


ROOT = Path(__file__).resolve().parents[2]
PACKAGES = ("transforms", "expectations", "federated", "infra", "dags")
MODULES = sorted(
    str(path.relative_to(ROOT).with_suffix("")).replace("/", ".").removesuffix(".__init__")
    for package in PACKAGES
    for path in (ROOT / package).rglob("*.py")
)


def test_import_contracts_hold() -> None:
    linter = Path(sys.executable).parent / "lint-imports"
    done = subprocess.run([linter, "--no-cache"], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout


def test_a_planted_import_breaks_a_contract(tmp_path: Path) -> None:
    for name in (*PACKAGES, "pyproject.toml"):
        (tmp_path / name).symlink_to(ROOT / name)
    (tmp_path / "transforms").unlink()
    (tmp_path / "transforms").mkdir()
    for path in (ROOT / "transforms").iterdir():
        (tmp_path / "transforms" / path.name).symlink_to(path)
    (tmp_path / "transforms" / "leak.py").write_text("import federated.statistics\n")
    linter = Path(sys.executable).parent / "lint-imports"
    environment = {"PYTHONPATH": str(tmp_path), "PATH": "/usr/bin:/bin"}
    done = subprocess.run(
        [linter, "--no-cache"], cwd=tmp_path, env=environment, capture_output=True, text=True
    )
    assert done.returncode != 0
    assert "transforms.leak" in done.stdout


@pytest.mark.parametrize("name", MODULES)
def test_a_module_says_what_it_is_for_and_names_what_is_public(name: str) -> None:
    path = ROOT / name.replace(".", "/")
    file = path / "__init__.py" if path.is_dir() else path.with_suffix(".py")
    tree = ast.parse(file.read_text(encoding="utf-8"))
    first = (ast.get_docstring(tree) or "").splitlines()
    assert first, f"{name} has no docstring"
    assert len(first[0]) > 15, f"{name}: the first line must say what the module is for"
    public = _assigned(tree, "__all__")
    defined = {
        node.name
        for node in tree.body
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef)
    }
    undeclared = {item for item in defined if not item.startswith("_")} - set(public)
    if not name.startswith("dags.") and not name.startswith("infra.commands."):
        assert not undeclared, f"{name}: public but not in __all__: {sorted(undeclared)}"


def _assigned(tree: ast.Module, target: str) -> list[str]:
    """Return the list literal assigned to `target` at module level, or nothing."""
    for node in tree.body:
        if isinstance(node, ast.Assign) and any(
            isinstance(item, ast.Name) and item.id == target for item in node.targets
        ):
            return list(ast.literal_eval(node.value))
    return []


def test_no_dependency_ships_our_package_names() -> None:
    owners = importlib.metadata.packages_distributions()
    for name in PACKAGES:
        assert set(owners.get(name, ["marmor"])) == {"marmor"}


def test_every_kind_of_user_error_has_its_own_exit_code() -> None:
    kinds = [errors.UserError, *errors.UserError.__subclasses__()]
    codes = [kind.exit_code for kind in kinds]
    assert len(set(codes)) == len(codes)


def test_generated_pages_are_current(tmp_path: Path) -> None:
    subprocess.run([sys.executable, "-m", "infra.reference", str(tmp_path)], cwd=ROOT, check=True)
    stale = [
        path.name
        for path in sorted(tmp_path.iterdir())
        if path.read_text(encoding="utf-8")
        != (ROOT / "docs" / "reference" / path.name).read_text(encoding="utf-8")
    ]
    assert not stale, f"run `make docs`: {stale}"


def test_documented_commands_exist() -> None:
    """Every `marmor …` command that a page shows is one that the command line has."""
    group = typer.main.get_command(app)
    pages = [ROOT / "README.md", ROOT / "DEVELOPERS.md", *(ROOT / "docs").rglob("*.md")]
    unknown = []
    for page in pages:
        for words in re.findall(r"\bmarmor ([a-z]+)(?: ([a-z][a-z-]*))?", page.read_text("utf-8")):
            command = group.commands.get(words[0])  # type: ignore[attr-defined]
            if command is None:
                continue
            if words[1] and words[1] not in command.commands:
                unknown.append(f"{page.name}: marmor {' '.join(words)}")
    assert not unknown
