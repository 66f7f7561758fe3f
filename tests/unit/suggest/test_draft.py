"""What is suggested for small tables, and above all what is not decided."""

from dataclasses import replace
from pathlib import Path

import pytest

from transforms.mapping import Source
from transforms.scan import ColumnScan, Ready, Scan, TableScan
from transforms.scan.model import Dates, Label, Numbers
from transforms.site import Site
from transforms.suggest import Draft, draft


def site(country: str = "FR", language: str = "fr") -> Site:
    return Site(Path("x"), "lyon", "Lyon", country, language)


def codes(name: str, *words: str, rows: int = 50, label: Label | None = None) -> ColumnScan:
    values = dict.fromkeys(words, rows)
    return ColumnScan(
        name, "code", 100, 100, len(words), values=values, persons=values, label=label
    )


def dates(name: str, **kinds: int) -> ColumnScan:
    counts = dict.fromkeys(
        ("iso", "day_first", "month_first", "either", "short_year", "partial"), 0
    )
    found = Dates(**{**counts, **kinds}, first_decade=None, last_decade=None)
    return ColumnScan(name, "date", 100, 100, 90, dates=found)


def numbers(name: str, unit: str = "", median: float | None = None) -> ColumnScan:
    found = Numbers(0, 0, 0, 0, median, median, median)
    return ColumnScan(name, "number", 100, 100, 90, unit=unit, numbers=found)


IPP = ColumnScan("IPP", "id", 100, 100, 100)


def table(*columns: ColumnScan, sheet: str = "", order: str = "DMY", name: str = "t") -> TableScan:
    source = Source(name, "excel", "f.xlsx", "excel", "IPP", sheet=sheet, date_order=order)
    return TableScan(source, ("f.xlsx",), 100, (IPP, *columns))


def suggested(*tables: TableScan, where: Site | None = None, rare: bool = False) -> Draft:
    return draft(Scan(tables), where or site(), rare=rare)


def field(result: Draft, name: str) -> dict[str, str]:
    (row,) = [row for row in result.fields if row["field"] == name]
    return row


def meanings(result: Draft, name: str) -> dict[str, tuple[str, float]]:
    return {
        row["source_value"]: (row["target_code"], float(row["confidence"]))
        for row in result.values
        if row["field"] == name
    }


def test_nothing_is_approved_and_everything_says_why() -> None:
    result = suggested(table(codes("Sexe", "H", "F"), dates("Date de naissance"), codes("Zz", "q")))
    assert {row["status"] for row in (*result.fields, *result.values, *result.ignore)} == {
        "suggested"
    }
    assert all(row["comment"] for row in (*result.fields, *result.ignore))
    assert all(row["justification"] for row in result.values)


@pytest.mark.parametrize(
    ("country", "word", "code"),
    [("FR", "H", "male"), ("ES", "M", "female"), ("DE", "M", "male"), ("ES", "V", "male"),
     ("NL", "V", "female"), ("DK", "K", "female"), ("JP", "M", "")],
)  # fmt: skip
def test_sex_follows_the_country_and_stays_unsure(country: str, word: str, code: str) -> None:
    result = suggested(table(codes("Sex", word)), where=site(country))
    found, confidence = meanings(result, "sex_at_birth")[word]
    assert found == code
    assert confidence <= 0.5


def test_ddn_is_never_sure() -> None:
    result = suggested(table(dates("DDN")))
    assert float(field(result, "birth_date")["confidence"]) < 0.5
    assert "survival" in field(result, "birth_date")["comment"]


def test_an_order_that_nothing_proves_is_a_question() -> None:
    result = suggested(table(dates("Date de naissance", either=90), order=""))
    assert result.sources[0]["date_order"] == "?"
    assert "ask" in result.sources[0]["comment"]


def test_a_two_digit_year_asks_for_its_pivot() -> None:
    assert field(suggested(table(dates("DOB", short_year=90))), "birth_date")["arg"] == "pivot=?"


def test_minus_is_no_with_a_doubt() -> None:
    code, confidence = meanings(suggested(table(codes("Surdité", "+", "-"))), "status")["-"]
    assert (code, confidence) == ("excluded", 0.5)


def test_a_unit_is_taken_from_the_name_and_never_from_the_values() -> None:
    named = suggested(table(numbers("Calcémie (mg/L)", unit="mg/L"), sheet="biologie"))
    assert field(named, "value[calcium]")["unit"] == "mg/L"
    silent = suggested(table(numbers("Calcium", median=95.0), sheet="biologie"))
    row = field(silent, "value[calcium]")
    assert row["unit"] == ""
    assert "may be mg/L" in row["comment"]
    assert float(row["confidence"]) <= 0.4


def test_vitamin_d_without_a_unit_is_asked_whatever_its_size() -> None:
    row = field(suggested(table(numbers("Vitamin D", median=40.0))), "value[vitamin_d_25oh]")
    assert row["unit"] == ""
    assert "nmol/L or ng/mL" in row["comment"]


def test_identifiers_and_free_text_are_left_with_their_reason() -> None:
    note = ColumnScan("Remarque", "free_text", 9, 9, 9)
    secret = ColumnScan("Code", "text", 9, 9, 9, detected={"fr_nir": 9})
    result = suggested(table(ColumnScan("Nom", "identifier", 9, 9, 9), note, secret))
    assert {row["column"]: row["reason"] for row in result.ignore} == {
        "Nom": "identifier", "Remarque": "free_text", "Code": "identifier",
    }  # fmt: skip


def test_words_of_few_persons_are_not_written_unless_asked_for() -> None:
    rare = ColumnScan(
        "Os",
        "code",
        100,
        100,
        2,
        values={"tibia": 2, "secret": 2},
        persons={"tibia": 2, "secret": 2},
    )
    assert set(meanings(suggested(table(rare, sheet="fractures")), "bone_site")) == {"tibia"}
    asked = suggested(table(rare, sheet="fractures"), rare=True)
    assert meanings(asked, "bone_site")["secret"] == ("", 0.0)


def test_date_means_the_date_of_the_sheet_s_own_table() -> None:
    fractures = suggested(table(dates("Date"), codes("Os", "tibia"), sheet="fractures"))
    assert field(fractures, "fracture_date")["column"] == "Date"
    labs = suggested(table(dates("Date"), numbers("Hb (g/dL)", unit="g/dL"), sheet="labor"))
    assert field(labs, "sample_date")["column"] == "Date"


def test_a_column_is_known_by_its_words_when_its_name_is_not() -> None:
    result = suggested(table(codes("Zz", "consolidée", "pseudarthrose"), sheet="fractures"))
    row = field(result, "healing_outcome")
    assert row["column"] == "Zz"
    assert float(row["confidence"]) < 0.6


def test_redcap_labels_tell_what_codes_mean() -> None:
    label = Label("Sexe", {"1": "female", "2": "male"})
    result = suggested(table(codes("sx_2", "1", "2", label=label)))
    assert field(result, "sex_at_birth")["column"] == "sx_2"
    assert meanings(result, "sex_at_birth")["2"][0] == "male"


def test_second_mutations_are_a_second_source_of_the_same_sheet() -> None:
    result = suggested(
        table(codes("Gène", "CLCN7"), codes("Mutation 1", "c.1A>G"), codes("Mutation 2", "c.2A>G"))
    )
    assert [row["source"] for row in result.sources] == ["t", "t_2"]
    assert result.sources[1]["repeat_key"] == "Mutation 2"
    genes = [row for row in result.fields if row["field"] == "gene_symbol"]
    assert {row["source"] for row in genes} == {"t", "t_2"}
    left = {(row["source"], row["column"]) for row in result.ignore}
    assert {("t", "Mutation 2"), ("t_2", "*")} <= left


def test_persons_are_read_from_one_table_alone() -> None:
    one = table(dates("Date de naissance"), codes("Sexe", "H"), sheet="patients", name="a")
    two = table(codes("Sexe", "H"), codes("Os", "tibia"), sheet="fractures", name="b")
    result = suggested(one, two)
    assert [row["source"] for row in result.fields if row["field"] == "sex_at_birth"] == ["a"]
    assert {row["column"] for row in result.ignore if row["source"] == "b"} == {"Sexe"}


def test_consent_is_never_assumed() -> None:
    row = field(suggested(table(dates("Date de naissance"))), "consent_reuse")
    assert (row["rule"], row["arg"], row["confidence"]) == ("const", "", "0.00")


def test_a_shipped_mapping_is_one_row() -> None:
    result = draft(Scan((), (Ready("phenopackets", "p/*.json", 12),)), site())
    (row,) = result.sources
    assert (row["ready"], row["file"]) == ("phenopackets", "p/*.json")
    assert not result.fields


@pytest.mark.parametrize(
    ("name", "target"),
    [  # abbreviations, other orders, small words, a unit without brackets
        ("Fecha de la 1ª visita", "first_contact_date"), ("Insuff. méd.", "status[HP:0005528]"),
        ("letzte Vorst.", "last_contact_date"), ("Geschl.", "sex_at_birth"),
        ("Dato for den seneste kontakt", "last_contact_date"), ("Taille cm", "height_cm"),
    ],
)  # fmt: skip
def test_a_name_is_known_by_its_parts(name: str, target: str) -> None:
    column = numbers(name, unit="cm") if name.endswith(" cm") else dates(name)
    if "status" in target or "sex" in target:
        column = codes(name, "x")
    result = suggested(table(column, codes("Zz", "q")))
    assert field(result, target)["column"] == name


@pytest.mark.parametrize(
    ("name", "word", "code"),
    [
        ("Type", "maligne TCIRG1", "ARO_TCIRG1"), ("Type", "rezessiv (CLCN7)", "ARO_CLCN7"),
        ("Os", "diaphyse du fémur gauche", "femur_shaft"), ("Os", "fémur bas", "femur_distal"),
        ("Statut", "déménagé, inconnu", ""), ("Consolidation", "no consolidada", ""),
        ("Consolidation", "verz. geheilt", ""),
    ],
)  # fmt: skip
def test_a_word_is_known_by_its_parts_and_never_against_a_denial(
    name: str, word: str, code: str
) -> None:
    sheet = "patients" if name == "Type" else "fractures"
    result = suggested(table(codes(name, word, "tibia"), sheet=sheet))
    (found,) = [row for row in result.values if row["source_value"] == word]
    assert found["target_code"] == code
    assert float(found["confidence"]) <= 0.75


def test_micrograms_are_not_grams() -> None:
    result = suggested(table(codes("Einheit", "µg"), codes("Medikament", "x"), sheet="medikamente"))
    assert meanings(result, "dose_unit")["µg"][0] == "ug"


def test_a_heading_says_what_generic_names_under_it_mean() -> None:
    columns = (dates("Datum"), codes("Geschlecht", "w"), dates("Datum (2)"))
    grouped = [replace(columns[0], group="Patient"), columns[1], replace(columns[2], group="SZT")]
    result = suggested(table(*grouped, sheet="patienten"))
    assert field(result, "hsct_date")["column"] == "Datum (2)"


def test_the_same_word_means_what_the_sheet_is_about() -> None:
    asked = suggested(table(codes("Movilidad", "1", "2"), dates("Fecha"), sheet="cuestionarios"))
    assert field(asked, "item_mo")["column"] == "Movilidad"
    seen = suggested(table(codes("Movilidad", "bastones"), dates("Fecha"), sheet="visitas"))
    assert field(seen, "ambulation")["column"] == "Movilidad"


def test_a_mandatory_code_may_stand_in_the_name_of_the_sheet() -> None:
    result = suggested(table(dates("Fecha"), numbers("EQ-VAS"), sheet="EQ5D5L"))
    row = field(result, "instrument")
    assert (row["rule"], row["arg"], row["confidence"]) == ("const", "EQ-5D-5L", "0.60")
