"""Spoils sample files in seeded ways: bytes, members of an archive, values of a JSON."""

import io
import json
import random
import zipfile
from collections.abc import Callable, Sequence
from typing import Any


__all__ = ["mutated"]

TOKENS = (
    b'"', b"'", b"\0", b"\n", b"\r", b";", b",", b"\t", b"\xff", b"\xfe\xff", b"\xef\xbb\xbf",
    b"\x1a", b"=cmd|' /C calc'!A0", b"NaN", b"Infinity", b"1e999", b"-", b"9" * 5000, b"{" * 2000,
    b"[" * 2000, b"<!DOCTYPE x>", b"&#x0;", b"\xed\xa0\x80", b"PK\x03\x04", b"PAR1", b"null",
    b"true", b"{}", b"[]", b"0000-00-00", b"\xc3\xa9", b"\xe9", b"..", b"%s", b"\\u0000",
    b"\\ud800",
)  # fmt: skip
VALUES: tuple[Any, ...] = (
    None, True, [], {}, "", "\0", "x" * 5000, -1, 10**30, 1.5, [[]], [{}], {"a": {}}, ["a", 1],
    "1970-01-01", "P", "\ud800".encode("utf-8", "surrogatepass").decode("utf-8", "replace"),
)  # fmt: skip


def mutated(data: bytes, seed: int) -> bytes:
    """Return `data` spoiled once to four times; the same seed gives the same bytes."""
    chance = random.Random(seed)
    for _ in range(chance.randint(1, 4)):
        data = _mutator(data, chance)(data, chance)
    return data


Mutator = Callable[[bytes, random.Random], bytes]


def _mutator(data: bytes, chance: random.Random) -> Mutator:
    """Choose a mutator that suits the data; any suits any."""
    if data.startswith(b"PK") and chance.random() < 0.7:
        return _member
    if data[:1] in b"[{" and chance.random() < 0.7:
        return _json_value
    return chance.choice(BYTES)


def _flip(data: bytes, chance: random.Random) -> bytes:
    spoiled = bytearray(data)
    for _ in range(chance.choice((1, 1, 2, 8))):
        if spoiled:
            spoiled[chance.randrange(len(spoiled))] ^= 1 << chance.randrange(8)
    return bytes(spoiled)


def _insert(data: bytes, chance: random.Random) -> bytes:
    place = chance.randint(0, len(data))
    return data[:place] + chance.choice(TOKENS) + data[place:]


def _delete(data: bytes, chance: random.Random) -> bytes:
    start, end = _slice(data, chance)
    return data[:start] + data[end:]


def _repeat(data: bytes, chance: random.Random) -> bytes:
    start, end = _slice(data, chance)
    return data[:end] + data[start:end] * chance.choice((1, 2, 50)) + data[end:]


def _truncate(data: bytes, chance: random.Random) -> bytes:
    return data[: chance.randint(0, len(data))]


def _line(data: bytes, chance: random.Random) -> bytes:
    """Swap, drop or repeat lines."""
    lines = data.split(b"\n")
    one, other = chance.randrange(len(lines)), chance.randrange(len(lines))
    lines[one] = chance.choice((lines[other], b"", lines[one] + lines[other]))
    return b"\n".join(lines)


def _number(data: bytes, chance: random.Random) -> bytes:
    """Overwrite four bytes with a number that counts or offsets would not expect."""
    place = chance.randint(0, max(0, len(data) - 4))
    number = chance.choice((0, 1, 0x7FFFFFFF, 0xFFFFFFFF, 0x80000000, len(data)))
    return data[:place] + number.to_bytes(4, "little") + data[place + 4 :]


BYTES: Sequence[Mutator] = (_flip, _insert, _delete, _repeat, _truncate, _line, _number)


def _slice(data: bytes, chance: random.Random) -> tuple[int, int]:
    start = chance.randint(0, len(data))
    return start, min(len(data), start + chance.choice((1, 4, 64, 1024)))


def _member(data: bytes, chance: random.Random) -> bytes:
    """Spoil what one member of an archive holds, so that the archive itself stays whole."""
    stream = io.BytesIO()
    try:
        with (
            zipfile.ZipFile(io.BytesIO(data)) as old,
            zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as new,
        ):
            names = old.namelist()
            chosen = chance.choice(names)
            for name in dict.fromkeys(names):
                content = old.read(name)
                new.writestr(
                    name, chance.choice(BYTES)(content, chance) if name == chosen else content
                )
    except Exception:  # it is spoiled already
        return _flip(data, chance)
    return stream.getvalue()


def _json_value(data: bytes, chance: random.Random) -> bytes:
    """Put something else in the place of a value somewhere in a JSON text."""
    places: list[tuple[Any, Any]] = []
    try:
        tree = json.loads(data)
        _collect(tree, places)
    except (ValueError, RecursionError, AttributeError, TypeError):
        return _insert(data, chance)
    if not places:
        return _insert(data, chance)
    parent, key = chance.choice(places)
    if isinstance(parent, dict) and chance.random() < 0.2:
        parent[chance.choice(("id", "value", "type", "x", "excluded"))] = parent.pop(key)
    else:
        parent[key] = chance.choice((*VALUES, parent, [parent[key]]) if chance.random() < 0.02
                                    else (*VALUES, [parent[key]]))  # fmt: skip
    try:
        return json.dumps(tree).encode()
    except (ValueError, RecursionError):
        return _insert(data, chance)


def _collect(tree: Any, places: list[tuple[Any, Any]]) -> None:
    """List every (container, key) of a tree."""
    inner = tree.items() if isinstance(tree, dict) else enumerate(tree)
    for key, value in inner:
        places.append((tree, key))
        if isinstance(value, dict | list):
            _collect(value, places)
