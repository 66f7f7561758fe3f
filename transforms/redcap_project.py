"""The mapping of a REDCap project that was made from our data dictionary.

`marmor dictionary export --to redcap` writes it beside the data dictionary, as four CSV files: put
into a site's `mapping/`, they read the project's raw export. All forms but person must have been
made repeating, and the data dictionary must lie in the inbox beside the export.
"""

import csv
from collections.abc import Iterator, Mapping
from pathlib import Path

from transforms.dictionary import DICTIONARY, Dictionary, Field, Table
from transforms.dictionary.entry import entered, measures_analytes
from transforms.dictionary.export.redcap import RECORD_ID, UNIT, Variable, variable_name, variables
from transforms.mapping import OPTIONAL, OTHERS, REJECT, SHEETS


__all__ = ["redcap_sheets", "write_redcap_mapping"]

# REDCap names its raw export <project>_DATA_<day>_<time>.csv.
EXPORTS = "*_DATA_*.csv"
REDCAPS_OWN = (
    "redcap_repeat_instance", "redcap_data_access_group", "redcap_survey_identifier",
)  # fmt: skip
RULES: Mapping[str, str] = {
    "boolean": "copy", "string": "copy", "date": "date", "integer": "number", "number": "number",
    "codes": "checkbox",
}  # fmt: skip

Sheet = list[dict[str, str]]


def redcap_sheets(dictionary: Dictionary = DICTIONARY) -> dict[str, Sheet]:
    """Return the four sheets of the mapping, as rows of text."""
    every = variables(dictionary)
    tables = list(dict.fromkeys(variable.table.name for variable in every))
    return {
        "sources": [_source(table) for table in tables],
        "fields": [_field(one, one.field) for one in every if one.field is not None],
        "values": [row for variable in every for row in _values(variable)],
        "ignore": [row for table in tables for row in _ignored(dictionary.tables[table])],
    }


def write_redcap_mapping(folder: Path, dictionary: Dictionary = DICTIONARY) -> None:
    """Write `sources.csv`, `fields.csv`, `values.csv` and `ignore.csv` into `folder`."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, rows in redcap_sheets(dictionary).items():
        used = {column for row in rows for column, text in row.items() if text}
        columns = [one for one in SHEETS[name] if one in used or one not in OPTIONAL[name]]
        with (folder / f"{name}.csv").open("w", encoding="utf-8", newline="") as file:
            writer = csv.DictWriter(file, columns, restval="", lineterminator="\n")
            writer.writeheader()
            writer.writerows(rows)


def _source(table: str) -> dict[str, str]:
    """Return the row of `sources` that reads one form."""
    return {
        "source": table,
        "system": "redcap",
        "file": EXPORTS,
        "format": "redcap",
        "sheet": table,
        "encoding": "utf-8",
        "delimiter": ",",
        "decimal": ".",
        "date_order": "YMD",
        "id_column": RECORD_ID,
    }


def _field(variable: Variable, field: Field) -> dict[str, str]:
    """Return the row of `fields` that a variable fills."""
    table, columns, arg = variable.table, [variable.name], ""
    if field.type == "codes":
        columns = [f"{variable.name}___{safe}" for safe in variable.codes]
        arg = f"gate={table.name}_complete"
    elif field.name == "value" and measures_analytes(table):
        arg = f"unit_column={_unit(table)}"
    return {
        "table": table.name,
        "field": field.name,
        "source": table.name,
        "column": ";".join(columns),
        "rule": RULES.get(field.type, "recode" if _differs(variable) else "copy"),
        "arg": arg,
        "status": "approved",
    }


def _unit(table: Table) -> str:
    """Return the variable with the unit of a table's values."""
    return variable_name(table, UNIT)


def _differs(variable: Variable) -> bool:
    """Return whether REDCap stores some code in another spelling."""
    return any(safe != code for safe, code in variable.codes.items())


def _values(variable: Variable) -> Iterator[dict[str, str]]:
    """Yield the rows of `values`: what each of REDCap's codes stands for."""
    if variable.field is None or not _differs(variable):
        return
    several = variable.field.type == "codes"
    words = dict(variable.codes) if several else {**variable.codes, OTHERS: REJECT}
    for safe, code in words.items():
        yield {
            "table": variable.table.name,
            "field": variable.field.name,
            "source": variable.table.name,
            "source_value": safe,
            "target_code": code,
            "status": "approved",
        }


def _ignored(table: Table) -> Iterator[dict[str, str]]:
    """Yield REDCap's own columns; those with the reason identifier need not be in an export."""
    if not any(field.type == "codes" for field in entered(table)):
        yield {"source": table.name, "column": f"{table.name}_complete", "reason": "not_needed"}
    for column in (*REDCAPS_OWN, f"{table.name}_timestamp"):
        yield {
            "source": table.name,
            "column": column,
            "reason": "identifier",
            "comment": "REDCap's own; not in every export",
        }
