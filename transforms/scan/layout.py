"""Where on a sheet the names of the columns stand, and what else stands there."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from transforms.lexicon import LEXICON, value_key
from transforms.scan.columns import UNITS
from transforms.units import normal


__all__ = ["Layout", "find_layout", "is_data"]

Rows = Sequence[Sequence[str]]

NUMBER = re.compile(r"[<>≤≥]?\s*[+-]?\d[\d .,\u00a0\u202f']*([eE][+-]?\d+)?\s*%?")
DATE = re.compile(r"\d{4}-\d{2}-\d{2}([T ].*)?|\d{1,2}[./-]\d{1,2}[./-]\d{2,4}|\d{1,2}[./-]\d{4}")
SEARCHED = 30  # rows in which a header may stand
UNIT_SHARE = 0.5


@dataclass(frozen=True)
class Layout:
    """The header's row counted from 1 (0: none found), its cells, and what stands above them."""

    header_row: int
    header: tuple[str, ...] = ()
    groups: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


def is_data(cell: str) -> bool:
    """Tell whether a cell is a number or a date, which a column's name hardly ever is."""
    return bool(NUMBER.fullmatch(cell) or DATE.fullmatch(cell))


def find_layout(rows: Rows) -> Layout:
    """Find the header among the first rows of a sheet.

    It is the row with the most names: texts that are neither numbers nor dates, each once, with
    rows of about as many cells below. The first such row wins.
    """
    best, score = 0, 0.0
    for index, row in enumerate(rows[:SEARCHED]):
        points = _points(row, rows[index + 1 :])
        if points > score:
            best, score = index + 1, points
    if not best:
        return Layout(0)
    header = tuple(rows[best - 1])
    groups = _groups(rows[best - 2], header) if best > 1 else ()
    return Layout(best, header, groups, tuple(_notes(rows, best, header, groups)))


def _points(row: Sequence[str], below: Rows) -> float:
    """Return how much a row looks like a header; 0 for one that cannot be one."""
    filled = [cell for cell in row if cell]
    names = {value_key(cell) for cell in filled if not is_data(cell) and len(cell) <= 80}
    following = [sum(map(bool, other)) for other in below[:5] if any(other)]
    if len(names) < 2 or not following or len(names) < 0.6 * len(filled):
        return 0.0
    width = min(1.0, len(filled) / max(following))
    known = sum(name in LEXICON.columns for name in names)
    if not known and any(DATE.fullmatch(cell) for cell in filled):
        return 0.0  # a patient's own row, on a sheet whose columns nobody named
    # A header is full: a row of answers with as many texts has blanks and repeats itself.
    return len(names) * width + known - (len(filled) - len(names))


def _groups(above: Sequence[str], header: Sequence[str]) -> tuple[str, ...]:
    """Return, per column, the merged heading over it; () when there is none.

    A workbook keeps a merged cell's text in its first column: it holds until the next text.
    """
    texts = [cell for cell in above if cell]
    if not texts or len(texts) >= sum(map(bool, header)) or (len(texts) == 1 and above[0]):
        return ()
    groups, current = [], ""
    for position, _ in enumerate(header):
        current = (above[position] if position < len(above) else "") or current
        groups.append(current)
    return tuple(groups)


def _notes(rows: Rows, header_row: int, header: Sequence[str], groups: Sequence[str]) -> list[str]:
    """Say what about the sheet a person should know."""
    notes = []
    if header_row > 1:
        notes.append(f"the columns are named in row {header_row}; what stands above is left out")
    if groups:
        notes.append(
            f"row {header_row - 1} has headings over several columns; of a workbook's sheet, "
            f"header_row {header_row - 1}-{header_row} puts them before the names"
        )
    if header_row < len(rows) and _are_units(rows[header_row]):
        notes.append(
            f"row {header_row + 1} seems to hold units: it will be read as a patient's row and "
            "rejected; write the units into the mapping and delete the row"
        )
    if gap := _gap(header):
        notes.append(
            f"column {gap} is empty and more columns follow: perhaps two tables side by side; "
            "give the second a row of its own in the sheet sources, with its own id_column"
        )
    return notes


def _are_units(row: Sequence[str]) -> bool:
    """Tell whether most cells of a row are units."""
    filled = [cell for cell in row if cell]
    units = [cell for cell in filled if normal(cell.strip("()[]")) in UNITS]
    return len(units) >= 2 and len(units) >= UNIT_SHARE * len(filled)


def _gap(header: Sequence[str]) -> int:
    """Return the number of an unnamed column between named ones; 0 when there is none."""
    last = max((index for index, cell in enumerate(header) if cell), default=0)
    first = next((index for index, cell in enumerate(header) if cell), 0)
    gaps = (index + 1 for index in range(first, last) if not header[index])
    return next(gaps, 0)
