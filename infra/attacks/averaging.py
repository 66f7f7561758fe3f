"""Ask the same in many words, and average what comes back.

A fresh draw of noise per answer averages out; rounding does not, as long as equal patients give
equal answers however they are described. For comparison the same average is taken over answers
with fresh noise, as wide as a bin.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np

from infra.attacks.asking import Answer, Asker, bare, crosstab, equals
from infra.attacks.world import HIDDEN, World


__all__ = ["Averaging", "attack", "phrasings"]

NOISE = 3  # half the width of a bin


@dataclass(frozen=True)
class Averaging:
    """`distinct` answers to `asked` phrasings, of which `answered` were.

    `noise_recovered`: whether the mean of noisy answers, rounded, is the exact table.
    """

    asked: int
    answered: int
    distinct: int
    noise_recovered: bool


def attack(world: World, ask: Asker, repeats: int, seed: int = 0) -> Averaging:
    """Ask how often the secret is true among one half, in `repeats` ways."""
    questions = [question for question, _ in zip(phrasings(), range(repeats), strict=False)]
    answers = [answer for question in questions if (answer := ask(question)) is not None]
    distinct = {str(_in_one_order(answer)) for answer in answers}
    exact = np.asarray(_counts(bare(world)(questions[0])))
    source = np.random.default_rng(seed)
    noisy = exact + source.uniform(-NOISE, NOISE, (max(repeats, 1000), *exact.shape))
    recovered = bool((np.rint(noisy.mean(axis=0)) == exact).all())
    return Averaging(len(questions), len(answers), len(distinct), recovered)


def phrasings() -> Iterator[Mapping[str, object]]:
    """Yield questions about the very same patients, in ever new words."""
    first, second = equals("sex", 0), equals("sex", 1)
    same: list[Mapping[str, object]] = [
        first,
        {"not": second},
        {"not": {"not": first}},
        {"and": [first, first]},
        {"or": [first, {"and": [first, {"not": second}]}]},
        {"field": "sex", "operator": "in", "value": ["sex_0"]},
        {"field": "sex", "operator": "!=", "value": "sex_1"},
        {"and": [{"not": second}, {"not": {"field": "sex", "operator": "is_missing"}}]},
    ]
    for cohort in same:
        yield crosstab(["hsct", HIDDEN], cohort)
        yield crosstab([HIDDEN, "hsct"], cohort)
    for below in range(1, 100_000):
        nobody_left_out = {"field": "age_y", "operator": ">=", "value": -below}
        yield crosstab(["hsct", HIDDEN], {"and": [first, nobody_left_out]})


def _counts(answer: Answer | None) -> object:
    """The counts of an answer."""
    return answer["counts"] if answer else None


def _in_one_order(answer: Answer) -> object:
    """Counts with the secret along the last axis, so that a turned table is not another answer."""
    counts = answer["counts"]
    if answer["variables"][-1]["name"] == HIDDEN:
        return counts
    return [list(column) for column in zip(*counts, strict=True)]
