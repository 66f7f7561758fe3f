"""What a spreadsheet would compute is disarmed wherever a cell begins, and comes back as it was."""

import csv
import io
import re

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from transforms.formulas import disarmed, disarmed_column, original


# Texts as they stand and as they are written.
CELLS = (
    ("=1+1", "'=1+1"),
    ("+49 30 1234", "'+49 30 1234"),
    ("+A1", "'+A1"),
    ("-2+3+cmd|' /C calc'!A0", "'-2+3+cmd|' /C calc'!A0"),
    ("@SUM(A1)", "'@SUM(A1)"),
    ("＝1+1", "'＝1+1"),
    ("  =1", "  '=1"),
    ('"=1"', '"\'=1"'),
    ("\t=1", "'\t'=1"),
    ("\r\n=1", "'\r\n'=1"),
    ("\ttext", "'\ttext"),
    ("a;=1+1", "a;'=1+1"),
    ("a,=1+1", "a,'=1+1"),
    ("a\t=1+1", "a\t'=1+1"),
    ("a\n=1+1", "a\n'=1+1"),
    ("a|=1+1", "a|'=1+1"),
    ('a;"=1+1', "a;\"'=1+1"),
    (";=;=", ";'=;'="),
    ("'=1", "''=1"),
    ("-2.5", "-2.5"),
    ("-2,5", "-2,5"),
    ("-1 234,5", "-1 234,5"),
    ("-1\n", "'-1\n"),
    ("c.-12A>G", "c.-12A>G"),
    ("p.(Arg1=)", "p.(Arg1=)"),
    ("it's; 'so'", "it's; 'so'"),
    ("Z. n. Fraktur", "Z. n. Fraktur"),
    ("", ""),
)


@pytest.mark.parametrize(("text", "written"), CELLS)
def test_a_cell_is_disarmed_and_comes_back(text: str, written: str) -> None:
    assert disarmed(text) == written
    assert original(written) == text


def test_a_column_is_disarmed_as_its_cells_are() -> None:
    texts = pa.chunked_array([[text for text, _ in CELLS], [None]], pa.string())
    assert disarmed_column(texts).to_pylist() == [*(written for _, written in CELLS), None]


RISKY = st.text(alphabet="=+-@'\"\t\r\n;,| a1＝", max_size=12)


@given(RISKY)
def test_what_comes_back_is_the_text(text: str) -> None:
    assert original(disarmed(text)) == text
    (found,) = disarmed_column(pa.chunked_array([[text]], pa.string())).to_pylist()
    assert found == disarmed(text)


@given(st.lists(RISKY, min_size=1, max_size=3), st.sampled_from(";,\t|"))
def test_no_cell_is_a_formula_whichever_separator_a_spreadsheet_takes(
    texts: list[str], separator: str
) -> None:
    lines = io.StringIO()
    csv.writer(lines).writerow(map(disarmed, texts))
    for cell in re.split(f"[{re.escape(separator)}\r\n]", lines.getvalue()):
        bare = cell.strip(" \"'") if "'" not in cell else cell.strip(' "')
        number = re.fullmatch(r"-?[0-9][0-9., ]*\"?", bare)
        assert number or not bare.startswith(("=", "+", "-", "@", "＝"))
