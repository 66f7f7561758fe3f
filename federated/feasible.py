"""What can be worked out of released tables: the feasible interval of every withheld cell.

The auditor takes the part of an attacker who knows the rules by heart. Every released number is a
claim on exact counts: a shown count lies in its bin, a withheld one from 1 to `grid`, or from 0
where a zero would be withheld too, a shown zero and a shown percentage say that their lines hold
enough patients. Several tables over the same cells, such as a table and its margins, put their
claims together. Two linear programmes (HiGHS) for each withheld cell find the least and the most
that it can be; the interval holds all whole numbers that the claims allow, and no claim is made
that an attacker could not make. Intervals are those of the relaxation: for tables of two variables
they are exact, because constraints of rows and columns are totally unimodular.

Nothing in the gate calls this. Tests and the attack report do, on what the gate let out.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linprog

from federated.gate.cells import told
from federated.policy import Policy


__all__ = ["Claim", "intervals", "narrowest", "table_claims"]

UNBOUNDED = 1e6
SLACK = 1e-6  # of the solver


@dataclass(frozen=True)
class Claim:
    """The exact counts of `cells` add up to a number from `low` to `high`.

    `withheld` marks the claim of a single count that is not shown.
    """

    cells: tuple[int, ...]
    low: float
    high: float
    withheld: bool = False


def table_claims(
    data: Mapping[str, Any], policy: Policy, members: NDArray[np.object_] | None = None
) -> tuple[Claim, ...]:
    """Return every claim of a released table's counts and percentages.

    `members` has the table's shape and holds, for each of its cells, which finest cells it adds up;
    by default each is one of its own.
    """
    counts = np.array(_flat(data["counts"]), dtype=object)
    size = tuple(len(item["levels"]) for item in data["variables"])
    lows = np.array([_low(cell, policy) for cell in counts], dtype=np.int64).reshape(size)
    shown = told(lows, policy)
    if members is None:
        members = _own(size)
    percent = np.array(_flat(data["percent"]), dtype=object)
    claims: list[Claim] = []
    for position, index in enumerate(np.ndindex(size)):
        sums = [shown[_line(index, axis)].sum() for axis in range(shown.ndim)]
        zero_is_seen = min(sums) >= policy.min_denominator
        cells: tuple[int, ...] = members[index]  # type: ignore[assignment]
        claims.append(_claim(counts[position], cells, zero_is_seen, policy))
        if not isinstance(counts[position], Mapping) and counts[position] == 0:
            claims += [_enough(members, index, axis, policy) for axis in range(shown.ndim)]
        if isinstance(percent[position], int | float):
            claims.append(_enough(members, index, shown.ndim - 1, policy))
    return tuple(claims)


def intervals(claims: Sequence[Claim]) -> Mapping[tuple[int, ...], tuple[int, int]]:
    """Return the least and the most that each withheld count can be, by its cells.

    Raises ValueError when no table of counts fits all claims.
    """
    size = 1 + max(cell for claim in claims for cell in claim.cells)
    rows = np.zeros((len(claims), size))
    for row, claim in zip(rows, claims, strict=True):
        row[list(claim.cells)] = 1
    low = np.array([claim.low for claim in claims])
    high = np.array([claim.high for claim in claims])
    return {
        claim.cells: (_bound(row, rows, low, high), -_bound(-row, rows, low, high))
        for row, claim in zip(rows, claims, strict=True)
        if claim.withheld
    }


def narrowest(claims: Sequence[Claim]) -> int | None:
    """Return how many numbers the best known withheld count may be; None when none is withheld."""
    return min((most - least + 1 for least, most in intervals(claims).values()), default=None)


def _bound(
    objective: NDArray[np.float64],
    rows: NDArray[np.float64],
    low: NDArray[np.float64],
    high: NDArray[np.float64],
) -> int:
    """The least whole number that `objective` can be under the claims."""
    found = linprog(
        objective,
        A_ub=np.concatenate([rows, -rows]),
        b_ub=np.concatenate([high, -low]),
        bounds=(0, None),
        method="highs",
    )
    if found.status != 0:
        raise ValueError("no table of counts fits the claims")
    return int(np.ceil(found.fun - SLACK))


def _claim(cell: Any, cells: tuple[int, ...], zero_is_seen: bool, policy: Policy) -> Claim:
    """What one told count says."""
    if isinstance(cell, Mapping) and cell["withheld"] != "small_cell":
        return Claim(cells, 0, UNBOUNDED, withheld=True)  # whatever it is
    if isinstance(cell, Mapping):
        return Claim(cells, 1 if zero_is_seen else 0, policy.grid, withheld=True)
    low = _low(cell, policy)
    return Claim(cells, low, low + policy.grid - 1 if low else 0)


def _low(cell: Any, policy: Policy) -> int:
    """The least that a told count can be, 0 where it is withheld."""
    if isinstance(cell, Mapping) or cell == 0:
        return 0
    return int(cell) - (policy.grid + 1) // 2 + 1


def _enough(
    members: NDArray[np.object_], index: tuple[int, ...], axis: int, policy: Policy
) -> Claim:
    """What is shown only among enough patients says that they are enough."""
    line = members[_line(index, axis)]
    cells = tuple(cell for part in line for cell in part)
    return Claim(cells, policy.min_denominator, UNBOUNDED)


def _line(index: tuple[int, ...], axis: int) -> tuple[Any, ...]:
    """The line through `index` along `axis`."""
    return (*index[:axis], slice(None), *index[axis + 1 :])


def _own(size: tuple[int, ...]) -> NDArray[np.object_]:
    """Each cell as the only member of itself."""
    members = np.empty(size, dtype=object)
    for position, index in enumerate(np.ndindex(size)):
        members[index] = (position,)
    return members


def _flat(cells: object) -> list[Any]:
    """The cells of nested lists, in order."""
    return [x for cell in cells for x in _flat(cell)] if isinstance(cells, list) else [cells]
