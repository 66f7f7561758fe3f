"""What the dictionary says against single values: limits, units that look like another, ages."""

import datetime
from typing import Any

import duckdb
import pytest

from transforms.codelists import load_codelists
from transforms.derive import derive
from transforms.dictionary import DICTIONARY
from transforms.limits import check_limits
from transforms.mapping import FieldRule, Mapping, Source, ValueRule
from transforms.pseudonyms import install
from transforms.sql import identifier
from transforms.staging import stage
from transforms.units import analyte_factors, normal


def rule(target: str, kind: str, column: str = "", **more: str) -> FieldRule:
    table, _, rest = target.partition(".")
    name, _, bracket = rest.rstrip("]").partition("[")
    return FieldRule(
        table, name, table, kind, tuple(filter(None, [column])), bracket or None, **more
    )


def judged(
    rules: list[FieldRule], rows: dict[str, list[dict[str, Any]]], *values: ValueRule
) -> duckdb.DuckDBPyConnection:
    """Stage rows of one source per table (column `id` is the person) and judge them by limits."""
    sources = tuple(Source(name, "excel", "f", "delimited", "id", missing=("NR",)) for name in rows)
    mapping = Mapping(sources, tuple(rules), values, ())
    connection = duckdb.connect()
    connection.execute("create schema source")
    for name, listed in rows.items():
        columns = list(dict.fromkeys(key for row in listed for key in row))
        typed = ", ".join(f"{identifier(column)} varchar" for column in columns)
        connection.execute(
            f"create table source.{identifier(name)} ({typed}, source_file varchar, "
            "source_sheet varchar, source_row bigint)"
        )
        marks = ", ".join("?" for _ in range(len(columns) + 3))
        connection.executemany(
            f"insert into source.{identifier(name)} values ({marks})",
            [[*(row.get(c) for c in columns), "f.csv", "", nr] for nr, row in enumerate(listed)],
        )
    load_codelists(connection)
    install(connection, b"0" * 32)
    connection.execute(
        "create table violations (table_name varchar, row_id varchar, field varchar, "
        "rule varchar, severity varchar, remedy varchar)"
    )
    stage(connection, mapping)
    derive(connection)
    check_limits(connection, mapping)
    return connection


LABS = [
    # analyte, unit, value: what is found, and the unit that it looks like
    ("hemoglobin", "g/dL", "12.5", set(), ""),
    ("hemoglobin", "g/dL", "125", {"R80 soft"}, "g/L"),
    ("hemoglobin", "g/dL", "6.5", {"R80 soft"}, "mmol/L"),
    ("hemoglobin", "g/L", "12.5", {"R80 soft"}, "g/dL"),
    ("hemoglobin", "mmol/L", "12.5", {"R80 soft"}, "g/dL"),
    ("calcium", "mmol/L", "2.4", set(), ""),
    ("calcium", "mmol/L", "9.6", {"R80 soft"}, "mg/dL"),
    ("calcium", "mmol/L", "96", {"R80 soft"}, "mg/L"),
    ("calcium", "mg/dL", "96", {"R80 soft"}, "mg/L"),
    ("calcium", "mg/L", "9.6", {"R80 soft"}, "mg/dL"),
    ("calcium", "mg/dL", "2.4", {"R80 soft"}, "mmol/L"),
    ("calcium", "mmol/L", "3.1", {"soft_range soft"}, ""),
    ("platelets", "10*9/L", "250000", {"R80 soft"}, "/uL"),
    ("platelets", "/µL", "250000", set(), ""),
    ("platelets", "/µL", "250", {"R80 soft"}, "10*9/L"),
    ("creatinine", "umol/L", "0.9", {"R80 soft"}, "mg/dL"),
    # 2 umol/L may be 2 mg/dL (177) or 2 mg/L (17.7), both usual: not read as either
    ("creatinine", "umol/L", "2", {"range hard", "R80 hard"}, "mg/dL"),
    ("hemoglobin", "g/dL", "950", {"range hard"}, ""),
    ("pth", "pmol/L", "450", {"range hard"}, ""),
    ("pth", "pmol/L", "6", set(), ""),
    ("pth", "pmol/L", "57", {"R80 soft"}, "pg/mL"),
    ("pth", "pmol/L", "20", {"R80 soft"}, "pg/mL"),
    ("pth", "pg/mL", "57", set(), ""),
    # never guessed between ng/mL and nmol/L
    ("vitamin_d_25oh", "nmol/L", "12", {"soft_range soft"}, ""),
    ("vitamin_d_25oh", "nmol/L", "1", {"range hard"}, ""),
    # below what can be detected is not below what can be; above it is judged as any other value
    ("vitamin_d_25oh", "nmol/L", "<1", set(), ""),
    ("vitamin_d_25oh", "nmol/L", ">1", {"range hard"}, ""),
    ("vitamin_d_25oh", "nmol/L", ">900", set(), ""),
    ("vitamin_d_25oh", "nmol/L", "<900", {"range hard"}, ""),
]


# What is impossible as declared and usual in one other unit: its value in the canonical unit.
USUAL = {"hemoglobin": 125.0, "calcium": 2.395325, "platelets": 250.0, "creatinine": 79.56153}
MEANT = {
    nr: USUAL[row[0]]
    for nr, row in enumerate(LABS)
    if row[:3] in (
        ("hemoglobin", "g/dL", "125"), ("calcium", "mmol/L", "9.6"), ("calcium", "mmol/L", "96"),
        ("calcium", "mg/dL", "96"), ("calcium", "mg/L", "9.6"),
        ("platelets", "10*9/L", "250000"), ("creatinine", "umol/L", "0.9"),
    )
}  # fmt: skip


@pytest.fixture(scope="module")
def labs() -> duckdb.DuckDBPyConnection:
    rules = [
        rule("lab_measurement.analyte", "copy", "analyte"),
        rule("lab_measurement.value", "number", "value", arg="unit_column=unit"),
    ]
    rows = [
        {"id": "1", "analyte": analyte, "value": value, "unit": unit}
        for analyte, unit, value, *_ in LABS
    ]
    return judged(rules, {"lab_measurement": rows})


@pytest.mark.parametrize("nr", range(len(LABS)), ids=[" ".join(row[:3]) for row in LABS])
def test_laboratory_values(labs: duckdb.DuckDBPyConnection, nr: int) -> None:
    *_, expected, looks_like = LABS[nr]
    found = labs.execute(
        "select rule || ' ' || severity, remedy from violations "
        "join staged.lab_measurement using (row_id) where source_row = $1",
        [nr],
    ).fetchall()
    assert {said for said, _ in found} == expected
    ((status,),) = labs.execute(
        "select unit_status from staged.lab_measurement where source_row = $1", [nr]
    ).fetchall()
    read_as_meant = looks_like and expected == {"R80 soft"} and nr in MEANT
    assert (status == "suspect") == bool(looks_like and not read_as_meant)
    if read_as_meant:
        ((value, written),) = labs.execute(
            "select value, value_source from staged.lab_measurement where source_row = $1", [nr]
        ).fetchall()
        assert (status, written) == ("overruled", float(LABS[nr][2]))
        assert value == pytest.approx(MEANT[nr], rel=1e-5)
    hints = [remedy for said, remedy in found if said.startswith("R80")]
    assert [hint.startswith(f"looks like {looks_like};") for hint in hints] == [True] * len(hints)


def test_a_batch_of_everyday_mmol_values_labelled_g_dl_is_noticed_as_a_whole() -> None:
    rules = [rule("lab_measurement.value[hemoglobin]", "number", "Hb", unit="g/dL")]

    def flags(values: list[str]) -> int:
        rows = [{"id": str(nr), "Hb": value} for nr, value in enumerate(values)]
        query = "select count(*) from violations where rule = 'R80' and severity = 'soft'"
        ((count,),) = judged(rules, {"lab_measurement": rows}).execute(query).fetchall()
        return int(count)

    mmol = ["7.4", "7.9", "8.1", "8.3", "8.0", "7.6", "9.0", "8.8", "7.5", "7.7"]
    g_dl = ["12.4", "13.9", "14.1", "12.3", "13.0", "12.6", "9.0", "8.8", "13.5", "12.7"]
    assert flags(mmol) == 10
    assert flags(g_dl) == 0
    assert flags(mmol[:9]) == 0  # too few to judge a batch


def test_ages_become_dates_and_dates_become_ages() -> None:
    rules = [
        rule("person.birth_date", "date", "born"),
        rule("person.first_contact_date", "age_to_date", "age"),
        rule("fracture.fracture_date", "age_to_date", "age", unit="iso8601"),
        rule("fracture.bone_site", "const", arg="tibia"),
        rule("diagnosis.dx_date", "date", "on"),
        rule("diagnosis.dx_age_y", "number", "age", unit="mo"),
    ]
    connection = judged(
        rules,
        {
            "person": [{"id": "1", "born": "2000-01-01", "age": "10"}],
            "fracture": [{"id": "1", "age": "P2Y"}],
            "diagnosis": [{"id": "1", "on": "2001-01-01", "age": "6"}, {"id": "1", "age": "6"}],
        },
    )
    ((contact,),) = connection.execute("select first_contact_date from staged.person").fetchall()
    assert contact == datetime.date(2010, 1, 1)
    ((date, age),) = connection.execute(
        "select fracture_date, age_at_fracture_y from staged.fracture"
    ).fetchall()
    assert date == datetime.date(2002, 1, 1)  # two calendar years
    assert age == pytest.approx(2.0, abs=0.003)
    ages = connection.execute(
        "select dx_age_y from staged.diagnosis order by source_row"
    ).fetchall()
    assert ages == [(366 / 365.25,), (0.5,)]


@pytest.mark.parametrize(
    ("text", "date"),
    [
        ("P3M", "2015-04-12"),  # the same day of the month
        ("P1M19D", "2015-03-03"),  # 12 February and 19 days
        ("-P1M", "2014-12-12"),  # before birth
        ("2015-05-01", "2015-05-01"),  # a date stands for itself
    ],
)
def test_an_age_is_counted_by_the_calendar_from_the_birth_date(text: str, date: str) -> None:
    rules = [
        rule("person.birth_date", "date", "born"),
        rule("complication.hpo_id", "const", arg="HP:0000365"),
        rule("complication.onset_date", "age_to_date", "onset", unit="iso8601"),
        rule("diagnosis.onset_age_y", "date_to_age", "onset", unit="iso8601"),
    ]
    rows = [{"id": "1", "born": "2015-01-12", "onset": text}]
    connection = judged(rules, dict.fromkeys(("person", "complication", "diagnosis"), rows))
    found = connection.execute(
        "select onset_date::varchar, onset_age_y from staged.complication"
    ).fetchall()
    days = (datetime.date.fromisoformat(date) - datetime.date(2015, 1, 12)).days
    assert found == [(date, days / 365.25)]
    ((age,),) = connection.execute("select onset_age_y from staged.diagnosis").fetchall()
    assert age == pytest.approx(days / 365.25, abs=0.005)


def test_precision_of_the_birth_date_follows_from_how_it_is_written() -> None:
    rules = [rule("person.birth_date", "date", "born", arg="DMY")]
    born = ["03/04/2000", "04/2000", "2000", "NR"]
    rows = [{"id": str(nr), "born": text} for nr, text in enumerate(born)]
    connection = judged(rules, {"person": rows})
    found = connection.execute(
        "select birth_date::varchar, birth_date_precision from staged.person order by source_row"
    ).fetchall()
    assert found == [("2000-04-03", "day"), ("2000-04-01", "month"), ("2000-07-01", "year")]


def test_a_text_of_the_wrong_form_becomes_empty_and_is_flagged() -> None:
    rules = [
        rule("variant.gene_symbol", "copy", "gene"),
        rule("variant.hgvs_c", "copy", "change"),
        rule("variant.zygosity", "const", arg="heterozygous"),
    ]
    rows = [{"id": "1", "gene": "CLCN7", "change": "c.643G>A"},
            {"id": "2", "gene": "CLCN7", "change": "643 G nach A"}]  # fmt: skip
    connection = judged(rules, {"variant": rows})
    assert connection.execute(
        "select hgvs_c from staged.variant order by source_row"
    ).fetchall() == [("c.643G>A",), (None,)]
    assert connection.execute("select field, rule, severity from violations").fetchall() == [
        ("hgvs_c", "unreadable_value", "soft")
    ]


def test_brackets_make_a_row_each_and_share_the_plain_fields() -> None:
    rules = [
        rule("lab_measurement.sample_date", "date", "on"),
        rule("lab_measurement.value[calcium]", "number", "Ca", unit="mmol/L"),
        rule("lab_measurement.value[hemoglobin]", "number", "Hb", unit="g/L"),
    ]
    rows = [{"id": "1", "on": "2020-01-01", "Ca": "2.4", "Hb": "120"},
            {"id": "1", "on": "2021-01-01", "Ca": "2.3", "Hb": None},
            {"id": "1", "on": "2022-01-01", "Ca": "NR", "Hb": " "}]  # fmt: skip
    found = judged(rules, {"lab_measurement": rows}).execute(
        "select analyte, value, sample_date::varchar from staged.lab_measurement order by all"
    )
    assert found.fetchall() == [
        ("calcium", 2.3, "2021-01-01"),
        ("calcium", 2.4, "2020-01-01"),
        ("hemoglobin", 120.0, "2020-01-01"),
    ]


def test_skipped_rows_are_not_staged() -> None:
    rules = [
        rule("lab_measurement.analyte", "recode", "what"),
        rule("lab_measurement.value", "number", "value", unit="mmol/L"),
    ]
    values = (
        ValueRule("lab_measurement", "analyte", "", "Ca", "calcium"),
        ValueRule("lab_measurement", "analyte", "", "weight", "skip"),
    )
    rows = [{"id": "1", "what": "Ca", "value": "2.4"}, {"id": "1", "what": "Weight", "value": "x"},
            {"id": "1", "what": "height", "value": "5"}]  # fmt: skip
    connection = judged(rules, {"lab_measurement": rows}, *values)
    ((staged,),) = connection.execute("select count(*) from staged.lab_measurement").fetchall()
    assert staged == 2
    rules_found = connection.execute("select distinct rule from violations order by 1").fetchall()
    assert rules_found == [("unknown_unit",), ("unmapped_value",)]


def test_precision_and_numbers_follow_from_their_fields() -> None:
    connection = judged(
        [
            rule("person.birth_date", "date", "Born"),
            rule("fracture.fracture_date", "date", "Date"),
            rule("variant.gene_symbol", "copy", "Gene"),
            rule("treatment.drug", "copy", "Drug"),
        ],
        {
            "person": [{"id": "1", "Born": "2000-01-01"}],
            "fracture": [{"id": "1", "Date": date} for date in ("2010-03-05", "2010-03", "2010")],
            "variant": [{"id": "1", "Gene": gene} for gene in ("CLCN7", "SLC4A2")],
            "treatment": [
                {"id": "1", "Drug": drug} for drug in ("interferon_gamma_1b", "transfusion_rbc")
            ],
        },
    )
    for table, field, expected in (
        ("fracture", "fracture_date_precision", ["day", "month", "year"]),
        ("variant", "gene_hgnc", ["2025", "11028"]),
        ("treatment", "atc", ["L03AB03", None]),
    ):
        found = connection.execute(
            f"select {field} from staged.{table} order by source_row"
        ).fetchall()
        assert [value for (value,) in found] == expected


@pytest.mark.parametrize(
    ("leukocytes", "share", "expected"),
    [
        ("8.0", "60", (4.8, "converted", None)),
        (None, "60", (None, "declared", "unknown_unit")),  # a share of nothing that is known
        ("8.0", "160", (None, "declared", "unknown_unit")),
    ],
)
def test_neutrophils_in_percent_need_the_leukocytes_of_the_sample(
    leukocytes: str | None, share: str, expected: tuple[float | None, str, str | None]
) -> None:
    rules = [
        rule("lab_measurement.sample_date", "date", "on"),
        rule("lab_measurement.value[leukocytes]", "number", "WBC", unit="10*9/L"),
        rule("lab_measurement.value[neutrophils]", "number", "Neutro", unit="%"),
    ]
    rows = [{"id": "1", "on": "2020-01-01", "WBC": leukocytes, "Neutro": share}]
    connection = judged(rules, {"lab_measurement": rows})
    assert connection.execute(
        'select value, unit_status, "value:problem" from staged.lab_measurement '
        "where analyte = 'neutrophils'"
    ).fetchall() == [expected]


# Molar masses (data reference, T8), from which each factor follows: x mg/dL are 10 x / M mmol/L.
MOLAR = [
    ("calcium", "mg/dL", 10 / 40.078), ("calcium", "mg/L", 1 / 40.078),
    ("calcium_ionized", "mg/dL", 10 / 40.078),
    ("phosphate", "mg/dL", 10 / 30.973762), ("phosphate", "mg{PO4}/dL", 10 / 94.971),
    ("magnesium", "mg/dL", 10 / 24.305), ("creatinine", "mg/dL", 10_000 / 113.12),
    ("creatinine", "mg/L", 1000 / 113.12), ("pth", "pg/mL", 1000 / 9424.7),
    ("vitamin_d_25oh", "ng/mL", 1000 / 400.64), ("vitamin_d_125oh2", "pg/mL", 1000 / 416.64),
    ("hemoglobin", "mmol/L", 64_458 / 4 / 1000), ("hemoglobin", "g/dL", 10),
    ("calcium", "meq/L", 1 / 2), ("magnesium", "meq/L", 1 / 2), ("bicarbonate", "meq/L", 1),
    ("potassium", "meq/L", 1), ("chloride", "meq/L", 1), ("igg", "mg/dL", 0.01),
    ("ctx", "ng/mL", 1000), ("ctx", "ug/L", 1000), ("p1np", "ng/mL", 1),
    ("osteocalcin", "ng/mL", 1), ("bone_alp", "ng/mL", 1), ("calcium_ionized", "meq/L", 1 / 2),
    # a katal is a mole a second, a unit a micromole a minute: 1 ukat = 60 U
    *((name, "ukat/L", 60) for name in ("alp", "ck", "ck_bb", "ldh", "ast", "alt", "trap5b")),
    *((name, unit, factor) for name in ("platelets", "leukocytes", "neutrophils")
      for unit, factor in (("/uL", 0.001), ("10*3/uL", 1), ("G/L", 1), ("/nL", 1))),
    *(("platelets", unit, 1) for unit in ("Gpt/l", "Tsd/µl", "miles/µL", "10³/mmc", "x10e3/uL",
                                          "10^3/mm³", "x10^9/L")),
]  # fmt: skip


@pytest.mark.parametrize(("analyte", "unit", "factor"), MOLAR)
def test_every_factor_follows_from_the_molar_mass(analyte: str, unit: str, factor: float) -> None:
    found = analyte_factors(DICTIONARY.analytes[analyte])[normal(unit)]
    assert found == pytest.approx(factor, rel=3e-6)


def test_every_factor_of_every_analyte_is_in_that_table() -> None:
    shown = {(analyte, normal(unit)) for analyte, unit, _ in MOLAR}
    declared = {
        (analyte.code, normal(unit))
        for analyte in DICTIONARY.analytes.values()
        for unit, factor in analyte.factors.items()
        if factor != 1 and unit != analyte.unit
    }
    # ng/L is pg/mL, ug/L is ng/mL, g/100mL is g/dL, mg/L is a tenth of mg/dL
    other_names = {("phosphate", "mg/l"), ("vitamin_d_25oh", "ug/l"), ("pth", "ng/l"),
                   ("vitamin_d_125oh2", "ng/l"), ("hemoglobin", "g/100ml")}  # fmt: skip
    assert declared - shown == other_names


@pytest.mark.parametrize(
    ("analyte", "unit"),
    [("ctx", "pmol/L"), ("bone_alp", "U/L"), ("vitamin_d_25oh", "mg/dL"), ("ck_bb", "%"),
     ("neutrophils", "%")],
)  # fmt: skip
def test_what_cannot_be_converted_has_no_factor(analyte: str, unit: str) -> None:
    assert normal(unit) not in analyte_factors(DICTIONARY.analytes[analyte])
