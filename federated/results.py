"""A published result with its provenance, as bytes that never vary, and the store that keeps them."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path


__all__ = ["Result", "ResultStore"]


@dataclass(frozen=True)
class Result:
    """What the gate let out, and where it comes from. No time, no host, no nonce inside."""

    analysis: str
    request: Mapping[str, object]
    data: Mapping[str, object]
    provenance: Mapping[str, object]

    def to_json(self) -> bytes:
        """Return the result as UTF-8 JSON: same request and releases, same bytes."""
        raise NotImplementedError

    @classmethod
    def from_json(cls, data: bytes) -> "Result":
        """Read what `to_json` wrote."""
        raise NotImplementedError


class ResultStore:
    """A folder of results, one JSON file each, named by the digest of what determines it."""

    def __init__(self, folder: Path) -> None:
        raise NotImplementedError
