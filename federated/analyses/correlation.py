"""Do measurements go together? Pearson's correlation of every pair of two to ten numbers.

    r = Σ (x - x̄)(y - ȳ) / √(Σ (x - x̄)² Σ (y - ȳ)²) over patients with a value of every variable
    t = r √((n - 2)/(1 - r²)) on n - 2 degrees of freedom;  limits tanh(artanh r ± z/√(n - 3))
Products are taken around pooled means rounded to three digits, so that none is the small difference
of large numbers.
Sources: Pearson, Phil Trans R Soc A 187 (1896) 253; Fisher, Biometrika 10 (1915) 507.

What leaves a site: masked counts of patients with and without every value; then masked sums of the
values; then masked sums of their products around the rounded pooled means.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from itertools import combinations
from typing import cast

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtri, stdtr  # scipy.stats takes half a second to import

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
)
from federated.modelling import packed, three_digits, unpacked
from federated.parameters import confidence
from federated.statistics import Blocks, Broadcast, Counts, Frame, Shape, Shapes, fixed_point


__all__ = ["ANALYSIS", "Correlation", "combine", "design", "shapes", "site"]

Vector = NDArray[np.float64]


@dataclass(frozen=True)
class Correlation:
    """The numbers that are correlated, each with each."""

    variables: tuple[Variable, ...]
    confidence: float


@dataclass(frozen=True)
class _State:
    """What the coordinator keeps between rounds."""

    counts: ModelCounts
    missing: int


def design(parameters: Mapping[str, object], view: AnalysisView) -> Correlation:
    """Parse variables; ParameterError lists every problem."""
    variables, problems = choose_numbers(parameters.get("variables"), view.variables, least=2)
    level = confidence("conf_level", parameters, problems)
    if problems:
        raise ParameterError(problems)
    return Correlation(variables, level)


def shapes(plan: Correlation, broadcast: Broadcast) -> Shapes:
    """Counts, then sums, then products around a centre."""
    if not broadcast:
        return {"missing": Shape("counts", (1,)), "patients": Shape("counts", (1,))}
    p = len(plan.variables)
    away = {"away": Shape("sums", (p,))}
    return {**away, "products": Shape("sums", (p * (p + 1) // 2,))} if _last(broadcast) else away


def site(frame: Frame, plan: Correlation, broadcast: Broadcast) -> Blocks:
    """Count one site's patients, or sum their values and products."""
    x = np.column_stack([cast(Vector, frame.columns[item.name]) for item in plan.variables])
    x = x[~np.isnan(x).any(axis=1)]
    if not broadcast:
        missing = np.array([frame.rows - len(x)], dtype=np.int64)
        return {"missing": Counts(missing), "patients": Counts(np.array([len(x)], dtype=np.int64))}
    away = x - cast(Vector, broadcast["centre"])
    sums = {"away": fixed_point(away.sum(axis=0))}
    if not _last(broadcast):
        return sums
    return {**sums, "products": fixed_point(packed(away.T @ away))}


def _last(broadcast: Broadcast) -> bool:
    """Whether the centre is that of the pooled means."""
    return "products" in broadcast


def combine(total: Blocks, plan: Correlation, ask: Ask) -> Ask | Done:
    """Judge the counts, find the means, then correlate around them."""
    p = len(plan.variables)
    if not ask.broadcast:
        patients = int(total["patients"].values[0])
        counts = ModelCounts(patients, None, p + 1, {})
        state = _State(counts, int(total["missing"].values[0]))
        return Ask({"centre": np.zeros(p)}, model=counts, carry=state)
    state = ask.carry
    n = max(1, state.counts.patients)
    away = cast(Vector, total["away"].values)
    if not _last(ask.broadcast):
        return replace(ask, broadcast={"centre": three_digits(away / n), "products": np.ones(1)})
    products = unpacked(cast(Vector, total["products"].values), p) - np.outer(away, away) / n
    return Done(_outcome(plan, state, products))


def _outcome(plan: Correlation, state: _State, products: NDArray[np.float64]) -> Model:
    """One term per pair; NaN where one of them does not vary, or too few have both."""
    n = state.counts.patients
    pairs = list(combinations(range(len(plan.variables)), 2))
    found = [
        _term(plan, i, j, products[i, j] / _root(products[i, i] * products[j, j]), n)
        for i, j in pairs
    ]
    without = tuple(term.name for term in found if np.isnan(term.estimate))
    return Model(
        name="correlation",
        counts=state.counts,
        terms=tuple(found),
        figures={},
        tests={},
        scale=None,
        robust=False,
        confidence=plan.confidence,
        iterations=1,
        converged=not without,
        issues=(Issue("no_spread", without),) if without else (),
        missing=state.missing,
        described={"method": "pearson"},
    )


def _root(product: float) -> float:
    """The square root, NaN where there is no spread."""
    return float(np.sqrt(product)) if product > 0 else np.nan


def _term(plan: Correlation, i: int, j: int, r: float, n: int) -> Term:
    """A correlation, its test and limits."""
    left, right = plan.variables[i].name, plan.variables[j].name
    r = float(np.clip(r, -1, 1)) if n > 2 else np.nan
    with np.errstate(divide="ignore", invalid="ignore"):
        se = float(np.sqrt((1 - r * r) / (n - 2))) if n > 2 else np.nan
        t = float(np.float64(r) / se)
        width = float(ndtri((1 + plan.confidence) / 2)) / np.sqrt(n - 3) if n > 3 else np.nan
        limits = (float(np.tanh(np.arctanh(r) + sign * width)) for sign in (-1, 1))
        p = float(2 * stdtr(n - 2, -abs(t)))
        return Term(f"{left} × {right}", left, None, None, r, se, t, p, *limits)


ANALYSIS = Analysis(
    name="correlation",
    title="Correlation",
    units=("patient",),
    parameters={
        "variables": "2 to 10 numbers, such as hemoglobin_g_l, calcium_mmol_l",
        "conf_level": "0.90, 0.95 (default) or 0.99",
    },
    rounds=3,
    design=design,
    canonical=lambda plan: {
        "variables": [item.name for item in plan.variables],
        "conf_level": plan.confidence,
    },
    counted=lambda plan: {"variables": sorted(item.name for item in plan.variables)},
    fields=lambda plan: tuple(item.name for item in plan.variables),
    table=lambda plan: (),
    shapes=shapes,
    site=site,
    combine=combine,
)
