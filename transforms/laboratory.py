"""What follows from a laboratory row itself: its unit, how it came by it, how precise its date is.

There are a thousand times as many laboratory rows as of any other kind, so this is found out while
they are staged and not filled in afterwards.
"""

import dataclasses
from collections.abc import Iterator, Sequence

from transforms.conversion_job import Conversion, Parameters
from transforms.dictionary import Dictionary, Table
from transforms.sql import identifier
from transforms.units import holds_analytes


__all__ = ["with_units"]

# Fields that say what a conversion said of the value or the date.
SAID = {
    "value_source_unit": "value:unit",
    "value_comparator": "value:comparator",
    "value_source": "value:number",
    "sample_date_precision": "sample_date:precision",
}


def with_units(
    conversions: Sequence[Conversion], table: Table, dictionary: Dictionary, parameters: Parameters
) -> list[Conversion]:
    """Return the conversions of a laboratory row and those that follow; others as they are.

    What is mapped wins over what follows.
    """
    if not any(holds_analytes(table, field) for field in table.fields):
        return list(conversions)
    made = {name for one in conversions for name in (*one.raw, *one.read)}
    mapped = {one.field for one in conversions}
    followed = [_or_said(one, SAID[one.field], made) for one in conversions if one.field in SAID]
    others = [one for one in conversions if one.field not in SAID]
    follow = [
        Conversion(field, {}, identifier(said))
        for field, said in SAID.items()
        if said in made and field not in mapped
    ]
    units = [one for one in _units(made, dictionary, parameters) if one.field not in mapped]
    return [*others, *followed, *follow, *units]


def _or_said(conversion: Conversion, said: str, made: set[str]) -> Conversion:
    """Return a conversion whose value is what was said where it has none."""
    if said not in made:
        return conversion
    value = f"coalesce({conversion.value}, {identifier(said)})"
    return dataclasses.replace(conversion, value=value)


def _units(made: set[str], dictionary: Dictionary, parameters: Parameters) -> Iterator[Conversion]:
    """Yield the unit in which the value stands, and whether it was converted."""
    units = {code: analyte.unit for code, analyte in dictionary.analytes.items()}
    yield Conversion("unit_ucum", {}, f'{parameters.lookup(units)}["analyte"]')
    factor = identifier("value:factor") if "value:factor" in made else "null::double"
    status = f"case when {factor} <> 1 then 'converted' else 'declared' end"
    yield Conversion("unit_status", {}, f'case when "analyte" is not null then {status} end')
