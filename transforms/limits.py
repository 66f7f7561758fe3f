"""What the dictionary, without any cross-field rule, says against a staged row.

Every finding goes to `violations(table_name, row_id, field, rule, severity, remedy)`:

    unknown_code not_a_number unknown_unit not_a_date   hard where the field is mandatory, and then
    missing_mandatory                                   the row is rejected
    unmapped_value     the same, in a dry run alone: it stops every other run
    unreadable_value   soft   a field that is not mandatory could not be read: it becomes empty
    needs_review       soft   a genotype in free text that nobody but a person can read (hard where
                              it is the result of a genetic test)
    undated_event      info   an event made from a count
    required_if        soft   a field that the mapping wants in such a row is empty
    pattern            hard   a mandatory text has not the form that it must have (else unreadable)
    range              hard   beyond what the field or the analyte can be
    R80                hard   … besides, another unit of the analyte would make it usual
                       soft   within limits, but another unit would suit better; kept as declared.
                              Or impossible as declared and usual in one other unit alone, of an
                              analyte whose units cannot be mixed up (`units.READ_AS_MEANT`): read
                              in that unit, unit_status overruled, the number kept in value_source
    soft_range         soft   unusual; kept
    partial_date       info   day, or day and month, of a date are not known
    closed_form        info   a checkbox is empty in a form that was never filled in: unknown
"""

import dataclasses
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import duckdb

from transforms.constants import load_constants
from transforms.conversions import Parameters
from transforms.dictionary import DICTIONARY, Dictionary, Field, Range, Table
from transforms.mapping import NOT_HELD, FieldRule, Mapping
from transforms.mapping_check import made_here
from transforms.rule_checks import filled
from transforms.sql import identifier, qualified
from transforms.staging import SCHEMA, STORED, column, stored_columns
from transforms.units import READ_AS_MEANT, WINDOWS, holds_analytes, normal_sql


__all__ = ["MISSING", "PROBLEMS", "check_limits"]

# What to do about a text that cannot be read.
PROBLEMS = {
    "unknown_code": "name the value in the mapping's sheet values, or mend it in the source",
    "unmapped_value": "name the value in the mapping's sheet values; until then no run is possible",
    "not_a_number": "mend the number in the source, or correct the mapping's decimal sign",
    "unknown_unit": "mend the unit in the source, or declare the unit in the mapping",
    "not_a_date": "mend the date in the source, or correct the mapping's date order",
    "needs_review": "read the text and enter gene, change and zygosity in HGVS at the source",
    "undated_event": "the event counts in no rate; enter its date at the source if it is known",
}
# Problems that are no mistake of the reading, and keep their name.
OWN = ("needs_review", "undated_event")
MISSING = "fill it in at the source; say not_collected in the mapping if nobody has it"
PATTERN = "write it in the form that the data dictionary asks for"
PARTIAL = "enter the whole date at the source if it is known"
REQUIRED = "the mapping asks for it in such a row; fill it in at the source"
CLOSED = "fill in and save the form; until then the answer counts as unknown"


@dataclass(frozen=True)
class _Check:
    """One finding's SQL: rows of a staged table for which `condition` holds.

    `found` names rule, severity and remedy, each a SQL expression.
    """

    field: str
    condition: str
    found: tuple[str, str, str]


def check_limits(
    connection: duckdb.DuckDBPyConnection, mapping: Mapping, dictionary: Dictionary = DICTIONARY
) -> None:
    """Note in `violations` all that the dictionary says against staged rows.

    Texts of fields that are not mandatory and have not the form they must have become NULL.
    """
    for table in dictionary.tables.values():
        parameters = Parameters()
        checks = list(_checks(table, mapping, parameters))
        if not checks:
            continue
        # one look at each row; only of those with a finding is asked which ones there are
        any_of = " or ".join(f"({check.condition})" for check in checks)
        found = ", ".join(_found(check, parameters) for check in checks)
        connection.execute(
            f"insert into violations select {parameters.add(table.name)}, row_id, found.* from ("
            f"select row_id, unnest([{found}]) as found from {qualified(SCHEMA, table.name)} "
            f"where {any_of}) where found is not null",
            parameters,
        )
        _forget_malformed(connection, table)
    _check_analytes(connection, dictionary)


def _found(check: _Check, parameters: Parameters) -> str:
    """Return the expression of what a check finds in a row; NULL for nothing."""
    names = ("field", "rule", "severity", "remedy")
    values = (parameters.add(check.field), *check.found)
    told = (f"'{name}': {value}::varchar" for name, value in zip(names, values, strict=True))
    return f"case when {check.condition} then {{{', '.join(told)}}} end"


def _checks(table: Table, mapping: Mapping, parameters: Parameters) -> Iterator[_Check]:
    """Yield all checks of one table, of fields that the mapping fills and no others."""
    rules = [rule for rule in mapping.fields if rule.table == table.name]
    given = {name for rule in rules if rule.rule not in NOT_HELD for name in filled(rule)}
    if not given:
        return

    def said(rule: str, severity: str, remedy: str) -> tuple[str, str, str]:
        return parameters.add(rule), parameters.add(severity), parameters.add(remedy)

    yield _Check("person_id", "person_local is null", said("missing_mandatory", "hard", MISSING))
    for field in table.fields:
        if field.name not in given or field.name in ("person_id", *table.key):
            continue
        yield _unread(field, parameters)
        for condition, found in _said(table, field, mapping, parameters):
            yield _Check(field.name, condition, said(*found))
    for rule in rules:
        if rule.required_if:
            found = said("required_if", "soft", REQUIRED)
            yield _Check(rule.field, _lacking(rule, parameters), found)


Finding = tuple[str, tuple[str, str, str]]
"""A condition, and the rule, severity and remedy of the rows for which it holds."""


def _said(
    table: Table, field: Field, mapping: Mapping, parameters: Parameters
) -> Iterator[Finding]:
    """Yield what the dictionary says of one field's values."""
    if field.obligation == "mandatory" and not made_here(table, field):
        condition = _missing(table, field, mapping, parameters)
        yield condition, ("missing_mandatory", "hard", MISSING)
    yield from _form(field, parameters)
    yield from _range(field, field.hard, "range", "hard", parameters)
    yield from _range(field, field.soft, "soft_range", "soft", parameters)
    if field.type == "date" and field.name != "birth_date":
        partial = f"{column(field.name, 'precision')} <> 'day'"
        yield partial, ("partial_date", "info", PARTIAL)
    yield column(field.name, "closed"), ("closed_form", "info", CLOSED)


def _unread(field: Field, parameters: Parameters) -> _Check:
    """Return the check that a text could be read; a problem that is a rule of its own says so."""
    problem = column(field.name, "problem")
    mandatory = field.obligation == "mandatory"
    rule = (
        problem
        if mandatory
        else f"case when {problem} in {OWN} then {problem} else 'unreadable_value' end"
    )
    severity = (
        f"case when {problem} = 'undated_event' then 'info' "
        f"else '{'hard' if mandatory else 'soft'}' end"
    )
    remedy = f"{parameters.lookup(PROBLEMS)}[{problem}]"
    return _Check(field.name, f"{problem} is not null", (rule, severity, remedy))


def _lacking(rule: FieldRule, parameters: Parameters) -> str:
    """Return the condition that a row needs a field, by its mapping, and has it not."""
    other, equals, code = (part.strip() for part in rule.required_if.partition("="))
    holds = f"lower({identifier(other)}::varchar) = lower({parameters.add(code)})"
    return (
        f"{identifier(rule.field)} is null and source_id = {parameters.add(rule.source)} "
        f"and coalesce(bracket = {parameters.add(rule.bracket)}::varchar, true) "
        f"and {holds if equals else f'{identifier(other)} is not null'}"
    )


def _missing(table: Table, field: Field, mapping: Mapping, parameters: Parameters) -> str:
    """Return the condition that a mandatory field is empty although its source has it."""
    sources = [
        source.source
        for source in mapping.sources
        if any(field.name in filled(rule) for rule in mapping.rules(table.name, source.source))
    ]
    return (
        f"{identifier(field.name)} is null and {column(field.name, 'problem')} is null "
        f"and list_contains({parameters.add(sources)}::varchar[], source_id)"
    )


def _form(field: Field, parameters: Parameters) -> Iterator[Finding]:
    """Yield the check of a text's form."""
    if field.pattern is not None and field.type == "string":
        wrong = f"not regexp_matches({identifier(field.name)}, {parameters.add(field.pattern)})"
        if field.obligation == "mandatory":
            yield wrong, ("pattern", "hard", PATTERN)
        else:
            yield wrong, ("unreadable_value", "soft", PATTERN)


def _range(
    field: Field, limits: Range | None, rule: str, severity: str, parameters: Parameters
) -> Iterator[Finding]:
    """Yield the check of a number's limits."""
    if limits is not None:
        low, high = parameters.add(limits.low), parameters.add(limits.high)
        name = identifier(field.name)
        beyond = f"({name} < {low}::double or {name} > {high}::double)"
        if field.derived is not None:  # what follows from a date is judged by the date's rules
            beyond = f"{column(field.name, 'raw')} is not null and {beyond}"
        yield beyond, (rule, severity, f"{_expected(limits)}: {limits.reason}")


def _expected(limits: Range) -> str:
    """Say limits in words."""
    if limits.low is None or limits.high is None:
        bound = f"at least {limits.low:g}" if limits.low is not None else f"at most {limits.high:g}"
        return f"expected {bound}"
    return f"expected {limits.low:g} to {limits.high:g}"


def _forget_malformed(connection: duckdb.DuckDBPyConnection, table: Table) -> None:
    """Empty texts that have not the form they must have, in fields that may be empty."""
    stored = stored_columns(connection, table.name)
    for field in table.fields:
        if field.pattern is None or field.type != "string" or field.obligation == "mandatory":
            continue
        if field.name not in stored:
            continue
        name = identifier(field.name)
        connection.execute(
            f"update {qualified(STORED, table.name)} set {name} = null "
            f"where not regexp_matches({name}, $1)",
            [field.pattern],
        )


def _check_analytes(connection: duckdb.DuckDBPyConnection, dictionary: Dictionary) -> None:
    """Note laboratory values beyond their analyte's limits, and those that look like another unit.

    A unit is looked for among the analyte's own, and only where the windows of its units do not
    overlap (`units.WINDOWS`): 25-OH-D is never guessed.
    """
    tables = [
        table
        for table in dictionary.tables.values()
        for field in table.fields
        if holds_analytes(table, field)
    ]
    _load_analytes(connection, dictionary)
    for table in tables:
        staged = qualified(SCHEMA, table.name)
        query = JUDGED.format(staged=staged, declared=normal_sql("value_source_unit"))
        connection.execute(f"create or replace temp table judged_value as {query}")
        connection.execute(f"insert into violations select $1, * from ({FOUND})", [table.name])
        connection.execute(
            f"update {qualified(STORED, table.name)} as staged set unit_status = "
            "case when readable then 'overruled' else 'suspect' end, "
            "value = case when readable then number * meant else value end "
            "from judged_value where judged_value.row_id = staged.row_id and looks_like is not null"
        )


def _load_analytes(connection: duckdb.DuckDBPyConnection, dictionary: Dictionary) -> None:
    """Make `analyte_limits` and `unit_windows`: limits, and what each other unit would mean."""
    analytes = list(dictionary.analytes.values())
    limits = {
        f"{kind}_{side}": [getattr(getattr(one, kind), side, None) for one in analytes]
        for kind in ("hard", "soft")
        for side in ("low", "high")
    }
    texts = {
        "analyte": [one.code for one in analytes],
        "expected": [f"{_expected(one.hard)} {one.unit}: {one.hard.reason}" for one in analytes],
        "unusual": [
            f"{_expected(one.soft)} {one.unit}: {one.soft.reason}" if one.soft else ""
            for one in analytes
        ],
    }
    others = [
        (analyte.code, position, unit, float(factor))
        for analyte in analytes
        if analyte.code in WINDOWS
        for position, (unit, factor) in enumerate(analyte.factors.items())
    ]
    windows = [
        (code, *dataclasses.astuple(window))
        for code, list_of in WINDOWS.items()
        for window in list_of
    ]
    names = ("analyte", "declared", "low", "high", "looks_like", "of_batch")
    columns: dict[str, Sequence[object]] = {**texts, **limits}
    numbers = dict.fromkeys(limits, "double")
    load_constants(connection, "analyte_limits", columns, numbers)
    load_constants(connection, "read_as_meant", {"analyte": READ_AS_MEANT})
    load_constants(
        connection,
        "other_units",
        _columns(("analyte", "position", "unit", "factor"), others),
        {"position": "bigint", "factor": "double"},
    )
    load_constants(
        connection,
        "unit_windows",
        _columns(names, windows),
        {"low": "double", "high": "double", "of_batch": "boolean"},
    )


def _columns(names: tuple[str, ...], rows: Sequence[tuple[object, ...]]) -> dict[str, list[object]]:
    """Return rows of constants by column."""
    return {name: [row[place] for row in rows] for place, name in enumerate(names)}


JUDGED = """
    with spelled as materialized (  -- each spelling of a unit is looked at once
        select value_source_unit, {declared} as declared
        from (select distinct value_source_unit from {staged})
    ),
    suspected as (
        select analyte, bool_or(of_batch) as whole_batch, min(low) as from_number,
            max(high) as to_number
        from unit_windows group by analyte
    ),
    beyond as (
        select staged.row_id, staged.value, staged."value:number" as number,
            staged."value:factor" as factor, value_source_unit, source_id, analyte_limits.*,
            -- "<0,5" says only that the value is no higher: it is never too low, ">" never too high
            coalesce(value_comparator = '<', false) as at_most,
            coalesce(value_comparator = '>', false) as at_least
        from {staged} as staged
        join analyte_limits using (analyte)
        left join suspected using (analyte)
        -- most values are beyond nothing: they are not looked at any further
        where staged.value < soft_low or staged.value > soft_high
            or staged.value < hard_low or staged.value > hard_high
            or whole_batch or staged."value:number" between from_number and to_number
    ),
    valued as (
        select beyond.*, declared from beyond left join spelled
            on spelled.value_source_unit is not distinct from beyond.value_source_unit
    ),
    batch as (
        select source_id, analyte, declared, median(number) as middle from valued
        where analyte in (select analyte from unit_windows where of_batch) and value is not null
        group by all having count(*) >= 10
    ),
    looks as (  -- the first unit of the analyte in which the number would be usual
        select valued.row_id, arg_min(other_units.unit, other_units.position) as unit,
            arg_min(other_units.factor, other_units.position) as meant,
            count(distinct other_units.factor) as ways
        from valued join other_units using (analyte)
        where other_units.factor <> valued.factor
            and (value < soft_low or value > soft_high)
            and valued.number * other_units.factor between soft_low and soft_high
        group by valued.row_id
    ),
    judged as (
        select valued.*, coalesce(looks.unit, unit_windows.looks_like) as looks_like, meant,
            (value < hard_low and not at_most) or (value > hard_high and not at_least)
                as impossible,
            coalesce((value < soft_low and not at_most) or (value > soft_high and not at_least),
                false) as is_unusual,
            coalesce(ways = 1, false) as one_way,
            unit_windows.looks_like is not null as in_window
        from valued
        left join looks using (row_id)
        left join unit_windows
            on unit_windows.analyte = valued.analyte and unit_windows.declared = valued.declared
            and valued.number between unit_windows.low and unit_windows.high
            and (not of_batch or exists (
                from batch
                where batch.source_id = valued.source_id and batch.analyte = valued.analyte
                    and batch.declared = valued.declared
                    and middle between unit_windows.low and unit_windows.high))
    )
    select row_id, number, meant, impossible, is_unusual, expected, unusual, looks_like,
        impossible and one_way and analyte in (select analyte from read_as_meant) as readable
    from judged where value is not null and (impossible or is_unusual or in_window)
"""
FOUND = """
    select row_id, 'value', 'range', 'hard', expected
    from judged_value where impossible and not readable
    union all
    select row_id, 'value', 'R80',
        case when impossible and not readable then 'hard' else 'soft' end,
        'looks like ' || looks_like || case when readable
        then '; read so, because it is impossible as declared; declare it in the mapping'
        else '; check the unit at the source, declare it in the mapping' end
    from judged_value where looks_like is not null
    union all
    select row_id, 'value', 'soft_range', 'soft', unusual
    from judged_value where is_unusual and not impossible and looks_like is null
"""
