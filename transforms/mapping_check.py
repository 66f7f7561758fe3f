"""What is wrong with a mapping: every problem, each with sheet, row, what was expected, nearest.

`load_mapping` is the door: parse, check against the dictionary, refuse anything not approved.
`check_columns` comes after reading, when the columns of the files are known.
"""

import codecs
import dataclasses
import datetime
import difflib
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from collections.abc import Mapping as MappingType
from pathlib import Path
from typing import Any

from transforms.codings import known_systems, systems_of
from transforms.conversion_rows import EVENTS
from transforms.dictionary import DICTIONARY, Dictionary, Field, Table
from transforms.dictionary.entry import made_here
from transforms.errors import MappingError, raise_all
from transforms.form import form_alone
from transforms.mapping import (
    MISSING,
    NOT_HELD,
    REJECT,
    SKIP,
    FieldRule,
    Mapping,
    Source,
    ValueRule,
    normal_value,
    parse_mapping,
)
from transforms.rule_checks import (
    check_boxes,
    check_count,
    check_genotype,
    check_required_if,
    filled,
)
from transforms.spelling import EPOCHS
from transforms.units import (
    AGE_DURATION,
    PERCENT,
    analyte_factors,
    field_factors,
    holds_analytes,
    normal,
)


__all__ = [
    "EVERY",
    "FORMATS",
    "check_columns",
    "check_mapping",
    "fitting",
    "load_mapping",
    "made_here",
    "sound",
]

FORMATS = ("delimited", "excel", "redcap", "omop", "phenopackets", "fhir")
STATUSES = ("suggested", "approved", "rejected")
THOUSANDS = ("", ".", ",", "'", " ")
PREDICATES = ("exact", "broad", "narrow")
EVERY = "*"
REASONS = ("identifier", "free_text", "not_needed", "derived")
# Which rule can fill which type of field.
RULES: MappingType[str, tuple[str, ...]] = {
    "copy": ("string", "code", "integer", "boolean"),
    "recode": ("string", "code", "integer", "boolean"),
    "number": ("number", "integer"),
    "date": ("date",),
    "const": ("string", "code", "integer", "boolean", "number", "date"),
    "checkbox": ("code", "codes", "boolean"),
    "split": ("codes",),
    "hgvs": ("string", "code"),
    "age_to_date": ("date",),
    "date_to_age": ("number",),
    **dict.fromkeys(NOT_HELD, ("string", "code", "codes", "integer", "boolean", "number", "date")),
}
OPTIONS: MappingType[str, tuple[str, ...]] = {
    "copy": ("system",),
    "recode": ("system", "filled"),
    "number": ("unit_column",),
    "date": ("order", "pivot", "parts", *EPOCHS),
    "split": ("separator",),
    "hgvs": ("gene_column",),
    "checkbox": ("gate",),
}
# Rules that look texts up in the sheet values.
LOOKING_UP = ("recode", "split", "checkbox")
# How a constant of the mapping spells a number or a date: as DuckDB reads it without rounding.
READS: MappingType[str, str] = {
    "integer": r"[+-]?[0-9]{1,15}",
    "number": r"[+-]?[0-9]{1,15}(\.[0-9]{1,15})?",
    "date": r"[0-9]{4}-[0-9]{2}-[0-9]{2}",
}
WRITTEN: MappingType[str, str] = {
    "integer": "a whole number",
    "number": "a number like 1.5",
    "date": "a date like 2020-12-31",
}
# The code lists that have a word for checked, not checked and not known.
CHECKBOX_LISTS = ("status", "yes_no_unknown")


def load_mapping(folder: Path, dictionary: Dictionary = DICTIONARY) -> Mapping:
    """Return the mapping in `folder`; raise one MappingError that lists all its problems.

    An empty folder beside an inbox that holds nothing but filled-in forms needs no mapping: the
    form's own is returned (`transforms.form`).
    """
    mapping = form_alone(folder, folder.parent / "inbox", dictionary) or parse_mapping(folder)
    raise_all(MappingError, list(check_mapping(mapping, dictionary)))
    return mapping


def check_mapping(mapping: Mapping, dictionary: Dictionary = DICTIONARY) -> Iterator[str]:
    """Yield each problem that can be seen without the files."""
    yield from _duplicates(mapping)
    for source in mapping.sources:
        yield from _check_source(source)
    for rule in mapping.fields:
        yield from _check_field(rule, mapping, dictionary)
    for value in mapping.values:
        yield from _check_value(value, mapping, dictionary)
    for ignore in mapping.ignores:
        yield from _one_of(ignore.place, "source", ignore.source, _ids(mapping))
        yield from _one_of(ignore.place, "reason", ignore.reason, REASONS)
        yield from _approved(ignore.place, ignore.status)
    yield from _check_tables(mapping, dictionary)


def check_columns(mapping: Mapping, columns: MappingType[str, Sequence[str]]) -> Iterator[str]:
    """Yield each column that is used but not there, or there but used by no row.

    `columns` maps each source's id to the columns that its files have.
    """
    for source in mapping.sources:
        there = columns[source.source]
        if not _recognized(mapping, source, there):
            # Then its "columns" may be a patient's data: do not say what they are.
            yield (
                f"{source.place}: no column of source {source.source} is in the mapping; "
                "check header_row, delimiter and sheet"
            )
            continue
        named = list(_named_columns(mapping, source))
        # A reader may leave out identifiers by itself: that one is not there is no problem.
        left_out = {(i.place, i.column) for i in mapping.ignores if i.reason == "identifier"}
        for place, what, column in named:
            if column in there or (place, column) not in left_out:
                yield from _one_of(place, what, column, there)
        known = {column for _, _, column in named} | _read_beside(mapping, source)
        for column in there:
            if column not in known:
                yield (
                    f"source {source.source}: unmapped column {column!r}; "
                    "map it in the sheet fields, or name it in the sheet ignore with a reason"
                )


def _named_columns(mapping: Mapping, source: Source) -> Iterator[tuple[str, str, str]]:
    """Yield place, column of the sheet and content of every cell that names a source's column."""
    for column in source.id_columns:
        yield source.place, "id_column", column
    if source.repeat_key:
        yield source.place, "repeat_key", source.repeat_key
    for rule in mapping.fields:
        if rule.source == source.source and rule.rule not in NOT_HELD:
            for column in rule.used_columns:
                yield rule.place, "column", column
    for ignore in mapping.ignores:
        if ignore.source == source.source and ignore.column != EVERY:
            yield ignore.place, "column", ignore.column


def _read_beside(mapping: Mapping, source: Source) -> set[str]:
    """Return the columns that `*` in the sheet ignore stands for.

    They are those that another source of the same files and sheet names, so that a column which
    nobody has looked at still blocks.
    """
    if not any(i.source == source.source and i.column == EVERY for i in mapping.ignores):
        return set()
    beside = [
        other
        for other in mapping.sources
        if other != source and (other.file, other.sheet) == (source.file, source.sheet)
    ]
    return {column for other in beside for _, _, column in _named_columns(mapping, other)}


def _recognized(mapping: Mapping, source: Source, there: Sequence[str]) -> bool:
    """Return whether the mapping knows at least one of a source's columns."""
    return bool({column for _, _, column in _named_columns(mapping, source)} & set(there))


def fitting(mapping: Mapping, columns: MappingType[str, Sequence[str]]) -> Mapping:
    """Return the mapping without the sources and rules that name a column that is not there."""

    def fits(source: str, names: Iterable[str]) -> bool:
        return source in columns and set(names) <= set(columns[source])

    sources = tuple(s for s in mapping.sources if fits(s.source, s.id_columns))
    there = {source.source for source in sources}
    fields = tuple(
        rule
        for rule in mapping.fields
        if rule.rule in NOT_HELD or (rule.source in there and fits(rule.source, rule.used_columns))
    )
    return dataclasses.replace(mapping, sources=sources, fields=fields)


def sound(mapping: Mapping, dictionary: Dictionary = DICTIONARY) -> Mapping:
    """Return the mapping without the rows of `fields` and `values` that have a problem.

    Of rows that say the same the first stays, in every sheet.
    """
    again = {item.place for item, _ in _repeated(mapping)}
    mapping = dataclasses.replace(
        mapping,
        sources=tuple(item for item in mapping.sources if item.place not in again),
        fields=tuple(item for item in mapping.fields if item.place not in again),
        values=tuple(item for item in mapping.values if item.place not in again),
        ignores=tuple(item for item in mapping.ignores if item.place not in again),
    )
    fields = tuple(
        rule for rule in mapping.fields if not any(_check_field(rule, mapping, dictionary))
    )
    rest = dataclasses.replace(mapping, fields=fields)
    values = tuple(value for value in rest.values if not any(_check_value(value, rest, dictionary)))
    return dataclasses.replace(rest, values=values)


def _ids(mapping: Mapping) -> list[str]:
    """Return the ids of all sources."""
    return [source.source for source in mapping.sources]


def _one_of(place: str, column: str, given: str, known: Iterable[str]) -> Iterator[str]:
    """Yield a problem when `given` is not known, naming the nearest name."""
    options = list(known)
    if given in options:
        return
    nearest = difflib.get_close_matches(given, options, n=1, cutoff=0.5)
    hint = f"; nearest: {nearest[0]}" if nearest else ""
    listed = f"expected one of {', '.join(options)}" if len(options) <= 12 else "not known"
    yield f"{place}: {column} {given!r}: {listed}{hint}"


def _duplicates(mapping: Mapping) -> Iterator[str]:
    """Yield a problem for each row that says again what an earlier row said."""
    for item, earlier in _repeated(mapping):
        yield f"{item.place}: says the same as {earlier}; keep one of the two"


def _repeated(mapping: Mapping) -> Iterator[tuple[Any, str]]:
    """Yield each row that says again what an earlier row said, and the place of that one."""
    parts: list[tuple[Iterable[object], Callable[..., tuple[object, ...]]]] = [
        (mapping.sources, lambda item: (item.source,)),
        (
            mapping.fields,
            lambda item: (
                item.table, item.field, item.bracket, item.source,
                item.columns if item.field == EVENTS else (),
            ),
        ),
        (
            mapping.values,
            lambda item: (
                item.table, item.field, item.bracket, item.source, normal_value(item.source_value)
            ),
        ),
        (mapping.ignores, lambda item: (item.source, item.column)),
    ]  # fmt: skip
    for items, key in parts:
        first: dict[object, str] = {}
        for item in items:
            place = item.place  # type: ignore[attr-defined]
            if (earlier := first.setdefault(key(item), place)) != place:
                yield item, earlier


def _check_source(source: Source) -> Iterator[str]:
    """Yield what is wrong with one source."""
    yield from _one_of(source.place, "format", source.format, FORMATS)
    yield from _one_of(source.place, "decimal", source.decimal, (",", "."))
    yield from _one_of(source.place, "date_order", source.date_order, ("DMY", "MDY", "YMD"))
    if source.thousands not in THOUSANDS or source.thousands == source.decimal:
        yield (
            f"{source.place}: thousands {source.thousands!r}: expected '.', ',', \"'\" or space, "
            "and another sign than decimal"
        )
    for column, value in (("source", source.source), ("file", source.file)):
        if not value:
            yield f"{source.place}: {column} is empty"
    if not source.id_columns:
        yield f"{source.place}: id_column is empty; name the column with the local person id"
    if source.header_row < 1:
        yield f"{source.place}: header_row must be a whole number from 1, or two such as 3-4"
    if source.header_lines > 1 and source.format != "excel":
        yield (
            f"{source.place}: header_row names several rows, which only an Excel sheet has; "
            "write the row with the column names"
        )
    try:
        codecs.lookup(source.encoding or "utf-8")
    except LookupError:
        yield f"{source.place}: encoding {source.encoding!r} is not known; try utf-8 or cp1252"


def _check_field(rule: FieldRule, mapping: Mapping, dictionary: Dictionary) -> Iterator[str]:
    """Yield what is wrong with one row of the sheet fields."""
    yield from _approved(rule.place, rule.status)
    if rule.source or rule.rule not in NOT_HELD:
        yield from _one_of(rule.place, "source", rule.source, _ids(mapping))
    if rule.table not in dictionary.tables:
        yield from _one_of(rule.place, "table", rule.table, dictionary.tables)
        return
    table = dictionary.tables[rule.table]
    settable = [
        field.name for field in table.fields if not field.name.startswith("source_")
        and field.name not in (*table.key, "person_id")
    ]  # fmt: skip
    if rule.field == EVENTS:
        yield from check_count(rule, table, dictionary)
        return
    yield from check_required_if(rule, table)
    if rule.field not in settable:
        yield from _one_of(rule.place, "field", rule.field, settable)
        return
    yield from _check_bracket(rule, table, dictionary)
    yield from _check_rule(rule, table, mapping, dictionary)


def _check_bracket(rule: FieldRule, table: Table, dictionary: Dictionary) -> Iterator[str]:
    """Yield what is wrong with `field[bracket]`."""
    if rule.bracket is None:
        return
    if table.discriminator is None:
        yield f"{rule.place}: the table {table.name} takes no [{rule.bracket}] after a field"
    elif rule.field == table.discriminator:
        yield f"{rule.place}: {rule.field} is what the bracket says; leave the bracket away"
    else:
        codelist = dictionary.codelists[table.field(table.discriminator).codelist or ""]
        yield from _one_of(rule.place, "field: the bracket", rule.bracket, codelist.codes)


def _check_rule(
    rule: FieldRule, table: Table, mapping: Mapping, dictionary: Dictionary
) -> Iterator[str]:
    """Yield what is wrong with rule, arg, unit and columns of one row."""
    field = table.field(rule.field)
    if rule.rule not in RULES:
        yield from _one_of(rule.place, "rule", rule.rule, RULES)
        return
    if field.type not in RULES[rule.rule]:
        fitting = [name for name, types in RULES.items() if field.type in types]
        yield (
            f"{rule.place}: rule {rule.rule} cannot fill {field.name}, which is a {field.type}; "
            f"expected one of {', '.join(fitting)}"
        )
        return
    yield from _check_columns_given(rule)
    known = OPTIONS.get(rule.rule, ())
    for name in rule.options:
        if name not in known:
            expected = f"expected {', '.join(known)}" if known else "this rule takes none"
            yield f"{rule.place}: arg {name!r} is not known for rule {rule.rule}; {expected}"
    checks = {
        "number": _check_number,
        "const": _check_const,
        "checkbox": _check_checkbox,
        "date": _check_date,
        "age_to_date": _check_age,
        "date_to_age": _check_event,
    }
    if rule.rule in checks:
        yield from checks[rule.rule](rule, table, dictionary)
    if rule.rule == "recode":
        yield from _check_recode(rule, field, mapping, dictionary)
    if rule.rule == "hgvs":
        yield from check_genotype(rule)
    if rule.rule == "checkbox" and field.type == "codes":
        yield from check_boxes(rule, mapping, dictionary)
    if rule.rule in NOT_HELD and rule.field in (table.discriminator, "consent_reuse"):
        yield f"{rule.place}: {rule.field} cannot be left out; map it or use rule const"


def _check_recode(
    rule: FieldRule, field: Field, mapping: Mapping, dictionary: Dictionary
) -> Iterator[str]:
    """Yield a problem when a recode has nothing to look up, or not in a system that is known."""
    systems = systems_of(rule.options.get("system", ""))
    known = known_systems(field, dictionary) if field.codelist is not None else ()
    for system in systems:
        yield from _one_of(rule.place, "arg: system", system, known)
    if not systems and not mapping.codes(rule):
        yield (
            f"{rule.place}: recode of {rule.field} has no row in the sheet values; "
            "`marmor site suggest` once more lists its words"
        )


def _check_columns_given(rule: FieldRule) -> Iterator[str]:
    """Yield a problem when a rule has a column and needs none, or the other way round."""
    needs = rule.rule not in ("const", *NOT_HELD)
    if needs and not rule.columns:
        yield f"{rule.place}: column is empty; rule {rule.rule} needs one"
    if not needs and rule.columns:
        yield f"{rule.place}: rule {rule.rule} takes no column; leave it empty"


def _check_number(rule: FieldRule, table: Table, dictionary: Dictionary) -> Iterator[str]:
    """Yield a problem when the unit is missing or not known for the field or analyte."""
    field = table.field(rule.field)
    if holds_analytes(table, field):
        if rule.bracket is not None and rule.bracket in dictionary.analytes:
            known = set(analyte_factors(dictionary.analytes[rule.bracket]))
            known |= {PERCENT} if rule.bracket == "neutrophils" else set()
        else:
            known = {
                unit
                for analyte in dictionary.analytes.values()
                for unit in analyte_factors(analyte)
            }
        if not rule.unit and "unit_column" not in rule.options:
            yield f"{rule.place}: unit is empty; declare it, or name a column with unit_column="
    else:
        known = set(field_factors(field)) | ({AGE_DURATION} if field.unit == "a" else set())
    if rule.unit and normal(rule.unit) not in known:
        expected = ", ".join(sorted(known)) if known else "no unit"
        yield f"{rule.place}: unit {rule.unit!r} is not known for {rule.field}; expected {expected}"


def _check_const(rule: FieldRule, table: Table, dictionary: Dictionary) -> Iterator[str]:
    """Yield a problem when the constant is not a value of the field."""
    field = table.field(rule.field)
    if not rule.arg:
        yield f"{rule.place}: arg is empty; const needs the value"
    else:
        yield from _target(rule.place, "arg", rule.arg, field, dictionary)


def _check_checkbox(rule: FieldRule, table: Table, dictionary: Dictionary) -> Iterator[str]:
    """Yield a problem when the gate is missing or the field has no word for unknown."""
    field = table.field(rule.field)
    if "gate" not in rule.options:
        yield f"{rule.place}: checkbox needs arg gate=COLUMN, the form's _complete column"
    if field.type == "code" and field.codelist not in CHECKBOX_LISTS:
        yield f"{rule.place}: checkbox cannot fill {rule.field}; use recode"


def _check_date(rule: FieldRule, table: Table, dictionary: Dictionary) -> Iterator[str]:
    """Yield what is wrong with a date's options."""
    options = rule.options
    if "order" in options:
        yield from _one_of(rule.place, "arg", options["order"].upper(), ("DMY", "MDY", "YMD"))
    pivot = options.get("pivot", "30")
    if not (pivot.isdecimal() and len(pivot) <= 2):
        yield f"{rule.place}: pivot must be a number from 0 to 99"
    if "parts" in options and len(rule.columns) != 3:
        yield f"{rule.place}: parts needs three columns year;month;day"


def _check_age(rule: FieldRule, table: Table, dictionary: Dictionary) -> Iterator[str]:
    """Yield what is wrong with an age that becomes a date."""
    if rule.field == "birth_date":
        yield f"{rule.place}: an age cannot give the birth date"
    known = {*field_factors(dictionary.tables["fracture"].field("age_at_fracture_y")), AGE_DURATION}
    if rule.unit and normal(rule.unit) not in known:
        expected = ", ".join(sorted(known))
        yield f"{rule.place}: unit {rule.unit!r} is not a unit of age; expected {expected}"


def _check_event(rule: FieldRule, table: Table, dictionary: Dictionary) -> Iterator[str]:
    """Yield what is wrong with a date that becomes an age."""
    if table.field(rule.field).unit != "a":
        yield f"{rule.place}: {rule.field} is no age; use rule number"
    if rule.unit and normal(rule.unit) != AGE_DURATION:
        yield f"{rule.place}: unit {rule.unit!r}: a date has none; leave it empty, or iso8601"


def _check_value(value: ValueRule, mapping: Mapping, dictionary: Dictionary) -> Iterator[str]:
    """Yield what is wrong with one row of the sheet values."""
    yield from _approved(value.place, value.status)
    yield from _one_of(value.place, "predicate", value.predicate, PREDICATES)
    if not value.source_value:
        yield f"{value.place}: source_value is empty; an empty cell is always 'no value'"
    recodes = [
        rule
        for rule in mapping.fields
        if rule.rule in LOOKING_UP and (rule.table, rule.field) == (value.table, value.field)
        and value.source in ("", rule.source) and value.bracket in (None, rule.bracket)
    ]  # fmt: skip
    if not recodes:
        yield (
            f"{value.place}: no recode of {value.table}.{value.field} uses it; "
            "see table, field and source in the sheet fields"
        )
    elif value.target_code not in (SKIP, REJECT, MISSING) and value.table in dictionary.tables:
        table = dictionary.tables[value.table]
        if value.field in table.field_names:
            field = table.field(value.field)
            yield from _target(value.place, "target_code", value.target_code, field, dictionary)


def _target(
    place: str, column: str, text: str, field: Field, dictionary: Dictionary
) -> Iterator[str]:
    """Yield a problem when `text` is not a value that `field` may hold."""
    if field.type == "code":
        yield from _one_of(place, column, text, dictionary.codelists[field.codelist or ""].codes)
    elif field.type == "boolean":
        yield from _one_of(place, column, text, ("true", "false"))
    elif field.type in READS and not _reads(text, READS[field.type]):
        yield f"{place}: {column} {text!r} is not {WRITTEN[field.type]}"


def _reads(text: str, pattern: str) -> bool:
    """Return whether `text` has the form and, where it is a date, is one of the calendar."""
    if not re.fullmatch(pattern, text):
        return False
    try:
        return pattern != READS["date"] or bool(datetime.date.fromisoformat(text))
    except ValueError:
        return False


def _approved(place: str, status: str) -> Iterator[str]:
    """Yield a problem unless a person approved the row."""
    if status == "suggested":
        yield (
            f"{place}: status is suggested; a person must look at it and set it to approved, or "
            "to rejected"
        )
    else:
        yield from _one_of(place, "status", status, STATUSES)


def _check_tables(mapping: Mapping, dictionary: Dictionary) -> Iterator[str]:
    """Yield each mandatory field that a (table, source) neither maps nor says it lacks."""
    pairs = dict.fromkeys(
        (rule.table, rule.source)
        for rule in mapping.fields
        if rule.rule not in NOT_HELD and rule.field != EVENTS and rule.table in dictionary.tables
    )
    if not any(table == "person" for table, _ in pairs):
        yield "sheet fields: no row fills the table person, to which all others refer"
    for table_name, source in pairs:
        table = dictionary.tables[table_name]
        rules = mapping.rules(table_name, source)
        brackets: list[str | None] = list(
            dict.fromkeys(rule.bracket for rule in rules if rule.bracket)
        )
        yield from _check_discriminator(table, source, rules, brackets)
        given = {(name, rule.bracket) for rule in rules for name in filled(rule)}
        lacking = mapping.not_collected(table_name, source)
        for field in table.fields:
            if field.obligation != "mandatory" or made_here(table, field):
                continue
            if field.name in lacking or field.name == table.discriminator:
                continue
            if field.name == "consent_reuse" and any(r.field == field.name for r in mapping.fields):
                continue  # a list of consents may speak for the persons of other sources
            for bracket in brackets or [None]:
                if not {(field.name, bracket), (field.name, None)} & given:
                    name = f"{field.name}[{bracket}]" if bracket else field.name
                    yield (
                        f"sheet fields, table {table_name}, source {source}: mandatory field "
                        f"{name} is neither mapped nor not_collected{_consent(field, source)}"
                    )


def _consent(field: Field, source: str) -> str:
    """Return what to add where nothing says that persons agreed; a format cannot agree for them."""
    if field.name != "consent_reuse":
        return ""
    return (
        ". Nothing in these files says that persons agreed to reuse, and without a yes a person "
        "is in no table. If the centre holds the consent of every person in them elsewhere, say so "
        f"in the sheet fields: person, consent_reuse, {source}, (no column), const, yes, approved, "
        "and in the comment where the consents are kept"
    )


def _check_discriminator(
    table: Table, source: str, rules: Sequence[FieldRule], brackets: Sequence[str | None]
) -> Iterator[str]:
    """Yield a problem unless either brackets or a mapped discriminator tell rows apart."""
    if table.discriminator is None:
        return
    mapped = any(rule.field == table.discriminator for rule in rules)
    if mapped == bool(brackets):
        yield (
            f"sheet fields, table {table.name}, source {source}: either map "
            f"{table.discriminator} or use brackets such as value[code], not "
            f"{'both' if mapped else 'neither'}"
        )
