"""The dictionary's code lists as tables `codelist.<name>`, for rules and analysis views to join."""

import duckdb
import pyarrow as pa

from transforms.dictionary import DICTIONARY, CodeList, Dictionary
from transforms.sql import identifier, qualified


__all__ = ["load_codelists"]

SCHEMA = "codelist"


def load_codelists(
    connection: duckdb.DuckDBPyConnection, dictionary: Dictionary = DICTIONARY
) -> None:
    """Make one table per code list: `position`, `code`, `label`, each attribute, each coding.

    All are texts but `position`, which counts from 0 in the list's public order. A coding's column
    has the name of its system (`orpha`, `hgnc`); where an attribute has that name, it wins.
    """
    connection.execute(f"create schema if not exists {identifier(SCHEMA)}")
    for codelist in dictionary.codelists.values():
        connection.register("marmor_codes", _table(codelist))
        name = qualified(SCHEMA, codelist.name)
        connection.execute(f"create or replace table {name} as from marmor_codes")
        connection.unregister("marmor_codes")


def _table(codelist: CodeList) -> pa.Table:
    """Return a code list as columns."""
    codes = list(codelist.codes.values())
    extras = dict.fromkeys(key for code in codes for key in (*code.attributes, *code.codings))
    columns: dict[str, pa.Array] = {
        "position": pa.array(range(len(codes)), pa.int64()),
        "code": pa.array([code.code for code in codes], pa.string()),
        "label": pa.array([code.label for code in codes], pa.string()),
    }
    for key in extras:
        texts = [code.attributes.get(key, code.codings.get(key)) for code in codes]
        columns[key] = pa.array(texts, pa.string())
    return pa.table(columns)
