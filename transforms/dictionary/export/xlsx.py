"""The dictionary as a workbook to fill in, for a centre that has nothing to export.

One sheet per table: row 1 says what a row is, row 2 what to write in each column, row 3 holds the
names that our reader goes by, data begin in row 4. `transforms.form` reads a filled form back with
no mapping. Cells that take words or dates are text cells, so that a spreadsheet turns nothing into
a date, a number or a formula behind a person's back.
"""

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

from transforms.dictionary.entry import measures_analytes
from transforms.dictionary.export.form_layout import (
    ABOUT,
    FIRST_ROW,
    HEADER_ROW,
    LISTS,
    FormColumn,
    between,
    form_columns,
    form_tables,
)
from transforms.dictionary.export.form_sheets import (
    DARK,
    MANDATORY,
    PLAIN,
    WANTED,
    fit_on_paper,
    write_codes,
    write_lists,
    write_start,
    write_text,
)
from transforms.dictionary.model import Dictionary, Field, Table


if TYPE_CHECKING:
    from openpyxl import Workbook
    from openpyxl.worksheet.worksheet import Worksheet

__all__ = ["workbook"]

LAST_ROW = 20_003
TEXT = "@"
PALE = "7F7F7F"


def workbook(dictionary: Dictionary) -> "Workbook":
    """Return the form as an openpyxl workbook."""
    from openpyxl import Workbook  # only at a site

    book = Workbook()
    write_start(book.active, dictionary)
    lists = write_lists(book, dictionary)
    for table in form_tables(dictionary):
        _table_sheet(book, table, lists)
    write_codes(book, dictionary)
    for name in (LISTS, ABOUT):
        book.move_sheet(name, len(book.sheetnames))
    book.properties.title = f"Marmor form, data dictionary {dictionary.version}"
    book.properties.creator = "Marmor"
    return book


def _table_sheet(book: "Workbook", table: Table, lists: Mapping[str, str]) -> None:
    """Write one table's sheet."""
    from openpyxl.styles import Font

    sheet = book.create_sheet(table.name)
    columns = form_columns(table)
    write_text(sheet, 1, 1, f"{table.title}. {table.description}")
    sheet["A1"].font = Font(bold=True, size=12, color=DARK)
    for position, column in enumerate(columns, start=1):
        _head(sheet, position, column)
        _cells(sheet, position, column)
        _validate(sheet, position, column, lists, measures_analytes(table))
    lines = max(len(column.title) / _width(column) for column in columns)
    sheet.row_dimensions[2].height = 15 * (2 + int(lines))
    sheet.freeze_panes = sheet.cell(FIRST_ROW, 2)
    sheet.print_title_rows = f"2:{HEADER_ROW}"
    fit_on_paper(sheet)
    _protect(sheet)


def _head(sheet: "Worksheet", position: int, column: FormColumn) -> None:
    """Write the two header cells of a column: for the person, and for the reader."""
    from openpyxl.comments import Comment
    from openpyxl.styles import Alignment, Border, Font, PatternFill, Side

    title, name = column.title + (" *" if column.mandatory else ""), column.name
    top, below = (
        write_text(sheet, 2, position, title),
        write_text(sheet, HEADER_ROW, position, name),
    )
    fill = PatternFill("solid", fgColor=_color(column))
    for cell in (top, below):
        cell.fill = fill
        cell.alignment = Alignment(wrap_text=cell is top, vertical="top")
    top.font, below.font = Font(bold=True), Font(size=8, color=PALE)
    below.border = Border(bottom=Side("thin"))
    top.comment = Comment(column.help, "Marmor", width=320, height=160)


def _cells(sheet: "Worksheet", position: int, column: FormColumn) -> None:
    """Make the cells below free to edit, and text cells where words or dates are written."""
    from openpyxl.styles import Alignment, Protection

    letter = sheet.cell(1, position).column_letter
    below = sheet.column_dimensions[letter]
    below.width = _width(column)
    below.number_format = "General" if _is_number(column) else TEXT
    below.protection = Protection(locked=False)
    below.alignment = Alignment(vertical="top", wrap_text=column.kind == "note")


def _color(column: FormColumn) -> str:
    """Return the color that says how much a column is wanted."""
    if column.mandatory:
        return MANDATORY
    wanted = column.field is not None and column.field.obligation == "recommended"
    return WANTED if wanted else PLAIN


def _width(column: FormColumn) -> float:
    """Return a width in characters: the technical name in full, the title in a few lines."""
    return max(14.0, 0.9 * len(column.name) + 2, min(30.0, len(column.title) / 2.5))


def _is_number(column: FormColumn) -> bool:
    """Return whether the cells hold numbers; a lab value may also be `<0.5`, which is text."""
    return column.field is not None and column.field.type in ("integer", "number")


def _validate(
    sheet: "Worksheet",
    position: int,
    column: FormColumn,
    lists: Mapping[str, str],
    analytes: bool,
) -> None:
    """Add the column's dropdown, number range or form of a date."""
    from openpyxl.worksheet.datavalidation import DataValidation

    letter = sheet.cell(1, position).column_letter
    for rule in _rules(column, lists, f"{letter}{FIRST_ROW}", analytes):
        validation = DataValidation(allow_blank=True, **rule)
        validation.add(f"{letter}{FIRST_ROW}:{letter}{LAST_ROW}")
        sheet.add_data_validation(validation)


def _rules(
    column: FormColumn, lists: Mapping[str, str], cell: str, analytes: bool
) -> Iterator[dict[str, object]]:
    """Yield the arguments of a data validation; `cell` is the first cell that it is for."""
    if column.kind == "unit":
        yield _pick(lists["unit"], "Pick the unit that the laboratory wrote, or type it.")
    field = column.field
    if field is None:
        return
    if field.type == "boolean":
        yield _pick(lists["yes or no"], "Pick yes or no.")
    elif field.codelist is not None:
        several = field.type == "codes"
        hint = "Pick from the list, or write one of the codes of the sheet codes."
        yield _pick(lists[field.codelist], hint) | (
            {
                "showErrorMessage": False,
                "showInputMessage": True,
                "promptTitle": "One or more",
                "prompt": "Pick one, or write several with ; between them.",
            }
            if several
            else {}
        )
    elif field.type == "date":
        yield _date(cell)
    elif field.type in ("integer", "number") and not (analytes and field.name == "value"):
        yield _number(field)


def _pick(cells: str, hint: str) -> dict[str, object]:
    """Return a dropdown that warns: a code, too, is right."""
    return {
        "type": "list",
        "formula1": f"={cells}",
        "errorStyle": "warning",
        "showErrorMessage": True,
        "errorTitle": "Not in the list",
        "error": hint,
    }


def _date(cell: str) -> dict[str, object]:
    """Return the check of a date cell: a year, a month, a day, or a date that was pasted."""
    day = f'AND(LEN({cell})=10,MID({cell},5,1)="-",ISNUMBER(DATEVALUE({cell})))'
    month = f'AND(LEN({cell})=7,MID({cell},5,1)="-",ISNUMBER(DATEVALUE({cell}&"-01")))'
    year = f"AND(LEN({cell})=4,ISNUMBER(VALUE({cell})))"
    return {
        "type": "custom",
        "formula1": f"=OR(ISNUMBER({cell}),{year},{month},{day})",
        "errorStyle": "stop",
        "showErrorMessage": True,
        "errorTitle": "Not a date",
        "error": "Write 2010-12-31, or 2010-12, or 2010.",
        "showInputMessage": True,
        "prompt": "2010-12-31, or 2010-12, or 2010",
    }


def _number(field: Field) -> dict[str, object]:
    """Return the check of a number cell: the hard limits of the field."""
    low, high = (None, None) if field.hard is None else (field.hard.low, field.hard.high)
    kind = "whole" if field.type == "integer" else "decimal"
    rule: dict[str, object] = {
        "type": kind,
        "errorStyle": "stop",
        "showErrorMessage": True,
        "errorTitle": "Not possible",
        "error": "A whole number is expected here." if kind == "whole" else "A number is expected.",
    }
    if field.hard is not None:
        rule["error"] = f"{rule['error']} It must lie {between(field.hard)}."
    if low is not None and high is not None:
        return rule | {"operator": "between", "formula1": f"{low:g}", "formula2": f"{high:g}"}
    if high is not None:
        return rule | {"operator": "lessThanOrEqual", "formula1": f"{high:g}"}
    lowest = "-999999999" if low is None else f"{low:g}"
    return rule | {"operator": "greaterThanOrEqual", "formula1": lowest}


def _protect(sheet: "Worksheet") -> None:
    """Keep the headings as they are, without a password; all else may be done to the rows."""
    sheet.protection.sheet = True
    for allowed in (
        "formatCells", "formatColumns", "formatRows", "insertRows", "deleteRows", "sort",
        "autoFilter",
    ):  # fmt: skip
        setattr(sheet.protection, allowed, False)
