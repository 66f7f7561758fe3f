"""What counts as a direct identifier in a text (rule R90): one SQL condition per kind.

Where an identifier has check digits they are computed, so that a nine-digit accession number is
rarely taken for a Dutch BSN.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass


__all__ = ["DETECTORS", "Detector", "condition"]

Check = Callable[[str], str]
"""Makes a SQL condition over the name of a candidate text, separators taken out, upper case."""


@dataclass(frozen=True)
class Detector:
    """`pattern` (RE2) finds candidates in a text; `check` decides whether one is an identifier."""

    title: str
    pattern: str
    check: Check


def _always(_: str) -> str:
    return "true"


def _digit(text: str, position: int) -> str:
    return f"try_cast(substr({text}, {position}, 1) as integer)"


def _weighted(text: str, weights: Sequence[int], first: int = 1) -> str:
    """Return the sum of digits from position `first` on, each times its weight."""
    terms = (f"{weight} * {_digit(text, first + i)}" for i, weight in enumerate(weights))
    return f"({' + '.join(terms)})"


def _nir(text: str) -> str:
    """French NIR: the last two digits are 97 − (the first 13 mod 97); Corsica 2A = 19, 2B = 18."""
    number = f"replace(replace(substr({text}, 1, 13), '2A', '19'), '2B', '18')"
    key = f"try_cast(substr({text}, 14, 2) as integer)"
    return f"97 - try_cast({number} as bigint) % 97 = {key}"


def _bsn(text: str) -> str:
    """Dutch BSN, the test by eleven: weights 9 … 2 and −1."""
    total = _weighted(text, [9, 8, 7, 6, 5, 4, 3, 2, -1])
    return f"{total} % 11 = 0 and {text} <> '000000000'"


def _cpr(text: str) -> str:
    """Danish CPR: DDMMYY and four digits; those given out since 2007 have no check digit."""
    day, month = f"substr({text}, 1, 2)", f"substr({text}, 3, 2)"
    leap = f"try_cast('2000-' || {month} || '-' || {day} as date)"
    return f"{leap} is not null"


def _kvnr(text: str) -> str:
    """German KVNR: the letter as two digits, weights 1 2 1 2 …, digit sums, last digit mod 10."""
    letter = f"lpad((ascii({text}) - 64)::varchar, 2, '0')"
    products = [f"{_digit(letter, 1)}", f"2 * {_digit(letter, 2)}"]
    products += [f"{1 + i % 2} * {_digit(text, 2 + i)}" for i in range(8)]
    sums = " + ".join(f"({p}) // 10 + ({p}) % 10" for p in products)
    return f"({sums}) % 10 = {_digit(text, 10)}"


def _dni(text: str) -> str:
    """Spanish DNI or NIE: the letter is given by the number mod 23; X, Y, Z stand for 0, 1, 2."""
    number = f"try_cast(translate(substr({text}, 1, 8), 'XYZ', '012') as integer)"
    return f"substr('TRWAGMYFPDXBNJZSQVHLCKE', {number} % 23 + 1, 1) = substr({text}, 9, 1)"


def _phone(text: str) -> str:
    return f"length(regexp_replace({text}, '[^0-9]', '', 'g')) between 9 and 15"


DETECTORS: Mapping[str, Detector] = {
    "fr_nir": Detector(
        "French NIR (numéro de sécurité sociale)",
        r"\b[12] ?[0-9]{2} ?[0-9]{2} ?(?:[0-9]{2}|2[ABab]) ?[0-9]{3} ?[0-9]{3} ?[0-9]{2}\b",
        _nir,
    ),
    "nl_bsn": Detector("Dutch BSN", r"\b[0-9]{9}\b|\b[0-9]{4}\.[0-9]{2}\.[0-9]{3}\b", _bsn),
    "it_codice_fiscale": Detector(
        "Italian codice fiscale",
        r"(?i)\b[A-Z]{6}[0-9LMNPQRSTUV]{2}[A-EHLMPRST][0-9LMNPQRSTUV]{2}[A-Z]"
        r"[0-9LMNPQRSTUV]{3}[A-Z]\b",
        _always,
    ),
    "dk_cpr": Detector("Danish CPR number", r"\b[0-3][0-9][01][0-9]{3}[ -]?[0-9]{4}\b", _cpr),
    "de_kvnr": Detector("German Krankenversichertennummer", r"(?i)\b[A-Z][0-9]{9}\b", _kvnr),
    "es_dni": Detector("Spanish DNI or NIE", r"(?i)\b[0-9XYZ][0-9]{7}-?[A-Z]\b", _dni),
    "email": Detector(
        "e-mail address", r"(?i)\b[A-Z0-9._%+-]+@[A-Z0-9-]+(?:\.[A-Z0-9-]+)*\.[A-Z]{2,}\b", _always
    ),
    "phone": Detector(
        "telephone number",
        r"(?:\+|\b00)[1-9][0-9]{0,2}(?:[ ./-]?\(?[0-9]{1,4}\)?){3,7}\b"
        r"|\b0[1-9](?:[ .-][0-9]{2}){4}\b|\b0[67][0-9]{8}\b",
        _phone,
    ),
}


def condition(text: str, detector: Detector) -> str:
    """Return the SQL condition that the expression `text` holds an identifier, never NULL."""
    pattern = detector.pattern.replace("'", "''")
    candidates = f"regexp_extract_all({text}, '{pattern}')"
    plain = r"upper(regexp_replace(candidate, '[ .-]', '', 'g'))"
    checked = detector.check(plain) if detector.check is not _always else "true"
    found = f"list_filter({candidates}, lambda candidate: coalesce({checked}, false))"
    return f"coalesce(len({found}) > 0, false)"
