"""The mapping as a workbook to work in: drop-down lists, colors by confidence, a page of advice.

A workbook that is there already is opened and rows are added below; nothing in it is changed.
"""

import csv
import io
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from transforms.dictionary import DICTIONARY, Dictionary
from transforms.durable import write_bytes, write_text
from transforms.errors import MappingError
from transforms.formulas import disarmed
from transforms.mapping import MISSING, OPTIONAL, REJECT, SHEETS, SKIP
from transforms.mapping_check import FORMATS, PREDICATES, REASONS, RULES, STATUSES
from transforms.sheets import read_sheets
from transforms.units import normal


__all__ = ["read_rows", "write_rows"]

Row = Mapping[str, str]
LISTS = "lists"
ADVICE = "read me"
LINES = (
    "This workbook says what the columns of your files mean. Marmor drafted it; you decide.",
    "",
    "1. Sheet fields: each row says which column fills which field. Look at the red and yellow "
    "ones first. Right: set status to approved. Wrong: correct the cells, then approved. "
    "Not wanted: rejected.",
    "2. Sheet values: each row says which code a word stands for. A row without target_code needs "
    "one: choose it from the list, or missing (no value) or reject (a mistake).",
    "3. Sheet ignore: the columns that are left behind, with the reason. Nothing is left behind "
    "silently.",
    "4. Sheet sources: how each file is read. A question mark is a question to you.",
    "5. Save, then type: marmor site check SITE. Repeat until it says that nothing blocks.",
    "",
    "Several rows at once: filter on confidence, write approved into the first, pull it down.",
    "Nothing of this runs before you approve it.",
)
WIDTHS: Mapping[str, int] = {
    "source": 18, "file": 30, "table": 19, "field": 26, "column": 30, "rule": 13, "arg": 22,
    "source_value": 30, "target_code": 24, "status": 12, "comment": 70, "justification": 60,
    "confidence": 11,
}  # fmt: skip
SPARE_ROWS = 300  # below the last row, so that lists are there for rows that a person adds
MAX_ROWS = 2_000


def read_rows(folder: Path) -> dict[str, list[dict[str, str]]]:
    """Return the rows of the mapping in `folder`; no rows when there is none yet.

    Raises MappingError for a mapping that cannot be read.
    """
    if not any((folder / name).is_file() for name in ("mapping.xlsx", "sources.csv")):
        return {name: [] for name in SHEETS}
    sheets = read_sheets(folder, SHEETS, OPTIONAL)
    return {name: [dict(row) for row, _ in sheet] for name, sheet in sheets.items()}


def write_rows(
    folder: Path, new: Mapping[str, Sequence[Row]], dictionary: Dictionary = DICTIONARY
) -> Path:
    """Add rows to the mapping in `folder`, or make a new workbook; return what was written.

    Raises MappingError when the workbook cannot be opened.
    """
    folder.mkdir(exist_ok=True)
    if (folder / "sources.csv").is_file() and not (folder / "mapping.xlsx").is_file():
        return _add_to_csv(folder, new)
    path = folder / "mapping.xlsx"
    book = _opened(path) if path.is_file() else _fresh(dictionary)
    for name, rows in new.items():
        _append(book[name], rows)
        _dress(book[name], name, dictionary)
    content = io.BytesIO()
    book.save(content)
    write_bytes(path, content.getvalue())
    return path


def _add_to_csv(folder: Path, new: Mapping[str, Sequence[Row]]) -> Path:
    """Write the four CSV files anew with the rows added; no cell is a formula."""
    rows = read_rows(folder)
    for name, header in SHEETS.items():
        lines = io.StringIO()
        writer = csv.DictWriter(lines, header, extrasaction="ignore", lineterminator="\n")
        writer.writeheader()
        for row in [*rows[name], *new.get(name, ())]:
            writer.writerow({column: disarmed(text) for column, text in row.items()})
        write_text(folder / f"{name}.csv", lines.getvalue())
    return folder / "fields.csv"


def _opened(path: Path) -> Any:
    """Open the workbook that is there, with everything a person put into it."""
    from openpyxl import load_workbook

    try:
        return load_workbook(path)
    except Exception as error:  # openpyxl's errors have no common base
        raise MappingError(
            f"{path.name}: cannot be opened ({type(error).__name__}); save it again as .xlsx"
        ) from None


def _fresh(dictionary: Dictionary) -> Any:
    """Return a new workbook with the four sheets, advice and the lists to choose from."""
    from openpyxl import Workbook

    book = Workbook()
    advice = book.active
    advice.title = ADVICE
    for line in LINES:
        advice.append([line or None])
    advice.column_dimensions["A"].width = 110
    for name, header in SHEETS.items():
        book.create_sheet(name).append(list(header))
    _lists(book, dictionary)
    book.active = list(SHEETS).index("fields") + 1
    return book


def _lists(book: Any, dictionary: Dictionary) -> None:
    """Fill the hidden sheet that the drop-down lists refer to, one column and name per list."""
    from openpyxl.utils import get_column_letter
    from openpyxl.workbook.defined_name import DefinedName

    sheet = book.create_sheet(LISTS)
    sheet.sheet_state = "hidden"
    for number, (name, items) in enumerate(_choices(dictionary).items(), start=1):
        letter = get_column_letter(number)
        for row, item in enumerate([name, *items], start=1):
            sheet.cell(row, number, item)
        place = f"{LISTS}!${letter}$2:${letter}${len(items) + 1}"
        book.defined_names[name] = DefinedName(name, attr_text=place)


def _choices(dictionary: Dictionary) -> dict[str, list[str]]:
    """Return every list to choose from, by the name that formulas know it by."""
    units = {unit for analyte in dictionary.analytes.values() for unit in analyte.factors}
    fixed = {
        "list_table": list(dictionary.tables),
        "list_rule": list(RULES),
        "list_unit": sorted({*units, "a", "mo", "wk", "d"}, key=normal),
        "list_status": list(STATUSES),
        "list_reason": list(REASONS),
        "list_format": list(FORMATS),
        "list_predicate": list(PREDICATES),
        "list_decimal": [",", "."],
        "list_date_order": ["DMY", "MDY", "YMD"],
    }
    fields = {
        f"fields_{name}": [
            field.name for field in table.fields
            if field.name not in (*table.key, "person_id") and not field.name.startswith("source_")
        ]
        for name, table in dictionary.tables.items()
    }  # fmt: skip
    codes = {
        f"codes_{name}": [*codelist.codes, MISSING, REJECT, SKIP]
        for name, codelist in dictionary.codelists.items()
    }
    return {**fixed, **fields, **codes, "codes_boolean_": ["true", "false", MISSING, REJECT, SKIP]}


def _append(sheet: Any, rows: Iterable[Row]) -> None:
    """Add rows below the last one, by the names in the sheet's header; add columns it lacks."""
    header = [str(cell.value or "").strip() for cell in sheet[1]]
    last = max((cell.row for line in sheet.iter_rows() for cell in line if cell.value), default=1)
    for number, row in enumerate(rows, start=last + 1):
        for name, text in row.items():
            if name not in header:
                header.append(name)
                sheet.cell(1, len(header), name)
            cell = sheet.cell(number, header.index(name) + 1)
            cell.value = _typed(name, text)
            if isinstance(cell.value, str):
                cell.data_type = "s"  # a word that begins with = is a word, never a formula


def _typed(name: str, text: str) -> object:
    """Return a cell's content: the confidence as a number, so that it can be sorted."""
    if not text:
        return None
    return float(text) if name == "confidence" else text


def _dress(sheet: Any, name: str, dictionary: Dictionary) -> None:
    """Give a sheet its look: header, widths, lists to choose from, colors."""
    from openpyxl.styles import Font, PatternFill
    from openpyxl.utils import get_column_letter

    header = [str(cell.value or "") for cell in sheet[1]]
    letters = {title: get_column_letter(n) for n, title in enumerate(header, start=1) if title}
    for cell in sheet[1]:
        cell.font = Font(bold=True)
        cell.fill = PatternFill("solid", fgColor="E6EAEE")
    for title, letter in letters.items():
        sheet.column_dimensions[letter].width = WIDTHS.get(title, 13)
    sheet.freeze_panes = "A2"
    sheet.auto_filter.ref = f"A1:{get_column_letter(len(header))}{sheet.max_row}"
    end = min(sheet.max_row + SPARE_ROWS, MAX_ROWS)
    _colors(sheet, letters, end)
    sheet.data_validations.dataValidation = []
    _choose(sheet, letters, end)
    if name == "values":
        _choose_codes(sheet, letters, dictionary)


def _colors(sheet: Any, letters: Mapping[str, str], end: int) -> None:
    """Color the confidence from red to green, and the status."""
    from openpyxl.formatting.formatting import ConditionalFormattingList
    from openpyxl.formatting.rule import CellIsRule, ColorScaleRule
    from openpyxl.styles import PatternFill

    sheet.conditional_formatting = ConditionalFormattingList()
    if "confidence" in letters:
        scale = ColorScaleRule(
            start_type="num", start_value=0.2, start_color="F4B6AE",
            mid_type="num", mid_value=0.6, mid_color="FBE7A8",
            end_type="num", end_value=0.95, end_color="BFE3C4",
        )  # fmt: skip
        place = f"{letters['confidence']}2:{letters['confidence']}{end}"
        sheet.conditional_formatting.add(place, scale)
    for status, color in (("suggested", "FBE7A8"), ("approved", "BFE3C4"), ("rejected", "DDDDDD")):
        if "status" in letters:
            place = f"{letters['status']}2:{letters['status']}{end}"
            fill = PatternFill("solid", bgColor=color)
            rule = CellIsRule(operator="equal", formula=[f'"{status}"'], fill=fill)
            sheet.conditional_formatting.add(place, rule)


def _choose(sheet: Any, letters: Mapping[str, str], end: int) -> None:
    """Put the lists on the columns that have one; what is not in it may still be typed."""
    from openpyxl.worksheet.datavalidation import DataValidation

    lists = {
        name: f"list_{name}"
        for name in ("table", "rule", "unit", "status", "reason", "format", "predicate",
                     "decimal", "date_order")
    }  # fmt: skip
    if sheet.title != "sources":
        lists["source"] = "sources!$A$2:$A$200"
    if "table" in letters:
        lists["field"] = f'INDIRECT("fields_"&${letters["table"]}2)'
    for title, formula in lists.items():
        if title in letters:
            free = title in ("field", "unit", "date_order")
            choice = DataValidation(
                type="list", formula1=formula, allow_blank=True, showErrorMessage=not free,
                errorTitle="Not in the list", error=f"Choose the {title} from the list.",
            )  # fmt: skip
            choice.add(f"{letters[title]}2:{letters[title]}{end}")
            sheet.add_data_validation(choice)


def _choose_codes(sheet: Any, letters: Mapping[str, str], dictionary: Dictionary) -> None:
    """Put on each row's target_code the codes of its own field."""
    from openpyxl.worksheet.datavalidation import DataValidation

    choices: dict[str, DataValidation] = {}
    for row in range(2, sheet.max_row + 1):
        table = str(sheet[f"{letters['table']}{row}"].value or "")
        name = str(sheet[f"{letters['field']}{row}"].value or "").partition("[")[0]
        if table in dictionary.tables and name in dictionary.tables[table].field_names:
            field = dictionary.tables[table].field(name)
            codes = f"codes_{field.codelist or 'boolean_'}"
            choice = choices.setdefault(
                codes, DataValidation(type="list", formula1=codes, showErrorMessage=False)
            )
            choice.add(f"{letters['target_code']}{row}")
    for choice in choices.values():
        sheet.add_data_validation(choice)
