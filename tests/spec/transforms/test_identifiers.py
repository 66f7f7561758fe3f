"""Which texts count as a direct identifier (rule R90), and which look-alikes do not.

Check digits of the positive examples are computed by hand or are the published examples: NIR key
97 − n mod 97; BSN 111222333; codice fiscale and DNI samples of the issuing offices; SVNR
1237 010180, NISS 85.07.30-033.28, personnummer 811218-9876, henkilötunnus 131052-308T and AHV
756.9217.0769.85 are those that their authorities print.
"""

import duckdb
import pytest

from transforms.identifiers import DETECTORS, KNOWN, anything_sql, condition, load_known, words_sql
from transforms.mapping import IgnoreRule, Mapping, Source
from transforms.pseudonyms import install


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
        ("1237 010180", "at_svnr"),
        ("85.07.30-033.28", "be_niss"),
        ("85073003328", "be_niss"),
        ("811218-9876", "se_personnummer"),
        ("19811218-9876", "se_personnummer"),
        ("131052-308T", "fi_hetu"),
        ("NIF 123456789", "pt_nif"),
        ("756.9217.0769.85", "ch_ahv"),
        ("born 12/03/2001, lives in 69003 Lyon", "postcode_dob"),
        ("1017 AB Amsterdam, 2001-03-12", "postcode_dob"),
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
        "RSSMRA85T10A562T",
        "1238 010180",
        "85.07.30-033.29",
        "811218-9877",
        "131052-308U",
        "NIF 123456780",
        "756.9217.0769.86",
        "12/03/2001: 12500",
        "69003 Lyon",
        "2014-05-10 Brussels",
    ],
)
def test_look_alikes_are_not(text):
    assert found(text) == set()


CLINICAL = [
    *(f"c.{place}{change}" for place in range(1, 3000, 7) for change in ("C>T", "_9999dup")),
    *(f"p.(Arg{place}Trp)" for place in range(1, 1000, 7)),
    *(f"NC_000016.10:g.{1_440_000 + 997 * nr}G>A" for nr in range(300)),
    *(f"NM_{nr:09d}.{nr % 9}" for nr in range(1000, 200_000, 811)),
    *(f"{value / 10:.1f} {unit}" for value in range(0, 4000, 13) for unit in ("g/dL", "10*9/L")),
    *(f"{value} 10*3/uL" for value in range(10_000, 900_000, 3571)),
    *(f"ALP {value} U/L (2020-05-{1 + value % 28:02d})" for value in range(5, 5000, 97)),
    *(f"lot {nr}" for nr in range(10_000_000, 99_999_999, 1_234_577)),
    *(f"VCV{nr:09d}" for nr in range(1, 200_000, 997)),
    *(f"HP:{nr:07d}" for nr in range(100, 40_000, 211)),
    "Roche Elecsys, batch 20230114", "Beckman DxI 800", "ISO 15189:2012", "ORPHA:210110",
    "Hologic Horizon A (S/N 300812M)", "Lunar iDXA ME+210465", "PVS1, PM2, PP3", "PMID:11741829",
]  # fmt: skip


def test_laboratory_values_and_variants_name_nobody() -> None:
    assert len(CLINICAL) > 2500
    connection = duckdb.connect()
    hits = connection.execute(
        f"select text from (select unnest($1::varchar[]) as text) where {anything_sql('text')}",
        [CLINICAL],
    )
    assert hits.fetchall() == []


def test_a_word_of_an_ignored_column_is_found_in_texts_about_that_person_alone() -> None:
    connection = duckdb.connect()
    connection.execute("create schema source")
    connection.execute(
        "create table source.patients as select * from (values "
        "('A-17044', 'Martin', 'Zoé Léa'), ('B-20391', 'Roux', 'Paul')) t(id, Nom, Prenom)"
    )
    install(connection, b"0" * 32)
    source = Source("patients", "excel", "f", "delimited", "id")
    ignored = tuple(IgnoreRule("patients", name, "identifier") for name in ("Nom", "Prenom"))
    load_known(connection, Mapping((source,), (), (), ignored))
    told = [
        ("A-17044", "seen by Dr Roux", False),  # another patient's name
        ("A-17044", "M. MARTIN does well", True),
        ("A-17044", "Le\u0301a does well", True),
        ("A-17044", "c.17044A>G", False),  # a number of five digits is a position
        ("B-20391", "Roux-en-Y bypass", True),  # and yet it is the name
        ("B-20391", "Paulus", False),
    ]
    for local, text, expected in told:
        words = f"select unnest({words_sql('$1::varchar')}) as word"
        ((hit,),) = connection.execute(
            f"select exists(from ({words}) join {KNOWN} using (word) "
            "where person_id = pseudonym('P', $2))",
            [text, local],
        ).fetchall()
        assert hit is expected, text
