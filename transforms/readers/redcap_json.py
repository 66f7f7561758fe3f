"""Reads REDCap's JSON exports, flat or EAV, as the raw table that a CSV export would be.

Flat: a list of records, one object each. EAV: a list of single values, `record`, `field_name`,
`value` and, where they apply, event, repeating instrument and instance; empty values are left out
there, and a checkbox has one line per checked choice.
"""

from collections.abc import Iterator, Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

import pyarrow as pa

from transforms.errors import SourceError
from transforms.readers.redcap_dictionary import Project, checkbox_column, complete
from transforms.readers.relation import PROVENANCE, Part, column_names, content, part
from transforms.readers.strict_json import NotStrictJsonError, Parser, text_of


__all__ = ["is_json", "read_part"]

EAV = {"record", "field_name", "value"}
KEYS = ("redcap_event_name", "redcap_repeat_instrument", "redcap_repeat_instance")
AT_ONCE = 5_000

Row = dict[str, str]


def is_json(path: Path) -> bool:
    """Tell by its first character whether `path` is JSON."""
    with path.open("rb") as stream:
        return stream.read(64).removeprefix(b"\xef\xbb\xbf").lstrip()[:1] in (b"[", b"{")


def read_part(path: Path, name: str, project: Project) -> Part:
    """Return the records of one JSON export, called `name` in messages; rows count from 1.

    Raises SourceError for what is not an export of records.
    """
    try:
        records = Parser().elements(text_of(content(path, name)))
        first = list(islice(records, 1))
        _check(first, name)
        if set(first[0] if first else ()) >= EAV:
            rows = iter(_pivoted([*first, *records], name, project))
        else:
            rows = (_flat(one, name) for source in (first, records) for one in source)
        return _table(rows, name)
    except NotStrictJsonError as refusal:
        raise SourceError(f"{name}: not readable as REDCap's JSON: {refusal}") from None


def _check(first: Sequence[Any], name: str) -> None:
    if not first:
        raise SourceError(f"{name}: the export holds no record; export it again")
    if not isinstance(first[0], Mapping):
        raise _not_an_export(name)


def _not_an_export(name: str) -> SourceError:
    return SourceError(
        f"{name}: a list of REDCap records was expected, each an object of plain values; "
        "export records as JSON (type flat or eav) from the API, or as CSV (raw data)"
    )


def _flat(record: Any, name: str) -> Row:
    if not isinstance(record, Mapping):
        raise _not_an_export(name)
    return {key: _text(value, name) for key, value in record.items()}


def _text(value: Any, name: str) -> str:
    if isinstance(value, bool):
        return str(int(value))
    if value is None or isinstance(value, str):
        return value or ""
    raise _not_an_export(name)


def _table(rows: Iterator[Row], name: str) -> Part:
    """Return `rows` as a Part; a record that lacks a field of another has nothing there."""
    tables, start = [], 1
    while chunk := list(islice(rows, AT_ONCE)):
        keys = list(dict.fromkeys(key for row in chunk for key in row))
        arrays = [pa.array([row.get(key, "") for row in chunk], pa.string()) for key in keys]
        tables.append(part(name, "", keys, arrays, pa.array(range(start, start + len(chunk)))))
        start += len(chunk)
    keys = list(dict.fromkeys(key for table in tables for key in table.columns))
    if not keys:
        raise _not_an_export(name)
    united = pa.concat_tables([table.table for table in tables], promote_options="default").select(
        [*keys, *PROVENANCE]
    )
    columns = column_names(keys)
    filled = [united[key].fill_null("") for key in keys]
    whole = pa.table([*filled, *(united[key] for key in PROVENANCE)], [*columns, *PROVENANCE])
    return Part(name, columns, whole)


def _pivoted(values: Sequence[Any], name: str, project: Project) -> list[Row]:
    """Return one row per record, event, instrument and instance, in the order of the file."""
    flat = [_flat(value, name) for value in values]
    boxes = _checkboxes(flat, project)
    keys = [key for key in KEYS if any(key in value for value in flat)]
    record_id = project.record_id or "record_id"
    rows: dict[tuple[str, ...], Row] = {}
    for value in flat:
        place = (value["record"], *(value.get(key, "") for key in keys))
        row = rows.setdefault(place, dict(zip((record_id, *keys), place, strict=True)))
        field = value["field_name"]
        if field in boxes:
            row[checkbox_column(field, value["value"])] = "1"
        else:
            row[field] = value["value"]
    return [_unchecked(row, boxes) for row in rows.values()]


def _checkboxes(flat: Sequence[Row], project: Project) -> dict[str, tuple[str, tuple[str, ...]]]:
    """Return checkbox → its form's status column and its columns.

    Without a dictionary a field that has several values at one place must be a checkbox; which
    other choices it has is then known only from what was checked anywhere.
    """
    known = {one.name: (complete(one.form), one.columns)
             for one in project.variables if one.is_checkbox}  # fmt: skip
    if project.variables:
        return known
    seen: set[tuple[str, ...]] = set()
    several: dict[str, list[str]] = {}
    for value in flat:
        place = tuple(text for key, text in value.items() if key != "value")
        if place in seen:
            several.setdefault(value["field_name"], [])
        seen.add(place)
    for value in flat:
        if value["field_name"] in several:
            several[value["field_name"]].append(value["value"])
    return {
        field: ("", tuple(dict.fromkeys(checkbox_column(field, code) for code in codes)))
        for field, codes in several.items()
    }


def _unchecked(row: Row, boxes: Mapping[str, tuple[str, tuple[str, ...]]]) -> Row:
    """Write 0 for choices that were not checked, where the form was opened."""
    for status, columns in boxes.values():
        if row.get(status) or any(column in row for column in columns):
            row.update({column: row.get(column, "0") for column in columns})
    return row
