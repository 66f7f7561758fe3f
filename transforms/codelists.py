"""The dictionary's code lists as relations `codelist.<name>`, for rules and views to join."""

import duckdb
import pyarrow as pa

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
    connection.register("marmor_codes", _table(codelists))
    connection.execute(f"create or replace table {qualified(SCHEMA, ALL)} as from marmor_codes")
    connection.unregister("marmor_codes")
    connection.execute(";".join(_view(number, one) for number, one in enumerate(codelists)))


def _view(number: int, codelist: CodeList) -> str:
    """Return the statement that makes the view of one list, the `number`th."""
    columns = ["position", "code", "label", *_extras(list(codelist.codes.values()))]
    listed = ", ".join(identifier(column) for column in columns)
    chosen = f"select {listed} from {qualified(SCHEMA, ALL)} where list = {number}"  # noqa: S608 - quoted names
    return f"create or replace view {qualified(SCHEMA, codelist.name)} as {chosen}"


def _extras(codes: list[Code]) -> list[str]:
    """Return the names of all attributes and codings of some codes."""
    return list(dict.fromkeys(key for code in codes for key in (*code.attributes, *code.codings)))


def _table(codelists: list[CodeList]) -> pa.Table:
    """Return all codes of all lists, with `list` as the number of each one's list."""
    placed = [
        (number, position, code)
        for number, codelist in enumerate(codelists)
        for position, code in enumerate(codelist.codes.values())
    ]
    codes = [code for _, _, code in placed]
    columns: dict[str, pa.Array] = {
        "list": pa.array([number for number, _, _ in placed], pa.int64()),
        "position": pa.array([position for _, position, _ in placed], pa.int64()),
        "code": pa.array([code.code for code in codes], pa.string()),
        "label": pa.array([code.label for code in codes], pa.string()),
    }
    for key in _extras(codes):
        texts = [code.attributes.get(key, code.codings.get(key)) for code in codes]
        columns[key] = pa.array(texts, pa.string())
    return pa.table(columns)
