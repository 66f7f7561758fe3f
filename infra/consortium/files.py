"""Writing keys, and files that others may read, each complete or not at all."""

import os
from pathlib import Path


__all__ = ["write_public", "write_secret"]


def write_secret(path: Path, content: bytes) -> None:
    """Write `content` to `path`, mode 0400, in a folder of mode 0700; replaces an older file."""
    _write(path, content, 0o400, 0o700)


def write_public(path: Path, content: bytes) -> None:
    """Write `content` to `path`, mode 0644; replaces an older file."""
    _write(path, content, 0o644, 0o755)


def _write(path: Path, content: bytes, mode: int, folder_mode: int) -> None:
    path.parent.mkdir(parents=True, exist_ok=True, mode=folder_mode)
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    temporary.unlink(missing_ok=True)
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(path)
