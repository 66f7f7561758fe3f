"""Cox's partial likelihood of rows in arrays: risk sets, their moments, residuals, trends.

For events at one time with weights w = exp(x'β - shift), d of them, after Efron (f = l/d; Breslow
takes f = 0) each event has the risk set's moments less the share f of those who die at that time:
    Zk = Σ_at_risk w x^k - f Σ_dying w x^k
`RiskSums` are those sums, additive over sites; `Moments` follow from them, one line per event.
Sources: Efron, JASA 72 (1977) 557; Therneau and Grambsch, Modeling Survival Data (2000), 3.3.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray


__all__ = [
    "Moments",
    "RiskSums",
    "Rows",
    "centred",
    "likelihood_sums",
    "meat",
    "moments_of",
    "risk_sums",
    "score_residuals",
    "trend_sums",
]

CHUNK = 4_000_000  # cells of a risk-set matrix held at once
HOPELESS = -1e12  # the log likelihood of coefficients at which a risk set has no weight
EARLIEST = 1e-3  # of log t: an event at time 0 counts as this early
SUMS = ("likelihood", "score", "information")

Vector = NDArray[np.float64]
Matrix = NDArray[np.float64]
Mask = NDArray[np.bool_]


@dataclass(frozen=True)
class Rows:
    """Complete rows that were ever at risk; `stratum` and `patient` are numbers."""

    x: Matrix
    time: Vector
    entry: Vector
    event: Mask
    stratum: NDArray[np.int64]
    patient: NDArray[np.int64]

    def of(self, chosen: Mask) -> "Rows":
        """Return the chosen rows."""
        return Rows(*(getattr(self, name)[chosen] for name in Rows.__dataclass_fields__))


@dataclass(frozen=True)
class RiskSums:
    """Per event time: deaths, Σ w (1, x, xx') over those at risk and over the dying, Σ_dying x."""

    times: Vector
    deaths: NDArray[np.int64]
    at_risk: Matrix
    dying: Matrix
    happened: Matrix


@dataclass(frozen=True)
class Moments:
    """The risk set's weighted moments at each event.

    `at` is the event's position in the times, `share` Efron's f; `total` is Z0, `mean` and `spread`
    (packed) those of the covariates.
    """

    at: NDArray[np.int64]
    share: Vector
    total: Vector
    mean: Matrix
    spread: Matrix


def centred(rows: Rows) -> Rows:
    """Return rows with covariates around their own mean; a constant becomes exactly zero."""
    constant = np.ptp(rows.x, axis=0) == 0
    return replace(rows, x=np.where(constant, 0.0, rows.x - rows.x.mean(axis=0)))


def risk_sums(rows: Rows, times: Vector, weight: Vector) -> RiskSums:
    """Sum over those at risk and those dying at each of `times`, ascending, with every event's."""
    upper = np.triu_indices(rows.x.shape[1])
    products = rows.x[:, upper[0]] * rows.x[:, upper[1]]
    weighted = weight[:, None] * np.column_stack([np.ones(len(weight)), rows.x, products])
    at_risk = np.zeros((times.size, weighted.shape[1]))
    for chosen in _chunks(rows, times):
        at_risk[chosen] = _at_risk(rows, times[chosen]) @ weighted
    dying, happened = np.zeros_like(at_risk), np.zeros((times.size, rows.x.shape[1]))
    place = np.searchsorted(times, rows.time[rows.event])
    np.add.at(dying, place, weighted[rows.event])
    np.add.at(happened, place, rows.x[rows.event])
    deaths = np.bincount(place, minlength=times.size).astype(np.int64)
    return RiskSums(times, deaths, at_risk, dying, happened)


def moments_of(risk: RiskSums, ties: str) -> Moments:
    """Return the moments at each event; `ties` is "efron" or "breslow"."""
    size = risk.happened.shape[1]
    upper = np.triu_indices(size)
    at = np.repeat(np.arange(risk.times.size), risk.deaths)
    share = np.zeros(at.size)
    if ties == "efron":
        first = np.repeat(np.cumsum(risk.deaths) - risk.deaths, risk.deaths)
        share = (np.arange(at.size) - first) / risk.deaths[at]
    sums = risk.at_risk[at] - share[:, None] * risk.dying[at]
    with np.errstate(divide="ignore", invalid="ignore"):
        scaled = sums[:, 1:] / sums[:, :1]
    mean = scaled[:, :size]
    spread = scaled[:, size:] - mean[:, upper[0]] * mean[:, upper[1]]
    return Moments(at, share, sums[:, 0], mean, spread)


def likelihood_sums(
    risk: RiskSums, moments: Moments, beta: Vector, shift: float
) -> Mapping[str, Vector]:
    """Return log likelihood (one number), score and packed information; `shift` is the weights'."""
    if not bool((moments.total > 0).all()):
        nothing = np.zeros(moments.mean.shape[1]), np.zeros(moments.spread.shape[1])
        return dict(zip(SUMS, (np.array([HOPELESS]), *nothing), strict=True))
    happened = risk.happened.sum(axis=0)
    likelihood = happened @ beta - shift * risk.deaths.sum() - np.log(moments.total).sum()
    score = happened - moments.mean.sum(axis=0)
    found = (np.array([likelihood]), score, moments.spread.sum(axis=0))
    return dict(zip(SUMS, found, strict=True))


def trend_sums(risk: RiskSums, moments: Moments, scale: str) -> Mapping[str, Vector]:
    """Return the sums of the score test that no coefficient changes with time ("identity", "log").

    Score of, information of, and both together with, coefficients of x·g(t).
    """
    g = risk.times if scale == "identity" else np.log(np.maximum(risk.times, EARLIEST))
    each = g[moments.at][:, None]
    score = (g[:, None] * risk.happened).sum(axis=0) - (each * moments.mean).sum(axis=0)
    return {
        "trend score": score,
        "trend cross": (each * moments.spread).sum(axis=0),
        "trend information": (each * each * moments.spread).sum(axis=0),
    }


def score_residuals(rows: Rows, weight: Vector, risk: RiskSums, moments: Moments) -> Matrix:
    """Each row's part of the score: what happened to it less what its risk made expected."""
    size = moments.mean.shape[1]
    hazard = np.column_stack([np.ones(len(moments.mean)), moments.mean]) / moments.total[:, None]
    hazards, spares, means = (np.zeros((risk.times.size, k)) for k in (size + 1, size + 1, size))
    np.add.at(hazards, moments.at, hazard)
    np.add.at(spares, moments.at, moments.share[:, None] * hazard)  # Efron spares the dying
    np.add.at(means, moments.at, moments.mean)
    expected = np.zeros((rows.time.size, size + 1))
    for chosen in _chunks(rows, risk.times):
        expected += _at_risk(rows, risk.times[chosen]).T @ hazards[chosen]
    place = np.searchsorted(risk.times, rows.time[rows.event])
    expected[rows.event] -= spares[place]
    found = -weight[:, None] * (rows.x * expected[:, :1] - expected[:, 1:])
    found[rows.event] += rows.x[rows.event] - (means / risk.deaths[:, None])[place]
    return found


def meat(residuals: Matrix, patient: NDArray[np.int64]) -> Matrix:
    """Sum of outer products of the patients' residuals."""
    sums = np.zeros((int(patient.max(initial=-1)) + 1, residuals.shape[1]))
    np.add.at(sums, patient, residuals)
    return sums.T @ sums


def _chunks(rows: Rows, times: Vector) -> list[slice]:
    """Cut the times so that the matrix of who is at risk is never large."""
    width = max(1, CHUNK // max(1, rows.time.size))
    return [slice(start, start + width) for start in range(0, times.size, width)]


def _at_risk(rows: Rows, times: Vector) -> Matrix:
    """1 where a row (column) is at risk at a time (line), else 0.

    Products with it, and no differences of running sums, so that a small risk set after a large one
    keeps its digits.
    """
    part = times[:, None]
    there = (rows.entry[None, :] < part) & (rows.time[None, :] >= part)
    return there.astype(np.float64)
