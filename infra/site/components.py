"""Airflow's four components as one family of processes: started together, ended together.

Run by `infra.site.airflow` with the interpreter of the site environment. Airflow is imported once
and the components are forked from it, which saves four times 1.3 s of processor time and shares
the memory. Every process of the family asks the kernel to be killed with its parent, because
LocalExecutor's workers ignore SIGTERM and would outlive a killed scheduler; this process is their
subreaper, so that nothing can escape from the tree that it kills at the end.

The family ends as soon as standard input closes, which the kernel does even for a launcher that was
killed with -9. SIGUSR1 lets go of that lifeline: from then on only a signal ends the family.
"""

import ctypes
import importlib
import json
import logging
import os
import select
import signal
import sys
import time
from contextlib import suppress
from pathlib import Path
from types import FrameType
from typing import NoReturn

from infra.processes import started_at
from infra.site.sqlite import audit_off_the_event_loop


__all__ = ["COMPONENTS", "PRELOADED", "main"]

COMPONENTS = {
    "api-server": ("api-server",),
    "scheduler": ("scheduler", "--skip-serve-logs"),  # that server listens on all interfaces
    "dag-processor": ("dag-processor",),
    "triggerer": ("triggerer", "--skip-serve-logs"),
}

# What the tasks call. LocalExecutor forks its workers from the scheduler, so a task finds these
# loaded: importing Great Expectations inside each task would take 3 s.
PRELOADED = (
    "transforms.collect",
    "transforms.harmonize",
    "transforms.release",
    "transforms.aggregate",
    "expectations.validate",
    "expectations.review",
)

SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGCHLD, signal.SIGUSR1)
GRACE_SECONDS = 4.0
LOG_LIMIT_BYTES = 10_000_000

_PR_SET_PDEATHSIG = 1
_PR_SET_CHILD_SUBREAPER = 36
_prctl = ctypes.CDLL(None, use_errno=True).prctl
_parent: list[int] = []


def main() -> int:
    """Prepare the database, fork the components, wait, end all of them; return the exit code."""
    home = Path(os.environ["AIRFLOW_HOME"])
    os.umask(0o077)
    _prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    wakeup = _listen_to_signals()
    _prepare_airflow()
    os.register_at_fork(before=_remember_parent, after_in_child=_die_with_parent)
    family = {_fork(name, home): name for name in COMPONENTS}
    _write_state(home)
    dead = _wait(family, wakeup)
    (home / "airflow.json").unlink(missing_ok=True)
    _end(family)
    if dead:
        print(f"{dead} ended by itself: all components stopped; see its log", file=sys.stderr)  # noqa: T201
    return 1 if dead else 0


def _prepare_airflow() -> None:
    """Import Airflow and bring its database to the current schema."""
    importlib.import_module("airflow.__main__")
    from airflow import settings
    from airflow.utils import db

    try:
        db.check_migrations(timeout=0)
    except TimeoutError:
        db.initdb()
    settings.Session.remove()
    settings.engine.dispose()  # a connection must not be shared by forked processes


def _fork(name: str, home: Path) -> int:
    """Start one component; return its process number."""
    pid = os.fork()
    if pid == 0:
        _run(name, home)
    return pid


def _run(name: str, home: Path) -> NoReturn:
    """Be the component: log to a file of its own, then run Airflow's command."""
    code = 1
    try:
        signal.set_wakeup_fd(-1)
        for number in SIGNALS:
            signal.signal(number, signal.SIG_DFL)
        _redirect(home / "logs" / "components" / f"{name}.log")
        if name == "scheduler":
            _preload()
        if name == "api-server":
            audit_off_the_event_loop()
        sys.argv = ["airflow", *COMPONENTS[name]]
        importlib.import_module("airflow.__main__").main()
        code = 0
    except SystemExit as exit_:
        code = exit_.code if isinstance(exit_.code, int) else 1
    except BaseException:
        logging.exception("component %s", name)
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def _preload() -> None:
    """Load what the tasks will call, without Great Expectations' hundreds of start-up lines."""
    logging.getLogger("great_expectations").setLevel(logging.WARNING)
    for name in PRELOADED:
        with suppress(ImportError):  # the task that needs it will say so
            importlib.import_module(name)


def _redirect(path: Path) -> None:
    """Send standard output and error to `path`; keep one older file when it has grown large."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.exists() and path.stat().st_size > LOG_LIMIT_BYTES:
        path.rename(path.with_suffix(".log.1"))
    log = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    nothing = os.open(os.devnull, os.O_RDONLY)
    for source, target in ((nothing, 0), (log, 1), (log, 2)):
        os.dup2(source, target)


def _remember_parent() -> None:
    """Note who forks, for the child that is about to exist."""
    _parent[:] = [os.getpid()]


def _die_with_parent() -> None:
    """Ask the kernel to kill this process when the one that forked it ends."""
    _prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if [os.getppid()] != _parent:  # it ended before the request
        os._exit(1)


def _listen_to_signals() -> int:
    """Turn signals into bytes on a pipe; return its reading end."""

    def ignore(number: int, frame: FrameType | None) -> None:
        """Let the wake-up pipe tell the number."""

    reading, writing = os.pipe()
    os.set_blocking(writing, False)
    signal.set_wakeup_fd(writing)
    for number in SIGNALS:
        signal.signal(number, ignore)
    return reading


def _write_state(home: Path) -> None:
    """Tell other processes whom to signal and which port to ask."""
    pid = os.getpid()
    state = {"pid": pid, "started": started_at(pid), "port": os.environ["AIRFLOW__API__PORT"]}
    draft = home / f"airflow.json.{pid}"
    draft.write_text(json.dumps(state), encoding="utf-8")
    draft.replace(home / "airflow.json")


def _wait(family: dict[int, str], wakeup: int) -> str | None:
    """Wait for a signal, a closed lifeline or a dead component; return the dead one's name."""
    lifeline = sys.stdin.fileno()
    watched = [wakeup, lifeline]
    while True:
        ready, _, _ = select.select(watched, [], [])
        numbers = set(os.read(wakeup, 1024)) if wakeup in ready else set()
        if signal.SIGUSR1 in numbers:
            watched = [wakeup]
        elif lifeline in ready:
            return None
        dead = [family[pid] for pid in _reaped() if pid in family]
        if dead:
            return dead[0]
        if numbers & {signal.SIGTERM, signal.SIGINT}:
            return None


def _reaped() -> list[int]:
    """Collect children that ended; also orphans, which come to this process as subreaper."""
    pids = []
    with suppress(ChildProcessError):
        while (pid := os.waitpid(-1, os.WNOHANG)[0]) != 0:
            pids.append(pid)
    return pids


def _end(family: dict[int, str]) -> None:
    """Let tasks finish for some seconds, then kill whoever is left below this process.

    Tasks report to the API server, so that one gets no signal. The others write nothing that is
    lost: the state is in the database, and the watchers look at the inbox anew.
    """
    for pid, name in family.items():
        if name != "api-server":
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGTERM)
    schedulers = {pid for pid, name in family.items() if name == "scheduler"}
    deadline = time.monotonic() + GRACE_SECONDS
    while schedulers & set(_children()) and time.monotonic() < deadline:
        _reaped()
        time.sleep(0.05)
    while children := _children():
        for pid in children:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        _reaped()
        time.sleep(0.02)


def _children() -> list[int]:
    """Return the processes directly below this one."""
    text = Path(f"/proc/self/task/{os.getpid()}/children").read_text(encoding="ascii")
    return [int(pid) for pid in text.split()]


if __name__ == "__main__":
    sys.exit(main())
