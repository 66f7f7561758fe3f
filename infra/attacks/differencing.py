"""Two questions that differ by one patient, and the bins that this leaves for the patient.

Known to the attacker: everybody's quasi-identifiers, so whom a cohort holds and how many. Asked:
how often the secret is true in a cohort with the target, and in the same cohort without. The secret
is disclosed when only one of its values fits both answers; also when only one cell of the second
answer is withheld, though the first was shown: the cell that was equal needed no withholding.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import combinations, islice

import numpy as np
from numpy.typing import NDArray

from federated.policy import Policy
from infra.attacks.asking import Answer, Asker, Bounds, bounds, crosstab, equals
from infra.attacks.world import HIDDEN, QUASI, World


__all__ = ["Differencing", "Pair", "attack", "possible_secrets", "target_pairs"]

SMALLEST_COHORT = 20


@dataclass(frozen=True)
class Differencing:
    """How many `targets` were tried, pairs answered, and secrets read rightly or wrongly."""

    targets: int
    answered: int
    exact: int
    wrong: int


@dataclass(frozen=True)
class Pair:
    """A cohort with the target and the same without, as conditions and as sizes."""

    target: int
    whole: Mapping[str, object]
    without: Mapping[str, object]
    size: int


def attack(world: World, ask: Asker, policy: Policy, targets: int, seed: int = 0) -> Differencing:
    """Try `targets` patients, each with one pair of questions."""
    pairs = list(islice(target_pairs(world, np.random.default_rng(seed)), targets))
    answered = exact = wrong = 0
    for pair in pairs:
        first, second = ask(crosstab([HIDDEN], pair.whole)), ask(crosstab([HIDDEN], pair.without))
        if first is None or second is None:
            continue
        answered += 1
        found = possible_secrets(_read(first, policy), _read(second, policy), pair.size)
        found = found or _changed(first, second)
        exact += found == {bool(world.secret[pair.target])}
        wrong += found == {not world.secret[pair.target]}
    return Differencing(len(pairs), answered, exact, wrong)


def _changed(whole: Answer, without: Answer) -> set[bool]:
    """The secret whose cell alone is withheld in the second answer."""
    gone = {
        secret
        for secret in (False, True)
        if isinstance(whole["counts"][secret], int)
        and not isinstance(without["counts"][secret], int)
    }
    return gone if len(gone) == 1 else set()


def possible_secrets(whole: Bounds, without: Bounds, size: int) -> set[bool]:
    """Which values of the target's secret fit both tables of (false, true), `size` in the whole."""
    return {
        secret
        for secret in (False, True)
        for true in range(int(whole.low[1]), int(whole.high[1]) + 1)
        if _inside(whole, 0, size - true)
        and _inside(without, 1, true - secret)
        and _inside(without, 0, size - true - (not secret))
    }


def _inside(cells: Bounds, position: int, count: int) -> bool:
    """Whether a cell may hold `count`."""
    return bool(cells.low[position] <= count <= cells.high[position])


def _read(answer: Answer, policy: Policy) -> Bounds:
    """The bins of a table of one variable; its line is a cohort of ten and more."""
    return bounds(answer["counts"], policy, zero_shown=True)


def target_pairs(world: World, source: np.random.Generator) -> Iterator[Pair]:
    """Yield one pair per patient whom one to three quasi-identifiers single out in some cohort."""
    for target in source.permutation(world.patients):
        pair = _pair(world, int(target))
        if pair is not None:
            yield pair


def _pair(world: World, target: int) -> Pair | None:
    """The first cohort in which two further quasi-identifiers single the target out."""
    same = {name: world.columns[name] == world.columns[name][target] for name in QUASI}
    for outer in [(), *((name,) for name in QUASI), *combinations(QUASI, 2)]:
        inside = _all(world, [same[name] for name in outer])
        if inside.sum() < SMALLEST_COHORT:
            continue
        for width in (1, 2, 3):
            for inner in combinations([name for name in QUASI if name not in outer], width):
                if (inside & _all(world, [same[name] for name in inner])).sum() == 1:
                    return _conditions(world, target, outer, inner, int(inside.sum()))
    return None


def _conditions(
    world: World, target: int, outer: tuple[str, ...], inner: tuple[str, ...], size: int
) -> Pair:
    """Write the two cohorts as a request says them."""
    own = {name: int(world.columns[name][target]) for name in QUASI}
    shared = [equals(name, own[name]) for name in outer]
    others = {"not": {"and": [equals(name, own[name]) for name in inner]}}
    whole = {"and": shared} if shared else {}
    return Pair(target, whole, {"and": [*shared, others]}, size)


def _all(world: World, conditions: list[NDArray[np.bool_]]) -> NDArray[np.bool_]:
    """Patients for whom every condition holds; everybody when there is none."""
    everybody = np.ones(world.patients, dtype=np.bool_)
    return np.asarray(np.logical_and.reduce([everybody, *conditions]), dtype=np.bool_)
