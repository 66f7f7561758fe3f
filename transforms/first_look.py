"""Tells by the size of a file and a few of its bytes that no reader would get through it.

A file of gigabytes takes seconds to fingerprint and minutes to read. One that cannot be read anyhow
is known before: `hopeless` reads some megabytes at most, whatever the size, and gives the same
answer for the same bytes. It stays with what every reader would refuse: who reads such a file by
mistake for sound would read what no fingerprint covers, so the refusal is the same in both places.
"""

import re
from pathlib import Path
from typing import BinaryIO


__all__ = ["AT_ONCE", "LONGEST_LINE", "hopeless", "is_inflated"]

AT_ONCE = 200 * 2**20  # bytes of a file that is read at once; only text and tables are streamed
LONGEST_LINE = 50 * 2**20  # no reader takes a longer one
SAMPLES, SAMPLE = 64, 2**16
PIECE = 2**20
# Cells that a table may have whatever its size, and for each byte of its file: an honest table of
# nothing but repetitions still has keys, which take a byte each.
CELLS, CELLS_A_BYTE = 5_000_000, 100

PARQUET, DATABASE = b"PAR1", b"DUCK"
WORKBOOKS = (b"PK\x03\x04", b"\xd0\xcf\x11\xe0")
UNREAD = (b"\x1f\x8b", b"BZh", b"\xfd7zXZ", b"7z\xbc\xaf", b"Rar!", b"%PDF", b"\x89PNG")
JSON = re.compile(rb"(?:\xef\xbb\xbf)?\s*(?:\{\s*[\"}]|\[\s*[\[{\"\]\-0-9ntf])")
SPLIT = "split the export into several files that match the same pattern"
AGAIN = "export or copy it again"


def hopeless(path: Path) -> str:
    """Say why no reader gets through the file, and the remedy; nothing when one may.

    Looks at files beyond `AT_ONCE` alone: smaller ones are soon fingerprinted, and refused by their
    readers. Raises OSError when the file cannot be read.
    """
    size = path.stat().st_size
    if size <= AT_ONCE:
        return ""
    with path.open("rb") as file:
        head = file.read(4096)
        if _is_read_at_once(head, file, path):
            return f"{size // 2**20} MB; at most {AT_ONCE // 2**20} MB are read: {SPLIT}"
        if head.startswith(UNREAD):
            return f"it is packed or no table; {AGAIN}, unpacked, as CSV or Parquet"
        if head.startswith(PARQUET):
            return "" if _ends(file, PARQUET) else f"a Parquet file that is cut off; {AGAIN}"
        return _void(file, size, is_text=head[8:12] != DATABASE)


def is_inflated(cells: int, size: int) -> bool:
    """Tell whether a file of `size` bytes says that it holds more cells than an honest one.

    >>> is_inflated(1_000_000, 4_000), is_inflated(1_000_000_000, 4_000)
    (False, True)
    """
    return cells > max(CELLS, CELLS_A_BYTE * size)


def _is_read_at_once(head: bytes, file: BinaryIO, path: Path) -> bool:
    """Tell whether the file is of a kind that is never streamed: a workbook, one JSON text."""
    if head.startswith(WORKBOOKS):
        return True
    if not JSON.match(head) or path.suffix.lower() in {".ndjson", ".jsonl"}:
        return False
    file.seek(0)
    first = file.readline(LONGEST_LINE).strip()
    return not (first.endswith(b"}") and file.readline(PIECE).lstrip().startswith(b"{"))


def _ends(file: BinaryIO, mark: bytes) -> bool:
    """Return whether the last bytes are `mark`."""
    file.seek(-len(mark), 2)
    return file.read(len(mark)) == mark


def _void(file: BinaryIO, size: int, *, is_text: bool) -> str:
    """Say that a file was never written to its end, or that it is no text of lines."""
    empty = sum(not any(sample) for sample in _samples(file, size))
    if empty > (0 if is_text else SAMPLES // 2):
        return f"long stretches of it hold nothing, as when a copy was broken off; {AGAIN}"
    file.seek(0)
    if is_text and not _has_line_ends(file):
        return (
            f"its first {LONGEST_LINE // 2**20} MB hold no line end; export it again, "
            "one row per line"
        )
    return ""


def _samples(file: BinaryIO, size: int) -> list[bytes]:
    """Return pieces from all over the file; the last of them is its end."""
    found = []
    for number in range(1, SAMPLES + 1):
        file.seek(size * number // SAMPLES - SAMPLE)
        found.append(file.read(SAMPLE))
    return found


def _has_line_ends(file: BinaryIO) -> bool:
    """Return whether a line ends within the longest that is read, in any encoding."""
    pieces = (file.read(PIECE) for _ in range(LONGEST_LINE // PIECE))
    return any(b"\n" in piece or b"\r" in piece for piece in pieces)
