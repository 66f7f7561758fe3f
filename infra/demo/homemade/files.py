"""Writes hand-made tables: workbooks with merged headings, OpenDocument sheets, delimited text."""

import io
import zipfile
from collections.abc import Iterator, Sequence
from itertools import groupby
from pathlib import Path
from typing import Any
from xml.sax.saxutils import escape

from infra.demo.homemade.table import COUNTED, Sheet
from infra.demo.raw import EPOCH, fixed_bytes, write_csv


__all__ = ["write_delimited", "write_open_document", "write_workbook"]

Row = list[Any]
OFFICE = "urn:oasis:names:tc:opendocument:xmlns:"
MIMETYPE = "application/vnd.oasis.opendocument.spreadsheet"
MANIFEST = (
    '<?xml version="1.0" encoding="UTF-8"?><manifest:manifest '
    f'xmlns:manifest="{OFFICE}manifest:1.0"><manifest:file-entry manifest:full-path="/" '
    f'manifest:media-type="{MIMETYPE}"/><manifest:file-entry manifest:full-path="content.xml" '
    'manifest:media-type="text/xml"/></manifest:manifest>'
)


def write_delimited(path: Path, sheet: Sheet, *, encoding: str) -> None:
    """Write a table as text with semicolons."""
    columns = {column.name: column.texts for column in sheet.columns}
    write_csv(path / sheet.file, columns, delimiter=";", encoding=encoding)


def write_workbook(path: Path, legend: tuple[str, Sequence[str]], sheets: Sequence[Sheet]) -> None:
    """Write an Excel workbook: a legend, then a sheet per table with title, headings and names."""
    from openpyxl import Workbook

    book = Workbook()
    book.active.title = legend[0]
    for line in legend[1]:
        book.active.append([line])
    for sheet in sheets:
        page = book.create_sheet(sheet.name)
        for row in _lines(sheet):
            page.append([None if cell == "" else cell for cell in row])
        for start, end in _merges(sheet):
            place = len(sheet.title) + 1
            page.merge_cells(start_row=place, end_row=place, start_column=start, end_column=end)
    loose = io.BytesIO()
    book.save(loose)
    (path / sheets[0].file).write_bytes(fixed_bytes(loose))


def write_open_document(path: Path, sheets: Sequence[Sheet]) -> None:
    """Write an OpenDocument spreadsheet, as LibreOffice keeps it."""
    tables = "".join(_table(sheet) for sheet in sheets)
    content = (
        '<?xml version="1.0" encoding="UTF-8"?><office:document-content '
        f'xmlns:office="{OFFICE}office:1.0" xmlns:table="{OFFICE}table:1.0" '
        f'xmlns:text="{OFFICE}text:1.0" office:version="1.2"><office:body>'
        f"<office:spreadsheet>{tables}</office:spreadsheet></office:body>"
        "</office:document-content>"
    )
    with zipfile.ZipFile(path / sheets[0].file, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, text in (("mimetype", MIMETYPE), ("content.xml", content),
                           ("META-INF/manifest.xml", MANIFEST)):  # fmt: skip
            entry = zipfile.ZipInfo(name, EPOCH)
            entry.compress_type = zipfile.ZIP_STORED if name == "mimetype" else zipfile.ZIP_DEFLATED
            archive.writestr(entry, text)


def _lines(sheet: Sheet) -> Iterator[Row]:
    """Yield title, headings, names, rows and the row that sums up."""
    yield from ([line] if line else [] for line in sheet.title)
    if any(column.group for column in sheet.columns):
        yield [group if first else "" for group, first in _headings(sheet)]
    yield [column.name for column in sheet.columns]
    rows = list(zip(*(column.texts for column in sheet.columns), strict=True))
    yield from (list(row) for row in rows)
    if sheet.total:
        yield [sheet.total, *[""] * (COUNTED - 1), len(rows)][: len(sheet.columns)]


def _headings(sheet: Sheet) -> Iterator[tuple[str, bool]]:
    """Yield each column's heading, and whether it is the first under it."""
    for group, members in groupby(sheet.columns, key=lambda column: column.group):
        for number, _ in enumerate(members):
            yield group, number == 0


def _merges(sheet: Sheet) -> Iterator[tuple[int, int]]:
    """Yield first and last column of each heading that spans several."""
    place = 1
    for group, members in groupby(sheet.columns, key=lambda column: column.group):
        width = len(list(members))
        if group and width > 1:
            yield place, place + width - 1
        place += width


def _table(sheet: Sheet) -> str:
    """Return a sheet as OpenDocument XML."""
    rows = "".join(
        f"<table:table-row>{''.join(map(_cell, row)) or '<table:table-cell/>'}</table:table-row>"
        for row in _lines(sheet)
    )
    return f'<table:table table:name="{escape(sheet.name)}">{rows}</table:table>'


def _cell(value: Any) -> str:
    """Return a cell: a number, a text, or nothing."""
    if value in ("", None):
        return "<table:table-cell/>"
    if isinstance(value, int):
        return (
            f'<table:table-cell office:value-type="float" office:value="{value}">'
            f"<text:p>{value}</text:p></table:table-cell>"
        )
    return (
        '<table:table-cell office:value-type="string">'
        f"<text:p>{escape(str(value))}</text:p></table:table-cell>"
    )
