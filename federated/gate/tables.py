"""What is told of a table: counts, shares within a line, total, and a test over clear lines."""

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.special import chdtrc

from federated.analysis import Table
from federated.gate.cells import (
    Json,
    Withheld,
    count,
    describe,
    digits,
    nest,
    significant,
    told,
    write,
)
from federated.policy import Policy


__all__ = ["shown_counts", "table_data"]


def table_data(table: Table, policy: Policy) -> Json:
    """Return the JSON values of a table."""
    size = table.counts.shape
    axes = [axis for axis, item in enumerate(table.variables) if item.sensitive]
    cells = shown_counts(table.counts, policy, axes)
    everybody = int(told(table.counts, policy).sum())
    return {
        "shape": "table",
        "variables": [describe(variable) for variable in table.variables],
        "counts": nest(cells, size),
        "percent": nest(list(_percentages(cells, table.counts, policy)), size),
        "total": sum(cell for cell in cells if isinstance(cell, int)),
        "missing": write(count(table.missing, everybody, policy)),
        "test": _test(table, cells, policy),
    }


def shown_counts(
    counts: NDArray[np.int64], policy: Policy, sensitive_axes: Sequence[int] = ()
) -> list[int | Withheld]:
    """Tell all cells, in the array's order.

    An empty cell in a line of few patients would tell what all of those few are: a zero is seen
    only where the shown cells of every line through it make enough, one line per axis.

    Along a sensitive variable a colleague knows how many patients a line has. So a line of seven
    with one cell shown tells all seven, and a zero all others: no zero is seen, and a cell only
    where the other cells of its line are told as more than the grid. All else is withheld by one
    rule, because which rule it was would tell too.
    """
    if sensitive_axes and not policy.exact:
        return _sensitive_counts(counts, policy, sensitive_axes)
    least = told(counts, policy)
    lines = [
        np.broadcast_to(least.sum(axis=axis, keepdims=True), counts.shape)
        for axis in range(counts.ndim)
    ]
    among = np.minimum.reduce(lines)
    pairs = zip(counts.reshape(-1), among.reshape(-1), strict=True)
    return [count(int(number), int(line), policy) for number, line in pairs]


def _sensitive_counts(
    counts: NDArray[np.int64], policy: Policy, axes: Sequence[int]
) -> list[int | Withheld]:
    """Tell the cells that have enough beside them along each of `axes`."""
    least = told(counts, policy)
    while True:
        beside = [least.sum(axis=axis, keepdims=True) - least for axis in axes]
        alone = (least > 0) & (np.minimum.reduce(beside) <= policy.withheld_up_to)
        if not alone.any():
            break
        least = np.where(alone, 0, least)  # what is hidden now stands beside no other
    pairs = zip(counts.reshape(-1), least.reshape(-1), strict=True)
    return [
        count(int(number), 0, policy) if shown else Withheld("sensitive_line")
        for number, shown in pairs
    ]


def _percentages(
    cells: Sequence[int | Withheld], counts: NDArray[np.int64], policy: Policy
) -> Iterator[float | Withheld | None]:
    """Share of each shown cell within its line of the last variable."""
    width = counts.shape[-1]
    least = told(counts, policy).sum(axis=-1).reshape(-1)
    for index, whole in enumerate(least):
        yield from _shares(cells[index * width : (index + 1) * width], int(whole), policy)


def _shares(
    line: Sequence[int | Withheld], whole: int, policy: Policy
) -> Sequence[float | Withheld | None]:
    """Percentages of one line, whole numbers; None where there is nobody and that may be seen.

    They follow from the shown counts alone. Which cell of the line is withheld makes no difference,
    because the sum of the others would tell a small count, or that it is a zero.
    """
    shown = [cell for cell in line if isinstance(cell, int)]
    if len(shown) < len(line):
        return [Withheld("complement")] * len(line)
    if whole < policy.min_denominator:
        return [Withheld("small_denominator")] * len(line)
    total = sum(shown)
    return [_percent(cell, total, policy) if total else None for cell in shown]


def _percent(part: int, whole: int, policy: Policy) -> float:
    """A share as a whole number of percent; more digits would speak of numbers that are rounded."""
    return digits(100 * part / whole, policy) if policy.exact else round(100 * part / whole)


def _test(table: Table, cells: Sequence[int | Withheld], policy: Policy) -> object:
    """The test over the first variable's levels whose every cell is shown; None if undefined.

    A level with a withheld cell stays out even when that is a zero: that it is in would tell so.
    The p-value is that of the rounded statistic, so that it tells nothing more than it.
    """
    counts = table.counts
    if counts.ndim != 2:
        return None
    shown = np.array([isinstance(cell, int) for cell in cells], dtype=bool).reshape(counts.shape)
    enough = told(counts, policy).sum(axis=1) >= policy.min_denominator
    test = table.test(shown.all(axis=1) & enough)
    if test is None:
        return Withheld("few_levels").to_json()
    places = 17 if policy.exact else min(policy.digits, 2)
    statistic = significant(test.statistic, places)
    of_rounded = float(chdtrc(test.degrees_of_freedom, statistic))
    return {
        "name": test.name,
        "statistic": statistic,
        "degrees_of_freedom": test.degrees_of_freedom,
        "p_value": test.p_value if policy.exact else significant(of_rounded, places),
        "levels": list(test.levels),
        "small_expected": test.small_expected,
    }
