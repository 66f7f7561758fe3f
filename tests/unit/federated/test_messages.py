"""The wire encoding: everything survives the way, and nothing else is accepted."""

import contextlib
import dataclasses
import json
import struct

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from federated.messages import (
    MAGIC,
    Announced,
    Cleared,
    Continue,
    Contribute,
    Contributed,
    Endorsed,
    Failed,
    Hello,
    Masked,
    Message,
    MessageError,
    Open,
    Preflight,
    Present,
    Refused,
    Reply,
    Revealed,
    Settle,
    Unmask,
    decode,
    encode,
)


VECTOR = np.arange(6, dtype=np.uint64).reshape(2, 3)
ALL: list[Message | Reply] = [
    Hello(),
    Preflight({"analysis": "rate"}, {"grid": 6}, "roster", "0.1.0"),
    Cleared("rel-1"),
    Open("s", {"analysis": "rate", "n": 1, "none": None}, {"grid": 6}, "roster", "0.1.0"),
    Contribute("s", {"a": b"\x00\xff", "b": b""}),
    Continue("s", 2, {"cells": np.array([True, False]), "x": np.array([[1.5]])}),
    Settle("s", 1, ("a", "b"), {"a": b"1"}),
    Unmask("s", 1, {"a": b"1"}),
    Present("a", "rel-1", {"marmor": "1"}, "r", {"grid": 6}),
    Announced("s", b"123"),
    Contributed("s", {"a": b"1"}, VECTOR, b"2"),
    Masked("s", 2, VECTOR[:0], b"2"),
    Endorsed("s", 1, b"1"),
    Revealed("s", 1, {"a": b"1"}),
    Refused("no_release"),
    Failed("internal", "00ff"),
]


def plain(value: object) -> object:
    """A message as comparable values."""
    if isinstance(value, np.ndarray):
        return (value.dtype.str, value.tolist())
    if isinstance(value, dict):
        return {key: plain(item) for key, item in value.items()}
    return value


@pytest.mark.parametrize("message", ALL, ids=lambda message: type(message).__name__)
def test_a_message_survives_the_way(message: Message | Reply) -> None:
    found = decode(encode(message))
    assert type(found) is type(message)
    for field in dataclasses.fields(message):
        assert plain(getattr(found, field.name)) == plain(getattr(message, field.name))
    assert encode(found) == encode(message)


def raw(header: object, body: bytes = b"") -> bytes:
    text = json.dumps(header).encode() if not isinstance(header, bytes) else header
    return MAGIC + struct.pack("<I", len(text)) + text + body


REFUSED = {"type": "Refused", "fields": {"rule": "x"}, "arrays": []}
# A short message that would grow with every use of its array.
ONE_ARRAY_TWICE = {
    "type": "Revealed",
    "fields": {"session": "s", "round": 1, "shares": {"a": {"$bytes": 0}, "b": {"$bytes": 0}}},
    "arrays": [["u1", [1]]],
}


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"MRM2" + encode(Hello())[4:],
        encode(Hello()) + b"x",
        encode(Masked("s", 1, VECTOR, b"2"))[:-1],
        raw({**REFUSED, "extra": 1}),
        raw({**REFUSED, "type": "os.system"}),
        raw({**REFUSED, "fields": {}}),
        raw({**REFUSED, "fields": {"rule": "x", "more": 1}}),
        raw({**REFUSED, "fields": {"rule": 1}}),
        raw({**REFUSED, "fields": {"rule": {"$bytes": 0}}}),
        raw({**REFUSED, "arrays": [["O", [1]]]}, b"12345678"),
        raw({**REFUSED, "arrays": [["u1", [-1]]]}),
        raw({**REFUSED, "arrays": [["u1", [10**12]]]}),
        raw({**REFUSED, "fields": []}),
        raw({**REFUSED, "fields": 1}),
        raw({**REFUSED, "arrays": [["u1", [10**30]]]}),
        raw({**REFUSED, "arrays": [["u1", [2**62, 4]]]}),
        raw({**REFUSED, "arrays": {"a": 1}}),
        raw({**REFUSED, "arrays": [["u1", [1]]]}, b"x"),
        raw(ONE_ARRAY_TWICE, b"x"),
        raw(b'{"type":"Refused","type":"Hello","fields":{},"arrays":[]}'),
        raw(b'{"type":"Refused","fields":{"rule":NaN},"arrays":[]}'),
        raw(b"[" * 100_000),
        raw(
            {"type": "Masked", "fields": {"session": "s", "round": True, "masked": 1}, "arrays": []}
        ),
    ],
)
def test_anything_else_is_refused(data: bytes) -> None:
    with pytest.raises(MessageError):
        decode(data)


@given(st.binary(max_size=200))
def test_noise_is_refused(data: bytes) -> None:
    with pytest.raises(MessageError):
        decode(data)


@given(st.sampled_from(ALL), st.integers(0, 10_000), st.integers(1, 255))
def test_a_changed_byte_gives_a_message_or_an_error_and_nothing_else(
    message: Message | Reply, place: int, change: int
) -> None:
    data = bytearray(encode(message))
    data[place % len(data)] ^= change
    with contextlib.suppress(MessageError):
        decode(bytes(data))
