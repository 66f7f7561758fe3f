"""`marmor site ledger`: the questions in words, a broken chain, an export."""

import json
from pathlib import Path

import pytest

from federated.ledger import Ledger, Spending
from infra.cli import app
from transforms.errors import ConsortiumError, SetupError
from transforms.site import Site, create_site


WORDS = {
    "analysis": "crosstab",
    "view": "person",
    "parameters": {"variables": ["gene_group", "ever_fractured"]},
    "cohort": {"field": "sex_at_birth", "operator": "==", "value": "female"},
}


@pytest.fixture
def site(tmp_path: Path) -> Site:
    return create_site(tmp_path / "lyon", site_id="lyon", name="Lyon", country="FR", language="fr")


def answered(site: Site) -> Site:
    """Let the site have answered one question."""
    spending = Spending("q" * 64, "c" * 64, "rel-1", 1, "r", ("lyon", "odense", "ulm"), "00", WORDS)
    Ledger(site.ledger).spend(spending)
    return site


def marmor(*arguments: object) -> None:
    app(args=[*map(str, arguments)], prog_name="marmor", standalone_mode=False)


def test_what_was_asked_is_shown_in_words(
    site: Site, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "220")
    marmor("site", "ledger", "show", answered(site).folder)
    shown = capsys.readouterr().out
    for words in ("crosstab", "gene_group × ever_fractured", "sex_at_birth", "odense", "rel-1"):
        assert words in shown, words


def test_a_ledger_before_the_first_question_is_whole_and_stays_unmade(
    site: Site, capsys: pytest.CaptureFixture[str]
) -> None:
    marmor("site", "ledger", "verify", site.folder, "--json")
    data = json.loads(capsys.readouterr().out)
    assert data == {"site": "lyon", "entries": 0, "head": "", "intact": True, "witnesses": 0}
    assert not (site.ledger / "ledger.jsonl").exists()


def test_a_changed_ledger_is_refused_with_its_line(site: Site) -> None:
    path = answered(site).ledger / "ledger.jsonl"
    path.write_text(path.read_text(encoding="utf-8").replace("rel-1", "rel-2"), encoding="utf-8")
    with pytest.raises(ConsortiumError, match="line 1 was changed or cut off"):
        marmor("site", "ledger", "verify", site.folder)


def witnessed(site: Site, tmp_path: Path) -> Path:
    """Return the ledger of another site, which has seen this one's."""
    head = Ledger(answered(site).ledger).head()
    other = Ledger(tmp_path / "odense")
    other.append("spent", {"heads": {"lyon": {"entries": head.entries, "hash": head.hash}}})
    return other.path


def test_a_ledger_that_holds_what_others_saw_is_whole(
    site: Site, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    marmor("site", "ledger", "verify", site.folder, "--against", witnessed(site, tmp_path))
    assert "holds all 1 heads that others saw" in capsys.readouterr().out


@pytest.mark.parametrize("left", ["nothing", "an empty file", "another chain"])
def test_a_tail_cut_off_or_a_ledger_anew_is_found_by_what_others_saw(
    site: Site, tmp_path: Path, left: str
) -> None:
    other = witnessed(site, tmp_path)
    path = site.ledger / "ledger.jsonl"
    path.unlink()
    if left == "an empty file":
        path.touch()
    if left == "another chain":
        Ledger(site.ledger).append("spent", {"question": "another"})
    with pytest.raises(ConsortiumError, match="others"):
        marmor("site", "ledger", "verify", site.folder, "--against", other)


def test_what_others_told_is_kept_beside_the_ledger(site: Site) -> None:
    ledger = Ledger(answered(site).ledger)
    ledger.check_witness(ledger.head())
    ledger.path.write_bytes(b"")
    with pytest.raises(ConsortiumError, match="some were cut off or rewritten"):
        marmor("site", "ledger", "verify", site.folder)


def test_a_witness_that_is_broken_itself_is_named(site: Site, tmp_path: Path) -> None:
    other = witnessed(site, tmp_path)
    other.write_bytes(other.read_bytes().replace(b"lyon", b"ulm_"))
    with pytest.raises(ConsortiumError, match="line 1 was changed"):
        marmor("site", "ledger", "verify", site.folder, "--against", other)


def test_an_export_is_the_ledger_and_replaces_nothing(site: Site, tmp_path: Path) -> None:
    copy = tmp_path / "copy.jsonl"
    marmor("site", "ledger", "export", answered(site).folder, "--to", copy)
    entries = [json.loads(line) for line in copy.read_text(encoding="utf-8").splitlines()]
    assert [entry["body"]["words"] for entry in entries] == [WORDS]
    with pytest.raises(SetupError, match="is there already"):
        marmor("site", "ledger", "export", site.folder, "--to", copy)
