"""One question whose answer turns on one patient: the rules themselves as an oracle.

Known to the attacker: everybody's quasi-identifiers, and for `at_sites` who is treated where. Asked
is a cohort of patients who are known to be in it, and of the target only if the secret is true. The
known ones are chosen so that one more crosses a limit of the policy:

- `at_bins`: they fill a bin of the shown counts, so that one more is shown as the next bin;
- `at_sites`: they are of one site fewer than must hold anybody of the cohort;
- `at_refusals`: a second question without the target differs from the first only if the secret is
  true, so that a refusal for being too much alike would tell it.

Rounding and thresholds do not help against whoever knows what they would do. What helps is not to
answer a question in which a single patient's secret decides who is counted.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from itertools import combinations, islice, product
from typing import TypeAlias

import numpy as np

from federated.policy import Policy
from infra.attacks.asking import Asker, bounds, crosstab, equals
from infra.attacks.differencing import Pair, target_pairs
from infra.attacks.world import HIDDEN, QUASI, World


__all__ = ["Edges", "Fresh", "at_bins", "at_refusals", "at_sites"]

# Gives a consortium that has answered nothing yet.
Fresh: TypeAlias = Callable[[], AbstractContextManager[Asker]]


@dataclass(frozen=True)
class Edges:
    """Of `targets` patients: whose question was `answered`, and whose secret it told."""

    targets: int
    answered: int
    exact: int


@dataclass(frozen=True)
class _Padding:
    """Patients known to be counted: their conditions, and how many share the target's sex."""

    conditions: tuple[Mapping[str, object], ...]
    count: int


def at_bins(world: World, ask: Asker, policy: Policy, targets: int, seed: int = 0) -> Edges:
    """Fill a bin of counts with known patients, and add the target if the secret is true."""
    chosen = np.random.default_rng(seed).permutation(world.unique)[:targets]
    answered = exact = 0
    for target in chosen:
        padding = next(_paddings(world, int(target), policy), None)
        if padding is None:
            continue
        cohort = {"or": [{"and": list(padding.conditions)}, _if_true(world, int(target), "true")]}
        answer = ask(crosstab(["sex"], cohort))
        if answer is None:
            continue
        answered += 1
        cells = bounds(answer["counts"], policy, zero_shown=False)
        own = int(world.columns["sex"][target])
        possible = {
            secret
            for secret in (False, True)
            if cells.low[own] <= padding.count + secret <= cells.high[own]
        }
        exact += possible == {bool(world.secret[target])}
    return Edges(len(chosen), answered, exact)


def at_sites(world: World, ask: Asker, min_sites: int, targets: int, seed: int = 0) -> Edges:
    """Take known patients of one site fewer than needed, and the target at another site.

    If one of the two questions is refused and the other not, the refusal tells the secret.
    """
    source = np.random.default_rng(seed)
    chosen = source.permutation(world.unique)[:targets]
    answered = exact = 0
    for target in chosen:
        known = _elsewhere(world, int(target), min_sites - 1, source)
        for value in ("true", "false"):
            cohort = {"or": [*known, _if_true(world, int(target), value)]}
            if ask(crosstab(["sex"], cohort)) is not None:
                answered += 1
                exact += (value == "true") == bool(world.secret[target])
                break
    return Edges(len(chosen), answered, exact)


def at_refusals(world: World, fresh: Fresh, targets: int, seed: int = 0) -> Edges:
    """Ask of those with the secret, with the target and without; then of those without it.

    If only one of the two pairs is found too much alike, that tells the secret: the question is
    refused, or a cell withheld that was shown before. `fresh` gives a consortium that has answered
    nothing yet, which is the best that an attacker can meet.
    """
    chosen = list(islice(target_pairs(world, np.random.default_rng(seed)), targets))
    answered = exact = 0
    for pair in chosen:
        true, false = (_too_alike(fresh, pair, value) for value in ("true", "false"))
        answered += true is not None or false is not None
        if true and false and true[0] == false[0] and true[1] != false[1]:
            exact += true[1] == bool(world.secret[pair.target])
    return Edges(len(chosen), answered, exact)


def _too_alike(fresh: Fresh, pair: Pair, value: str) -> tuple[tuple[bool, ...], bool] | None:
    """Which cells the first question shows, and whether the second is refused or hides more.

    None where the first shows nothing: then nothing can be hidden.
    """
    secret = {"field": HIDDEN, "operator": "==", "value": value}
    whole, without = ({"and": [*_flat(part), secret]} for part in (pair.whole, pair.without))
    with fresh() as ask:
        first, second = ask(crosstab(["hsct"], whole)), ask(crosstab(["hsct"], without))
    if first is None or not any(isinstance(cell, int) for cell in first["counts"]):
        return None
    shown = tuple(isinstance(cell, int) for cell in first["counts"])
    if second is None:
        return shown, True
    still = (isinstance(cell, int) for cell in second["counts"])
    return shown, any(a and not b for a, b in zip(shown, still, strict=True))


def _flat(cohort: Mapping[str, object]) -> Sequence[object]:
    """The parts of an `and`."""
    parts = cohort.get("and", [])
    return parts if isinstance(parts, list) else []


def _paddings(world: World, target: int, policy: Policy) -> Iterator[_Padding]:
    """Cohorts without the target that fill bins in the target's sex."""
    for names in combinations([name for name in QUASI if name != "sex"], 2):
        for levels in product(*(range(len(QUASI[name])) for name in names)):
            same = [world.columns[n] == v for n, v in zip(names, levels, strict=True)]
            inside = np.logical_and.reduce(same)
            count = int((inside & (world.columns["sex"] == world.columns["sex"][target])).sum())
            if count > 0 and count % policy.grid == 0 and not inside[target]:
                conditions = (equals(n, v) for n, v in zip(names, levels, strict=True))
                yield _Padding(tuple(conditions), count)


def _elsewhere(
    world: World, target: int, sites: int, source: np.random.Generator
) -> list[Mapping[str, object]]:
    """Conditions that single out one patient at each of `sites` other sites."""
    found: dict[int, int] = {}
    for patient in source.permutation(world.unique):
        if world.site[patient] != world.site[target] and len(found) < sites:
            found.setdefault(int(world.site[patient]), int(patient))
    return [{"and": _quasi(world, patient)} for patient in found.values()]


def _if_true(world: World, target: int, value: str) -> Mapping[str, object]:
    """The target, if the secret has this value."""
    secret = {"field": HIDDEN, "operator": "==", "value": value}
    return {"and": [*_quasi(world, target), secret]}


def _quasi(world: World, patient: int) -> list[Mapping[str, object]]:
    """One condition for each quasi-identifier of a patient."""
    return [equals(name, int(world.columns[name][patient])) for name in QUASI]
