"""What changed from one release to another: what they were made from, and rows by key, as counts.

A row is the same one when table and key agree, changed when any other field of the dictionary
differs; where it stood in a file does not count. Counts only, for the centre's own eyes.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import duckdb
import pyarrow.parquet as pq

from transforms.dictionary import DICTIONARY, Table
from transforms.release import verify
from transforms.site import Site
from transforms.sql import identifier


__all__ = ["ReleasesDiff", "TableDiff", "diff_releases"]

MADE_FROM = (
    "dictionary_version", "code_version", "mapping_sha256", "inputs_sha256", "withdrawn_sha256",
    "ingest_date", "run_id",
)  # fmt: skip
PLACE = {"source_file", "source_sheet", "source_row"}


@dataclass(frozen=True)
class TableDiff:
    """Rows of one table that are in the second release only, the first only, or differ."""

    added: int
    removed: int
    changed: int
    same: int


@dataclass(frozen=True)
class ReleasesDiff:
    """`made_from` says of each input whether it changed; `tables` hold tables of either release."""

    first: str
    second: str
    made_from: Mapping[str, bool]
    tables: Mapping[str, TableDiff]


def diff_releases(site: Site, first: str, second: str) -> ReleasesDiff:
    """Compare two releases of a site, both verified. Raises ReleaseError as `verify` does."""
    one, other = verify(site, first), verify(site, second)
    folders = (site.releases / first / "tables", site.releases / second / "tables")
    with duckdb.connect() as connection:
        tables = {
            name: _compare(connection, table, *(folder / f"{name}.parquet" for folder in folders))
            for name, table in DICTIONARY.tables.items()
            if any((folder / f"{name}.parquet").is_file() for folder in folders)
        }
    return ReleasesDiff(first, second, _made_from(one, other), tables)


def _made_from(one: Mapping[str, Any], other: Mapping[str, Any]) -> dict[str, bool]:
    """Return for each thing that a release is made from whether the two differ in it."""
    return {name: one.get(name) != other.get(name) for name in MADE_FROM}


def _compare(
    connection: duckdb.DuckDBPyConnection, table: Table, one: Path, other: Path
) -> TableDiff:
    """Count the rows of a table by what happened to them."""
    if not (one.is_file() and other.is_file()):
        rows = pq.read_metadata(one if one.is_file() else other).num_rows
        return TableDiff(0, rows, 0, 0) if one.is_file() else TableDiff(rows, 0, 0, 0)
    for name, path in (("one", one), ("other", other)):
        connection.read_parquet(str(path)).create_view(name, replace=True)
    shared = set(pq.read_schema(one).names) & set(pq.read_schema(other).names)
    keys = " and ".join(f"one.{identifier(key)} = other.{identifier(key)}" for key in table.key)
    values = [name for name in table.field_names if name in shared - PLACE - set(table.key)]
    same = " and ".join(
        f"one.{identifier(name)} is not distinct from other.{identifier(name)}" for name in values
    )
    found = connection.execute(
        "select count(*) filter (one_there is null), count(*) filter (other_there is null), "
        "count(*) filter (one_there and other_there and not same), "
        "count(*) filter (one_there and other_there and same) from ("
        f"select one.there as one_there, other.there as other_there, {same or 'true'} as same "
        "from (select *, true as there from one) as one "
        f"full join (select *, true as there from other) as other on {keys})"
    ).fetchall()
    return TableDiff(*(int(count) for count in found[0]))
