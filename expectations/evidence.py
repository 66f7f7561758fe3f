"""What harmonisation left behind, in counts: the part of a validation that is not an expectation.

Reads `work/<run>/` (tables, rejects, flags, coverage, what was skipped) and returns counts by
table, field, rule and source. Nothing here holds a value of a row: a source is named by its id in
the mapping, never by its file, because a folder may hold one file per person; a unit is shown only
when the dictionary knows it.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import astuple, dataclass, replace
from fnmatch import fnmatch
from typing import Any

import duckdb

from expectations import suites
from expectations.statements import applicability
from expectations.wording import LOST_CELL, STATEMENTS
from transforms.dictionary import DICTIONARY
from transforms.dictionary.model import PROVENANCE
from transforms.errors import MappingError, SourceError
from transforms.mapping import Source, parse_mapping
from transforms.site import Site
from transforms.sql import identifier


__all__ = [
    "Evidence",
    "FieldCount",
    "Fired",
    "NotHeld",
    "RefusedFile",
    "SourceCount",
    "TableCount",
    "UnitCount",
    "gather",
]

_PROVENANCE = {field.name for field in PROVENANCE}


@dataclass(frozen=True)
class TableCount:
    """Rows of a table that were kept, rejected, and skipped because the mapping says so."""

    table: str
    title: str
    rows: int
    rejected: int
    skipped: int


@dataclass(frozen=True)
class FieldCount:
    """How much of a field is filled among the `rows` that it applies to.

    `mapped` says how the mapping treats it: mapped, derived, not collected or not mapped.
    """

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
    """Rows and files read from a source of the mapping."""

    source: str
    rows: int
    files: int


@dataclass(frozen=True)
class NotHeld:
    """Something in the inbox that no source reads, or that the dictionary has no place for."""

    kind: str
    rows: int


@dataclass(frozen=True)
class RefusedFile:
    """A file that could not be read, without its name: its sources, what is wrong, what to do."""

    source: str
    message: str


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
    refused_files: tuple[RefusedFile, ...]
    excluded_for_consent: int
    rejected_rows: int
    mandatory_cells: tuple[int, int]


def gather(site: Site, run_id: str) -> Evidence:
    """Count what a run's harmonisation left in `work/<run_id>/`.

    Raises SourceError when the run was not harmonised, or not to its end.
    """
    folder = site.work / run_id
    relations = [folder / "tables" / f"{name}.parquet" for name in DICTIONARY.tables]
    relations += [folder / "rejects.parquet", folder / "flags.parquet"]
    documents = [folder / "coverage.json", folder / "harmonization.json"]
    missing = [path.name for path in (*relations, *documents) if not path.is_file()]
    if missing:
        raise SourceError(
            f"{site.id}: run {run_id} is not harmonised ({', '.join(missing)} not in {folder});"
            " run harmonize first"
        )
    coverage, counts = (json.loads(path.read_text(encoding="utf-8")) for path in documents)
    with duckdb.connect() as connection:
        for path in relations:
            connection.read_parquet(str(path)).create_view(path.stem)
        return _evidence(connection, coverage, counts, _places(site))


def _evidence(
    connection: duckdb.DuckDBPyConnection,
    coverage: Sequence[Mapping[str, str]],
    counts: Mapping[str, Any],
    places: Sequence[Source],
) -> Evidence:
    """Put together what the files say; `counts` is `harmonization.json`."""
    tables = _tables(connection, counts)
    ways = {(row["table"], row["field"]): row["mapped"] for row in coverage}
    fields = _fields(connection, ways)
    return Evidence(
        tables=tables,
        fields=fields,
        rejects=_by_source(_fired(connection, "rejects", files=True), places),
        flags=_fired(connection, "flags"),
        units=_units(connection),
        sources=tuple(
            SourceCount(source, rows, counts["files_read"][source])
            for source, rows in sorted(counts["rows_read"].items())
        ),
        not_held=tuple(NotHeld(kind, rows) for kind, rows in sorted(counts["not_held"].items())),
        refused_files=tuple(_refused(counts["refused_files"])),
        excluded_for_consent=counts["excluded_for_consent"],
        rejected_rows=sum(table.rejected for table in tables),
        mandatory_cells=_mandatory_cells(connection, fields),
    )


def _refused(refused: Sequence[Mapping[str, str]]) -> Iterator[RefusedFile]:
    """Yield each refused file once, without its name, which may hold a patient's."""
    sources: dict[tuple[str, str], list[str]] = {}
    for one in refused:
        sources.setdefault((one["file"], one["message"]), []).append(one["source"] or "–")
    for (file, message), names in sources.items():
        yield RefusedFile(", ".join(names), message.replace(file, "a file"))


def _tables(
    connection: duckdb.DuckDBPyConnection, counts: Mapping[str, Any]
) -> tuple[TableCount, ...]:
    """Count kept, rejected and skipped rows of each table."""
    return tuple(
        TableCount(
            table.name,
            table.title,
            rows=_one(connection, f"select count(*) from {identifier(table.name)}"),  # noqa: S608
            rejected=counts["rejected"].get(table.name, 0),
            skipped=counts["skipped"].get(table.name, 0),
        )
        for table in suites.tables()
    )


def _one(connection: duckdb.DuckDBPyConnection, query: str, *parameters: object) -> int:
    """Return the one number that `query` yields."""
    row = connection.execute(query, list(parameters)).fetchall()[0]
    return int(row[0])


def _fields(
    connection: duckdb.DuckDBPyConnection, ways: Mapping[tuple[str, str], str]
) -> tuple[FieldCount, ...]:
    """Count filled cells of each field, one query per table; provenance is not counted."""
    counted = []
    for table in suites.tables():
        fields = [field for field in table.fields if field.name not in _PROVENANCE]
        columns = ", ".join(_both(table.name, field.name) for field in fields)
        query = f"select {columns} from {identifier(table.name)}"  # noqa: S608 - quoted
        numbers = connection.execute(query).fetchall()[0]
        counted += [
            FieldCount(
                table.name,
                field.name,
                field.obligation,
                rows=numbers[2 * place],
                filled=numbers[2 * place + 1],
                mapped=ways.get((table.name, field.name), "not mapped"),
            )
            for place, field in enumerate(fields)
        ]
    return tuple(counted)


def _both(table: str, field: str) -> str:
    """Return two counts: rows that the field applies to, and those of them that are filled."""
    limited = applicability().get((table, field))
    applies = limited.applies if limited else "true"
    name = identifier(field)
    return f"count(*) filter ({applies}), count({name}) filter ({applies})"


def _fired(
    connection: duckdb.DuckDBPyConnection, relation: str, *, files: bool = False
) -> tuple[Fired, ...]:
    """Count the rows of `rejects` or `flags` by rule, table, field, remedy and, if asked, file."""
    source = "concat_ws(chr(9), source_file, coalesce(source_sheet, ''))" if files else "''"
    query = f"""
        select rule, severity, "table", coalesce(field, ''), count(*), remedy, {source}
        from {identifier(relation)}
        group by all order by 5 desc, 1, 3, 4, 6, 7
    """  # noqa: S608 - quoted
    return tuple(
        Fired(rule, severity, table, field, rows, remedy, place, STATEMENTS.get(rule, ""))
        for rule, severity, table, field, rows, remedy, place in connection.execute(
            query
        ).fetchall()
    )


def _places(site: Site) -> tuple[Source, ...]:
    """Return the sources of the site's mapping; none when it cannot be read any more."""
    try:
        return parse_mapping(site.mapping).sources
    except MappingError:
        return ()


def _by_source(fired: Iterable[Fired], places: Sequence[Source]) -> tuple[Fired, ...]:
    """Put the ids of sources in the place of file names, and add up what falls together."""
    counts: dict[Fired, int] = {}
    for one in fired:
        key = replace(one, rows=0, source=_source_of(one.source, places))
        counts[key] = counts.get(key, 0) + one.rows
    merged = [replace(key, rows=rows) for key, rows in counts.items()]
    return tuple(sorted(merged, key=lambda one: (-one.rows, *map(str, astuple(one)))))


def _source_of(place: str, sources: Sequence[Source]) -> str:
    """Return the id of the source that reads "file<tab>sheet"; several where it cannot be told."""
    file, _, sheet = place.partition("\t")
    fitting = [one for one in sources if _matches(file, one.file)]
    exact = [one for one in fitting if one.sheet == sheet]
    ids = dict.fromkeys(one.source for one in exact or fitting)
    return ", ".join(ids) or "unknown source"


def _matches(file: str, pattern: str) -> bool:
    """Return whether a file of the inbox is meant by a pattern of the mapping."""
    return fnmatch(file, pattern) or fnmatch(file.rpartition("/")[2], pattern)


def _mandatory_cells(
    connection: duckdb.DuckDBPyConnection, fields: Iterable[FieldCount]
) -> tuple[int, int]:
    """Return (filled, all) cells of mandatory fields.

    A row that was rejected because a mandatory field holds nothing usable counts as one more cell
    that is not filled: otherwise a source without a single readable date would look complete.
    """
    mandatory = [one for one in fields if one.obligation == "mandatory"]
    names = [f"{one.table}.{one.field}" for one in mandatory]
    query = """
        select count(distinct ("table", field, source_file, source_sheet, source_row)) from rejects
        where list_contains(?, "table" || '.' || field) and list_contains(?, rule)
    """
    lost = _one(connection, query, names, list(LOST_CELL))
    return sum(one.filled for one in mandatory), sum(one.rows for one in mandatory) + lost


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
