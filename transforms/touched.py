"""Which rows of a site's mapping a change of the dictionary touches, each with its place.

The mapping is read as it stands, without a check: after a change of the dictionary it may well not
pass one.
"""

from collections.abc import Iterator

from transforms.dictionary import DICTIONARY, Dictionary
from transforms.dictionary.diff import Change
from transforms.mapping import FieldRule, Mapping, ValueRule


__all__ = ["touched"]

# Changes of a field that matter to every row that fills it.
FOR_EVERY_ROW = ("field_removed", "type", "codelist", "references", "description", "pattern")
FOR_EVERY_VALUE = ("field_removed", "codelist")


def touched(
    change: Change, mapping: Mapping, dictionary: Dictionary = DICTIONARY
) -> tuple[str, ...]:
    """Return the places in `mapping` that `change` touches, as a person finds them.

    `dictionary` is the one that holds after the change.
    """
    if change.field is not None:
        return tuple(_by_field(change, mapping))
    if change.codelist is not None:
        return tuple(_by_code(change, mapping, dictionary))
    return tuple(
        [rule.place for rule in mapping.fields if rule.table == change.table]
        + [value.place for value in mapping.values if value.table == change.table]
    )


def _by_field(change: Change, mapping: Mapping) -> Iterator[str]:
    """Yield rows for this field, and sources that have to say something about it now."""
    rules = [rule for rule in mapping.fields if _fills(rule, change)]
    if change.kind in FOR_EVERY_ROW:
        yield from (rule.place for rule in rules)
    if change.kind in FOR_EVERY_VALUE:
        yield from (value.place for value in mapping.values if _fills(value, change))
    if change.kind == "unit":
        yield from (rule.place for rule in rules if rule.rule == "number" and not rule.unit)
    if change.duty == "must" and change.kind in ("obligation", "field_added"):
        yield from _silent(change, mapping, rules)


def _fills(row: FieldRule | ValueRule, change: Change) -> bool:
    """Return whether a row is about the field that changed."""
    return (row.table, row.field) == (change.table, change.field)


def _silent(change: Change, mapping: Mapping, rules: list[FieldRule]) -> Iterator[str]:
    """Yield each source that fills the table and neither maps the field nor says it lacks it."""
    sources = dict.fromkeys(
        rule.source
        for rule in mapping.fields
        if rule.table == change.table and rule.rule != "not_collected"
    )
    for source in sources:
        if not any(rule.source in ("", source) for rule in rules):
            yield f"sheet fields, table {change.table}, source {source}: no row for {change.field}"


def _by_code(change: Change, mapping: Mapping, dictionary: Dictionary) -> Iterator[str]:
    """Yield rows that name this code: values, constants, brackets."""
    if change.duty == "may":
        return
    for value in mapping.values:
        if _names(value, value.target_code, change, dictionary):
            yield value.place
    for rule in mapping.fields:
        if _names(rule, rule.arg if rule.rule == "const" else None, change, dictionary):
            yield rule.place


def _names(
    row: FieldRule | ValueRule, said: str | None, change: Change, dictionary: Dictionary
) -> bool:
    """Return whether a row says the code of a change, as a value or in brackets."""
    table = dictionary.tables.get(row.table)
    if table is None or row.field not in table.field_names:
        return False
    if said == change.code and table.field(row.field).codelist == change.codelist:
        return True
    if row.bracket != change.code or table.discriminator is None:
        return False
    return table.field(table.discriminator).codelist == change.codelist
