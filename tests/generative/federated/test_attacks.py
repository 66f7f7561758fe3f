"""The attacks of the attack report on one small consortium: real sites, coordinator and ledgers.

Every attack succeeds on bare numbers, or it would prove nothing, and fails on what is published.
`python -m infra.attacks` runs them on many consortia and writes docs/reference/attack-report.md.
"""

from collections.abc import Iterator
from contextlib import nullcontext

import numpy as np
import pytest

from federated.policy import CONSORTIUM, EXACT
from infra.attacks import averaging, differencing, edges, peers, reconstruction, survival
from infra.attacks.asking import Asker, bare, bounds, consortium, naive
from infra.attacks.world import World, make_world


@pytest.fixture(scope="module")
def world() -> World:
    return make_world(5, seed=1)


@pytest.fixture
def ask(world: World) -> Iterator[Asker]:
    with consortium(world) as asker:
        yield asker


def test_a_shown_count_is_read_as_its_bin() -> None:
    small, other = {"withheld": "small_cell"}, {"withheld": "complement"}
    read = bounds([[9, 0], [small, other]], CONSORTIUM, zero_shown=True)
    assert read.low.tolist() == [[7, 0], [1, 0]]
    assert read.high[0].tolist() == [12, 0]
    assert read.high[1, 0] == 6
    assert read.high[1, 1] > 1000


@pytest.mark.parametrize(
    ("whole", "without", "size", "secrets"),
    [
        # (false, true) with the target and without; the bins of 13 and of 12 lie side by side
        (([7, 13], [12, 18]), ([7, 7], [12, 12]), 22, {True}),
        (([13, 7], [18, 12]), ([7, 7], [12, 12]), 22, {False}),
        (([7, 7], [12, 12]), ([7, 7], [12, 12]), 20, {False, True}),
        (([7, 7], [12, 12]), ([7, 7], [12, 12]), 14, set()),
    ],
)
def test_a_difference_of_bins_is_a_difference_of_patients(
    whole: tuple[list[int], list[int]],
    without: tuple[list[int], list[int]],
    size: int,
    secrets: set[bool],
) -> None:
    first, second = (
        differencing.Bounds(np.array(low), np.array(high)) for low, high in (whole, without)
    )
    assert differencing.possible_secrets(first, second, size) == secrets


def test_two_questions_tell_nobodys_secret(world: World, ask: Asker) -> None:
    unguarded = differencing.attack(world, bare(world), EXACT, targets=12)
    assert unguarded.exact == unguarded.targets == 12
    assert differencing.attack(world, ask, CONSORTIUM, targets=12).exact == 0


def test_a_full_bin_tells_nobodys_secret(world: World, ask: Asker) -> None:
    assert edges.at_bins(world, bare(world), EXACT, targets=10).exact == 10
    assert edges.at_bins(world, ask, CONSORTIUM, targets=10).exact == 0


def test_that_sites_refuse_tells_nobodys_secret(world: World, ask: Asker) -> None:
    judged_on_rows = naive(world, sites=CONSORTIUM.min_sites)
    assert edges.at_sites(world, judged_on_rows, CONSORTIUM.min_sites, targets=10).exact == 10
    assert edges.at_sites(world, ask, CONSORTIUM.min_sites, targets=10).exact == 0


def test_that_a_question_is_too_like_another_tells_nobodys_secret(world: World) -> None:
    apart = CONSORTIUM.grid + 1
    judged_on_rows = edges.at_refusals(world, lambda: nullcontext(naive(world, apart=apart)), 4)
    assert judged_on_rows.exact == 4
    assert edges.at_refusals(world, lambda: consortium(world), targets=4).exact == 0


def test_all_answers_together_tell_no_secret(world: World, ask: Asker) -> None:
    unguarded = reconstruction.attack(world, bare(world), EXACT, questions=30, tried=5)
    assert unguarded.exact == 5
    assert unguarded.right - unguarded.base > 0.2 * world.patients
    guarded = reconstruction.attack(world, ask, CONSORTIUM, questions=30, tried=5)
    assert guarded.exact == guarded.told == 0
    assert guarded.right - guarded.base <= 0.05 * world.patients


def test_a_centre_learns_nothing_of_few_others(world: World, ask: Asker) -> None:
    unguarded = peers.attack(world, bare(world), EXACT, questions=8)
    assert unguarded.few > 0.2 * unguarded.cells
    guarded = peers.attack(world, ask, CONSORTIUM, questions=8)
    assert (guarded.few, guarded.exact) == (0, 0)


def test_no_wording_gives_another_answer(world: World, ask: Asker) -> None:
    found = averaging.attack(world, ask, repeats=18)
    assert found.noise_recovered
    assert found.distinct == 1


@pytest.mark.audit
@pytest.mark.xfail(strict=True, reason="a release tells one cohort's curve on several grids")
def test_no_two_grids_tell_a_single_death_of_a_larger_consortium() -> None:
    larger = make_world(12, seed=1)
    with consortium(larger) as ask:
        guarded = survival.attack(larger, ask, CONSORTIUM, questions=2)
    assert (guarded.alone, guarded.few) == (0, 0)


def test_no_two_grids_tell_a_single_death(world: World, ask: Asker) -> None:
    unguarded = survival.attack(world, bare(world), EXACT, questions=3)
    assert unguarded.alone > 0.2 * unguarded.events
    guarded = survival.attack(world, ask, CONSORTIUM, questions=3)
    assert (guarded.alone, guarded.few) == (0, 0)
