"""Immutable releases: staged, made durable, named by their content, published by one rename.

    releases/.staging/<run>/  tables and views are written and flushed to disk, then the manifest
    releases/<release>/       by one rename: a release is there whole or not at all
    CURRENT                   replaced at once, last: the release that everybody reads

A crash at any point leaves the last good release current; what it left in `.staging` is swept by
the next publication. One publisher at a time holds a lock that dies with its process. A release's
id is a digest of its files and of what they were made from, so that the same run published twice is
one release. Nobody changes a release: `verify` compares every byte with the manifest.
"""

import fcntl
import hashlib
import json
import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import duckdb
import pyarrow.parquet as pq

from transforms.codelists import load_codelists
from transforms.collect import load_batch
from transforms.dictionary import DICTIONARY
from transforms.dictionary.arrow import schema
from transforms.durable import fsync_file, fsync_folder, write_json, write_parquet, write_text
from transforms.errors import ReleaseError
from transforms.outcome import DONE
from transforms.site import Site, current_release
from transforms.sql import identifier


__all__ = ["MANIFEST", "current_rows", "publish", "releases", "verify"]

MANIFEST = "MANIFEST.json"
# What a release's id does not depend on: who accepted it, and after which release it came.
BESIDES = ("release", "decision", "validation_sha256", "parent", "sequence", "seal_sha256")
NEEDED = {"files", "sequence", "run_id", "seal_sha256"}


def publish(site: Site, run_id: str, decision: Mapping[str, Any], validation_sha256: str) -> str:
    """Publish a harmonized run and make it current; return the release id.

    `decision` (who accepted it, when, why) and the hash of the validation that it was taken on go
    into the manifest. Publishing a run that was published before makes that release current again.
    Raises ReleaseError when the run is not harmonized to its end, or the disk is full or read-only.
    """
    if not (site.work / run_id / DONE).is_file():
        raise ReleaseError(f"{site.id}: run {run_id} is not harmonized; run harmonize first")
    try:
        return _publish(site, run_id, decision, validation_sha256)
    except OSError as error:
        raise ReleaseError(
            f"{site.releases}: cannot be written ({error.strerror}); make room or mend the "
            "folder's permissions and publish again; the release before stays current"
        ) from None


def _publish(site: Site, run_id: str, decision: Mapping[str, Any], validation_sha256: str) -> str:
    """Stage, seal and rename under the publisher's lock; return the release id."""
    site.releases.mkdir(exist_ok=True)
    with _only_publisher(site):
        staging = _sweep(site) / run_id
        _stage_tables(site, run_id, staging)
        _stage_views(staging)
        manifest = _manifest(site, run_id, staging)
        release_id = manifest["release"]
        target = site.releases / release_id
        if target.exists():
            shutil.rmtree(staging)
            verify(site, release_id)
        else:
            manifest |= {"decision": dict(decision), "validation_sha256": validation_sha256}
            manifest |= _parent(site)
            manifest["seal_sha256"] = _seal_digest(manifest)
            _seal(staging, manifest)
            os.rename(staging, target)
            fsync_folder(site.releases)
        write_text(site.current, release_id)
    return str(release_id)


def verify(site: Site, release_id: str | None = None) -> Mapping[str, Any]:
    """Compare every file of a release with its manifest; return the manifest.

    Without `release_id` the current release is meant. Raises ReleaseError naming each file that is
    missing, changed or not in the manifest; a link is never a file of the release.
    """
    name = release_id or current_release(site)
    if name is None:
        raise ReleaseError(f"{site.id}: there is no release yet; run the site's pipeline first")
    folder = site.releases / name
    manifest = _read_manifest(site, folder)
    entries = [path for path in folder.rglob("*") if path.is_symlink() or not path.is_dir()]
    links = {path.relative_to(folder).as_posix() for path in entries if path.is_symlink()}
    found = {path.relative_to(folder).as_posix() for path in entries}
    known = (set(manifest["files"]) | {MANIFEST}) - links
    problems = [f"{folder / path}: is missing" for path in sorted(known - found)]
    problems += [f"{folder / path}: is not part of the release" for path in sorted(found - known)]
    problems += [
        f"{folder / path}: was changed after publication"
        for path in sorted(known & found - {MANIFEST})
        if _sha256(folder / path) != manifest["files"][path]["sha256"]
    ]
    if (_release_id(manifest), _seal_digest(manifest)) != (name, manifest["seal_sha256"]):
        problems.append(f"{folder / MANIFEST}: was changed after publication")
    if problems:
        remedy = "restore the release from the site's backup, or publish the run again"
        raise ReleaseError("\n".join([*problems, f"{site.id}, {name}: {remedy}"]))
    return manifest


def releases(site: Site) -> tuple[str, ...]:
    """Return the ids of all releases, in the order of publication."""
    folders = [path.parent for path in site.releases.glob(f"rel-*/{MANIFEST}")]
    ordered = sorted((_read_manifest(site, folder)["sequence"], folder.name) for folder in folders)
    return tuple(name for _, name in ordered)


def current_rows(site: Site) -> Mapping[str, int]:
    """Return how many rows each table of the current release has; empty before the first one."""
    current = current_release(site)
    if current is None:
        return {}
    files = _read_manifest(site, site.releases / current)["files"]
    return {name: files[f"tables/{name}.parquet"]["rows"] for name in DICTIONARY.tables
            if f"tables/{name}.parquet" in files}  # fmt: skip


@contextmanager
def _only_publisher(site: Site) -> Iterator[None]:
    """Wait until no other process publishes at this site; the lock ends with the process."""
    descriptor = os.open(site.releases / ".lock", os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def _sweep(site: Site) -> Path:
    """Remove what a crash left behind; return the empty staging folder."""
    staging = site.releases / ".staging"
    shutil.rmtree(staging, ignore_errors=True)
    for draft in site.folder.glob(f".{site.current.name}.*"):
        draft.unlink(missing_ok=True)
    staging.mkdir()
    return staging


def _stage_tables(site: Site, run_id: str, staging: Path) -> None:
    """Copy the run's tables."""
    (staging / "tables").mkdir(parents=True)
    for name in DICTIONARY.tables:
        file = f"tables/{name}.parquet"
        shutil.copyfile(site.work / run_id / file, staging / file)


def _stage_views(staging: Path) -> None:
    """Compute the analysis views from the staged tables, rows in a fixed order."""
    (staging / "views").mkdir()
    with duckdb.connect() as connection:
        load_codelists(connection)
        for name in DICTIONARY.tables:
            connection.read_parquet(str(staging / "tables" / f"{name}.parquet")).create_view(name)
        for name, view in DICTIONARY.views.items():
            columns = ", ".join(map(identifier, view.field_names))
            rows = connection.sql(f"select {columns} from ({view.sql}) order by all")
            table = rows.to_arrow_table().cast(schema(view))
            write_parquet(table, staging / "views" / f"{name}.parquet")


def _manifest(site: Site, run_id: str, staging: Path) -> dict[str, Any]:
    """Return the manifest as far as the release's id depends on it, and the id."""
    batch = load_batch(site, run_id)
    paths = sorted(path for path in staging.rglob("*.parquet"))
    manifest: dict[str, Any] = {
        "site": site.id,
        "run_id": run_id,
        "dictionary_version": batch.dictionary_version,
        "code_version": batch.code_version,
        "mapping_sha256": batch.mapping_sha256,
        "inputs_sha256": list(batch.files),
        "ingest_date": batch.ingest_date.isoformat(),
        "files": {path.relative_to(staging).as_posix(): _described(path) for path in paths},
    }
    return {**manifest, "release": _release_id(manifest)}


def _described(path: Path) -> dict[str, Any]:
    """Return what the manifest says of one Parquet file."""
    metadata = pq.read_metadata(path)
    arrow = metadata.schema.to_arrow_schema()
    return {
        "sha256": _sha256(path),
        "bytes": path.stat().st_size,
        "rows": metadata.num_rows,
        "schema_sha256": hashlib.sha256(arrow.serialize().to_pybytes()).hexdigest(),
    }


def _release_id(manifest: Mapping[str, Any]) -> str:
    """Return the id that follows from the content and from what it was made from."""
    content = {key: value for key, value in manifest.items() if key not in BESIDES}
    return f"rel-{_digest(content)[:12]}"


def _seal_digest(manifest: Mapping[str, Any]) -> str:
    """Return the digest of everything in a manifest but this digest: decision and parent too."""
    return _digest({key: value for key, value in manifest.items() if key != "seal_sha256"})


def _digest(content: Mapping[str, Any]) -> str:
    """Return the SHA-256 of plain data in canonical form."""
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def _parent(site: Site) -> dict[str, Any]:
    """Return which release came before: its id and manifest's hash, and the next number."""
    current = current_release(site)
    numbers = [_read_manifest(site, site.releases / name)["sequence"] for name in releases(site)]
    sequence = max(numbers, default=0) + 1
    if current is None:
        return {"parent": None, "sequence": sequence}
    digest = _sha256(site.releases / current / MANIFEST)
    return {"parent": {"release": current, "manifest_sha256": digest}, "sequence": sequence}


def _seal(staging: Path, manifest: Mapping[str, Any]) -> None:
    """Make every file read-only and durable, and the manifest last."""
    for path in manifest["files"]:
        (staging / path).chmod(0o444)
        fsync_file(staging / path)
    for folder in ("tables", "views"):
        fsync_folder(staging / folder)
    write_json(staging / MANIFEST, manifest)
    (staging / MANIFEST).chmod(0o444)


def _read_manifest(site: Site, folder: Path) -> dict[str, Any]:
    """Read a release's manifest; raise ReleaseError when it is not there or not one."""
    path = folder / MANIFEST
    if not path.is_file():
        raise ReleaseError(
            f"{site.id}: there is no release {folder.name}; see `marmor site releases {site.id}`"
        )
    try:
        manifest = json.loads(path.read_text(encoding="utf-8"))
    except ValueError:
        manifest = None
    if not isinstance(manifest, dict) or not set(manifest) >= NEEDED:
        raise ReleaseError(
            f"{path}: was changed after publication; restore it from the site's backup"
        )
    return manifest


def _sha256(path: Path) -> str:
    """Return the digest of a file's bytes."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
