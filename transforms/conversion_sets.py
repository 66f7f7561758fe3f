"""Rules for checkboxes and for sets of codes: `checkbox` and `split`."""

from collections.abc import Mapping as MappingType

from transforms.conversion_job import (
    CHECKED,
    SQL_TYPES,
    UNCHECKED,
    Conversion,
    Job,
    normal_text,
    text_sql,
)
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
from transforms.sql import identifier


__all__ = ["box_code", "checkbox", "separator_of", "split"]

# How the arg of `split` says a sign that a cell cannot hold, or that separates args.
SEPARATORS = {"semicolon": ";", "newline": "\n", "space": " ", "tab": "\t"}
GATE_OPEN = ("1", "2", "unverified", "complete")
# checked, not checked in a filled form, not checked in a form that was never opened
CHECKBOX: MappingType[str, tuple[str, str, str]] = {
    "status": ("present", "excluded", "unknown"),
    "yes_no_unknown": ("yes", "no", "unknown"),
    "boolean": ("true", "false", ""),
}


def split(job: Job) -> Conversion:
    """The set of codes that the parts of a text stand for; one part unknown, and all is."""
    codes = job.dictionary.codelists[job.field.codelist or ""].codes
    words = {normal_value(code): code for code in codes} | job.mapping.codes(job.rule)
    others = words.pop(OTHERS, None)
    separator = separator_of(job.rule)
    parts = f"string_split({job.raw}, {job.parameters.add(separator)})"
    normal_parts = f"list_transform({parts}, lambda part: {normal_text('part')})"
    filled = f"list_filter({normal_parts}, lambda part: part <> '')"
    known = f"{job.parameters.lookup(words)}[part]"
    if others is not None:
        known = f"coalesce({known}, {job.parameters.add(others)}::varchar)"
    code = identifier(job.said("code"))
    unread = f"len(list_filter({code}, lambda part: part is null))"
    refused = f"list_contains({code}, '{REJECT}')"
    held = f"list_filter({code}, lambda part: part not in ('{SKIP}', '{REJECT}', '{MISSING}'))"
    return Conversion(
        field=job.rule.field,
        raw=job.first(),
        value=f"case when {unread} = 0 and not {refused} and len({held}) > 0 "
        f"then list_sort(list_distinct({held})) end",
        problem=f"case when {refused} then 'unknown_code' "
        f"when {unread} > 0 then 'unmapped_value' end",
        read={job.said("code"): f"list_transform({filled}, lambda part: {known})"},
    )


def separator_of(rule: FieldRule) -> str:
    """Return the sign between the parts that `split` takes apart: as given, else a semicolon."""
    given = rule.options.get("separator", "")
    return SEPARATORS.get(given.lower(), given) or ";"


def checkbox(job: Job) -> Conversion:
    """Checked, not checked, or not known because the form was never filled in."""
    if job.field.type == "codes":
        return _boxes(job)
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
    raw = {job.said("raw"): box, job.said("gate"): _gate(job)}
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


def _gate(job: Job) -> str:
    """Return the condition that the form of a checkbox was filled in."""
    gate = text_sql(column_name(job.rule.options["gate"]), job.source, job.parameters)
    return f"coalesce({job.parameters.one_of(gate, GATE_OPEN)}, false)"


def _boxes(job: Job) -> Conversion:
    """The set of the codes whose boxes are checked; none checked is no value."""
    texts = [text_sql(column, job.source, job.parameters) for column in job.rule.columns]
    code, codes = identifier(job.said("code")), job.parameters.add(_box_codes(job))
    # One lambda over all boxes: an expression per box would need hundreds of MB for a long list.
    read = (
        f"case when {job.parameters.one_of('box', CHECKED)} then ({codes}::varchar[])[place] "
        f"when not {job.parameters.one_of('box', UNCHECKED)} then '{REJECT}' end"
    )
    boxes = f"list_transform([{', '.join(texts)}], lambda box, place: {read})"
    raw = {
        job.said("raw"): f"nullif(concat_ws(';', {', '.join(texts)}), '')",
        job.said("code"): f"list_filter({boxes}, lambda box: box is not null)",
        job.said("gate"): _gate(job),
    }
    refused = f"list_contains({code}, '{REJECT}')"
    return Conversion(
        field=job.rule.field,
        raw=raw,
        value=f"case when len({code}) > 0 and not {refused} "
        f"then list_sort(list_distinct({code})) end",
        problem=f"case when {refused} then 'unknown_code' end",
        read={
            job.said("closed"): f"{job.raw} is not null and len({code}) = 0 "
            f"and not {identifier(job.said('gate'))}"
        },
    )


def _box_codes(job: Job) -> list[str | None]:
    """Return the code of each column of checkboxes."""
    return [box_code(job.rule, one, job.mapping, job.dictionary) for one in job.rule.columns]


def box_code(
    rule: FieldRule, column: str, mapping: Mapping, dictionary: Dictionary = DICTIONARY
) -> str | None:
    """Return the code of a REDCap column `field___code`, by the sheet `values` or as it stands.

    None when neither knows it: then the mapping is refused.
    """
    field = dictionary.tables[rule.table].field(rule.field)
    codes = dictionary.codelists[field.codelist or ""].codes
    said = mapping.codes(rule)
    ending = normal_value(column.rpartition("___")[2])
    known = {normal_value(code): code for code in codes} | said
    return said.get(normal_value(column), known.get(ending))
