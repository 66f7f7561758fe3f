"""The wheel holds all that the packages hold: TOML, CSV, SQL, lexicon and mappings, too."""

import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from tests.architecture.test_house import PACKAGES, ROOT


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build the wheel of this checkout."""
    folder = tmp_path_factory.mktemp("wheel")
    subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)],
        cwd=ROOT, check=True, capture_output=True,
    )  # fmt: skip
    (built,) = folder.glob("*.whl")
    return built


def test_the_wheel_holds_what_the_packages_hold(wheel: Path) -> None:
    there = {
        path.relative_to(ROOT).as_posix()
        for package in PACKAGES
        for path in (ROOT / package).rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    with zipfile.ZipFile(wheel) as archive:
        packed = {name for name in archive.namelist() if ".dist-info/" not in name}
    assert packed == there
    assert {Path(name).suffix for name in packed} >= {".py", ".toml", ".csv", ".sql", ".json"}


def test_the_command_works_from_the_wheel_alone(wheel: Path, tmp_path: Path) -> None:
    """Every file that the dictionary, its lexicon and a shipped mapping need is found in it."""
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(tmp_path / "installed")
    code = (
        "import sys, infra.cli, transforms\n"
        "from transforms.lexicon import LEXICON\n"
        "from transforms.ready import ready_names, shipped\n"
        "assert LEXICON.columns and transforms.__file__.startswith(sys.argv[1])\n"
        "assert all(shipped(name).fields for name in ready_names())\n"
        "infra.cli.app(['dictionary', 'show'])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path)],
        cwd=tmp_path, env={"PYTHONPATH": str(tmp_path / "installed"), "PATH": ""},
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "Data dictionary" in done.stdout
