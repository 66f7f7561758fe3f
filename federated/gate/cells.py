"""How one pooled count is told: on the grid, as a zero, or withheld.

What is told of a count depends on nothing but the bin of the grid that it lies in, and what is told
of anything else depends on told counts alone. So whatever stands in a result, each withheld count
may be any number from 1 to the grid: no rule that looks at an exact number can give it away.
`told` is the least that the reader of a shown count knows of it; denominators are judged by it.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from federated.analysis import Variable
from federated.policy import Policy


__all__ = [
    "Json",
    "Shown",
    "Withheld",
    "count",
    "describe",
    "digits",
    "nest",
    "significant",
    "told",
    "write",
]

Json: TypeAlias = Mapping[str, object]


@dataclass(frozen=True)
class Withheld:
    """A number that exists and is not shown, by one of `federated.disclosure.RULES`."""

    rule: str

    def to_json(self) -> Json:
        """Return how the value is written in a result."""
        return {"withheld": self.rule}


Shown: TypeAlias = int | float | Withheld | None


def count(number: int, among: int, policy: Policy) -> int | Withheld:
    """Tell one count; a zero is seen only where `among` patients, as far as told, are enough."""
    if number == 0 and among >= policy.min_denominator:
        return 0
    if number <= policy.withheld_up_to:
        return Withheld("small_cell")
    return (number - 1) // policy.grid * policy.grid + (policy.grid + 1) // 2


def told(counts: NDArray[np.int64] | int, policy: Policy) -> NDArray[np.int64]:
    """The least that each count may be to whoever sees it told; 0 for a withheld one.

    It is the start of the count's bin, and of that start's bin in the narrower grids: otherwise
    12, at least 7 in bins of six and 11 in bins of ten, would be enough on the wider grid only.
    """
    numbers = np.asarray(counts, dtype=np.int64)
    start = numbers
    for grid in reversed(policy.grids):
        start = (start - 1) // grid * grid + 1
    return np.where(numbers > policy.withheld_up_to, start, 0).astype(np.int64)


def digits(number: float, policy: Policy) -> float:
    """Round to the policy's significant digits."""
    return significant(number, policy.digits)


def significant(number: float, places: int) -> float:
    """Round to significant digits; 17 keep every bit."""
    return float(f"{number:.{places}g}")


def write(value: Shown) -> object:
    """Return a shown number, or how a withheld one is written."""
    return value.to_json() if isinstance(value, Withheld) else value


def nest(cells: Sequence[Shown], size: Sequence[int]) -> object:
    """Fold a flat list of cells into lists of lists of the table's shape."""
    if len(size) == 1:
        return [write(cell) for cell in cells]
    width = len(cells) // size[0]
    return [nest(cells[i : i + width], size[1:]) for i in range(0, len(cells), width)]


def describe(variable: Variable) -> Json:
    """A variable's public description."""
    return {
        "name": variable.name,
        "label": variable.label,
        "levels": list(variable.levels),
        "level_labels": list(variable.level_labels),
        "unit": variable.unit,
    }
