"""Real files of other projects become a release with a ready mapping and a word on consent.

Nothing else is mapped by hand. Expected numbers are counted from the files themselves.
"""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import duckdb
import pytest

from infra.local_run import run_site
from transforms.collect import collect
from transforms.errors import MappingError
from transforms.harmonize import harmonize
from transforms.site import Site, current_release


YES = "const,yes,,approved,"


def released(site: Site) -> tuple[Path, dict[str, Any]]:
    """Run the whole local half; return the release's tables and what harmonize counted."""
    run_id = run_site(site, on_step=lambda _: None).run_id
    release = current_release(site)
    assert release is not None
    counts = json.loads((site.work / run_id / "harmonization.json").read_text())
    return site.releases / release / "tables", counts


def rows(tables: Path, table: str, what: str = "count(*)") -> Any:
    """Return one value of a table of the release."""
    ((value,),) = duckdb.sql(f"select {what} from '{tables}/{table}.parquet'").fetchall()
    return value


PUBLISHED = (
    f"person,consent_reuse,phenopackets_subjects,,{YES}published",
    "person,birth_date,phenopackets_subjects,,not_collected,,,approved,never published",
    "death_followup,last_contact_date,phenopackets_subjects,,not_collected,,,approved,",
)


def test_published_case_reports_as_phenopackets(data: Path, ready_centre: Callable[..., Site]):
    """All but the report whose persons have the ids of another report's (see below)."""
    packets = [path for path in sorted(data.glob("phenopackets/*/*.json")) if not _lrp5(path)]
    tables, counts = released(ready_centre("phenopackets", packets, *PUBLISHED))
    told = [json.loads(path.read_text()) for path in packets]
    assert rows(tables, "person") == len({packet["subject"]["id"] for packet in told}) == 16
    variants = [
        one
        for packet in told
        for interpretation in packet["interpretations"]
        for one in interpretation["diagnosis"]["genomicInterpretations"]
    ]
    assert rows(tables, "variant") == len(variants) == 16
    features = [one for packet in told for one in packet["phenotypicFeatures"]]
    assert rows(tables, "complication") + counts["skipped"]["complication"] == len(features)
    # osteopetrosis was observed in five of these persons, and is one of the dictionary's terms
    observed = [
        one
        for one in features
        if one["type"]["id"] == "HP:0011002" and not one.get("excluded", False)
    ]
    found = "count(*) filter (where hpo_id = 'HP:0011002' and status = 'present')"
    assert rows(tables, "complication", found) == len(observed) == 5
    # chondrocalcinosis (OMIM:118600) is no sclerosing bone disease: its row is rejected
    assert rows(tables, "diagnosis") == 15
    assert counts["rejected"]["diagnosis"] == 1
    assert rows(tables, "death_followup", "string_agg(distinct vital_status)") == "dead"


def _lrp5(path: Path) -> bool:
    return path.parent.name == "LRP5"


def test_two_reports_that_call_two_persons_alike_are_found_out(
    data: Path, ready_centre: Callable[..., Site]
):
    """ "Patient 1" is a girl in PMID:22150416 and a man in PMID:20034086: nobody can tell whose."""
    files = [path for path in data.glob("phenopackets/*/*.json") if path.stem.endswith("Patient_1")]
    assert len(files) == 2
    site = ready_centre("phenopackets", files, *PUBLISHED)
    run_id = collect(site).run_id
    harmonize(site, run_id)
    counts = json.loads((site.work / run_id / "harmonization.json").read_text())
    assert counts["rows"]["person"] == 0
    rejects = site.work / run_id / "rejects.parquet"
    rules = duckdb.sql(f"select distinct rule from '{rejects}' where \"table\" = 'person'")
    assert rules.fetchall() == [("R93",)]


def test_a_whole_omop_database(data: Path, ready_centre: Callable[..., Site]):
    folder = data / "omop_synthea27nj"
    site = ready_centre(
        "omop",
        sorted(folder.glob("*.parquet")),
        f"person,consent_reuse,omop_persons,,{YES}synthetic",
        file="*.parquet",
    )
    tables, counts = released(site)

    def count(table: str, where: str) -> int:
        ((number,),) = duckdb.sql(
            f"select count(*) from '{folder}/{table}.parquet' where {where}"
        ).fetchall()
        return int(number)

    assert rows(tables, "person") == 28
    analytes = [code for analyte in ANALYTES for code in analyte]
    labs = count("measurement", f"measurement_source_value in {tuple(analytes)}")
    assert rows(tables, "lab_measurement") == labs == 550
    assert rows(tables, "visit") == count("visit_occurrence", "true") == 1791
    # clavicle, forearm, rib, wrist, hip, ankle: 2 + 2 + 2 + 1 + 1 + 1 by their SNOMED CT codes
    broken = "(58150001, 65966004, 33737001, 263102004, 359817006, 16114001)"
    codes = "try_cast(try_cast(condition_source_value as double) as bigint)"
    assert rows(tables, "fracture") == count("condition_occurrence", f"{codes} in {broken}") == 9
    assert rows(tables, "death_followup", "count(*) filter (where vital_status = 'dead')") == 3
    hemoglobin = "round(max(value) filter (where analyte = 'hemoglobin'), 6)"
    assert rows(tables, "lab_measurement", hemoglobin) == 175.0  # 17.5 g/dL
    assert counts["rejected"] == {}


# LOINC codes of the dictionary's analytes that occur in the measurements.
ANALYTES = (
    ("718-7",), ("777-3",), ("6690-2",), ("1920-8",), ("1742-6",), ("6768-6",), ("2160-0",),
    ("17861-6",), ("2823-3",), ("2028-9",), ("19123-9",), ("2075-0",),
)  # fmt: skip
PATIENT = {
    "resourceType": "Patient",
    "id": "example",
    "gender": "female",
    "birthDate": "1987-02-20",
    "deceasedBoolean": False,
}


def test_densitometry_of_us_core(data: Path, tmp_path: Path, ready_centre: Callable[..., Site]):
    """The examples refer to Patient/example, who is added here; names of the examples stay out."""
    patient = tmp_path / "Patient.json"
    patient.write_text(json.dumps(PATIENT))
    site = ready_centre(
        "fhir",
        [patient, *data.glob("fhir_uscore_dxa/*.json")],
        f"person,consent_reuse,fhir_patients,,{YES}example",
    )
    tables, _ = released(site)
    assert rows(tables, "person") == 1
    found = duckdb.sql(
        "select region, modality, scan_date::varchar, bmd_g_cm2, z_score, t_score "
        f"from '{tables}/imaging_bmd.parquet' order by all"
    ).fetchall()
    assert {(row[1], row[2]) for row in found} == {("DXA", "2021-11-10")}
    # the six values as they stand in the files, two regions with three values each
    assert {(row[0], *row[3:]) for row in found} == {
        ("femoral_neck", 0.631, None, None),
        ("femoral_neck", None, 0.05, None),
        ("femoral_neck", None, None, -1.48),
        ("total_hip", 0.734, None, None),
        ("total_hip", None, -0.19, None),
        ("total_hip", None, None, -1.62),
    }
    written = b"".join(path.read_bytes() for path in tables.parent.rglob("*") if path.is_file())
    assert b"Amy Shaw" not in written


def records(data: Path) -> list[dict[str, str]]:
    """Return the records of RareLink's project."""
    found: list[dict[str, str]] = json.loads(
        (data / "rarelink/redcap/evaluation_cohort_redcap.json").read_text()
    )
    return found


def test_a_project_without_an_instrument_needs_none(
    data: Path, tmp_path: Path, ready_centre: Callable[..., Site]
):
    instrument = "rarelink_6_3_measurements"
    columns = {"measurement_category", "ncit_c60819", "ncit_c25712", "ncit_c92571", "ncit_c82577"}
    export = tmp_path / "export.json"
    export.write_text(json.dumps([
        {key: value for key, value in record.items() if key not in columns}
        for record in records(data) if record["redcap_repeat_instrument"] != instrument
    ]))  # fmt: skip
    site = ready_centre("rarelink_redcap", [export])
    run_id = collect(site).run_id
    harmonize(site, run_id)
    counts = json.loads((site.work / run_id / "harmonization.json").read_text())
    assert counts["rows"]["person"] == 6
    assert counts["rows"]["lab_measurement"] == 0
    assert counts["rows_read"]["rarelink_redcap_measurements"] == 0


def test_a_column_that_the_centre_added_blocks_until_it_is_mapped_or_ignored(
    data: Path, tmp_path: Path, ready_centre: Callable[..., Site]
):
    export = tmp_path / "export.json"
    export.write_text(json.dumps([{**record, "tumor": "no"} for record in records(data)]))
    site = ready_centre("rarelink_redcap", [export])
    run_id = collect(site).run_id
    with pytest.raises(MappingError, match="unmapped column 'tumor'"):
        harmonize(site, run_id)
    sources = sorted(SOURCES_WITH_ROWS)
    ignored = "".join(f"rarelink_redcap_{source},tumor,not_needed\n" for source in sources)
    (site.mapping / "ignore.csv").write_text("source,column,reason\n" + ignored)
    harmonize(site, collect(site).run_id)


SOURCES_WITH_ROWS = (
    "patients", "care_pathway", "diseases", "genetics", "features", "measurements", "family",
    "densitometry", "z_scores", "t_scores", "operations", "transplants",
)  # fmt: skip


def test_the_whole_mapping_is_one_row_of_the_workbook(
    data: Path, ready_centre: Callable[..., Site]
):
    site = ready_centre("rarelink_redcap", [])
    own = [path.read_text().splitlines() for path in sorted(site.mapping.glob("*.csv"))]
    assert sum(len(lines) - 1 for lines in own) == 1
    shutil.rmtree(site.folder)


CONSENTS = """\
person,consent_reuse,consents,answer,recode,,,approved,
person,birth_date,consents,,not_collected,,,approved,
person,sex_at_birth,consents,,not_collected,,,approved,
person,first_contact_date,consents,,not_collected,,,approved,\
"""
LIST = "consents,,consents.csv,,delimited,,1,utf-8,;,.,YMD,,patient\n"


def test_a_list_of_consents_speaks_for_phenopackets(
    data: Path, tmp_path: Path, ready_centre: Callable[..., Site]
):
    """EvCo1 said yes, EvCo2 no, and of the eight others nothing is known: one person is in."""
    answers = tmp_path / "consents.csv"
    answers.write_text("patient;answer\nEvCo1;yes\nEvCo2;no\n")
    packets = sorted(data.glob("rarelink/phenopackets/[0-9]*.json"))
    site = ready_centre("phenopackets", [answers, *packets], CONSENTS, file="*.json")
    with (site.mapping / "sources.csv").open("a") as sources:
        sources.write(LIST)
    with (site.mapping / "values.csv").open("a") as values:
        values.write("person,consent_reuse,consents,yes,yes,approved\n")
        values.write("person,consent_reuse,consents,no,no,approved\n")
    run_id = collect(site).run_id
    harmonize(site, run_id)
    counts = json.loads((site.work / run_id / "harmonization.json").read_text())
    assert counts["excluded_for_consent"] == 9
    assert counts["rows"]["person"] == 1
    path = site.work / run_id / "tables" / "person.parquet"
    persons = duckdb.sql(f"select birth_date::varchar, consent_reuse from '{path}'")
    assert persons.fetchall() == [("2015-01-12", "yes")]
