"""No withheld count can be derived: linear programmes over all that a result releases."""

import functools
import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays
from numpy.typing import NDArray

from federated.analyses.crosstab import chi_squared
from federated.analysis import Table, Variable
from federated.disclosure import release
from federated.feasible import Claim, intervals, narrowest, table_claims
from federated.policy import CONSORTIUM, PUBLIC, Policy


IN_CI, IN_AUDIT = 500, 10_000

POLICIES = st.sampled_from([CONSORTIUM, PUBLIC])
# Zeros, small counts and counts at the edges of bins meet often.
CELLS = st.one_of(st.integers(0, 8), st.sampled_from([0, 6, 7, 12, 13, 40]), st.integers(0, 60))
TABLES = arrays(np.int64, array_shapes(min_dims=1, max_dims=2, max_side=5), elements=CELLS)
CUBES = arrays(np.int64, array_shapes(min_dims=3, max_dims=3, max_side=3), elements=CELLS)


def table(counts: NDArray[np.int64]) -> Table:
    variables = tuple(
        Variable(f"v{i}", f"V{i}", tuple(f"l{k}" for k in range(size)), ("L",) * size)
        for i, size in enumerate(counts.shape)
    )
    test = functools.partial(chi_squared, counts, variables[0].levels)
    return Table(variables, counts, 0, test if counts.ndim == 2 else lambda keep: None)


def check_one_release(counts: NDArray[np.int64], policy: Policy) -> None:
    claims = table_claims(release(table(counts), policy).data, policy)
    width = narrowest(claims)
    assert width is None or width >= policy.grid
    for cells, (least, most) in intervals(claims).items():
        assert least <= counts.reshape(-1)[list(cells)].sum() <= most


@settings(max_examples=IN_CI, deadline=None)
@given(TABLES, POLICIES)
def test_no_withheld_count_is_known_to_fewer_than_six(
    counts: NDArray[np.int64], policy: Policy
) -> None:
    check_one_release(counts, policy)


@settings(max_examples=IN_CI // 5, deadline=None)
@given(CUBES)
def test_nor_is_one_of_three_variables(counts: NDArray[np.int64]) -> None:
    check_one_release(counts, CONSORTIUM)


@pytest.mark.audit
@settings(max_examples=IN_AUDIT, deadline=None)
@given(st.one_of(TABLES, CUBES), POLICIES)
def test_no_withheld_count_is_known_in_ten_thousand_tables(
    counts: NDArray[np.int64], policy: Policy
) -> None:
    if counts.ndim <= policy.max_dimensions:
        check_one_release(counts, policy)


# The auditor itself: it must find what there is to find.


def test_a_total_gives_the_only_withheld_cell_away() -> None:
    # 9 stands for 7 to 12; with an exact total of 15, the other cell is 3 to 8: of 1 to 6, 3 to 6.
    claims = (Claim((0,), 7, 12), Claim((1,), 1, 6, withheld=True), Claim((0, 1), 15, 15))
    assert intervals(claims) == {(1,): (3, 6)}
    assert narrowest(claims) == 4


def test_a_zero_shown_by_its_exact_line_would_give_the_line_away() -> None:
    # Ten patients in the line, as an earlier rule had it: two withheld cells are 4 to 6 each.
    small = {"withheld": "small_cell"}
    data = {
        "variables": [{"levels": ["a"]}, {"levels": ["x", "y", "z"]}],
        "counts": [[0, small, small]],
        "percent": [[small, small, small]],
    }
    alone = Claim((0,), 10, 1e6)  # the zero's column, of which the rows below are not here
    claims = [claim for claim in table_claims(data, CONSORTIUM) if claim != alone]
    assert intervals(claims) == {(1,): (4, 6), (2,): (4, 6)}


def test_claims_that_fit_no_table_are_an_error() -> None:
    with pytest.raises(ValueError, match="no table of counts"):
        intervals((Claim((0,), 7, 12), Claim((1,), 1, 6, withheld=True), Claim((0, 1), 30, 30)))


def test_six_ones_in_a_small_line_stay_hidden() -> None:
    # One line of ones and zeros, whose margin is withheld too: were zeros seen, each would be one.
    counts = np.array([[1, 1, 1, 1, 1, 1, 0], [40, 40, 40, 40, 40, 40, 40]])
    data = release(table(counts), CONSORTIUM).data
    margin = release(table(counts.sum(axis=1)), CONSORTIUM).data
    assert json.dumps(data["counts"]).count("small_cell") == 7
    members = np.empty(2, dtype=object)
    members[:] = [tuple(range(7)), tuple(range(7, 14))]
    claims = [*table_claims(data, CONSORTIUM), *table_claims(margin, CONSORTIUM, members)]
    assert intervals(claims)[(0,)] == (0, 6)


@pytest.mark.xfail(strict=True, reason="margins that are asked apart are compared in pairs only")
def test_a_margin_that_is_asked_apart_tells_no_withheld_cell() -> None:
    # Five cells told as 9 are 35 at least, their margin told as 33 is 36 at most: the sixth is one.
    counts = np.array([[7, 7, 7, 7, 7, 1], [20, 20, 20, 20, 20, 20]])
    members = np.empty(2, dtype=object)
    members[:] = [tuple(range(6)), tuple(range(6, 12))]
    data = release(table(counts), CONSORTIUM).data
    margin = release(table(counts.sum(axis=1)), CONSORTIUM).data
    claims = [*table_claims(data, CONSORTIUM), *table_claims(margin, CONSORTIUM, members)]
    least, most = intervals(claims)[(5,)]
    assert most - least + 1 >= CONSORTIUM.grid
