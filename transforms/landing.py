"""Which files of the inbox hold a patient who withdrew, and how these go away.

Only a reader knows who a row is about, so the inbox is read as a run would read it. A file that
holds the patient alone (one phenopacket per patient) is taken out. Where the patient stands among
others, or where nobody can tell, the whole inbox goes: with half of it left, the next run would
publish half the centre. The files are copies; the centre exports them again without the patient.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import duckdb

from transforms.collect import inbox_files
from transforms.conversion_job import Parameters, person_sql
from transforms.durable import remove
from transforms.errors import UserError
from transforms.fingerprints import content_digest
from transforms.inbox import walk
from transforms.intake import scratch, take_in
from transforms.mapping import Source
from transforms.mapping_check import load_mapping
from transforms.pseudonyms import install, site_key
from transforms.site import Site
from transforms.sql import qualified
from transforms.tombstones import PREFIX
from transforms.traces import traces


__all__ = ["Purged", "digests", "holding", "purge"]


@dataclass(frozen=True)
class Purged:
    """How many files went, and whether that was the whole inbox."""

    files: int
    emptied: bool


@dataclass
class _Found:
    """Files by whom their rows are about, relative to the inbox."""

    own: set[str] = field(default_factory=set)
    mixed: set[str] = field(default_factory=set)
    others: set[str] = field(default_factory=set)


def holding(site: Site, withdrawn: frozenset[str]) -> bool:
    """Return whether a row in the inbox is about a person with one of these tombstones.

    What cannot be read is not known to hold anybody.
    """
    found = _look(site, withdrawn)
    return found is not None and bool(found.own or found.mixed)


def purge(site: Site, withdrawn: frozenset[str], local_id: str | None) -> Purged:
    """Take those with a tombstone out of the inbox; without their `local_id` all of it goes."""
    files = inbox_files(site.inbox)
    clean = _clean(site, withdrawn, local_id, files) if local_id is not None else None
    if clean is None:
        return Purged(_remove_all(site.inbox), emptied=bool(files))
    gone = [path for path in files if path not in clean]
    for path in gone:
        remove(path)
    return Purged(len(gone), emptied=False)


def digests(files: tuple[Path, ...]) -> list[str]:
    """Return each file's fingerprint, sorted."""
    return sorted(map(content_digest, files))


def _clean(
    site: Site, withdrawn: frozenset[str], local_id: str, files: tuple[Path, ...]
) -> frozenset[Path] | None:
    """Return the files that may stay; None when not each file is either the patient's or clean."""
    found = _look(site, withdrawn)
    if found is None:
        return None
    names = {path.relative_to(site.inbox).as_posix(): path for path in files}
    mentioned = set(traces(site.inbox, [local_id.strip()]))
    clean = {names[name] for name in found.others if name in names} - mentioned
    own = {names[name] for name in found.own if name in names}
    return frozenset(clean) if clean | own == set(files) else None


def _look(site: Site, withdrawn: frozenset[str]) -> _Found | None:
    """Read the inbox and sort its files by whom their rows are about; None when it cannot be."""
    found = _Found()
    if not inbox_files(site.inbox):
        return found
    try:
        with scratch(site) as folder, duckdb.connect() as connection:
            mapping = load_mapping(site.mapping)
            taken = take_in(connection, site, mapping, folder, dry=True)
            install(connection, site_key(site.keys))
            for source in taken.mapping.sources:
                for name, mine, theirs in _persons(connection, source, withdrawn):
                    found.own |= {name} if mine else set()
                    found.others |= {name} if theirs else set()
    except (UserError, duckdb.Error):
        return None
    found.mixed = found.own & found.others
    found.own, found.others = found.own - found.mixed, found.others - found.mixed
    return found


def _persons(
    connection: duckdb.DuckDBPyConnection, source: Source, withdrawn: frozenset[str]
) -> Iterator[tuple[str, bool, bool]]:
    """Yield each file of a source: has it rows of those who withdrew, has it any other row."""
    parameters = Parameters()
    local = person_sql(source, parameters)
    known = f"{parameters.add(sorted(withdrawn))}::varchar[]"
    prefix = parameters.add(PREFIX)
    yield from connection.execute(
        "with told as (select source_file, "
        f"coalesce(list_contains({known}, pseudonym({prefix}, pseudonym('P', {local}))), false) "
        f"as mine from {qualified('source', source.source)}) "
        "select source_file, bool_or(mine), bool_or(not mine) from told group by all",
        parameters,
    ).fetchall()


def _remove_all(folder: Path) -> int:
    """Empty a folder; return how many files there were."""
    count = sum(1 for path in walk(folder)[0] if path.is_file()) if folder.is_dir() else 0
    for path in sorted(folder.iterdir()) if folder.is_dir() else ():
        remove(path)
    return count
