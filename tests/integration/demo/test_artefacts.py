"""Every injected artefact is caught by its rule, and nothing that is clean is touched."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from infra.demo.artefacts import ARTEFACTS
from infra.demo.centres import CENTRES
from infra.demo.synthesize import synthesize
from transforms.collect import collect
from transforms.harmonize import harmonize
from transforms.site import load_site


SIZE = 150
Row = tuple[str, str, str, int]  # table, source file, sheet, row


@dataclass(frozen=True)
class Outcome:
    """One centre after harmonization."""

    site: str
    run: Path
    truth: dict[str, Any]
    rejects: dict[Row, set[str]]
    flags: dict[Row, set[str]]
    soft: dict[Row, set[str]]

    def table(self, name: str) -> list[dict[str, Any]]:
        return list(pq.read_table(self.run / "tables" / f"{name}.parquet").to_pylist())

    def entries(self, *severities: str) -> Iterator[dict[str, Any]]:
        listed = [*self.truth["artefacts"], *self.truth["consequences"]]
        yield from (entry for entry in listed if entry["severity"] in severities)

    def spoilt(self) -> set[Row]:
        return {place(entry) for entry in self.entries("reject", "flag", "handled")}


def place(row: dict[str, Any]) -> Row:
    return row["table"], row["source_file"], row["source_sheet"], row["source_row"]


@pytest.fixture(scope="module", params=[1, 2026])
def outcomes(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> dict[str, Outcome]:
    folder = tmp_path_factory.mktemp("demo")
    synthesize(len(CENTRES), SIZE, seed=request.param, out=folder)
    return {name: _outcome(folder, name) for name in CENTRES}


def _outcome(folder: Path, name: str) -> Outcome:
    site = load_site(folder / name)
    run = site.work / harmonize(site, collect(site).run_id).run_id
    rejects: dict[Row, set[str]] = {}
    for row in pq.read_table(run / "rejects.parquet").to_pylist():
        rejects.setdefault(place(row), set()).add(row["rule"])
    flags: dict[Row, set[str]] = {}
    soft: dict[Row, set[str]] = {}
    places = _places(run)
    for row in pq.read_table(run / "flags.parquet").to_pylist():
        where = places[row["table"], row["row_id"]]
        flags.setdefault(where, set()).add(row["rule"])
        if row["severity"] == "soft":
            soft.setdefault(where, set()).add(row["rule"])
    truth = json.loads((folder / "truth" / f"{name}.json").read_text(encoding="utf-8"))
    return Outcome(name, run, truth, rejects, flags, soft)


def _places(run: Path) -> dict[tuple[str, str], Row]:
    places = {}
    for path in sorted((run / "tables").glob("*.parquet")):
        for row in pq.read_table(path).to_pylist():
            key = next(iter(row))
            places[path.stem, row[key]] = place({"table": path.stem, **row})
    return places


@pytest.fixture(params=list(CENTRES))
def outcome(request: pytest.FixtureRequest, outcomes: dict[str, Outcome]) -> Outcome:
    return outcomes[request.param]


def test_every_artefact_with_a_rule_is_caught_by_it(outcome: Outcome) -> None:
    missed = [
        (entry["artefact"], place(entry))
        for severity, found in (("reject", outcome.rejects), ("flag", outcome.flags))
        for entry in outcome.entries(severity)
        if entry["rule"] not in found.get(place(entry), ())
    ]
    assert missed == []


def test_no_clean_row_is_rejected(outcome: Outcome) -> None:
    rejectable = {place(entry) for entry in outcome.entries("reject")}
    assert {row: rules for row, rules in outcome.rejects.items() if row not in rejectable} == {}


# Rules about two rows of which one is wrong and nobody knows which: the clean one is flagged too.
OF_TWO_ROWS = {"R44", "R72"}


def test_no_clean_row_is_flagged(outcome: Outcome) -> None:
    spoilt = outcome.spoilt()
    flagged = {row: rules - OF_TWO_ROWS for row, rules in outcome.soft.items() if row not in spoilt}
    assert {row: rules for row, rules in flagged.items() if rules} == {}


def test_who_did_not_consent_is_in_no_table(outcome: Outcome) -> None:
    counts = json.loads((outcome.run / "harmonization.json").read_text(encoding="utf-8"))
    assert counts["excluded_for_consent"] == outcome.truth["without_consent"] > 0
    assert {row["consent_reuse"] for row in outcome.table("person")} == {"yes"}


def test_all_kinds_of_artefact_occur(outcomes: dict[str, Outcome]) -> None:
    seen = {e["artefact"] for o in outcomes.values() for e in o.truth["artefacts"]}
    assert seen == set(ARTEFACTS)


def test_a_decimal_point_among_commas_reads_as_it_stands(outcomes: dict[str, Outcome]) -> None:
    for name in ("lyon", "ulm", "leiden"):
        values = {
            place({"table": "lab_measurement", **row}): row["value"]
            for row in outcomes[name].table("lab_measurement")
            if row["analyte"] == "hemoglobin"
        }
        spoilt = [e for e in outcomes[name].entries("handled") if e["artefact"] == "decimal_point"]
        assert spoilt
        assert all(70 <= values[place(entry)] <= 180 for entry in spoilt)


def test_a_form_never_opened_excludes_nothing(outcomes: dict[str, Outcome]) -> None:
    leiden = outcomes["leiden"]
    spoilt = [e for e in leiden.entries("handled") if e["artefact"] == "form_never_opened"]
    assert spoilt
    assert all("closed_form" in leiden.flags[place(entry)] for entry in spoilt)


def test_lost_exclusions_are_missing_and_not_invented(outcomes: dict[str, Outcome]) -> None:
    odense = outcomes["odense"]
    spoilt = [e for e in odense.entries("handled") if e["artefact"] == "excluded_features_lost"]
    files = {entry["source_file"] for entry in spoilt}
    rows = odense.table("complication")
    assert files
    assert not [r for r in rows if r["source_file"] in files and r["status"] == "excluded"]
    assert [r for r in rows if r["status"] == "excluded"]
