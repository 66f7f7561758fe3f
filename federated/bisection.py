"""Order statistics of values that nobody has together, by counting how many lie below public cuts.

Each order statistic lies in an interval of keys, a key being a number's place among all that can be
told apart. A round's 63 cuts divide every interval evenly; the counts below them say in which of
the 64 parts it lies. With declared bounds the keys are the multiples of the declared width;
without, which only a rehearsal knows, they are the float64 numbers, found after eleven rounds.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from federated.analysis import Variable


__all__ = ["CUTS", "Search", "begin", "cuts", "first_cuts", "found", "narrowed"]

CUTS = 63
SIGN = np.uint64(1 << 63)
LARGEST = np.uint64(0xFFEFFFFFFFFFFFFF)  # the key of the largest float64

Keys = NDArray[np.uint64]


@dataclass(frozen=True)
class Search:
    """Intervals (low, high] of keys per group, variable, probability, and the ranks j and j + 1."""

    low: Keys
    high: Keys
    rank: NDArray[np.int64]

    @property
    def open(self) -> NDArray[np.bool_]:
        """Which intervals hold more than one key."""
        return np.asarray(self.high - self.low > 1, dtype=np.bool_)


def begin(
    variables: Sequence[Variable], probabilities: Sequence[float], counts: NDArray[np.int64]
) -> Search:
    """Return the search for both neighbours of each quantile of type 7 among `counts` values.

    `counts` is per group and variable; each value may lie anywhere within its variable's range.
    """
    place = np.floor(np.maximum(counts[..., None] - 1, 0) * np.asarray(probabilities))
    lower = place.astype(np.int64) + 1
    upper = np.minimum(lower + 1, np.maximum(counts[..., None], 1))
    rank = np.stack([lower, upper], axis=-1)
    high = np.zeros(rank.shape, dtype=np.uint64)
    for v, item in enumerate(variables):
        high[:, v] = _last_key(item)
    return Search(np.zeros_like(high), high, rank)


def first_cuts(variables: Sequence[Variable]) -> NDArray[np.float64]:
    """Return the public cuts of the first round, one line per variable."""
    high = np.array([_last_key(item) for item in variables], dtype=np.uint64)
    keys = _cut_keys(np.zeros_like(high), high)
    return np.stack([_numbers(v, keys[i], cut=True) for i, v in enumerate(variables)])


def cuts(variables: Sequence[Variable], search: Search) -> NDArray[np.float64]:
    """Return the cuts of a further round: the shape of the search, 63 each."""
    keys = _cut_keys(search.low, search.high)
    return np.stack([_numbers(v, keys[:, i], cut=True) for i, v in enumerate(variables)], axis=1)


def narrowed(search: Search, below: NDArray[np.int64]) -> Search:
    """Keep of each interval what lies between the last cut with too few below and the next."""
    keys = _cut_keys(search.low, search.high)
    enough = below >= search.rank[..., None]
    ends = np.concatenate([search.low[..., None], keys, search.high[..., None]], axis=-1)
    index = np.where(enough.any(axis=-1), np.argmax(enough, axis=-1), CUTS)[..., None]
    low = np.take_along_axis(ends, index, axis=-1)[..., 0]
    high = np.take_along_axis(ends, index + 1, axis=-1)[..., 0]
    return Search(low, high, search.rank)


def found(variables: Sequence[Variable], search: Search) -> NDArray[np.float64]:
    """Return the order statistics once no interval is open."""
    return np.stack([_numbers(v, search.high[:, i]) for i, v in enumerate(variables)], axis=1)


def _cut_keys(low: Keys, high: Keys) -> Keys:
    """63 keys that divide each interval evenly; the last equal its end where it is narrow."""
    width = high - low
    share, rest = width // np.uint64(CUTS + 1), width % np.uint64(CUTS + 1)
    steps = np.arange(1, CUTS + 1, dtype=np.uint64)
    spare = np.minimum(steps, rest[..., None])
    return np.asarray(low[..., None] + share[..., None] * steps + spare, dtype=np.uint64)


def _last_key(item: Variable) -> np.uint64:
    """The key of the greatest value that can be told; keys begin at 1."""
    if item.bounds:
        low, high, step = item.bounds
        return np.uint64(round((high - low) / step) + 1)
    return LARGEST


def _numbers(item: Variable, keys: Keys, *, cut: bool = False) -> NDArray[np.float64]:
    """Numbers of `keys`.

    With bounds, key k is low + (k - 1)·step, and its cut lies half a step above, so that a value
    belongs to the nearest multiple. Without, keys are the float64 numbers in their order: the bit
    pattern of a positive one with the sign bit set, the complement of a negative one.
    """
    if item.bounds:
        low, high, step = item.bounds
        values = low + (keys.astype(np.float64) - 1) * step
        return values + step / 2 if cut else np.minimum(values, high)
    bits = np.where(keys >= SIGN, keys ^ SIGN, ~keys)
    return np.nan_to_num(bits.view(np.float64), nan=-np.inf) + 0.0  # -0.0 is told as 0.0
