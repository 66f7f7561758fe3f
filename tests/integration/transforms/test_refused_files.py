"""A run whose inbox holds files that cannot be read, change or carry formulas."""

import csv
import json
import os
from pathlib import Path

import pytest

from expectations.evidence import gather
from tests.integration.transforms.conftest import FIELDS, PATIENTS, SOURCES
from transforms.collect import collect
from transforms.errors import SourceError
from transforms.fingerprints import fingerprints
from transforms.harmonize import harmonize
from transforms.intake import scratch
from transforms.outcome import refused_files
from transforms.readers import keeper


def test_a_refused_file_is_counted_and_the_rest_is_harmonized(centre) -> None:
    site = centre(labs="IPP;Date\n1;2;3\n")
    outcome = harmonize(site, collect(site).run_id)
    assert outcome.rows["person"] == 2
    assert outcome.rows["lab_measurement"] == 0
    counts = json.loads((site.work / outcome.run_id / "harmonization.json").read_text())
    (refused,) = counts["refused_files"]
    assert (refused["source"], refused["file"]) == ("labs", "labs.csv")
    assert refused["message"].startswith("labs.csv: the header has 2 cells, but rows 2 have 3")
    assert counts["files_read"] == {"patients": 1, "fractures": 1, "labs": 0}


def test_a_giant_that_nobody_wrote_is_left_out_of_a_run(centre) -> None:
    """Eight gigabytes, of which only the header is on the disk; its neighbor is read."""
    site = centre()
    honest = harmonize(site, collect(site).run_id).rows
    giant = site.inbox / "labs_giant.csv"
    giant.write_bytes((site.inbox / "labs.csv").read_bytes())
    os.truncate(giant, 8 * 2**30)
    run_id = collect(site).run_id
    assert harmonize(site, run_id).rows == honest
    (refused,) = json.loads((site.work / run_id / "harmonization.json").read_text())[
        "refused_files"
    ]
    assert (refused["source"], refused["file"]) == ("labs", "labs_giant.csv")
    assert "export or copy it again" in refused["message"]
    giant.touch()
    assert collect(site).run_id == run_id


def test_a_file_that_several_sources_read_is_told_of_once(centre) -> None:
    sources = SOURCES + next(
        line.replace("labs,", "labs_2,", 1) for line in SOURCES.splitlines() if "labs" in line
    )
    fields = FIELDS + "".join(
        line.replace(",labs,", ",labs_2,") + "\n"
        for line in FIELDS.splitlines()
        if ",labs," in line
    )
    site = centre(labs="IPP;Date\n1;2;3\n", sources=sources, fields=fields)
    run_id = harmonize(site, collect(site).run_id).run_id
    assert len(refused_files(site, run_id)) == 1
    (refused,) = gather(site, run_id).refused_files
    assert refused.source == "labs, labs_2"
    assert "labs.csv" not in refused.message


def test_nothing_of_the_reading_outlives_a_run(centre) -> None:
    site = centre()
    harmonize(site, collect(site).run_id)
    (site.inbox / "labs.csv").write_text("")
    (site.inbox / "patients.csv").write_text("")
    (site.inbox / "fractures.csv").write_text("")
    with pytest.raises(SourceError, match="empty"):
        harmonize(site, collect(site).run_id)
    assert list(site.work.glob(".scratch-*")) == []


def test_what_a_killed_run_left_is_swept_and_a_living_one_is_not(centre) -> None:
    site = centre()
    site.work.mkdir(exist_ok=True)
    (site.work / ".scratch-dead").mkdir()
    (site.work / ".scratch-dead" / "labs.parquet").write_text("rows")
    with scratch(site) as alive, scratch(site) as other:
        assert sorted(site.work.glob(".scratch-*")) == sorted([alive, other])
        assert alive.stat().st_mode & 0o077 == 0


def test_a_file_that_changes_while_it_is_read_stops_the_run(centre, monkeypatch) -> None:
    site = centre()
    batch = collect(site)
    ask = keeper.Child.ask

    def changing(self: keeper.Child, source, names, left_out):
        told = ask(self, source, names, left_out)
        with (site.inbox / "labs.csv").open("a") as file:
            file.write("1001;04/04/2020;12,5;96,2;250;\n")
        return told

    monkeypatch.setattr(keeper.Child, "ask", changing)
    with pytest.raises(SourceError, match="changed since this run was collected"):
        harmonize(site, batch.run_id)


def test_a_settled_file_is_hashed_once_and_again_when_it_changed(
    tmp_path: Path, monkeypatch
) -> None:
    inbox, work = tmp_path / "inbox", tmp_path / "work"
    inbox.mkdir()
    (inbox / "a.csv").write_text("a")
    monkeypatch.setattr("transforms.fingerprints.SETTLED_NS", -(10**12))
    first = fingerprints(inbox, work)
    monkeypatch.setattr("hashlib.file_digest", lambda *_: pytest.fail("hashed again"))
    assert fingerprints(inbox, work) == first
    monkeypatch.undo()
    stat = (inbox / "a.csv").stat()
    (inbox / "a.csv").write_text("b")
    os.utime(inbox / "a.csv", ns=(stat.st_atime_ns, stat.st_mtime_ns))  # as if nothing was
    assert fingerprints(inbox, work) != first


def test_a_formula_in_the_quarantine_is_a_text(centre) -> None:
    patients = PATIENTS.replace("14/03/1985", "=cmd|' /C calc'!A0").replace("01/02/2019", "-8")
    site = centre(patients=patients)
    outcome = harmonize(site, collect(site).run_id)
    cells = [
        row["value"]
        for path in (site.quarantine / outcome.run_id).glob("*.csv")
        for row in csv.DictReader(path.read_text("utf-8").splitlines())
    ]
    assert {"'=cmd|' /C calc'!A0", "-8"} <= set(cells)
    assert not any(cell.startswith("=") for cell in cells)
