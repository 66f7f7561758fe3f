"""The cross-field rules R01 …: named SQL over the harmonized tables, declared in `rules.toml`.

`apply_rules` runs them one after the other: what a hard rule finds is noted in `violations` and
taken away before the next one looks, so that nothing is judged by a row that is itself wrong. Rules
on single fields (`range`, `unknown_code`, R80 …) come before, in `transforms.limits`; rules that
other parts keep are declared here too, and say which part (`elsewhere`).

A rule costs nothing where its tables are empty: it is not run.
"""

import tomllib
from collections.abc import Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import duckdb

from transforms.constants import load_constants
from transforms.dates import ends
from transforms.dictionary import DICTIONARY, Dictionary, Table
from transforms.identifiers import KNOWN, anything_sql, words_sql
from transforms.settle import reject
from transforms.sql import identifier
from transforms.staging import column


__all__ = ["RULES", "Rule", "apply_rules", "typed_texts"]

Severity = Literal["hard", "soft", "info"]

# How the pattern of a text ends that may hold anything: such a text is no code.
ANYTHING = ".+$"
NO_EVENT = (
    'select null as "table", null as row_id, null as person_id, null as field, '
    "null::date as earliest, null::date as latest limit 0"
)
# Each distinct text is looked at once.
IDENTIFIED = f"""
with typed as not materialized (PARTS),
texts as materialized (select distinct text from typed),
identifying as (select text from texts where {anything_sql("text")}),
naming as (
    select distinct person_id, text
    from (select text, unnest({words_sql("text")}) as word from texts) join {KNOWN} using (word)
)
select "table", row_id, field from typed semi join identifying using (text)
union all
select "table", row_id, field from typed semi join naming using (person_id, text)
"""
# Made by harmonization itself: nothing that a person typed is in them.
MADE_HERE = (
    "person_id",
    "family_id",
    "unit_ucum",
    "value_source_unit",
    "surgery_id",
    "reoperation_of",
)


@dataclass(frozen=True)
class Rule:
    """One rule: what holds in words, what to do when it does not, and the SQL that finds out.

    `sql` gives `"table"`, `row_id` and `field` of each row that breaks the rule, by the table that
    it looks for them in (one text under the empty name where it cannot be taken apart). It is empty
    where another part keeps the rule, which `elsewhere` names. `around` takes the parts together.
    """

    id: str
    severity: Severity
    tables: tuple[str, ...]
    statement: str
    remedy: str
    sql: Mapping[str, str]
    elsewhere: str = ""
    around: str = "PARTS"

    def over(self, filled: AbstractSet[str]) -> str:
        """Return the query over the tables that hold rows; empty when there is nothing to find."""
        if self.tables and filled.isdisjoint(self.tables):
            return ""
        parts = [sql for table, sql in self.sql.items() if not table or table in filled]
        return self.around.replace("PARTS", " union all ".join(parts)) if parts else ""


def apply_rules(
    connection: duckdb.DuckDBPyConnection,
    dictionary: Dictionary = DICTIONARY,
    rules: Sequence[Rule] | None = None,
) -> None:
    """Apply all rules (or those given) to the tables of `connection`.

    Notes what they find in `violations` and takes rejected rows away.

    Needs the tables with `row_id`, `run(ingest_date)`, `codelist.*` and `violations`.
    """
    filled = frozenset(
        name for name in dictionary.tables if _holds_rows(connection, identifier(name))
    )
    _relations(connection, dictionary, filled)
    for rule in RULES if rules is None else rules:
        query = rule.over(filled)
        if not query:
            continue
        ((found,),) = connection.execute(
            f"insert into violations select distinct found.*, $1, $2, $3 from ({query}) found",
            [rule.id, rule.severity, rule.remedy],
        ).fetchall()
        if rule.severity == "hard" and found:
            for table in rule.tables:
                reject(connection, table, rule.id)


def _holds_rows(connection: duckdb.DuckDBPyConnection, table: str) -> bool:
    """Return whether a table has a row."""
    return bool(connection.execute(f"select 1 from {table} limit 1").fetchall())


def _relations(
    connection: duckdb.DuckDBPyConnection, dictionary: Dictionary, filled: AbstractSet[str]
) -> None:
    """Make the views that rules speak of besides tables; `rules.toml` says what is in them."""
    for name, end in (("earliest_day", "earliest"), ("latest_day", "latest")):
        connection.execute(
            f"create or replace temp macro {name}(day, known) as {ends('day', 'known')[end]}"
        )
    _load_loinc(connection, dictionary)
    connection.execute(f"create temp table if not exists {KNOWN} (person_id varchar, word varchar)")
    events = " union all ".join(
        f"select '{table.name}' as \"table\", row_id, person_id, '{field.name}' as field, "
        f"{_span(field.name)} from {identifier(table.name)} "
        f"where {identifier(field.name)} is not null"
        for table in dictionary.tables.values()
        for field in table.fields
        if table.name in filled and field.type == "date" and field.name != "birth_date"
    )
    connection.execute(f"create or replace temp view event as {events or NO_EVENT}")
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
    span = ends(identifier(field), column(field, "precision"))
    return ", ".join(f"{sql} as {end}" for end, sql in span.items())


def _load_loinc(connection: duckdb.DuckDBPyConnection, dictionary: Dictionary) -> None:
    """Make the relation `loinc`: the codes of analytes with the property that each one measures."""
    rows = [
        (analyte.code, loinc, measured)
        for analyte in dictionary.analytes.values()
        for loinc, measured in analyte.loinc.items()
    ]
    columns = zip(("analyte", "loinc", "property"), zip(*rows, strict=True), strict=True)
    load_constants(connection, "loinc", dict(columns))


def _orphans(dictionary: Dictionary) -> dict[str, str]:
    """Return the SQL of R04 by table: rows whose person is not there."""
    return {
        table.name: f"select '{table.name}' as \"table\", row_id, 'person_id' as field "
        f"from {identifier(table.name)} where person_id not in (select person_id from person)"
        for table in dictionary.tables.values()
        if any(field.references == "person.person_id" for field in table.fields)
    }


def _identifying(dictionary: Dictionary) -> dict[str, str]:
    """Return the SQL of R90 by table: the texts that a person typed, as `IDENTIFIED` wants them."""
    return {
        table.name: " union all ".join(
            f"select '{table.name}' as \"table\", row_id, person_id, '{field}' as field, "
            f"{identifier(field)} as text from {identifier(table.name)} "
            f"where {identifier(field)} is not null"
            for field in fields
        )
        for table in dictionary.tables.values()
        if (fields := list(typed_texts(table)))
    }


def typed_texts(table: Table) -> Iterator[str]:
    """Yield the names of text fields that hold what a person typed, and no code of some system."""
    for field in table.fields:
        made = field.name in (*table.key, *MADE_HERE) or field.name.startswith("source_")
        code = field.pattern is not None and not field.pattern.endswith(ANYTHING)
        if field.type == "string" and not made and not code:
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
            sql=made.get(rule_id) or ({"": data["sql"]} if "sql" in data else {}),
            elsewhere=data.get("elsewhere", ""),
            around=IDENTIFIED if rule_id == "R90" else "PARTS",
        )
        for rule_id, data in tomllib.loads(path.read_text(encoding="utf-8")).items()
    )


RULES = _load(Path(__file__).with_name("rules.toml"))
