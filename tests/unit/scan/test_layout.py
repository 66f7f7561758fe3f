"""Where the names of the columns stand on a sheet that nobody has described."""

import pytest

from transforms.scan.layout import find_layout


NAMES = ["N° dossier", "Date", "Os", "Côté"]
ROWS = [["7001", "01/02/2003", "tibia", "G"], ["7002", "03/04/2005", "fémur", ""]]


def test_names_in_the_first_row() -> None:
    layout = find_layout([NAMES, *ROWS])
    assert (layout.header_row, layout.header, layout.groups) == (1, tuple(NAMES), ())
    assert layout.notes == ()


def test_titles_and_empty_rows_above_are_no_names() -> None:
    layout = find_layout([["Registre des fractures"], ["juin 2026"], [], NAMES, *ROWS])
    assert layout.header_row == 4
    assert "named in row 4" in layout.notes[0]


def test_a_patient_is_no_header() -> None:
    rows = [
        ["Exemple", "Jeanne", "04/05/1987", "Lyon", "rien"],
        ["Essai", "Paul", "01/02/1990", "Lille", ""],
        ["Modèle", "Marie", "03/03/1999", "Nantes", "rien"],
    ]
    assert find_layout(rows).header_row == 0


def test_a_merged_heading_holds_for_the_columns_up_to_the_next() -> None:
    above = ["Patient", "Fracture"]
    layout = find_layout([["Titre"], above, NAMES, *ROWS])
    assert layout.header_row == 3
    assert layout.groups == ("Patient", "Fracture", "Fracture", "Fracture")


def test_a_row_of_units_is_told() -> None:
    names = ["id", "Hb", "Ca", "Date"]
    units = ["", "g/dL", "mg/L", ""]
    layout = find_layout([names, units, ["1", "12,1", "95", "01/02/2003"]])
    assert layout.header_row == 1
    assert any("row 2 seems to hold units" in note for note in layout.notes)


def test_two_tables_side_by_side_are_told() -> None:
    row = ["1", "a", "", "1", "b"]
    layout = find_layout([["id", "Os", "", "id", "Gène"], row, row])
    assert any("two tables side by side" in note for note in layout.notes)


@pytest.mark.parametrize("rows", [[], [["only a title"]], [["1", "2"], ["3", "4"]]])
def test_no_names_no_table(rows: list[list[str]]) -> None:
    assert find_layout(rows).header_row == 0
