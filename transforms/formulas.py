"""Cells of CSV that no spreadsheet computes: an apostrophe before each sign it would begin with.

Excel and LibreOffice compute a cell that begins with = + - @ (their wide forms too), and split a
line at their own country's separator, whatever the file's: in `"a;=1+1"` of a file with commas a
formula begins. So a sign is disarmed at the start of a cell and after each separator, also behind
blanks and quotation marks; a tab or a line break at the start is disarmed itself, and a number
stays a number. The mark can be taken away again: `original(disarmed(text))` is the text.
Source: https://owasp.org/www-community/attacks/CSV_Injection.
"""

import re

import pyarrow as pa
import pyarrow.compute as pc


__all__ = ["disarmed", "disarmed_column", "original"]

# Understood alike by Python's re and by Arrow's RE2.
BEFORE = r"""((?:^|[;,|\t\r\n])[ \t\r\n"']*)"""
SIGN = r"([=+\-@\x{FF1D}\x{FF0B}\x{FF0D}\x{FF20}])"
BREAK = r"('*[\t\r\n])"
NUMBER = r"-?[0-9][0-9., ]*"


def disarmed_column(texts: pa.ChunkedArray) -> pa.ChunkedArray:
    """Return a column of texts in which no spreadsheet finds a formula."""
    safe = pc.replace_substring_regex(texts, BEFORE + SIGN, r"\1'\2")
    safe = pc.replace_substring_regex(safe, "^" + BREAK, r"'\1")
    return pc.if_else(pc.match_substring_regex(texts, f"^{NUMBER}$"), texts, safe)


def disarmed(text: str) -> str:
    """Return a text in which no spreadsheet finds a formula.

    >>> disarmed("=1+1"), disarmed("a;=1+1"), disarmed("-2.5"), disarmed("c.-12A>G")
    ("'=1+1", "a;'=1+1", '-2.5', 'c.-12A>G')
    """
    if re.fullmatch(NUMBER, text):
        return text
    return re.sub("^" + BREAK, r"'\1", re.sub(BEFORE + PYTHON_SIGN, r"\1'\2", text))


def original(text: str) -> str:
    """Return the text that `disarmed` was given.

    >>> original("'=1+1"), original("it's; 'so'")
    ('=1+1', "it's; 'so'")
    """
    return re.sub(BEFORE + "'" + PYTHON_SIGN, r"\1\2", re.sub("^'" + BREAK, r"\1", text))


PYTHON_SIGN = re.sub(r"\\x\{(\w+)\}", r"\\u\1", SIGN)
