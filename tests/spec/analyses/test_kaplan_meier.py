"""Kaplan-Meier with left truncation, worked by hand on a grid of whole years."""

import math

import numpy as np
import pytest

from federated.analyses import kaplan_meier
from federated.analysis import AnalysisView, Ask, Curve, Curves, Done, ParameterError, Variable
from federated.statistics import Frame


TIME, ENTRY = Variable("time", "Time", unit="a"), Variable("entry", "Entry", unit="a")
EVENT = Variable("event", "Event", ("false", "true"), ("No", "Yes"))
GROUP = Variable("group", "Group", ("a", "b"), ("A", "B"))
VIEW = AnalysisView("test", "patient", {item.name: item for item in (TIME, ENTRY, EVENT, GROUP)})
NAMES = {"time": "time", "event": "event"}


def curves(
    time: list[float],
    event: list[int],
    entry: list[float] | None = None,
    group: list[int] | None = None,
    **more: object,
) -> Curves:
    columns: dict[str, np.ndarray] = {
        "time": np.array(time, dtype=float),
        "event": np.array(event),
        "entry": np.array(entry if entry is not None else [0.0] * len(time)),
        "group": np.array(group if group is not None else [0] * len(time)),
    }
    names = NAMES | ({"entry": "entry"} if entry else {}) | ({"group": "group"} if group else {})
    plan = kaplan_meier.design({**names, **more}, VIEW)
    blocks = kaplan_meier.site(Frame(len(time), columns), plan, {})
    done = kaplan_meier.combine(blocks, plan, Ask())
    assert isinstance(done, Done)
    assert isinstance(done.outcome, Curves)
    return done.outcome


def at(curve: Curve, year: float) -> tuple[int, int, int]:
    """Number at risk, events and censorings of the bin that ends at `year`."""
    k = int(np.flatnonzero(curve.times == year)[0])
    return int(curve.at_risk[k]), int(curve.events[k]), int(curve.censored[k])


def test_six_patients_by_hand() -> None:
    # years       event at 1, 2; censored at 2; event at 4; censored at 5; event at 6
    # at risk     6 → 5/6;  5 → 5/6·4/5 = 2/3;  3 → 2/3·2/3 = 4/9;  1 → 0
    curve = curves([1, 2, 2, 4, 5, 6], [1, 1, 0, 1, 0, 1]).curves[0]
    assert [at(curve, year) for year in (1, 2, 3, 4, 5, 6, 7)] == [
        *[(6, 1, 0), (5, 1, 1), (3, 0, 0), (3, 1, 0), (2, 0, 1), (1, 1, 0)],
        (0, 0, 0),
    ]
    assert curve.survival[:7].tolist() == pytest.approx([5 / 6, 2 / 3, 2 / 3, 4 / 9, 4 / 9, 0, 0])


def test_greenwood_and_log_log_limits_by_hand() -> None:
    # At 2 years above: V = 1/(6·5) + 1/(5·4) = 1/12, S = 2/3;
    # limits S ^ exp(± 1.959964 · √(1/12) / ln(2/3)).
    curve = curves([1, 2, 2, 4, 5, 6], [1, 1, 0, 1, 0, 1]).curves[0]
    width = 1.959963984540054 * math.sqrt(1 / 12) / math.log(2 / 3)
    assert curve.lower[1] == pytest.approx((2 / 3) ** math.exp(-width), rel=1e-12)
    assert curve.upper[1] == pytest.approx((2 / 3) ** math.exp(width), rel=1e-12)
    assert curve.lower[1] < 2 / 3 < curve.upper[1]


def test_the_textbook_example() -> None:
    # Weeks in remission on 6-MP: Freireich et al., Blood 21 (1963) 699. Survival and log-log limits
    # as R's survfit(conf.type = "log-log") and SAS's LIFETEST print them.
    events = [6, 6, 6, 7, 10, 13, 16, 22, 23]
    censored = [6, 9, 10, 11, 17, 19, 20, 25, 32, 32, 34, 35]
    curve = curves([*events, *censored], [1] * 9 + [0] * 12).curves[0]
    published = {
        6: (21, 0.857, 0.620, 0.952),
        7: (17, 0.807, 0.563, 0.923),
        10: (15, 0.753, 0.503, 0.889),
        13: (12, 0.690, 0.432, 0.849),
        16: (11, 0.627, 0.368, 0.805),
        22: (7, 0.538, 0.268, 0.747),
        23: (6, 0.448, 0.188, 0.680),
    }
    for week, expected in published.items():
        k = week - 1
        found = (curve.at_risk[k], curve.survival[k], curve.lower[k], curve.upper[k])
        assert found == pytest.approx(expected, abs=0.0006)


def test_limits_are_the_curve_itself_where_it_is_one_or_zero() -> None:
    curve = curves([2, 3], [1, 1]).curves[0]
    assert (curve.lower[0], curve.survival[0], curve.upper[0]) == (1, 1, 1)
    assert (curve.lower[2], curve.survival[2], curve.upper[2]) == (0, 0, 0)


def test_a_late_entry_is_at_risk_only_afterwards() -> None:
    # The second patient enters at 2 and has the event at 3: one at risk at 1 and 2, two at 3.
    curve = curves([3.0, 3.0], [0, 1], entry=[0.0, 2.0]).curves[0]
    assert [at(curve, year) for year in (1, 2, 3)] == [(1, 0, 0), (1, 0, 0), (2, 1, 1)]


def test_an_entry_within_a_bin_counts_from_the_next() -> None:
    curve = curves([3.0, 3.0], [0, 1], entry=[0.0, 1.5]).curves[0]
    assert [at(curve, year)[0] for year in (1, 2, 3)] == [1, 1, 2]


def test_entry_and_exit_in_one_bin_or_in_the_wrong_order_is_unobserved() -> None:
    found = curves([2.8, 1.0, 5.0], [1, 1, 0], entry=[2.2, 4.0, 0.0])
    assert found.unobserved == 2
    assert found.curves[0].events.sum() == 0


def test_an_event_at_birth_counts_in_the_first_bin() -> None:
    curve = curves([0.0, 5.0], [1, 0]).curves[0]
    assert at(curve, 1) == (2, 1, 0)


def test_a_time_on_an_edge_belongs_to_the_bin_that_ends_there() -> None:
    curve = curves([2.0, 2.0000001], [1, 1]).curves[0]
    assert [at(curve, year)[1] for year in (2, 3)] == [1, 1]


def test_whoever_is_followed_beyond_the_grid_is_censored_at_its_end() -> None:
    curve = curves([250.0], [1]).curves[0]
    assert at(curve, 100) == (1, 0, 1)


def test_missing_values_are_counted_and_left_out() -> None:
    found = curves([1.0, math.nan, 2.0, 3.0], [1, 1, -1, 0], group=[0, 1, 1, -1])
    assert found.missing == 3
    assert [int(curve.at_risk[0]) for curve in found.curves] == [1, 0]


def test_the_early_grid_has_quarters_to_two_years_and_years_after() -> None:
    assert kaplan_meier.GRIDS["early"][:10] == (0.25, 0.5, 0.75, 1, 1.25, 1.5, 1.75, 2, 3, 4)


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"time": "tme"}, "time: unknown variable tme; did you mean time?"),
        ({"time": "group"}, "time: group must be a number"),
        ({"event": None}, "event: is missing"),
        ({"event": "group"}, "event: group is not a yes-or-no variable"),
        ({"group": "entry"}, "group: entry must have levels"),
        ({"grid": "days"}, "grid: must be one of years, early"),
        ({"grid": {"step": 0.1}}, "grid: must be one of years, early"),
        ({"confidence": 0.5}, "confidence: must be 0.90, 0.95 or 0.99"),
    ],
)
def test_wrong_parameters_are_named(change: dict[str, object], problem: str) -> None:
    with pytest.raises(ParameterError) as caught:
        kaplan_meier.design({**NAMES, **change}, VIEW)
    assert problem in str(caught.value)


def test_log_rank_of_two_and_two_by_hand() -> None:
    """Deaths of a at 1 and 2, of b at 3: E_a = 2/4 + 1/3, V = 1/4 + 2/9, X² = (7/6)²/(17/36)."""
    found = curves([1, 2, 3, 4], [1, 1, 1, 0], group=[0, 0, 1, 1])
    assert found.test is not None
    test = found.test(np.array([True, True]))
    assert test is not None
    assert test.observed.tolist() == [2, 1]
    assert test.expected == pytest.approx([5 / 6, 13 / 6], rel=1e-15)
    assert test.statistic == pytest.approx(49 / 17, rel=1e-14)
    assert test.p_value == pytest.approx(math.erfc(math.sqrt(49 / 34)), rel=1e-12)
    assert found.test(np.array([True, False])) is None
