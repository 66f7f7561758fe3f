"""The harmonized tables: views of the staged rows that nobody rejected.

A row is rejected by a mark beside it, so that a million rows are neither copied nor moved for the
few that a rule takes away.
"""

import duckdb

from transforms.conversions import SQL_TYPES
from transforms.dictionary import Table
from transforms.sql import identifier, qualified
from transforms.staging import REJECTED, STORED, stored_columns, told
from transforms.staging_query import BESIDES


__all__ = ["reject", "settle"]


def settle(connection: duckdb.DuckDBPyConnection, table: Table) -> None:
    """Make the harmonized table `<table>` of the staged rows without a hard violation.

    Besides its fields it has `row_id`, which is its key but of a person, `source_id`, `bracket`
    and `<date>:precision`.
    """
    reject(connection, table.name)
    stored = stored_columns(connection, table.name)
    columns = {"row_id": "row_id", "source_id": "source_id", "bracket": "bracket"}
    for field in table.fields:
        columns[field.name] = told(stored, field.name, SQL_TYPES[field.type])
    if table.name != "person":
        columns[table.key[0]] = "row_id"
    for field in table.fields:
        if field.type == "date":
            precision = f"{field.name}:precision"
            columns[precision] = told(stored, precision, BESIDES["precision"])
    listed = ", ".join(f"{sql} as {identifier(name)}" for name, sql in columns.items())
    connection.execute(
        f"create or replace view {identifier(table.name)} as "
        f"select {listed} from {qualified(STORED, table.name)} where not {REJECTED}"
    )


def reject(connection: duckdb.DuckDBPyConnection, table: str, rule: str | None = None) -> None:
    """Mark the staged rows of a table with a hard violation, of one rule or of any."""
    connection.execute(
        f"update {qualified(STORED, table)} set {REJECTED} = true where row_id in ("
        "select row_id from violations where table_name = $1 and severity = 'hard' "
        "and coalesce(rule = $2, true))",
        [table, rule],
    )
