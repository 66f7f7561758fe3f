"""Runs a site's plain statistics in a process of their own: no keys, no network, bounded resources.

The node holds the keys and the connection, the executor reads the rows: neither can do the other's
work. The executor is started once and stays warm. It walls itself in (`sandbox`: no network, no
file of the site, bounded memory and time), has an empty environment, runs as another user where the
site names one, and is killed when a tally takes longer than its deadline; the next tally gets a
fresh one. Parent and child speak over a socket pair: a JSON header and NumPy arrays, no pickle.
With each job the child is handed two open files, the release's manifest and the one view asked
about; it can open none itself, so keys, ledger, inbox and the release's tables are out of reach.
What the child says of a failure is a code and the names of functions, never the text of an
exception, because that may quote a cell.

DuckDB's own security page advises a sandbox by the operating system: its `memory_limit` is not a
bound (measured: 5.8 GB under a limit of 512 MB), so RLIMIT_AS is.
"""

import io
import json
import logging
import os
import pwd
import re
import socket
import struct
import subprocess
import sys
import threading
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from transforms import sandbox
from transforms.errors import SetupError


__all__ = ["Executor", "ExecutorError", "Limits", "Walls", "main"]

Arrays = Mapping[str, NDArray[np.generic]]

_HEADER, _ARRAY = "header", "array:"
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")  # of a release or a view, never a path
_LARGEST = 64 * 2**20
_ENVIRONMENT = {
    "HOME": "/nonexistent",
    "OPENBLAS_NUM_THREADS": "1",
    "MALLOC_ARENA_MAX": "2",  # else every thread reserves 64 MiB of address space
    "ARROW_DEFAULT_MEMORY_POOL": "system",  # else Arrow reserves 1 GiB of it
}
_PROGRAM = ("-m", "federated.executor")
_log = logging.getLogger("marmor.executor")


class ExecutorError(Exception):
    """A tally did not succeed; `code` is one of a fixed set and tells nothing about the data.

    `where` names the error's type and the functions it came through, for the site's own log.
    """

    def __init__(self, code: str, where: Sequence[str]) -> None:
        super().__init__(code)
        self.code, self.where = code, tuple(where)


@dataclass(frozen=True)
class Limits:
    """What one executor may use: bytes beyond those of its libraries, seconds per tally."""

    memory: int = 3 * 2**29
    cpu: int = 20
    wall: float = 30.0


Walls = Mapping[str, bool]
"""Which walls stand around an executor: network, files, limits, user (another than the node's)."""


class Executor:
    """A warm process that tallies; call it as the `compute` of a `SiteParty`."""

    def __init__(
        self,
        releases: Path,
        limits: Limits = Limits(),
        *,
        user: str = "",
        note: Callable[[Walls], None] = lambda walls: None,
    ) -> None:
        """Start the process; `releases` is the site's folder of releases.

        `user` is who it runs as, `note` hears which walls stand. Raises SetupError when there is
        no such user, or only root could become that user.
        """
        self._releases, self._limits, self._note = releases, limits, note
        self._user = _identity(user) if user else None
        self._lock, self._ready = threading.Lock(), False
        self._process, self._socket = self._spawn()

    def __call__(self, request: Mapping[str, object], broadcast: Arrays, release: str) -> Any:
        """Return the blocks of `request` on `release`.

        Raises ExecutorError: "timeout" (killed at its deadline), "crashed" (ended by itself, mostly
        out of memory or CPU time), or the code of the tally's own error.
        """
        job = _pack({"request": request}, broadcast)
        with self._lock, self._opened(release, str(request.get("view", ""))) as files:
            reply, arrays = self._converse(job, files)
        if reply.get("code"):
            raise ExecutorError(reply["code"], reply["where"])
        return _blocks(reply["kinds"], arrays)

    def warm_up(self) -> None:
        """Return when the process is ready for work; log when it is not."""
        try:
            with self._lock:
                self._await_ready()
        except (OSError, EOFError, ValueError):
            _log.error("executor %d does not start: no question can be answered", self.pid)

    @property
    def pid(self) -> int:
        """The process id of the current executor."""
        return self._process.pid

    def close(self) -> None:
        """End the process."""
        self._socket.close()
        self._process.kill()
        self._process.wait()

    @contextmanager
    def _opened(self, release: str, view: str) -> Iterator[list[int]]:
        """Open the release's manifest and its `view` for reading, without reading them."""
        if not (_NAME.fullmatch(release) and _NAME.fullmatch(view)):
            raise ExecutorError("internal", [])
        folder = self._releases / release
        files = {
            "manifest_missing": folder / "MANIFEST.json",
            "view_missing": folder / "views" / f"{view}.parquet",
        }
        with ExitStack() as stack:
            yield [stack.enter_context(_open(path, code)) for code, path in files.items()]

    def _converse(
        self, job: bytes, files: Sequence[int]
    ) -> tuple[dict[str, Any], dict[str, NDArray[np.generic]]]:
        if self._process.poll() is not None:
            self._restart()
        try:
            self._await_ready()
            _send(self._socket, job, files)
            return _unpack(_receive(self._socket)[0])
        except TimeoutError:
            code = "timeout"
        except (OSError, EOFError, ValueError):
            code = "crashed"
        self._restart()
        raise ExecutorError(code, [])

    def _await_ready(self) -> None:
        """Wait until the process says which walls stand, once for each process."""
        self._socket.settimeout(self._limits.wall)
        if not self._ready:
            walls = _unpack(_receive(self._socket)[0])[0]
            self._ready = True
            _log_walls(self.pid, walls)
            self._note(walls)

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
                "user": self._user,
                "releases": str(self._releases.resolve()),  # told for whoever lists processes
                "memory": self._limits.memory,
                "cpu": self._limits.cpu,
            }
            process = subprocess.Popen(
                [sys.executable, "-I", "-X", "utf8", *_PROGRAM, json.dumps(settings)],
                pass_fds=[theirs.fileno()],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                cwd="/",
                env=_ENVIRONMENT,
            )
        return process, mine


@contextmanager
def _open(path: Path, code: str) -> Iterator[int]:
    """Open `path` for reading; ExecutorError with `code` when it cannot be."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
    except OSError:
        raise ExecutorError(code, []) from None
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def _identity(name: str) -> tuple[int, int]:
    """Return user and group number of `name`; SetupError when there is none, or we may not."""
    try:
        found = pwd.getpwnam(name)
    except KeyError:
        raise SetupError(f"[executor] user: there is no user {name} on this machine") from None
    if os.geteuid() != 0:
        raise SetupError(f"[executor] user: only a node of root can start a process of {name}")
    return found.pw_uid, found.pw_gid


def _log_walls(pid: int, walls: Walls) -> None:
    """Write to the site's log which walls stand, and what the kernel here cannot give."""
    standing = ", ".join(name for name, stands in walls.items() if stands)
    _log.info("executor %d: walls stand: %s", pid, standing)
    for name in (name for name in ("network", "files") if not walls[name]):
        _log.warning("executor %d: this kernel does not wall off its %s", pid, name)


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


def _send(channel: socket.socket, data: bytes, files: Sequence[int] = ()) -> None:
    """Send `data`; descriptors of open files travel with its length."""
    socket.send_fds(channel, [struct.pack("<Q", len(data))], list(files))
    channel.sendall(data)


def _receive(channel: socket.socket) -> tuple[bytes, list[int]]:
    """Return what was sent and the descriptors that came with it."""
    head, files, _, _ = socket.recv_fds(channel, 8, 2)
    if not head:
        raise EOFError
    size = struct.unpack("<Q", head + _read(channel, 8 - len(head)))[0]
    if size > _LARGEST:
        raise ValueError("message too large")
    return _read(channel, size), files


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


def _work(channel: socket.socket, cpu: int) -> None:
    """Answer jobs until the parent closes the channel."""
    while True:
        try:
            job, files = _receive(channel)
        except EOFError:
            return
        header, broadcast = _unpack(job)
        sandbox.grant_cpu(cpu)
        _send(channel, _answer(header["request"], broadcast, files))


def _answer(request: Mapping[str, Any], broadcast: Arrays, files: Sequence[int]) -> bytes:
    """Return the packed blocks, or the packed code of what went wrong."""
    from federated.tally import tally_files

    try:
        manifest, view = [_content(file) for file in files]
        blocks = tally_files(view, manifest, request, broadcast)
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


def _content(file: int) -> bytes:
    """Return the content of an open file and close it."""
    with open(file, "rb") as stream:
        return stream.read()


def _readable() -> list[Path]:
    """Return the folders that a tally may read: Python, libraries, packages, nothing of the site.

    DuckDB also wants to learn of memory limits there where the kernel publishes them.
    """
    limits = [Path("/proc/self"), Path("/sys/fs/cgroup")]
    packages = [Path(sys.modules[name].__path__[0]) for name in ("federated", "transforms")]
    libraries = [Path(sys.prefix), Path(sys.base_prefix), Path("/usr/lib"), Path("/lib")]
    return [*libraries, *packages, *limits]


def main() -> None:
    """Be an executor: wall itself in, say which walls stand, then answer jobs."""
    settings = json.loads(sys.argv[1])
    user = settings["user"]
    network = sandbox.leave_network(stay_root=user is not None)
    if user is None:
        sandbox.tie_to(settings["parent"])
    import federated.tally  # noqa: F401 - all that a tally needs, before memory is limited

    _unpack(_pack({}, {}))  # and what Python loads only at the first use: another user may not
    sandbox.limit_growth(settings["memory"])
    files = sandbox.only_read(_readable())
    if user is not None:
        sandbox.become(*user)
        sandbox.tie_to(settings["parent"])
    channel = socket.socket(fileno=settings["socket"])
    walls = {"network": network, "files": files, "limits": True, "user": user is not None}
    _send(channel, _pack(walls, {}))
    _work(channel, settings["cpu"])


if __name__ == "__main__":
    main()
