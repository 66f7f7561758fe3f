"""Declared views: what a file may say, and every mistake in it at once."""

from pathlib import Path

import pytest

from federated.request import parse_request
from federated.views import DICTIONARY_VIEWS, load_views
from transforms.errors import RequestError


LUNG = """
[view]
name = "lung"
unit = "patient"

[columns.days]
type = "integer"
[columns.died]
type = "flag"
[columns.sex]
type = "category"
levels = ["female", "male"]

[outcomes.death]
time = "days"
event = "died"
"""


def declared(folder: Path, text: str) -> Path:
    (folder / "lung.toml").write_text(text, encoding="utf-8")
    return folder


def test_a_declared_view_has_its_variables_and_outcomes(tmp_path: Path) -> None:
    view = load_views(declared(tmp_path, LUNG))["lung"]
    assert view.unit == "patient"
    assert view.variables["sex"].levels == ("female", "male")
    assert view.variables["died"].levels == ("false", "true")
    assert not view.variables["days"].coded
    assert (view.outcomes["death"].time, view.outcomes["death"].entry) == ("days", None)


def test_every_mistake_of_a_file_is_told_at_once(tmp_path: Path) -> None:
    text = """
        [view]
        name = "lung"
        colour = "red"
        [columns.days]
        type = "duration"
        [columns.sex]
        type = "category"
        [outcomes.death]
        time = "day"
        event = "sex"
    """
    with pytest.raises(RequestError) as caught:
        load_views(declared(tmp_path, text))
    for words in (
        "unknown key colour",
        "unit is missing",
        "type duration: must be one of number, integer, flag, category",
        "a category has levels",
        "time: unknown column day; did you mean days?",
        "event: sex must be a flag",
    ):
        assert words in str(caught.value), words


@pytest.mark.parametrize("text", ["[view", "view = 3\n", ""])
def test_a_file_that_is_no_declaration_is_refused(tmp_path: Path, text: str) -> None:
    with pytest.raises(RequestError, match=r"lung\.toml"):
        load_views(declared(tmp_path, text))


def test_a_folder_without_declarations_is_refused(tmp_path: Path) -> None:
    with pytest.raises(RequestError, match="no view is declared there"):
        load_views(tmp_path)


def test_a_named_outcome_asks_the_same_as_its_columns() -> None:
    question = {"analysis": "kaplan_meier", "view": "person"}
    named = parse_request({**question, "parameters": {"outcome": "death"}})
    columns = {"time": "exit_age_y", "event": "died", "entry": "entry_age_y"}
    spelled = parse_request({**question, "parameters": columns})
    assert named.digest == spelled.digest


def test_an_outcome_beside_its_columns_or_unknown_is_refused() -> None:
    for parameters, words in (
        ({"outcome": "death", "time": "exit_age_y"}, "says already what time would"),
        ({"outcome": "deth"}, "did you mean death"),
    ):
        with pytest.raises(RequestError, match=words):
            parse_request({"analysis": "kaplan_meier", "view": "person", "parameters": parameters})


def test_only_rows_that_are_patients_are_counted() -> None:
    parameters = {"variables": ["bone_site"]}
    with pytest.raises(RequestError, match="crosstab reads the view person only"):
        parse_request({"analysis": "crosstab", "view": "fracture", "parameters": parameters})
    assert {name: view.unit for name, view in DICTIONARY_VIEWS.items()} == {
        "fracture": "fracture",
        "person": "patient",
        "person_time": "patient and age band",
    }
