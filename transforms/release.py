"""Immutable releases: staged, made durable, named by their content, published by one rename.

    releases/.staging/        tables and views are written and flushed to disk, then the manifest
    releases/<release>/       by one rename: a release is there whole or not at all
    CURRENT                   replaced at once, last: the release that everybody reads

A crash at any point leaves the last good release current; what it left in `.staging` is swept by
the next publication. One publisher at a time holds a lock that dies with its process. A release's
id is a digest of its files and of what they were made from, so that the same run published twice is
one release. Nobody changes a release: `verify` compares every byte with the manifest. Folders can
be entered by the site's own user alone, files are read-only.
"""

import hashlib
import os
import shutil
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import duckdb
import pyarrow.parquet as pq

from transforms import audit
from transforms.changed import least_changed
from transforms.codelists import load_codelists
from transforms.collect import Batch, load_batch
from transforms.dictionary import DICTIONARY
from transforms.dictionary.arrow import schema
from transforms.durable import (
    fsync_file,
    fsync_folder,
    remove,
    write_json,
    write_text,
)
from transforms.errors import ReleaseError
from transforms.hold import LEAST_CHANGED, Hold, is_held
from transforms.manifest import (
    MANIFEST,
    read_manifest,
    release_name,
    seal_digest,
    sealed_manifest,
)
from transforms.outcome import DONE
from transforms.parquet import write_parquet
from transforms.release_folder import publishing
from transforms.site import Site, current_release
from transforms.sql import identifier
from transforms.tombstones import withdrawn_digest


__all__ = [
    "MANIFEST",
    "current_rows",
    "install",
    "mapping_version",
    "publish",
    "releases",
    "stage",
    "verify",
]

FillTable = Callable[[str, Path], None]
"""Writes the table of that name to that file."""


def publish(site: Site, run_id: str, decision: Mapping[str, Any], validation_sha256: str) -> str:
    """Publish a harmonized run and make it current; return the release id.

    `decision` (who accepted it, when, why) and the hash of the validation that it was taken on go
    into the manifest. Publishing a run that was published before makes that release current again.
    Raises ReleaseError when the run is not harmonized to its end, when a patient withdrew since it
    was collected, or when the disk is full, read-only or not a local one.
    """
    if not (site.work / run_id / DONE).is_file():
        raise ReleaseError(f"{site.id}: run {run_id} is not harmonized; run harmonize first")
    with publishing(site) as staging:
        batch = load_batch(site, run_id)
        if batch.withdrawn_sha256 != withdrawn_digest(site):
            raise ReleaseError(
                f"{site.id}: a patient withdrew since run {run_id} was collected; run collect "
                "again, the new run leaves that patient out"
            )
        tables = site.work / run_id / "tables"
        stage(staging, lambda name, path: _copy(tables / f"{name}.parquet", path))
        beside = {
            "decision": dict(decision),
            "validation_sha256": validation_sha256,
            "hold": _carried(site, staging),
        }
        return install(site, staging, _made_from(site, batch), beside)


def stage(staging: Path, fill: FillTable) -> None:
    """Write all tables with `fill` and compute the analysis views from them."""
    for part in ("tables", "views"):
        (staging / part).mkdir(mode=0o700)
    for name in DICTIONARY.tables:
        fill(name, staging / "tables" / f"{name}.parquet")
    _stage_views(staging)


def install(
    site: Site, staging: Path, made_from: Mapping[str, Any], beside: Mapping[str, Any]
) -> str:
    """Seal what is staged, put it among the releases and make it current; return its id.

    `made_from` decides, with the content, on the id; `beside` (decision, validation_sha256, hold)
    does not. A release of that id that is there already is verified and kept.
    """
    manifest = {**made_from, "files": _described(staging)}
    name = release_name(manifest)
    target = site.releases / name
    if target.exists():
        verify(site, name)
        remove(staging)
    else:
        version = mapping_version(site, manifest["mapping_sha256"])
        manifest |= {"release": name, "mapping_version": version, **beside, **_parent(site)}
        manifest["published"] = datetime.now(UTC).isoformat(timespec="seconds")
        manifest["seal_sha256"] = seal_digest(manifest)
        _seal(staging, manifest)
        os.rename(staging, target)
        fsync_folder(site.releases)
    if current_release(site) != name:
        # Noted before it is current: nothing is ever read that stands in no audit.
        made = {"run": manifest["run_id"], "mapping_sha256": manifest["mapping_sha256"]}
        audit.note(site, "published", {"release": name, **made} | _by(beside))
        write_text(site.current, name)
    return name


def mapping_version(site: Site, mapping_sha256: str) -> int:
    """Return the number of a mapping: 1 for the first that was ever published, and so on.

    A mapping that was published before has its number again. Numbers follow from the site's audit,
    which outlives releases.
    """
    told = (entry["body"].get("mapping_sha256") for entry in audit.entries(site))
    known = list(dict.fromkeys(digest for digest in told if digest))
    return known.index(mapping_sha256) + 1 if mapping_sha256 in known else len(known) + 1


def verify(site: Site, release_id: str | None = None) -> Mapping[str, Any]:
    """Compare every file of a release with its manifest; return the manifest.

    Without `release_id` the current release is meant. Raises ReleaseError naming each file that is
    missing, changed or not in the manifest; a link is never a file of the release.
    """
    name = release_id or current_release(site)
    if name is None:
        raise ReleaseError(f"{site.id}: there is no release yet; run the site's pipeline first")
    folder = site.releases / name
    manifest = read_manifest(folder)
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
    if (release_name(manifest), seal_digest(manifest)) != (name, manifest["seal_sha256"]):
        problems.append(f"{folder / MANIFEST}: was changed after publication")
    if problems:
        remedy = "restore the release from the site's backup, or publish the run again"
        raise ReleaseError("\n".join([*problems, f"{site.id}, {name}: {remedy}"]))
    return manifest


def releases(site: Site) -> tuple[str, ...]:
    """Return the ids of all releases, in the order of publication."""
    folders = [path.parent for path in site.releases.glob(f"rel-*/{MANIFEST}")]
    ordered = sorted((read_manifest(folder)["sequence"], folder.name) for folder in folders)
    return tuple(name for _, name in ordered)


def current_rows(site: Site) -> Mapping[str, int]:
    """Return how many rows each table of the current release has; empty before the first one."""
    current = current_release(site)
    if current is None:
        return {}
    files = sealed_manifest(site.releases / current)["files"]
    return {name: files[f"tables/{name}.parquet"]["rows"] for name in DICTIONARY.tables
            if f"tables/{name}.parquet" in files}  # fmt: skip


def _copy(source: Path, target: Path) -> None:
    """Copy a table's bytes; OSError names the file that could not be written."""
    try:
        shutil.copyfile(source, target)
    except OSError as error:
        raise OSError(error.errno, error.strerror, str(target)) from None


def _stage_views(staging: Path) -> None:
    """Compute the analysis views from the staged tables, rows in a fixed order."""
    with duckdb.connect() as connection:
        load_codelists(connection)
        for name in DICTIONARY.tables:
            connection.read_parquet(str(staging / "tables" / f"{name}.parquet")).create_view(name)
        for name, view in DICTIONARY.views.items():
            columns = ", ".join(map(identifier, view.field_names))
            rows = connection.sql(f"select {columns} from ({view.sql}) order by all")
            table = rows.to_arrow_table().cast(schema(view))
            write_parquet(table, staging / "views" / f"{name}.parquet")


def _made_from(site: Site, batch: Batch) -> dict[str, Any]:
    """Return what a release of this run says about its making, as far as its id depends on it."""
    return {
        "site": site.id,
        "run_id": batch.run_id,
        "dictionary_version": batch.dictionary_version,
        "code_version": batch.code_version,
        "mapping_sha256": batch.mapping_sha256,
        "inputs_sha256": list(batch.files),
        "withdrawn_sha256": batch.withdrawn_sha256,
        "ingest_date": batch.ingest_date.isoformat(),
    }


def _described(staging: Path) -> dict[str, Any]:
    """Return what the manifest says of each Parquet file."""
    return {
        path.relative_to(staging).as_posix(): _description(path)
        for path in sorted(staging.rglob("*.parquet"))
    }


def _description(path: Path) -> dict[str, Any]:
    """Return what the manifest says of one Parquet file."""
    metadata = pq.read_metadata(path)
    arrow = metadata.schema.to_arrow_schema()
    return {
        "sha256": _sha256(path),
        "bytes": path.stat().st_size,
        "rows": metadata.num_rows,
        "schema_sha256": hashlib.sha256(arrow.serialize().to_pybytes()).hexdigest(),
    }


def _parent(site: Site) -> dict[str, Any]:
    """Return which release came before: its id and manifest's hash, and the next number."""
    current = current_release(site)
    numbers = [read_manifest(site.releases / name)["sequence"] for name in releases(site)]
    sequence = max(numbers, default=0) + 1
    if current is None:
        return {"parent": None, "sequence": sequence}
    digest = _sha256(site.releases / current / MANIFEST)
    return {"parent": {"release": current, "manifest_sha256": digest}, "sequence": sequence}


def _carried(site: Site, staging: Path) -> Hold | None:
    """Return the pause after a withdrawal that what is staged inherits; None when it is over."""
    current = current_release(site)
    hold: Hold | None = read_manifest(site.releases / current).get("hold") if current else None
    if hold is None or not is_held(hold, datetime.now(UTC).date()):
        return None
    hold = {**hold, "base": hold["base"] or current}
    over = least_changed(site.releases / hold["base"], staging) >= LEAST_CHANGED
    return None if over else hold


def _by(beside: Mapping[str, Any]) -> dict[str, Any]:
    """Return who accepted a release, as far as somebody did."""
    who = beside.get("decision", {}).get("who")
    return {"by": who} if who else {}


def _seal(staging: Path, manifest: Mapping[str, Any]) -> None:
    """Make every file read-only and durable, and the manifest last."""
    for path in manifest["files"]:
        (staging / path).chmod(0o444)
        fsync_file(staging / path)
    for folder in ("tables", "views"):
        fsync_folder(staging / folder)
    write_json(staging / MANIFEST, manifest)
    (staging / MANIFEST).chmod(0o444)


def _sha256(path: Path) -> str:
    """Return the digest of a file's bytes."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
