"""The data dictionary: the only place that lists columns, codes, units and limits.

Schemas, suites, mapping targets, analysis views, request checks, synthetic data and reference
pages are derived from `DICTIONARY`; nothing else writes a column down.
"""

from pathlib import Path

from transforms.dictionary.model import (
    Analyte,
    Code,
    CodeList,
    Dictionary,
    Field,
    Range,
    Table,
    View,
)
from transforms.dictionary.parse import parse_dictionary


__all__ = [
    "DICTIONARY",
    "Analyte",
    "Code",
    "CodeList",
    "Dictionary",
    "Field",
    "Range",
    "Table",
    "View",
]

DICTIONARY = parse_dictionary(Path(__file__).parent)
