"""Mappings that ship with Marmor: a centre names one in a row of `sources` and maps nothing.

    source = registry, file = *.json, ready = phenopackets

stands for all that `transforms/mappings/phenopackets/{sources,fields,values,ignore}.csv` say. Their
source ids get the row's id in front (`registry_subjects`). What the centre's own rows say about
such an id wins: a field, a value or a column to ignore that is said twice is the centre's.

A shipped source is optional. A project without the instrument, an export without the table or the
column gives no rows, instead of an error; a column that the shipped mapping does not know still
blocks the run, until the centre's own rows map or ignore it.
"""

import csv
import dataclasses
import functools
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import duckdb

from transforms.errors import MappingError, raise_all
from transforms.mapping import (
    SHEETS,
    FieldRule,
    IgnoreRule,
    Mapping,
    Source,
    ValueRule,
    normal_value,
    parse_sheets,
)
from transforms.sql import identifier, qualified


if TYPE_CHECKING:
    from transforms.readers import SourceTable

__all__ = [
    "FORM",
    "READY",
    "carries_consent",
    "expand",
    "fill_gaps",
    "ready_names",
    "shipped",
    "write_ready",
]

READY = Path(__file__).parent / "mappings"
FORM = "form"
# What a row of `sources` with `ready` may not say, because the shipped mapping does.
# Which files of an inbox a ready mapping means when nobody says it.
PATTERNS = {"phenopackets": "**/*.json", FORM: "**/*.xlsx"}
LOOKED_UP = ("recode", "split")
SHIPPED = ("format", "sheet", "header_row", "encoding", "delimiter", "decimal", "thousands",
           "id_column", "repeat_key")  # fmt: skip


def ready_names() -> tuple[str, ...]:
    """Return what the column `ready` may hold."""
    return (*sorted(path.name for path in READY.iterdir() if path.is_dir()), FORM)


@functools.cache
def shipped(name: str) -> Mapping:
    """Return the shipped mapping called `name`, with its own source ids."""
    if name == FORM:
        from transforms.form import form_mapping  # it is made from the dictionary

        return form_mapping()
    mapping = parse_sheets(READY / name)

    def placed(rows: Iterable[object]) -> tuple[object, ...]:
        return tuple(
            dataclasses.replace(row, place=f"ready mapping {name}, {row.place}")  # type: ignore[type-var,attr-defined]
            for row in rows
        )

    parts = {part.name: placed(getattr(mapping, part.name)) for part in dataclasses.fields(Mapping)}
    return Mapping(**parts)  # type: ignore[arg-type]


def carries_consent(name: str) -> bool:
    """Return whether files of a shipped mapping's format can say yes to reuse."""
    return any(rule.field == "consent_reuse" for rule in shipped(name).fields)


def write_ready(folder: Path, name: str) -> None:
    """Write the four sheets of a mapping that is one shipped mapping and nothing else.

    Raises MappingError when there is no such mapping, or a mapping in `folder` already.
    """
    if name not in ready_names():
        raise MappingError(f"{name!r} is no ready mapping; use one of {', '.join(ready_names())}")
    folder.mkdir(parents=True, exist_ok=True)
    if any(folder.iterdir()):
        raise MappingError(f"{folder}: there is a mapping already; add a row to its sheet sources")
    row = {"source": name, "ready": name, "file": PATTERNS.get(name, "**/*")}
    for sheet, columns in SHEETS.items():
        with (folder / f"{sheet}.csv").open("w", encoding="utf-8", newline="") as file:
            writer = csv.DictWriter(file, columns, restval="", lineterminator="\n")
            writer.writeheader()
            if sheet == "sources":
                writer.writerow(row)


def expand(mapping: Mapping) -> Mapping:
    """Replace each source that names a shipped mapping by that mapping's sources and rows.

    Raises MappingError for a name that does not exist, and for cells that the shipped mapping
    already says.
    """
    ready = [source for source in mapping.sources if source.ready]
    raise_all(MappingError, [problem for source in ready for problem in _problems(source)])
    for source in ready:
        mapping = _expanded(mapping, source)
    return mapping


def fill_gaps(
    connection: duckdb.DuckDBPyConnection, mapping: Mapping, table: "SourceTable"
) -> "SourceTable":
    """Give an optional source the columns that its shipped mapping names and its files lack.

    A column without any value that nothing names is left out of sight: it needs no mapping.
    """
    source = mapping.source(table.source)
    if not source.optional:
        return table
    named = _named_columns(mapping, source)
    blank = set(table.empty_columns) - set(named)
    seen = tuple(name for name in table.columns if name not in blank)
    gaps = [name for name in named if name not in table.columns]
    if not gaps:
        return dataclasses.replace(table, columns=seen)
    read, relation = f"{table.source} as read", qualified("source", table.source)
    empty = ", ".join(f"null::varchar as {identifier(name)}" for name in gaps)
    connection.execute(f"alter view {relation} rename to {identifier(read)}")
    connection.execute(
        f"create view {relation} as select *, {empty} "  # noqa: S608 - quoted
        f"from {qualified('source', read)}"
    )
    return dataclasses.replace(table, columns=(*seen, *gaps))


def _named_columns(mapping: Mapping, source: Source) -> list[str]:
    """Return every column of a source that the mapping names, once."""
    rules = [rule for rule in mapping.fields if rule.source == source.source]
    used = [column for rule in rules for column in rule.used_columns]
    ignored = [row.column for row in mapping.ignores if row.source == source.source]
    return list(dict.fromkeys([*source.id_columns, *used, *ignored]))


def _problems(source: Source) -> Iterator[str]:
    """Yield what is wrong with a row of `sources` that names a shipped mapping."""
    if source.ready not in ready_names():
        known = ", ".join(ready_names())
        yield f"{source.place}: ready {source.ready!r}: expected one of {known}"
    for name in ("source", "file"):
        if not getattr(source, name):
            yield f"{source.place}: {name} is empty"
    plain = Source("", "", "", "", "")
    said = [name for name in SHIPPED if getattr(source, name) != getattr(plain, name)]
    if said:
        yield (
            f"{source.place}: {', '.join(said)}: the ready mapping {source.ready} says this; "
            "leave the cells empty"
        )


def _expanded(mapping: Mapping, source: Source) -> Mapping:
    """Return `mapping` with one source replaced by its shipped mapping."""
    parts = _renamed(shipped(source.ready), source)
    own = dataclasses.replace(
        mapping, sources=tuple(other for other in mapping.sources if other != source)
    )
    fields = tuple(_not_said(parts.fields, own))
    left = tuple(_left_behind(parts.fields, (*own.fields, *fields)))
    ignores = tuple(row for row in (*parts.ignores, *left) if not _is_used(row, own))
    place = mapping.sources.index(source)
    whole = Mapping(
        sources=(*own.sources[:place], *parts.sources, *own.sources[place:]),
        fields=(*own.fields, *fields),
        values=own.values,
        ignores=(*own.ignores, *ignores),
    )
    values = tuple(row for row in parts.values if _is_needed(row, whole, own))
    return dataclasses.replace(whole, values=(*own.values, *values))


def _renamed(parts: Mapping, source: Source) -> Mapping:
    """Return a shipped mapping under the ids, pattern and tokens of the centre's row."""

    def name(shipped_id: str) -> str:
        return f"{source.source}_{shipped_id}"

    sources = tuple(
        dataclasses.replace(
            part,
            source=name(part.source),
            system=source.system or part.system,
            file=source.file,
            date_order=part.date_order if source.date_order == "YMD" else source.date_order,
            language=source.language,
            missing=(*part.missing, *source.missing),
            ready=source.ready,
            optional=True,
            place=f"{source.place} ({part.place})",
        )
        for part in parts.sources
    )
    return Mapping(
        sources,
        tuple(
            dataclasses.replace(row, source=name(source_id))
            for row in parts.fields
            for source_id in ([row.source] if row.source else _filling(parts, row))
        ),
        tuple(
            dataclasses.replace(row, source=name(source_id))
            for row in parts.values
            for source_id in ([row.source] if row.source else _filling(parts, row))
        ),
        tuple(dataclasses.replace(row, source=name(row.source)) for row in parts.ignores),
    )


def _filling(parts: Mapping, row: FieldRule | ValueRule) -> list[str]:
    """Return the sources that a shipped row without one is about: those that fill its table.

    A row of `values` is about those that look the field up.
    """
    looked_up = isinstance(row, ValueRule)
    return list(dict.fromkeys(
        rule.source for rule in parts.fields if rule.source and rule.table == row.table
        and (not looked_up or (rule.rule in LOOKED_UP and rule.field == row.field))
    ))  # fmt: skip


def _not_said(rows: Sequence[FieldRule], own: Mapping) -> Iterator[FieldRule]:
    """Yield the shipped rows of `fields` about which the centre says nothing itself."""
    ignored = {(row.source, row.column) for row in own.ignores}
    said = {(row.table, row.field, row.source, row.bracket) for row in own.fields}
    for row in rows:
        again = {(row.table, row.field, row.source, bracket) for bracket in (None, row.bracket)}
        lost = [column for column in row.used_columns if (row.source, column) in ignored]
        if not (again & said or lost):
            yield row


def _left_behind(
    shipped_rows: Sequence[FieldRule], kept: Sequence[FieldRule]
) -> Iterator[IgnoreRule]:
    """Yield the columns that only shipped rows use about which the centre says something else."""
    used = {(row.source, column) for row in kept for column in row.used_columns}
    for row in shipped_rows:
        for column in row.used_columns:
            if (row.source, column) not in used:
                used.add((row.source, column))
                yield IgnoreRule(row.source, column, "not_needed", row.place)


def _is_used(row: IgnoreRule, own: Mapping) -> bool:
    """Return whether the centre maps, or itself ignores, a column that is ignored in a shipment."""
    used = {(rule.source, column) for rule in own.fields for column in rule.used_columns}
    return (row.source, row.column) in used | {
        (other.source, other.column) for other in own.ignores
    }


def _is_needed(row: ValueRule, whole: Mapping, own: Mapping) -> bool:
    """Return whether a recode looks a shipped value up, and the centre does not say it itself."""
    text = normal_value(row.source_value)
    said = any(
        (other.table, other.field, other.bracket) == (row.table, row.field, row.bracket)
        and other.source in ("", row.source)
        and normal_value(other.source_value) == text
        for other in own.values
    )
    return not said and any(
        (rule.table, rule.field, rule.source) == (row.table, row.field, row.source)
        and rule.rule in LOOKED_UP
        and row.bracket in (None, rule.bracket)
        for rule in whole.fields
    )
