"""Runs expectations with Great Expectations on DuckDB; the only module that imports it.

Importing this module takes about three seconds in a fresh process, because Great Expectations
does; a process that forks its workers (Airflow's scheduler) imports it once for all of them.

What comes back are counts. Great Expectations is asked for summaries with no example values, its
log goes nowhere, progress bars are off, and an exception's text, which may quote a value,
is dropped.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import uuid4

import duckdb

from expectations import duckdb_dialect
from expectations.expectation import Expectation
from expectations.suites import expectations, relation, tables
from transforms.dictionary import Table
from transforms.sql import identifier


os.environ["GX_ANALYTICS_ENABLED"] = "False"
# Before the import: where Airflow has set every logger to "info", it prints hundreds of lines. Its
# errors quote the statement and the values that failed; here they become `failed_to_run`.
logging.getLogger("great_expectations").propagate = False
logging.getLogger("great_expectations").addHandler(logging.NullHandler())

import great_expectations as gx  # noqa: E402


__all__ = ["RESULT_FORMAT", "Finding", "database", "run_suites", "suite"]

# A summary without examples: counts, and no value of any row (GX gives twenty by default).
RESULT_FORMAT = {"result_format": "SUMMARY", "partial_unexpected_count": 0}


@dataclass(frozen=True)
class Finding:
    """What one expectation found, in counts of rows.

    `checked` rows had something to check, `unexpected` of them broke it. `passed` is Great
    Expectations' own verdict; with nothing to check it holds. `failed_to_run` means that the
    expectation could not be evaluated, which never counts as passed.
    """

    expectation: Expectation
    checked: int
    unexpected: int
    passed: bool
    failed_to_run: bool = False


def suite(table: str, items: Sequence[Expectation]) -> gx.ExpectationSuite:
    """Return the Great Expectations suite called `table` that holds `items`."""
    return gx.ExpectationSuite(name=table, expectations=[item.configuration() for item in items])


def run_suites(folder: Path) -> tuple[Finding, ...]:
    """Run every table's suite on `folder/<table>.parquet`; findings table by table."""
    context = gx.get_context(mode="ephemeral")
    context.variables.progress_bars = {"globally": False}
    with database(folder) as (connection, address):
        source = context.data_sources.add_sql("harmonized", connection_string=address)
        try:
            return tuple(
                finding for table in tables() for finding in _run_table(connection, source, table)
            )
        finally:
            source.get_engine().dispose()


@contextmanager
def database(folder: Path) -> Iterator[tuple[duckdb.DuckDBPyConnection, str]]:
    """Yield a DuckDB that shows each table of `folder` with its computed columns, and its address.

    The database is in memory, under a name of its own, and gone when the block ends.
    """
    name = f":memory:validate_{uuid4().hex}"
    with duckdb.connect(name) as connection:
        for table in tables():
            select = relation(table, str(folder / f"{table.name}.parquet"))
            connection.execute(f"create view {identifier(table.name)} as {select}")
        duckdb_dialect.register()
        yield connection, duckdb_dialect.url(name)


def _run_table(
    connection: duckdb.DuckDBPyConnection, source: Any, table: Table
) -> Iterator[Finding]:
    """Yield the findings of one table's suite, in the suite's order.

    Great Expectations takes about ten milliseconds for each expectation whatever the table holds,
    so it is spared those that have no value to look at: they hold, with nothing checked.
    """
    items = expectations(table)
    idle = _idle(connection, table, items)
    asset = source.add_table_asset(table.name, table_name=table.name)
    batch = asset.add_batch_definition_whole_table("all").get_batch()
    running = suite(table.name, [item for item in items if item.id not in idle])
    result = batch.validate(running, result_format=RESULT_FORMAT)
    by_id = {one.expectation_config.meta["id"]: one for one in result.results}
    rows = _rows(result.results)
    for item in items:
        yield _finding(item, by_id[item.id], rows) if item.id in by_id else _nothing(item)


def _idle(
    connection: duckdb.DuckDBPyConnection, table: Table, items: Sequence[Expectation]
) -> frozenset[str]:
    """Return the ids of expectations on a column that holds no value in any row."""
    columns = dict.fromkeys(item.kwargs["column"] for item in items if "column" in item.kwargs)
    counts = ", ".join(f"count({identifier(column)})" for column in columns)
    query = f"select count(*), {counts} from {identifier(table.name)}"  # noqa: S608 - quoted
    rows, *filled = connection.execute(query).fetchall()[0]
    empty = {column for column, number in zip(columns, filled, strict=True) if not number}
    return frozenset(
        item.id
        for item in items
        if item.kwargs.get("column") in empty
        and (not rows or item.type != "expect_column_values_to_not_be_null")
    )


def _nothing(item: Expectation) -> Finding:
    """Return that an expectation had nothing to check."""
    return Finding(item, checked=0, unexpected=0, passed=True)


def _rows(results: Sequence[Any]) -> int:
    """Return the number of rows of the batch, which every column expectation reports."""
    return max((one.result.get("element_count", 0) for one in results), default=0)


def _finding(item: Expectation, outcome: Any, rows: int) -> Finding:
    """Turn one result of Great Expectations into counts."""
    if outcome.exception_info and _raised(outcome.exception_info):
        return Finding(item, 0, 0, passed=False, failed_to_run=True)
    result: Mapping[str, Any] = outcome.result
    if "element_count" in result:
        checked = result["element_count"] - (result.get("missing_count") or 0)
        unexpected = result["unexpected_count"] or 0  # None where the table is empty
        return Finding(item, checked, unexpected, passed=bool(outcome.success))
    if item.type == "unexpected_rows_expectation":
        return Finding(item, rows, int(result["observed_value"]), passed=bool(outcome.success))
    return Finding(item, 1, 0 if outcome.success else 1, passed=bool(outcome.success))


def _raised(info: Mapping[str, Any]) -> bool:
    """Return whether an exception was raised; GX nests the report when a metric failed."""
    nested = [value for value in info.values() if isinstance(value, Mapping)]
    return any(bool(part.get("raised_exception")) for part in (info, *nested))
