"""The cross-field rules R01 …: named SQL over the harmonized tables, declared in `rules.toml`.

`apply_rules` runs them one after the other: what a hard rule finds is noted in `violations` and
taken away before the next one looks, so that nothing is judged by a row that is itself wrong. Rules
on single fields (`range`, `unknown_code`, R80 …) come before, in `transforms.limits`.
"""

import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import duckdb

from transforms.dictionary import DICTIONARY, Dictionary, Table
from transforms.identifiers import DETECTORS, condition
from transforms.sql import identifier
from transforms.staging import column


__all__ = ["RULES", "Rule", "apply_rules"]

Severity = Literal["hard", "soft", "info"]

# Made by harmonization itself: nothing that a person typed is in them.
MADE_HERE = ("person_id", "family_id", "unit_ucum", "value_source_unit")


@dataclass(frozen=True)
class Rule:
    """One rule: what holds in words, what to do when it does not, and the SQL that finds out.

    `sql` gives `"table"`, `row_id` and `field` of each row that breaks the rule.
    """

    id: str
    severity: Severity
    tables: tuple[str, ...]
    statement: str
    remedy: str
    sql: str


def apply_rules(connection: duckdb.DuckDBPyConnection, dictionary: Dictionary = DICTIONARY) -> None:
    """Apply all rules to the tables of `connection`; note findings, take rejected rows away.

    Needs the tables with `row_id`, `run(ingest_date)`, `codelist.*` and `violations`.
    """
    _relations(connection, dictionary)
    for rule in RULES:
        connection.execute(
            f"insert into violations select distinct found.*, $1, $2, $3 from ({rule.sql}) found",
            [rule.id, rule.severity, rule.remedy],
        )
        if rule.severity == "hard":
            _take_away(connection, rule)


def _take_away(connection: duckdb.DuckDBPyConnection, rule: Rule) -> None:
    """Delete the rows that a hard rule found."""
    for table in rule.tables:
        connection.execute(
            f"delete from {identifier(table)} where row_id in "
            "(select row_id from violations where table_name = $1 and rule = $2)",
            [table, rule.id],
        )


def _relations(connection: duckdb.DuckDBPyConnection, dictionary: Dictionary) -> None:
    """Make the views that rules speak of besides tables; `rules.toml` says what is in them."""
    events = " union all ".join(
        f"select '{table.name}' as \"table\", row_id, person_id, '{field.name}' as field, "
        f"{_span(field.name)} from {identifier(table.name)} "
        f"where {identifier(field.name)} is not null"
        for table in dictionary.tables.values()
        for field in table.fields
        if field.type == "date" and field.name != "birth_date"
    )
    connection.execute(f"create or replace temp view event as {events}")
    connection.execute(
        f"create or replace temp view born as select person_id, {_span('birth_date')} from person"
    )
    connection.execute("""
        create or replace temp view allele as
        select distinct person_id, gene_symbol, coalesce(hgvs_c, row_id) as variant, zygosity, case
            when zygosity in ('homozygous', 'compound_heterozygous') then 2 else 1 end as alleles
        from variant where coalesce(interpretation_status, '') <> 'rejected'
    """)
    connection.execute("""
        create or replace temp view main_dx as
        select diagnosis.person_id, row_id, dx_subtype, dx_status, inheritance, genes, "class"
        from diagnosis join codelist.dx_subtype as subtype on subtype.code = dx_subtype
        where dx_status is distinct from 'refuted'
        qualify row_number() over (
            partition by person_id order by coalesce(dx_rank, 1), dx_date nulls last, row_id
        ) = 1
    """)


def _span(field: str) -> str:
    """Return `earliest` and `latest`: the days that a date of lesser precision may mean."""
    date, precision = identifier(field), column(field, "precision")
    new_year = f"(date_trunc('year', {date}) + interval 1 year)::date"
    return (
        f"case {precision} when 'year' then date_trunc('year', {date})::date "
        f"when 'month' then date_trunc('month', {date})::date "
        f"when 'age_only' then {date} - 366 else {date} end as earliest, "
        f"case {precision} when 'year' then {new_year} - 1 "
        f"when 'month' then last_day({date}) "
        f"when 'age_only' then {date} + 366 else {date} end as latest"
    )


def _orphans(dictionary: Dictionary) -> dict[str, str]:
    """Return the SQL of R04 by table: rows whose person is not there."""
    return {
        table.name: f"select '{table.name}' as \"table\", row_id, 'person_id' as field "
        f"from {identifier(table.name)} where person_id not in (select person_id from person)"
        for table in dictionary.tables.values()
        if any(field.references == "person.person_id" for field in table.fields)
    }


def _identifying(dictionary: Dictionary) -> dict[str, str]:
    """Return the SQL of R90 by table: texts that a person typed and that hold an identifier."""
    return {
        table.name: " union all ".join(
            f"select '{table.name}' as \"table\", row_id, '{field}' as field "
            f"from {identifier(table.name)} where {_holds_identifier(field)}"
            for field in fields
        )
        for table in dictionary.tables.values()
        if (fields := list(_typed_texts(table)))
    }


def _holds_identifier(field: str) -> str:
    """Return the condition that one of the detectors finds something in a field."""
    return " or ".join(condition(identifier(field), one) for one in DETECTORS.values())


def _typed_texts(table: Table) -> Iterator[str]:
    """Yield the names of text fields that hold what a person typed."""
    for field in table.fields:
        made = field.name in (*table.key, *MADE_HERE) or field.name.startswith("source_")
        if field.type == "string" and not made:
            yield field.name


def _load(path: Path, dictionary: Dictionary = DICTIONARY) -> tuple[Rule, ...]:
    """Read the rules in their order; R04 and R90 follow from the dictionary."""
    made = {"R04": _orphans(dictionary), "R90": _identifying(dictionary)}
    return tuple(
        Rule(
            id=rule_id,
            severity=data["severity"],
            tables=tuple(made.get(rule_id, data.get("tables", ()))),
            statement=data["statement"],
            remedy=data["remedy"],
            sql=" union all ".join(made[rule_id].values()) if rule_id in made else data["sql"],
        )
        for rule_id, data in tomllib.loads(path.read_text(encoding="utf-8")).items()
    )


RULES = _load(Path(__file__).with_name("rules.toml"))
