"""What lies in an inbox: all that is not hidden, and the folders that cannot be looked into.

The inbox belongs to whoever puts files there: a folder may be closed to this user, or lie deeper
than the system can name. Such a folder is told of and the rest is read.
"""

import os
from pathlib import Path


__all__ = ["DEEPEST", "closed_folders", "entries", "inbox_files", "walk"]

DEEPEST = 32  # folders within folders; nobody sorts exports so
LONGEST = 3_800  # bytes of a folder's path; with a name of 255 it stays below the system's 4,096


def entries(inbox: Path) -> tuple[Path, ...]:
    """Return all files and folders that are not hidden and no lock of Excel, sorted.

    What a link leads to is not looked into.
    """
    found, _ = walk(inbox)
    return tuple(sorted(path for path in found if not path.name.startswith((".", "~$"))))


def closed_folders(inbox: Path) -> frozenset[Path]:
    """Return the folders below `inbox` that cannot be looked into."""
    return frozenset(walk(inbox)[1])


def inbox_files(inbox: Path) -> tuple[Path, ...]:
    """Return every file of the inbox that a reader may see: not hidden, no lock of Excel, no link.

    What a link leads to may not be the centre's to give; readers refuse it by its name.
    """
    return tuple(path for path in entries(inbox) if path.is_file() and not path.is_symlink())


def walk(inbox: Path) -> tuple[list[Path], list[Path]]:
    """Return all entries, also hidden ones, and the folders which cannot be looked into."""
    found: list[Path] = []
    closed: list[Path] = []
    waiting = [(inbox, 0)]
    while waiting:
        folder, depth = waiting.pop()
        inner = _listed(folder) if depth <= DEEPEST and _is_nameable(folder) else None
        if inner is None:
            closed.append(folder)
            continue
        found += [folder / entry.name for entry in inner]
        folders = (entry for entry in inner if entry.is_dir(follow_symlinks=False))
        waiting += [(folder / entry.name, depth + 1) for entry in folders]
    return found, [folder for folder in closed if folder != inbox]


def _is_nameable(folder: Path) -> bool:
    return len(os.fsencode(folder)) <= LONGEST


def _listed(folder: Path) -> list[os.DirEntry[str]] | None:
    """Return what a folder holds; None when it cannot be listed."""
    try:
        with os.scandir(folder) as found:
            return list(found)
    except OSError:
        return None
