"""Reads one table of an OMOP CDM that is a DuckDB file, opened read-only and cut off from all else.

A view could read any file of the machine, so only tables are read; extensions, other files and the
network are switched off.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa

from transforms.errors import AbsentError, SourceError
from transforms.readers.relation import BATCH_ROWS, begin, refuse_inflated
from transforms.sql import identifier, qualified


__all__ = ["blocks", "columns", "is_database", "table_of", "tables"]

MAGIC = b"DUCK"  # bytes 8 to 11 of every DuckDB file
QUIET: dict[str, str | bool | int | float | list[str]] = {
    "enable_external_access": False,
    "autoinstall_known_extensions": False,
    "autoload_known_extensions": False,
    "allow_community_extensions": False,
    "allow_unsigned_extensions": False,
    "lock_configuration": True,
    "threads": 2,
}


def is_database(path: Path) -> bool:
    """Tell by its first bytes whether `path` is a DuckDB file."""
    with path.open("rb") as stream:
        return stream.read(12)[8:] == MAGIC


@contextmanager
def _opened(path: Path, name: str) -> Iterator[duckdb.DuckDBPyConnection]:
    begin(name)
    try:
        with duckdb.connect(str(path), read_only=True, config=QUIET) as connection:
            yield connection
    except duckdb.Error:
        raise SourceError(
            f"{name}: cannot be read as a DuckDB file; close the program that has it open, write "
            "it with this version of DuckDB, or export the tables as Parquet"
        ) from None


def tables(path: Path, name: str) -> tuple[tuple[str, str], ...]:
    """Return schema and name of all tables, not views."""
    with _opened(path, name) as connection:
        found = connection.execute(
            "select schema_name, table_name from duckdb_tables() "
            "where not internal order by schema_name, table_name"
        ).fetchall()
    return tuple((str(schema), str(table)) for schema, table in found)


def table_of(path: Path, name: str, wanted: str) -> tuple[str, str]:
    """Return the one table that `wanted` (`table` or `schema.table`, any case) means.

    Raises AbsentError when there is none, SourceError when several schemas have it.
    """
    schema, _, table = wanted.strip().lower().rpartition(".")
    every = tables(path, name)
    found = [(s, t) for s, t in every if t.lower() == table and schema in ("", s.lower())]
    if not found:
        raise AbsentError(
            f"{name}: there is no OMOP table '{wanted}'; there are "
            f"{', '.join(sorted({t for _, t in every})) or 'no tables'}: correct 'sheet'"
        )
    if len(found) > 1:
        raise SourceError(
            f"{name}: table '{wanted}' is in the schemas {', '.join(s for s, _ in found)}; "
            "write schema.table in 'sheet'"
        )
    _refuse_inflated(path, name, found[0])
    return found[0]


def _refuse_inflated(path: Path, name: str, table: tuple[str, str]) -> None:
    """Raise SourceError when `table` has more rows than an honest file of this size holds."""
    with _opened(path, name) as connection:
        ((rows, width),) = connection.execute(
            "select estimated_size, column_count from duckdb_tables() "
            "where schema_name = $1 and table_name = $2",
            list(table),
        ).fetchall()
    refuse_inflated(name, rows, width, path.stat().st_size)


def columns(path: Path, name: str, table: tuple[str, str]) -> tuple[str, ...]:
    """Return the columns of `table` in order."""
    with _opened(path, name) as connection:
        found = connection.execute(
            "select column_name from duckdb_columns() "
            "where schema_name = $1 and table_name = $2 order by column_index",
            list(table),
        ).fetchall()
    return tuple(str(column) for (column,) in found)


def blocks(path: Path, name: str, table: tuple[str, str]) -> Iterator[pa.Table]:
    """Yield the rows of `table` as texts, their numbers in the last column."""
    listed = ", ".join(
        f"{identifier(column)}::varchar as {identifier(column)}"
        for column in columns(path, name, table)
    )
    with _opened(path, name) as connection:
        ((catalog,),) = connection.execute("select current_database()").fetchall()
        whole = qualified(catalog, *table)  # a file `cdm.duckdb` may have a schema `cdm`
        query = f"select {listed}, rowid + 1 as source_row from {whole}"  # noqa: S608
        reader: Any = connection.sql(query).to_arrow_reader(BATCH_ROWS)
        for batch in reader:
            yield pa.Table.from_batches([batch])
