"""Reads REDCap's raw CSV export: one relation per repeating instrument, and one of baseline rows.

`sheet` is the instrument's variable name; empty stands for the rows that repeat no instrument.
When the project's data dictionary lies in the same folder it says which columns belong to which
instrument. Missing-value codes and checkboxes are left as they are: they are the mapping's work.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import duckdb
import pyarrow as pa
import pyarrow.compute as pc

from transforms.errors import AbsentError, SourceError
from transforms.readers import delimited
from transforms.readers.relation import (
    BLANKS,
    PROVENANCE,
    Part,
    SourceLike,
    SourceTable,
    matching_files,
    store,
)


__all__ = ["read"]

INSTRUMENT = "redcap_repeat_instrument"
SYSTEM_COLUMNS = (
    "redcap_event_name",
    "redcap_repeat_instance",
    "redcap_data_access_group",
    "redcap_survey_identifier",
)
LABEL_HEADERS = {"Repeat Instrument", "Repeat Instance", "Event Name", "Data Access Group"}
DICTIONARY_MARKS = ("Form Name", "Field Type")  # the first column's name can be damaged
DICTIONARY_MARKS_API = ("field_name", "form_name")


@dataclass(frozen=True)
class _Export:
    """One export: its rows, `chosen` marks those of the instrument."""

    part: Part
    instruments: tuple[str, ...]
    chosen: pa.ChunkedArray


def read(source: SourceLike, inbox: Path, connection: duckdb.DuckDBPyConnection) -> SourceTable:
    """Read one instrument of all exports of a source into `source.<id>`.

    Without a data dictionary, a column belongs to the instrument unless it is filled only on rows
    of others. Raises SourceError for a label export, a file that is no REDCap export, or an
    instrument that does not exist; the message lists those there are.
    """
    parts: list[Part] = []
    notes: list[str] = []
    for path in matching_files(source, inbox):
        if _is_dictionary(path):
            continue
        piece, found = delimited.read_part(source, path, path.relative_to(inbox).as_posix())
        parts.append(piece)
        notes += found
    if not parts:
        raise SourceError(
            f"source {source.source}: '{source.file}' matches only REDCap data dictionaries; "
            "put the data export (CSV, raw values) there too"
        )
    forms = _forms(source, inbox, inbox / parts[0].file)
    exports = [_export(source, piece, forms) for piece in parts]
    columns = _columns(source, exports, forms)
    others = {name for export in exports for name in export.instruments} - {source.sheet}
    chosen = [_choose(export, columns, source.sheet) for export in exports]
    return store(source, chosen, connection, notes=notes, other_parts=others)


def _is_dictionary(path: Path) -> bool:
    """Tell by the first line whether `path` is a REDCap data dictionary."""
    with path.open("rb") as stream:
        line = stream.readline(4096).decode("utf-8", "replace")
    return any(
        all(mark in line for mark in marks) for marks in (DICTIONARY_MARKS, DICTIONARY_MARKS_API)
    )


def _forms(source: SourceLike, inbox: Path, export: Path) -> Mapping[str, tuple[str, ...]]:
    """Return form → its variables, from the data dictionary beside the export, or nothing."""
    found = [path for path in sorted(export.parent.glob("*.csv")) if _is_dictionary(path)]
    if not found:
        return {}
    names = [path.relative_to(inbox).as_posix() for path in found]
    dictionary = _Dictionary(source.source)
    read_forms = [_read_forms(dictionary, *one) for one in zip(found, names, strict=True)]
    if any(forms != read_forms[0] for forms in read_forms):
        raise SourceError(
            f"source {source.source}: {' and '.join(names)} are different REDCap data "
            "dictionaries; keep only the one that belongs to the export"
        )
    return read_forms[0]


@dataclass(frozen=True)
class _Dictionary:
    """How REDCap writes a data dictionary, whatever the export's own declaration says."""

    source: str
    file: str = ""
    format: str = "delimited"
    sheet: str = ""
    header_row: int = 1
    encoding: str = ""
    delimiter: str = ""
    decimal: str = "."


def _read_forms(dictionary: SourceLike, path: Path, name: str) -> Mapping[str, tuple[str, ...]]:
    """Return form → variables; the first two columns hold them, whatever the first is called."""
    piece, _ = delimited.read_part(dictionary, path, name)
    variables, form_names = (piece.table.column(index).to_pylist() for index in (0, 1))
    forms: dict[str, tuple[str, ...]] = {}
    for variable, form in zip(variables, form_names, strict=True):
        forms[form] = (*forms.get(form, ()), variable)
    return forms


def _export(source: SourceLike, piece: Part, forms: Mapping[str, tuple[str, ...]]) -> _Export:
    """Mark the rows of the source's instrument in `piece`."""
    if set(piece.columns) & LABEL_HEADERS:
        raise SourceError(
            f"{piece.file}: this is a REDCap export with labels; "
            "export it again as 'CSV / Microsoft Excel (raw data)'"
        )
    if INSTRUMENT in piece.columns:
        rows_of = pc.utf8_trim(piece.table[INSTRUMENT], characters=BLANKS)
    else:
        rows_of = pa.chunked_array([pa.repeat("", piece.table.num_rows)])
    repeating = sorted(set(pc.unique(rows_of).to_pylist()) - {""})
    if source.sheet and source.sheet not in {*repeating, *forms}:
        raise AbsentError(
            f"{piece.file}: there is no instrument '{source.sheet}'; there are "
            f"{', '.join(sorted({*repeating, *forms})) or 'only baseline rows'}: "
            f"correct 'sheet' of source {source.source} (empty for the baseline rows)"
        )
    wanted = source.sheet if source.sheet in repeating else ""
    return _Export(piece, ("", *repeating), pc.equal(rows_of, wanted))


def _columns(
    source: SourceLike, exports: Sequence[_Export], forms: Mapping[str, tuple[str, ...]]
) -> tuple[str, ...]:
    """Return the columns of the instrument: record id, system columns that are used, its fields."""
    every = exports[0].part.columns
    repeating = {name for export in exports for name in export.instruments}
    wanted = {source.sheet} if source.sheet else set(forms) - repeating
    variables = {v for form in wanted for v in (*forms.get(form, ()), f"{form}_complete")}
    elsewhere = {name for name in every if _only_elsewhere(name, exports)}
    dropped = elsewhere & set(SYSTEM_COLUMNS) if forms else elsewhere
    kept = [
        name
        for name in every[1:]
        if name not in {*dropped, INSTRUMENT}
        and (not forms or name in SYSTEM_COLUMNS or name.split("___")[0] in variables)
    ]
    return (every[0], *kept)


def _only_elsewhere(name: str, exports: Sequence[_Export]) -> bool:
    """Tell whether column `name` is filled, but on no row of the instrument."""
    filled = [pc.not_equal(export.part.table[name], "") for export in exports]
    here = [pc.and_(f, export.chosen) for f, export in zip(filled, exports, strict=True)]
    return any(pc.any(f).as_py() for f in filled) and not any(pc.any(h).as_py() for h in here)


def _choose(export: _Export, columns: tuple[str, ...], instrument: str) -> Part:
    """Return the export's rows of the instrument, with `instrument` as their sheet."""
    table = export.part.table.filter(export.chosen).select([*columns, *PROVENANCE])
    place = table.column_names.index("source_sheet")
    sheets = pa.repeat(instrument, table.num_rows)
    return Part(export.part.file, columns, table.set_column(place, "source_sheet", sheets))
