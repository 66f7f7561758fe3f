"""Makes one row of what several sources, or overlapping exports, say of the same thing.

`merge_sources` works on staged rows, between consent and derived fields:

- A row that comes again in another file with the same values is counted once (rule R95, info).
- What several files say of one person (tables person and death_followup) becomes one row: each
  field is taken from the first file that has a value. First contact is the earliest, last contact
  the latest. Another disagreement keeps the first file's value and is flagged (R94, soft).
- A contradiction about birth, sex, karyotype or death rejects all rows of the person in that table;
  the remedy names the places (R93, hard).

Two entries in the same file are left to rule R05.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import duckdb

from transforms.dates import ends
from transforms.dictionary import DICTIONARY, Dictionary, Table
from transforms.mapping import NOT_HELD, Mapping
from transforms.rule_checks import filled
from transforms.sql import identifier, qualified
from transforms.staging import BASE, SCHEMA, STORED, column, stored_columns


__all__ = ["merge_sources"]

ONE_PER_PERSON = ("person", "death_followup")
# Fields that decide who somebody is and whether they live: two values make a contradiction.
DECISIVE = {"person": ("sex_at_birth", "karyotypic_sex"), "death_followup": ()}
DECISIVE_DATES = {"person": "birth_date", "death_followup": "death_date"}
# Dates of which the earliest or the latest is right, and what follows from the latest.
ORDERED = {
    "first_contact_date": "first_contact_date asc nulls last",
    "last_contact_date": "last_contact_date desc nulls last",
    "vital_status": "vital_status = 'dead' desc nulls last, last_contact_date desc nulls last",
}
DISAGREE = "the sources disagree and the first one is used; correct the other"
REPEATED = "this row came more than once and is counted once; take old exports out of the inbox"
NOTHING = ("unknown", "undetermined")
COMPARED = ("precision", "age", "event", "comparator")


@dataclass(frozen=True)
class _Merge:
    """One table whose rows of several files become one per person."""

    connection: duckdb.DuckDBPyConnection
    table: Table

    @property
    def staged(self) -> str:
        """The quoted name of the staged table."""
        return qualified(SCHEMA, self.table.name)

    @property
    def stored(self) -> str:
        """The quoted name of the table behind it."""
        return qualified(STORED, self.table.name)

    @property
    def fields(self) -> tuple[str, ...]:
        """The fields that sources fill."""
        own = (*self.table.key, "person_id", *BASE)
        return tuple(
            field.name
            for field in self.table.fields
            if field.name not in own and not field.name.startswith("source_")
        )


def merge_sources(
    connection: duckdb.DuckDBPyConnection, mapping: Mapping, dictionary: Dictionary = DICTIONARY
) -> dict[str, dict[str, int]]:
    """Merge staged rows in place; return rows left away as repeated, and rows merged, by table."""
    repeated = {
        table.name: _leave_repeated(connection, table, mapping)
        for table in dictionary.tables.values()
    }
    merged = {name: _unite(_Merge(connection, dictionary.tables[name])) for name in ONE_PER_PERSON}
    return {
        "repeated_rows": {name: count for name, count in repeated.items() if count},
        "merged_rows": {name: count for name, count in merged.items() if count},
    }


def _leave_repeated(connection: duckdb.DuckDBPyConnection, table: Table, mapping: Mapping) -> int:
    """Take away rows whose values stand in an earlier file for the same person; return how many."""
    staged = qualified(STORED, table.name)
    values = ", ".join(_values(table, mapping, stored_columns(connection, table.name)))
    if not values or not _several_files(connection, table):
        return 0
    connection.execute(
        f"create or replace temp table repeated as with told as (select row_id, person_id, "
        f"source_id, source_file, source_sheet, source_row, row({values}) as said from {staged} "
        "where person_id is not null), "
        # few are told twice: only those are put in order
        "twice as (select person_id, said from told group by all "
        "having count(distinct (source_id, source_file)) > 1), "
        "counted as (select *, row_number() over ("
        "partition by person_id, source_id, source_file, said order by source_row, row_id) as copy "
        "from told semi join twice using (person_id, said)) "
        "select row_id, row_number() over same as nth, "
        "count(*) over (partition by person_id, said, copy) as times from counted "
        "window same as (partition by person_id, said, copy "
        "order by source_file, source_sheet, source_row, row_id)"
    )
    connection.execute(
        "insert into violations select $1, row_id, $2, 'R95', 'info', $3 from repeated "
        "where times > 1 and nth = 1",
        [table.name, "person_id", REPEATED],
    )
    ((count,),) = connection.execute(
        f"delete from {staged} where row_id in (select row_id from repeated where nth > 1)"
    ).fetchall()
    return int(count)


def _several_files(connection: duckdb.DuckDBPyConnection, table: Table) -> bool:
    """Return whether the rows of a table come from more than one file."""
    files = f"select distinct source_id, source_file from {qualified(STORED, table.name)} limit 2"
    return len(connection.execute(files).fetchall()) > 1


def _values(table: Table, mapping: Mapping, columns: frozenset[str]) -> Iterator[str]:
    """Yield in what two rows must be alike: values, and texts that could not be read."""
    rules = [rule for rule in mapping.fields if rule.table == table.name]
    named = dict.fromkeys(
        name for rule in rules if rule.rule not in NOT_HELD for name in filled(rule)
    )
    if not named:
        return
    if table.discriminator is not None:
        named[table.discriminator] = None
    for name in named:
        yield identifier(name)
        if f"{name}:problem" in columns:
            raw, problem = column(name, "raw"), column(name, "problem")
            yield f"case when {problem} is not null then {raw} end"
        yield from (column(name, said) for said in COMPARED if f"{name}:{said}" in columns)


def _unite(merge: _Merge) -> int:
    """Make one row per person of the rows of several files; return how many rows went into it."""
    if not _several_files(merge.connection, merge.table):
        return 0
    merge.connection.execute(
        f"create or replace temp table several as with firsts as (select *, row_number() over ("
        f"partition by person_id, source_id, source_file "
        "order by source_sheet, source_row, row_id) "
        f"as marmor_entry from {merge.staged} where person_id is not null) "
        "select * exclude (marmor_entry), row_number() over ("
        "partition by person_id order by source_file, source_sheet, source_row, row_id) "
        "as marmor_rank from firsts where marmor_entry = 1 "
        "qualify count(*) over (partition by person_id) > 1"
    )
    ((rows,),) = merge.connection.execute("select count(*) from several").fetchall()
    if not rows:
        return 0
    _reject_contradictions(merge)
    _flag_disagreements(merge)
    _replace(merge)
    ((united,),) = merge.connection.execute("select count(*) from several").fetchall()
    return int(united)


def _reject_contradictions(merge: _Merge) -> None:
    """Note R93 for every row of a person about whom sources contradict each other."""
    for field, contradiction in _contradictions(merge.table):
        merge.connection.execute(
            "create or replace temp table contradicted as select person_id, string_agg("
            "source_file || ' row ' || source_row, ' and ' order by marmor_rank) as places "
            f"from several group by person_id having {contradiction}"
        )
        merge.connection.execute(
            "insert into violations select $1, row_id, $2, 'R93', 'hard', places || "
            "' contradict each other; find out which is right and correct the other' "
            "from several join contradicted using (person_id)",
            [merge.table.name, field],
        )
    merge.connection.execute(
        "delete from several where row_id in (select row_id from violations where rule = 'R93')"
    )


def _contradictions(table: Table) -> Iterator[tuple[str, str]]:
    """Yield field and condition, over the rows of one person, of what contradicts."""
    for field in DECISIVE[table.name]:
        yield field, f"count(distinct {_said(field)}) > 1"
    date = DECISIVE_DATES[table.name]
    span = ends(identifier(date), column(date, "precision"))
    yield date, f"max({span['earliest']}) > min({span['latest']})"
    if table.name == "death_followup":
        dead = f"min({span['latest']}) filter (where vital_status = 'dead')"
        seen = "max(last_contact_date) filter (where vital_status in ('alive', 'lost'))"
        # whoever was seen on the day of death was alive that day
        same_day = (
            "count(distinct last_contact_date) = 1 and count(distinct vital_status) > 1 "
            "and coalesce(max(last_contact_date) <> max(death_date), true)"
        )
        yield "vital_status", f"{seen} > {dead} or {same_day}"


def _said(field: str) -> str:
    """Return a field's value as text, NULL where it says nothing."""
    text = f"{identifier(field)}::varchar"
    return f"case when {text} not in {NOTHING} then {text} end"


def _flag_disagreements(merge: _Merge) -> None:
    """Note R94 for fields of which two sources say different things that decide nothing."""
    decided = (*DECISIVE[merge.table.name], DECISIVE_DATES[merge.table.name], *ORDERED)
    for field in merge.fields:
        if field not in decided and "consent" not in field:
            merge.connection.execute(
                "insert into violations select $1, first(row_id order by marmor_rank), $2, 'R94', "
                f"'soft', $3 from several group by person_id "
                f"having count(distinct {_said(field)}) > 1",
                [merge.table.name, field, DISAGREE],
            )


def _replace(merge: _Merge) -> None:
    """Put one row in the place of the rows that go together."""
    columns = sorted(stored_columns(merge.connection, merge.table.name) - {"person_id"})
    listed = ", ".join(f"{_chosen(merge, name)} as {identifier(name)}" for name in columns)
    merge.connection.execute(
        f"create or replace temp table united as select person_id, {listed} "
        "from several group by person_id"
    )
    merge.connection.execute(
        f"delete from {merge.stored} where row_id in (select row_id from several)"
    )
    merge.connection.execute(f"insert into {merge.stored} by name select * from united")


def _chosen(merge: _Merge, name: str) -> str:
    """Return the aggregate that picks a column: with its field, from the first that has a value."""
    field = name.partition(":")[0]
    order = "marmor_rank"
    if field in ORDERED and field in merge.fields:
        order = f"{ORDERED[field]}, marmor_rank"
    elif field in merge.fields:
        order = f"({_said(field)}) is null, marmor_rank"
    return f"first({identifier(name)} order by {order})"
