"""The closed set of what a site may contribute: blocks of counts and blocks of sums.

Both are additive: the consortium's block is the sum of the sites' blocks, so one secure sum serves
every analysis. A block's shape is public: it follows from the request and the dictionary's code
lists, never from data, so the length of a message tells nothing.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray


__all__ = [
    "CONTRIBUTING",
    "Blocks",
    "Broadcast",
    "Counts",
    "Frame",
    "Shape",
    "Shapes",
    "Sums",
    "check_blocks",
    "fixed_point",
    "tally_codes",
]

# In every first round: 1 from a site that holds anybody of the cohort, else 0. The sum tells how
# many sites a result rests on and, being a sum, not which.
CONTRIBUTING = "contributing_sites"

FRACTION_BITS = 96  # of `federated.ring`

Broadcast: TypeAlias = Mapping[str, NDArray[np.generic]]


@dataclass(frozen=True)
class Shape:
    """The public shape of one block, such as Shape("counts", (9, 2))."""

    kind: Literal["counts", "sums"]
    size: tuple[int, ...]

    @property
    def length(self) -> int:
        """Number of values in the block."""
        return int(np.prod(self.size, dtype=np.int64))


@dataclass(frozen=True)
class Counts:
    """Whole numbers of patients, rows or events; int64, none negative."""

    values: NDArray[np.int64]

    def __post_init__(self) -> None:
        if self.values.dtype != np.int64 or bool((self.values < 0).any()):
            raise ValueError("counts must be non-negative int64")


@dataclass(frozen=True)
class Sums:
    """Sums of a measured quantity; float64, finite."""

    values: NDArray[np.float64]

    def __post_init__(self) -> None:
        if self.values.dtype != np.float64 or not bool(np.isfinite(self.values).all()):
            raise ValueError("sums must be finite float64")


Blocks: TypeAlias = Mapping[str, Counts | Sums]
Shapes: TypeAlias = Mapping[str, Shape]


@dataclass(frozen=True)
class Frame:
    """The cohort's rows of one view, one array per column, each of length `rows`.

    A coded column holds int64 positions in the variable's public levels, -1 where missing;
    a number column holds float64, NaN where missing.
    """

    rows: int
    columns: Mapping[str, NDArray[np.generic]]


def check_blocks(blocks: Blocks, shapes: Shapes) -> None:
    """Raise ValueError unless `blocks` have exactly the public `shapes`."""
    found = {name: Shape(_kind(block), block.values.shape) for name, block in blocks.items()}
    if found != dict(shapes):
        raise ValueError("blocks do not have the public shapes of the request")


def fixed_point(values: NDArray[np.float64]) -> Sums:
    """Return `values` rounded to whole multiples of 2^-96, which is what the ring can add.

    The rounding changes no value of 2^-44 or more, and no other by more than 2^-97.
    """
    whole = np.rint(np.ldexp(values, FRACTION_BITS))
    return Sums(np.asarray(np.ldexp(whole, -FRACTION_BITS), dtype=np.float64))


def tally_codes(codes: tuple[NDArray[np.generic], ...], size: tuple[int, ...]) -> Counts:
    """Count rows per combination of `codes` into an array of `size`.

    Every code must lie in 0 … size-1 of its dimension: leave missing rows out first.
    """
    flat = np.ravel_multi_index(tuple(code.astype(np.int64) for code in codes), size)
    return Counts(np.bincount(flat, minlength=int(np.prod(size))).astype(np.int64).reshape(size))


def _kind(block: Counts | Sums) -> Literal["counts", "sums"]:
    """Name the type of a block as its public shape does."""
    return "counts" if isinstance(block, Counts) else "sums"
