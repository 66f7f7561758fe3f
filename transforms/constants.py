"""Lays small tables of constants down in the database, from plain Python lists.

An Arrow table would do as well, but the first one that is made of Python values imports pandas,
which takes a fifth of a second of every run.
"""

from collections.abc import Mapping, Sequence

import duckdb

from transforms.sql import identifier


__all__ = ["load_constants"]


def load_constants(
    connection: duckdb.DuckDBPyConnection,
    relation: str,
    columns: Mapping[str, Sequence[object]],
    kinds: Mapping[str, str] | None = None,
) -> None:
    """Make the table `relation` (its quoted name) of lists; texts where `kinds` says no other type.

    Raises ValueError when the lists are not of one length.
    """
    if len({len(values) for values in columns.values()}) > 1:
        raise ValueError("all columns of a table of constants have the same length")
    known = kinds or {}
    listed = ", ".join(
        f"unnest(${number}::{known.get(name, 'varchar')}[]) as {identifier(name)}"
        for number, name in enumerate(columns, start=1)
    )
    values = [list(column) for column in columns.values()]
    connection.execute(f"create or replace table {relation} as select {listed}", values)
