"""What is decided on counts before a sum is asked for, one small table per rule."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from federated.analysis import ModelCounts, Screen
from federated.guards import (
    MODEL_RULES,
    Problem,
    dominance_passes,
    model_problems,
    passing,
    quantile_passes,
)
from federated.policy import CONSORTIUM, EXACT, PUBLIC
from federated.views import DICTIONARY_VIEWS


def test_every_number_of_the_dictionary_has_public_bounds() -> None:
    # Means are made of values within them, and quantiles are told in steps of their width.
    numbers = [v for view in DICTIONARY_VIEWS.values() for v in view.variables.values()]
    assert [v.name for v in numbers if not v.coded and v.bounds is None] == []


def test_no_view_can_be_grouped_by_site_or_country() -> None:
    names = {name for view in DICTIONARY_VIEWS.values() for name in view.variables}
    assert names & {"site", "site_id", "centre", "center", "country", "hospital"} == set()


def ints(*numbers: int) -> NDArray[np.int64]:
    return np.array(numbers, dtype=np.int64)


@pytest.mark.parametrize(
    ("contributors", "patients", "passes"),
    [
        (0, 13, True),
        (0, 12, False),  # 10 acts from 13 on: 7 to 12 look alike
        (6, 40, False),
        (7, 40, True),
        (34, 40, False),  # six have had none: that is small as well
        (33, 40, True),
        (40, 40, True),
    ],
)
def test_a_cell_passes_with_both_sides_clear(
    contributors: int, patients: int, passes: bool
) -> None:
    assert passing(Screen(ints(contributors), ints(patients)), CONSORTIUM).tolist() == [passes]


@pytest.mark.parametrize(
    ("probability", "patients", "passes"),
    # 10 / min(q, 1-q): 20, 40, 40 and 200, each from the next start of a bin of six: 25, 43, 205.
    [
        (0.5, 24, False),
        (0.5, 25, True),
        (0.25, 42, False),
        (0.25, 43, True),
        (0.75, 43, True),
        (0.95, 204, False),
        (0.95, 205, True),
    ],
)
def test_a_quantile_needs_ten_beyond_it(probability: float, patients: int, passes: bool) -> None:
    tails = np.array([min(probability, 1 - probability)])
    assert quantile_passes(ints(patients), tails, CONSORTIUM).tolist() == [passes]
    screen = Screen(ints(0), ints(patients), tails)
    assert passing(screen, CONSORTIUM).tolist() == [passes]


def test_quantiles_of_several_groups_are_judged_one_by_one() -> None:
    patients = np.broadcast_to(ints(30, 60)[:, None], (2, 2))
    tails = np.broadcast_to(np.array([0.5, 0.25]), (2, 2))
    assert quantile_passes(patients, tails, CONSORTIUM).tolist() == [[True, False], [True, True]]
    assert quantile_passes(patients, tails, PUBLIC).tolist() == [[False, False], [True, False]]


@pytest.mark.parametrize(
    ("counts", "passes"),
    # Bins 0-10, 10-100, 100-1000 of, say, an enzyme.
    [
        ((0, 40, 0), True),  # at most 100 of 100 + 39 · 10: 20 %
        ((20, 0, 1), False),  # one has 100 to 1000, the others 0 to 200
        ((0, 10, 1), False),  # one at most 1000, the ten others at least 100: 91 %
        (
            (0, 9, 0),
            False,
        ),  # two at most 200, the seven others at least 70: 74 %, but one 100 of 180
        ((0, 0, 30), True),
        ((0, 0, 2), False),
        ((0, 0, 0), True),
    ],
)
def test_nobody_dominates_a_sum(counts: tuple[int, ...], passes: bool) -> None:
    edges = np.array([0.0, 10.0, 100.0, 1000.0])
    assert dominance_passes(edges, ints(*counts), CONSORTIUM) is passes


@given(st.lists(st.floats(0, 1000), min_size=1, max_size=60))
def test_a_sum_that_passes_is_dominated_by_nobody(values: list[float]) -> None:
    edges = np.array([0.0, 1, 10, 50, 100, 200, 400, 1000])
    counts = np.histogram(values, edges)[0].astype(np.int64)
    top, total = sorted(values, reverse=True), sum(values)
    if dominance_passes(edges, counts, CONSORTIUM):
        assert top[0] <= 0.50 * total + 1e-9
        assert sum(top[:2]) <= 0.85 * total + 1e-9


def model(
    patients: int = 120,
    events: int | None = 60,
    parameters: int = 4,
    risk_sets: NDArray[np.int64] | None = None,
    **tables: NDArray[np.int64],
) -> ModelCounts:
    named = {tuple(name.split("__")): cells for name, cells in tables.items()}
    return ModelCounts(patients, events, parameters, named, risk_sets)


def rules(counts: ModelCounts) -> list[str]:
    return [problem.rule for problem in model_problems(counts, CONSORTIUM)]


@pytest.mark.parametrize(
    ("counts", "expected"),
    [
        (model(), []),
        (model(patients=12, events=None, parameters=1), ["few_patients", "many_parameters"]),
        # 5 parameters need 25 patients (20 %), which is the start of a bin, and 15 for 10 df.
        (model(patients=25, events=None, parameters=5), []),
        (model(patients=24, events=None, parameters=5), ["many_parameters"]),
        # One parameter: 11 patients leave 10 degrees of freedom, acting from 13 on.
        (model(patients=13, events=None, parameters=1), []),
        # 4 parameters need 20 events, acting from 25 on.
        (model(events=24), ["few_events_per_parameter"]),
        (model(events=25), []),
        (model(sex=ints(60, 60), sex__died=np.array([[54, 6], [30, 30]])), ["small_term"]),
        (model(sex=ints(60, 60), sex__died=np.array([[60, 0], [30, 30]])), []),
        (model(risk_sets=ints(0, 7, 20)), []),
        (model(risk_sets=ints(0, 6, 20)), ["small_risk_set"]),
    ],
)
def test_a_model_is_fitted_or_refused_by_rule(counts: ModelCounts, expected: list[str]) -> None:
    assert rules(counts) == expected
    assert model_problems(counts, EXACT) == ()
    assert set(rules(counts)) <= set(MODEL_RULES)


def test_a_term_at_fault_by_itself_is_not_named_with_every_other() -> None:
    counts = model(
        gene=ints(60, 57, 3),
        sex=ints(60, 60),
        gene__sex=np.array([[30, 30], [28, 29], [2, 1]]),
        gene__died=np.array([[30, 30], [28, 29], [2, 1]]),
        sex__died=np.array([[58, 2], [30, 30]]),
    )
    assert model_problems(counts, CONSORTIUM) == (
        Problem("small_term", ("gene",)),
        Problem("small_term", ("sex", "died")),
    )


def test_a_refusal_names_variables_and_remedy_and_no_count() -> None:
    (problem,) = model_problems(model(gene=ints(60, 57, 3)), CONSORTIUM)
    assert str(problem) == (
        "gene: too few patients in one of its cells; drop the term or merge its levels"
    )
    assert not any(character.isdigit() for rule in MODEL_RULES.values() for character in rule)


@given(
    st.integers(0, 300),
    st.integers(0, 300),
    st.integers(1, 30),
    st.lists(st.integers(0, 30), min_size=1, max_size=6),
)
def test_what_the_public_profile_fits_the_consortium_fits(
    patients: int, events: int, parameters: int, cells: list[int]
) -> None:
    counts = model(patients, events, parameters, np.array(cells), gene=np.array(cells))
    if not model_problems(counts, PUBLIC):
        assert not model_problems(counts, CONSORTIUM)
