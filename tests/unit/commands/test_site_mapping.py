"""`marmor site scan`, `suggest` and `check`: what they show, and who may work beside them."""

from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from infra.cli import app
from transforms.dry_run import DryRun
from transforms.errors import SourceError
from transforms.lock import BusyError, alone
from transforms.site import Site, create_site, load_site


@pytest.fixture
def site(tmp_path: Path) -> Site:
    create_site(tmp_path / "lyon", site_id="lyon", name="Lyon", country="FR", language="fr")
    return load_site(tmp_path / "lyon")


@pytest.mark.parametrize(
    ("command", "works"),
    [
        ("scan", "transforms.scan.scan_inbox"),
        ("suggest", "transforms.scan.scan_inbox"),
        ("check", "transforms.dry_run.dry_run"),
    ],
)
def test_nobody_cleans_the_folder_meanwhile(
    site: Site, monkeypatch: pytest.MonkeyPatch, command: str, works: str
) -> None:
    """A withdrawal that purges `work/` under a scan would have the patient come back."""

    def working(site: Site, *_: Any, **__: Any) -> None:
        with pytest.raises(BusyError), alone(site):
            pass
        raise SourceError("seen")

    monkeypatch.setattr(works, working)
    told = CliRunner().invoke(app, ["site", command, str(site.folder)])
    assert str(told.exception) == "seen"
    with alone(site):
        pass


def test_check_says_what_no_field_takes(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    kinds = {f"kind {number}": number for number in range(1, 31)}
    not_held = {"consents that name no patient of these files": 99, **kinds, "remarks of the r": 1}
    not_held["remarks of the readers, listed in harmonization.json"] = 1
    found = DryRun((), {}, counts={"not_held": not_held, "notes": ["a.csv: looks odd"]})
    monkeypatch.setattr("transforms.dry_run.dry_run", lambda *_, **__: found)
    told = CliRunner().invoke(app, ["site", "check", str(site.folder)]).output
    shown = told.splitlines()
    assert any("consents that name no patient of these files" in line for line in shown)
    assert any("kind 12 " in line for line in shown)  # with 99 and 30 to 12 there are twenty
    assert not any("kind 11 " in line for line in shown)
    assert "the first 20 of 32 kinds; all are in `--json`" in " ".join(told.split())
    assert "! a.csv: looks odd" in shown
    assert not any("remarks of the readers" in line for line in shown)
