"""The content that the workbooks of this folder share: invented, of nobody.

`python tests/spec/readers/workbooks/content.py FOLDER` writes it as xlsx, to convert from.
"""

import datetime
import io
import sys
from pathlib import Path

import openpyxl
from openpyxl.utils.datetime import CALENDAR_MAC_1904, CALENDAR_WINDOWS_1900


__all__ = ["CALENDARS", "calendar", "content"]

CALENDARS = {"1900": CALENDAR_WINDOWS_1900, "1904": CALENDAR_MAC_1904}
SERIALS = (59, 60, 61, 30_000, 44_000.75)

ROWS = (
    ("Übersicht 2024",),
    ("IPP", "Größe\n(Wort)", "Calcium", None, "Besuch", None, "Fraktur", "Befund"),
    (None, None, "Wert", "Datum", "Datum", "Uhrzeit", None, None),
    ("p1", "naïve ß 骨", 2.35, datetime.date(1987, 12, 31), datetime.date(2014, 3, 9),
     datetime.time(8, 30), True, "Z. n. Fraktur"),
    (None, "<0,5", -3, datetime.date(2000, 2, 29), datetime.datetime(2020, 2, 29, 23, 59, 59),
     None, False, None),
    ("p2", "007", 1234.5, datetime.date(1900, 3, 1), None, None, True, "#N/A"),
)  # fmt: skip
MERGED = ("A1:H1", "A2:A3", "B2:B3", "C2:D2", "E2:F2", "G2:G3", "H2:H3", "A4:A5")


def content(boolean_format: str = "General") -> bytes:
    """Return a workbook of two sheets; the columns of the first are named in rows 2 and 3."""
    book = openpyxl.Workbook()
    sheet = book.active
    sheet.title = "Überblick"
    for row in ROWS:
        sheet.append(row)
    sheet["H6"].data_type = "e"
    for number in (4, 5, 6):
        sheet.cell(number, 7).number_format = boolean_format
    for cells in MERGED:
        sheet.merge_cells(cells)
    second = book.create_sheet("Familie Muster")
    second.append(["id", "x"])
    second.append([1, "zwei"])
    return _saved(book)


def calendar(first_year: str) -> bytes:
    """Return a workbook of serial numbers, shown as dates counted from 1900 or 1904."""
    book = openpyxl.Workbook()
    book.epoch = CALENDARS[first_year]
    sheet = book.active
    sheet.append(["id", "day"])
    for number, serial in enumerate(SERIALS, start=1):
        sheet.append([number, serial])
        sheet.cell(number + 1, 2).number_format = "yyyy-mm-dd hh:mm"
    return _saved(book)


def _saved(book: openpyxl.Workbook) -> bytes:
    stream = io.BytesIO()
    book.save(stream)
    return stream.getvalue()


if __name__ == "__main__":
    folder = Path(sys.argv[1])
    (folder / "content.xlsx").write_bytes(content())
    # LibreOffice writes a boolean of no format as a number into ods, one of any format into xls.
    (folder / "for_ods.xlsx").write_bytes(content('"TRUE";"TRUE";"FALSE"'))
    for year in CALENDARS:
        (folder / f"calendar{year}.xlsx").write_bytes(calendar(year))
