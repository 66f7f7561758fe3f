"""The same person in several sources, the same row in several exports, nobody without consent."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.integration.transforms.conftest import FIELDS, FRACTURES, IGNORE, SOURCES
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
