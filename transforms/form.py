"""Reads a filled-in form back with no mapping: the form's own mapping, made from the dictionary.

The form is what `marmor dictionary export --to xlsx` writes. A centre that has only forms needs no
mapping at all: with an empty `mapping/` and nothing but forms in `inbox/`, `form_alone` gives the
mapping. A centre that has other files too names the form in a row of its sheet `sources` with
`ready = form`.
"""

import dataclasses
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

import duckdb

from transforms.dictionary import DICTIONARY, CodeList, Dictionary, Field, Table
from transforms.dictionary.diff import changes
from transforms.dictionary.entry import choices, measures_analytes
from transforms.dictionary.export.form_layout import (
    ABOUT,
    HEADER_ROW,
    ID_COLUMN,
    NOTE_COLUMN,
    UNIT_COLUMN,
    VERSION_COLUMN,
    FormColumn,
    form_columns,
    form_tables,
)
from transforms.dictionary.snapshot import history, kept, snapshot
from transforms.errors import SourceError, raise_all
from transforms.mapping import (
    OTHERS,
    REJECT,
    FieldRule,
    IgnoreRule,
    Mapping,
    Source,
    ValueRule,
    normal_value,
)
from transforms.sql import qualified


if TYPE_CHECKING:
    from transforms.readers import SourceTable

__all__ = ["form_alone", "form_mapping"]

FORMS = (".xlsx", ".xlsm", ".ods")
ANY_FILE, SCHEMA = "**/*", "source"
# The apostrophe groups digits nowhere in the form: a comma is then always a decimal comma.
GROUPING = "'"
PUT_BACK = "put a deleted column back; it may stay empty"
NEW_FORM = (
    "make a new form with `marmor dictionary export --to xlsx` and copy the rows over, "
    "sheet by sheet"
)
# Changes of the dictionary that make a form of an older version unreadable.
FELT = (
    "table_added", "table_removed", "field_added", "field_removed", "type", "unit", "codelist",
    "code_removed", "derived", "references",
)  # fmt: skip


def form_mapping(file: str = "*.xlsx", dictionary: Dictionary = DICTIONARY) -> Mapping:
    """Return the mapping of the form: one source per table, with the table's name as its id.

    `file` is the pattern of the filled forms in the inbox. Labels and codes are both understood.
    """
    tables = form_tables(dictionary)
    return Mapping(
        sources=tuple(_source(table, file) for table in tables),
        fields=tuple(rule for table in tables for rule in _fields(table)),
        values=tuple(value for table in tables for value in _values(table, dictionary)),
        ignores=tuple(
            IgnoreRule(table.name, NOTE_COLUMN, "free_text", _place(table)) for table in tables
        ),
    )


def form_alone(mapping: Path, inbox: Path, dictionary: Dictionary = DICTIONARY) -> Mapping | None:
    """Return the form's mapping when `mapping` is empty and `inbox` holds nothing but forms.

    None when there is a mapping, or no form. Raises SourceError when there are forms and other
    files, or a form of a version whose columns are not those of today.
    """
    from transforms.collect import inbox_files  # it reads mappings itself

    if mapping.is_dir() and any(not path.name.startswith(".") for path in mapping.iterdir()):
        return None
    names = [path.relative_to(inbox).as_posix() for path in inbox_files(inbox)]
    forms = _forms([name for name in names if name.lower().endswith(FORMS)], inbox)
    if not forms:
        return None
    problems = [
        problem for name in names for problem in _problems(name, forms.get(name), dictionary)
    ]
    raise_all(SourceError, problems)
    return form_mapping(ANY_FILE, dictionary)


def _source(table: Table, file: str) -> Source:
    """Return how a table's sheet is read."""
    return Source(
        source=table.name,
        system="form",
        file=file,
        format="excel",
        sheet=table.name,
        header_row=HEADER_ROW,
        id_column=ID_COLUMN,
        thousands=GROUPING,
        place=_place(table),
    )


def _place(table: Table, column: str = "") -> str:
    """Return where a problem is, with what to do about the only one there can be."""
    return f"form, sheet {table.name}{column} ({PUT_BACK})"


def _fields(table: Table) -> Iterator[FieldRule]:
    """Yield the rules of a table."""
    for column in form_columns(table):
        if column.field is not None:
            yield FieldRule(
                table=table.name,
                field=column.field.name,
                source=table.name,
                rule=_rule(column.field),
                columns=(column.name,),
                arg=_arg(table, column),
                place=_place(table),
            )


def _rule(field: Field) -> str:
    """Return the rule that reads a column of the form."""
    rules = {"string": "copy", "boolean": "copy", "date": "date", "code": "recode"}
    return rules.get(field.type, "split" if field.type == "codes" else "number")


def _arg(table: Table, column: FormColumn) -> str:
    """Return the rule's argument: where an analyte's unit stands."""
    if column.name == "value" and measures_analytes(table):
        return f"unit_column={UNIT_COLUMN}"
    return ""


def _values(table: Table, dictionary: Dictionary) -> Iterator[ValueRule]:
    """Yield what the words of a table's lists mean: labels, codes, and that others are refused."""
    for column in form_columns(table):
        if column.field is None or column.field.codelist is None:
            continue
        words = _words(dictionary.codelists[column.field.codelist]) | {OTHERS: REJECT}
        for text, code in words.items():
            yield ValueRule(
                table=table.name,
                field=column.field.name,
                source=table.name,
                source_value=text,
                target_code=code,
                place=f"form, {table.name}.{column.field.name}, {text}",
            )


def _words(codelist: CodeList) -> dict[str, str]:
    """Return what may be written → code; a code wins over another code's label."""
    shown = {normal_value(text): code for code, text in choices(codelist).items()}
    return shown | {normal_value(code): code for code in codelist.codes}


@dataclass(frozen=True)
class _Form:
    """What a file says that is a form: the dictionary's version, and its other sheets."""

    version: str
    sheets: tuple[str, ...]


def _forms(names: Sequence[str], inbox: Path) -> dict[str, _Form]:
    """Return what those of the inbox's files that are forms say of themselves, by file name.

    The files are read in the limited process, like all that comes from outside.
    """
    from transforms.readers.isolation import read_inbox  # its libraries are there at a site only

    sources = {
        f"form {number}": Source(
            f"form {number}", "form", _literally(name), "excel", VERSION_COLUMN, sheet=ABOUT
        )
        for number, name in enumerate(names)
    }
    asked = [dataclasses.replace(source, optional=True) for source in sources.values()]
    with TemporaryDirectory() as folder, duckdb.connect() as connection:
        try:
            tables = read_inbox(asked, inbox, Path(folder), connection).tables if asked else ()
        except SourceError:  # not one of them can be read: their readers will say why
            return {}
        return {
            names[number]: _Form(_version(connection, table), table.other_parts)
            for number, name in enumerate(sources)
            for table in tables
            if table.source == name and VERSION_COLUMN in table.columns
        }


def _version(connection: duckdb.DuckDBPyConnection, table: "SourceTable") -> str:
    """Return the dictionary's version that a form was made for."""
    rows = connection.table(qualified(SCHEMA, table.source)).limit(1).fetchall()
    return str(rows[0][table.columns.index(VERSION_COLUMN)]) if rows else ""


def _literally(name: str) -> str:
    """Return a glob pattern that fits this one name."""
    return "".join(f"[{letter}]" if letter in "*?[" else letter for letter in name)


def _problems(name: str, form: _Form | None, dictionary: Dictionary) -> Iterator[str]:
    """Yield why a file cannot be read as a form of this version."""
    if form is None:
        yield (
            f"{name}: is not a form of Marmor, or is damaged, but the inbox holds forms too; take "
            "it out, fill in a new one, or write a mapping in which a row of the sheet sources "
            "reads the forms with ready = form"
        )
        return
    outdated = []
    if form.version != dictionary.version:
        outdated = list(_outdated(name, form.version, dictionary))
        yield from outdated
    missing = [table for table in dictionary.tables if table not in form.sheets]
    if missing and not outdated:
        yield f"{name}: lacks {', '.join(missing)}; copy it from a new form, it may stay empty"


def _outdated(name: str, version: str, dictionary: Dictionary) -> Iterator[str]:
    """Yield a problem when the form's columns are not those of today, with what changed."""
    made = f"{name}: this form was made for dictionary {version}, here is {dictionary.version}"
    if version not in history():
        yield f"{made}, which does not know that version; {NEW_FORM}"
        return
    felt = [
        change.what
        for change in changes(kept(version), snapshot(dictionary))
        if change.kind in FELT
    ]
    if felt:
        more = f" and {len(felt) - 5} more" if len(felt) > 5 else ""
        yield f"{made} ({'; '.join(felt[:5])}{more}); {NEW_FORM}"
