"""Fracture rates with Garwood's exact limits."""

import numpy as np
import pytest
from scipy.stats import poisson

from federated.analyses import rate
from federated.analysis import AnalysisView, Ask, Done, ParameterError, Rates, Variable
from federated.statistics import Frame


BAND = Variable("age_band", "Age band", ("0-1", "2-9"), ("0-1", "2-9"))
SEX = Variable("sex", "Sex", ("f", "m"), ("F", "M"))
NUMBERS = {name: Variable(name, name) for name in ("fracture_count", "person_years")}
VIEW = AnalysisView("test", "patient and age band", {"age_band": BAND, "sex": SEX, **NUMBERS})


# 95 % limits for the expectation of a Poisson variable, as tabulated after Garwood (1936) in
# Pearson and Hartley, Biometrika Tables for Statisticians I (1966), table 40.
@pytest.mark.parametrize(
    ("count", "lower", "upper"),
    [
        (0, 0.00, 3.69),
        (1, 0.03, 5.57),
        (2, 0.24, 7.22),
        (5, 1.62, 11.67),
        (10, 4.80, 18.39),
        (20, 12.22, 30.89),
        (50, 37.11, 65.92),
    ],
)
def test_exact_limits_agree_with_the_published_table(
    count: int, lower: float, upper: float
) -> None:
    low, high = rate.garwood(np.array([count]), np.array([1.0]), 0.95)
    assert (low[0], high[0]) == (pytest.approx(lower, abs=0.006), pytest.approx(upper, abs=0.006))


def test_the_limits_leave_half_of_alpha_on_each_side() -> None:
    low, high = rate.garwood(np.array([7]), np.array([1.0]), 0.90)
    assert poisson.sf(6, low[0]) == pytest.approx(0.05, rel=1e-12)
    assert poisson.cdf(7, high[0]) == pytest.approx(0.05, rel=1e-12)


def test_two_rounds_by_hand() -> None:
    # Two girls: 3 fractures in 10 years (one of them with a row in each band); one boy: 0 in 4.
    columns = {
        "sex": np.array([0, 0, 0, 1]),
        "age_band": np.array([0, 1, 1, 0]),
        "fracture_count": np.array([1.0, 2.0, 0.0, 0.0]),
        "person_years": np.array([2.0, 5.0, 3.0, 4.0]),
    }
    plan = rate.design({"by": ["sex"]}, VIEW)
    frame = Frame(4, columns)
    ask = rate.combine(rate.site(frame, plan, {}), plan, Ask())
    assert isinstance(ask, Ask)
    assert ask.screen["cells"].patients.tolist() == [2, 1]
    assert ask.screen["cells"].contributors.tolist() == [1, 0]
    answer = Ask({"cells": np.array([True, False])}, carry=ask.carry)
    done = rate.combine(rate.site(frame, plan, answer.broadcast), plan, answer)
    assert isinstance(done, Done)
    assert isinstance(done.outcome, Rates)
    assert done.outcome.events.tolist() == [3, 0]
    assert done.outcome.person_years[0] == 10.0
    assert np.isnan(done.outcome.person_years[1])


def test_a_site_sends_nothing_for_a_cell_that_did_not_pass() -> None:
    columns = {
        "sex": np.array([0, 1, -1]),
        "age_band": np.array([0, 0, 0]),
        "fracture_count": np.array([1.0, 1.0, 1.0]),
        "person_years": np.array([2.0, 4.0, 8.0]),
    }
    plan = rate.design({"by": ["sex"]}, VIEW)
    blocks = rate.site(Frame(3, columns), plan, {"cells": np.array([False, True])})
    assert blocks["person_years"].values.tolist() == [0.0, 4.0]


def test_wrong_parameters_are_named() -> None:
    with pytest.raises(ParameterError) as caught:
        rate.design({"by": ["person_years"], "confidence": 0.8}, VIEW)
    assert caught.value.problems == (
        "by: person_years is a number and has no levels",
        "confidence: must be 0.90, 0.95 or 0.99",
    )
