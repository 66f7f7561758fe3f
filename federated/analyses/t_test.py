"""Do means differ: from a number, between two measurements of a patient, between two groups?

    one sample  d = x̄ - μ₀,        se = s/√n,                 n - 1 degrees of freedom
    paired      the same of x - y, μ₀ = 0
    Welch       d = x̄₁ - x̄₂,       se² = s₁²/n₁ + s₂²/n₂,
                se⁴ / (s₁⁴/(n₁²(n₁ - 1)) + s₂⁴/(n₂²(n₂ - 1))) degrees of freedom
The sums of squares are taken around a pooled mean rounded to three digits, so that SD² is never the
small difference of large numbers.
Sources: Student, Biometrika 6 (1908) 1; Welch, Biometrika 34 (1947) 28.

What leaves a site: masked counts of patients per group; then masked sums of the values per group,
and of their distances from the rounded pooled means, and of the squares of those.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import cast

import numpy as np
from numpy.typing import NDArray
from scipy.special import stdtr, stdtrit  # scipy.stats takes half a second to import

from federated.analyses.describe import choose_numbers
from federated.analysis import (
    Analysis,
    AnalysisView,
    Ask,
    Done,
    Issue,
    Model,
    ModelCounts,
    ParameterError,
    Term,
    Variable,
    suggest,
)
from federated.modelling import three_digits
from federated.parameters import confidence, one_variable
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


__all__ = ["ANALYSIS", "TTest", "combine", "design", "shapes", "site"]

Vector = NDArray[np.float64]


@dataclass(frozen=True)
class TTest:
    """One variable, or two of a pair; `levels` are the positions of the two groups compared."""

    variable: Variable
    other: Variable | None
    group: Variable | None
    levels: tuple[int, ...]
    mean: float
    confidence: float

    @property
    def groups(self) -> int:
        """One sample, or two."""
        return 2 if self.group else 1


@dataclass(frozen=True)
class _State:
    """What the coordinator keeps between rounds."""

    counts: ModelCounts
    number: NDArray[np.int64]
    missing: int
    mean: Vector


def design(parameters: Mapping[str, object], view: AnalysisView) -> TTest:
    """Parse variables, group and levels, and mean; ParameterError lists every problem."""
    found, problems = choose_numbers(parameters.get("variables"), view.variables, most=2)
    variable, other = (*found, None, None)[:2]
    group = one_variable("group", parameters, view.variables, True, problems, optional=True)
    if other and group:
        problems.append("group: is for one variable; two are a pair")
    levels = _levels(parameters.get("levels"), group, problems)
    mean = parameters.get("mean", 0.0)
    if type(mean) not in (int, float) or abs(cast(float, mean)) > 1e12:
        problems.append("mean: must be a number")
    elif mean and (group or other):
        problems.append("mean: is for one sample")
    level = confidence("conf_level", parameters, problems)
    if problems or variable is None:
        raise ParameterError(problems)
    return TTest(variable, other, group, levels, float(cast(float, mean)), level)


def _levels(value: object, group: Variable | None, problems: list[str]) -> tuple[int, ...]:
    """Positions of the two levels compared: those named, or the only two that there are."""
    if group is None:
        problems += [] if value is None else ["levels: need a group"]
        return ()
    named = list(group.levels) if value is None else value
    if not isinstance(named, list | tuple) or len(set(map(str, named))) != 2 or len(named) != 2:
        problems.append(f"levels: must be two of {', '.join(group.levels)}")
        return ()
    unknown = [name for name in named if name not in group.levels]
    problems += [f"levels: no level {name}{suggest(name, group.levels)}" for name in unknown]
    return () if unknown else tuple(group.levels.index(str(name)) for name in named)


def shapes(plan: TTest, broadcast: Broadcast) -> Shapes:
    """Counts, then sums per group, then sums around a centre."""
    if not broadcast:
        return {"missing": Shape("counts", (1,)), "patients": Shape("counts", (plan.groups,))}
    names = ("away", "squares") if "centre" in broadcast else ("away",)
    return {name: Shape("sums", (plan.groups,)) for name in names}


def site(frame: Frame, plan: TTest, broadcast: Broadcast) -> Blocks:
    """Count one site's patients, or sum their values around the centres so far."""
    values = cast(Vector, frame.columns[plan.variable.name])
    if plan.other:
        values = values - cast(Vector, frame.columns[plan.other.name])
    group, outside = np.zeros(frame.rows, dtype=np.int64), np.zeros(frame.rows, dtype=bool)
    if plan.group:
        codes = cast(NDArray[np.int64], frame.columns[plan.group.name])
        group = np.where(codes == plan.levels[1], 1, 0)
        outside = (codes >= 0) & ~np.isin(codes, plan.levels)
        values = np.where(codes >= 0, values, np.nan)
    known = ~np.isnan(values) & ~outside
    values, group = values[known], group[known]
    if not broadcast:
        missing = np.array([(~known & ~outside).sum()], dtype=np.int64)
        return {"missing": Counts(missing), "patients": tally_codes((group,), (plan.groups,))}
    centre = cast(Vector, broadcast.get("centre", np.zeros(plan.groups)))
    away = values - centre[group]
    found = {"away": np.bincount(group, away, plan.groups)}
    if "centre" in broadcast:
        found["squares"] = np.bincount(group, away * away, plan.groups)
    return {name: fixed_point(sums.astype(np.float64)) for name, sums in found.items()}


def combine(total: Blocks, plan: TTest, ask: Ask) -> Ask | Done:
    """Judge the counts, find the means, then the spread around them."""
    if not ask.broadcast:
        return _judged(total, plan)
    state: _State = ask.carry
    number = np.maximum(state.number, 1)
    away = cast(Vector, total["away"].values)
    if "centre" not in ask.broadcast:
        mean = away / number
        return Ask({"centre": three_digits(mean)}, carry=replace(state, mean=mean))
    centre = cast(Vector, ask.broadcast["centre"])
    squares = cast(Vector, total["squares"].values) - away * away / number
    variance = squares / np.maximum(number - 1, 1)
    return Done(_outcome(plan, state, centre + away / number, variance))


def _judged(total: Blocks, plan: TTest) -> Ask:
    """Give the gate the pooled counts."""
    number = cast(NDArray[np.int64], total["patients"].values)
    tables: dict[tuple[str, ...], NDArray[np.int64]] = {}
    if plan.group:
        tables[plan.group.name,] = number
    counts = ModelCounts(int(number.sum()), None, plan.groups, tables)
    missing = int(total["missing"].values[0])
    state = _State(counts, number, missing, np.zeros(plan.groups))
    return Ask({"begin": np.ones(1)}, model=counts, carry=state)


def _outcome(plan: TTest, state: _State, mean: Vector, variance: Vector) -> Model:
    """The difference, its error and its test; NaN where a group has no spread."""
    n = state.number.astype(np.float64)
    share = variance / n
    error = float(share.sum())
    estimate = float(mean[0] - mean[1]) if plan.group else float(mean[0]) - plan.mean
    defined = bool((n > 1).all()) and error > 0
    with np.errstate(divide="ignore", invalid="ignore"):
        freedom = float(error**2 / (share**2 / (n - 1)).sum())
    se = float(np.sqrt(error)) if defined else np.nan
    statistic = estimate / se if defined else np.nan
    width = float(stdtrit(freedom, (1 + plan.confidence) / 2)) * se if defined else np.nan
    p = float(2 * stdtr(freedom, -abs(statistic))) if defined else np.nan
    name = "difference" if plan.group or plan.other else "mean"
    limits = (estimate - width, estimate + width)
    term = Term(name, plan.variable.name, None, None, estimate, se, statistic, p, *limits)
    figures = {"df": freedom if defined else np.nan}
    for index in range(plan.groups):
        figures[f"mean_{index + 1}"] = float(mean[index])
        figures[f"sd_{index + 1}"] = float(np.sqrt(variance[index]))
    return Model(
        name="t_test",
        counts=state.counts,
        terms=(term,),
        figures=figures,
        tests={},
        scale=None,
        robust=False,
        confidence=plan.confidence,
        iterations=1,
        converged=defined,
        issues=() if defined else (Issue("no_spread", (name,)),),
        missing=state.missing,
        described={"levels": [plan.group.levels[i] for i in plan.levels] if plan.group else None},
    )


def _canonical(plan: TTest) -> Mapping[str, object]:
    """The parameters with defaults filled in."""
    return {
        "variables": [item.name for item in (plan.variable, plan.other) if item],
        "group": plan.group.name if plan.group else None,
        "levels": [plan.group.levels[i] for i in plan.levels] if plan.group else None,
        "mean": plan.mean,
        "conf_level": plan.confidence,
    }


def _counted(plan: TTest) -> Mapping[str, object]:
    """The parameters that decide what is summed: not what the mean is compared with."""
    return {k: v for k, v in _canonical(plan).items() if k not in ("mean", "conf_level")}


ANALYSIS = Analysis(
    name="t_test",
    title="Difference of means (t test)",
    units=("patient",),
    parameters={
        "variables": "a list of one number, or of two of a patient: the second is taken off",
        "group": "a variable with levels, two of which are compared (Welch)",
        "levels": "the two levels; none: the variable has only two",
        "mean": "what the mean of one sample is compared with; default 0",
        "conf_level": "0.90, 0.95 (default) or 0.99",
    },
    rounds=3,
    design=design,
    canonical=_canonical,
    counted=_counted,
    fields=lambda plan: tuple(v.name for v in (plan.variable, plan.other, plan.group) if v),
    table=lambda plan: (plan.group,) if plan.group else (),
    shapes=shapes,
    site=site,
    combine=combine,
)
