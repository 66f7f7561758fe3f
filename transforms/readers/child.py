"""The process that parses a centre's files: little memory, little time, no network, no keys.

`transforms.readers.keeper` starts it, asks in lines of JSON and may lose it. It reads nothing
but the inbox and libraries, writes nothing but Parquet into the folder it was given, and says of a
failure what kind it is, never what the file holds.

    {"source": {…}, "inbox": …, "left_out": […], "folder": …, "seconds": …}
    → {"reading": file} … {"table": {…}} | {"refused": message} | {"lost": reason} | {"full": true}
"""

import dataclasses
import errno
import json
import os
import sys
import sysconfig
import traceback
from collections.abc import Callable, Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any, TextIO

from transforms import sandbox


__all__ = ["answer", "main"]

ENCODINGS = ("cp1252", "iso8859_15", "utf_16", "utf_16_le", "utf_16_be", "utf_8_sig")
OUT_OF_MEMORY = "memory"
THREADS = 2
UNREADABLE = {errno.EACCES, errno.EPERM, errno.EIO, errno.ENOENT, errno.ESTALE}
NO_SPACE = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}


def main() -> None:
    """Wall this process in, say so, then answer one request after the other."""
    settings = json.loads(sys.argv[1])
    channel = _own_channel()
    network = sandbox.leave_network()
    sandbox.tie_to(settings["parent"])
    _import_all()
    from transforms.readers.relation import telling

    inbox, folder = Path(settings["inbox"]), Path(settings["folder"])
    sandbox.limit_data(settings["memory"], settings["file_bytes"])
    files = sandbox.only_read(_readable(inbox), write=[folder])
    _say(channel, {"network": network, "files": files})
    for line in sys.stdin:
        request = json.loads(line)
        sandbox.grant_cpu(request["seconds"])
        with telling(_teller(channel)):
            told = answer(request)
        _say(channel, told)
        if told.get("lost") == OUT_OF_MEMORY:
            return  # what a library does after it ran out of memory is anybody's guess


def answer(request: Mapping[str, Any]) -> dict[str, Any]:
    """Read one source into `<folder>/<source>.parquet`; return the table or what was wrong."""
    import duckdb

    from transforms.errors import SourceError

    try:
        return {"table": _read(request)}
    except SourceError as error:
        return {"refused": str(error)}
    except (MemoryError, duckdb.OutOfMemoryException):
        return {"lost": OUT_OF_MEMORY}
    except OSError as error:
        if error.errno == errno.ENOMEM or "Out of Memory" in str(error):  # DuckDB's, by Arrow
            return {"lost": OUT_OF_MEMORY}
        return _of_system(error, Path(request["inbox"]))
    except duckdb.IOException as error:
        return {"full": True} if _is_full(str(error)) else {"lost": _place(error)}
    except Exception as error:
        return {"lost": _place(error)}


def _of_system(error: OSError, inbox: Path) -> dict[str, Any]:
    """Tell of a full disk, of a file of the inbox that cannot be opened, or of anything else."""
    if error.errno in NO_SPACE:
        return {"full": True}
    path = Path(str(error.filename or ""))
    if error.errno in UNREADABLE and path.is_relative_to(inbox):
        name, reason = path.relative_to(inbox).as_posix(), error.strerror or "unreadable"
        return {"refused": f"{name}: cannot be read ({reason}); check its permissions"}
    return {"lost": _place(error)}


def _read(request: Mapping[str, Any]) -> dict[str, Any]:
    """Read the source; return its table as plain data."""
    import duckdb

    from transforms.readers import read
    from transforms.readers.relation import leaving_out, writing_to

    folder = Path(request["folder"])
    declared = {
        key: tuple(value) if isinstance(value, list) else value
        for key, value in request["source"].items()
    }
    settings: dict[str, str | bool | int | float | list[str]] = {
        "threads": THREADS,
        "memory_limit": "500MB",
        "temp_directory": str(folder / "spill"),
        "autoinstall_known_extensions": False,
        "autoload_known_extensions": False,
    }
    with (
        duckdb.connect(config=settings) as connection,
        leaving_out(request["left_out"]),
        writing_to(folder),
    ):
        table = read(SimpleNamespace(**declared), Path(request["inbox"]), connection)
    return dataclasses.asdict(table)


def _import_all() -> None:
    """Import what readers need while files can still be opened."""
    import codecs

    sys.meta_path.insert(0, _WithoutPandas)
    import python_calamine  # noqa: F401

    import transforms.readers  # noqa: F401

    for name in ENCODINGS:
        codecs.lookup(name)


class _WithoutPandas:
    """Hides pandas from Arrow, which imports it when there is one: time and memory for nothing."""

    @staticmethod
    def find_spec(name: str, path: object = None, target: object = None) -> None:
        """Say that there is no pandas; leave all else to those who come after."""
        if name == "pandas":
            raise ModuleNotFoundError(name=name)


def _readable(inbox: Path) -> list[Path]:
    """Return what may be read: the inbox, Python's libraries, our code, the kernel's limits."""
    libraries = {Path(sysconfig.get_path(name)) for name in ("stdlib", "platstdlib", "purelib")}
    system = (Path("/usr/lib"), Path("/lib"), Path("/proc/self"), Path("/sys/fs/cgroup"))
    return [inbox, *libraries, *system, Path(__file__).parents[1], Path("/dev/null")]


def _is_full(message: str) -> bool:
    """Return whether DuckDB failed because the disk is full or a file too large."""
    return any(os.strerror(code) in message for code in NO_SPACE)


def _place(error: BaseException) -> str:
    """Return the kind of an error and our line that met it; its text may quote a cell."""
    ours = Path(__file__).parents[1]
    frames = [
        f"{Path(frame.filename).name}:{frame.lineno}"
        for frame in traceback.extract_tb(error.__traceback__)
        if ours in Path(frame.filename).parents
    ]
    return f"{type(error).__name__} at {frames[-1] if frames else 'an unknown place'}"


def _own_channel() -> TextIO:
    """Return the way to whoever asks; what a library prints goes nowhere instead."""
    channel = os.fdopen(os.dup(1), "w", encoding="utf-8")
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 1)
    os.close(nowhere)
    return channel


def _teller(channel: TextIO) -> Callable[[str], None]:
    """Return what says which file is read, when it is another one than before."""
    last: list[str] = []

    def tell(name: str) -> None:
        if last != [name]:
            last[:] = [name]
            _say(channel, {"reading": name})

    return tell


def _say(channel: TextIO, told: Mapping[str, Any]) -> None:
    """Write one line to whoever asked."""
    channel.write(json.dumps(told) + "\n")
    channel.flush()


if __name__ == "__main__":
    main()
