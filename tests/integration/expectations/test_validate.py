"""Validating a harmonised run: verdict, counts and report, on real Parquet."""

import json
import subprocess
import sys
from collections.abc import Callable, Iterable
from datetime import date
from pathlib import Path
from typing import Any

import pytest

from expectations.validate import validate
from transforms.errors import SourceError
from transforms.site import Site


RUN = "run-000000000001"
TEXT_CANARY = "Kanarienvogel-4711"
NUMBER_CANARY = 271828.1828


def document(site: Site) -> dict[str, Any]:
    path = site.reports / RUN / "validation.json"
    content: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return content


def failed(site: Site) -> dict[str, int]:
    """Return id → rows that break it, of every expectation that failed."""
    return {
        one["id"]: one["unexpected"] for one in document(site)["expectations"] if not one["passed"]
    }


def put(field: str, value: Any, rows: int) -> Callable[[list[dict[str, Any]]], None]:
    """Return a change that writes `value` into the first `rows` rows."""

    def change(table: list[dict[str, Any]]) -> None:
        for row in table[:rows]:
            row[field] = value

    return change


def all_of(
    puts: Iterable[Callable[[list[dict[str, Any]]], None]],
) -> Callable[[list[dict[str, Any]]], None]:
    """Return one change that makes several."""

    def change(table: list[dict[str, Any]]) -> None:
        for one in puts:
            one(table)

    return change


def reject(row: int, rule: str = "unknown_code", field: str = "bone_site") -> dict[str, Any]:
    return {
        "table": "fracture", "source_file": "Dupont Marie.csv", "source_sheet": "",
        "source_row": row, "field": field, "rule": rule, "severity": "hard",
        "remedy": "Add the value to the sheet `values`.",
    }  # fmt: skip


def test_a_clean_run_passes(harmonised: Callable[..., Site]) -> None:
    site = harmonised()
    outcome = validate(site, RUN)
    assert failed(site) == {}
    assert outcome.verdict == "passed"
    assert [criterion.held for criterion in outcome.criteria] == [True, True, True, True, True]


FAULTS = [
    ("person", "birth_date", None, 2, {"person.birth_date.filled": 2}),
    ("person", "sex_at_birth", "M", 1, {"person.sex_at_birth.codes": 1}),
    ("person", "country_of_care", None, 11, {"person.country_of_care.filled": 11}),
    ("person", "first_contact_date", date(1915, 1, 1), 3, {"P03": 1}),
    ("fracture", "fracture_id", "same", 3, {"fracture.key": 3}),
    ("fracture", "person_id", "P" + "f" * 24, 4, {"fracture.person_id.reference": 4}),
    ("fracture", "age_at_fracture_y", 300.0, 1, {"fracture.age_at_fracture_y.possible": 1}),
    ("diagnosis", "onset_age_y", 0.1, 7, {"P11": 7}),
    ("variant", "transcript", "CLCN7", 2, {"variant.transcript.form": 2}),
    ("fracture", "laterality", None, 20, {"P31": 20}),
    ("lab_measurement", "value", 3.4, 2, {"lab_measurement.value[calcium].usual": 2}),
    ("lab_measurement", "unit_status", "suspect", 5, {"P50": 5}),
    ("imaging_bmd", "z_score", -2.0, 9, {"P60": 9}),
    ("hsct", "hsct_date", date(1900, 1, 1), 1, {"P70": 1}),
    ("death_followup", "vital_status", "dead", 60, {}),
    ("death_followup", "death_date", None, 31, {"P80": 31, "death_followup.death_date.filled": 31}),
]


def test_each_fault_is_found_by_its_expectation_and_by_no_other(
    harmonised: Callable[..., Site],
) -> None:
    planted: dict[str, list[Callable[[list[dict[str, Any]]], None]]] = {}
    expected: dict[str, int] = {}
    for table, field, value, rows, found in FAULTS:
        planted.setdefault(table, []).append(put(field, value, rows))
        expected |= found
    changes = {table: all_of(puts) for table, puts in planted.items()}
    site = harmonised(changes)
    validate(site, RUN)
    assert failed(site) == expected


def test_a_critical_failure_waits_for_a_reviewer(harmonised: Callable[..., Site]) -> None:
    site = harmonised({"person": put("sex_at_birth", "M", 1)})
    assert validate(site, RUN).verdict == "needs_review"
    assert [one["held"] for one in document(site)["criteria"]] == [True, True, False, True, True]


def test_a_warning_does_not_stop_a_run(harmonised: Callable[..., Site]) -> None:
    site = harmonised({"imaging_bmd": put("z_score", -2.0, 9)})
    assert validate(site, RUN).verdict == "passed"


def test_no_person_at_all_waits_for_a_reviewer(harmonised: Callable[..., Site]) -> None:
    site = harmonised(dict.fromkeys(("person", "fracture", "hsct"), list.clear))
    assert validate(site, RUN).verdict == "needs_review"
    assert failed(site)["person.rows"] == 1
    assert document(site)["categories"]["conformance"]["nothing_to_check"] > 10


def test_too_many_rejected_rows_wait_for_a_reviewer(harmonised: Callable[..., Site]) -> None:
    rejects = [reject(row, rule) for row in range(120) for rule in ("unknown_code", "R01")]
    site = harmonised(rejects=rejects)
    outcome = validate(site, RUN)
    share = next(one for one in outcome.criteria if one.name == "rejected_share")
    assert share.value == pytest.approx(
        120 / (120 + 20 + 15 * 60), abs=1e-6
    )  # a row counts once, however many rules
    assert (share.threshold, share.held) == (0.10, False)
    assert outcome.verdict == "needs_review"


def test_a_row_rejected_for_a_mandatory_field_counts_as_a_cell_not_filled(
    harmonised: Callable[..., Site],
) -> None:
    site = harmonised(rejects=[reject(1), reject(2), reject(3, field="pattern")])
    outcome = validate(site, RUN)
    filled = next(one for one in outcome.criteria if one.name == "mandatory_completeness")
    cells = sum(one["rows"] for one in document(site)["fields"] if one["obligation"] == "mandatory")
    assert filled.value == pytest.approx(cells / (cells + 2), abs=1e-6)


def test_a_mandatory_field_declared_not_collected_is_a_warning(
    harmonised: Callable[..., Site],
) -> None:
    changes = {"diagnosis": put("dx_status", None, 60)}
    site = harmonised(changes, not_collected=["diagnosis.dx_status"])
    outcome = validate(site, RUN)
    (finding,) = [one for one in document(site)["expectations"] if not one["passed"]]
    assert (finding["id"], finding["severity"]) == ("diagnosis.dx_status.filled", "warning")
    assert outcome.verdict == "passed"
    filled = next(one for one in outcome.criteria if one.name == "mandatory_completeness")
    assert filled.value < 1, "it still counts as missing"


def test_an_unfinished_run_is_named_with_what_is_missing(harmonised: Callable[..., Site]) -> None:
    site = harmonised()
    (site.work / RUN / "coverage.json").unlink()
    with pytest.raises(SourceError, match=r"run-000000000001 is not harmonised \(coverage\.json"):
        validate(site, RUN)
    with pytest.raises(SourceError, match="run-9 is not harmonised"):
        validate(site, "run-9")


def test_the_same_run_gives_the_same_bytes(harmonised: Callable[..., Site]) -> None:
    site = harmonised({"imaging_bmd": put("z_score", -2.0, 9)}, rejects=[reject(1)])
    folder = site.reports / RUN
    validate(site, RUN)
    first = {path.name: path.read_bytes() for path in folder.iterdir()}
    validate(site, RUN)
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == first
    assert sorted(first) == ["report.html", "validation.json"]


def test_no_value_of_a_row_is_in_the_reports(
    harmonised: Callable[..., Site], caplog: pytest.LogCaptureFixture, capfd: Any
) -> None:
    changes = {
        "person": put("sex_at_birth", TEXT_CANARY, 1),
        "variant": put("hgvs_c", TEXT_CANARY, 1),
        "fracture": put("person_id", TEXT_CANARY, 1),
        "lab_measurement": put("value", NUMBER_CANARY, 1),
        "imaging_bmd": put("device_vendor", TEXT_CANARY, 1),
    }
    site = harmonised(changes, rejects=[reject(1)])
    validate(site, RUN)
    assert len(failed(site)) >= 5, "the planted values must be looked at"
    captured = capfd.readouterr()
    written = [path.read_text(encoding="utf-8") for path in (site.reports / RUN).iterdir()]
    for text in (*written, caplog.text, captured.out, captured.err):
        assert leaks(text) == []


def test_the_search_for_values_would_find_one() -> None:
    assert leaks(f"<td>{TEXT_CANARY.upper()}</td>") == [TEXT_CANARY]
    assert leaks(f'{{"observed_value": {NUMBER_CANARY}}}') == [str(NUMBER_CANARY)]
    assert leaks("source: Dupont Marie.csv") == ["Dupont"]


def leaks(text: str) -> list[str]:
    """Return which planted values stand in `text`; the file of `reject` bears a name."""
    planted = (TEXT_CANARY, str(NUMBER_CANARY), "Dupont")
    return [value for value in planted if value.lower() in text.lower()]


def test_great_expectations_itself_would_show_values(
    harmonised: Callable[..., Site],
) -> None:
    """The canary is real: with GX's default result format it is in the results."""
    from expectations import engine
    from expectations.suites import expectations
    from transforms.dictionary import DICTIONARY

    site = harmonised({"person": put("sex_at_birth", TEXT_CANARY, 1)})
    with engine.database(site.work / RUN / "tables") as (_, address):
        source = engine.gx.get_context(mode="ephemeral").data_sources.add_sql(
            "x", connection_string=address
        )
        asset = source.add_table_asset("person", table_name="person")
        batch = asset.add_batch_definition_whole_table("all").get_batch()
        suite = engine.suite("person", expectations(DICTIONARY.tables["person"]))
        shown = batch.validate(suite, result_format="SUMMARY").describe()
        hidden = batch.validate(suite, result_format=engine.RESULT_FORMAT).describe()
        source.get_engine().dispose()
    assert leaks(shown) == [TEXT_CANARY]
    assert leaks(hidden) == []


def test_importing_great_expectations_is_quiet_where_logging_is_verbose() -> None:
    program = "import logging; logging.basicConfig(level=logging.INFO); import expectations.engine"
    run = subprocess.run(
        [sys.executable, "-c", program],
        capture_output=True,
        text=True,
        check=True,
        cwd=Path(__file__).parents[3],
    )
    assert (run.stdout, run.stderr) == ("", "")


def test_a_table_that_is_empty_all_of_a_sudden_waits_for_a_reviewer(
    harmonised: Callable[..., Site], monkeypatch: pytest.MonkeyPatch
) -> None:
    site = harmonised({"fracture": lambda rows: rows.clear(), "hsct": lambda rows: rows.clear()})
    assert validate(site, RUN).verdict == "passed"  # a first run may lack anything
    monkeypatch.setattr(
        "expectations.validate.current_rows", lambda site: {"fracture": 60, "hsct": 0, "person": 9}
    )
    outcome = validate(site, RUN)
    assert outcome.verdict == "needs_review"
    (emptied,) = [one for one in outcome.criteria if not one.held]
    assert emptied.statement == (
        "1 table is empty that has rows in the current release (fracture), none may be"
    )
