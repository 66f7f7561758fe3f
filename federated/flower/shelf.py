"""Where the gateway keeps results: one folder per analyst, one file per question."""

import os
from datetime import UTC, datetime
from pathlib import Path

from federated.request import Request


__all__ = ["Shelf"]


class Shelf:
    """Results by analyst and request digest; an analyst sees only their own."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def put(self, analyst: str, request: Request, content: bytes) -> None:
        """Keep a result; the same question on newer releases replaces the older answer."""
        folder = self._folder / analyst
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / f"{request.digest}.{request.analysis}.json"
        temporary = path.with_name(f".{path.name}.{os.urandom(4).hex()}")
        temporary.write_bytes(content)
        temporary.replace(path)

    def list(self, analyst: str) -> list[dict[str, str]]:
        """Return digest, analysis and time of each result, newest first."""
        files = (self._folder / analyst).glob("[0-9a-f]*.json")
        dated = sorted(((path.stat().st_mtime, path) for path in files), reverse=True)
        return [
            {
                "digest": path.name.split(".")[0],
                "analysis": path.name.split(".")[1],
                "answered_at": datetime.fromtimestamp(time, UTC).isoformat(timespec="seconds"),
            }
            for time, path in dated
        ]

    def get(self, analyst: str, digest: str) -> bytes | None:
        """Return the only result whose digest starts so; None when there is none, or several."""
        found = list((self._folder / analyst).glob(f"{digest}*.json"))
        return found[0].read_bytes() if len(found) == 1 else None
