"""What harmonisation left behind, in counts: the part of a validation that is not an expectation.

Reads `work/<run>/` (tables, rejects, flags, coverage, what was skipped) and returns counts by
table, field, rule and source. Nothing here holds a value of a row: a source is named by its id in
the mapping, never by its file, because a folder may hold one file per person; a unit is shown only
when the dictionary knows it.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

import duckdb

from expectations import suites
from transforms.dictionary import DICTIONARY
from transforms.dictionary.model import PROVENANCE
from transforms.errors import MappingError, SourceError
from transforms.mapping import parse_mapping
from transforms.site import Site
from transforms.sql import identifier


__all__ = ["Evidence", "FieldCount", "Fired", "TableCount", "UnitCount", "gather"]

_PROVENANCE = {field.name for field in PROVENANCE}


@dataclass(frozen=True)
class TableCount:
    """Rows of a table that were kept, and that were rejected."""

    table: str
    title: str
    rows: int
    rejected: int


@dataclass(frozen=True)
class FieldCount:
    """How much of a field is filled; `mapped` says how the mapping treats it."""

    table: str
    field: str
    obligation: str
    rows: int
    filled: int
    mapped: str


@dataclass(frozen=True)
class Fired:
    """A rule that fired: on how many rows of which table and field."""

    rule: str
    severity: str
    table: str
    field: str
    rows: int
    remedy: str
    source: str = ""
    statement: str = ""


@dataclass(frozen=True)
class UnitCount:
    """Laboratory values of one analyte that came in one unit."""

    analyte: str
    unit: str
    canonical: str
    status: str
    rows: int


@dataclass(frozen=True)
class SourceCount:
    """Rows that were read from a source of the mapping."""

    source: str
    rows: int


@dataclass(frozen=True)
class NotHeld:
    """Something the sources say that the dictionary has no place for."""

    kind: str
    rows: int


@dataclass(frozen=True)
class Evidence:
    """Everything of a run that is counted, without its expectations."""

    tables: tuple[TableCount, ...]
    fields: tuple[FieldCount, ...]
    rejects: tuple[Fired, ...]
    flags: tuple[Fired, ...]
    units: tuple[UnitCount, ...]
    sources: tuple[SourceCount, ...]
    not_held: tuple[NotHeld, ...]
    excluded_for_consent: int
    rejected_rows: int
    mandatory_cells: tuple[int, int]


def gather(site: Site, run_id: str) -> Evidence:
    """Count what a run's harmonisation left in `work/<run_id>/`.

    Raises SourceError when the run was not harmonised, or not to its end.
    """
    folder = site.work / run_id
    wanted = [folder / "tables" / f"{name}.parquet" for name in DICTIONARY.tables]
    wanted += [folder / name for name in ("rejects.parquet", "flags.parquet", "coverage.json")]
    missing = [path.name for path in (*wanted, folder / "harmonization.json") if not path.is_file()]
    if missing:
        raise SourceError(
            f"{site.id}: run {run_id} is not harmonised ({', '.join(missing)} not in {folder});"
            " run harmonize first"
        )
    patterns = _patterns(site)
    with duckdb.connect() as connection:
        for path in wanted:
            if path.suffix == ".parquet":
                connection.read_parquet(str(path)).create_view(path.stem)
        tables = _tables(connection)
        fields = _fields(connection, _coverage(folder / "coverage.json"))
        return Evidence(
            tables=tables,
            fields=fields,
            rejects=_by_source(_fired(connection, "rejects", files=True), patterns),
            flags=_fired(connection, "flags"),
            units=_units(connection),
            rejected_rows=sum(table.rejected for table in tables),
            mandatory_cells=_mandatory_cells(connection, fields),
            **_harmonization(folder / "harmonization.json"),
        )


def _json(path: Path) -> Any:
    """Read a JSON file."""
    return json.loads(path.read_text(encoding="utf-8"))


def _coverage(path: Path) -> Mapping[tuple[str, str], str]:
    """Return how the mapping treats each (table, field)."""
    return {(row["table"], row["field"]): str(row["mapped"]) for row in _json(path)}


def _tables(connection: duckdb.DuckDBPyConnection) -> tuple[TableCount, ...]:
    """Count kept rows and distinct rejected source rows of each table."""
    query = """
        select count(distinct (source_file, source_sheet, source_row)) from rejects
        where "table" = ? and severity = 'hard'
    """
    return tuple(
        TableCount(
            table.name,
            table.title,
            rows=_one(connection, f"select count(*) from {identifier(table.name)}"),  # noqa: S608
            rejected=_one(connection, query, table.name),
        )
        for table in suites.tables()
    )


def _one(connection: duckdb.DuckDBPyConnection, query: str, *parameters: object) -> int:
    """Return the one number that `query` yields."""
    row = connection.execute(query, list(parameters)).fetchall()[0]
    return int(row[0])


def _fields(
    connection: duckdb.DuckDBPyConnection, coverage: Mapping[tuple[str, str], str]
) -> tuple[FieldCount, ...]:
    """Count filled cells of each field, one query per table; provenance is not counted."""
    counted = []
    for table in suites.tables():
        name = table.name
        fields = [field for field in table.fields if field.name not in _PROVENANCE]
        columns = ", ".join(f"count({identifier(field.name)})" for field in fields)
        query = f"select count(*), {columns} from {identifier(name)}"  # noqa: S608 - quoted
        rows, *filled = connection.execute(query).fetchall()[0]
        counted += [
            FieldCount(name, field.name, field.obligation, rows, number,
                       coverage.get((name, field.name), "not mapped"))
            for field, number in zip(fields, filled, strict=True)
        ]  # fmt: skip
    return tuple(counted)


def _fired(
    connection: duckdb.DuckDBPyConnection, relation: str, *, files: bool = False
) -> tuple[Fired, ...]:
    """Count the rows of `rejects` or `flags` by rule, table, field and, if asked, file."""
    source = "coalesce(source_file, '')" if files else "''"
    query = f"""
        select rule, severity, "table", coalesce(field, ''), count(*), any_value(remedy), {source}
        from {identifier(relation)}
        group by all order by 5 desc, 1, 3, 4, 7
    """  # noqa: S608 - quoted
    return tuple(Fired(*row) for row in connection.execute(query).fetchall())


def _patterns(site: Site) -> tuple[tuple[str, str], ...]:
    """Return (pattern of files, source id) of the site's mapping; none when it cannot be read."""
    try:
        return tuple((one.file, one.source) for one in parse_mapping(site.mapping).sources)
    except MappingError:
        return ()


def _by_source(fired: Iterable[Fired], patterns: Sequence[tuple[str, str]]) -> tuple[Fired, ...]:
    """Put the ids of sources in the place of file names, and add up what falls together."""
    counts: dict[Fired, int] = {}
    for one in fired:
        ids = [source for pattern, source in patterns if _matches(one.source, pattern)]
        key = replace(one, rows=0, source=", ".join(dict.fromkeys(ids)) or "unknown source")
        counts[key] = counts.get(key, 0) + one.rows
    merged = [replace(key, rows=rows) for key, rows in counts.items()]
    return tuple(sorted(merged, key=lambda one: (-one.rows, one.rule, one.table, one.field)))


def _matches(file: str, pattern: str) -> bool:
    """Return whether a file of the inbox is meant by a pattern of the mapping."""
    return fnmatch(file, pattern) or fnmatch(file.rpartition("/")[2], pattern)


def _mandatory_cells(
    connection: duckdb.DuckDBPyConnection, fields: Iterable[FieldCount]
) -> tuple[int, int]:
    """Return (filled, all) cells of mandatory fields.

    A row that was rejected for a mandatory field counts as one more cell that is not filled:
    otherwise a source without a single usable date would look complete.
    """
    mandatory = [one for one in fields if one.obligation == "mandatory"]
    names = [f"{one.table}.{one.field}" for one in mandatory]
    query = """
        select count(distinct ("table", field, source_file, source_sheet, source_row)) from rejects
        where list_contains(?, "table" || '.' || field)
    """
    lost = _one(connection, query, names)
    return sum(one.filled for one in mandatory), sum(one.rows for one in mandatory) + lost


def _harmonization(path: Path) -> dict[str, Any]:
    """Return what `harmonization.json` counts."""
    document = _json(path)
    return {
        "sources": tuple(
            SourceCount(source, rows) for source, rows in sorted(document["rows_read"].items())
        ),
        "not_held": tuple(
            NotHeld(kind, rows) for kind, rows in sorted(document["not_held"].items())
        ),
        "excluded_for_consent": document["excluded_for_consent"],
    }


def _units(connection: duckdb.DuckDBPyConnection) -> tuple[UnitCount, ...]:
    """Count laboratory values by analyte and declared unit."""
    query = """
        select analyte, coalesce(value_source_unit, ''), coalesce(unit_status, ''), count(*)
        from lab_measurement group by all order by 1, 2, 3
    """
    counts: dict[tuple[str, str, str], int] = {}
    for analyte, unit, status, rows in connection.execute(query).fetchall():
        known = DICTIONARY.analytes[analyte].factors if analyte in DICTIONARY.analytes else {}
        key = (analyte, unit if unit in known else "another spelling", status)
        counts[key] = counts.get(key, 0) + rows
    return tuple(
        UnitCount(analyte, unit, DICTIONARY.analytes[analyte].unit, status, rows)
        for (analyte, unit, status), rows in counts.items()
        if analyte in DICTIONARY.analytes
    )
