"""A release's manifest: what it says, and the digests that bind it to the release's name.

Needs neither DuckDB nor Arrow, so that a process that holds keys may ask it too.
"""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from transforms.errors import ReleaseError


__all__ = ["MANIFEST", "digest", "read_manifest", "release_name", "seal_digest", "sealed_manifest"]

MANIFEST = "MANIFEST.json"
# What a release's name does not depend on: who accepted it and when, after which release it came.
BESIDES = (
    "release", "decision", "validation_sha256", "parent", "sequence", "published", "hold",
    "mapping_version", "seal_sha256",
)  # fmt: skip
NEEDED = {"files", "sequence", "run_id", "seal_sha256"}


def read_manifest(folder: Path) -> dict[str, Any]:
    """Read the manifest in a release's folder; ReleaseError when it is not there or not one."""
    path = folder / MANIFEST
    if not path.is_file():
        raise ReleaseError(
            f"{folder.parent.parent.name}: there is no release {folder.name}; see "
            f"`marmor site releases`"
        )
    try:
        manifest = json.loads(path.read_text(encoding="utf-8"))
    except ValueError:
        manifest = None
    if not isinstance(manifest, dict) or not set(manifest) >= NEEDED:
        raise _changed(path)
    return manifest


def sealed_manifest(folder: Path) -> dict[str, Any]:
    """Read a manifest and compare it with its own seal and name; ReleaseError when they differ."""
    manifest = read_manifest(folder)
    found = (release_name(manifest), seal_digest(manifest))
    if found != (folder.name, manifest["seal_sha256"]):
        raise _changed(folder / MANIFEST)
    return manifest


def release_name(manifest: Mapping[str, Any]) -> str:
    """Return the id that follows from the content and from what it was made from."""
    content = {key: value for key, value in manifest.items() if key not in BESIDES}
    return f"rel-{digest(content)[:12]}"


def seal_digest(manifest: Mapping[str, Any]) -> str:
    """Return the digest of everything in a manifest but this digest: decision and parent too."""
    return digest({key: value for key, value in manifest.items() if key != "seal_sha256"})


def digest(content: Mapping[str, Any]) -> str:
    """Return the SHA-256 of plain data in canonical form."""
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def _changed(path: Path) -> ReleaseError:
    """Say that a manifest is not what was published."""
    return ReleaseError(f"{path}: was changed after publication; restore it from the site's backup")
