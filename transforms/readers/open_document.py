"""What calamine does not tell of an OpenDocument spreadsheet: merged cells, long durations."""

import io
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from xml.parsers.expat import ExpatError, ParserCreate

import pyarrow as pa
import pyarrow.compute as pc


__all__ = ["Range", "durations", "merged_cells"]

Range = tuple[tuple[int, int], tuple[int, int]]
CONTENT = "content.xml"
SPANS = b":number-rows-spanned="
# How a document stores a duration, of which calamine makes a time when it is less than a day.
DURATION = r"^(-?)PT(\d+)H(\d\d)M(\d\d)(?:[.,]\d+)?S$"
CELLS = ("table:table-cell", "table:covered-table-cell")


@dataclass
class _Walk:
    """Where in the document the parser is; rows and columns are counted from 0."""

    sheets: list[list[Range]] = field(default_factory=list)
    row: int = 0
    column: int = 0
    repeated: int = 1

    def start(self, name: str, attributes: Mapping[str, str]) -> None:
        """Meet the beginning of an element."""
        if name == "table:table":
            self.sheets.append([])
            self.row = 0
        elif name == "table:table-row":
            self.column = 0
            self.repeated = int(attributes.get("table:number-rows-repeated", "1"))
        elif name in CELLS and self.sheets:
            rows = int(attributes.get("table:number-rows-spanned", "1"))
            columns = int(attributes.get("table:number-columns-spanned", "1"))
            if rows > 1 or columns > 1:
                end = self.row + rows - 1, self.column + columns - 1
                self.sheets[-1].append(((self.row, self.column), end))
            self.column += int(attributes.get("table:number-columns-repeated", "1"))

    def end(self, name: str) -> None:
        """Meet the end of an element."""
        if name == "table:table-row":
            self.row += self.repeated


def durations(texts: pa.Array) -> pa.Array:
    """Return `texts` with durations of hours as other workbooks show them: `30:15:00`."""
    return pc.replace_substring_regex(texts, DURATION, r"\1\2:\3:\4")


def merged_cells(data: bytes) -> tuple[tuple[Range, ...], ...]:
    """Return, per sheet, first and last (row, column) of each merged cell, counted from 0.

    Is () for what is no OpenDocument or has no merged cells. `data` was inspected by
    `workbook_guard`, so it unfolds to little and declares no entities.
    """
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        text = archive.read(CONTENT) if CONTENT in archive.namelist() else b""
    if SPANS not in text:
        return ()
    walk, parser = _Walk(), ParserCreate()
    parser.StartElementHandler, parser.EndElementHandler = walk.start, walk.end
    try:
        parser.Parse(text, True)
    except (ExpatError, ValueError):  # calamine says what is wrong with the file
        return ()
    return tuple(map(tuple, walk.sheets))
