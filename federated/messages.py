"""What passes between coordinator and site, as frozen values with one strict encoding.

A query is a conversation. The coordinator sends the same kind of message to every site at once and
waits for the replies (`Hello` and `Preflight` may be sent at any time, and begin nothing):

    exchange   to the site                                  back
    1          Open(request, policy, roster)                Announced(keys)      or Refused
    2          Contribute(all announcements)                Contributed(shares, masked vector)
    3          Settle(survivors, shares from the others)    Endorsed(signature)
    4          Unmask(all signatures)                       Revealed(one share per site)
    then per further data round: Continue(broadcast) → Masked, Settle → Endorsed, Unmask → Revealed

Anything else that a site may answer is `Refused(rule)`, when a rule says no, or `Failed(code,
reference)`, when something broke: a fixed code and a reference into the site's own log, never the
text of an exception.

A transport carries `encode(message)` as an opaque blob to one site, hands it there to
`SiteParty.handle_bytes`, and carries the blob it returns back; it needs to know nothing else.
Encoding: b"MRM1", length of the header (4 bytes, little-endian), JSON header, raw little-endian
arrays one after the other. No pickle; unknown types, keys, array types and trailing bytes are
errors.
"""

import dataclasses
import json
import math
import struct
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray


__all__ = [
    "Absent",
    "Announced",
    "Cleared",
    "Continue",
    "Contribute",
    "Contributed",
    "Endorsed",
    "Failed",
    "Hello",
    "Masked",
    "Message",
    "MessageError",
    "Open",
    "Preflight",
    "Present",
    "Refused",
    "Reply",
    "Revealed",
    "Settle",
    "Unmask",
    "decode",
    "encode",
]

MAGIC = b"MRM1"
LIMIT = 64 * 2**20  # bytes; a masked vector of 10,000 values takes 0.24 MB
MALFORMED = (
    *(ArithmeticError, AttributeError, LookupError, RecursionError, TypeError, ValueError),
    struct.error,
)
DTYPES = {"u1": np.uint8, "b1": np.bool_, "i8": np.int64, "u8": np.uint64, "f8": np.float64}


class MessageError(ValueError):
    """Bytes that are not a message of this version."""


@dataclass(frozen=True)
class Hello:
    """Are you there, and with which release?"""


@dataclass(frozen=True)
class Preflight:
    """Would you answer this? What `Open` says, without a conversation."""

    request: Mapping[str, object]
    policy: Mapping[str, object]
    roster: str
    dictionary: str


@dataclass(frozen=True)
class Open:
    """A new conversation about one request. `session` is 32 fresh random hexadecimal digits.

    `heads` are the newest heads of all ledgers that the coordinator knows, its own as
    `coordinator`; `known` names the earlier questions whose words it has.
    """

    session: str
    request: Mapping[str, object]
    policy: Mapping[str, object]
    roster: str
    dictionary: str
    heads: Mapping[str, object] = field(default_factory=dict)
    known: tuple[str, ...] = ()


@dataclass(frozen=True)
class Contribute:
    """Every participating site's announcement, the receiver's own included.

    `questions` gives the words of the earlier questions that the announcements name.
    """

    session: str
    announcements: Mapping[str, bytes]
    questions: Mapping[str, object] = field(default_factory=dict)


@dataclass(frozen=True)
class Continue:
    """The next data round's public arrays."""

    session: str
    round: int
    broadcast: Mapping[str, NDArray[np.generic]]


@dataclass(frozen=True)
class Settle:
    """Whose masked vectors arrived in `round`; in round 1 also the receiver's shares."""

    session: str
    round: int
    survivors: tuple[str, ...]
    inbox: Mapping[str, bytes] = field(default_factory=dict)


@dataclass(frozen=True)
class Unmask:
    """The survivors' signatures over the survivor set of `round`."""

    session: str
    round: int
    signatures: Mapping[str, bytes]


@dataclass(frozen=True)
class Present:
    """I am here; this is my current release, what I run, and the numbers of my policy."""

    site: str
    release: str
    versions: Mapping[str, str]
    roster: str
    policy: Mapping[str, object]


@dataclass(frozen=True)
class Cleared:
    """No rule of the site stands against the question put to this release."""

    release: str


@dataclass(frozen=True)
class Announced:
    """The site takes part: its release, fresh public keys, its note and signature, packed.

    `questions` gives the words of the questions in its note that the coordinator does not know.
    """

    session: str
    announcement: bytes
    questions: Mapping[str, object] = field(default_factory=dict)


@dataclass(frozen=True)
class Contributed:
    """Encrypted shares for each other site, and the masked vector of round 1, signed."""

    session: str
    shares: Mapping[str, bytes]
    masked: NDArray[np.uint64]
    signature: bytes


@dataclass(frozen=True)
class Masked:
    """The masked vector of a later round, signed."""

    session: str
    round: int
    masked: NDArray[np.uint64]
    signature: bytes


@dataclass(frozen=True)
class Endorsed:
    """The site's signature over the survivor set."""

    session: str
    round: int
    signature: bytes


@dataclass(frozen=True)
class Revealed:
    """Exactly one share per site: of its self mask, or of its pair key when it dropped out.

    `head` is the signed head of the site's ledger, which holds this unmasking by now.
    """

    session: str
    round: int
    shares: Mapping[str, bytes]
    head: Mapping[str, object] = field(default_factory=dict)


@dataclass(frozen=True)
class Refused:
    """A rule says no. `rule` is a key of `federated.refusals.RULES`; no count is ever told."""

    rule: str


@dataclass(frozen=True)
class Failed:
    """Something broke: a fixed code, and a reference to the line in the site's own log."""

    code: str
    reference: str


@dataclass(frozen=True)
class Absent:
    """The transport had no answer from the site in time; never encoded.

    `reason` is one of "timeout", "offline", "garbled".
    """

    reason: str


Message: TypeAlias = Hello | Preflight | Open | Contribute | Continue | Settle | Unmask
Reply: TypeAlias = (
    Present | Cleared | Announced | Contributed | Masked | Endorsed | Revealed | Refused | Failed
)

TYPES: Mapping[str, type] = {
    kind.__name__: kind
    for kind in (
        *(Hello, Preflight, Open, Contribute, Continue, Settle, Unmask),
        *(Present, Cleared, Announced, Contributed, Masked, Endorsed, Revealed, Refused, Failed),
    )
}


def encode(message: Message | Reply) -> bytes:
    """Return `message` as bytes; the same message always gives the same bytes."""
    arrays: list[NDArray[np.generic]] = []
    fields = {
        item.name: _strip(getattr(message, item.name), arrays)
        for item in dataclasses.fields(message)
    }
    header = {
        "type": type(message).__name__,
        "fields": fields,
        "arrays": [[array.dtype.str[1:], list(array.shape)] for array in arrays],
    }
    text = json.dumps(header, sort_keys=True, separators=(",", ":"), allow_nan=False).encode()
    body = b"".join(array.tobytes() for array in arrays)
    return MAGIC + struct.pack("<I", len(text)) + text + body


def decode(data: bytes) -> Message | Reply:
    """Return the message in `data`; MessageError when it is anything but exactly one message."""
    try:
        return _decode(data)
    except MessageError:
        raise
    except MALFORMED:
        raise MessageError("malformed message") from None


def _decode(data: bytes) -> Message | Reply:
    """Decode, letting any of Python's own errors through."""
    if len(data) > LIMIT or data[:4] != MAGIC:
        raise MessageError("not a message of this version")
    start = 8 + int(struct.unpack("<I", data[4:8])[0])
    header = json.loads(data[8:start], object_pairs_hook=_unique, parse_constant=_no_constant)
    if set(header) != {"type", "fields", "arrays"}:
        raise MessageError("unknown header")
    arrays = dict(enumerate(_read_arrays(header["arrays"], data, start)))
    if header["type"] not in TYPES:
        raise MessageError(f"type: unknown; there are {', '.join(TYPES)}")
    kind = TYPES[header["type"]]
    fields = {name: _restore(value, arrays) for name, value in header["fields"].items()}
    if arrays:
        raise MessageError("an array belongs to no field")
    _check(kind, fields)
    message: Message | Reply = kind(**fields)
    return message


def _strip(value: object, arrays: list[NDArray[np.generic]]) -> object:
    """Return JSON for `value`, moving bytes and arrays to `arrays`."""
    if isinstance(value, bytes):
        arrays.append(np.frombuffer(value, dtype=np.uint8))
        return {"$bytes": len(arrays) - 1}
    if isinstance(value, np.ndarray):
        arrays.append(np.ascontiguousarray(value, dtype=value.dtype.newbyteorder("<")))
        return {"$array": len(arrays) - 1}
    if isinstance(value, Mapping):
        return {str(key): _strip(item, arrays) for key, item in sorted(value.items())}
    if isinstance(value, list | tuple):
        return [_strip(item, arrays) for item in value]
    return value


def _restore(value: object, arrays: dict[int, NDArray[np.generic]]) -> object:
    """Undo `_strip`, taking each array out of `arrays`, once; lists become tuples."""
    if isinstance(value, dict) and set(value) == {"$bytes"}:
        return arrays.pop(value["$bytes"]).tobytes()
    if isinstance(value, dict) and set(value) == {"$array"}:
        return arrays.pop(value["$array"])
    if isinstance(value, dict):
        return {key: _restore(item, arrays) for key, item in value.items()}
    if isinstance(value, list):
        return tuple(_restore(item, arrays) for item in value)
    return value


def _read_arrays(table: list[list[object]], data: bytes, start: int) -> list[NDArray[np.generic]]:
    """Cut the arrays out of `data`; every byte after the header must belong to one."""
    arrays: list[NDArray[np.generic]] = []
    for dtype, shape in table:
        if not isinstance(shape, list) or not all(type(n) is int and n >= 0 for n in shape):
            raise MessageError("malformed array shape")
        kind = np.dtype(DTYPES[str(dtype)])
        count = math.prod(shape)
        array = np.frombuffer(data, kind.newbyteorder("<"), count, start).reshape(shape)
        arrays.append(array.astype(kind))
        start += count * kind.itemsize
    if start != len(data):
        raise MessageError("trailing bytes")
    return arrays


def _check(kind: type, fields: Mapping[str, object]) -> None:
    """Raise MessageError unless `fields` are exactly those of `kind`, each of its type."""
    expected = {item.name: item.type for item in dataclasses.fields(kind)}
    if set(fields) != set(expected):
        raise MessageError(f"{kind.__name__}: its fields are {', '.join(expected) or 'none'}")
    wrong = [name for name, annotation in expected.items() if not _is(fields[name], annotation)]
    if wrong:
        raise MessageError(f"{kind.__name__}: {', '.join(wrong)}: of another type")


def _is(value: object, annotation: object) -> bool:
    """Whether `value` is of the field type `annotation`."""
    if annotation in (str, int, bytes):
        return type(value) is annotation
    if annotation == tuple[str, ...]:
        return isinstance(value, tuple) and all(type(item) is str for item in value)
    if annotation == NDArray[np.uint64]:
        return isinstance(value, np.ndarray) and value.dtype == np.uint64
    inner = {Mapping[str, bytes]: bytes, Mapping[str, str]: str}.get(annotation)  # type: ignore[call-overload]
    if annotation == Mapping[str, NDArray[np.generic]]:
        inner = np.ndarray
    return isinstance(value, dict) and (
        inner is None or all(isinstance(item, inner) for item in value.values())
    )


def _unique(pairs: list[tuple[str, object]]) -> dict[str, object]:
    """Build an object; a key that comes twice is an error."""
    result = dict(pairs)
    if len(result) != len(pairs):
        raise MessageError("duplicate key")
    return result


def _no_constant(name: str) -> object:
    """Refuse NaN and the infinities, which are not JSON."""
    raise MessageError(f"{name} is not JSON")
