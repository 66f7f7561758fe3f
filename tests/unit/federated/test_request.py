"""Requests and cohorts: what is accepted, what is said when not, and what counts as equal."""

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from federated.cohort import cohort_sql, parse_cohort
from federated.request import load_request, parse_request
from federated.views import DICTIONARY_VIEWS
from transforms.errors import RequestError


CROSSTAB = {
    "analysis": "crosstab",
    "view": "person",
    "parameters": {"variables": ["gene_group", "ever_fractured"]},
}
PERSON = DICTIONARY_VIEWS["person"].variables


def test_a_request_survives_the_way_to_a_site() -> None:
    cohort = {"field": "onset_age_y", "operator": "<", "value": 2}
    request = parse_request({**CROSSTAB, "cohort": cohort, "minimum_sites": 4})
    again = parse_request(json.loads(json.dumps(request.to_mapping())))
    assert again == request
    assert again.digest == request.digest


def test_how_a_question_is_written_does_not_change_its_name() -> None:
    female = {"field": "sex_at_birth", "operator": "==", "value": "female"}
    died = {"field": "died", "operator": "in", "value": [True]}
    spellings = [
        {"and": [female, died]},
        {"and": [{**died, "operator": "==", "value": "true"}, female, female]},
        {"and": [{"and": [died]}, {"or": [female]}]},
    ]
    assert len({parse_request({**CROSSTAB, "cohort": c}).digest for c in spellings}) == 1
    assert parse_request({**CROSSTAB, "cohort": {}}).digest == parse_request(CROSSTAB).digest
    assert parse_request({**CROSSTAB, "minimum_sites": 5}).digest == parse_request(CROSSTAB).digest


def test_defaults_are_part_of_the_question() -> None:
    base = {"analysis": "rate", "view": "person_time"}
    short = parse_request({**base, "parameters": {"by": ["age_band"]}})
    full = parse_request({**base, "parameters": {"by": ["age_band"], "confidence": 0.95}})
    assert short.digest == full.digest


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"analysis": "crosstap"}, "unknown analysis crosstap; did you mean crosstab?"),
        ({"view": "persons"}, "unknown view persons; did you mean person"),
        ({"view": "person_time"}, "crosstab reads the view person only"),
        # One patient can have nine fractures: a cell of nine rows is not one of nine patients.
        ({"view": "fracture"}, "crosstab reads the view person only"),
        (
            {"parameters": {"variables": ["gene_grp"]}},
            "unknown variable gene_grp; did you mean gene",
        ),
        ({"parameters": {"vars": ["x"]}}, "unknown parameter vars; did you mean variables?"),
        ({"parameters": []}, "parameters must be a table"),
        ({"minimum_sites": 0}, "minimum_sites must be a whole number from 1 to 64"),
        ({"minimum_sites": True}, "minimum_sites must be a whole number"),
        ({"sql": "drop table"}, "unknown key sql; there is version, analysis"),
        ({"version": 9}, "version must be 1"),
        ({"cohort": {"field": "name", "operator": "==", "value": "x"}}, "unknown variable name"),
        ({"cohort": {"field": "died", "operator": "<", "value": 1}}, "died has no operator <"),
        ({"cohort": {"field": "died", "operator": "==", "value": "yes"}}, "died has no level yes"),
        ({"cohort": {"field": "onset_age_y", "operator": "<", "value": "1"}}, "with a number only"),
        ({"cohort": {"field": "onset_age_y", "operator": "<", "value": True}}, "a number only"),
        ({"cohort": {"field": "died", "operator": "is_missing", "value": 1}}, "takes no value"),
        ({"cohort": {"and": []}}, "and must be a list of conditions"),
        ({"cohort": {"and": [1]}}, "a condition must be a table"),
        ({"cohort": "true"}, "a condition must be a table"),
    ],
)
def test_what_is_wrong_is_said_with_the_nearest_name(
    change: dict[str, object], problem: str
) -> None:
    with pytest.raises(RequestError) as caught:
        parse_request({**CROSSTAB, **change})
    assert problem in str(caught.value)


def test_all_problems_are_listed_at_once() -> None:
    with pytest.raises(RequestError) as caught:
        parse_request(
            {
                **CROSSTAB,
                "parameters": {"variables": ["gene_grp", "ever_fractured"]},
                "cohort": {"field": "sexx", "operator": "==", "value": "female"},
                "minimum_sites": -1,
            }
        )
    assert len(str(caught.value).splitlines()) == 3


def test_a_deep_or_wide_tree_is_refused() -> None:
    leaf: dict[str, object] = {"field": "died", "operator": "==", "value": True}
    deep = leaf
    for _ in range(20):
        deep = {"not": deep}
    assert parse_cohort(deep, PERSON)[1] == ("cohort: conditions are nested deeper than 6",)
    wide = {"or": [{"field": "onset_age_y", "operator": "<", "value": age} for age in range(50)]}
    assert parse_cohort(wide, PERSON)[1] == ("cohort: more than 40 conditions",)


@pytest.mark.parametrize(
    "change",
    [
        {"cohort": {"or": [{"field": "x"}] * 50_000}},
        {"cohort": {"and": [{"or": [{"field": "x"}] * 30}] * 1_000}},
        {f"k{i}": 1 for i in range(50_000)},
        {"parameters": {f"k{i}": 1 for i in range(50_000)}},
        {"parameters": {"variables": ["x" * 900_000]}},
        {"cohort": {"field": "died", "operator": "==", "value": "x" * 900_000}},
        {"cohort": {"field": "died", "operator": "x" * 900_000, "value": "true"}},
        {"view": "x" * 900_000},
    ],
    ids=range(8),
)
def test_a_large_request_gets_a_short_answer(change: dict[str, object]) -> None:
    with pytest.raises(RequestError) as caught:
        parse_request({**CROSSTAB, **change})
    assert len(str(caught.value)) < 20_000


@pytest.mark.parametrize("step", [10**400, float("inf"), 0, -1, 0.1, True, "1", [1]])
def test_a_step_outside_the_grid_is_said(step: object) -> None:
    curve = {"time": "exit_age_y", "event": "died", "grid": {"step": step}}
    with pytest.raises(RequestError, match="grid: must be one of"):
        parse_request({"analysis": "kaplan_meier", "view": "person", "parameters": curve})


@pytest.mark.parametrize("name", [["x"], {"a": 1}, None, 1, 1.5, True])
def test_a_name_that_is_no_text_is_an_unknown_name(name: object) -> None:
    with pytest.raises(RequestError, match="unknown variable"):
        parse_request({**CROSSTAB, "parameters": {"variables": ["died", name]}})


@given(st.text(max_size=30), st.text(max_size=30), st.text(max_size=30))
def test_no_text_of_a_request_becomes_sql(field: str, operator: str, value: str) -> None:
    data = {"field": field, "operator": operator, "value": value}
    cohort, problems = parse_cohort(data, PERSON)
    if cohort is None:
        assert problems
    else:
        sql, parameters = cohort_sql(cohort)
        assert field in PERSON
        assert value not in sql or value in field
        assert parameters in ([value], [])


def test_values_are_parameters() -> None:
    data = {
        "or": [
            {"field": "gene_group", "operator": "in", "value": ["TCIRG1", "CA2"]},
            {"not": {"field": "onset_age_y", "operator": ">=", "value": 2}},
            {"field": "severity", "operator": "is_missing"},
        ]
    }
    cohort, problems = parse_cohort(data, PERSON)
    assert problems == ()
    assert cohort is not None
    assert cohort_sql(cohort) == (
        '(coalesce("gene_group" in (?, ?), false)) or ("severity" is null)'
        ' or (not (coalesce("onset_age_y" >= ?, false)))',
        ["CA2", "TCIRG1", 2.0],
    )


def test_a_file_is_read_as_toml_or_json(tmp_path: Path) -> None:
    toml, plain = tmp_path / "q.toml", tmp_path / "q.json"
    toml.write_text(
        'analysis = "rate"\nview = "person_time"\n[parameters]\nby = ["age_band"]\n',
        encoding="utf-8",
    )
    plain.write_text(json.dumps(load_request(toml).to_mapping()), encoding="utf-8")
    assert load_request(plain) == load_request(toml)


@pytest.mark.parametrize(
    ("name", "text", "problem"),
    [
        ("q.toml", "analysis =", "is not valid TOML"),
        ("q.json", "{", "is not valid JSON"),
        ("q.json", "[]", "must be a table"),
        ("q.toml", 'analysis = "rat"', "q.toml: unknown analysis rat; did you mean rate"),
    ],
)
def test_a_wrong_file_is_named(tmp_path: Path, name: str, text: str, problem: str) -> None:
    path = tmp_path / name
    path.write_text(text, encoding="utf-8")
    with pytest.raises(RequestError) as caught:
        load_request(path)
    assert problem in str(caught.value)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(RequestError, match="cannot be read"):
        load_request(tmp_path / "q.toml")


def test_what_is_missing_is_called_missing() -> None:
    with pytest.raises(RequestError, match="analysis is missing; there are correlation, cox"):
        parse_request({"version": 1, "view": "person", "parameters": {}})
