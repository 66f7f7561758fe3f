"""The targets of the secure sum: exact for any numbers and dropouts, and uniform to look at."""

import hashlib
import itertools
import math
import random
from collections.abc import Mapping, Sequence
from fractions import Fraction

import numpy as np
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from scipy.stats import chi2

from federated import ring
from federated.agreement import Gathering, ProtocolError, gather, threshold
from federated.roster import Roster
from federated.secure_sum import Party, open_sum


CONTEXT, BINDING = b"c" * 32, b"b" * 32
FEW, MANY = 40, 1000
COMPARED = 100  # positions of a long vector that are also summed as fractions


class Sum:
    """One query over `names`, up to and including the masked vectors."""

    def __init__(self, names: Sequence[str], values: Mapping[str, np.ndarray], seed: str) -> None:
        keys = {name: identity(name) for name in names}
        roster = Roster({n: key.public_key().public_bytes_raw() for n, key in keys.items()})
        self.parties = {
            name: Party(
                name,
                keys[name],
                roster,
                context=CONTEXT,
                release="rel",
                rounds=1,
                minimum=3,
                entropy=random.Random(f"{seed}{name}").randbytes,
            )
            for name in names
        }
        announced = {name: party.announce() for name, party in self.parties.items()}
        self.gathering: Gathering = gather(announced, roster, CONTEXT, 1, 3)
        boxes = {name: party.share(announced) for name, party in self.parties.items()}
        for name, party in self.parties.items():
            party.receive({giver: box[name] for giver, box in boxes.items() if giver != name})
        self.masked = {
            name: party.mask(1, ring.encode_sums(values[name]), BINDING)[0]
            for name, party in self.parties.items()
        }

    def open(
        self, arrived: Sequence[str], signing: Sequence[str], revealing: Sequence[str]
    ) -> ring.Limbs:
        """Unmask the sum over `arrived`; ProtocolError when too few are left at a step."""
        endorsed = {name: self.parties[name].endorse(1, arrived) for name in signing}
        revealed = {name: self.parties[name].reveal(1, endorsed) for name in revealing}
        return open_sum(self.gathering, 1, {n: self.masked[n] for n in arrived}, revealed)


def identity(name: str) -> Ed25519PrivateKey:
    return Ed25519PrivateKey.from_private_bytes(hashlib.sha256(name.encode()).digest())


def sites(count: int) -> list[str]:
    return [f"site{i:02d}" for i in range(count)]


def random_numbers(source: random.Random, length: int) -> np.ndarray:
    """Numbers of many magnitudes and both signs, a few of them whole or zero."""
    generator = np.random.default_rng(source.getrandbits(64))
    numbers = generator.normal(size=length) * 10.0 ** generator.integers(-3, 15, length)
    kept = np.abs(numbers) >= 2.0**-40
    return np.where(generator.random(length) < 0.2, np.rint(numbers), np.where(kept, numbers, 0.0))


def compare(case: int) -> None:
    """One random case: sites, length, numbers, and how many of the sites leave."""
    source = random.Random(case)
    names = sites(source.randint(3, 40))
    length = int(10 ** source.uniform(0, 4))
    values = {name: random_numbers(source, length) for name in names}
    most_lost = len(names) - threshold(len(names))
    lost = source.sample(names, source.randint(0, most_lost))
    arrived = [name for name in names if name not in lost]
    limbs = Sum(names, values, str(case)).open(arrived, arrived, arrived)
    found = ring.decode_sums(limbs)
    table = np.array([values[name] for name in arrived])
    assert found.tolist() == [math.fsum(column) for column in table.T]
    exact = [int.from_bytes(row.tobytes(), "little", signed=True) for row in limbs[:COMPARED]]
    for number, column in zip(exact, table.T, strict=False):
        assert Fraction(number, 2**96) == sum(map(Fraction, column.tolist()))


@pytest.mark.parametrize("case", range(FEW))
def test_the_sum_equals_the_sum_of_fractions(case: int) -> None:
    compare(case)


@pytest.mark.audit
def test_the_sum_equals_the_sum_of_fractions_in_a_thousand_cases() -> None:
    for case in range(MANY):
        compare(case)


@pytest.mark.parametrize(("count", "length"), [(3, 1), (3, 10_000), (40, 1)])
def test_the_ends_of_the_range_of_sites_and_lengths(count: int, length: int) -> None:
    source = random.Random(count * length)
    values = {name: random_numbers(source, length) for name in sites(count)}
    names = sites(count)
    found = ring.decode_sums(Sum(names, values, "ends").open(names, names, names))
    table = np.array([values[name] for name in names])
    assert found.tolist() == [math.fsum(column) for column in table.T]


def subsets(names: Sequence[str]) -> list[tuple[str, ...]]:
    """Every set of up to a third of the sites."""
    return [
        lost for size in range(len(names) // 3 + 1) for lost in itertools.combinations(names, size)
    ]


@pytest.mark.parametrize("step", ["vector", "signature", "share"])
@pytest.mark.parametrize("count", [5, 6, 7])
def test_every_dropout_of_up_to_a_third_at_every_step(count: int, step: str) -> None:
    """Exact over the sites whose vector arrived, or, below the threshold, nothing at all."""
    names = sites(count)
    values = {name: np.array([float(i + 1), 0.5**i]) for i, name in enumerate(names)}
    for lost in subsets(names):
        query = Sum(names, values, "".join(lost))
        left = [name for name in names if name not in lost]
        arrived = left if step == "vector" else names
        signing = left if step in ("vector", "signature") else names
        if len(left) < threshold(count):
            with pytest.raises(ProtocolError, match="too_few"):
                query.open(arrived, signing, left)
            continue
        found = ring.decode_sums(query.open(arrived, signing, left))
        assert found.tolist() == [math.fsum(values[n][k] for n in arrived) for k in range(2)]


@pytest.mark.parametrize("numbers", ["zeros", "counts", "sums"])
def test_a_masked_vector_is_not_told_from_uniform_bytes(numbers: str) -> None:
    """Chi-squared over the 256 values of a byte, in each of the 24 places and over all of them."""
    length, names = 10_000, sites(5)
    plain = {
        "zeros": np.zeros(length),
        "counts": np.random.default_rng(1).integers(0, 9, length).astype(np.float64),
        "sums": np.random.default_rng(2).normal(100, 15, length),
    }[numbers]
    values = dict.fromkeys(names, plain)
    masked = Sum(names, values, "uniform").masked["site02"].view(np.uint8).reshape(length, 24)
    assert goodness(masked.reshape(-1)) > 0.01
    # Bonferroni: 24 places are looked at.
    assert min(goodness(masked[:, place]) for place in range(24)) > 0.01 / 24
    assert goodness(ring.encode_sums(plain).view(np.uint8).reshape(-1)) < 1e-9  # it can fail


def goodness(data: np.ndarray) -> float:
    """p of Pearson's chi-squared test that all bytes are equally likely."""
    expected = data.size / 256
    statistic = float(((np.bincount(data, minlength=256) - expected) ** 2 / expected).sum())
    return float(chi2.sf(statistic, 255))
