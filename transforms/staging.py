"""From the readers' text relations to `staged.<table>`: typed columns beside their raw texts.

One insert per (table, source, bracket), composed from the mapping's conversions. A staged row has

    row_id        keyed hash of table, source, file, sheet and bracket, and then the row
    person_id     pseudonym of the person
    person_local  the centre's own person id; written nowhere
    source_id, source_system, source_file, source_sheet, source_row, bracket
    <field>       the value in the field's type
    <field>:raw, <field>:problem, <field>:precision, … what a conversion says besides

Rows that a recode sends elsewhere (`skip`) are counted and not staged. Where a conversion makes
several rows of one source row, the second and later ones say so in `bracket` (`#2`).
"""

from collections.abc import Iterator, Sequence
from collections.abc import Mapping as MappingType
from dataclasses import dataclass

import duckdb

from transforms.conversion_rows import EVENTS, prepare
from transforms.conversions import (
    SQL_TYPES,
    Conversion,
    Parameters,
    convert_all,
    person_sql,
    present_sql,
    text_sql,
)
from transforms.dictionary import DICTIONARY, Dictionary, Table
from transforms.mapping import FieldRule, Mapping, Source
from transforms.sql import identifier, qualified


__all__ = ["BASE", "SCHEMA", "column", "stage", "stored_columns"]

SCHEMA = "staged"
BASE: MappingType[str, str] = {
    "row_id": "varchar",
    "person_id": "varchar",
    "person_local": "varchar",
    "source_id": "varchar",
    "bracket": "varchar",
    "source_system": "varchar",
    "source_file": "varchar",
    "source_sheet": "varchar",
    "source_row": "bigint",
}
PROVENANCE = ("source_file", "source_sheet", "source_row")
TOLD = 2  # the step after which raw texts and the discriminator are known
# What a conversion may say besides its value, and in which type.
BESIDES: MappingType[str, str] = {
    "raw": "varchar",
    "problem": "varchar",
    "precision": "varchar",
    "unit": "varchar",
    "comparator": "varchar",
    "number": "double",
    "factor": "double",
    "age": "double",
    "event": "date",
    "gate": "boolean",
    "closed": "boolean",
}


@dataclass(frozen=True)
class _Piece:
    """The rules that make one kind of row: one table, one source, one bracket or none."""

    table: Table
    source: str
    bracket: str | None
    rules: tuple[FieldRule, ...]


def column(field: str, besides: str) -> str:
    """Return the quoted name of what a conversion says besides a value, such as `raw`."""
    return identifier(f"{field}:{besides}")


def stage(
    connection: duckdb.DuckDBPyConnection, mapping: Mapping, dictionary: Dictionary = DICTIONARY
) -> dict[str, int]:
    """Make `staged.<table>` for every table of the dictionary; return skipped rows per table.

    The connection needs the SQL function of `transforms.pseudonyms.install`.
    """
    connection.execute(f"create schema if not exists {identifier(SCHEMA)}")
    skipped = {}
    for table in dictionary.tables.values():
        pieces = list(_pieces(table, mapping))
        _create(connection, table, _made(pieces, mapping, dictionary))
        skipped[table.name] = sum(
            _insert(connection, piece, mapping, dictionary) for piece in pieces
        )
    return skipped


def _made(pieces: Sequence[_Piece], mapping: Mapping, dictionary: Dictionary) -> frozenset[str]:
    """Return the columns that the conversions of a table's pieces make."""
    found = (
        conversion
        for piece in pieces
        for conversion in convert_all(piece.rules, mapping, Parameters(), dictionary)
    )
    names = ((*one.raw, *one.read, f"{one.field}:problem") for one in found)
    return frozenset(name for made in names for name in made)


def _create(connection: duckdb.DuckDBPyConnection, table: Table, made: frozenset[str]) -> None:
    """Make the empty staging table with a column for all that any conversion may say.

    What none of this mapping's conversions says is a column without storage that is always NULL:
    the database then need not look at it, and most columns are so.
    """
    columns = dict(BASE)
    for field in table.fields:
        if field.name in BASE:
            continue
        columns[field.name] = SQL_TYPES[field.type]
        for name, kind in BESIDES.items():
            besides = f"{field.name}:{name}"
            never = "" if besides in made or not made else f" generated always as (null::{kind})"
            columns[besides] = kind + never
    listed = ", ".join(f"{identifier(name)} {kind}" for name, kind in columns.items())
    connection.execute(f"create or replace table {qualified(SCHEMA, table.name)} ({listed})")


def stored_columns(connection: duckdb.DuckDBPyConnection, table: str) -> frozenset[str]:
    """Return the columns of `staged.<table>` that the mapping fills; others are always NULL."""
    rows = connection.execute(
        "select column_name from information_schema.columns "
        "where table_schema = $1 and table_name = $2 and is_generated = 'NEVER'",
        [SCHEMA, table],
    )
    return frozenset(name for (name,) in rows.fetchall())


def _pieces(table: Table, mapping: Mapping) -> Iterator[_Piece]:
    """Yield what fills `table`, in the order of the sheet `sources`."""
    for source in mapping.sources:
        rules = mapping.rules(table.name, source.source)
        brackets = dict.fromkeys(rule.bracket for rule in rules if rule.bracket is not None)
        for rule in rules:
            if rule.field == EVENTS:
                yield _Piece(table, source.source, " ".join(rule.columns), (rule,))
        plain = [rule for rule in rules if rule.field != EVENTS]
        if not plain:
            continue
        for bracket in brackets or [None]:
            own = [rule for rule in plain if rule.bracket in (None, bracket)]
            named = {rule.field for rule in own if rule.bracket is not None}
            kept = [rule for rule in own if rule.bracket is not None or rule.field not in named]
            yield _Piece(table, source.source, bracket, tuple(kept))


def _insert(
    connection: duckdb.DuckDBPyConnection, piece: _Piece, mapping: Mapping, dictionary: Dictionary
) -> int:
    """Stage the rows of one piece; return how many rows were skipped."""
    parameters = Parameters()
    prepare(connection, piece.rules, mapping.source(piece.source))
    conversions = convert_all(piece.rules, mapping, parameters, dictionary)
    steps = _steps(piece, conversions, mapping, parameters)
    parameters["table"] = piece.table.name
    insert = INSERT.format(staged=qualified(SCHEMA, piece.table.name), steps=steps)
    connection.execute(insert, parameters)
    if all(one.skip == "false" and one.rows is None for one in conversions):
        return 0
    del parameters["table"]
    count = f"with {steps} select count(*) from converted where skipped"
    ((skipped,),) = connection.execute(count, parameters).fetchall()
    return int(skipped)


# Persons and places are far fewer than rows, so that hashing costs nothing by row.
INSERT = """
    insert into {staged} by name
    with {steps},
    persons as materialized (
        select person_local, pseudonym('P', person_local) as person_id
        from (select distinct person_local from step_2)
    ),
    places as materialized (
        select source_file, source_sheet, bracket, substr(pseudonym('R', concat_ws(
            '\x1f', $table, source_id, source_file, coalesce(source_sheet, ''),
            coalesce(bracket, '')
        )), 1, 15) as place
        from (select distinct source_id, source_file, source_sheet, bracket from converted)
    )
    select converted.* exclude (skipped), person_id,
        place || format('{{:010x}}', source_row) as row_id
    from converted
    left join persons using (person_local)
    join places on places.source_file = converted.source_file
        and places.source_sheet is not distinct from converted.source_sheet
        and places.bracket is not distinct from converted.bracket
    where not skipped
"""


def _steps(
    piece: _Piece, conversions: list[Conversion], mapping: Mapping, parameters: Parameters
) -> str:
    """Return named queries, the last one `converted`: the staged rows of one piece.

    One step after the other: raw texts of rows that say something, the discriminator, everything
    else that is read from a text, values, problems; then whether to skip each row.
    """
    source = mapping.source(piece.source)
    raw = {name: sql for conversion in conversions for name, sql in conversion.raw.items()}
    local = person_sql(source, parameters)
    told = [one for one in conversions if one.field == piece.table.discriminator]
    rest = [one for one in conversions if one.field != piece.table.discriminator]
    given = {}
    if piece.bracket is not None and piece.table.discriminator is not None:
        given = {piece.table.discriminator: f"{parameters.add(piece.bracket)}::varchar"}
    steps = [
        given | {name: sql for one in told for name, sql in one.read.items()},
        {one.field: one.value for one in told},
        {name: sql for one in rest for name, sql in one.read.items()},
        {one.field: one.value for one in rest},
        {f"{one.field}:problem": one.problem for one in conversions},
    ]
    query = (
        f"select {', '.join([f'{local} as person_local', *PROVENANCE, *_named(raw)])} "
        f"from {qualified('source', source.source)}{_repeated(source, parameters)}"
    )
    query = f"select * from ({query}) where {_presence(piece, conversions)}"
    query, number, skips = _rows(query, conversions)
    bracket = parameters.add(piece.bracket)
    origin = {
        "source_id": f"{parameters.add(source.source)}::varchar",
        "source_system": f"{parameters.add(source.system or source.format)}::varchar",
        "bracket": f"nullif(concat_ws('#', {bracket}::varchar, {number}), '')",
        "skipped": " or ".join([*skips, *(conversion.skip for conversion in conversions)]),
    }
    columns = [name for step in (raw, *steps) for name in step if _kept(name)]
    kept = ["person_local", *PROVENANCE, *map(identifier, columns), *_named(origin)]
    named = [f"step_0 as not materialized ({query})"]
    made = dict.fromkeys(raw, 0)
    for n, step in enumerate(steps, start=1):
        kind = "materialized" if n == TOLD else "not materialized"
        named.append(f"step_{n} as {kind} ({_step(n, step, made)})")
        made |= dict.fromkeys(step, n)
    converted = f"select {', '.join(kept)} from step_{len(steps)}"
    return ", ".join([*named, f"converted as not materialized ({converted})"])


def _step(number: int, step: MappingType[str, str], made: MappingType[str, int]) -> str:
    """Return the query that adds the columns of one step; `made` says which step made the others.

    What takes long to find out is found out once for each distinct text, and joined.
    """
    plain, by_text = dict(step), dict[tuple[str, ...], dict[str, str]]()
    for name, sql in step.items():
        texts = tuple(one for one in made if identifier(one) in sql)
        if texts and _is_slow(sql) and all(_is_text(one, made[one]) for one in texts):
            by_text.setdefault(texts, {})[name] = plain.pop(name)
    rows = f"step_{number - 1}"
    columns, joins = [f"{rows}.*"], []
    for n, (texts, slow) in enumerate(by_text.items()):
        keys = [f"{identifier(text)} as key_{i}" for i, text in enumerate(texts)]
        listed = ", ".join(map(identifier, texts))
        distinct = f"select distinct {listed} from step_{min(number - 1, TOLD)}"
        same = (
            f"{rows}.{identifier(text)} is not distinct from text_{n}.key_{i}"
            for i, text in enumerate(texts)
        )
        joins.append(
            f"join (select {', '.join([*keys, *_named(slow)])} from ({distinct})) "
            f"as text_{n} on {' and '.join(same)}"
        )
        columns += [f"text_{n}.{identifier(name)}" for name in slow]
    return " ".join([f"select {', '.join([*columns, *_named(plain)])} from {rows}", *joins])


def _is_slow(sql: str) -> bool:
    """Return whether an expression costs more than to look its result up."""
    return "regexp_" in sql or "map(" in sql


def _is_text(name: str, step: int) -> bool:
    """Return whether a column has few distinct values: a source's text, or the discriminator."""
    return step == 0 or (step <= TOLD and ":" not in name)


def _rows(query: str, conversions: list[Conversion]) -> tuple[str, str, list[str]]:
    """Return the query with a row per element where a conversion makes several rows.

    Besides: the expression of an element's number from the second on, and what is to be skipped.
    """
    several = [one for one in conversions if one.rows is not None]
    if not several:
        return query, "null", []
    (one,) = several
    rows, item = column(one.field, "rows"), column(one.field, "item")
    listed = f"select *, {one.rows} as {rows} from ({query})"
    filled = f"case when coalesce(len({rows}), 0) = 0 then [null] else {rows} end"
    query = (
        f"select *, unnest({filled}) as {item}, generate_subscripts({filled}, 1) as marmor_number "
        f"from ({listed})"
    )
    number = "case when marmor_number > 1 then marmor_number::varchar end"
    return query, number, [f"coalesce(len({rows}) = 0, false)"]


def _kept(name: str) -> bool:
    """Return whether a column of a conversion is one of the staged table's."""
    return name.partition(":")[2] in ("", *BESIDES)


def _repeated(source: Source, parameters: Parameters) -> str:
    """Return the condition that the source's repeat key, if it has one, holds something."""
    if not source.repeat_key:
        return ""
    return f" where {text_sql(source.repeat_key, source, parameters)} is not null"


def _named(columns: MappingType[str, str]) -> list[str]:
    """Return `expression as name` for each column."""
    return [f"{sql} as {identifier(name)}" for name, sql in columns.items()]


def _presence(piece: _Piece, conversions: list[Conversion]) -> str:
    """Return the condition that a source row says anything about this piece.

    Bracketed: one of the bracketed fields holds something. Otherwise one of all fields; a
    checkbox counts only where there is nothing else, because it is 0 in every exported row.
    """
    if any(rule.bracket is not None for rule in piece.rules):
        own = {rule.field for rule in piece.rules if rule.bracket is not None}
    else:
        own = {rule.field for rule in piece.rules if rule.rule != "checkbox"}
    tests = [present_sql(conversion) for conversion in conversions if conversion.field in own]
    if set(tests) <= {"false"}:
        tests = [present_sql(conversion) for conversion in conversions]
    return " or ".join(test for test in tests if test != "false") or "true"
