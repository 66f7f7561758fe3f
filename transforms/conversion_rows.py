"""Rules that make no row or several from one source row: `hgvs` and `count_to_events`."""

import dataclasses
from collections.abc import Iterator, Sequence

import duckdb

from transforms.conversion_job import Conversion, Job, Parameters, text_sql
from transforms.dictionary import DICTIONARY, Dictionary, Table
from transforms.genotype_table import FILLED, RELATION, key_sql, load_genotypes
from transforms.mapping import FieldRule, Source, column_name
from transforms.sql import identifier, qualified


__all__ = ["EVENTS", "UNDATED", "completed", "count_to_events", "event_date", "hgvs", "prepare"]

EVENTS = "*"
"""What stands for the field where a count makes events."""

UNDATED = "undated_event"
MOST_EVENTS = 200
NOT_SAID = "unknown"


def prepare(
    connection: duckdb.DuckDBPyConnection, rules: Sequence[FieldRule], source: Source
) -> None:
    """Read the distinct genotype texts of a source for the rule `hgvs` among `rules`, if any."""
    for rule in rules:
        if rule.rule == "hgvs":
            parameters = Parameters()
            key = _key(rule, source, parameters)
            relation = qualified("source", source.source)
            load_genotypes(connection, f"select {key} as key from {relation}", parameters)


def hgvs(job: Job) -> tuple[Conversion, ...]:
    """Variants of a genotype text, one row each; or what it says of the genetic test's result.

    What a field of the variant's own column says wins over the text; where both speak and differ
    somebody has to look (`completed`).
    """
    key = identifier(job.said("key"))
    raw = job.first()
    raw[job.said("key")] = _key(job.rule, job.source, job.parameters)
    gene = _gene(job.rule, job.source, job.parameters)
    raw[job.said("raw")] = f"coalesce({raw[job.said('raw')]}, {gene})"
    looked_up = f"(select {{}} from {RELATION} where {RELATION}.key = {key})"
    if job.table.name != "variant":
        return (_result(job, raw, looked_up),)
    item = identifier(job.said("item"))
    main = Conversion(
        field=job.rule.field,
        raw=raw,
        value=f"struct_extract({item}, '{FILLED[job.rule.field]}')",
        problem=f"case when struct_extract({item}, 'status') = 'needs_review' "
        "then 'needs_review' end",
        rows=looked_up.format("variants"),
    )
    others = (
        Conversion(field, {}, f"struct_extract({item}, '{part}')")
        for field, part in FILLED.items()
        if field in job.table.field_names and field != job.rule.field
    )
    return (main, *others)


def _result(job: Job, raw: dict[str, str], looked_up: str) -> Conversion:
    """Return what a genotype text says of the result of the genetic test.

    A variant of unknown class says nothing about it: then there is no row (it is skipped).
    """
    name = identifier(job.rule.field)
    doubt = "list_contains(list_transform(variants, lambda v: v.status), 'needs_review')"
    review = looked_up.format(doubt)
    return Conversion(
        field=job.rule.field,
        raw=raw,
        value=looked_up.format("result"),
        problem=f"case when {name} is null and {review} then 'needs_review' end",
        skip=f"coalesce({job.raw} is not null and {name} is null and not {review}, false)",
    )


def completed(conversions: Sequence[Conversion]) -> list[Conversion]:
    """Return one conversion per field: what is mapped, else what the genotype text says.

    The text comes to `hgvs_c`, which is for review where a mapped field contradicts the text.
    """
    by_field: dict[str, list[Conversion]] = {}
    for conversion in conversions:
        by_field.setdefault(conversion.field, []).append(conversion)
    merged = [_either(several) for several in by_field.values()]
    doubtful = [
        _contradicts(field, several) for field, several in by_field.items() if len(several) > 1
    ]
    if not doubtful:
        return merged
    review = f"case when {' or '.join(doubtful)} then 'needs_review' end"
    return [
        dataclasses.replace(one, problem=f"coalesce({one.problem}, {review})") if one.rows else one
        for one in merged
    ]


def _either(several: list[Conversion]) -> Conversion:
    """Return the conversion that takes the mapped value, else that of the text."""
    mapped, text = _mapped_first(several)
    if text is None:
        return mapped
    value = (
        f"coalesce(nullif({mapped.value}, {_unknown(text.field)}), {text.value}, {mapped.value})"
    )
    return dataclasses.replace(mapped, value=value)


def _contradicts(field: str, several: list[Conversion]) -> str:
    """Return the condition that the mapped value and the text disagree."""
    _, text = _mapped_first(several)
    said = text.value if text is not None else "null"
    return f"coalesce({identifier(field)} <> nullif({said}, {_unknown(field)}), false)"


def _mapped_first(several: list[Conversion]) -> tuple[Conversion, Conversion | None]:
    """Return what is mapped and what comes from the text."""
    mapped = [one for one in several if one.raw] or several
    texts = [one for one in several if one is not mapped[0]]
    return mapped[0], texts[0] if texts else None


def _unknown(field: str) -> str:
    """Return the value of a field that says nothing."""
    return "null" if field == "acmg_class" else f"'{NOT_SAID}'"


def _key(rule: FieldRule, source: Source, parameters: Parameters) -> str:
    """Return the expression of text and gene that `genotype.key` holds."""
    texts = [text_sql(column, source, parameters) for column in rule.columns]
    return key_sql(f"coalesce({', '.join([*texts, 'null'])})", _gene(rule, source, parameters))


def _gene(rule: FieldRule, source: Source, parameters: Parameters) -> str:
    """Return the expression of the gene's own column, NULL without one."""
    if "gene_column" not in rule.options:
        return "null"
    return text_sql(column_name(rule.options["gene_column"]), source, parameters)


def count_to_events(job: Job) -> tuple[Conversion, ...]:
    """As many undated events as a count says; what is known of all of them stands in arg."""
    constants = dict(_constants(job.rule, job.dictionary))
    first, *others = constants
    raw, item = identifier(f"{first}:raw"), identifier(f"{first}:item")
    texts = [text_sql(column, job.source, job.parameters) for column in job.rule.columns]
    number = (
        f"case when regexp_full_match({raw}, '[0-9]{{1,3}}([.,]0+)?') "
        f"then regexp_extract({raw}, '^[0-9]+')::integer end"
    )
    # what is no count makes one row, to be rejected
    events = f"case when n is null or n > {MOST_EVENTS} then [null] else range(1, n + 1) end"
    main = Conversion(
        field=first,
        raw={f"{first}:raw": f"coalesce({', '.join([*texts, 'null'])})"},
        value=f"{job.parameters.add(constants[first])}::varchar",
        problem=f"case when {raw} is not null and {item} is null then 'not_a_number' end",
        rows=f"(select {events} from (select {number} as n))",
    )
    rest = [Conversion(one, {}, _constant(job, one, constants[one])) for one in others]
    date = Conversion(event_date(job.table), {}, "null::date", problem=f"'{UNDATED}'")
    return (main, *rest, date)


def _constant(job: Job, field: str, value: str) -> str:
    """Return a constant in the type of its field."""
    kind = "boolean" if job.table.field(field).type == "boolean" else "varchar"
    return f"{job.parameters.add(value)}::{kind}"


def _constants(rule: FieldRule, dictionary: Dictionary = DICTIONARY) -> Iterator[tuple[str, str]]:
    """Yield field and value of what is known of all events, mandatory fields first."""
    table = dictionary.tables[rule.table]
    known = {name: value for name, value in rule.options.items() if name != "date"}
    mandatory = [name for name in known if table.field(name).obligation == "mandatory"]
    for name in dict.fromkeys([*mandatory, *known]):
        yield name, known[name]


def event_date(table: Table) -> str:
    """Return the field that says when an event of a table happened: its first date."""
    return next(field.name for field in table.fields if field.type == "date")
