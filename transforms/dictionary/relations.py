"""The dictionary inside DuckDB: code lists as tables, analysis views as queries."""

import duckdb

from transforms.dictionary.arrow import codelist_table
from transforms.dictionary.model import Dictionary
from transforms.sql import qualified


__all__ = ["create_codelists"]


def create_codelists(connection: duckdb.DuckDBPyConnection, dictionary: Dictionary) -> None:
    """Create `codelist.<name>` for every code list, as the SQL of views and rules expects.

    With these and the harmonised tables by their own names, `View.sql` runs as it stands.
    """
    connection.execute("create schema if not exists codelist")
    for name, codelist in dictionary.codelists.items():
        connection.register("incoming_codelist", codelist_table(codelist))
        target = qualified("codelist", name)
        connection.execute(f"create or replace table {target} as from incoming_codelist")
        connection.unregister("incoming_codelist")
