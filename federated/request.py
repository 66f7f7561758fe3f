"""A question to the consortium, typed and checked against the data dictionary."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path


__all__ = ["Request", "load_request", "parse_request"]


@dataclass(frozen=True)
class Request:
    """One question. `parameters` have their defaults filled in."""

    analysis: str
    view: str
    parameters: Mapping[str, object]
    minimum_sites: int

    def to_mapping(self) -> Mapping[str, object]:
        """Return the request as plain JSON values, which `parse_request` accepts again."""
        raise NotImplementedError

    def canonical(self) -> bytes:
        """Return the question (without `minimum_sites`) as canonical JSON."""
        raise NotImplementedError

    @property
    def digest(self) -> str:
        """SHA-256 of `canonical()`, in hexadecimal: the name of the question."""
        raise NotImplementedError


def parse_request(data: Mapping[str, object]) -> Request:
    """Parse a request; RequestError lists every problem with the nearest known names."""
    raise NotImplementedError


def load_request(path: Path) -> Request:
    """Read a request from a .toml or .json file."""
    raise NotImplementedError
