"""Reads a whole inbox in a limited child process, so that no file can take the run down.

    sources ──▶ child (transforms.readers.child) ──▶ <folder>/<source>.parquet ──▶ views source.<id>

One child serves a run. A file that it refuses, or on which it dies, is left out with a message and
the others are read; after a death a new child goes on. Limits for one source:

    memory   1.3 GB of data (RLIMIT_DATA), which with libraries stays below 1.5 GB resident
    time     5 s of processor for files up to 1 MB together, 1 s more per further MB; the same
             on the clock, or up to six times that while the machine is busy with other things
    files    nothing to read but the inbox and libraries, nothing to write but the folder (Landlock)
"""

import json
import os
import select
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import duckdb

from transforms.errors import SetupError, SourceError, raise_all
from transforms.mapping import Source
from transforms.readers.relation import (
    PROVENANCE,
    SCHEMA,
    SourceTable,
    irregular_files,
    matching_files,
    parquet_name,
)
from transforms.sql import identifier, qualified


__all__ = ["Inbox", "Refusal", "read_inbox", "seconds_for"]

MEMORY_BYTES = 1_300 * 2**20
START_SECONDS = 60.0
SECONDS, BYTES_WITHIN, BYTES_PER_SECOND = 5, 2**20, 2**20
PATIENCE = 6
POLL_SECONDS = 0.25
MAX_ANSWER_BYTES = 2**24
DEADLINE, MEMORY = "deadline", "memory"
STAND_ALONE = ("delimited", "excel", "fhir", "phenopackets")  # a file needs no other file
TOGETHER = "together with the other files of its source"
ENVIRONMENT = {
    "HOME": "/nonexistent",
    "LANG": "C.UTF-8",
    "OPENBLAS_NUM_THREADS": "1",
    "MALLOC_ARENA_MAX": "2",
    "ARROW_DEFAULT_MEMORY_POOL": "system",
}


@dataclass(frozen=True)
class Refusal:
    """A file that was left out, and why; `source` is empty for what no source may read."""

    source: str
    file: str
    message: str


@dataclass(frozen=True)
class Inbox:
    """What was read and what was refused. A source of which nothing could be read has no table."""

    tables: tuple[SourceTable, ...]
    refused: tuple[Refusal, ...]


class _Lost(Exception):  # noqa: N818 - it is an event, told to nobody
    """The child, or the reader in it, did not come to the end of a source: why, in words."""


def read_inbox(
    sources: Sequence[Source], inbox: Path, folder: Path, connection: duckdb.DuckDBPyConnection
) -> Inbox:
    """Read all sources into Parquet files in `folder`, seen as `source.<id>` in `connection`.

    Raises SourceError, with all problems at once, for a source that does not fit the inbox as a
    whole or when nothing at all can be read; SetupError when the disk is full.
    """
    refused = [Refusal("", name, message) for name, message in irregular_files(inbox)]
    tables: list[SourceTable] = []
    problems: list[str] = []
    folder.mkdir(mode=0o700, exist_ok=True)
    connection.execute(f"create schema if not exists {identifier(SCHEMA)}")
    memory = _Memory()
    with _Child(inbox, folder) as child:
        for source in sources:
            try:
                table, without = _read_source(child, source, inbox, memory)
            except SourceError as error:
                problems.append(str(error))
                continue
            refused += without
            if table is not None:
                _show(connection, table, folder)
                tables.append(table)
    raise_all(SourceError, problems)
    if not tables:
        raise_all(SourceError, [refusal.message for refusal in refused])
    return Inbox(tuple(tables), tuple(dict.fromkeys(refused)))


def seconds_for(size: int) -> int:
    """Return the seconds that reading `size` bytes may take.

    >>> seconds_for(1000), seconds_for(11 * 2**20)
    (5, 15)
    """
    return SECONDS + max(0, size - BYTES_WITHIN) // BYTES_PER_SECOND


def _show(connection: duckdb.DuckDBPyConnection, table: SourceTable, folder: Path) -> None:
    """Make the view `source.<id>` over what the child wrote."""
    listed = ", ".join(map(identifier, (*table.columns, *PROVENANCE)))
    path = str(folder / parquet_name(table.source)).replace("'", "''")
    connection.execute(
        f"create or replace view {qualified(SCHEMA, table.source)} as "  # noqa: S608 - quoted
        f"select {listed} from read_parquet('{path}')"
    )


class _Memory:
    """Which files no further source of the same format needs to try: each costs up to its deadline.

    A file on which the child was lost is bad for all. One that a reader refused may lack only what
    that source asks for, until a second source is told the same in the same words.
    """

    def __init__(self) -> None:
        self._bad: dict[tuple[str, str], str] = {}
        self._told: dict[tuple[str, str], tuple[str, str]] = {}

    def known(self, source: Source, names: Sequence[str]) -> list[Refusal]:
        """Return the refusals of files that are bad for every source of this format."""
        found = ((name, self._bad.get((source.format, name))) for name in names)
        return [Refusal(source.source, name, message) for name, message in found if message]

    def lost(self, source: Source, refusals: Sequence[Refusal]) -> None:
        """Note files on which the child was lost, each by itself."""
        alone = (one for one in refusals if TOGETHER not in one.message)
        self._bad |= {(source.format, one.file): one.message for one in alone}

    def refused(self, source: Source, refusal: Refusal) -> None:
        """Note a file that a reader refused."""
        key = (source.format, refusal.file)
        by, message = self._told.setdefault(key, (source.source, refusal.message))
        if by != source.source and message == refusal.message:
            self._bad[key] = message


def _read_source(
    child: "_Child", source: Source, inbox: Path, memory: _Memory
) -> tuple[SourceTable | None, list[Refusal]]:
    """Read what can be read of a source; return its table, or None, and what was refused."""
    try:
        names = [path.relative_to(inbox).as_posix() for path in matching_files(source, inbox)]
    except SourceError as error:
        special = dict(irregular_files(inbox))
        if str(error) not in special.values():
            raise
        return None, []
    refused = memory.known(source, names)
    left_out = [one.file for one in refused]
    while set(left_out) < set(names):
        try:
            told = child.ask(source, names, left_out)
        except _Lost as lost:
            found = _culprits(child, source, names, left_out, str(lost))
            memory.lost(source, found)
        else:
            if "table" in told:
                return _table(told["table"]), refused
            first = _told(source, told["refused"], names, inbox)
            found = [first, *_like_it(child, source, names, [*left_out, first.file])]
            for one in found:
                memory.refused(source, one)
        refused += found
        fresh = [one.file for one in found if one.file in names and one.file not in left_out]
        if not fresh:
            return None, refused
        left_out += fresh
    return None, refused


def _like_it(
    child: "_Child", source: Source, names: Sequence[str], left_out: Sequence[str]
) -> list[Refusal]:
    """After one refusal, try every other file alone: once each, however many are bad.

    Only where each file stands for itself; elsewhere one refusal after the other is found.
    """
    rest = [name for name in names if name not in left_out]
    if source.format not in STAND_ALONE or len(rest) < 2:
        return []
    found = []
    for name in rest:
        try:
            told = child.ask(source, names, [other for other in names if other != name])
        except _Lost as lost:
            found.append(Refusal(source.source, name, f"{name}: {lost!s}"))
            continue
        message = told.get("refused", "")
        if message.startswith((f"{name}:", f"{name},")):
            found.append(Refusal(source.source, name, message))
    return found


def _told(source: Source, message: str, names: Sequence[str], inbox: Path) -> Refusal:
    """Return whom a refusal is about: the file that its message begins with.

    Raises SourceError when that is no file of the inbox: then the source itself is wrong.
    """
    start = message.splitlines()[0]
    there = (path.relative_to(inbox).as_posix() for path in inbox.rglob("*") if path.is_file())
    about = [name for name in {*names, *there} if start.startswith((f"{name}:", f"{name},"))]
    if not about:
        raise SourceError(message)
    return Refusal(source.source, max(about, key=len), message)


def _culprits(
    child: "_Child", source: Source, names: Sequence[str], left_out: Sequence[str], reason: str
) -> list[Refusal]:
    """Find the files on which a child dies: each is read alone; if none, it is all together."""
    rest = [name for name in names if name not in left_out]
    if len(rest) == 1:
        return [Refusal(source.source, rest[0], f"{rest[0]}: {reason}")]
    found = []
    for name in rest:
        try:
            child.ask(source, names, [other for other in names if other != name])
        except _Lost as lost:
            found.append(Refusal(source.source, name, f"{name}: {lost!s}"))
    return found or [Refusal(source.source, name, f"{name}: {TOGETHER}, {reason}") for name in rest]


def _table(told: Mapping[str, Any]) -> SourceTable:
    """Return the table that a child described."""
    lists = {key: tuple(value) for key, value in told.items() if isinstance(value, list)}
    return SourceTable(**{**told, **lists})


class _Child:
    """The reading process; it is started when first needed and again after it was lost."""

    def __init__(self, inbox: Path, folder: Path) -> None:
        self._inbox = inbox.resolve()
        self._folder = folder.resolve()
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._end()

    def ask(self, source: Source, names: Sequence[str], left_out: Sequence[str]) -> dict[str, Any]:
        """Have a source read without some files; return the answer or raise _Lost.

        Raises SetupError when there is no room for what is read.
        """
        paths = [self._inbox / name for name in names if name not in left_out]
        seconds = seconds_for(sum(path.stat().st_size for path in paths if path.exists()))
        process = self._process or self._start()
        request = {
            "source": {key: value for key, value in vars(source).items() if key != "place"},
            "inbox": str(self._inbox),
            "folder": str(self._folder),
            "left_out": list(left_out),
            "seconds": seconds,
        }
        told = self._exchange(process, request, seconds)
        if "full" in told:
            self._end()
            raise SetupError(
                f"{self._folder.parent}: there is no room for what is read from the inbox; "
                "free some space and run again"
            )
        if "lost" in told:
            if told["lost"] == MEMORY:
                self._end()
            raise _Lost(_reason(told["lost"], seconds))
        return told

    def _start(self) -> "subprocess.Popen[bytes]":
        """Start a child and wait until its walls stand."""
        settings = {
            "parent": os.getpid(),
            "inbox": str(self._inbox),
            "folder": str(self._folder),
            "memory": MEMORY_BYTES,
            "file_bytes": shutil.disk_usage(self._folder).free,
        }
        self._process = subprocess.Popen(
            [sys.executable, "-I", "-m", "transforms.readers.child", json.dumps(settings)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env=ENVIRONMENT,
            cwd=self._folder,
        )
        try:
            _line(self._process, START_SECONDS)
        except _Lost:
            self._end()
            raise SetupError(
                "the process that reads files does not start; is the installation whole? "
                "`make install` mends it"
            ) from None
        return self._process

    def _exchange(
        self, process: "subprocess.Popen[bytes]", request: Mapping[str, Any], seconds: int
    ) -> dict[str, Any]:
        """Send a request and wait for its answer; without one the child is ended."""
        try:
            assert process.stdin is not None  # noqa: S101 - it was asked for
            with suppress(BrokenPipeError):
                process.stdin.write(json.dumps(request).encode() + b"\n")
                process.stdin.flush()
            return _line(process, seconds)
        except _Lost as lost:
            self._end()
            raise _Lost(_reason(str(lost) or _death(process.returncode), seconds)) from None

    def _end(self) -> None:
        """End the child, if there is one, and close its pipes."""
        process, self._process = self._process, None
        if process is not None:
            process.kill()
            process.communicate()


def _line(process: "subprocess.Popen[bytes]", seconds: float) -> dict[str, Any]:
    """Return the next line that a child says; raise _Lost when it ends or its time is over.

    A child that could work but gets no processor is given more time, because others are to blame.
    """
    assert process.stdout is not None  # noqa: S101 - it was asked for
    channel, said, started = process.stdout.fileno(), b"", time.monotonic()
    while not said.endswith(b"\n"):
        if select.select([channel], [], [], POLL_SECONDS)[0]:
            piece = os.read(channel, 2**16)
            if not piece or len(said) > MAX_ANSWER_BYTES:
                process.wait(START_SECONDS)
                raise _Lost
            said += piece
        elapsed = time.monotonic() - started
        if elapsed > seconds * PATIENCE or (elapsed > seconds and not _works(process.pid)):
            raise _Lost(DEADLINE)
    try:
        told = json.loads(said)
    except ValueError:
        told = None
    if not isinstance(told, dict):
        raise _Lost("answer")
    return told


def _works(pid: int) -> bool:
    """Return whether a thread of a process works, or would if it got a processor."""
    for stat in Path(f"/proc/{pid}/task").glob("*/stat"):
        with suppress(OSError):
            if stat.read_text(encoding="ascii", errors="replace").rpartition(")")[2][1] == "R":
                return True
    return False


def _death(code: int) -> str:
    """Return what a child died of: the kernel's limit on time or memory, or its own fault."""
    if -code == signal.SIGXCPU:
        return DEADLINE
    return MEMORY if -code == signal.SIGKILL else f"signal {-code}" if code < 0 else f"exit {code}"


def _reason(lost: str, seconds: int) -> str:
    """Say in words, with the remedy, why a file could not be read."""
    if lost == DEADLINE:
        return (
            f"reading was stopped after {seconds} s, far more than a file of this size takes; "
            "export it again, or as CSV"
        )
    if lost == MEMORY:
        return (
            "reading needs more than 1.5 GB of memory; save only the sheets and columns needed, "
            "or split the export into several files"
        )
    return f"its content stopped the reader ({lost}); export it again, or as CSV"
