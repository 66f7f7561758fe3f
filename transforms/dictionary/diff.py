"""What changed between two versions of the dictionary, and what a centre must do about it.

Works on snapshots (`transforms.dictionary.snapshot`). Which rows of a mapping a change touches is
found by `transforms.touched`.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from transforms.dictionary.snapshot import Snapshot


__all__ = ["Change", "Duty", "Kind", "changes"]

Duty = Literal["must", "look", "may", "nothing"]
Kind = Literal[
    "table_added", "table_removed", "rows_told_apart", "field_added", "field_removed", "type",
    "unit", "obligation", "codelist", "hard", "soft", "leaves", "derived", "pattern", "references",
    "description", "code_added", "code_removed", "code_label", "analyte_unit", "analyte_hard",
    "analyte_soft", "analyte_factors",
]  # fmt: skip
DUTIES: tuple[Duty, ...] = ("must", "look", "may", "nothing")


@dataclass(frozen=True)
class Change:
    """One difference; `duty` says how much it asks of a centre, `todo` what.

    `table` and `field` name a field, `codelist` and `code` a code (an analyte is a code of the list
    `analyte`); what does not apply is None. `what` says in words what changed.
    """

    kind: Kind
    what: str
    duty: Duty
    todo: str
    table: str | None = None
    field: str | None = None
    codelist: str | None = None
    code: str | None = None


def changes(old: Snapshot, new: Snapshot) -> tuple[Change, ...]:
    """Return what changed from `old` to `new`, what a centre must act on first."""
    found = [*_tables(old, new), *_codelists(old, new), *_analytes(old, new)]
    return tuple(sorted(found, key=lambda change: DUTIES.index(change.duty)))


def _tables(old: Snapshot, new: Snapshot) -> Iterator[Change]:
    """Yield changes of tables and their fields."""
    before, after = old["tables"], new["tables"]
    for table in _removed(before, after):
        yield Change(
            "table_removed", f"table {table} is gone", "must",
            "take its rows out of the sheets fields and values", table,
        )  # fmt: skip
    for table in _removed(after, before):
        count = len(after[table]["fields"])
        yield Change(
            "table_added", f"table {table} is new ({count} fields)", "may",
            "map it when you have such data; nothing to do otherwise", table,
        )  # fmt: skip
    for table in before:
        if table in after:
            yield from _table(table, before[table], after[table])


def _table(table: str, old: Mapping[str, Any], new: Mapping[str, Any]) -> Iterator[Change]:
    """Yield changes of one table that is in both."""
    if old["discriminator"] != new["discriminator"]:
        yield Change(
            "rows_told_apart",
            f"rows of {table} are told apart by {_said(new['discriminator'])}, "
            f"before by {_said(old['discriminator'])}",
            "must",
            "look at every row of the sheet fields for this table, and at its brackets",
            table,
        )
    before, after = old["fields"], new["fields"]
    for name in _removed(before, after):
        yield Change(
            "field_removed", f"field {table}.{name} is gone", "must",
            "take its rows out of the sheets fields and values; name its columns in ignore",
            table, name,
        )  # fmt: skip
    for name in _removed(after, before):
        yield _field_added(table, name, after[name])
    for name in before:
        if name in after:
            yield from _field(table, name, before[name], after[name])


def _field_added(table: str, name: str, field: Mapping[str, Any]) -> Change:
    """Return the change of a field that is new."""
    what = f"field {table}.{name} is new ({field['obligation']}, {field['type']})"
    duty: Duty
    if "derived" in field:
        duty, todo = "nothing", "nothing: the site makes it"
    elif field["obligation"] == "mandatory":
        duty = "must"
        todo = f"map it, or say not_collected, for each source that fills {table}"
    else:
        duty, todo = "may", "map it when you have it"
    return Change("field_added", what, duty, todo, table, name)


def _field(
    table: str, name: str, old: Mapping[str, Any], new: Mapping[str, Any]
) -> Iterator[Change]:
    """Yield each property of one field that changed."""
    for key, (word, judge) in PROPERTIES.items():
        before, after = old.get(key), new.get(key)
        if before != after:
            duty, todo = judge(before, after)
            what = f"{word} of {table}.{name}: {_said(before)} → {_said(after)}"
            yield Change(key, what, duty, todo, table, name)


Judged = tuple[Duty, str]


def _obligation(before: Any, after: Any) -> Judged:
    """Judge a change of what must be filled in."""
    if after == "mandatory":
        return "must", "map it or say not_collected; a row without it is rejected now"
    if before == "mandatory":
        return "nothing", "nothing: a row without it is no longer rejected"
    return "nothing", "nothing: it is not mandatory, now as before"


def _type(before: Any, after: Any) -> Judged:
    """Judge a change of type."""
    return "must", f"choose a rule that fills a {after} (see the sheet fields, column rule)"


def _unit(before: Any, after: Any) -> Judged:
    """Judge a change of unit: what was read in the dictionary's unit must now be declared."""
    return "must", f"declare the unit {_said(before)} where the sheet fields leaves unit empty"


def _codelist(before: Any, after: Any) -> Judged:
    """Judge a change of code list."""
    return "must", "give your values codes of the new list in the sheet values"


def _hard(before: Any, after: Any) -> Judged:
    """Judge a change of hard limits."""
    if _narrower(before, after):
        return "look", "values outside are rejected now: look at the quarantine after the next run"
    return "nothing", "nothing: less is rejected than before"


def _soft(before: Any, after: Any) -> Judged:
    """Judge a change of soft limits."""
    return "nothing", "nothing: only what is flagged changes"


def _leaves(before: Any, after: Any) -> Judged:
    """Judge a change of what may leave the site."""
    if after == "aggregate":
        return "look", "it may now leave in aggregate: tell your data protection officer"
    return "nothing", "nothing: it no longer leaves the site at all"


def _derived(before: Any, after: Any) -> Judged:
    """Judge a change of how a field is derived."""
    if after is None:
        return "may", "it is no longer made here: map it when you have it"
    return "nothing", "nothing: the site makes it; a row that maps it may stay"


def _pattern(before: Any, after: Any) -> Judged:
    """Judge a change of how a text must look."""
    if after is None:
        return "nothing", "nothing: any text will do"
    return "look", "texts that look otherwise are rejected or flagged now"


def _references(before: Any, after: Any) -> Judged:
    """Judge a change of what a field refers to."""
    return "look", "check that your column means the same thing"


def _description(before: Any, after: Any) -> Judged:
    """Judge a change of words."""
    return "look", "read whether it still means what you mapped"


PROPERTIES: Mapping[Kind, tuple[str, Callable[[Any, Any], Judged]]] = {
    "type": ("type", _type),
    "unit": ("unit", _unit),
    "obligation": ("obligation", _obligation),
    "codelist": ("code list", _codelist),
    "hard": ("hard limits", _hard),
    "soft": ("soft limits", _soft),
    "leaves": ("what leaves the site", _leaves),
    "derived": ("derivation", _derived),
    "pattern": ("pattern", _pattern),
    "references": ("reference", _references),
    "description": ("meaning", _description),
}


def _codelists(old: Snapshot, new: Snapshot) -> Iterator[Change]:
    """Yield changes of codes in lists that are in both; a list that is new or gone shows in fields.

    A code list is compared under its name, whatever fields use it.
    """
    for codelist, before in old["codelists"].items():
        after = new["codelists"].get(codelist)
        if after is None:
            continue
        for code in _removed(before, after):
            yield Change(
                "code_removed", f"code {code} of {codelist} is gone", "must",
                "give the values that it stood for another code", None, None, codelist, code,
            )  # fmt: skip
        if added := _removed(after, before):
            yield Change(
                "code_added", f"{codelist} has new codes: {', '.join(added)}", "may",
                "use them for values that had no code of their own", None, None, codelist,
            )  # fmt: skip
        for code in before:
            if code in after and before[code] != after[code]:
                yield Change(
                    "code_label",
                    f"code {code} of {codelist} now reads {after[code]!r}, before {before[code]!r}",
                    "look", "check that it still fits your values", None, None, codelist, code,
                )  # fmt: skip


def _analytes(old: Snapshot, new: Snapshot) -> Iterator[Change]:
    """Yield changes of analytes that are in both; the others are codes that came or went."""
    for code, before in old["analytes"].items():
        after = new["analytes"].get(code)
        if after is None:
            continue
        for kind, what, duty, todo in _analyte(before, after):
            yield Change(kind, f"{what} of analyte {code}", duty, todo, None, None, "analyte", code)


def _analyte(
    old: Mapping[str, Any], new: Mapping[str, Any]
) -> Iterator[tuple[Kind, str, Duty, str]]:
    """Yield kind, words and judgement of each change of one analyte."""
    if old["unit"] != new["unit"]:
        what = f"unit ({old['unit']} → {new['unit']})"
        yield "analyte_unit", what, "nothing", "nothing: declared units are converted"
    for key, word, judge in (("hard", "hard limits", _hard), ("soft", "soft limits", _soft)):
        if old[key] != new[key] and old["unit"] == new["unit"]:
            kind: Kind = "analyte_hard" if key == "hard" else "analyte_soft"
            what = f"{word} ({_said(old[key])} → {_said(new[key])})"
            yield kind, what, *judge(old[key], new[key])
    lost = [unit for unit in old["factors"] if unit not in new["factors"]]
    if lost:
        todo = f"values in {', '.join(lost)} can no longer be converted: deliver another unit"
        yield "analyte_factors", f"units ({', '.join(lost)} no longer known)", "must", todo


def _removed(before: Mapping[str, Any], after: Mapping[str, Any]) -> list[str]:
    """Return the names that are in `before` only."""
    return [name for name in before if name not in after]


def _narrower(before: Any, after: Any) -> bool:
    """Return whether limits [low, high] exclude something that was allowed before."""
    if after is None:
        return False
    old_low, old_high = before or (None, None)
    low, high = after
    return (low is not None and (old_low is None or low > old_low)) or (
        high is not None and (old_high is None or high < old_high)
    )


def _said(value: Any) -> str:
    """Return a property in words."""
    if value is None:
        return "none"
    if isinstance(value, list):
        low, high = ("" if bound is None else f"{bound:g}" for bound in value)
        return f"{low} to {high}"
    return str(value)
