"""Blocks: only counts and sums, only in their public shape."""

import numpy as np
import pytest

from federated import ring
from federated.statistics import (
    FRACTION_BITS,
    Blocks,
    Counts,
    Shape,
    Sums,
    check_blocks,
    fixed_point,
    tally_codes,
)


SHAPES = {"cells": Shape("counts", (2, 3)), "time": Shape("sums", (2,))}
BLOCKS: Blocks = {"cells": Counts(np.zeros((2, 3), dtype=np.int64)), "time": Sums(np.zeros(2))}


def test_counts_are_tallied_per_combination() -> None:
    found = tally_codes((np.array([0, 1, 1]), np.array([2, 0, 0])), (2, 3))
    assert found.values.tolist() == [[0, 0, 1], [2, 0, 0]]


def test_the_public_shape_is_accepted_and_no_other() -> None:
    check_blocks(BLOCKS, SHAPES)
    others: list[Blocks] = [
        {},
        {**BLOCKS, "rows": Counts(np.zeros(5, dtype=np.int64))},
        {**BLOCKS, "cells": Counts(np.zeros((3, 2), dtype=np.int64))},
        {**BLOCKS, "time": Counts(np.zeros(2, dtype=np.int64))},
    ]
    for blocks in others:
        with pytest.raises(ValueError, match="public shapes"):
            check_blocks(blocks, SHAPES)


@pytest.mark.parametrize("values", [np.array([-1]), np.array([1.0]), np.array([1], dtype=np.int32)])
def test_a_count_is_a_natural_number(values: np.ndarray) -> None:
    with pytest.raises(ValueError, match="non-negative int64"):
        Counts(values)


@pytest.mark.parametrize("values", [np.array([np.nan]), np.array([np.inf]), np.array([1])])
def test_a_sum_is_a_finite_float(values: np.ndarray) -> None:
    with pytest.raises(ValueError, match="finite float64"):
        Sums(values)


def test_the_length_of_a_shape_is_that_of_its_array() -> None:
    assert Shape("counts", (2, 3)).length == 6
    assert Shape("counts", ()).length == 1


def test_what_the_ring_cannot_hold_is_rounded_to_what_it_can() -> None:
    assert FRACTION_BITS == ring.FRACTION_BITS
    values = np.array([0.1, -(2.0**-44) / 3, 2.0**-97, 1e-40, 0.0, 3e20])
    rounded = fixed_point(values).values
    ring.encode_sums(rounded)
    assert rounded[[0, 4, 5]].tolist() == [0.1, 0.0, 3e20]
    assert np.abs(rounded - values).max() <= 2.0**-97
