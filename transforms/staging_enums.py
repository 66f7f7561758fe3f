"""Enumerations of what a run's rows repeat most: persons, sources, files and sheets.

A row then holds a small number instead of a text of 25 letters, and is compared, sorted, joined and
written by it. The values of an enumeration are in order, so that numbers sort as their texts do.
"""

from collections.abc import Mapping as MappingType

import duckdb

from transforms.conversion_job import Parameters, person_sql
from transforms.mapping import Mapping
from transforms.sql import identifier, qualified


__all__ = ["ENUMS", "make_enums"]

ENUMS: MappingType[str, str] = {
    name: identifier(f"marmor {name}")
    for name in ("person_id", "source_id", "source_system", "source_file", "source_sheet")
}


def make_enums(connection: duckdb.DuckDBPyConnection, mapping: Mapping) -> None:
    """Make the types `ENUMS` for the relations `source.*` of a mapping.

    The connection needs the SQL function of `transforms.pseudonyms.install`.
    """
    connection.execute("create or replace temp table told (name varchar, value varchar)")
    for source in mapping.sources:
        parameters = Parameters()
        local = person_sql(source, parameters)
        said = {
            "source_id": parameters.add(source.source),
            "source_system": parameters.add(source.system or source.format),
        }
        listed = ", ".join(f"('{name}', {value}::varchar)" for name, value in said.items())
        rows = qualified("source", source.source)
        connection.execute(
            f"insert into told select 'person_id', pseudonym('P', local) from "
            f"(select distinct {local} as local from {rows}) union all values {listed} union all "
            f"select unnest(['source_file', 'source_sheet']), unnest([source_file, source_sheet]) "
            f"from (select distinct source_file, source_sheet from {rows})",
            parameters,
        )
    for name, enum in ENUMS.items():
        connection.execute(
            f"create type {enum} as enum (select distinct value from told "
            f"where name = '{name}' and value is not null order by value)"
        )
    connection.execute("drop table told")
