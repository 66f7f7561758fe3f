"""What looks odd in a REDCap export: codes for nothing known, dates that Excel has rewritten.

Only codes of the lists below are ever named in a note, never another content of a cell.
"""

import re
from collections.abc import Iterator, Sequence

import pyarrow as pa
import pyarrow.compute as pc

from transforms.readers.redcap_dictionary import Project, Variable
from transforms.readers.relation import BLANKS, Part, some


__all__ = ["oddities"]

# REDCap's proposals for a project's missing data codes, and numbers in common use.
WORDS = {
    "NI", "INV", "UNK", "NASK", "ASKU", "NAV", "MSK", "NA", "NAVU", "NP", "QS", "QI", "TRC", "UNC",
    "DER", "PINF", "NINF", "OTH",
}  # fmt: skip
NUMBERS = {
    "-1",
    "-7",
    "-8",
    "-9",
    "-77",
    "-88",
    "-99",
    "-777",
    "-888",
    "-999",
    "-9999",
    "999",
    "9999",
}
POSSIBLE = {"-1", "-7", "-8"}  # these may well be measured
ISO_DATE = re.compile(r"\d{4}-\d{2}-\d{2}(?:[ T].*)?")


def oddities(piece: Part, project: Project, declared: Sequence[str]) -> Iterator[str]:
    """Yield notes on the columns of `piece`; codes that are `declared` as missing are known."""
    found: dict[str, list[str]] = {}
    rewritten = []
    variables = project.by_column()
    for column in piece.columns[1:]:
        one = variables.get(column)
        values = _distinct(piece.table[column])
        for code in sorted(values & (WORDS | NUMBERS) - set(declared)):
            if _means_nothing_known(code, one):
                found.setdefault(code, []).append(column)
        if one and one.is_date and not all(map(_is_date, values - WORDS - NUMBERS - {""})):
            rewritten.append(column)
    for code, columns in found.items():
        yield (
            f"{piece.file}: '{code}' stands in {some(columns)}, as if for a value that is not "
            "known; if so, name it in 'missing' of sheet 'sources'"
        )
    if rewritten:
        yield (
            f"{piece.file}: {some(rewritten)} hold other texts than REDCap's dates "
            "(YYYY-MM-DD); the export was probably saved by Excel: check 'date_order'"
        )


def _distinct(cells: pa.ChunkedArray) -> set[str]:
    return set(pc.unique(pc.utf8_trim(cells, characters=BLANKS)).to_pylist())


def _is_date(text: str) -> bool:
    return ISO_DATE.fullmatch(text) is not None


def _means_nothing_known(code: str, one: Variable | None) -> bool:
    """Tell whether `code` is nothing that the variable can hold."""
    if one is None:
        return code in WORDS or code not in POSSIBLE | {"999"}
    if one.is_checkbox:
        return False
    if one.choices:
        return code not in one.choices
    if one.is_date or code in WORDS:
        return True
    return one.is_number and (_is_outside(code, one) or code not in POSSIBLE)


def _is_outside(code: str, one: Variable) -> bool:
    """Tell whether `code` is beyond the limits that the dictionary gives for the variable."""
    low, high = _number(one.minimum), _number(one.maximum)
    value = float(code)
    return (low is not None and value < low) or (high is not None and value > high)


def _number(text: str) -> float | None:
    try:
        return float(text.replace(",", "."))
    except ValueError:
        return None
