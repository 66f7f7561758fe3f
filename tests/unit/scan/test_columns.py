"""What a scan says of a column, and what it never says."""

from collections.abc import Callable

import duckdb
import pytest

from transforms.scan.columns import scan_column, unit_in
from transforms.scan.model import HIDDEN_BELOW, ColumnScan


Look = Callable[..., ColumnScan]


@pytest.fixture
def look() -> Look:
    """Scan one column whose texts are given; every row is another person unless told."""

    def scanned(name: str, texts: list[str | None], persons: list[str] | None = None) -> ColumnScan:
        connection = duckdb.connect()
        connection.execute("create schema source")
        connection.execute(f'create table source.s (person varchar, "{name}" varchar)')
        ids = persons or [str(number) for number in range(len(texts))]
        connection.executemany(
            "insert into source.s values ($1, $2)", list(zip(ids, texts, strict=True))
        )
        return scan_column(connection, "s", name, "person")

    return scanned


def test_words_of_fewer_persons_than_the_threshold_are_hidden(look: Look) -> None:
    column = look("Os", ["tibia"] * HIDDEN_BELOW + ["rotule"] * (HIDDEN_BELOW - 1))
    assert column.kind == "code"
    assert column.shown == {"tibia": HIDDEN_BELOW}
    assert column.hidden == 1
    assert "rotule" not in str(column.plain())


def test_many_rows_of_one_person_are_one_person(look: Look) -> None:
    column = look("Os", ["rotule"] * 20 + ["tibia"] * 20, ["p"] * 20 + list("abcdefghijklmnopqrst"))
    assert column.shown == {"tibia": 20}


@pytest.mark.parametrize(
    ("name", "texts", "kind"),
    [
        ("Nom", ["MARTIN"] * 9 + ["DURAND"] * 9, "identifier"),
        ("IPP", ["1", "2", "3"] * 6, "id"),
        ("Remarque", ["a vu le médecin hier"] * 9, "free_text"),
        ("Suivi", ["Frau Müller hat am Montag angerufen, Tel. folgt"] * 9, "free_text"),
        ("Né", [f"0{n}/02/1980" for n in range(1, 10)], "date"),
        ("Hb", [f"12,{n}" for n in range(9)] + ["<0,5", "NR"], "number"),
        ("Âge", [str(n) for n in range(20)], "number"),
        ("Type", ["1", "2", "2", "1"] * 5, "code"),
        ("Rien", [None, None], "empty"),
    ],
)
def test_kinds(look: Look, name: str, texts: list[str | None], kind: str) -> None:
    column = look(name, texts)
    assert column.kind == kind
    if kind not in ("code",):
        assert column.shown == {}


def test_a_day_above_twelve_proves_the_order_and_nothing_else_does(look: Look) -> None:
    proven = look("d", ["13/02/1980", "01/02/1980"] * 5)
    assert proven.dates is not None
    assert proven.dates.order == "DMY"
    american = look("d", ["02/13/1980", "01/02/1980"] * 5)
    assert american.dates is not None
    assert american.dates.order == "MDY"
    open_order = look("d", ["01/02/1980", "03/04/1981"] * 5)
    assert open_order.dates is not None
    assert open_order.dates.order == ""
    assert any("say it in date_order" in note for note in open_order.notes)
    both = look("d", ["13/02/1980", "02/13/1980"] * 5)
    assert both.dates is not None
    assert both.dates.order == ""
    assert any("change places" in note for note in both.notes)


def test_two_digit_years_ask_for_a_pivot(look: Look) -> None:
    assert any("pivot" in note for note in look("d", ["13.02.80", "14.02.81"] * 5).notes)


def test_days_counted_by_excel_are_told(look: Look) -> None:
    column = look("Prélevé le", [str(40_000 + n) for n in range(40)])
    assert any("Excel" in note for note in column.notes)
    assert not look("Plaquettes", [str(98_000 + n) for n in range(40)]).notes


def test_texts_that_stand_for_no_value_among_numbers(look: Look) -> None:
    column = look("Hb", [f"1{n % 10},{n}" for n in range(90)] + ["NF"] * 6 + ["NR"] + ["a b"])
    assert dict(column.tokens) == {"NF": 6, "NR": 1}


def test_numbers_come_out_as_a_coarse_band_of_many_alone(look: Look) -> None:
    few = look("Hb", [f"12,{n}" for n in range(19)])
    many = look("Hb", [f"{n},37" for n in range(10, 60)])
    assert few.numbers is not None
    assert few.numbers.low is None
    assert many.numbers is not None
    assert (many.numbers.low, many.numbers.high) == (15.0, 54.0)


def test_a_national_number_is_detected_and_not_shown(look: Look) -> None:
    # the Dutch BSN 111222333 fulfills the test by eleven (9+8+7+12+10+8+9+6-3 = 66)
    column = look("Code", ["111222333"] * 9 + ["x"] * 9)
    assert "nl_bsn" in column.detected
    assert column.shown == {}


@pytest.mark.parametrize(
    ("name", "unit"),
    [
        ("Calcémie (mg/L)", "mg/L"), ("Hb g/dl", "g/dl"), ("Thrombozyten [Tsd/µl]", "Tsd/µl"),
        ("Âge premiers signes (ans)", "a"), ("Alter (Monate)", "mo"), ("DMO (g/cm²)", "g/cm²"),
        ("Sexe (H/F)", ""), ("Os", ""),
    ],
)  # fmt: skip
def test_a_unit_in_the_name(name: str, unit: str) -> None:
    assert unit_in(name) == unit
