"""What a harmonised table must be: expectations derived from the data dictionary.

An `Expectation` is plain data in the form that Great Expectations serialises (`type`, `kwargs`,
`severity`, `meta`); `expectations.engine` runs it. Some need a computed column, which
`relation` adds to the table's Parquet, so that they run as ordinary column expectations, all in
one query, and can tell how many rows they apply to:

- `value[calcium]` holds the value of rows with that analyte (the notation of the mapping workbook);
- `genes_tested of its list` holds whether all codes of a set are of the field's code list;
- `death_date is filled` holds whether, among the rows that the field applies to
  (`applicability.toml`);
- `P10` holds whether the plausibility statement P10 is true for the row, null where it does not
  apply (`plausibility/*.toml`: what the dictionary cannot say).

Categories are those of Kahn et al. 2016 (eGEMs 4:1244): conformance (right form and codes),
completeness (filled), plausibility (believable). All run in the context "verification": against
what is expected of such data, without an outside source of truth.
"""

from __future__ import annotations

from collections.abc import Iterator

from expectations.expectation import NONE_ALLOWED, Expectation, Severity
from expectations.statements import applicability, plausibility
from transforms.dictionary import DICTIONARY, Dictionary, Field, Range, Table
from transforms.sql import identifier


__all__ = ["expectations", "relation", "tables"]

# Below half, an analysis by this field describes those who happened to be asked, not the cohort.
RECOMMENDED_SHARE = 0.5
RECOMMENDED_RATIONALE = "below half, an analysis by this field describes those who were asked"
# Soft limits mark values seldom seen: some are true, many point to a unit or a shifted column.
SEVERAL_ALLOWED = "single values may be true; above one in fifty, suspect a unit or a column"
SOFT_SHARE = 0.98


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
    """Return that a coded field holds codes of its list only, and so does each set of codes."""
    is_set = one.type == "codes"
    column = f"{one.name} of its list" if is_set else one.name
    listed = ", ".join("'" + code.replace("'", "''") + "'" for code in codes)
    return Expectation(
        id=f"{table.name}.{one.name}.codes",
        table=table.name,
        fields=(one.name,),
        type="expect_column_values_to_be_in_set",
        kwargs={"column": column, "value_set": [True] if is_set else list(codes)},
        category="conformance",
        severity="critical",
        statement=f"`{one.name}` holds only codes of the list {one.codelist}.",
        reason="centres can be pooled only when the same code means the same thing",
        remedy="Add the value to the sheet `values` of the mapping, or mend it at the source.",
        column=column if is_set else None,
        holds=f"list_has_all([{listed}], {identifier(one.name)})" if is_set else None,
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
        # what is beyond a limit of detection is not measured against the limits
        exact = """coalesce("value_comparator", '=') = '='"""
        holds = f'case when "analyte" = \'{literal}\' and {exact} then "value" end'
        limits = (analyte.hard, analyte.soft)
        yield from _limits(table, column, analyte.label, analyte.unit, limits, holds)
