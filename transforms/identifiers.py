"""What counts as a direct identifier in a text (rule R90): one SQL condition per kind.

Where an identifier has check digits they are computed, so that a nine-digit accession number is
rarely taken for a Dutch BSN. Names and local ids are known from the columns that the mapping
ignores as identifiers: their words must not come back in a text about the same person
(`load_known`).
"""

from collections.abc import Callable, Sequence
from collections.abc import Mapping as MappingType
from dataclasses import dataclass

import duckdb

from transforms.conversion_job import Parameters, person_sql
from transforms.mapping import Mapping
from transforms.sql import identifier, qualified


__all__ = ["DETECTORS", "KNOWN", "Detector", "anything_sql", "condition", "load_known", "words_sql"]

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


ODD = (1, 0, 5, 7, 9, 13, 15, 17, 19, 21, 2, 4, 18, 20, 11, 3, 6, 8, 12, 14, 16, 10, 22, 25, 24, 23)


def _codice_fiscale(text: str) -> str:
    """Italian codice fiscale: odd places by a table, even ones by value, sum mod 26 is a letter."""

    def rank(place: int) -> str:
        letter = f"substr({text}, {place}, 1)"
        digit = f"{letter} between '0' and '9'"
        return f"case when {digit} then ascii({letter}) - 48 else ascii({letter}) - 65 end"

    odd = [f"list_extract({list(ODD)}, {rank(place)} + 1)" for place in range(1, 16, 2)]
    even = [rank(place) for place in range(2, 15, 2)]
    return f"chr(65 + ({' + '.join([*odd, *even])}) % 26) = substr({text}, 16, 1)"


def _svnr(text: str) -> str:
    """Austrian SVNR: weights 3 7 9 - 5 8 4 2 1 6, sum mod 11 is the fourth digit."""
    return f"{_weighted(text, [3, 7, 9, 0, 5, 8, 4, 2, 1, 6])} % 11 = {_digit(text, 4)}"


def _niss(text: str) -> str:
    """Belgian NISS: the last two digits are 97 − n mod 97; since 2000 with a 2 before n."""
    key = f"try_cast(substr({text}, 10, 2) as integer)"
    number = f"substr({text}, 1, 9)"
    return (
        f"{key} in (97 - try_cast({number} as bigint) % 97, "
        f"97 - try_cast('2' || {number} as bigint) % 97)"
    )


def _personnummer(text: str) -> str:
    """Swedish personnummer: Luhn's check over its last ten digits."""
    last = f"right(replace({text}, '+', ''), 10)"
    doubled = [f"{2 - i % 2} * {_digit(last, 1 + i)}" for i in range(10)]
    return f"({' + '.join(f'({d}) // 10 + ({d}) % 10' for d in doubled)}) % 10 = 0"


def _hetu(text: str) -> str:
    """Finnish henkilötunnus: birth date and number mod 31 give the last sign."""
    number = f"try_cast(left({text}, 6) || substr({text}, length({text}) - 3, 3) as integer)"
    return f"substr('0123456789ABCDEFHJKLMNPRSTUVWXY', {number} % 31 + 1, 1) = right({text}, 1)"


def _nif(text: str) -> str:
    """Portuguese NIF: weights 9 … 2, the last digit is 11 − sum mod 11, 0 where that is above 9."""
    number = f"right({text}, 9)"
    rest = f"11 - {_weighted(number, [9, 8, 7, 6, 5, 4, 3, 2])} % 11"
    return f"case when {rest} > 9 then 0 else {rest} end = {_digit(number, 9)}"


def _ahv(text: str) -> str:
    """Swiss AHV number: the check digit of EAN-13."""
    weights = [1, 3] * 6 + [1]
    return f"{_weighted(text, weights)} % 10 = 0"


def _phone(text: str) -> str:
    return f"length(regexp_replace({text}, '[^0-9]', '', 'g')) between 9 and 15"


DAY = r"\b(?:[0-3]?[0-9][./-][01]?[0-9][./-][12][0-9]{3}|[12][0-9]{3}-[01][0-9]-[0-3][0-9])\b"
# with the town, because five digits alone are also a blood count
POSTCODE = r"\b(?:[0-9]{5}|[1-9][0-9]{3}(?: ?[A-Z]{2})?),? \p{Lu}\p{Ll}{2,}"
DETECTORS: MappingType[str, Detector] = {
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
        _codice_fiscale,
    ),
    "dk_cpr": Detector("Danish CPR number", r"\b[0-3][0-9][01][0-9]{3}[ -]?[0-9]{4}\b", _cpr),
    "de_kvnr": Detector("German Krankenversichertennummer", r"(?i)\b[A-Z][0-9]{9}\b", _kvnr),
    "es_dni": Detector("Spanish DNI or NIE", r"(?i)\b[0-9XYZ][0-9]{7}-?[A-Z]\b", _dni),
    "at_svnr": Detector(
        "Austrian Sozialversicherungsnummer", r"\b[1-9][0-9]{3} ?[0-3][0-9][01][0-9]{3}\b", _svnr
    ),
    "be_niss": Detector(
        "Belgian NISS", r"\b[0-9]{2}[. ]?[0-9]{2}[. ]?[0-9]{2}[ -]?[0-9]{3}[. ]?[0-9]{2}\b", _niss
    ),
    "se_personnummer": Detector(
        "Swedish personnummer",
        r"\b(?:19|20)?[0-9]{2}[01][0-9][0-3][0-9][-+][0-9]{4}\b",
        _personnummer,
    ),
    "fi_hetu": Detector(
        "Finnish henkilötunnus", r"\b[0-3][0-9][01][0-9]{3}[-+A][0-9]{3}[0-9A-Y]\b", _hetu
    ),
    "pt_nif": Detector("Portuguese NIF", r"(?i)\b(?:NIF|contribuinte)[ :.]*[0-9]{9}\b", _nif),
    "ch_ahv": Detector("Swiss AHV number", r"\b756\.?[0-9]{4}\.?[0-9]{4}\.?[0-9]{2}\b", _ahv),
    "postcode_dob": Detector(
        "postcode and birth date", rf"{DAY}.{{0,40}}{POSTCODE}|{POSTCODE}.{{0,40}}{DAY}", _always
    ),
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


def anything_sql(text: str) -> str:
    """Return the SQL condition that the expression `text` holds an identifier of any kind."""
    found = " or ".join(condition(text, detector) for detector in DETECTORS.values())
    # every kind has a digit or an @
    return f"(regexp_matches({text}, '[0-9@]') and ({found}))"


KNOWN = "known_identifier"
"""The relation (person_id, word) of words that name a person."""

WORD = r"[\p{L}\p{N}]+"


def words_sql(text: str) -> str:
    """Return the SQL expression of the words of a text that may name a person, in lower case.

    Words of three letters and more; numbers of six digits and more, because shorter ones stand in
    every variant; mixed ones of five signs and more, as local ids are.
    """
    words = f"regexp_extract_all(lower(nfc_normalize({text})), '{WORD}')"
    telling = (
        "regexp_full_match(word, '\\p{L}{3,}') or regexp_full_match(word, '[0-9]{6,}') "
        "or length(word) >= 5 and regexp_matches(word, '[0-9]') and regexp_matches(word, '\\p{L}')"
    )
    return f"list_filter({words}, lambda word: {telling})"


def load_known(connection: duckdb.DuckDBPyConnection, mapping: Mapping) -> None:
    """Make the relation of words that name a person: local ids, and columns ignored as identifier.

    Needs the relations `source.*` and the SQL function `pseudonym`.
    """
    connection.execute(f"create or replace temp table {KNOWN} (person_id varchar, word varchar)")
    for source in mapping.sources:
        hidden = [
            ignore.column
            for ignore in mapping.ignores
            if ignore.source == source.source and ignore.reason == "identifier"
        ]
        described = connection.execute(f"describe {qualified('source', source.source)}")
        there = {name for name, *_ in described.fetchall()}
        for name in dict.fromkeys([*source.id_columns, *hidden]):
            if name not in there:
                continue  # a reader drops what a data dictionary calls an identifier
            parameters = Parameters()
            local = person_sql(source, parameters)
            listed = ", ".join(map(identifier, dict.fromkeys([*source.id_columns, name])))
            connection.execute(
                f"insert into {KNOWN} select distinct pseudonym('P', local), unnest(words) from ("
                f"select {local} as local, {words_sql(identifier(name))} as words "
                f"from (select distinct {listed} from {qualified('source', source.source)}))",
                parameters,
            )
