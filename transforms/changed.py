"""How many persons two releases differ by, in each analysis view: that is what a question reaches.

A view has no person in it. So persons are counted in the tables that its SQL is made of, by the
columns that it names, among those who have a row in the table that it is about; a view whose own
rows are nearly the same counts as unchanged, whatever changed beneath it.
"""

import re
from pathlib import Path

import duckdb
import pyarrow.parquet as pq

from transforms.dictionary import DICTIONARY, View
from transforms.sql import identifier


__all__ = ["least_changed"]


def least_changed(one: Path, other: Path) -> int:
    """Return by how many persons the view of two releases differs that differs by the fewest.

    A view that one of them lacks is not compared. Both are folders with `tables` and `views`; none
    is changed when `one` is gone.
    """
    views = (view for view in DICTIONARY.views.values() if _both(one, other, f"views/{view.name}"))
    with duckdb.connect() as connection:
        counts = [
            min(_rows(connection, one, other, view), _persons(connection, one, other, view))
            for view in views
        ]
    return min(counts, default=0)


def _rows(connection: duckdb.DuckDBPyConnection, one: Path, other: Path, view: View) -> int:
    """Return how many rows were added to a view, or taken from it, whichever are more."""
    files = [folder / "views" / f"{view.name}.parquet" for folder in (one, other)]
    _show(connection, files)
    differ = _differ(", ".join(map(identifier, _shared(files))))
    ((added, removed),) = connection.execute(
        f"select count(*) filter (added), count(*) filter (not added) from ({differ})"
    ).fetchall()
    return max(int(added), int(removed))


def _persons(connection: duckdb.DuckDBPyConnection, one: Path, other: Path, view: View) -> int:
    """Return how many persons of a view have other rows in the tables that it is made of."""
    about = view.unit if view.unit in DICTIONARY.tables else "person"
    members, changed = _in_table(connection, one, other, about, "person_id")[1], set[str]()
    for table in DICTIONARY.tables.values():
        if _named(table.name, view) and _both(one, other, f"tables/{table.name}"):
            shared = _shared(
                [folder / "tables" / f"{table.name}.parquet" for folder in (one, other)]
            )
            columns = [c for c in shared if _named(c, view) and not c.endswith("_id")]
            listed = ", ".join(map(identifier, ["person_id", *columns]))
            changed |= _in_table(connection, one, other, table.name, listed)[0]
    return len(changed & members)


def _in_table(
    connection: duckdb.DuckDBPyConnection, one: Path, other: Path, table: str, columns: str
) -> tuple[set[str], set[str]]:
    """Return the persons whose rows of a table differ in `columns`, and all who have any."""
    _show(connection, [folder / "tables" / f"{table}.parquet" for folder in (one, other)])
    all_rows = "select person_id from one union select person_id from other"
    found = (
        connection.execute(f"select distinct person_id from ({query})").fetchall()
        for query in (_differ(columns), all_rows)
    )
    changed, members = ({person for (person,) in rows} for rows in found)
    return changed, members


def _shared(files: list[Path]) -> list[str]:
    """Return the columns that all Parquet files have, sorted."""
    return sorted(set.intersection(*(set(pq.read_schema(file).names) for file in files)))


def _show(connection: duckdb.DuckDBPyConnection, files: list[Path]) -> None:
    """Make the views `one` and `other` of two Parquet files."""
    for name, file in zip(("one", "other"), files, strict=True):
        connection.read_parquet(str(file)).create_view(name, replace=True)


def _differ(columns: str) -> str:
    """Return the query of the rows that only one of the two has, and whether they were added."""
    return " union all ".join(
        f"(select *, {added} as added from (select {columns} from {there} "
        f"except all select {columns} from {gone}))"
        for there, gone, added in (("other", "one", "true"), ("one", "other", "false"))
    )


def _both(one: Path, other: Path, name: str) -> bool:
    """Tell whether both releases have a file."""
    return all((folder / f"{name}.parquet").is_file() for folder in (one, other))


def _named(word: str, view: View) -> bool:
    """Tell whether the SQL of a view names a table or a column."""
    return re.search(rf"\b{re.escape(word)}\b", view.sql) is not None
