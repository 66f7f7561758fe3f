"""Starting a process that outlives its starter, knowing it again, ending it for good."""

import json
import os
import signal
import subprocess
import time
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from infra.processes import started_at
from transforms.errors import SetupError


__all__ = ["end_processes", "running", "start_process"]

_children: dict[int, subprocess.Popen[bytes]] = {}  # ours: to be kept while they run, then reaped

GRACE = 5.0
"""Seconds that a process has to end by itself after SIGTERM."""


def start_process(
    command: Sequence[str], *, log: Path, record: Path, env: Mapping[str, str], tied: bool
) -> int:
    """Start `command` in a session of its own and return its process id.

    Its output goes to the file `log`, its identity to `record`. With `tied` its standard input is
    a pipe from this process, so that it ends when we do, however we end. Raises SetupError when
    `record` names a running process.
    """
    if (pid := running(record)) is not None:
        raise SetupError(f"runs already as process {pid}; stop it first ({record})")
    for path in (log, record):
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    with log.open("ab") as output:
        process = subprocess.Popen(
            [*command, "--lifeline"] if tied else list(command),
            stdin=subprocess.PIPE if tied else subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            env={**os.environ, **env},
            start_new_session=True,
        )
    _children[process.pid] = process
    record.write_text(json.dumps({"pid": process.pid, "started": started_at(process.pid)}))
    return process.pid


def running(record: Path) -> int | None:
    """Return the id of the process in `record` while it runs; None otherwise.

    A number alone may belong to somebody else by now; with its start time it does not.
    """
    try:
        data = json.loads(record.read_text(encoding="utf-8"))
        pid = int(data["pid"])
    except (OSError, ValueError, KeyError, TypeError):
        return None
    started = started_at(pid)
    return pid if started is not None and started == data.get("started") else None


def end_processes(*records: Path) -> list[bool]:
    """End the processes in `records`: SIGTERM to all, SIGKILL to those that stay.

    Returns for each whether it was running.
    """
    found = {record: running(record) for record in records}
    _signal(found.values(), signal.SIGTERM)
    deadline = time.monotonic() + GRACE
    while any(map(running, records)) and time.monotonic() < deadline:
        time.sleep(0.01)
    _signal(map(running, records), signal.SIGKILL)
    for record, pid in found.items():
        record.unlink(missing_ok=True)
        _reap(pid)
    return [pid is not None for pid in found.values()]


def _reap(pid: int | None) -> None:
    """Let go of a process that we have started ourselves."""
    if pid is not None and (child := _children.pop(pid, None)) is not None:
        child.wait(GRACE)
        if child.stdin is not None:
            child.stdin.close()


def _signal(pids: Iterable[int | None], number: signal.Signals) -> None:
    for pid in pids:
        if pid is not None:
            with suppress(ProcessLookupError):
                os.kill(pid, number)
