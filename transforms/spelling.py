"""How a text spells a number, a date or an age: SQL expressions over one text expression.

Each returns NULL for a text that spells none, so that the caller can say so.

Numbers: the declared decimal sign decides what is ambiguous (`1.234` is 1234 where the decimal
sign is a comma); what is not ambiguous reads as written (`22.1` is 22.1 in either). Blanks,
apostrophes and the other sign separate thousands, and only where they group three digits; where
the source declares which sign groups them, only that one does.

Dates: day, month and year are taken apart by pattern and put together by DuckDB, so 30 February
is no date. A year alone is 1 July, a month alone its first day, as the dictionary's
`date_precision` says. A serial day number of Excel is a date only where the mapping says which of
the two calendars of Excel it counts in.
"""

__all__ = ["EPOCHS", "amount_sql", "comparator_sql", "date_sql", "duration_sql", "precision_sql"]

COMPARATOR = "^(<=|>=|[<>=≤≥])[ \u00a0]*"
DIGITS = "[0-9]{1,15}"
EXPONENT = "([eE][+-]?[0-9]{1,2})?"
BLANKS = " \u00a0\u2007\u202f''\u2019"  # the apostrophe doubled, as it stands in a SQL text
GROUPS = {" ": " \u00a0\u2007\u202f", "'": "''\u2019"}

SEPARATOR = "[./ -]"
TIME = "([T ][0-9:.,Zz+-]*)?"
YEAR_FIRST = f"^([0-9]{{4}}){SEPARATOR}([0-9]{{1,2}}){SEPARATOR}([0-9]{{1,2}}){TIME}$"
YEAR_LAST = f"^([0-9]{{1,2}}){SEPARATOR}([0-9]{{1,2}}){SEPARATOR}([0-9]{{4}}){TIME}$"
SHORT_YEAR = f"^([0-9]{{1,2}}){SEPARATOR}([0-9]{{1,2}}){SEPARATOR}([0-9]{{1,2}}){TIME}$"
COMPACT = "^([0-9]{4})([0-9]{2})([0-9]{2})$"
MONTH_YEAR = "^([0-9]{1,2})[./-]([0-9]{4})$"
YEAR_MONTH = "^([0-9]{4})[./-]([0-9]{1,2})$"
YEAR = "^[0-9]{4}$"
# Five digits: 1927 to 2173 (1931 to 2177 in the calendar of 1904); four may as well be a year.
SERIAL = "^[0-9]{5}([.,][0-9]{1,15})?$"
# The day before day 1; Excel believes in 29 February 1900, so that of 1900 is a day too early.
EPOCHS = {"excel": "1899-12-30", "excel1904": "1904-01-01"}


def amount_sql(text: str, decimal: str, compared: bool = False, thousands: str = "") -> str:
    """Return the number that `text` spells with the decimal sign `decimal`.

    `compared`: a leading `<`, `>`, `<=`, `>=` or `=` is allowed and left to `comparator_sql`.
    `thousands`: the sign that groups digits, a space for all blanks; empty: any that can.
    """
    text = f"replace({text}, '\u2212', '-')"  # the typographic minus
    if compared:
        text = f"regexp_replace({text}, '{COMPARATOR}', '')"
    other = "." if decimal == "," else ","
    groups = GROUPS.get(thousands, thousands) or f"{BLANKS}{other}"
    grouped = f"[1-9][0-9]{{0,2}}([{groups}][0-9]{{3}})+"
    declared = f"[+-]?({DIGITS}|{grouped})([{decimal}]{DIGITS})?{EXPONENT}"
    otherwise = f"[+-]?{DIGITS}[{other}]{DIGITS}{EXPONENT}"
    plain = f"regexp_replace({text}, '[{BLANKS}{other}]', '', 'g')"
    return (
        f"case when regexp_full_match({text}, '{declared}') "
        f"then try_cast(replace({plain}, '{decimal}', '.') as double) "
        f"when regexp_full_match({text}, '{otherwise}') "
        f"then try_cast(replace({text}, '{other}', '.') as double) end"
    )


def comparator_sql(text: str) -> str:
    """Return `<`, `>` or `=` from how a number begins; `<=` counts as `<`."""
    begin = f"left({text}, 1)"
    return (
        f"case when {text} is null then null when {begin} in ('<', '≤') then '<' "
        f"when {begin} in ('>', '≥') then '>' else '=' end"
    )


def duration_sql(text: str) -> str:
    """Return the years of an ISO 8601 duration; the leading P, lost in v1-era files, may lack.

    Hours, minutes and seconds, which come after a T, are less than an age is told in: left out.
    """
    number = "[0-9]{1,6}(?:[.][0-9]{1,6})?"
    parts = "".join(f"({number}{letter})?" for letter in "YMWD")
    upper = f"upper({text})"
    days = f"split_part({upper}, 'T', 1)"

    def part(letter: str) -> str:
        return f"coalesce(try_cast(regexp_extract({days}, '([0-9.]+){letter}', 1) as double), 0)"

    years = f"{part('Y')} + {part('M')} / 12 + ({part('W')} * 7 + {part('D')}) / 365.25"
    sign = f"case when {upper} like '-%' then -1 else 1 end"
    valid = (
        f"regexp_full_match({upper}, '-?P?{parts}(T[0-9HMS.]*)?') "
        f"and regexp_matches({days}, '[0-9][YMWD]')"
    )
    return f"case when {valid} then {sign} * ({years}) end"


def date_sql(text: str, order: str, pivot: int | None = None, serials: str | None = None) -> str:
    """Return the date that `text` spells with parts in `order` (DMY, MDY or YMD).

    A four-digit year in front is understood in any order. Two-digit years need `pivot`: up to it
    they are 20NN, later ones 19NN. `serials` (`excel` or `excel1904`): five digits count days.
    """
    day, month = (1, 2) if order == "DMY" else (2, 1)
    cases = [
        (YEAR_FIRST, _make_date(text, YEAR_FIRST, 1, 2, 3)),
        (MONTH_YEAR, _make_date(text, MONTH_YEAR, 2, 1, None)),
        (YEAR_MONTH, _make_date(text, YEAR_MONTH, 1, 2, None)),
        (YEAR, f"try_cast({text} || '-07-01' as date)"),
    ]
    if order == "YMD":
        cases.append((COMPACT, _make_date(text, COMPACT, 1, 2, 3)))
    else:
        cases.append((YEAR_LAST, _make_date(text, YEAR_LAST, 3, month, day)))
    if pivot is not None:
        year, month, day = (1, 2, 3) if order == "YMD" else (3, month, day)
        cases.append((SHORT_YEAR, _make_date(text, SHORT_YEAR, year, month, day, pivot)))
    if serials is not None:
        cases.append((SERIAL, f"date '{EPOCHS[serials]}' + left({text}, 5)::integer"))
    branches = " ".join(
        f"when regexp_matches({text}, '{pattern}') then {value}" for pattern, value in cases
    )
    return f"case {branches} end"


def precision_sql(text: str) -> str:
    """Return how much of a date `text` holds: day, month or year."""
    return (
        f"case when {text} is null then null when regexp_matches({text}, '{YEAR}') then 'year' "
        f"when regexp_matches({text}, '{MONTH_YEAR}|{YEAR_MONTH}') then 'month' else 'day' end"
    )


def _make_date(
    text: str, pattern: str, year: int, month: int, day: int | None, pivot: int | None = None
) -> str:
    """Put together a date from the pattern's groups; without a day it is the first."""

    def group(number: int) -> str:
        return f"regexp_extract({text}, '{pattern}', {number})"

    years = group(year)
    if pivot is not None:
        short = f"try_cast({years} as integer)"
        years = f"(case when {short} <= {pivot} then 2000 else 1900 end + {short})"
    days = group(day) if day is not None else "'1'"
    return f"try_cast({years} || '-' || {group(month)} || '-' || {days} as date)"
