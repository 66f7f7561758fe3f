"""Which column fills which field: the surest pairs first, each column and each field once.

A sheet mostly holds one kind of table; words such as `date` mean that table's date. Columns that
repeat with a number (`Variant 1`, `Variant 2`) are further rows: a second source of the same sheet.
"""

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace

from transforms.dictionary import DICTIONARY, Dictionary
from transforms.lexicon import LEXICON, normal
from transforms.scan.model import ColumnScan, TableScan
from transforms.suggest.columns import Candidate, candidates


__all__ = ["Assigned", "assign"]

GENERIC = 0.8
ELSEWHERE = 0.75  # of a column of another kind, on a sheet that holds one kind of thing
LEAST = 0.35  # a weaker likeness is noise
SURE = 0.75
NUMBERED = re.compile(r"[ (#]([2-9])\)?$")
# Kinds of tables in which a column of units is that of the laboratory; "": nobody knows.
MEASURED = ("lab_measurement", "")
# One row per person: read from one table of the inbox alone.
ONCE = ("person", "diagnosis", "death_followup")


@dataclass(frozen=True)
class Assigned:
    """One source: the columns that fill fields, those to leave, and those nobody knows."""

    table: TableScan
    source: str
    main: str
    fields: dict[str, Candidate] = field(default_factory=dict)
    leaves: dict[str, Candidate] = field(default_factory=dict)
    unknown: dict[str, Candidate | None] = field(default_factory=dict)
    unit_column: str = ""
    repeated: bool = False


def assign(tables: Sequence[TableScan], dictionary: Dictionary = DICTIONARY) -> list[Assigned]:
    """Return one source per table of the scan, and one more for columns that repeat."""
    found = [_possible(table, dictionary) for table in tables]
    mains = [_main(table, options) for table, options in zip(tables, found, strict=True)]
    homes = _homes(tables, found)
    sources: list[Assigned] = []
    for number, (table, options, main) in enumerate(zip(tables, found, mains, strict=True)):
        allowed = {name for name in ONCE if homes.get(name) not in (None, number)}
        sources += _sources(table, options, main, allowed)
    return sources


Options = dict[str, list[Candidate]]


def _possible(table: TableScan, dictionary: Dictionary) -> Options:
    """Return what each column of a table may be."""
    return {column.name: candidates(column, dictionary) for column in table.columns}


def _main(table: TableScan, options: Options) -> str:
    """Return the kind of table that most sure columns, and the sheet's name, speak for."""
    votes: Counter[str] = Counter()
    for found in options.values():
        best = next((one for one in found if one.target and not one.generic), None)
        if best and best.target and best.confidence >= SURE:
            votes[best.target.table] += 1
    for name in (table.source.sheet, table.source.source, table.source.file.rpartition("/")[2]):
        for word in normal(re.sub(r"[^\w]|_", " ", name)).split():
            if word in LEXICON.tables:
                votes[LEXICON.tables[word]] += 3
                break
    return votes.most_common(1)[0][0] if votes else ""


def _heading(column: ColumnScan) -> str:
    """Return the kind of table that the heading over a column speaks of, or ""."""
    words = normal(column.group).split()
    return next((LEXICON.tables[word] for word in words if word in LEXICON.tables), "")


def _homes(tables: Sequence[TableScan], found: Sequence[Options]) -> dict[str, int]:
    """Return, for each table of one row per person, the number of the scan's table to read."""
    homes: dict[str, int] = {}
    points: dict[str, float] = {}
    for number, (table, options) in enumerate(zip(tables, found, strict=True)):
        votes: Counter[str] = Counter()
        for column in table.columns:
            best = next((one for one in options[column.name] if one.target), None)
            if best and best.target and best.confidence >= LEAST and not best.generic:
                votes[best.target.table] += 1
        for name in ONCE:
            if votes[name] > points.get(name, 0):
                homes[name], points[name] = number, votes[name]
    return homes


def _sources(
    table: TableScan, options: Options, main: str, elsewhere: Iterable[str]
) -> list[Assigned]:
    """Return the source of a table, and further ones for columns that repeat."""
    first = {c.name: options[c.name] for c in table.columns if _number(c) == 1}
    source = _match(table, table.source.source, main, first, set(elsewhere), repeated=False)
    sources = [source]
    filled = {one.target for one in source.fields.values()}
    for number in sorted({_number(column) for column in table.columns} - {1}):
        mine = {c.name: options[c.name] for c in table.columns if _number(c) == number}
        name = f"{table.source.source}_{number}"
        again = _match(table, name, main, mine, {*elsewhere, *ONCE}, repeated=True)
        if again.fields and {one.target for one in again.fields.values()} & filled:
            sources.append(again)
        else:
            other = _match(table, "", main, mine, set(elsewhere), repeated=False)
            for column, one in other.fields.items():
                if one.target not in filled:
                    source.fields[column] = one
                else:
                    source.unknown[column] = one
            source.leaves.update(other.leaves)
            source.unknown.update(other.unknown)
    return sources


def _number(column: ColumnScan) -> int:
    """Return the number that a column, or the heading over it, ends in; 1 without any."""
    for name in (column.group, column.name):
        found = NUMBERED.search(name)
        if found and not re.search(r"[0-9]-[0-9]\)?$", name):
            return int(found.group(1))
    found = re.search(
        r"(?:variant|mutation|all[eè]le|fra[ck]tur[ea]?)\w* ([2-9])\b", column.name, re.I
    )
    return int(found.group(1)) if found else 1


def _match(
    table: TableScan,
    source: str,
    main: str,
    options: Options,
    elsewhere: set[str],
    *,
    repeated: bool,
) -> Assigned:
    """Pair columns with fields, the surest first."""
    result = Assigned(table, source, main, repeated=repeated)
    pairs = [
        one
        for name, found in options.items()
        for one in _in_context(found, _heading(table.column(name)) or main, elsewhere)
    ]
    taken: set[object] = set()
    unit = ""
    for one in sorted(pairs, key=lambda pair: -pair.confidence):
        known = {*result.fields, *result.leaves}
        if one.column in known or one.column in (table.source.id_column, unit):
            continue
        if one.role == "unit_column":
            unit = unit or (one.column if main in MEASURED else "")
        elif one.target is None and one.leave:
            result.leaves[one.column] = one
        elif one.target is not None and one.target not in taken and one.confidence >= LEAST:
            taken.add(one.target)
            result.fields[one.column] = one
    for name, found in options.items():
        if name not in {*result.fields, *result.leaves, table.source.id_column, unit}:
            result.unknown[name] = found[0] if found else None
    return replace(result, unit_column=unit)


def _in_context(found: list[Candidate], main: str, elsewhere: set[str]) -> list[Candidate]:
    """Weigh candidates by the kind of table they stand in; person, diagnosis and so on are one."""
    weighed = []
    mains = (main, *ONCE) if main in ONCE else (main,)
    for one in found:
        if one.role == "person_id":
            continue
        if one.target and one.target.table in elsewhere:
            reason = f"{one.why}; {one.target.table} is read from another table"
            weighed.append(replace(one, target=None, leave="not_needed", why=reason))
        elif one.generic and one.target and one.target.table not in mains:
            continue
        elif one.generic:
            reason = f"{one.why}, in a table of kind {main}"
            weighed.append(replace(one, confidence=one.confidence * GENERIC, why=reason))
        elif one.target and one.target.table == main:
            weighed.append(replace(one, confidence=min(0.98, one.confidence + 0.03)))
        elif main and main not in ONCE and one.target and one.target.table != main:
            weighed.append(replace(one, confidence=one.confidence * ELSEWHERE))
        else:
            weighed.append(one)
    return weighed
