"""The lexicon: words that lead to fields which exist, and the words that must stay in doubt."""

import re

import pytest

from transforms.dictionary import DICTIONARY
from transforms.lexicon import LEXICON, normal, value_key, words_for


LANGUAGES = {"en", "fr", "de", "nl", "it", "es", "da", "generic"}


def test_every_target_is_in_the_dictionary() -> None:
    for name in LEXICON.data["fields"]:
        table, _, field = name.partition(".")
        assert field in DICTIONARY.tables[table].field_names, name
    assert set(LEXICON.data["analytes"]) <= set(DICTIONARY.analytes)
    assert set(LEXICON.data["findings"]) <= set(DICTIONARY.codelists["phenotype"].codes)
    assert set(LEXICON.data["regions"]) <= set(DICTIONARY.codelists["bmd_region"].codes)
    assert set(LEXICON.data["tables"]) <= set(DICTIONARY.tables)
    for codelist, codes in LEXICON.data["codes"].items():
        assert set(codes) <= set(DICTIONARY.codelists[codelist].codes), codelist


def test_every_language_is_one_of_the_seven() -> None:
    for section in ("person_id", "identifiers", "free_text", "derived", "unit_column"):
        assert set(LEXICON.data[section]) <= LANGUAGES
    for section in ("fields", "analytes", "findings", "regions"):
        for name, languages in LEXICON.data[section].items():
            assert set(languages) <= LANGUAGES, name


def test_a_word_means_one_code_of_its_list() -> None:
    for codelist, codes in LEXICON.data["codes"].items():
        words = [value_key(word) for words in codes.values() for word in set(map(value_key, words))]
        assert len(words) == len(set(words)), codelist


@pytest.mark.parametrize(
    ("name", "target"),
    [  # one row of the domain reference's lexicon (§7.2) for each language
        ("DOB", "person.birth_date"), ("Date de naissance", "person.birth_date"),
        ("Geburtsdatum", "person.birth_date"), ("geboortedatum", "person.birth_date"),
        ("Data di nascita", "person.birth_date"), ("FECHA DE NACIMIENTO", "person.birth_date"),
        ("Fødselsdato", "person.birth_date"),
        ("Plaquettes (G/L)", "lab_measurement.value[platelets]"),
        ("Thrombozyten", "lab_measurement.value[platelets]"),
        ("fosfatasi  alcalina", "lab_measurement.value[alp]"),
        ("Kieferosteomyelitis", "complication.status[HP:0007626]"),
        ("Knoglemarvssvigt", "complication.status[HP:0005528]"),
        ("Toestemming", "person.consent_reuse"),
        ("Bruch", "fracture.bone_site"), ("fractuur", "fracture.bone_site"),
        ("sidste kontakt", "death_followup.last_contact_date"),
        ("NHC", "person_id"), ("Cognome", "identifiers"), ("Bemærkning", "free_text"),
    ],
)  # fmt: skip
def test_names_of_columns_are_known(name: str, target: str) -> None:
    assert target in {word.target for word in words_for(name)}


def test_ddn_is_two_things_and_in_doubt() -> None:
    assert {word.target for word in words_for("DDN")} == {
        "person.birth_date", "death_followup.last_contact_date",
    }  # fmt: skip
    assert "naissance" in LEXICON.doubts["ddn"]
    assert "dernières nouvelles" in LEXICON.doubts["ddn"]


def test_m_and_h_are_men_or_women_by_country() -> None:
    assert LEXICON.sexes("es")["m"] == "female"
    assert LEXICON.sexes("DE")["m"] == "male"
    assert LEXICON.sexes("FR")["h"] == LEXICON.sexes("ES")["h"] == "male"
    assert LEXICON.sexes("NL")["v"] == "female"
    assert LEXICON.sexes("ES")["v"] == "male"
    assert LEXICON.sexes("XX") == {}
    assert {"h", "m", "v"} <= set(LEXICON.doubts)


@pytest.mark.parametrize(
    ("words", "answer"),
    [
        ("yes y 1 true oui o ja j sì si sí x +", "yes"),
        ("no n 0 false non nein nee nej -", "no"),
        ("unk unknown nsp nr inconnu k.a. unbekannt onbekend nd n.d. ns/nc desconocido ukendt ? "
         "999 -99", "unknown"),
    ],
)  # fmt: skip
def test_yes_no_and_unknown(words: str, answer: str) -> None:
    assert {LEXICON.answers[value_key(word)] for word in words.split()} == {answer}


def test_minus_and_nd_stay_in_doubt() -> None:
    assert {"-", "nd", "n", "999"} <= set(LEXICON.doubts)
    assert {"-", "nd"} <= LEXICON.missing


@pytest.mark.parametrize("word", ["Femur", "fémur", "Oberschenkel", "dijbeen", "femore", "lårben"])
def test_a_femur_without_its_part_stays_in_doubt(word: str) -> None:
    """The dictionary has four parts of the femur and no whole one."""
    assert "shaft" in LEXICON.doubts[value_key(word)]


def test_wrong_translations_are_not_used() -> None:
    """HPO's Italian label of choanal stenosis says cloaca; 'Ostéoarthrite' is no arthrosis."""
    assert not words_for("Stenosi della cloaca")
    assert not words_for("Ostéoarthrite")
    assert normal("Cécité") in LEXICON.doubts
    assert not re.search("cloaca", str(LEXICON.data))


def test_what_stands_in_brackets_is_left_out_unless_it_is_part_of_a_word() -> None:
    assert normal("Hb (g/dL)") == normal("Hb[g/dl]") == "hb"
    assert normal("25(OH)D (nmol/L)") == "25 oh d"
