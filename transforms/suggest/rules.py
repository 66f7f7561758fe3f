"""Rule, argument and unit for a field that has its column."""

from dataclasses import dataclass

from transforms.dictionary import DICTIONARY, Dictionary
from transforms.mapping_check import CHECKBOX_LISTS
from transforms.scan.model import ColumnScan, TableScan
from transforms.suggest.assign import Assigned
from transforms.suggest.columns import Target
from transforms.units import analyte_factors, field_factors, holds_analytes, normal


__all__ = ["Rule", "rule_for"]

NO_ORDER = "?"


@dataclass(frozen=True)
class Rule:
    """How a field is filled, what is still open about it, and how much that takes away."""

    rule: str
    arg: str = ""
    unit: str = ""
    notes: tuple[str, ...] = ()
    at_most: float = 1.0


def rule_for(
    target: Target, column: ColumnScan, source: Assigned, dictionary: Dictionary = DICTIONARY
) -> Rule:
    """Return the rule for a target and its column."""
    field = target.of(dictionary)
    if field.type == "date":
        return _date(column)
    if target.field == "hgvs_c" and target.table == "variant":
        return _variant(column, source)
    if field.type in ("number", "integer"):
        return _number(target, column, source, dictionary)
    if field.type == "codes":
        return Rule("split", "separator=;", notes=("say how the codes are separated",), at_most=0.6)
    if field.codelist or field.type == "boolean":
        return _codes(target, column, source.table, dictionary)
    return Rule("copy")


def _date(column: ColumnScan) -> Rule:
    """A date; what its texts do not show is asked, never assumed."""
    dates = column.dates
    excel = any("Excel" in note for note in column.notes)
    if excel and dates is None:
        note = "the digits are taken as days counted by Excel; excel1904 for old Macs"
        return Rule("date", "excel", notes=(note,), at_most=0.6)
    if dates is None:
        return Rule("date", notes=("hardly a date in it",), at_most=0.4)
    arg, notes, sure = [], [], 1.0
    if dates.short_year:
        arg.append(f"pivot={NO_ORDER}")
        notes.append("years of two digits: say the last one that is 20NN, such as pivot=26")
        sure = 0.5
    if excel:
        arg.append("excel")
        notes.append("five digits are taken as days counted by Excel")
        sure = min(sure, 0.7)
    return Rule("date", ";".join(arg), notes=tuple(notes), at_most=sure)


def _variant(column: ColumnScan, source: Assigned) -> Rule:
    """A variant: as it stands when it is HGVS alone, otherwise a genotype in free text."""
    words = list(column.values)
    plain = words and all(word.startswith("c.") and " " not in word for word in words)
    if plain:
        return Rule("copy")
    gene = next(
        (name for name, one in source.fields.items()
         if one.target and one.target.field == "gene_symbol"), "",
    )  # fmt: skip
    arg = f"gene_column={gene}" if gene else ""
    return Rule("hgvs", arg, notes=("a genotype in free text is taken apart",), at_most=0.8)


def _number(target: Target, column: ColumnScan, source: Assigned, dictionary: Dictionary) -> Rule:
    """A number with its unit: from a unit column, from the header, else asked for."""
    field = target.of(dictionary)
    if field.type == "integer" and field.unit is None:
        return Rule("copy")
    if holds_analytes(dictionary.tables[target.table], field):
        return _analyte(target, column, source, dictionary)
    known = field_factors(field)
    if column.unit and normal(column.unit) in known:
        return Rule("number", unit=column.unit)
    if field.unit == "a":
        note = "no unit in the name: years are assumed; choose a, mo, wk or d"
        return Rule("number", unit="a", notes=(note,), at_most=0.5)
    return Rule("number")


def _analyte(target: Target, column: ColumnScan, source: Assigned, dictionary: Dictionary) -> Rule:
    """A laboratory value: its unit is declared or asked for, never taken from the values."""
    if source.unit_column:
        return Rule("number", f"unit_column={source.unit_column}")
    if target.bracket is None:
        return Rule("number", notes=("declare the unit",), at_most=0.4)
    analyte = dictionary.analytes[target.bracket]
    if column.unit and normal(column.unit) in analyte_factors(analyte):
        return Rule("number", unit=column.unit)
    hints = _usual_units(column, target.bracket, dictionary)
    hint = f"; by their size they may be {' or '.join(hints)}" if hints else ""
    note = f"no unit is given{hint}: ask the laboratory and declare it"
    return Rule("number", notes=(note,), at_most=0.4)


def _usual_units(column: ColumnScan, code: str, dictionary: Dictionary) -> list[str]:
    """Return the units in which the middle value would be usual: a hint, no more."""
    analyte = dictionary.analytes[code]
    middle = column.numbers.median if column.numbers else None
    if middle is None or analyte.soft is None:
        return []
    low, high = analyte.soft.low or 0.0, analyte.soft.high or float("inf")
    return [u for u, factor in analyte.factors.items() if low <= middle * factor <= high]


def _codes(target: Target, column: ColumnScan, table: TableScan, dictionary: Dictionary) -> Rule:
    """A code: looked up, copied when the column holds the codes, or a box of a REDCap form."""
    field = target.of(dictionary)
    if "___" in column.name and (field.codelist in CHECKBOX_LISTS or field.type == "boolean"):
        gate = _gate(column, table)
        return Rule("checkbox", f"gate={gate}", at_most=0.8)
    codes = dictionary.codelists[field.codelist].codes if field.codelist else {}
    if (
        column.values
        and codes
        and {word.upper() for word in column.values} <= {code.upper() for code in codes}
    ):
        return Rule("copy")
    if column.kind not in ("code", "empty"):
        note = "many different texts for a list of codes: is it this field?"
        return Rule("recode", notes=(note,), at_most=0.4)
    return Rule("recode")


def _gate(column: ColumnScan, table: TableScan) -> str:
    """Return the next `_complete` column behind a box: its form's."""
    names = [one.name for one in table.columns]
    behind = names[names.index(column.name) :]
    return next((name for name in behind if name.endswith("_complete")), "")
