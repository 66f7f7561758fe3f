"""Files that are there whole or not at all, and Parquet whose bytes follow from the rows alone."""

import json
import os
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq


__all__ = ["fsync_file", "fsync_folder", "write_json", "write_parquet", "write_text"]


def write_parquet(table: pa.Table, path: Path) -> None:
    """Write a Parquet file whose bytes depend on the rows and the schema alone."""
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


def write_json(path: Path, data: Any) -> None:
    """Write plain data as JSON, keys sorted: a reader sees the whole file or none."""
    write_text(path, json.dumps(data, indent=1, sort_keys=True, ensure_ascii=False) + "\n")


def write_text(path: Path, text: str) -> None:
    """Write a text file and make it durable: after a crash it is the old one or the new one."""
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    draft.write_text(text, encoding="utf-8")
    fsync_file(draft)
    os.replace(draft, path)
    fsync_folder(path.parent)


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
