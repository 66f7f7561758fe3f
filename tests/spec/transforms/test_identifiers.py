"""Which texts count as a direct identifier (rule R90), and which look-alikes do not.

Check digits of the positive examples are computed by hand or are the published examples: NIR key
97 − n mod 97; BSN 111222333; codice fiscale and DNI samples of the issuing offices.
"""

import duckdb
import pytest

from transforms.identifiers import DETECTORS, condition


def found(text: str | None) -> set[str]:
    connection = duckdb.connect()
    conditions = ", ".join(condition("text", detector) for detector in DETECTORS.values())
    hits = connection.execute(f"select {conditions} from (select ?::varchar text)", [text])
    return {name for name, hit in zip(DETECTORS, hits.fetchone() or (), strict=True) if hit}


@pytest.mark.parametrize(
    ("text", "detector"),
    [
        ("184127645108946", "fr_nir"),
        ("NIR 1 84 12 76 451 089 46 ok", "fr_nir"),
        ("285052A45108916", "fr_nir"),
        ("111222333", "nl_bsn"),
        ("bsn 1112.22.333", "nl_bsn"),
        ("RSSMRA85T10A562S", "it_codice_fiscale"),
        ("rssmra85t10a562s", "it_codice_fiscale"),
        ("070761-4285", "dk_cpr"),
        ("0707614285", "dk_cpr"),
        ("A123456780", "de_kvnr"),
        ("12345678Z", "es_dni"),
        ("X1234567L", "es_dni"),
        ("mail amy.shaw@chu-lyon.fr.", "email"),
        ("+33 6 12 34 56 78", "phone"),
        ("06 12 34 56 78", "phone"),
        ("0031 20 1234567", "phone"),
        ("+4571234567", "phone"),
    ],
)
def test_identifiers_are_found(text, detector):
    assert detector in found(text)


@pytest.mark.parametrize(
    "text",
    [
        None,
        "",
        "P5a52117e8e91c2d63efde595",
        "P000000000000000111222333",
        "NC_000023.11:g.154564450T>C",
        "NM_001287.6",
        "c.2299C>T",
        "p.(Arg767Trp)",
        "HP:0000572",
        "LOINC:LP14672-7",
        "2014-05-10",
        "10*9/L",
        "166600",
        "184127645108945",
        "111222334",
        "320761-4285",
        "A123456781",
        "12345678A",
    ],
)
def test_look_alikes_are_not(text):
    assert found(text) == set()
