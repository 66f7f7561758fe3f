"""Units as sites write them: which spelling means which unit, and the factor to the dictionary's.

The factor of a laboratory value depends on the analyte and stands in the dictionary
(`DICTIONARY.analytes`); the factors of other fields (ages, bone density) stand here. A unit is
never guessed: a spelling that is not known is refused, a value that looks like another unit is
flagged or rejected by rule R80 (`transforms.limits`), never converted in silence. Vitamin D is
converted with the molar mass of D3; of D2 it would be 3 % less, which no source declares.
"""

import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass

from transforms.dictionary import Analyte, Field, Table


__all__ = [
    "AGE_DURATION",
    "PERCENT",
    "READ_AS_MEANT",
    "WINDOWS",
    "Window",
    "analyte_factors",
    "field_factors",
    "holds_analytes",
    "normal",
    "normal_sql",
]

# Spellings seen in exports, keys and values in `normal` form. A spelling that the dictionary
# lists as a unit of the analyte itself always wins, so that a factor is never taken from here.
SPELLINGS: Mapping[str, str] = {
    "10*9/l": "10*9/l", "10^9/l": "10*9/l", "x10*9/l": "10*9/l", "x10^9/l": "10*9/l",
    "109/l": "10*9/l", "10e9/l": "10*9/l", "g/l": "g/l", "gpt/l": "10*9/l", "/nl": "10*9/l",
    "tsd/ul": "10*9/l", "tsd./ul": "10*9/l", "k/ul": "10*9/l", "10*3/ul": "10*9/l",
    "10^3/ul": "10*9/l", "103/ul": "10*9/l", "10*3/mmc": "10*9/l", "103/mmc": "10*9/l",
    "10^3/mmc": "10*9/l", "10e3/ul": "10*9/l", "x10e3/ul": "10*9/l", "x10^3/ul": "10*9/l",
    "x103/ul": "10*9/l", "x10e9/l": "10*9/l", "x109/l": "10*9/l", "mil/mm3": "10*9/l",
    "10^3/mm3": "10*9/l", "10e3/mm3": "10*9/l", "103/mm3": "10*9/l",
    "miles/ul": "10*9/l", "/ul": "/ul", "/mm3": "/ul", "/mmc": "/ul",
    "cells/ul": "/ul", "g/100ml": "g/dl", "iu/l": "u/l", "[iu]/l": "u/l", "ui/l": "u/l",
    "ug/l": "ng/ml", "ng/ml": "ug/l", "ng/l": "pg/ml", "pg/ml": "ng/l", "mcg/l": "ug/l",
    "ukat/l": "ukat/l", "umol/l": "umol/l", "mcmol/l": "umol/l", "mmol": "mmol/l",
    "ph": "[ph]", "mval/l": "meq/l",
    # terms of the Unit Ontology as RareLink's REDCap writes them (`readers.unit_ontology`)
    "uo_0000175": "g/l", "uo_0000178": "u/ml", "uo_0000179": "u/l", "uo_0000275": "ng/ml",
    # OMOP unit concepts (Athena vocabulary), for sources whose unit text is empty
    "8713": "g/dl", "8636": "g/l", "8840": "mg/dl", "8645": "u/l", "8923": "u/l", "8842": "ng/ml",
    "8845": "pg/ml", "8848": "10*3/ul", "9444": "10*9/l", "8749": "umol/l", "8753": "mmol/l",
}  # fmt: skip

# An ISO 8601 duration (`P3Y6M`) says its own units; the age in years is read from its parts.
AGE_DURATION = "iso8601"
YEARS = {"a": 1.0, "y": 1.0, "yr": 1.0, "mo": 1 / 12, "wk": 7 / 365.25, "d": 1 / 365.25}
OTHER_FIELDS: Mapping[str, Mapping[str, float]] = {
    "a": YEARS,
    "g/cm2": {"g/cm2": 1.0, "mg/cm2": 0.001},
    "mg/cm2": {"mg/cm2": 1.0, "g/cm2": 1000.0},
    "mg/cm3": {"mg/cm3": 1.0, "g/cm3": 1000.0, "mg/ml": 1.0},
    "d": {"d": 1.0, "wk": 7.0},
    "min": {"min": 1.0, "h": 60.0},
    "cm": {"cm": 1.0, "m": 100.0, "mm": 0.1, "in": 2.54, "[in_i]": 2.54},
    "mm": {"mm": 1.0, "cm": 10.0},
    "kg": {"kg": 1.0, "g": 0.001, "lb": 0.45359237, "[lb_av]": 0.45359237},
    "mL": {"ml": 1.0, "l": 1000.0},
}


def normal(unit: str) -> str:
    """Return `unit` in lower case, without spaces, with one form of mu and plain digits.

    >>> normal(" 10³/µL ")
    '103/ul'
    """
    text = unicodedata.normalize("NFKC", unit).lower().replace("μ", "u").replace("µ", "u")
    return "".join(text.split())


def normal_sql(text: str) -> str:
    """Return the SQL expression that does to the text expression `text` what `normal` does."""
    plain = f"translate(lower({text}), 'µμ²³⁹', 'uu239')"
    return f"regexp_replace({plain}, '[\\s\u00a0\u202f]', '', 'g')"


def holds_analytes(table: Table, field: Field) -> bool:
    """Return whether `field` is a value whose unit depends on the row's analyte."""
    if table.discriminator is None or field.name != "value":
        return False
    return table.field(table.discriminator).codelist == "analyte"


def analyte_factors(analyte: Analyte) -> dict[str, float]:
    """Return the factor to the analyte's canonical unit, by each known spelling in normal form.

    >>> from transforms.dictionary import DICTIONARY
    >>> analyte_factors(DICTIONARY.analytes["hemoglobin"])["g/dl"]
    10.0
    """
    own = {normal(unit): float(factor) for unit, factor in analyte.factors.items()}
    spelled = {spelling: own[unit] for spelling, unit in SPELLINGS.items() if unit in own}
    return {**spelled, **own}


def field_factors(field: Field) -> dict[str, float]:
    """Return the factor to the unit of a field that is not an analyte, by unit in normal form."""
    if field.unit is None:
        return {}
    return {normal(field.unit): 1.0, **OTHER_FIELDS.get(field.unit, {})}


@dataclass(frozen=True)
class Window:
    """Numbers that, declared in unit `declared` (normal form), are usual in `looks_like`.

    `of_batch`: suspicious only when the source has at least ten values of the analyte and their
    median lies in the window too, because single patients may well have such a value.
    """

    declared: str
    low: float
    high: float
    looks_like: str
    of_batch: bool = False


# Rule R80 (data reference §T8). An analyte that is here has units whose usual windows lie apart, so
# that a number beyond its limits tells which unit it has; the windows name numbers that are
# possible in the declared unit and yet suspicious. 25-OH-D is not here: nmol/L and ng/mL overlap.
WINDOWS: Mapping[str, tuple[Window, ...]] = {
    # 4.3 to 11.2 mmol/L are 70 to 180 g/L, everyday values; in g/dL they are an anemia
    "hemoglobin": (Window("g/dl", 4.3, 11.2, "mmol/L", of_batch=True),),
    "calcium": (Window("mmol/l", 4.0, 6.0, "mg/dL"),),
    "creatinine": (Window("umol/l", 0.1, 5.0, "mg/dL"),),
    "platelets": (),
    "leukocytes": (),
    "pth": (Window("pmol/l", 15.0, 300.0, "pg/mL"),),
}
# Analytes of which a number that is impossible as declared is read in the one unit that makes it
# usual: their units lie a factor of ten or more apart. Never vitamin D, never PTH.
READ_AS_MEANT = ("hemoglobin", "calcium", "creatinine", "platelets")
# Neutrophils in percent of the leukocytes: converted where both were counted in the same sample.
PERCENT = "%"
