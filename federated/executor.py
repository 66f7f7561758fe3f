"""Runs a site's plain statistics in a process of their own: no keys, no network, bounded resources.

The node holds the keys and the connection, the executor reads the rows: neither can do the other's
work. The executor is started once and stays warm. It walls itself in (`sandbox`: no network, no
file but releases and libraries, bounded memory and time), has an empty environment, and is killed
when a tally takes longer than its deadline; the next tally gets a fresh one. Parent and child
speak over a socket pair: a JSON header and NumPy arrays, no pickle. What the child says of a
failure is a code and the names of functions, never the text of an exception, because that may
quote a cell.

DuckDB's own security page advises a sandbox by the operating system: its `memory_limit` is not a
bound (measured: 5.8 GB under a limit of 512 MB), so RLIMIT_AS is.
"""

import io
import json
import logging
import os
import re
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

from transforms import sandbox


__all__ = ["Executor", "ExecutorError", "Limits", "main"]

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
        releases.mkdir(parents=True, exist_ok=True)  # the wall opens for a folder that exists
        self._releases, self._limits = releases.resolve(), limits
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
            if not self._ready:
                self._note_walls(_unpack(_receive(self._socket))[0])
            _send(self._socket, job)
            return _unpack(_receive(self._socket))
        except TimeoutError:
            code = "timeout"
        except (OSError, EOFError, ValueError):
            code = "crashed"
        self._restart()
        raise ExecutorError(code)

    def _note_walls(self, walls: Mapping[str, bool]) -> None:
        """Write to the site's log what the kernel here cannot keep from the executor."""
        self._ready = True
        for name in (name for name, stands in walls.items() if not stands):
            _log.warning("executor %d: this kernel does not wall off its %s", self.pid, name)

    def _restart(self) -> None:
        _log.warning("executor %d is gone or stuck; starting another", self._process.pid)
        self.close()
        self._process, self._socket = self._spawn()

    def _spawn(self) -> tuple[subprocess.Popen[bytes], socket.socket]:
        self._ready = False
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


def _work(channel: socket.socket, releases: Path, cpu: int) -> None:
    """Answer jobs until the parent closes the channel."""
    while True:
        try:
            header, broadcast = _unpack(_receive(channel))
        except EOFError:
            return
        sandbox.grant_cpu(cpu)
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


def _readable(releases: Path) -> list[Path]:
    """Return the folders that a tally may read: releases, Python, libraries, packages.

    DuckDB also wants to learn of memory limits there where the kernel publishes them.
    """
    limits = [Path("/proc/self"), Path("/sys/fs/cgroup")]
    packages = [Path(sys.modules[name].__path__[0]) for name in ("federated", "transforms")]
    libraries = [Path(sys.prefix), Path(sys.base_prefix), Path("/usr/lib"), Path("/lib")]
    return [releases, *libraries, *packages, *limits]


def main() -> None:
    """Be an executor: wall itself in, say which walls stand, then answer jobs."""
    settings = json.loads(sys.argv[1])
    network = sandbox.leave_network()
    sandbox.tie_to(settings["parent"])
    import federated.tally  # noqa: F401 - all that a tally needs, before memory is limited

    sandbox.limit_growth(settings["memory"])
    releases = Path(settings["releases"])
    walls = sandbox.Walls(network, files=sandbox.only_read(_readable(releases)))
    channel = socket.socket(fileno=settings["socket"])
    _send(channel, _pack(vars(walls), {}))
    _work(channel, releases, settings["cpu"])


if __name__ == "__main__":
    main()
