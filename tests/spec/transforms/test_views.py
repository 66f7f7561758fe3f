"""The analysis views on one person and what may happen to a person, table by table."""

import datetime
from typing import Any

import duckdb
import pyarrow as pa
import pytest

from transforms.codelists import load_codelists
from transforms.dictionary import DICTIONARY
from transforms.dictionary.arrow import schema


D = datetime.date.fromisoformat
Row = dict[str, Any]

# Born on 1 January 2000, known from birth, seen last on the day of the 20th birthday.
CLEAN: dict[str, list[Row]] = {
    "person": [{
        "birth_date": D("2000-01-01"), "sex_at_birth": "female", "consent_reuse": "yes",
        "first_contact_date": D("2005-01-01"), "history_complete_from_birth": True,
    }],
    "diagnosis": [{"diagnosis_id": "dx", "dx_subtype": "ADO2", "dx_status": "suspected"}],
    "variant": [{
        "variant_id": "v", "gene_symbol": "CLCN7", "hgvs_c": "c.643G>A",
        "zygosity": "heterozygous",
    }],
    "death_followup": [{
        "followup_id": "d", "vital_status": "alive", "last_contact_date": D("2020-01-01"),
    }],
}  # fmt: skip


def view(name: str, **changes: Any) -> list[Row]:
    """Return the rows of a view on the clean person; a change is a table's rows, or the first's."""
    rows = {table: [dict(row) for row in CLEAN.get(table, [])] for table in DICTIONARY.tables}
    for table, change in changes.items():
        if isinstance(change, list):
            rows[table] = change
        else:
            rows[table][0].update(change)
    with duckdb.connect() as connection:
        load_codelists(connection)
        for table, listed in rows.items():
            full = [{"person_id": "P1", **row} for row in listed]
            arrow = pa.Table.from_pylist(full, schema(DICTIONARY.tables[table]))
            connection.register(table, arrow)
        return list(connection.sql(DICTIONARY.views[name].sql).to_arrow_table().to_pylist())


def fracture(age: float | None, number: int = 1) -> Row:
    return {"fracture_id": f"f{number}", "bone_site": "tibia", "age_at_fracture_y": age}


def exit_age() -> float:
    (one,) = view("person")
    return float(one["exit_age_y"])


def test_a_person_is_one_row_whatever_happened_twice() -> None:
    (one,) = view(
        "person",
        diagnosis=[
            {"diagnosis_id": "a", "dx_subtype": "ADO2", "dx_rank": 2},
            {"diagnosis_id": "b", "dx_subtype": "OPT_ANY", "dx_rank": 1},
            {"diagnosis_id": "c", "dx_subtype": "ADO1", "dx_status": "refuted", "dx_rank": 0},
        ],
        variant=[
            {"variant_id": "v", "gene_symbol": "CLCN7", "zygosity": "heterozygous"},
            {"variant_id": "w", "gene_symbol": "TCIRG1", "zygosity": "homozygous"},
        ],
        death_followup=[
            {"followup_id": "d", "vital_status": "alive", "last_contact_date": D("2010-01-01")},
            {"followup_id": "e", "vital_status": "dead", "last_contact_date": D("2015-01-01"),
             "death_date": D("2016-01-01")},
        ],
        fracture=[fracture(3.0), fracture(None, 2), fracture(2.0, 3)],
        hsct=[{"hsct_id": str(n), "hsct_date": D(f"201{n}-01-01")} for n in (1, 2)],
        complication=[
            {"complication_id": str(n), "hpo_id": "HP:0000572", "category": "visual",
             "status": status}
            for n, status in enumerate(("excluded", "present", "unknown"))
        ],
    )  # fmt: skip
    assert (one["dx_subtype"], one["gene_group"], one["visual_loss"]) == (
        "OPT_ANY", "TCIRG1", "present",
    )  # fmt: skip
    assert (one["died"], round(one["exit_age_y"])) == (True, 16)
    assert (one["fracture_count"], one["first_fracture_age_y"]) == (3, 2.0)
    assert round(one["age_at_hsct_y"]) == 11


def test_a_differential_diagnosis_is_in_no_view() -> None:
    for name in DICTIONARY.views:
        for other in ("DIFFERENTIAL", "SCLEROSTEOSIS"):
            assert view(name, diagnosis={"dx_subtype": other}, fracture=[fracture(1.0)]) == []


@pytest.mark.parametrize(
    ("age", "band"), [(0.0, "0-1"), (2.0, "2-9"), (10.0, "10-17"), (17.9, "10-17"), (18.0, "18-39")]
)
def test_a_fracture_is_counted_once_in_its_band(age: float, band: str) -> None:
    rows = view("person_time", fracture=[fracture(age)])
    assert {row["age_band"]: row["fracture_count"] for row in rows if row["fracture_count"]} == {
        band: 1
    }
    assert round(sum(row["person_years"] for row in rows), 6) == round(exit_age(), 6)


def test_a_fracture_on_the_last_day_is_counted_once() -> None:
    rows = view("person_time", fracture=[fracture(exit_age())])
    assert [row["fracture_count"] for row in rows if row["fracture_count"]] == [1]


def test_a_follow_up_that_ends_at_a_band_limit_has_no_empty_band() -> None:
    rows = view(
        "person_time",
        person={"birth_date": D("2000-01-01"), "history_complete_from_birth": True},
        death_followup={"last_contact_date": D("2018-01-01")},  # 6575 days: 18.0014 years
    )
    assert all(row["person_years"] > 0 for row in rows)


def test_time_at_risk_begins_with_the_first_contact_where_the_history_is_incomplete() -> None:
    rows = view(
        "person_time",
        person={"history_complete_from_birth": False},
        fracture=[fracture(3.0), fracture(6.0, 2)],
    )
    assert round(sum(row["person_years"] for row in rows)) == 15
    assert sum(row["fracture_count"] for row in rows) == 1


def test_nobody_is_at_risk_from_birth_because_the_first_contact_is_not_known() -> None:
    unknown = {"history_complete_from_birth": None, "first_contact_date": None}
    (one,) = view("person", person=unknown)
    assert one["entry_age_y"] is None
    assert view("person_time", person=unknown) == []


def test_the_last_measurement_is_one_that_has_a_date() -> None:
    (one,) = view(
        "person",
        lab_measurement=[
            {"lab_id": "a", "analyte": "hemoglobin", "value": 90.0, "sample_date": None},
            {"lab_id": "b", "analyte": "hemoglobin", "value": 120.0,
             "sample_date": D("2019-01-01")},
            {"lab_id": "c", "analyte": "hemoglobin", "value": 110.0,
             "sample_date": D("2018-01-01")},
            {"lab_id": "d", "analyte": "calcium", "value": 2.1, "sample_date": None},
        ],
        imaging_bmd=[
            {"bmd_id": "z", "modality": "DXA", "region": "lumbar_spine", "z_score": 9.0,
             "scan_date": None},
            {"bmd_id": "a", "modality": "DXA", "region": "lumbar_spine", "z_score": 5.0,
             "scan_date": D("2018-01-01")},
        ],
    )  # fmt: skip
    assert (one["hemoglobin_g_l"], one["lumbar_spine_z"]) == (120.0, 5.0)
    assert one["calcium_mmol_l"] == 2.1  # the only one there is


def test_a_variant_entered_twice_is_one_allele() -> None:
    twice = [{**CLEAN["variant"][0], "variant_id": name} for name in ("v", "w")]
    (one,) = view("person", variant=twice)
    assert one["gene_group"] == "CLCN7_het"
    other = [twice[0], {**twice[1], "hgvs_c": "c.2299C>T"}]
    (one,) = view("person", variant=other)
    assert one["gene_group"] == "CLCN7_biallelic"
