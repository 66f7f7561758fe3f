"""Files that are there whole or not at all, and lines that are on the disk when they are told."""

import json
import os
import shutil
from pathlib import Path
from typing import Any


__all__ = [
    "append_line",
    "fsync_file",
    "fsync_folder",
    "private_folder",
    "remove",
    "write_bytes",
    "write_json",
    "write_text",
]


def write_json(path: Path, data: Any) -> None:
    """Write plain data as JSON, keys sorted: a reader sees the whole file or none."""
    write_text(path, json.dumps(data, indent=1, sort_keys=True, ensure_ascii=False) + "\n")


def write_text(path: Path, text: str) -> None:
    """Write a text file and make it durable: after a crash it is the old one or the new one."""
    write_bytes(path, text.encode())


def write_bytes(path: Path, content: bytes) -> None:
    """Write a file and make it durable: after a crash it is the old one or the new one."""
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        draft.write_bytes(content)
        fsync_file(draft)
        os.replace(draft, path)
    except OSError as error:
        draft.unlink(missing_ok=True)
        raise OSError(error.errno, error.strerror, str(path)) from None
    fsync_folder(path.parent)


def append_line(path: Path, line: str) -> None:
    """Append a line, for its owner alone; return when it is on the disk."""
    new = not path.exists()
    descriptor = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    try:
        _write_all(descriptor, line.encode() + b"\n", path)
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
    if new:
        fsync_folder(path.parent)


def _write_all(descriptor: int, data: bytes, path: Path) -> None:
    """Write all of `data`, or take back the part that a full disk let through."""
    before = os.fstat(descriptor).st_size
    try:
        if os.write(descriptor, data) < len(data):
            raise OSError(28, os.strerror(28), str(path))
    except OSError:
        os.ftruncate(descriptor, before)
        raise


def private_folder(path: Path) -> None:
    """Make a folder that only its owner can enter, durable itself; keep one that is there."""
    if not path.is_dir():
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
        fsync_folder(path.parent)


def remove(path: Path) -> None:
    """Remove a file or a folder with all it holds; nothing there is as well. A link is removed.

    Raises OSError that names what could not be removed.
    """
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def fsync_file(path: Path) -> None:
    """Wait until the file's bytes are on the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def fsync_folder(path: Path) -> None:
    """Wait until the folder's entries are on the disk."""
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
