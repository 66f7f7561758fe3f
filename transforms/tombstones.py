"""Who has withdrawn: a keyed hash per person, kept for ever so that nobody comes back.

    withdrawn/tombstones.jsonl    {"tombstone": "W…", "event": …, "time": …}

A tombstone is the pseudonym, hashed once more under the site's key (`pseudonym('W', person_id)`):
without the key nobody can test whether it belongs to a known person, and no release holds it. An
event is `begun`, `completed`, or `ahead` for somebody whom nothing here knew. A withdrawal that was
begun and not completed was interrupted: what is left to purge is purged by the
next command (`transforms.withdrawal.resume`). Lines are only ever appended, each is on the disk
before anything else happens.
"""

import hashlib
import json
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal, get_args

from transforms.durable import append_line, private_folder
from transforms.errors import ReleaseError
from transforms.pseudonyms import pseudonym, site_key
from transforms.site import Site


__all__ = [
    "NOBODY",
    "PREFIX",
    "Event",
    "current_digests",
    "is_withdrawn",
    "pending",
    "record",
    "tombstone",
    "tombstones",
    "withdrawn_digest",
]

PREFIX = "W"
NOBODY = hashlib.sha256(b"").hexdigest()
"""The digest when nobody has withdrawn."""
Event = Literal["begun", "completed", "ahead"]


def tombstone(site: Site, person_id: str) -> str:
    """Return the tombstone of a pseudonym."""
    return pseudonym(site_key(site.keys), PREFIX, person_id)


def tombstones(site: Site) -> frozenset[str]:
    """Return the tombstones of all who withdrew. Raises ReleaseError when a line is spoilt."""
    return frozenset(entry["tombstone"] for entry in _entries(_path(site)))


def pending(site: Site) -> frozenset[str]:
    """Return the tombstones whose withdrawal was begun and not completed."""
    last = {entry["tombstone"]: entry["event"] for entry in _entries(_path(site))}
    return frozenset(name for name, event in last.items() if event == "begun")


def is_withdrawn(site: Site, persons: Iterable[str]) -> bool:
    """Return whether any of these pseudonyms has a tombstone."""
    known = tombstones(site)
    if not known:
        return False
    key = site_key(site.keys)
    return any(pseudonym(key, PREFIX, person) in known for person in persons)


def withdrawn_digest(site: Site) -> str:
    """Return the SHA-256 over all tombstones: a run or release says with it who it left out."""
    return _digest(tombstones(site))


def current_digests(site: Site) -> frozenset[str]:
    """Return with which digests a release holds nobody whose withdrawal is complete.

    A release with another one was made before, and put back from a backup.
    """
    known: set[str] = set()
    found = {_digest(known)}
    for entry in _entries(_path(site)):
        known.add(entry["tombstone"])
        found = {_digest(known)} | (found if entry["event"] != "completed" else set())
    return frozenset(found)


def record(site: Site, name: str, event: Event) -> None:
    """Append what happened to a tombstone; return when it is on the disk."""
    path = _path(site)
    private_folder(path.parent)
    _mend(path)
    now = datetime.now(UTC).isoformat(timespec="seconds")
    append_line(path, json.dumps({"event": event, "time": now, "tombstone": name}, sort_keys=True))


def _digest(names: Iterable[str]) -> str:
    """Return the SHA-256 over tombstones in order."""
    return hashlib.sha256("\n".join(sorted(names)).encode()).hexdigest()


def _path(site: Site) -> Path:
    """Return where a site keeps its tombstones."""
    return site.folder / "withdrawn" / "tombstones.jsonl"


def _mend(path: Path) -> None:
    """Take away a last line that a crash cut off: it was never acknowledged."""
    if path.exists():
        data = path.read_bytes()
        whole = data.rfind(b"\n") + 1
        if whole < len(data):
            with path.open("r+b") as file:
                file.truncate(whole)


def _entries(path: Path) -> Iterator[dict[str, str]]:
    """Yield the lines that are whole; only the last one may be cut off."""
    if not path.exists():
        return
    *lines, _cut_off = path.read_bytes().split(b"\n")
    for number, line in enumerate(lines, start=1):
        try:
            entry = json.loads(line)
            known = isinstance(entry["tombstone"], str) and entry["event"] in get_args(Event)
        except (ValueError, KeyError, TypeError):
            known = False
        if not known:
            raise ReleaseError(
                f"{path}, line {number}: was changed; restore the file from the site's newest "
                "backup, because without it those who withdrew would come back"
            )
        yield entry
