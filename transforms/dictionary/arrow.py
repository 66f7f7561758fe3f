"""Arrow schemas of tables and views, with meaning in the field metadata."""

import pyarrow as pa

from transforms.dictionary.model import Field, FieldType, Table, View


__all__ = ["distinct_columns", "schema"]

TYPES: dict[FieldType, pa.DataType] = {
    "string": pa.string(),
    "code": pa.string(),
    "codes": pa.list_(pa.string()),
    "integer": pa.int64(),
    "number": pa.float64(),
    "boolean": pa.bool_(),
    "date": pa.date32(),
}


def schema(part: Table | View) -> pa.Schema:
    """Return the Arrow schema of a table or an analysis view, columns in dictionary order."""
    return pa.schema([_field(field) for field in part.fields])


def distinct_columns(table: Table) -> tuple[str, ...]:
    """Return the columns of a table whose values hardly repeat: its own key, the row it came from.

    >>> from transforms.dictionary import DICTIONARY
    >>> distinct_columns(DICTIONARY.tables["fracture"])
    ('fracture_id', 'source_row')
    """
    return (*(key for key in table.key if key != "person_id"), "source_row")


def _field(field: Field) -> pa.Field:
    """Return one column with its description, unit and code list as metadata."""
    meaning = {
        "description": field.description,
        "unit": field.unit,
        "codelist": field.codelist,
        "leaves": field.leaves,
    }
    metadata = {key: value for key, value in meaning.items() if value is not None}
    return pa.field(field.name, TYPES[field.type], metadata=metadata)
