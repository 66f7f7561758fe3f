"""Decodes text files: the declared encoding, or the detected one and a note that says so.

A declared encoding that the bytes contradict is refused: read wrongly, letters with accents would
be garbled without a word.
"""

import codecs
import re

from transforms.errors import SourceError


__all__ = ["text_of"]

BYTE_ORDER_MARKS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
BINARY = (
    (b"PK\x03\x04", "a ZIP container, as Excel workbooks are", "excel"),
    (b"\xd0\xcf\x11\xe0", "an old Excel workbook", "excel"),
    (b"PAR1", "a Parquet file", "omop"),
    (b"%PDF", "a PDF document", ""),
    (b"\x1f\x8b", "gzip-compressed", ""),
)
CONTROL = re.compile("[\x00-\x08\x0e-\x1a\x1c-\x1f]")
CONTROL_OF_LATIN = re.compile("[\x80-\x9f]")  # what cp1252 puts quotation marks and € at


def text_of(data: bytes, declared: str, name: str) -> tuple[str, tuple[str, ...]]:
    """Return the text of the file called `name`, with `\\n` line ends, and notes.

    `declared` may be empty. Raises SourceError when the file is not text, or not of that encoding.
    """
    marked = next((found for mark, found in BYTE_ORDER_MARKS if data.startswith(mark)), None)
    if marked is None:
        _refuse_binary(data, name)
    encoding = _agreed(data, declared, marked, name) if declared else marked or _guess(data, name)
    text = _decode(data, encoding, name).removeprefix("\ufeff")
    text = text.replace("\r\n", "\n").replace("\r", "\n")
    if CONTROL.search(text):
        raise SourceError(_not_text(name, "binary data", ""))
    if declared or encoding == "utf-8":
        return text, ()
    return text, (f"{name}: encoding {encoding} was detected; declare it in 'encoding'",)


def _agreed(data: bytes, declared: str, marked: str | None, name: str) -> str:
    """Return the declared encoding; raise SourceError when the bytes show that it is another."""
    try:
        " ".encode(declared)
    except (LookupError, UnicodeError):
        raise SourceError(
            f"{name}: unknown encoding '{declared}' in sheet 'sources'; "
            "use utf-8, utf-16, cp1252 or iso-8859-15, or leave 'encoding' empty to detect it"
        ) from None
    canonical = codecs.lookup(declared).name
    actual = marked or _evident(data, canonical)
    if actual is None or actual[:6].rstrip("-") == canonical[:6].rstrip("-"):
        return marked or canonical
    raise SourceError(
        f"{name}: encoding {declared} is declared, but the file is {actual}; "
        "correct 'encoding' in sheet 'sources', or letters with accents would be garbled"
    )


def _evident(data: bytes, canonical: str) -> str | None:
    """Return the encoding that the bytes leave no doubt of, where `canonical` would garble them."""
    if canonical.startswith("utf-16"):
        return "utf-8" if 0 not in data and _decodes(data, "utf-8") else None
    if data.isascii():
        return None
    if _decodes(data, "utf-8"):
        return "utf-8"
    latin = canonical.startswith("iso8859")
    return "cp1252" if latin and CONTROL_OF_LATIN.search(data.decode("latin-1")) else None


def _refuse_binary(data: bytes, name: str) -> None:
    for mark, kind, reader in BINARY:
        if data.startswith(mark):
            raise SourceError(_not_text(name, kind, reader))


def _not_text(name: str, kind: str, reader: str) -> str:
    remedy = f"declare format {reader}, or" if reader else "please"
    return f"{name}: delimited text was expected, but the file is {kind}; {remedy} export it as CSV"


def _guess(data: bytes, name: str) -> str:
    """Return the first encoding that fits: UTF-8, UTF-16 without mark (by its NULs), cp1252."""
    nuls = data[:4096].count(0)
    if nuls:
        even = data[:4096:2].count(0)
        guesses = ["utf-16-be" if even > nuls - even else "utf-16-le"]
    else:
        guesses = ["utf-8", "cp1252"]
    fitting = next((guess for guess in guesses if _decodes(data, guess)), None)
    if fitting is None:
        raise SourceError(
            f"{name}: the encoding cannot be told from the bytes; "
            "declare it in column 'encoding' of sheet 'sources'"
        )
    return fitting


def _decodes(data: bytes, encoding: str) -> bool:
    try:
        data.decode(encoding)
    except UnicodeError:
        return False
    return True


def _decode(data: bytes, encoding: str, name: str) -> str:
    try:
        return data.decode(encoding)
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise SourceError(
            f"{name}: line {line} holds bytes that are not {encoding}; "
            "declare the file's own encoding, for example cp1252, in column 'encoding'"
        ) from None
