"""What the cells of a workbook become, and which workbooks are refused, with what words."""

import datetime
import io
import zipfile
from collections.abc import Sequence
from typing import Any

import openpyxl
import pytest
from openpyxl.utils import datetime as calendars

from transforms.errors import SourceError
from transforms.readers import relation, workbook_guard


CALENDAR_MAC_1904 = calendars.CALENDAR_MAC_1904
CALENDAR_WINDOWS_1900 = calendars.CALENDAR_WINDOWS_1900


def workbook(*sheets: tuple[str, Sequence[Sequence[Any]]], epoch: Any = None) -> bytes:
    book = openpyxl.Workbook()
    book.remove(book.active)
    book.epoch = epoch or CALENDAR_WINDOWS_1900
    for title, rows in sheets:
        sheet = book.create_sheet(title)
        for row in rows:
            sheet.append(list(row))
    stream = io.BytesIO()
    book.save(stream)
    return stream.getvalue()


def cells(*values: Any) -> bytes:
    return workbook(("Labs", [["id", "x"], *[[i, value] for i, value in enumerate(values, 1)]]))


@pytest.fixture
def excel(reading):
    def run(content: bytes, **declared: Any):
        return reading({"a.xlsx": content}, **{"format": "excel", **declared})

    return run


@pytest.mark.parametrize(
    ("cell", "text"),
    [
        ("oui", "oui"),
        (" <0,5 ", " <0,5 "),
        ("007", "007"),
        (7, "7"),
        (7.0, "7"),
        (-3, "-3"),
        (2.35, "2.35"),
        (0.1, "0.1"),
        (1e-5, "0.00001"),
        (184127645108946, "184127645108946"),
        (True, "true"),
        (datetime.date(2014, 3, 9), "2014-03-09"),
        (datetime.datetime(2014, 3, 9), "2014-03-09"),
        (datetime.datetime(2014, 3, 9, 8, 30), "2014-03-09 08:30:00"),
        (datetime.time(8, 30), "08:30:00"),
        ("", None),
        (" \u00a0", None),
        (None, None),
    ],
)
def test_typed_cells_become_text(excel, cell, text):
    assert excel(cells(cell, "other")).column("x") == [text, "other"]


def test_numbers_have_the_declared_decimal_mark(excel):
    """Or a typed 2.35 between texts such as `2,35` would be read as 235."""
    found = excel(cells(2.35, "2,36", 3, 1234.5), decimal=",")
    assert found.column("x") == ["2,35", "2,36", "3", "1234,5"]


@pytest.mark.parametrize("epoch", [CALENDAR_WINDOWS_1900, CALENDAR_MAC_1904])
def test_both_calendars(excel, epoch):
    rows = [["id", "d"], ["1", datetime.date(1987, 12, 31)]]
    assert excel(workbook(("A", rows), epoch=epoch)).column("d") == ["1987-12-31"]


def test_header_row_anywhere_and_row_numbers_as_in_excel(excel):
    rows = [["Biologie 2024"], [], ["id", "Calcémie\n(mg/L)", None], ["a", 98, None], [], ["b", 99]]
    found = excel(workbook(("Biologie", rows)), header_row=3)
    assert found.table.columns == ("id", "Calcémie (mg/L)")
    assert found.rows == [("a", "98"), ("b", "99")]
    assert found.places == [("a.xlsx", "Biologie", 4), ("a.xlsx", "Biologie", 6)]


@pytest.mark.parametrize(
    ("sheet", "read"), [("", "first"), ("Zweites", "second"), ("2", "second"), ("1", "first")]
)
def test_a_sheet_by_name_or_position(excel, sheet, read):
    book = workbook(("Erstes", [["id"], ["first"]]), ("Zweites", [["id"], ["second"]]))
    found = excel(book, sheet=sheet)
    assert found.rows == [(read,)]
    assert len(found.table.other_parts) == 1


def test_cells_that_excel_seems_to_have_converted_are_noted(excel):
    (note,) = excel(cells(3, datetime.date(2024, 2, 1), 4)).table.notes
    assert note.startswith("a.xlsx, sheet 1, column 'x': dates among numbers")


def test_dates_that_another_country_has_read_are_noted(excel):
    (note,) = excel(cells(datetime.date(2014, 9, 3), "13/03/2014")).table.notes
    assert "day and month may be swapped" in note
    assert excel(cells(datetime.date(2014, 9, 3), "unbekannt", "")).table.notes == ()


def test_error_cells_are_counted(excel):
    book = openpyxl.load_workbook(io.BytesIO(cells(1, 2)))
    book["Labs"]["B2"].value, book["Labs"]["B2"].data_type = "#N/A", "e"
    stream = io.BytesIO()
    book.save(stream)
    found = excel(stream.getvalue())
    assert found.column("x") == [None, "2"]
    assert found.table.notes == ("a.xlsx: 1 cells hold an Excel error; read as empty",)


def formulas(*cells: str) -> bytes:
    """A workbook of one row under its header, with the sheet's cells as they are given."""
    head = '<row r="1"><c r="A1" t="inlineStr"><is><t>id</t></is></c></row>'
    names = "http://schemas.openxmlformats.org/spreadsheetml/2006/main"
    row = f'<row r="2"><c r="A2"><v>1</v></c>{"".join(cells)}</row>'
    text = f'<worksheet xmlns="{names}"><sheetData>{head}{row}</sheetData></worksheet>'
    return with_xml(SHEET, text.encode())


@pytest.mark.parametrize(
    ("cell", "text"),
    [
        ('<c r="B2"><f>A2*2</f><v>2</v></c>', "2"),
        ('<c r="B2" t="str"><f>IF(A2,"","")</f><v></v></c>', None),
        ('<c r="B2" s="1"/>', None),
    ],
)
def test_a_formula_gives_its_stored_value(excel, cell, text):
    found = excel(formulas(cell, '<c r="C2"><v>3</v></c>'))
    assert found.rows == [tuple(cell for cell in ("1", text, "3") if cell)]
    assert found.table.notes == ()


@pytest.mark.parametrize(
    "cell",
    [
        '<c r="B2"><f>A2*2</f></c>',
        '<c r="B2"><f>A2*2</f><v/></c>',
        '<c r="B2"><f>A2*2</f><v></v></c>',
        '<c r="B2"><f t="shared" si="0"/></c>',
        pytest.param(
            f'<c r="B2"><f>{"A2+" * 2700}A2</f><v /></c>', id="a formula of 8,102 letters"
        ),
    ],
)
@pytest.mark.parametrize("piece", [2**20, 100], ids=["in one piece", "in many"])
def test_formulas_without_a_value_are_noted(excel, monkeypatch, cell, piece):
    """A program other than Excel wrote them, and nothing has ever computed them."""
    monkeypatch.setattr(workbook_guard, "PIECE", piece)
    assert excel(formulas(cell)).table.notes == (
        "a.xlsx: 1 cells hold a formula without a stored value; read as empty: "
        "open the file in Excel and save it",
    )


def bomb(*, entries: int = 1, size: int = 0) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:
        for number in range(entries):
            archive.writestr(f"xl/worksheets/sheet{number}.xml", b"\0" * size)
    return stream.getvalue()


def far_cell() -> bytes:
    book = openpyxl.Workbook()
    book.active["A1"], book.active["XFD1048576"] = "id", "x"
    stream = io.BytesIO()
    book.save(stream)
    return stream.getvalue()


def lying_directory() -> bytes:
    """An archive whose directory declares a tenth of what its entry unfolds to."""
    content = bomb(size=20_000_000)
    size = (20_000_000).to_bytes(4, "little")
    return content.replace(size, (2_000_000).to_bytes(4, "little"))


def open_document(rows: str) -> bytes:
    """The least that makes an OpenDocument spreadsheet with one sheet."""
    spaces = " ".join(
        f'xmlns:{name}="urn:oasis:names:tc:opendocument:xmlns:{name}:1.0"'
        for name in ("office", "table", "text", "manifest")
    )
    kind = "application/vnd.oasis.opendocument.spreadsheet"
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        archive.writestr("mimetype", kind)
        archive.writestr(
            "content.xml",
            f"<office:document-content {spaces}><office:body><office:spreadsheet>"
            f'<table:table table:name="Labs">{rows}</table:table>'
            "</office:spreadsheet></office:body></office:document-content>",
        )
        archive.writestr(
            "META-INF/manifest.xml",
            f'<manifest:manifest {spaces}><manifest:file-entry manifest:full-path="/" '
            f'manifest:media-type="{kind}"/></manifest:manifest>',
        )
    return stream.getvalue()


def test_open_document(excel):
    text = '<table:table-cell office:value-type="string"><text:p>{}</text:p></table:table-cell>'
    date = '<table:table-cell office:value-type="date" office:date-value="2014-03-09"/>'
    many = (
        '<table:table-row table:number-rows-repeated="1048574"><table:table-cell '
        'table:number-columns-repeated="16384"/></table:table-row>'
    )
    rows = "".join(
        f"<table:table-row>{cells}</table:table-row>"
        for cells in (text.format("id") + text.format("x"), text.format("1") + date)
    )
    assert excel(open_document(rows + many)).rows == [("1", "2014-03-09")]


def with_xml(member: str, content: bytes) -> bytes:
    """A good workbook in which one entry was exchanged."""
    stream = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(cells("a"))) as good, zipfile.ZipFile(stream, "w") as bad:
        for name in good.namelist():
            bad.writestr(name, content if name == member else good.read(name))
    return stream.getvalue()


ENTITIES = b"""<!DOCTYPE s [<!ENTITY a "ha"><!ENTITY b "&a;&a;"><!ENTITY f SYSTEM "file:///etc/passwd">]>
<sst xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main"><si><t>&b;&f;</t></si></sst>"""
SHEET = "xl/worksheets/sheet1.xml"
FAR = "<worksheet><sheetData><row r='1048576'><c r='{}1048576'/></row></sheetData></worksheet>"


@pytest.mark.parametrize(
    ("content", "declared", "message"),
    [
        (b"id;x\n1;2\n", {}, "a.xlsx: an Excel workbook was expected.*declare format delimited"),
        (b"<html><table></table></html>", {}, "an Excel workbook was expected"),
        (b"PK\x03\x04rubbish", {}, "a.xlsx: the workbook is damaged"),
        (b"\xd0\xcf\x11\xe0" + b"\0" * 600, {}, "a.xlsx: the workbook cannot be read"),
        (cells(1), {"sheet": "Biologie"}, "no sheet 'Biologie' among its 1:"),
        (cells(1), {"sheet": "2"}, "no sheet '2'"),
        (cells(1), {"header_row": 8}, "row 8 should hold the column names but is empty"),
        (lambda: bomb(size=150_000_000), {}, "unfolds to .* times its size, at most 100"),
        (lambda: bomb(size=210_000_000), {}, "unfolds to 200 MB, at most 200"),
        (lambda: bomb(entries=1001), {}, "has 1001 entries, at most 1000"),
        (far_cell, {}, "reaches to row 1048576 and column 16384"),
        (lying_directory, {}, "damaged"),
        (bomb, {}, "cannot be read"),
        (with_xml("xl/styles.xml", ENTITIES), {}, "XML that no spreadsheet program writes"),
        (with_xml(SHEET, FAR.format("XFD").encode()), {}, "reaches to row 1048576"),
        (with_xml(SHEET, FAR.format("&#88;FD").encode()), {}, "no spreadsheet program writes"),
        (with_xml(SHEET, FAR.format("XFD").encode("utf-16")), {}, "no spreadsheet program writes"),
    ],
)
def test_refused_with_file_and_remedy(excel, content, declared, message):
    with pytest.raises(SourceError, match=message):
        excel(content() if callable(content) else content, **declared)


def sheet_with(*rows: Sequence[Any], merged: str = "", hidden: str = "") -> bytes:
    book = openpyxl.Workbook()
    book.active.title = "Labs"
    for line in rows:
        book.active.append(list(line))
    if merged:
        book.active.merge_cells(merged)
    if hidden:
        book.create_sheet(hidden).sheet_state = "hidden"
    stream = io.BytesIO()
    book.save(stream)
    return stream.getvalue()


def test_each_row_of_a_merged_cell_has_its_value(excel):
    rows = [["id", "visit"], ["p1", 1], [None, 2], ["p2", 3]]
    found = excel(sheet_with(*rows, merged="A2:A3"))
    assert found.rows == [("p1", "1"), ("p1", "2"), ("p2", "3")]
    assert found.table.notes == (
        "a.xlsx, sheet 1: 1 cells are merged over several rows; each row was given the value",
    )


@pytest.mark.parametrize("merged", ["A1:B1", "A4:B4"])
def test_a_heading_over_several_columns_fills_no_cell(excel, merged):
    rows = [["id", "visit"], ["p1", 1], ["p2", 3], ["men", None]]
    assert excel(sheet_with(*rows, merged=merged)).rows[2] == ("men", None)


@pytest.mark.parametrize(
    ("merged", "columns"),
    [
        ("A1:A2", ("IPP", "Ca", "column 3")),
        ("B2:C2", ("column 1", "Ca", "column 3")),
        ("A1:C1", ("column 1", "Ca", "column 3")),
    ],
)
def test_each_column_has_a_name_whatever_is_merged(excel, merged, columns):
    """Only a cell that reaches down into the declared row names a column of it."""
    rows = [["IPP", None, None], [None, "Ca", None], ["p1", 2.3, "x"]]
    found = excel(sheet_with(*rows, merged=merged), header_row=2)
    assert found.table.columns == columns
    assert found.rows == [("p1", "2.3", "x")]


TYPED = [["id", "hb"], ["p1", 141], ["p2", 120]]


@pytest.mark.parametrize(
    ("rows", "note"),
    [
        ([*TYPED, ["Total", 2]], "row 4 seems to hold totals, not a patient; delete it"),
        ([*TYPED, ["Moyenne:", 130.5]], "row 4 seems to hold totals, not a patient; delete it"),
        (
            [*TYPED, [None, None], ["id", "ca"], ["p1", 2.4]],
            "another table seems to begin in row 5; put it on a sheet of its own, "
            "or its rows are read as those of the first",
        ),
    ],
)
def test_totals_and_a_second_table_are_noted(excel, rows, note):
    assert excel(sheet_with(*rows)).table.notes == (f"a.xlsx, sheet 1: {note}",)


@pytest.mark.parametrize("rows", [TYPED, [*TYPED, [None, None], ["p3", 99]], [["id"], ["totals"]]])
def test_what_is_in_order_is_not_noted(excel, rows):
    noted = [note for note in excel(sheet_with(*rows)).table.notes if "totals" not in note]
    assert not noted


def test_hidden_sheets_are_noted(excel):
    assert excel(sheet_with(*TYPED, hidden="old")).table.notes == ("a.xlsx: sheet 2 is hidden",)


def test_empty_columns_up_to_a_stray_cell_cost_nothing(excel, monkeypatch):
    """A stray cell at the far right makes thousands of columns, which took the whole deadline."""
    laid = []
    store = relation.store
    monkeypatch.setattr(
        "transforms.readers.excel.store",
        lambda source, parts, *rest, **more: (
            laid.extend(parts[0].columns) or store(source, parts, *rest, **more)
        ),
    )
    found = excel(workbook(("A", [["id", "x"], ["p1", 1], [*[None] * 16_383, "stray"]])))
    assert laid == ["id", "x", "column 16384"]
    assert found.rows == [("p1", "1", None), (None, None, "stray")]


@pytest.mark.parametrize("sheets", [[("A", [])], [("A", []), ("B", [[" "], [None]])]])
def test_a_look_at_a_workbook_that_holds_nothing_says_so(reading, sheets):
    with pytest.raises(SourceError, match=r"a\.xlsx: no sheet of it holds anything; export"):
        reading({"a.xlsx": workbook(*sheets)}, format="peek")
