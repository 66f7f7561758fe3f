"""Reads OMOP CDM 5.4: a folder of CSV or Parquet tables, or a DuckDB file; `sheet` is the table.

Column names are lower-cased, as the model's own definition writes them. Codes and names of the
concepts are put beside their ids when the table `concept` is there (`omop_concepts`). What the
model cannot hold (excluded findings, age at onset, zygosity, outcome of a fracture) is `impossible`
in the mapping.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import duckdb
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from transforms.errors import AbsentError, SourceError
from transforms.readers import delimited, omop_database
from transforms.readers.omop_concepts import Concepts, added, with_units
from transforms.readers.relation import (
    BATCH_ROWS,
    PROVENANCE,
    SourceLike,
    SourceTable,
    Stream,
    begin,
    column_names,
    matching_files,
    refuse_inflated,
    some,
    store,
)


__all__ = ["read"]

CONCEPT = "concept"
# What pyarrow raises for a damaged file.
BROKEN = (pa.ArrowException, OSError, UnicodeDecodeError)

Blocks = Callable[[], Iterator[pa.Table]]


@dataclass(frozen=True)
class _Piece:
    """One file's part of a table: `blocks` can be read again and again, with provenance."""

    file: str
    columns: tuple[str, ...]
    blocks: Blocks


def read(source: SourceLike, inbox: Path, connection: duckdb.DuckDBPyConnection) -> SourceTable:
    """Read one table of the model into `source.<id>`.

    The pattern names the folder's files (`omop/*.csv`), of which the one counts whose name without
    its ending is `sheet`, upper or lower case; or a DuckDB file, where `sheet` may be
    `schema.table`. Raises AbsentError when there is no such table, listing those there are;
    SourceError when a table is there in two formats.
    """
    files = matching_files(source, inbox)
    notes: list[str] = []
    pieces = _pieces(source, inbox, files, source.sheet.strip().lower(), notes)
    if not pieces:
        raise AbsentError(
            f"source {source.source}: there is no OMOP table '{source.sheet}' among the files of "
            f"'{source.file}'; there are {some(sorted(_there(inbox, files)), 40)}: correct 'sheet'"
        )
    table = source.sheet.strip().lower()
    concepts = _concepts(source, inbox, files, table, pieces)
    streams = [_stream(piece, table, concepts) for piece in pieces]
    if concepts:
        notes += concepts.remarks(table)
    others = _there(inbox, files) - {table, table.rpartition(".")[2]}
    return store(source, streams, connection, notes=notes, other_parts=others)


def _there(inbox: Path, files: Sequence[Path]) -> set[str]:
    """Return the names of all tables."""
    found = set()
    for path in files:
        if omop_database.is_database(path):
            name = path.relative_to(inbox).as_posix()
            found |= {table.lower() for _, table in omop_database.tables(path, name)}
        else:
            found.add(path.stem.lower())
    return found


def _pieces(
    source: SourceLike, inbox: Path, files: Sequence[Path], table: str, notes: list[str]
) -> list[_Piece]:
    """Return the parts of `table`; a table that is there in two formats is refused."""
    databases = [path for path in files if omop_database.is_database(path)]
    plain = [path for path in files if path not in databases and path.stem.lower() == table]
    if len(databases) == 1 and len(files) == 1:
        return [_of_database(databases[0], inbox, table)]
    held = [path for path in databases if _holds(path, inbox, table)]
    formats = {*(path.suffix.lower() for path in plain), *("DuckDB" for _ in held)}
    if len(formats) > 1 or len(held) > 1:
        names = [path.relative_to(inbox).as_posix() for path in (*plain, *held)]
        raise SourceError(
            f"source {source.source}: {some(names)} all hold the OMOP table '{table}', and its "
            "rows would be counted twice; keep one of them, or narrow 'file'"
        )
    found = [_of_file(source, inbox, path, notes) for path in plain]
    return found + [_of_database(path, inbox, table) for path in held]


def _holds(path: Path, inbox: Path, table: str) -> bool:
    name = path.relative_to(inbox).as_posix()
    return table.rpartition(".")[2] in {one.lower() for _, one in omop_database.tables(path, name)}


def _of_file(source: SourceLike, inbox: Path, path: Path, notes: list[str]) -> _Piece:
    name = path.relative_to(inbox).as_posix()
    if path.suffix.lower() == ".parquet":
        return _parquet(path, name)
    first, found = delimited.read_part(source, path, name)
    notes += found
    return _Piece(
        name,
        tuple(column.lower() for column in first.columns),
        lambda: delimited.read_part(source, path, name)[0].blocks(),
    )


def _parquet(path: Path, name: str) -> _Piece:
    """Return the rows of a Parquet file as texts; it has no header row, so rows count from 1."""
    columns = _names(path, name)

    def blocks() -> Iterator[pa.Table]:
        row = 1
        try:
            for batch in _opened(path, name).iter_batches(BATCH_ROWS):
                cells = [_texts(column) for column in batch.columns]
                numbers = pa.array(range(row, row + batch.num_rows), pa.int64())
                yield _with_provenance(cells, columns, name, numbers)
                row += batch.num_rows
        except BROKEN:
            raise _unreadable(name) from None

    return _Piece(name, tuple(column.lower() for column in columns), blocks)


def _names(path: Path, name: str) -> tuple[str, ...]:
    try:
        return column_names(_opened(path, name).schema_arrow.names)
    except BROKEN:
        raise _unreadable(name) from None


def _opened(path: Path, name: str) -> pq.ParquetFile:
    begin(name)
    try:
        file = pq.ParquetFile(path)
    except BROKEN:
        raise _unreadable(name) from None
    refuse_inflated(name, file.metadata.num_rows, file.metadata.num_columns, path.stat().st_size)
    return file


def _unreadable(name: str) -> SourceError:
    return SourceError(
        f"{name}: cannot be read as Parquet with plain columns; export the table as CSV"
    )


def _texts(column: pa.Array) -> pa.Array:
    """Return `column` as texts; points in time to the second."""
    if pa.types.is_timestamp(column.type):
        column = column.cast(pa.timestamp("s"), safe=False)
    texts = column.cast(pa.string())
    texts.validate(full=True)  # that it is text: a damaged file may hold any bytes
    return pc.fill_null(texts, "")


def _of_database(path: Path, inbox: Path, wanted: str) -> _Piece:
    name = path.relative_to(inbox).as_posix()
    table = omop_database.table_of(path, name, wanted)
    columns = column_names(omop_database.columns(path, name, table))

    def blocks() -> Iterator[pa.Table]:
        for block in omop_database.blocks(path, name, table):
            *cells, numbers = block.columns
            filled = [pc.fill_null(column, "") for column in cells]
            yield _with_provenance(filled, columns, name, numbers)

    return _Piece(name, tuple(column.lower() for column in columns), blocks)


def _with_provenance(
    cells: Sequence[pa.Array], columns: Sequence[str], name: str, numbers: pa.Array
) -> pa.Table:
    count = len(numbers)
    arrays = [*cells, pa.repeat(name, count), pa.repeat("", count), numbers]
    return pa.Table.from_arrays(arrays, [*columns, *PROVENANCE])


def _concepts(
    source: SourceLike, inbox: Path, files: Sequence[Path], table: str, pieces: Sequence[_Piece]
) -> Concepts | None:
    """Return the concepts that the table mentions, when the files hold the vocabulary."""
    schema, _, bare = table.rpartition(".")
    wanted = f"{schema}.{CONCEPT}" if schema else CONCEPT
    if CONCEPT not in _there(inbox, files) or bare == CONCEPT:
        return None
    concepts = Concepts()
    for piece in pieces:
        for block in piece.blocks():
            concepts.note(_lower(block, piece.columns), piece.columns)
    for piece in _pieces(source, inbox, files, wanted, []):
        for block in piece.blocks():
            concepts.learn(_lower(block, piece.columns))
    return concepts


def _lower(block: pa.Table, columns: Sequence[str]) -> pa.Table:
    return block.rename_columns([*columns, *PROVENANCE])


def _stream(piece: _Piece, table: str, concepts: Concepts | None) -> Stream:
    """Return a piece with lower-case columns, the table's name as its sheet, codes and units."""

    def blocks() -> Iterator[pa.Table]:
        for block in piece.blocks():
            known = concepts.codes if concepts else {}
            rows = with_units(_lower(block, piece.columns), known)
            if concepts:
                rows = concepts.beside(rows, piece.columns)
            place = rows.column_names.index("source_sheet")
            yield rows.set_column(place, "source_sheet", pa.repeat(table, rows.num_rows))

    columns = (*piece.columns, *added(piece.columns, named=concepts is not None))
    return Stream(piece.file, columns, blocks())
