"""How many fractures per 100 patient-years, by one or two variables?

    rate = D / T,  D: fractures, T: patient-years at risk
Exact limits after Garwood for a Poisson count, α = 1 - confidence:
    lower = χ²(α/2; 2D) / 2T  (0 for D = 0),  upper = χ²(1 - α/2; 2D + 2) / 2T
Source: Garwood, Biometrika 28 (1936) 437. The interval takes fractures as independent; several
fractures of one patient are not, so that it is too narrow where few patients fracture often.

Two rounds. The first counts fractures, and patients with and without any, per cell; the gate
decides which cells are large enough. Only for those the second sums patient-years.

The view has one row per patient and age band and no identifier, so distinct patients are counted
as the largest number of rows in any one band: never more than there are, which is the safe side.

What leaves a site: masked counts per cell, then masked sums for the cells that passed.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray
from scipy.special import gammaincinv  # importing scipy.stats would take half a second

from federated.analysis import (
    Analysis,
    AnalysisView,
    Ask,
    Done,
    ParameterError,
    Rates,
    Screen,
    Variable,
    choose_variables,
)
from federated.statistics import Blocks, Broadcast, Counts, Frame, Shape, Shapes, Sums, tally_codes


__all__ = ["ANALYSIS", "Rate", "combine", "design", "garwood", "shapes", "site"]

BAND, EVENTS, TIME = "age_band", "fracture_count", "person_years"
PER = 100.0


@dataclass(frozen=True)
class Rate:
    """The variables that make the cells; `band` is the age band, in which a patient has one row."""

    by: tuple[Variable, ...]
    band: Variable
    confidence: float

    @property
    def size(self) -> tuple[int, ...]:
        """The cells' public shape."""
        return tuple(len(variable.levels) for variable in self.by)


def design(parameters: Mapping[str, object], view: AnalysisView) -> Rate:
    """Parse `by` and `confidence`; ParameterError lists every problem."""
    chosen, problems = choose_variables(parameters.get("by"), view.variables, most=2, what="by")
    lacking = [name for name in (BAND, EVENTS, TIME) if name not in view.variables]
    problems += [f"the view {view.name} has no {name}, which a rate is made of" for name in lacking]
    confidence = parameters.get("confidence", 0.95)
    if confidence not in (0.90, 0.95, 0.99):
        problems.append("confidence: must be 0.90, 0.95 or 0.99")
    if problems:
        raise ParameterError(problems)
    return Rate(chosen, view.variables[BAND], cast(float, confidence))


def shapes(plan: Rate, broadcast: Broadcast) -> Shapes:
    """Counts in the first round, patient-years once `cells` says which passed."""
    if "cells" in broadcast:
        return {TIME: Shape("sums", plan.size)}
    banded = Shape("counts", (*plan.size, len(plan.band.levels)))
    return {
        "events": Shape("counts", plan.size),
        "patients": banded,
        "contributors": banded,
        "missing": Shape("counts", (1,)),
    }


def site(frame: Frame, plan: Rate, broadcast: Broadcast) -> Blocks:
    """Count one site's rows, or sum patient-years over the cells that passed."""
    cells, bands, events, time = _columns(frame, plan)
    known = (cells >= 0) & (bands >= 0) & ~np.isnan(events) & ~np.isnan(time)
    count = int(np.prod(plan.size))
    if "cells" in broadcast:
        passed = np.asarray(broadcast["cells"], dtype=bool).reshape(-1)
        chosen = known & passed[np.maximum(cells, 0)]
        sums = np.bincount(cells[chosen], weights=time[chosen], minlength=count)
        return {TIME: Sums(sums.astype(np.float64).reshape(plan.size))}
    banded = (count, len(plan.band.levels))
    fractured = known & (events > 0)
    per_cell = np.bincount(cells[known], weights=events[known], minlength=count)
    shape = (*plan.size, banded[1])
    return {
        "events": Counts(np.rint(per_cell).astype(np.int64).reshape(plan.size)),
        "patients": Counts(_tally(cells, bands, known, banded).reshape(shape)),
        "contributors": Counts(_tally(cells, bands, fractured, banded).reshape(shape)),
        "missing": Counts(np.array([frame.rows - known.sum()], dtype=np.int64)),
    }


def combine(total: Blocks, plan: Rate, ask: Ask) -> Ask | Done:
    """Screen the pooled counts, then divide fractures by patient-years."""
    if ask.carry is None:
        patients = cast(NDArray[np.int64], total["patients"].values.max(axis=-1))
        contributors = cast(NDArray[np.int64], total["contributors"].values.max(axis=-1))
        screen = {"cells": Screen(contributors, patients)}
        return Ask(screen=screen, carry=(total, patients, contributors))
    first, patients, contributors = ask.carry
    passed = np.asarray(ask.broadcast["cells"], dtype=bool)
    return Done(
        Rates(
            variables=plan.by,
            events=cast(NDArray[np.int64], first["events"].values),
            patients=patients,
            contributors=contributors,
            person_years=np.where(passed, total[TIME].values, np.nan),
            per=PER,
            confidence=plan.confidence,
            missing=int(first["missing"].values[0]),
            interval=lambda events, time: garwood(events, time, plan.confidence),
        )
    )


def garwood(
    events: NDArray[Any], time: NDArray[np.float64], confidence: float
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return Garwood's exact lower and upper limit of a Poisson rate, per unit of `time`."""
    alpha = 1 - confidence
    with np.errstate(divide="ignore", invalid="ignore"):
        lower = np.where(events > 0, _quantile(alpha / 2, 2 * np.maximum(events, 1)), 0.0)
        upper = _quantile(1 - alpha / 2, 2 * events + 2)
        return lower / (2 * time), upper / (2 * time)


def _quantile(probability: float, freedom: NDArray[Any]) -> NDArray[np.float64]:
    """Return the quantile of chi-squared, as `scipy.stats.chi2.ppf` does."""
    return 2 * np.asarray(gammaincinv(freedom / 2, probability), dtype=np.float64)


def _columns(
    frame: Frame, plan: Rate
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float64], NDArray[np.float64]]:
    """Flat cell (-1 where a variable is missing), band, fractures and patient-years per row."""
    codes = [cast(NDArray[np.int64], frame.columns[item.name]) for item in plan.by]
    known = np.logical_and.reduce([code >= 0 for code in codes])
    flat = np.ravel_multi_index(tuple(np.maximum(code, 0) for code in codes), plan.size)
    return (
        np.where(known, flat, -1),
        cast(NDArray[np.int64], frame.columns[BAND]),
        cast(NDArray[np.float64], frame.columns[EVENTS]),
        cast(NDArray[np.float64], frame.columns[TIME]),
    )


def _tally(
    cells: NDArray[np.int64],
    bands: NDArray[np.int64],
    rows: NDArray[np.bool_],
    size: tuple[int, int],
) -> NDArray[np.int64]:
    """Count the chosen rows per cell and band."""
    return tally_codes((cells[rows], bands[rows]), size).values


ANALYSIS = Analysis(
    name="rate",
    title="Fractures per 100 patient-years",
    units=("patient and age band",),
    parameters={
        "by": "1 or 2 variables with levels, such as age_band",
        "confidence": "0.90, 0.95 (default) or 0.99",
    },
    rounds=2,
    design=design,
    canonical=lambda plan: {
        "by": [item.name for item in plan.by],
        "confidence": plan.confidence,
    },
    counted=lambda plan: {"by": sorted(item.name for item in plan.by)},
    fields=lambda plan: tuple(dict.fromkeys([*(v.name for v in plan.by), BAND, EVENTS, TIME])),
    table=lambda plan: plan.by,
    shapes=shapes,
    site=site,
    combine=combine,
)
