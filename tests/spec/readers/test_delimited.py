"""What a file of delimited text becomes, and which files are refused, with what words."""

import pytest

from transforms.errors import SourceError


NAMES = "id;Größe\n1;hoch\n"


@pytest.mark.parametrize(
    ("content", "encoding"),
    [
        (NAMES.encode(), ""),
        (NAMES.encode(), "utf-8"),
        (NAMES.encode("utf-8-sig"), ""),
        (NAMES.encode("utf-8-sig"), "utf-8"),
        (NAMES.encode("cp1252"), ""),
        (NAMES.encode("cp1252"), "cp1252"),
        (NAMES.encode("iso-8859-15"), "iso-8859-15"),
        (NAMES.encode("utf-16"), ""),
        (NAMES.encode("utf-16"), "utf-16"),
        (NAMES.encode("utf-16-le"), ""),
        (NAMES.encode("utf-16-be"), ""),
        (NAMES.replace("\n", "\r\n").encode(), ""),
        (NAMES.replace("\n", "\r").encode(), ""),
        (("sep=;\n" + NAMES).encode(), ""),
        (NAMES.strip().encode(), ""),
    ],
)
def test_one_content_in_every_encoding_reads_the_same(reading, content, encoding):
    found = reading({"a.csv": content}, encoding=encoding, delimiter=";")
    assert found.table.columns == ("id", "Größe")
    assert found.rows == [("1", "hoch")]


@pytest.mark.parametrize("euro", ["cp1252", "iso-8859-15"])
def test_the_declared_encoding_decides_where_two_differ(reading, euro):
    content = "id;Œuvre €\n1;Šø\n".encode(euro)
    assert reading({"a.csv": content}, encoding=euro).rows == [("1", "Šø")]


@pytest.mark.parametrize(
    ("content", "delimiter"),
    [
        ("id;x\n1;2,5\n", ""),
        ('id,x\n1,"2,5"\n', ""),
        ("id\tx\n1\t2,5\n", "tab"),
        ("id|x\n1|2,5\n", ""),
    ],
)
def test_delimiters(reading, content, delimiter):
    assert reading({"a.csv": content}, delimiter=delimiter).rows == [("1", "2,5")]


def test_what_was_detected_is_said(reading):
    notes = reading({"a.csv": NAMES.encode("cp1252")}).table.notes
    assert notes == (
        "a.csv: encoding cp1252 was detected; declare it in 'encoding'",
        "a.csv: delimiter ';' was detected; declare it in 'delimiter'",
    )
    assert reading({"a.csv": "id,x\n1,2\n"}).table.notes == ()


@pytest.mark.parametrize(
    ("content", "rows"),
    [
        ("id,x\n1,a\n2,b\n", [2, 3]),
        ("id,x\n1,a\n\n2,b\n\n\n", [2, 4]),
        ("id,x\n1,a\n  \n2,b\n", [2, 4]),
        ("id,x\n1,a\n,\n2,b\n", [2, 4]),
        ('id,x\n1,"line\n\nline"\n2,b\n', [2, 3]),
        ('id,x\n1,"line\n\nline"\n\n2,b\n', [2, 4]),
        ('id,x\n1,5" plate\n2,b\n', [2, 3]),
        ('id,x\n1,5" plate\n2,5" plate\n3,c\n', [2, 3, 4]),
        ('id,x\n1,"he said ""no"""\n2,b\n', [2, 3]),
    ],
)
def test_row_numbers_are_those_of_a_spreadsheet(reading, content, rows):
    assert [row for _, _, row in reading({"a.csv": content}).places] == rows


def test_title_lines_above_the_header(reading):
    found = reading({"a.csv": "Labor Ulm\n\nid;Hb\n7;11,2\n"}, header_row=3, delimiter=";")
    assert found.rows == [("7", "11,2")]
    assert found.places == [("a.csv", "", 4)]


def test_text_stays_as_it_is_and_blanks_are_nothing(reading):
    found = reading({"a.csv": 'id;a;b;c;d\n 7 ;<0,5;  ;"";\u00a0\n'}, delimiter=";")
    assert found.rows == [(" 7 ", "<0,5", None, None, None)]


def test_header_names_are_made_usable_and_distinct(reading):
    found = reading({"a.csv": 'id;" Z-Score\nLWS ";Datum;datum;;source_row;\n1;2;3;4;5;6;\n'})
    assert found.table.columns == (
        "id",
        "Z-Score LWS",
        "Datum",
        "datum (2)",
        "column 5",
        "source_row (2)",
    )
    assert found.rows == [("1", "2", "3", "4", "5", "6")]


def test_several_files_are_united_by_name(reading):
    found = reading({"b.csv": "x,id\n2,B\n", "a.csv": "id,x\nA,1\n"})
    assert found.rows == [("A", "1"), ("B", "2")]
    assert found.table.files == ("a.csv", "b.csv")
    assert found.places == [("a.csv", "", 2), ("b.csv", "", 2)]


def test_a_header_without_rows_is_an_empty_relation(reading):
    found = reading({"a.csv": "id,x\n"})
    assert found.table.rows == 0
    assert found.table.columns == found.table.empty_columns == ("id", "x")


def test_columns_without_any_value_are_named(reading):
    assert reading({"a.csv": "id,x,y\n1,,2\n"}).table.empty_columns == ("x",)


SECRET = "Dupont"


@pytest.mark.parametrize(
    ("files", "declared", "message"),
    [
        ({}, {"file": "labs_*.csv"}, "no file in"),
        ({"a.csv": "id\n1\n"}, {"file": "../a.csv"}, "inside the inbox"),
        ({"a.csv": b""}, {}, "a.csv: the file is empty"),
        ({"a.csv": b"PK\x03\x04\x00\x00"}, {}, "ZIP container.*declare format excel"),
        ({"a.csv": b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"}, {}, "old Excel workbook"),
        ({"a.csv": b"id,x\n1,\x01\x02\n"}, {}, "binary data"),
        (
            {"a.csv": f"id,x\n1,{SECRET}\n2,{SECRET},3\n4\n"},
            {},
            "header has 2 cells, but rows 3, 4",
        ),
        ({"a.csv": f"id;x\n{SECRET};2\n"}, {"delimiter": ","}, "it has ';'"),
        ({"a.csv": f"id;é\n{SECRET};2\n"}, {"encoding": "cp1252"}, "cp1252 is declared.*is utf-8"),
        ({"a.csv": f"id;é\n{SECRET};2\n".encode("cp1252")}, {"encoding": "utf-8"}, "line 1 holds"),
        ({"a.csv": f"id;x\n{SECRET};2\n"}, {"encoding": "utf-16"}, "utf-16 is declared"),
        ({"a.csv": "id;x\n"}, {"encoding": "martian"}, "unknown encoding 'martian'"),
        ({"a.csv": "id;x\n"}, {"encoding": "hex"}, "unknown encoding 'hex'"),
        ({"a.csv": "id;10 €\n".encode("cp1252")}, {"encoding": "latin-1"}, "the file is cp1252"),
        ({"a.csv": "id;;x\n"}, {"delimiter": ";;"}, "more than one character"),
        ({"a.csv": f"id,x\n{SECRET},2\n"}, {"header_row": 9}, "header_row 9.*2 rows"),
        ({"a.csv": "\n\nid,x\n1,2\n"}, {"header_row": 1}, "row 1 should hold the column names"),
        (
            {"a.csv": "id,x\n1,2\n", "b.csv": "id,y,z\n1,2,3\n"},
            {},
            "b.csv.*lacks x and has 2 others",
        ),
        ({"a.csv": f'id,x\n1,"{SECRET}\n\n2,y\n'}, {}, "quotation mark"),
        ({"a.csv": f'id,x\n1,y\n2,"{SECRET}\n3,y\n'}, {}, "opened near data row 2 is never closed"),
        ({"a.csv": f'id,x\n"{SECRET},y\n3,y\n'}, {}, "opened near data row 1 is never closed"),
        ({"a.csv": "id\n1\n"}, {"format": "stata"}, "unknown format 'stata'.*delimited, excel"),
    ],
)
def test_refused_with_file_and_remedy_and_without_content(reading, files, declared, message):
    with pytest.raises(SourceError, match=f"(?s){message}") as refused:
        reading(files, **declared)
    assert SECRET not in str(refused.value)


def test_lock_files_of_open_workbooks_are_left_out(reading):
    found = reading({"a.csv": "id\n1\n", "~$a.csv": b"\x00\x01", ".DS_Store": b"\x00"})
    assert found.table.files == ("a.csv",)
