"""Entries that each carry the hash of the one before: what was changed, moved or left out is seen.

One line of canonical JSON an entry: {"seq", "time", "event", "body", "prev", "hash"}; `hash` is
SHA-256 over the chain's name and the entry without it, `prev` the hash before. What is missing at
the end is not seen in the chain itself: only who remembers an earlier head can tell.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any


__all__ = ["FIRST", "Chain", "Entry"]

Entry = Mapping[str, Any]
FIRST = "0" * 64  # what the first entry names as the hash before


@dataclass(frozen=True)
class Chain:
    """How one log writes its entries down.

    `name` goes into every hash, so that no entry of one log is one of another; `escaped` says that
    letters beyond ASCII are written as escapes.
    """

    name: str
    escaped: bool

    def following(
        self, last: Entry | None, time: datetime, event: str, body: Mapping[str, Any]
    ) -> Entry:
        """Return the entry that comes after `last`, or the first one."""
        entry = {
            "seq": last["seq"] + 1 if last else 0,
            "time": time.isoformat(timespec="seconds"),
            "event": event,
            "body": dict(body),
            "prev": last["hash"] if last else FIRST,
        }
        return {**entry, "hash": self._hash(entry)}

    def line(self, entry: Entry) -> str:
        """Return an entry as canonical JSON without a line break; ValueError for a NaN."""
        return json.dumps(
            entry,
            sort_keys=True,
            separators=(",", ":"),
            ensure_ascii=self.escaped,
            allow_nan=False,
        )

    def checked(self, line: bytes, last: Entry | None) -> Entry | None:
        """Return the entry of a line that comes after `last` unchanged, or None."""
        expected = (last["hash"], last["seq"] + 1) if last else (FIRST, 0)
        try:
            entry = json.loads(line)
            claimed = entry.pop("hash")
            intact = (entry["prev"], entry["seq"], claimed) == (*expected, self._hash(entry))
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
            return None
        return {**entry, "hash": claimed} if intact else None

    def _hash(self, entry: Entry) -> str:
        """Return the SHA-256 of an entry without its own hash."""
        return hashlib.sha256(f"{self.name}\n{self.line(entry)}".encode()).hexdigest()
