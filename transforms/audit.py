"""The site's own memory of what was published, withdrawn and deleted: append-only, hash-chained.

`audit.jsonl`, one entry of a `transforms.chain` a line. Kept for ever, so it holds release and run
ids, names of accepters, counts of files; never a patient, a pseudonym or a file's name.
"""

import fcntl
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from transforms.chain import Chain, Entry
from transforms.durable import append_line
from transforms.errors import ReleaseError
from transforms.site import Site


__all__ = ["entries", "note"]

CHAIN = Chain("marmor/audit/1", escaped=False)


def note(site: Site, event: str, body: Mapping[str, Any]) -> None:
    """Append one entry and force it to the disk. Raises ReleaseError when the chain is broken."""
    path = _path(site)
    with _locked(path):
        _mend(path)
        known = _read(path)
        entry = CHAIN.following(known[-1] if known else None, datetime.now(UTC), event, body)
        append_line(path, CHAIN.line(entry))


def entries(site: Site) -> tuple[Entry, ...]:
    """Return all entries, checked; ReleaseError names the first line that was changed."""
    return tuple(_read(_path(site)))


def _path(site: Site) -> Path:
    """Return where the chain is kept."""
    return site.folder / "audit.jsonl"


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    """Let one process write at a time; the lock ends with the process."""
    descriptor = os.open(path.with_name(".audit.lock"), os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def _mend(path: Path) -> None:
    """Take away a last line that a crash cut off."""
    data = path.read_bytes() if path.exists() else b""
    whole = data.rfind(b"\n") + 1
    if whole < len(data):
        os.truncate(path, whole)


def _read(path: Path) -> list[Entry]:
    """Read and check the chain; a last line without its end is not yet one."""
    data = path.read_bytes() if path.exists() else b""
    known: list[Entry] = []
    for line in data.split(b"\n")[:-1]:
        entry = CHAIN.checked(line, known[-1] if known else None)
        if entry is None:
            raise ReleaseError(
                f"{path}, line {len(known) + 1}: was changed; restore the file from the site's "
                "newest backup"
            )
        known.append(entry)
    return known
