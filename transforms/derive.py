"""What harmonization itself fills in on staged rows: dates from ages, ages from dates, units.

Ages are years of 365.25 days. A field whose dictionary entry says how it is derived
(`years from person.birth_date to …`, `precision of <date>`, `… of <coded field>`) is derived so
wherever that is possible; what the source says stays where it is not.
"""

import re

import duckdb
import pyarrow as pa

from transforms.dictionary import DICTIONARY, Dictionary, Field, Table
from transforms.sql import identifier, qualified
from transforms.staging import SCHEMA, column
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
    _persons(connection)
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
        for field in table.fields:
            if field.type == "date" and field.name != "birth_date":
                _date_from_age(connection, table, field)
            if field.type == "number" and field.unit == "a":
                _age_from_date(connection, table, field)
        for field in table.fields:
            if field.derived is not None:
                _derived(connection, table, field)
    _laboratory(connection, dictionary)


def _persons(connection: duckdb.DuckDBPyConnection) -> None:
    """Say how precise birth dates are, and give kindreds a pseudonym."""
    connection.execute("""
        update staged.person set
            birth_date_precision = coalesce(birth_date_precision, "birth_date:precision"),
            family_id = pseudonym('F', family_id)
    """)


def _date_from_age(connection: duckdb.DuckDBPyConnection, table: Table, field: Field) -> None:
    """Turn ages at an event into dates: whole months by the calendar, the rest in days.

    A child of three months, born on 12 January, is so old on 12 April.
    """
    age = column(field.name, "age")
    months = f"floor(round({age} * 12, 6))"
    rest = f"round(({age} * 12 - {months}) * $1 / 12)::integer"
    connection.execute(
        f"update {qualified(SCHEMA, table.name)} as staged set {identifier(field.name)} = "
        f"(births.birth_date + to_months({months}::integer))::date + {rest} "
        f"from births where births.person_id = staged.person_id and {age} is not null",
        [DAYS_PER_YEAR],
    )


def _age_from_date(connection: duckdb.DuckDBPyConnection, table: Table, field: Field) -> None:
    """Turn dates of an event into ages, where the rule was `date_to_age`."""
    event = column(field.name, "event")
    connection.execute(
        f"update {qualified(SCHEMA, table.name)} as staged "
        f"set {identifier(field.name)} = date_diff('day', births.birth_date, {event}) / $1 "
        f"from births where births.person_id = staged.person_id and {event} is not null",
        [DAYS_PER_YEAR],
    )


def _derived(connection: duckdb.DuckDBPyConnection, table: Table, field: Field) -> None:
    """Fill one field as its dictionary entry says."""
    name, staged = identifier(field.name), qualified(SCHEMA, table.name)
    if years := YEARS.fullmatch(field.derived or ""):
        date = identifier(years[1])
        connection.execute(
            f"update {staged} as staged "
            f"set {name} = date_diff('day', births.birth_date, staged.{date}) / $1 "
            f"from births where births.person_id = staged.person_id and staged.{date} is not null",
            [DAYS_PER_YEAR],
        )
    elif precision := PRECISION.fullmatch(field.derived or ""):
        said = column(precision[1], "precision")
        connection.execute(f"update {staged} set {name} = coalesce({name}, {said})")
    elif attribute := ATTRIBUTE.fullmatch(field.derived or ""):
        codelist = qualified("codelist", table.field(attribute[2]).codelist or "")
        connection.execute(
            f"update {staged} as staged set {name} = codes.{identifier(attribute[1])} "
            f"from {codelist} as codes where codes.code = staged.{identifier(attribute[2])}"
        )


def _laboratory(connection: duckdb.DuckDBPyConnection, dictionary: Dictionary) -> None:
    """Say in which unit a laboratory value came and in which it stands now."""
    units = pa.table(
        {
            "analyte": list(dictionary.analytes),
            "unit": [analyte.unit for analyte in dictionary.analytes.values()],
        }
    )
    connection.register("marmor_units", units)
    connection.execute("""
        update staged.lab_measurement as staged set
            unit_ucum = marmor_units.unit,
            value_source_unit = coalesce(value_source_unit, "value:unit"),
            value_comparator = coalesce(value_comparator, "value:comparator"),
            value_source = coalesce(value_source, "value:number"),
            unit_status = case when "value:factor" <> 1 then 'converted' else 'declared' end
        from marmor_units where marmor_units.analyte = staged.analyte
    """)
    connection.unregister("marmor_units")
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
    update staged.lab_measurement as staged
    set value = share.value, unit_status = 'converted', "value:problem" = null,
        "value:factor" = null
    from share where share.row_id = staged.row_id
"""
