"""The SQLAlchemy dialect through which Great Expectations reads DuckDB.

Great Expectations has no DuckDB engine, and the public DuckDB dialect fails under it: reflection
asks for PostgreSQL catalogs that DuckDB lacks, a result is lost when Great Expectations fetches it
after its commit, and regular expressions are refused for a dialect it does not know. This one
reports itself as PostgreSQL, whose SQL DuckDB speaks, and settles the differences here, so that
nothing inside Great Expectations has to be patched.

It offers what validation needs, which is reading; it is not a complete dialect.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any

import duckdb
import sqlalchemy as sa
from sqlalchemy import pool
from sqlalchemy.dialects import registry
from sqlalchemy.dialects.postgresql.base import (
    PGCompiler,
    PGIdentifierPreparer,
    PGTypeCompiler,
)
from sqlalchemy.engine.default import DefaultDialect


__all__ = ["DuckDBDialect", "register", "url"]

# DuckDB's type names on the left; anything else is taken for text.
_TYPES: dict[str, type[sa.types.TypeEngine[Any]]] = {
    "VARCHAR": sa.String,
    "BIGINT": sa.BigInteger,
    "INTEGER": sa.Integer,
    "DOUBLE": sa.Float,
    "DATE": sa.Date,
    "TIMESTAMP": sa.DateTime,
    "BOOLEAN": sa.Boolean,
}


class _Cursor:
    """Fetches each result at once: a DuckDB connection keeps only its latest one."""

    rowcount = -1
    arraysize = 1

    def __init__(self, connection: duckdb.DuckDBPyConnection) -> None:
        self._connection = connection
        self._rows: list[tuple[Any, ...]] = []
        self.description: Sequence[Any] | None = None

    def execute(self, statement: str, parameters: Sequence[Any] = ()) -> None:
        result = self._connection.execute(statement, list(parameters))
        self.description = result.description
        self._rows = result.fetchall() if self.description else []

    def executemany(self, statement: str, parameters: Sequence[Sequence[Any]]) -> None:
        self._connection.executemany(statement, [list(row) for row in parameters])
        self.description, self._rows = None, []

    def fetchone(self) -> tuple[Any, ...] | None:
        return self._rows.pop(0) if self._rows else None

    def fetchmany(self, size: int | None = None) -> list[tuple[Any, ...]]:
        taken = list(itertools.islice(self._rows, size or self.arraysize))
        del self._rows[: len(taken)]
        return taken

    def fetchall(self) -> list[tuple[Any, ...]]:
        taken, self._rows = self._rows, []
        return taken

    def close(self) -> None:
        self._rows = []


class _Connection:
    """A DuckDB connection in autocommit: validation only reads, so there is nothing to undo."""

    def __init__(self, connection: duckdb.DuckDBPyConnection) -> None:
        self._connection = connection

    def cursor(self) -> _Cursor:
        return _Cursor(self._connection)

    def commit(self) -> None:
        """Do nothing: see the class."""

    def rollback(self) -> None:
        """Do nothing: see the class."""

    def close(self) -> None:
        self._connection.close()


class _Driver:
    """What SQLAlchemy asks of a DB-API module."""

    paramstyle = "qmark"
    apilevel = "2.0"
    threadsafety = 1
    Error = duckdb.Error

    @staticmethod
    def connect(database: str) -> _Connection:
        return _Connection(duckdb.connect(database))


class _Compiler(PGCompiler):  # type: ignore[misc]  # SQLAlchemy's types are not followed
    """PostgreSQL's SQL, with its regular expression operators given their meaning in DuckDB."""

    def visit_custom_op_binary(self, element: Any, operator: Any, **kw: Any) -> str:
        # In PostgreSQL "~" finds the pattern anywhere; in DuckDB "~" must match the whole text.
        found = (
            f"regexp_matches({self.process(element.left, **kw)},"
            f" {self.process(element.right, **kw)})"
        )
        if operator.opstring == "~":
            return found
        if operator.opstring == "!~":
            return f"not {found}"
        return str(super().visit_custom_op_binary(element, operator, **kw))


class DuckDBDialect(DefaultDialect):  # type: ignore[misc]  # as above
    """DuckDB, presented as PostgreSQL, with reflection from `information_schema`."""

    name = "postgresql"
    driver = "duckdb"
    default_paramstyle = "qmark"
    default_schema_name = "main"
    statement_compiler = _Compiler
    type_compiler_cls = PGTypeCompiler
    preparer = PGIdentifierPreparer
    supports_statement_cache = False
    supports_native_boolean = True
    supports_sane_rowcount = False
    _backslash_escapes = False

    @classmethod
    def import_dbapi(cls) -> Any:
        """Return the driver, in place of a DB-API module."""
        return _Driver

    @classmethod
    def get_pool_class(cls, url: sa.URL) -> Any:
        """Return a pool of one connection, shared by everything that asks."""
        return pool.StaticPool

    def create_connect_args(self, url: sa.URL) -> tuple[list[str], dict[str, Any]]:
        """Return what the driver's `connect` takes: the file, or `:memory:name`."""
        return [url.database or ":memory:"], {}

    def initialize(self, connection: Any) -> None:
        """Ask the server nothing: its version and settings decide nothing here."""

    def get_columns(
        self, connection: Any, table_name: str, schema: str | None = None, **kw: Any
    ) -> list[dict[str, Any]]:
        """Return each column's name, type and whether it may be null.

        Raises NoSuchTableError for a table or view that is not there.
        """
        query = sa.text(
            "select column_name, data_type, is_nullable from information_schema.columns"
            " where table_name = :name order by ordinal_position"
        )
        rows = connection.execute(query, {"name": table_name}).fetchall()
        if not rows:
            raise sa.exc.NoSuchTableError(table_name)
        return [
            {
                "name": name,
                "type": _TYPES.get(data_type, sa.String)(),
                "nullable": nullable == "YES",
                "default": None,
            }
            for name, data_type, nullable in rows
        ]

    def _relations(self, connection: Any, kind: str) -> list[str]:
        query = sa.text(
            "select table_name from information_schema.tables where table_type = :kind order by 1"
        )
        return [row[0] for row in connection.execute(query, {"kind": kind}).fetchall()]

    def get_table_names(self, connection: Any, schema: str | None = None, **kw: Any) -> list[str]:
        """Return the names of all tables."""
        return self._relations(connection, "BASE TABLE")

    def get_view_names(self, connection: Any, schema: str | None = None, **kw: Any) -> list[str]:
        """Return the names of all views."""
        return self._relations(connection, "VIEW")

    def get_schema_names(self, connection: Any, **kw: Any) -> list[str]:
        """Return the one schema that validation uses."""
        return ["main"]

    def has_table(
        self, connection: Any, table_name: str, schema: str | None = None, **kw: Any
    ) -> bool:
        """Return whether a table or view of that name is there."""
        return table_name in (
            *self._relations(connection, "BASE TABLE"),
            *self._relations(connection, "VIEW"),
        )


def register() -> None:
    """Let SQLAlchemy find this dialect behind addresses that begin with `duckdb://`."""
    registry.register("duckdb", __name__, "DuckDBDialect")


def url(database: str) -> str:
    """Return the address of a DuckDB database: a file, or `:memory:name` within this process."""
    return f"duckdb:///{database}"
