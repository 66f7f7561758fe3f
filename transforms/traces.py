"""Searches a folder for texts that must not be there, also inside archives and Parquet files.

Looks at raw bytes, in UTF-8, UTF-16 and Latin-1; at the contents of zip (so of xlsx, ods, jar) and
gzip files, one within the other; and at every value of a Parquet file, whose pages are compressed.
A text counts as found only where it stands alone: `1001` is not found in `210017`. What would
unfold beyond measure, or cannot be searched to its end, counts as holding them: nobody can tell.
"""

import gzip
import io
import os
import re
import zipfile
import zlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from transforms.first_look import is_inflated
from transforms.inbox import walk


__all__ = ["traces"]

CHUNK = 1 << 20
OVERLAP = 1 << 10
# Bytes that an archive may unfold to, with all that lies in it: honest ones stay far below.
UNFOLDED, TIMES, LARGEST = 1 << 26, 100, 1 << 28
DEEPEST = 3  # archives within archives


class _Inflated(Exception):  # noqa: N818 - it is an event, told to nobody
    """An archive unfolds beyond what is searched."""


@dataclass
class _Budget:
    """How many bytes may still be unfolded of one file."""

    left: int

    def read(self, stream: IO[bytes] | gzip.GzipFile) -> bytes:
        """Return all of `stream`; raise _Inflated when that is more than may be unfolded."""
        most = min(self.left, LARGEST)
        content = stream.read(most + 1)
        if len(content) > most:
            raise _Inflated
        self.left -= len(content)
        return content


def traces(folder: Path, texts: Iterable[str]) -> tuple[Path, ...]:
    """Return the files below `folder` that hold one of `texts`, sorted.

    A file that is no sound archive is searched as raw bytes alone.
    """
    wanted = [text for text in texts if text]
    pattern = _pattern(wanted)
    entries, closed = walk(folder)
    files = (path for path in sorted(entries) if path.is_file() and not path.is_symlink())
    found = [path for path in files if _holds(path, pattern, set(wanted))]
    return tuple(sorted([*found, *closed]))


def _pattern(texts: Iterable[str]) -> re.Pattern[bytes]:
    """Return a pattern for the texts as whole words, in the encodings that centres use."""
    forms: set[bytes] = set()
    for text in texts:
        forms |= {
            rb"(?<![0-9A-Za-z])" + re.escape(text.encode(encoding)) + rb"(?![0-9A-Za-z])"
            for encoding in ("utf-8", "latin-1")
            if _can(text, encoding)
        }
        wide = re.escape(text.encode("utf-16-le"))
        forms.add(rb"(?<![0-9A-Za-z]\0)" + wide + rb"(?![0-9A-Za-z]\0)")
    return re.compile(b"|".join(sorted(forms)) or rb"(?!)")


def _can(text: str, encoding: str) -> bool:
    """Return whether the encoding has all characters of `text`."""
    try:
        text.encode(encoding)
    except UnicodeEncodeError:
        return False
    return True


def _holds(path: Path, pattern: re.Pattern[bytes], texts: set[str]) -> bool:
    """Return whether one file holds any of the texts, in its name, bytes, members or values."""
    if pattern.search(os.fsencode(path.name)):
        return True
    with path.open("rb") as file:
        if _in_stream(file, pattern):
            return True
        size = file.tell()
        file.seek(0)
        start = file.read(4)
        file.seek(0)
        if start == b"PAR1":
            return _in_parquet(path, texts, size)
        budget = _Budget(max(UNFOLDED, TIMES * size))
        try:
            members = _members(file, start, DEEPEST, budget)
            return any(_in_stream(member, pattern) for member in members)
        except _Inflated:
            return True


def _in_stream(stream: io.BufferedIOBase | io.BytesIO, pattern: re.Pattern[bytes]) -> bool:
    """Search a stream piece by piece; pieces overlap, so that nothing falls between two."""
    tail = b""
    while piece := stream.read(CHUNK):
        if pattern.search(tail + piece):
            return True
        tail = (tail + piece)[-OVERLAP:]
    return False


def _members(
    stream: io.BufferedIOBase | io.BytesIO, start: bytes, depth: int, budget: _Budget
) -> Iterator[io.BytesIO]:
    """Yield what an archive holds, and what archives in it hold."""
    if depth == 0:
        return
    for content in _unpacked(stream, start, budget):
        yield io.BytesIO(content)
        yield from _members(io.BytesIO(content), content[:4], depth - 1, budget)


def _unpacked(
    stream: io.BufferedIOBase | io.BytesIO, start: bytes, budget: _Budget
) -> Iterator[bytes]:
    """Yield each member of a zip or gzip file; raise _Inflated when they are too large."""
    try:
        if start[:2] == b"\x1f\x8b":
            with gzip.GzipFile(fileobj=stream) as packed:
                yield budget.read(packed)
        elif start == b"PK\x03\x04":
            with zipfile.ZipFile(stream) as archive:
                for info in archive.infolist():
                    yield info.filename.encode()
                    with archive.open(info) as member:
                        yield budget.read(member)
    except (OSError, EOFError, RuntimeError, NotImplementedError, zipfile.BadZipFile, zlib.error):
        return


def _in_parquet(path: Path, texts: set[str], size: int) -> bool:
    """Return whether any cell of a Parquet file, as a text, is one of the texts.

    Of a column that repeats its texts each is looked at once, however often it stands there.
    """
    try:
        with pq.ParquetFile(path) as plain:
            if is_inflated(plain.metadata.num_rows * plain.metadata.num_columns, size):
                return True
            repeated = [
                field.name for field in plain.schema_arrow if pa.types.is_string(field.type)
            ]
        wanted = pa.array(sorted(texts), pa.string())
        with pq.ParquetFile(path, read_dictionary=repeated) as file:
            return any(
                pc.any(pc.is_in(_words(column), value_set=wanted)).as_py()
                for batch in file.iter_batches()
                for column in batch.columns
            )
    except pa.ArrowException:
        return False


def _words(column: pa.Array) -> pa.Array:
    """Return the cells of a column as texts, lists laid flat, what repeats itself once."""
    while pa.types.is_list(column.type):
        column = column.flatten()
    if pa.types.is_dictionary(column.type):
        column = column.dictionary
    return column.cast(pa.string())
