"""What harmonization itself fills in on staged rows: dates from ages, ages from dates, shares.

Ages are years of 365.25 days. A field whose dictionary entry says how it is derived
(`years from person.birth_date to …`, `precision of <date>`, `… of <coded field>`) is derived so
wherever that is possible; what the source says stays where it is not.
"""

import re
from collections.abc import Set as AbstractSet

import duckdb

from transforms.dictionary import DICTIONARY, Dictionary, Field, Table
from transforms.sql import identifier, qualified
from transforms.staging import STORED, column, stored_columns
from transforms.units import PERCENT


__all__ = ["derive"]

DAYS_PER_YEAR = 365.25
YEARS = re.compile(r"years from person\.birth_date to (\w+)")
PRECISION = re.compile(r"precision of (\w+)")
ATTRIBUTE = re.compile(r"(\w+) of (\w+)")


def derive(connection: duckdb.DuckDBPyConnection, dictionary: Dictionary = DICTIONARY) -> None:
    """Fill derived fields of all staged tables in place.

    Needs `codelist.*` (see `transforms.codelists`) and leaves the relation
    `births(person_id, birth_date)`: one row per person, the first that is in order.
    """
    _persons(connection, stored_columns(connection, "person"))
    connection.execute("""
        create or replace temp table births as
        select person_id, birth_date from staged.person where birth_date is not null
        qualify row_number() over (
            -- an entry that will be rejected must not give its birth date to all others
            partition by person_id order by
                birth_date >= date '1900-01-01' and sex_at_birth is not null
                and coalesce(first_contact_date >= birth_date, true) desc,
                source_file, source_sheet, source_row
        ) = 1
    """)
    for table in dictionary.tables.values():
        if _holds_rows(connection, table):
            _fill(connection, table, stored_columns(connection, table.name))
    _shares(connection)


def _holds_rows(connection: duckdb.DuckDBPyConnection, table: Table) -> bool:
    """Return whether anything is staged for a table."""
    rows = qualified(STORED, table.name)
    return bool(connection.execute(f"select 1 from {rows} limit 1").fetchall())


def _fill(connection: duckdb.DuckDBPyConnection, table: Table, stored: AbstractSet[str]) -> None:
    """Fill the derived fields of one table from what its conversions said."""
    for field in table.fields:
        if f"{field.name}:age" in stored and field.name != "birth_date":
            _date_from_age(connection, table, field)
        if f"{field.name}:event" in stored and field.type == "number":
            _age_from_date(connection, table, field)
    for field in table.fields:
        if field.derived is not None:
            _derived(connection, table, field, stored)


def _persons(connection: duckdb.DuckDBPyConnection, stored: AbstractSet[str]) -> None:
    """Say how precise birth dates are, and give kindreds a pseudonym."""
    if "birth_date:precision" in stored:
        connection.execute("""
            update stored.person set birth_date_precision = "birth_date:precision"
            where birth_date_precision is null
        """)
    if "family_id" in stored:
        connection.execute("""
            update stored.person set family_id = pseudonym('F', family_id)
            where family_id is not null
        """)


def _date_from_age(connection: duckdb.DuckDBPyConnection, table: Table, field: Field) -> None:
    """Turn ages at an event into dates: whole months by the calendar, the rest in days.

    A child of three months, born on 12 January, is so old on 12 April.
    """
    age = column(field.name, "age")
    months = f"floor(round({age} * 12, 6))"
    rest = f"round(({age} * 12 - {months}) * $1 / 12)::integer"
    connection.execute(
        f"update {qualified(STORED, table.name)} as staged set {identifier(field.name)} = "
        f"(births.birth_date + to_months({months}::integer))::date + {rest} "
        f"from births where births.person_id = staged.person_id and {age} is not null",
        [DAYS_PER_YEAR],
    )


def _age_from_date(connection: duckdb.DuckDBPyConnection, table: Table, field: Field) -> None:
    """Turn dates of an event into ages, where the rule was `date_to_age`."""
    event = column(field.name, "event")
    connection.execute(
        f"update {qualified(STORED, table.name)} as staged "
        f"set {identifier(field.name)} = date_diff('day', births.birth_date, {event}) / $1 "
        f"from births where births.person_id = staged.person_id and {event} is not null",
        [DAYS_PER_YEAR],
    )


def _derived(
    connection: duckdb.DuckDBPyConnection, table: Table, field: Field, stored: AbstractSet[str]
) -> None:
    """Fill one field as its dictionary entry says."""
    name, staged = identifier(field.name), qualified(STORED, table.name)
    if (years := YEARS.fullmatch(field.derived or "")) and years[1] in stored:
        date = identifier(years[1])
        connection.execute(
            f"update {staged} as staged "
            f"set {name} = date_diff('day', births.birth_date, staged.{date}) / $1 "
            f"from births where births.person_id = staged.person_id and staged.{date} is not null",
            [DAYS_PER_YEAR],
        )
    elif precision := PRECISION.fullmatch(field.derived or ""):
        if f"{precision[1]}:precision" in stored:
            said = column(precision[1], "precision")
            connection.execute(
                f"update {staged} set {name} = {said} where {name} is null and {said} is not null"
            )
    elif (attribute := ATTRIBUTE.fullmatch(field.derived or "")) and attribute[2] in stored:
        codelist = qualified("codelist", table.field(attribute[2]).codelist or "")
        connection.execute(
            f"update {staged} as staged set {name} = codes.{identifier(attribute[1])} "
            f"from {codelist} as codes where codes.code = staged.{identifier(attribute[2])}"
        )


def _shares(connection: duckdb.DuckDBPyConnection) -> None:
    """Make counts of neutrophils that came as a share of the leukocytes."""
    if connection.execute(SHARES, [PERCENT]).fetchall():
        connection.execute(NEUTROPHILS, [PERCENT])


SHARES = (
    "select 1 from staged.lab_measurement "
    """where analyte = 'neutrophils' and "value:unit" = $1 limit 1"""
)
# In percent they are a count where the leukocytes of the same sample are known, and once only.
NEUTROPHILS = """
    with counted as (
        select person_id, sample_date, source_file, source_row, any_value(value) as leukocytes
        from staged.lab_measurement
        where analyte = 'leukocytes' and value is not null
            and coalesce("value:comparator", '=') = '='
        group by all having count(distinct value) = 1
    ),
    share as (
        select row_id, "value:number" * leukocytes / 100 as value
        from staged.lab_measurement as staged join counted
            on counted.person_id = staged.person_id and (
                counted.sample_date = staged.sample_date
                or counted.source_file = staged.source_file
                and counted.source_row = staged.source_row)
        where analyte = 'neutrophils' and "value:unit" = $1 and "value:number" between 0 and 100
        qualify count(distinct leukocytes) over (partition by row_id) = 1
    )
    update stored.lab_measurement as staged
    set value = share.value, unit_status = 'converted', "value:problem" = null,
        "value:factor" = null
    from share where share.row_id = staged.row_id
"""
