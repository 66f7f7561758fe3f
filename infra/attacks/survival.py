"""Read single deaths off survival curves, and off two curves of the same patients on two grids.

Known to the attacker: how the estimator and the gate work. Asked: curves by one quasi-identifier,
for everybody and within the levels of another, on every grid that may be asked for. Between two
neighboring points of the curves of one group lie the events that make the difference; a death
stands alone when there can be one only, and among few when there can be one to five only. What an
attacker takes for certain and is not so counts for nothing.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from federated.policy import Policy
from infra.attacks.asking import Answer, Asker, asked, equals
from infra.attacks.world import QUASI, World


__all__ = ["Point", "Survival", "attack", "events_between"]

SMALL = 6  # events: what one step of the consortium's policy holds at least
GRIDS: tuple[object, ...] = ("years", "early", {"step": 0.25}, {"step": 0.5}, {"step": 2.0})


@dataclass(frozen=True)
class Survival:
    """Of `events` of the groups asked about: those certainly alone, and those among few.

    `curves` were published; `wrong` intervals did not hold what they were taken to hold.
    """

    curves: int
    events: int
    alone: int
    few: int
    wrong: int


@dataclass(frozen=True)
class Point:
    """One published point of a curve: limits of what it can stand for."""

    time: float
    low: float
    high: float
    fewest_at_risk: int
    most_at_risk: int


def attack(world: World, ask: Asker, policy: Policy, questions: int, seed: int = 0) -> Survival:
    """Ask `questions` curves on every grid, and look between their points."""
    source = np.random.default_rng(seed)
    plans = list(_plans())
    found = np.zeros(5, dtype=np.int64)
    for pick in source.permutation(len(plans))[:questions]:
        group, cohort = plans[pick]
        answers = [ask(_question(grid, group, cohort)) for grid in GRIDS]
        published = [answer for answer in answers if answer is not None]
        for level in range(len(QUASI[group])):
            deaths = _deaths(world, group, level, cohort)
            curves = sum(bool(answer["curves"][level]["steps"]) for answer in published)
            found += [curves, deaths.size, *_seen(published, level, policy, deaths)]
    return Survival(*(int(number) for number in found))


def events_between(before: Point, after: Point) -> tuple[int, int]:
    """Return the fewest and most events that can lie between two points.

    The curve falls by the factor 1 - d / n per event time, n at risk. All d events together make
    it fall by at least their share of those at risk first, and by at most their share of those
    at risk last.
    """
    least = 1 - after.high / before.low if before.low > 0 else 0.0
    most = 1 - after.low / before.high if before.high > 0 else 0.0
    low = int(np.ceil(max(least, 0.0) * after.fewest_at_risk - 1e-9))
    return max(low, int(least > 0)), int(np.floor(max(most, 0.0) * before.most_at_risk + 1e-9))


def _seen(
    answers: Sequence[Answer], level: int, policy: Policy, deaths: NDArray[np.float64]
) -> tuple[int, int, int]:
    """Deaths that are certainly alone, certainly among few, and wrong claims of either."""
    alone = few = wrong = 0
    points = list(_points(answers, level, policy))
    for before, after in pairwise(points):
        low, high = events_between(before, after)
        if not 1 <= low <= high < SMALL:
            continue
        truth = int(((deaths > before.time) & (deaths <= after.time)).sum())
        if not low <= truth <= high:
            wrong += 1
        else:
            alone += low == high == 1
            few += truth
    return alone, few, wrong


def _points(answers: Sequence[Answer], level: int, policy: Policy) -> Iterator[Point]:
    """All points of one group, in the order of time; the first is where everybody lives."""
    exact = policy.grid == 1
    half, below, above = (1e-12, 0, 0) if exact else (0.005, 2, 3)
    steps = [step for answer in answers for step in answer["curves"][level]["steps"]]
    largest = [answer["curves"][level]["largest_at_risk"] for answer in answers]
    start = max((size for size in largest if isinstance(size, int)), default=0)
    yield Point(0.0, 1.0, 1.0, start - below, start + above)
    seen: dict[float, Mapping[str, Any]] = {float(step["time"]): step for step in steps}
    for time, step in sorted(seen.items()):
        survival, at_risk = float(step["survival"]), step["at_risk"]
        if isinstance(at_risk, int):
            low, high = max(survival - half, 0.0), min(survival + half, 1.0)
            yield Point(time, low, high, at_risk - below, at_risk + above)


def _question(grid: object, group: str, cohort: tuple[str, int] | None) -> Answer:
    """A question for curves."""
    parameters = {"outcome": "death", "group": group, "grid": grid}
    return asked("kaplan_meier", parameters, cohort and equals(*cohort))


def _plans() -> list[tuple[str, tuple[str, int] | None]]:
    """Every quasi-identifier, for everybody and within the levels of another."""
    plans: list[tuple[str, tuple[str, int] | None]] = [(name, None) for name in QUASI]
    for group in QUASI:
        others = [name for name in QUASI if name != group]
        plans += [(group, (name, level)) for name in others for level in range(len(QUASI[name]))]
    return plans


def _deaths(
    world: World, group: str, level: int, cohort: tuple[str, int] | None
) -> NDArray[np.float64]:
    """When the group's patients died."""
    inside = (world.columns[group] == level) & (world.columns["died"] == 1)
    if cohort is not None:
        inside = inside & (world.columns[cohort[0]] == cohort[1])
    return np.asarray(world.columns["time_y"][inside], dtype=np.float64)
