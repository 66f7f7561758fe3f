"""Arrow schemas of tables and views, with meaning in the field metadata."""

import pyarrow as pa

from transforms.dictionary.model import CodeList, Field, FieldType, Table, View


__all__ = ["codelist_table", "schema"]

TYPES: dict[FieldType, pa.DataType] = {
    "string": pa.string(),
    "code": pa.string(),
    "integer": pa.int64(),
    "number": pa.float64(),
    "boolean": pa.bool_(),
    "date": pa.date32(),
}


def schema(part: Table | View) -> pa.Schema:
    """Return the Arrow schema of a table or an analysis view, columns in dictionary order."""
    return pa.schema([_field(field) for field in part.fields])


def codelist_table(codelist: CodeList) -> pa.Table:
    """Return a code list as text columns: code, label, then every attribute any code has.

    The SQL of analysis views and rules reads it as `codelist.<name>`.
    """
    codes = codelist.codes.values()
    attributes = sorted({name for code in codes for name in code.attributes})
    columns = {
        "code": [code.code for code in codes],
        "label": [code.label for code in codes],
        **{name: [code.attributes.get(name) for code in codes] for name in attributes},
    }
    return pa.table({name: pa.array(values, pa.string()) for name, values in columns.items()})


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
