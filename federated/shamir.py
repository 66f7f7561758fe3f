"""Secret sharing after Shamir (1979) over the prime field 2^256 - 189.

Any `threshold` shares give the secret back; fewer tell nothing about it.
"""

from collections.abc import Callable, Mapping


__all__ = ["PRIME", "draw", "join", "split"]

PRIME = 2**256 - 189


def draw(entropy: Callable[[int], bytes]) -> int:
    """Return a uniformly random field element; `entropy(n)` gives n random bytes."""
    while True:
        number = int.from_bytes(entropy(32), "little")
        if number < PRIME:
            return number


def split(
    secret: int, threshold: int, count: int, entropy: Callable[[int], bytes]
) -> tuple[int, ...]:
    """Return the shares for x = 1 … `count`, of which `threshold` are needed."""
    coefficients = [draw(entropy) for _ in range(threshold - 1)]
    return tuple(_at(x, [*reversed(coefficients), secret]) for x in range(1, count + 1))


def join(shares: Mapping[int, int]) -> int:
    """Return the secret from shares {x: value}, by Lagrange's formula at zero.

    With fewer shares than the threshold the answer is a random number: count them first.
    """
    total = 0
    for x, value in shares.items():
        above, below = 1, 1
        for other in shares:
            if other != x:
                above = above * other % PRIME
                below = below * (other - x) % PRIME
        total += value * above * pow(below, -1, PRIME)
    return total % PRIME


def _at(x: int, coefficients: list[int]) -> int:
    """Evaluate a polynomial, highest power first, by Horner's rule."""
    value = 0
    for coefficient in coefficients:
        value = (value * x + coefficient) % PRIME
    return value
