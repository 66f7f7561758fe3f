"""Files that are there whole or not at all, and Parquet whose bytes follow from the rows alone."""

import json
import os
import shutil
from collections.abc import Iterable, Iterator
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
    "write_bytes",
    "write_json",
    "write_parquet",
    "write_parquet_stream",
    "write_text",
]

GROUP_ROWS = 1 << 17


def write_parquet(table: pa.Table, path: Path) -> None:
    """Write a Parquet file whose bytes depend on the rows and the schema alone.

    Raises OSError that names the file when the disk is full or cannot be written.
    """
    write_parquet_stream(table.to_batches(), table.schema, path)


def write_parquet_stream(batches: Iterable[pa.RecordBatch], schema: pa.Schema, path: Path) -> int:
    """Write batches as `write_parquet` would write them as a table; return how many rows.

    However the rows are cut into batches, the bytes are the same. Columns are cast to `schema`.
    Raises OSError that names the file when the disk is full or cannot be written.
    """
    try:
        with pq.ParquetWriter(
            path,
            schema,
            version="2.6",
            compression="zstd",
            compression_level=3,
            data_page_version="1.0",
            write_statistics=True,
        ) as writer:
            return sum(_write_group(writer, group) for group in _groups(batches, schema))
    except OSError as error:  # Arrow tells neither the file nor, always, the kernel's own words
        number = error.errno or 0
        raise OSError(number, os.strerror(number) if number else str(error), str(path)) from None


def _write_group(writer: pq.ParquetWriter, group: pa.Table) -> int:
    """Write a row group; return its rows."""
    writer.write_table(group, row_group_size=GROUP_ROWS)
    return int(group.num_rows)


def _groups(batches: Iterable[pa.RecordBatch], schema: pa.Schema) -> Iterator[pa.Table]:
    """Yield the rows in tables of `GROUP_ROWS`, each in one piece, the last one shorter."""
    held = pa.Table.from_batches([], schema)
    for batch in batches:
        held = pa.concat_tables([held, pa.Table.from_batches([batch]).cast(schema)])
        while held.num_rows >= GROUP_ROWS:
            yield held.slice(0, GROUP_ROWS).combine_chunks()
            held = held.slice(GROUP_ROWS)
    if held.num_rows:
        yield held.combine_chunks()


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
