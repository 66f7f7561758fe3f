"""Takes a patient out of a site for good: a new release without them, everything older purged.

    tombstone → release without the patient → CURRENT → older releases, inbox, work, quarantine,
    reports, reviews → search for what is left → tombstone completed, audit

The tombstone comes first and is never removed: from then on no run can publish the patient, even
when all the rest is interrupted. Every later step can be repeated; a second `withdraw`, or the
start of the next run (`resume`), completes what a crash left. It is known from tombstones alone
whom to take out, so nothing else has to be remembered.

What was already summed into published aggregates stays: it cannot be unpicked. What the consortium
may be told next is restricted by `transforms.hold`.
"""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from transforms import audit
from transforms.aggregate import aggregate
from transforms.dictionary import DICTIONARY, Table
from transforms.dictionary.arrow import distinct_columns, schema
from transforms.durable import remove
from transforms.errors import ReleaseError
from transforms.hold import next_quarter
from transforms.landing import holding, purge
from transforms.lock import alone
from transforms.manifest import read_manifest
from transforms.parquet import write_parquet
from transforms.pseudonyms import pseudonym, site_key
from transforms.release import install, releases, stage, verify
from transforms.release_folder import discard, publishing
from transforms.site import Site, current_release
from transforms.tombstones import (
    PREFIX,
    is_withdrawn,
    pending,
    record,
    tombstone,
    tombstones,
    withdrawn_digest,
)
from transforms.traces import traces


__all__ = ["Withdrawal", "resume", "tombstones", "withdraw"]

# Below `work/`: what a running node needs. It holds no row.
NODE = ("node.", "flower")
SHORTEST = 5  # characters of a local id that can be searched for; `12` stands everywhere


@dataclass(frozen=True)
class Withdrawal:
    """What a withdrawal came to.

    `release` is current afterwards, None when there was none. `purged` counts files and folders
    taken away, by kind. `inbox_emptied` tells that the whole inbox went, because the patient's rows
    stood among others'. `left` are files, relative to the site's folder, that still hold the id.
    `again` tells that the patient had withdrawn before and nothing was left to do.
    """

    release: str | None
    purged: Mapping[str, int]
    inbox_emptied: bool = False
    left: tuple[Path, ...] = ()
    again: bool = False


def withdraw(
    site: Site,
    local_id: str,
    *,
    by: str,
    ahead: bool = False,
    on_wait: Callable[[], None] = lambda: None,
) -> Withdrawal:
    """Withdraw the patient that the centre knows as `local_id`.

    `on_wait` is called when a step of a run has to end first. With `ahead` a patient whom nothing
    here knows gets a tombstone, so that they never come in. Raises ReleaseError when nobody of that
    id is known, or something cannot be taken away: then the next call, or run, goes on with it.
    """
    person = pseudonym(site_key(site.keys), "P", local_id)
    name = tombstone(site, person)
    with alone(site, on_wait=on_wait), _told(site):
        withdrawn, known = name in tombstones(site), _is_known(site, name)
        unfinished = bool(pending(site)) or _in_releases(site)
        if withdrawn and not known and not unfinished:
            return Withdrawal(current_release(site), {}, again=True)
        if not (known or withdrawn or ahead):
            raise ReleaseError(
                f"{site.id}: no release, run or file in the inbox holds this patient; check the "
                "number as the id column has it, or use --ahead to keep the patient out in future"
            )
        if known or unfinished:
            record(site, name, "begun")
            return _complete(site, local_id, by)
        record(site, name, "ahead")
        audit.note(site, "withdrawn ahead", {"by": by})
        return Withdrawal(current_release(site), {})


def resume(site: Site) -> bool:
    """Complete a withdrawal that was interrupted, or undone by a backup; return whether one was.

    To be called before a run. Without the patient's id at hand the whole inbox is purged. Raises
    ReleaseError like `withdraw`.
    """
    if not pending(site) and not _in_releases(site):
        return False
    with alone(site, on_wait=lambda: None), _told(site):
        _complete(site, None, "resumed")
    return True


@contextmanager
def _told(site: Site) -> Iterator[None]:
    """Say of an error of the file system that the withdrawal is not complete."""
    try:
        yield
    except OSError as error:
        raise ReleaseError(
            f"{error.filename or site.folder}: cannot be written or removed ({error.strerror}); "
            "mend that and withdraw again: the withdrawal is not complete"
        ) from None


def _complete(site: Site, local_id: str | None, by: str) -> Withdrawal:
    """Do everything after the tombstone; each step finds done what was done before."""
    release = _republish(site, by)
    purged = Counter[str]()
    with publishing(site):  # sweeps what a publisher left
        for name in releases(site):
            if name != release and _is_older(site, name):
                discard(site, name)
                purged["releases"] += 1
    landing = purge(site, tombstones(site), local_id)
    purged["inbox files"] += landing.files
    purged["work"] += _empty(site.work, keep=NODE)
    for kind, folder in (
        ("quarantine", site.quarantine),
        ("reports", site.reports),
        ("reviews", site.review),
        ("scans", site.scan),
    ):
        purged[kind] += _empty(folder)
    if release is not None:
        aggregate(site, release)
    left = _left(site, local_id)
    done = Withdrawal(release, dict(purged), landing.emptied, left)
    body = {"release": release, "purged": dict(purged), "by": by}
    audit.note(site, "withdrawn", body)
    for name in sorted(pending(site)):
        record(site, name, "completed")
    return done


def _is_older(site: Site, name: str) -> bool:
    """Return whether a release was made before the last withdrawal: tombstones only get more."""
    made_with = read_manifest(site.releases / name).get("withdrawn_sha256")
    return bool(made_with != withdrawn_digest(site))


def _is_known(site: Site, name: str) -> bool:
    """Return whether a release, a run or the inbox holds the person of this tombstone."""
    tables = [*site.releases.glob("rel-*/tables/person.parquet")]
    tables += site.work.glob("run-*/tables/person.parquet")
    key = site_key(site.keys)
    for path in tables:
        if any(pseudonym(key, PREFIX, person) == name for person in _persons(path)):
            return True
    return holding(site, frozenset((name,)))


def _in_releases(site: Site) -> bool:
    """Return whether any release holds a person who withdrew."""
    if not tombstones(site):
        return False
    tables = site.releases.glob("rel-*/tables/person.parquet")
    return any(is_withdrawn(site, _persons(path)) for path in tables)


def _persons(path: Path) -> list[str]:
    """Return the pseudonyms of a table of persons."""
    column = pq.read_table(path, columns=["person_id"]).column("person_id")
    return [person for person in column.to_pylist() if person is not None]


def _republish(site: Site, by: str) -> str | None:
    """Publish the current release without those who withdrew; return what is current then."""
    current = current_release(site)
    if current is None:
        return None
    folder = site.releases / current
    manifest = verify(site, current)
    gone = _gone(site, folder)
    if not gone:
        return current
    now = datetime.now(UTC)
    digest = withdrawn_digest(site)
    with publishing(site) as staging:
        stage(staging, lambda name, path: _without(folder, DICTIONARY.tables[name], gone, path))
        made_from = {
            "site": site.id,
            "run_id": f"withdrawal-{digest[:12]}",
            "dictionary_version": DICTIONARY.version,
            "code_version": manifest["code_version"],
            "mapping_sha256": manifest["mapping_sha256"],
            "inputs_sha256": manifest["inputs_sha256"],
            "withdrawn_sha256": digest,
            "ingest_date": manifest["ingest_date"],
        }
        beside = {
            "decision": {
                "outcome": "withdrawal",
                "who": by,
                "when": now.isoformat(timespec="seconds"),
                "why": "a patient withdrew; made from the release before",
            },
            "validation_sha256": None,
            "hold": {"base": None, "until": next_quarter(now.date()).isoformat()},
        }
        return install(site, staging, made_from, beside)


def _gone(site: Site, release: Path) -> frozenset[str]:
    """Return the pseudonyms in a release that have a tombstone."""
    key, known = site_key(site.keys), tombstones(site)
    persons = {
        person
        for name in DICTIONARY.tables
        if (path := release / "tables" / f"{name}.parquet").is_file()
        for person in pc.unique(pq.read_table(path, columns=["person_id"])[0]).to_pylist()
        if person is not None
    }
    return frozenset(one for one in persons if pseudonym(key, PREFIX, one) in known)


def _without(release: Path, table: Table, gone: frozenset[str], path: Path) -> None:
    """Write a table of a release without some persons, and without what names them elsewhere.

    Columns that the dictionary got since that release are empty; a table that it got has no rows.
    """
    wanted = schema(table)
    source = release / "tables" / f"{table.name}.parquet"
    rows = pq.read_table(source) if source.is_file() else wanted.empty_table()
    persons = pa.array(sorted(gone), pa.string())
    rows = rows.filter(pc.invert(pc.is_in(rows["person_id"], value_set=persons)))
    columns = [
        _cleared(rows[item.name], persons) if item.name in rows.column_names
        else pa.nulls(rows.num_rows, item.type)
        for item in wanted
    ]  # fmt: skip
    kept = pa.table(columns, names=wanted.names).cast(wanted)
    write_parquet(kept, path, distinct_columns(table))


def _cleared(column: pa.ChunkedArray, persons: pa.Array) -> pa.ChunkedArray:
    """Empty the cells of a text column that are one of the pseudonyms: a reference to a person."""
    if not pa.types.is_string(column.type):
        return column
    named = pc.is_in(column, value_set=persons)
    return pc.if_else(named, pa.scalar(None, column.type), column)


def _empty(folder: Path, keep: tuple[str, ...] = ()) -> int:
    """Take away all that a folder holds but names that begin with one of `keep`; count it."""
    if not folder.is_dir():
        return 0
    found = [path for path in sorted(folder.iterdir()) if not path.name.startswith(keep or "\0")]
    for path in found:
        remove(path)
    return len(found)


def _left(site: Site, local_id: str | None) -> tuple[Path, ...]:
    """Return the files of the site that still hold the patient's number or pseudonym."""
    if local_id is None:
        return ()
    texts = [pseudonym(site_key(site.keys), "P", local_id)]
    if len(local_id.strip()) >= SHORTEST:
        texts.append(local_id.strip())
    return tuple(path.relative_to(site.folder) for path in traces(site.folder, texts))
