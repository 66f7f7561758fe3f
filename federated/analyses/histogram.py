"""How are measurements distributed? Counts of patients between public edges, by group.

A bin holds its lower edge and not its upper, the last one both, as numpy and R (right = FALSE) have
it; two further bins hold what lies below the first edge and above the last, so that nobody is
dropped. The edges are the request's own. Where the variable declares bounds, they are multiples of
the declared width: edges as fine as one likes would cut out single patients.

The result is a table like that of `crosstab`, with the bins as the last variable's levels, and the
gate treats it as one; by a group it has Pearson's chi-squared test of equal distributions.

What leaves a site: one masked count per group and bin, and the masked number of rows left out.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import cast

import numpy as np
from numpy.typing import NDArray

from federated.analyses.crosstab import chi_squared
from federated.analyses.describe import choose_numbers
from federated.analysis import (
    Analysis,
    AnalysisView,
    Ask,
    Done,
    ParameterError,
    Table,
    Test,
    Variable,
    choose_variables,
)
from federated.statistics import Blocks, Broadcast, Counts, Frame, Shape, Shapes, tally_codes


__all__ = ["ANALYSIS", "Histogram", "combine", "design", "shapes", "site"]

MOST_BINS = 40


@dataclass(frozen=True)
class Histogram:
    """A number, the edges between which it is counted, and the groups."""

    variable: Variable
    edges: tuple[float, ...]
    by: tuple[Variable, ...]

    @property
    def bins(self) -> Variable:
        """The bins as a variable with levels."""
        inner = [f"[{a:g}, {b:g})" for a, b in pairwise(self.edges)]
        inner[-1] = f"{inner[-1][:-1]}]"
        levels = (f"< {self.edges[0]:g}", *inner, f"> {self.edges[-1]:g}")
        item = self.variable
        return Variable(item.name, item.label, levels, levels, item.unit)

    @property
    def size(self) -> tuple[int, ...]:
        """The table's public shape."""
        return (*(len(item.levels) for item in self.by), len(self.edges) + 1)


def design(parameters: Mapping[str, object], view: AnalysisView) -> Histogram:
    """Parse variables, edges and by; ParameterError lists every problem."""
    found, problems = choose_numbers(parameters.get("variables"), view.variables, most=1)
    variable = found[0] if found else None
    by: tuple[Variable, ...] = ()
    if named := parameters.get("by"):
        listed = [named] if isinstance(named, str) else named
        by, wrong = choose_variables(listed, view.variables, most=1, what="by")
        problems += wrong
    edges = parameters.get("edges")
    if not _are_edges(edges):
        problems.append(f"edges: must be 2 to {MOST_BINS + 1} different numbers, ascending")
    elif variable and variable.bounds:
        low, _, step = variable.bounds
        away = (np.asarray(edges, dtype=np.float64) - low) / step
        if not np.allclose(away, np.rint(away), rtol=0, atol=1e-6):
            problems.append(f"edges: {variable.name} is told to {step:g}; use multiples of that")
    if problems or variable is None:
        raise ParameterError(problems)
    return Histogram(variable, tuple(float(edge) for edge in cast(list[float], edges)), by)


def _are_edges(values: object) -> bool:
    """Whether `values` is an ascending list of numbers of a length that is allowed."""
    if not isinstance(values, list | tuple) or not 2 <= len(values) <= MOST_BINS + 1:
        return False
    if any(type(value) not in (int, float) or abs(value) > 1e12 for value in values):
        return False
    return all(a < b for a, b in pairwise(values))


def shapes(plan: Histogram, broadcast: Broadcast) -> Shapes:
    """One count per group and bin, and the rows left out."""
    return {"cells": Shape("counts", plan.size), "missing": Shape("counts", (1,))}


def site(frame: Frame, plan: Histogram, broadcast: Broadcast) -> Blocks:
    """Count one site's rows."""
    values = cast(NDArray[np.float64], frame.columns[plan.variable.name])
    codes = [cast(NDArray[np.int64], frame.columns[item.name]) for item in plan.by]
    known = np.logical_and.reduce([~np.isnan(values), *(code >= 0 for code in codes)])
    edges = np.asarray(plan.edges)
    place = np.searchsorted(edges, values, side="right")
    place = np.where(values == edges[-1], edges.size - 1, place)
    cells = tally_codes((*(code[known] for code in codes), place[known]), plan.size)
    missing = np.array([frame.rows - int(known.sum())], dtype=np.int64)
    return {"cells": cells, "missing": Counts(missing)}


def combine(total: Blocks, plan: Histogram, ask: Ask) -> Ask | Done:
    """Return the pooled table; there is no second round."""
    counts = cast(NDArray[np.int64], total["cells"].values)

    def test(keep: NDArray[np.bool_]) -> Test | None:
        return chi_squared(counts, plan.by[0].levels, keep) if plan.by else None

    variables = (*plan.by, plan.bins)
    return Done(Table(variables, counts, int(total["missing"].values[0]), test))


ANALYSIS = Analysis(
    name="histogram",
    title="Histogram",
    units=("patient",),
    parameters={
        "variables": "a list of one number, such as lumbar_spine_z",
        "edges": f"2 to {MOST_BINS + 1} ascending numbers, the borders of the bins",
        "by": "a variable with levels, a histogram for each; none: everybody together",
    },
    rounds=1,
    design=design,
    canonical=lambda plan: {
        "variables": [plan.variable.name],
        "edges": list(plan.edges),
        "by": [item.name for item in plan.by] or None,
    },
    counted=lambda plan: {
        "variables": [plan.variable.name],
        "edges": list(plan.edges),
        "by": [item.name for item in plan.by],
    },
    fields=lambda plan: tuple(item.name for item in (plan.variable, *plan.by)),
    table=lambda plan: plan.by,
    shapes=shapes,
    site=site,
    combine=combine,
)
