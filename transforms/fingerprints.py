"""Fingerprints of the files in an inbox, each computed once as long as the file stays as it is.

A file of gigabytes takes seconds to hash, and every step of a run has to know that it is still the
same. So `work/fingerprints.json` remembers the digest together with what the kernel says of the
file: inode, size, times of change. As in git, what changed within the last seconds before it was
hashed is hashed again, because a second change could bear the same time. File names may hold a
patient's name: they are written as digests. A giant that no reader gets through is not read here
either (`transforms.first_look`): its fingerprint is that of its size and of why it is refused.
"""

import hashlib
import json
import os
import time
from collections.abc import Iterator
from pathlib import Path

from transforms.durable import write_json
from transforms.first_look import hopeless
from transforms.inbox import closed_folders, entries


__all__ = ["content_digest", "fingerprints"]

MEMORY = "fingerprints.json"
SETTLED_NS = 2_000_000_000
IRREGULAR, UNREADABLE = "not a file", "cannot be read"

Known = dict[str, list[object]]


def fingerprints(inbox: Path, work: Path) -> list[list[str]]:
    """Return [digest of the name, digest of the content] of all in the inbox, sorted.

    `work` is where digests are remembered. A link, a pipe, a device or what cannot be opened counts
    by its name alone: the reader says what is wrong with it.
    """
    known = _known(work / MEMORY)
    now = {name: _remembered(path, name, known) for path, name in _named(inbox)}
    if now != known:
        work.mkdir(parents=True, exist_ok=True)
        write_json(work / MEMORY, now)
    return sorted([name, str(digest)] for name, (*_, digest) in now.items())


def _named(inbox: Path) -> Iterator[tuple[Path, str]]:
    """Yield each entry but folders that can be looked into, and the digest of its name."""
    closed = closed_folders(inbox)
    for path in entries(inbox):
        if path.is_symlink() or not path.is_dir() or path in closed:
            name = path.relative_to(inbox).as_posix()
            yield path, hashlib.sha256(os.fsencode(name)).hexdigest()


def _remembered(path: Path, name: str, known: Known) -> list[object]:
    """Return a file's state and digest, as remembered when the state is the same and settled."""
    if path.is_symlink() or not path.is_file():
        return [IRREGULAR]
    try:
        state = _state(path)
        before = known.get(name)
        if before is not None and before[:-1] == [*state, True]:
            return before
        started = time.time_ns()
        digest = content_digest(path)
        settled = _state(path) == state and max(state[-2:]) < started - SETTLED_NS
        settled = settled and digest != UNREADABLE
        return [*state, settled, digest]
    except OSError:
        return [UNREADABLE]


def content_digest(path: Path) -> str:
    """Return the SHA-256 of a file's content, or of why nobody will read it."""
    try:
        if reason := hopeless(path):
            return hashlib.sha256(f"{path.stat().st_size} {reason}".encode()).hexdigest()
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError:
        return UNREADABLE


def _state(path: Path) -> list[int]:
    """Return what changes when a file does; nobody can set the last of these times."""
    stat = path.stat()
    return [stat.st_dev, stat.st_ino, stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns]


def _known(path: Path) -> Known:
    """Return what is remembered; nothing when there is no memory or it is not one."""
    try:
        known: Known = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return known if isinstance(known, dict) else {}
