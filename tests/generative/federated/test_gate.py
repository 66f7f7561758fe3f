"""Properties of the disclosure gate that hold for every pooled outcome."""

import dataclasses
import functools
import itertools
import json
import math
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from typing import Any, TypeVar

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from federated.analyses.crosstab import chi_squared
from federated.analyses.kaplan_meier import estimate
from federated.analyses.rate import garwood
from federated.analysis import Curves, Rates, Screen, Summaries, Table, Variable
from federated.disclosure import passing, release
from federated.policy import CONSORTIUM, PUBLIC, Policy, strictest


# Tables of three variables, which PUBLIC does not allow, show more rules at once.
WIDE = dataclasses.replace(PUBLIC, max_dimensions=3)
POLICIES = st.sampled_from([CONSORTIUM, WIDE])
SHAPES = array_shapes(min_dims=1, max_dims=3, max_side=4)
CELLS = st.one_of(st.integers(0, 8), st.integers(0, 40))

IN_CI, IN_AUDIT = 500, 10_000
AUDITED: dict[str, Callable[[], None]] = {}

Check = TypeVar("Check", bound=Callable[..., None])


def holds(*strategies: st.SearchStrategy[Any]) -> Callable[[Check], Callable[..., None]]:
    """Check a property on 500 examples; `make audit` checks it on 10,000."""

    def wrap(check: Check) -> Callable[..., None]:
        AUDITED[check.__name__] = settings(max_examples=IN_AUDIT, deadline=None)(
            given(*strategies)(check)
        )
        return settings(max_examples=IN_CI, deadline=None)(given(*strategies)(check))

    return wrap


def table(counts: np.ndarray, missing: int = 0) -> Table:
    variables = tuple(
        Variable(f"v{i}", f"V{i}", tuple(f"l{k}" for k in range(size)), ("L",) * size)
        for i, size in enumerate(counts.shape)
    )
    return Table(variables, counts, missing, lambda keep: None)


def flat(cells: object) -> list[Any]:
    return [x for cell in cells for x in flat(cell)] if isinstance(cells, list) else [cells]


@holds(arrays(np.int64, SHAPES, elements=CELLS), POLICIES)
def test_no_count_from_one_to_the_grid_is_shown_and_none_is_exact(
    counts: np.ndarray, policy: Policy
) -> None:
    data = release(table(counts), policy).data
    for true, shown in zip(counts.reshape(-1), flat(data["counts"]), strict=True):
        if isinstance(shown, Mapping):
            assert shown == {"withheld": "small_cell"}
            assert true <= policy.grid
        elif shown == 0:
            assert true == 0
        else:
            # Every number in the bin is shown alike, and no bin is narrower than the grid.
            assert true > policy.grid
            assert (shown - (policy.grid + 1) // 2) % policy.grid == 0
            assert abs(int(true) - shown) <= policy.grid // 2


@holds(arrays(np.int64, SHAPES, elements=CELLS), POLICIES)
def test_the_total_is_that_of_the_shown_cells(counts: np.ndarray, policy: Policy) -> None:
    data = release(table(counts), policy).data
    assert data["total"] == sum(cell for cell in flat(data["counts"]) if isinstance(cell, int))


@holds(arrays(np.int64, SHAPES, elements=CELLS), POLICIES)
def test_a_zero_is_shown_only_among_enough_patients(counts: np.ndarray, policy: Policy) -> None:
    shown = np.array(flat(release(table(counts), policy).data["counts"]), dtype=object)
    for index in np.argwhere(shown.reshape(counts.shape) == 0):
        for axis in range(counts.ndim):
            line = [*index]
            line[axis] = slice(None)
            through = counts[tuple(line)]
            assert through[through > policy.grid].sum() >= policy.min_denominator


@holds(arrays(np.int64, SHAPES, elements=CELLS), POLICIES)
def test_a_percentage_has_enough_patients_on_both_sides(counts: np.ndarray, policy: Policy) -> None:
    shares = flat(release(table(counts), policy).data["percent"])
    totals = np.broadcast_to(counts.sum(axis=-1, keepdims=True), counts.shape)
    for part, whole, share in zip(counts.reshape(-1), totals.reshape(-1), shares, strict=True):
        if not isinstance(share, Mapping):
            assert whole >= policy.min_denominator
            assert part == 0 or part > policy.grid
            assert part == whole or whole - part > policy.grid


@holds(arrays(np.int64, SHAPES, elements=CELLS), POLICIES)
def test_a_percentage_can_be_computed_from_the_shown_counts(
    counts: np.ndarray, policy: Policy
) -> None:
    data = release(table(counts), policy).data
    cells = np.array(flat(data["counts"]), dtype=object).reshape(-1, counts.shape[-1])
    shares = np.array(flat(data["percent"]), dtype=object).reshape(cells.shape)
    for line, parts in zip(cells, shares, strict=True):
        complete = all(isinstance(cell, int) for cell in line)
        for cell, share in zip(line, parts, strict=True):
            if not isinstance(share, Mapping):
                assert complete
                assert share == round(100 * cell / sum(line))


@holds(arrays(np.int64, st.tuples(*[st.integers(2, 4)] * 2), elements=CELLS), POLICIES)
def test_a_test_covers_only_lines_that_are_shown(counts: np.ndarray, policy: Policy) -> None:
    asked: list[np.ndarray] = []
    outcome = dataclasses.replace(table(counts), test=lambda keep: asked.append(keep))
    cells = np.array(flat(release(outcome, policy).data["counts"]), dtype=object)
    for keep, line in zip(asked[0], cells.reshape(counts.shape), strict=True):
        assert not keep or all(isinstance(cell, int) for cell in line)


@pytest.mark.parametrize(("shape", "numbers"), [((2, 2), [*range(9), 20]), ((1, 3), range(15))])
def test_whatever_is_published_a_withheld_count_may_be_any_small_one(
    shape: tuple[int, ...], numbers: Iterable[int]
) -> None:
    # All tables of these numbers, put together by all that is published of them.
    alike: dict[str, list[np.ndarray]] = defaultdict(list)
    for cells in itertools.product(numbers, repeat=math.prod(shape)):
        counts = np.array(cells).reshape(shape)
        outcome = table(counts)
        levels = outcome.variables[0].levels
        test = functools.partial(chi_squared, counts, levels)
        data = release(dataclasses.replace(outcome, test=test), CONSORTIUM).data
        alike[json.dumps(data)].append(counts.reshape(-1))
    for published, tables in alike.items():
        for cell, values in zip(
            flat(json.loads(published)["counts"]), np.transpose(tables), strict=True
        ):
            assert isinstance(cell, int) or set(values) >= set(range(1, 7))


STRICTER = st.builds(
    lambda numbers: strictest(CONSORTIUM, dataclasses.replace(WIDE, **numbers)),
    st.fixed_dictionaries(
        {
            "grid": st.sampled_from([6, 10]),
            "min_denominator": st.integers(10, 60),
            "min_step_events": st.integers(6, 20),
            "min_at_risk": st.integers(10, 60),
            "min_quantile_tail": st.integers(10, 40),
        }
    ),
)


def shows_no_more(strict: object, lax: object) -> bool:
    """Whether what `lax` withholds is withheld in `strict` too, wherever both have a value."""
    if isinstance(lax, Mapping) and "withheld" in lax:
        return isinstance(strict, Mapping) and "withheld" in strict
    if isinstance(strict, Mapping) and isinstance(lax, Mapping) and "withheld" not in strict:
        return all(shows_no_more(strict[key], lax[key]) for key in lax)
    if isinstance(strict, list) and isinstance(lax, list):
        return all(shows_no_more(one, other) for one, other in zip(strict, lax, strict=True))
    return True


@example(np.array([12]), 0, dataclasses.replace(WIDE, min_denominator=10))
@holds(arrays(np.int64, SHAPES, elements=CELLS), st.integers(0, 40), STRICTER)
def test_a_stricter_policy_never_shows_more(
    counts: np.ndarray, missing: int, strict: Policy
) -> None:
    outcome = table(counts, missing)
    fewer, more = (release(outcome, policy).data for policy in (strict, CONSORTIUM))
    for part in ("counts", "percent", "missing"):
        assert shows_no_more(fewer[part], more[part])


@holds(
    arrays(np.int64, (6, 3), elements=st.integers(0, 80)),
    arrays(np.int64, 3, elements=st.integers(0, 60)),
    STRICTER,
)
def test_a_stricter_policy_shows_no_more_steps_means_and_quantiles(
    numbers: np.ndarray, events: np.ndarray, strict: Policy
) -> None:
    outcome = summaries(numbers[:3], numbers[3:])
    fewer, more = (release(outcome, policy).data["groups"] for policy in (strict, CONSORTIUM))
    assert shows_no_more(fewer, more)
    entered = np.array([int(events.sum() + numbers[0, 0]), 0, 0])
    curve = estimate(np.arange(1.0, 4), events, np.zeros(3, int), entered, confidence=0.95)
    curves = Curves(Variable("t", "T"), None, 0.95, (curve,), 0, 0)
    assert eventful(curves, strict) <= eventful(curves, CONSORTIUM)


def eventful(curves: Curves, policy: Policy) -> int:
    """How many steps of the first curve have an event: a curve's end need not have one."""
    before, found = 0, 0
    for step in release(curves, policy).data["curves"][0]["steps"]:  # type: ignore[index]
        index = int(step["time"])
        found += bool(curves.curves[0].events[before:index].any())
        before = index
    return found


def summaries(rows: np.ndarray, counts: np.ndarray) -> Summaries:
    """Summaries of three variables in three groups, with `counts` values of `rows` patients."""
    levels = ("a", "b", "c")
    names = tuple(Variable(n, n, bounds=(0.0, 100.0, 0.5)) for n in ("x", "y", "z"))
    counts = np.minimum(counts, rows.max(axis=1, keepdims=True))
    return Summaries(
        variables=names,
        by=(Variable("g", "G", levels, levels),),
        probabilities=(0.05, 0.5, 0.75),
        rows=rows.max(axis=1),
        counts=counts,
        mean=np.full((3, 3), 12.3456),
        sd=np.full((3, 3), 3.21),
        quantiles=np.full((3, 3, 3), 12.5),
        missing=0,
    )


@holds(arrays(np.int64, (6, 3), elements=st.integers(0, 260)), POLICIES)
def test_a_mean_and_a_quantile_rest_on_enough_patients(numbers: np.ndarray, policy: Policy) -> None:
    outcome = summaries(numbers[:3], numbers[3:])
    groups = release(outcome, policy).data["groups"]
    for g, group in enumerate(groups):  # type: ignore[arg-type, var-annotated]
        for v, item in enumerate(outcome.variables):
            told, n = group["variables"][item.name], int(outcome.counts[g, v])
            assert (told["mean"] == 12.3) is (n >= policy.least(policy.min_denominator))
            for p in outcome.probabilities:
                if not isinstance(told["quantiles"][f"{p:g}"], Mapping):
                    assert n * min(p, 1 - p) >= policy.min_quantile_tail


@holds(arrays(np.int64, SHAPES, elements=CELLS), st.integers(0, 40), POLICIES, st.data())
def test_equal_bins_give_equal_answers(
    counts: np.ndarray, missing: int, policy: Policy, data: st.DataObject
) -> None:
    """Whatever the exact counts: the same bins, zeros told apart, and the answer is the same."""
    start = (counts - 1) // policy.grid * policy.grid + 1
    low = np.where(counts > 0, start, 0)
    moved = np.array(
        [data.draw(st.integers(n, n + policy.grid - 1)) if n else 0 for n in low.reshape(-1)]
    )
    one, other = (
        release(table(numbers, missing), policy).data
        for numbers in (counts, moved.reshape(counts.shape).astype(np.int64))
    )
    assert one == other


BINS = 12


@holds(
    arrays(np.int64, BINS, elements=st.integers(0, 12)),
    arrays(np.int64, BINS, elements=st.integers(0, 12)),
    arrays(np.int64, BINS, elements=st.integers(0, 30)),
    POLICIES,
)
def test_a_curve_shows_no_step_of_few_events_and_no_tail_of_few_patients(
    events: np.ndarray, censored: np.ndarray, entered: np.ndarray, policy: Policy
) -> None:
    entered[0] += max(0, int((events + censored).sum()) - int(entered.sum()))
    at_risk = np.cumsum(entered) - np.concatenate(([0], np.cumsum(events + censored)[:-1]))
    if (at_risk < events + censored).any():
        entered[0] += int((events + censored).sum())
    times = np.arange(1.0, BINS + 1)
    curve = estimate(times, events, censored, entered, confidence=0.95)
    curves = Curves(Variable("t", "T"), None, 0.95, (curve,), 0, 0)
    shown = release(curves, policy).data["curves"]
    assert isinstance(shown, list)
    before = 0
    for step in shown[0]["steps"]:
        index = int(step["time"]) - 1
        between = int(curve.events[before : index + 1].sum())
        assert between == 0 or between > max(policy.min_step_events, policy.grid)
        assert (curve.at_risk[: index + 1] >= policy.least(policy.min_at_risk)).all()
        assert step["survival"] == round(float(curve.survival[index]), 2)
        before = index + 1


@holds(
    st.lists(
        st.tuples(st.integers(0, 30), st.integers(0, 30), st.integers(0, 200)),
        min_size=1,
        max_size=6,
    ),
    POLICIES,
)
def test_a_rate_rests_on_enough_patients_and_hides_small_numbers(
    cells: list[tuple[int, int, int]], policy: Policy
) -> None:
    patients = np.array([a + b for a, b, _ in cells])
    contributors = np.array([a for a, _, _ in cells])
    events = np.array([a + more if a else 0 for a, _, more in cells])
    levels = tuple(f"l{i}" for i in range(len(cells)))
    rates = Rates(
        variables=(Variable("v", "V", levels, levels),),
        events=events,
        patients=patients,
        contributors=contributors,
        person_years=patients * 3.7 + 0.1,
        per=100.0,
        confidence=0.95,
        missing=0,
        interval=lambda d, t: garwood(d, t, 0.95),
    )
    shown = release(rates, policy).data["cells"]
    assert isinstance(shown, list)
    passed = passing(Screen(contributors, patients), policy)
    for index, cell in enumerate(shown):
        if isinstance(cell["rate"], Mapping):
            assert not passed[index]
            continue
        assert patients[index] >= policy.min_denominator
        assert contributors[index] == 0 or contributors[index] > policy.grid
        assert cell["events"] == 0 or cell["events"] > policy.grid
        assert cell["lower"] <= cell["rate"] <= cell["upper"]


@pytest.mark.audit
@pytest.mark.parametrize("name", AUDITED)
def test_it_holds_on_ten_thousand_examples(name: str) -> None:
    AUDITED[name]()
