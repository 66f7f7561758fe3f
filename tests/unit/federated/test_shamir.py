"""Secret sharing: any t shares give the secret back, fewer tell nothing."""

import random

from hypothesis import given
from hypothesis import strategies as st

from federated import shamir


@given(st.integers(0, shamir.PRIME - 1), st.integers(1, 8), st.integers(0, 4), st.randoms())
def test_any_threshold_of_the_shares_is_enough(
    secret: int, threshold: int, more: int, choice: random.Random
) -> None:
    shares = shamir.split(secret, threshold, threshold + more, choice.randbytes)
    chosen = choice.sample(range(1, threshold + more + 1), threshold)
    assert shamir.join({x: shares[x - 1] for x in chosen}) == secret


def test_one_share_too_few_fits_every_secret() -> None:
    shares = shamir.split(42, 3, 5, random.Random(1).randbytes)
    two = {1: shares[0], 2: shares[1]}
    for secret in (0, 7, shamir.PRIME - 1):
        # The parabola through (0, secret) and the two shares exists, so they exclude nothing.
        assert shamir.join({**two, 3: _third(two, secret)}) == secret


def _third(two: dict[int, int], secret: int) -> int:
    """The share at x = 3 of the one parabola with that secret."""
    p = shamir.PRIME
    # Lagrange through x = 0, 1, 2 at x = 3: f(3) = f(0) - 3 f(1) + 3 f(2).
    return (secret - 3 * two[1] + 3 * two[2]) % p


def test_a_draw_is_below_the_prime() -> None:
    answers = iter([b"\xff" * 32, (5).to_bytes(32, "little")])
    assert shamir.draw(lambda size: next(answers)) == 5
