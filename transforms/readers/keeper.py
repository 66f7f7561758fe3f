"""Keeps the process that reads files: starts it, asks, watches its time, and ends it.

Time is counted for each file, as the child says which one it begins: so a small file that takes
long is found, whatever large ones it lies with. Limits:

    memory   1.3 GB of data (RLIMIT_DATA), which with libraries stays below 1.5 GB resident
    time     3 s of processor for a file up to 1 MB, and 1 s more per further MB (of delimited text
             per 4 MB): four times what honest files take; the same on the clock, or up to six times
             that while the machine is busy with other things
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
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from transforms.errors import SetupError
from transforms.mapping import Source


__all__ = ["ENVIRONMENT", "MEMORY_BYTES", "SECONDS", "Child", "Clock", "Lost", "seconds_for"]

MEMORY_BYTES = 1_300 * 2**20
START_SECONDS = 60.0
SECONDS, WORN_SECONDS = 3, 1
BYTES_PER_SECOND = {"delimited": 4 * 2**20}
OTHER_BYTES_PER_SECOND = 2**20
PATIENCE = 6
PATIENT_WITH = 4  # files that run out of time, before the next ones are given less
POLL_SECONDS = 0.1
MAX_ANSWER_BYTES = 2**24
DEADLINE, MEMORY = "deadline", "memory"
ALL = ""  # what is done when all files were read
TICKS = os.sysconf("SC_CLK_TCK")
ENVIRONMENT = {
    "HOME": "/nonexistent",
    "LANG": "C.UTF-8",
    "OPENBLAS_NUM_THREADS": "1",
    "MALLOC_ARENA_MAX": "2",
    "ARROW_DEFAULT_MEMORY_POOL": "system",
}


def seconds_for(size: int, form: str = "", *, worn: bool = False) -> int:
    """Return the seconds of processor that reading `size` bytes of a format may take.

    `worn` is patience after several files have run out of their time.

    >>> seconds_for(1000), seconds_for(11 * 2**20), seconds_for(41 * 2**20, "delimited")
    (3, 13, 13)
    >>> seconds_for(1000, worn=True)
    1
    """
    rate = BYTES_PER_SECOND.get(form, OTHER_BYTES_PER_SECOND)
    return (WORN_SECONDS + size // rate) if worn else SECONDS + max(0, size - 2**20) // rate


class Lost(Exception):  # noqa: N818 - it is an event, told to nobody
    """The child, or the reader in it, did not come to the end of a source: why, in words.

    `file` was being read; it alone is to blame when `certain`.
    """

    def __init__(self, reason: str, file: str = ALL, *, certain: bool = False) -> None:
        super().__init__(reason)
        self.file = file
        self.certain = certain


@dataclass
class Clock:
    """What the files of a source may take, and have taken: processor and wall-clock seconds."""

    seconds: Mapping[str, int]
    file: str = ALL
    since: tuple[float, float] = (0.0, 0.0)
    before: dict[str, tuple[float, float]] = field(default_factory=dict)

    def turn(self, file: str, now: tuple[float, float]) -> None:
        """Charge what was taken up to `now` to the file at hand; `file` is at hand from now on."""
        self.before[self.file] = self.taken(now)
        self.file, self.since = (file if file in self.seconds else ALL), now

    def taken(self, now: tuple[float, float]) -> tuple[float, float]:
        """Return what the file at hand has taken."""
        before = self.before.get(self.file, (0.0, 0.0))
        return before[0] + now[0] - self.since[0], before[1] + now[1] - self.since[1]

    def is_over(self, now: tuple[float, float], works: Callable[[], bool]) -> bool:
        """Tell whether the file at hand has had its time.

        A child that could work but gets no processor is given more, because others are to blame.
        """
        processor, wall = self.taken(now)
        allowed = self.seconds[self.file]
        if processor > allowed or wall > allowed * PATIENCE:
            return True
        return wall > allowed and not works()

    @property
    def files(self) -> int:
        """How many files were begun."""
        return len({*self.before, self.file} - {ALL})


class Child:
    """The reading process; it is started when first needed and again after it was lost."""

    def __init__(self, inbox: Path, folder: Path) -> None:
        self._inbox = inbox.resolve()
        self._folder = folder.resolve()
        self._process: subprocess.Popen[bytes] | None = None
        self._stopped = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._end()

    def size(self, name: str) -> int:
        """Return the bytes of a file of the inbox; 0 when it is no longer there."""
        path = self._inbox / name
        return path.stat().st_size if path.exists() else 0

    def ask(self, source: Source, names: Sequence[str], left_out: Sequence[str]) -> dict[str, Any]:
        """Have a source read without some files; return the answer or raise Lost.

        Raises SetupError when there is no room for what is read.
        """
        clock = Clock(self._seconds(source, [n for n in names if n not in left_out]))
        process = self._process or self._start()
        request = {
            "source": {key: value for key, value in vars(source).items() if key != "place"},
            "inbox": str(self._inbox),
            "folder": str(self._folder),
            "left_out": list(left_out),
            "seconds": sum(clock.seconds.values()),
        }
        told = self._exchange(process, request, clock)
        if "full" in told:
            self._end()
            raise SetupError(
                f"{self._folder.parent}: there is no room for what is read from the inbox; "
                "free some space and run again"
            )
        if "lost" in told:
            if told["lost"] == MEMORY:
                self._end()
            raise _lost(told["lost"], clock)
        return told

    def _seconds(self, source: Source, names: Sequence[str]) -> dict[str, int]:
        """Return what each file may take, and all together when they were read.

        A file that is alone has one time for both.
        """
        sizes = {name: self.size(name) for name in names}
        sizes = (sizes if len(sizes) > 1 else {}) | {ALL: sum(sizes.values())}
        worn = self._stopped >= PATIENT_WITH
        return {name: seconds_for(size, source.format, worn=worn) for name, size in sizes.items()}

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
            _answer(self._process, Clock({ALL: int(START_SECONDS)}))
        except Lost:
            self._end()
            raise SetupError(
                "the process that reads files does not start; is the installation whole? "
                "`make install` mends it"
            ) from None
        return self._process

    def _exchange(
        self, process: "subprocess.Popen[bytes]", request: Mapping[str, Any], clock: Clock
    ) -> dict[str, Any]:
        """Send a request and wait for its answer; without one the child is ended."""
        try:
            assert process.stdin is not None  # noqa: S101 - it was asked for
            with suppress(BrokenPipeError):
                process.stdin.write(json.dumps(request).encode() + b"\n")
                process.stdin.flush()
            return _answer(process, clock)
        except Lost as lost:
            self._end()
            reason = str(lost) or _death(process.returncode)
            self._stopped += reason == DEADLINE
            raise _lost(reason, clock) from None

    def _end(self) -> None:
        """End the child, if there is one, and close its pipes."""
        process, self._process = self._process, None
        if process is not None:
            process.kill()
            process.communicate()


def _answer(process: "subprocess.Popen[bytes]", clock: Clock) -> dict[str, Any]:
    """Return a child's answer; raise Lost when it ends or its time is over.

    On the way to it the child says which file it begins: `{"reading": name}`.
    """
    assert process.stdout is not None  # noqa: S101 - it was asked for
    channel, said = process.stdout.fileno(), b""
    clock.since = _now(process.pid)
    while True:
        if select.select([channel], [], [], POLL_SECONDS)[0]:
            piece = os.read(channel, 2**16)
            if not piece or len(said) > MAX_ANSWER_BYTES:
                process.wait(START_SECONDS)
                raise Lost("")
            *lines, said = (said + piece).split(b"\n")
            for told in map(_parsed, lines):
                if "reading" not in told:
                    return told
                clock.turn(str(told["reading"]), _now(process.pid))
        if clock.is_over(_now(process.pid), lambda: _works(process.pid)):
            raise Lost(DEADLINE)


def _parsed(line: bytes) -> dict[str, Any]:
    """Return what a child said; raise Lost when it is nothing that one would say."""
    try:
        told = json.loads(line)
    except ValueError:
        told = None
    if not isinstance(told, dict):
        raise Lost("answer")
    return told


def _now(pid: int) -> tuple[float, float]:
    """Return the processor seconds that a process has used, and what the clock shows."""
    used = 0
    with suppress(OSError):
        stat = Path(f"/proc/{pid}/stat").read_text(encoding="ascii", errors="replace")
        used = sum(map(int, stat.rpartition(")")[2].split()[11:13]))
    return used / TICKS, time.monotonic()


def _works(pid: int) -> bool:
    """Return whether a thread of a process works, or would if it got a processor."""
    for stat in Path(f"/proc/{pid}/task").glob("*/stat"):
        with suppress(OSError):
            if stat.read_text(encoding="ascii", errors="replace").rpartition(")")[2][1] == "R":
                return True
    return False


def _lost(reason: str, clock: Clock) -> Lost:
    """Return the loss of a child in words; time is a file's own, memory may be that of several."""
    certain = clock.file != ALL and (reason == DEADLINE or clock.files == 1)
    return Lost(_words(reason, clock.seconds[clock.file]), clock.file, certain=certain)


def _death(code: int) -> str:
    """Return what a child died of: the kernel's limit on time or memory, or its own fault."""
    if -code == signal.SIGXCPU:
        return DEADLINE
    return MEMORY if -code == signal.SIGKILL else f"signal {-code}" if code < 0 else f"exit {code}"


def _words(lost: str, seconds: int) -> str:
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
