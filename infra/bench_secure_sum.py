"""How long one site takes to mask its vector among many: a line of `make bench`."""

import statistics
import time
from collections.abc import Mapping

import numpy as np
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from numpy.typing import NDArray

from federated import ring
from federated.roster import Roster
from federated.secure_sum import Party


__all__ = ["TARGET_SECONDS", "masking_seconds"]

TARGET_SECONDS = 0.050
"""What issue 4 asks for at 40 sites and 10,000 values."""


def masking_seconds(sites: int = 40, values: int = 10_000, repeats: int = 5) -> float:
    """Return the median seconds in which one of `sites` encodes, masks and signs `values` sums."""
    names = [f"site{number:02d}" for number in range(sites)]
    keys = {name: Ed25519PrivateKey.generate() for name in names}
    roster = Roster({name: key.public_key().public_bytes_raw() for name, key in keys.items()})
    parties = {
        name: Party(name, key, roster, context=bytes(32), release="", rounds=1, minimum=3)
        for name, key in keys.items()
    }
    announced = {name: party.announce() for name, party in parties.items()}
    numbers = np.random.default_rng(1).normal(size=values)
    return statistics.median(
        _timed(party, announced, numbers) for party in list(parties.values())[:repeats]
    )


def _timed(party: Party, announced: Mapping[str, bytes], numbers: NDArray[np.float64]) -> float:
    """Seconds of one party; the keys are agreed before, once per query."""
    party.share(announced)
    started = time.perf_counter()
    party.mask(1, ring.encode_sums(numbers), bytes(32))
    return time.perf_counter() - started
