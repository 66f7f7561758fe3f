"""The gate's rules, one small visible table each."""

import ast
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from federated import disclosure
from federated.analyses.crosstab import chi_squared
from federated.analyses.kaplan_meier import estimate
from federated.analysis import Curves, Table, Variable
from federated.disclosure import RULES, release, table_problems
from federated.policy import CONSORTIUM, EXACT
from transforms.errors import RefusedError


SMALL = {"withheld": "small_cell"}
SHARE = {"withheld": "complement"}


def table(counts: list[list[int]], missing: int = 0) -> Table:
    array = np.array(counts)
    rows = tuple(f"r{i}" for i in range(array.shape[0]))
    columns = tuple(f"c{i}" for i in range(array.shape[1]))
    variables = (Variable("r", "R", rows, rows), Variable("c", "C", columns, columns))
    return Table(variables, array, missing, lambda keep: chi_squared(array, rows, keep))


def test_midpoints_of_six() -> None:
    data = release(table([[6, 7, 12, 13, 18, 19]]), CONSORTIUM).data
    assert data["counts"] == [[SMALL, 9, 9, 15, 15, 21]]
    assert data["total"] == 69


def test_a_zero_among_few_patients_looks_like_any_small_count() -> None:
    data = release(table([[0, 9], [40, 40]]), CONSORTIUM).data
    assert data["counts"] == [[SMALL, 9], [39, 39]]


def test_a_zero_among_many_is_shown() -> None:
    data = release(table([[0, 20], [40, 40]]), CONSORTIUM).data
    assert data["counts"] == [[0, 21], [39, 39]]


def test_a_zero_whose_line_is_large_by_withheld_cells_is_withheld() -> None:
    # Ten in all, six of them at most in each: shown, the zero would say that both are 4 to 6.
    data = release(table([[0, 5, 5], [20, 20, 20]]), CONSORTIUM).data
    assert data["counts"] == [[SMALL, SMALL, SMALL], [21, 21, 21]]


def test_what_is_decided_from_ten_on_splits_no_bin() -> None:
    few = {"withheld": "small_denominator"}
    for patients in range(7, 13):
        data = release(table([[patients], [40]]), CONSORTIUM).data
        assert (data["counts"], data["percent"]) == ([[9], [39]], [[few], [100]])


def test_percentages_come_from_shown_numbers() -> None:
    data = release(table([[20, 20], [3, 40], [4, 4]]), CONSORTIUM).data
    assert data["percent"] == [[50, 50], [SHARE, SHARE], [SHARE, SHARE]]
    # 15 and 27 of 42: 35.7 and 64.3 %
    assert release(table([[18, 30]]), CONSORTIUM).data["percent"] == [[36, 64]]


def test_percentages_tell_nothing_that_the_counts_do_not() -> None:
    # With a share of 30 in 30 + 9, the seven others would lie in 7..12: one each, at least one.
    line = [30, *([1] * 7)]
    tall = [[40] * 8, [40] * 8]
    assert release(table([line, *tall]), CONSORTIUM).data["percent"][0] == [SHARE] * 8  # type: ignore[index]
    # Six withheld cells beside 30, none of them a zero: "1 to 6 in all" would be one each.
    line = [30, *([1] * 6)]
    more = release(table([line, *(row[1:] for row in tall)]), CONSORTIUM).data["percent"]
    assert more[0] == [SHARE] * 7  # type: ignore[index]


def test_a_withheld_zero_has_no_percentage_and_no_test() -> None:
    # Few have c1 at all, so that the zero in the first row is withheld: what they are would show.
    data = release(table([[40, 0], [30, 5], [40, 3]]), CONSORTIUM).data
    assert data["counts"] == [[39, SMALL], [27, SMALL], [39, SMALL]]
    assert data["percent"] == [[SHARE, SHARE]] * 3
    # A test over r0 would say that its withheld cell is none of 1 to 6.
    few = release(table([[40, 0], [30, 0], [5, 4]]), CONSORTIUM).data
    assert few["test"] == {"withheld": "few_levels"}


def test_the_test_covers_the_rows_that_are_shown_in_full() -> None:
    test = release(table([[20, 30], [30, 20], [2, 40]]), CONSORTIUM).data["test"]
    assert test == {
        "name": "chi-squared",
        "statistic": 4.0,
        "degrees_of_freedom": 1,
        "p_value": 0.046,
        "levels": ["r0", "r1"],
        "small_expected": False,
    }
    withheld = release(table([[20, 30], [3, 20]]), CONSORTIUM).data["test"]
    assert withheld == {"withheld": "few_levels"}


def test_the_exact_policy_changes_nothing() -> None:
    data = release(table([[0, 1], [2, 7]], missing=3), EXACT).data
    assert data["counts"] == [[0, 1], [2, 7]]
    assert (data["total"], data["missing"]) == (10, 3)


def curve_of(events: list[int], entered: list[int], unit: str | None = None) -> dict[str, Any]:
    """The first and only curve that is shown of these events and entries, bins of one unit."""
    times = np.arange(1.0, len(events) + 1)
    nobody = np.zeros(len(events), int)
    curve = estimate(times, np.array(events), nobody, np.array(entered), confidence=0.95)
    curves = Curves(Variable("t", "T", unit=unit), None, 0.95, (curve,), 0, 0)
    shown: dict[str, Any] = release(curves, CONSORTIUM).data["curves"][0]  # type: ignore[index]
    return shown


def test_steps_of_a_curve_wait_for_six_events_and_the_tail_is_named() -> None:
    # Bins    1   2   3   4   5
    # events  3   4   7   5   0     shown at 2 (7 events) and 3 (7); at 4 only 5: never shown
    shown = curve_of([3, 4, 7, 5, 0], [60, 0, 0, 0, 0])
    steps = [(step["time"], step["survival"], step["at_risk"]) for step in shown["steps"]]
    assert steps == [(2.0, 0.88, 57), (3.0, 0.77, 51)]
    assert (shown["end"], shown["rest"]) == (3.0, {"withheld": "small_tail"})
    assert shown["median"] is None


def test_a_step_of_exactly_six_events_would_tell_six() -> None:
    # The curve's events are told as "at most six", its step would say "at least six".
    shown = curve_of([3, 3, 0], [60, 0, 0])
    assert (shown["steps"], shown["events"]) == ([], {"withheld": "few_events"})
    shown = curve_of([3, 3, 1], [60, 0, 0])
    assert [step["time"] for step in shown["steps"]] == [3.0]
    assert shown["events"] == 9


def test_a_curve_ends_where_the_number_at_risk_is_told_as_nine() -> None:
    # 13 to 18 at risk are told as 15; 12, which is told as 9, is too few: 10 acts from 13 on.
    shown = curve_of([8, 0, 0], [21, 0, 0])
    assert [(step["time"], step["at_risk"]) for step in shown["steps"]] == [(1.0, 21), (3.0, 15)]
    shown = curve_of([9, 0, 0], [21, 0, 0])
    assert [(step["time"], step["at_risk"]) for step in shown["steps"]] == [(1.0, 21)]


def test_steps_stand_at_edges_that_the_policy_allows() -> None:
    quarters = np.arange(1, 17) / 4
    events = np.full(16, 8)
    entered = np.array([300, *[0] * 15])
    curve = estimate(quarters, events, np.zeros(16, int), entered, confidence=0.95)
    for unit, expected in (
        ("a", [*(i / 4 for i in range(1, 9)), 3.0, 4.0]),  # every three months, then every year
        (None, [i / 4 for i in range(1, 17)]),  # of no known unit: only events decide
    ):
        curves = Curves(Variable("t", "T", unit=unit), None, 0.95, (curve,), 0, 0)
        shown = release(curves, CONSORTIUM).data["curves"][0]  # type: ignore[index]
        assert [step["time"] for step in shown["steps"]] == expected


def test_a_curve_of_few_patients_is_withheld_whole() -> None:
    curve = estimate(np.array([1.0]), np.array([2]), np.array([7]), np.array([9]), confidence=0.95)
    curves = Curves(Variable("t", "T"), None, 0.95, (curve,), 0, 0)
    shown = release(curves, CONSORTIUM).data["curves"][0]  # type: ignore[index]
    assert (shown["steps"], shown["rest"]) == ([], {"withheld": "small_start"})


def test_events_before_a_late_start_are_not_called_none() -> None:
    # 5 at risk at first, 45 later: nothing can be shown, which is not the same as no events.
    curve = estimate(
        np.array([1.0, 2.0]),
        np.array([1, 8]),
        np.array([0, 36]),
        np.array([5, 40]),
        confidence=0.95,
    )
    curves = Curves(Variable("t", "T"), None, 0.95, (curve,), 0, 0)
    shown = release(curves, CONSORTIUM).data["curves"][0]  # type: ignore[index]
    assert (shown["steps"], shown["events"]) == ([], {"withheld": "small_start"})


@pytest.mark.parametrize("patients", [2, 24, 28, 30, 54])
def test_the_median_is_where_half_are_left_whatever_the_last_bit_says(patients: int) -> None:
    entered = np.zeros(patients, int)
    entered[0] = patients
    curve = estimate(
        np.arange(1.0, patients + 1),
        np.ones(patients, int),
        np.zeros(patients, int),
        entered,
        confidence=0.95,
    )
    curves = Curves(Variable("t", "T"), None, 0.95, (curve,), 0, 0)
    shown = release(curves, EXACT).data["curves"][0]  # type: ignore[index]
    assert shown["median"] == patients / 2


def test_an_empty_group_looks_like_one_of_few_patients() -> None:
    shown = []
    for patients in (0, 3):
        curve = estimate(
            np.array([1.0]),
            np.array([0]),
            np.array([patients]),
            np.array([patients]),
            confidence=0.95,
        )
        curves = Curves(Variable("t", "T"), None, 0.95, (curve,), 0, 0)
        shown.append(release(curves, CONSORTIUM).data["curves"])
    assert shown[0] == shown[1]


def test_a_curve_of_few_events_is_withheld_whole() -> None:
    curve = estimate(
        np.array([1.0]), np.array([2]), np.array([50]), np.array([52]), confidence=0.95
    )
    curves = Curves(Variable("t", "T"), None, 0.95, (curve,), 0, 0)
    shown = release(curves, CONSORTIUM).data["curves"][0]  # type: ignore[index]
    assert (shown["steps"], shown["rest"]) == ([], {"withheld": "few_events"})
    assert shown["events"] == {"withheld": "few_events"}


def test_nothing_is_published_but_by_the_gate() -> None:
    package = Path(disclosure.__file__).parent
    makers = {
        path.name
        for path in package.rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Call) and "Published" in ast.unparse(node.func)
    }
    assert makers == {"disclosure.py"}


def test_an_unknown_kind_of_outcome_is_an_error() -> None:
    for outcome in ([1, 2, 3], np.array([1]), {"count": 3}, 3):
        with pytest.raises(TypeError, match="no disclosure rule"):
            release(outcome, CONSORTIUM)


def test_a_table_of_too_many_cells_is_refused_with_public_numbers_only() -> None:
    big = Variable("v", "V", tuple(map(str, range(15))), tuple(map(str, range(15))))
    assert table_problems((big, big), CONSORTIUM) == (
        "225 cells: the policy allows 200; drop a variable",
    )
    counts = np.full((15, 15), 99)
    with pytest.raises(RefusedError, match="225 cells"):
        release(Table((big, big), counts, 0, lambda keep: None), CONSORTIUM)


def test_a_refusal_never_tells_a_count() -> None:
    text = json.dumps([RULES, release(table([[3, 5], [1, 2]]), CONSORTIUM).data])
    assert not any(f" {number} " in text for number in range(1, 7))
