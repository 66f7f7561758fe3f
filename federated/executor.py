"""Runs a site's plain statistics in a process of their own: no keys, no network, bounded resources.

The node holds the keys and the connection, the executor holds the data: neither can do the other's
work. The executor is started once and stays warm. It has its own network namespace without any
interface where the kernel allows, an empty environment, no file it may grow, and is killed when a
tally takes longer than its deadline; the next tally gets a fresh one. Parent and child speak over
a socket pair: a JSON header and NumPy arrays, no pickle. What the child says of a failure is a
code and the names of functions, never the text of an exception, because that may quote a cell.

DuckDB's own security page advises a sandbox by the operating system: its `memory_limit` is not a
bound (measured: 5.8 GB under a limit of 512 MB), so RLIMIT_AS is.
"""

import ctypes
import io
import json
import logging
import os
import re
import resource
import signal
import socket
import struct
import subprocess
import sys
import threading
import traceback
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray


__all__ = ["Executor", "ExecutorError", "Limits"]

Arrays = Mapping[str, NDArray[np.generic]]

_HEADER, _ARRAY = "header", "array:"
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")  # a release is a folder's name, never a path
_LARGEST = 64 * 2**20
_ENVIRONMENT = {
    "HOME": "/nonexistent",
    "OPENBLAS_NUM_THREADS": "1",
    "MALLOC_ARENA_MAX": "2",  # else every thread reserves 64 MiB of address space
    "ARROW_DEFAULT_MEMORY_POOL": "system",  # else Arrow reserves 1 GiB of it
}
_log = logging.getLogger("marmor.executor")


class ExecutorError(Exception):
    """A tally did not succeed; `code` is one of a fixed set and tells nothing about the data."""

    def __init__(self, code: str) -> None:
        super().__init__(code)
        self.code = code


@dataclass(frozen=True)
class Limits:
    """What one executor may use: bytes beyond those of its libraries, seconds per tally."""

    memory: int = 3 * 2**29
    cpu: int = 20
    wall: float = 30.0


class Executor:
    """A warm process that tallies; call it as the `compute` of a `SiteParty`."""

    def __init__(self, releases: Path, limits: Limits = Limits()) -> None:
        """Start the process; `releases` is the site's folder of releases."""
        self._releases, self._limits = releases, limits
        self._lock = threading.Lock()
        self._process, self._socket = self._spawn()

    def __call__(self, request: Mapping[str, object], broadcast: Arrays, release: str) -> Any:
        """Return the blocks of `request` on `release`.

        Raises ExecutorError: "timeout" (killed at its deadline), "crashed" (ended by itself, mostly
        out of memory or CPU time), or the code of the tally's own error.
        """
        with self._lock:
            header = {"request": request, "release": release}
            reply, arrays = self._converse(_pack(header, broadcast))
        if reply.get("code"):
            _log.error("tally failed: %s at %s", reply["code"], " < ".join(reply["where"]))
            raise ExecutorError(reply["code"])
        return _blocks(reply["kinds"], arrays)

    @property
    def pid(self) -> int:
        """The process id of the current executor."""
        return self._process.pid

    def close(self) -> None:
        """End the process."""
        self._socket.close()
        self._process.kill()
        self._process.wait()

    def _converse(self, job: bytes) -> tuple[dict[str, Any], dict[str, NDArray[np.generic]]]:
        if self._process.poll() is not None:
            self._restart()
        try:
            self._socket.settimeout(self._limits.wall)
            _send(self._socket, job)
            return _unpack(_receive(self._socket))
        except TimeoutError:
            code = "timeout"
        except (OSError, EOFError, ValueError):
            code = "crashed"
        self._restart()
        raise ExecutorError(code)

    def _restart(self) -> None:
        _log.warning("executor %d is gone or stuck; starting another", self._process.pid)
        self.close()
        self._process, self._socket = self._spawn()

    def _spawn(self) -> tuple[subprocess.Popen[bytes], socket.socket]:
        mine, theirs = socket.socketpair()
        with theirs:
            settings = {
                "socket": theirs.fileno(),
                "parent": os.getpid(),
                "releases": str(self._releases),
                "memory": self._limits.memory,
                "cpu": self._limits.cpu,
            }
            process = subprocess.Popen(
                [sys.executable, "-I", "-X", "utf8", "-m", __name__, json.dumps(settings)],
                pass_fds=[theirs.fileno()],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                cwd="/",
                env=_ENVIRONMENT,
            )
        return process, mine


# -- the wire between the two processes -----------------------------------------------------------


def _pack(header: Mapping[str, object], arrays: Arrays) -> bytes:
    buffer = io.BytesIO()
    text = json.dumps(header).encode()
    members: dict[str, Any] = {f"{_ARRAY}{name}": array for name, array in arrays.items()}
    members[_HEADER] = np.frombuffer(text, np.uint8)
    np.savez(buffer, **members)
    return buffer.getvalue()


def _unpack(data: bytes) -> tuple[dict[str, Any], dict[str, NDArray[np.generic]]]:
    with np.load(io.BytesIO(data), allow_pickle=False) as archive:
        members = dict(archive)
    header = json.loads(members.pop(_HEADER).tobytes())
    return header, {name.removeprefix(_ARRAY): array for name, array in members.items()}


def _send(channel: socket.socket, data: bytes) -> None:
    channel.sendall(struct.pack("<Q", len(data)) + data)


def _receive(channel: socket.socket) -> bytes:
    size = struct.unpack("<Q", _read(channel, 8))[0]
    if size > _LARGEST:
        raise ValueError("message too large")
    return _read(channel, size)


def _read(channel: socket.socket, size: int) -> bytes:
    data = bytearray()
    while len(data) < size:
        if not (chunk := channel.recv(min(size - len(data), 2**20))):
            raise EOFError
        data += chunk
    return bytes(data)


def _blocks(kinds: Mapping[str, str], arrays: Arrays) -> Any:
    from federated.statistics import Counts, Sums

    return {
        name: Counts(arrays[name].astype(np.int64))
        if kind == "Counts"
        else Sums(arrays[name].astype(np.float64))
        for name, kind in kinds.items()
    }


# -- the child ------------------------------------------------------------------------------------


def _confine(parent: int) -> None:
    """Tie this process to its parent's life and take the network away; before NumPy has threads."""
    libc = ctypes.CDLL(None)
    libc.prctl(38, 1, 0, 0, 0)  # PR_SET_NO_NEW_PRIVS
    libc.unshare(0x10000000 | 0x40000000)  # CLONE_NEWUSER | CLONE_NEWNET
    libc.prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG, which a new user namespace would clear
    if os.getppid() != parent:
        sys.exit()


def _limit(memory: int) -> None:
    """Forbid growth by more than `memory` bytes, any file and more than 64 open descriptors.

    What the libraries have reserved by now counts as address space, used or not, and differs
    between their versions: so the limit starts from there.
    """
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[0])
    space = pages * resource.getpagesize() + memory
    resource.setrlimit(resource.RLIMIT_AS, (space, space))
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_NOFILE, (64, 64))


def _grant_cpu(seconds: int) -> None:
    """Allow `seconds` more of CPU time than used so far: a warm process must not run dry."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    soft = int(used.ru_utime + used.ru_stime) + seconds + 1
    resource.setrlimit(resource.RLIMIT_CPU, (soft, resource.RLIM_INFINITY))


def _work(channel: socket.socket, releases: Path, cpu: int) -> None:
    """Answer jobs until the parent closes the channel."""
    while True:
        try:
            header, broadcast = _unpack(_receive(channel))
        except EOFError:
            return
        _grant_cpu(cpu)
        _send(channel, _answer(releases, header, broadcast))


def _answer(releases: Path, header: Mapping[str, Any], broadcast: Arrays) -> bytes:
    """Return the packed blocks, or the packed code of what went wrong."""
    from federated.tally import tally

    try:
        release = str(header["release"])
        if not _NAME.fullmatch(release):
            raise ValueError
        blocks = tally(releases / release / "views", header["request"], broadcast)
        kinds = {name: type(block).__name__ for name, block in blocks.items()}
        return _pack({"kinds": kinds}, {name: block.values for name, block in blocks.items()})
    except Exception as error:
        frames = [
            f"{Path(frame.filename).name}:{frame.lineno}:{frame.name}"
            for frame in reversed(traceback.extract_tb(error.__traceback__))
        ]
        code = getattr(error, "code", "internal")
        where = [type(error).__name__, *frames[:5]]
        return _pack({"code": code if isinstance(code, str) else "internal", "where": where}, {})


def main() -> None:
    """Be an executor: confine, import, limit, then answer jobs."""
    settings = json.loads(sys.argv[1])
    _confine(settings["parent"])
    import federated.tally  # noqa: F401 - everything a tally needs, while files may still be opened

    _limit(settings["memory"])
    channel = socket.socket(fileno=settings["socket"])
    _work(channel, Path(settings["releases"]), settings["cpu"])


if __name__ == "__main__":
    main()
