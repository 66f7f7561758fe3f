"""The sheets of a mapping: tables of text from one workbook, or from a CSV file per sheet."""

import csv
from collections.abc import Iterable, Iterator, Sequence
from collections.abc import Mapping as MappingType
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from transforms.errors import MappingError, SourceError, raise_all
from transforms.formulas import original


if TYPE_CHECKING:
    from python_calamine import CalamineSheet


__all__ = ["Row", "Sheet", "read_sheets"]

Row = MappingType[str, str]
MAX_BYTES = 20 * 2**20
MAX_CELLS = 2_000_000


@dataclass(frozen=True)
class Sheet:
    """A sheet's header and its rows, each with its number as a person sees it."""

    place: str
    header: tuple[str, ...]
    rows: tuple[tuple[int, tuple[str, ...]], ...]
    optional: tuple[str, ...] = ()

    def problems(self, known: Sequence[str]) -> list[str]:
        """List missing and unknown columns of the header, and rows longer than it."""
        missing = [name for name in known if name not in (*self.header, *self.optional)]
        unknown = [column for column in self.header if column not in known]
        long = [number for number, row in self.rows if any(row[len(self.header) :])]
        return [
            *(f"{self.place}: the column {column} is missing" for column in missing),
            *(f"{self.place}: unknown column {column!r}; expected {', '.join(known)}"
              for column in unknown),
            *(f"{self.place}, row {number}: has more cells than the header" for number in long),
        ]  # fmt: skip

    def __iter__(self) -> Iterator[tuple[Row, str]]:
        absent = dict.fromkeys(self.optional, "")
        for number, cells in self.rows:
            padded = (*cells, *("" for _ in self.header))
            row = dict(zip(self.header, padded, strict=False))
            yield absent | row, f"{self.place}, row {number}"


def read_sheets(
    folder: Path,
    expected: MappingType[str, Sequence[str]],
    optional: MappingType[str, Sequence[str]],
) -> dict[str, Sheet]:
    """Read the expected sheets from `mapping.xlsx` when there is one, otherwise from CSV files.

    `expected` names each sheet's columns, `optional` those of them that may be absent and are then
    empty. Raises MappingError when a sheet is missing, cannot be read, or has other columns.
    """
    workbook = folder / "mapping.xlsx"
    found = (
        _read_workbook(workbook, list(expected))
        if workbook.is_file()
        else _read_csv_files(folder, list(expected))
    )
    sheets = {name: replace(sheet, optional=tuple(optional[name])) for name, sheet in found.items()}
    problems = [line for name, sheet in sheets.items() for line in sheet.problems(expected[name])]
    raise_all(MappingError, problems)
    return sheets


def _read_csv_files(folder: Path, names: Sequence[str]) -> dict[str, Sheet]:
    """Read one CSV file per sheet."""
    files = {name: folder / f"{name}.csv" for name in names}
    missing = [path.name for path in files.values() if not path.is_file()]
    if missing:
        raise MappingError(
            f"{folder}: no mapping.xlsx, and {', '.join(missing)} missing; "
            "put the mapping workbook or its four CSV files there"
        )
    return {name: _read_csv(path) for name, path in files.items()}


def _read_csv(path: Path) -> Sheet:
    """Read one UTF-8 CSV file; what was disarmed for a spreadsheet is the text that it was."""
    try:
        with path.open(encoding="utf-8-sig", newline="") as lines:
            rows = csv.reader(lines, strict=True)
            return _sheet(path.name, ([original(cell) for cell in row] for row in rows))
    except OSError as error:
        raise MappingError(_no_access(path, error)) from None
    except (UnicodeDecodeError, csv.Error) as error:
        raise MappingError(f"{path.name}: not a UTF-8 CSV file with commas ({error})") from None


def _read_workbook(path: Path, names: Sequence[str]) -> dict[str, Sheet]:
    """Read the sheets of an Excel workbook; formulas are taken as their stored results."""
    from python_calamine import CalamineWorkbook  # only at a site

    from transforms.readers.panics import refusing

    _check_size(path)
    try:
        with (
            refusing(path.name, f"{path.name}: not a readable Excel workbook"),
            CalamineWorkbook.from_path(path) as book,
        ):
            there = [name for name in names if name in book.sheet_names]
            cells = {name: _cells(book.get_sheet_by_name(name), path.name) for name in there}
    except OSError as error:
        raise MappingError(_no_access(path, error)) from None
    except SourceError as error:
        raise MappingError(str(error)) from None
    missing = [name for name in names if name not in cells]
    raise_all(MappingError, [f"{path.name}: the sheet {name} is missing" for name in missing])
    return {
        name: _sheet(f"{path.name}, sheet {name}", ([_text(cell) for cell in row] for row in rows))
        for name, rows in cells.items()
    }


def _cells(sheet: "CalamineSheet", name: str) -> list[list[Any]]:
    """Return the cells of a sheet; refuse one that reaches further than any mapping does."""
    rows, columns = (sheet.end[0] + 1, sheet.end[1] + 1) if sheet.end else (0, 0)
    if rows * columns > MAX_CELLS:
        raise MappingError(
            f"{name}, sheet {sheet.name}: reaches to row {rows} and column {columns}, further "
            "than any mapping; delete the empty rows and columns beyond it and save it again"
        )
    cells: list[list[Any]] = sheet.to_python(skip_empty_area=False)
    return cells


def _check_size(path: Path) -> None:
    """Refuse a workbook that would unfold beyond memory, on which the parser ends the process."""
    from transforms.readers.workbook_guard import inspect  # its neighbors are there at a site only

    try:
        if path.stat().st_size > MAX_BYTES:
            raise MappingError(
                f"{path.name}: larger than {MAX_BYTES // 2**20} MB, as no mapping is; "
                "save only its four sheets as a new workbook"
            )
        inspect(path.read_bytes(), path.name)
    except OSError as error:
        raise MappingError(_no_access(path, error)) from None
    except SourceError as error:
        raise MappingError(str(error)) from None


def _no_access(path: Path, error: OSError) -> str:
    """Say that a file is there and cannot be opened, which saving it again would not mend."""
    reason = error.strerror or "unreadable"
    return f"{path.name}: cannot be opened ({reason}); close it elsewhere, check its permissions"


def _text(cell: object) -> str:
    """Return a cell as a person sees it: 1.0 is 1, TRUE is true, an empty cell is empty."""
    if cell is None:
        return ""
    if isinstance(cell, bool):
        return str(cell).lower()
    if isinstance(cell, float) and cell.is_integer():
        return str(int(cell))
    return str(cell)


def _sheet(place: str, lines: Iterable[list[str]]) -> Sheet:
    """Trim all cells, split off the header, drop empty lines."""
    trimmed = [tuple(cell.strip() for cell in line) for line in lines]
    header = trimmed[0] if trimmed else ()
    while header and not header[-1]:
        header = header[:-1]
    rows = tuple((number, row) for number, row in enumerate(trimmed[1:], start=2) if any(row))
    return Sheet(place, header, rows)
