"""Reads REDCap exports: CSV with raw values or labels, JSON flat or EAV.

`sheet` is an instrument's variable name; empty stands for the rows that repeat no instrument;
`instrument@event` and `@event` restrict to one event of a longitudinal project. The project's data
dictionary, when it lies in the same folder, says which columns belong to which instrument,
translates labels, and marks identifiers: those are left out before anything reaches DuckDB, except
dates (the birth date is needed) and the id columns. Missing-data codes and checkboxes are left as
they are: they are the mapping's work.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import reduce
from pathlib import Path

import duckdb
import pyarrow as pa
import pyarrow.compute as pc

from transforms.errors import AbsentError, SourceError
from transforms.readers import delimited, redcap_json
from transforms.readers.redcap_dictionary import (
    Project,
    complete,
    events_beside,
    is_dictionary,
    is_list,
    project_beside,
)
from transforms.readers.redcap_labels import to_raw
from transforms.readers.redcap_odd import oddities
from transforms.readers.relation import (
    BLANKS,
    PROVENANCE,
    Part,
    SourceLike,
    SourceTable,
    begin,
    matching_files,
    some,
    store,
)


__all__ = ["read"]

INSTRUMENT = "redcap_repeat_instrument"
EVENT = "redcap_event_name"
SYSTEM_COLUMNS = (
    EVENT,
    "redcap_repeat_instance",
    "redcap_data_access_group",
    "redcap_survey_identifier",
)
BROKEN_MARK = "ï»¿"  # a byte order mark that was read as cp1252


@dataclass(frozen=True)
class _Export:
    """One export: its rows, `chosen` marks those of the instrument and the event."""

    part: Part
    instruments: tuple[str, ...]
    events: tuple[str, ...]
    chosen: pa.ChunkedArray


def read(source: SourceLike, inbox: Path, connection: duckdb.DuckDBPyConnection) -> SourceTable:
    """Read one instrument of all exports of a source into `source.<id>`.

    Without a data dictionary, a column belongs to the instrument unless it is filled only on rows
    of others. Raises SourceError for a file that is no REDCap export, for labels that cannot be
    translated, and AbsentError for an instrument or event that does not exist; the message lists
    those there are.
    """
    paths = [path for path in matching_files(source, inbox) if _is_export(path)]
    if not paths:
        raise SourceError(
            f"source {source.source}: '{source.file}' matches only REDCap data dictionaries; "
            "put the data export (CSV or JSON) there too"
        )
    project = project_beside(source, inbox, paths[0])
    notes: list[str] = []
    parts = [_read_part(source, inbox, path, project, notes) for path in paths]
    begin("")
    exports = [_export(source, piece, project) for piece in parts]
    columns = _columns(source, exports, project)
    named = _identifiers(source, project, columns)
    kept = tuple(name for name in columns if name not in named)
    chosen = [_choose(export, kept, source.sheet) for export in exports]
    for piece in chosen:
        notes += oddities(piece, project, getattr(source, "missing", ()))
    not_held = {f"variables that REDCap marks as identifiers: {some(named, 50)}": len(named)}
    others = _other_parts(source, exports, columns)
    return store(source, chosen, connection, not_held=not_held, notes=notes, other_parts=others)


def _is_export(path: Path) -> bool:
    return redcap_json.is_json(path) or not (is_dictionary(path) or is_list(path))


def _read_part(
    source: SourceLike, inbox: Path, path: Path, project: Project, notes: list[str]
) -> Part:
    """Return one export with raw names and codes."""
    name = path.relative_to(inbox).as_posix()
    if redcap_json.is_json(path):
        return redcap_json.read_part(path, name, project)
    piece, found = delimited.read_part(source, path, name)
    piece, mended = _mended(piece, project)
    piece, translated = to_raw(piece, project, events_beside(path))
    notes += [*found, *mended, *translated]
    return piece


def _mended(piece: Part, project: Project) -> tuple[Part, list[str]]:
    """Return `piece` without R's row numbers, and with the name of its record id mended."""
    first, *rest = piece.columns
    cells = piece.table.column(0)
    if first == "column 1" and rest and _counts(cells):
        return _renamed(piece, rest, piece.table.drop_columns([first])), [
            f"{piece.file}: its first column has no name and counts the rows; not read"
        ]
    wanted = project.record_id
    known = set(project.by_column()) | {one.label for one in project.variables}
    bare = first.removeprefix(BROKEN_MARK).strip('"')
    if wanted and wanted not in piece.columns and first not in known:
        note = f"{piece.file}: the first header is damaged; it is the record id, '{wanted}'"
        return _renamed(piece, [wanted, *rest], piece.table), [note]
    return (piece, []) if bare == first else (_renamed(piece, [bare, *rest], piece.table), [])


def _counts(cells: pa.ChunkedArray) -> bool:
    return bool(cells.to_pylist() == [str(n) for n in range(1, len(cells) + 1)])


def _renamed(piece: Part, names: Sequence[str], table: pa.Table) -> Part:
    return Part(piece.file, tuple(names), table.rename_columns([*names, *PROVENANCE]))


def _export(source: SourceLike, piece: Part, project: Project) -> _Export:
    """Mark the rows of the source's instrument and event in `piece`."""
    instrument, _, event = source.sheet.strip().partition("@")
    rows_of, event_of = _trimmed(piece, INSTRUMENT), _trimmed(piece, EVENT)
    repeating, events = _names(rows_of), _names(event_of)
    forms = {*repeating, *project.forms}
    if instrument and instrument not in forms:
        raise AbsentError(
            f"{piece.file}: there is no instrument '{instrument}'; there are "
            f"{', '.join(sorted(forms)) or 'only baseline rows'}: "
            f"correct 'sheet' of source {source.source} (empty for the baseline rows)"
        )
    if event and event not in events:
        raise AbsentError(
            f"{piece.file}: there is no event '{event}'; there are "
            f"{', '.join(sorted(events)) or 'no events'}: correct 'sheet' of source {source.source}"
        )
    chosen = pc.equal(rows_of, instrument if instrument in repeating else "")
    if event:
        chosen = pc.and_(chosen, pc.equal(event_of, event))
    return _Export(piece, ("", *repeating), events, chosen)


def _trimmed(piece: Part, column: str) -> pa.ChunkedArray:
    if column not in piece.columns:
        return pa.chunked_array([pa.repeat("", piece.table.num_rows)])
    return pc.utf8_trim(piece.table[column], characters=BLANKS)


def _names(cells: pa.ChunkedArray) -> tuple[str, ...]:
    return tuple(sorted(set(pc.unique(cells).to_pylist()) - {""}))


def _other_parts(
    source: SourceLike, exports: Sequence[_Export], columns: Sequence[str]
) -> set[str]:
    """Return the instruments, and events of this one that hold anything, that are not read."""
    instrument, _, event = source.sheet.strip().partition("@")
    others = {name for export in exports for name in export.instruments} - {instrument}
    if not event:
        return others
    fields = [name for name in columns[1:] if name not in SYSTEM_COLUMNS and "___" not in name]
    filled = {name for export in exports for name in _events_with(export, fields)}
    return others | {f"{instrument}@{name}" for name in filled - {event}}


def _events_with(export: _Export, fields: Sequence[str]) -> set[str]:
    """Return the events of rows in which one of `fields` holds anything."""
    cells = [pc.not_equal(export.part.table[name], "") for name in fields]
    rows = export.part.table.filter(reduce(pc.or_, cells)) if cells else export.part.table
    return set(_names(_trimmed(Part(export.part.file, export.part.columns, rows), EVENT)))


def _columns(source: SourceLike, exports: Sequence[_Export], project: Project) -> tuple[str, ...]:
    """Return the columns of the instrument: record id, system columns that are used, its fields.

    A column that the dictionary does not know belongs to it unless it is filled only elsewhere.
    """
    every = exports[0].part.columns
    first = project.record_id if project.record_id in every else every[0]
    instrument = source.sheet.strip().partition("@")[0]
    repeating = {name for export in exports for name in export.instruments}
    wanted = {instrument} if instrument else set(project.forms) - repeating
    own, known = _belonging(project, wanted), _belonging(project, project.forms)
    elsewhere = {name for name in every if _only_elsewhere(name, exports)}
    kept = [
        name
        for name in every
        if name not in {first, INSTRUMENT}
        and (_is_among(name, own) or not (_is_among(name, known) or name in elsewhere))
    ]
    return (first, *kept)


def _belonging(project: Project, forms: Iterable[str]) -> set[str]:
    """Return the columns of `forms`, with those that REDCap adds to them."""
    added = {name for form in forms for name in (complete(form), f"{form}_timestamp")}
    named = {one.name for one in project.variables if one.form in forms}
    return named | added if project.variables else set()


def _is_among(column: str, names: set[str]) -> bool:
    """Tell whether `column` is one of `names`, or a choice of a checkbox among them."""
    return column in names or column.partition("___")[0] in names


def _only_elsewhere(name: str, exports: Sequence[_Export]) -> bool:
    """Tell whether column `name` is filled, but on no row of the instrument."""
    filled = [pc.not_equal(export.part.table[name], "") for export in exports]
    here = [pc.and_(f, export.chosen) for f, export in zip(filled, exports, strict=True)]
    return any(pc.any(f).as_py() for f in filled) and not any(pc.any(h).as_py() for h in here)


def _identifiers(source: SourceLike, project: Project, columns: Sequence[str]) -> list[str]:
    """Return the columns that the dictionary marks as identifiers and nothing needs."""
    variables = project.by_column()
    needed = {columns[0], *getattr(source, "id_columns", ())}
    return [
        name
        for name in columns
        if (one := variables.get(name)) is not None
        and one.identifier
        and not one.is_date
        and name not in needed
    ]


def _choose(export: _Export, columns: tuple[str, ...], sheet: str) -> Part:
    """Return the export's rows of the instrument, with `sheet` as their sheet."""
    table = export.part.table.filter(export.chosen).select([*columns, *PROVENANCE])
    place = table.column_names.index("source_sheet")
    return Part(
        export.part.file,
        columns,
        table.set_column(place, "source_sheet", pa.repeat(sheet, table.num_rows)),
    )
