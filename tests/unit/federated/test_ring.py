"""Exact fixed point: every value that goes in comes out, and sums are exact."""

import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from federated import ring
from federated.statistics import Counts, Shape, Sums


INTEGERS = st.integers(-(2**63), 2**63 - 1)
FLOATS = st.floats(-1e18, 1e18).filter(lambda x: x == 0 or abs(x) >= 2**-44)


@given(st.lists(INTEGERS, max_size=20))
def test_every_int64_survives(values: list[int]) -> None:
    array = np.array(values, dtype=np.int64)
    assert ring.decode_counts(ring.encode_counts(array)).tolist() == values


@given(st.lists(FLOATS, max_size=20))
def test_every_float_in_range_survives_bit_for_bit(values: list[float]) -> None:
    array = np.array(values, dtype=np.float64)
    assert ring.decode_sums(ring.encode_sums(array)).tolist() == values


@given(st.lists(FLOATS, min_size=1, max_size=64))
def test_a_sum_equals_fsum_bit_for_bit(values: list[float]) -> None:
    total = ring.encode_sums(np.array(values[:1]))
    for value in values[1:]:
        total = ring.add(total, ring.encode_sums(np.array([value])))
    found = ring.decode_sums(total)[0]
    assert found == math.fsum(values) == float(sum(map(Fraction, values)))


@given(st.lists(st.tuples(INTEGERS, INTEGERS), min_size=1, max_size=10))
def test_addition_and_negation_are_those_of_integers(pairs: list[tuple[int, int]]) -> None:
    left, right = (
        ring.encode_counts(np.array(side, dtype=np.int64)) for side in zip(*pairs, strict=True)
    )
    whole = [int.from_bytes(row.tobytes(), "little") for row in ring.subtract(left, right)]
    assert whole == [((a - b) << 96) % 2**192 for a, b in pairs]


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf, 2.0**89, 2.0**-97, 2.0**-44 / 3])
def test_what_cannot_be_held_exactly_is_refused(value: float) -> None:
    with pytest.raises(ring.RingError):
        ring.encode_sums(np.array([value]))


@pytest.mark.parametrize("value", [2.0**-96, 2.0**88 * 1.999, -0.0, 5.0])
def test_the_ends_of_the_range_are_held(value: float) -> None:
    assert ring.decode_sums(ring.encode_sums(np.array([value])))[0] == value


def test_a_masked_vector_is_not_read_as_counts() -> None:
    with pytest.raises(ring.RingError):
        ring.decode_counts(np.full((2, 3), 12345, dtype=np.uint64))


def test_blocks_are_packed_in_the_order_of_their_names() -> None:
    blocks = {"b": Counts(np.array([[1, 2]])), "a": Sums(np.array([0.5]))}
    shapes = {"b": Shape("counts", (1, 2)), "a": Shape("sums", (1,))}
    vector = ring.pack(blocks)
    assert vector.shape == (ring.length(shapes), 3)
    found = ring.unpack(vector, shapes)
    assert found["a"].values.tolist() == [0.5]
    assert found["b"].values.tolist() == [[1, 2]]


def test_a_vector_of_another_length_is_refused() -> None:
    with pytest.raises(ring.RingError):
        ring.unpack(np.zeros((2, 3), dtype=np.uint64), {"a": Shape("counts", (3,))})
