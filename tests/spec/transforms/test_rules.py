"""Each cross-field rule on rows that break it, and on the nearest rows that do not."""

import datetime
from typing import Any

import duckdb
import pyarrow as pa
import pytest

from transforms.codelists import load_codelists
from transforms.dictionary import DICTIONARY
from transforms.dictionary.arrow import schema
from transforms.rules import RULES, apply_rules
from transforms.sql import identifier


D = datetime.date.fromisoformat
INGEST = D("2026-11-22")
Row = dict[str, Any]

# A person with ADO2 of whom nothing is odd: every case below changes or adds a row of it.
CLEAN: dict[str, list[Row]] = {
    "person": [{
        "person_id": "P1", "birth_date": D("1985-03-14"), "birth_date_precision": "day",
        "sex_at_birth": "female", "first_contact_date": D("1999-05-02"), "consent_reuse": "yes",
    }],
    "diagnosis": [{
        "diagnosis_id": "dx", "dx_subtype": "ADO2", "dx_status": "confirmed_genetic",
        "orpha_code": "53", "onset_age_y": 8.0, "dx_date": D("1999-05-02"), "dx_age_y": 14.1,
    }],
    "variant": [{
        "variant_id": "v", "gene_symbol": "CLCN7", "hgvs_c": "c.643G>A",
        "hgvs_p": "p.(Gly215Arg)", "zygosity": "heterozygous", "acmg_class": 5,
    }],
    "fracture": [{
        "fracture_id": "f", "fracture_date": D("2003-11-20"), "bone_site": "tibia",
        "laterality": "left", "healing_outcome": "nonunion",
    }],
    "complication": [{
        "complication_id": "c", "hpo_id": "HP:0000572", "status": "excluded",
        "assessed_date": D("2020-01-01"),
    }],
    "lab_measurement": [{
        "lab_id": "l", "sample_date": D("2020-01-01"), "analyte": "bicarbonate", "value": 24.0,
    }],
    "imaging_bmd": [{
        "bmd_id": "b", "scan_date": D("2020-01-01"), "modality": "DXA", "region": "lumbar_spine",
        "z_score": 8.0, "device_vendor": "hologic",
    }],
    "hsct": [],
    "death_followup": [{
        "followup_id": "d", "vital_status": "alive", "last_contact_date": D("2026-06-30"),
    }],
}  # fmt: skip


def findings(**changes: Any) -> set[tuple[str, str, str]]:
    """Return (rule, row id, field) found on the clean person with changes applied.

    A change is a list of rows that take the place of the table's, or a mapping that changes its
    first row. `<date>:precision` may be set as any column.
    """
    rows = {name: [dict(row) for row in listed] for name, listed in CLEAN.items()}
    for name, change in changes.items():
        if isinstance(change, list):
            rows[name] = change
        else:
            rows[name][0].update(change)
    with duckdb.connect() as connection:
        load_codelists(connection)
        connection.execute("create table run as select $1::date as ingest_date", [INGEST])
        connection.execute(
            "create table violations (table_name varchar, row_id varchar, field varchar, "
            "rule varchar, severity varchar, remedy varchar)"
        )
        for name in DICTIONARY.tables:
            lay_down(connection, name, rows.get(name, []))
        apply_rules(connection)
        found = connection.execute("select rule, row_id, field from violations").fetchall()
    return set(found)


def lay_down(connection: duckdb.DuckDBPyConnection, name: str, rows: list[Row]) -> None:
    """Make one harmonized table; the row id is the key's value unless given."""
    table = DICTIONARY.tables[name]
    dates = [f"{field.name}:precision" for field in table.fields if field.type == "date"]
    columns = pa.schema([*schema(table), pa.field("row_id", pa.string()),
                         *(pa.field(date, pa.string()) for date in dates)])  # fmt: skip
    full = [{"person_id": "P1", "row_id": row.get(table.key[0]), **row} for row in rows]
    connection.register("rows", pa.Table.from_pylist(full, columns))
    connection.execute(f"create table {identifier(name)} as from rows")
    connection.unregister("rows")


def test_the_clean_person_breaks_no_rule() -> None:
    assert findings() == set()


ANOTHER = {**CLEAN["person"][0], "person_id": "P2", "row_id": "P2"}
ARO = {"dx_subtype": "ARO_TCIRG1", "orpha_code": None}
HSCT = {"hsct_id": "h", "hsct_date": D("1999-06-01"), "donor_type": "MSD"}

CASES = [
    # rule, field, what breaks it, what does not
    ("R01", "fracture_date", {"fracture": {"fracture_date": D("1985-03-13")}},
     {"fracture": {"fracture_date": D("1985-03-14")}}),
    ("R01", "fracture_date", {"fracture": {"fracture_date": D("2026-11-23")}},
     {"fracture": {"fracture_date": D("2026-06-30"), "healing_outcome": "union"}}),
    ("R01", "fracture_date",
     {"death_followup": {"vital_status": "dead", "death_date": D("2003-11-19"),
                         "last_contact_date": D("2003-11-19")},
      "complication": [], "lab_measurement": [], "imaging_bmd": [],
      "fracture": {"healing_outcome": "union"}},
     {"death_followup": {"vital_status": "dead", "death_date": D("2003-11-20"),
                         "last_contact_date": D("2003-11-20")},
      "complication": [], "lab_measurement": [], "imaging_bmd": [],
      "fracture": {"healing_outcome": "union"}}),
    # a year alone may mean any of its days
    ("R01", "fracture_date",
     {"fracture": {"fracture_date": D("1984-07-01"), "fracture_date:precision": "year"}},
     {"fracture": {"fracture_date": D("1985-07-01"), "fracture_date:precision": "year"},
      "person": {"birth_date": D("1985-11-30")}}),
    # a diagnosis may be made before birth, a fracture not
    ("R01", "dx_date", {"diagnosis": {"dx_date": D("1984-03-14")}},
     {"diagnosis": {"dx_date": D("1985-01-10"), "onset_age_y": -0.2, "dx_age_y": -0.17}}),
    ("R01", "birth_date", {"person": {"birth_date": D("1899-12-30")}}, {}),
    ("R02", "outcome_date",
     {"diagnosis": ARO, "death_followup": {"last_contact_date": D("2020-01-02")},
      "variant": {"gene_symbol": "TCIRG1", "zygosity": "homozygous"},
      "hsct": [{**HSCT, "hsct_date": D("1987-06-01"), "outcome_date": D("1987-05-31")}]},
     {"diagnosis": ARO, "variant": {"gene_symbol": "TCIRG1", "zygosity": "homozygous"},
      "hsct": [{**HSCT, "hsct_date": D("1987-06-01"), "outcome_date": D("1987-06-01")}]}),
    # a year alone may be any of its days, also one after the transplant
    ("R02", "outcome_date",
     {"hsct": [{**HSCT, "hsct_date": D("1999-09-01"), "outcome_date": D("1998-07-01"),
                "outcome_date:precision": "year"}]},
     {"hsct": [{**HSCT, "hsct_date": D("1999-09-01"), "outcome_date": D("1999-07-01"),
                "outcome_date:precision": "year"}]}),
    ("R03", "onset_age_y", {"diagnosis": {"onset_age_y": 14.3}},
     {"diagnosis": {"onset_age_y": 14.15}}),
    # a birth year alone leaves half a year of doubt about the age at diagnosis
    ("R03", "onset_age_y",
     {"diagnosis": {"onset_age_y": 14.8}, "person": {"birth_date:precision": "year"}},
     {"diagnosis": {"onset_age_y": 14.5}, "person": {"birth_date:precision": "year"}}),
    ("R04", "person_id", {"fracture": {"person_id": "P9"}}, {}),
    ("R05", "person_id",
     {"person": [{**CLEAN["person"][0], "row_id": "one", "source_row": 2},
                 {**CLEAN["person"][0], "row_id": "two", "source_row": 3}]}, {}),
    ("R06", "fracture_date",
     {"fracture": [CLEAN["fracture"][0],
                   {**CLEAN["fracture"][0], "fracture_id": "g", "fracture_date": D("2003-12-03")}]},
     {"fracture": [CLEAN["fracture"][0],
                   {**CLEAN["fracture"][0], "fracture_id": "g", "fracture_date": D("2003-12-04")},
                   {**CLEAN["fracture"][0], "fracture_id": "r", "laterality": "right"}]}),
    # two fractures of one year are not known to be of one fortnight
    ("R06", "fracture_date",
     {"fracture": [{**CLEAN["fracture"][0], "fracture_id": name} for name in ("f", "g")]},
     {"fracture": [{**CLEAN["fracture"][0], "fracture_id": name, "fracture_date": D("2003-07-01"),
                    "fracture_date:precision": "year"} for name in ("f", "g")]}),
    ("R07", "birth_date", {"person": {"birth_date": D("1970-01-01")}},
     {"person": {"birth_date": D("1970-01-02")}}),
    ("R08", "birth_date", {"person": {"birth_date_precision": "year"}},
     {"person": {"birth_date_precision": "month"}}),
    ("R09", "person_id",
     {"person": [CLEAN["person"][0], ANOTHER],
      "diagnosis": [CLEAN["diagnosis"][0],
                    {**CLEAN["diagnosis"][0], "person_id": "P2", "diagnosis_id": "dx2"}],
      "variant": [CLEAN["variant"][0],
                  {**CLEAN["variant"][0], "person_id": "P2", "variant_id": "v2"}]},
     {"person": [CLEAN["person"][0], ANOTHER],
      "diagnosis": [CLEAN["diagnosis"][0],
                    {**CLEAN["diagnosis"][0], "person_id": "P2", "diagnosis_id": "dx2"}],
      "variant": [CLEAN["variant"][0],
                  {**CLEAN["variant"][0], "person_id": "P2", "variant_id": "v2",
                   "hgvs_c": "c.856C>T"}]}),
    ("R10", "zygosity", {"diagnosis": ARO, "variant": {"gene_symbol": "TCIRG1"}},
     {"variant": {"zygosity": "heterozygous"}}),
    # entered twice, it is still one allele
    ("R10", "zygosity",
     {"diagnosis": ARO,
      "variant": [{**CLEAN["variant"][0], "gene_symbol": "TCIRG1", "variant_id": name}
                  for name in ("v", "w")]},
     {"diagnosis": ARO,
      "variant": [{**CLEAN["variant"][0], "gene_symbol": "TCIRG1", "variant_id": name,
                   "hgvs_c": f"c.{name}"} for name in ("v", "w")]}),
    ("R11", "dx_subtype", {"variant": {"zygosity": "homozygous"}}, {}),
    ("R12", "dx_subtype", {"variant": {"gene_symbol": "LRP5"}}, {}),
    ("R13", "dx_subtype", {"variant": {"gene_symbol": "OSTM1"}}, {}),
    ("R18", "dx_subtype", {"diagnosis": {"dx_subtype": "ADO1", "orpha_code": "2783"}},
     {"diagnosis": {"dx_subtype": "OPT_ANY", "orpha_code": "2781"}}),
    ("R18", "orpha_code", {"diagnosis": {"orpha_code": "2783"}},
     {"diagnosis": {"orpha_code": None}}),
    ("R19", "dx_status", {"variant": {"acmg_class": 3}}, {"variant": {"acmg_class": 4}}),
    ("R30", "dx_subtype",
     {"diagnosis": {"dx_subtype": "CA2D", "orpha_code": None},
      "variant": {"gene_symbol": "CA2", "zygosity": "homozygous"}},
     {"diagnosis": {"dx_subtype": "CA2D", "orpha_code": None},
      "variant": {"gene_symbol": "CA2", "zygosity": "homozygous"},
      "lab_measurement": {"value": 15.0}}),
    ("R31", "hpo_id", {"complication": {"hpo_id": "HP:0001947", "status": "present"}},
     {"complication": {"hpo_id": "HP:0001947", "status": "excluded"}}),
    ("R40", "z_score", {"imaging_bmd": {"z_score": -8.0}}, {"imaging_bmd": {"z_score": 2.5}}),
    ("R42", "t_score", {"imaging_bmd": {"t_score": 5.0}},
     {"imaging_bmd": {"t_score": 5.0}, "person": {"birth_date": D("1969-01-01")}}),
    ("R43", "device_vendor",
     {"imaging_bmd": [CLEAN["imaging_bmd"][0],
                      {**CLEAN["imaging_bmd"][0], "bmd_id": "b2", "device_vendor": "ge_lunar"}]},
     {"imaging_bmd": [CLEAN["imaging_bmd"][0],
                      {**CLEAN["imaging_bmd"][0], "bmd_id": "b2", "device_vendor": None}]}),
    ("R50", "dx_subtype",
     {"diagnosis": ARO, "variant": {"gene_symbol": "TCIRG1", "zygosity": "homozygous"}},
     {"diagnosis": ARO, "variant": {"gene_symbol": "TCIRG1", "zygosity": "homozygous"},
      "hsct": [{**HSCT, "hsct_date": D("1986-01-01")}]}),
    ("R51", "hsct_date", {"hsct": [HSCT]}, {}),
    ("R52", "hsct_date",
     {"hsct": [HSCT], "diagnosis": {"dx_subtype": "ARO_OSTM1", "orpha_code": None},
      "variant": {"gene_symbol": "OSTM1", "zygosity": "homozygous"}}, {}),
    ("R53", "hsct_date",
     {"hsct": [HSCT], "diagnosis": ARO,
      "variant": {"gene_symbol": "TCIRG1", "zygosity": "homozygous"}},
     {"hsct": [{**HSCT, "hsct_date": D("1990-03-01")}], "diagnosis": ARO,
      "variant": {"gene_symbol": "TCIRG1", "zygosity": "homozygous"}}),
    ("R60", "healing_outcome", {"fracture": {"fracture_date": D("2026-01-20")}},
     {"fracture": {"fracture_date": D("2026-01-01")}}),
    ("R65", "fracture_date",
     {"death_followup": {"last_contact_date": D("2003-11-19")}},
     {"death_followup": {"last_contact_date": D("2003-11-20")}}),
    ("R70", "status",
     {"complication": [CLEAN["complication"][0],
                       {**CLEAN["complication"][0], "complication_id": "c2", "status": "present"}]},
     {"complication": [CLEAN["complication"][0],
                       {**CLEAN["complication"][0], "complication_id": "c2", "status": "present",
                        "assessed_date": D("2021-01-01")}]}),
    ("R90", "hgvs_p", {"variant": {"hgvs_p": "p.(Gly215Arg) mail@example.org"}}, {}),
    ("R90", "hgvs_p", {"variant": {"hgvs_p": "p.(Gly215Arg) tel 06 12 34 56 78"}}, {}),
]  # fmt: skip


@pytest.mark.parametrize(("rule", "field", "breaks", "keeps"), CASES)
def test_a_rule_finds_what_breaks_it_and_nothing_else(
    rule: str, field: str, breaks: dict[str, Any], keeps: dict[str, Any]
) -> None:
    assert (rule, field) in {(found, name) for found, _, name in findings(**breaks)}
    assert rule not in {found for found, _, _ in findings(**keeps)}


def test_every_rule_has_a_case() -> None:
    assert {rule.id for rule in RULES} == {rule for rule, *_ in CASES}


def test_every_rule_says_what_holds_and_what_to_do() -> None:
    for rule in RULES:
        assert rule.statement.endswith("."), rule.id
        assert rule.remedy, rule.id
        assert set(rule.tables) <= set(DICTIONARY.tables), rule.id
        assert rule.severity in ("hard", "soft", "info"), rule.id


def test_the_second_entry_of_a_person_is_rejected_and_the_first_one_stays() -> None:
    twice = [
        {**CLEAN["person"][0], "row_id": "late", "source_row": 30},
        {**CLEAN["person"][0], "row_id": "early", "source_row": 4},
    ]
    assert findings(person=twice) == {("R05", "late", "person_id")}


def test_rows_that_hang_on_a_rejected_person_go_with_it() -> None:
    found = findings(person={"first_contact_date": D("1980-01-01")})
    assert {row for rule, row, _ in found if rule == "R04"} == {"dx", "v", "f", "c", "l", "b", "d"}
