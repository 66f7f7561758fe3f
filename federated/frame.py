"""The cohort's rows of one analysis view, read through a locked-down DuckDB.

The view's Parquet file is read by Arrow into memory and handed to a DuckDB that is locked: no file,
no network, no extension, no Python variable, no change of setting. Only SQL that
`federated.cohort` compiled runs on it. An error becomes a fixed code, because DuckDB quotes cells
in its messages.
"""

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cache
from pathlib import Path

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

from federated.analysis import Variable
from federated.cohort import Cohort, cohort_sql
from federated.statistics import Frame
from transforms.manifest import seal_digest
from transforms.sql import identifier


__all__ = [
    "FrameError",
    "cohort_rows",
    "locked_connection",
    "parse_view",
    "read_view",
    "select_view",
    "to_codes",
    "to_frame",
]

# Every setting was tried against 53 hostile statements on DuckDB 2.0.0. `memory_limit` is no hard
# bound: the process that runs this must have one of its own.
LOCKED: Mapping[str, str] = {
    "enable_external_access": "false",
    "autoinstall_known_extensions": "false",
    "autoload_known_extensions": "false",
    "allow_community_extensions": "false",
    "allow_unsigned_extensions": "false",
    "python_enable_replacements": "false",
    "memory_limit": "512MB",
    "threads": "1",
    "temp_directory": "",
    "max_temp_directory_size": "0KB",
    "max_expression_depth": "100",
}


ROW = '"row number"'  # no variable of a view has a blank in its name


class FrameError(Exception):
    """The rows cannot be had; `code` is one of a fixed set and tells nothing about the data.

    Codes: view_missing, manifest_missing, view_changed (other bytes than the manifest's),
    view_unreadable, view_differs (not the dictionary's columns), unknown_code (a value outside the
    code list), query_failed.
    """

    def __init__(self, code: str) -> None:
        super().__init__(code)
        self.code = code


def to_frame(
    table: pa.Table, fields: Sequence[str], variables: Mapping[str, Variable], cohort: Cohort | None
) -> Frame:
    """Return columns `fields` of a view's `table`, restricted to `cohort`.

    Raises FrameError with a fixed code.
    """
    try:
        rows = _select(_plain(table, variables), fields, cohort)
    except duckdb.Error:
        raise FrameError("query_failed") from None
    columns = {name: _column(rows.column(name), variables[name]) for name in fields}
    return Frame(rows.num_rows, columns)


def cohort_rows(
    table: pa.Table, cohorts: Sequence[Cohort | None], variables: Mapping[str, Variable]
) -> list[NDArray[np.bool_]]:
    """Return, for each cohort, which rows of a view's `table` are in it, in the table's order.

    Raises FrameError with a fixed code.
    """
    if not any(cohorts):
        return [np.ones(table.num_rows, dtype=np.bool_) for _ in cohorts]
    compiled = [cohort_sql(cohort) if cohort else ("true", []) for cohort in cohorts]
    columns = ", ".join(f"({sql}) as c{number}" for number, (sql, _) in enumerate(compiled))
    values = [value for _, parameters in compiled for value in parameters]
    numbered = _plain(table, variables).append_column(
        ROW.strip('"'), pa.array(range(table.num_rows))
    )
    query = f"select {columns} from cohort_view order by {ROW}"  # noqa: S608 - compiled
    try:
        with locked_connection(numbered) as connection:
            rows = connection.sql(query, params=values).to_arrow_table()
    except duckdb.Error:
        raise FrameError("query_failed") from None
    return [np.asarray(column.to_numpy(), dtype=np.bool_) for column in rows.columns]


def to_codes(table: pa.Table, name: str, variable: Variable) -> NDArray[np.int64]:
    """Return coded column `name` of a view's `table` as positions in its levels, -1 missing."""
    column = _plain(table.select([name]), {name: variable}).column(name)
    return np.asarray(_column(column, variable), dtype=np.int64)


def select_view(tables: Mapping[str, pa.Table], view: str, names: Sequence[str]) -> pa.Table:
    """Return columns `names` of a view that is held in memory; FrameError when they are not."""
    if view not in tables:
        raise FrameError("view_missing")
    if set(names) - set(tables[view].column_names):
        raise FrameError("view_differs")
    return tables[view].select(list(names))


def read_view(path: Path, names: Sequence[str]) -> pa.Table:
    """Read columns `names` of a Parquet file whose bytes are those of the release's manifest.

    Raises FrameError with a fixed code.
    """
    files = (path, path.parent.parent / "MANIFEST.json")
    view, manifest = (file.read_bytes() if file.is_file() else b"" for file in files)
    return parse_view(path.stem, view, manifest, names)


def parse_view(name: str, content: bytes, manifest: bytes, names: Sequence[str]) -> pa.Table:
    """Return columns `names` of view `name`: the bytes of its file, and of the release's manifest.

    No bytes stand for a file that is not there. Raises FrameError with a fixed code.
    """
    if not content:
        raise FrameError("view_missing")
    if hashlib.sha256(content).hexdigest() != _published(name, manifest):
        raise FrameError("view_changed")
    try:
        with pq.ParquetFile(pa.BufferReader(content)) as file:
            if set(names) - set(file.schema_arrow.names):
                raise FrameError("view_differs")
            return file.read(columns=list(names), use_threads=False)
    except pa.ArrowException:
        raise FrameError("view_unreadable") from None


def _published(name: str, content: bytes) -> str:
    """The SHA-256 under which the release's manifest, intact itself, lists view `name`."""
    try:
        manifest = json.loads(content)
        sealed = manifest["seal_sha256"]
        listed = manifest["files"][f"views/{name}.parquet"]["sha256"]
    except (ValueError, KeyError, TypeError):
        raise FrameError("manifest_missing") from None
    if sealed != seal_digest(manifest):
        raise FrameError("view_changed")
    return str(listed)


def _plain(table: pa.Table, variables: Mapping[str, Variable]) -> pa.Table:
    """Bring every coded column (yes-or-no too) to text and every number to float64."""
    try:
        return pa.table(
            {
                name: table.column(name).cast(
                    pa.string() if variables[name].coded else pa.float64()
                )
                for name in table.column_names
            }
        )
    except pa.ArrowException:
        raise FrameError("view_differs") from None


@contextmanager
def locked_connection(table: pa.Table) -> Iterator[duckdb.DuckDBPyConnection]:
    """A DuckDB that holds `table` as `cohort_view`, in memory, and can reach nothing else.

    The rows are in a temporary table, which nobody else's connection sees and which ends with this
    one.
    """
    with _locked().cursor() as connection:
        connection.register("incoming", table)
        connection.execute("create temporary table cohort_view as select * from incoming")
        connection.unregister("incoming")
        yield connection


@cache
def _locked() -> duckdb.DuckDBPyConnection:
    """The process's one DuckDB, empty, locked before any row comes: a new one takes 50 ms."""
    connection = duckdb.connect(":memory:", config=dict(LOCKED))
    connection.execute("set lock_configuration = true")
    return connection


def _select(table: pa.Table, fields: Sequence[str], cohort: Cohort | None) -> pa.Table:
    """Restrict `table` to the cohort."""
    condition, values = cohort_sql(cohort) if cohort else ("true", [])
    names = ", ".join(identifier(name) for name in fields)
    query = f"select {names} from cohort_view where {condition}"  # noqa: S608 - compiled
    with locked_connection(table) as connection:
        return connection.sql(query, params=values).to_arrow_table()


def _column(column: pa.ChunkedArray, variable: Variable) -> NDArray[np.generic]:
    """Return codes as positions in the public levels (-1 missing), numbers as float64 (NaN)."""
    if not variable.coded:
        return np.asarray(column.to_numpy(), dtype=np.float64)
    found = pc.index_in(column, value_set=pa.array(variable.levels))
    if found.null_count != column.null_count:
        raise FrameError("unknown_code")
    return np.asarray(pc.fill_null(found, -1).to_numpy(), dtype=np.int64)
