"""How a process is known again: by its number and the moment it started."""

from contextlib import suppress
from pathlib import Path


__all__ = ["started_at"]


def started_at(pid: int) -> str | None:
    """Return the start time of process `pid` in clock ticks since boot; None when it has ended.

    With the number it identifies a process for good: numbers are given again, pairs are not.
    """
    with suppress(OSError):
        fields = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
        return None if fields[0] == "Z" else fields[19]
    return None
