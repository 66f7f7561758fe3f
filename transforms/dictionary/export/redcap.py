"""The dictionary as a REDCap data dictionary: one form per table, in REDCap's own 18 columns.

REDCap's rules that decide the names (data dictionary help text; linkml-redcap's meta-schema): a
variable is at most 26 characters of a-z, 0-9 and _, begins with a letter, ends with none of _, and
is the only one of its name in the project. The codes of check boxes become part of a column's name
(`field___code`, lower case, other signs replaced by _), so all codes are made of a-z, 0-9 and _.
Which forms repeat cannot be said in a data dictionary: all but the form person do. The record id
and dates that never leave the site are marked as identifiers; a text is not, because our reader
leaves out texts that are marked.
"""

import csv
import dataclasses
import hashlib
import io
import re
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from transforms.dictionary.entry import choices, entered, measures_analytes, units
from transforms.dictionary.export.form_layout import form_tables, title
from transforms.dictionary.model import CodeList, Dictionary, Field, Range, Table


__all__ = [
    "COLUMNS",
    "RECORD_ID",
    "UNIT",
    "Variable",
    "data_dictionary",
    "safe_codes",
    "variable_name",
    "variables",
]

COLUMNS = (
    "Variable / Field Name", "Form Name", "Section Header", "Field Type", "Field Label",
    "Choices, Calculations, OR Slider Labels", "Field Note",
    "Text Validation Type OR Show Slider Number", "Text Validation Min", "Text Validation Max",
    "Identifier?", "Branching Logic (Show field only if...)", "Required Field?",
    "Custom Alignment", "Question Number (surveys only)", "Matrix Group Name", "Matrix Ranking?",
    "Field Annotation",
)  # fmt: skip
RECORD_ID = "record_id"
UNIT = "unit"
LONGEST = 26
FEW = 6  # choices that are shown as radio buttons; more become a list to drop down
VALIDATIONS: Mapping[str, str] = {"integer": "integer", "number": "number", "date": "date_ymd"}


@dataclass(frozen=True)
class Variable:
    """One variable of the project; `field` is None for the record id and the unit of a value.

    `codes` maps what REDCap stores to the dictionary's code.
    """

    name: str
    table: Table
    label: str
    type: str
    field: Field | None = None
    codes: Mapping[str, str] = dataclasses.field(default_factory=dict)
    shown: Mapping[str, str] = dataclasses.field(default_factory=dict)
    note: str = ""
    validation: str = ""
    limits: Range | None = None
    identifier: bool = False
    required: bool = False
    annotation: str = ""


def data_dictionary(dictionary: Dictionary) -> str:
    """Return the data dictionary as CSV text, to be imported in REDCap's project setup."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(COLUMNS)
    begun: set[str] = set()
    for variable in variables(dictionary):
        header = "" if variable.table.name in begun else _plain(variable.table.description)
        begun.add(variable.table.name)
        writer.writerow(_row(variable, header))
    return out.getvalue()


def variables(dictionary: Dictionary) -> tuple[Variable, ...]:
    """Return all variables, form by form, the record id first."""
    tables = form_tables(dictionary)
    record = Variable(
        name=RECORD_ID,
        table=tables[0],
        label="Your own patient number",
        type="text",
        note="becomes a pseudonym; it never leaves the centre",
        identifier=True,
    )
    return (record, *(one for table in tables for one in _variables(table, dictionary)))


def safe_codes(codelist: CodeList) -> dict[str, str]:
    """Return REDCap code → code. Codes that would read alike get a piece of their hash.

    >>> from transforms.dictionary import DICTIONARY
    >>> safe_codes(DICTIONARY.codelists["phenotype"])["hp_0000572"]
    'HP:0000572'
    """
    plain = {code: re.sub("[^a-z0-9]+", "_", code.lower()).strip("_") for code in codelist.codes}
    often = Counter(plain.values())
    return {
        safe if safe and often[safe] == 1 else f"{safe}_{_hash(code)}".lstrip("_"): code
        for code, safe in plain.items()
    }


def _variables(table: Table, dictionary: Dictionary) -> Iterator[Variable]:
    """Yield the variables of one form."""
    for one in entered(table):
        yield _variable(table, one, dictionary)
        if one.name == "value" and measures_analytes(table):
            yield Variable(
                name=variable_name(table, UNIT),
                table=table,
                label="Unit of the value",
                type="text",
                note=f"as the laboratory wrote it: {', '.join(units(dictionary))}",
                required=True,
                annotation=f"Marmor {table.name}: unit",
            )


def _variable(table: Table, one: Field, dictionary: Dictionary) -> Variable:
    """Return the variable of a field."""
    codelist = dictionary.codelists[one.codelist] if one.codelist else None
    codes = safe_codes(codelist) if codelist else {}
    free = measures_analytes(table) and one.name == "value"  # may be <0.5, which is no number
    return Variable(
        name=variable_name(table, one.name),
        table=table,
        label=title(one),
        type=_type(one, len(codes)),
        field=one,
        codes=codes,
        shown=choices(codelist) if codelist else {},
        note=_note(one),
        validation="" if free else VALIDATIONS.get(one.type, ""),
        limits=None if free else one.hard,
        identifier=one.leaves == "never" and one.type == "date",
        required=one.obligation == "mandatory",
        annotation="; ".join(_annotation(table, one)),
    )


def variable_name(table: Table, name: str) -> str:
    """Return the variable's name: three letters of the table, then the field, 26 in all.

    A longer name is cut and ends in a piece of its hash, so that no other field can change it.
    """
    full = f"{table.name[:3]}_{name}"
    if len(full) <= LONGEST:
        return full
    return f"{full[: LONGEST - 5].rstrip('_')}_{_hash(f'{table.name}.{name}')}"


def _hash(text: str) -> str:
    """Return four hexadecimal digits that stand for `text`."""
    return hashlib.sha256(text.encode()).hexdigest()[:4]


def _type(one: Field, choices_: int) -> str:
    """Return REDCap's field type."""
    if one.type == "boolean":
        return "yesno"
    if one.type == "codes":
        return "checkbox"
    if one.type == "code":
        return "radio" if choices_ <= FEW else "dropdown"
    return "text"


def _note(one: Field) -> str:
    """Return what stands below the field: unit, and how a text must look."""
    parts = [f"in {one.unit}"] if one.unit and one.unit != "1" else []
    if one.pattern and one.type == "string":
        parts.append(f"written like {one.pattern}")
    if one.type == "date":
        parts.append("a whole date; when the day is not known leave it empty")
    return "; ".join(parts)


def _annotation(table: Table, one: Field) -> Iterator[str]:
    """Yield which field this is, and what it is in other standards."""
    yield f"Marmor {table.name}.{one.name}: {_plain(one.description)}"
    if one.jrc:
        yield f"JRC common data element {one.jrc}"
    for standard, path in one.crosswalk.items():
        yield f"{standard} {path}"


def _row(variable: Variable, header: str) -> list[str]:
    """Return a variable as the 18 columns."""
    limits = variable.limits
    low, high = (None, None) if limits is None else (limits.low, limits.high)
    cells = {
        "Variable / Field Name": variable.name,
        "Form Name": variable.table.name,
        "Section Header": header,
        "Field Type": variable.type,
        "Field Label": _plain(variable.label),
        "Choices, Calculations, OR Slider Labels": _choices(variable),
        "Field Note": _plain(variable.note),
        "Text Validation Type OR Show Slider Number": variable.validation,
        "Text Validation Min": "" if low is None else f"{low:g}",
        "Text Validation Max": "" if high is None else f"{high:g}",
        "Identifier?": "y" if variable.identifier else "",
        "Required Field?": "y" if variable.required else "",
        "Field Annotation": variable.annotation.replace("@", "at "),
    }
    return [cells.get(column, "") for column in COLUMNS]


def _choices(variable: Variable) -> str:
    """Return `code, label | code, label`; a yes-no field brings its own."""
    return " | ".join(
        f"{safe}, {_plain(variable.shown[code])}" for safe, code in variable.codes.items()
    )


def _plain(text: str) -> str:
    """Return `text` without what REDCap reads as markup, a further choice or a formula."""
    return " ".join(text.replace("|", "/").replace("<", "below ").replace(">", "above ").split())
