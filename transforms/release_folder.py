"""The folder `releases/`: one publisher at a time, on a local disk, nothing half-made left in it.

releases/.lock        held while something is published or taken away; it ends with its process
releases/.staging/    what is being made; swept before and after
releases/.gone-<id>/  what is being taken away: renamed first, so that it is gone at once
"""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from transforms.durable import fsync_folder, private_folder, remove
from transforms.errors import ReleaseError
from transforms.site import Site, current_release


__all__ = ["discard", "publishing"]

# Where a rename or a lock is known or suspected not to be what it is on a local disk.
REMOTE = {"nfs", "nfs4", "cifs", "smb3", "smbfs", "afs", "ceph", "fuse.sshfs", "fuse.s3fs"}


@contextmanager
def publishing(site: Site) -> Iterator[Path]:
    """Be the only publisher of a site; give the empty folder in which to stage a release.

    What a crash left behind is swept before. Raises ReleaseError instead of any OSError.
    """
    try:
        private_folder(site.releases)
        site.releases.chmod(0o700)
        with _only_publisher(site):
            staging = _sweep(site)
            try:
                _refuse_remote(site)
                yield staging
            finally:
                with suppress(OSError):
                    remove(staging)
    except OSError as error:
        raise ReleaseError(
            f"{error.filename or site.releases}: cannot be written ({error.strerror}); make room "
            f"or mend the folder's permissions and try again; {_still(site)}"
        ) from None


def discard(site: Site, name: str) -> None:
    """Take a release away: it is gone at once, its bytes a moment later.

    To be called within `publishing`. The current release is never taken away.
    """
    if name == current_release(site):
        raise ReleaseError(f"{site.id}: {name} is the current release and stays")
    gone = site.releases / f".gone-{name}"
    remove(gone)
    os.rename(site.releases / name, gone)
    fsync_folder(site.releases)
    remove(gone)
    fsync_folder(site.releases)


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
    """Remove what a crash left behind; return a new empty folder to stage in."""
    staging = site.releases / ".staging"
    remove(staging)
    for gone in site.releases.glob(".gone-*"):
        remove(gone)
    for draft in site.folder.glob(f".{site.current.name}.*"):
        draft.unlink(missing_ok=True)
    draft = staging / "release"
    staging.mkdir(mode=0o700)
    draft.mkdir(mode=0o700)
    return draft


def _refuse_remote(site: Site) -> None:
    """Raise ReleaseError where a rename might not be at once, or a lock not seen by others."""
    kind = _file_system(site.releases)
    if kind in REMOTE:
        raise ReleaseError(
            f"{site.releases}: is on {kind}, where renames and locks were never tested; put the "
            "site's folder on a local disk, and copy releases from there"
        )


def _file_system(path: Path) -> str:
    """Return the kind of file system that `path` is on, as the kernel calls it."""
    mounts = Path("/proc/self/mountinfo")
    if not mounts.is_file():
        return "unknown"
    found = ("", "unknown")
    for line in mounts.read_text(encoding="utf-8", errors="replace").splitlines():
        fields = line.split()
        place, kind = fields[4].replace("\\040", " "), fields[fields.index("-") + 1]
        if path.resolve().is_relative_to(place) and len(place) >= len(found[0]):
            found = (place, kind)
    return found[1]


def _still(site: Site) -> str:
    """Say which release is in force after a failure."""
    return "the release before stays current" if site.current.exists() else "there is none yet"
