"""The dictionary as a workbook to fill in, for a centre that has nothing to export.

One sheet per table: row 1 says what a row is, row 2 what to write in each column, row 3 holds the
names that our reader goes by, data begin in row 4. `transforms.form` reads a filled form back with
no mapping. Cells that take words or dates are text cells, so that a spreadsheet turns nothing into
a date, a number or a formula behind a person's back.
"""

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

from transforms.dictionary.entry import choices, entered, measures_analytes, units
from transforms.dictionary.export.form_layout import (
    ABOUT,
    CODES,
    FIRST_ROW,
    HEADER_ROW,
    LISTS,
    START,
    VERSION_COLUMN,
    FormColumn,
    between,
    form_columns,
    form_tables,
)
from transforms.dictionary.model import Dictionary, Field, Table


if TYPE_CHECKING:
    from openpyxl import Workbook
    from openpyxl.cell import Cell
    from openpyxl.worksheet.worksheet import Worksheet

__all__ = ["workbook"]

LAST_ROW = 20_003
YES_NO = ("yes", "no")
TEXT = "@"
MANDATORY, WANTED, PLAIN, DARK, PALE = "FFD9B8", "DCE8F2", "F2F2F2", "1F3A4D", "7F7F7F"


def workbook(dictionary: Dictionary) -> "Workbook":
    """Return the form as an openpyxl workbook."""
    from openpyxl import Workbook  # only at a site

    book = Workbook()
    _start(book.active, dictionary)
    lists = _lists(book, dictionary)
    for table in form_tables(dictionary):
        _table_sheet(book, table, dictionary, lists)
    _codes(book, dictionary)
    for name in (LISTS, ABOUT):
        book.move_sheet(name, len(book.sheetnames))
    book.properties.title = f"Marmor form, data dictionary {dictionary.version}"
    book.properties.creator = "Marmor"
    return book


def _start(sheet: "Worksheet", dictionary: Dictionary) -> None:
    """Write the first sheet: what to do, in plain words, and what each sheet is for."""
    from openpyxl.styles import Alignment, Font, PatternFill

    sheet.title = START
    sheet.sheet_view.showGridLines = False
    for letter, width in zip("ABCD", (24, 62, 12, 60), strict=True):
        sheet.column_dimensions[letter].width = width
    sheet["A1"] = "Patients with osteopetrosis: a form to fill in"
    sheet["A1"].font = Font(bold=True, size=16, color=DARK)
    sheet["A2"] = f"Data dictionary {dictionary.version}"
    row = 4
    for number, step in enumerate(STEPS, start=1):
        sheet.cell(row, 1, f"Step {number}").font = Font(bold=True)
        sheet.cell(row, 2, step)
        sheet.merge_cells(start_row=row, start_column=2, end_row=row, end_column=4)
        sheet.cell(row, 2).alignment = Alignment(wrap_text=True, vertical="top")
        sheet.cell(row, 1).alignment = Alignment(vertical="top")
        sheet.row_dimensions[row].height = 16 * (1 + len(step) // 125)
        row += 1
    for color, meaning in LEGEND:
        row += 1
        sheet.cell(row, 1).fill = PatternFill("solid", fgColor=color)
        sheet.cell(row, 2, meaning)
    row += 2
    for column, title in enumerate(("sheet", "what a row is", "columns", "must be filled in"), 1):
        sheet.cell(row, column, title).font = Font(bold=True)
    for table in form_tables(dictionary):
        row += 1
        columns = form_columns(table)
        mandatory = ", ".join(one.name for one in columns if one.mandatory)
        cells = (table.name, table.description, len(columns), mandatory)
        for column, value in enumerate(cells, 1):
            sheet.cell(row, column, value).alignment = Alignment(wrap_text=True, vertical="top")
        sheet.cell(row, 1).hyperlink = f"#'{table.name}'!A{FIRST_ROW}"
        longest = max(len(table.description) / 60, len(mandatory) / 58)
        sheet.row_dimensions[row].height = 16 * (1 + int(longest))
    _fit_on_paper(sheet)
    sheet.protection.sheet = True


STEPS = (
    "Begin with the sheet person: one row per patient. A patient who is not there is in no other "
    "sheet either. Without a yes to the reuse of the data, nothing of a patient is used.",
    "Then fill in the sheets for which you have something. Leave the others empty, do not delete "
    "them. Write the same patient number on each.",
    "Begin in row 4. Rows 1 to 3 belong to the form. The colours say what must be filled in. Point "
    "at a heading to read what it means.",
    "Where there is a list, pick from it. The codes of the sheet codes may be written as well. "
    "Where several are possible, write them with ; between them.",
    "Write dates as 2010-12-31. When you know only the month or the year, write 2010-12 or 2010: "
    "do not invent a day.",
    "Write numbers in the unit of the heading. In lab_measurement choose the unit that your "
    "laboratory wrote; a value below the limit of detection is written as <0.5.",
    "Write no name, no address, no insurance number and no other patient's data anywhere.",
    "Save the workbook as .xlsx and put it into the folder inbox of your centre, then run "
    "`marmor site run`. No mapping is needed.",
)
LEGEND = (
    (MANDATORY, "must be filled in, otherwise the row is rejected"),
    (WANTED, "please fill in when you have it"),
    (PLAIN, "only if at hand"),
)


def _lists(book: "Workbook", dictionary: Dictionary) -> dict[str, str]:
    """Write the hidden sheets; return list name → the range of its texts."""
    sheet = book.create_sheet(LISTS)
    lists = {
        name: tuple(choices(codelist).values())
        for name, codelist in dictionary.codelists.items()
        if _is_used(dictionary, name)
    }
    lists |= {"yes or no": YES_NO, "unit": units(dictionary)}
    ranges = {}
    for column, (name, texts) in enumerate(lists.items(), start=1):
        for row, text in enumerate((name, *texts), start=1):
            _text(sheet, row, column, text)
        letter = sheet.cell(1, column).column_letter
        ranges[name] = f"'{LISTS}'!${letter}$2:${letter}${len(texts) + 1}"
    sheet.sheet_state = "hidden"
    about = book.create_sheet(ABOUT)
    _text(about, 1, 1, VERSION_COLUMN)
    _text(about, 2, 1, dictionary.version)
    about.sheet_state = "hidden"
    return ranges


def _is_used(dictionary: Dictionary, codelist: str) -> bool:
    """Return whether a person picks from this list somewhere in the form."""
    return any(
        field.codelist == codelist
        for table in dictionary.tables.values()
        for field in entered(table)
    )


def _codes(book: "Workbook", dictionary: Dictionary) -> None:
    """Write the sheet with all lists, for whoever fills the form from another file."""
    from openpyxl.styles import Font

    sheet = book.create_sheet(CODES)
    rows = [
        (name, text, code)
        for name, codelist in dictionary.codelists.items()
        if _is_used(dictionary, name)
        for code, text in choices(codelist).items()
    ]
    for row, cells in enumerate([("list", "pick this", "or write this code"), *rows], start=1):
        for column, text in enumerate(cells, start=1):
            _text(sheet, row, column, text)
    for letter, width in zip("ABC", (26, 60, 30), strict=True):
        sheet.column_dimensions[letter].width = width
        sheet[f"{letter}1"].font = Font(bold=True)
    sheet.freeze_panes = "A2"
    sheet.protection.sheet = True


def _table_sheet(
    book: "Workbook", table: Table, dictionary: Dictionary, lists: Mapping[str, str]
) -> None:
    """Write one table's sheet."""
    from openpyxl.styles import Font

    sheet = book.create_sheet(table.name)
    columns = form_columns(table)
    _text(sheet, 1, 1, f"{table.title}. {table.description}")
    sheet["A1"].font = Font(bold=True, size=12, color=DARK)
    for position, column in enumerate(columns, start=1):
        _head(sheet, position, column)
        _cells(sheet, position, column)
        _validate(sheet, position, column, lists, measures_analytes(table))
    lines = max(len(column.title) / _width(column) for column in columns)
    sheet.row_dimensions[2].height = 15 * (2 + int(lines))
    sheet.freeze_panes = sheet.cell(FIRST_ROW, 2)
    sheet.print_title_rows = f"2:{HEADER_ROW}"
    _fit_on_paper(sheet)
    _protect(sheet)


def _head(sheet: "Worksheet", position: int, column: FormColumn) -> None:
    """Write the two header cells of a column: for the person, and for the reader."""
    from openpyxl.comments import Comment
    from openpyxl.styles import Alignment, Border, Font, PatternFill, Side

    title, name = column.title + (" *" if column.mandatory else ""), column.name
    top, below = _text(sheet, 2, position, title), _text(sheet, HEADER_ROW, position, name)
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


def _fit_on_paper(sheet: "Worksheet") -> None:
    """Print all columns side by side, lying."""
    sheet.page_setup.orientation = "landscape"
    sheet.page_setup.fitToHeight = 0
    sheet.sheet_properties.pageSetUpPr.fitToPage = True


def _protect(sheet: "Worksheet") -> None:
    """Keep the headings as they are, without a password; all else may be done to the rows."""
    sheet.protection.sheet = True
    for allowed in (
        "formatCells", "formatColumns", "formatRows", "insertRows", "deleteRows", "sort",
        "autoFilter",
    ):  # fmt: skip
        setattr(sheet.protection, allowed, False)


def _text(sheet: "Worksheet", row: int, column: int, text: str) -> "Cell":
    """Write a text that stays one, also when it begins like a formula."""
    cell = sheet.cell(row, column, text)
    cell.data_type = "s"
    return cell
