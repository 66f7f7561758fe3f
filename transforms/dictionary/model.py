"""What the data dictionary is made of: tables, fields, code lists, analytes, analysis views."""

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal


__all__ = [
    "PROVENANCE",
    "Analyte",
    "Code",
    "CodeList",
    "Dictionary",
    "Field",
    "FieldType",
    "Leaves",
    "Obligation",
    "Range",
    "Table",
    "View",
]

FieldType = Literal["string", "integer", "number", "boolean", "date", "code", "codes"]
Obligation = Literal["mandatory", "recommended", "optional"]
Leaves = Literal["never", "aggregate"]


@dataclass(frozen=True)
class Range:
    """Inclusive limits in the field's unit, and why they are where they are."""

    low: float | None
    high: float | None
    reason: str


@dataclass(frozen=True)
class Field:
    """One column: what it means, which values it may hold, and whether it may leave a site.

    `code` is one code of `codelist`, `codes` a set of them: sorted, distinct, NULL when empty.
    `jrc` is the JRC common data element for rare disease registries that the field serves.
    `crosswalk` says where the same thing stands in another standard; a standard that cannot carry
    the field has no entry (`parse.STANDARDS`).
    """

    name: str
    description: str
    type: FieldType
    obligation: Obligation = "optional"
    leaves: Leaves = "never"
    unit: str | None = None
    codelist: str | None = None
    references: str | None = None
    hard: Range | None = None
    soft: Range | None = None
    pattern: str | None = None
    derived: str | None = None
    jrc: str | None = None
    crosswalk: Mapping[str, str] = dataclasses.field(default_factory=dict, hash=False)


def _named(fields: tuple[Field, ...], name: str) -> Field:
    """Return the field called `name`; KeyError when there is none."""
    for candidate in fields:
        if candidate.name == name:
            return candidate
    raise KeyError(name)


@dataclass(frozen=True)
class Table:
    """One harmonised table; `discriminator` tells apart rows that come from one source row.

    `crosswalk` names what corresponds to one row, in each other standard that has such a thing.
    """

    name: str
    title: str
    description: str
    key: tuple[str, ...]
    fields: tuple[Field, ...]
    discriminator: str | None = None
    crosswalk: Mapping[str, str] = dataclasses.field(default_factory=dict, hash=False)

    @property
    def field_names(self) -> tuple[str, ...]:
        """Names in the order of the table's columns."""
        return tuple(field.name for field in self.fields)

    def field(self, name: str) -> Field:
        """Return the field called `name`; KeyError when there is none."""
        return _named(self.fields, name)


@dataclass(frozen=True)
class Code:
    """One permissible value with its equivalents in public code systems.

    `unchecked` names the codings and attributes that were not read again in a source; such a code
    also has the attribute `checked = "no"`.
    """

    code: str
    label: str
    codings: Mapping[str, str]
    attributes: Mapping[str, str]
    unchecked: tuple[str, ...] = ()


@dataclass(frozen=True)
class CodeList:
    """Permissible values, in their public order; `systems` names each code system used in them."""

    name: str
    description: str
    codes: Mapping[str, Code]
    systems: Mapping[str, str] = dataclasses.field(default_factory=dict)


@dataclass(frozen=True)
class Analyte:
    """A laboratory analyte: canonical unit, limits in it, and factors from other units.

    A value in unit `u` is `factors[u] * value` in the canonical unit. Factors follow from the
    molar masses noted beside them in `codelists/analyte.toml`. `loinc` holds each LOINC code with
    its property (`MCnc`: mass, `SCnc`: amount of substance, `NCnc`: number, `CCnc`: catalytic
    activity per volume); `unchecked` lists those codes of it that were not read again in LOINC.
    """

    code: str
    label: str
    unit: str
    loinc: Mapping[str, str]
    hard: Range
    soft: Range | None
    factors: Mapping[str, float]
    unchecked: tuple[str, ...] = ()


@dataclass(frozen=True)
class View:
    """An analysis view: all that a federated request can reach, derived by `sql` from the tables.

    A view holds no identifier, no calendar date, no HGVS string and no free text. `unit` says in a
    word what a row is: only rows that are patients may be counted as patients. `outcomes` name the
    columns of a time-to-event outcome: `time`, `event` and, under left truncation, `entry`.
    """

    name: str
    title: str
    description: str
    unit: str
    fields: tuple[Field, ...]
    outcomes: Mapping[str, Mapping[str, str]]
    sql: str

    @property
    def field_names(self) -> tuple[str, ...]:
        """Names in the order of the view's columns."""
        return tuple(field.name for field in self.fields)

    def field(self, name: str) -> Field:
        """Return the field called `name`; KeyError when there is none."""
        return _named(self.fields, name)


@dataclass(frozen=True)
class Dictionary:
    """The whole data dictionary: the only place that lists columns."""

    version: str
    tables: Mapping[str, Table]
    codelists: Mapping[str, CodeList]
    analytes: Mapping[str, Analyte]
    views: Mapping[str, View]


# Every harmonised row says where it came from; none of it ever leaves the site.
PROVENANCE = (
    Field("source_system", "System that the source file was exported from", "string"),
    Field("source_file", "File in the inbox that the row was read from", "string"),
    Field("source_sheet", "Sheet, instrument, table or block inside the file", "string"),
    Field("source_row", "Row in the file as a person sees it, the first line being 1", "integer"),
)
