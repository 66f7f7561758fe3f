"""What every reader shares: how a source is declared, found, and laid down as a text relation."""

import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import reduce
from pathlib import Path, PurePosixPath
from typing import Protocol

import duckdb
import pyarrow as pa
import pyarrow.compute as pc

from transforms.errors import SourceError
from transforms.sql import identifier, qualified


__all__ = [
    "BLANKS",
    "PROVENANCE",
    "SCHEMA",
    "Part",
    "SourceLike",
    "SourceTable",
    "column_names",
    "content",
    "matching_files",
    "part",
    "some",
    "store",
]

SCHEMA = "source"
PROVENANCE = ("source_file", "source_sheet", "source_row")
BLANKS = " \t\r\n\u00a0\u2007\u202f\ufeff"
MAX_FILE_BYTES = 200 * 2**20


class SourceLike(Protocol):
    """One row of the mapping's sheet `sources`, as far as a reader needs it."""

    @property
    def source(self) -> str:
        """Id of the source; the relation's name."""

    @property
    def file(self) -> str:
        """Glob pattern below the site's inbox."""

    @property
    def format(self) -> str:
        """One of delimited, excel, redcap, omop, phenopackets."""

    @property
    def sheet(self) -> str:
        """Excel sheet, REDCap instrument, OMOP table or phenopacket block."""

    @property
    def header_row(self) -> int:
        """Row that holds the column names, counted from 1."""

    @property
    def encoding(self) -> str:
        """Declared text encoding; empty means: detect it and say so."""

    @property
    def delimiter(self) -> str:
        """Declared delimiter; empty means: detect it and say so."""

    @property
    def decimal(self) -> str:
        """Decimal mark of the source's numbers, `,` or `.`."""


@dataclass(frozen=True)
class SourceTable:
    """What a reader made of a source: a relation of texts in DuckDB, and what is to be known of it.

    `files` are relative to the inbox. `columns` leaves out the provenance columns;
    `empty_columns` are those of them that hold nothing in any row. `not_held` counts what the
    relation has no place for, by kind. `notes` tell what was detected or looks odd. `other_parts`
    are sheets, instruments, tables or blocks of the same files that this source does not read.
    """

    source: str
    files: tuple[str, ...]
    rows: int
    columns: tuple[str, ...]
    not_held: Mapping[str, int] = field(default_factory=dict)
    empty_columns: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    other_parts: tuple[str, ...] = ()


@dataclass(frozen=True)
class Part:
    """The rows that one file gives: `table` holds text columns and then the provenance columns."""

    file: str
    columns: tuple[str, ...]
    table: pa.Table


def matching_files(source: SourceLike, inbox: Path) -> tuple[Path, ...]:
    """Return the files of `inbox` that the source's pattern matches, sorted by name.

    Hidden files and the lock files of open workbooks (`~$…`) are left out. Raises SourceError when
    the pattern leaves the inbox or matches nothing.
    """
    pattern = source.file
    steps = PurePosixPath(pattern).parts
    if not steps or pattern.startswith("/") or ".." in steps:
        raise SourceError(
            f"source {source.source}: the file pattern '{pattern}' must name files inside the "
            "inbox; write it relative to the inbox, for example 'labs_*.csv'"
        )
    found = (path for path in inbox.glob(pattern) if path.is_file())
    files = tuple(sorted(path for path in found if not path.name.startswith((".", "~$"))))
    if not files:
        raise SourceError(
            f"source {source.source}: no file in {inbox} matches '{pattern}'; "
            "put the export there, or correct the column 'file' of the mapping's sheet 'sources'"
        )
    return files


def content(path: Path, name: str) -> bytes:
    """Return the bytes of `path`; raise SourceError when it is empty, too large or unreadable."""
    try:
        size = path.stat().st_size
        if size > MAX_FILE_BYTES:
            raise SourceError(
                f"{name}: {size // 2**20} MB; at most {MAX_FILE_BYTES // 2**20} MB are read: "
                "split the export into several files that match the same pattern"
            )
        data = path.read_bytes()
    except OSError as error:
        reason = error.strerror or "unreadable"
        raise SourceError(f"{name}: cannot be read ({reason}); check its permissions") from None
    if not data:
        raise SourceError(f"{name}: the file is empty (0 bytes); export it again")
    return data


def column_names(header: Sequence[str]) -> tuple[str, ...]:
    """Return one usable, distinct name per header cell.

    Blanks and line breaks inside a name become one space. A cell without text becomes `column N`;
    a name seen before (DuckDB does not tell upper from lower case) gets ` (2)`, ` (3)` ….
    """
    seen = set(PROVENANCE)
    names = []
    for position, cell in enumerate(header, start=1):
        text = unicodedata.normalize("NFC", cell.replace("\0", ""))
        stem = " ".join(text.strip(BLANKS).split()) or f"column {position}"
        name, again = stem, 2
        while name.casefold() in seen:
            name, again = f"{stem} ({again})", again + 1
        seen.add(name.casefold())
        names.append(name)
    return tuple(names)


def part(
    file: str, sheet: str, columns: Sequence[str], values: Iterable[pa.Array], rows: pa.Array
) -> Part:
    """Return a Part from text arrays of equal length; `rows` are the row numbers in the file."""
    count = len(rows)
    arrays = [*values, pa.repeat(file, count), pa.repeat(sheet, count), rows.cast(pa.int64())]
    return Part(file, tuple(columns), pa.Table.from_arrays(arrays, [*columns, *PROVENANCE]))


def some(items: Sequence[object], limit: int = 5) -> str:
    """Return `items` joined by commas, the first `limit` of them and how many more there are."""
    shown = ", ".join(str(item) for item in items[:limit])
    return shown if len(items) <= limit else f"{shown} and {len(items) - limit} more"


def store(
    source: SourceLike,
    parts: Sequence[Part],
    connection: duckdb.DuckDBPyConnection,
    *,
    not_held: Mapping[str, int] | None = None,
    notes: Sequence[str] = (),
    other_parts: Iterable[str] = (),
) -> SourceTable:
    """Unite `parts` by column name and make them the table `source.<source id>`.

    A text of blanks becomes NULL, other text stays as it is; a row without any text is left out,
    and so is a column that has neither name nor text. Raises SourceError when the files differ in
    their columns.
    """
    _same_columns(source, parts)
    united = pa.concat_tables([piece.table.select(parts[0].table.column_names) for piece in parts])
    table = _tidy(united, parts[0].columns)
    columns = tuple(table.column_names[: -len(PROVENANCE)])
    _lay_down(source.source, table, connection)
    return SourceTable(
        source=source.source,
        files=tuple(dict.fromkeys(piece.file for piece in parts)),
        rows=table.num_rows,
        columns=columns,
        not_held={kind: count for kind, count in sorted((not_held or {}).items()) if count},
        empty_columns=tuple(c for c in columns if table[c].null_count == table.num_rows),
        notes=tuple(notes),
        other_parts=tuple(sorted(other_parts)),
    )


def _same_columns(source: SourceLike, parts: Sequence[Part]) -> None:
    """Raise SourceError for the first file whose columns are not those of the first file.

    Names only what the first file has: in a file without a header the cells are data.
    """
    first = parts[0]
    for piece in parts[1:]:
        missing = [name for name in first.columns if name not in piece.columns]
        extra = len(set(piece.columns) - set(first.columns))
        if missing or extra:
            lacks = f"lacks {some(missing)}" if missing else "lacks none"
            raise SourceError(
                f"{piece.file}: its columns are not those of {first.file}: it {lacks} "
                f"and has {extra} others, but source {source.source} reads both; check "
                "'header_row', or give the file a source of its own"
            )


def _tidy(table: pa.Table, columns: Sequence[str]) -> pa.Table:
    """Return `table` with blanks as NULL, without empty rows and without nameless empty columns."""
    cells = {name: _blank_to_null(table[name]) for name in columns}
    nameless = {f"column {n}" for n in range(1, len(columns) + 1)}
    kept = [c for c in columns if c not in nameless or cells[c].null_count < table.num_rows]
    tidy = pa.table({name: cells[name] for name in kept} | {n: table[n] for n in PROVENANCE})
    if not kept:
        return tidy.slice(0, 0)
    return tidy.filter(reduce(pc.or_, [pc.is_valid(cells[name]) for name in kept]))


def _blank_to_null(cells: pa.ChunkedArray) -> pa.ChunkedArray:
    blank = pc.equal(pc.utf8_trim(cells, characters=BLANKS), "")
    return pc.if_else(blank, pa.scalar(None, pa.string()), cells)


def _lay_down(name: str, table: pa.Table, connection: duckdb.DuckDBPyConnection) -> None:
    """Make `table` the relation `source.<name>` of `connection`."""
    connection.execute(f"create schema if not exists {identifier(SCHEMA)}")
    connection.register("marmor_source", table)
    try:
        connection.execute(
            f"create or replace table {qualified(SCHEMA, name)} as from marmor_source"
        )
    finally:
        connection.unregister("marmor_source")
