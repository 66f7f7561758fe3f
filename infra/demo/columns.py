"""Columnar tables of the synthetic truth: numpy arrays of one length under names."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray


__all__ = ["DAYS_PER_YEAR", "TABLES", "Array", "Columns", "Patients", "age_to_date", "years"]

Array = NDArray[Any]

DAYS_PER_YEAR = 365.25

TABLES = (
    "diagnosis",
    "variant",
    "fracture",
    "complication",
    "lab",
    "bmd",
    "hsct",
    "followup",
)


def years(start: Array, end: Any) -> Array:
    """Return the years from `start` to `end`, both days."""
    days: Array = (end - start).astype(float)
    return days / DAYS_PER_YEAR


def age_to_date(birth: Array, age: Array) -> Array:
    """Return the day on which someone born on `birth` is `age` years old."""
    days: Array = np.floor(age * DAYS_PER_YEAR).astype("timedelta64[D]")
    return birth + days


@dataclass(frozen=True)
class Columns:
    """Columns of one length. Text is `object` with "" for missing, dates are `datetime64[D]`."""

    values: Mapping[str, Array]

    def __len__(self) -> int:
        return len(next(iter(self.values.values())))

    def __getitem__(self, name: str) -> Array:
        return self.values[name]

    def take(self, index: Array) -> "Columns":
        """Return the rows that `index` (row numbers or a mask) picks."""
        return Columns({name: column[index] for name, column in self.values.items()})

    def put(self, **columns: Array) -> "Columns":
        """Return the table with these columns added or replaced."""
        return Columns({**self.values, **columns})

    def append(self, other: "Columns") -> "Columns":
        """Return both tables' rows; the columns must be the same."""
        pairs = {name: (column, other.values[name]) for name, column in self.values.items()}
        return Columns({name: np.concatenate(pair) for name, pair in pairs.items()})


@dataclass(frozen=True)
class Patients:
    """Everything that is true of the patients of one centre.

    `person` has one row per patient; every other table names its patient by the row number in
    `person`, in the column `person`.
    """

    person: Columns
    tables: Mapping[str, Columns]

    def __getitem__(self, name: str) -> Columns:
        return self.tables[name]

    def put(self, **tables: Columns) -> "Patients":
        """Return the patients with these tables replaced."""
        return replace(self, tables={**self.tables, **tables})

    def only(self, name: str, keep: Array) -> "Patients":
        """Return the patients with the rows of one table that `keep` picks."""
        return self.put(**{name: self.tables[name].take(keep)})
