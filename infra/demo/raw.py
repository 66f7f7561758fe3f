"""Writes truth as a centre writes it: dates, numbers and words as text, files with fixed bytes."""

import csv
import io
import re
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from infra.demo.columns import Array, Columns


__all__ = [
    "Place",
    "dates",
    "fixed_bytes",
    "numbers",
    "rows_of",
    "save_workbook",
    "spread",
    "tick",
    "words",
    "write_csv",
]

EPOCH = (1980, 1, 1, 0, 0, 0)
STAMP = re.compile(rb"(<dcterms:\w+[^>]*>)[^<]*(</dcterms)")


@dataclass(frozen=True)
class Place:
    """Where the rows of one truth table stand in a centre's files; row 0: not exported."""

    file: Array
    sheet: Array
    rows: Array

    @classmethod
    def of(cls, file: str, sheet: str, rows: Array) -> "Place":
        """Return the place of rows that all stand in one sheet of one file."""

        def same(text: str) -> Array:
            return np.full(len(rows), text, dtype=object)

        return cls(same(file), same(sheet), rows)


def dates(values: Array, pattern: str = "{y}-{m}-{d}") -> Array:
    """Return days as text by `pattern` with {y}, {m} and {d}; missing ones as ""."""
    texts = np.datetime_as_string(values.astype("datetime64[D]"))
    parts = ("" if t == "NaT" else pattern.format(y=t[:4], m=t[5:7], d=t[8:10]) for t in texts)
    return _text(list(parts))


def numbers(values: Array, digits: int, decimal: str = ".") -> Array:
    """Return numbers as text with so many digits behind the decimal sign; missing ones as ""."""
    texts = ("" if np.isnan(v) else f"{v:.{digits}f}" for v in values.astype(float))
    return _text([text.replace(".", decimal) for text in texts])


def words(values: Array, names: Mapping[str, str]) -> Array:
    """Return each code's word; a code without a word stands as it is, as an artefact does."""
    return _text([names.get(value, value) for value in values])


def tick(values: Array, yes: str, no: str) -> Array:
    """Return `yes` or `no` for each truth value."""
    return np.where(values.astype(bool), yes, no).astype(object)


def spread(size: int, who: Array, values: Array, blank: Any = "") -> Array:
    """Return `values`, one per patient, at the patients' own places; `blank` where there is none.

    The type follows the values: a missing date is NaT, a missing number NaN.
    """
    if values.dtype.kind == "M":
        blank = np.datetime64("NaT")
    elif values.dtype.kind == "f":
        blank = np.nan
    full = np.full(size, blank, dtype=values.dtype if values.dtype.kind in "Mf" else object)
    full[who] = values
    return full


def rows_of(table: Columns, first_row: int) -> Array:
    """Return the row numbers of a table that is written as it stands from `first_row` on."""
    return np.arange(len(table)) + first_row


def write_csv(
    path: Path,
    columns: Mapping[str, Array],
    *,
    delimiter: str = ",",
    encoding: str = "utf-8",
) -> None:
    """Write columns of text as delimited text with a header."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", encoding=encoding, newline="") as lines:
        writer = csv.writer(lines, delimiter=delimiter, lineterminator="\r\n")
        writer.writerow(columns)
        writer.writerows(zip(*columns.values(), strict=True))


def save_workbook(path: Path, sheets: Mapping[str, Sequence[Sequence[Any]]]) -> None:
    """Write an Excel workbook whose bytes depend on its cells alone."""
    from openpyxl import Workbook

    book = Workbook(write_only=True)
    for name, rows in sheets.items():
        sheet = book.create_sheet(name)
        for row in rows:
            sheet.append([None if cell == "" else cell for cell in row])
    loose = io.BytesIO()
    book.save(loose)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(fixed_bytes(loose))


def fixed_bytes(loose: io.BytesIO) -> bytes:
    """Return the archive with every time in it set to one constant."""
    fixed = io.BytesIO()
    with zipfile.ZipFile(loose) as source, zipfile.ZipFile(fixed, "w") as target:
        for name in source.namelist():
            content = STAMP.sub(rb"\g<1>2026-06-30T00:00:00Z\g<2>", source.read(name))
            entry = zipfile.ZipInfo(name, EPOCH)
            entry.compress_type = zipfile.ZIP_DEFLATED
            target.writestr(entry, content)
    return fixed.getvalue()


def _text(items: Sequence[str]) -> Array:
    """Return texts as an array that is one-dimensional even when empty."""
    array = np.empty(len(items), dtype=object)
    array[:] = items
    return array
