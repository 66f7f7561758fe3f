"""How the form is laid out: which columns each sheet has, and what stands above them.

`export.xlsx` writes the form, `transforms.form` reads it back: both go by what is said here.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from transforms.dictionary.entry import entered, measures_analytes
from transforms.dictionary.model import Dictionary, Field, Range, Table


__all__ = [
    "ABOUT",
    "CODES",
    "FIRST_ROW",
    "HEADER_ROW",
    "ID_COLUMN",
    "LISTS",
    "NOTE_COLUMN",
    "START",
    "UNIT_COLUMN",
    "VERSION_COLUMN",
    "FormColumn",
    "between",
    "form_columns",
    "form_tables",
    "title",
]

START, CODES, LISTS, ABOUT = "start", "codes", "lists", "marmor"
HEADER_ROW, FIRST_ROW = 3, 4
ID_COLUMN, UNIT_COLUMN, NOTE_COLUMN = "local_id", "unit", "note"
VERSION_COLUMN = "dictionary_version"

# UCUM as a person without UCUM reads it.
UNIT_WORDS: Mapping[str, str] = {
    "a": "years", "mo": "months", "wk": "weeks", "d": "days", "min": "minutes", "h": "hours",
    "1": "", "{score}": "score", "logMAR": "logMAR",
}  # fmt: skip

Kind = Literal["id", "field", "unit", "note"]


@dataclass(frozen=True)
class FormColumn:
    """One column of a table's sheet; `field` is None for what the dictionary has no field for."""

    name: str
    title: str
    help: str
    kind: Kind
    field: Field | None = None

    @property
    def mandatory(self) -> bool:
        """Whether a row without it is rejected."""
        return self.kind in ("id", "unit") or (
            self.field is not None and self.field.obligation == "mandatory"
        )


def form_tables(dictionary: Dictionary) -> tuple[Table, ...]:
    """Return the tables in the order of the form's sheets: the person first."""
    first = [table for table in dictionary.tables.values() if table.name == "person"]
    return (*first, *(table for table in dictionary.tables.values() if table not in first))


def form_columns(table: Table) -> tuple[FormColumn, ...]:
    """Return the columns of a table's sheet: person id, fields, a unit for analytes, a note."""
    columns = [
        FormColumn(
            ID_COLUMN,
            "Your own patient number",
            "The number under which you know the patient. It becomes a pseudonym and is in no "
            "table. Use the same number on every sheet.",
            "id",
        )
    ]
    for field in entered(table):
        columns.append(FormColumn(field.name, title(field), _help(field), "field", field))
        if field.name == "value" and measures_analytes(table):
            columns.append(
                FormColumn(
                    UNIT_COLUMN,
                    "Unit of the value",
                    "The unit that the laboratory wrote beside the value. It is converted.",
                    "unit",
                )
            )
    note = "For yourself. Never read: it goes nowhere."
    return (*columns, FormColumn(NOTE_COLUMN, "Note (not read)", note, "note"))


def title(field: Field) -> str:
    """Return what stands above a column: what to write, and in which unit."""
    words = field.description.split(";")[0].split(":")[0].strip()
    unit = UNIT_WORDS.get(field.unit, field.unit) if field.unit else ""
    return f"{words} [{unit}]" if unit else words


def _help(field: Field) -> str:
    """Return the comment of a column: meaning, kind of value, limits, obligation."""
    unit = f" in {UNIT_WORDS.get(field.unit, field.unit) or 'no unit'}" if field.unit else ""
    kinds = {
        "string": "A text.",
        "integer": f"A whole number{unit}.",
        "number": f"A number{unit}.",
        "boolean": "yes or no.",
        "date": "A date as 2010-12-31; 2010-12 or 2010 when you do not know more.",
        "code": "One of the list.",
        "codes": "One or more of the list, with ; between them.",
    }
    lines = [f"{field.description}.", kinds[field.type]]
    for word, limits in (("Must lie", field.hard), ("Usually lies", field.soft)):
        if limits is not None:
            lines.append(f"{word} {between(limits)}: {limits.reason}.")
    if field.pattern is not None and field.type == "string":
        lines.append(f"Written like: {field.pattern}")
    lines.append(f"This is {field.obligation}.")
    return "\n".join(lines)


def between(limits: Range) -> str:
    """Return limits in words."""
    if limits.low is None:
        return f"at or below {limits.high:g}"
    if limits.high is None:
        return f"at or above {limits.low:g}"
    return f"between {limits.low:g} and {limits.high:g}"
