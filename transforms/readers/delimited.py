"""Reads delimited text: any declared encoding and delimiter, or the detected ones, named in a note.

Arrow's parser does the work on the decoded text in memory, so no second copy of patient data is
written anywhere. Row numbers are those a person sees when the file is opened in a spreadsheet.
"""

import csv
import io
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.csv as pacsv
from numpy.typing import NDArray

from transforms.errors import SourceError
from transforms.readers.relation import (
    Part,
    SourceLike,
    SourceTable,
    column_names,
    content,
    matching_files,
    part,
    some,
    store,
)
from transforms.readers.text_encoding import text_of


__all__ = ["read", "read_part"]

DELIMITERS = (";", ",", "\t", "|")
DELIMITER_WORDS = {"tab": "\t", "\\t": "\t", "semicolon": ";", "comma": ",", "pipe": "|"}
DELIMITER_NAMES = {"\t": "tab"}
BLANK_LINES = re.compile(r"(?m)^[ \t]+$")
END = "\x1fend\x1f"  # control characters cannot come from a file: they are refused
SEPARATOR_HINT = re.compile(r"sep=(.)\n")


@dataclass(frozen=True)
class _Text:
    """A decoded file: line ends are `\\n`; the line `sep=`, which Excel never shows, is gone."""

    name: str
    body: str
    delimiter: str
    notes: tuple[str, ...]


def read(source: SourceLike, inbox: Path, connection: duckdb.DuckDBPyConnection) -> SourceTable:
    """Read all files of a delimited source into `source.<id>`.

    Raises SourceError, naming file and rows but never content, for a file that is not text, does
    not have the declared encoding or delimiter, or has rows of another length than its header.
    """
    read_parts = [
        read_part(source, path, path.relative_to(inbox).as_posix())
        for path in matching_files(source, inbox)
    ]
    notes = [note for _, found in read_parts for note in found]
    return store(source, [piece for piece, _ in read_parts], connection, notes=notes)


def read_part(source: SourceLike, path: Path, name: str) -> tuple[Part, tuple[str, ...]]:
    """Return the rows of one file, called `name` in messages, and notes on what was detected."""
    text = _text(source, content(path, name), name)
    starts, ends = _records(text.body)
    header_row = source.header_row - 1
    if not 0 <= header_row < len(starts):
        raise SourceError(
            f"{name}: header_row {source.header_row} is declared, but the file has "
            f"{len(starts)} rows; correct 'header_row' in sheet 'sources'"
        )
    data = text.body.encode()
    header = _header(source, text, data[starts[header_row] : ends[header_row]].decode())
    return _rows(text, data[ends[header_row] + 1 :], header, source.header_row), text.notes


def _text(source: SourceLike, data: bytes, name: str) -> _Text:
    """Decode `data` and settle the delimiter."""
    body, notes = text_of(data, source.encoding, name)
    body = BLANK_LINES.sub("", body)
    hint = SEPARATOR_HINT.match(body)
    body = body[hint.end() :] if hint else body
    delimiter, found = _delimiter(source, body, name, hint.group(1) if hint else "")
    return _Text(name, body, delimiter, (*notes, *found))


def _delimiter(source: SourceLike, body: str, name: str, hint: str) -> tuple[str, tuple[str, ...]]:
    """Return the delimiter: declared, hinted by `sep=`, or most frequent in the header row.

    A detected one is noted unless it is the comma, which is what CSV stands for.
    """
    row = source.header_row - 1
    header = body.split("\n", row + 1)[: row + 1][-1]
    best = max(DELIMITERS, key=header.count)
    found = best if header.count(best) else ""
    declared = DELIMITER_WORDS.get(source.delimiter.strip().lower(), source.delimiter)
    if len(declared) > 1:
        raise SourceError(
            f"source {source.source}: delimiter '{declared}' is more than one character; "
            "use ; , | or tab in column 'delimiter'"
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


def _records(body: str) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return where each record of `body` starts and ends, in UTF-8 bytes.

    A line end within quotation marks does not end a record: it is one at which an odd number of
    quotation marks has been seen. When they do not pair (`5" plate`), every line is a record.
    """
    data = np.frombuffer(body.encode(), dtype=np.uint8)
    quoted = np.logical_xor.accumulate(data == ord('"')) if b'"'[0] in data else None
    line_end = data == ord("\n")
    if quoted is not None and not quoted[-1]:
        line_end &= ~quoted
    ends = np.flatnonzero(line_end).astype(np.int64)
    if not len(ends) or ends[-1] != len(data) - 1:
        ends = np.append(ends, len(data))
    return np.concatenate([np.zeros(1, np.int64), ends[:-1] + 1]), ends


def _header(source: SourceLike, text: _Text, line: str) -> tuple[str, ...]:
    cells = next(csv.reader(io.StringIO(line), delimiter=text.delimiter), [])
    if not any(cell.strip() for cell in cells):
        raise SourceError(
            f"{text.name}: row {source.header_row} should hold the column names but is empty; "
            "correct 'header_row' in sheet 'sources'"
        )
    return column_names(cells)


def _rows(text: _Text, data: bytes, header: Sequence[str], header_row: int) -> Part:
    """Parse `data`, the bytes below the header, into a Part."""
    ragged: list[tuple[int, int]] = []
    table = _parse(text, data, header, ragged)
    rows = _row_numbers(text, data, table.num_rows + len(ragged)) + header_row
    if ragged:
        numbers = [int(rows[index]) for index, _ in ragged]
        raise SourceError(
            f"{text.name}: the header has {len(header)} cells, but rows {some(numbers)} have "
            f"{some(sorted({cells for _, cells in ragged}))}; put text that holds the delimiter "
            f"'{_shown(text.delimiter)}' or a line break in quotation marks, or correct 'delimiter'"
        )
    return part(text.name, "", header, table.columns, pa.array(rows))


def _parse(
    text: _Text, data: bytes, header: Sequence[str], ragged: list[tuple[int, int]]
) -> pa.Table:
    """Return `data` as text columns; rows of another length are noted in `ragged` by index.

    A row of our own is put behind the data, to see whether the parser comes to the end of it.
    """

    def note(row: pacsv.InvalidRow) -> str:
        ragged.append((row.number - 1, row.actual_columns))
        return "skip"

    marked = data + f"\n{END}{text.delimiter * (len(header) - 1)}\n".encode()
    try:
        table = pacsv.read_csv(
            pa.BufferReader(marked),
            read_options=pacsv.ReadOptions(
                use_threads=False, block_size=len(marked) + 1, column_names=list(header)
            ),
            parse_options=pacsv.ParseOptions(
                delimiter=text.delimiter, newlines_in_values=True, invalid_row_handler=note
            ),
            convert_options=pacsv.ConvertOptions(
                column_types=dict.fromkeys(header, pa.string()), strings_can_be_null=False
            ),
        )
    except pa.ArrowException:
        raise SourceError(
            f"{text.name}: cannot be parsed as delimited text with delimiter "
            f"'{_shown(text.delimiter)}'; check 'delimiter', and that quotation marks are paired"
        ) from None
    return _without_end(text, table)


def _without_end(text: _Text, table: pa.Table) -> pa.Table:
    """Return `table` without the row put behind the data; an open quotation mark swallows it."""
    rows = table.num_rows - 1
    if rows < 0 or table.column(0)[rows].as_py() != END:
        raise SourceError(
            f"{text.name}: a quotation mark that is opened near data row {max(rows, 0) + 1} is "
            "never closed; close it or write it twice, or export the file again"
        )
    return table.slice(0, rows)


def _row_numbers(text: _Text, data: bytes, expected: int) -> NDArray[np.int64]:
    """Return the place of each of the `expected` records below the header, counted from 1.

    Arrow leaves out empty lines; a spreadsheet counts them.
    """
    if not expected:
        return np.zeros(0, np.int64)
    starts, ends = _records(data.decode())
    places = np.flatnonzero(ends > starts) + 1
    if len(places) == expected:
        return places.astype(np.int64)
    if not data.startswith(b"\n") and b"\n\n" not in data.rstrip(b"\n"):
        return np.arange(1, expected + 1, dtype=np.int64)
    raise SourceError(
        f"{text.name}: a quotation mark inside a cell is not paired, so rows cannot be counted; "
        "write it twice inside quotation marks, or export the file again"
    )
