"""What looks odd in a sheet: merged cells, totals, a second table, hidden sheets.

Merged cells keep their text in their first row only; below the header the other rows are given it
too, or a patient's second visit would be nobody's. All else is only noted.
"""

import re
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

from transforms.readers.open_document import Range
from transforms.readers.relation import some


if TYPE_CHECKING:
    from python_calamine import CalamineWorkbook

__all__ = ["fill_header", "fill_merged", "header_names", "remarks"]

TOTAL = re.compile(
    r"(?i)\s*(total|totals|sum|summe|gesamt|somme|totale|totaal|suma|totales|i alt|mean|average|"
    r"moyenne|mittelwert|media|gemiddelde|gennemsnit)\s*:?\s*"
)

JOINT = " / "
Grid = list[list[Any]]


def fill_header(ranges: Sequence[Range], grid: Grid, header_row: int) -> None:
    """Give the header row the text of each cell that is merged from above down into it.

    In a header of two lines only some columns have two names; the others' cells are merged.
    """
    header = header_row - 1
    for (top, left), (bottom, _) in ranges:
        if top < header <= bottom and header < len(grid) and left < len(grid[header]):
            grid[header][left] = grid[top][left]


def header_names(
    ranges: Sequence[Range], grid: Grid, header_row: int, lines: int, text: Callable[[Any], str]
) -> list[str]:
    """Return the name of each column from the `lines` rows up to the header row, `text` of a cell.

    A heading that is merged over several columns stands over each of them: `Labor / Hb`. What is
    said in every line, as by a cell merged over all of them, is said once.
    """
    first, last = max(0, header_row - lines), header_row - 1
    rows = [[text(cell) for cell in row] for row in grid[first : last + 1]]
    for (top, left), (bottom, right) in ranges:
        if lines > 1 and first <= top <= last and left < len(grid[top]):
            for row in rows[top - first : bottom - first + 1]:
                row[left : right + 1] = [text(grid[top][left])] * len(row[left : right + 1])
    parts = (dict.fromkeys(filter(None, column)) for column in zip(*rows, strict=True))
    return [JOINT.join(column) for column in parts]


def fill_merged(ranges: Sequence[Range], grid: Grid, header_row: int) -> int:
    """Give the rows of each merged cell below the header its value; return how many there were."""
    filled = 0
    for (top, left), (bottom, _) in ranges:
        if header_row <= top < bottom < len(grid) and left < len(grid[top]):
            filled += 1
            for row in range(top + 1, bottom + 1):
                grid[row][left] = grid[top][left]
    return filled


def _hidden_sheets(workbook: "CalamineWorkbook") -> list[int]:
    """Return the positions, counted from 1, of sheets that Excel does not show."""
    shown = "SheetVisibleEnum.Visible"
    sheets = enumerate(workbook.sheets_metadata, start=1)
    return [number for number, one in sheets if str(one.visible) != shown]


def _totals(grid: Grid, header_row: int) -> list[int]:
    """Return the numbers of rows that begin with a word such as Total."""
    return [
        number
        for number, row in enumerate(grid[header_row:], start=header_row + 1)
        if TOTAL.fullmatch(next((cell for cell in row if cell != "" and type(cell) is str), ""))
    ]


def _second_table(grid: Grid, header_row: int) -> int:
    """Return the number of the row in which another table seems to begin, or 0.

    Below an empty row, a row of nothing but words where above there are numbers or dates.
    """
    typed = _typed_columns(grid[header_row:])
    for number in range(header_row + 1, len(grid)):
        above, row = grid[number - 1], grid[number]
        filled = [place for place, cell in enumerate(row) if cell != ""]
        words = len(filled) > 1 and all(type(row[place]) is str for place in filled)
        if words and not any(cell != "" for cell in above) and typed & set(filled):
            return number + 1
    return 0


def _typed_columns(rows: Grid) -> set[int]:
    """Return the places of columns whose first filled cell is no text."""
    found: dict[int, Any] = {}
    for row in rows:
        for place, cell in enumerate(row):
            if cell != "":
                found.setdefault(place, cell)
    return {place for place, cell in found.items() if type(cell) is not str}


def remarks(
    workbook: "CalamineWorkbook", where: str, grid: Grid, header_row: int, merged: int
) -> Iterator[str]:
    """Yield a remark for each oddity of the sheet called `where`."""
    if merged:
        yield f"{where}: {merged} cells are merged over several rows; each row was given the value"
    sums: Sequence[int] = _totals(grid, header_row)
    if sums:
        yield f"{where}: row {some(sums)} seems to hold totals, not a patient; delete it"
    if begins := _second_table(grid, header_row):
        yield (
            f"{where}: another table seems to begin in row {begins}; put it on a sheet of its own, "
            "or its rows are read as those of the first"
        )
    if hidden := _hidden_sheets(workbook):
        yield f"{where.partition(', sheet ')[0]}: sheet {some(hidden)} is hidden"
