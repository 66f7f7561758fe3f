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
