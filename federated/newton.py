"""Newton's method over rounds: one step for each answer of the sites, and when to stop.

A step solves information · step = score after both are scaled to a unit diagonal; a term whose
pivot in the Cholesky factorization falls below 1e-10 is a linear combination of terms before it
and takes no part, as in R. A step that lowers the log likelihood is halved. Converged is a fit
whose Newton decrement √(score' · step), its distance from the maximum in standard errors, is at
most 1e-9.

Separation shows as a term whose steps do not shrink while its standard error grows: the likelihood
rises for ever. Its estimate is not a number.
Sources: Boyd and Vandenberghe, Convex Optimization (2004), 9.5; Albert and Anderson, Biometrika 71
(1984) 1; Heinze and Schemper, Biometrics 57 (2001) 114.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray


__all__ = ["MOST_STEPS", "Fit", "Step", "advance", "newton_step", "separated"]

MOST_STEPS = 25
SMALLEST_PIVOT = 1e-10
CONVERGED = 1e-9
ROUNDING = 1e-12  # a log likelihood that falls by less stands still

Vector = NDArray[np.float64]
Matrix = NDArray[np.float64]
Mask = NDArray[np.bool_]


@dataclass(frozen=True)
class Step:
    """One Newton step: zero and NaN in `se` for terms outside `active`."""

    move: Vector
    se: Vector
    covariance: Matrix
    decrement: float
    active: Mask


@dataclass(frozen=True)
class Fit:
    """A fit in progress: `best` are the last coefficients that were not taken back.

    `somebody` are the terms that are not of a level that nobody has, `active` those of them that
    are independent of others; `heights` are the log likelihoods, `asked` the rounds so far.
    """

    somebody: Mask
    active: Mask
    best: Vector
    steps: tuple[Step, ...] = ()
    heights: tuple[float, ...] = ()
    asked: int = field(default=0)

    @staticmethod
    def begin(start: Vector, somebody: Mask) -> "Fit":
        """Return a fit that begins at coefficients `start`."""
        return Fit(somebody, somebody, start)

    @property
    def last(self) -> Step:
        """The last step that was worked out."""
        return self.steps[-1]

    @property
    def endless(self) -> Mask:
        """Terms that are separated."""
        return separated(self.steps)

    @property
    def converged(self) -> bool:
        """Whether the maximum was found."""
        return self.last.decrement <= CONVERGED

    @property
    def estimates(self) -> Vector:
        """The coefficients, NaN where there are none."""
        found = self.best + self.last.move if self.converged else self.best
        return np.where(self.active & ~self.endless, found, np.nan)


def advance(
    fit: Fit, beta: Vector, height: float, score: Vector, information: Matrix
) -> tuple[Fit, Vector | None]:
    """Return the fit after an answer at `beta`, and where to ask next, None when it is settled."""
    fit = replace(fit, asked=fit.asked + 1)
    if fit.heights and height < fit.heights[-1] - ROUNDING * abs(fit.heights[-1]):
        return fit, (beta + fit.best) / 2 if fit.asked < MOST_STEPS else None
    step = newton_step(score, information, fit.active)
    if not fit.steps:
        fit = replace(fit, active=step.active)
    fit = replace(fit, best=beta, steps=(*fit.steps, step), heights=(*fit.heights, height))
    return fit, None if _settled(fit) else beta + step.move


def _settled(fit: Fit) -> bool:
    """Whether the last step is too small to matter, leaving out terms that have no maximum."""
    if fit.converged or fit.asked >= MOST_STEPS:
        return True
    still = fit.last.active & ~fit.endless
    small = np.abs(fit.last.move[still]) <= CONVERGED * fit.last.se[still]
    return bool(fit.endless.any() and small.all())


def newton_step(score: Vector, information: Matrix, active: Mask) -> Step:
    """Return the step of the `active` terms that no others determine; see the module."""
    scale = np.sqrt(np.maximum(np.diag(information), 0))
    independent = active & (scale > 0)
    safe = np.where(independent, scale, 1.0)
    unit = information / np.outer(safe, safe)
    chosen = _independent(unit, independent)
    index = np.flatnonzero(chosen)
    covariance = np.zeros_like(information)
    if index.size:
        inverse = np.linalg.inv(unit[np.ix_(index, index)])
        covariance[np.ix_(index, index)] = inverse / np.outer(safe[index], safe[index])
    covariance = (covariance + covariance.T) / 2
    move = covariance @ score
    with np.errstate(invalid="ignore"):
        se = np.where(chosen, np.sqrt(np.diag(covariance)), np.nan)
    return Step(move, se, covariance, float(np.sqrt(max(float(score @ move), 0.0))), chosen)


def _independent(unit: Matrix, active: Mask) -> Mask:
    """Which active columns of a matrix of unit diagonal do not depend on active ones before."""
    size = len(active)
    factor = np.zeros((size, size))
    chosen = np.zeros(size, dtype=bool)
    for j in np.flatnonzero(active):
        row = unit[j] - factor @ factor[j]
        if row[j] > SMALLEST_PIVOT:
            chosen[j] = True
            factor[:, j] = np.where(np.arange(size) >= j, row / np.sqrt(row[j]), 0.0)
    return chosen


def separated(steps: Sequence[Step]) -> Mask:
    """Terms whose last three steps do not shrink to half and whose standard error grows."""
    if len(steps) < 5:
        return np.zeros(len(steps[-1].move), dtype=bool)
    with np.errstate(invalid="ignore"):
        endless = [
            (np.abs(b.move) > 0.5 * np.abs(a.move))
            & (np.sign(a.move) == np.sign(b.move))
            & (b.se > 1.2 * a.se)
            for a, b in (steps[-3:-1], steps[-2:])
        ]
    return np.asarray(endless[0] & endless[1] & steps[-1].active)
