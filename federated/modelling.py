"""What every regression shares: terms, their columns, one Newton step, and when it fails.

Terms follow from the request and the dictionary alone: a number is one term, a variable of k levels
is k - 1 terms against its reference level. A level that nobody has stays a column of zeros.

A step solves information · step = score after both are scaled to a unit diagonal; a term whose
pivot in the Cholesky factorization falls below 1e-10 is a linear combination of terms before it
and takes no part, as in R. Converged is a fit whose Newton decrement √(score' · step), which is its
distance from the maximum in standard errors, is at most 1e-9.

Separation shows as a term whose steps do not shrink while its standard error grows: the likelihood
rises for ever. Its estimate is not a number.
Source: Albert and Anderson, Biometrika 71 (1984) 1; Heinze and Schemper, Biometrics 57 (2001) 114;
Boyd and Vandenberghe, Convex Optimization (2004), 9.5, for the decrement.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import cast

import numpy as np
from numpy.typing import NDArray
from scipy.special import chdtrc, ndtr, ndtri  # scipy.stats takes half a second to import

from federated.analysis import Issue, Term, Variable, suggest
from federated.statistics import Blocks, Counts, Frame, Shape, Shapes, tally_codes


__all__ = [
    "CONVERGED",
    "Covariate",
    "Step",
    "chi_squared_test",
    "columns",
    "covariates",
    "issues_of",
    "newton_step",
    "packed",
    "pair_counts",
    "pair_shapes",
    "pair_tables",
    "present",
    "separated",
    "term_names",
    "terms",
    "unpacked",
]

MOST_PARAMETERS = 40
SMALLEST_PIVOT = 1e-10
CONVERGED = 1e-9

Vector = NDArray[np.float64]
Matrix = NDArray[np.float64]
Mask = NDArray[np.bool_]


@dataclass(frozen=True)
class Covariate:
    """A variable of a model; `reference` is the position of its reference level, None: a number."""

    variable: Variable
    reference: int | None

    @property
    def levels(self) -> tuple[int, ...]:
        """Positions of the levels that have a term."""
        every = range(len(self.variable.levels))
        return tuple(index for index in every if index != self.reference)

    @property
    def width(self) -> int:
        """Number of terms."""
        return 1 if self.reference is None else len(self.levels)


@dataclass(frozen=True)
class Step:
    """One Newton step: zero and NaN in `se` for terms outside `active`."""

    move: Vector
    se: Vector
    covariance: Matrix
    decrement: float
    active: Mask


def covariates(
    parameters: Mapping[str, object], variables: Mapping[str, Variable], problems: list[str]
) -> tuple[Covariate, ...]:
    """Return the covariates of a request, noting what is wrong with them."""
    names, references = parameters.get("covariates"), parameters.get("reference") or {}
    if not isinstance(names, list | tuple) or not names:
        problems.append("covariates: must be a list of variables")
        return ()
    if len(set(map(str, names))) != len(names):
        problems.append("covariates: names a variable twice")
    if not isinstance(references, Mapping):
        problems.append("reference: must be a table, variable = level")
        references = {}
    problems += [
        f"covariates: unknown variable {name}{suggest(name, variables)}"
        for name in names
        if not isinstance(name, str) or name not in variables
    ]
    problems += [f"reference: {name} is no covariate" for name in references if name not in names]
    known = [variables[name] for name in names if isinstance(name, str) and name in variables]
    chosen = tuple(_covariate(item, references.get(item.name), problems) for item in known)
    if sum(item.width for item in chosen) > MOST_PARAMETERS:
        problems.append(
            f"covariates: more than {MOST_PARAMETERS} terms; drop a variable, or use one with "
            "fewer levels"
        )
    return chosen


def _covariate(item: Variable, reference: object, problems: list[str]) -> Covariate:
    """One covariate; the first level is the reference unless another is named."""
    if not item.coded:
        if reference is not None:
            problems.append(f"reference: {item.name} is a number and has no levels")
        return Covariate(item, None)
    if reference is not None and reference not in item.levels:
        problems.append(
            f"reference: {item.name} has no level {reference}{suggest(reference, item.levels)}"
        )
        return Covariate(item, 0)
    return Covariate(item, 0 if reference is None else item.levels.index(str(reference)))


def term_names(chosen: Sequence[Covariate]) -> tuple[tuple[str, str, str | None], ...]:
    """(term, variable, level) per column: a number by its name, a level in brackets behind it."""
    names: list[tuple[str, str, str | None]] = []
    for item in chosen:
        name, levels = item.variable.name, item.variable.levels
        if item.reference is None:
            names.append((name, name, None))
        for index in item.levels if item.reference is not None else ():
            plain = levels == ("false", "true") and index == 1
            names.append((name if plain else f"{name}[{levels[index]}]", name, levels[index]))
    return tuple(names)


def columns(frame: Frame, chosen: Sequence[Covariate]) -> tuple[Matrix, Mask]:
    """Return one column per term, rows × terms, and which rows lack no covariate."""
    found: list[Vector] = []
    known = np.ones(frame.rows, dtype=bool)
    for item in chosen:
        values = frame.columns[item.variable.name]
        if item.reference is None:
            number = cast(Vector, values)
            known &= ~np.isnan(number)
            found.append(number)
        else:
            known &= cast(NDArray[np.int64], values) >= 0
            found += [(values == index).astype(np.float64) for index in item.levels]
    return np.column_stack(found) if found else np.zeros((frame.rows, 0)), known


def pair_shapes(coded: Sequence[Variable]) -> Shapes:
    """Blocks of counts for every pair of variables with levels, or for the only one."""
    return {
        f"pair {i} {j}": Shape("counts", (len(coded[i].levels), len(coded[j].levels)))
        for i, j in _pairs(coded)
    }


def pair_counts(
    coded: Sequence[Variable], codes: Sequence[NDArray[np.int64]], patient: NDArray[np.int64]
) -> Blocks:
    """Count distinct patients per pair of levels; `codes` has no missing value."""
    blocks: dict[str, Counts] = {}
    for i, j in _pairs(coded):
        size = (len(coded[i].levels), len(coded[j].levels))
        rows = np.unique(np.stack([patient, codes[i], codes[j]]), axis=1)
        blocks[f"pair {i} {j}"] = tally_codes((rows[1], rows[2]), size)
    return blocks


def pair_tables(
    coded: Sequence[Variable], total: Blocks
) -> Mapping[tuple[str, ...], NDArray[np.int64]]:
    """Pooled one- and two-way counts by the variables' names."""
    tables: dict[tuple[str, ...], NDArray[np.int64]] = {}
    for i, j in _pairs(coded):
        counts = cast(NDArray[np.int64], total[f"pair {i} {j}"].values)
        tables[coded[i].name,] = counts.sum(axis=1)
        tables[coded[j].name,] = counts.sum(axis=0)
        if i != j:
            tables[coded[i].name, coded[j].name] = counts
    return tables


def present(
    chosen: Sequence[Covariate], tables: Mapping[tuple[str, ...], NDArray[np.int64]]
) -> Mask:
    """Which terms are of a number, or of a level that somebody has."""
    found: list[bool] = []
    for item in chosen:
        if item.reference is None:
            found.append(True)
        else:
            found += [bool(n) for n in tables[item.variable.name,][list(item.levels)] > 0]
    return np.asarray(found, dtype=bool)


def _pairs(coded: Sequence[Variable]) -> list[tuple[int, int]]:
    """Positions of all pairs; of a single variable, itself by itself."""
    return [(0, 0)] if len(coded) == 1 else list(combinations(range(len(coded)), 2))


def packed(matrix: Matrix) -> Vector:
    """The upper triangle of a symmetric matrix, row by row."""
    return matrix[np.triu_indices(matrix.shape[-1])]


def unpacked(triangle: Vector, size: int) -> Matrix:
    """Undo `packed`."""
    matrix = np.zeros((size, size))
    matrix[np.triu_indices(size)] = triangle
    return matrix + np.triu(matrix, 1).T


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


def terms(
    chosen: Sequence[Covariate],
    estimates: Vector,
    se: Vector,
    confidence: float,
) -> tuple[Term, ...]:
    """Wald statistics of each term; NaN in, NaN out."""
    width = float(ndtri((1 + confidence) / 2))
    references = {
        item.variable.name: None if item.reference is None else item.variable.levels[item.reference]
        for item in chosen
    }
    found = []
    for (name, variable, level), b, s in zip(term_names(chosen), estimates, se, strict=True):
        with np.errstate(divide="ignore", invalid="ignore"):
            z = float(np.float64(b) / s)
        numbers = (float(b), float(s), z, float(2 * ndtr(-abs(z))))
        limits = (float(b - width * s), float(b + width * s))
        found.append(Term(name, variable, level, references[variable], *numbers, *limits))
    return tuple(found)


def chi_squared_test(statistic: float, freedom: int) -> Mapping[str, float]:
    """A test's numbers as a result holds them."""
    p = float(chdtrc(freedom, statistic)) if freedom else 1.0
    return {"statistic": statistic, "df": freedom, "p": p}


def issues_of(
    names: Sequence[str], somebody: Mask, active: Mask, endless: Mask, converged: bool
) -> tuple[Issue, ...]:
    """What is wrong with a fit, by the names of its terms; `active` ones were estimated."""

    def of(mask: Mask) -> tuple[str, ...]:
        return tuple(name for name, wrong in zip(names, mask, strict=True) if wrong)

    stuck = active & (not converged and not endless.any())
    found = [
        Issue("absent", of(~somebody)),
        Issue("collinearity", of(somebody & ~active)),
        Issue("separation", of(endless)),
        Issue("not_converged", of(stuck)),
    ]
    return tuple(item for item in found if item.terms)
