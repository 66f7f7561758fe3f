"""What every reader shares: how a source is declared, found, and laid down as a text relation."""

import stat
import unicodedata
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from functools import reduce
from pathlib import Path, PurePosixPath
from typing import Protocol
from urllib.parse import quote

import duckdb
import pyarrow as pa
import pyarrow.compute as pc

from transforms.errors import SourceError
from transforms.first_look import AT_ONCE, is_inflated
from transforms.inbox import closed_folders, entries
from transforms.parquet import write_scratch
from transforms.sql import identifier, qualified


__all__ = [
    "BLANKS",
    "MAX_COLUMNS",
    "PROVENANCE",
    "SCHEMA",
    "Part",
    "SourceLike",
    "SourceTable",
    "Stream",
    "begin",
    "column_names",
    "content",
    "irregular_files",
    "leaving_out",
    "matching_files",
    "nothing",
    "parquet_name",
    "part",
    "refuse_inflated",
    "some",
    "store",
    "telling",
    "writing_to",
]

SCHEMA = "source"
PROVENANCE = ("source_file", "source_sheet", "source_row")
ODD_NAME = "called by a name with signs that cannot be shown"
CLOSED = "a folder that cannot be looked into"
REMEDY = "put the file itself into the inbox"
REMEDIES = {
    ODD_NAME: "rename it",
    CLOSED: "check its permissions, and move what lies deep in it into the inbox itself",
}
LONGEST_NAME = 200
ODD_SIGNS = {"Cc", "Cs", "Zl", "Zp"}
BLANKS = " \t\r\n\u00a0\u2007\u202f\ufeff"
MAX_COLUMNS = 20_000
BATCH_ROWS = 2**16
# Rows of a Parquet row group: as many as DuckDB writes by itself, fewer when there are many columns
GROUP_ROWS, MIN_GROUP_ROWS, GROUP_CELLS = 122_880, 2_048, 2**24


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
    def header_lines(self) -> int:
        """Rows of the header, the last of which is `header_row`."""

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

    def blocks(self) -> Iterator[pa.Table]:
        """Yield the rows at once."""
        yield self.table


@dataclass(frozen=True)
class Stream:
    """The rows of one file that may be large, each block laid out as a Part's table; read once."""

    file: str
    columns: tuple[str, ...]
    source: Iterator[pa.Table]

    def blocks(self) -> Iterator[pa.Table]:
        """Yield the rows block by block."""
        yield from self.source


_left_out: ContextVar[frozenset[str]] = ContextVar("left_out", default=frozenset())
_folder: ContextVar[Path | None] = ContextVar("folder", default=None)
_teller: ContextVar[Callable[[str], None] | None] = ContextVar("teller", default=None)


@contextmanager
def leaving_out(names: Iterable[str]) -> Iterator[None]:
    """Have `matching_files` pass over files, by their names relative to the inbox."""
    token = _left_out.set(frozenset(names))
    try:
        yield
    finally:
        _left_out.reset(token)


@contextmanager
def writing_to(folder: Path) -> Iterator[None]:
    """Have `store` write `<folder>/<parquet_name>` instead of making a table."""
    token = _folder.set(folder)
    try:
        yield
    finally:
        _folder.reset(token)


@contextmanager
def telling(teller: Callable[[str], None]) -> Iterator[None]:
    """Have `teller` told which file is read from now on."""
    token = _teller.set(teller)
    try:
        yield
    finally:
        _teller.reset(token)


def begin(name: str) -> None:
    """Say that the file called `name` is read from now on; nothing when it is all that was read.

    Whoever limits the time of reading does so for each file.
    """
    teller = _teller.get()
    if teller is not None:
        teller(name)


def parquet_name(source: str) -> str:
    """Return the name of the file that holds a source, whatever characters its id has."""
    return f"{quote(source, safe='')}.parquet"


def matching_files(source: SourceLike, inbox: Path) -> tuple[Path, ...]:
    """Return the files of `inbox` that the source's pattern matches, sorted by name.

    Hidden files, the lock files of open workbooks (`~$…`) and what was left out are not returned.
    Raises SourceError when the pattern leaves the inbox or matches nothing but what is no file.
    """
    pattern = source.file
    steps = PurePosixPath(pattern).parts
    if not steps or pattern.startswith("/") or ".." in steps:
        raise SourceError(
            f"source {source.source}: the file pattern '{pattern}' must name files inside the "
            "inbox; write it relative to the inbox, for example 'labs_*.csv'"
        )
    found = [path for path in entries(inbox) if _fits(path.relative_to(inbox).parts, steps)]
    files = [path for path in found if path.is_file() and not _kind(path, inbox)]
    if files:
        left_out = _left_out.get()
        return tuple(p for p in files if p.relative_to(inbox).as_posix() not in left_out)
    for path, _, message in _irregular(inbox):
        if path in found:
            raise SourceError(message)
    raise SourceError(
        f"source {source.source}: no file in {inbox} matches '{pattern}'; "
        "put the export there, or correct the column 'file' of the mapping's sheet 'sources'"
    )


def _fits(parts: Sequence[str], steps: Sequence[str]) -> bool:
    """Tell whether a path's parts fit the steps of a pattern; `**` is any number of folders."""
    if not steps:
        return not parts
    if steps[0] == "**":
        return any(_fits(parts[skipped:], steps[1:]) for skipped in range(len(parts) + 1))
    return bool(parts) and fnmatchcase(parts[0], steps[0]) and _fits(parts[1:], steps[1:])


def irregular_files(inbox: Path) -> tuple[tuple[str, str], ...]:
    """Return name and refusal of all in `inbox` that is not read for what it is, such as a link.

    A link may lead to what is not the centre's to give, and a pipe or a device never ends. A name
    that cannot be written down, or that a terminal would obey, is shown with escapes.
    """
    return tuple((name, message) for _, name, message in _irregular(inbox))


def _irregular(inbox: Path) -> Iterator[tuple[Path, str, str]]:
    """Yield path, name and refusal of all that is neither a file nor a folder as it should be."""
    closed = closed_folders(inbox)
    for path in entries(inbox):
        kind = CLOSED if path in closed else _kind(path, inbox)
        if kind and not (kind == ODD_NAME and path.is_dir()):
            name = path.relative_to(inbox).as_posix()
            shown = ascii(name)[1:-1] if _is_odd(name) else name
            if len(shown) > LONGEST_NAME:
                shown = f"{shown[:LONGEST_NAME]}…"
            yield path, shown, f"{shown}: is {kind}; {REMEDIES.get(kind, REMEDY)}"


def _kind(path: Path, inbox: Path) -> str:
    """Return what is wrong with `path` when it is no file or folder of the inbox to be named."""
    mode = path.lstat().st_mode
    if stat.S_ISLNK(mode):
        return "a link, not a file"
    if not (stat.S_ISREG(mode) or stat.S_ISDIR(mode)):
        return "a pipe, a socket or a device, not a file"
    if not path.resolve().is_relative_to(inbox.resolve()):
        return "reached by a link, not a file"
    return ODD_NAME if _is_odd(path.relative_to(inbox).as_posix()) else ""


def _is_odd(name: str) -> bool:
    """Tell whether a name has a control character, a line break or bytes that are no text."""
    return any(unicodedata.category(sign) in ODD_SIGNS for sign in name)


def content(path: Path, name: str) -> bytes:
    """Return the bytes of `path`; raise SourceError when it is empty, too large or unreadable."""
    begin(name)
    try:
        size = path.stat().st_size
        if size > AT_ONCE:
            raise SourceError(
                f"{name}: {size // 2**20} MB; at most {AT_ONCE // 2**20} MB are read: "
                "split the export into several files that match the same pattern"
            )
        data = path.read_bytes()
    except OSError as error:
        reason = error.strerror or "unreadable"
        raise SourceError(f"{name}: cannot be read ({reason}); check its permissions") from None
    if not data:
        raise SourceError(f"{name}: the file is empty (0 bytes); export it again")
    return data


def refuse_inflated(name: str, rows: int, columns: int, size: int) -> None:
    """Raise SourceError when a file declares far more cells than its `size` in bytes can mean."""
    if is_inflated(rows * columns, size):
        raise SourceError(
            f"{name}: it declares {rows} rows of {columns} columns in {size // 1000} kB, far more "
            "than a table of records takes, so it was not read; export the table again, or as CSV"
        )


def column_names(header: Sequence[str]) -> tuple[str, ...]:
    """Return one usable, distinct name per header cell.

    Blanks and line breaks inside a name become one space. A cell without text becomes `column N`;
    a name seen before (DuckDB does not tell upper from lower case) gets ` (2)`, ` (3)` ….
    """
    seen = set(PROVENANCE)
    again: dict[str, int] = {}
    names = []
    for position, cell in enumerate(header, start=1):
        text = unicodedata.normalize("NFC", cell.replace("\0", ""))
        stem = " ".join(text.strip(BLANKS).split()) or f"column {position}"
        name, folded = stem, stem.casefold()
        while name.casefold() in seen:
            again[folded] = again.get(folded, 1) + 1
            name = f"{stem} ({again[folded]})"
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
    parts: Sequence[Part | Stream],
    connection: duckdb.DuckDBPyConnection,
    *,
    not_held: Mapping[str, int] | None = None,
    notes: Sequence[str] = (),
    other_parts: Iterable[str] = (),
) -> SourceTable:
    """Unite `parts` by column name and make them the table `source.<source id>`.

    A text of blanks becomes NULL, other text stays as it is; a row without any text is left out,
    and so is a column that has neither name nor text. Raises SourceError when the files differ in
    their columns or have more than can be read. `notes` may grow while a Stream is read.
    """
    begin("")
    _same_columns(source, parts)
    columns = parts[0].columns
    if len(columns) > MAX_COLUMNS:
        raise SourceError(
            f"{parts[0].file}: it has {len(columns)} columns, more than {MAX_COLUMNS}; "
            "check 'delimiter' and 'header_row', or export only the columns needed"
        )
    tally = _lay_down(source.source, parts, connection)
    nameless = {f"column {n}" for n in range(1, len(columns) + 1)}
    kept = tuple(name for name in columns if name not in nameless or tally.filled[name])
    _drop(source.source, set(columns) - set(kept), connection)
    return SourceTable(
        source=source.source,
        files=tuple(dict.fromkeys(piece.file for piece in parts)),
        rows=tally.rows,
        columns=kept,
        not_held={kind: count for kind, count in sorted((not_held or {}).items()) if count},
        empty_columns=tuple(name for name in kept if not tally.filled[name]),
        notes=tuple(notes),
        other_parts=tuple(sorted(other_parts)),
    )


def nothing(source: SourceLike, inbox: Path, connection: duckdb.DuckDBPyConnection) -> SourceTable:
    """Make `source.<source id>` without rows: its files have no such part, and need not have it."""
    file = matching_files(source, inbox)[0].relative_to(inbox).as_posix()
    note = f"source {source.source}: the files have no part '{source.sheet}', so it has no rows"
    texts, numbers = pa.array([], pa.string()), pa.array([], pa.int64())
    empty = part(file, source.sheet, ["column 1"], [texts], numbers)  # nameless: left out
    return store(source, [empty], connection, notes=[note])


def _same_columns(source: SourceLike, parts: Sequence[Part | Stream]) -> None:
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


@dataclass
class _Tally:
    """What is counted while rows go by: rows, and filled cells per column."""

    rows: int
    filled: Counter[str]


def _lay_down(
    name: str, parts: Sequence[Part | Stream], connection: duckdb.DuckDBPyConnection
) -> _Tally:
    """Let all blocks flow into the table `source.<name>`, or into a Parquet file."""
    columns, tally, folder = parts[0].columns, _Tally(0, Counter()), _folder.get()
    fields = [*((column, pa.string()) for column in (*columns, *PROVENANCE[:2]))]
    schema = pa.schema([*fields, (PROVENANCE[2], pa.int64())])
    batches = (
        batch
        for piece in parts
        for block in piece.blocks()
        for batch in _tidy(block, columns, tally).to_batches(max_chunksize=BATCH_ROWS)
    )
    if folder is None:
        _make_table(name, pa.Table.from_batches(batches, schema), connection)
    else:
        rows = max(MIN_GROUP_ROWS, min(GROUP_ROWS, GROUP_CELLS // max(1, len(columns))))
        write_scratch(batches, schema, folder / parquet_name(name), rows)
    return tally


def _make_table(name: str, rows: pa.Table, connection: duckdb.DuckDBPyConnection) -> None:
    """Make the table `source.<name>`."""
    connection.execute(f"create schema if not exists {identifier(SCHEMA)}")
    connection.register("marmor_source", rows)
    relation = qualified(SCHEMA, name)
    connection.execute(f"create or replace table {relation} as from marmor_source")
    connection.unregister("marmor_source")


def _drop(name: str, columns: Iterable[str], connection: duckdb.DuckDBPyConnection) -> None:
    """Drop columns of the table `source.<name>`; a Parquet file may have more than are told."""
    if _folder.get() is None:
        for column in columns:
            table = qualified(SCHEMA, name)
            connection.execute(f"alter table {table} drop column {identifier(column)}")


def _tidy(block: pa.Table, columns: Sequence[str], tally: _Tally) -> pa.Table:
    """Return the rows of `block` that hold a text, blanks as NULL, and count them."""
    cells = {name: _blank_to_null(block[name]) for name in columns}
    tidy = pa.table(cells | {name: block[name] for name in PROVENANCE})
    if all(column.null_count for column in cells.values()):
        tidy = tidy.filter(reduce(pc.or_, map(pc.is_valid, cells.values())))
    tally.rows += tidy.num_rows
    tally.filled.update({name: len(c) - c.null_count for name, c in cells.items()})
    return tidy


def _blank_to_null(cells: pa.ChunkedArray) -> pa.ChunkedArray:
    blank = pc.equal(pc.utf8_trim(cells, characters=BLANKS), "")
    return pc.if_else(blank, pa.scalar(None, pa.string()), cells)
