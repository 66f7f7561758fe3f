"""The query that stages one kind of row of one source: each text is read once, rows join the rest.

Exports repeat themselves: a million laboratory rows hold some thousand dates, numbers and persons.
So what takes long to find out of texts is found out for each distinct combination of them, in one
`lookup` per set of source columns, and the rows only join what was found. What is cheap, or follows
from more than texts, is computed row by row. Columns are made in steps, each of which sees what the
steps before it made: raw texts, the discriminator, what else is read from a text, values, problems.
"""

from collections.abc import Iterable, Iterator, Sequence
from collections.abc import Mapping as MappingType
from dataclasses import dataclass

from transforms.conversions import Conversion, Parameters, person_sql, present_sql, text_sql
from transforms.dictionary import Table
from transforms.mapping import FieldRule, Source
from transforms.sql import identifier, qualified
from transforms.staging_enums import ENUMS


__all__ = ["BESIDES", "Piece", "counted_query", "staged_query"]

PROVENANCE = ("source_file", "source_sheet", "source_row")
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
MOST_KEYS = 4  # source columns of a lookup: of more there are as many combinations as rows
PLACE, PLACE_DIGITS = "marmor:place", 15  # what the ids of rows of one place begin with
# Signs of an expression that costs more than to look its result up.
SLOW = ("regexp_", "map(", "pseudonym(")


@dataclass(frozen=True)
class Piece:
    """The rules that make one kind of row: one table, one source, one bracket or none.

    `columns` are those of the source's relation, `parameters` what the conversions refer to.
    """

    table: Table
    source: Source
    bracket: str | None
    rules: tuple[FieldRule, ...]
    conversions: tuple[Conversion, ...]
    columns: tuple[str, ...]
    parameters: Parameters

    @property
    def made(self) -> tuple[str, ...]:
        """The columns that the conversions make, in no order; some are not kept."""
        told = self.table.discriminator if self.bracket is not None else None
        names = [(one.field, *one.raw, *one.read, *_problem(one)) for one in self.conversions]
        return (*([told] if told else ()), *(name for several in names for name in several))

    @property
    def skips(self) -> tuple[str, ...]:
        """The conditions under which a row makes no staged row."""
        lists = [_list_of(one) for one in self.conversions if one.rows is not None]
        skips = [one.skip for one in self.conversions if one.skip != "false"]
        return (*(f"coalesce(len({made}) = 0, false)" for made in lists), *skips)

    @property
    def relation(self) -> str:
        """The quoted name of the source's relation."""
        return qualified("source", self.source.source)


@dataclass(frozen=True)
class _Column:
    """A column that is made: in which step, of which others, and of which source columns.

    `texts` is None for what does not follow from texts of the source alone.
    """

    name: str
    sql: str
    step: int
    others: tuple[str, ...]
    texts: frozenset[str] | None

    @property
    def is_slow(self) -> bool:
        """Whether to look its result up is cheaper than to compute it."""
        keys = 0 if self.texts is None else len(self.texts)
        return 0 < keys <= MOST_KEYS and any(sign in self.sql for sign in SLOW)


Columns = MappingType[str, _Column]


def staged_query(piece: Piece) -> tuple[str, Parameters]:
    """Return the query for the staged rows of one piece, without those that are skipped."""
    parameters = Parameters(piece.parameters)
    columns, bracket = _columns(piece, parameters), _bracket(piece, parameters)
    place = identifier(PLACE) if PLACE in columns else _place(piece, parameters, bracket)
    system = piece.source.system or piece.source.format
    origin = {
        "source_id": f"{parameters.add(piece.source.source)}::varchar::{ENUMS['source_id']}",
        "source_system": f"{parameters.add(system)}::varchar::{ENUMS['source_system']}",
        "bracket": bracket,
        "row_id": f"{place} || lower(to_base(source_row, 16, 10))",
    }
    kept = [*PROVENANCE, *filter(_is_kept, columns)]
    listed = ", ".join([*map(identifier, kept), *_named(origin)])
    where = f" where not ({' or '.join(piece.skips)})" if piece.skips else ""
    return f"select {listed} from ({_rows(piece, columns, parameters)}){where}", parameters


def counted_query(piece: Piece) -> tuple[str, Parameters]:
    """Return the query for the number of rows that are skipped."""
    parameters = Parameters(piece.parameters)
    rows = _rows(piece, _columns(piece, parameters), parameters)
    return f"select count(*) from ({rows}) where {' or '.join(piece.skips)}", parameters


def _problem(conversion: Conversion) -> dict[str, str]:
    """Return the column that says what is wrong, if anything can be."""
    if conversion.problem == "null":
        return {}
    return {f"{conversion.field}:problem": conversion.problem}


def _bracket(piece: Piece, parameters: Parameters) -> str:
    """Return the expression of the column `bracket`."""
    bracket = f"{parameters.add(piece.bracket)}::varchar"
    if all(one.rows is None for one in piece.conversions):
        return bracket
    number = "case when marmor_number > 1 then marmor_number::varchar end"
    return f"nullif(concat_ws('#', {bracket}, {number}), '')"


def _place(piece: Piece, parameters: Parameters, bracket: str) -> str:
    """Return the expression of what the ids of rows of one file, sheet and bracket begin with."""
    table = f"{parameters.add(piece.table.name)}::varchar"
    source = f"{parameters.add(piece.source.source)}::varchar"
    sheet = "coalesce(\"source_sheet\", '')"
    parts = f"{table}, {source}, \"source_file\", {sheet}, coalesce({bracket}, '')"
    return f"substr(pseudonym('R', concat_ws('\x1f', {parts})), 1, {PLACE_DIGITS})"


def _columns(piece: Piece, parameters: Parameters) -> dict[str, _Column]:
    """Return all columns that are made for a piece, in order."""
    place = {}
    if all(one.rows is None for one in piece.conversions):
        place[PLACE] = _place(piece, parameters, _bracket(piece, parameters))
    discriminator = piece.table.discriminator
    told = [one for one in piece.conversions if one.field == discriminator]
    rest = [one for one in piece.conversions if one.field != discriminator]
    given = {}
    if piece.bracket is not None and discriminator is not None:
        given = {discriminator: f"{parameters.add(piece.bracket)}::varchar"}
    local = {"person_local": person_sql(piece.source, parameters)}
    pseudonym = {"person_id": f"pseudonym('P', \"person_local\")::{ENUMS['person_id']}"}
    steps = [
        local | place | {name: sql for one in piece.conversions for name, sql in one.raw.items()},
        pseudonym | given | {name: sql for one in told for name, sql in one.read.items()},
        {one.field: one.value for one in told},
        {name: sql for one in rest for name, sql in one.read.items()},
        {one.field: one.value for one in rest},
        {name: sql for one in piece.conversions for name, sql in _problem(one).items()},
    ]
    made: dict[str, _Column] = {}
    for number, step in enumerate(steps):
        before = dict(made)
        for name, sql in step.items():
            made[name] = _column(name, sql, number, piece.columns, before)
    return made


def _column(name: str, sql: str, step: int, texts: Iterable[str], before: Columns) -> _Column:
    """Return a column with what it is made of."""
    if step == 0:
        return _Column(name, sql, step, (), frozenset(t for t in texts if identifier(t) in sql))
    others = tuple(one for one in before if identifier(one) in sql)
    keys = [before[one].texts for one in others]
    if ':item"' in sql or any(key is None for key in keys):
        return _Column(name, sql, step, others, None)
    return _Column(name, sql, step, others, frozenset().union(*(key or () for key in keys)))


def _rows(piece: Piece, columns: Columns, parameters: Parameters) -> str:
    """Return the query for all rows of the source that say something, with all columns."""
    slow = (one.texts for one in columns.values() if one.texts and one.is_slow)
    lookups = list(dict.fromkeys(slow))
    where = {one.name: _found_in(one, lookups) for one in columns.values()}
    plain = [one for one in columns.values() if where[one.name] is None]
    keys = dict.fromkeys(text for texts in lookups for text in _in_order(texts, piece))
    held = {name: _key(place) for place, name in enumerate(keys)}
    first = {one.name: one.sql for one in plain if one.step == 0}
    named = [f"{identifier(text)} as {key}" for text, key in held.items()]
    told = f"select {', '.join([*PROVENANCE, *named, *_named(first)])} from {piece.relation}"
    queries = [f"told as not materialized ({told}{_repeated(piece.source, parameters)})"]
    listed, joins = ["told.*"], []
    for number, texts in enumerate(lookups):
        found = [one for one in columns.values() if where[one.name] == texts]
        name, by = f"lookup_{number}", list(_in_order(texts, piece))
        queries.append(f"{name} as not materialized ({_lookup(piece, columns, found, by)})")
        same = (f"told.{held[t]} is not distinct from {name}.{_key(i)}" for i, t in enumerate(by))
        joins.append(f"left join {name} on {' and '.join(same)}")
        listed += [f"{name}.{identifier(one.name)}" for one in found]
    joined = f"with {', '.join(queries)} select {', '.join(listed)} from told {' '.join(joins)}"
    rows = _unnested(f"select * from ({joined}) where {_presence(piece)}", piece.conversions)
    return _in_steps(rows, [one for one in plain if one.step > 0])


def _found_in(column: _Column, lookups: Sequence[frozenset[str]]) -> frozenset[str] | None:
    """Return the smallest lookup that can tell a column; None when it is computed by row."""
    able = [texts for texts in lookups if column.texts and column.texts <= texts]
    return min(able, key=len, default=None)


def _lookup(piece: Piece, columns: Columns, found: Sequence[_Column], by: Sequence[str]) -> str:
    """Return the query for columns that follow from the source columns `by`: a row per distinct."""
    needed = _needed(columns, found)
    listed = ", ".join(map(identifier, by))
    keys = [f"{identifier(text)} as {_key(place)}" for place, text in enumerate(by)]
    first = {one.name: one.sql for one in needed if one.step == 0}
    rows = f"select {', '.join([*keys, *_named(first)])} from " + (
        f"(select distinct {listed} from {piece.relation})"
    )
    told = [*(_key(place) for place in range(len(by))), *(identifier(one.name) for one in found)]
    steps = _in_steps(rows, [one for one in needed if one.step > 0])
    return f"select {', '.join(told)} from ({steps})"


def _needed(columns: Columns, wanted: Iterable[_Column]) -> list[_Column]:
    """Return columns and all that they are made of, in order."""
    names, waiting = set[str](), [one.name for one in wanted]
    while waiting:
        name = waiting.pop()
        if name not in names:
            names.add(name)
            waiting += columns[name].others
    return [one for name, one in columns.items() if name in names]


def _in_steps(rows: str, columns: Sequence[_Column]) -> str:
    """Return the query that adds columns to `rows`, one step after the other."""
    for step in sorted({one.step for one in columns}):
        made = {one.name: one.sql for one in columns if one.step == step}
        rows = f"select *, {', '.join(_named(made))} from ({rows})"
    return rows


def _unnested(rows: str, conversions: Sequence[Conversion]) -> str:
    """Return the query with a row per element where a conversion makes several of one row.

    The list stays beside its elements, which are numbered; an empty list keeps one row.
    """
    several = [one for one in conversions if one.rows is not None]
    if not several:
        return rows
    (one,) = several
    made, item = _list_of(one), identifier(f"{one.field}:item")
    filled = f"case when coalesce(len({made}), 0) = 0 then [null] else {made} end"
    return (
        f"select *, unnest({filled}) as {item}, generate_subscripts({filled}, 1) as marmor_number "
        f"from (select *, {one.rows} as {made} from ({rows}))"
    )


def _list_of(conversion: Conversion) -> str:
    """Return the quoted name of the list whose elements become rows."""
    return identifier(f"{conversion.field}:rows")


def _in_order(texts: Iterable[str] | None, piece: Piece) -> Iterator[str]:
    """Yield source columns in the order of the source."""
    wanted = frozenset(texts or ())
    return (name for name in piece.columns if name in wanted)


def _key(place: int) -> str:
    """Return the quoted name of a column by which rows are joined to what was found."""
    return identifier(f"marmor key {place}")


def _is_kept(name: str) -> bool:
    """Return whether a column of a conversion is one of the staged table's."""
    return ":" not in name or name.partition(":")[2] in BESIDES


def _repeated(source: Source, parameters: Parameters) -> str:
    """Return the condition that the source's repeat key, if it has one, holds something."""
    if not source.repeat_key:
        return ""
    return f" where {text_sql(source.repeat_key, source, parameters)} is not null"


def _named(columns: MappingType[str, str]) -> list[str]:
    """Return `expression as name` for each column."""
    return [f"{sql} as {identifier(name)}" for name, sql in columns.items()]


def _presence(piece: Piece) -> str:
    """Return the condition that a source row says anything about this piece.

    Bracketed: one of the bracketed fields holds something. Otherwise one of all fields; a
    checkbox counts only where there is nothing else, because it is 0 in every exported row.
    """
    if any(rule.bracket is not None for rule in piece.rules):
        own = {rule.field for rule in piece.rules if rule.bracket is not None}
    else:
        own = {rule.field for rule in piece.rules if rule.rule != "checkbox"}
    tests = [present_sql(one) for one in piece.conversions if one.field in own]
    if set(tests) <= {"false"}:
        tests = [present_sql(one) for one in piece.conversions]
    return " or ".join(test for test in tests if test != "false") or "true"
