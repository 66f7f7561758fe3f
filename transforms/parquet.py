"""Parquet whose bytes follow from the rows and the schema alone, however they arrive."""

import errno
import os
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq


__all__ = ["write_parquet", "write_parquet_stream", "write_scratch"]

GROUP_ROWS = 1 << 17
NO_SPACE = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


def write_parquet(table: pa.Table, path: Path, distinct: Sequence[str] = ()) -> None:
    """Write a Parquet file whose bytes depend on the rows and the schema alone.

    Columns of `distinct` hardly repeat: no dictionary is made of them.
    Raises OSError that names the file when the disk is full or cannot be written.
    """
    write_parquet_stream(table.to_batches(), table.schema, path, distinct)


def write_parquet_stream(
    batches: Iterable[pa.RecordBatch], schema: pa.Schema, path: Path, distinct: Sequence[str] = ()
) -> int:
    """Write batches as `write_parquet` would write them as a table; return how many rows.

    However the rows are cut into batches, the bytes are the same. Columns are cast to `schema`.
    Raises OSError that names the file when the disk is full or cannot be written.
    """
    numbers = [name for name in distinct if pa.types.is_integer(schema.field(name).type)]
    try:
        with pq.ParquetWriter(
            path,
            schema,
            version="2.6",
            compression="zstd",
            compression_level=3,
            data_page_version="1.0",
            write_statistics=True,
            use_dictionary=[name for name in schema.names if name not in distinct],
            column_encoding=dict.fromkeys(numbers, "DELTA_BINARY_PACKED"),
        ) as writer:
            return sum(
                _write_group(writer, group) for group in _groups(batches, schema, GROUP_ROWS)
            )
    except OSError as error:
        raise _named(error, path) from None


def write_scratch(
    batches: Iterable[pa.RecordBatch], schema: pa.Schema, path: Path, group_rows: int
) -> None:
    """Write batches, fast, for DuckDB to read in this run; errors as `write_parquet_stream`.

    Texts repeat, and are kept as dictionaries, which DuckDB computes with; numbers count the rows.
    """
    texts = [item.name for item in schema if pa.types.is_string(item.type)]
    try:
        with pq.ParquetWriter(
            path, schema, compression="lz4", store_schema=False, use_dictionary=texts
        ) as writer:
            for group in _groups(batches, schema, group_rows):
                writer.write_table(group, row_group_size=group_rows)
    except OSError as error:
        raise _named(error, path) from None


def _named(error: OSError, path: Path) -> OSError:
    """Return an error that says what the kernel says, and of which file: Arrow does not always."""
    known = (code for code in NO_SPACE if os.strerror(code) in str(error))
    number = error.errno or next(known, 0)
    return OSError(number, os.strerror(number) if number else str(error), str(path))


def _write_group(writer: pq.ParquetWriter, group: pa.Table) -> int:
    """Write a row group; return its rows."""
    writer.write_table(group, row_group_size=GROUP_ROWS)
    return int(group.num_rows)


def _groups(batches: Iterable[pa.RecordBatch], schema: pa.Schema, rows: int) -> Iterator[pa.Table]:
    """Yield the rows in tables of `rows`, each in one piece, the last one shorter."""
    held = pa.Table.from_batches([], schema)
    for batch in batches:
        held = pa.concat_tables([held, pa.Table.from_batches([batch]).cast(schema)])
        while held.num_rows >= rows:
            yield held.slice(0, rows).combine_chunks()
            held = held.slice(rows)
    if held.num_rows:
        yield held.combine_chunks()
