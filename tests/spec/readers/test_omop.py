"""How a table of an OMOP folder is found and read."""

import datetime
import io

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from transforms.errors import SourceError


PERSON = "PERSON_ID,GENDER_CONCEPT_ID,BIRTH_DATETIME\n1,8507,1998-04-09\n2,8532,\n"


@pytest.fixture
def omop(reading):
    def run(files, **declared):
        return reading(files, **{"format": "omop", "file": "cdm/*", "sheet": "person", **declared})

    return run


@pytest.mark.parametrize("name", ["cdm/person.csv", "cdm/PERSON.csv"])
@pytest.mark.parametrize("separator", [",", "\t"])
def test_csv_tables_have_lower_case_columns(omop, name, separator):
    found = omop({name: PERSON.replace(",", separator), "cdm/death.csv": "person_id\n"})
    assert found.table.columns == ("person_id", "gender_concept_id", "birth_datetime")
    assert found.rows == [("1", "8507", "1998-04-09"), ("2", "8532", None)]
    assert found.places == [(name, "person", 2), (name, "person", 3)]
    assert found.table.other_parts == ("death",)


def test_parquet_tables_become_text(omop):
    stream = io.BytesIO()
    columns = {
        "PERSON_ID": [1, 2],
        "value_as_number": [48.5, None],
        "birth_datetime": [datetime.datetime(1998, 4, 9), None],
        "birth_date": [datetime.date(1998, 4, 9), None],
    }
    pq.write_table(pa.table(columns), stream)
    found = omop({"cdm/person.parquet": stream.getvalue()})
    assert found.rows == [("1", "48.5", "1998-04-09 00:00:00", "1998-04-09"), ("2", *[None] * 3)]
    assert [row for _, _, row in found.places] == [1, 2]


MEASUREMENT = """\
measurement_id,person_id,measurement_concept_id,value_as_number,unit_concept_id,\
measurement_source_value,unit_source_value
1,7,3000963,141,8636,Hb,g/l
2,7,0,7.2,0,LOCAL-PTH,pmol/l
3,7,3000963.0,14.1,8713,Hb,
4,7,,1,99999,x,
5,7,,3,77,x,mystery
"""
CONCEPT = """\
concept_id\tconcept_name\tdomain_id\tvocabulary_id\tconcept_code
3000963\tHemoglobin [Mass/volume] in Blood\tMeasurement\tLOINC\t718-7
0\tNo matching concept\tMetadata\tNone\tNo matching concept
99999\tmillimeter per hour\tUnit\tUCUM\tmm/h
1\tunused\tMetadata\tNone\tx
"""


def test_codes_and_names_stand_beside_the_ids(omop):
    files = {"cdm/measurement.csv": MEASUREMENT, "cdm/CONCEPT.csv": CONCEPT}
    found = omop(files, sheet="measurement")
    code, name = "measurement_concept_code", "measurement_concept_name"
    assert found.column(code) == ["LOINC:718-7", None, "LOINC:718-7", None, None]
    assert found.column(name)[0] == "Hemoglobin [Mass/volume] in Blood"
    assert found.column("unit_ucum") == ["g/L", "pmol/l", "g/dL", "mm/h", "mystery"]
    assert found.table.notes == (
        "measurement: measurement_concept_id is 0 in 1 rows; what the centre has is in "
        "measurement_source_value",
        "measurement: unit_concept_id is 0 in 1 rows; what the centre has is in unit_source_value",
    )


def test_without_the_vocabulary_there_are_units_only(omop):
    found = omop({"cdm/measurement.csv": MEASUREMENT}, sheet="measurement")
    assert "measurement_concept_code" not in found.table.columns
    assert found.column("unit_ucum") == ["g/L", "pmol/l", "g/dL", None, "mystery"]


@pytest.fixture
def database(tmp_path):
    """Write a DuckDB file with the given statements; return its bytes."""

    def write(*statements: str) -> bytes:
        path = tmp_path.parent / f"{tmp_path.name}.duckdb"
        with duckdb.connect(str(path)) as connection:
            for statement in statements:
                connection.execute(statement)
        content = path.read_bytes()
        path.unlink()
        return content

    return write


TABLES = (
    "create schema cdm",
    "create table cdm.PERSON (PERSON_ID integer, birth_datetime timestamp, x decimal(8, 3))",
    "insert into cdm.person values (1, '1998-04-09', 1.5), (2, null, null)",
    "create table cdm.death (person_id integer)",
)


@pytest.mark.parametrize("sheet", ["person", "Person", "cdm.person"])
def test_a_table_of_a_duckdb_file(omop, database, sheet):
    found = omop({"cdm.duckdb": database(*TABLES)}, file="cdm.duckdb", sheet=sheet)
    assert found.table.columns == ("person_id", "birth_datetime", "x")
    assert found.rows == [("1", "1998-04-09 00:00:00", "1.500"), ("2", None, None)]
    assert found.places == [("cdm.duckdb", sheet.lower(), 1), ("cdm.duckdb", sheet.lower(), 2)]
    assert found.table.other_parts == ("death",)


def test_concepts_of_a_duckdb_file(omop, database):
    found = omop(
        {
            "cdm.duckdb": database(
                *TABLES,
                "create table cdm.concept as select 8507 concept_id, 'MALE' concept_name, "
                "'Gender' vocabulary_id, 'M' concept_code",
                "create table cdm.visit_occurrence as select 8507 gender_concept_id",
            )
        },
        file="cdm.duckdb",
        sheet="visit_occurrence",
    )
    assert found.rows == [("8507", "Gender:M", "MALE")]


def parquet(**columns: list[object]) -> bytes:
    stream = io.BytesIO()
    pq.write_table(pa.table(columns), stream)
    return stream.getvalue()


def test_a_view_of_a_duckdb_file_is_not_read(omop, database, tmp_path):
    (tmp_path / "secret.csv").write_text("person_id\n1\n")
    view = f"create view person as from read_csv('{tmp_path / 'secret.csv'}')"
    with pytest.raises(SourceError, match=r"there is no OMOP table 'person'; there are no tables"):
        omop({"cdm.duckdb": database(view)}, file="cdm.duckdb")


def test_one_table_in_two_formats_is_refused_and_not_doubled(omop, database):
    files = {"cdm/person.csv": PERSON, "cdm/person.parquet": parquet(person_id=[1])}
    message = r"cdm/person\.csv, cdm/person\.parquet all hold the OMOP table 'person', and its rows"
    with pytest.raises(SourceError, match=message):
        omop(files)
    files = {"cdm/person.csv": PERSON, "cdm/cdm.duckdb": database(*TABLES)}
    with pytest.raises(SourceError, match="would be counted twice; keep one of them"):
        omop(files)


def test_a_table_in_two_schemas_must_be_named_with_one(omop, database):
    twice = (*TABLES, "create table main.person (person_id integer)")
    with pytest.raises(SourceError, match=r"in the schemas cdm, main; write schema\.table"):
        omop({"cdm.duckdb": database(*twice)}, file="cdm.duckdb")


def test_tables_of_one_format_in_several_folders_are_united(omop):
    files = {"a/person.csv": PERSON, "b/PERSON.csv": PERSON.replace("\n1,", "\n3,")}
    assert omop(files, file="*/*").column("person_id") == ["1", "2", "3", "2"]


@pytest.mark.parametrize(
    ("files", "declared", "message"),
    [
        ({"cdm/person.csv": PERSON}, {"sheet": "persons"}, "no OMOP table 'persons'.*are person"),
        ({"cdm/person.parquet": b"PAR1rubbish"}, {}, "cannot be read as Parquet"),
        ({"cdm/person.csv": b"PAR1rubbish"}, {}, "is a Parquet file"),
        ({"cdm/x.duckdb": b"12345678DUCKrubbish"}, {}, "cannot be read as a DuckDB file"),
    ],
)
def test_refused_with_remedy(omop, files, declared, message):
    with pytest.raises(SourceError, match=message):
        omop(files, **declared)
