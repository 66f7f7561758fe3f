"""Solve all answers together for every patient's secret.

Known to the attacker: everybody's quasi-identifiers. Asked: as many tables of two quasi-identifiers
by the secret, within cohorts of a third, as the consortium answers. Each cell bounds how many of
its patients the secret is true of; what they bound together is solved

- for a guess: the linear Bayes estimate under a uniform error within each bin, which among linear
  estimates is the best there is; and a whole-numbered solution that breaks no bound;
- for certainty: whether a patient's secret has one value only in all whole-numbered solutions.

Source: Dinur and Nissim, PODS 2003, for the attack; HiGHS (scipy.optimize.milp) solves it.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations, product
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import optimize, sparse

from federated.policy import Policy
from infra.attacks.asking import Answer, Asker, bounds, crosstab, equals
from infra.attacks.world import HIDDEN, HIDDEN_SHARE, QUASI, World


__all__ = ["Evidence", "Reconstruction", "attack", "gather", "guess", "proved"]

SOLVER_SECONDS = 5.0


@dataclass(frozen=True)
class Reconstruction:
    """Of `patients`: how many secrets a guess gets right, how many by always saying no (`base`).

    `exact` of `tried` secrets are proved; `told`: those that one line of one table tells alone.
    """

    answered: int
    patients: int
    right: int
    base: int
    tried: int
    exact: int
    told: int


@dataclass(frozen=True)
class Evidence:
    """What is known: low ≤ cells · x ≤ high, x the count of true secrets per class of patients.

    Patients with the same quasi-identifiers are one class, of `sizes` patients.
    """

    cells: sparse.csr_array
    low: NDArray[np.float64]
    high: NDArray[np.float64]
    sizes: NDArray[np.int64]


def attack(
    world: World, ask: Asker, policy: Policy, *, questions: int, tried: int, seed: int = 0
) -> Reconstruction:
    """Ask up to `questions` tables, guess everybody, and try to prove `tried` single patients."""
    source = np.random.default_rng(seed)
    answered, evidence = gather(world, ask, policy, questions, source)
    truth = world.secret
    base = int(max(truth.sum(), (~truth).sum()))
    right = base  # whoever learns nothing says what is commoner
    for estimate in guess(evidence):
        right = max(right, int(_right(estimate, world.classes, truth)))
    targets = source.permutation(world.unique)[:tried]
    exact = sum(proved(evidence, int(world.classes[target])) for target in targets)
    told = int(evidence.sizes[_told(evidence)].sum())
    return Reconstruction(answered, world.patients, right, base, len(targets), exact, told)


def gather(
    world: World, ask: Asker, policy: Policy, questions: int, source: np.random.Generator
) -> tuple[int, Evidence]:
    """Ask, and turn what is answered into bounds."""
    rows: list[NDArray[np.bool_]] = []
    limits: list[tuple[int, int]] = []
    answered = 0
    sizes = np.bincount(world.classes)
    plans = list(_plans())
    for pick in source.permutation(len(plans))[:questions]:
        names, cohort = plans[pick]
        answer = ask(crosstab([*names, HIDDEN], cohort and equals(*cohort)))
        if answer is None:
            continue
        answered += 1
        for members, low, high in _bounded(world, answer, names, cohort, policy):
            rows.append(np.bincount(world.classes[members], minlength=sizes.size) > 0)
            limits.append((low, high))
    cells = sparse.csr_array(np.array(rows, dtype=np.float64).reshape(len(rows), sizes.size))
    between = np.array(limits, dtype=np.float64).reshape(len(rows), 2)
    return answered, Evidence(cells, between[:, 0], between[:, 1], sizes)


def guess(evidence: Evidence) -> Iterator[NDArray[np.float64]]:
    """Yield estimates of the share of true secrets per class of patients."""
    cells, sizes = evidence.cells, evidence.sizes
    error = ((evidence.high - evidence.low + 1) ** 2 - 1) / 12 + 1e-3
    variance = sizes * HIDDEN_SHARE * (1 - HIDDEN_SHARE)
    weighted = cells * variance
    middle = (evidence.low + evidence.high) / 2 - cells @ (sizes * HIDDEN_SHARE)
    system = (weighted @ cells.T).toarray() + np.diag(error)
    lift = weighted.T @ np.linalg.solve(system, middle) if middle.size else np.zeros(sizes.size)
    yield HIDDEN_SHARE + lift / sizes
    solved = _solve(evidence, sizes * (1 - 2 * HIDDEN_SHARE), 0, sizes)
    if solved is not None:
        yield solved / sizes


def proved(evidence: Evidence, alone: int) -> bool:
    """Whether the one patient of class `alone` has one secret only in every solution."""
    possible = 0
    for secret in (0, 1):
        low, high = np.zeros(evidence.sizes.size), evidence.sizes.astype(np.float64)
        low[alone] = high[alone] = secret
        possible += _solve(evidence, np.zeros(evidence.sizes.size), low, high) is not None
    return possible == 1


def _told(evidence: Evidence) -> NDArray[np.bool_]:
    """Classes in a line of which the secret is true of nobody, or of everybody."""
    whole = evidence.cells @ evidence.sizes
    certain = (evidence.high <= 0) | (evidence.low >= whole)
    return np.asarray((evidence.cells[certain].sum(axis=0) > 0), dtype=np.bool_).ravel()


def _solve(
    evidence: Evidence,
    cost: NDArray[Any],
    low: NDArray[Any] | int,
    high: NDArray[Any],
) -> NDArray[np.float64] | None:
    """A whole-numbered solution within all bounds; None when there is none, or none in time."""
    constraint = optimize.LinearConstraint(evidence.cells, evidence.low, evidence.high)
    found = optimize.milp(
        cost,
        integrality=np.ones(evidence.sizes.size),
        bounds=optimize.Bounds(low, high),
        constraints=[constraint] if evidence.low.size else [],
        options={"time_limit": SOLVER_SECONDS},
    )
    return None if found.x is None else np.asarray(found.x, dtype=np.float64)


def _plans() -> list[tuple[tuple[str, ...], tuple[str, int] | None]]:
    """Every table of one or two quasi-identifiers, for everybody and within each level of a third.

    Always in the same order, so that a seed picks the same questions.
    """
    plans: list[tuple[tuple[str, ...], tuple[str, int] | None]] = []
    for names in [*((name,) for name in QUASI), *combinations(QUASI, 2)]:
        plans.append((names, None))
        others = [name for name in QUASI if name not in names]
        plans += [(names, (name, level)) for name in others for level in range(len(QUASI[name]))]
    return plans


def _bounded(
    world: World,
    answer: Answer,
    names: Sequence[str],
    cohort: tuple[str, int] | None,
    policy: Policy,
) -> Iterator[tuple[NDArray[np.int64], int, int]]:
    """Yield the patients of each line of a table, and between how many the secret is true of."""
    shown = bounds(answer["counts"], policy, zero_shown=False)
    inside = np.ones(world.patients, dtype=np.bool_)
    if cohort is not None:
        inside = world.columns[cohort[0]] == cohort[1]
    for levels in product(*(range(len(QUASI[name])) for name in names)):
        same = [world.columns[n] == level for n, level in zip(names, levels, strict=True)]
        members = np.flatnonzero(np.logical_and.reduce([inside, *same]))
        false, true = (*levels, 0), (*levels, 1)
        low = max(int(shown.low[true]), members.size - int(shown.high[false]))
        high = min(int(shown.high[true]), members.size - int(shown.low[false]))
        if members.size:
            yield members, max(low, 0), min(high, members.size)


def _right(
    estimate: NDArray[np.float64], classes: NDArray[np.int64], truth: NDArray[np.bool_]
) -> int:
    """How many secrets are right when the likelier value is said of everybody."""
    return int(((estimate > 0.5)[classes] == truth).sum())
