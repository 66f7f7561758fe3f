"""The dictionary as a JSON Schema (draft 2020-12): what one harmonised row of each table may hold.

A document that fits holds a list of rows per table: `{"person": [{…}], "fracture": [{…}]}`. Each
table is one entry of `$defs`, so that a single row can be checked against `#/$defs/person` too.
A row has no value where its field is absent or null.
"""

from collections.abc import Mapping
from typing import Any

from transforms.dictionary.entry import measures_analytes
from transforms.dictionary.model import Analyte, CodeList, Dictionary, Field, Range, Table


__all__ = ["json_schema"]

Schema = dict[str, Any]

TYPES: Mapping[str, Schema] = {
    "string": {"type": "string"},
    "integer": {"type": "integer"},
    "number": {"type": "number"},
    "boolean": {"type": "boolean"},
    "date": {"type": "string", "format": "date", "pattern": "^[0-9]{4}-[0-9]{2}-[0-9]{2}$"},
}


def json_schema(dictionary: Dictionary) -> Schema:
    """Return the schema as plain data."""
    tables = dictionary.tables
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": f"urn:marmor:dictionary:{dictionary.version}",
        "title": f"Marmor data dictionary {dictionary.version}",
        "type": "object",
        "properties": {
            name: {"type": "array", "items": {"$ref": f"#/$defs/{name}"}} for name in tables
        },
        "additionalProperties": False,
        "$defs": {
            **{name: _table(table, dictionary) for name, table in tables.items()},
            **{_list_name(name): _codes(part) for name, part in dictionary.codelists.items()},
        },
    }


def _table(table: Table, dictionary: Dictionary) -> Schema:
    """Return one table: its fields, those that must be there, and the limits of analytes."""
    mandatory = [field.name for field in table.fields if field.obligation == "mandatory"]
    schema: Schema = {
        "title": table.title,
        "description": table.description,
        "type": "object",
        "properties": {field.name: _field(field) for field in table.fields},
        "required": mandatory,
        "additionalProperties": False,
    }
    if measures_analytes(table):
        schema["allOf"] = [
            _analyte(analyte, table.discriminator or "") for analyte in dictionary.analytes.values()
        ]
    return schema


def _field(field: Field) -> Schema:
    """Return one field; only a mandatory one may not be null."""
    meaning: Schema = {"description": _description(field)}
    values = _values(field)
    if field.obligation == "mandatory":
        return {**meaning, **values}
    if "$ref" in values:
        return {**meaning, "anyOf": [values, {"type": "null"}]}
    return {**meaning, **values, "type": [values["type"], "null"]}


def _values(field: Field) -> Schema:
    """Return what the field may hold."""
    if field.type == "code":
        return {"$ref": f"#/$defs/{_list_name(field.codelist or '')}"}
    if field.type == "codes":
        items = {"$ref": f"#/$defs/{_list_name(field.codelist or '')}"}
        return {"type": "array", "items": items, "uniqueItems": True, "minItems": 1}
    pattern = {"pattern": field.pattern} if field.pattern and field.type == "string" else {}
    return {**TYPES[field.type], **pattern, **_limits(field.hard)}


def _description(field: Field) -> str:
    """Return meaning, unit, and what is usual without being a limit."""
    unit = f" [{field.unit}]" if field.unit else ""
    usual = ""
    if field.soft is not None:
        usual = f" Usual: {_bound(field.soft.low)} to {_bound(field.soft.high)}."
    return f"{field.description}{unit}.{usual}"


def _bound(value: float | None) -> str:
    """Return one bound as text."""
    return "any" if value is None else f"{value:g}"


def _limits(limits: Range | None) -> Schema:
    """Return inclusive limits."""
    if limits is None:
        return {}
    bounds = {"minimum": limits.low, "maximum": limits.high}
    return {name: bound for name, bound in bounds.items() if bound is not None}


def _codes(codelist: CodeList) -> Schema:
    """Return a code list: each code with its label."""
    codes = [{"const": code.code, "title": code.label} for code in codelist.codes.values()]
    return {"description": codelist.description, "type": "string", "oneOf": codes}


def _analyte(analyte: Analyte, discriminator: str) -> Schema:
    """Return what holds of a row's value and unit when it measures this analyte."""
    return {
        "if": {"properties": {discriminator: {"const": analyte.code}}, "required": [discriminator]},
        "then": {
            "properties": {
                "value": _limits(analyte.hard),
                "unit_ucum": {"const": analyte.unit},
            }
        },
    }


def _list_name(codelist: str) -> str:
    """Return the name of a code list in `$defs`, where tables have theirs."""
    return f"codelist_{codelist}"
