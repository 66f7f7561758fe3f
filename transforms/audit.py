"""The site's own memory of what was published, withdrawn and deleted: append-only, hash-chained.

`audit.jsonl`, one entry a line: {"seq", "time", "event", "body", "prev", "hash"}; `hash` is SHA-256
over the canonical entry without it, `prev` the hash before. Kept for ever, so it holds release and
run ids, names of accepters, counts of files; never a patient, a pseudonym or a file's name.
"""

import fcntl
import hashlib
import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from transforms.durable import append_line
from transforms.errors import ReleaseError
from transforms.site import Site


__all__ = ["entries", "note"]

FIRST = "0" * 64


def note(site: Site, event: str, body: Mapping[str, Any]) -> None:
    """Append one entry and force it to the disk. Raises ReleaseError when the chain is broken."""
    path = _path(site)
    with _locked(path):
        _mend(path)
        known = _read(path)
        entry: dict[str, Any] = {
            "seq": len(known),
            "time": datetime.now(UTC).isoformat(timespec="seconds"),
            "event": event,
            "body": dict(body),
            "prev": known[-1]["hash"] if known else FIRST,
        }
        append_line(path, _canonical({**entry, "hash": _hash(entry)}))


def entries(site: Site) -> tuple[Mapping[str, Any], ...]:
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


def _read(path: Path) -> list[dict[str, Any]]:
    """Read and check the chain; a last line without its end is not yet one."""
    data = path.read_bytes() if path.exists() else b""
    known: list[dict[str, Any]] = []
    for line in data.split(b"\n")[:-1]:
        entry = _checked(line, known[-1]["hash"] if known else FIRST, len(known))
        if entry is None:
            raise ReleaseError(
                f"{path}, line {len(known) + 1}: was changed; restore the file from the site's "
                "newest backup"
            )
        known.append(entry)
    return known


def _checked(line: bytes, previous: str, number: int) -> dict[str, Any] | None:
    """Return the entry of a line that continues the chain, or None."""
    try:
        entry: dict[str, Any] = json.loads(line)
        claimed = entry.pop("hash")
        intact = (entry["prev"], entry["seq"], _hash(entry)) == (previous, number, claimed)
    except (ValueError, KeyError, TypeError, AttributeError):
        return None
    return {**entry, "hash": claimed} if intact else None


def _canonical(entry: Mapping[str, Any]) -> str:
    """Return one line of canonical JSON."""
    return json.dumps(entry, sort_keys=True, separators=(",", ":"), ensure_ascii=False)


def _hash(entry: Mapping[str, Any]) -> str:
    """Return the SHA-256 of an entry without its own hash."""
    return hashlib.sha256(b"marmor/audit/1\n" + _canonical(entry).encode()).hexdigest()
