"""The same person in several sources, the same row in several exports, nobody without consent."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.integration.transforms.conftest import FIELDS, FRACTURES, LABS, PATIENTS, SOURCES
from tests.integration.transforms.test_harmonize import reasons, rows, run
from transforms.outcome import DONE
from transforms.site import Site


Centre = Callable[..., Site]

# A registry that knows some of the centre's patients, in the dictionary's own words.
REGISTRY_SOURCE = 'registry,registry,registry*.csv,delimited,,1,utf-8,;,",",DMY,,id,\n'
REGISTRY_FIELDS = """\
person,birth_date,registry,born,date,,,approved,
person,sex_at_birth,registry,sex,copy,,,approved,
person,first_contact_date,registry,seen,date,,,approved,
person,consent_reuse,registry,,const,yes,,approved,
person,consanguinity,registry,related,copy,,,approved,
"""
HEADER = "id;born;sex;seen;related\n"


def with_registry(centre: Centre, lines: str, **texts: str) -> Path:
    site = centre(sources=SOURCES + REGISTRY_SOURCE, fields=FIELDS + REGISTRY_FIELDS, **texts)
    (site.inbox / "registry.csv").write_text(HEADER + lines, encoding="utf-8")
    return run(site)


def person(folder: Path, sex: str = "female") -> dict[str, Any]:
    (found,) = [row for row in rows(folder, "tables/person") if row["sex_at_birth"] == sex]
    return found


def test_what_two_sources_say_of_a_person_becomes_one_row(centre: Centre) -> None:
    folder = with_registry(centre, "1001;1985;female;01/02/1990;no\n")
    assert rows(folder, "rejects") == []
    assert len(rows(folder, "tables/person")) == 2
    assert person(folder)["consanguinity"] == "no"
    assert str(person(folder)["birth_date"]) == "1985-03-14"  # the year alone does not contradict
    counts = json.loads((folder / DONE).read_text("utf-8"))
    assert counts["merged_rows"] == {"person": 2}


@pytest.mark.parametrize(
    ("line", "field"),
    [
        ("1001;14/03/1985;male;01/02/1990;no\n", "sex_at_birth"),
        ("1001;14/03/1986;female;01/02/1990;no\n", "birth_date"),
        ("1001;1984;female;01/02/1990;no\n", "birth_date"),
    ],
)
def test_sources_that_contradict_each_other_reject_both_rows_and_name_both(
    centre: Centre, line: str, field: str
) -> None:
    folder = with_registry(centre, line)
    found = [row for row in rows(folder, "rejects") if row["rule"] == "R93"]
    assert {(row["source_file"], row["field"]) for row in found} == {
        ("patients.csv", field), ("registry.csv", field),
    }  # fmt: skip
    for row in found:
        assert row["remedy"].startswith("patients.csv row 2 and registry.csv row 2 contradict")
    assert len(rows(folder, "tables/person")) == 1


def test_exports_that_overlap_count_each_row_once(centre: Centre) -> None:
    site = centre()
    (site.inbox / "fractures_2.csv").write_text(
        FRACTURES + "1001;24/12/2009;tibia\n", encoding="utf-8"
    )
    folder = run(site)
    assert rows(folder, "rejects") == []
    assert len(rows(folder, "tables/fracture")) == 3
    assert ("fracture", "person_id", "R95") in reasons(folder, "flags")
    counts = json.loads((folder / DONE).read_text("utf-8"))
    assert counts["repeated_rows"] == {"fracture": 2}


def test_an_unreadable_text_is_not_taken_for_another_one(centre: Centre) -> None:
    site = centre(fractures="IPP;Date;Os\n1001;été 2003;fémur\n")
    (site.inbox / "fractures_2.csv").write_text(
        "IPP;Date;Os\n1001;hiver 2004;fémur\n", encoding="utf-8"
    )
    assert len(rows(run(site), "tables/fracture")) == 2


def test_no_output_holds_a_word_about_anybody_whose_consent_is_not_known(centre: Centre) -> None:
    """Refused, not said, unreadable, not in the table of persons: nothing of them is written."""
    lines = PATIENTS.splitlines()
    unsaid = lines[1].replace("1001;MARTIN", "2001;VERSCHWIEGEN").replace(";oui;ADO2", ";;ADO2")
    unread = (
        lines[1].replace("1001;MARTIN", "2002;UNKLAR").replace(";oui;ADO2", ";vielleicht;ADO2")
        .replace("14/03/1985", "einst-im-mai")
    )  # fmt: skip
    gone = "1003;verboten;tibia\n2001;verhohlen;tibia\n2002;verwischt;tibia\n4711;verirrt;tibia\n"
    site = centre(
        patients=PATIENTS + unsaid + "\n" + unread + "\n",
        fractures=FRACTURES + gone,
        labs=LABS + "4711;03/04/2020;verloren;;;\n2001;03/04/2020;vergessen;;;\n",
    )
    folder = run(site)
    found = reasons(folder, "rejects")
    assert ("person", "consent_reuse", "unknown_code") in found
    assert ("fracture", "person_id", "R04") in found
    written = {
        path: path.read_bytes()
        for path in site.folder.rglob("*")
        if path.is_file() and "inbox" not in path.parts
    }
    said = ("SECRET", "VERSCHWIEGEN", "UNKLAR", "einst-im-mai", "verboten", "verhohlen",
            "verwischt", "verirrt", "verloren", "vergessen", "1003", "2001",
            "2002", "4711")  # fmt: skip
    for word in said:
        holding = [str(path) for path, content in written.items() if word.encode() in content]
        assert holding == [], word
    assert len(rows(folder, "tables/person")) == 2
    coverage = json.loads((folder / "coverage.json").read_text("utf-8"))
    assert {row["rows"] for row in coverage if row["table"] == "person"} == {2}


def test_a_duplicate_whose_first_entry_is_rejected_leaves_the_second_one(centre: Centre) -> None:
    good = PATIENTS.splitlines()[1]
    bad = good.replace("14/03/1985", "14/03/2085")
    folder = run(centre(patients=PATIENTS.replace(good, f"{bad}\n{good}")))
    assert str(person(folder)["birth_date"]) == "1985-03-14"
    ages = [row["age_at_fracture_y"] for row in rows(folder, "tables/fracture")]
    assert sorted(round(age, 2) for age in ages) == [10.0, 18.69]


def test_a_name_in_a_text_about_its_patient_rejects_the_row(centre: Centre) -> None:
    fields = FIELDS.replace(
        "variant,hgvs_c,patients,Variant,copy,,,", "variant,acmg_criteria,patients,Variant,copy,,,"
    )
    texts = PATIENTS.replace("c.643G>A", "voir M. Martin", 1)
    found = reasons(run(centre(fields=fields, patients=texts)), "rejects")
    assert ("variant", "acmg_criteria", "R90") in found
