"""Looks at the first rows of a file that nobody has described yet, for `marmor site scan`.

The relation has `kind` (what the file is), `detail` (the delimiter of a text), and the
cells of the first rows of each sheet as `c1`, `c2`, …, as they stand; nothing is a header yet.
"""

import csv
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import zip_longest
from pathlib import Path
from statistics import median

import duckdb
import pyarrow as pa

from transforms.errors import SourceError
from transforms.readers import delimited, excel
from transforms.readers.excel_odd import fill_merged
from transforms.readers.relation import (
    Part,
    SourceLike,
    SourceTable,
    begin,
    matching_files,
    part,
    store,
)
from transforms.readers.text_encoding import text_of


__all__ = ["KINDS", "ROWS", "read"]

ROWS = 40  # a title, a legend and a merged header are seldom longer
MAX_WIDTH = 400
BEGINNING = 2**16
KINDS = ("excel", "delimited", "redcap_json", "phenopackets", "fhir", "parquet")
DELIMITERS = (";", ",", "\t", "|")
WORKBOOKS = (b"PK\x03\x04", b"\xd0\xcf\x11\xe0")
# The first of these that a JSON text mentions says what it is.
MARKS = (
    ("fhir", re.compile(r'"resourceType"\s*:')),
    ("phenopackets", re.compile(r'"(subject|phenotypic_?[fF]eatures|meta_?[dD]ata)"\s*:')),
    ("redcap_json", re.compile(r'"(redcap_[a-z_]+|field_name|record)"\s*:')),
)


@dataclass(frozen=True)
class _Look:
    """The first rows of one sheet, as texts."""

    kind: str
    detail: str
    sheet: str
    rows: Sequence[Sequence[str]]


def read(source: SourceLike, inbox: Path, connection: duckdb.DuckDBPyConnection) -> SourceTable:
    """Lay down the first rows of all sheets of a source's files as `source.<id>`.

    Raises SourceError for a file that no reader reads.
    """
    parts = []
    for path in matching_files(source, inbox):
        name = path.relative_to(inbox).as_posix()
        looks = list(_look(path, name))
        width = max((len(row) for look in looks for row in look.rows[:ROWS]), default=1)
        parts += [_part(name, look, min(width, MAX_WIDTH)) for look in looks]
    return store(source, parts, connection)


def _part(name: str, look: _Look, width: int) -> Part:
    """Return one sheet's cells in as many columns as the widest sheet of the file has."""
    rows = [row[:width] for row in look.rows[:ROWS]] or [[]]
    columns = list(zip_longest(*rows, fillvalue="")) or []
    columns += [("",) * len(rows)] * (width - len(columns))
    cells = [pa.array(column, pa.string()) for column in columns]
    said = [pa.repeat(text, len(rows)) for text in (look.kind, look.detail)]
    names = ["kind", "detail", *(f"c{number}" for number in range(1, width + 1))]
    numbers = pa.array(range(1, len(rows) + 1), pa.int64())
    return part(name, look.sheet, names, [*said, *cells], numbers)


def _look(path: Path, name: str) -> Iterator[_Look]:
    """Yield the sheets of a file; a text or a JSON file is one sheet without a name."""
    begin(name)
    with path.open("rb") as stream:
        start = stream.read(BEGINNING)
    if start.startswith(WORKBOOKS):
        yield from _workbook(path, name)
    elif start.startswith(b"PAR1"):
        yield _Look("parquet", "", "", [])
    elif (mark := _json_kind(start)) is not None:
        yield _Look(mark, "", "", [])
    else:
        yield _text(start, name)


def _workbook(path: Path, name: str) -> Iterator[_Look]:
    """Yield every sheet of a workbook that holds anything; SourceError when none does."""
    opened, empty = excel._open(path, name), True
    for sheet in opened.book.sheet_names:
        grid, ranges = excel._grid(opened, sheet, name)
        fill_merged(ranges, grid, 0)
        rows = [[_text_of(cell) for cell in row] for row in grid[:ROWS]]
        if any(cell for row in rows for cell in row):
            empty = False
            yield _Look("excel", "", sheet, rows)
    if empty:
        raise SourceError(f"{name}: no sheet of it holds anything; export the data again")


def _text_of(cell: object) -> str:
    """Return a cell as text; a whole number without its decimals."""
    if isinstance(cell, float) and cell.is_integer():
        return str(int(cell))
    return str(cell).strip()


def _json_kind(start: bytes) -> str | None:
    """Return what kind of JSON a file begins as; None when it is none."""
    text = start.decode("utf-8", "replace").lstrip("\ufeff \r\n\t")
    if not text.startswith(("{", "[")):
        return None
    return next((kind for kind, mark in MARKS if mark.search(text)), None)


def _text(start: bytes, name: str) -> _Look:
    """Return the first lines of delimited text, cut at its likeliest delimiter."""
    text, _ = text_of(_whole_lines(start), "", name)
    lines = text.split("\n")[:ROWS]
    delimiter = max(DELIMITERS, key=lambda sign: _regularity(lines, sign))
    if not _regularity(lines, delimiter):
        raise SourceError(
            f"{name}: no table in it: no line has ; , tab or |; export a table as CSV or .xlsx"
        )
    rows = [[cell.strip() for cell in row] for row in _cells(lines, delimiter)]
    return _Look("delimited", delimited.DELIMITER_NAMES.get(delimiter, delimiter), "", rows)


def _whole_lines(start: bytes) -> bytes:
    """Return the beginning of a file without a line, or a letter of UTF-16, that is cut off."""
    if len(start) < BEGINNING:
        return start
    end = start.rfind(b"\n") + 1
    return start[: end + end % 2] if start.startswith((b"\xff\xfe", b"\xfe\xff")) else start[:end]


def _cells(lines: Sequence[str], delimiter: str) -> Iterator[list[str]]:
    """Yield each line's cells; one line at a time, so that row numbers stay those of the file."""
    for line in lines:
        yield next(csv.reader([line], delimiter=delimiter), [])


def _regularity(lines: Sequence[str], delimiter: str) -> float:
    """Return how often a sign stands in most lines."""
    counts = [line.count(delimiter) for line in lines if line.strip()]
    return median(counts) if counts else 0.0
