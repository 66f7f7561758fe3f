"""Refuses workbooks that would unfold beyond memory, before a parser opens them.

A workbook is a ZIP archive that its sender controls: a few megabytes can unfold to gigabytes, and
one far-away cell makes a parser allocate the whole sheet and abort the process. Limits are those
of `reference/privacy.md`, row 27.
"""

import io
import re
import struct
import zipfile
from dataclasses import dataclass
from zlib import error as ZlibError  # noqa: N812 - it is an exception's name

from transforms.errors import SourceError


__all__ = ["Inspection", "inspect", "old"]

MAX_RATIO = 100
RATIO_MATTERS_FROM = 10 * 2**20
MAX_UNFOLDED = 200 * 2**20
MAX_ENTRIES = 1_000
MAX_CELLS = 20_000_000
PIECE = 2**20
OVERLAP = 2**14  # more than a formula may have letters
# Attributes of the elements `row` and `c`; any entry may be a sheet, whatever its name.
ADDRESS = re.compile(rb"""\sr\s*=\s*["']([A-Z]{0,3})([0-9]{1,9})["']""")
ERROR_CELL = re.compile(rb"""\s(t|calcext:value-type)\s*=\s*["']e(rror)?["']""")
# A formula that is followed by no value; `t="str"` has one, the empty text.
# Records of cells with an error (MS-XLS BoolErr, Formula; MS-XLSB BrtCellError, BrtFmlaError) and
# of merged cells (BrtBeginMergeCells, BrtMergeCell). They are found by how they begin.
ERROR_CODE = rb"[\x00\x07\x0f\x17\x1d\x24\x2a\x2b]"
OLD_ERROR = re.compile(
    rb"(?s)\x05\x02\x08\x00.{6}" + ERROR_CODE + rb"\x01"
    rb"|\x06\x00.{8}\x02." + ERROR_CODE + rb".{3}\xff\xff"
)
BINARY_ERROR = re.compile(rb"(?s)(?:\x03\x09|\x0b[\x0f-\x7f])..\x00\x00.{4}" + ERROR_CODE)
BINARY_MERGES = re.compile(rb"(?s)\xb1\x01\x04(.{4})\xb0\x01\x10")
FORMULA = (b"<f", b":f")
VALUELESS = re.compile(
    rb"""<(?:\w+:)?c\s(?![^<>]*\st\s*=\s*["']str["'])[^<>]*>\s*<(?:\w+:)?f\b[^<>]*"""
    rb"""(?:/>|>[^<]*</(?:\w+:)?f>)\s*(?:</(?:\w+:)?c>|<(?:\w+:)?v\s*(?:/>|>\s*</))"""
)
# What no spreadsheet program writes: declared entities, and an address that hides behind one.
DECLARATIONS = (b"<!DOCTYPE", b"<!ENTITY")
HIDDEN = re.compile(rb"""\sr\s*=\s*["'][^"'>&]{0,32}&""")
# What Python's zipfile raises for an archive that contradicts itself, is encrypted or cut off.
DAMAGE = (
    zipfile.BadZipFile, ZlibError, EOFError, OSError, RuntimeError, ValueError, OverflowError,
    struct.error,
)  # fmt: skip
WIDE_TEXT = (b"\xfe\xff", b"\xff\xfe", b"<\x00", b"\x00<")


@dataclass(frozen=True)
class Inspection:
    """What the look into the archive found.

    `error_cells` are cells such as #N/A; `valueless_cells` hold a formula whose value no program
    has stored (only xlsx can have those); `unseen_merges` are merged cells that calamine does not
    tell (in xlsb).
    """

    error_cells: int = 0
    valueless_cells: int = 0
    unseen_merges: int = 0


def old(data: bytes) -> Inspection:
    """Count the error cells of an xls, which calamine reads as empty."""
    return Inspection(len(OLD_ERROR.findall(data)))


def inspect(data: bytes, name: str) -> Inspection:
    """Read the whole archive once, piece by piece; raise SourceError when it exceeds a limit."""
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            _check_directory(archive, len(data), name)
            counts = [_check_member(archive, m, name) for m in archive.infolist()]
            return Inspection(*map(sum, zip(*counts, strict=True)))
    except DAMAGE:
        raise SourceError(
            f"{name}: the workbook is damaged or encrypted; open it in Excel and save it again"
        ) from None


def _check_directory(archive: zipfile.ZipFile, size: int, name: str) -> None:
    """Check what the archive's directory declares; `_check_member` finds out when it lies."""
    members = archive.infolist()
    unfolded = sum(member.file_size for member in members)
    limits = (
        (len(members) > MAX_ENTRIES, f"it has {len(members)} entries, at most {MAX_ENTRIES}"),
        (
            unfolded > MAX_UNFOLDED,
            f"it unfolds to {unfolded // 2**20} MB, at most {MAX_UNFOLDED // 2**20} MB",
        ),
        (
            unfolded > RATIO_MATTERS_FROM and unfolded > MAX_RATIO * size,
            f"it unfolds to {unfolded // size} times its size, at most {MAX_RATIO}",
        ),
    )
    for exceeded, what in limits:
        if exceeded:
            raise SourceError(
                f"{name}: {what} are read, so it was not opened; "
                "save only the sheets needed as a new workbook, or export CSV"
            )


def _check_member(archive: zipfile.ZipFile, member: zipfile.ZipInfo, name: str) -> tuple[int, ...]:
    """Read `member` to its end, which verifies its declared size; return an Inspection's counts."""
    last_row, letters, tail = 0, {b"A"}, b""
    found: tuple[int, ...] = (0, 0, 0)
    count = _odd_cells if not member.filename.endswith(".bin") else _odd_records
    is_xml = member.filename.endswith((".xml", ".rels"))
    with archive.open(member) as stream:
        while piece := stream.read(PIECE):
            text = tail + piece
            if is_xml and _forged(text):
                raise SourceError(
                    f"{name}: it holds XML that no spreadsheet program writes, so it was not "
                    "opened; open it in Excel and save it again as .xlsx"
                )
            addresses = ADDRESS.findall(text)
            letters.update({column for column, _ in addresses})
            last_row = max(last_row, *map(int, {row for _, row in addresses}), 0)
            fresh = zip(found, count(text), count(tail), strict=True)
            found = tuple(so_far + now - before for so_far, now, before in fresh)
            tail = text[-OVERLAP:]
            _check_extent(last_row, max(map(_column_number, letters)), name)
    return found


def _odd_cells(text: bytes) -> tuple[int, int, int]:
    """Return an Inspection's counts for XML; most sheets have no formula, which is quickly seen."""
    formulas = any(sign in text for sign in FORMULA)
    valueless = len(VALUELESS.findall(text)) if formulas else 0
    return len(ERROR_CELL.findall(text)), valueless, 0


def _odd_records(text: bytes) -> tuple[int, int, int]:
    """Return an Inspection's counts for the records of an xlsb."""
    merges = sum(struct.unpack("<I", count)[0] for count in BINARY_MERGES.findall(text))
    return len(BINARY_ERROR.findall(text)), 0, merges


def _forged(text: bytes) -> bool:
    declared = any(declaration in text for declaration in DECLARATIONS)
    return declared or text.startswith(WIDE_TEXT) or HIDDEN.search(text) is not None


def _check_extent(rows: int, columns: int, name: str) -> None:
    if rows * columns > MAX_CELLS:
        raise SourceError(
            f"{name}: a sheet reaches to row {rows} and column {columns}, more than "
            f"{MAX_CELLS} cells, so it was not opened; delete the empty rows and columns beyond "
            "the data (also those with nothing but formatting) and save it again"
        )


def _column_number(letters: bytes) -> int:
    number = 0
    for letter in letters:
        number = number * 26 + letter - ord("A") + 1
    return number
