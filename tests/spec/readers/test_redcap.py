"""Which rows and columns of a REDCap export belong to an instrument."""

import json

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


FULL = """\
Variable / Field Name,Form Name,Section Header,Field Type,Field Label,\
"Choices, Calculations, OR Slider Labels",Field Note,Text Validation Type OR Show Slider Number,\
Text Validation Min,Text Validation Max,Identifier?
record_id,patient,,text,Record ID,,,,,,
achternaam,patient,,text,Last name,,,,,,y
dob,patient,,text,Date of birth,,,date_ymd,,,y
sex,patient,,radio,<b>Sex</b>,"1, Female | 2, Male",,,,,
dental,patient,,checkbox,Dental,"1, Caries | -9, Not known",,,,,
alive,patient,,yesno,Alive,,,,,,
height,patient,,text,Height (cm),,,number,20,250,
fx_date,fracture,,text,Date,,,date_ymd,,,
fx_bone,fracture,,dropdown,Bone,"f, Femur | t, Tibia | 2, Other",,,,,
height2,fracture,,text,Height (cm),,,number,20,250,
"""
RAW = """\
record_id,redcap_repeat_instrument,redcap_repeat_instance,achternaam,dob,sex,dental___1,\
dental____9,alive,height,patient_complete,fx_date,fx_bone,height2,fracture_complete
7,,,Jansen,2001-02-03,1,1,0,1,140,2,,,,
7,fracture,1,,,,,,,,,2010-05-06,f,141,1
"""
LABELS = """\
Record ID,Repeat Instrument,Repeat Instance,Last name,Date of birth,Sex,\
Dental (choice=Caries),Dental (choice=Not known),Alive,Height (cm),Complete?,\
Date,Bone,Height (cm),Complete?
7,,,Jansen,2001-02-03,Female,Checked,Unchecked,Yes,140,Complete,,,,
7,Fracture,1,,,,,,,,,2010-05-06,Femur,141,Unverified
"""
PATIENT_COLUMNS = (
    "record_id", "dob", "sex", "dental___1", "dental____9", "alive", "height", "patient_complete",
)  # fmt: skip


@pytest.mark.parametrize("export", [RAW, LABELS, LABELS.replace("Sex", '"Sex "')])
@pytest.mark.parametrize(
    ("sheet", "row"),
    [
        ("", ("7", "2001-02-03", "1", "1", "0", "1", "140", "2")),
        ("fracture", ("7", "1", "2010-05-06", "f", "141", "1")),
    ],
)
def test_labels_become_what_a_raw_export_says(redcap, export, sheet, row):
    found = redcap({"data.csv": export, "dictionary.csv": FULL}, file="data.csv", sheet=sheet)
    assert found.rows == [row]
    if not sheet:
        assert found.table.columns == PATIENT_COLUMNS


def test_raw_headers_with_labels_as_values(redcap):
    header = RAW.partition("\n")[0]
    export = f"{header}\n" + LABELS.partition("\n")[2]
    found = redcap({"data.csv": export, "dictionary.csv": FULL}, file="data.csv", sheet="fracture")
    assert found.rows == [("7", "1", "2010-05-06", "f", "141", "1")]
    assert found.table.notes[0] == "data.csv: values are labels; dictionary.csv gives their codes"


def test_identifiers_are_left_out_but_not_dates_nor_the_id(redcap):
    files = {"data.csv": RAW, "dictionary.csv": FULL}
    found = redcap(files, file="data.csv", id_column="record_id")
    assert "Jansen" not in repr(found)
    assert dict(found.table.not_held) == {
        "variables that REDCap marks as identifiers: achternaam": 1
    }
    kept = redcap(files, file="data.csv", id_column="achternaam")
    assert kept.column("achternaam") == ["Jansen"]


@pytest.mark.parametrize(
    ("export", "dictionary", "message"),
    [
        (LABELS, None, "export with labels and no data dictionary lies beside it"),
        (
            LABELS.replace("Height (cm),Complete?,Date", "Height (cm),Complete?,Day"),
            FULL,
            "5 headers fit none or several variables of dictionary.csv; export it again as",
        ),
        (
            LABELS,
            FULL.replace("t, Tibia", "t, Femur"),
            "in fx_bone one label stands for several codes",
        ),
    ],
)
def test_labels_that_cannot_be_translated_are_refused(redcap, export, dictionary, message):
    files = {"data.csv": export} | ({"dictionary.csv": dictionary} if dictionary else {})
    with pytest.raises(SourceError, match=message):
        redcap(files, file="data.csv")


def test_labels_in_cyrillic(redcap):
    dictionary = FULL.replace("<b>Sex</b>", "Пол").replace("1, Female | 2, Male", "1, ж | 2, м")
    files = {"data.csv": "Record ID,Пол\n7,м\n", "dictionary.csv": dictionary}
    found = redcap(files, file="data.csv")
    assert (found.table.columns, found.rows) == (("record_id", "sex"), [("7", "2")])


EVENTS = """\
event_name,arm_num,unique_event_name
Intake,1,intake_arm_1
Visit,1,visit_arm_1
Visit,2,visit_arm_2
"""


def test_labels_of_events_become_their_unique_names(redcap):
    export = "Record ID,Event Name,Height (cm)\n7,Intake,1\n7,Visit (Arm 2: Drug B),2\n"
    dictionary = FULL.replace("height2,fracture", "h2,fracture").replace(
        "Height (cm),,,number,20,250,\n", "Size,,,number,20,250,\n", 1
    )
    files = {"data.csv": export + "7,Elsewhere,3\n", "d.csv": dictionary, "events.csv": EVENTS}
    sexes = {"data.csv": files["data.csv"].replace("Height (cm)", "Sex").replace(",1\n", ",Male\n")}
    found = redcap(files | sexes, file="*.csv")
    assert found.column("redcap_event_name") == ["intake_arm_1", "visit_arm_2", "Elsewhere"]
    assert found.column("sex") == ["2", "2", "3"]


LONGITUDINAL = """\
record_id,redcap_event_name,redcap_repeat_instrument,redcap_repeat_instance,weight,fx_date
1,intake_arm_1,,,11,
1,visit_arm_1,,,12,
1,visit_arm_1,fracture,1,,2020-01-02
1,intake_arm_1,fracture,1,,2019-01-02
2,intake_arm_2,,,13,
"""


@pytest.mark.parametrize(
    ("sheet", "places", "others"),
    [
        ("", [2, 3, 6], ("fracture",)),
        ("@visit_arm_1", [3], ("@intake_arm_1", "@intake_arm_2", "fracture")),
        ("fracture", [4, 5], ("",)),
        ("fracture@visit_arm_1", [4], ("", "fracture@intake_arm_1")),
    ],
)
def test_an_event_may_be_named(redcap, sheet, places, others):
    found = redcap({"data.csv": LONGITUDINAL}, sheet=sheet)
    assert found.places == [("data.csv", sheet, place) for place in places]
    assert found.table.other_parts == others


# --- JSON ---------------------------------------------------------------------------------------

FLAT = [
    {"record_id": "7", "redcap_repeat_instrument": "", "redcap_repeat_instance": "",
     "sex": "1", "dental___1": "1", "dental____9": "0", "patient_complete": "2", "fx_bone": "",
     "fracture_complete": ""},
    {"record_id": "7", "redcap_repeat_instrument": "fracture", "redcap_repeat_instance": 1,
     "sex": "", "dental___1": "", "dental____9": "", "patient_complete": "", "fx_bone": "f",
     "fracture_complete": "1"},
]  # fmt: skip


def value(field: str, text: str, instrument: str = "", instance: object = "") -> dict[str, object]:
    return {
        "record": "7",
        "redcap_repeat_instrument": instrument,
        "redcap_repeat_instance": instance,
        "field_name": field,
        "value": text,
    }


EAV = [
    value("record_id", "7"),
    value("sex", "1"),
    value("dental", "1"),
    value("patient_complete", "2"),
    value("fx_bone", "f", "fracture", 1),
    value("fracture_complete", "1", "fracture", 1),
]


@pytest.mark.parametrize("export", [FLAT, EAV])
def test_json_is_read_as_the_raw_table(redcap, export):
    files = {"data.json": json.dumps(export), "dictionary.csv": FULL}
    found = redcap(files, file="data.json")
    cells = dict(zip(found.table.columns, found.rows[0], strict=True))
    assert cells == {
        "record_id": "7", "sex": "1", "dental___1": "1", "dental____9": "0",
        "patient_complete": "2",
    }  # fmt: skip
    fracture = redcap(files, file="data.json", sheet="fracture")
    assert [(r[0], r[1], fracture.column("fx_bone")[0]) for r in fracture.rows] == [("7", "1", "f")]


def test_eav_without_dictionary_knows_a_checkbox_by_its_several_values(redcap):
    export = [value("pain", "a"), value("pain", "b"), {**value("pain", "c"), "record": "8"}]
    found = redcap({"data.json": json.dumps(export)})
    assert found.table.columns == (
        "record_id", "redcap_repeat_instance", "pain___a", "pain___b", "pain___c",
    )  # fmt: skip
    assert [row[2:] for row in found.rows] == [("1", "1", "0"), ("0", "0", "1")]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[]", "the export holds no record"),
        ("{}", "it is not valid JSON at line 1"),
        ("[1]", "a list of REDCap records was expected"),
        ('[{"record_id": "1", "form": {"a": "1"}}]', "each an object of plain values"),
        ('[{"a": "1", "a": "2"}]', "a key is given twice"),
        ('[{"a": NaN}]', "it holds NaN"),
    ],
)
def test_json_that_is_no_export_is_refused(redcap, text, message):
    with pytest.raises(SourceError, match=message):
        redcap({"data.json": text})


# --- what looks odd -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("column", "cell", "noted"),
    [
        ("sex", "9999", True),
        ("sex", "2", False),
        ("fx_bone", "UNK", True),
        ("height", "-1", True),  # below the dictionary's minimum
        ("height", "999", True),
        ("height", "140", False),
        ("dob", "NASK", True),
        ("dental___1", "0", False),
    ],
)
def test_codes_for_nothing_known_are_noted(redcap, column, cell, noted):
    export = f"record_id,{column}\n7,{cell}\n"
    files = {"data.csv": export, "dictionary.csv": FULL}
    start = f"data.csv: '{cell}' stands in {column}, as if for a value that is not known"
    notes = redcap(files, file="data.csv").table.notes
    assert any(note.startswith(start) for note in notes) == noted
    declared = redcap(files, file="data.csv", missing=(cell,)).table.notes
    assert not any(note.startswith(start) for note in declared)


def test_dates_that_excel_rewrote_are_noted(redcap):
    files = {"data.csv": "record_id,dob\n7,03/02/2001\n", "dictionary.csv": FULL}
    (note,) = redcap(files, file="data.csv").table.notes
    assert note.startswith("data.csv: dob hold other texts than REDCap's dates")


@pytest.mark.parametrize(
    ("header", "notes"),
    [
        ("record_id,sex", 0),
        ("1,sex", 1),
        ("ï»¿record_id,sex", 1),
    ],
)
def test_a_damaged_first_header_is_the_record_id(redcap, header, notes):
    files = {"data.csv": f"{header}\n7,1\n", "dictionary.csv": FULL}
    found = redcap(files, file="data.csv")
    assert found.table.columns == ("record_id", "sex")
    assert len(found.table.notes) == notes


@pytest.mark.parametrize(
    ("files", "declared", "message"),
    [
        ({}, {"sheet": "fractures"}, "no instrument 'fractures'; there are fracture, lab"),
        ({"data.csv": LONGITUDINAL}, {"sheet": "@v_9"}, "no event 'v_9'; there are intake_arm_1, "),
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
