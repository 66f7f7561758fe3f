"""What a scan found, and how much of it may be written down."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from transforms.mapping import Source


__all__ = [
    "HIDDEN_BELOW",
    "SHOWN",
    "ColumnScan",
    "Dates",
    "Label",
    "Numbers",
    "Ready",
    "Scan",
    "TableScan",
]

# A word in fewer rows may describe one known person. Five is the smallest cell that the disclosure
# policy lets out of a site; what a page in the site's own folder shows is held to the same.
HIDDEN_BELOW = 5
SHOWN = 12
LONGEST = 40  # letters; a longer text is a sentence
LONG_NUMBER = re.compile(r"[0-9][0-9 ./-]{3,}")  # a telephone number, a date, a number of a file
# Kinds of columns whose values may be shown at all.
OPEN_KINDS = ("code",)


@dataclass(frozen=True)
class Numbers:
    """How a column writes numbers: texts by form, and a coarse band (10 % to 90 %)."""

    commas: int
    points: int
    ambiguous: int
    compared: int
    low: float | None
    median: float | None
    high: float | None


@dataclass(frozen=True)
class Dates:
    """How a column writes dates: texts by form; evidence is a part that can only be the day."""

    iso: int
    day_first: int
    month_first: int
    either: int
    short_year: int
    partial: int
    first_decade: int | None
    last_decade: int | None

    @property
    def order(self) -> str:
        """DMY, MDY or YMD where the texts prove it; "" when they leave it open or contradict."""
        if self.day_first and not self.month_first:
            return "DMY"
        if self.month_first and not self.day_first:
            return "MDY"
        return "YMD" if not (self.day_first or self.month_first or self.either) else ""


@dataclass(frozen=True)
class Label:
    """What a data dictionary of the centre says of a column: its label, and what codes mean."""

    text: str
    choices: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class ColumnScan:
    """One column: its kind is date, number, code, text, free_text, id, identifier or empty.

    `values` counts the rows of every word of a column of codes, `persons` the persons; neither is
    written anywhere, `shown` is what may be. `tokens` are texts for "no value" among dates or
    numbers. `detected` counts distinct texts that hold a direct identifier, by detector.
    """

    name: str
    kind: str
    rows: int
    filled: int
    distinct: int
    group: str = ""
    unit: str = ""
    label: Label | None = None
    values: Mapping[str, int] = field(default_factory=dict)
    persons: Mapping[str, int] = field(default_factory=dict)
    tokens: Mapping[str, int] = field(default_factory=dict)
    numbers: Numbers | None = None
    dates: Dates | None = None
    detected: Mapping[str, int] = field(default_factory=dict)
    notes: tuple[str, ...] = ()

    @property
    def missing(self) -> float:
        """The share of rows in which nothing stands."""
        return 1 - self.filled / self.rows if self.rows else 1.0

    @property
    def shown(self) -> dict[str, int]:
        """The most frequent words that at least `HIDDEN_BELOW` persons have, with their rows."""
        if self.kind not in OPEN_KINDS or self.detected:
            return {}
        often = [pair for pair in self.values.items() if self.may_show(pair[0])]
        return dict(sorted(often, key=lambda pair: (-pair[1], pair[0]))[:SHOWN])

    def may_show(self, word: str) -> bool:
        """Tell whether a word is common and short enough to be nobody's own."""
        plain = len(word) <= LONGEST and not LONG_NUMBER.search(word)
        return plain and self.persons.get(word, 0) >= HIDDEN_BELOW

    @property
    def hidden(self) -> int:
        """How many distinct words are not shown."""
        return self.distinct - len(self.shown)

    def plain(self) -> dict[str, Any]:
        """Return what may be written down."""
        return {
            "column": self.name,
            "kind": self.kind,
            "filled": self.filled,
            "missing_share": round(self.missing, 3),
            "distinct": self.distinct,
            "group": self.group,
            "unit": self.unit,
            "label": self.label.text if self.label else "",
            "values": self.shown,
            "values_hidden": self.hidden,
            "missing_tokens": {t: n for t, n in self.tokens.items() if n >= HIDDEN_BELOW},
            "numbers": None if self.numbers is None else vars(self.numbers),
            "dates": None
            if self.dates is None
            else {**vars(self.dates), "order": self.dates.order},
            "identifiers": dict(self.detected),
            "notes": list(self.notes),
        }


@dataclass(frozen=True)
class TableScan:
    """One table of the inbox: how it is read, from how many files and rows, and its columns."""

    source: Source
    files: tuple[str, ...]
    rows: int
    columns: tuple[ColumnScan, ...]
    notes: tuple[str, ...] = ()

    def column(self, name: str) -> ColumnScan:
        """Return the column called `name`; KeyError when there is none."""
        return {column.name: column for column in self.columns}[name]

    def plain(self) -> dict[str, Any]:
        """Return what may be written down."""
        return {
            "source": self.source.source,
            "file": self.source.file,
            "files": len(self.files),
            "format": self.source.format,
            "sheet": self.source.sheet,
            "header_row": self.source.header_row,
            "encoding": self.source.encoding,
            "delimiter": self.source.delimiter,
            "decimal": self.source.decimal,
            "date_order": self.source.date_order,
            "id_column": self.source.id_column,
            "rows": self.rows,
            "columns": [column.plain() for column in self.columns],
            "notes": list(self.notes),
        }


@dataclass(frozen=True)
class Ready:
    """Files of a format for which a mapping ships: its name, and the pattern that finds them."""

    ready: str
    file: str
    files: int


@dataclass(frozen=True)
class Scan:
    """The whole inbox."""

    tables: tuple[TableScan, ...]
    ready: tuple[Ready, ...] = ()
    refused: tuple[str, ...] = ()

    def plain(self) -> dict[str, Any]:
        """Return what may be written down: what `--json` prints and `mapping/scan.json` holds."""
        return {
            "values_hidden_below": HIDDEN_BELOW,
            "tables": [table.plain() for table in self.tables],
            "ready": [vars(one) for one in self.ready],
            "refused": list(self.refused),
        }
