"""What a centre calls things: its words and codes, and how its laboratory prints values."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from infra.demo.parameters import read_toml


__all__ = ["Lab", "labs_of", "words_of"]


@dataclass(frozen=True)
class Lab:
    """How an analyte is printed: its name, its unit, and `factor` times the canonical value."""

    name: str
    unit: str
    factor: float
    digits: int
    concept: str = "0"
    unit_concept: str = "0"


def words_of(centre: str) -> Mapping[str, Mapping[str, Any]]:
    """Return the word lists of a centre, `centres/<id>.toml`: list → code → word."""
    return read_toml(f"centres/{centre}.toml")


def labs_of(centre: str) -> Mapping[str, Lab]:
    """Return how a centre prints each analyte."""
    return {name: Lab(**entry) for name, entry in words_of(centre)["labs"].items()}
