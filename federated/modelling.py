"""What every regression shares: terms and their columns, counts for the gate, Wald statistics.

Terms follow from the request and the dictionary alone: a number is one term, a variable of k levels
is k - 1 terms against its reference level. A level that nobody has stays a column of zeros.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Literal, cast

import numpy as np
from numpy.typing import NDArray
from scipy.special import (  # scipy.stats takes half a second to import
    chdtrc,
    ndtr,
    ndtri,
    stdtr,
    stdtrit,
)

from federated.analysis import Issue, Term, Variable, suggest
from federated.newton import Fit
from federated.statistics import Blocks, Counts, Frame, Shape, Shapes, tally_codes


__all__ = [
    "Covariate",
    "chi_squared_test",
    "columns",
    "covariates",
    "issues_of",
    "packed",
    "pair_counts",
    "pair_shapes",
    "pair_tables",
    "present",
    "term_names",
    "terms",
    "three_digits",
    "unpacked",
]

MOST_PARAMETERS = 40

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


def terms(
    chosen: Sequence[Covariate],
    estimates: Vector,
    covariance: Matrix,
    confidence: float,
    freedom: float = np.inf,
) -> tuple[Term, ...]:
    """Wald statistics of each term; NaN for an estimate gives NaN for all.

    By the normal distribution, or by Student's with so many degrees of freedom.
    """
    se = np.where(np.isnan(estimates), np.nan, np.sqrt(np.maximum(np.diag(covariance), 0)))
    with np.errstate(divide="ignore", invalid="ignore"):
        z = estimates / se
    normal = np.isinf(freedom)
    tail = (1 + confidence) / 2
    width = float(ndtri(tail) if normal else stdtrit(freedom, tail)) * se
    p = 2 * (ndtr(-np.abs(z)) if normal else stdtr(freedom, -np.abs(z)))
    references = {
        item.variable.name: None if item.reference is None else item.variable.levels[item.reference]
        for item in chosen
    }
    numbers = np.column_stack([estimates, se, z, p, estimates - width, estimates + width])
    return tuple(
        Term(name, variable, level, references[variable], *(float(number) for number in line))
        for (name, variable, level), line in zip(term_names(chosen), numbers, strict=True)
    )


def chi_squared_test(statistic: float, freedom: int) -> Mapping[str, float]:
    """A test's numbers as a result holds them."""
    p = float(chdtrc(freedom, statistic)) if freedom else 1.0
    return {"statistic": statistic, "df": freedom, "p": p}


def issues_of(names: Sequence[str], fit: Fit) -> tuple[Issue, ...]:
    """What is wrong with a fit, by the names of its terms."""
    endless = fit.endless
    stuck = fit.active & (not fit.converged and not endless.any())
    masks: Mapping[Literal["absent", "collinearity", "separation", "not_converged"], Mask] = {
        "absent": ~fit.somebody,
        "collinearity": fit.somebody & ~fit.active,
        "separation": endless,
        "not_converged": stuck,
    }
    return tuple(
        Issue(kind, tuple(name for name, wrong in zip(names, mask, strict=True) if wrong))
        for kind, mask in masks.items()
        if mask.any()
    )


def three_digits(values: Vector) -> Vector:
    """Round to about three significant digits, in binary so that all machines do it alike."""
    with np.errstate(divide="ignore"):
        size = np.where(values == 0, 0.0, np.floor(np.log2(np.abs(values))))
    unit = np.exp2(size - 9)
    return np.asarray(np.rint(values / unit) * unit, dtype=np.float64)
