"""Parquet whose bytes follow from the rows and the schema alone, however they arrive."""

import os
from collections.abc import Iterable, Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq


__all__ = ["write_parquet", "write_parquet_stream"]

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
