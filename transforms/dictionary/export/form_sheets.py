"""The sheets of the form around its tables: what to do, all codes, and the hidden lists."""

from typing import TYPE_CHECKING

from transforms.dictionary.entry import choices, entered, units
from transforms.dictionary.export.form_layout import (
    ABOUT,
    CODES,
    FIRST_ROW,
    LISTS,
    START,
    VERSION_COLUMN,
    form_columns,
    form_tables,
)
from transforms.dictionary.model import Dictionary


if TYPE_CHECKING:
    from openpyxl import Workbook
    from openpyxl.cell import Cell
    from openpyxl.worksheet.worksheet import Worksheet

__all__ = [
    "DARK",
    "MANDATORY",
    "PLAIN",
    "WANTED",
    "fit_on_paper",
    "write_codes",
    "write_lists",
    "write_start",
    "write_text",
]

MANDATORY, WANTED, PLAIN, DARK = "FFD9B8", "DCE8F2", "F2F2F2", "1F3A4D"
YES_NO = ("yes", "no")

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
    "Write no name, no address and no insurance number anywhere.",
    "Save the workbook as .xlsx and put it into the folder inbox of your centre, then run "
    "`marmor site run`. No mapping is needed.",
)
LEGEND = (
    (MANDATORY, "must be filled in, otherwise the row is rejected"),
    (WANTED, "please fill in when you have it"),
    (PLAIN, "only if at hand"),
)


def write_start(sheet: "Worksheet", dictionary: Dictionary) -> None:
    """Write the first sheet: what to do, in plain words, and what each sheet is for."""
    from openpyxl.styles import Font

    sheet.title = START
    sheet.sheet_view.showGridLines = False
    for letter, width in zip("ABCD", (24, 62, 12, 60), strict=True):
        sheet.column_dimensions[letter].width = width
    sheet["A1"] = "Patients with osteopetrosis: a form to fill in"
    sheet["A1"].font = Font(bold=True, size=16, color=DARK)
    sheet["A2"] = f"Data dictionary {dictionary.version}"
    row = _steps(sheet, 4)
    row = _legend(sheet, row + 1)
    _overview(sheet, row + 1, dictionary)
    fit_on_paper(sheet)
    sheet.protection.sheet = True


def _steps(sheet: "Worksheet", first: int) -> int:
    """Write what to do, one step below the other; return the next free row."""
    from openpyxl.styles import Alignment, Font

    for number, step in enumerate(STEPS):
        row = first + number
        sheet.cell(row, 1, f"Step {number + 1}").font = Font(bold=True)
        sheet.cell(row, 2, step).alignment = Alignment(wrap_text=True, vertical="top")
        sheet.cell(row, 1).alignment = Alignment(vertical="top")
        sheet.merge_cells(start_row=row, start_column=2, end_row=row, end_column=4)
        sheet.row_dimensions[row].height = 16 * (1 + len(step) // 125)
    return first + len(STEPS)


def _legend(sheet: "Worksheet", first: int) -> int:
    """Write what the colors say; return the next free row."""
    from openpyxl.styles import PatternFill

    for row, (color, meaning) in enumerate(LEGEND, start=first):
        sheet.cell(row, 1).fill = PatternFill("solid", fgColor=color)
        sheet.cell(row, 2, meaning)
    return first + len(LEGEND)


def _overview(sheet: "Worksheet", first: int, dictionary: Dictionary) -> None:
    """Write what each sheet is for, and what must be filled in there."""
    from openpyxl.styles import Alignment, Font

    for column, title in enumerate(("sheet", "what a row is", "columns", "must be filled in"), 1):
        sheet.cell(first, column, title).font = Font(bold=True)
    for row, table in enumerate(form_tables(dictionary), start=first + 1):
        columns = form_columns(table)
        mandatory = ", ".join(one.name for one in columns if one.mandatory)
        cells = (table.name, table.description, len(columns), mandatory)
        for column, value in enumerate(cells, 1):
            sheet.cell(row, column, value).alignment = Alignment(wrap_text=True, vertical="top")
        sheet.cell(row, 1).hyperlink = f"#'{table.name}'!A{FIRST_ROW}"
        longest = max(len(table.description) / 60, len(mandatory) / 58)
        sheet.row_dimensions[row].height = 16 * (1 + int(longest))


def write_lists(book: "Workbook", dictionary: Dictionary) -> dict[str, str]:
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
            write_text(sheet, row, column, text)
        letter = sheet.cell(1, column).column_letter
        ranges[name] = f"'{LISTS}'!${letter}$2:${letter}${len(texts) + 1}"
    sheet.sheet_state = "hidden"
    about = book.create_sheet(ABOUT)
    write_text(about, 1, 1, VERSION_COLUMN)
    write_text(about, 2, 1, dictionary.version)
    about.sheet_state = "hidden"
    return ranges


def _is_used(dictionary: Dictionary, codelist: str) -> bool:
    """Return whether a person picks from this list somewhere in the form."""
    return any(
        field.codelist == codelist
        for table in dictionary.tables.values()
        for field in entered(table)
    )


def write_codes(book: "Workbook", dictionary: Dictionary) -> None:
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
            write_text(sheet, row, column, text)
    for letter, width in zip("ABC", (26, 60, 30), strict=True):
        sheet.column_dimensions[letter].width = width
        sheet[f"{letter}1"].font = Font(bold=True)
    sheet.freeze_panes = "A2"
    sheet.protection.sheet = True


def fit_on_paper(sheet: "Worksheet") -> None:
    """Print all columns side by side, lying."""
    sheet.page_setup.orientation = "landscape"
    sheet.page_setup.fitToHeight = 0
    sheet.sheet_properties.pageSetUpPr.fitToPage = True


def write_text(sheet: "Worksheet", row: int, column: int, text: str) -> "Cell":
    """Write a text that stays one, also when it begins like a formula."""
    cell = sheet.cell(row, column, text)
    cell.data_type = "s"
    return cell
