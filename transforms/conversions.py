"""The closed vocabulary of mapping rules: each renders one SQL expression over a source's texts.

A rule becomes a `Conversion`: `raw` picks the text that the rule looks at (missing tokens are
NULL by then), `value` turns it into the field's type, `problem` names what could not be read:

    unknown_code  unmapped_value  not_a_number  unknown_unit  not_a_date

NULL in gives NULL out and no problem; a text that cannot be read gives NULL and a problem, never
a guess. What the rules mean to a data manager stands in `transforms.mapping`.
"""

import dataclasses
from collections.abc import Callable
from collections.abc import Mapping as MappingType
from dataclasses import dataclass

from transforms.codings import coded_words, systems_of
from transforms.dictionary import DICTIONARY, Dictionary, Field, Table
from transforms.mapping import (
    MISSING,
    OTHERS,
    REJECT,
    SKIP,
    FieldRule,
    Mapping,
    Source,
    column_name,
    normal_value,
)
from transforms.spelling import amount_sql, comparator_sql, date_sql, duration_sql, precision_sql
from transforms.sql import identifier
from transforms.units import (
    AGE_DURATION,
    analyte_factors,
    field_factors,
    holds_analytes,
    normal,
    normal_sql,
)


__all__ = ["Conversion", "Parameters", "convert", "present_sql", "text_sql"]

BLANKS = " \t\r\n\u00a0\u2007\u202f\ufeff"
CHECKED = ("1", "checked", "true", "yes", "x")
UNCHECKED = ("0", "unchecked", "false", "no")
MAX_AGE = 1000  # years
GATE_OPEN = ("1", "2", "unverified", "complete")
# checked, not checked in a filled form, not checked in a form that was never opened
CHECKBOX: MappingType[str, tuple[str, str, str]] = {
    "status": ("present", "excluded", "unknown"),
    "yes_no_unknown": ("yes", "no", "unknown"),
    "boolean": ("true", "false", ""),
}
SQL_TYPES: MappingType[str, str] = {
    "string": "varchar",
    "code": "varchar",
    "codes": "varchar[]",
    "integer": "bigint",
    "number": "double",
    "boolean": "boolean",
    "date": "date",
}


class Parameters(dict[str, object]):
    """Values that a SQL text refers to; `add` returns the placeholder to write into the text."""

    def add(self, value: object) -> str:
        """Keep `value` and return its placeholder."""
        name = f"p{len(self)}"
        self[name] = value
        return f"${name}"

    def lookup(self, pairs: MappingType[str, object], kind: str = "varchar") -> str:
        """Keep a table of texts and return it as a SQL map, to be followed by `[key]`."""
        keys, values = self.add(list(pairs)), self.add(list(pairs.values()))
        return f"map({keys}::varchar[], {values}::{kind}[])"

    def one_of(self, text: str, options: tuple[str, ...]) -> str:
        """Return a condition: the text expression, in normal form, is one of `options`."""
        return f"list_contains({self.add(list(options))}::varchar[], {_normal(text)})"


@dataclass(frozen=True)
class Conversion:
    """How one field is made from a source row; all texts are SQL.

    Each step sees the columns that the steps before it made, so that nothing is computed twice:
    `raw` (column names and expressions over the source's columns), `read` (likewise, over the raw
    columns and the row's discriminator), `value` (the column called `field`), then `problem` and
    `skip`.
    """

    field: str
    raw: MappingType[str, str]
    value: str
    problem: str = "null"
    read: MappingType[str, str] = dataclasses.field(default_factory=dict)
    skip: str = "false"


@dataclass(frozen=True)
class _Job:
    """Everything a rule may need to know."""

    rule: FieldRule
    table: Table
    source: Source
    mapping: Mapping
    dictionary: Dictionary
    parameters: Parameters

    @property
    def field(self) -> Field:
        """The target field."""
        return self.table.field(self.rule.field)

    @property
    def raw(self) -> str:
        """The quoted name of the column that holds the text looked at."""
        return identifier(self.said("raw"))

    @property
    def systems(self) -> tuple[str, ...]:
        """The code systems in which a recode looks a text up."""
        return systems_of(self.rule.options.get("system", ""))

    def first(self) -> dict[str, str]:
        """Return the raw column: the first of the rule's columns that holds something.

        Where each column holds codes of a system of its own, a bare code gets that system's name.
        """
        texts = [text_sql(column, self.source, self.parameters) for column in self.rule.columns]
        if 1 < len(self.systems) == len(texts):
            texts = [
                f"case when regexp_matches({text}, '[:_]') then {text} else '{name}:' || {text} end"
                for name, text in zip(self.systems, texts, strict=True)
            ]
        return {self.said("raw"): f"coalesce({', '.join([*texts, 'null'])})"}

    def said(self, besides: str) -> str:
        """Return the name of a column that is made besides the value."""
        return f"{self.rule.field}:{besides}"

    def unread(self, column: str, problem: str) -> str:
        """Return the problem expression: there is a text, and nothing came of it in `column`."""
        read = identifier(column)
        return f"case when {self.raw} is not null and {read} is null then '{problem}' end"


def convert(
    rule: FieldRule,
    mapping: Mapping,
    parameters: Parameters,
    dictionary: Dictionary = DICTIONARY,
) -> Conversion:
    """Return the SQL of one row of the sheet `fields`; values go to `parameters`."""
    table, source = dictionary.tables[rule.table], mapping.source(rule.source)
    return _RULES[rule.rule](_Job(rule, table, source, mapping, dictionary, parameters))


def text_sql(column: str, source: Source, parameters: Parameters) -> str:
    """Return the trimmed text of a source column, NULL for a missing token or nothing."""
    text = f"nullif(trim({identifier(column)}, {parameters.add(BLANKS)}), '')"
    if not source.missing:
        return text
    tokens = tuple(normal_value(token) for token in source.missing)
    return f"case when {parameters.one_of(text, tokens)} then null else {text} end"


def present_sql(conversion: Conversion) -> str:
    """Return a condition: the row has something for this field."""
    name = f"{conversion.field}:raw"
    return f"{identifier(name)} is not null" if name in conversion.raw else "false"


def _normal(text: str) -> str:
    """Return the SQL expression that does what `mapping.normal_value` does."""
    return f"lower(nfc_normalize(trim(replace({text}, '\u00a0', ' '))))"


def _copy(job: _Job) -> Conversion:
    """Text as it stands, or the code, whole number or truth value that it spells."""
    kind = job.field.type
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


def _recode(job: _Job) -> Conversion:
    """Look the text up in the sheet `values`; a text that no row names stops the run.

    With `system=` the codes that the dictionary equates with those of public systems come first.
    """
    known = coded_words(job.field, job.systems, job.dictionary)
    words = {**known, **job.mapping.codes(job.rule)}
    return _looked_up(job, words, "unmapped_value", words.pop(OTHERS, None))


def _looked_up(
    job: _Job, words: MappingType[str, str], unread: str = "unknown_code", others: str | None = None
) -> Conversion:
    """Return the code that a text stands for, in the type of the field.

    `unread` is the problem of a text that is not in `words` when there is no word for `others`.
    """
    found = f"{job.parameters.lookup(words)}[{_normal(job.raw)}]"
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


def _const(job: _Job) -> Conversion:
    """The same for every row."""
    placeholder = job.parameters.add(job.rule.arg)
    return Conversion(job.rule.field, {}, f"{placeholder}::{SQL_TYPES[job.field.type]}")


def _number(job: _Job) -> Conversion:
    """A number in the field's or the analyte's unit, with comparator where the table has one."""
    raw, read, factor, wrong = job.first(), {}, "1.0", "not_a_number"
    compared = f"{job.rule.field}_comparator" in job.table.field_names
    if compared:
        read[job.said("comparator")] = comparator_sql(job.raw)
    read[job.said("number")] = amount_sql(job.raw, job.source.decimal, compared)
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


def _unit_raw(job: _Job) -> dict[str, str]:
    """Return the raw column that holds the unit: from its column, else as declared."""
    options, texts = job.rule.options, []
    if "unit_column" in options:
        texts.append(text_sql(column_name(options["unit_column"]), job.source, job.parameters))
    if job.rule.unit:
        texts.append(job.parameters.add(job.rule.unit))
    return {job.said("unit"): f"coalesce({', '.join([*texts, 'null'])})"}


def _analyte_factor(job: _Job) -> str:
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


def _date(job: _Job) -> Conversion:
    """A date, with its precision in `<field>:precision`."""
    options = job.rule.options
    raw = _joined(job) if "parts" in options else job.first()
    order = "YMD" if "parts" in options else options.get("order", job.source.date_order).upper()
    pivot = int(options["pivot"]) if "pivot" in options else None
    value = date_sql(job.raw, order, pivot)
    read = {job.said("precision"): precision_sql(job.raw)}
    problem = job.unread(job.rule.field, "not_a_date")
    return Conversion(job.rule.field, raw, value, problem, read)


def _joined(job: _Job) -> dict[str, str]:
    """Return the raw column of a date in three columns: without a month there is no day either."""
    texts = [text_sql(column, job.source, job.parameters) for column in job.rule.columns]
    year, month, day = texts
    return {
        job.said("raw"): f"{year} || coalesce('-' || {month} || coalesce('-' || {day}, ''), '')"
    }


def _age_to_date(job: _Job) -> Conversion:
    """An age in years in `<field>:age`; the date follows once the person's birth date is known."""
    unit = normal(job.rule.unit or "a")
    date = "null::date"
    if unit == AGE_DURATION:
        age = duration_sql(job.raw)
        date = date_sql(job.raw, "YMD")
    else:
        years = job.dictionary.tables["fracture"].field("age_at_fracture_y")
        age = f"({amount_sql(job.raw, job.source.decimal)}) * {field_factors(years)[unit]!r}"
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


def _date_to_age(job: _Job) -> Conversion:
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


def _checkbox(job: _Job) -> Conversion:
    """Checked, not checked, or not known because the form was never filled in."""
    texts = [text_sql(column, job.source, job.parameters) for column in job.rule.columns]
    checked = " or ".join(f"coalesce({job.parameters.one_of(t, CHECKED)}, false)" for t in texts)
    empty = " and ".join(
        f"coalesce({job.parameters.one_of(text, UNCHECKED)}, true)" for text in texts
    )
    first = f"coalesce({', '.join([*texts, 'null'])})"
    box = (
        f"case when {checked} then '1' when {first} is null then null "
        f"when {empty} then '0' else concat_ws(';', {', '.join(texts)}) end"
    )
    gate = text_sql(column_name(job.rule.options["gate"]), job.source, job.parameters)
    opened = f"coalesce({job.parameters.one_of(gate, GATE_OPEN)}, false)"
    raw = {job.said("raw"): box, job.said("gate"): opened}
    yes, no, unknown = CHECKBOX[job.field.codelist or "boolean"]
    gate_column, word = identifier(job.said("gate")), identifier(job.said("code"))
    read = {
        job.said("code"): f"case when {job.raw} = '1' then '{yes}' when {job.raw} = '0' and "
        f"{gate_column} then '{no}' when {job.raw} = '0' then '{unknown}' end",
        job.said("closed"): f"coalesce({job.raw} = '0' and not {gate_column}, false)",
    }
    value = f"nullif({word}, '')::{SQL_TYPES[job.field.type]}"
    problem = job.unread(job.said("code"), "unknown_code")
    return Conversion(job.rule.field, raw, value, problem, read)


_RULES: MappingType[str, Callable[[_Job], Conversion]] = {
    "copy": _copy,
    "recode": _recode,
    "const": _const,
    "number": _number,
    "date": _date,
    "age_to_date": _age_to_date,
    "date_to_age": _date_to_age,
    "checkbox": _checkbox,
}
