"""Watch a site's inbox and mapping, and wake its DAG when something in them has changed.

The watcher looks at the present state and not at single events: it announces again while a change
has not been taken up. An asset event that Airflow leaves in its queue (apache/airflow#56050) or
one that came while Airflow was down can therefore never lose a delivery; the hourly schedule is
the second safeguard.
"""

import asyncio
import hashlib
import os
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

from airflow.triggers.base import BaseEventTrigger, TriggerEvent

from transforms.inbox import entries


__all__ = ["InboxTrigger", "fingerprint", "take_up"]

SEEN = "work/inbox.seen"


class InboxTrigger(BaseEventTrigger):
    """Fire when `inbox/` or `mapping/` of the site in `folder` changed and then stayed quiet.

    `settle` seconds without any change mean that a copy into the inbox is complete; a change that
    nobody takes up is announced again every `remind` seconds.
    """

    def __init__(
        self, *, folder: str, settle: float = 30, poll: float = 5, remind: float = 120
    ) -> None:
        super().__init__()
        self.folder = folder
        self.settle = settle
        self.poll = poll
        self.remind = remind

    def serialize(self) -> tuple[str, dict[str, Any]]:
        """Return what Airflow's database keeps of this trigger."""
        names = ("folder", "settle", "poll", "remind")
        return "dags.inbox.InboxTrigger", {name: getattr(self, name) for name in names}

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """Yield an event per change or reminder; it says that there is something, not what."""
        told, told_at = "", 0.0
        while True:
            change = await asyncio.to_thread(self._change)
            if change and (change != told or time.monotonic() - told_at >= self.remind):
                told, told_at = change, time.monotonic()
                yield TriggerEvent({"inbox": "changed"})
            await asyncio.sleep(self.poll)

    def _change(self) -> str:
        """Return the fingerprint of a settled state that was not taken up, or nothing."""
        folder = Path(self.folder)
        state, newest = fingerprint(folder)
        seen = folder / SEEN
        taken_up = seen.read_text(encoding="ascii") if seen.exists() else ""
        return state if state != taken_up and time.time() - newest >= self.settle else ""


def fingerprint(folder: Path) -> tuple[str, float]:
    """Return a digest of names, sizes and times below inbox and mapping, and the newest time.

    Contents are not read: that is for `transforms.collect`. An inbox without files has no digest.
    """
    files = sorted(
        (str(path), path.stat())
        for part in ("inbox", "mapping")
        for path in entries(folder / part)
        if path.is_file()
    )
    if not any(Path(name).is_relative_to(folder / "inbox") for name, _ in files):
        return "", 0.0
    lines = (f"{name} {stat.st_size} {stat.st_mtime_ns}\n" for name, stat in files)
    digest = hashlib.sha256("".join(lines).encode()).hexdigest()
    return digest, max(stat.st_mtime for _, stat in files)


def take_up(folder: Path) -> bool:
    """Record that the present state is being worked on, so that the watcher keeps quiet.

    Also when that work fails later: only a change, the schedule or a person starts it again.
    Returns whether the inbox holds any file.
    """
    state, _ = fingerprint(folder)
    seen = folder / SEEN
    seen.parent.mkdir(parents=True, exist_ok=True)
    draft = seen.with_name(f".inbox.seen.{os.getpid()}")
    draft.write_text(state, encoding="ascii")
    draft.replace(seen)
    return bool(state)
