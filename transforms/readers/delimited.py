"""Reads delimited text: any declared encoding and delimiter, or the detected ones, named in a note.

A file is taken in blocks of some megabytes, cut where a record ends, and each block is parsed by
Arrow, so that a file of any size needs the memory of a block. Row numbers are those a person sees
when the file is opened in a spreadsheet.
"""

import csv
import io
import re
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pacsv
from numpy.typing import NDArray

from transforms.errors import SourceError
from transforms.readers.relation import (
    MAX_COLUMNS,
    Part,
    SourceLike,
    SourceTable,
    Stream,
    begin,
    column_names,
    content,
    matching_files,
    part,
    some,
    store,
)
from transforms.readers.text_encoding import PIECE, encoding_of, text_of, utf8_pieces


__all__ = ["read", "read_part", "stream"]

DELIMITERS = (";", ",", "\t", "|")
DELIMITER_WORDS = {"tab": "\t", "\\t": "\t", "semicolon": ";", "comma": ",", "pipe": "|"}
DELIMITER_NAMES = {"\t": "tab"}
FORBIDDEN = ('"', "\n", "\r")
BLANK_LINES = re.compile(rb"(?m)^[ \t]+$")
END = "\x1fend\x1f"  # control characters cannot come from a file: they are refused
SEPARATOR_HINT = re.compile(rb"sep=([\x20-\x7e\t])\n")
MAX_RECORD_BYTES = 4 * PIECE  # one record, or all that a quotation mark left open swallows
MAX_RAGGED = 1_000
MAX_HEADER_BYTES = 4 * 2**20
DECIMALS_LOOKED_AT = 10_000
DECIMAL_COMMA = r"^\s*[<>]?[<>=]?\s*[+-]?[0-9]{1,9},[0-9]{1,9}\s*$"


@dataclass(frozen=True)
class _Layout:
    """How one file is to be parsed; `name` is what messages call it."""

    name: str
    delimiter: str
    header: tuple[str, ...]


def read(source: SourceLike, inbox: Path, connection: duckdb.DuckDBPyConnection) -> SourceTable:
    """Read all files of a delimited source into `source.<id>`.

    Raises SourceError, naming file and rows but never content, for a file that is not text, does
    not have the declared encoding or delimiter, or has rows of another length than its header.
    """
    notes: list[str] = []
    streams = [
        stream(source, path, path.relative_to(inbox).as_posix(), notes)
        for path in matching_files(source, inbox)
    ]
    return store(source, streams, connection, notes=notes)


def stream(source: SourceLike, path: Path, name: str, notes: list[str]) -> Stream:
    """Return the rows of one file, to be read once; what is detected is added to `notes`.

    The file is not kept open until then: a source may have thousands.
    """
    _there(path, name)
    encoding, found = encoding_of(path, source.encoding, name)
    with closing(utf8_pieces(path, encoding, name)) as pieces:
        layout, _, detected = _begin(source, _first(pieces), name)
    notes += [*found, *detected]
    return Stream(name, layout.header, _opened_again(source, path, encoding, layout, notes))


def _opened_again(
    source: SourceLike, path: Path, encoding: str, layout: _Layout, notes: list[str]
) -> Iterator[pa.Table]:
    """Yield the rows of a file whose layout is known."""
    pieces = utf8_pieces(path, encoding, layout.name)
    _, first, _ = _begin(source, _first(pieces), layout.name)
    yield from _blocks(source, layout, first, pieces, notes)


def read_part(source: SourceLike, path: Path, name: str) -> tuple[Part, tuple[str, ...]]:
    """Return the rows of one file at once, and notes on what was detected.

    For readers that look at all rows before they say what is in them.
    """
    body, found = text_of(content(path, name), source.encoding, name)
    notes = list(found)
    layout, first, detected = _begin(source, body.encode(), name)
    notes += detected
    tables = list(_blocks(source, layout, first, iter(()), notes))
    return Part(name, layout.header, pa.concat_tables(tables)), tuple(notes)


def _there(path: Path, name: str) -> None:
    """Raise SourceError when a file is empty or cannot be read."""
    try:
        with path.open("rb") as file:
            empty = not file.read(1)
    except OSError as error:
        reason = error.strerror or "unreadable"
        raise SourceError(f"{name}: cannot be read ({reason}); check its permissions") from None
    if empty:
        raise SourceError(f"{name}: the file is empty (0 bytes); export it again")


def _first(pieces: Iterator[bytes]) -> bytes:
    """Return the first piece that holds something."""
    return next((piece for piece in pieces if piece), b"")


def _begin(source: SourceLike, piece: bytes, name: str) -> tuple[_Layout, bytes, tuple[str, ...]]:
    """Return how the file is laid out, what of its first piece is below the header, and notes."""
    hint = SEPARATOR_HINT.match(piece)
    piece = _without_blank_lines(piece[hint.end() :] if hint else piece)
    starts, ends = _records(piece)
    row = source.header_row - 1
    if not 0 <= row < len(starts):
        raise SourceError(
            f"{name}: header_row {source.header_row} is declared, but the file has "
            f"{len(starts)} rows; correct 'header_row' in sheet 'sources'"
        )
    line = piece[starts[row] : ends[row]]
    if len(line) > MAX_HEADER_BYTES:
        raise SourceError(
            f"{name}: row {source.header_row} should hold the column names but is "
            f"{len(line) // 1000} kB long; correct 'header_row', or export the file again"
        )
    first = line.decode(errors="replace")
    delimiter, notes = _delimiter(source, first, name, hint.group(1).decode() if hint else "")
    header = _header(source, name, delimiter, first)
    return _Layout(name, delimiter, header), piece[ends[row] + 1 :], notes


def _delimiter(
    source: SourceLike, header: str, name: str, hint: str
) -> tuple[str, tuple[str, ...]]:
    """Return the delimiter: declared, hinted by `sep=`, or most frequent in the header row.

    A detected one is noted unless it is the comma, which is what CSV stands for.
    """
    best = max(DELIMITERS, key=header.count)
    found = best if header.count(best) else ""
    declared = DELIMITER_WORDS.get(source.delimiter.strip().lower(), source.delimiter)
    if len((declared or hint).encode()) > 1 or declared in FORBIDDEN:
        raise SourceError(
            f"source {source.source}: delimiter '{declared or hint}' is more than one character or "
            "cannot be one; use ; , | or tab in column 'delimiter'"
        )
    if declared and declared not in header and found:
        raise SourceError(
            f"{name}: delimiter '{_shown(declared)}' is declared but the header row has none; "
            f"it has '{_shown(found)}': correct 'delimiter' or 'header_row' in sheet 'sources'"
        )
    if declared or hint or found in ("", ","):
        return declared or hint or ",", ()
    return found, (f"{name}: delimiter '{_shown(found)}' was detected; declare it in 'delimiter'",)


def _shown(delimiter: str) -> str:
    return DELIMITER_NAMES.get(delimiter, delimiter)


def _header(source: SourceLike, name: str, delimiter: str, line: str) -> tuple[str, ...]:
    """Return the column names of the header row."""
    try:
        cells = next(csv.reader(io.StringIO(line), delimiter=delimiter), [])
    except csv.Error:
        cells = []
    if not any(cell.strip() for cell in cells):
        raise SourceError(
            f"{name}: row {source.header_row} should hold the column names but is empty; "
            "correct 'header_row' in sheet 'sources'"
        )
    if len(cells) > MAX_COLUMNS:
        raise SourceError(
            f"{name}: row {source.header_row} names {len(cells)} columns, more than {MAX_COLUMNS}; "
            "check 'delimiter' and 'header_row', or export only the columns needed"
        )
    return column_names(cells)


def _blocks(
    source: SourceLike,
    layout: _Layout,
    first: bytes,
    pieces: Iterator[bytes],
    notes: list[str],
) -> Iterator[pa.Table]:
    """Yield the rows below the header, block by block; `first` is what was read of them."""
    begin(layout.name)
    row, data_row, pending, more = source.header_row, 0, first, True
    while more:
        piece = next(pieces, None)
        more = piece is not None
        pending += piece or b""
        if more and len(pending) < PIECE:
            continue
        taken = _take(layout, pending, more, row)
        if taken is None and (not more or len(pending) > MAX_RECORD_BYTES):
            raise _endless(layout, pending, data_row)
        if taken is not None:
            if not data_row:
                notes += _decimal_commas(source, layout, taken.table)
            yield taken.table
            row, data_row = row + taken.records, data_row + taken.table.num_rows
            pending = pending[taken.size :]


@dataclass(frozen=True)
class _Taken:
    """A block that was parsed: its rows, its bytes, and the records that a spreadsheet counts."""

    table: pa.Table
    size: int
    records: int


def _take(layout: _Layout, data: bytes, more: bool, row: int) -> _Taken | None:
    """Parse `data` as far as whole records go; None when no end of a record is found.

    `row` is the number of the row above. Where to cut is a guess that the parser confirms: a row of
    our own behind the data comes out by itself only when no quotation mark is open there.
    """
    for size in _cuts(data) if more else [len(data)]:
        block = _without_blank_lines(data[:size])
        ragged: list[tuple[int, int]] = []
        table = _parse(layout, block, ragged)
        if table is None:
            continue
        places, records = _places(layout, block, table.num_rows + len(ragged))
        if ragged:
            raise _ragged(layout, places + row, ragged)
        numbered = part(layout.name, "", layout.header, table.columns, pa.array(places + row))
        return _Taken(numbered.table, size, records)
    return None


def _cuts(data: bytes) -> list[int]:
    """Return where to cut: behind the last line outside quotation marks, or behind the last."""
    last = data.rfind(b"\n") + 1
    if not data.count(b'"', 0, last) % 2:
        return [last] if last else []
    inside = data.rfind(b"\n", 0, data.rfind(b'"', 0, last)) + 1
    return [cut for cut in (inside, last) if cut]


def _without_blank_lines(block: bytes) -> bytes:
    """Empty lines of blanks, which nobody sees in a spreadsheet, but keep them as rows."""
    if block.startswith((b" ", b"\t")) or b"\n " in block or b"\n\t" in block:
        return BLANK_LINES.sub(b"", block)
    return block


def _parse(layout: _Layout, data: bytes, ragged: list[tuple[int, int]]) -> pa.Table | None:
    """Return `data` as text columns, or None when a quotation mark is open at its end.

    Rows of another length are noted in `ragged` by index and cells.
    """

    def note(row: pacsv.InvalidRow) -> str:
        ragged.append((row.number - 1, row.actual_columns))
        return "skip" if len(ragged) < MAX_RAGGED else "error"

    marked = data + f"\n{END}{layout.delimiter * (len(layout.header) - 1)}\n".encode()
    try:
        table = pacsv.read_csv(
            pa.BufferReader(marked),
            read_options=pacsv.ReadOptions(
                use_threads=False, block_size=len(marked) + 1, column_names=list(layout.header)
            ),
            parse_options=pacsv.ParseOptions(
                delimiter=layout.delimiter, newlines_in_values=True, invalid_row_handler=note
            ),
            convert_options=pacsv.ConvertOptions(
                column_types=dict.fromkeys(layout.header, pa.string()), strings_can_be_null=False
            ),
        )
    except pa.ArrowException:
        if len(ragged) >= MAX_RAGGED:
            raise _ragged(layout, None, ragged) from None
        raise SourceError(
            f"{layout.name}: cannot be parsed as delimited text with delimiter "
            f"'{_shown(layout.delimiter)}'; check 'delimiter', and that quotation marks are paired"
        ) from None
    rows = table.num_rows - 1
    ends = rows >= 0 and table.column(0)[rows].as_py() == END
    return table.slice(0, rows) if ends else None


def _endless(layout: _Layout, data: bytes, above: int) -> SourceError:
    """Say where a record begins that has no end."""
    near = above + _rows_before_end(layout, data) + 1
    if b'"' not in data:
        return SourceError(
            f"{layout.name}: data row {near} is longer than {MAX_RECORD_BYTES // 2**20} MB; "
            "export the file again, one row per line"
        )
    return SourceError(
        f"{layout.name}: a quotation mark that is opened near data row {near} is "
        "never closed; close it or write it twice, or export the file again"
    )


def _rows_before_end(layout: _Layout, data: bytes) -> int:
    """Return how many rows come before the quotation mark that is never closed."""
    try:
        rows = csv.reader(io.StringIO(data.decode(errors="replace")), delimiter=layout.delimiter)
        return sum(1 for row in rows if row) - 1
    except csv.Error:
        return 0


def _ragged(
    layout: _Layout, places: NDArray[np.int64] | None, ragged: list[tuple[int, int]]
) -> SourceError:
    """Say which rows have another number of cells than the header."""
    if places is None:
        which = f"more than {MAX_RAGGED} rows"
    else:
        which = f"rows {some([int(places[index]) for index, _ in ragged])}"
    return SourceError(
        f"{layout.name}: the header has {len(layout.header)} cells, but {which} have "
        f"{some(sorted({cells for _, cells in ragged}))}; put text that holds the delimiter "
        f"'{_shown(layout.delimiter)}' or a line break in quotation marks, or correct 'delimiter'"
    )


def _places(layout: _Layout, data: bytes, expected: int) -> tuple[NDArray[np.int64], int]:
    """Return the place of each of the `expected` records in a block, and all that are counted.

    Arrow leaves out empty lines; a spreadsheet counts them. Places count from 1.
    """
    lines = data.count(b"\n") + (not data.endswith(b"\n") and len(data) > 0)
    if lines == expected:
        return np.arange(1, expected + 1, dtype=np.int64), lines
    if b'"' not in data or _is_regular(data, layout.delimiter):
        starts, ends = _records(data)
        places, records = np.flatnonzero(ends > starts).astype(np.int64) + 1, len(ends)
    else:
        places, records = _places_one_by_one(layout, data)
    if len(places) != expected:
        raise _unpaired(layout)
    return places, records


def _is_regular(data: bytes, delimiter: str) -> bool:
    """Return whether quotation marks stand at the ends of cells or twice within them, no other."""
    cells = np.frombuffer(b"\n" + data + b"\n", dtype=np.uint8)
    marks = np.flatnonzero(cells == ord('"'))
    allowed = np.frombuffer(f'\n"{delimiter}'.encode(), dtype=np.uint8)
    opened, closed = cells[marks[::2] - 1], cells[marks[1::2] + 1]
    paired = len(marks) % 2 == 0
    return bool(paired and np.isin(opened, allowed).all() and np.isin(closed, allowed).all())


def _records(data: bytes) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return where each record of `data` starts and ends.

    A line end within quotation marks does not end a record: it is one at which an odd number of
    quotation marks has been seen. When they do not pair (`5" plate`), every line is a record.
    """
    cells = np.frombuffer(data, dtype=np.uint8)
    quoted = np.logical_xor.accumulate(cells == ord('"')) if b'"' in data else None
    line_end = cells == ord("\n")
    if quoted is not None and not quoted[-1]:
        line_end &= ~quoted
    ends = np.flatnonzero(line_end).astype(np.int64)
    if len(cells) and (not len(ends) or ends[-1] != len(cells) - 1):
        ends = np.append(ends, len(cells))
    return np.concatenate([np.zeros(1, np.int64), ends[:-1] + 1])[: len(ends)], ends


def _places_one_by_one(layout: _Layout, data: bytes) -> tuple[NDArray[np.int64], int]:
    """Return places and count of records by Python's strict parser, where quotes are irregular."""
    rows = csv.reader(io.StringIO(data.decode()), delimiter=layout.delimiter, strict=True)
    try:
        filled = np.fromiter((bool(row) for row in rows), dtype=bool)
    except csv.Error:
        raise _unpaired(layout) from None
    return np.flatnonzero(filled).astype(np.int64) + 1, len(filled)


def _unpaired(layout: _Layout) -> SourceError:
    return SourceError(
        f"{layout.name}: a quotation mark inside a cell is not paired, so rows cannot be counted; "
        "write it twice inside quotation marks, or export the file again"
    )


def _decimal_commas(source: SourceLike, layout: _Layout, table: pa.Table) -> Iterator[str]:
    """Yield a note on columns that hold numbers with a comma when none is declared."""
    if source.decimal == ",":
        return
    beginning = table.slice(0, DECIMALS_LOOKED_AT)
    found = [
        name
        for name in layout.header
        if pc.any(pc.match_substring_regex(beginning[name], DECIMAL_COMMA)).as_py()
    ]
    if found:
        yield (
            f"{layout.name}: numbers with a decimal comma were found in {some(found)}; "
            "declare ',' in 'decimal' if they are"
        )
