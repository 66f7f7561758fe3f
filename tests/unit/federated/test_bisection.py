"""Bisection finds the very order statistic, on a declared grid and among all float64 numbers."""

import numpy as np
import pytest

from federated.analysis import Variable
from federated.bisection import begin, cuts, first_cuts, found, narrowed


AGE = Variable("age", "Age", unit="a", bounds=(0.0, 100.0, 0.25))
ANY = Variable("any", "Anything")


def order_statistics(
    item: Variable, values: list[float], probability: float
) -> tuple[list[float], int]:
    """Both neighbours of a quantile, and in how many rounds."""
    ordered = np.sort(np.array(values))
    search = begin([item], [probability], np.array([[len(values)]]))
    np.testing.assert_array_equal(cuts([item], search)[0, 0, 0, 0], first_cuts([item])[0])
    rounds = 0
    while search.open.any():
        below = np.searchsorted(ordered, cuts([item], search), side="right")
        search, rounds = narrowed(search, below), rounds + 1
    return found([item], search).reshape(-1).tolist(), rounds


@pytest.mark.parametrize(
    "values",
    [
        [1.5, -2.25, 1e-300, 3e300, 0.0],
        [-1.0, -1.0, -1.0, -1.0, -1.0000000000000002],
        [5e-324, 0.0, -5e-324, 1.0, -1.0],
    ],
)
def test_every_float_is_found_to_the_last_bit(values: list[float]) -> None:
    (low, high), rounds = order_statistics(ANY, values, 0.5)
    ordered = sorted(values)
    assert (low, high) == (ordered[2], ordered[3])
    assert rounds == 11  # 64^11 > 2^64


def test_a_declared_width_is_all_that_is_told() -> None:
    (low, high), rounds = order_statistics(AGE, [3.1, 3.2, 7.0, 7.12, 7.13], 0.5)
    assert (low, high) == (7.0, 7.0)
    assert rounds == 2  # 401 values, 64²
    assert order_statistics(AGE, [0.0, 100.0], 0.5)[0] == [0.0, 100.0]
