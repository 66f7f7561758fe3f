"""How far the cells of a question lie from cells that were answered before.

Two cells whose patients differ by one tell, subtracted, about that one. So every cell of a new
question is compared with every cell that the same releases answered before: the number of patients
who are in one of the two and not in the other, summed over the sites, must be 0 or more than the
grid withholds (7 with the default grid of 6). Each site counts at home and clips its count at that
limit, which changes no verdict and tells less: the clipped counts reach the limit together exactly
when the plain ones do. The clipped counts travel in the secure sum of the first round.

What is compared must not depend on anything secret, or whether a cell is found too near would tell
it. So a cell is here a *line*: the rows of the cohort's known part (`Request.known_cohort`) with
one combination of levels of those variables of the table that are not sensitive. A line that is too
near loses all its cells. A question without such variables has one line. A site that did not answer
the earlier question counts its whole cell. Of a view with several rows per patient, the largest
number of differing rows in any one age band is counted: never more than there are patients, which
is the safe side. Whether a cell is large enough to be shown is judged by its rows, never fewer than
its patients.

Not compared: questions about another view, whose rows cannot be told to be the same patients, and
questions that a participating site answered from another release. A site that answered then and is
absent now is not in the sum.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import singledispatch
from typing import Any

import numpy as np
from numpy.typing import NDArray

from federated.analysis import (
    AnalysisView,
    Curve,
    Curves,
    Outcome,
    Rates,
    Summaries,
    Table,
    Variable,
)
from federated.cohort import Cohort
from federated.request import Request, parse_again
from federated.statistics import Counts, Shape
from transforms.errors import RefusedError, RequestError


__all__ = [
    "MOST_COUNTERS",
    "OVERLAP",
    "TOO_SIMILAR",
    "Earlier",
    "by_cell",
    "cells",
    "compared",
    "counters",
    "differences",
    "earlier_questions",
    "hide",
    "job",
    "near",
    "shape",
]

OVERLAP = "overlap"  # the name of the block in the first round's sum
MOST_COUNTERS = 120_000  # 20,000 ring elements, 480 kB a site
PER_ELEMENT, BITS = 6, 10  # 64 sites of at most 11 each stay below 2^10

TOO_SIMILAR = (
    "the patients differ by too few from those of an earlier answer; use that answer, or widen or "
    "narrow the cohort"
)


@dataclass(frozen=True)
class Earlier:
    """A question about the same view that was answered before, and the sites that were summed."""

    question: Request
    survivors: tuple[str, ...]


def earlier_questions(
    answered: Mapping[str, Sequence[tuple[str, tuple[str, ...]]]],
    words: Mapping[str, object],
    request: Request,
    views: Mapping[str, AnalysisView],
) -> tuple[Earlier, ...]:
    """Return what `request` has to be compared with, in an order that all sites share.

    `answered` is what each participating site says that its release has answered: digest of the
    question and the sites summed; `words` is digest → question. Raises RequestError when the words
    of a question are missing or not its own.
    """
    listed = sorted({entry for entries in answered.values() for entry in entries})
    found = []
    for digest, survivors in listed:
        here = set(survivors) & set(answered)
        holders = {site for site, entries in answered.items() if (digest, survivors) in entries}
        same = digest == request.digest and set(survivors) == set(answered)
        if here <= holders and not same:
            found.append(Earlier(_parsed(digest, words, views), survivors))
    return tuple(found)


def by_cell(question: Request, earlier: Iterable[Request]) -> bool:
    """Whether cells are compared and not lines: where sites would join an answer of others.

    What they add to each cell could be told, whatever the cohort.
    """
    return any(item.counted == question.counted for item in earlier)


def compared(question: Request, *, cell: bool) -> tuple[Cohort | None, tuple[Variable, ...]]:
    """Return the cohort and the variables whose combinations of levels are compared."""
    if cell:
        return question.cohort, question.definition.table(question.design)
    return question.known_cohort, question.lines


def cells(question: Request, *, cell: bool = True) -> int:
    """Number of cells, or of lines, of a question."""
    _, variables = compared(question, cell=cell)
    return int(np.prod([len(variable.levels) for variable in variables], dtype=np.int64))


def counters(question: Request, earlier: Sequence[Earlier]) -> int:
    """Number of counters: the new cells, each old cell, and each pair of them."""
    cell = by_cell(question, (item.question for item in earlier))
    new = cells(question, cell=cell)
    return new + sum(cells(item.question, cell=cell) * (new + 1) for item in earlier)


def shape(question: Request, earlier: Sequence[Earlier]) -> Shape:
    """Return the public shape of the block, several counters to a number."""
    return Shape("counts", (-(-counters(question, earlier) // PER_ELEMENT),))


def job(question: Request, earlier: Sequence[Earlier], site: str, limit: int) -> dict[str, Any]:
    """Return a question, and what a site's executor has to compare it with, as JSON values."""
    compare = [
        {"question": item.question.to_mapping(), "here": site in item.survivors} for item in earlier
    ]
    return {**question.to_mapping(), "compare": {"earlier": compare, "limit": limit}}


def differences(
    new: NDArray[np.int64],
    size: int,
    earlier: Sequence[tuple[NDArray[np.int64] | None, int]],
    bands: NDArray[np.int64],
    limit: int,
) -> Counts:
    """Return one site's clipped counters.

    `new` holds each row's cell of the new question, -1 for none, of `size`; `earlier` the same for
    each earlier question, None where this site did not answer it. Rows of one value in `bands` are
    different patients.
    """
    largest = [
        _largest(_joint(new, size, old, old_size, bands)) if old is not None else None
        for old, old_size in earlier
    ]
    own = _per_band(new, size, bands)
    parts = [own.sum(axis=0)]
    for (_, old_size), found in zip(earlier, largest, strict=True):
        if found is None:
            parts += [np.zeros(old_size, dtype=np.int64), np.tile(own.max(axis=0), old_size)]
        else:
            parts += [found[0], found[1].reshape(-1)]
    return _packed(np.minimum(np.concatenate(parts), limit))


def near(
    total: Counts, question: Request, earlier: Sequence[Earlier], limit: int
) -> NDArray[np.bool_]:
    """Return which cells, flattened, are of a line that lies too near to an answered one."""
    cell = by_cell(question, (item.question for item in earlier))
    new = cells(question, cell=cell)
    numbers = _unpacked(total.values, counters(question, earlier))
    shown = numbers[:new] >= limit
    found = np.zeros(new, dtype=np.bool_)
    start = new
    for item in earlier:
        old = cells(item.question, cell=cell)
        sizes = numbers[start : start + old]
        pairs = numbers[start + old : start + old * (new + 1)].reshape(old, new)
        found |= ((pairs > 0) & (pairs < limit) & (sizes >= limit)[:, None]).any(axis=0)
        start += old * (new + 1)
    return _spread(found & shown, question, compared(question, cell=cell)[1])


def _spread(
    lines: NDArray[np.bool_], question: Request, variables: Sequence[Variable]
) -> NDArray[np.bool_]:
    """Give each cell of the question's table, flattened, what its line has."""
    table = question.definition.table(question.design)
    own = [len(item.levels) if item in variables else 1 for item in table]
    whole = [len(item.levels) for item in table]
    return np.broadcast_to(lines.reshape(own), whole).reshape(-1)


@singledispatch
def hide(outcome: Outcome, cells: NDArray[np.bool_]) -> Outcome:
    """Return an outcome whose `cells`, flattened, hold too few patients to be shown.

    What could be worked out of such a cell is the few patients by which it differs; the gate
    withholds it as it does a cell of that few. Raises RefusedError for an outcome, such as a model,
    that has no cells to leave out.
    """
    raise RefusedError(TOO_SIMILAR)


@hide.register
def _hide_table(table: Table, cells: NDArray[np.bool_]) -> Outcome:
    """One patient instead of the cell's."""
    return replace(table, counts=np.where(cells.reshape(table.counts.shape), 1, table.counts))


@hide.register
def _hide_rates(rates: Rates, cells: NDArray[np.bool_]) -> Outcome:
    """One patient with one event, and no time asked for."""
    chosen = cells.reshape(rates.patients.shape)
    return replace(
        rates,
        events=np.where(chosen, 1, rates.events),
        patients=np.where(chosen, 1, rates.patients),
        contributors=np.where(chosen, 1, rates.contributors),
        person_years=np.where(chosen, np.nan, rates.person_years),
    )


@hide.register
def _hide_curves(curves: Curves, cells: NDArray[np.bool_]) -> Outcome:
    """A curve of one patient to whom nothing happens."""
    shown = zip(curves.curves, cells, strict=True)
    return replace(curves, curves=tuple(_alone(c) if hidden else c for c, hidden in shown))


@hide.register
def _hide_summaries(summaries: Summaries, cells: NDArray[np.bool_]) -> Outcome:
    """One patient with one value of each variable, and nothing asked for."""
    chosen = cells[:, None]
    return replace(
        summaries,
        rows=np.where(cells, 1, summaries.rows),
        counts=np.where(chosen, 1, summaries.counts),
        mean=np.where(chosen, np.nan, summaries.mean),
        sd=np.where(chosen, np.nan, summaries.sd),
        quantiles=np.where(chosen[..., None], np.nan, summaries.quantiles),
    )


def _alone(curve: Curve) -> Curve:
    """The curve of one patient."""
    ones, none = np.ones_like(curve.survival), np.zeros_like(curve.events)
    return replace(
        curve,
        at_risk=np.ones_like(curve.at_risk),
        events=none,
        censored=none,
        survival=ones,
        lower=ones,
        upper=ones,
    )


def _parsed(digest: str, words: Mapping[str, object], views: Mapping[str, AnalysisView]) -> Request:
    """Return the question of that digest."""
    told = words.get(digest)
    question = parse_again(told, views) if isinstance(told, Mapping) else None
    if question is None or question.digest != digest:
        raise RequestError("the words of an earlier question are missing or not its own")
    return question


def _per_band(rows: NDArray[np.int64], size: int, bands: NDArray[np.int64]) -> NDArray[np.int64]:
    """Count rows per band and cell; rows of no cell are left out."""
    height = int(bands.max(initial=0)) + 1
    flat = bands[rows >= 0] * size + rows[rows >= 0]
    return np.bincount(flat, minlength=height * size).astype(np.int64).reshape(height, size)


def _joint(
    new: NDArray[np.int64],
    size: int,
    old: NDArray[np.int64],
    old_size: int,
    bands: NDArray[np.int64],
) -> NDArray[np.int64]:
    """Count rows per band, old cell and new cell; the first of each is "in none"."""
    width = (old_size + 1) * (size + 1)
    joint = _per_band((old + 1) * (size + 1) + new + 1, width, bands)
    return joint.reshape(-1, old_size + 1, size + 1)


def _largest(joint: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the rows of each old cell, and of each pair's difference those of the fullest band."""
    old, new = joint.sum(axis=2)[:, 1:], joint.sum(axis=1)[:, 1:]
    either = old[:, :, None] + new[:, None, :] - 2 * joint[:, 1:, 1:]
    return old.sum(axis=0), either.max(axis=0)


def _packed(numbers: NDArray[np.int64]) -> Counts:
    """Write six counters into one number."""
    padded = np.zeros(-(-numbers.size // PER_ELEMENT) * PER_ELEMENT, dtype=np.int64)
    padded[: numbers.size] = numbers
    weights = np.int64(1) << (BITS * np.arange(PER_ELEMENT, dtype=np.int64))
    return Counts(padded.reshape(-1, PER_ELEMENT) @ weights)


def _unpacked(values: NDArray[np.int64], count: int) -> NDArray[np.int64]:
    """Undo `_packed` for a sum of at most 64 sites."""
    shifts = BITS * np.arange(PER_ELEMENT, dtype=np.int64)
    mask = np.int64(2**BITS - 1)
    return np.asarray(((values[:, None] >> shifts) & mask).reshape(-1)[:count], dtype=np.int64)
