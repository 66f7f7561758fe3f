"""What would pass: remedies that the gate itself passes, and that tell no withheld count."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray

from federated.analyses.kaplan_meier import estimate
from federated.analysis import AnalysisView, Curves, ModelCounts, Summaries, Table, Variable
from federated.disclosure import release
from federated.feasible import Claim, intervals, table_claims
from federated.planner import MOST_SUGGESTED, MOST_TRIED, Plan, _candidates, remedies
from federated.policy import CONSORTIUM, EXACT
from federated.request import Request, parse_request


LEVELS = ("0-1", "2-9", "10-17", "18+")
FLAG = ("false", "true")
BAND, DIED = Variable("band", "Age band", LEVELS, LEVELS), Variable("died", "Died", FLAG, FLAG)
SEX = Variable("sex", "Sex", ("female", "male"), ("female", "male"))
TIME = Variable("time", "Time", unit="a")
VIEW = AnalysisView("p", "patient", {v.name: v for v in (BAND, DIED, SEX, TIME)})


def asking(analysis: str, cohort: object = None, **parameters: object) -> Request:
    words = {"analysis": analysis, "view": "p", "parameters": parameters, "cohort": cohort}
    return parse_request(words, {"p": VIEW})


TABLE = asking("crosstab", variables=["band", "died"])


def table(counts: NDArray[np.int64]) -> Table:
    names = tuple(
        Variable(v.name, v.label, v.levels[:size], v.level_labels[:size])
        for v, size in zip((BAND, DIED, SEX), counts.shape, strict=False)
    )
    return Table(names, counts, 0, lambda keep: None)


def planned(counts: list[list[int]], request: Request = TABLE) -> Plan:
    return remedies(request, table(np.array(counts)), CONSORTIUM)


def test_two_bands_that_are_withheld_in_the_same_place_are_merged() -> None:
    plan = planned([[9, 4], [8, 5], [40, 30], [50, 20]])
    (remedy,) = plan.remedies
    assert (remedy.words, remedy.certain) == ("merge 0-1 and 2-9 of Age band", True)
    assert remedy.request["parameters"] == {"variables": ["died"]}
    assert remedy.request["cohort"] == {"field": "band", "operator": "in", "value": ["0-1", "2-9"]}
    assert plan.tried == 1


def test_a_remedy_can_be_asked_and_keeps_the_cohort() -> None:
    cohort = {"field": "sex", "operator": "==", "value": "male"}
    request = asking("crosstab", cohort, variables=["band", "died"])
    (remedy,) = planned([[9, 4], [8, 5], [40, 30], [50, 20]], request).remedies
    asked = parse_request(remedy.request, {"p": VIEW})
    assert asked.cohort is not None
    assert cohort in asked.cohort.to_mapping()["and"]  # type: ignore[operator]


def test_what_would_not_pass_is_not_suggested() -> None:
    # 2 + 3 are still five; one candidate was tried, and tells no more than that they are few.
    assert planned([[9, 2], [8, 3], [40, 30], [50, 20]]) == Plan((), 1)


def test_a_withheld_count_is_not_merged_with_a_shown_one() -> None:
    # Their sum less the shown one would be the withheld one.
    assert planned([[9, 4], [20, 30], [40, 30], [50, 20]]) == Plan()


def test_nothing_is_suggested_where_all_is_shown_or_nothing_is_hidden() -> None:
    assert planned([[9, 14], [20, 25], [40, 30], [50, 20]]) == Plan()
    counts = table(np.array([[9, 4], [20, 5]]))
    assert remedies(TABLE, counts, EXACT) == Plan()


def test_a_no_that_would_tell_is_not_risked() -> None:
    # Zeros would be seen in these rows, so each withheld count is known to be 1 or more: were the
    # merged one still withheld, each would be 5 at most.
    tall = np.array([[30, 4, 20], [40, 5, 30], [50, 60, 70]])
    columns = Variable("c", "C", ("a", "b", "c"), ("a", "b", "c"))
    rows = Variable("band", "Age band", LEVELS[:3], LEVELS[:3])
    for small in (4, 1):
        tall[0, 1] = small
        plan = remedies(TABLE, Table((rows, columns), tall, 0, lambda keep: None), CONSORTIUM)
        assert plan.tried == 0
        (remedy,) = plan.remedies
        assert (remedy.words, remedy.certain) == ("merge 0-1 and 2-9 of Age band", False)


def test_a_variable_all_of_whose_cells_are_withheld_is_dropped() -> None:
    counts = [[[4, 5], [3, 6]], [[6, 3], [5, 4]]]
    request = asking("crosstab", variables=["band", "died", "sex"])
    # Of two levels, both are all: by age band, 4 + 6, 5 + 3, 3 + 5 and 6 + 4.
    (remedy,) = planned(counts, request).remedies  # type: ignore[arg-type]
    assert (remedy.words, remedy.certain) == ("drop band", True)
    assert remedy.request["parameters"] == {"variables": ["died", "sex"]}
    assert remedy.request["cohort"] is None


def test_what_is_hidden_along_a_sensitive_variable_decides_nothing() -> None:
    # 9 and 30 are hidden beside a small cell: whatever they are, the same candidate is tried.
    secret = replace(DIED, sensitive=True)
    rows = Variable("band", "Age band", LEVELS[:3], LEVELS[:3])
    for first in ([30, 4], [9, 4], [2, 4]):
        counts = np.array([first, [30, 5], [40, 30]])
        plan = remedies(TABLE, Table((rows, secret), counts, 0, lambda keep: None), CONSORTIUM)
        assert (plan.tried, [item.words for item in plan.remedies]) == (
            1,
            ["merge 0-1 and 2-9 of Age band"],
        )


def test_a_histogram_has_no_levels_to_merge() -> None:
    request = replace(TABLE, analysis="histogram")
    assert remedies(request, table(np.array([[9, 4], [8, 5]])), CONSORTIUM) == Plan()


def test_groups_too_few_for_a_mean_are_put_together() -> None:
    request = asking("describe", variables=["time"], by=["band"])
    counts = np.array([[8], [12], [40], [5]])
    blank = np.full((4, 1), np.nan)
    outcome = Summaries(
        (TIME,), (BAND,), (0.5,), counts[:, 0], counts, blank, blank, blank[:, :, None], 0
    )
    (remedy,) = remedies(request, outcome, CONSORTIUM).remedies
    assert remedy.words == "merge 0-1 and 2-9 of Age band"
    assert not remedy.request["parameters"]["by"]
    parse_request(remedy.request, {"p": VIEW})


def curve(events: int, patients: int, level: str) -> Any:
    entered, happened = np.array([patients, 0]), np.array([events, 0])
    none = np.zeros(2, int)
    return estimate(
        np.array([1.0, 2.0]), happened, none, entered, confidence=0.95, level=level, label=level
    )


def test_groups_without_a_curve_are_put_together() -> None:
    request = asking("kaplan_meier", time="time", event="died", group="band")
    curves = (curve(4, 30, "0-1"), curve(5, 40, "2-9"), curve(20, 90, "10-17"), curve(9, 60, "18+"))
    plan = remedies(request, Curves(TIME, BAND, 0.95, curves, 0, 0), CONSORTIUM)
    (remedy,) = plan.remedies
    assert remedy.words == "merge 0-1 and 2-9 of Age band"
    assert remedy.request["parameters"]["group"] is None
    parse_request(remedy.request, {"p": VIEW})
    few = (curve(2, 30, "0-1"), curve(3, 40, "2-9"))
    assert remedies(request, Curves(TIME, BAND, 0.95, few, 0, 0), CONSORTIUM) == Plan((), 1)


def model(**change: Any) -> ModelCounts:
    tables: dict[tuple[str, ...], Any] = {
        ("band",): np.array([60, 50, 40, 3]),
        ("sex",): np.array([80, 73]),
        ("died",): np.array([100, 53]),
        ("band", "sex"): np.array([[30, 30], [25, 25], [20, 20], [2, 1]]),
        ("band", "died"): np.array([[40, 20], [30, 20], [28, 12], [2, 1]]),
        ("sex", "died"): np.array([[50, 30], [50, 23]]),
    }
    return ModelCounts(
        **{"patients": 153, "events": 53, "parameters": 4, "tables": tables} | change
    )


COX = asking("cox", time="time", event="died", covariates=["band", "sex"])


def test_the_term_at_fault_is_to_be_dropped() -> None:
    plan = remedies(COX, model(), CONSORTIUM)
    assert [item.words for item in plan.remedies] == ["drop band"]
    assert plan.remedies[0].request["parameters"]["covariates"] == ["sex"]
    parse_request(plan.remedies[0].request, {"p": VIEW})


def test_any_term_may_go_when_there_are_too_many() -> None:
    clear = {("band",): np.array([60, 50, 43, 0]), ("sex",): np.array([80, 73])}
    # 18 events carry two parameters (from 13 on) and not three (from 19): two bands fewer do.
    plan = remedies(COX, model(events=18, parameters=3, tables=clear), CONSORTIUM)
    assert [item.words for item in plan.remedies] == ["drop band", "drop sex"]


def test_the_yearly_grid_is_suggested_for_times_of_few_events() -> None:
    clear = {("band",): np.array([60, 50, 43, 0]), ("sex",): np.array([80, 73])}
    counts = model(tables=clear, risk_sets=np.array([9, 3, 30]))
    request = asking(
        "cox",
        time="time",
        event="died",
        covariates=["band", "sex"],
        baseline="pooled",
        times="early",
    )
    (remedy,) = remedies(request, counts, CONSORTIUM).remedies
    assert remedy.words == "use the yearly grid"
    assert remedy.request["parameters"]["times"] == "years"


CELLS = st.one_of(st.integers(0, 8), st.integers(0, 30))
COUNTS = arrays(
    np.int64, st.tuples(st.integers(2, 4), st.just(2), st.integers(1, 2)), elements=CELLS
)


def merged_levels(question: Any, outcome: Table) -> tuple[int, list[int]]:
    """Which levels of which variable a remedy puts together."""
    names = [variable.name for variable in outcome.variables]
    where = question["cohort"]
    if where is None:
        (left,) = set(names) - set(question["parameters"]["variables"])
        return names.index(left), list(range(len(outcome.variables[names.index(left)].levels)))
    axis = names.index(where["field"])
    return axis, [outcome.variables[axis].levels.index(level) for level in where["value"]]


@pytest.mark.parametrize("dimensions", [2, 3])
@settings(max_examples=150, deadline=None)
@given(counts=COUNTS)
def test_whatever_is_said_of_remedies_a_withheld_count_may_be_six_numbers(
    counts: NDArray[np.int64], dimensions: int
) -> None:
    counts = counts if dimensions == 3 else counts[:, :, 0]
    names = ["band", "died", "sex"][:dimensions]
    request, outcome = asking("crosstab", variables=names), table(counts)
    claims = list(table_claims(release(outcome, CONSORTIUM).data, CONSORTIUM))
    withheld = {claim.cells for claim in claims if claim.withheld}
    tried = list(_candidates(outcome, request, CONSORTIUM))
    positions = np.arange(counts.size).reshape(counts.shape)
    for candidate in tried:
        asked = candidate.remedy.request
        axis, chosen = merged_levels(asked, outcome)
        lines = np.moveaxis(positions, axis, 0)[chosen].reshape(len(chosen), -1).T
        sums = [tuple(int(n) for n in line) for line in lines if (int(line[0]),) in withheld]
        if candidate.passes is None:
            continue
        if candidate.passes:
            # Seven or more, or a zero that would be seen; the rounding of the answer comes later.
            flat = counts.reshape(-1)
            claims += [Claim(cells, 7, 1e6) for cells in sums if flat[list(cells)].sum() > 0]
        elif len(sums) == 1:
            claims.append(Claim(sums[0], 0, 6))
    flat = counts.reshape(-1)
    for cells, (least, most) in intervals(claims).items():
        assert most - least + 1 >= CONSORTIUM.grid
        assert least <= flat[list(cells)].sum() <= most


@settings(max_examples=100, deadline=None)
@given(counts=COUNTS)
def test_what_is_suggested_is_released_in_full_and_little_is_tried(
    counts: NDArray[np.int64],
) -> None:
    request, outcome = asking("crosstab", variables=["band", "died", "sex"]), table(counts)
    plan = remedies(request, outcome, CONSORTIUM)
    assert plan == remedies(request, outcome, CONSORTIUM)
    assert len(plan.remedies) <= MOST_SUGGESTED
    assert sum(item.certain for item in plan.remedies) <= plan.tried <= MOST_TRIED
    for remedy in (item for item in plan.remedies if item.certain):
        axis, chosen = merged_levels(remedy.request, outcome)
        merged = np.take(counts, chosen, axis=axis).sum(axis=axis)
        assert "withheld" not in str(release(table(merged), CONSORTIUM).data["counts"])
