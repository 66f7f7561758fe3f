"""From the readers' text relations to `staged.<table>`: typed columns beside their raw texts.

One insert per (table, source, bracket), composed from the mapping's conversions. A staged row has

    row_id        keyed hash of table, source, file, sheet and bracket, and then the row
    person_id     pseudonym of the person
    person_local  the centre's own person id; written nowhere
    source_id, source_system, source_file, source_sheet, source_row, bracket
    <field>       the value in the field's type
    <field>:raw, <field>:problem, <field>:precision, … what a conversion says besides

`staged.<table>` is a view with every column there may be; the table `stored.<table>` behind it
holds those that this mapping fills, and is what later steps change. A rejected row stays, marked.

Rows that a recode sends elsewhere (`skip`) are counted and not staged. Where a conversion makes
several rows of one source row, the second and later ones say so in `bracket` (`#2`).
"""

from collections.abc import Iterator, Sequence
from collections.abc import Mapping as MappingType
from collections.abc import Set as AbstractSet

import duckdb

from transforms.conversion_rows import EVENTS, prepare
from transforms.conversions import SQL_TYPES, Parameters, convert_all
from transforms.dictionary import DICTIONARY, Dictionary, Table
from transforms.laboratory import with_units
from transforms.mapping import FieldRule, Mapping
from transforms.sql import identifier, qualified
from transforms.staging_enums import ENUMS, make_enums
from transforms.staging_query import BESIDES, Piece, counted_query, staged_query


__all__ = ["BASE", "REJECTED", "SCHEMA", "STORED", "column", "stage", "stored_columns", "told"]

SCHEMA, STORED = "staged", "stored"
REJECTED = "rejected"
FILLED_IN = ("birth_date_precision",)  # by `transforms.derive`, beside what the dictionary derives
# Rows look up what was found of their texts, never the other way round, however few they seem.
AS_WRITTEN = "join_order,build_side_probe_side"
BASE: MappingType[str, str] = {
    "row_id": "varchar",
    "person_id": ENUMS["person_id"],
    "person_local": "varchar",
    "source_id": ENUMS["source_id"],
    "bracket": "varchar",
    "source_system": ENUMS["source_system"],
    "source_file": ENUMS["source_file"],
    "source_sheet": ENUMS["source_sheet"],
    "source_row": "bigint",
}


def column(field: str, besides: str) -> str:
    """Return the quoted name of what a conversion says besides a value, such as `raw`."""
    return identifier(f"{field}:{besides}")


def stage(
    connection: duckdb.DuckDBPyConnection, mapping: Mapping, dictionary: Dictionary = DICTIONARY
) -> dict[str, int]:
    """Make `staged.<table>` for every table of the dictionary; return skipped rows per table.

    The connection needs the SQL function of `transforms.pseudonyms.install`.
    """
    for schema in (SCHEMA, STORED):
        connection.execute(f"create schema if not exists {identifier(schema)}")
    skipped = {}
    make_enums(connection, mapping)
    connection.execute(f"set disabled_optimizers = '{AS_WRITTEN}'")
    for table in dictionary.tables.values():
        pieces = list(_pieces(connection, table, mapping, dictionary))
        _create(connection, table, pieces)
        skipped[table.name] = sum(_insert(connection, piece) for piece in pieces)
    connection.execute("reset disabled_optimizers")
    return skipped


def _create(connection: duckdb.DuckDBPyConnection, table: Table, pieces: Sequence[Piece]) -> None:
    """Make the empty table of staged rows, and the view of it that has all columns.

    What none of this mapping's conversions makes, and nothing derives, is NULL in the view and
    stored nowhere: most columns are so, and a million times nothing takes time too.
    """
    known = _known_columns(table)
    derived = {field.name for field in table.fields if field.derived or field.name in FILLED_IN}
    needed = {name for piece in pieces for name in piece.made} | derived | BASE.keys()
    stored = {name: kind for name, kind in known.items() if name in needed or not pieces}
    listed = ", ".join(f"{identifier(name)} {kind}" for name, kind in stored.items())
    listed += f", {REJECTED} boolean not null default false"
    rows, view = qualified(STORED, table.name), qualified(SCHEMA, table.name)
    connection.execute(f"create or replace table {rows} ({listed})")
    never = (f", null::{known[name]} as {identifier(name)}" for name in known if name not in stored)
    connection.execute(f"create or replace view {view} as select *{''.join(never)} from {rows}")


def _known_columns(table: Table) -> dict[str, str]:
    """Return all columns that staged rows of a table may have, with their types."""
    fields = {field.name: SQL_TYPES[field.type] for field in table.fields}
    besides = {
        f"{field.name}:{name}": kind for field in table.fields for name, kind in BESIDES.items()
    }
    return {**fields, **besides, **BASE}


def told(stored: AbstractSet[str], name: str, kind: str) -> str:
    """Return a column of staged rows, or NULL of its type where it is not `stored`."""
    return identifier(name) if name in stored else f"null::{kind}"


def stored_columns(connection: duckdb.DuckDBPyConnection, table: str) -> frozenset[str]:
    """Return the columns of `staged.<table>` that may be filled; others are always NULL."""
    return frozenset(connection.table(qualified(STORED, table)).columns) - {REJECTED}


def _pieces(
    connection: duckdb.DuckDBPyConnection, table: Table, mapping: Mapping, dictionary: Dictionary
) -> Iterator[Piece]:
    """Yield what fills `table`, in the order of the sheet `sources`."""
    for source in mapping.sources:
        for bracket, rules in _kinds(table, mapping, source.source):
            parameters = Parameters()
            conversions = convert_all(rules, mapping, parameters, dictionary)
            relation = connection.table(qualified("source", source.source))
            yield Piece(
                table=table,
                source=source,
                bracket=bracket,
                rules=rules,
                conversions=tuple(with_units(conversions, table, dictionary, parameters)),
                columns=tuple(relation.columns),
                parameters=parameters,
            )


def _kinds(
    table: Table, mapping: Mapping, source: str
) -> Iterator[tuple[str | None, tuple[FieldRule, ...]]]:
    """Yield each kind of row that a source fills a table with: its bracket, and the rules."""
    rules = mapping.rules(table.name, source)
    for rule in rules:
        if rule.field == EVENTS:
            yield " ".join(rule.columns), (rule,)
    plain = [rule for rule in rules if rule.field != EVENTS]
    brackets = dict.fromkeys(rule.bracket for rule in plain if rule.bracket is not None)
    for bracket in (brackets or [None]) if plain else ():
        own = [rule for rule in plain if rule.bracket in (None, bracket)]
        named = {rule.field for rule in own if rule.bracket is not None}
        kept = [rule for rule in own if rule.bracket is not None or rule.field not in named]
        yield bracket, tuple(kept)


def _insert(connection: duckdb.DuckDBPyConnection, piece: Piece) -> int:
    """Stage the rows of one piece; return how many rows were skipped."""
    prepare(connection, piece.rules, piece.source)
    query, parameters = staged_query(piece)
    rows = qualified(STORED, piece.table.name)
    connection.execute(f"insert into {rows} by name {query}", parameters)
    if not piece.skips:
        return 0
    ((skipped,),) = connection.execute(*counted_query(piece)).fetchall()
    return int(skipped)
