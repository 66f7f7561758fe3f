"""The dictionary's code lists as relations `codelist.<name>`, for rules and views to join."""

import duckdb

from transforms.constants import load_constants
from transforms.dictionary import DICTIONARY, Code, CodeList, Dictionary
from transforms.sql import identifier, qualified


__all__ = ["load_codelists"]

SCHEMA = "codelist"
ALL = "codes of all lists"


def load_codelists(
    connection: duckdb.DuckDBPyConnection, dictionary: Dictionary = DICTIONARY
) -> None:
    """Make one relation per code list: `position`, `code`, `label`, each attribute, each coding.

    All are texts but `position`, which counts from 0 in the list's public order. A coding's column
    has the name of its system (`orpha`, `hgnc`); where an attribute has that name, it wins.
    The relations are views of one table: making some sixty tables takes three times as long.
    """
    codelists = list(dictionary.codelists.values())
    connection.execute(f"create schema if not exists {identifier(SCHEMA)}")
    numbers = {"list": "bigint", "position": "bigint"}
    load_constants(connection, qualified(SCHEMA, ALL), _table(codelists), numbers)
    connection.execute(";".join(_view(number, one) for number, one in enumerate(codelists)))


def _view(number: int, codelist: CodeList) -> str:
    """Return the statement that makes the view of one list, the `number`th."""
    columns = ["position", "code", "label", *_extras(list(codelist.codes.values()))]
    listed = ", ".join(identifier(column) for column in columns)
    chosen = f"select {listed} from {qualified(SCHEMA, ALL)} where list = {number}"
    return f"create or replace view {qualified(SCHEMA, codelist.name)} as {chosen}"


def _extras(codes: list[Code]) -> list[str]:
    """Return the names of all attributes and codings of some codes."""
    return list(dict.fromkeys(key for code in codes for key in (*code.attributes, *code.codings)))


def _table(codelists: list[CodeList]) -> dict[str, list[object]]:
    """Return all codes of all lists, with `list` as the number of each one's list."""
    placed = [
        (number, position, code)
        for number, codelist in enumerate(codelists)
        for position, code in enumerate(codelist.codes.values())
    ]
    codes = [code for _, _, code in placed]
    columns: dict[str, list[object]] = {
        "list": [number for number, _, _ in placed],
        "position": [position for _, position, _ in placed],
        "code": [code.code for code in codes],
        "label": [code.label for code in codes],
    }
    for key in _extras(codes):
        columns[key] = [code.attributes.get(key, code.codings.get(key)) for code in codes]
    return columns
