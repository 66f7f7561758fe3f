"""How often do levels of one to three variables occur together?

Each site counts its patients per combination of levels; patients that lack one of the variables
are counted apart. The counts are summed over the sites. A view with several rows per patient cannot
be counted so: many fractures of one patient would pass the gate as many patients.

For two variables, Pearson's chi-squared test of independence, without continuity correction:
    X² = Σ (O - E)² / E,  E = row total · column total / total,
    degrees of freedom = (rows - 1) · (columns - 1) over rows and columns that are not empty.
It is an approximation that is doubtful where an expected count is below 5; the result says so.
Source: Pearson, Philosophical Magazine 50 (1900) 157; Cochran, Biometrics 10 (1954) 417.

What leaves a site: one masked count per combination, whatever the data, and the masked number of
rows left out.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import cast

import numpy as np
from numpy.typing import NDArray
from scipy.special import chdtrc  # chi2.sf without half a second to import scipy.stats

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


__all__ = ["ANALYSIS", "Crosstab", "chi_squared", "combine", "design", "shapes", "site"]

MOST_VARIABLES = 3
SMALL_EXPECTED = 5


@dataclass(frozen=True)
class Crosstab:
    """The variables whose levels are counted together, in the order of the table's axes."""

    variables: tuple[Variable, ...]

    @property
    def size(self) -> tuple[int, ...]:
        """The table's public shape."""
        return tuple(len(variable.levels) for variable in self.variables)


def design(parameters: Mapping[str, object], view: AnalysisView) -> Crosstab:
    """Parse `variables`; ParameterError lists every problem."""
    chosen, problems = choose_variables(
        parameters.get("variables"), view.variables, most=MOST_VARIABLES, what="variables"
    )
    if problems:
        raise ParameterError(problems)
    return Crosstab(chosen)


def shapes(plan: Crosstab, broadcast: Broadcast) -> Shapes:
    """One count per combination of levels, and the rows left out."""
    return {"cells": Shape("counts", plan.size), "missing": Shape("counts", (1,))}


def site(frame: Frame, plan: Crosstab, broadcast: Broadcast) -> Blocks:
    """Count one site's rows."""
    codes = [cast(NDArray[np.int64], frame.columns[item.name]) for item in plan.variables]
    known = np.logical_and.reduce([code >= 0 for code in codes])
    cells = tally_codes(tuple(code[known] for code in codes), plan.size)
    missing = np.array([frame.rows - int(known.sum())], dtype=np.int64)
    return {"cells": cells, "missing": Counts(missing)}


def combine(total: Blocks, plan: Crosstab, ask: Ask) -> Ask | Done:
    """Return the pooled table; there is no second round."""
    counts = cast(NDArray[np.int64], total["cells"].values)

    def test(keep: NDArray[np.bool_]) -> Test | None:
        return chi_squared(counts, plan.variables[0].levels, keep) if counts.ndim == 2 else None

    return Done(Table(plan.variables, counts, int(total["missing"].values[0]), test))


def chi_squared(
    counts: NDArray[np.int64], levels: tuple[str, ...], keep: NDArray[np.bool_]
) -> Test | None:
    """Test independence in the rows of `counts` where `keep`; None below two rows or columns."""
    rows = keep & (counts.sum(axis=1) > 0)
    table = counts[rows]
    table = table[:, table.sum(axis=0) > 0]
    if min(table.shape) < 2:
        return None
    expected = np.outer(table.sum(axis=1), table.sum(axis=0)) / table.sum()
    statistic = float(((table - expected) ** 2 / expected).sum())
    freedom = (table.shape[0] - 1) * (table.shape[1] - 1)
    named = tuple(level for level, kept in zip(levels, rows, strict=True) if kept)
    small = bool((expected < SMALL_EXPECTED).any())
    return Test("chi-squared", statistic, freedom, float(chdtrc(freedom, statistic)), named, small)


ANALYSIS = Analysis(
    name="crosstab",
    title="Cross-tabulation",
    units=("patient",),  # the gate's numbers are of patients: a row must be one
    parameters={"variables": "1 to 3 variables with levels, such as gene_group, ever_fractured"},
    rounds=1,
    design=design,
    canonical=lambda plan: {"variables": [item.name for item in plan.variables]},
    counted=lambda plan: {"variables": sorted(item.name for item in plan.variables)},
    fields=lambda plan: tuple(item.name for item in plan.variables),
    table=lambda plan: plan.variables,
    shapes=shapes,
    site=site,
    combine=combine,
)
