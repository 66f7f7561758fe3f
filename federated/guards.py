"""What the gate decides on counts, before any sum is asked for: cells, quantiles, sums, models.

Each guard is a pure function of pooled counts and the policy. A threshold on patients acts from the
next start of a bin of the grid (`Policy.least`), so that what is refused tells no more of a count
than the count itself would, told on the grid.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from math import ceil

import numpy as np
from numpy.typing import NDArray

from federated.analysis import ModelCounts, Screen, Variable
from federated.policy import Policy
from federated.statistics import CONTRIBUTING, Blocks
from transforms.errors import RefusedError


__all__ = [
    "MODEL_RULES",
    "Problem",
    "check_contributing",
    "dominance_passes",
    "model_problems",
    "passing",
    "quantile_passes",
    "table_problems",
]


MODEL_RULES: Mapping[str, str] = {
    "few_patients": "too few patients for a model; widen the cohort",
    "many_parameters": "too many parameters for the patients; drop a term or widen the cohort",
    "few_events_per_parameter": "too few events for the parameters; drop a term",
    "small_term": "too few patients in one of its cells; drop the term or merge its levels",
    "small_risk_set": "too few events at one of its times; use a coarser time grid",
}


@dataclass(frozen=True)
class Problem:
    """Why a regression is not fitted: a key of `MODEL_RULES`, and the variables concerned."""

    rule: str
    variables: tuple[str, ...] = ()

    def __str__(self) -> str:
        """Say the rule in words, with the variables; never a count."""
        where = f"{' × '.join(self.variables)}: " if self.variables else ""
        return f"{where}{MODEL_RULES[self.rule]}"


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


def passing(screen: Screen, policy: Policy) -> NDArray[np.bool_]:
    """Which cells may be asked for in a further round.

    Patients must be enough, and those with the event and those without both nobody or more than
    the grid: what nearly all have tells of the few, as what few have does.
    """
    clear = _clear(screen.contributors, policy) & _clear(
        screen.patients - screen.contributors, policy
    )
    enough = screen.patients >= policy.least(policy.min_denominator)
    if screen.tails is not None:
        enough &= quantile_passes(screen.patients, screen.tails, policy)
    return np.asarray(clear & enough, dtype=np.bool_)


def quantile_passes(
    patients: NDArray[np.int64], tails: NDArray[np.float64], policy: Policy
) -> NDArray[np.bool_]:
    """Whether enough patients lie beyond a quantile; `tails` are min(q, 1 - q), each above 0.

    With 10: a median needs 20 patients, quartiles 40, the 5th percentile 200, each from the next
    bin on. Minimum and maximum have a tail of 0 and are never told.
    """
    needed = [
        policy.least(ceil(policy.min_quantile_tail / tail - 1e-9)) for tail in np.ravel(tails)
    ]
    return np.asarray(patients >= np.reshape(needed, np.shape(tails)), dtype=np.bool_)


def dominance_passes(edges: NDArray[np.float64], counts: NDArray[np.int64], policy: Policy) -> bool:
    """Whether no one and no two patients make most of a sum, as far as a public histogram tells.

    `edges` (k + 1 numbers, none negative) are public, `counts` the k bins' pooled counts. The one
    with most has at most the upper edge of the highest bin that holds anybody, all others at least
    their lower edges; shares after NK and p% rules (ACRO: 50 % for one; Bundesbank: 85 % for two).
    For sums only: means are made of values within public bounds, where nobody can dominate far.
    """
    least = np.repeat(edges[:-1], counts)[::-1]
    most = np.repeat(edges[1:], counts)[::-1]
    for largest, percent in ((1, policy.max_top1_percent), (2, policy.max_top2_percent)):
        top, rest = float(most[:largest].sum()), float(least[largest:].sum())
        if top * (100 - percent) > rest * percent:
            return False
    return True


def model_problems(counts: ModelCounts, policy: Policy) -> tuple[Problem, ...]:
    """Every reason why a regression is not fitted; none when it may be.

    Too many parameters for its patients or events, and any one- or two-way cell of its terms and
    outcome that holds 1 to `grid`: the Gram and Hessian matrices of a model *are* these cells.
    A Cox model's times must each have enough events: two risk sets differ by who left between.
    """
    patients, parameters = counts.patients, counts.parameters
    share = -(-100 * parameters // policy.max_parameter_percent)
    problems = []
    if patients < policy.least(max(policy.min_denominator, 1)):
        problems.append(Problem("few_patients"))
    if patients < policy.least(max(share, parameters + policy.min_residual_df, 1)):
        problems.append(Problem("many_parameters"))
    needed = policy.min_events_per_parameter * parameters
    if counts.events is not None and counts.events < policy.least(max(needed, 1)):
        problems.append(Problem("few_events_per_parameter"))
    if counts.risk_sets is not None:
        few = (counts.risk_sets > 0) & (counts.risk_sets < policy.least(policy.min_step_events))
        problems += [Problem("small_risk_set")] if few.any() else []
    return (*problems, *_small_terms(counts, policy))


def _small_terms(counts: ModelCounts, policy: Policy) -> Iterator[Problem]:
    """Name the terms with a small cell, and pairs where neither is at fault by itself."""
    small = [names for names, cells in counts.tables.items() if not _clear(cells, policy).all()]
    alone = {name for names in small if len(names) == 1 for name in names}
    for names in sorted(small, key=lambda item: (len(item), item)):
        if len(names) == 1 or not alone & set(names):
            yield Problem("small_term", names)


def _clear(counts: NDArray[np.int64], policy: Policy) -> NDArray[np.bool_]:
    """Which counts are nobody or more than the grid."""
    return np.asarray((counts == 0) | (counts > policy.withheld_up_to), dtype=np.bool_)
