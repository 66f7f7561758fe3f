"""The ten RareLink patients stand in three formats and give the same harmonised rows.

What a format cannot carry, or carries less exactly, is listed in DIFFERENCES, each with its reason.
The test fails when a difference is not listed, and when a listed one is no longer there.
"""

import datetime
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import duckdb
import pytest

from transforms.collect import collect
from transforms.dictionary import DICTIONARY, Table
from transforms.harmonize import harmonize
from transforms.pseudonyms import install, site_key
from transforms.site import Site


FORMATS = ("rarelink_redcap", "phenopackets", "fhir")
EVERYBODY = frozenset(range(1, 11))
# What tells apart the rows of one person, the same in all formats.
APART = {"complication": ("hpo_id",), "lab_measurement": ("analyte", "value")}
# Seven of ten have IgG in a unit that IgG can have; leukocytes came as "unit per liter".
IGG = frozenset({1, 2, 4, 6, 7, 9})
FEATURES = EVERYBODY  # each has at least one feature that the dictionary lists
MONTHS = "an age in months, not a date"
# (table, field, format) → the persons in whom it differs from REDCap, and why the format forces it.
DIFFERENCES: dict[tuple[str, str, str], tuple[frozenset[int], str]] = {
    ("person", "first_contact_date", "phenopackets"): (
        EVERYBODY, "a phenopacket knows the last encounter only",
    ),
    ("person", "consent_contact", "phenopackets"): (EVERYBODY, "no consent in phenopackets"),
    ("person", "consent_contact", "fhir"): (EVERYBODY, "these Consents name no patient"),
    ("person", "consent_date", "phenopackets"): (frozenset({1, 2}), "no consent in phenopackets"),
    ("person", "consent_date", "fhir"): (frozenset({1, 2}), "these Consents name no patient"),
    ("person", "karyotypic_sex", "fhir"): (
        frozenset({1}), "the server holds an observation that the project's export does not",
    ),
    ("death_followup", "last_contact_date", "phenopackets"): (EVERYBODY - {1}, MONTHS),
    ("death_followup", "last_contact_date", "fhir"): (EVERYBODY, "no element of Patient says it"),
    ("complication", "onset_date_precision", "phenopackets"): (FEATURES, MONTHS),
    ("complication", "onset_date", "phenopackets"): (frozenset({6}), MONTHS),
    ("complication", "onset_age_y", "phenopackets"): (frozenset({6}), MONTHS),
    ("complication", "resolution_date", "phenopackets"): (frozenset({1}), MONTHS),
    ("complication", "resolution_date", "fhir"): (
        frozenset({1}), "an Observation has no end of what was observed",
    ),
    ("complication", "the row", "fhir"): (
        frozenset({9}), "the server's export holds 47 of the 48 features",
    ),
    ("lab_measurement", "sample_date", "phenopackets"): (IGG, MONTHS),
    ("lab_measurement", "sample_date_precision", "phenopackets"): (IGG, MONTHS),
    ("lab_measurement", "value_source_unit", "phenopackets"): (
        IGG, "the reader names the unit's term in UCUM; REDCap's column holds the term",
    ),
    ("lab_measurement", "value_source_unit", "fhir"): (
        IGG, "the reader names the unit's term in UCUM; REDCap's column holds the term",
    ),
}  # fmt: skip
# Kabuki syndrome and its genes are no disease of the dictionary: the rows are rejected, and why.
REJECTS = {
    "rarelink_redcap": {
        ("diagnosis", "dx_subtype", "unknown_code"): 10,
        ("diagnosis", "onset_age_y", "range"): 1,  # onset two years before birth
        ("variant", "gene_symbol", "unknown_code"): 13,
        ("lab_measurement", "value", "unknown_unit"): 12,
    },
    "phenopackets": {  # an age cannot be two years before birth
        ("diagnosis", "dx_subtype", "unknown_code"): 10,
        ("variant", "gene_symbol", "unknown_code"): 13,
        ("lab_measurement", "value", "unknown_unit"): 12,
    },
    "fhir": {  # no Condition for the diagnosis; 10 of 13 variants
        ("variant", "gene_symbol", "unknown_code"): 10,
        ("lab_measurement", "value", "unknown_unit"): 12,
    },
}
# A centre says itself that it holds the consents; RareLink's server has one extension more.
OWN = {
    "rarelink_redcap": ("person,consent_reuse,rarelink_redcap_patients,,const,yes,,approved,test",),
    "phenopackets": ("person,consent_reuse,phenopackets_subjects,,const,yes,,approved,test",),
    "fhir": (
        "person,consent_reuse,fhir_patients,,const,yes,,approved,test",
        "person,first_contact_date,fhir_patients,admission_date,date,,,approved,extension",
    ),
}
FILES = {
    "rarelink_redcap": "redcap/evaluation_cohort_redcap.json",
    "phenopackets": "phenopackets/[0-9]*.json",
    "fhir": "fhir/*.json",
}
Row = dict[str, Any]
Rows = dict[tuple[Any, ...], Row]


@pytest.fixture
def runs(data: Path, ready_centre: Callable[..., Site]) -> dict[str, tuple[Site, Path]]:
    """Run the cohort through a site per format; return site and run folder of each."""
    made = {}
    for name in FORMATS:
        site = ready_centre(name, sorted((data / "rarelink").glob(FILES[name])), *OWN[name])
        run_id = collect(site).run_id
        harmonize(site, run_id)
        made[name] = (site, site.work / run_id)
    return made


def test_the_same_patients_give_the_same_rows_from_every_format(runs):
    found: dict[tuple[str, str, str], set[int]] = {}
    for table in DICTIONARY.tables.values():
        rows = {name: harmonized(table, name, *runs[name]) for name in FORMATS}
        for field, name, person in differences(rows):
            found.setdefault((table.name, field, name), set()).add(person)
    listed = {key: set(persons) for key, (persons, _) in DIFFERENCES.items()}
    assert found == listed


def test_dates_that_differ_lie_within_the_month_that_an_age_may_mean(runs):
    for table in DICTIONARY.tables.values():
        exact = harmonized(table, FORMATS[0], *runs[FORMATS[0]])
        by_age = harmonized(table, "phenopackets", *runs["phenopackets"])
        for key, row in by_age.items():
            for field, value in row.items():
                if isinstance(value, datetime.date):
                    assert datetime.timedelta(0) <= exact[key][field] - value < MONTH, field


MONTH = datetime.timedelta(days=31)


def test_what_no_format_can_place_is_rejected_for_the_same_reason(runs):
    for name, expected in REJECTS.items():
        _, folder = runs[name]
        rejects = duckdb.sql(
            f"select \"table\", field, rule from '{folder}/rejects.parquet' where severity = 'hard'"
        ).fetchall()
        assert Counter(rejects) == expected, name


def test_without_a_word_of_the_centre_only_those_who_said_yes_are_in(
    data: Path, ready_centre: Callable[..., Site]
):
    site = ready_centre("rarelink_redcap", [data / "rarelink" / FILES["rarelink_redcap"]])
    run_id = collect(site).run_id
    harmonize(site, run_id)
    persons = harmonized(DICTIONARY.tables["person"], "rarelink_redcap", site, site.work / run_id)
    assert {person for (person,) in persons} == {1, 2, 5, 7, 9, 10}  # 3, 6, 8 said no; 4 unknown


def harmonized(table: Table, name: str, site: Site, folder: Path) -> Rows:
    """Return a table's rows without provenance, by the patient's number and what tells apart."""
    numbers = patients(name, site)
    fields = [
        field.name
        for field in table.fields
        if not field.name.startswith("source_") and field.name not in (*table.key, "person_id")
    ]
    relation = duckdb.sql(f"from '{folder}/tables/{table.name}.parquet'")
    found: Rows = {}
    for row in relation.select("person_id", *fields).fetchall():
        cells = dict(zip(fields, row[1:], strict=True))
        key = (numbers[row[0]], *(cells[part] for part in APART.get(table.name, ())))
        assert key not in found, key
        found[key] = cells
    return found


def patients(name: str, site: Site) -> dict[str, int]:
    """Return pseudonym → the patient's number: record 7 in REDCap is EvCo7 elsewhere."""
    with duckdb.connect() as connection:
        install(connection, site_key(site.keys))
        local = "{}" if name == "rarelink_redcap" else "EvCo{}"
        ids = [(number, local.format(number)) for number in EVERYBODY]
        return {
            connection.execute("select pseudonym('P', $1)", [text]).fetchall()[0][0]: number
            for number, text in ids
        }


def differences(rows: dict[str, Rows]) -> Iterator[tuple[str, str, int]]:
    """Yield field, format and person wherever a format says something else than REDCap."""
    first = rows[FORMATS[0]]
    for name in FORMATS[1:]:
        for key in {*first, *rows[name]}:
            if key not in first or key not in rows[name]:
                yield "the row", name, key[0]
                continue
            for field, value in first[key].items():
                if rows[name][key][field] != value:
                    yield field, name, key[0]
