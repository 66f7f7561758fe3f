"""Every attack on many consortia: what each gets from bare numbers, and from what is published."""

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import ExitStack, nullcontext
from dataclasses import dataclass
from functools import reduce

from federated.policy import CONSORTIUM, EXACT
from infra.attacks import (
    averaging,
    differencing,
    edges,
    membership,
    models,
    peers,
    reconstruction,
    survival,
)
from infra.attacks.asking import bare, consortium, naive
from infra.attacks.world import World, make_world


__all__ = ["CONSORTIA", "MOST_AUC", "Finding", "Membership", "Tally", "run"]

# Consortia per number of sites, and how many patients or questions each attack spends on one.
CONSORTIA: Mapping[int, int] = {5: 3, 12: 1, 30: 1}
TARGETS: Mapping[int, int] = {5: 12, 12: 8, 30: 4}
QUESTIONS: Mapping[int, int] = {5: 40, 12: 32, 30: 16}
PROVED = 8  # single patients whose secret the solver is asked to prove
GUESS_POINTS = 0.05
MOST_AUC = 0.55
# What models are attacked: sites, patients, coefficients, consortia.
PUBLISHED = ((5, 120, 5, 8), (5, 96, 8, 8), (12, 600, 5, 1), (30, 1500, 5, 1))
UNGUARDED = (5, 30, 8, 16)


@dataclass(frozen=True)
class Tally:
    """`hits` among `of`."""

    hits: int
    of: int

    def __add__(self, other: "Tally") -> "Tally":
        return Tally(self.hits + other.hits, self.of + other.of)

    def __str__(self) -> str:
        share = f" ({100 * self.hits / self.of:.1f} %)" if self.of else ""
        return f"{self.hits} of {self.of}{share}"


@dataclass(frozen=True)
class Finding:
    """One attack on consortia of so many sites.

    `unguarded` is what it gets from bare numbers or naive rules, `published` from the real thing;
    `allowed` what the target allows, counted alike.
    """

    attack: str
    sites: int
    unguarded: Tally
    published: Tally
    allowed: Tally

    @property
    def met(self) -> bool:
        """Whether the target is met."""
        return self.published.hits <= self.allowed.hits

    def __add__(self, other: "Finding") -> "Finding":
        return Finding(
            self.attack,
            self.sites,
            self.unguarded + other.unguarded,
            self.published + other.published,
            self.allowed + other.allowed,
        )


@dataclass(frozen=True)
class Membership:
    """Membership inference against published and against unguarded models."""

    published: Sequence[membership.Membership]
    unguarded: membership.Membership

    @property
    def met(self) -> bool:
        """Whether no model tells more of its members than the target allows."""
        return all(round(item.auc, 2) <= MOST_AUC for item in self.published)


def run(say: Callable[[str], None] = lambda line: None) -> tuple[list[Finding], Membership]:
    """Run all attacks; a process for every processor."""
    jobs = [(sites, seed) for sites, number in CONSORTIA.items() for seed in range(1, number + 1)]
    jobs.sort(reverse=True)  # the longest first
    found: dict[tuple[str, int], list[Finding]] = {}
    with ProcessPoolExecutor(os.cpu_count()) as pool:
        published = [pool.submit(_published, *case) for case in PUBLISHED]
        unguarded = pool.submit(_unguarded, *UNGUARDED)
        for (sites, seed), findings in zip(jobs, pool.map(_one, jobs), strict=True):
            say(f"{sites} sites, consortium {seed}: done")
            for item in findings:
                found.setdefault((item.attack, item.sites), []).append(item)
        members = Membership([job.result() for job in published], unguarded.result())
    return [reduce(Finding.__add__, items) for _, items in sorted(found.items())], members


def _one(job: tuple[int, int]) -> list[Finding]:
    """All attacks but membership on one consortium."""
    sites, seed = job
    world = make_world(sites, seed)
    parts = (_counting, _oracles, _solving, _looking)
    return [finding for part in parts for finding in part(world, sites)]


def _counting(world: World, sites: int) -> Iterator[Finding]:
    """Differences of counts."""
    targets = TARGETS[sites]
    plain = differencing.attack(world, bare(world), EXACT, targets)
    with consortium(world) as ask:
        real = differencing.attack(world, ask, CONSORTIUM, targets)
    yield _none_of(
        "differencing", sites, Tally(plain.exact, plain.targets), Tally(real.exact, real.targets)
    )


def _oracles(world: World, sites: int) -> Iterator[Finding]:
    """Rules that could be made to speak."""
    targets, least = TARGETS[sites], CONSORTIUM.min_sites
    with consortium(world) as ask:
        plain = edges.at_bins(world, bare(world), EXACT, targets)
        yield _edge("bins", sites, plain, edges.at_bins(world, ask, CONSORTIUM, targets))
        plain = edges.at_sites(world, naive(world, sites=least), least, targets)
        yield _edge("sites", sites, plain, edges.at_sites(world, ask, least, targets))
    few, apart = targets // 2, CONSORTIUM.grid + 1
    plain = edges.at_refusals(world, lambda: nullcontext(naive(world, apart=apart)), few)
    yield _edge("refusals", sites, plain, edges.at_refusals(world, lambda: consortium(world), few))


def _solving(world: World, sites: int) -> Iterator[Finding]:
    """Everything that is answered, together."""
    asked = QUESTIONS[sites]
    plain = reconstruction.attack(world, bare(world), EXACT, questions=asked, tried=PROVED)
    with consortium(world) as ask:
        real = reconstruction.attack(world, ask, CONSORTIUM, questions=asked, tried=PROVED)
    yield _none_of("proof", sites, Tally(plain.exact, plain.tried), Tally(real.exact, real.tried))
    yield _none_of(
        "told", sites, Tally(plain.told, plain.patients), Tally(real.told, real.patients)
    )
    allowed = int(real.base + GUESS_POINTS * real.patients)
    yield Finding(
        "guess",
        sites,
        Tally(plain.right, plain.patients),
        Tally(real.right, real.patients),
        Tally(allowed, real.patients),
    )


def _looking(world: World, sites: int) -> Iterator[Finding]:
    """What single answers and messages show."""
    few = QUESTIONS[sites] // 4
    with consortium(world) as ask:
        exact, peer = (
            peers.attack(world, bare(world), EXACT, few),
            peers.attack(world, ask, CONSORTIUM, few),
        )
        yield _none_of("peers", sites, Tally(exact.few, exact.cells), Tally(peer.few, peer.cells))
        said = averaging.attack(world, ask, few)
        others = Tally(max(said.distinct - 1, 0), said.answered)
        yield _none_of("averaging", sites, Tally(int(said.noise_recovered), 1), others)
        plain = survival.attack(world, bare(world), EXACT, few // 3)
        real = survival.attack(world, ask, CONSORTIUM, few // 3)
        seen, told = Tally(plain.few, plain.events), Tally(real.few, real.events)
        yield _none_of("curves", sites, seen, told)
        fit = models.cells(world, ask, few // 2)
        alone = Tally(fit.alone, fit.patients)
        yield _none_of("cells", sites, alone, Tally(fit.small, fit.fitted))
    left = models.risk_sets(world)
    plain_sums, ours = Tally(left.by_site, left.patients), Tally(left.ours, left.patients)
    yield _none_of("risk_sets", sites, plain_sums, ours)


def _none_of(attack: str, sites: int, unguarded: Tally, published: Tally) -> Finding:
    """A finding whose target is none at all."""
    return Finding(attack, sites, unguarded, published, Tally(0, published.of))


def _edge(attack: str, sites: int, plain: edges.Edges, real: edges.Edges) -> Finding:
    """A finding on an oracle."""
    return _none_of(
        attack, sites, Tally(plain.exact, plain.targets), Tally(real.exact, real.targets)
    )


def _published(sites: int, patients: int, parameters: int, worlds: int) -> membership.Membership:
    """Membership in models that the real thing publishes."""
    made = [make_world(sites, 100 + seed, patients) for seed in range(worlds)]
    with ExitStack() as stack:
        asking = [(world, stack.enter_context(consortium(world))) for world in made]
        return membership.attack(sites, patients, parameters, asking)


def _unguarded(sites: int, patients: int, parameters: int, worlds: int) -> membership.Membership:
    """Membership in small models that no gate has looked at."""
    made = [make_world(sites, 200 + seed, patients) for seed in range(worlds)]
    return membership.attack(sites, patients, parameters, [(world, bare(world)) for world in made])
