"""Reads a folder of OMOP CDM 5.4 tables, as CSV or Parquet: `sheet` names the table.

Column names are lower-cased, as the model's own definition writes them. What the model cannot
hold (excluded findings, zygosity, fracture healing) is `not_collected` in the mapping.
"""

from collections.abc import Sequence
from pathlib import Path

import duckdb
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from transforms.errors import AbsentError, SourceError
from transforms.readers import delimited
from transforms.readers.relation import (
    PROVENANCE,
    Part,
    SourceLike,
    SourceTable,
    column_names,
    matching_files,
    part,
    store,
)


__all__ = ["read"]

MAX_PARQUET_CELLS = 50_000_000


def read(source: SourceLike, inbox: Path, connection: duckdb.DuckDBPyConnection) -> SourceTable:
    """Read one table of the model into `source.<id>`.

    The pattern names the folder's files (`omop/*.csv`); the table is the file whose name without
    its ending is `sheet`, upper or lower case. Raises SourceError when there is none, listing
    those there are.
    """
    files = matching_files(source, inbox)
    table = source.sheet.strip().lower()
    chosen = [path for path in files if path.stem.lower() == table]
    there = {path.stem.lower() for path in files}
    if not chosen:
        raise AbsentError(
            f"source {source.source}: there is no OMOP table '{source.sheet}' among the files of "
            f"'{source.file}'; there are {', '.join(sorted(there))}: correct 'sheet'"
        )
    parts: list[Part] = []
    notes: list[str] = []
    for path in chosen:
        name = path.relative_to(inbox).as_posix()
        piece, found = _read_part(source, path, name)
        parts.append(_lower_case(piece, table))
        notes += found
    return store(source, parts, connection, notes=notes, other_parts=there - {table})


def _read_part(source: SourceLike, path: Path, name: str) -> tuple[Part, Sequence[str]]:
    if path.suffix.lower() == ".parquet":
        return _parquet(path, name), ()
    return delimited.read_part(source, path, name)


def _parquet(path: Path, name: str) -> Part:
    """Return the rows of a Parquet file as texts; it has no header row, so rows count from 1."""
    try:
        file = pq.ParquetFile(path)
        rows, width = file.metadata.num_rows, file.metadata.num_columns
        if rows * width > MAX_PARQUET_CELLS:
            raise SourceError(
                f"{name}: {rows} rows of {width} columns are more than are read at once; "
                "export only the persons of the registry"
            )
        table = file.read()
        values = [_texts(column) for column in table.columns]
    except (pa.ArrowException, OSError):
        raise SourceError(
            f"{name}: cannot be read as Parquet with plain columns; export the table as CSV"
        ) from None
    columns = column_names(table.column_names)
    return part(name, "", columns, values, pa.array(range(1, rows + 1), pa.int64()))


def _texts(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """Return `column` as texts; points in time to the second."""
    if pa.types.is_timestamp(column.type):
        column = column.cast(pa.timestamp("s"), safe=False)
    return pc.fill_null(column.cast(pa.string()), "")


def _lower_case(piece: Part, sheet: str) -> Part:
    """Return `piece` with lower-case column names and the table's name as its sheet."""
    columns = tuple(name.lower() for name in piece.columns)
    table = piece.table.rename_columns([*columns, *PROVENANCE])
    place = table.column_names.index("source_sheet")
    sheets = pa.repeat(sheet, table.num_rows)
    return Part(piece.file, columns, table.set_column(place, "source_sheet", sheets))
