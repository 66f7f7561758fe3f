"""A centre subtracts its own patients from what is published, and bounds what the others hold.

Known to the attacker: its own rows. Asked: tables that anybody may ask. Disclosed is a cell of
which the other centres are known to hold at least one patient and fewer than a withheld cell may
hold: then the bin says more of the others than withholding would.
"""

from dataclasses import dataclass
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from federated.policy import Policy
from infra.attacks.asking import Asker, bounds, crosstab
from infra.attacks.world import HIDDEN, QUASI, VIEW, VIEWS, World


__all__ = ["Peers", "attack", "tables"]

SMALL = 6  # what the consortium's policy withholds, whatever policy is attacked


@dataclass(frozen=True)
class Peers:
    """Of `cells` shown to a centre: those where few others are certain, and their number exactly.

    A cell is counted once for each centre that looks at it.
    """

    cells: int
    few: int
    exact: int


def attack(world: World, ask: Asker, policy: Policy, questions: int, seed: int = 0) -> Peers:
    """Let every centre look at `questions` tables."""
    source = np.random.default_rng(seed)
    plans = tables()
    cells = few = exact = 0
    for pick in source.permutation(len(plans))[:questions]:
        answer = ask(crosstab(plans[pick]))
        if answer is None:
            continue
        shown = bounds(answer["counts"], policy, zero_shown=False)
        own = _own(world, plans[pick])
        low = np.maximum(shown.low - own, 0)
        high = np.maximum(shown.high - own, 0)
        some = low >= 1
        cells += low.size
        few += int((some & (high < SMALL)).sum())
        exact += int((some & (high == low) & (high <= SMALL)).sum())
    return Peers(cells, few, exact)


def tables() -> list[tuple[str, ...]]:
    """Every table of one or two variables."""
    names = [*QUASI, HIDDEN]
    return [*((name,) for name in names), *combinations(names, 2)]


def _own(world: World, names: tuple[str, ...]) -> NDArray[np.int64]:
    """Each centre's own counts: centres by the table's shape."""
    sites = int(world.site.max()) + 1
    counts = np.zeros((sites, *(len(VIEWS[VIEW].variables[n].levels) for n in names)), np.int64)
    codes = tuple(world.columns[name].astype(np.int64) for name in names)
    np.add.at(counts, (world.site, *codes), 1)
    return counts
