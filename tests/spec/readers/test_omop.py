"""How a table of an OMOP folder is found and read."""

import datetime
import io

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


@pytest.mark.parametrize(
    ("files", "declared", "message"),
    [
        ({"cdm/person.csv": PERSON}, {"sheet": "persons"}, "no OMOP table 'persons'.*are person"),
        ({"cdm/person.parquet": b"PAR1rubbish"}, {}, "cannot be read as Parquet"),
        ({"cdm/person.csv": b"PAR1rubbish"}, {}, "is a Parquet file"),
    ],
)
def test_refused_with_remedy(omop, files, declared, message):
    with pytest.raises(SourceError, match=message):
        omop(files, **declared)
