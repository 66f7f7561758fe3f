"""Files that are there whole or not at all, and Parquet whose bytes follow from the rows alone."""

import json
import os
import shutil
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq


__all__ = [
    "append_line",
    "fsync_file",
    "fsync_folder",
    "private_folder",
    "remove",
    "write_json",
    "write_parquet",
    "write_text",
]


def write_parquet(table: pa.Table, path: Path) -> None:
    """Write a Parquet file whose bytes depend on the rows and the schema alone.

    Raises OSError that names the file when the disk is full or cannot be written.
    """
    try:
        pq.write_table(
            table,
            path,
            version="2.6",
            compression="zstd",
            compression_level=3,
            row_group_size=1 << 20,
            data_page_version="1.0",
            write_statistics=True,
        )
    except OSError as error:  # Arrow tells neither the file nor, always, the kernel's own words
        number = error.errno or 0
        raise OSError(number, os.strerror(number) if number else str(error), str(path)) from None


def write_json(path: Path, data: Any) -> None:
    """Write plain data as JSON, keys sorted: a reader sees the whole file or none."""
    write_text(path, json.dumps(data, indent=1, sort_keys=True, ensure_ascii=False) + "\n")


def write_text(path: Path, text: str) -> None:
    """Write a text file and make it durable: after a crash it is the old one or the new one."""
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        draft.write_text(text, encoding="utf-8")
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
