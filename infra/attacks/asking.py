"""How an attacker asks, and what an answer says for certain: intervals, not midpoints.

Who knows the policy, and it is public, knows the bin behind every shown count. A strong attacker
reasons with bins; one who takes midpoints for counts is a weak one, and proves little.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from federated.analysis import Ask, Done
from federated.disclosure import passing, release
from federated.policy import CONSORTIUM, EXACT, Policy
from federated.rehearsal import rehearsing
from federated.request import parse_request
from federated.statistics import Blocks
from federated.tally import tally_tables
from infra.attacks.world import VIEW, VIEWS, World
from transforms.errors import RefusedError, RequestError, SiteDownError


__all__ = [
    "Answer",
    "Asker",
    "Bounds",
    "asked",
    "bare",
    "bounds",
    "consortium",
    "crosstab",
    "equals",
    "transcript",
]

Answer: TypeAlias = Mapping[str, Any]
# A question in, what was published out; None when it was refused.
Asker: TypeAlias = Callable[[Mapping[str, object]], Answer | None]

MANY = 1_000_000  # more than anybody counts: what a cell withheld for its neighbours may hold


@dataclass(frozen=True)
class Bounds:
    """Smallest and largest count that a shown cell can stand for; arrays of the table's shape."""

    low: NDArray[np.int64]
    high: NDArray[np.int64]


def crosstab(variables: Sequence[str], cohort: Mapping[str, object] | None = None) -> Answer:
    """A question for a table."""
    return asked("crosstab", {"variables": list(variables)}, cohort)


def asked(
    analysis: str, parameters: Mapping[str, object], cohort: Mapping[str, object] | None = None
) -> Answer:
    """Any question about the attacked view."""
    question = {"analysis": analysis, "view": VIEW, "parameters": dict(parameters)}
    return {**question, "cohort": dict(cohort)} if cohort else question


def equals(column: str, position: int) -> Mapping[str, object]:
    """A condition: `column` has its level at `position`."""
    level = VIEWS[VIEW].variables[column].levels[position]
    return {"field": column, "operator": "==", "value": level}


@contextmanager
def consortium(world: World, policy: Policy = CONSORTIUM) -> Iterator[Asker]:
    """The real thing: sites, secure sum, coordinator, gate, and ledgers that remember."""
    with rehearsing(world.sites, views=VIEWS, policy=policy) as ask:

        def asker(question: Mapping[str, object]) -> Answer | None:
            try:
                return ask(question).data
            except (RefusedError, SiteDownError, RequestError):
                return None

        yield asker


def bare(world: World, policy: Policy = EXACT) -> Asker:
    """The same questions on the pooled rows, unguarded: no sites, no ledger, exact numbers."""

    def asker(question: Mapping[str, object]) -> Answer | None:
        *_, done = transcript(world, question, policy)
        return release(done, policy).data

    return asker


def transcript(world: World, question: Mapping[str, object], policy: Policy) -> Iterator[Any]:
    """Yield the pooled blocks of each round as the coordinator sees them, then the outcome."""
    request = parse_request(question, VIEWS)
    tables: Mapping[str, pa.Table] = {VIEW: world.table()}
    step: Ask | Done = Ask()
    while isinstance(step, Ask):
        total: Blocks = tally_tables(tables, request.to_mapping(), step.broadcast, VIEWS)
        yield {name: block.values for name, block in total.items()}
        step = request.definition.combine(total, request.design, step)
        if isinstance(step, Ask):
            passed = {name: passing(screen, policy) for name, screen in step.screen.items()}
            step = Ask({**step.broadcast, **passed}, carry=step.carry)
    yield step.outcome


def bounds(counts: object, policy: Policy, zero_shown: bool) -> Bounds:
    """Read a published table of counts; `zero_shown`: a zero would have been published as one.

    Whoever knows the denominators knows whether a zero would be shown, so that a withheld cell
    is one of 1 to `grid` to them.
    """
    shape = _shape(counts)
    low, high = np.zeros(shape, dtype=np.int64), np.zeros(shape, dtype=np.int64)
    for index in np.ndindex(*shape):
        cell: Any = counts
        for position in index:
            cell = cell[position]
        low[index], high[index] = _bin(cell, policy, zero_shown)
    return Bounds(low, high)


def _bin(cell: Any, policy: Policy, zero_shown: bool) -> tuple[int, int]:
    """The counts that are shown alike."""
    if isinstance(cell, Mapping):
        small = cell.get("withheld") == "small_cell"
        return (int(zero_shown), policy.grid) if small else (0, MANY)
    if cell == 0 or policy.grid == 1:
        return cell, cell
    first = cell - (policy.grid + 1) // 2 + 1
    return first, first + policy.grid - 1


def _shape(counts: object) -> tuple[int, ...]:
    """Shape of nested lists; a withheld cell is a mapping."""
    if not isinstance(counts, list):
        return ()
    return (len(counts), *_shape(counts[0]))
