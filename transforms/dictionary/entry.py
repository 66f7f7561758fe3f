"""Which fields of a table a person enters, and which the site makes itself.

Forms and data dictionaries for other systems ask for what is entered; a mapping need not name what
is made.
"""

from collections import Counter

from transforms.dictionary.model import CodeList, Dictionary, Field, Table


__all__ = ["FROM_VALUE", "choices", "entered", "made_here", "measures_analytes", "units"]

# Filled by harmonization from the value itself, unless a rule says otherwise.
FROM_VALUE = (
    "unit_ucum", "value_source", "value_source_unit", "unit_status", "value_comparator",
)  # fmt: skip


def made_here(table: Table, field: Field) -> bool:
    """Return whether harmonization itself fills `field` where the mapping does not."""
    return (
        field.name in (*table.key, "person_id", *FROM_VALUE, "birth_date_precision")
        or field.derived is not None
        or field.name.startswith("source_")
    )


def entered(table: Table) -> tuple[Field, ...]:
    """Return the fields that a person fills in, in the table's order.

    Left out is what harmonization makes, and what refers to another row: row ids are made at the
    site, nobody can know them.
    """
    return tuple(
        field for field in table.fields if not made_here(table, field) and field.references is None
    )


def measures_analytes(table: Table) -> bool:
    """Return whether a row of `table` has a value whose unit depends on the row's analyte."""
    return table.discriminator is not None and (
        table.field(table.discriminator).codelist == "analyte"
    )


def units(dictionary: Dictionary) -> tuple[str, ...]:
    """Return every unit that some analyte may be given in, canonical units first."""
    analytes = dictionary.analytes.values()
    canonical = dict.fromkeys(analyte.unit for analyte in analytes)
    return tuple(canonical | dict.fromkeys(unit for one in analytes for unit in one.factors))


def choices(codelist: CodeList) -> dict[str, str]:
    """Return code → the text that a person picks: its label, with the code where that is unclear.

    Every text stands for one code only, upper and lower case being the same, and holds no
    semicolon: this stands between several texts.
    """
    labels = {code.code: code.label.replace(";", ",") for code in codelist.codes.values()}
    often = Counter(label.lower() for label in labels.values())
    codes = {code.lower(): code for code in labels}
    return {
        code: label
        if often[label.lower()] == 1 and codes.get(label.lower(), code) == code
        else f"{label} ({code})"
        for code, label in labels.items()
    }
