"""Parses JSON strictly: no key twice, no NaN, no text that is no text; numbers stay texts.

Python's own parser is lenient where a clinical file must not be: it keeps the last of two equal
keys, knows NaN, and rounds 0.10 to 0.1. What is refused is told by kind and place, never by value.
"""

import json
import math
import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any


__all__ = ["NotStrictJsonError", "Parser", "text_of"]

MAX_NUMBER_LENGTH = 64
BLANK = re.compile(r"[ \t\r\n]*")
# Escapes that may hide half a character or a NUL; a whole pair of surrogates is a character.
SUSPICIOUS = re.compile(r"\\u(?:0000|[dD][89a-fA-F])")


class NotStrictJsonError(ValueError):
    """Why a text is not taken as JSON."""


def text_of(data: bytes) -> str:
    """Return `data` as text; JSON is UTF-8, with or without a byte order mark."""
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise NotStrictJsonError("it is not UTF-8 text, as JSON must be") from None


class Parser:
    """Parses texts of one kind of file; `key` says how a key is written in the result."""

    def __init__(self, key: Callable[[str], str] = str) -> None:
        def node(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
            found = {key(name): value for name, value in pairs}
            if len(found) < len(pairs):
                raise NotStrictJsonError("a key is given twice in one object")
            return found

        self._decoder = json.JSONDecoder(
            object_pairs_hook=node,
            parse_constant=_no_constant,
            parse_float=_number,
            parse_int=_number,
        )

    def parse(self, text: str) -> Any:
        """Return the value that is the whole of `text`."""
        value, end = self._value(text, _after_blanks(text, 0))
        if _after_blanks(text, end) != len(text):
            raise _invalid(text, end)
        return value

    def members(self, text: str, listed: str) -> Iterator[tuple[str, Any]]:
        """Yield key and value of the object that is `text`; those of the list `listed` one by one.

        So a list that is longer than memory can be read element by element.
        """
        seen = set[str]()
        place = _expect(text, 0, "{")
        while text[place : place + 1] != "}":
            key, place = self._key(text, place)
            if key in seen:
                raise NotStrictJsonError("a key is given twice in one object")
            seen.add(key)
            if key == listed and text[place : place + 1] == "[":
                place = _after_blanks(text, place + 1)
                while text[place : place + 1] != "]":
                    value, place = self._value(text, place)
                    yield key, value
                    place = _next(text, place, "]")
                place += 1
            else:
                value, place = self._value(text, place)
                yield key, value
            place = _next(text, place, "}")
        if _after_blanks(text, place + 1) != len(text):
            raise _invalid(text, place + 1)

    def elements(self, text: str) -> Iterator[Any]:
        """Yield the elements of the list that is `text`, one by one."""
        place = _expect(text, 0, "[")
        while text[place : place + 1] != "]":
            value, place = self._value(text, place)
            yield value
            place = _next(text, place, "]")
        if _after_blanks(text, place + 1) != len(text):
            raise _invalid(text, place + 1)

    def _key(self, text: str, place: int) -> tuple[str, int]:
        """Return the key at `place` and where its value begins."""
        if text[place : place + 1] != '"':
            raise _invalid(text, place)
        key, place = self._value(text, place)
        return key, _expect(text, place, ":")

    def _value(self, text: str, place: int) -> tuple[Any, int]:
        """Return the value that begins at `place`, and where it ends."""
        try:
            value, end = self._decoder.raw_decode(text, place)
        except json.JSONDecodeError as error:
            raise _invalid(text, error.pos) from None
        except RecursionError:
            raise NotStrictJsonError("it is nested too deeply") from None
        if SUSPICIOUS.search(text, place, end):
            _check_characters(value)
        return value, end


def _no_constant(_: str) -> Any:
    raise NotStrictJsonError("it holds NaN or Infinity, which JSON does not have")


def _number(text: str) -> str:
    if len(text) > MAX_NUMBER_LENGTH or not math.isfinite(float(text)):
        raise NotStrictJsonError("it holds a number that is too large")
    return text


def _check_characters(value: Any) -> None:
    """Refuse half a character (a lone surrogate) and NUL, which no text column can hold."""
    written = json.dumps(value, ensure_ascii=False)
    try:
        written.encode()
    except UnicodeEncodeError:
        raise NotStrictJsonError("it holds half a character (a lone surrogate)") from None
    if "\0" in _characters(value):
        raise NotStrictJsonError("it holds a NUL character")


def _characters(value: Any) -> str:
    """Return all texts in `value`, one after the other."""
    if isinstance(value, Mapping):
        return "".join(key + _characters(inner) for key, inner in value.items())
    if isinstance(value, list):
        return "".join(map(_characters, value))
    return value if isinstance(value, str) else ""


def _after_blanks(text: str, place: int) -> int:
    found = BLANK.match(text, place)
    return found.end() if found else place


def _expect(text: str, place: int, sign: str) -> int:
    """Return the first place behind `sign` that is not blank."""
    place = _after_blanks(text, place)
    if text[place : place + 1] != sign:
        raise _invalid(text, place)
    return _after_blanks(text, place + 1)


def _next(text: str, place: int, end: str) -> int:
    """Return where the next member begins, or where `end` stands."""
    place = _after_blanks(text, place)
    if text[place : place + 1] == end:
        return place
    place = _expect(text, place, ",")
    if text[place : place + 1] == end:
        raise _invalid(text, place)
    return place


def _invalid(text: str, place: int) -> NotStrictJsonError:
    line = text.count("\n", 0, place) + 1
    return NotStrictJsonError(f"it is not valid JSON at line {line}")
