"""`marmor dictionary`: what the harmonised data mean."""

import dataclasses
import difflib
from typing import Annotated

import typer

from infra.output import AsJson, emit, table
from transforms.dictionary import DICTIONARY, Table, View
from transforms.errors import DictionaryError


__all__ = ["app"]

app = typer.Typer(help="Read the data dictionary.", no_args_is_help=True)


@app.callback()
def group() -> None:
    """Read the data dictionary: tables, fields, units, codes and limits."""


@app.command()
def show(
    name: Annotated[
        str | None, typer.Argument(help="A table, view or code list; nothing for an overview.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Show the dictionary, one of its tables or views, or one of its code lists."""
    if name is None:
        _overview(as_json)
    elif name in DICTIONARY.tables:
        _fields(DICTIONARY.tables[name], as_json)
    elif name.removeprefix("view:") in DICTIONARY.views:
        _fields(DICTIONARY.views[name.removeprefix("view:")], as_json)
    elif name in DICTIONARY.codelists:
        _codes(name, as_json)
    else:
        raise DictionaryError(_unknown(name))


def _unknown(name: str) -> str:
    """Say which names are nearest to an unknown one."""
    known = [*DICTIONARY.tables, *(f"view:{view}" for view in DICTIONARY.views)]
    near = difflib.get_close_matches(name, [*known, *DICTIONARY.codelists], n=3)
    hint = f"did you mean {' or '.join(near)}?" if near else f"tables are {', '.join(known)}"
    return f"dictionary: nothing is called {name}; {hint}"


def _overview(as_json: bool) -> None:
    """Print tables and views with what a row is."""
    parts: list[tuple[str, Table | View]] = [
        *DICTIONARY.tables.items(),
        *((f"view:{name}", view) for name, view in DICTIONARY.views.items()),
    ]
    data = {
        "version": DICTIONARY.version,
        "tables": {name: part.description for name, part in parts},
        "codelists": {name: part.description for name, part in DICTIONARY.codelists.items()},
    }
    rows = [(name, len(part.fields), part.description) for name, part in parts]
    title = f"Data dictionary {DICTIONARY.version}"
    emit(data, as_json=as_json, text=table(title, ("name", "fields", "what a row is"), rows))


def _fields(part: Table | View, as_json: bool) -> None:
    """Print the fields of a table or view."""
    kinds = {
        field.name: field.type if field.codelist is None else f"{field.type}: {field.codelist}"
        for field in part.fields
    }
    columns: tuple[str, ...] = ("field", "type", "unit", "meaning")
    rows: list[tuple[str, ...]] = [
        (field.name, kinds[field.name], field.unit or "", field.description)
        for field in part.fields
    ]
    if isinstance(part, Table):
        columns = (*columns, "obligation", "leaves the site")
        rows = [
            (*row, field.obligation, field.leaves)
            for row, field in zip(rows, part.fields, strict=True)
        ]
    emit(dataclasses.asdict(part), as_json=as_json, text=table(part.title, columns, rows))


def _codes(name: str, as_json: bool) -> None:
    """Print the codes of a code list."""
    codelist = DICTIONARY.codelists[name]
    rows = [
        (code.code, code.label, ", ".join(f"{key} {value}" for key, value in code.codings.items()))
        for code in codelist.codes.values()
    ]
    columns = ("code", "label", "same as")
    text = table(codelist.description, columns, rows)
    emit(dataclasses.asdict(codelist), as_json=as_json, text=text)
