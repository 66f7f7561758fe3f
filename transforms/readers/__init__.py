"""Readers: one file per source format, each turns a source into a text relation in DuckDB.

Columns are texts, NULL stands for nothing there, and every row knows its file, sheet and row.
Nothing is converted here: that is the mapping's work.
"""

from collections.abc import Callable, Mapping
from pathlib import Path

import duckdb

from transforms.errors import AbsentError, SourceError
from transforms.readers import delimited, excel, fhir, omop, peek, phenopackets, redcap
from transforms.readers.relation import PROVENANCE, SCHEMA, SourceLike, SourceTable, nothing


__all__ = ["PROVENANCE", "READERS", "SCHEMA", "Reader", "SourceLike", "SourceTable", "read"]

Reader = Callable[[SourceLike, Path, duckdb.DuckDBPyConnection], SourceTable]

READERS: Mapping[str, Reader] = {
    "delimited": delimited.read,
    "excel": excel.read,
    "redcap": redcap.read,
    "omop": omop.read,
    "phenopackets": phenopackets.read,
    "fhir": fhir.read,
    "peek": peek.read,  # never in a mapping: what `marmor site scan` begins with
}


def read(source: SourceLike, inbox: Path, connection: duckdb.DuckDBPyConnection) -> SourceTable:
    """Read `source` from `inbox` into the table `source.<source id>` of `connection`.

    Raises SourceError when no file matches, or a file is not what the mapping says it is. Of an
    optional source, whose sheet, instrument or table the files do not have, there are no rows.
    """
    reader = READERS.get(source.format)
    if reader is None:
        raise SourceError(
            f"source {source.source}: unknown format '{source.format}'; "
            f"use one of {', '.join(READERS)}"
        )
    try:
        return reader(source, inbox, connection)
    except AbsentError:
        if not getattr(source, "optional", False):
            raise
        return nothing(source, inbox, connection)
