"""Suites follow from the dictionary; plausibility files are checked against it."""

from pathlib import Path

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from expectations import suites
from expectations.expectation import Expectation
from expectations.statements import applicability, read_plausibility
from transforms.dictionary import DICTIONARY, Field, Range, Table
from transforms.dictionary.arrow import schema
from transforms.errors import DictionaryError


EVERYTHING = [item for table in suites.tables() for item in suites.expectations(table)]

GOOD = """
[[expectation]]
id = "X1"
fields = ["birth_date"]
applies = "birth_date > date '1900-01-01'"
holds = "year(birth_date) > 1950"
severity = "warning"
threshold = 0.9
statement = "Persons are young."
reason = "a reason"
source = "a source"
rationale = "a rationale"
remedy = "a remedy"
"""


def ids_of(table: Table) -> dict[str, Expectation]:
    return {item.id: item for item in suites.expectations(table)}


def test_ids_are_unique() -> None:
    ids = [item.id for item in EVERYTHING]
    assert len(ids) == len(set(ids))


@pytest.mark.parametrize("item", EVERYTHING, ids=lambda item: item.id)
def test_each_expectation_explains_itself(item: Expectation) -> None:
    assert item.statement.endswith(".")
    assert item.reason
    assert item.source
    assert item.remedy
    assert item.rationale
    assert item.category in ("conformance", "completeness", "plausibility")
    assert item.severity in ("critical", "warning", "info")
    assert 0 < item.threshold <= 1


@pytest.mark.parametrize("table", suites.tables(), ids=lambda table: table.name)
def test_every_mandatory_field_and_every_code_list_is_checked(table: Table) -> None:
    ids = ids_of(table)
    for field in table.fields:
        if field.obligation == "mandatory":
            assert ids[f"{table.name}.{field.name}.filled"].severity == "critical"
        if field.codelist is not None:
            found = ids[f"{table.name}.{field.name}.codes"]
            codes = list(DICTIONARY.codelists[field.codelist].codes)
            if field.type == "codes":
                assert found.kwargs["value_set"] == [True]
                assert all(f"'{code}'" in str(found.holds) for code in codes)
            else:
                assert found.kwargs["value_set"] == codes


def test_every_analyte_is_held_to_its_limits() -> None:
    ids = ids_of(DICTIONARY.tables["lab_measurement"])
    for code, analyte in DICTIONARY.analytes.items():
        limits = ids[f"lab_measurement.value[{code}].possible"].kwargs
        assert (limits["min_value"], limits["max_value"]) == (analyte.hard.low, analyte.hard.high)


def test_a_table_gets_what_its_fields_say() -> None:
    table = Table(
        name="stay",
        title="Stay",
        description="",
        key=("person_id", "number"),
        fields=(
            Field("person_id", "who", "string", "mandatory", references="person.person_id"),
            Field("number", "which", "integer", hard=Range(1, None, "a count")),
            Field("room", "where", "string", "recommended", pattern="[A-Z][0-9]+"),
        ),
    )
    got = {item.id: (item.type, item.severity) for item in suites.expectations(table)}
    assert got == {
        "stay.key": ("expect_compound_columns_to_be_unique", "critical"),
        "stay.person_id.filled": ("expect_column_values_to_not_be_null", "critical"),
        "stay.person_id.reference": ("unexpected_rows_expectation", "critical"),
        "stay.number.possible": ("expect_column_values_to_be_between", "critical"),
        "stay.room.filled": ("expect_column_values_to_not_be_null", "info"),
        "stay.room.form": ("expect_column_values_to_match_regex", "critical"),
    }


@pytest.mark.parametrize("table", suites.tables(), ids=lambda table: table.name)
def test_computed_columns_are_sql_that_runs(table: Table, tmp_path: Path) -> None:
    path = tmp_path / f"{table.name}.parquet"
    pq.write_table(pa.Table.from_pylist([], schema(table)), path)
    with duckdb.connect() as connection:
        relation = connection.sql(suites.relation(table, str(path)))
        assert set(table.field_names) <= set(relation.columns)


def test_a_plausibility_statement_is_null_where_it_does_not_apply(tmp_path: Path) -> None:
    (tmp_path / "person.toml").write_text(GOOD, encoding="utf-8")
    (item,) = read_plausibility(tmp_path, DICTIONARY)
    with duckdb.connect() as connection:
        rows = connection.execute(
            f"select {item.holds} from (values (date '1980-01-01'), (date '1940-01-01'),"
            " (date '1850-01-01'), (null)) as persons (birth_date)"
        ).fetchall()
    assert rows == [(True,), (False,), (None,), (None,)]
    assert item.configuration()["kwargs"]["mostly"] == 0.9


@pytest.mark.parametrize(
    ("wrong", "right", "problem"),
    [
        ('["birth_date"]', '["shoe_size"]', "person has no field called shoe_size"),
        ("threshold = 0.9", "threshold = 1.5", "threshold must be a share between 0 and 1"),
        ("threshold = 0.9", "threshold = 0", "threshold must be a share between 0 and 1"),
        ('severity = "warning"', 'severity = "grave"', "severity must be one of"),
        ('reason = "a reason"', 'because = "a reason"', "unknown key because"),
        ('reason = "a reason"', "", "reason is missing"),
    ],
)
def test_a_wrong_plausibility_file_is_refused(
    tmp_path: Path, wrong: str, right: str, problem: str
) -> None:
    (tmp_path / "person.toml").write_text(GOOD.replace(wrong, right), encoding="utf-8")
    with pytest.raises(DictionaryError, match=problem):
        read_plausibility(tmp_path, DICTIONARY)


def test_all_problems_of_all_files_are_told_at_once(tmp_path: Path) -> None:
    (tmp_path / "person.toml").write_text(GOOD + GOOD, encoding="utf-8")
    (tmp_path / "shoes.toml").write_text(GOOD.replace("X1", "X2"), encoding="utf-8")
    with pytest.raises(DictionaryError) as caught:
        read_plausibility(tmp_path, DICTIONARY)
    assert "no table called shoes" in str(caught.value)
    assert "id X1 is used twice" in str(caught.value)


def test_a_file_that_is_not_toml_is_named(tmp_path: Path) -> None:
    (tmp_path / "person.toml").write_text("[[expectation", encoding="utf-8")
    with pytest.raises(DictionaryError, match=r"person\.toml: not a TOML file"):
        read_plausibility(tmp_path, DICTIONARY)


def test_what_a_field_applies_to_can_be_asked_of_its_table() -> None:
    with duckdb.connect() as connection:
        for (name, field), stated in applicability().items():
            table = DICTIONARY.tables[name]
            assert table.field(field).obligation != "optional", f"{name}.{field} is never counted"
            connection.register(name, schema(table).empty_table())
            condition = f'select ({stated.applies})::boolean from "{name}"'
            assert connection.execute(condition).fetchall() == []
