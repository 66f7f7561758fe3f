"""The pages for people: commands that exist, examples that work, links that lead somewhere."""

import ast
import re
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer.main

from federated.policy import CONSORTIUM, PUBLIC, parse_policy
from federated.request import parse_request
from infra.cli import app
from transforms.mapping_check import load_mapping


ROOT = Path(__file__).resolve().parents[2]
PAGES = sorted([*(ROOT / "docs").glob("*.md"), ROOT / "README.md"])
FENCE = re.compile(r"^( *)```(\w*)\n(.*?)^\1```", re.MULTILINE | re.DOTALL)
MARKED = re.compile(r"<!-- (\w+)(?:: (\w+))? -->\n```\w*\n(.*?)```", re.DOTALL)
LINK = re.compile(r"\]\(([^)\s]+)\)")
OPTION = re.compile(r"(?<=\s)--[a-z-]+")


def marked(kind: str) -> list[tuple[str, str, str]]:
    """Return (page, detail, text) of every example that is marked as `kind`."""
    return [
        (page.name, detail, text)
        for page in PAGES
        for found, detail, text in MARKED.findall(page.read_text(encoding="utf-8"))
        if found == kind
    ]


def typed(page: Path) -> Iterator[str]:
    """Yield every `marmor …` of a page: lines of code blocks, and code within the text."""
    text = page.read_text(encoding="utf-8")
    for _, _, block in FENCE.findall(text):
        yield from (line for line in block.splitlines() if re.match(r"\s*marmor ", line))
    for code in re.findall(r"`([^`\n]+)`", FENCE.sub("", text)):
        if code.startswith("marmor "):
            yield code


def resolve(words: list[str]) -> Any:
    """Return the command that `words` begin with; None when there is none."""
    group: Any = typer.main.get_command(app)
    for word in words:
        commands = getattr(group, "commands", None)
        if commands is None:
            break
        if word not in commands:
            return None
        group = commands[word]
    return group


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_command_exists_with_its_options(page: Path) -> None:
    for line in typed(page):
        words = line.split("#")[0].split()[1:]
        if words[:1] == ["…"] or len(words) < 2 or words[1] == "…":
            assert words[0] in {"…", "site", "quality", "query", "consortium", "demo"}, line
            continue
        command = resolve(words)
        assert command is not None, f"{page.name}: {line}"
        known = {option for item in command.params for option in item.opts} | {"--help"}
        assert set(OPTION.findall(line.split("#")[0])) <= known, f"{page.name}: {line}"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_link_leads_somewhere(page: Path) -> None:
    for target in LINK.findall(page.read_text(encoding="utf-8")):
        if target.startswith("http"):
            continue
        path, _, anchor = target.partition("#")
        file = (page.parent / path).resolve() if path else page
        assert file.exists(), f"{page.name}: {target}"
        assert not anchor or anchor in anchors(file), f"{page.name}: {target}"


def anchors(page: Path) -> set[str]:
    """Return the anchors of a page's headings, as code hosts make them."""
    headings = re.findall(r"^#+ (.+)$", page.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def test_every_request_can_be_parsed() -> None:
    requests = marked("request")
    assert len(requests) == 8
    for _, _, text in requests:
        parse_request(tomllib.loads(text))


def test_the_demos_requests_are_the_pages_examples() -> None:
    shown = [parse_request(tomllib.loads(text)).digest for _, _, text in marked("request")]
    for path in sorted((ROOT / "infra/demo/requests").glob("*.toml")):
        assert parse_request(tomllib.loads(path.read_text(encoding="utf-8"))).digest in shown


def test_the_small_mapping_has_no_problem(tmp_path: Path) -> None:
    sheets = marked("mapping")
    assert [detail for _, detail, _ in sheets] == ["sources", "fields", "values", "ignore"]
    for _, detail, text in sheets:
        (tmp_path / f"{detail}.csv").write_text(text, encoding="utf-8")
    load_mapping(tmp_path)


def test_the_policy_is_a_stricter_one() -> None:
    ((_, _, text),) = marked("policy")
    assert parse_policy(tomllib.loads(text)).laxer_than(CONSORTIUM) == ()


def test_the_python_example_is_python_of_names_that_exist() -> None:
    ((_, _, text),) = marked("python")
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.ImportFrom) and node.module != "federated.plots":
            module = __import__(str(node.module), fromlist=["_"])
            assert all(hasattr(module, item.name) for item in node.names)


def test_the_gates_numbers_are_the_policys() -> None:
    page = (ROOT / "docs/privacy.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| `(\w+)` \| (\d+) \| (\d+) \|", page, re.MULTILINE)
    told = {name: (int(usual), int(strict)) for name, usual, strict in rows}
    usual, strict = CONSORTIUM.canonical(), PUBLIC.canonical()
    assert told == {name: (usual[name], strict[name]) for name in usual}
