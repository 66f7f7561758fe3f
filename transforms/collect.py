"""What lies in the inbox: one fingerprint over files, mapping, dictionary and code is one run.

The same inputs give the same run id, so that a run can be repeated, resumed or found to be done.
File names may hold a patient's name: they enter the fingerprint and are written nowhere.
"""

import datetime
import functools
import hashlib
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any

from transforms.dictionary import DICTIONARY
from transforms.durable import write_json
from transforms.errors import SourceError
from transforms.fingerprints import fingerprints
from transforms.inbox import inbox_files
from transforms.mapping_check import load_mapping
from transforms.site import Site, current_release
from transforms.tombstones import withdrawn_digest


__all__ = ["Batch", "code_version", "collect", "empty_inbox", "inbox_files", "inputs", "load_batch"]


@dataclass(frozen=True)
class Batch:
    """One run's inputs: their fingerprint and the day after which nothing can have happened.

    `files` are SHA-256 digests in order, `withdrawn_sha256` is the digest of all tombstones. `new`
    is False when the current release came from this very run.
    """

    run_id: str
    files: tuple[str, ...]
    mapping_sha256: str
    dictionary_version: str
    code_version: str
    withdrawn_sha256: str
    ingest_date: datetime.date
    new: bool


def collect(site: Site, today: datetime.date | None = None) -> Batch:
    """Fingerprint the inbox and write `work/<run id>/batch.json`.

    `today` becomes the ingest date of a run that is seen for the first time; a run that is seen
    again keeps its day, so that it gives the same bytes. Raises SourceError when the inbox holds no
    file, MappingError with all problems of the mapping.
    """
    known = inputs(site)
    run_id = f"run-{_digest(known)[:12]}"
    folder = site.work / run_id
    path = folder / "batch.json"
    if not path.is_file():
        folder.mkdir(parents=True, exist_ok=True)
        day = today or datetime.datetime.now(datetime.UTC).date()
        write_json(path, {**known, "run_id": run_id, "ingest_date": day.isoformat()})
    return load_batch(site, run_id)


def load_batch(site: Site, run_id: str) -> Batch:
    """Read what `collect` wrote; raise SourceError when this run was never collected."""
    path = site.work / run_id / "batch.json"
    if not path.is_file():
        raise SourceError(f"{run_id}: there is no such run at site {site.id}; run collect first")
    data = json.loads(path.read_text(encoding="utf-8"))
    return Batch(
        run_id=run_id,
        files=tuple(content for _, content in data["files"]),
        mapping_sha256=data["mapping_sha256"],
        dictionary_version=data["dictionary_version"],
        code_version=data["code_version"],
        withdrawn_sha256=data.get("withdrawn_sha256", ""),
        ingest_date=datetime.date.fromisoformat(data["ingest_date"]),
        new=_released_run(site) != run_id,
    )


def inputs(site: Site) -> dict[str, Any]:
    """Return everything that a run depends on, as plain data without any file name."""
    files = fingerprints(site.inbox, site.work)
    if not files:
        raise SourceError(empty_inbox(site.inbox))
    return {
        "files": files,
        "mapping_sha256": load_mapping(site.mapping).digest,
        "dictionary_version": DICTIONARY.version,
        "code_version": code_version(),
        "withdrawn_sha256": withdrawn_digest(site),
    }


def empty_inbox(inbox: Path) -> str:
    """Say why no file was found: the folder is not there, may not be read, or is empty."""
    if not inbox.is_dir():
        return f"{inbox}: there is no such folder; make it and put the centre's exports into it"
    if not os.access(inbox, os.R_OK | os.X_OK):
        return f"{inbox}: may not be read by this user; check the folder's permissions"
    return f"{inbox}: no file there; put the centre's exports into it"


@functools.cache
def code_version() -> str:
    """Return the package's version and a digest of the code and dictionary that harmonize.

    >>> code_version().startswith(metadata.version("marmor"))
    True
    """
    folder = Path(__file__).parent
    parts = sorted(
        (path.relative_to(folder).as_posix(), path.read_bytes())
        for pattern in ("**/*.py", "**/*.toml", "**/*.sql")
        for path in folder.glob(pattern)
    )
    digest = hashlib.sha256()
    for name, content in parts:
        digest.update(f"{name}\0{len(content)}\0".encode())
        digest.update(content)
    return f"{metadata.version('marmor')}+{digest.hexdigest()[:12]}"


def _released_run(site: Site) -> str | None:
    """Return the run that the current release came from; None before the first release."""
    release = current_release(site)
    if release is None:
        return None
    manifest = site.releases / release / "MANIFEST.json"
    if not manifest.is_file():
        return None
    run: str = json.loads(manifest.read_text(encoding="utf-8"))["run_id"]
    return run


def _digest(data: Mapping[str, Any]) -> str:
    """Return the SHA-256 of plain data in canonical form."""
    return hashlib.sha256(json.dumps(data, sort_keys=True).encode()).hexdigest()
