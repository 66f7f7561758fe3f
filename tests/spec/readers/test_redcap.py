"""Which rows and columns of a REDCap export belong to an instrument."""

import pytest

from transforms.errors import SourceError


EXPORT = """\
record_id,redcap_repeat_instrument,redcap_repeat_instance,redcap_data_access_group,dob,sex,\
dental___1,dental___2,patient_complete,fx_date,fx_union,fracture_complete,hb,lab_complete
a7,,,leiden,2001-02-03,1,0,1,2,,,,,
a7,fracture,1,leiden,,,,,,2010-05-06,,2,,
a7,fracture,2,leiden,,,,,,-99,,2,,
a7,lab,1,leiden,,,,,,,,,"7,8",2
b8,,,leiden,1999-01-01,2,0,0,0,,,,,
"""
DICTIONARY = """\
"Variable / Field Name","Form Name","Section Header","Field Type","Field Label"
record_id,patient,,text,Record ID
dob,patient,,text,Date of birth
sex,patient,,radio,Sex
dental,patient,,checkbox,Dental
fx_date,fracture,,text,Date
fx_union,fracture,,text,Union
hb,lab,,text,Hb
scan,imaging,,text,Scan
"""


@pytest.fixture
def redcap(reading):
    def run(files=None, **declared):
        return reading(files or {"data.csv": EXPORT}, **{"format": "redcap", **declared})

    return run


BASELINE = ("dob", "sex", "dental___1", "dental___2", "patient_complete")
DAG = "redcap_data_access_group"
INSTANCE = "redcap_repeat_instance"


@pytest.mark.parametrize(
    ("sheet", "columns", "rows"),
    [
        ("", ("record_id", DAG, *BASELINE, "fx_union"), [2, 6]),
        (
            "fracture",
            ("record_id", INSTANCE, DAG, "fx_date", "fx_union", "fracture_complete"),
            [3, 4],
        ),
        ("lab", ("record_id", INSTANCE, DAG, "fx_union", "hb", "lab_complete"), [5]),
    ],
)
def test_without_a_dictionary_a_column_filled_only_elsewhere_is_left_out(
    redcap, sheet, columns, rows
):
    found = redcap(sheet=sheet)
    assert found.table.columns == columns
    assert found.places == [("data.csv", sheet, row) for row in rows]
    assert found.table.empty_columns == (("fx_union",))


@pytest.mark.parametrize(
    ("sheet", "columns", "count"),
    [
        ("", ("record_id", DAG, *BASELINE), 2),
        ("patient", ("record_id", DAG, *BASELINE), 2),
        ("fracture", ("record_id", INSTANCE, DAG, "fx_date", "fx_union", "fracture_complete"), 2),
        ("lab", ("record_id", INSTANCE, DAG, "hb", "lab_complete"), 1),
        ("imaging", ("record_id", DAG), 2),
    ],
)
@pytest.mark.parametrize("first", ['"Variable / Field Name"', "1"])
def test_with_a_dictionary_the_form_decides(redcap, sheet, columns, count, first):
    dictionary = DICTIONARY.replace('"Variable / Field Name"', first)
    found = redcap({"data.csv": EXPORT, "dictionary.csv": dictionary}, file="*.csv", sheet=sheet)
    assert found.table.columns == columns
    assert found.table.rows == count
    assert found.table.files == ("data.csv",)


def test_codes_and_checkboxes_are_left_as_they_are(redcap):
    assert redcap(sheet="fracture").column("fx_date") == ["2010-05-06", "-99"]
    assert redcap(sheet="").column("dental___1") == ["0", "0"]
    assert redcap(sheet="lab").column("hb") == ["7,8"]


def test_instruments_not_read_are_named(redcap):
    assert redcap(sheet="lab").table.other_parts == ("", "fracture")


def test_events_are_carried(redcap):
    export = "record_id,redcap_event_name,weight\n1,intake_arm_1,11\n1,discharge_arm_1,12\n"
    found = redcap({"data.csv": export})
    assert found.column("redcap_event_name") == ["intake_arm_1", "discharge_arm_1"]


@pytest.mark.parametrize(
    ("files", "declared", "message"),
    [
        ({}, {"sheet": "fractures"}, "no instrument 'fractures'; there are fracture, lab"),
        ({"data.csv": "Record ID,Repeat Instrument,Sex\n1,,Female\n"}, {}, "with labels.*raw data"),
        ({"data.csv": DICTIONARY}, {}, "matches only REDCap data dictionaries"),
        (
            {
                "data.csv": EXPORT,
                "d1.csv": DICTIONARY,
                "d2.csv": DICTIONARY.replace("fx_union,fracture", "fx_union,lab"),
            },
            {"file": "data.csv"},
            "d1.csv and d2.csv are different REDCap data dictionaries",
        ),
    ],
)
def test_refused_with_remedy(redcap, files, declared, message):
    with pytest.raises(SourceError, match=message):
        redcap(files or None, **declared)
