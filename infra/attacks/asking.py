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
from federated.disclosure import model_problems, passing, release
from federated.policy import CONSORTIUM, EXACT, Policy
from federated.rehearsal import rehearsing
from federated.request import parse_request
from federated.statistics import Counts, Sums
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
    "naive",
    "transcript",
]

Answer: TypeAlias = Mapping[str, Any]
# A question in, what was published out; None when it was refused.
Asker: TypeAlias = Callable[[Mapping[str, object]], Answer | None]

MODELS = frozenset({"cox", "regression"})
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


def naive(world: World, *, sites: int = 1, apart: int = 0, policy: Policy = CONSORTIUM) -> Asker:
    """The gate with rules on who is counted judged on the rows, secrets included.

    At least `sites` must hold somebody, and a cohort differs from each earlier one by none or by
    `apart` patients: as anybody would write these rules first.
    """
    answer = bare(world, policy)
    earlier: list[NDArray[np.bool_]] = []

    def asker(question: Mapping[str, object]) -> Answer | None:
        rows = _rows_of(world, question.get("cohort"))
        if np.unique(world.site[rows]).size < sites:
            return None
        if any(0 < (rows != one).sum() < apart for one in earlier):
            return None
        earlier.append(rows)
        return answer(question)

    return asker


def _rows_of(world: World, cohort: Any) -> NDArray[np.bool_]:
    """Which patients are in a cohort."""
    if not cohort:
        return np.ones(world.patients, dtype=np.bool_)
    if "not" in cohort:
        return ~_rows_of(world, cohort["not"])
    for word, combine in (("and", np.logical_and), ("or", np.logical_or)):
        if word in cohort:
            parts = [_rows_of(world, part) for part in cohort[word]]
            return np.asarray(combine.reduce(parts), dtype=np.bool_)
    levels = VIEWS[VIEW].variables[cohort["field"]].levels
    return np.asarray(world.columns[cohort["field"]] == levels.index(cohort["value"]), np.bool_)


def transcript(world: World, question: Mapping[str, object], policy: Policy) -> Iterator[Any]:
    """Yield the pooled blocks of each round as the coordinator sees them, then the outcome.

    A model has a baseline of its own at each site; all else is the same on pooled rows.
    """
    request = parse_request(question, VIEWS)
    whole: Mapping[str, pa.Table] = {VIEW: world.table()}
    tables = list(world.sites.values()) if request.analysis in MODELS else [whole]
    step: Ask | Done = Ask()
    while isinstance(step, Ask):
        asked, broadcast = request.to_mapping(), step.broadcast
        parts = [tally_tables(table, asked, broadcast, VIEWS) for table in tables]
        total = {name: _sum([part[name] for part in parts]) for name in parts[0]}
        yield {name: block.values for name, block in total.items()}
        step = request.definition.combine(total, request.design, step)
        if isinstance(step, Ask):
            if step.model is not None and model_problems(step.model, policy):
                yield step.model
                return
            passed = {name: passing(screen, policy) for name, screen in step.screen.items()}
            step = Ask({**step.broadcast, **passed}, carry=step.carry)
    yield step.outcome


def _sum(parts: Sequence[Counts | Sums]) -> Counts | Sums:
    """Add one block over sites."""
    values = np.sum([part.values for part in parts], axis=0)
    return Counts(values) if isinstance(parts[0], Counts) else Sums(values)


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
