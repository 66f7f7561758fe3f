"""Where the gateway keeps results: one folder per analyst, each file named by its own SHA-256."""

import os
from datetime import UTC, datetime
from pathlib import Path

from federated.results import Result


__all__ = ["Shelf"]


class Shelf:
    """Results by analyst and digest; an analyst sees only their own, and nothing is replaced."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def put(self, analyst: str, result: Result) -> bytes:
        """Keep a result and return its bytes."""
        folder = self._folder / analyst
        folder.mkdir(parents=True, exist_ok=True)
        content = result.to_json()
        path = folder / f"{result.digest}.json"
        temporary = path.with_name(f".{path.name}.{os.urandom(4).hex()}")
        temporary.write_bytes(content)
        temporary.replace(path)
        return content

    def list(self, analyst: str) -> list[dict[str, str]]:
        """Return digest, analysis and time of each result, newest first."""
        files = (self._folder / analyst).glob("[0-9a-f]*.json")
        dated = sorted(((path.stat().st_mtime, path) for path in files), reverse=True)
        return [
            {
                "digest": path.stem,
                "analysis": Result.from_json(path.read_bytes()).analysis,
                "answered_at": datetime.fromtimestamp(time, UTC).isoformat(timespec="seconds"),
            }
            for time, path in dated
        ]

    def get(self, analyst: str, digest: str) -> bytes | None:
        """Return the only result whose digest starts so; None when there is none, or several."""
        found = [*(self._folder / analyst).glob(f"{digest}*.json")]
        return found[0].read_bytes() if len(found) == 1 else None
