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
    assert not_held("features") == {"features.modifiers": 18}


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


# Project, instrument, rows, columns, and one cell: column, row counted from 1, what stands there.
PROJECTS = [
    ("arm-single-longitudinal", "", 9, 6, ("weight", 9, "33")),
    ("arm-single-longitudinal", "@intake_arm_1", 3, 6, ("weight", 3, "31")),
    ("blank-for-gray-status", "", 6, 21, ("interpreter_needed", 4, None)),
    ("checkboxes-1", "form_2", 4, 12, ("check_two___c", 1, "1")),
    ("decimal-comma", "", 4, 5, ("height", 1, "1,54")),
    ("decimal-comma", "", 4, 5, ("bmi", 1, "22.1")),
    ("decimal-dot", "", 4, 5, ("weight", 3, "123.4")),
    ("longitudinal", "", 18, 121, ("redcap_event_name", 13, "enrollment_arm_2")),
    ("longitudinal", "visit_lab_data@visit_1_arm_1", 2, 8, ("study_id", 2, "220")),
    ("multilevel-model-1", "", 20, 6, ("gender_id", 1, "255")),
    ("multilevel-model-1", "appointment", 200, 13, ("slope_factor_1", 1, "0.028")),
    ("nonnumeric-record-id", "", 3, 3, ("record_id", 3, "c")),
    ("potentially-problematic-values", "", 2, 5, ("time_1", 2, "55:02")),
    ("repeating-instruments", "", 2, 8, ("age", 2, "9.6")),
    ("repeating-instruments", "bp", 4, 6, ("bp_diastolic", 4, "104")),
    ("repeating-instruments-sparse", "", 5, 8, ("date_enrolled", 5, None)),
    ("repeating-instruments-sparse", "bp", 4, 6, ("bp_systolic", 3, "112")),
    ("russian", "", 3, 401, ("record_id", 1, "AAAA")),
    ("simple", "", 5, 19, ("race___5", 1, "1")),
    ("survey", "", 2, 28, ("prescreening_survey_timestamp", 1, "2018-03-06 15:52:43")),
    ("validation-types-1", "", 1, 52, ("f_checkbox___0", 1, "0")),
    ("vignette-repeating", "", 2, 5, ("height", 2, "2.0")),
    ("vignette-repeating", "blood_pressure", 6, 5, ("dbp", 6, "22.3")),
    ("vignette-repeating", "laboratory", 4, 5, ("conc", 1, "1.1 ppm")),
    ("vignette-repeating", "image", 5, 4, ("image_profile", 1, "levon-and-barry.jpg")),
]


@pytest.mark.parametrize(("project", "sheet", "rows", "columns", "cell"), PROJECTS)
def test_redcap_projects(data: Path, connection, project, sheet, rows, columns, cell):
    table = read(source("redcap", f"redcapr/{project}/*.csv", sheet), data, connection)
    assert (table.rows, len(table.columns)) == (rows, columns)
    column, place, text = cell
    found = connection.execute(f'select "{column}" from source.x order by source_row').fetchall()
    assert found[place - 1] == (text,)


def test_an_export_without_content_is_refused(data: Path, connection):
    files = "redcapr/potentially-problematic-dictionary/data.csv"
    with pytest.raises(SourceError, match="row 1 should hold the column names but is empty"):
        read(source("redcap", files), data, connection)


def test_no_identifier_of_any_project_is_read(data: Path, connection):
    for project in ("simple", "survey", "longitudinal", "blank-for-gray-status"):
        table = read(source("redcap", f"redcapr/{project}/*.csv"), data, connection)
        named = {"name_first", "name_last", "first_name", "last_name", "address", "telephone",
                 "telephone_1", "email"}  # fmt: skip
        assert not named & set(table.columns)
        assert "dob" in table.columns


RARELINK = {
    "": 10,
    "rarelink_4_care_pathway": 9,
    "rarelink_5_disease": 10,
    "rarelink_6_1_genetic_findings": 13,
    "rarelink_6_2_phenotypic_feature": 48,
    "rarelink_6_3_measurements": 47,
    "rarelink_6_4_family_history": 1,
}  # 138 records in all


@pytest.mark.parametrize(("instrument", "rows"), RARELINK.items())
def test_rarelink_in_redcap(data: Path, connection, instrument, rows):
    files = "rarelink/redcap/evaluation_cohort_redcap.json"
    table = read(source("redcap", files, instrument), data, connection)
    assert table.rows == rows
    assert set(table.other_parts) == set(RARELINK) - {instrument}


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


def test_omop_measurements_have_codes_and_units(data: Path, connection):
    table = read(source("omop", "omop_synthea27nj/*", "measurement"), data, connection)
    assert table.notes == (
        "measurement: unit_concept_id is 0 in 736 rows; what the centre has is in "
        "unit_source_value",
    )
    found = connection.execute(
        "select measurement_concept_code, unit_ucum, count(*) from source.x "
        "where measurement_concept_code in ('LOINC:718-7', 'LOINC:29463-7') group by all order by 1"
    ).fetchall()
    assert found == [("LOINC:29463-7", "kg", 511), ("LOINC:718-7", "g/dL", 108)]
    ((coded, persons),) = connection.execute(
        "select count(measurement_concept_code), count(distinct person_id) from source.x"
    ).fetchall()
    assert (coded, persons) == (10_040, 28)
