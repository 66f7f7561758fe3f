"""Exact fixed point in the integers modulo 2^192, as three 64-bit limbs per value.

A value x is held as x·2^96. Every int64 fits, and so does every float64 that is zero or has
2^-44 ≤ |x| < 2^89; sums of up to 64 of them cannot overflow. Because addition is that of integers,
a sum does not depend on order and is exact: read back as float64 it equals `math.fsum`.

A vector of n values is an array of shape (n, 3), limbs little-endian, dtype uint64.
"""

import numpy as np
from numpy.typing import NDArray

from federated.statistics import Blocks, Counts, Shape, Shapes, Sums


__all__ = [
    "Limbs",
    "RingError",
    "add",
    "decode_counts",
    "decode_sums",
    "encode_counts",
    "encode_sums",
    "length",
    "negate",
    "pack",
    "subtract",
    "unpack",
]

Limbs = NDArray[np.uint64]

FRACTION_BITS = 96
LARGEST_EXPONENT = 89
LOW_32 = np.uint64(0xFFFFFFFF)


class RingError(ValueError):
    """A value that the ring cannot hold exactly, or a sum that is not what it should be."""


def add(left: Limbs, right: Limbs) -> Limbs:
    """Return left + right modulo 2^192, per value."""
    total = left + right
    carry = total[:, 0] < left[:, 0]
    middle = total[:, 1] + carry
    carry = (total[:, 1] < left[:, 1]) | (middle < total[:, 1])
    total[:, 1] = middle
    total[:, 2] += carry
    return total


def negate(limbs: Limbs) -> Limbs:
    """Return -limbs modulo 2^192, per value."""
    one = np.zeros_like(limbs)
    one[:, 0] = 1
    return add(~limbs, one)


def subtract(left: Limbs, right: Limbs) -> Limbs:
    """Return left - right modulo 2^192, per value."""
    return add(left, negate(right))


def encode_counts(values: NDArray[np.int64]) -> Limbs:
    """Return int64 `values` (one axis) as ring elements."""
    limbs = np.zeros((values.size, 3), dtype=np.uint64)
    limbs[:, 1] = (values.view(np.uint64) & LOW_32) << np.uint64(32)
    limbs[:, 2] = (values >> 32).view(np.uint64)
    return limbs


def decode_counts(limbs: Limbs) -> NDArray[np.int64]:
    """Return ring elements as int64; RingError when one is not a whole number in range."""
    top = limbs[:, 2].view(np.int64)
    whole = (limbs[:, 0] == 0) & ((limbs[:, 1] & LOW_32) == 0)
    if not bool((whole & (top >= -(2**31)) & (top < 2**31)).all()):
        raise RingError("a pooled count is not a whole number in range")
    bits = (limbs[:, 2] << np.uint64(32)) | (limbs[:, 1] >> np.uint64(32))
    return bits.view(np.int64)


def encode_sums(values: NDArray[np.float64]) -> Limbs:
    """Return float64 `values` (one axis) as ring elements, bit for bit.

    Raises RingError for NaN, an infinity, |x| ≥ 2^89, or bits below 2^-96.
    """
    if not bool(np.isfinite(values).all()):
        raise RingError("NaN or infinity cannot be summed")
    fraction, exponent = np.frexp(values)
    mantissa = np.abs(np.ldexp(fraction, 53)).astype(np.uint64)
    shift = np.where(mantissa == 0, 0, exponent.astype(np.int64) - 53 + FRACTION_BITS)
    if bool((exponent > LARGEST_EXPONENT).any()):
        raise RingError("a sum is too large")
    mantissa, shift = _drop_trailing_zeros(mantissa, shift)
    limbs = _shift_left(mantissa, shift)
    return np.where((values < 0)[:, None], negate(limbs), limbs)


def decode_sums(limbs: Limbs) -> NDArray[np.float64]:
    """Return ring elements as the nearest float64 (Python's integer division rounds correctly)."""
    data = np.ascontiguousarray(limbs, dtype="<u8").tobytes()
    one = 1 << FRACTION_BITS
    whole = (int.from_bytes(data[i : i + 24], "little", signed=True) for i in _steps(data))
    return np.fromiter((value / one for value in whole), dtype=np.float64, count=len(limbs))


def length(shapes: Shapes) -> int:
    """Number of ring elements that blocks of these shapes take."""
    return sum(shape.length for shape in shapes.values())


def pack(blocks: Blocks) -> Limbs:
    """Return all values of `blocks` as one vector, blocks in the order of their names."""
    parts = [_encode(blocks[name]) for name in sorted(blocks)]
    return np.concatenate(parts) if parts else np.zeros((0, 3), dtype=np.uint64)


def unpack(limbs: Limbs, shapes: Shapes) -> Blocks:
    """Undo `pack`; RingError when the vector's length does not fit `shapes`."""
    if limbs.shape != (length(shapes), 3):
        raise RingError("a vector does not have the public length")
    blocks: dict[str, Counts | Sums] = {}
    start = 0
    for name in sorted(shapes):
        end = start + shapes[name].length
        blocks[name] = _decode(limbs[start:end], shapes[name])
        start = end
    return blocks


def _encode(block: Counts | Sums) -> Limbs:
    """Encode one block, whatever its shape."""
    if isinstance(block, Counts):
        return encode_counts(np.ascontiguousarray(block.values).reshape(-1))
    return encode_sums(np.ascontiguousarray(block.values).reshape(-1))


def _decode(limbs: Limbs, shape: Shape) -> Counts | Sums:
    """Decode one block into its public shape."""
    if shape.kind == "sums":
        return Sums(decode_sums(limbs).reshape(shape.size))
    counts = decode_counts(limbs).reshape(shape.size)
    if bool((counts < 0).any()):
        raise RingError("a pooled count is negative")
    return Counts(counts)


def _drop_trailing_zeros(
    mantissa: NDArray[np.uint64], shift: NDArray[np.int64]
) -> tuple[NDArray[np.uint64], NDArray[np.int64]]:
    """Make every shift non-negative by dividing out zero bits; RingError where a bit is lost."""
    down = np.clip(-shift, 0, 63).astype(np.uint64)
    reduced = mantissa >> down
    if bool(((reduced << down) != mantissa).any()) or bool((shift < -63).any()):
        raise RingError("a sum has bits below 2^-96")
    return reduced, np.maximum(shift, 0)


def _shift_left(mantissa: NDArray[np.uint64], shift: NDArray[np.int64]) -> Limbs:
    """Return mantissa·2^shift as limbs; `shift` is below 137, so three limbs hold it."""
    limb, bits = shift // 64, (shift % 64).astype(np.uint64)
    low = mantissa << bits
    # A shift by 64 is undefined: shift by one and then by 63 - bits.
    high = (mantissa >> np.uint64(1)) >> (np.uint64(63) - bits)
    limbs = np.zeros((mantissa.size, 3), dtype=np.uint64)
    rows = np.arange(mantissa.size)
    limbs[rows, limb] = low
    inside = limb < 2
    limbs[rows[inside], limb[inside] + 1] = high[inside]
    return limbs


def _steps(data: bytes) -> range:
    """Start of each 24-byte element."""
    return range(0, len(data), 24)
