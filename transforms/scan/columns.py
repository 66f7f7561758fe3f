"""What one column of a source looks like: counted by SQL, judged by a few thresholds.

A text counts as a number or a date when it is written as one. Words are kept only of columns with
few distinct words, which are codes; of all others nothing but counts and coarse bands comes out.
"""

import re
from collections.abc import Mapping
from typing import Any

import duckdb

from transforms.dictionary import DICTIONARY
from transforms.identifiers import DETECTORS, condition
from transforms.lexicon import LEXICON, normal, value_key
from transforms.scan.model import HIDDEN_BELOW, ColumnScan, Dates, Numbers
from transforms.sql import identifier, qualified
from transforms.units import SPELLINGS, YEARS, analyte_factors
from transforms.units import normal as unit_key


__all__ = ["UNITS", "scan_column", "unit_in"]

BLANKS = " \t\r\n\u00a0\u2007\u202f\ufeff"
MOST = 0.8  # of the texts that are not tokens for "no value"
MANY_WORDS = 60  # distinct words of a column that is still a list of codes
FEW_CODES = 12
CODE_SHARE = 0.5
LONG = 30  # letters; on average more is free text
SAMPLE = 20_000  # distinct texts in which identifiers are looked for
EXCEL_DAYS = (14_611, 47_848)  # 1940 to 2030 in the calendar of 1900
BAND_FROM = 20  # values; a band of fewer would be somebody's value
AGE_WORDS: Mapping[str, str] = {
    **dict.fromkeys(("ans", "an", "years", "yrs", "jahre", "jahren", "jaar", "anni", "anos", "ar",
                     "year"), "a"),
    **dict.fromkeys(("mois", "months", "monate", "monaten", "maanden", "mesi", "meses",
                     "maneder", "month", "mo"), "mo"),
    **dict.fromkeys(("jours", "days", "tage", "dagen", "giorni", "dias", "dage"), "d"),
}  # fmt: skip

UNITS = frozenset(
    {*SPELLINGS, *YEARS, "g/cm2", "cm", "m", "kg", "mm", "min", "ml"}
    | {unit for analyte in DICTIONARY.analytes.values() for unit in analyte_factors(analyte)}
)
SHORTEST_IDENTIFIER = 5  # letters; an address of mail has as many
PLAIN_UNITS = ("cm", "kg", "mm", "min", "ml")  # units, whatever stands before them
SIGN = "^[+-]?"
FORMS: Mapping[str, str] = {
    "whole": SIGN + "[0-9]{1,15}$",
    "comma": SIGN + r"[0-9]*,[0-9]+([eE][+-]?[0-9]+)?$",
    "point": SIGN + r"[0-9]*[.][0-9]+([eE][+-]?[0-9]+)?$",
    "grouped": SIGN + r"[0-9]{1,3}([ .,'\x{a0}\x{202f}][0-9]{3})+([.,][0-9]+)?$",
    "compared": r"^[<>≤≥]=? ?[+-]?[0-9]+([.,][0-9]+)?$",
    "iso": r"^[0-9]{4}-[0-9]{2}-[0-9]{2}([T ].*)?$",
    "day_month": r"^([0-9]{1,2})[./-]([0-9]{1,2})[./-]([0-9]{4})$",
    "short": r"^([0-9]{1,2})[./-]([0-9]{1,2})[./-]([0-9]{2})$",
    "partial": r"^([0-9]{1,2}[./-])?(19|20)[0-9]{2}$",
    "years": "^(19|20)[0-9]{2}$",
    "three": SIGN + "[0-9]{1,3}[.,][0-9]{3}$",
}


def scan_column(
    connection: duckdb.DuckDBPyConnection, source: str, name: str, person: str, group: str = ""
) -> ColumnScan:
    """Look at one column of `source.<id>`; the column `person` tells persons apart."""
    counted = _count(connection, source, name)
    words, persons = _words(connection, source, name, person, counted["distinct"])
    tokens = {word: count for word, count in words.items() if value_key(word) in LEXICON.missing}
    kind = _kind(name, counted, sum(tokens.values()))
    numbers = _numbers(connection, source, name, counted) if kind == "number" else None
    return ColumnScan(
        name=name,
        kind=kind,
        rows=counted["rows"],
        filled=counted["filled"],
        distinct=counted["distinct"],
        group=group,
        unit=unit_in(name),
        values=words if kind == "code" else {},
        persons=persons if kind == "code" else {},
        tokens=_tokens(kind, words, persons),
        numbers=numbers,
        dates=_dates(connection, source, name, counted) if kind == "date" else None,
        detected=_detected(connection, source, name) if _may_identify(kind, counted) else {},
        notes=(*_notes(name, kind, counted, words), *_serial(counted, numbers)),
    )


def unit_in(name: str) -> str:
    """Return the unit that a column's name ends in, or "".

    >>> unit_in("Calcémie (mg/L)"), unit_in("Hb g/dl"), unit_in("Âge (mois)"), unit_in("Sexe")
    ('mg/L', 'g/dl', 'mo', '')
    """
    bracketed = re.search(r"[(\[]([^)\]]+)[)\]]\s*$", name)
    last = bracketed.group(1) if bracketed else name.rpartition(" ")[2]
    if normal(last) in AGE_WORDS:
        return AGE_WORDS[normal(last)]
    told = bracketed or "/" in last or last.lower() in PLAIN_UNITS
    return last.strip() if unit_key(last) in UNITS and told else ""


def _text(name: str) -> str:
    """Return the trimmed text of a column, NULL where nothing stands."""
    return f"nullif(trim({identifier(name)}, '{BLANKS}'), '')"


def _count(connection: duckdb.DuckDBPyConnection, source: str, name: str) -> dict[str, Any]:
    """Return rows, filled, distinct, mean length and words, and texts by the form they have."""
    forms = ", ".join(
        f"count(*) filter (regexp_matches(t, '{pattern.replace(chr(39), chr(39) * 2)}')) as {form}"
        for form, pattern in FORMS.items()
    )
    parts = "try_cast(regexp_extract(t, '{}', {}) as integer)"
    first, second = (parts.format(FORMS["day_month"], group) for group in (1, 2))
    cursor = connection.execute(
        f"select count(*) as rows, count(t) as filled, count(distinct t) as distinct, "
        f"coalesce(avg(length(t)), 0) as long, coalesce(max(length(t)), 0) as longest, {forms}, "
        f"count(*) filter ({first} > 12) as day_first, count(*) filter ({second} > 12) "
        f"as month_first, count(*) filter (regexp_matches(t, '[0-9]{{4,}}')) as digits "
        f"from (select {_text(name)} as t from {qualified('source', source)})"
    )
    names = [column[0] for column in cursor.description or ()]
    return dict(zip(names, cursor.fetchall()[0], strict=True))


def _words(
    connection: duckdb.DuckDBPyConnection, source: str, name: str, person: str, distinct: int
) -> tuple[dict[str, int], dict[str, int]]:
    """Return the distinct texts with their rows and persons; of columns with few of them.

    Of other columns only texts of at most eight letters: among them are the tokens for "no value".
    """
    short = "" if distinct <= MANY_WORDS else "where length(t) <= 8"
    rows = connection.execute(
        f"select min(t), count(*), count(distinct p) from (select {_text(name)} as t, "
        f"{identifier(person)} as p from {qualified('source', source)}) {short} group by lower(t) "
        "having min(t) is not null order by count(*) desc, min(t) limit 1000"
    ).fetchall()
    return {text: count for text, count, _ in rows}, {text: count for text, _, count in rows}


def _kind(name: str, counted: Mapping[str, Any], tokens: int) -> str:
    """Judge a column by its counts, and for identifiers by its name."""
    filled, distinct = counted["filled"] - tokens, counted["distinct"]
    if counted["filled"] == 0:
        return "empty"
    named = {word.target for word in LEXICON.columns.get(normal(name), ())}
    if "identifiers" in named and distinct > 1:
        return "identifier"
    if "person_id" in named:
        return "id"
    if "free_text" in named:
        return "free_text"
    written = counted["iso"] + counted["day_month"] + counted["short"]
    whole = counted["whole"]
    if filled and written + counted["partial"] >= MOST * filled and written:
        return "date"
    numeric = whole + counted["comma"] + counted["point"] + counted["grouped"]
    numeric += counted["compared"] - _both(counted)
    if filled and numeric >= MOST * filled:
        return "code" if whole >= MOST * filled and distinct <= FEW_CODES else "number"
    if distinct <= FEW_CODES or (
        distinct <= MANY_WORDS and distinct <= CODE_SHARE * counted["filled"]
    ):
        return "free_text" if counted["long"] > LONG else "code"
    return "free_text" if counted["long"] > LONG else "text"


def _both(counted: Mapping[str, Any]) -> int:
    """Return the texts that are both grouped and a decimal number, such as 1.234."""
    return int(counted["three"])


def _may_identify(kind: str, counted: Mapping[str, Any]) -> bool:
    """Tell whether a column may hold direct identifiers: its texts are long enough for one."""
    return kind not in ("empty", "date", "number") and counted["longest"] >= SHORTEST_IDENTIFIER


def _tokens(kind: str, words: Mapping[str, int], persons: Mapping[str, int]) -> dict[str, int]:
    """Return the texts that stand for "no value": in a column of codes they are words.

    Known ones, and short ones without a digit that come back with several persons.
    """
    if kind not in ("date", "number"):
        return {}
    return {
        word: count
        for word, count in words.items()
        if not re.search("[0-9]", word)
        and (value_key(word) in LEXICON.missing or persons[word] >= HIDDEN_BELOW)
    }


def _serial(counted: Mapping[str, Any], numbers: Numbers | None) -> list[str]:
    """Say when a column of numbers may be dates that Excel counts in days."""
    if numbers is None or numbers.low is None or numbers.high is None:
        return []
    whole = counted["whole"] >= MOST * counted["filled"]
    days = EXCEL_DAYS[0] <= numbers.low and numbers.high <= EXCEL_DAYS[1]
    return ["five digits: perhaps dates, as days counted by Excel"] if whole and days else []


def _numbers(
    connection: duckdb.DuckDBPyConnection, source: str, name: str, counted: Mapping[str, Any]
) -> Numbers:
    """Return how numbers are written, and the band between the first and the last tenth."""
    ((size, low, median, high),) = connection.execute(
        "select count(n), quantile_cont(n, 0.1), median(n), quantile_cont(n, 0.9) from (select "
        f"try_cast(replace(regexp_replace({_text(name)}, '[<>≤≥=\\s\\x{{a0}}\\x{{202f}}]', '', "
        f"'g'), ',', '.') as double) as n from {qualified('source', source)})"
    ).fetchall()
    banded = size >= BAND_FROM
    low, median, high = (_coarse(n) if banded else None for n in (low, median, high))
    return Numbers(
        counted["comma"], counted["point"], counted["three"], counted["compared"],
        low, median, high,
    )  # fmt: skip


def _coarse(number: float | None) -> float | None:
    """Return a number with two digits, the others 0."""
    return None if number is None else float(f"{number:.2g}")


def _dates(
    connection: duckdb.DuckDBPyConnection, source: str, name: str, counted: Mapping[str, Any]
) -> Dates:
    """Return how dates are written, and between which decades most of them lie."""
    ((size, first, last),) = connection.execute(
        "select count(y), quantile_disc(y, 0.1), quantile_disc(y, 0.9) from (select try_cast("
        f"regexp_extract({_text(name)}, '(^|[./-])((19|20)[0-9]{{2}})([./T -]|$)', 2) as integer) "
        f"as y from {qualified('source', source)})"
    ).fetchall()
    banded = size >= BAND_FROM
    either = counted["day_month"] - counted["day_first"] - counted["month_first"]
    return Dates(
        iso=counted["iso"],
        day_first=counted["day_first"],
        month_first=counted["month_first"],
        either=either,
        short_year=counted["short"],
        partial=counted["partial"],
        first_decade=first // 10 * 10 if banded else None,
        last_decade=last // 10 * 10 if banded else None,
    )


def _detected(connection: duckdb.DuckDBPyConnection, source: str, name: str) -> dict[str, int]:
    """Return how many distinct texts hold a direct identifier, by detector."""
    counts = ", ".join(
        f"count(*) filter ({condition('t', detector)})" for detector in DETECTORS.values()
    )
    (found,) = connection.execute(
        f"select {counts} from (select distinct {_text(name)} as t "
        f"from {qualified('source', source)} limit {SAMPLE}) where t is not null"
    ).fetchall()
    return {kind: count for kind, count in zip(DETECTORS, found, strict=True) if count}


def _notes(name: str, kind: str, counted: Mapping[str, Any], words: Mapping[str, int]) -> list[str]:
    """Say what about a column needs a person's eye."""
    notes = []
    if kind == "date" and counted["day_first"] and counted["month_first"]:
        notes.append("day and month change places from row to row; ask who typed them")
    elif kind == "date" and counted["day_month"] and not counted["day_first"]:
        notes.append("no date shows whether the day or the month comes first; say it in date_order")
    if kind == "date" and counted["short"]:
        notes.append("years of two digits need a pivot: arg pivot=NN")
    if kind == "date" and counted["whole"] > counted["years"]:
        notes.append("whole numbers among the dates: days counted by Excel?")
    if kind == "number" and counted["comma"] and counted["point"]:
        notes.append("decimal comma and decimal point in one column")
    if kind == "code":
        doubts = {LEXICON.doubts[key] for key in map(value_key, words) if key in LEXICON.doubts}
        notes += sorted(doubts)
    if normal(name) in LEXICON.doubts:
        notes.append(LEXICON.doubts[normal(name)])
    return notes
