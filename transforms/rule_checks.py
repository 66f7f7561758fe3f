"""What is wrong with rows of the sheet `fields` whose rules make sets, variants or events."""

from collections.abc import Iterator

from transforms.conversion_rows import EVENTS, event_date
from transforms.conversion_sets import box_code
from transforms.dictionary import DICTIONARY, Dictionary, Field, Table
from transforms.dictionary.entry import made_here
from transforms.genotype_table import FILLED
from transforms.mapping import FieldRule, Mapping


__all__ = ["check_boxes", "check_count", "check_genotype", "check_required_if", "filled"]

# The fields that rule `hgvs` can stand for: it fills the row, or the result of the test.
GENOTYPE_FIELDS = {"variant": "hgvs_c", "genetic_test": "result"}


def filled(rule: FieldRule) -> tuple[str, ...]:
    """Return the fields that a rule gives values: a genotype or a count gives several."""
    if rule.rule == "hgvs" and rule.table == "variant":
        return tuple(FILLED)
    if rule.field == EVENTS:
        table = DICTIONARY.tables[rule.table]
        return (*(name for name in rule.options if name != "date"), event_date(table))
    return (rule.field,)


def check_genotype(rule: FieldRule) -> Iterator[str]:
    """Yield a problem when `hgvs` stands for a field that no genotype text can fill."""
    if GENOTYPE_FIELDS.get(rule.table) != rule.field:
        expected = " or ".join(f"{table}.{field}" for table, field in GENOTYPE_FIELDS.items())
        yield f"{rule.place}: rule hgvs fills {expected}, not {rule.table}.{rule.field}"


def check_boxes(rule: FieldRule, mapping: Mapping, dictionary: Dictionary) -> Iterator[str]:
    """Yield each column of checkboxes that stands for no code of a set."""
    for column in rule.columns:
        if box_code(rule, column, mapping, dictionary) is None:
            yield (
                f"{rule.place}: the box {column!r} stands for no code of {rule.field}; "
                "say in the sheet values which code the column is"
            )


def check_count(rule: FieldRule, table: Table, dictionary: Dictionary) -> Iterator[str]:
    """Yield what is wrong with a count of events and with what it says of all of them."""
    if rule.rule != "count_to_events":
        yield f"{rule.place}: field {EVENTS} is for rule count_to_events"
        return
    if not any(field.type == "date" for field in table.fields) or table.discriminator:
        yield f"{rule.place}: count_to_events makes events; {table.name} holds none"
        return
    if len(rule.columns) != 1:
        yield f"{rule.place}: count_to_events needs one column, that of the count"
    if rule.options.get("date") != "unknown":
        yield f"{rule.place}: arg must say date=unknown, because a count has no dates"
    known = {field.name: field for field in table.fields}
    for name, value in rule.options.items():
        if name != "date":
            yield from _constant(rule, name, value, known.get(name), dictionary)
    date = event_date(table)
    for field in table.fields:
        needed = field.obligation == "mandatory" and field.name != date
        if needed and not made_here(table, field) and field.name not in rule.options:
            yield f"{rule.place}: arg does not say {field.name}=, which every event needs"


def _constant(
    rule: FieldRule, name: str, value: str, field: Field | None, dictionary: Dictionary
) -> Iterator[str]:
    """Yield a problem unless an argument names a coded field and one of its codes."""
    if field is None or field.type not in ("code", "boolean"):
        yield f"{rule.place}: arg {name!r} is not a coded field of {rule.table}"
        return
    codelist = dictionary.codelists.get(field.codelist or "")
    codes = tuple(codelist.codes) if codelist else ("true", "false")
    if value not in codes:
        yield f"{rule.place}: arg {name}={value!r} is not one of {', '.join(codes)}"


def check_required_if(rule: FieldRule, table: Table) -> Iterator[str]:
    """Yield a problem when `required_if` is not `FIELD=CODE` or `FIELD` of the same table."""
    name = rule.required_if.partition("=")[0].strip()
    if rule.required_if and name not in table.field_names:
        yield (
            f"{rule.place}: required_if {rule.required_if!r}: expected FIELD=CODE or FIELD, with a "
            f"field of {table.name}"
        )
