"""The closed vocabulary of mapping rules: each renders one SQL expression over a source's texts.

A rule becomes a `Conversion`: `raw` picks the text that the rule looks at (missing tokens are
NULL by then), `value` turns it into the field's type, `problem` names what could not be read:

    unknown_code  unmapped_value  not_a_number  unknown_unit  not_a_date  needs_review

NULL in gives NULL out and no problem; a text that cannot be read gives NULL and a problem, never
a guess. What the rules mean to a data manager stands in `transforms.mapping`.
"""

import dataclasses
from collections.abc import Callable, Sequence
from collections.abc import Mapping as MappingType

from transforms.codings import coded_words, local_sql
from transforms.conversion_job import (
    CHECKED,
    SQL_TYPES,
    UNCHECKED,
    Conversion,
    Job,
    Parameters,
    normal_text,
    person_sql,
    present_sql,
    text_sql,
)
from transforms.conversion_rows import completed, count_to_events, hgvs
from transforms.conversion_sets import checkbox, split
from transforms.dictionary import DICTIONARY, Dictionary
from transforms.mapping import (
    MISSING,
    OTHERS,
    REJECT,
    SKIP,
    FieldRule,
    Mapping,
    column_name,
    normal_value,
)
from transforms.spelling import EPOCHS, comparator_sql, date_sql, duration_sql, precision_sql
from transforms.sql import identifier
from transforms.units import (
    AGE_DURATION,
    analyte_factors,
    field_factors,
    holds_analytes,
    normal,
    normal_sql,
)


__all__ = [
    "SQL_TYPES",
    "Conversion",
    "Parameters",
    "convert",
    "convert_all",
    "person_sql",
    "present_sql",
    "text_sql",
]

MAX_AGE = 1000  # years


def convert_all(
    rules: Sequence[FieldRule],
    mapping: Mapping,
    parameters: Parameters,
    dictionary: Dictionary = DICTIONARY,
) -> list[Conversion]:
    """Return the SQL of the rows of the sheet `fields` that make one kind of row."""
    made = [one for rule in rules for one in _converted(rule, mapping, parameters, dictionary)]
    return completed(made)


def convert(
    rule: FieldRule,
    mapping: Mapping,
    parameters: Parameters,
    dictionary: Dictionary = DICTIONARY,
) -> Conversion:
    """Return the SQL of one row of the sheet `fields`; values go to `parameters`."""
    (first, *_) = _converted(rule, mapping, parameters, dictionary)
    return first


def _converted(
    rule: FieldRule, mapping: Mapping, parameters: Parameters, dictionary: Dictionary
) -> tuple[Conversion, ...]:
    """Return the conversions that one rule makes."""
    table, source = dictionary.tables[rule.table], mapping.source(rule.source)
    job = Job(rule, table, source, mapping, dictionary, parameters)
    if rule.rule in _SEVERAL:
        return _SEVERAL[rule.rule](job)
    return (_RULES[rule.rule](job),)


def _copy(job: Job) -> Conversion:
    """Text as it stands, or the code, whole number or truth value that it spells."""
    kind = job.field.type
    if kind == "string" and job.systems:
        own = {job.said("raw"): local_sql(job.text(), job.systems)}
        return Conversion(job.rule.field, own, job.raw)
    if kind == "string":
        return Conversion(job.rule.field, job.first(), job.raw)
    if kind == "integer":
        value = f"try_cast(regexp_extract({job.raw}, '^[+-]?[0-9]{{1,15}}$') as bigint)"
        problem = job.unread(job.rule.field, "not_a_number")
        return Conversion(job.rule.field, job.first(), value, problem)
    if kind == "boolean":
        words = {**dict.fromkeys(CHECKED, "true"), **dict.fromkeys(UNCHECKED, "false")}
    else:
        codes = job.dictionary.codelists[job.field.codelist or ""].codes
        words = {normal_value(code): code for code in codes}
    return _looked_up(job, words)


def _recode(job: Job) -> Conversion:
    """Look the text up in the sheet `values`; a text that no row names stops the run.

    With `system=` the codes that the dictionary equates with those of public systems come first,
    with `filled` a row without a text belongs to another table.
    """
    known = coded_words(job.field, job.systems, job.dictionary)
    words = {**known, **job.mapping.codes(job.rule)}
    found = _looked_up(job, words, "unmapped_value", words.pop(OTHERS, None))
    if "filled" not in job.rule.options:
        return found
    return dataclasses.replace(found, skip=f"({found.skip} or {job.raw} is null)")


def _looked_up(
    job: Job, words: MappingType[str, str], unread: str = "unknown_code", others: str | None = None
) -> Conversion:
    """Return the code that a text stands for, in the type of the field.

    `unread` is the problem of a text that is not in `words` when there is no word for `others`.
    """
    found = f"{job.parameters.lookup(words)}[{normal_text(job.raw)}]"
    if others is not None:
        rest = f"case when {job.raw} is not null then {job.parameters.add(others)}::varchar end"
        found = f"coalesce({found}, {rest})"
    read = {job.said("code"): found}
    code = identifier(job.said("code"))
    skips = SKIP in (*words.values(), others)
    value = f"case when {code} not in ('{SKIP}', '{REJECT}', '{MISSING}') then {code} end"
    return Conversion(
        field=job.rule.field,
        raw=job.first(),
        value=f"try_cast({value} as {SQL_TYPES[job.field.type]})",
        problem=f"case when {code} = '{REJECT}' then 'unknown_code' "
        f"else {job.unread(job.said('code'), unread)} end",
        read=read,
        skip=f"coalesce({code} = '{SKIP}', false)" if skips else "false",
    )


def _const(job: Job) -> Conversion:
    """The same for every row."""
    placeholder = job.parameters.add(job.rule.arg)
    return Conversion(job.rule.field, {}, f"{placeholder}::{SQL_TYPES[job.field.type]}")


def _number(job: Job) -> Conversion:
    """A number in the field's or the analyte's unit, with comparator where the table has one."""
    raw, read, factor, wrong = job.first(), {}, "1.0", "not_a_number"
    compared = f"{job.rule.field}_comparator" in job.table.field_names
    if compared:
        read[job.said("comparator")] = comparator_sql(job.raw)
    read[job.said("number")] = job.amount(compared)
    if normal(job.rule.unit) == AGE_DURATION:
        read[job.said("number")] = duration_sql(job.raw)
    elif holds_analytes(job.table, job.field):
        raw |= _unit_raw(job)
        read[job.said("factor")] = _analyte_factor(job)
        factor, wrong = identifier(job.said("factor")), "unknown_unit"
    elif job.rule.unit:
        factor = repr(field_factors(job.field)[normal(job.rule.unit)])
    number = identifier(job.said("number"))
    value = f"{number} * {factor}"
    if job.field.type == "integer":
        value = f"case when {value} = floor({value}) then try_cast({value} as bigint) end"
    problem = (
        f"case when {job.raw} is null then null when {number} is null then 'not_a_number' "
        f"when {identifier(job.rule.field)} is null then '{wrong}' end"
    )
    return Conversion(job.rule.field, raw, value, problem, read)


def _unit_raw(job: Job) -> dict[str, str]:
    """Return the raw column that holds the unit: from its column, else as declared."""
    options, texts = job.rule.options, []
    if "unit_column" in options:
        texts += [
            text_sql(column_name(column), job.source, job.parameters)
            for column in options["unit_column"].split("|")
        ]
    if job.rule.unit:
        texts.append(job.parameters.add(job.rule.unit))
    return {job.said("unit"): f"coalesce({', '.join([*texts, 'null'])})"}


def _analyte_factor(job: Job) -> str:
    """Return the factor for the row's unit and analyte; NULL when the analyte has no such unit."""
    unit = normal_sql(identifier(job.said("unit")))
    analytes = job.dictionary.analytes
    if job.rule.bracket is not None:
        known = analyte_factors(analytes[job.rule.bracket])
        return f"{job.parameters.lookup(known, 'double')}[{unit}]"
    factors = {
        f"{code} {spelling}": factor
        for code, analyte in analytes.items()
        for spelling, factor in analyte_factors(analyte).items()
    }
    key = f"{identifier(job.table.discriminator or '')} || ' ' || {unit}"
    return f"{job.parameters.lookup(factors, 'double')}[{key}]"


def _date(job: Job) -> Conversion:
    """A date, with its precision in `<field>:precision`."""
    options = job.rule.options
    raw = _joined(job) if "parts" in options else job.first()
    order = "YMD" if "parts" in options else options.get("order", job.source.date_order).upper()
    pivot = int(options["pivot"]) if "pivot" in options else None
    serials = next((name for name in EPOCHS if name in options), None)
    value = date_sql(job.raw, order, pivot, serials)
    read = {job.said("precision"): precision_sql(job.raw)}
    problem = job.unread(job.rule.field, "not_a_date")
    return Conversion(job.rule.field, raw, value, problem, read)


def _joined(job: Job) -> dict[str, str]:
    """Return the raw column of a date in three columns: without a month there is no day either."""
    texts = [text_sql(column, job.source, job.parameters) for column in job.rule.columns]
    year, month, day = texts
    return {
        job.said("raw"): f"{year} || coalesce('-' || {month} || coalesce('-' || {day}, ''), '')"
    }


def _age_to_date(job: Job) -> Conversion:
    """An age in years in `<field>:age`; the date follows once the person's birth date is known."""
    unit = normal(job.rule.unit or "a")
    date = "null::date"
    if unit == AGE_DURATION:
        age = duration_sql(job.raw)
        date = date_sql(job.raw, "YMD")
    else:
        years = job.dictionary.tables["fracture"].field("age_at_fracture_y")
        age = f"({job.amount()}) * {field_factors(years)[unit]!r}"
    known = f"case when {job.raw} is not null then 'age_only' end"
    # a birth date plus more than this may lie beyond what a date can be, and end the whole run
    age = f"case when abs({age}) <= {MAX_AGE} then {age} end"
    event = identifier(job.said("event"))
    read = {
        job.said("age"): age,
        job.said("event"): date,
        job.said("precision"): f"case when {date} is not null then {precision_sql(job.raw)} "
        f"else {known} end",
    }
    problem = (
        f"case when {job.raw} is not null and {identifier(job.said('age'))} is null "
        f"and {event} is null then 'not_a_number' end"
    )
    return Conversion(job.rule.field, job.first(), event, problem, read)


def _date_to_age(job: Job) -> Conversion:
    """The date of the event in `<field>:event`; the age follows once the birth date is known."""
    event = date_sql(job.raw, job.source.date_order)
    value = "null::double"
    if normal(job.rule.unit) == AGE_DURATION:
        value = duration_sql(job.raw)
    problem = (
        f"case when {job.raw} is not null and {identifier(job.said('event'))} is null "
        f"and {identifier(job.rule.field)} is null then 'not_a_date' end"
    )
    read = {job.said("event"): event}
    return Conversion(job.rule.field, job.first(), value, problem, read)


_RULES: MappingType[str, Callable[[Job], Conversion]] = {
    "copy": _copy,
    "recode": _recode,
    "split": split,
    "const": _const,
    "number": _number,
    "date": _date,
    "age_to_date": _age_to_date,
    "date_to_age": _date_to_age,
    "checkbox": checkbox,
}
_SEVERAL: MappingType[str, Callable[[Job], tuple[Conversion, ...]]] = {
    "hgvs": hgvs,
    "count_to_events": count_to_events,
}
