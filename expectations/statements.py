"""What is expected beyond the dictionary: `plausibility/<table>.toml` and `applicability.toml`.

Both are data that a clinician can read and change; what is wrong in them is told all at once.
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, get_args

from expectations.expectation import Expectation, Severity
from transforms.dictionary import DICTIONARY, Dictionary
from transforms.errors import DictionaryError, raise_all
from transforms.sql import identifier


__all__ = ["Applicability", "applicability", "plausibility", "read_plausibility"]

PLAUSIBILITY = Path(__file__).parent / "plausibility"
APPLICABILITY = Path(__file__).parent / "applicability.toml"
_KEYS = {
    "id", "fields", "applies", "holds", "severity", "threshold", "rationale", "statement",
    "reason", "source", "remedy",
}  # fmt: skip


@dataclass(frozen=True)
class Applicability:
    """To which rows a field applies: in SQL over the row, and in words."""

    applies: str
    who: str


@cache
def applicability() -> Mapping[tuple[str, str], Applicability]:
    """Return (table, field) → the rows it applies to; a field that is not there applies to all.

    Raises DictionaryError for a table or field that the dictionary does not have.
    """
    content = tomllib.loads(APPLICABILITY.read_text(encoding="utf-8"))
    stated = {
        (table, name): Applicability(**entry)
        for table, fields in content.items()
        for name, entry in fields.items()
    }
    problems = [
        f"applicability.toml: the dictionary has no field called {table}.{name}"
        for table, name in stated
        if table not in DICTIONARY.tables or name not in DICTIONARY.tables[table].field_names
    ]
    raise_all(DictionaryError, problems)
    return stated


@cache
def plausibility() -> tuple[Expectation, ...]:
    """Return what `plausibility/<table>.toml` states beyond the dictionary.

    Raises DictionaryError listing every unknown key, table or field, threshold outside 0 to 1
    and id that is used twice.
    """
    return read_plausibility(PLAUSIBILITY, DICTIONARY)


def read_plausibility(folder: Path, dictionary: Dictionary) -> tuple[Expectation, ...]:
    """Read every `<table>.toml` of `folder`; see `plausibility` for what it refuses."""
    entries = [
        (path.stem, entry) for path in sorted(folder.glob("*.toml")) for entry in _entries(path)
    ]
    problems = [
        problem for table, entry in entries for problem in _problems(table, entry, dictionary)
    ]
    ids = [entry.get("id") for _, entry in entries]
    problems += [f"plausibility: id {one} is used twice" for one in set(ids) if ids.count(one) > 1]
    raise_all(DictionaryError, sorted(problems))
    return tuple(_plausible(table, entry) for table, entry in entries)


def _entries(path: Path) -> list[dict[str, Any]]:
    """Return the entries of one file."""
    try:
        entries: list[dict[str, Any]] = tomllib.loads(path.read_text(encoding="utf-8")).get(
            "expectation", []
        )
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise DictionaryError(f"plausibility/{path.name}: not a TOML file ({error})") from None
    return entries


def _problems(table: str, entry: Mapping[str, Any], dictionary: Dictionary) -> Iterator[str]:
    """Yield what is wrong with one entry."""
    place = f"plausibility/{table}.toml {entry.get('id', '(no id)')}"
    if table not in dictionary.tables:
        yield f"{place}: the dictionary has no table called {table}"
        return
    yield from (f"{place}: unknown key {key}" for key in sorted(entry.keys() - _KEYS))
    yield from (f"{place}: {key} is missing" for key in sorted(_KEYS - entry.keys() - {"applies"}))
    known = dictionary.tables[table].field_names
    for name in entry.get("fields", ()):
        if name not in known:
            yield f"{place}: {table} has no field called {name}"
    if entry.get("severity", "info") not in get_args(Severity):
        yield f"{place}: severity must be one of {', '.join(get_args(Severity))}"
    if not 0 < entry.get("threshold", 1) <= 1:
        yield f"{place}: threshold must be a share between 0 and 1"


def _plausible(table: str, entry: Mapping[str, Any]) -> Expectation:
    """Build the expectation of one entry; `holds` is null where it does not apply."""
    applies = " and ".join(
        [*(f"{identifier(name)} is not null" for name in entry["fields"]),
         *([f"({entry['applies']})"] if "applies" in entry else [])]
    )  # fmt: skip
    return Expectation(
        id=entry["id"],
        table=table,
        fields=tuple(entry["fields"]),
        type="expect_column_values_to_be_in_set",
        kwargs={"column": entry["id"], "value_set": [True]},
        category="plausibility",
        severity=entry["severity"],
        statement=entry["statement"],
        reason=entry["reason"],
        source=entry["source"],
        remedy=entry["remedy"],
        threshold=entry["threshold"],
        rationale=entry["rationale"],
        column=entry["id"],
        holds=f"case when {applies} then ({entry['holds']}) end",
    )
