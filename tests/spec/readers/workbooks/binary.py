"""Builds an xlsb, which nothing here writes, of the records that MS-XLSB asks for.

A record is its type and its size, seven bits a byte, and its content; the numbers are those of
[MS-XLSB] 2.3.
"""

import datetime
import io
import struct
import zipfile
from collections.abc import Sequence


__all__ = ["binary_workbook"]

ROW, ERROR, BOOL, REAL, STRING, FORMAT = 0, 3, 4, 5, 6, 47
BEGIN_SHEET, END_SHEET, BEGIN_BOOK, END_BOOK = 129, 130, 131, 132
BEGIN_SHEETS, END_SHEETS, BEGIN_DATA, END_DATA, DIMENSIONS = 143, 144, 145, 146, 148
BOOK_PROPERTIES, SHEET, MERGED_CELL, BEGIN_MERGED, END_MERGED = 153, 156, 176, 177, 178
BEGIN_FORMATS, END_FORMATS, BEGIN_STYLES, END_STYLES = 617, 618, 278, 279
# Excel's own number formats: general, day, day and time of day, time of day.
NUMBER_FORMATS = (0, 14, 22, 21)
NOT_AVAILABLE = 0x2A
ZERO_DAY = {False: datetime.datetime(1899, 12, 30), True: datetime.datetime(1904, 1, 1)}
OFFICE = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
PACKAGE = "http://schemas.openxmlformats.org/package/2006"


def binary_workbook(
    *sheets: tuple[str, Sequence[Sequence[object]]],
    from_1904: bool = False,
    merged: Sequence[tuple[int, int, int, int]] = (),
    first_row: int = 0,
) -> bytes:
    """Return sheets as xlsb; a cell `#N/A` is an error, `(number,)` a serial shown as a day.

    `merged` are ranges of the first sheet: first and last row, first and last column, from 0.
    """
    parts = {
        "[Content_Types].xml": f'<Types xmlns="{PACKAGE}/content-types">'
        '<Default Extension="rels" '
        'ContentType="application/vnd.openxmlformats-package.relationships+xml"/>'
        '<Default Extension="bin" ContentType="application/vnd.ms-excel.sheet.binary.'
        'macroEnabled.main"/></Types>',
        "_rels/.rels": _relations([("officeDocument", "xl/workbook.bin")]),
        "xl/workbook.bin": _book([name for name, _ in sheets], from_1904),
        "xl/_rels/workbook.bin.rels": _relations(
            [
                *(("worksheet", f"worksheets/sheet{n}.bin") for n, _ in enumerate(sheets, 1)),
                ("styles", "styles.bin"),
            ]
        ),
        "xl/styles.bin": _styles(),
    }
    for number, (_, rows) in enumerate(sheets, 1):
        content = _sheet(rows, from_1904, () if number > 1 else merged, first_row)
        parts[f"xl/worksheets/sheet{number}.bin"] = content
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, part in parts.items():
            archive.writestr(name, part)
    return stream.getvalue()


def _record(kind: int, content: bytes = b"") -> bytes:
    return _seven_bits(kind) + _seven_bits(len(content)) + content


def _seven_bits(number: int) -> bytes:
    low, high = number & 0x7F, number >> 7
    return bytes([low | 0x80]) + _seven_bits(high) if high else bytes([low])


def _text(text: str) -> bytes:
    return struct.pack("<I", len(text)) + text.encode("utf-16-le")


def _relations(targets: Sequence[tuple[str, str]]) -> str:
    inner = "".join(
        f'<Relationship Id="rId{number}" Type="{OFFICE}/{kind}" Target="{target}"/>'
        for number, (kind, target) in enumerate(targets, 1)
    )
    return f'<Relationships xmlns="{PACKAGE}/relationships">{inner}</Relationships>'


def _book(names: Sequence[str], from_1904: bool) -> bytes:
    sheets = b"".join(
        _record(SHEET, struct.pack("<II", 0, number) + _text(f"rId{number}") + _text(name))
        for number, name in enumerate(names, 1)
    )
    properties = _record(BOOK_PROPERTIES, struct.pack("<III", int(from_1904), 0, 0))
    listed = _record(BEGIN_SHEETS) + sheets + _record(END_SHEETS)
    return _record(BEGIN_BOOK) + properties + listed + _record(END_BOOK)


def _styles() -> bytes:
    formats = b"".join(
        _record(FORMAT, struct.pack("<HH12x", 0, number)) for number in NUMBER_FORMATS
    )
    count = struct.pack("<I", len(NUMBER_FORMATS))
    listed = _record(BEGIN_FORMATS, count) + formats + _record(END_FORMATS)
    return _record(BEGIN_STYLES) + listed + _record(END_STYLES)


def _sheet(
    rows: Sequence[Sequence[object]],
    from_1904: bool,
    merged: Sequence[tuple[int, int, int, int]],
    first_row: int,
) -> bytes:
    width = max(map(len, rows))
    extent = struct.pack("<IIII", first_row, first_row + len(rows) - 1, 0, width - 1)
    body = b"".join(
        _record(ROW, struct.pack("<II9x", number, 0))
        + b"".join(_cell(*place, from_1904) for place in enumerate(row) if place[1] is not None)
        for number, row in enumerate(rows, first_row)
    )
    joined = b"".join(_record(MERGED_CELL, struct.pack("<IIII", *cells)) for cells in merged)
    if merged:
        joined = _record(BEGIN_MERGED, struct.pack("<I", len(merged))) + joined
        joined += _record(END_MERGED)
    data = _record(BEGIN_DATA) + body + _record(END_DATA)
    return _record(BEGIN_SHEET) + _record(DIMENSIONS, extent) + data + joined + _record(END_SHEET)


def _cell(column: int, value: object, from_1904: bool) -> bytes:
    kind, style, content = _typed(value, from_1904)
    return _record(kind, struct.pack("<II", column, style) + content)


def _typed(value: object, from_1904: bool) -> tuple[int, int, bytes]:
    """Return the type of a cell's record, the place of its format, and its content."""
    if value == "#N/A":
        return ERROR, 0, bytes([NOT_AVAILABLE])
    if isinstance(value, str):
        return STRING, 0, _text(value)
    if isinstance(value, bool):
        return BOOL, 0, bytes([value])
    if isinstance(value, datetime.time):
        seconds = value.hour * 3600 + value.minute * 60 + value.second
        return REAL, 3, struct.pack("<d", seconds / 86400)
    if isinstance(value, tuple):
        return REAL, 1 + (value[0] % 1 > 0), struct.pack("<d", value[0])
    if isinstance(value, datetime.date):
        timed = isinstance(value, datetime.datetime)
        moment = value if timed else datetime.datetime.combine(value, datetime.time())
        days = (moment - ZERO_DAY[from_1904]) / datetime.timedelta(days=1)
        return REAL, 1 + timed, struct.pack("<d", days)
    return REAL, 0, struct.pack("<d", value)
