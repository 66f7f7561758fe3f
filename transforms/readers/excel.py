"""Reads workbooks (xlsx, xlsm, xlsb, xls, ods) with calamine, column by column.

A typed cell becomes the text a person would write: whole numbers without `.0`, other numbers with
the source's declared decimal mark, dates and times in ISO form, booleans as true and false.

The declared row alone names the columns, unless several are declared (`3-4`): then a heading goes
before each name below it, `Labor / Hb`. A cell of the header that is merged with cells above names
its column too; a cell of one row that is merged over several columns names the first, and the
others are `column N`; a name that stands twice, as under two headings, becomes `date` and
`date (2)`. What stands above is left out; `marmor site scan` shows headings over several columns.

What is said of a sheet gives its position, never its name: that is free text, perhaps a patient's.
"""

import datetime
import functools
import io
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from transforms.errors import AbsentError, SourceError
from transforms.readers import binary_workbook, workbook_guard
from transforms.readers.excel_odd import fill_header, fill_merged, header_names, remarks
from transforms.readers.open_document import Range, durations, merged_cells
from transforms.readers.panics import refusing
from transforms.readers.relation import (
    BLANKS,
    MAX_COLUMNS,
    Part,
    SourceLike,
    SourceTable,
    column_names,
    content,
    matching_files,
    part,
    store,
)


if TYPE_CHECKING:
    from python_calamine import CalamineWorkbook

__all__ = ["read"]

ZIP = b"PK\x03\x04"
UNFILLED = (
    "merged cells are in this .xlsb and not all could be found; only their first row has the "
    "value: save it as .xlsx"
)
OLD_EXCEL = b"\xd0\xcf\x11\xe0"
KEPT_BYTES = 20 * 2**20
DATES = {datetime.date, datetime.datetime}
NUMBERS = {int, float}
BEFORE = datetime.date(1900, 3, 1)  # Excel counts a 29 February 1900, as day 60
DATE_TEXT = re.compile(r"\s*\d{1,2}[./-]\d{1,2}[./-]\d{2,4}\s*")


@dataclass(frozen=True)
class _Opened:
    """A workbook, notes on it, and the merged cells of its sheets where calamine tells none."""

    book: "CalamineWorkbook"
    notes: tuple[str, ...]
    merged: tuple[tuple[Range, ...], ...]


def read(source: SourceLike, inbox: Path, connection: duckdb.DuckDBPyConnection) -> SourceTable:
    """Read one sheet of all workbooks of a source into `source.<id>`.

    `sheet` is the sheet's name, or its position counted from 1, or empty for the first sheet.
    Raises SourceError for a file that is not a workbook, exceeds the limits of `workbook_guard`,
    or has no such sheet. The names of the other sheets go into `other_parts` and no message.
    """
    parts, notes, others = [], [], set()
    for path in matching_files(source, inbox):
        name = path.relative_to(inbox).as_posix()
        opened = _open(path, name)
        piece, odd = _read_part(source, opened, name)
        parts.append(piece)
        notes += [*opened.notes, *odd]
        sheets = opened.book.sheet_names
        others |= set(sheets) - {_sheet_name(source, sheets, name)}
    return store(source, parts, connection, notes=notes, other_parts=others)


def _open(path: Path, name: str) -> _Opened:
    """Return the workbook at `path`."""
    data = content(path, name)
    look = _look if len(data) <= KEPT_BYTES else _look.__wrapped__
    return look(data, name)


@functools.lru_cache(maxsize=1)
def _look(data: bytes, name: str) -> _Opened:
    """Check and open a workbook; the last one is kept, because its next sheet comes next."""
    from python_calamine import CalamineWorkbook

    is_zip, found = data.startswith(ZIP), _checked(data, name)
    notes = [f"{name}: {count} {what}" for count, what in _valueless(found) if count]
    with refusing(name, f"{name}: the workbook cannot be read"):
        book = CalamineWorkbook.from_filelike(io.BytesIO(data))
    if len(set(book.sheet_names)) < len(book.sheet_names):  # then the first is given for both
        raise SourceError(
            f"{name}: two of its sheets have one name; open it in Excel and save it again as .xlsx"
        )
    merged = (binary_workbook.merged_cells(data) or merged_cells(data)) if is_zip else ()
    if found.unseen_merges > sum(map(len, merged)):
        notes.append(f"{name}: {found.unseen_merges} {UNFILLED}")
    return _Opened(book, tuple(notes), merged)


def _checked(data: bytes, name: str) -> workbook_guard.Inspection:
    """Refuse what is no workbook or unfolds too far; return what was found in it."""
    if not data.startswith((ZIP, OLD_EXCEL)):
        raise SourceError(
            f"{name}: an Excel workbook was expected, but the file is not one, whatever its name; "
            "if it is text, declare format delimited, otherwise save it as .xlsx"
        )
    return workbook_guard.inspect(data, name) if data.startswith(ZIP) else workbook_guard.old(data)


def _valueless(found: workbook_guard.Inspection) -> Iterator[tuple[int, str]]:
    """Yield how many cells have no value, and why."""
    yield found.error_cells, "cells hold an Excel error; read as empty"
    yield (
        found.valueless_cells,
        "cells hold a formula without a stored value; read as empty: "
        "open the file in Excel and save it",
    )


def _sheet_name(source: SourceLike, sheets: Sequence[str], name: str) -> str:
    """Return the sheet that the source declares by name or position, or the first one."""
    wanted = source.sheet.strip()
    if wanted in sheets:
        return wanted
    position = int(wanted) if wanted.isdecimal() else 1
    if (not wanted or wanted.isdecimal()) and 1 <= position <= len(sheets):
        return sheets[position - 1]
    raise AbsentError(
        f"{name}: there is no sheet '{source.sheet}' among its {len(sheets)}: correct 'sheet' "
        f"of source {source.source}, a name as `marmor site scan` shows it or a position"
    )


def _read_part(source: SourceLike, opened: _Opened, name: str) -> tuple[Part, list[str]]:
    """Return the rows below the header row, and notes on columns whose cells look converted."""
    workbook = opened.book
    sheet = _sheet_name(source, workbook.sheet_names, name)
    grid, ranges = _grid(opened, sheet, name)
    header_row, where = source.header_row, _place(workbook, sheet, name)
    fill_header(ranges, grid, header_row)
    merged = fill_merged(ranges, grid, header_row)
    header = (
        header_names(ranges, grid, header_row, source.header_lines, _name_in(source.decimal))
        if len(grid) >= header_row
        else []
    )
    if not any(header):
        raise SourceError(
            f"{where}: row {header_row} should hold the column names but is empty; "
            "correct 'header_row' in sheet 'sources' of the mapping"
        )
    every = list(zip(*grid[header_row:], strict=True)) or [()] * len(header)
    named = column_names(header)
    used = [n for n, name in enumerate(header) if name or any(cell != "" for cell in every[n])]
    columns, cells = [named[place] for place in used], [every[place] for place in used]
    odd = [*remarks(workbook, where, grid, header_row, merged)]
    odd += [
        n for c, v in zip(columns, cells, strict=True) for n in _odd(f"{where}, column '{c}'", v)
    ]
    rows = pa.array(np.arange(header_row + 1, len(grid) + 1))
    values = [durations(_texts(column, source.decimal)) for column in cells]
    return part(name, sheet, columns, values, rows), odd


def _name_in(decimal: str) -> Callable[[Any], str]:
    """Return what gives a header cell's text, on one line, numbers with the decimal mark."""

    def name(cell: Any) -> str:
        text = cell if type(cell) is str else _texts([cell], decimal)[0].as_py()
        return " ".join(text.strip(BLANKS).split())

    return name


def _place(workbook: "CalamineWorkbook", sheet: str, name: str) -> str:
    """Return what a message calls a sheet: the file, and its position counted from 1."""
    return f"{name}, sheet {workbook.sheet_names.index(sheet) + 1}"


def _grid(opened: _Opened, sheet: str, name: str) -> tuple[list[list[Any]], Sequence[Range]]:
    """Return the cells of `sheet` from A1 on, all rows of one length, and which are merged.

    Empty cells are ''.
    """
    book = opened.book
    with refusing(name, f"{_place(book, sheet, name)}: it cannot be read"):
        found = book.get_sheet_by_name(sheet)
        _check_extent(found.end, _place(book, sheet, name))
        grid = found.to_python(skip_empty_area=False)
    if opened.merged:
        return grid, opened.merged[book.sheet_names.index(sheet)]
    return grid, found.merged_cell_ranges or []


def _check_extent(end: tuple[int, int] | None, where: str) -> None:
    """Refuse a sheet that reaches too far, before its cells are made; `end` is its last cell."""
    rows, columns = (end[0] + 1, end[1] + 1) if end else (0, 0)
    if columns > MAX_COLUMNS or rows * columns > workbook_guard.MAX_CELLS:
        raise SourceError(
            f"{where}: it reaches to row {rows} and column {columns}; at most {MAX_COLUMNS} "
            f"columns and {workbook_guard.MAX_CELLS} cells are read: delete the empty rows and "
            "columns beyond the data and save it again"
        )


def _odd(where: str, column: Sequence[Any]) -> list[str]:
    """Return notes on cells that Excel has probably converted on its own."""
    kinds = set(map(type, column))
    if not kinds & DATES:
        return []
    notes = []
    if early := sum(_is_early(cell) for cell in column):
        notes.append(
            f"{where}: {early} dates before 1 March 1900: small numbers shown as dates, or the "
            "29 February 1900 that never was; correct them in the source"
        )
    if kinds & NUMBERS:
        notes.append(f"{where}: dates among numbers; Excel may have turned '1-2' into a date")
    if any(re.fullmatch(DATE_TEXT, cell) for cell in column if type(cell) is str):
        notes.append(
            f"{where}: dates among texts that look like dates; the workbook was probably opened "
            "with another country's settings: day and month may be swapped in the dates"
        )
    return notes


def _is_early(cell: object) -> bool:
    """Tell whether a cell is a date that Excel and the calendar may number differently."""
    if isinstance(cell, datetime.datetime):
        return cell.date() < BEFORE
    return isinstance(cell, datetime.date) and cell < BEFORE


def _texts(column: Sequence[Any], decimal: str) -> pa.Array:
    """Return the cells of one column as texts, one kind of cell at a time."""
    values = np.empty(len(column), dtype=object)
    values[:] = column
    kinds = np.fromiter(map(type, column), dtype=object, count=len(column))
    texts = np.empty(len(column), dtype=object)
    for kind in set(kinds):
        chosen = kinds == kind
        texts[chosen] = WRITERS[kind](values[chosen], decimal or ".").to_pylist()
    return pa.array(texts, pa.string())


def _number(values: NDArray[np.object_], decimal: str) -> pa.Array:
    """Whole numbers below 2^53 as integers, others in the shortest form that reads back equal."""
    numbers = pa.array(values.astype(np.float64))
    whole = pc.and_(pc.equal(pc.floor(numbers), numbers), pc.less(pc.abs(numbers), 2.0**53))
    integers = pc.if_else(whole, numbers, 0.0).cast(pa.int64()).cast(pa.string())
    others = pc.replace_substring(numbers.cast(pa.string()), ".", decimal)
    return pc.if_else(whole, integers, others)


def _moment(values: NDArray[np.object_], decimal: str) -> pa.Array:
    moments = pa.array(values, pa.timestamp("us")).cast(pa.timestamp("s"), safe=False)
    written = pc.strftime(moments, "%Y-%m-%d %H:%M:%S")
    return pc.replace_substring_regex(written, " 00:00:00$", "")


def _hours(value: datetime.timedelta) -> str:
    """Return a duration as Excel shows it, `30:15:00`, without parts of a second."""
    seconds = int(abs(value).total_seconds())
    sign = "-" if value < datetime.timedelta() else ""
    return f"{sign}{seconds // 3600:02}:{seconds // 60 % 60:02}:{seconds % 60:02}"


Writer = Callable[[NDArray[np.object_], str], pa.Array]

WRITERS: Mapping[type, Writer] = {
    str: lambda values, _: pa.array(values, pa.string()),
    int: _number,
    float: _number,
    bool: lambda values, _: pc.if_else(pa.array(values, pa.bool_()), "true", "false"),
    datetime.date: lambda values, _: pa.array(values, pa.date32()).cast(pa.string()),
    datetime.datetime: _moment,
    datetime.time: lambda values, _: (
        pa.array(values, pa.time64("us")).cast(pa.time32("s"), safe=False).cast(pa.string())
    ),
    datetime.timedelta: lambda values, _: pa.array(list(map(_hours, values)), pa.string()),
}
