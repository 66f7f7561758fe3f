"""The dictionary as JSON Schema, LinkML and a page: rows that fit, and rows that do not."""

from typing import Any

import pytest
import yaml
from jsonschema import Draft202012Validator, FormatChecker

from transforms.dictionary import DICTIONARY
from transforms.dictionary.export.json_schema import json_schema
from transforms.dictionary.export.linkml import linkml_schema, linkml_yaml
from transforms.dictionary.markdown import dictionary_page


FRACTURE = {
    "fracture_id": "R1",
    "person_id": "P1",
    "fracture_date": "2015-07-01",
    "age_at_fracture_y": 11.3,
    "bone_site": "femur_shaft",
    "laterality": None,
    "source_system": "form",
    "source_row": 4,
}
CALCIUM = {
    "lab_id": "R2",
    "person_id": "P1",
    "analyte": "calcium",
    "value": 2.4,
    "unit_ucum": "mmol/L",
}
VISIT = {
    "visit_id": "R3",
    "person_id": "P1",
    "visit_date": "2020-01-31",
    "specialties": ["endocrinology", "genetics"],
}


@pytest.fixture(scope="module")
def schema() -> dict[str, Any]:
    return json_schema(DICTIONARY)


def fits(schema: dict[str, Any], **tables: dict[str, Any]) -> bool:
    validator = Draft202012Validator(schema, format_checker=FormatChecker())
    return validator.is_valid({table: [row] for table, row in tables.items()})


def test_the_schema_is_a_schema(schema: dict[str, Any]) -> None:
    Draft202012Validator.check_schema(schema)
    assert set(DICTIONARY.tables) < set(schema["$defs"])


def test_rows_that_fit(schema: dict[str, Any]) -> None:
    specialties = list(DICTIONARY.codelists["specialty"].codes)[:2]
    assert fits(schema, fracture=FRACTURE)
    assert fits(schema, lab_measurement=CALCIUM)
    assert fits(schema, visit=VISIT | {"specialties": specialties})


@pytest.mark.parametrize(
    "change",
    [
        {"bone_site": "femur"},  # no code of the list
        {"bone_site": None},  # mandatory
        {"fracture_date": "01.07.2015"},
        {"fracture_date": "2015-02-30"},  # no day of the calendar
        {"age_at_fracture_y": 111},  # hard limit 110
        {"age_at_fracture_y": "11.3"},
        {"diagnosis": "ADO2"},  # no field of the table
    ],
)
def test_fractures_that_do_not_fit(schema: dict[str, Any], change: dict[str, Any]) -> None:
    assert not fits(schema, fracture=FRACTURE | change)


@pytest.mark.parametrize("change", [{"value": 6.1}, {"unit_ucum": "mg/dL"}, {"analyte": None}])
def test_an_analyte_has_its_own_limits_and_unit(
    schema: dict[str, Any], change: dict[str, Any]
) -> None:
    assert not fits(schema, lab_measurement=CALCIUM | change)


def test_a_set_of_codes_holds_each_once_and_something(schema: dict[str, Any]) -> None:
    code = next(iter(DICTIONARY.codelists["specialty"].codes))
    for codes in ([code, code], [], ["witchcraft"], code):
        assert not fits(schema, visit=VISIT | {"specialties": codes})


def test_linkml_reads_back_as_it_was_meant() -> None:
    assert yaml.safe_load(linkml_yaml(DICTIONARY)) == linkml_schema(DICTIONARY)


def test_linkml_says_ranges_units_limits_and_meanings() -> None:
    schema = yaml.safe_load(linkml_yaml(DICTIONARY))
    fracture = schema["classes"]["Fracture"]["attributes"]
    assert fracture["person_id"]["range"] == "Person"
    assert fracture["bone_site"] == fracture["bone_site"] | {
        "range": "BoneSiteEnum",
        "required": True,
    }
    age = fracture["age_at_fracture_y"]
    assert (age["range"], age["unit"]["ucum_code"], age["maximum_value"]) == ("float", "a", 110)
    assert schema["classes"]["Visit"]["attributes"]["specialties"]["multivalued"] is True
    values = schema["enums"]["PhenotypeEnum"]["permissible_values"]
    assert values["HP:0000572"]["meaning"] == "HP:0000572"
    # Norway, not a no; and a yes that stays a word
    assert schema["enums"]["CountryEnum"]["permissible_values"]["NO"]["title"] == "Norway"
    assert "yes" in schema["enums"]["YesNoUnknownEnum"]["permissible_values"]


def test_every_name_in_linkml_is_defined() -> None:
    schema = linkml_schema(DICTIONARY)
    ranges = {
        attribute["range"]
        for part in schema["classes"].values()
        for attribute in part["attributes"].values()
    }
    types = {"string", "integer", "float", "boolean", "date"}
    assert ranges <= types | set(schema["classes"]) | set(schema["enums"])
    curies = {
        curie.partition(":")[0]
        for enum in schema["enums"].values()
        for value in enum["permissible_values"].values()
        for curie in (value.get("meaning"), *value.get("exact_mappings", []))
        if curie
    }
    assert curies <= set(schema["prefixes"])


def test_the_page_marks_what_was_not_checked_again() -> None:
    page = dictionary_page(DICTIONARY)
    unchecked = [
        code
        for part in DICTIONARY.codelists.values()
        for code in part.codes.values()
        if set(code.unchecked) & set(code.codings)
    ]
    assert unchecked
    assert page.count("(not re-checked)") >= len(unchecked)
    assert "| `age_at_fracture_y` | number | a | recommended | aggregate | hard 0 to 110 (" in page
