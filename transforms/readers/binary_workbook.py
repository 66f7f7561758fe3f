"""Finds the merged cells of a binary workbook (xlsb), which calamine does not tell.

A part is a row of records: type and size, seven bits a byte, then so many bytes ([MS-XLSB] 2.1.4).
Of the sheets only the block of merged cells is looked at, which stands behind their cells.
"""

import io
import posixpath
import re
import struct
import zipfile
from collections.abc import Iterator, Mapping
from xml.parsers.expat import ExpatError, ParserCreate

from transforms.readers.open_document import Range


__all__ = ["merged_cells"]

BOOK, RELATIONS = "xl/workbook.bin", "xl/_rels/workbook.bin.rels"
BUNDLED_SHEET = 156
# BrtBeginMergeCells with its count, so many BrtMergeCell of 16 bytes, BrtEndMergeCells.
BLOCK = re.compile(rb"(?s)\xb1\x01\x04(.{4})((?:\xb0\x01\x10.{16})+)\xb2\x01\x00")
RECORD = 3 + 16


def merged_cells(data: bytes) -> tuple[tuple[Range, ...], ...]:
    """Return, per sheet, first and last (row, column) of each merged cell, counted from 0.

    Is () for what is no xlsb, or when a part of it is not there. `data` was inspected by
    `workbook_guard`, so it unfolds to little and declares no entities.
    """
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        members = set(archive.namelist())
        if not {BOOK, RELATIONS} <= members:
            return ()
        targets = _targets(archive.read(RELATIONS))
        parts = [targets.get(name, "") for name in _sheets(archive.read(BOOK))]
        if not set(parts) <= members:
            return ()
        return tuple(tuple(_ranges(archive.read(part))) for part in parts)


def _ranges(sheet: bytes) -> Iterator[Range]:
    """Yield the merged cells of a sheet's records; a block that lies about its count is none."""
    for count, records in BLOCK.findall(sheet):
        if struct.unpack("<I", count)[0] * RECORD != len(records):
            continue
        for start in range(3, len(records), RECORD):
            top, bottom, left, right = struct.unpack_from("<4I", records, start)
            yield (top, left), (bottom, right)


def _sheets(book: bytes) -> Iterator[str]:
    """Yield the relation of each sheet in the workbook's order."""
    place = 0
    while place < len(book):
        kind, place = _number(book, place)
        size, place = _number(book, place)
        if kind == BUNDLED_SHEET and size >= 12:
            (length,) = (
                struct.unpack_from("<I", book, place + 8) if place + 12 <= len(book) else (0,)
            )
            yield book[place + 12 : place + 12 + 2 * length].decode("utf-16-le", "replace")
        place += size


def _number(data: bytes, place: int) -> tuple[int, int]:
    """Return a number of up to four bytes, seven bits each, and the place behind it."""
    value = 0
    for step in range(4):
        byte = data[place + step] if place + step < len(data) else 0
        value |= (byte & 0x7F) << (7 * step)
        if byte < 0x80:
            break
    return value, place + step + 1


def _targets(relations: bytes) -> dict[str, str]:
    """Return the part that each relation of the workbook leads to."""
    found: dict[str, str] = {}

    def start(_: str, attributes: Mapping[str, str]) -> None:
        if "Id" in attributes:
            target = attributes.get("Target", "")
            found[attributes["Id"]] = posixpath.normpath(posixpath.join("/xl", target))[1:]

    parser = ParserCreate()
    parser.StartElementHandler = start
    try:
        parser.Parse(relations, True)
    except (ExpatError, ValueError):  # calamine says what is wrong with the file
        return {}
    return found
