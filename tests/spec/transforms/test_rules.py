"""Each cross-field rule on rows that break it, and on the nearest rows that do not."""

import datetime
import functools
from typing import Any

import duckdb
import pyarrow as pa
import pytest

from transforms.codelists import load_codelists
from transforms.dictionary import DICTIONARY
from transforms.dictionary.arrow import schema
from transforms.rules import RULES, apply_rules
from transforms.sql import identifier, qualified
from transforms.staging import REJECTED, STORED


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
CLEAN["person"][0]["history_complete_from_birth"] = True
CLEAN["complication"][0] |= {"assessed_date": D("2024-01-01"), "category": "visual"}


@functools.cache
def database() -> duckdb.DuckDBPyConnection:
    """Return the database of all cases, with the code lists."""
    connection = duckdb.connect()
    load_codelists(connection)
    connection.execute(f"create schema {STORED}")
    connection.execute(
        "create table run as select $1::date as ingest_date, 'FR' as country, "
        "date '1984-06-01' as opened",
        [INGEST],
    )
    return connection


def findings(rule: str | None = None, **changes: Any) -> set[tuple[str, str, str]]:
    """Return (rule, row id, field) found on the clean person with changes applied.

    A change is a list of rows that take the place of the table's, or a mapping that changes its
    first row. `<date>:precision` may be set as any column. With `rule` only that one is looked at,
    after the hard ones (but R90, which takes long to compile).
    """
    rows = {name: [dict(row) for row in listed] for name, listed in CLEAN.items()}
    for name, change in changes.items():
        if isinstance(change, list):
            rows[name] = change
        elif rows.setdefault(name, []):
            rows[name][0].update(change)
        else:
            rows[name] = [change]
    connection = database()
    connection.execute(
        "create or replace table violations (table_name varchar, row_id varchar, field varchar, "
        "rule varchar, severity varchar, remedy varchar)"
    )
    for name in DICTIONARY.tables:
        lay_down(connection, name, rows.get(name, []))
    rules = [
        one
        for one in RULES
        if rule in (None, one.id) or (one.severity == "hard" and one.id != "R90")
    ]
    apply_rules(connection, rules=rules)
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
    stored, harmonized = qualified(STORED, name), identifier(name)
    connection.execute(
        f"create or replace table {stored} as select *, false as {REJECTED} from rows"
    )
    connection.execute(
        f"create or replace view {harmonized} as "
        f"select * exclude ({REJECTED}) from {stored} where not {REJECTED}"
    )
    connection.unregister("rows")


def test_the_clean_person_breaks_no_rule() -> None:
    assert findings() == set()


ANOTHER = {**CLEAN["person"][0], "person_id": "P2", "row_id": "P2"}
ARO = {"dx_subtype": "ARO_TCIRG1", "orpha_code": None}
HSCT = {"hsct_id": "h", "hsct_date": D("1999-06-01"), "donor_type": "MSD"}

CASES = [
    # rule, field, what breaks it, what does not
    ("R88", "country_of_care", {"person": {"country_of_care": "BE"}},
     {"person": {"country_of_care": "FR"}}),
    ("R88", "country_of_care", {"person": {"country_of_care": "BE"}},
     {"person": {"country_of_care": None}}),
    ("R89", "first_contact_date", {"person": {
        "birth_date": D("1984-01-02"), "first_contact_date": D("1984-05-31")}},
     {"person": {"birth_date": D("1984-01-02"), "first_contact_date": D("1984-06-01")}}),
    ("R89", "first_contact_date", {"person": {
        "birth_date": D("1980-01-02"), "first_contact_date": D("1983-07-01"),
        "first_contact_date:precision": "year"}},
     {"person": {"birth_date": D("1980-01-02"), "first_contact_date": D("1984-07-01"),
                 "first_contact_date:precision": "year"}}),
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
    ("R54", "outcome_date",
     {"diagnosis": ARO, "death_followup": {"last_contact_date": D("2020-01-02")},
      "variant": {"gene_symbol": "TCIRG1", "zygosity": "homozygous"},
      "hsct": [{**HSCT, "hsct_date": D("1987-06-01"), "outcome_date": D("1987-05-31")}]},
     {"diagnosis": ARO, "variant": {"gene_symbol": "TCIRG1", "zygosity": "homozygous"},
      "hsct": [{**HSCT, "hsct_date": D("1987-06-01"), "outcome_date": D("1987-06-01")}]}),
    # a year alone may be any of its days, also one after the transplant
    ("R54", "outcome_date",
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


def several(table: str, *changes: Row) -> dict[str, list[Row]]:
    """Return rows of a table: the clean one (or an empty one) with each change."""
    first = CLEAN[table][0] if CLEAN.get(table) else {}
    key = DICTIONARY.tables[table].key[0]
    return {table: [{**first, key: f"{table}{nr}", **row} for nr, row in enumerate(changes)]}


def with_variant(gene: str, zygosity: str = "homozygous", **more: Any) -> dict[str, Row]:
    return {"variant": {"gene_symbol": gene, "zygosity": zygosity, **more}}


ADO1 = {"dx_subtype": "ADO1", "orpha_code": None}
XLO = {"dx_subtype": "XLO", "orpha_code": None}
DAY = D("2020-01-01")
IFN = {"treatment_id": "t", "drug": "interferon_gamma_1b", "dose_unit": "ug/m2"}
NAIL = {"treatment": "im_nail", "bone_site": "femur_shaft"}
OPERATION = {"surgery_id": "s", "procedure": "IM_nail", "surgery_date": D("2003-11-21")}

CASES += [
    ("R02", "stop_date",
     {"treatment": {"treatment_id": "t", "drug": "calcitriol", "start_date": DAY,
                    "stop_date": D("2019-12-31")}},
     {"treatment": {"treatment_id": "t", "drug": "calcitriol", "start_date": DAY,
                    "stop_date": DAY}}),
    ("R02", "union_date", {"fracture": {"union_date": D("2003-11-19")}},
     {"fracture": {"union_date": D("2004-07-01"), "union_date:precision": "year"}}),
    ("R02", "union_date",
     {"fracture": {"union_date": D("2004-03-01"), "last_not_united_date": D("2004-04-01")}},
     {"fracture": {"union_date": D("2004-04-01"), "last_not_united_date": D("2004-03-01")}}),
    ("R02", "engraftment_anc_date", {"hsct": [{**HSCT, "engraftment_anc_date": D("1999-05-31")}]},
     {"hsct": [{**HSCT, "engraftment_anc_date": D("1999-06-20")}]}),
    ("R02", "resolution_date",
     {"complication": {"onset_date": DAY, "resolution_date": D("2019-01-01")}},
     {"complication": {"onset_date": DAY, "resolution_date": D("2021-01-01")}}),
    # a side that is not said may be the same side
    ("R06", "fracture_date",
     {"fracture": [CLEAN["fracture"][0],
                   {**CLEAN["fracture"][0], "fracture_id": "g", "laterality": None,
                    "fracture_date": D("2003-11-22")}]},
     {"fracture": [CLEAN["fracture"][0],
                   {**CLEAN["fracture"][0], "fracture_id": "g", "bone_site": "fibula",
                    "fracture_date": D("2003-11-22")}]}),
    ("R14", "zygosity", with_variant("IKBKG", "hemizygous"),
     {**with_variant("IKBKG", "hemizygous"), "person": {"sex_at_birth": "male"}}),
    ("R15", "variant_class", {"variant": {"variant_class": "nonsense"}},
     {"variant": {"variant_class": "missense"}}),
    ("R16", "hgvs_p", {"variant": {"hgvs_p": "p.(Tyr715Cys)", "hgvs_c": "c.2144A>G"}}, {}),
    ("R17", "zygosity",
     {**with_variant("SNX10", hgvs_c="c.46C>T"), "person": {"consanguinity": "no"}},
     {**with_variant("SNX10", hgvs_c="c.212+1G>T"), "person": {"consanguinity": "no"}}),
    ("R20", "phase", {"variant": {"zygosity": "compound_heterozygous"}},
     {"variant": {"zygosity": "compound_heterozygous", "phase": "in_trans"}}),
    ("R21", "dx_subtype", {"diagnosis": XLO},
     {"diagnosis": XLO, "person": {"sex_at_birth": "male"}}),
    ("R22", "undiagnosed_gene", {"diagnosis": {"undiagnosed_gene": True}},
     {"diagnosis": {"undiagnosed_gene": True}, "variant": {"acmg_class": 3}}),
    ("R23", "radiographic_basis",
     several("diagnosis", {}, {"dx_rank": 2, "radiographic_basis": ["endobone"]}),
     {"diagnosis": {"radiographic_basis": ["endobone"]}}),
    ("R24", "icd10", {"diagnosis": {"dx_subtype": "PYCNO", "orpha_code": "763", "icd10": "Q78.2"}},
     {"diagnosis": {"icd10": "Q78.2"}}),
    ("R25", "interpretation_status",
     {"variant": {"acmg_class": 2, "interpretation_status": "causative"}},
     {"variant": {"acmg_class": 2, "interpretation_status": "rejected"}}),
    ("R26", "transcript", {"variant": {"transcript": "NM_001114331.3"}},
     {"variant": {"transcript": "NM_001287.5"}}),
    ("R27", "hgvs_p", {"variant": {"hgvs_p": "p.(Gly216Arg)"}},
     {"variant": {"hgvs_c": "c.2299C>T", "hgvs_p": "p.(Arg767Trp)"}}),
    ("R28", "variant_class", {"variant": {"variant_class": "frameshift"}},
     {"variant": {"variant_class": "missense"}}),
    ("R29", "zygosity",
     several("variant", {"zygosity": "homozygous"}, {"hgvs_c": "c.856C>T"}),
     several("variant", {"zygosity": "homozygous"}, {"gene_symbol": "TCIRG1"})),
    ("R29", "zygosity", {"variant": {"zygosity": "hemizygous"}},
     {**with_variant("IKBKG", "hemizygous"), "person": {"sex_at_birth": "male"}}),
    ("R32", "dx_subtype", {"diagnosis": XLO},
     {"diagnosis": XLO, "complication": {"hpo_id": "HP:0001004", "status": "present"}}),
    ("R33", "dx_subtype",
     {"diagnosis": {"dx_subtype": "ARO_TNFRSF11A", "orpha_code": None},
      "person": [CLEAN["person"][0], ANOTHER],
      "lab_measurement": {"analyte": "igg", "value": 9.0, "person_id": "P2"}},
     {"diagnosis": {"dx_subtype": "ARO_TNFRSF11A", "orpha_code": None},
      "lab_measurement": {"analyte": "igg", "value": 9.0}}),
    ("R34", "dx_subtype", {"diagnosis": ADO1, "lab_measurement": {"analyte": "ck_bb"}},
     {"diagnosis": ADO1,
      "lab_measurement": {"analyte": "ck_bb", "value": 5.0, "value_comparator": "<"}}),
    # three fractures in 41 years are 0.073 a year
    ("R34", "dx_subtype", {"diagnosis": ADO1, **several("fracture", {}, {}, {})},
     {"diagnosis": ADO1, **several("fracture", {}, {})}),
    ("R35", "karyotypic_sex", {"person": {"karyotypic_sex": "XY"}},
     {"person": {"karyotypic_sex": "XO"}}),
    ("R36", "birth_date", {"person": {"birth_date": D("1920-01-01")}},
     {"person": {"birth_date": D("1927-01-01")}}),
    ("R37", "dx_subtype", {"person": {"family_history": "no"}},
     {"person": {"family_history": "yes"}}),
    ("R38", "onset_age_y", {"diagnosis": {"onset_age_y": 0.5}},
     {"diagnosis": {"onset_age_y": 0.5, **ARO}}),
    ("R39", "dx_age_y", {"diagnosis": {"onset_age_y": 2.0, "dx_age_y": 42.5}},
     {"diagnosis": {"onset_age_y": 2.0, "dx_age_y": 41.5}}),
    ("R41", "z_score",
     {"hsct": [HSCT], **several("imaging_bmd", {"scan_date": D("1999-01-01")}, {"z_score": 4.0})},
     {"hsct": [HSCT], **several("imaging_bmd", {"scan_date": D("1999-01-01")}, {"z_score": 9.0})}),
    ("R44", "z_score",
     several("imaging_bmd", {}, {"z_score": 4.0, "scan_date": D("2021-01-01")}),
     several("imaging_bmd", {}, {"z_score": 4.0, "scan_date": D("2022-01-01")})),
    ("R45", "z_score",
     several("imaging_bmd", {}, {"z_score": -8.0, "scan_date": D("2015-01-01")}),
     several("imaging_bmd", {}, {"z_score": -1.0, "scan_date": D("2015-01-01")})),
    # 1000 x (0.006 + 1.008 x 1.2) = 1215.6
    ("R46", "sbmd_mg_cm2",
     {"imaging_bmd": {"region": "total_hip", "bmd_g_cm2": 1.2, "sbmd_mg_cm2": 1290.0}},
     {"imaging_bmd": {"region": "total_hip", "bmd_g_cm2": 1.2, "sbmd_mg_cm2": 1216.0}}),
    ("R47", "sbmd_mg_cm2", {"imaging_bmd": {"sbmd_mg_cm2": 1950.0}},
     {"imaging_bmd": {"sbmd_mg_cm2": 1750.0}}),
    ("R48", "z_score", {"imaging_bmd": {"z_score": 26.0}},
     {"imaging_bmd": {"z_score": 26.0, "modality": "QCT"}}),
    ("R52", "hsct_date",
     {"hsct": [HSCT], "diagnosis": {"dx_subtype": "ARO_CLCN7", "orpha_code": None},
      "complication": {"hpo_id": "HP:0002180", "status": "present"}},
     {"hsct": [HSCT], "diagnosis": {"dx_subtype": "ARO_CLCN7", "orpha_code": None}}),
    ("R55", "chimerism_pct",
     {"hsct": [{**HSCT, "secondary_graft_failure": True, "chimerism_pct": 95.0}]},
     {"hsct": [{**HSCT, "secondary_graft_failure": True, "chimerism_pct": 5.0}]}),
    ("R56", "hsct_number",
     several("hsct", {**HSCT, "hsct_id": "a", "hsct_number": 2},
             {**HSCT, "hsct_id": "b", "hsct_number": 1, "hsct_date": D("2000-06-01")}),
     several("hsct", {**HSCT, "hsct_id": "a", "hsct_number": 1},
             {**HSCT, "hsct_id": "b", "hsct_number": 2, "hsct_date": D("2000-06-01")})),
    ("R57", "hsct_number", {"hsct": [{**HSCT, "hsct_number": 2}]},
     {"hsct": [{**HSCT, "hsct_number": 1}]}),
    ("R58", "hsct_date", {"hsct": [{**HSCT, "hsct_date": D("1985-03-20")}]},
     {"hsct": [{**HSCT, "hsct_date": D("1985-03-30")}]}),
    ("R59", "engraftment_anc_date", {"hsct": [{**HSCT, "engraftment_anc_date": D("1999-08-15")}]},
     {"hsct": [{**HSCT, "engraftment_anc_date": D("1999-07-15")}]}),
    ("R61", "treatment",
     {"fracture": NAIL, "surgery": {**OPERATION, "procedure": "THA"}},
     {"fracture": NAIL, "surgery": OPERATION}),
    ("R62", "history_complete_from_birth",
     {"fracture": [], "person": {"history_complete_from_birth": None}},
     {"fracture": [], "person": {"history_complete_from_birth": True}}),
    ("R63", "drug", {"treatment": {"treatment_id": "t", "drug": "denosumab"}},
     {"treatment": {"treatment_id": "t", "drug": "calcitriol"}}),
    ("R64", "union_date", {"fracture": {"union_date": D("2003-12-01")}},
     {"fracture": {"union_date": D("2003-12-01")}, "person": {"birth_date": D("1995-03-14")}}),
    ("R66", "atypical_asbmr", {"fracture": {"atypical_asbmr": True}},
     {"fracture": {"atypical_asbmr": True, "bone_site": "femur_subtroch"}}),
    ("R67", "laterality", several("fracture", {}, {"laterality": None, "bone_site": "humerus"}),
     several("fracture", {}, {"laterality": None, "bone_site": "vertebra"})),
    ("R68", "treatment",
     {"fracture": {"treatment": "plate"}, "surgery": {**OPERATION, "surgery_date": DAY}},
     {"fracture": {"treatment": "plate"}, "surgery": OPERATION}),
    ("R69", "outcome_date", {"hsct": [{**HSCT, "outcome_status": "alive"}]},
     {"hsct": [{**HSCT, "outcome_status": "alive", "outcome_date": DAY}]}),
    ("R71", "status",
     {"complication": {"hpo_id": "HP:0000618", "status": "present", "onset_date": DAY},
      "sensory_assessment": {"assessment_id": "a", "assessment_date": D("2021-01-01"),
                             "bcva_right_logmar": 0.3}},
     {"complication": {"hpo_id": "HP:0000618", "status": "present", "onset_date": DAY},
      "sensory_assessment": {"assessment_id": "a", "assessment_date": D("2019-01-01"),
                             "bcva_right_logmar": 0.3}}),
    ("R72", "status",
     {"complication": {"category": "marrow_failure", "status": "present",
                       "assessed_date": D("2020-03-01")},
      **several("lab_measurement", {"analyte": "hemoglobin", "value": 130.0},
                {"analyte": "platelets", "value": 210.0})},
     {"complication": {"category": "marrow_failure", "status": "present",
                       "assessed_date": D("2020-05-01")},
      **several("lab_measurement", {"analyte": "hemoglobin", "value": 130.0},
                {"analyte": "platelets", "value": 210.0})}),
    ("R73", "bcva_right_logmar",
     {"sensory_assessment": {"assessment_id": "a", "bcva_left_logmar": 1.9}},
     {"sensory_assessment": {"assessment_id": "a", "bcva_left_logmar": 1.9},
      "complication": {"status": "present"}}),
    ("R74", "height_cm",
     several("visit", {"visit_date": DAY, "height_cm": 171.0},
             {"visit_date": D("2021-01-01"), "height_cm": 161.0}),
     several("visit", {"visit_date": DAY, "height_cm": 171.0},
             {"visit_date": D("2021-01-01"), "height_cm": 169.0})),
    # 70 / 1.75 ** 2 = 22.86
    ("R75", "bmi_kg_m2",
     {"visit": {"visit_id": "w", "visit_date": DAY, "height_cm": 175.0, "weight_kg": 70.0,
                "bmi_kg_m2": 24.0}},
     {"visit": {"visit_id": "w", "visit_date": DAY, "height_cm": 175.0, "weight_kg": 70.0,
                "bmi_kg_m2": 22.9}}),
    ("R76", "is_proband",
     {"person": [{**CLEAN["person"][0], "family_id": "F", "is_proband": True},
                 {**ANOTHER, "family_id": "F", "is_proband": True}]},
     {"person": [{**CLEAN["person"][0], "family_id": "F", "is_proband": True},
                 {**ANOTHER, "family_id": "F", "is_proband": False}]}),
    ("R77", "family_id",
     {"person": [{**CLEAN["person"][0], "person_id": f"P{nr}", "row_id": f"P{nr}",
                  "family_id": "F"} for nr in range(1, 32)]},
     {"person": [{**CLEAN["person"][0], "person_id": f"P{nr}", "row_id": f"P{nr}",
                  "family_id": "F"} for nr in range(1, 31)]}),
    ("R78", "biobank_link", {"person": {"biobank_link": "BB"}},
     {"person": {"biobank_link": "BB", "biosample": "yes"}}),
    ("R79", "assessed_date", {"complication": {"assessed_date": D("2020-01-01")}},
     {"complication": {"assessed_date": D("2022-01-01")}}),
    ("R81", "dose", {"treatment": {**IFN, "dose": 20.0}}, {"treatment": {**IFN, "dose": 50.0}}),
    ("R82", "fasting", {"lab_measurement": {"analyte": "ctx"}},
     {"lab_measurement": {"analyte": "ctx", "fasting": True}}),
    ("R83", "value", several("lab_measurement", {}, {"value": 25.0}),
     several("lab_measurement", {}, {"analyte": "calcium", "value": 2.3})),
    ("R84", "loinc",
     {"lab_measurement": {"analyte": "calcium", "loinc": "17861-6", "value_source_unit": "mmol/L"}},
     {"lab_measurement": {"analyte": "calcium", "loinc": "17861-6", "value_source_unit": "mg/dL"}}),
    ("R84", "loinc", {"lab_measurement": {"analyte": "phosphate", "loinc": "2000-8"}},
     {"lab_measurement": {"analyte": "calcium", "loinc": "2000-8", "value_source_unit": "mmol/l"}}),
    ("R85", "surgery_id", {"fracture": {"surgery_id": "17"}, "surgery": OPERATION},
     {"fracture": {"surgery_id": "s"}, "surgery": OPERATION}),
    ("R86", "dose", {"treatment": {**IFN, "dose": 250.0}}, {"treatment": {**IFN, "dose": 200.0}}),
    ("R87", "vital_status", {"death_followup": {"death_date": D("2026-06-30")}},
     {"death_followup": {"death_date": D("2026-06-30"), "vital_status": "dead"}}),
    ("R90", "note_local", {"complication": {"note_local": "BSN 111222333"}},
     {"complication": {"note_local": "lot 111222334"}}),
]  # fmt: skip


@pytest.mark.parametrize(("rule", "field", "breaks", "keeps"), CASES)
def test_a_rule_finds_what_breaks_it_and_nothing_else(
    rule: str, field: str, breaks: dict[str, Any], keeps: dict[str, Any]
) -> None:
    assert (rule, field) in {(found, name) for found, _, name in findings(rule, **breaks)}
    assert rule not in {found for found, _, _ in findings(rule, **keeps)}


def test_every_rule_has_a_case() -> None:
    assert {rule.id for rule in RULES if not rule.elsewhere} == {rule for rule, *_ in CASES}


def test_every_rule_says_what_holds_and_what_to_do() -> None:
    for rule in RULES:
        assert rule.statement.endswith("."), rule.id
        assert rule.remedy, rule.id
        assert set(rule.tables) <= set(DICTIONARY.tables), rule.id
        assert rule.severity in ("hard", "soft", "info"), rule.id
        assert bool(rule.sql) != bool(rule.elsewhere), rule.id


def test_every_rule_of_the_data_reference_is_kept_somewhere() -> None:
    """The ids of section 3.2 of the data reference."""
    given = [
        *range(1, 7), *range(10, 21), *range(30, 35), *range(40, 44), *range(50, 56),
        *range(60, 64), *range(70, 73), 80, *range(90, 93),
    ]  # fmt: skip
    assert {f"R{nr:02d}" for nr in given} <= {rule.id for rule in RULES}


def test_a_rule_whose_tables_are_empty_is_not_run() -> None:
    filled = frozenset({"person"})
    quiet = {rule.id for rule in RULES if rule.sql and not rule.over(filled)}
    assert {"R06", "R40", "R61", "R83"} <= quiet
    assert not {"R05", "R07", "R76"} & quiet


def test_the_second_entry_of_a_person_is_rejected_and_the_first_one_stays() -> None:
    twice = [
        {**CLEAN["person"][0], "row_id": "late", "source_row": 30},
        {**CLEAN["person"][0], "row_id": "early", "source_row": 4},
    ]
    assert findings(person=twice) == {("R05", "late", "person_id")}


def test_rows_that_hang_on_a_rejected_person_go_with_it() -> None:
    found = findings(person={"first_contact_date": D("1980-01-01")})
    assert {row for rule, row, _ in found if rule == "R04"} == {"dx", "v", "f", "c", "l", "b", "d"}
