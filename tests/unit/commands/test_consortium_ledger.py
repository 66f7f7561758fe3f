"""`marmor consortium ledger`: which site was away or refused is for the operator to see."""

import json
from pathlib import Path

import pytest

from federated.ledger import Ledger
from infra.cli import app
from transforms.errors import ConsortiumError


def marmor(*arguments: object) -> None:
    app(args=[*map(str, arguments)], prog_name="marmor", standalone_mode=False)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A consortium whose coordinator has answered one question and failed another."""
    ledger = Ledger(tmp_path / "consortium" / "state" / "ledger")
    ledger.append("asked", {"question": "a" * 64, "analyst": "anna", "sites": ["lyon", "ulm"]})
    answered = {"releases": {"lyon": "rel-1", "ulm": "rel-1"}}
    ledger.append("answered", {"question": "a" * 64, **answered, "sites_out": {}})
    out = {"odense": "slow: timeout", "torino": "refused: no_release"}
    ledger.append("unanswered", {"question": "b" * 64, "analyst": "anna", "sites_out": out})
    return tmp_path / "consortium"


def test_every_site_that_did_not_answer_is_named_with_its_reason(
    folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    marmor("consortium", "ledger", "show", folder)
    shown = capsys.readouterr().out
    for words in ("anna", "lyon, ulm", "odense slow: timeout", "torino refused: no_release"):
        assert words in shown, words


def test_a_consortium_without_a_question_has_a_whole_ledger(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    marmor("consortium", "ledger", "verify", tmp_path, "--json")
    data = json.loads(capsys.readouterr().out)
    assert data == {"entries": 0, "intact": True, "witnesses": 0}
    assert not (tmp_path / "state").exists()


def test_a_coordinator_that_lost_its_tail_is_found_by_a_site(folder: Path, tmp_path: Path) -> None:
    ledger = Ledger(folder / "state" / "ledger")
    head = ledger.head()
    site = Ledger(tmp_path / "lyon")
    told = {"entries": head.entries, "hash": head.hash}
    site.append("spent", {"heads": {"coordinator": told}})
    marmor("consortium", "ledger", "verify", folder, "--against", site.path)
    lines = ledger.path.read_bytes().splitlines(keepends=True)
    ledger.path.write_bytes(b"".join(lines[:-1]))
    marmor("consortium", "ledger", "verify", folder)  # the chain alone does not show it
    with pytest.raises(ConsortiumError, match="some were cut off or rewritten"):
        marmor("consortium", "ledger", "verify", folder, "--against", site.path)
