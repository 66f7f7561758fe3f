"""Cross-tabulation, worked by hand."""

import numpy as np
import pytest

from federated.analyses import crosstab
from federated.analysis import AnalysisView, Ask, Done, ParameterError, Table, Variable
from federated.statistics import Frame


GROUP = Variable("group", "Group", ("a", "b"), ("A", "B"))
BROKEN = Variable("broken", "Broken", ("false", "true"), ("No", "Yes"))
AGE = Variable("age", "Age", unit="a")
VIEW = AnalysisView("test", "patient", {item.name: item for item in (GROUP, BROKEN, AGE)})


def pooled(group: list[int], broken: list[int]) -> Table:
    plan = crosstab.design({"variables": ["group", "broken"]}, VIEW)
    columns = {"group": np.array(group), "broken": np.array(broken)}
    blocks = crosstab.site(Frame(len(group), columns), plan, {})
    done = crosstab.combine(blocks, plan, Ask())
    assert isinstance(done, Done)
    assert isinstance(done.outcome, Table)
    return done.outcome


def test_counts_every_combination_and_the_rows_left_out() -> None:
    table = pooled([0, 0, 1, 1, 1, -1, 0], [0, 1, 1, 1, 0, 1, -1])
    assert table.counts.tolist() == [[1, 1], [1, 2]]
    assert table.missing == 2


def test_an_empty_site_has_a_table_of_zeros() -> None:
    assert pooled([], []).counts.tolist() == [[0, 0], [0, 0]]


def test_chi_squared_by_hand() -> None:
    # 20 30 | 50      expected 25 25      X² = 4 · 25 / 25 = 4.0, 1 degree of freedom;
    # 30 20 | 50               25 25      P(X² > 4) = 0.04550026 (the square of 2 standard normals)
    found = crosstab.chi_squared(np.array([[20, 30], [30, 20]]), ("a", "b"), np.array([True, True]))
    assert found is not None
    assert (found.statistic, found.degrees_of_freedom) == (4.0, 1)
    assert found.p_value == pytest.approx(0.0455002638963584, rel=1e-12)
    assert not found.small_expected


def test_chi_squared_leaves_empty_rows_and_columns_out_and_says_when_it_is_doubtful() -> None:
    counts = np.array([[3, 1, 0], [0, 0, 0], [1, 3, 0]])
    found = crosstab.chi_squared(counts, ("a", "b", "c"), np.array([True, True, True]))
    assert found is not None
    assert found.levels == ("a", "c")
    assert found.statistic == pytest.approx(2.0)  # expected 2 everywhere: 4 · 1 / 2
    assert found.small_expected


def test_chi_squared_is_not_defined_for_a_single_row() -> None:
    counts = np.array([[3, 1], [1, 3]])
    assert crosstab.chi_squared(counts, ("a", "b"), np.array([True, False])) is None


@pytest.mark.parametrize(
    ("names", "problem"),
    [
        (["group", "brokn"], "unknown variable brokn; did you mean broken?"),
        (["age"], "age is a number and has no levels"),
        (["group", "group"], "names a variable twice"),
        ([], "must be a list of 1 to 3 variables"),
        ("group", "must be a list of 1 to 3 variables"),
        (None, "must be a list of 1 to 3 variables"),
    ],
)
def test_wrong_variables_are_named(names: object, problem: str) -> None:
    with pytest.raises(ParameterError, match="variables") as caught:
        crosstab.design({"variables": names}, VIEW)
    assert problem in str(caught.value)
