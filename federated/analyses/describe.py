"""How large, how spread: number, mean, SD and quantiles of measurements, by group.

    mean = c + Σ(x - c)/n,   SD² = (Σ(x - c)² - (Σ(x - c))²/n) / (n - 1)
The first centre c is public: the middle of the variable's declared bounds, else 0. As long as the
mean lies more than a thousand SDs from c, the sums are asked for again around a centre near it, so
that SD² is never the small difference of large numbers. Values beyond declared bounds count as the
bound.

A quantile is the pooled one of Hyndman and Fan's type 7 (the default of R and numpy):
    x(j) + (h - j)·(x(j+1) - x(j)),  h = (n - 1)·p + 1,  j = ⌊h⌋
The order statistics are found by counting how many values lie at or below public cuts, round by
round (`federated.bisection`), never by a mean of the sites' own quantiles. With declared bounds
they are known to the nearest multiple of the declared width and no closer.
Source: Hyndman and Fan, American Statistician 50 (1996) 361; Chan, Golub and LeVeque, American
Statistician 37 (1983) 242, on sums of squares.

What leaves a site: masked counts of rows, of values and of values at or below the first cuts, per
group and variable; then, only where the gate lets a mean or a quantile pass, the masked sums of
x - c and its square, and masked counts at or below finer cuts.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import cast

import numpy as np
from numpy.typing import NDArray

from federated import bisection
from federated.analysis import (
    Analysis,
    AnalysisView,
    Ask,
    Done,
    ParameterError,
    Screen,
    Summaries,
    Variable,
    choose_variables,
    suggest,
)
from federated.statistics import (
    Blocks,
    Broadcast,
    Counts,
    Frame,
    Shape,
    Shapes,
    fixed_point,
    tally_codes,
)


__all__ = ["ANALYSIS", "Describe", "choose_numbers", "combine", "design", "shapes", "site"]

MOST_VARIABLES, MOST_PROBABILITIES, MOST_BY = 10, 9, 2
DEFAULT_PROBABILITIES = (0.25, 0.5, 0.75)
MOST_CUTS = 100_000  # counts of a round, 2.4 MB from each site
MOST_ROUNDS = 14  # 1 of counts; 11 narrow 2^64 floats down to one; 2 to spare
FAR_FROM_CENTRE = 1000.0  # SDs; nearer, SD² keeps ten digits of sixteen


@dataclass(frozen=True)
class Describe:
    """Which numbers are summarized, by what, with which quantiles."""

    variables: tuple[Variable, ...]
    by: tuple[Variable, ...]
    probabilities: tuple[float, ...]

    @property
    def groups(self) -> int:
        """Number of groups, public."""
        return int(np.prod([len(item.levels) for item in self.by], dtype=np.int64))

    @property
    def size(self) -> tuple[int, int]:
        """Groups and variables."""
        return self.groups, len(self.variables)


@dataclass(frozen=True)
class _Known:
    """What the coordinator keeps between rounds."""

    rows: NDArray[np.int64]
    counts: NDArray[np.int64]
    missing: int
    search: bisection.Search
    mean: NDArray[np.float64]
    sd: NDArray[np.float64]
    rounds: int


def design(parameters: Mapping[str, object], view: AnalysisView) -> Describe:
    """Parse variables, by and quantiles; ParameterError lists every problem."""
    variables, problems = choose_numbers(parameters.get("variables"), view.variables)
    by: tuple[Variable, ...] = ()
    named = parameters.get("by")
    if named:
        listed = [named] if isinstance(named, str) else named
        by, wrong = choose_variables(listed, view.variables, most=MOST_BY, what="by")
        problems += wrong
    probabilities = parameters.get("quantiles", list(DEFAULT_PROBABILITIES))
    if not _are_probabilities(probabilities):
        problems.append(
            f"quantiles: must be a list of at most {MOST_PROBABILITIES} different numbers "
            "between 0 and 1"
        )
    if problems:
        raise ParameterError(problems)
    chosen = sorted(cast(list[float], probabilities))
    plan = Describe(variables, by, tuple(float(p) for p in chosen))
    if int(np.prod(_deep(plan))) > MOST_CUTS:
        raise ParameterError(["too much at once: ask for fewer variables, quantiles or groups"])
    return plan


def shapes(plan: Describe, broadcast: Broadcast) -> Shapes:
    """Counts and first cuts, then sums and finer cuts."""
    if broadcast:
        cuts = (*plan.size, len(plan.probabilities), 2, bisection.CUTS)
        return {
            "below": Shape("counts", cuts),
            "sum": Shape("sums", plan.size),
            "squares": Shape("sums", plan.size),
        }
    return {
        "below": Shape("counts", (*plan.size, bisection.CUTS)),
        "missing": Shape("counts", (1,)),
        "rows": Shape("counts", (plan.groups,)),
        "values": Shape("counts", plan.size),
    }


def site(frame: Frame, plan: Describe, broadcast: Broadcast) -> Blocks:
    """Count one site's values, or sum them and count them below finer cuts."""
    group = _groups(frame, plan)
    columns = [_clipped(frame, item)[group >= 0] for item in plan.variables]
    known = group[group >= 0]
    if broadcast:
        return _finer(columns, known, plan, broadcast)
    first = bisection.first_cuts(plan.variables)
    below = np.zeros((*plan.size, bisection.CUTS), dtype=np.int64)
    values = np.zeros(plan.size, dtype=np.int64)
    for v, column in enumerate(columns):
        for g, sorted_values in enumerate(_sorted(column, known, plan.groups)):
            below[g, v] = np.searchsorted(sorted_values, first[v], side="right")
            values[g, v] = sorted_values.size
    return {
        "below": Counts(below),
        "missing": Counts(np.array([frame.rows - known.size], dtype=np.int64)),
        "rows": tally_codes((known,), (plan.groups,)),
        "values": Counts(values),
    }


def _finer(
    columns: list[NDArray[np.float64]],
    group: NDArray[np.int64],
    plan: Describe,
    broadcast: Broadcast,
) -> Blocks:
    """Sums around the centres and counts below the cuts, only for what passed the gate."""
    centre = cast(NDArray[np.float64], broadcast["centre"])
    cuts = cast(NDArray[np.float64], broadcast["cuts"])
    moments = np.asarray(broadcast["moments"], dtype=bool)
    told = np.asarray(broadcast["quantiles"], dtype=bool)
    below = np.zeros(cuts.shape, dtype=np.int64)
    total, squares = np.zeros(plan.size), np.zeros(plan.size)
    for v, column in enumerate(columns):
        for g, values in enumerate(_sorted(column, group, plan.groups)):
            below[g, v] = np.searchsorted(values, cuts[g, v], side="right")
            if moments[g, v]:
                away = values - centre[g, v]
                total[g, v], squares[g, v] = away.sum(), (away * away).sum()
    return {
        "below": Counts(below * told[..., None, None]),
        "sum": fixed_point(total),
        "squares": fixed_point(squares),
    }


def combine(total: Blocks, plan: Describe, ask: Ask) -> Ask | Done:
    """Judge the counts, then narrow quantiles and centres until both are settled."""
    if ask.carry is None:
        return _judged(total, plan)
    known: _Known = ask.carry
    below = cast(NDArray[np.int64], total["below"].values)
    search = bisection.narrowed(known.search, below)
    centre = cast(NDArray[np.float64], ask.broadcast["centre"])
    moments = np.asarray(ask.broadcast["moments"], dtype=bool)
    told = np.asarray(ask.broadcast["quantiles"], dtype=bool)
    mean, sd = _moments(total, known.counts, centre, moments)
    open_ = told[..., None] & search.open
    far = np.abs(np.nan_to_num(mean - centre)) > FAR_FROM_CENTRE * np.nan_to_num(sd)
    again = far & moments & (known.rounds < 5)
    following = _Known(known.rows, known.counts, known.missing, search, mean, sd, known.rounds + 1)
    if open_.any() or again.any():
        nearer = np.where(again, _coarse(mean), centre)
        broadcast = {
            **ask.broadcast,
            "centre": nearer,
            "cuts": bisection.cuts(plan.variables, search),
        }
        return Ask(broadcast=broadcast, carry=following)
    return Done(_summaries(following, plan, told))


def _judged(total: Blocks, plan: Describe) -> Ask:
    """Have the gate decide on each mean and each quantile, from the pooled counts."""
    counts = cast(NDArray[np.int64], total["values"].values)
    search = bisection.begin(plan.variables, plan.probabilities, counts)
    first = cast(NDArray[np.int64], total["below"].values)
    search = bisection.narrowed(search, np.broadcast_to(first[:, :, None, None, :], _deep(plan)))
    p = np.asarray(plan.probabilities)
    each = np.repeat(counts[..., None], p.size, axis=-1)
    tails = np.broadcast_to(np.minimum(p, 1 - p), each.shape)
    known = _Known(
        rows=cast(NDArray[np.int64], total["rows"].values),
        counts=counts,
        missing=int(total["missing"].values[0]),
        search=search,
        mean=np.full(plan.size, np.nan),
        sd=np.full(plan.size, np.nan),
        rounds=1,
    )
    return Ask(
        broadcast={"centre": _centre(plan), "cuts": bisection.cuts(plan.variables, search)},
        screen={
            "moments": Screen(np.zeros_like(counts), counts),
            "quantiles": Screen(np.zeros_like(each), each, tails),
        },
        carry=known,
    )


def _moments(
    total: Blocks,
    counts: NDArray[np.int64],
    centre: NDArray[np.float64],
    passed: NDArray[np.bool_],
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Mean and SD of pooled sums; NaN where they were not asked for or are not defined."""
    first = cast(NDArray[np.float64], total["sum"].values)
    squares = cast(NDArray[np.float64], total["squares"].values)
    with np.errstate(divide="ignore", invalid="ignore"):
        mean = np.where(passed & (counts > 0), centre + first / counts, np.nan)
        variance = (squares - first * (first / counts)) / (counts - 1)
        sd = np.where(passed & (counts > 1), np.sqrt(np.maximum(variance, 0)), np.nan)
    return mean, sd


def _summaries(known: _Known, plan: Describe, told: NDArray[np.bool_]) -> Summaries:
    """The outcome: order statistics become quantiles of type 7."""
    values = bisection.found(plan.variables, known.search)
    place = np.maximum(known.counts[..., None] - 1, 0) * np.asarray(plan.probabilities)
    part = place - np.floor(place)
    quantiles = values[..., 0] + part * (values[..., 1] - values[..., 0])
    quantiles = np.where(told & (known.counts[..., None] > 0), quantiles, np.nan)
    return Summaries(
        variables=plan.variables,
        by=plan.by,
        probabilities=plan.probabilities,
        rows=known.rows,
        counts=known.counts,
        mean=known.mean,
        sd=known.sd,
        quantiles=quantiles,
        missing=known.missing,
    )


def _deep(plan: Describe) -> tuple[int, ...]:
    """Shape of the counts below finer cuts."""
    return (*plan.size, len(plan.probabilities), 2, bisection.CUTS)


def _centre(plan: Describe) -> NDArray[np.float64]:
    """The public centre of each variable, the same for every group."""
    middle = [
        (item.bounds[0] + item.bounds[1]) / 2 if item.bounds else 0.0 for item in plan.variables
    ]
    return np.tile(np.asarray(middle), (plan.groups, 1))


def _coarse(mean: NDArray[np.float64]) -> NDArray[np.float64]:
    """A centre near the mean that tells little more of it than a published mean does."""
    whole = np.nan_to_num(mean)
    with np.errstate(divide="ignore"):
        size = np.where(whole == 0, 0.0, np.floor(np.log2(np.abs(whole))))
    unit = np.exp2(size - 20)
    return np.asarray(np.rint(whole / unit) * unit, dtype=np.float64)


def _groups(frame: Frame, plan: Describe) -> NDArray[np.int64]:
    """Flat position of each row's group, -1 where a variable of `by` is missing."""
    if not plan.by:
        return np.zeros(frame.rows, dtype=np.int64)
    codes = [cast(NDArray[np.int64], frame.columns[item.name]) for item in plan.by]
    known = np.logical_and.reduce([code >= 0 for code in codes])
    size = tuple(len(item.levels) for item in plan.by)
    flat = np.ravel_multi_index(tuple(np.maximum(code, 0) for code in codes), size)
    return np.where(known, flat, -1)


def _clipped(frame: Frame, item: Variable) -> NDArray[np.float64]:
    """A variable's column within its declared bounds."""
    column = cast(NDArray[np.float64], frame.columns[item.name])
    return np.clip(column, item.bounds[0], item.bounds[1]) if item.bounds else column


def _sorted(
    column: NDArray[np.float64], group: NDArray[np.int64], groups: int
) -> list[NDArray[np.float64]]:
    """The values of each group that are not missing, ascending."""
    there = ~np.isnan(column)
    values, codes = column[there], group[there]
    order = np.lexsort((values, codes))
    ends = np.searchsorted(codes[order], np.arange(groups + 1))
    return [values[order[a:b]] for a, b in pairwise(ends)]


def choose_numbers(
    names: object, variables: Mapping[str, Variable], *, least: int = 1, most: int = MOST_VARIABLES
) -> tuple[tuple[Variable, ...], list[str]]:
    """Return the numbers called `names`, and what is wrong with the list."""
    if not isinstance(names, list | tuple) or not least <= len(names) <= most:
        how_many = f"{least} to {most} numbers" if most > least else "one number"
        return (), [f"variables must be a list of {how_many}"]
    if len(set(map(str, names))) != len(names):
        return (), ["variables names a variable twice"]
    known = [name for name in names if isinstance(name, str) and name in variables]
    problems = [
        f"variables: unknown variable {name}{suggest(name, variables)}"
        for name in names
        if name not in known
    ]
    problems += [
        f"variables: {name} has levels and no mean; ask for a crosstab"
        for name in known
        if variables[name].coded
    ]
    return tuple(variables[name] for name in known), problems


def _are_probabilities(values: object) -> bool:
    """Whether `values` is a short list of different numbers within (0, 1)."""
    if not isinstance(values, list | tuple) or len(values) > MOST_PROBABILITIES:
        return False
    numbers = all(type(value) in (int, float) and 0 < value < 1 for value in values)
    return numbers and len(set(values)) == len(values)


def _canonical(plan: Describe) -> Mapping[str, object]:
    """The parameters with defaults filled in."""
    return {
        "variables": [item.name for item in plan.variables],
        "by": [item.name for item in plan.by] or None,
        "quantiles": list(plan.probabilities),
    }


def _counted(plan: Describe) -> Mapping[str, object]:
    """The parameters without their order."""
    return {key: sorted(cast(list[str], value or [])) for key, value in _canonical(plan).items()}


ANALYSIS = Analysis(
    name="describe",
    title="Number, mean, SD and quantiles",
    units=("patient",),
    parameters={
        "variables": f"1 to {MOST_VARIABLES} numbers, such as dx_age_y",
        "by": "1 or 2 variables with levels; none: everybody together",
        "quantiles": "probabilities between 0 and 1; default 0.25, 0.5 and 0.75",
    },
    rounds=MOST_ROUNDS,
    design=design,
    canonical=_canonical,
    counted=_counted,
    fields=lambda plan: tuple(item.name for item in (*plan.variables, *plan.by)),
    table=lambda plan: plan.by,
    shapes=shapes,
    site=site,
    combine=combine,
)
