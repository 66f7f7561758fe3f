"""The REDCap data dictionary that we export keeps REDCap's own rules.

The rules are those that REDCap states in its data dictionary help and applies on upload (also
written down in linkml-redcap's meta-schema): 18 columns in this order; a variable is lower case
letters, digits and underscores, begins with a letter, is unique in the project and at most 26
characters long; a form's fields stand together; a record id comes first; choices are
`code, label | code, label` with unique codes; validation, minimum and maximum belong to text
fields. `problems` is checked against real dictionaries, and against broken ones.
"""

import csv
import io
import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from transforms.dictionary import DICTIONARY, CodeList
from transforms.dictionary.export.redcap import data_dictionary, safe_codes, variables
from transforms.dictionary.model import Code


TYPES = {
    "text", "notes", "radio", "dropdown", "checkbox", "yesno", "truefalse", "calc", "file",
    "slider", "descriptive", "sql",
}  # fmt: skip
WITH_CHOICES = {"radio", "dropdown", "checkbox"}
VALIDATIONS = {"", "date_ymd", "integer", "number"}
RESERVED = {"redcap_event_name", "redcap_repeat_instrument", "redcap_repeat_instance"}
HEADER = (
    '"Variable / Field Name","Form Name","Section Header","Field Type","Field Label",'
    '"Choices, Calculations, OR Slider Labels","Field Note",'
    '"Text Validation Type OR Show Slider Number","Text Validation Min","Text Validation Max",'
    'Identifier?,"Branching Logic (Show field only if...)","Required Field?","Custom Alignment",'
    '"Question Number (surveys only)","Matrix Group Name","Matrix Ranking?","Field Annotation"'
)

Row = dict[str, str]


def rows_of(text: str) -> list[Row]:
    return list(csv.DictReader(io.StringIO(text)))


def problems(text: str) -> list[str]:
    """Return what REDCap would refuse, or turn into something else."""
    header = next(csv.reader([text.splitlines()[0]]))
    rows = rows_of(text)
    found = [] if header == next(csv.reader([HEADER])) else ["header"]
    names = [row["Variable / Field Name"] for row in rows]
    found += [f"{name}: twice" for name, count in Counter(names).items() if count > 1]
    forms = [row["Form Name"] for row in rows]
    blocks = [form for n, form in enumerate(forms) if n == 0 or forms[n - 1] != form]
    found += [f"{form}: in pieces" for form, count in Counter(blocks).items() if count > 1]
    found += [
        f"{form}: form name" for form in set(forms) if not re.fullmatch("[a-z][a-z0-9_]*", form)
    ]
    taken = {f"{form}_complete" for form in forms} | RESERVED
    found += [f"{name}: reserved" for name in names if name in taken]
    if rows[0]["Field Type"] != "text" or rows[0]["Form Name"] != forms[0]:
        found.append("the first field must be the record id, a text")
    return [*found, *(problem for row in rows for problem in of_row(row))]


def of_row(row: Row) -> Iterator[str]:
    name, kind = row["Variable / Field Name"], row["Field Type"]
    if not re.fullmatch("[a-z](_?[a-z0-9])*", name) or len(name) > 26:
        yield f"{name}: variable name"
    if kind not in TYPES:
        yield f"{name}: field type {kind}"
    if not row["Field Label"]:
        yield f"{name}: no label"
    yield from of_choices(name, kind, row["Choices, Calculations, OR Slider Labels"])
    yield from of_validation(name, kind, row)
    for column in ("Identifier?", "Required Field?"):
        if row[column] not in ("", "y"):
            yield f"{name}: {column}"
    if any("<" in row[column] for column in ("Field Label", "Field Note", "Section Header")):
        yield f"{name}: would be read as markup"
    if "@" in row["Field Annotation"]:
        yield f"{name}: would be read as an action tag"


def of_choices(name: str, kind: str, choices: str) -> Iterator[str]:
    if kind not in WITH_CHOICES:
        if choices:
            yield f"{name}: choices of a {kind}"
        return
    parts = [part.partition(",") for part in choices.split("|")]
    codes = [code.strip() for code, _, _ in parts]
    if not all(comma and label.strip() for _, comma, label in parts):
        yield f"{name}: a choice without a label"
    # `field___code` becomes a column: lower case, other signs replaced by an underscore
    if len({code.lower() for code in codes}) != len(codes):
        yield f"{name}: two choices with one code"
    if not all(re.fullmatch("[A-Za-z0-9_]+", code) for code in codes):
        yield f"{name}: a code with a sign that REDCap replaces"


def of_validation(name: str, kind: str, row: Row) -> Iterator[str]:
    validation = row["Text Validation Type OR Show Slider Number"]
    low, high = row["Text Validation Min"], row["Text Validation Max"]
    if validation not in VALIDATIONS or (validation and kind != "text"):
        yield f"{name}: validation {validation}"
    if (low or high) and validation not in ("integer", "number"):
        yield f"{name}: limits without a number"
    if low and high and float(low) > float(high):
        yield f"{name}: nothing lies between {low} and {high}"
    if validation == "integer" and not re.fullmatch("(-?[0-9]+)?", low + high):
        yield f"{name}: limits of an integer"


def test_the_export_keeps_redcaps_rules() -> None:
    assert problems(data_dictionary(DICTIONARY)) == []


def test_real_dictionaries_pass_the_same_check(data: Path) -> None:
    for project in ("checkboxes-1", "repeating-instruments", "multilevel-model-1"):
        text = (data / "redcapr" / project / "dictionary.csv").read_text(encoding="utf-8-sig")
        assert problems(text) == [], project


@pytest.mark.parametrize(
    ("was", "becomes", "problem"),
    [
        ("per_birth_date,person", "Per_birth_date,person", "Per_birth_date: variable name"),
        ("per_birth_date,person", "per_date_of_birth_in_full_length,person", "variable name"),
        ("per_consent_reuse,person", "per_birth_date,person", "per_birth_date: twice"),
        ("female, Female", "fe:male, Female", "a code with a sign that REDCap replaces"),
        ("male, Male |", "female, Male |", "two choices with one code"),
        ("female, Female", "female", "a choice without a label"),
        (",radio,Sex at birth", ",choice,Sex at birth", "field type choice"),
        ("date_ymd", "date_dmy", "validation date_dmy"),
        ("per_consent_reuse,person", "per_consent_reuse,fracture", "fracture: in pieces"),
        ("Custom Alignment", "Alignment", "header"),
    ],
)
def test_the_check_finds_what_is_wrong(was: str, becomes: str, problem: str) -> None:
    text = data_dictionary(DICTIONARY)
    assert was in text
    found = problems(text.replace(was, becomes, 1))
    assert any(problem in one for one in found), found


def test_codes_are_written_as_the_column_of_a_check_box() -> None:
    codes = {
        code: Code(code, code, {}, {}) for code in ("HP:0000572", "10*9/L", "G/L", "g/L", "NO")
    }
    safe = safe_codes(CodeList("any", "", codes))
    assert sorted(safe.values()) == sorted(codes)
    assert safe["hp_0000572"] == "HP:0000572"
    assert safe["10_9_l"] == "10*9/L"
    assert {code for key, code in safe.items() if re.fullmatch("g_l_[0-9a-f]{4}", key)} == {
        "G/L",
        "g/L",
    }


def test_a_form_per_table_with_every_field_that_a_person_enters() -> None:
    rows = {row["Variable / Field Name"]: row for row in rows_of(data_dictionary(DICTIONARY))}
    assert {row["Form Name"] for row in rows.values()} == set(DICTIONARY.tables)
    assert rows["record_id"]["Identifier?"] == "y"
    birth = rows["per_birth_date"]
    assert birth["Text Validation Type OR Show Slider Number"] == "date_ymd"
    assert (birth["Identifier?"], birth["Required Field?"]) == ("y", "y")
    assert rows["fra_bone_site"]["Field Type"] == "dropdown"
    assert rows["per_is_proband"]["Field Type"] == "yesno"
    assert rows["vis_specialties"]["Field Type"] == "checkbox"
    rank = rows["dia_dx_rank"]
    assert rank["Text Validation Type OR Show Slider Number"] == "integer"
    assert (rank["Text Validation Min"], rank["Text Validation Max"]) == ("1", "20")
    # a value below the limit of detection is no number for REDCap
    assert rows["lab_value"]["Text Validation Type OR Show Slider Number"] == ""


def test_a_long_name_is_cut_and_stays_the_same_whatever_else_is_there() -> None:
    names = {
        (one.table.name, one.field.name): one.name for one in variables(DICTIONARY) if one.field
    }
    # sha256("person.history_complete_from_birth") begins with eb56
    assert names["person", "history_complete_from_birth"] == "per_history_complete_eb56"
