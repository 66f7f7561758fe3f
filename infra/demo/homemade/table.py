"""A table as a centre keeps it by hand: what it calls things, and what a right mapping makes of it.

A column and a word are called in one of several ways; the seed chooses, so that no list of words is
made for one file.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from infra.demo.columns import Array
from infra.demo.raw import dates, numbers


__all__ = ["COUNTED", "Column", "Hand", "Sheet", "Ways", "agreed_rows", "grouped"]

Ways = str | Sequence[str]
COUNTED = 6  # the column in which a row of totals counts the rows


@dataclass(frozen=True)
class Column:
    """A column as it is written, and the field that it fills; without a target it is left behind.

    `true` holds the codes, ISO dates and canonical numbers that a right mapping gives; `words` is
    word → code. `unit` is what a person has to declare, whether or not the name says it.
    """

    name: str
    texts: Array
    target: str = ""
    true: Array | None = None
    words: Mapping[str, str] = field(default_factory=dict)
    rule: str = "copy"
    arg: str = ""
    unit: str = ""
    group: str = ""
    repeat: int = 1

    @property
    def role(self) -> str:
        """What the column is for a mapping: an id, a unit, a field, or left behind."""
        named = self.target in ("person_id", "unit_column")
        return self.target if named else "field" if self.target else "left"


@dataclass(frozen=True)
class Sheet:
    """One table: its file and sheet, whose rows they are, its columns, and what stands around."""

    file: str
    name: str
    person: Array
    columns: tuple[Column, ...]
    title: tuple[str, ...] = ()
    total: str = ""
    constants: Mapping[str, str] = field(default_factory=dict)

    @property
    def read_names(self) -> list[str]:
        """The columns' names as the reader tells equal ones apart."""
        seen: dict[str, int] = {}
        names = []
        for column in self.columns:
            seen[column.name] = seen.get(column.name, 0) + 1
            again = f" ({seen[column.name]})" if seen[column.name] > 1 else ""
            names.append(f"{column.name}{again}")
        return names

    def mapping(self) -> Iterator[dict[str, Any]]:
        """Yield what a right mapping says of each column."""
        for name, column in zip(self.read_names, self.columns, strict=True):
            table, _, target = column.target.partition(".")
            yield {
                "file": self.file,
                "sheet": self.name,
                "column": name,
                "role": column.role,
                "table": table if column.role == "field" else "",
                "field": target,
                "rule": column.rule,
                "arg": column.arg,
                "unit": column.unit,
                "repeat": column.repeat,
                "words": self._words(column),
            }

        for target, code in self.constants.items():
            table, _, name = target.partition(".")
            yield {"file": self.file, "sheet": self.name, "column": "", "role": "constant",
                   "table": table, "field": name, "rule": "const", "arg": code, "unit": "",
                   "repeat": 1, "words": {}}  # fmt: skip

    def _words(self, column: Column) -> dict[str, str]:
        """Return word → code of the words that stand in a column; a total is no word."""
        there = {word: code for word, code in column.words.items() if word in set(column.texts)}
        counted = self.total and self.columns.index(column) == COUNTED
        return {**there, "*": "reject"} if counted and there else there

    def rows(self, agreed: Array) -> dict[str, list[dict[str, Any]]]:
        """Return table → rows that a right mapping makes, of persons who agreed alone."""
        return agreed_rows(self.columns, agreed[self.person])


def agreed_rows(columns: Sequence[Column], keep: Array) -> dict[str, list[dict[str, Any]]]:
    """Return table → rows of field → value: a row per bracket of a field, and per repetition."""
    parts: dict[tuple[str, str, int], dict[str, Array]] = {}
    for column in columns:
        if column.role == "field" and column.true is not None:
            table, _, name = column.target.partition(".")
            plain, _, bracket = name.rstrip("]").partition("[")
            parts.setdefault((table, bracket, column.repeat), {})[plain] = column.true
    found: dict[str, list[dict[str, Any]]] = {}
    for (table, bracket, repeat), own in parts.items():
        shared = parts.get((table, "", 1), {})
        if not bracket and repeat == 1 and any(key[0] == table and key[1] for key in parts):
            continue
        said = {BRACKETS[table]: np.full(len(keep), bracket, dtype=object)} if bracket else {}
        some = np.logical_or.reduce([_there(values) for values in own.values()])
        found.setdefault(table, []).extend(_rows({**shared, **own, **said}, keep & some))
    return found


BRACKETS = {"lab_measurement": "analyte", "complication": "hpo_id", "imaging_bmd": "region"}


def _there(values: Array) -> Array:
    """Tell where something stands."""
    return np.array([value is not None for value in values], dtype=bool)


def _rows(values: Mapping[str, Array], keep: Array) -> list[dict[str, Any]]:
    """Return the kept rows."""
    cells = zip(*(column[keep] for column in values.values()), strict=True)
    return [dict(zip(values, row, strict=True)) for row in cells]


@dataclass(frozen=True)
class Hand:
    """How a centre writes: its decimal sign, its dates, and what stands where nothing is known."""

    rng: np.random.Generator
    decimal: str = ","
    day: str = "{d}.{m}.{y}"
    blank: str = ""

    def one_of(self, ways: Ways) -> str:
        """Return one way of writing something; of each list the seed chooses one."""
        return ways if isinstance(ways, str) else ways[int(self.rng.integers(len(ways)))]

    def left(self, names: Ways, values: Array) -> Column:
        """Return a column that a right mapping leaves behind."""
        return Column(self.one_of(names), _objects(values))

    def identifier(self, names: Ways, values: Array) -> Column:
        """Return the column of the local ids."""
        return Column(self.one_of(names), values, "person_id")

    def text(self, names: Ways, target: str, values: Array) -> Column:
        """Return a column that is copied as it stands."""
        true = _objects([value or None for value in values])
        return Column(self.one_of(names), values, target, true)

    def date(self, names: Ways, target: str, values: Array, arg: str = "") -> Column:
        """Return a column of dates."""
        iso = dates(values)
        texts = self._blank(dates(values, self.day))
        return Column(
            self.one_of(names), texts, target, _objects([t or None for t in iso]), rule="date",
            arg=arg,
        )  # fmt: skip

    def number(
        self, names: Ways, target: str, values: Array, digits: int,
        factor: float = 1.0, unit: str = "",
    ) -> Column:  # fmt: skip
        """Return a column of numbers, `factor` times the canonical value with so many digits."""
        printed = np.round(values.astype(float) * factor, digits)
        true = [None if np.isnan(number) else float(number / factor) for number in printed]
        texts = self._blank(numbers(printed, digits, self.decimal))
        name = self.one_of(names)
        return Column(name, texts, target, _objects(true), rule="number", unit=unit)

    def coded(self, names: Ways, target: str, values: Array, words: Mapping[str, Ways]) -> Column:
        """Return a column of words for codes."""
        chosen = {code: self.one_of(ways) for code, ways in words.items()}
        texts = _objects([chosen.get(value, "") if value else "" for value in values])
        back = {word: code for code, word in chosen.items() if word}
        true = _objects([back.get(text) for text in texts])
        return Column(self.one_of(names), texts, target, true, back, rule="recode")

    def _blank(self, texts: Array) -> Array:
        """Write the house's sign where nothing stands."""
        return np.where(texts == "", self.blank, texts).astype(object)


def grouped(group: str, *columns: Column) -> tuple[Column, ...]:
    """Return columns under a heading."""
    return tuple(replace(column, group=group) for column in columns)


def _objects(values: Any) -> Array:
    """Return an array of objects of one dimension, even when empty."""
    array = np.empty(len(values), dtype=object)
    array[:] = list(values)
    return array
