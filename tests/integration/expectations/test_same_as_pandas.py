"""Our DuckDB dialect leads Great Expectations to the verdicts of its own pandas engine.

Every expectation of every table, on rows with faults of every kind, is evaluated by both engines
and must agree in verdict and in counts. Expectations that are a SQL query cannot run on pandas;
they are counted there by hand.
"""

import random
from collections.abc import Callable
from datetime import date
from pathlib import Path
from typing import Any

import duckdb
import pyarrow.parquet as pq
import pytest

from expectations import engine
from expectations.expectation import Expectation
from expectations.suites import expectations, relation, tables
from transforms.dictionary import DICTIONARY, Field, Table
from transforms.site import Site


RUN = "run-000000000001"
DUPLICATED = 3


def spoil(table: Table) -> Callable[[list[dict[str, Any]]], None]:
    """Return a change that blanks, miscodes, misspells, exaggerates and repeats."""
    chance = random.Random(table.name)

    def change(rows: list[dict[str, Any]]) -> None:
        for row in rows:
            for field in table.fields:
                if chance.random() < 0.15:
                    row[field.name] = wrong(field, chance)
        if table.name == "lab_measurement":
            for row in rows:
                row["analyte"] = chance.choice([*DICTIONARY.analytes, None])
        for row in rows[:DUPLICATED]:
            row[table.key[0]] = "twice"

    return change


def wrong(field: Field, chance: random.Random) -> Any:
    """Return nothing, or something of the right type that should not be there."""
    by_type: dict[str, Any] = {
        "code": "no such code",
        "codes": ["no such code"],
        "string": "?",
        "number": chance.choice([-1e6, 1e6]),
        "integer": chance.choice([-1000, 1000]),
        "date": chance.choice([date(1970, 1, 1), date(2011, 3, 1), date(1899, 12, 31)]),
        "boolean": chance.choice([True, False]),
    }
    return chance.choice([None, by_type[field.type]])


@pytest.fixture
def spoiled(harmonised: Callable[..., Site]) -> Path:
    site = harmonised({table.name: spoil(table) for table in tables()})
    return site.work / RUN / "tables"


def pandas_results(folder: Path, table: Table) -> dict[str, Any]:
    """Run the table's suite, without its queries, on GX's pandas engine."""
    items = [one for one in expectations(table) if one.type != "unexpected_rows_expectation"]
    with duckdb.connect() as connection:
        frame = connection.sql(relation(table, str(folder / f"{table.name}.parquet"))).df()
    context = engine.gx.get_context(mode="ephemeral")
    context.variables.progress_bars = {"globally": False}
    asset = context.data_sources.add_pandas("frames").add_dataframe_asset(table.name)
    batch = asset.add_batch_definition_whole_dataframe("all").get_batch({"dataframe": frame})
    result = batch.validate(engine.suite(table.name, items), result_format=engine.RESULT_FORMAT)
    return {one.expectation_config.meta["id"]: one for one in result.results}


def broken_references(folder: Path, item: Expectation) -> int:
    """Count references that lead nowhere, in Python."""
    (field,) = item.fields
    target, _, key = str(DICTIONARY.tables[item.table].field(field).references).partition(".")
    known = set(column(folder, target, key))
    return sum(1 for one in column(folder, item.table, field) if one not in {*known, None})


def column(folder: Path, table: str, name: str) -> list[Any]:
    """Return the values of one column."""
    return list(pq.read_table(folder / f"{table}.parquet", columns=[name])[name].to_pylist())


def test_verdicts_and_counts_equal_those_of_pandas(spoiled: Path) -> None:
    findings = engine.run_suites(spoiled)
    assert {one.expectation.id for one in findings if one.failed_to_run} == set()
    expected = {
        name: result
        for table in tables()
        for name, result in pandas_results(spoiled, table).items()
    }
    compared = 0
    for one in findings:
        if one.expectation.type == "unexpected_rows_expectation":
            assert one.unexpected == broken_references(spoiled, one.expectation)
            assert one.passed == (one.unexpected == 0)
            continue
        pandas = expected[one.expectation.id]
        assert one.passed == pandas.success, one.expectation.id
        if "element_count" in pandas.result:
            missing = pandas.result.get("missing_count") or 0
            assert one.checked == pandas.result["element_count"] - missing, one.expectation.id
            assert one.unexpected == (pandas.result["unexpected_count"] or 0), one.expectation.id
        compared += 1
    assert compared == len(expected)


def test_the_spoiled_rows_break_every_kind_of_expectation(spoiled: Path) -> None:
    broken = {one.expectation.type for one in engine.run_suites(spoiled) if not one.passed}
    kinds = {item.type for table in tables() for item in expectations(table)}
    assert broken == kinds - {"expect_table_row_count_to_be_between"}
