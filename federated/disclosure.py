"""The one gate between a pooled outcome and anything that may be published.

`release` knows a closed set of outcomes by their type; any other value is an error, so that a new
kind of result needs a new rule here. Every rule works on *pooled* cells: a centre with three
patients contributes, and only the consortium's cell must be large enough.

- A count of 1 to `grid` is withheld; larger ones are shown as the midpoint of their bin (7-12 as 9
  with the default grid of 6), so that two answers cannot be subtracted to one patient.
- A zero is shown only where every line of the table through it holds enough patients.
- A total is the sum of what is shown, so that it cannot give a withheld cell away.
- A percentage comes from the shown cells of its line only, and only when all of them are shown:
  what the rest of a line adds up to would give its withheld cells away. A rate comes from shown
  numbers with enough patients, and with enough of them, or none, behind the events.
- A survival curve shows a step only after enough events, delayed until then, and ends where too few
  are at risk.

`Withheld` is a value of its own: never zero, never missing. It names the rule and not the count.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import singledispatch
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from federated.analysis import (
    Curve,
    Curves,
    Model,
    ModelCounts,
    Rates,
    Screen,
    Summaries,
    Table,
    Term,
    Variable,
)
from federated.guards import model_problems, quantile_passes
from federated.policy import Policy
from federated.statistics import CONTRIBUTING, Blocks
from transforms.errors import RefusedError, raise_all


__all__ = [
    "RULES",
    "Published",
    "Withheld",
    "check_contributing",
    "check_model",
    "passing",
    "release",
    "table_problems",
]

RULES: Mapping[str, str] = {
    "small_cell": "too few patients in the cell; merge levels or widen the cohort",
    "small_denominator": "too few patients to relate to; merge levels or widen the cohort",
    "complement": "a cell of the line is withheld and a share would tell it; merge levels",
    "small_tail": "too few patients still under observation; the curve ends here",
    "small_start": "too few patients under observation at the start; merge groups",
    "few_events": "too few events for a step of the curve; merge groups",
    "few_levels": "fewer than two levels can be shown in full, so there is nothing to test",
}

Json: TypeAlias = Mapping[str, object]


@dataclass(frozen=True)
class Withheld:
    """A number that exists and is not shown, by one of `RULES`."""

    rule: str

    def to_json(self) -> Json:
        """Return how the value is written in a result."""
        return {"withheld": self.rule}


Shown: TypeAlias = int | float | Withheld | None


@dataclass(frozen=True)
class Published:
    """What the gate let out, as JSON values with `Withheld` where a number is not shown.

    Only this module makes one: an import contract and a test keep it so.
    """

    data: Json


def table_problems(variables: Sequence[Variable], policy: Policy) -> tuple[str, ...]:
    """Say how a table of `variables` is larger than allowed; its size is public, so it is told."""
    cells = int(np.prod([len(variable.levels) for variable in variables]))
    problems = []
    if len(variables) > policy.max_dimensions:
        problems.append(f"{len(variables)} variables: the policy allows {policy.max_dimensions}")
    if cells > policy.max_cells:
        problems.append(f"{cells} cells: the policy allows {policy.max_cells}; drop a variable")
    return tuple(problems)


def check_contributing(total: Blocks, policy: Policy) -> None:
    """Raise RefusedError unless enough sites hold somebody of the cohort; says not how many do.

    What two sites hold together, either could work out by taking off its own.
    """
    if int(total[CONTRIBUTING].values[0]) < policy.min_sites > 1:
        raise RefusedError(
            f"fewer than {policy.min_sites} sites hold anybody of the cohort; widen the cohort"
        )


def check_model(counts: ModelCounts, policy: Policy) -> None:
    """Raise RefusedError when a model may not be fitted on these counts; tells none of them."""
    raise_all(RefusedError, [str(problem) for problem in model_problems(counts, policy)])


@singledispatch
def release(outcome: object, policy: Policy) -> Published:
    """Apply every rule of `policy` to a pooled `outcome`; TypeError for an unknown kind."""
    raise TypeError(f"no disclosure rule for {type(outcome).__name__}")


def passing(screen: Screen, policy: Policy) -> NDArray[np.bool_]:
    """Which cells may be asked for in a further round."""
    clear = (screen.contributors == 0) | (screen.contributors > _withheld_up_to(policy))
    return np.asarray(clear & (screen.patients >= policy.min_denominator), dtype=np.bool_)


@release.register
def _release_table(table: Table, policy: Policy) -> Published:
    """Counts, shares within the last variable, their total, and the test over clear levels."""
    raise_all(RefusedError, table_problems(table.variables, policy))
    cells = _counts(table.counts, _smallest_line(table.counts), policy)
    data = {
        "shape": "table",
        "variables": [_describe(variable) for variable in table.variables],
        "counts": _nest(cells, table.counts.shape),
        "percent": _nest(_percentages(cells, table.counts, policy), table.counts.shape),
        "total": sum(cell for cell in cells if isinstance(cell, int)),
        "missing": _write(_count(table.missing, policy.min_denominator, policy)),
        "test": _test(table, cells, policy),
    }
    return Published(data)


@release.register
def _release_curves(curves: Curves, policy: Policy) -> Published:
    """One curve per group, each merged and cut as its own numbers need."""
    data = {
        "shape": "curves",
        "time": _describe(curves.time),
        "group": _describe(curves.group) if curves.group else None,
        "confidence": curves.confidence,
        "curves": [_curve(curve, policy) for curve in curves.curves],
        "unobserved": _write(_count(curves.unobserved, policy.min_denominator, policy)),
        "missing": _write(_count(curves.missing, policy.min_denominator, policy)),
    }
    return Published(data)


@release.register
def _release_rates(rates: Rates, policy: Policy) -> Published:
    """Events, patients, patient-years, rate and exact limits per cell."""
    raise_all(RefusedError, table_problems(rates.variables, policy))
    asked = ~np.isnan(rates.person_years)
    passed = passing(Screen(rates.contributors, rates.patients), policy) & asked
    cells = [_rate(rates, index, bool(passed[index]), policy) for index in np.ndindex(passed.shape)]
    data = {
        "shape": "rates",
        "variables": [_describe(variable) for variable in rates.variables],
        "per": rates.per,
        "confidence": rates.confidence,
        "cells": cells,
        "missing": _write(_count(rates.missing, policy.min_denominator, policy)),
    }
    return Published(data)


@release.register
def _release_summaries(summaries: Summaries, policy: Policy) -> Published:
    """Number of values, mean, SD and quantiles per group and variable."""
    raise_all(RefusedError, table_problems(summaries.by, policy))
    size = tuple(len(item.levels) for item in summaries.by)
    groups = [
        {
            "by": {v.name: v.levels[i] for v, i in zip(summaries.by, index, strict=True)},
            "variables": {
                item.name: _summary(summaries, g, v, policy)
                for v, item in enumerate(summaries.variables)
            },
        }
        for g, index in enumerate(np.ndindex(size))
    ]
    data = {
        "shape": "summaries",
        "variables": [_describe(variable) for variable in summaries.variables],
        "by": [_describe(variable) for variable in summaries.by],
        "groups": groups,
        "missing": _write(_count(summaries.missing, policy.min_denominator, policy)),
    }
    return Published(data)


def _summary(summaries: Summaries, group: int, variable: int, policy: Policy) -> Json:
    """One variable in one group; a quantile needs enough patients on either side of it."""
    rows, values = int(summaries.rows[group]), int(summaries.counts[group, variable])
    enough = values >= policy.least(policy.min_denominator)

    def told(number: float, passes: bool) -> object:
        if not passes:
            return Withheld("small_denominator").to_json()
        return None if np.isnan(number) else _digits(number, policy)

    p = np.asarray(summaries.probabilities)
    passes = quantile_passes(np.full(p.shape, values), np.minimum(p, 1 - p), policy)
    numbers = summaries.quantiles[group, variable]
    quantiles = {
        f"{q:g}": told(float(number), bool(enough and passed))
        for q, number, passed in zip(p, numbers, passes, strict=True)
    }
    return {
        "n": _write(_count(values, values, policy)),
        "missing": _write(_count(rows - values, rows, policy)),
        "mean": told(float(summaries.mean[group, variable]), enough),
        "sd": told(float(summaries.sd[group, variable]), enough),
        "quantiles": quantiles,
    }


@release.register
def _release_model(model: Model, policy: Policy) -> Published:
    """Coefficients with their errors, tests, and counts; what cannot be estimated is None."""
    check_model(model.counts, policy)
    patients, events = model.counts.patients, model.counts.events
    data = {
        "shape": "model",
        "model": model.name,
        "terms": [_term(term, model.scale, policy) for term in model.terms],
        "n": _write(_count(patients, patients, policy)),
        "events": None if events is None else _write(_count(events, patients, policy)),
        **{name: _figure(number, policy.digits) for name, number in model.figures.items()},
        "tests": {
            name: {key: _figure(number, policy.digits) for key, number in test.items()}
            for name, test in model.tests.items()
        },
        "scale": model.scale,
        "robust": model.robust,
        "conf_level": model.confidence,
        "iterations": model.iterations,
        "converged": model.converged,
        "issues": [{"kind": item.kind, "terms": list(item.terms)} for item in model.issues],
        "missing": _write(_count(model.missing, policy.min_denominator, policy)),
        **model.described,
    }
    return Published(data)


def _term(term: Term, scale: str | None, policy: Policy) -> Json:
    """One coefficient; on the scale of a ratio as well where the model has one."""
    limits = {"estimate": term.estimate, "ci_low": term.lower, "ci_high": term.upper}
    numbers = {**limits, "se": term.se, "statistic": term.statistic, "p": term.p_value}
    if scale:
        ratios = dict(zip(limits, (scale, "ratio_low", "ratio_high"), strict=True))
        with np.errstate(over="ignore"):
            numbers |= {ratio: float(np.exp(limits[name])) for name, ratio in ratios.items()}
    names = {"variable": term.variable, "level": term.level, "reference": term.reference}
    told = {name: _figure(number, policy.digits) for name, number in numbers.items()}
    return {"term": term.name, **names, **told}


def _figure(number: float, digits: int) -> float | int | None:
    """Round to significant digits, whole numbers as they are; None for what is no number."""
    if isinstance(number, int):
        return number
    return _significant(number, digits) if np.isfinite(number) else None


def _count(number: int, denominator: int, policy: Policy) -> int | Withheld:
    """Show one count on the grid; `denominator` decides whether a zero may be seen."""
    if number == 0 and denominator >= policy.min_denominator:
        return 0
    if number <= _withheld_up_to(policy):
        return Withheld("small_cell")
    return (number - 1) // policy.grid * policy.grid + (policy.grid + 1) // 2


def _withheld_up_to(policy: Policy) -> int:
    """Largest count that is withheld: `grid`, or 0 for a policy that rounds to 1, the exact one."""
    return policy.grid if policy.grid > 1 else 0


def _counts(
    counts: NDArray[np.int64], denominators: NDArray[np.int64], policy: Policy
) -> list[int | Withheld]:
    """Show all cells, in the array's order."""
    pairs = zip(counts.reshape(-1), denominators.reshape(-1), strict=True)
    return [_count(int(number), int(denominator), policy) for number, denominator in pairs]


def _smallest_line(counts: NDArray[np.int64]) -> NDArray[np.int64]:
    """For each cell, the smallest total of the lines through it, one line per axis.

    An empty cell in a line of few patients tells what all of those few are.
    """
    lines = [
        np.broadcast_to(counts.sum(axis=axis, keepdims=True), counts.shape)
        for axis in range(counts.ndim)
    ]
    return np.asarray(np.minimum.reduce(lines), dtype=np.int64)


def _percentages(
    cells: Sequence[int | Withheld], counts: NDArray[np.int64], policy: Policy
) -> list[float | Withheld | None]:
    """Share of each shown cell within its line of the last variable."""
    width = counts.shape[-1]
    lines = [cells[start : start + width] for start in range(0, len(cells), width)]
    totals = counts.sum(axis=-1).reshape(-1)
    return [
        share
        for line, total in zip(lines, totals, strict=True)
        for share in _shares(line, int(total), policy)
    ]


def _shares(
    line: Sequence[int | Withheld], whole: int, policy: Policy
) -> Sequence[float | Withheld | None]:
    """Percentages of one line; None where there is nobody and that may be seen.

    What they say follows from the shown counts alone. Which cell of the line is withheld makes no
    difference, because the sum of the others would tell a small count, or that it is a zero.
    """
    shown = [cell for cell in line if isinstance(cell, int)]
    if len(shown) < len(line):
        return [Withheld("complement")] * len(line)
    if whole < policy.min_denominator:
        return [Withheld("small_denominator")] * len(line)
    total = sum(shown)
    return [_digits(100 * cell / total, policy) if total else None for cell in shown]


def _test(table: Table, cells: Sequence[int | Withheld], policy: Policy) -> object:
    """The test over the first variable's levels whose every cell is shown; None if undefined.

    A level with a withheld cell stays out even when that is a zero: that it is in would tell so.
    """
    counts = table.counts
    if counts.ndim != 2:
        return None
    shown = np.array([isinstance(cell, int) for cell in cells], dtype=bool).reshape(counts.shape)
    enough = counts.sum(axis=1) >= policy.min_denominator
    test = table.test(shown.all(axis=1) & enough)
    if test is None:
        return Withheld("few_levels").to_json()
    digits = min(policy.digits, 2) if policy.digits < 17 else 17
    return {
        "name": test.name,
        "statistic": _significant(test.statistic, digits),
        "degrees_of_freedom": test.degrees_of_freedom,
        "p_value": _significant(test.p_value, digits),
        "levels": list(test.levels),
        "small_expected": test.small_expected,
    }


def _curve(curve: Curve, policy: Policy) -> Json:
    """Merge bins until each has enough events, and stop where too few are at risk."""
    steps = _merge(curve, policy)
    observed = int(curve.at_risk.max(initial=0))
    rows = [_step(curve, index, policy) for index in steps]
    survival = [(row["time"], row["survival"]) for row in rows]
    rest = _rest(curve, steps, policy)
    # Without a step there may have been events all the same: that is not "none".
    events = int(curve.events[: steps[-1] + 1].sum()) if steps else 0
    shown_events = _count(events, observed, policy) if steps or rest is None else rest
    return {
        "level": curve.level,
        "label": curve.label,
        "largest_at_risk": _write(_count(observed, observed, policy)),
        "events": _write(shown_events),
        "steps": rows,
        "median": next((time for time, value in survival if _below(value)), None),
        "end": float(curve.times[steps[-1]]) if steps else None,
        "rest": _write(rest),
    }


def _merge(curve: Curve, policy: Policy) -> list[int]:
    """Return the bins at whose end the curve is shown.

    A step is delayed until `min_step_events` events came together. The last bin where enough
    patients are at risk is shown as well when nothing happened since the step before.
    """
    shown: list[int] = []
    waiting = 0
    last = _last_observed(curve, policy)
    for index in range(last + 1):
        waiting += int(curve.events[index])
        if waiting and waiting >= policy.min_step_events:
            shown.append(index)
            waiting = 0
    if last >= 0 and waiting == 0 and last not in shown:
        shown.append(last)
    return shown


def _last_observed(curve: Curve, policy: Policy) -> int:
    """Index of the last bin before the number at risk falls below the limit for good; -1: none.

    Under left truncation few may be at risk at first; the curve starts where it starts, and a
    bin with too few makes everything after it rest on them.
    """
    enough = curve.at_risk >= max(policy.min_at_risk, 1)
    return int(np.argmin(enough)) - 1 if not enough.all() else len(enough) - 1


def _step(curve: Curve, index: int, policy: Policy) -> dict[str, object]:
    """One shown point of a curve; probabilities to two decimals under a rounding policy."""
    decimals = 2 if policy.grid > 1 else 17
    at_risk = int(curve.at_risk[index])
    return {
        "time": float(curve.times[index]),
        "survival": round(float(curve.survival[index]), decimals),
        "lower": round(float(curve.lower[index]), decimals),
        "upper": round(float(curve.upper[index]), decimals),
        "at_risk": _write(_count(at_risk, at_risk, policy)),
    }


def _below(survival: object) -> bool:
    """Whether a shown survival has reached one half; a product of 30 factors misses it by 1e-16."""
    return isinstance(survival, float) and survival <= 0.5 + 1e-9


def _rest(curve: Curve, steps: Sequence[int], policy: Policy) -> Withheld | None:
    """Why the curve ends before its patients do; None when nobody is left after the last step.

    An empty group looks like one of few patients, unless a zero may be seen.
    """
    after = steps[-1] + 1 if steps else 0
    left = bool(curve.at_risk[after:].any())
    if not left and (steps or _count(0, 0, policy) == 0):
        return None
    if _last_observed(curve, policy) < 0:
        return Withheld("small_start")
    return Withheld("small_tail" if steps else "few_events")


def _rate(rates: Rates, index: tuple[int, ...], passed: bool, policy: Policy) -> Json:
    """One cell: its levels, patients, and either its rate or why that is withheld."""
    patients = int(rates.patients[index])
    cell = {
        "levels": [item.levels[i] for item, i in zip(rates.variables, index, strict=True)],
        "patients": _write(_count(patients, patients, policy)),
    }
    events = _count(int(rates.events[index]), patients, policy)
    if passed and not isinstance(events, Withheld):
        years = _digits(float(rates.person_years[index]), policy)
        return {**cell, **_rate_numbers(rates, events, years, policy)}
    rule = "small_denominator" if patients < policy.min_denominator else "small_cell"
    names = ("events", "person_years", "rate", "lower", "upper")
    return {**cell, **dict.fromkeys(names, Withheld(rule).to_json())}


def _rate_numbers(rates: Rates, events: int, years: float, policy: Policy) -> Json:
    """Rate and limits from shown numbers; None where there was no time at risk."""
    if years <= 0:
        return {"events": events, "person_years": years, "rate": None, "lower": None, "upper": None}
    lower, upper = rates.interval(np.asarray([events]), np.asarray([years]))
    return {
        "events": events,
        "person_years": years,
        "rate": _digits(rates.per * events / years, policy),
        "lower": _digits(rates.per * float(lower[0]), policy),
        "upper": _digits(rates.per * float(upper[0]), policy),
    }


def _describe(variable: Variable) -> Json:
    """A variable's public description."""
    return {
        "name": variable.name,
        "label": variable.label,
        "levels": list(variable.levels),
        "level_labels": list(variable.level_labels),
        "unit": variable.unit,
    }


def _digits(number: float, policy: Policy) -> float:
    """Round to the policy's significant digits."""
    return _significant(number, policy.digits)


def _significant(number: float, digits: int) -> float:
    """Round to significant digits; 17 keep every bit."""
    return float(f"{number:.{digits}g}")


def _write(value: Shown) -> object:
    """Return a shown number, or how a withheld one is written."""
    return value.to_json() if isinstance(value, Withheld) else value


def _nest(cells: Sequence[Shown], size: Sequence[int]) -> object:
    """Fold a flat list of cells into lists of lists of the table's shape."""
    if len(size) == 1:
        return [_write(cell) for cell in cells]
    width = len(cells) // size[0]
    return [_nest(cells[i : i + width], size[1:]) for i in range(0, len(cells), width)]
