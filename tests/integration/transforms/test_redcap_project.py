"""A REDCap project made from our data dictionary: its export comes back as what was entered.

The export is written here as REDCap writes a raw CSV: one baseline row per record, one row per
repeat, check boxes as `field___code`, a `<form>_complete` column per form.
"""

import csv
import datetime
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from infra.local_run import run_site
from transforms.dictionary import DICTIONARY
from transforms.dictionary.export.redcap import RECORD_ID, data_dictionary, variables
from transforms.mapping_check import load_mapping
from transforms.redcap_project import write_redcap_mapping
from transforms.site import Site, create_site


Entered = Mapping[str, str]
DAY = datetime.date

PERSON = {"birth_date": "2004-03-17", "sex_at_birth": "female", "first_contact_date": "2004-05-02",
          "is_proband": "1", "consent_reuse": "yes"}  # fmt: skip
# record, form, what was entered under the dictionary's names; a set as REDCap codes joined by ;
ENTERED: tuple[tuple[str, str, Entered], ...] = (
    ("A-1", "person", PERSON),
    ("A-2", "person", PERSON | {"sex_at_birth": "male", "consent_reuse": "no"}),
    ("A-1", "fracture", {"fracture_date": "2015-01-02", "bone_site": "femur_shaft"}),
    ("A-1", "fracture", {"fracture_date": "2016-02-29", "bone_site": "tibia"}),
    ("A-2", "fracture", {"fracture_date": "2016-02-29", "bone_site": "tibia"}),
    ("A-1", "complication", {"hpo_id": "hp_0000572", "status": "excluded"}),
    (
        "A-1",
        "lab_measurement",
        {"sample_date": "2020-01-31", "analyte": "calcium", "value": "9.5", "unit": "mg/dL"},
    ),
    (
        "A-1",
        "lab_measurement",
        {"sample_date": "2020-01-31", "analyte": "alp", "value": "<20", "unit": "U/L"},
    ),
    ("A-1", "visit", {"visit_date": "2020-01-31", "specialties": "ent;genetics"}),
)


@pytest.fixture
def site(tmp_path: Path) -> Site:
    """A site with the project's export, its data dictionary and the mapping made for it."""
    site = create_site(tmp_path / "s", site_id="haifa", name="H", country="IL", language="he")
    write_redcap_mapping(site.mapping)
    (site.inbox / "marmor.csv").write_text(data_dictionary(DICTIONARY), encoding="utf-8")
    with (site.inbox / "Marmor_DATA_2026-01-31_1200.csv").open("w", newline="") as file:
        rows = list(exported())
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    return site


def exported() -> Iterator[dict[str, str]]:
    """Yield the rows of the raw export, with every column of the project."""
    every = variables(DICTIONARY)
    forms = list(dict.fromkeys(one.table.name for one in every))
    system = {RECORD_ID: "", "redcap_repeat_instrument": "", "redcap_repeat_instance": ""}
    for number, (record, form, entered) in enumerate(ENTERED, start=1):
        row = dict(system) | {RECORD_ID: record}
        if form != "person":
            row |= {"redcap_repeat_instrument": form, "redcap_repeat_instance": str(number)}
        for one in every[1:]:
            name = one.field.name if one.field else "unit"
            value = entered.get(name, "") if one.table.name == form else ""
            if one.type == "checkbox":
                checked = value.split(";")
                row |= {f"{one.name}___{code}": str(int(code in checked)) for code in one.codes}
            else:
                row[one.name] = value
        row |= {f"{other}_complete": "2" if other == form else "" for other in forms}
        yield row


def rows(site: Site, release: str, table: str) -> list[dict[str, Any]]:
    path = site.releases / release / "tables" / f"{table}.parquet"
    found: list[dict[str, Any]] = pq.read_table(path).to_pylist()
    return found


def test_the_mapping_fits_the_dictionary(site: Site) -> None:
    mapping = load_mapping(site.mapping)
    assert {source.source for source in mapping.sources} == set(DICTIONARY.tables)


def test_what_was_entered_in_redcap_comes_back(site: Site) -> None:
    release = run_site(site, on_step=lambda step: None).release_id
    (person,) = rows(site, release, "person")  # A-2 said no
    assert (person["birth_date"], person["sex_at_birth"]) == (DAY(2004, 3, 17), "female")
    assert person["is_proband"] is True
    bones = {row["fracture_date"]: row["bone_site"] for row in rows(site, release, "fracture")}
    assert bones == {DAY(2015, 1, 2): "femur_shaft", DAY(2016, 2, 29): "tibia"}
    (finding,) = rows(site, release, "complication")
    assert (finding["hpo_id"], finding["status"]) == ("HP:0000572", "excluded")
    labs = {row["analyte"]: row for row in rows(site, release, "lab_measurement")}
    # 9.5 mg/dL of 40.078 g/mol are 2.370 mmol/L
    assert labs["calcium"]["value"] == pytest.approx(2.370, abs=5e-4)
    assert (labs["alp"]["value"], labs["alp"]["value_comparator"]) == (20.0, "<")
    (visit,) = rows(site, release, "visit")
    assert visit["specialties"] == ["ENT", "genetics"]
    for table in set(DICTIONARY.tables) - {"person", "fracture", "complication", "visit",
                                           "lab_measurement"}:  # fmt: skip
        assert rows(site, release, table) == [], table
