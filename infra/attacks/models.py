"""What models give away: risk sets of a Cox model, cells of its matrices.

`risk_sets`: from sums over risk sets, as WebDISCO exchanges them, the differences between event
times are sums over the few patients who left in between. Where one left, these are his covariates;
where two did, sum and squares give both. The same search is made in everything that our coordinator
sees while it fits a model: every run of numbers as long as there are covariates, and every
difference of two, for any patient's covariates.

`cells`: the matrix X'X of coded covariates holds the table of every two of them. Whatever is fitted
is searched for terms of few patients or few events.

Source: Lu et al., JAMIA 22 (2015) 1212, for the sums that WebDISCO exchanges.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations, pairwise

import numpy as np
from numpy.typing import NDArray

from federated.policy import CONSORTIUM
from infra.attacks.asking import Answer, Asker, asked, equals, transcript
from infra.attacks.world import HIDDEN, LABS, QUASI, World


__all__ = ["Cells", "RiskSets", "cells", "fitted", "risk_sets"]

SMALL = 6  # patients: what the consortium's policy withholds
COVARIATES = ("age_y", *LABS[:3])


@dataclass(frozen=True)
class RiskSets:
    """Of `patients`: whose covariates follow exactly from sums by site, from pooled sums, and ours.

    `seen` vectors of the length of the covariates passed our coordinator.
    """

    patients: int
    by_site: int
    pooled: int
    ours: int
    seen: int


@dataclass(frozen=True)
class Cells:
    """Of `models` asked for: how many were fitted, and how many of those rest on a small cell.

    `alone` of `patients` sit alone in a cell of two covariates, which X'X would show.
    """

    models: int
    fitted: int
    small: int
    patients: int
    alone: int


def risk_sets(world: World) -> RiskSets:
    """Search sums over risk sets, then all that our coordinator sees."""
    x = np.stack([np.asarray(world.columns[name], dtype=np.float64) for name in COVARIATES], axis=1)
    time = np.asarray(world.columns["time_y"], dtype=np.float64)
    died = np.asarray(world.columns["died"], dtype=np.bool_)
    sites = [world.site == number for number in range(int(world.site.max()) + 1)]
    by_site = sum(_left_alone(x[one], time[one], died[one]) for one in sites)
    question = asked("cox", {"outcome": "death", "covariates": list(COVARIATES)})
    seen = np.array(list(_vectors(transcript(world, question, CONSORTIUM), len(COVARIATES))))
    ours = _found(seen.reshape(-1, len(COVARIATES)), x)
    return RiskSets(world.patients, by_site, _left_alone(x, time, died), ours, len(seen))


def _left_alone(x: NDArray[np.float64], time: NDArray[np.float64], died: NDArray[np.bool_]) -> int:
    """How many patients' covariates follow from sums over the risk sets of all event times."""
    events = np.unique(time[died])
    if not events.size:
        return 0
    at_risk = (time[None, :] >= events[:, None]).astype(np.float64)
    squares = (x[:, :, None] * x[:, None, :]).reshape(len(x), -1)
    sums = np.column_stack([at_risk.sum(axis=1), at_risk @ x, at_risk @ squares])
    steps = np.vstack([sums[:-1] - sums[1:], sums[-1:]])
    p = x.shape[1]
    solved = [step[1 : p + 1] for step in steps if step[0] == 1]
    for step in steps[steps[:, 0] == 2]:
        solved += _two(step[1 : p + 1], step[p + 1 :].reshape(p, p))
    return _found(np.array(solved).reshape(-1, p), x)


def _two(total: NDArray[np.float64], squares: NDArray[np.float64]) -> list[NDArray[np.float64]]:
    """Two vectors from their sum and the sum of their outer products.

    With m their mean and d half their difference, the outer products are 2 m m' + 2 d d'.
    """
    mean = total / 2
    outer = squares / 2 - np.outer(mean, mean)
    widest = int(np.argmax(np.diag(outer)))
    half = outer[widest] / np.sqrt(max(outer[widest, widest], 1e-300))
    return [mean + half, mean - half]


def _found(vectors: NDArray[np.float64], x: NDArray[np.float64]) -> int:
    """How many patients have one of `vectors` as their covariates."""
    if not vectors.size:
        return 0
    far = np.abs(x[:, None, :] - vectors[None, :, :]).max(axis=2)
    return int((far.min(axis=1) < 1e-6).sum())


def _vectors(rounds: Iterator[object], length: int) -> Iterator[NDArray[np.float64]]:
    """Vectors of a length in what the coordinator sees, and differences between rounds."""
    sums: list[Mapping[str, NDArray[np.generic]]] = [
        blocks for blocks in rounds if isinstance(blocks, Mapping)
    ]
    for blocks in sums:
        for values in blocks.values():
            yield from _rows(np.asarray(values, dtype=np.float64), length)
    for before, after in pairwise(sums):
        for name in before.keys() & after.keys():
            if before[name].shape == after[name].shape:
                first = np.asarray(before[name], dtype=np.float64)
                yield from _rows(np.asarray(after[name], dtype=np.float64) - first, length)


def _rows(values: NDArray[np.float64], length: int) -> Iterator[NDArray[np.float64]]:
    """Every run of `length` numbers, and every difference of two neighbors."""
    flat = values.reshape(-1)
    runs = [flat[start : start + length] for start in range(flat.size - length + 1)]
    yield from runs
    yield from (after - before for before, after in pairwise(runs[::length]))


def cells(world: World, ask: Asker, questions: int, seed: int = 0) -> Cells:
    """Ask for models of two coded covariates within cohorts, and look at what was fitted."""
    source = np.random.default_rng(seed)
    plans = list(_plans())
    small = done = alone = patients = 0
    chosen = source.permutation(len(plans))[:questions]
    for pick in chosen:
        names, cohort = plans[pick]
        counts = _table(world, names, cohort)
        patients += int(counts.sum())
        alone += int((counts == 1).sum())
        parameters = {"outcome": "death", "covariates": list(names)}
        answer = ask(asked("cox", parameters, cohort and equals(*cohort)))
        if answer is None or not fitted(answer):
            continue
        done += 1
        small += bool(((counts > 0) & (counts <= SMALL)).any())
    return Cells(len(chosen), done, small, patients, alone)


def fitted(answer: Answer) -> bool:
    """Whether an answer has coefficients."""
    return any(term.get("estimate") is not None for term in answer.get("terms", []))


def _plans() -> list[tuple[tuple[str, str], tuple[str, int] | None]]:
    """Every two coded covariates, for everybody and within the levels of a third."""
    names = [*QUASI, HIDDEN]
    plans: list[tuple[tuple[str, str], tuple[str, int] | None]] = []
    for pair in combinations(names, 2):
        plans.append((pair, None))
        others = [name for name in QUASI if name not in pair]
        plans += [(pair, (name, level)) for name in others for level in range(len(QUASI[name]))]
    return plans


def _table(world: World, names: Sequence[str], cohort: tuple[str, int] | None) -> NDArray[np.int64]:
    """How many patients have each combination of two covariates and the event."""
    codes = [world.columns[name].astype(np.int64) for name in (*names, "died")]
    inside = np.ones(world.patients, dtype=np.bool_)
    if cohort is not None:
        inside = world.columns[cohort[0]] == cohort[1]
    counts = np.zeros([int(code.max()) + 1 for code in codes], dtype=np.int64)
    np.add.at(counts, tuple(code[inside] for code in codes), 1)
    return np.asarray(counts.sum(axis=2), dtype=np.int64)
