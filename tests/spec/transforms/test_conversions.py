"""What each mapping rule makes of a cell: small tables, text in, value and problem out."""

import datetime

import duckdb
import pytest

from transforms.conversions import Parameters, convert
from transforms.mapping import FieldRule, Mapping, Source, ValueRule
from transforms.sql import identifier


COLUMNS = ("A", "B", "C")


def read(rule: FieldRule, *rows: tuple[str | None, ...], **settings: object) -> list[object]:
    """Return the value, or the problem as a text in angle brackets, that each row gives."""
    source = Source("s", "excel", "f.csv", "delimited", "A", **settings)  # type: ignore[arg-type]
    mapping = Mapping((source,), (rule,), VALUES, ())
    parameters = Parameters()
    conversion = convert(rule, mapping, parameters)
    raw = ", ".join(f"{sql} as {identifier(name)}" for name, sql in conversion.raw.items())
    read = [f"{sql} as {identifier(name)}" for name, sql in conversion.read.items()]
    steps, name = ", ".join([*read, "null"]), identifier(rule.field)
    connection = duckdb.connect()
    connection.execute("create table s (nr integer, A varchar, B varchar, C varchar)")
    padded = [(nr, *row, *[None] * (3 - len(row))) for nr, row in enumerate(rows)]
    connection.executemany("insert into s values (?, ?, ?, ?)", padded)
    result = connection.execute(
        f"with raw as (select nr, {raw or '1'} from s), read as (select *, {steps} from raw), "
        f"valued as (select *, {conversion.value} as {name} from read) "
        f"select {name}, {conversion.problem} from valued order by nr",
        parameters,
    ).fetchall()
    assert all(value is None or problem is None for value, problem in result)
    return [value if problem is None else f"<{problem}>" for value, problem in result]


VALUES = (
    ValueRule("person", "sex_at_birth", "", "M", "male"),
    ValueRule("person", "sex_at_birth", "s", "V", "female"),
    ValueRule("person", "is_proband", "s", "ja", "true"),
    ValueRule("variant", "acmg_class", "s", "Klasse 5", "5"),
    ValueRule("fracture", "bone_site", "", "Femur", "femur_shaft"),
    ValueRule("fracture", "bone_site", "", "unklar", "missing"),
    ValueRule("fracture", "bone_site", "s", "*", "reject"),
    ValueRule("fracture", "laterality", "s", "re", "right"),
    ValueRule("fracture", "laterality", "s", "*", "unknown"),
    ValueRule("lab_measurement", "analyte", "s", "Kreatinin", "creatinine"),
    ValueRule("lab_measurement", "analyte", "s", "Gewicht", "skip"),
)


def rule(target: str, kind: str, arg: str = "", unit: str = "", *columns: str) -> FieldRule:
    table, _, rest = target.partition(".")
    name, _, bracket = rest.rstrip("]").partition("[")
    return FieldRule(table, name, "s", kind, columns or ("A",), bracket or None, arg, unit)


@pytest.mark.parametrize(
    ("decimal", "text", "expected"),
    [
        (",", "1,54", 1.54),
        (",", "22.1", 22.1),  # no thousands: not three digits
        (",", "1.234", 1234.0),
        (",", "0.500", 0.5),  # no thousands group begins with 0
        (",", "1.234,5", 1234.5),
        (",", "12 500,25", 12500.25),
        (",", "12\u202f500", 12500.0),
        (",", "-3,5", -3.5),
        (",", "\u22123,5", -3.5),
        (",", " 7 ", 7.0),
        (",", "1,234,5", "<not_a_number>"),
        (",", "12 5", "<not_a_number>"),
        (",", "12,5 g/dL", "<not_a_number>"),
        (",", "<0,5", "<not_a_number>"),  # a Z-score has no comparator
        (",", "zwölf", "<not_a_number>"),
        (",", "1e999", "<not_a_number>"),
        (",", "9" * 200, "<not_a_number>"),
        (",", "NaN", "<not_a_number>"),
        (".", "1,234", 1234.0),
        (".", "1,54", 1.54),
        (".", "1'234.5", 1234.5),
        (".", "1.5e-3", 0.0015),
        (",", None, None),
        (",", "   ", None),
    ],
)
def test_number(decimal: str, text: str | None, expected: object) -> None:
    z_score = rule("imaging_bmd.z_score", "number")
    assert read(z_score, (text,), decimal=decimal) == [expected]


@pytest.mark.parametrize(
    ("target", "unit", "text", "expected"),
    [
        # domain reference, table T8: molar masses 64458/4, 40.078, 113.12, 30.973762, 9424.7
        ("hemoglobin", "g/dL", "12,5", 125.0),
        ("hemoglobin", "g/100 mL", "12,5", 125.0),
        ("hemoglobin", "mmol/L", "8,0", 8.0 * 16.1145),
        ("hemoglobin", "g/L", "125", 125.0),
        ("platelets", "/µL", "250 000", 250.0),
        ("platelets", "10³/mmc", "250", 250.0),
        ("platelets", "Tsd/µl", "250", 250.0),
        ("platelets", "G/L", "250", 250.0),
        ("calcium", "mg/dL", "9,6", 9.6 * 0.249513),
        ("calcium", "mg/L", "96", 96 * 0.0249513),
        ("calcium", "mEq/L", "4,8", 2.4),
        ("creatinine", "mg/dL", "0,9", 0.9 * 88.4017),
        ("phosphate", "mg/dL", "4,5", 4.5 * 0.322854),
        ("pth", "pg/mL", "45", 45 * 0.106104),
        ("pth", "ng/L", "45", 45 * 0.106104),
        ("vitamin_d_25oh", "ng/mL", "20", 20 * 2.496006),
        ("alp", "µkat/L", "2", 120.0),
    ],
)
def test_each_analyte_reaches_its_canonical_unit(
    target: str, unit: str, text: str, expected: float
) -> None:
    calcium = rule(f"lab_measurement.value[{target}]", "number", "", unit)
    assert read(calcium, (text,), decimal=",") == [pytest.approx(expected, rel=1e-6)]


def test_unit_column_wins_over_the_declared_unit_and_unknown_units_are_refused() -> None:
    calcium = rule("lab_measurement.value[calcium]", "number", "unit_column=B", "mmol/L")
    rows = [("9,6", "mg/dl"), ("2,4", None), ("2,4", "furlong"), (None, "mg/dl"), ("<0,5", None)]
    assert read(calcium, *rows, decimal=",") == [
        pytest.approx(2.3953, abs=1e-4), 2.4, "<unknown_unit>", None, 0.5,
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("order", "arg", "text", "expected"),
    [
        ("DMY", "", "03/04/2010", (2010, 4, 3)),
        ("MDY", "", "03/04/2010", (2010, 3, 4)),
        ("DMY", "MDY", "03/04/2010", (2010, 3, 4)),
        ("DMY", "", "3.4.2010", (2010, 4, 3)),
        ("DMY", "", "03-04-2010", (2010, 4, 3)),
        ("DMY", "", "2010-04-03", (2010, 4, 3)),
        ("DMY", "", "2010-04-03T00:00:00Z", (2010, 4, 3)),
        ("DMY", "", "03.04.2010 14:30", (2010, 4, 3)),
        ("YMD", "", "20100403", (2010, 4, 3)),
        ("DMY", "", "2010", (2010, 7, 1)),
        ("DMY", "", "04/2010", (2010, 4, 1)),
        ("DMY", "", "2010-04", (2010, 4, 1)),
        ("DMY", "", "31/02/2010", None),
        ("DMY", "", "04/13/2010", None),
        ("DMY", "", "03/04/10", None),
        ("DMY", "pivot=30", "03/04/10", (2010, 4, 3)),
        ("DMY", "pivot=30", "03/04/58", (1958, 4, 3)),
        ("DMY", "", "été 2010", None),
        ("DMY", "", "40271", None),
    ],
)
def test_date(order: str, arg: str, text: str, expected: tuple[int, int, int] | None) -> None:
    wanted = datetime.date(*expected) if expected else "<not_a_date>"
    assert read(rule("person.birth_date", "date", arg), (text,), date_order=order) == [wanted]


def test_date_in_three_columns() -> None:
    parts = rule("person.birth_date", "date", "parts", "", "A", "B", "C")
    rows = [("2010", "4", "3"), ("2010", "4", None), ("2010", None, None), (None, "4", "3")]
    day = datetime.date
    assert read(parts, *rows) == [day(2010, 4, 3), day(2010, 4, 1), day(2010, 7, 1), None]


def test_a_day_without_its_month_is_never_taken_for_the_month() -> None:
    parts = rule("person.birth_date", "date", "parts", "", "A", "B", "C")
    assert read(parts, ("2010", None, "12")) == [datetime.date(2010, 7, 1)]


@pytest.mark.parametrize("order", ["DMY", "MDY", "YMD"])
def test_the_columns_say_which_part_is_the_year_whatever_the_order(order: str) -> None:
    parts = rule("person.birth_date", "date", "parts;pivot=30", "", "A", "B", "C")
    found = read(parts, ("05", "3", "12"), date_order=order)
    assert found == [datetime.date(2005, 3, 12)]


def test_recode_looks_up_trimmed_text_of_any_case_and_names_what_is_not_there() -> None:
    sex = rule("person.sex_at_birth", "recode")
    assert read(sex, ("M",), (" v ",), ("X",), (None,)) == [
        "male", "female", "<unmapped_value>", None,
    ]  # fmt: skip
    assert read(rule("person.is_proband", "recode"), ("Ja",), ("nee",)) == [
        True, "<unmapped_value>",
    ]  # fmt: skip
    assert read(rule("variant.acmg_class", "recode"), ("klasse 5",)) == [5]


def test_a_row_for_all_other_texts_says_what_they_are_and_leaves_empty_cells_alone() -> None:
    site = rule("fracture.bone_site", "recode")
    texts = [("Femur",), ("Elle",), ("unklar",), (None,)]
    assert read(site, *texts) == ["femur_shaft", "<unknown_code>", None, None]
    side = rule("fracture.laterality", "recode")
    assert read(side, ("re",), ("?",), (None,)) == ["right", "unknown", None]


def test_a_skipped_value_is_neither_a_code_nor_a_problem() -> None:
    analyte = rule("lab_measurement.analyte", "recode")
    assert read(analyte, ("Kreatinin",), ("Gewicht",)) == ["creatinine", None]


def test_copy_accepts_only_what_the_field_may_hold() -> None:
    assert read(rule("variant.hgvs_c", "copy"), ("c.643G>A",)) == ["c.643G>A"]
    assert read(rule("variant.acmg_class", "copy"), ("5",), ("five",)) == [5, "<not_a_number>"]
    assert read(rule("person.is_proband", "copy"), ("1",), ("FALSE",), ("?",)) == [
        True, False, "<unknown_code>",
    ]  # fmt: skip
    assert read(rule("variant.gene_symbol", "copy"), ("clcn7",), ("BRCA1",)) == [
        "CLCN7", "<unknown_code>",
    ]  # fmt: skip


def test_const_gives_every_row_the_same() -> None:
    assert read(rule("person.consent_reuse", "const", "yes"), (None,), ("x",)) == ["yes", "yes"]


def test_checkbox_not_checked_means_no_only_when_the_form_was_filled_in() -> None:
    status = rule("complication.status[HP:0007626]", "checkbox", "gate=B")
    rows = [("1", "0"), ("0", "2"), ("0", "1"), ("0", "0"), ("0", None), (None, "2"), ("7", "2")]
    assert read(status, *rows) == [
        "present", "excluded", "excluded", "unknown", "unknown", None, "<unknown_code>",
    ]  # fmt: skip
    several = rule("complication.status[HP:0007626]", "checkbox", "gate=B", "", "A", "C")
    assert read(several, ("0", "2", "maybe")) == ["<unknown_code>"]
    failure = rule("hsct.primary_graft_failure", "checkbox", "gate=B")
    assert read(failure, *rows[:4]) == [True, False, False, None]


def test_several_columns_give_the_first_that_holds_a_value() -> None:
    sex = rule("person.sex_at_birth", "recode", "", "", "A", "B")
    assert read(sex, (None, "V"), ("M", "V")) == ["female", "male"]


def test_missing_tokens_are_no_value_before_any_rule_sees_them() -> None:
    z_score = rule("imaging_bmd.z_score", "number")
    assert read(z_score, ("n.d.",), (" NR",), ("-",), missing=("N.D.", "nr", "-")) == [None] * 3
    assert read(z_score, ("n.d.",)) == ["<not_a_number>"]


@pytest.mark.parametrize(
    ("unit", "text", "expected"),
    [
        ("", "2,5", 2.5),
        ("mo", "18", 1.5),
        ("d", "731", 731 / 365.25),
        ("iso8601", "P3Y6M", 3.5),
        ("iso8601", "35Y", 35.0),
        ("iso8601", "P2W", 14 / 365.25),
        ("iso8601", "-P3M", -0.25),
        ("iso8601", "P3Y2M4DT5H30M", 3 + 2 / 12 + 4 / 365.25),  # 30 minutes, not 30 months
        ("iso8601", "PT5M", "<not_a_number>"),
        ("iso8601", "P1.2.3Y", "<not_a_number>"),
        ("iso8601", "P", "<not_a_number>"),
        ("iso8601", "3", "<not_a_number>"),
    ],
)
def test_ages(unit: str, text: str, expected: object) -> None:
    onset = rule("diagnosis.onset_age_y", "number", "", unit)
    wanted = pytest.approx(expected) if isinstance(expected, float) else expected
    assert read(onset, (text,), decimal=",") == [wanted]


@pytest.mark.parametrize(
    ("target", "arg", "cell", "expected"),
    [
        # Mondo's mapping files: MONDO:0008156 = OMIM:166600 = Orphanet:53
        ("diagnosis.dx_subtype", "system=orpha,omim,mondo", "ORPHA:53", "ADO2"),
        ("diagnosis.dx_subtype", "system=orpha,omim,mondo", "Orphanet_53", "ADO2"),
        ("diagnosis.dx_subtype", "system=orpha,omim,mondo", "omim:166600 ", "ADO2"),
        ("diagnosis.dx_subtype", "system=orpha,omim,mondo", "MONDO:0008156", "ADO2"),
        ("diagnosis.dx_subtype", "system=orpha", "53", "ADO2"),
        ("diagnosis.dx_subtype", "system=orpha,omim", "53", "<unmapped_value>"),  # of which?
        ("diagnosis.dx_subtype", "system=omim", "ORPHA:53", "<unmapped_value>"),
        ("diagnosis.dx_subtype", "system=orpha", "ORPHA:667", "<unmapped_value>"),  # five genes
        ("complication.hpo_id", "system=hpo", "hp_0000572", "HP:0000572"),
        ("lab_measurement.analyte", "system=loinc", "718-7", "hemoglobin"),
        ("lab_measurement.analyte", "system=loinc", "Kreatinin", "creatinine"),  # sheet values
        ("variant.zygosity", "system=loinc", "loinc_la6706-1", "heterozygous"),
        ("variant.zygosity", "system=geno", "GENO:0000136", "homozygous"),
    ],
)
def test_recode_knows_the_codes_of_public_systems(target, arg, cell, expected):
    assert read(rule(target, "recode", arg), (cell,)) == [expected]


def test_recode_reads_each_column_in_its_own_system():
    both = rule("diagnosis.dx_subtype", "recode", "system=orpha,omim", "", "A", "B")
    rows = [("53", None), (None, "166600"), (None, "OMIM:166600"), (None, "53")]
    assert read(both, *rows) == ["ADO2", "ADO2", "ADO2", "<unmapped_value>"]


def test_an_age_or_the_date_itself_where_a_format_may_hold_either():
    event = rule("complication.onset_date", "age_to_date", "", "iso8601")
    assert read(event, ("2015-04-12",), ("P3M",), ("soon",)) == [
        datetime.date(2015, 4, 12),
        None,  # derived later, from the birth date
        "<not_a_number>",
    ]
    age = rule("diagnosis.onset_age_y", "date_to_age", "", "iso8601")
    assert read(age, ("P2Y6M",), ("2015-04-12",), ("soon",)) == [2.5, None, "<not_a_date>"]


@pytest.mark.parametrize(
    ("decimal", "thousands", "text", "expected"),
    [
        (",", "", "1.234", 1234.0),
        (",", ".", "1.234", 1234.0),
        (",", " ", "1.234", 1.234),  # a point groups nothing here
        (",", " ", "12 500,5", 12500.5),
        (",", " ", "12\u202f500", 12500.0),
        (",", ".", "12 500", "<not_a_number>"),
        (".", "'", "12'500.5", 12500.5),
        (".", "'", "12\u2019500", 12500.0),
        (".", ",", "12'500", "<not_a_number>"),
    ],
)
def test_only_the_declared_sign_groups_thousands(
    decimal: str, thousands: str, text: str, expected: object
) -> None:
    platelets = rule("lab_measurement.value[platelets]", "number", "", "/uL")
    wanted = pytest.approx(expected / 1000) if isinstance(expected, float) else expected
    assert read(platelets, (text,), decimal=decimal, thousands=thousands) == [wanted]


@pytest.mark.parametrize(
    ("arg", "text", "expected"),
    [
        # day 1 of the calendar of 1900 is 1 January 1900, which also has a 29 February
        ("excel", "40271", (2010, 4, 3)),
        ("excel", "40271.5", (2010, 4, 3)),
        ("excel;DMY", "36526", (2000, 1, 1)),
        # day 0 of the calendar of 1904 is 1 January 1904: 1462 days later
        ("excel1904", "38809", (2010, 4, 3)),
        ("excel", "03/04/2010", (2010, 4, 3)),
        ("excel", "2010", (2010, 7, 1)),  # four digits are a year
        ("excel", "402710", None),
        ("", "40271", None),  # of which calendar?
        ("", "12/03", None),  # of which year?
        ("", "12.03.", None),
        ("", "mars", None),
        ("", "03/04/10", None),  # of which century?
    ],
)
def test_serial_days_and_what_is_no_date(
    arg: str, text: str, expected: tuple[int, int, int] | None
) -> None:
    wanted = datetime.date(*expected) if expected else "<not_a_date>"
    assert read(rule("person.birth_date", "date", arg), (text,), date_order="DMY") == [wanted]
