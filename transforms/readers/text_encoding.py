"""Decodes text files: the declared encoding, or the detected one and a note that says so.

A declared encoding that the bytes contradict is refused: read wrongly, letters with accents would
be garbled without a word. Large files are looked at and decoded piece by piece.
"""

import codecs
import re
from collections.abc import Generator, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from transforms.errors import SourceError
from transforms.readers.relation import begin


__all__ = ["PIECE", "encoding_of", "text_of", "utf8_pieces"]

PIECE = 8 * 2**20
LATIN = ("cp1252", "iso8859-1", "iso8859-15")
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
    (b"\x89PNG", "a picture", ""),
    (b"\xff\xd8\xff", "a picture", ""),
    (b"\x1f\x8b", "gzip-compressed", ""),
)
HEAD = 4096
CONTROL = bytes({*range(32), 127} - {*b"\t\n\v\f\r\x1b\x7f"})
NOT_CONTROL = bytes(set(range(256)) - set(CONTROL))
LATIN_CONTROL = bytes(range(0x80, 0xA0))  # what cp1252 puts quotation marks and € at
NOT_IN_CP1252 = b"\x81\x8d\x8f\x90\x9d"
# Where ISO-8859-15 and cp1252 differ and no control is there: letters of French, Czech, Finnish and
# the euro in one, signs that stand between blanks or behind digits in the other.
LETTER_OF_LATIN_9 = re.compile(
    rb"[A-Za-z\xc0-\xff][\xa6\xa8\xb4\xb8\xbc\xbd\xbe]|[\xa6\xa8\xb4\xb8\xbc\xbd\xbe][a-z\xdf-\xff]"
    rb"|\xa4"
)
# A letter with an accent in UTF-8; read as a Latin encoding, two signs that no language writes so.
UTF8_LETTER = re.compile(rb"(?<![\x80-\xff])[\xc3\xc5][\x80-\xbf](?![\x80-\xff])")
DIFFERENT = b"\xa4\xa6\xa8\xb4\xb8\xbc\xbd\xbe"


@dataclass(frozen=True)
class _Look:
    """What the bytes of a file, all of them, say about its encoding."""

    head: bytes
    nul: bool
    ascii: bool
    utf8: bool
    latin_control: bool
    cp1252: bool
    latin9: bool
    mixed: bool


def text_of(data: bytes, declared: str, name: str) -> tuple[str, tuple[str, ...]]:
    """Return the text of the file called `name`, with `\\n` line ends, and notes.

    `declared` may be empty. Raises SourceError when the file is not text, or not of that encoding.
    """
    encoding, notes = _settle(_look([data]), declared, name)
    return b"".join(_normal([data], encoding, name)).decode(), notes


def encoding_of(path: Path, declared: str, name: str) -> tuple[str, tuple[str, ...]]:
    """Return the encoding of the whole file, and notes; raise SourceError as `text_of` does."""
    begin(name)
    return _settle(_look(_pieces(path)), declared, name)


def utf8_pieces(path: Path, encoding: str, name: str) -> Generator[bytes]:
    """Yield the text of a file as UTF-8 with `\\n` line ends, in pieces of about `PIECE` bytes.

    Raises SourceError when the file turns out not to be text of that encoding.
    """
    begin(name)
    yield from _normal(_pieces(path), encoding, name)


def _pieces(path: Path) -> Iterator[bytes]:
    with path.open("rb") as file:
        while piece := file.read(PIECE):
            yield piece


def _look(pieces: Iterable[bytes]) -> _Look:
    """Look at all bytes once; the costly questions are asked only where a letter is not ASCII."""
    head, nul, ascii_only, utf8 = b"", False, True, True
    latin_control, cp1252, latin9, mixed = False, True, False, False
    decoder = codecs.getincrementaldecoder("utf-8")()
    for piece in pieces:
        head = head or piece[:HEAD]
        nul = nul or 0 in piece
        if piece.isascii():
            utf8 = utf8 and not decoder.getstate()[0]
            continue
        ascii_only = False
        utf8 = utf8 and _decodes(decoder, piece)
        latin_control = latin_control or _any(piece, LATIN_CONTROL)
        cp1252 = cp1252 and not _any(piece, NOT_IN_CP1252)
        mixed = mixed or bool(UTF8_LETTER.search(piece))
        latin9 = latin9 or (_any(piece, DIFFERENT) and bool(LETTER_OF_LATIN_9.search(piece)))
    utf8 = utf8 and not decoder.getstate()[0]
    return _Look(head, nul, ascii_only, utf8, latin_control, cp1252, latin9, mixed and not utf8)


def _any(piece: bytes, wanted: bytes) -> bool:
    """Return whether one of the wanted bytes is in `piece`."""
    return any(byte in piece for byte in wanted)


def _decodes(decoder: codecs.IncrementalDecoder, piece: bytes) -> bool:
    try:
        decoder.decode(piece)
    except UnicodeDecodeError:
        return False
    return True


def _settle(look: _Look, declared: str, name: str) -> tuple[str, tuple[str, ...]]:
    """Return the encoding, declared or detected, and what is to be said of it."""
    marked = next((found for mark, found in BYTE_ORDER_MARKS if look.head.startswith(mark)), None)
    if marked is None:
        _refuse_binary(look.head, name)
    encoding = _agreed(look, declared, marked, name) if declared else marked or _guess(look, name)
    if look.mixed and codecs.lookup(encoding).name in LATIN:
        raise SourceError(
            f"{name}: some letters are written in utf-8 and others in another encoding, as when "
            "two exports were pasted together; export each by itself"
        )
    if declared or encoding == "utf-8":
        return encoding, ()
    return encoding, (f"{name}: encoding {encoding} was detected; declare it in 'encoding'",)


def _agreed(look: _Look, declared: str, marked: str | None, name: str) -> str:
    """Return the declared encoding; raise SourceError when the bytes show that it is another."""
    try:
        " ".encode(declared)
    except (LookupError, UnicodeError):
        raise SourceError(
            f"{name}: unknown encoding '{declared}' in sheet 'sources'; "
            "use utf-8, utf-16, cp1252 or iso-8859-15, or leave 'encoding' empty to detect it"
        ) from None
    canonical = codecs.lookup(declared).name
    actual = marked or _evident(look, canonical)
    if actual is None or actual[:6].rstrip("-") == canonical[:6].rstrip("-"):
        return marked or canonical
    raise SourceError(
        f"{name}: encoding {declared} is declared, but the file is {actual}; "
        "correct 'encoding' in sheet 'sources', or letters with accents would be garbled"
    )


def _evident(look: _Look, canonical: str) -> str | None:
    """Return the encoding that the bytes leave no doubt of, where `canonical` would garble them."""
    if canonical.startswith("utf-16"):
        return "utf-8" if not look.nul and look.utf8 else None
    if look.ascii:
        return None
    if look.utf8:
        return "utf-8"
    return "cp1252" if canonical.startswith("iso8859") and look.latin_control else None


def _refuse_binary(head: bytes, name: str) -> None:
    for mark, kind, reader in BINARY:
        if head.startswith(mark):
            raise SourceError(_not_text(name, kind, reader))


def _not_text(name: str, kind: str, reader: str) -> str:
    remedy = f"declare format {reader}, or" if reader else "please"
    return f"{name}: delimited text was expected, but the file is {kind}; {remedy} export it as CSV"


def _guess(look: _Look, name: str) -> str:
    """Return the encoding that fits: UTF-8, UTF-16 without mark (by its NULs), Latin ones."""
    nuls = look.head.count(0)
    if nuls * 10 > len(look.head):  # one here and there is damage, which no encoding explains
        even = look.head[::2].count(0)
        return "utf-16-be" if even > nuls - even else "utf-16-le"
    if look.utf8:
        return "utf-8"
    if look.latin9 and not look.latin_control:
        return "iso-8859-15"
    if look.cp1252:
        return "cp1252"
    raise SourceError(
        f"{name}: the encoding cannot be told from the bytes; "
        "declare it in column 'encoding' of sheet 'sources'"
    )


def _normal(pieces: Iterable[bytes], encoding: str, name: str) -> Iterator[bytes]:
    """Yield text as UTF-8 with `\\n` line ends and without a byte order mark."""
    held, first = b"", True
    for piece in _recoded(pieces, encoding, name):
        text = held + piece
        if first:
            text = text.removeprefix(codecs.BOM_UTF8)
        first = first and not text
        held = b"\r" if text.endswith(b"\r") else b""  # its \n may come with the next piece
        text = text[: len(text) - len(held)]
        if b"\r" in text:
            text = text.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
        if text.translate(None, NOT_CONTROL):
            raise SourceError(_not_text(name, "binary data", ""))
        yield text
    if held:
        yield b"\n"


def _recoded(pieces: Iterable[bytes], encoding: str, name: str) -> Iterator[bytes]:
    """Yield the pieces as UTF-8."""
    canonical = codecs.lookup(encoding.removesuffix("-sig")).name
    decoder, lines = codecs.getincrementaldecoder(canonical)(), 0
    plain = canonical.startswith(("utf-8", "ascii", "cp125", "iso8859"))
    for piece in _ended(pieces):
        if plain and piece and piece.isascii() and not decoder.getstate()[0]:
            yield piece
        else:
            yield _decode(decoder, piece, lines, name, encoding)
        lines += piece.count(b"\n")


def _ended(pieces: Iterable[bytes]) -> Iterator[bytes]:
    """Yield the pieces and then an empty one, on which a decoder looks back at what is left."""
    yield from pieces
    yield b""


def _decode(
    decoder: codecs.IncrementalDecoder, piece: bytes, lines: int, name: str, encoding: str
) -> bytes:
    try:
        return decoder.decode(piece, final=not piece).encode()
    except UnicodeDecodeError as error:
        line = lines + error.object.count(b"\n", 0, error.start) + 1
        raise SourceError(
            f"{name}: line {line} holds bytes that are not {encoding}; "
            "declare the file's own encoding, for example cp1252, in column 'encoding'"
        ) from None
