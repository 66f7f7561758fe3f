"""A published result with its provenance, as bytes that never vary, and the store of results."""

import hashlib
import json
import os
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import pyarrow as pa

from federated.flat import flat, withheld_numbers


__all__ = ["Result", "ResultStore"]


@dataclass(frozen=True)
class Result:
    """What the gate let out, and where it comes from. No time, no host, no nonce inside.

    Attributes:
        analysis: name of the analysis.
        request: the question, as `Request.question()` gives it.
        data: the published values; {"withheld": rule} stands where a number is not shown.
        provenance: request digest, site → release, how many other sites were absent, slow,
            refusing or failing and why, policy, versions.
    """

    analysis: str
    request: Mapping[str, Any]
    data: Mapping[str, Any]
    provenance: Mapping[str, Any]

    @property
    def status(self) -> Literal["released", "partly_withheld", "refused"]:
        """Whether all numbers are shown, some, or none but what the question itself says."""
        withheld = list(withheld_numbers(self.data))
        if not any(withheld):
            return "released"
        return "refused" if all(withheld) else "partly_withheld"

    def table(self) -> pa.Table:
        """Return the numbers as one flat table; a withheld one is null beside its rule."""
        return flat(self.data)

    def plot(self, path: Path) -> None:
        """Draw the result into `path`, a .png or .svg file; needs the extra `analyst`."""
        from federated.plots import plot

        plot(self, path)

    @property
    def digest(self) -> str:
        """SHA-256 of `to_json()`, in hexadecimal."""
        return hashlib.sha256(self.to_json()).hexdigest()

    def to_json(self) -> bytes:
        """Return the result as UTF-8 JSON: same request and releases, same bytes."""
        content = {
            "analysis": self.analysis,
            "request": self.request,
            "data": self.data,
            "provenance": self.provenance,
        }
        text = json.dumps(content, sort_keys=True, indent=1, ensure_ascii=False, allow_nan=False)
        return text.encode() + b"\n"

    @classmethod
    def from_json(cls, data: bytes) -> "Result":
        """Read what `to_json` wrote; ValueError or KeyError for anything else."""
        content = json.loads(data)
        return cls(*(content[key] for key in ("analysis", "request", "data", "provenance")))


class ResultStore:
    """A folder of results, one JSON file each, named by the digest of what determines it."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._folder = folder

    @staticmethod
    def key(question: str, releases: Mapping[str, str], roster: str, policy: str) -> str:
        """Return the name under which the answer to a question is kept."""
        parts = {"question": question, "releases": releases, "roster": roster, "policy": policy}
        return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()

    def get(self, key: str) -> Result | None:
        """Return the kept result, None when the question was not answered yet."""
        path = self._folder / f"{key}.json"
        return Result.from_json(path.read_bytes()) if path.is_file() else None

    def put(self, key: str, result: Result) -> None:
        """Keep `result`, replacing nothing: written aside, forced to disk, then renamed."""
        descriptor, name = tempfile.mkstemp(dir=self._folder, prefix=".")
        with os.fdopen(descriptor, "wb") as file:
            file.write(result.to_json())
            file.flush()
            os.fsync(file.fileno())
        Path(name).replace(self._folder / f"{key}.json")

    def all(self) -> Mapping[str, Result]:
        """Return every kept result by its key, sorted by key."""
        files = sorted(self._folder.glob("[0-9a-f]*.json"))
        return {path.stem: Result.from_json(path.read_bytes()) for path in files}
