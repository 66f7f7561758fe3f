"""Real files from other projects go through the readers: nothing refused, nothing lost."""

from pathlib import Path

import duckdb
import pyarrow.parquet as pq
import pytest

from transforms.errors import SourceError
from transforms.mapping import Source
from transforms.readers import SourceTable, read
from transforms.readers.phenopacket_blocks import BLOCKS


def source(form: str, file: str, sheet: str = "") -> Source:
    return Source("x", "", file, form, "id", sheet)


@pytest.fixture
def connection() -> duckdb.DuckDBPyConnection:
    return duckdb.connect()


PHENOPACKETS = [
    ("phenopackets/*/*.json", 18, {"diseases": 18, "features": 244, "variants": 20}),
    (
        "rarelink/phenopackets/[0-9]*.json",
        10,
        {"diseases": 10, "features": 48, "measurements": 47, "variants": 13},
    ),
]


@pytest.mark.parametrize("block", BLOCKS)
@pytest.mark.parametrize(("files", "persons", "rows"), PHENOPACKETS)
def test_phenopackets(data: Path, connection, block, files, persons, rows):
    table = read(source("phenopackets", files, block), data, connection)
    assert len(table.files) == persons
    assert table.rows == (persons if block == "subjects" else rows.get(block, 0))


def test_excluded_features_stay_excluded(data: Path, connection):
    read(source("phenopackets", "phenopackets/*/*.json", "features"), data, connection)
    statuses = connection.execute("select status, count(*) from source.x group by 1").fetchall()
    assert dict(statuses) == {"present": 175, "excluded": 69}


def test_what_the_dictionary_cannot_hold_is_counted(data: Path, connection):
    def not_held(block: str) -> dict[str, int]:
        files = "rarelink/phenopackets/[0-9]*.json"
        return dict(read(source("phenopackets", files, block), data, connection).not_held)

    assert not_held("subjects") == {"subjects.gender": 10}
    assert not_held("features") == {"features.modifiers": 18, "features.resolution": 1}


def test_a_json_file_that_is_no_phenopacket_is_named(data: Path, connection):
    with pytest.raises(SourceError, match=r"failures\.json: .*'subject' with an 'id' is missing"):
        read(source("phenopackets", "rarelink/phenopackets/*.json", "subjects"), data, connection)


FHIR = {
    "patients": 10,
    "conditions": 1,
    "features": 47,
    "observations": 63,  # 47 laboratory, 10 age, 2 of gestation, 4 others; two files hold copies
    "variants": 10,
    "implications": 10,
    "procedures": 1,
    "family_history": 1,
    "encounters": 0,  # RareLink's encounters and consents say no patient
    "consents": 0,
}


@pytest.mark.parametrize(("block", "rows"), FHIR.items())
def test_rarelink_in_fhir(data: Path, connection, block, rows):
    table = read(source("fhir", "rarelink/fhir/*.json", block), data, connection)
    assert table.rows == rows
    assert {"encounters": 1, "consents": 10}.get(block, 0) == table.not_held.get(
        f"{block} without a patient", 0
    )


def test_rarelink_variants_in_fhir_have_all_that_the_implications_say(data: Path, connection):
    read(source("fhir", "rarelink/fhir/*.json", "variants"), data, connection)
    found = connection.execute(
        "select count(hgvs_c), count(transcript), count(gene_id), count(zygosity_code), "
        "count(acmg_code), count(disease_code) from source.x"
    ).fetchall()
    assert found == [(10,) * 6]


def test_dxa_of_us_core(data: Path, connection):
    read(source("fhir", "fhir_uscore_dxa/*.json", "observations/imaging"), data, connection)
    found = connection.execute(
        "select loinc_code, value, unit, unit_ucum, effective_date from source.x order by all"
    ).fetchall()
    day = "2021-11-10"
    assert found == [
        ("46278-8", "0.734", "g/cm2", "g/cm2", day),
        ("80938-4", "-0.19", "Z-Score", "1", day),
        ("80940-0", "0.05", "Z-Score", "1", day),
        ("80946-7", "-1.62", "T-Score", "1", day),
        ("80948-3", "-1.48", "T-Score", "1", day),
        ("80954-1", "0.631", "g/cm2", "g/cm2", day),
    ]


PROJECTS = [
    ("arm-single-longitudinal", "", 9),
    ("blank-for-gray-status", "", 6),
    ("checkboxes-1", "form_2", 4),
    ("decimal-comma", "", 4),
    ("longitudinal", "", 18),
    ("multilevel-model-1", "", None),
    ("nonnumeric-record-id", "", 3),
    ("potentially-problematic-values", "", 2),
    ("repeating-instruments", "", 2),
    ("repeating-instruments", "bp", 4),
    ("repeating-instruments-sparse", "bp", 4),
    ("russian", "", 3),
    ("simple", "", 5),
    ("survey", "", 2),
    ("validation-types-1", "", None),
    ("vignette-repeating", "blood_pressure", None),
]


@pytest.mark.parametrize(("project", "sheet", "rows"), PROJECTS)
def test_redcap_projects(data: Path, connection, project, sheet, rows):
    table = read(source("redcap", f"redcapr/{project}/data.csv", sheet), data, connection)
    assert table.rows == rows or (rows is None and table.rows > 0)


def test_redcap_instrument_has_only_its_own_columns(data: Path, connection):
    project = "redcapr/repeating-instruments/data.csv"
    table = read(source("redcap", project, "bp"), data, connection)
    assert table.columns == (
        "record_id",
        "redcap_repeat_instance",
        "date_bp",
        "bp_systolic",
        "bp_diastolic",
        "bp_complete",
    )


def test_omop_tables(data: Path, connection):
    folder = data / "omop_synthea27nj"
    for path in sorted(folder.glob("*.parquet")):
        table: SourceTable = read(source("omop", f"{folder.name}/*", path.stem), data, connection)
        assert table.rows == pq.ParquetFile(path).metadata.num_rows
