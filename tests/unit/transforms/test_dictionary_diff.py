"""What changed between two versions of the dictionary, what to do, and which rows it touches."""

import copy
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from transforms.dictionary import DICTIONARY
from transforms.dictionary.diff import Change, changes
from transforms.dictionary.snapshot import (
    HISTORY,
    history,
    kept,
    parse_snapshot,
    snapshot,
    version_order,
)
from transforms.errors import DictionaryError
from transforms.mapping import FieldRule, Mapping, ValueRule
from transforms.touched import touched


Edit = Callable[[dict[str, Any]], object]


def field(dictionary: dict[str, Any], name: str) -> dict[str, Any]:
    table, _, column = name.partition(".")
    found: dict[str, Any] = dictionary["tables"][table]["fields"][column]
    return found


def change_after(edit: Edit) -> Change:
    """Return the one change that `edit` makes to today's dictionary."""
    old = snapshot(DICTIONARY)
    new = copy.deepcopy(old)
    edit(new)
    (change,) = changes(old, new)
    return change


def test_a_dictionary_does_not_differ_from_itself() -> None:
    now = snapshot(DICTIONARY)
    assert changes(now, now) == ()
    assert json.loads(json.dumps(now)) == now


@pytest.mark.parametrize(
    ("edit", "kind", "duty", "todo"),
    [
        (
            lambda d: field(d, "fracture.laterality").update(obligation="mandatory"),
            "obligation",
            "must",
            "map it or say not_collected",
        ),
        (
            lambda d: field(d, "fracture.bone_site").update(obligation="optional"),
            "obligation",
            "nothing",
            "no longer rejected",
        ),
        (
            lambda d: d["tables"]["fracture"]["fields"].pop("pattern"),
            "field_removed",
            "must",
            "take its rows out",
        ),
        (
            lambda d: d["tables"]["fracture"]["fields"].update(
                fall_height_m={"type": "number", "obligation": "mandatory", "leaves": "never"}
            ),
            "field_added",
            "must",
            "map it, or say not_collected, for each source that fills fracture",
        ),
        (
            lambda d: d["tables"]["fracture"]["fields"].update(
                x={"type": "number", "obligation": "mandatory", "leaves": "never", "derived": "y"}
            ),
            "field_added",
            "nothing",
            "the site makes it",
        ),
        (lambda d: d["tables"].pop("visit"), "table_removed", "must", "take its rows out"),
        (
            lambda d: field(d, "fracture.age_at_fracture_y").update(hard=[0, 100]),
            "hard",
            "look",
            "rejected now",
        ),
        (
            lambda d: field(d, "fracture.age_at_fracture_y").update(hard=[-1, 120]),
            "hard",
            "nothing",
            "less is rejected",
        ),
        (
            lambda d: field(d, "fracture.fracture_date").update(leaves="aggregate"),
            "leaves",
            "look",
            "data protection officer",
        ),
        (
            lambda d: field(d, "visit.height_cm").update(unit="m"),
            "unit",
            "must",
            "declare the unit cm",
        ),
        (
            lambda d: field(d, "fracture.laterality").update(type="string"),
            "type",
            "must",
            "choose a rule that fills a string",
        ),
        (lambda d: d["codelists"]["sex"].pop("male"), "code_removed", "must", "another code"),
        (lambda d: d["codelists"]["sex"].update(x="X"), "code_added", "may", "no code of their"),
        (
            lambda d: d["codelists"]["sex"].update(male="Man"),
            "code_label",
            "look",
            "still fits your values",
        ),
        (
            lambda d: d["analytes"]["calcium"].update(unit="mg/dL"),
            "analyte_unit",
            "nothing",
            "converted",
        ),
        (
            lambda d: d["analytes"]["calcium"]["factors"].pop("mg/L"),
            "analyte_factors",
            "must",
            "values in mg/L can no longer be converted",
        ),
        (
            lambda d: d["tables"]["complication"].update(discriminator=None),
            "rows_told_apart",
            "must",
            "brackets",
        ),
    ],
)
def test_each_change_says_what_to_do(edit: Edit, kind: str, duty: str, todo: str) -> None:
    change = change_after(edit)
    assert (change.kind, change.duty) == (kind, duty)
    assert todo in change.todo


def test_what_must_be_done_comes_first() -> None:
    old, new = snapshot(DICTIONARY), snapshot(DICTIONARY)
    new["codelists"]["sex"]["x"] = "X"
    new["tables"]["visit"]["fields"].pop("visit_type")
    assert [change.duty for change in changes(old, new)] == ["must", "may"]


MAPPING = Mapping(
    sources=(),
    fields=(
        FieldRule("fracture", "bone_site", "a", "recode", ("Bone",), place="fields 2"),
        FieldRule("fracture", "laterality", "a", "copy", ("Side",), place="fields 3"),
        FieldRule("fracture", "bone_site", "b", "const", arg="tibia", place="fields 4"),
        FieldRule("visit", "height_cm", "a", "number", ("Size",), place="fields 5"),
        FieldRule("visit", "height_cm", "b", "number", ("Size",), unit="m", place="fields 6"),
        FieldRule(
            "complication", "status", "a", "copy", ("Eyes",), bracket="HP:0000572", place="fields 7"
        ),
        FieldRule("fracture", "trauma_level", "b", "not_collected", place="fields 8"),
    ),
    values=(
        ValueRule("fracture", "bone_site", "", "shin", "tibia", place="values 2"),
        ValueRule("fracture", "bone_site", "", "shin bone", "tibia", place="values 3"),
        ValueRule("fracture", "bone_site", "", "thigh", "femur_shaft", place="values 4"),
    ),
    ignores=(),
)


@pytest.mark.parametrize(
    ("edit", "places"),
    [
        (
            lambda d: d["codelists"]["bone_site"].pop("tibia"),
            ("values 2", "values 3", "fields 4"),
        ),
        (lambda d: d["codelists"]["phenotype"].pop("HP:0000572"), ("fields 7",)),
        (
            lambda d: d["tables"]["fracture"]["fields"].pop("bone_site"),
            ("fields 2", "fields 4", "values 2", "values 3", "values 4"),
        ),
        # a says nothing of it, b says that it is not collected
        (
            lambda d: field(d, "fracture.trauma_level").update(obligation="mandatory"),
            ("sheet fields, table fracture, source a: no row for trauma_level",),
        ),
        # b declares its unit
        (lambda d: field(d, "visit.height_cm").update(unit="mm"), ("fields 5",)),
        (lambda d: d["tables"].pop("visit"), ("fields 5", "fields 6")),
        (lambda d: d["codelists"]["bone_site"].update(x="X"), ()),
    ],
)
def test_the_rows_of_a_mapping_that_a_change_touches(edit: Edit, places: tuple[str, ...]) -> None:
    assert touched(change_after(edit), MAPPING) == places


def test_versions_are_kept_and_read_back() -> None:
    assert history()[0] == "0.1.0"
    assert version_order("0.10.0") > version_order("0.9.9")
    # nine tables in the first version
    assert sorted(kept("0.1.0")["tables"]) == [
        "complication", "death_followup", "diagnosis", "fracture", "hsct", "imaging_bmd",
        "lab_measurement", "person", "variant",
    ]  # fmt: skip
    with pytest.raises(DictionaryError, match=r"version 0\.0\.1 is not known"):
        kept("0.0.1")


def test_the_snapshot_of_this_version_is_this_dictionary() -> None:
    """Whoever changes the dictionary after its snapshot was kept must give it a new version."""
    path = HISTORY / f"{DICTIONARY.version}.json"
    if path.is_file():
        assert parse_snapshot(path) == snapshot(DICTIONARY)


@pytest.mark.parametrize("text", ["", "[]", "{", '{"version": "1"}'])
def test_a_file_that_is_no_snapshot(tmp_path: Path, text: str) -> None:
    path = tmp_path / "dictionary.json"
    path.write_text(text)
    with pytest.raises(DictionaryError, match=r"dictionary\.json"):
        parse_snapshot(path)
