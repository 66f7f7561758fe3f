"""What a harmonised table must be: expectations derived from the data dictionary.

An `Expectation` is plain data in the form that Great Expectations serialises (`type`, `kwargs`,
`severity`, `meta`); `expectations.engine` runs it. Some need a computed column, which
`relation` adds to the table's Parquet, so that they run as ordinary column expectations, all in
one query, and can tell how many rows they apply to:

- `value[calcium]` holds the value of rows with that analyte (the notation of the mapping workbook);
- `death_date is filled` holds whether, among the rows that the field applies to
  (`applicability.toml`);
- `P10` holds whether the plausibility statement P10 is true for the row, null where it does not
  apply (`plausibility/*.toml`: what the dictionary cannot say).

Categories are those of Kahn et al. 2016 (eGEMs 4:1244): conformance (right form and codes),
completeness (filled), plausibility (believable). All run in the context "verification": against
what is expected of such data, without an outside source of truth.
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any, Literal, get_args

from transforms.dictionary import DICTIONARY, Dictionary, Field, Range, Table
from transforms.errors import DictionaryError, raise_all
from transforms.sql import identifier


__all__ = [
    "Applicability",
    "Category",
    "Expectation",
    "Severity",
    "applicability",
    "expectations",
    "plausibility",
    "read_plausibility",
    "relation",
    "tables",
]

Category = Literal["conformance", "completeness", "plausibility"]
Severity = Literal["critical", "warning", "info"]

# Below half, an analysis by this field describes those who happened to be asked, not the cohort.
RECOMMENDED_SHARE = 0.5
RECOMMENDED_RATIONALE = "below half, an analysis by this field describes those who were asked"
# Harmonisation has rejected such rows already; one that is left means that the rule did not run.
NONE_ALLOWED = "rows that break it are rejected before; any that is left is a fault"
# Soft limits mark values seldom seen: some are true, many point to a unit or a shifted column.
SEVERAL_ALLOWED = "single values may be true; above one in fifty, suspect a unit or a column"
SOFT_SHARE = 0.98

PLAUSIBILITY = Path(__file__).parent / "plausibility"
APPLICABILITY = Path(__file__).parent / "applicability.toml"
_KEYS = {
    "id", "fields", "applies", "holds", "severity", "threshold", "rationale", "statement",
    "reason", "source", "remedy",
}  # fmt: skip


@dataclass(frozen=True)
class Expectation:
    """One expectation on one table.

    `threshold` is the smallest share of checked rows, 0 to 1, for which `statement` must be true.
    `fields` are the columns it is about; `holds` is the SQL of its computed column, if it has one.
    """

    id: str
    table: str
    fields: tuple[str, ...]
    type: str
    kwargs: Mapping[str, Any]
    category: Category
    severity: Severity
    statement: str
    reason: str
    source: str = "data dictionary"
    remedy: str = ""
    threshold: float = 1.0
    rationale: str = NONE_ALLOWED
    column: str | None = None
    holds: str | None = field(default=None, repr=False)

    def configuration(self) -> dict[str, Any]:
        """Return the expectation as Great Expectations writes it in a suite."""
        kwargs = dict(self.kwargs)
        if self.threshold < 1:
            kwargs["mostly"] = self.threshold
        meta = {
            "id": self.id,
            "kahn_category": self.category,
            "context": "verification",
            "statement": self.statement,
            "reason": self.reason,
            "source": self.source,
            "threshold": self.threshold,
            "rationale": self.rationale,
            "severity": self.severity,
        }
        return {"type": self.type, "kwargs": kwargs, "severity": self.severity, "meta": meta}


def tables(dictionary: Dictionary = DICTIONARY) -> tuple[Table, ...]:
    """Return the dictionary's tables in reading order: persons, then what is known about them."""
    return tuple(
        sorted(dictionary.tables.values(), key=lambda table: (table.name != "person", table.title))
    )


def expectations(table: Table) -> tuple[Expectation, ...]:
    """Return all expectations on `table`, in the order of its fields; ids are unique."""
    return (
        *_whole_table(table),
        *(item for one in table.fields for item in _of_field(table, one)),
        *(_analyte_limits(table) if table.discriminator == "analyte" else ()),
        *(item for item in plausibility() if item.table == table.name),
    )


def relation(table: Table, parquet: str) -> str:
    """Return the SELECT over the file `parquet` that adds the computed columns of `table`."""
    computed = [
        f"{item.holds} as {identifier(item.column)}"
        for item in expectations(table)
        if item.holds and item.column
    ]
    columns = ",\n    ".join(["*", *dict.fromkeys(computed)])
    path = parquet.replace("'", "''")
    return f"select\n    {columns}\nfrom read_parquet('{path}')"


def _whole_table(table: Table) -> Iterator[Expectation]:
    """Yield what concerns the table as a whole: it has rows, and its key is unique."""
    if table.name == "person":
        yield Expectation(
            id=f"{table.name}.rows",
            table=table.name,
            fields=(),
            type="expect_table_row_count_to_be_between",
            kwargs={"min_value": 1},
            category="completeness",
            severity="critical",
            statement=f"{table.title} has at least one row.",
            reason="without a person nothing can be released",
            remedy="Look at the rejects: often the identifier or the consent column is not mapped.",
        )
    yield Expectation(
        id=f"{table.name}.key",
        table=table.name,
        fields=table.key,
        type=(
            "expect_column_values_to_be_unique"
            if len(table.key) == 1
            else "expect_compound_columns_to_be_unique"
        ),
        kwargs=(
            {"column": table.key[0]} if len(table.key) == 1 else {"column_list": list(table.key)}
        ),
        category="conformance",
        severity="critical",
        statement=f"No two rows of {table.title} share the same {' and '.join(table.key)}.",
        reason="a row that is there twice is counted twice",
        remedy="Remove the duplicate at the source.",
    )


def _of_field(table: Table, one: Field) -> Iterator[Expectation]:
    """Yield what the dictionary says about one field."""
    yield from _filled(table, one)
    if one.codelist is not None:
        yield _codes(table, one, tuple(DICTIONARY.codelists[one.codelist].codes))
    if one.pattern is not None:
        yield _pattern(table, one, one.pattern)
    if one.references is not None:
        yield _reference(table, one, one.references)
    yield from _limits(table, one.name, f"`{one.name}`", one.unit, (one.hard, one.soft))


def _filled(table: Table, one: Field) -> Iterator[Expectation]:
    """Yield that a mandatory field is always, a recommended one mostly filled."""
    if one.obligation == "optional":
        return
    always = one.obligation == "mandatory"
    limited = applicability().get((table.name, one.name))
    column = f"{one.name} is filled" if limited else one.name
    share = "all" if always else "at least half of the"
    whom = limited.who if limited else f"rows of {table.title}"
    yield Expectation(
        id=f"{table.name}.{one.name}.filled",
        table=table.name,
        fields=(one.name,),
        type=(
            "expect_column_values_to_be_in_set"
            if limited
            else "expect_column_values_to_not_be_null"
        ),
        kwargs={"column": column, **({"value_set": [True]} if limited else {})},
        category="completeness",
        severity="critical" if always else "info",
        statement=f"`{one.name}` is filled in {share} {whom}.",
        reason=f"{one.description}; {one.obligation} in the dictionary",
        remedy="Fill it at the source, or map the column that holds it.",
        threshold=1.0 if always else RECOMMENDED_SHARE,
        rationale=NONE_ALLOWED if always else RECOMMENDED_RATIONALE,
        column=column,
        holds=(
            f"case when {limited.applies} then {identifier(one.name)} is not null end"
            if limited
            else None
        ),
    )


def _codes(table: Table, one: Field, codes: tuple[str, ...]) -> Expectation:
    """Return that a coded field holds codes of its list only."""
    return Expectation(
        id=f"{table.name}.{one.name}.codes",
        table=table.name,
        fields=(one.name,),
        type="expect_column_values_to_be_in_set",
        kwargs={"column": one.name, "value_set": list(codes)},
        category="conformance",
        severity="critical",
        statement=f"`{one.name}` holds only codes of the list {one.codelist}.",
        reason="centres can be pooled only when the same code means the same thing",
        remedy="Add the value to the sheet `values` of the mapping, or mend it at the source.",
    )


def _pattern(table: Table, one: Field, pattern: str) -> Expectation:
    """Return that a text has the declared form, from its first to its last character."""
    return Expectation(
        id=f"{table.name}.{one.name}.form",
        table=table.name,
        fields=(one.name,),
        type="expect_column_values_to_match_regex",
        kwargs={"column": one.name, "regex": f"^(?:{pattern})$"},
        category="conformance",
        severity="critical",
        statement=f"`{one.name}` has the form {pattern}.",
        reason=f"{one.description}: another form cannot be read by the next program",
        remedy="Mend the spelling at the source.",
    )


def _reference(table: Table, one: Field, reference: str) -> Expectation:
    """Return that each reference leads to a row; a missing reference is no broken one."""
    target, _, key = reference.partition(".")
    query = (
        f"select child.{identifier(one.name)} from {{batch}} as child"  # noqa: S608 - quoted names
        f" anti join {identifier(target)} as parent"
        f" on child.{identifier(one.name)} = parent.{identifier(key)}"
        f" where child.{identifier(one.name)} is not null"
    )
    return Expectation(
        id=f"{table.name}.{one.name}.reference",
        table=table.name,
        fields=(one.name,),
        type="unexpected_rows_expectation",
        kwargs={"unexpected_rows_query": query},
        category="conformance",
        severity="critical",
        statement=f"Each `{one.name}` of {table.title} is found in {target}.",
        reason="a row that belongs to nobody cannot be counted for anybody",
        remedy="Add the missing row at the source, or correct the identifier.",
    )


def _limits(
    table: Table,
    column: str,
    label: str,
    unit: str | None,
    hard_and_soft: tuple[Range | None, Range | None],
    holds: str | None = None,
) -> Iterator[Expectation]:
    """Yield hard limits (none may lie outside) and soft limits (seldom seen outside)."""
    kinds: tuple[tuple[str, str, Severity, float, str], ...] = (
        ("possible", "is", "critical", 1.0, NONE_ALLOWED),
        ("usual", "is mostly", "warning", SOFT_SHARE, SEVERAL_ALLOWED),
    )
    for limits, (kind, verb, severity, threshold, rationale) in zip(
        hard_and_soft, kinds, strict=True
    ):
        if limits is None:
            continue
        yield Expectation(
            id=f"{table.name}.{column}.{kind}",
            table=table.name,
            fields=(column.partition("[")[0],),
            type="expect_column_values_to_be_between",
            kwargs={"column": column, "min_value": limits.low, "max_value": limits.high},
            category="plausibility",
            severity=severity,
            statement=f"{label} {verb} {_between(limits, unit)}.",
            reason=limits.reason,
            remedy="Check the value and the declared unit at the source.",
            threshold=threshold,
            rationale=rationale,
            column=column,
            holds=holds,
        )


def _between(limits: Range, unit: str | None) -> str:
    """Say limits in words: "between 10 and 260 g/L"."""
    said = unit is not None and unit != "1" and not unit.startswith("{")  # "{Zscore}" says nothing
    suffix = f" {unit}" if said else ""
    if limits.low is None:
        return f"at most {limits.high:g}{suffix}"
    if limits.high is None:
        return f"at least {limits.low:g}{suffix}"
    return f"between {limits.low:g} and {limits.high:g}{suffix}"


def _analyte_limits(table: Table) -> Iterator[Expectation]:
    """Yield each analyte's limits in its canonical unit."""
    for code, analyte in DICTIONARY.analytes.items():
        column = f"value[{code}]"
        literal = code.replace("'", "''")
        holds = f'case when "analyte" = \'{literal}\' then "value" end'
        limits = (analyte.hard, analyte.soft)
        yield from _limits(table, column, analyte.label, analyte.unit, limits, holds)


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
