"""Takes the inbox into a run: relations `source.<id>`, and counts of what was read and refused.

Everything lies in a folder of the run's own below `work/`, readable by the site's own user alone:
what the reading process wrote, and what DuckDB spills. It is gone when the run ends, also when it
fails; what a killed process left behind is swept by the next run.
"""

import dataclasses
import fcntl
import os
import shutil
import tempfile
from collections import Counter
from collections.abc import Iterator, Sequence, Set
from collections.abc import Mapping as MappingType
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import duckdb

from transforms.collect import inbox_files
from transforms.dictionary.export.form_layout import ABOUT, CODES, LISTS, START
from transforms.errors import MappingError, raise_all
from transforms.mapping import Mapping
from transforms.mapping_check import check_columns, fitting
from transforms.ready import fill_gaps
from transforms.saying import Say, nothing
from transforms.site import Site


if TYPE_CHECKING:
    from transforms.readers import SourceTable
    from transforms.readers.isolation import Inbox

__all__ = ["Intake", "scratch", "take_in"]

SCRATCH = ".scratch-"
FORM_SHEETS = {START, CODES, LISTS, ABOUT}


@dataclass(frozen=True)
class Intake:
    """`mapping` without the sources of which nothing could be read; `counts` of what was."""

    mapping: Mapping
    counts: dict[str, Any]


@contextmanager
def scratch(site: Site) -> Iterator[Path]:
    """Yield a folder for what does not outlive a run; sweep those whose runs are dead."""
    folder, descriptor = _make(site.work)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        os.close(descriptor)


def _make(work: Path) -> tuple[Path, int]:
    """Make a folder and lock it as long as this process lives; nobody sweeps in between."""
    work.mkdir(parents=True, exist_ok=True)
    whole = os.open(work, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(whole, fcntl.LOCK_EX)
        for left in work.glob(f"{SCRATCH}*"):
            _sweep(left)
        folder = Path(tempfile.mkdtemp(prefix=SCRATCH, dir=work))
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
        fcntl.flock(descriptor, fcntl.LOCK_SH)
        return folder, descriptor
    finally:
        os.close(whole)


def take_in(
    connection: duckdb.DuckDBPyConnection,
    site: Site,
    mapping: Mapping,
    folder: Path,
    *,
    dry: bool = False,
    say: Say = nothing,
) -> Intake:
    """Read all sources into `source.*` by way of `folder`; `say` is told what is being read.

    Raises SourceError when a source does not fit the inbox or nothing can be read, MappingError
    when columns do not fit, SetupError when the disk is full. A dry run tells of columns that do
    not fit in `column_problems` and goes on without the rules that name one.
    """
    from transforms.readers.isolation import read_inbox  # its libraries are there at a site only

    inbox = read_inbox(mapping.sources, site.inbox, folder / "read", connection, _sized(site, say))
    whole = tuple(fill_gaps(connection, mapping, table) for table in inbox.tables)
    inbox = dataclasses.replace(inbox, tables=whole)
    columns = {table.source: table.columns for table in inbox.tables}
    there = tuple(source for source in mapping.sources if source.source in columns)
    readable = dataclasses.replace(mapping, sources=there)
    problems = list(check_columns(readable, columns))
    if not dry:
        raise_all(MappingError, problems)
        return Intake(readable, _counts(site, mapping, inbox))
    counts = _counts(site, mapping, inbox) | {"column_problems": problems}
    return Intake(fitting(readable, columns), counts)


def _sized(site: Site, say: Say) -> Say:
    """Return `say` with the size of the inbox behind what is read, when it is one to wait for."""
    size = sum(path.stat().st_size for path in inbox_files(site.inbox)) / 2**20
    return say if size < 1 else lambda text: say(f"{text}; {size:,.0f} MB in all")


def _counts(site: Site, mapping: Mapping, inbox: "Inbox") -> dict[str, Any]:
    """Return what was read, what was not, and why."""
    tables = {table.source: table for table in inbox.tables}
    not_held = Counter[str]()
    for table in inbox.tables:
        not_held.update(table.not_held)
    files = {name for table in inbox.tables for name in table.files}
    files |= {refusal.file for refusal in inbox.refused}
    there = {path.relative_to(site.inbox).as_posix() for path in inbox_files(site.inbox)}
    unread = _unread(mapping, inbox.tables)
    excel = {source.source for source in mapping.sources if source.format == "excel"}
    books = {name for table in inbox.tables if table.source in excel for name in table.files}
    not_held["files that no source reads"] = len(there - files)
    not_held["sheets, instruments or tables that no source reads"] = sum(map(len, unread.values()))
    notes = sorted({note for table in inbox.tables for note in table.notes})
    not_held["remarks of the readers, listed in harmonization.json"] = len(notes)
    sources = [source.source for source in mapping.sources]
    return {
        "rows_read": {name: tables[name].rows if name in tables else 0 for name in sources},
        "files_read": {name: len(tables[name].files) if name in tables else 0 for name in sources},
        "refused_files": [dataclasses.asdict(refusal) for refusal in inbox.refused],
        "not_held": {kind: count for kind, count in not_held.items() if count},
        "unread_parts": sorted(_listed(unread, books)),
        "notes": notes,
    }


def _unread(mapping: Mapping, tables: "Sequence[SourceTable]") -> dict[tuple[str, ...], set[str]]:
    """Return files → those of their parts that every source of these files leaves to others.

    Sources of the same files have the same pattern: each of an OMOP folder's reads one file of it.
    The sheets around the tables of our own form are nobody's data.
    """
    sources = {source.source: source for source in mapping.sources}
    left: dict[tuple[str, str], set[str]] = {}
    files: dict[tuple[str, str], set[str]] = {}
    for table in (one for one in tables if one.rows or one.other_parts):  # absent ones have none
        source = sources[table.source]
        key = (source.format, source.file)
        others = set(table.other_parts) - (FORM_SHEETS if source.system == "form" else set())
        left[key] = left.get(key, others) & others
        files.setdefault(key, set()).update(table.files)
    return {tuple(sorted(files[key])): parts for key, parts in left.items()}


def _listed(unread: MappingType[tuple[str, ...], Set[str]], books: Set[str]) -> Iterator[str]:
    """Yield each part's name, but of workbooks how many: a sheet's name may be a patient's."""
    from transforms.readers.relation import some  # its libraries are there at a site only

    for files, parts in unread.items():
        if not books & set(files):
            yield from parts
        elif parts:
            yield f"{some(files)}: {len(parts)} sheets"


def _sweep(folder: Path) -> None:
    """Remove a folder that no living process holds."""
    with suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            shutil.rmtree(folder, ignore_errors=True)
        finally:
            os.close(descriptor)
