"""The same content gives the same texts whichever format a workbook has.

How the files in `workbooks` were made: its README.
"""

import datetime
import io
import zipfile
from collections.abc import Mapping
from pathlib import Path

import pytest

from tests.spec.readers.test_excel import open_document, workbook
from tests.spec.readers.workbooks.binary import binary_workbook
from tests.spec.readers.workbooks.content import ROWS, SERIALS, calendar, content
from transforms.errors import SourceError


FOLDER = Path(__file__).parent / "workbooks"
SECOND = "Familie Muster"  # a sheet that might be called after a patient


# What MERGED says in letters: first and last row, first and last column.
BINARY_MERGED = (
    (0, 0, 0, 7), (1, 2, 0, 0), (1, 2, 1, 1), (1, 1, 2, 3), (1, 1, 4, 5), (1, 2, 6, 6),
    (1, 2, 7, 7), (3, 4, 0, 0),
)  # fmt: skip
WORKBOOKS: Mapping[str, bytes] = {
    "a.xlsx": content(),
    "a.xlsm": content(),
    "a.xlsb": binary_workbook(
        ("Überblick", ROWS),
        (SECOND, [["id", "x"], [1, "zwei"]]),
        merged=BINARY_MERGED,
    ),
    "a.xls": (FOLDER / "content.xls").read_bytes(),
    "a.ods": (FOLDER / "content.ods").read_bytes(),
}


@pytest.fixture
def excel(reading):
    def run(name: str, book: bytes, **declared: object):
        return reading({name: book}, format="excel", **declared)

    return run


@pytest.mark.parametrize("name", WORKBOOKS)
def test_the_same_content_gives_the_same_texts(excel, name):
    found = excel(name, WORKBOOKS[name], header_row=3)
    assert found.table.columns == (
        "IPP", "Größe (Wort)", "Wert", "Datum", "Datum (2)", "Uhrzeit", "Fraktur", "Befund",
    )  # fmt: skip
    assert found.rows == [
        ("p1", "naïve ß 骨", "2.35", "1987-12-31", "2014-03-09", "08:30:00", "true",
         "Z. n. Fraktur"),
        ("p1", "<0,5", "-3", "2000-02-29", "2020-02-29 23:59:59", None, "false", None),
        ("p2", "007", "1234.5", "1900-03-01", None, None, "true", None),
    ]  # fmt: skip
    assert [row for _, _, row in found.places] == [4, 5, 6]
    assert f"{name}: 1 cells hold an Excel error; read as empty" in found.table.notes


@pytest.mark.parametrize("name", WORKBOOKS)
def test_headings_over_several_columns_go_before_the_names(excel, name):
    """The title above, merged over all columns, is no heading; a name over two rows stands once."""
    found = excel(name, WORKBOOKS[name], header_row=3, header_lines=2)
    assert found.table.columns == (
        "IPP", "Größe (Wort)", "Calcium / Wert", "Calcium / Datum", "Besuch / Datum",
        "Besuch / Uhrzeit", "Fraktur", "Befund",
    )  # fmt: skip
    assert found.rows == excel(name, WORKBOOKS[name], header_row=3).rows


@pytest.mark.parametrize("name", WORKBOOKS)
@pytest.mark.parametrize("sheet", ["2", SECOND])
def test_the_second_sheet(excel, name, sheet):
    assert excel(name, WORKBOOKS[name], sheet=sheet).rows == [("1", "zwei")]


@pytest.mark.parametrize("name", WORKBOOKS)
@pytest.mark.parametrize("wrong", [{"sheet": "nowhere"}, {"sheet": "3"}, {"header_row": 99}])
def test_no_message_names_a_sheet(excel, name, wrong):
    with pytest.raises(Exception, match=name) as told:
        excel(name, WORKBOOKS[name], **wrong)
    assert SECOND not in str(told.value)
    assert "Überblick" not in str(told.value)
    assert SECOND not in "".join(excel(name, WORKBOOKS[name], header_row=3).table.notes)


def test_merged_cells_of_an_xlsb_whose_block_lies_are_noted(excel):
    rows = [["id", "visit"], ["p1", 1], [None, 2]]
    stream = io.BytesIO()
    book = binary_workbook(("A", rows), merged=[(1, 2, 0, 0)])
    with zipfile.ZipFile(io.BytesIO(book)) as old, zipfile.ZipFile(stream, "w") as new:
        for name in old.namelist():  # two are announced, one is there
            lying = old.read(name).replace(b"\xb1\x01\x04\x01", b"\xb1\x01\x04\x02")
            new.writestr(name, lying)
    found = excel("a.xlsb", stream.getvalue())
    assert found.rows == [("p1", "1"), (None, "2")]
    assert found.table.notes == (
        "a.xlsb: 2 merged cells are in this .xlsb and not all could be found; only their first "
        "row has the value: save it as .xlsx",
    )


@pytest.mark.parametrize(
    ("hours", "text"),
    [(3, "03:00:00"), (30.25, "30:15:00"), (48, "48:00:00"), (100.0005, "100:00:01")],
)
@pytest.mark.parametrize("name", ["a.xlsx", "a.ods"])
def test_a_duration_is_what_excel_shows(excel, name, hours, text):
    """Also beyond a day, where calamine gives another type for each format."""
    whole, seconds = divmod(round(hours * 3600, 1), 3600)
    stored = f"PT{whole:02.0f}H{seconds // 60:02.0f}M{seconds % 60:04.1f}S".replace(".0S", "S")
    cell = f'<table:table-cell office:value-type="time" office:time-value="{stored}"/>'
    row = '<table:table-cell office:value-type="string"><text:p>{}</text:p></table:table-cell>'
    lines = [row.format("id") + row.format("x"), row.format("p1") + cell]
    document = open_document("".join(f"<table:table-row>{one}</table:table-row>" for one in lines))
    sheet = workbook(("A", [["id", "x"], ["p1", datetime.timedelta(hours=hours)]]))
    assert excel(name, {"a.xlsx": sheet, "a.ods": document}[name]).column("x") == [text]


def serials(first_year: str) -> dict[str, bytes]:
    """The serial numbers of `SERIALS` shown as dates, by file name."""
    rows = [["id", "day"], *([n, (serial,)] for n, serial in enumerate(SERIALS, 1))]
    return {
        "a.xlsx": calendar(first_year),
        "a.xlsb": binary_workbook(("A", rows), from_1904=first_year == "1904"),
        "a.xls": (FOLDER / f"calendar{first_year}.xls").read_bytes(),
    }


# Excel's day 1 is 1 January 1900 (day 0 of 1904: 1 January 1904). It counts a 29 February 1900 that
# never was as day 60: so 59 is 28 February, and 61 is 1 March. 1 January 1982 is day 82 x 365 + 20
# leap days + 1 + the day that never was = 29952, and 48 days later is 18 February; in the same way
# 1 January 2020 is 43831. 1904 is a leap year: 59 days after 1 January is 29 February. The days of
# 1904 come 1,462 later, the number that Excel's help gives: four years and the day that never was.
DAYS = {
    "1900": ["1900-02-28", "1900-02-28", "1900-03-01", "1982-02-18", "2020-06-18 18:00:00"],
    "1904": ["1904-02-29", "1904-03-01", "1904-03-02", "1986-02-19", "2024-06-19 18:00:00"],
}
NEVER_WAS = (
    "{}, sheet 1, column 'day': 2 dates before 1 March 1900: small numbers shown as dates, or the "
    "29 February 1900 that never was; correct them in the source"
)


@pytest.mark.parametrize("name", ["a.xlsx", "a.xlsb", "a.xls"])
@pytest.mark.parametrize("first_year", DAYS)
def test_days_are_counted_from_1900_or_1904(excel, name, first_year):
    """Day 60 of 1900 is no day: it is never read without a remark."""
    found = excel(name, serials(first_year)[name])
    assert found.column("day") == DAYS[first_year]
    assert found.table.notes == ((NEVER_WAS.format(name),) if first_year == "1900" else ())


@pytest.mark.parametrize(
    ("cells_between", "first_row"), [(300_000, 0), (16_000, 2**20 - 2)], ids=["wide", "many cells"]
)
def test_an_xlsb_that_reaches_too_far_is_refused(excel, cells_between, first_row):
    """Its records do not say so to the guard, which reads XML alone."""
    rows = [["id", "x"], ["p1", *[None] * cells_between, 1]]
    with pytest.raises(SourceError, match=r"a\.xlsb, sheet 1: it reaches to row .* delete the"):
        excel("a.xlsb", binary_workbook(("A", rows), first_row=first_row))


def test_a_workbook_with_two_sheets_of_one_name_is_refused(excel):
    """No program saves one, and the second would be read as the first."""
    book = binary_workbook(("A", [["id"], ["p1"]]), ("A", [["id"], ["p2"]]))
    with pytest.raises(SourceError, match=r"a\.xlsb: two of its sheets have one name; open it"):
        excel("a.xlsb", book, sheet="2")


def test_an_old_workbook_with_broken_sectors_is_refused(excel):
    """Where calamine's Rust code panics, which is no Exception to Python."""
    book = WORKBOOKS["a.xls"]
    with pytest.raises(SourceError, match=r"a\.xls: the workbook cannot be read; open it in Excel"):
        excel("a.xls", book[: len(book) - 100])


def test_an_xlsb_that_ends_too_early_is_refused(excel):
    book = binary_workbook(("A", [["id", "x"], ["p1", 1]]))
    stream = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(book)) as old, zipfile.ZipFile(stream, "w") as new:
        for name in old.namelist():
            content = old.read(name)
            new.writestr(name, content[:-20] if "sheet1" in name else content)
    with pytest.raises(SourceError, match=r"a\.xlsb, sheet 1: it cannot be read; open it in Excel"):
        excel("a.xlsb", stream.getvalue())
