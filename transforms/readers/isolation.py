"""Reads a whole inbox in a limited child process, so that no file can take the run down.

    sources ──▶ child (transforms.readers.child) ──▶ <folder>/<source>.parquet ──▶ views source.<id>

One child serves a run (`transforms.readers.keeper`). A file that it refuses, or on which it dies,
is left out with a message and the others are read; after a death a new child goes on. A giant that
no reader gets through is left out before.
"""

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import duckdb

from transforms.errors import SourceError, raise_all
from transforms.first_look import hopeless
from transforms.inbox import inbox_files
from transforms.mapping import Source
from transforms.readers.keeper import Child, Lost
from transforms.readers.relation import (
    PROVENANCE,
    SCHEMA,
    SourceTable,
    irregular_files,
    matching_files,
    parquet_name,
)
from transforms.saying import Say, nothing
from transforms.sql import identifier, qualified


__all__ = ["Inbox", "Refusal", "read_inbox"]

STAND_ALONE = ("delimited", "excel", "fhir", "phenopackets")  # a file needs no other file
TRIED_ALONE = 20 * 2**20  # bytes; a larger file is not read once more only to know whether it can
TOGETHER = "together with the other files of its source"


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


def read_inbox(
    sources: Sequence[Source],
    inbox: Path,
    folder: Path,
    connection: duckdb.DuckDBPyConnection,
    say: Say = nothing,
) -> Inbox:
    """Read all sources into Parquet files in `folder`, seen as `source.<id>` in `connection`.

    `say` is told which source is being read.

    Raises SourceError, with all problems at once, for a source that does not fit the inbox as a
    whole or when nothing at all can be read; SetupError when the disk is full.
    """
    refused = [Refusal("", name, message) for name, message in irregular_files(inbox)]
    tables: list[SourceTable] = []
    problems: list[str] = []
    folder.mkdir(mode=0o700, exist_ok=True)
    connection.execute(f"create schema if not exists {identifier(SCHEMA)}")
    memory = _Memory(inbox)
    with Child(inbox, folder) as child:
        for number, source in enumerate(sources, start=1):
            say(f"reading {source.source}, {number} of {len(sources)} sources")
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

    A file on which the child was lost is bad for all, as is a giant that no reader gets through.
    One that a reader refused may lack only what that source asks for, until a second source is told
    the same in the same words.
    """

    def __init__(self, inbox: Path) -> None:
        self._inbox = inbox
        self._bad: dict[tuple[str, str], str] = {}
        self._told: dict[tuple[str, str], tuple[str, str]] = {}
        self._hopeless: dict[str, str] = {}

    def known(self, source: Source, names: Sequence[str]) -> list[Refusal]:
        """Return the refusals of files that are bad for every source of this format."""
        found = ((n, self._bad.get((source.format, n)) or self._look(n)) for n in names)
        return [Refusal(source.source, name, message) for name, message in found if message]

    def lost(self, source: Source, name: str, reason: str) -> Refusal:
        """Note a file on which the child was lost."""
        refusal = Refusal(source.source, name, f"{name}: {reason}")
        self._bad[source.format, name] = refusal.message
        return refusal

    def refused(self, source: Source, refusal: Refusal) -> Refusal:
        """Note a file that a reader refused."""
        key = (source.format, refusal.file)
        by, message = self._told.setdefault(key, (source.source, refusal.message))
        if by != source.source and message == refusal.message:
            self._bad[key] = message
        return refusal

    def _look(self, name: str) -> str:
        """Return the refusal of a giant, looked at once; what cannot be opened its reader tells."""
        if name not in self._hopeless:
            reason = ""
            with suppress(OSError):
                reason = hopeless(self._inbox / name)
            self._hopeless[name] = f"{name}: {reason}" if reason else ""
        return self._hopeless[name]


def _read_source(
    child: Child, source: Source, inbox: Path, memory: _Memory
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
        except Lost as lost:
            found = _culprits(child, source, names, left_out, lost, memory)
        else:
            if "table" in told:
                return _table(told["table"]), refused
            found = [memory.refused(source, _told(source, told["refused"], names, inbox))]
        found += _like_it(child, source, names, [*left_out, *(one.file for one in found)], memory)
        refused += found
        fresh = [one.file for one in found if one.file in names and one.file not in left_out]
        if not fresh:
            return None, refused
        left_out += fresh
    return None, refused


def _like_it(
    child: Child, source: Source, names: Sequence[str], left_out: Sequence[str], memory: _Memory
) -> list[Refusal]:
    """After a refusal, try every other file that is not large alone: once, however many are bad.

    Only where each file stands for itself; elsewhere one refusal after the other is found.
    """
    rest = [name for name in names if name not in left_out]
    if source.format not in STAND_ALONE or len(rest) < 2:
        return []
    small = [name for name in rest if child.size(name) <= TRIED_ALONE]
    found = (_alone(child, source, names, name, memory) for name in small)
    return [refusal for refusal in found if refusal is not None]


def _alone(
    child: Child, source: Source, names: Sequence[str], name: str, memory: _Memory
) -> Refusal | None:
    """Read one file by itself; return its refusal, or None when it is sound."""
    try:
        told = child.ask(source, names, [other for other in names if other != name])
    except Lost as lost:
        return memory.lost(source, name, str(lost))
    message = told.get("refused", "")
    if message.startswith((f"{name}:", f"{name},")):
        return memory.refused(source, Refusal(source.source, name, message))
    return None


def _told(source: Source, message: str, names: Sequence[str], inbox: Path) -> Refusal:
    """Return whom a refusal is about: the file that its message begins with.

    Raises SourceError when that is no file of the inbox: then the source itself is wrong.
    """
    start = message.splitlines()[0]
    there = (path.relative_to(inbox).as_posix() for path in inbox_files(inbox))
    about = [name for name in {*names, *there} if start.startswith((f"{name}:", f"{name},"))]
    if not about:
        raise SourceError(message)
    return Refusal(source.source, max(about, key=len), message)


def _culprits(
    child: Child,
    source: Source,
    names: Sequence[str],
    left_out: Sequence[str],
    lost: Lost,
    memory: _Memory,
) -> list[Refusal]:
    """Find the file on which a child died: the one at hand, or one that it dies of when alone.

    If there is none, it is all of them together.
    """
    rest = [name for name in names if name not in left_out]
    if len(rest) == 1 or lost.certain:
        return [memory.lost(source, lost.file if lost.certain else rest[0], str(lost))]
    for name in sorted(rest, key=lambda name: name != lost.file):
        _alone(child, source, names, name, memory)
        if found := memory.known(source, [name]):
            return found
    return [Refusal(source.source, name, f"{name}: {TOGETHER}, {lost!s}") for name in rest]


def _table(told: Mapping[str, Any]) -> SourceTable:
    """Return the table that a child described."""
    lists = {key: tuple(value) for key, value in told.items() if isinstance(value, list)}
    return SourceTable(**{**told, **lists})
