"""Reads `parameters.toml`: the published figures that the synthetic patients are made of."""

import tomllib
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from infra.demo.columns import Array


__all__ = ["FOLDER", "choose", "figures", "read_toml", "referral"]

FOLDER = Path(__file__).parent


@cache
def read_toml(name: str) -> Mapping[str, Any]:
    """Return the TOML file `name` of this folder."""
    return tomllib.loads((FOLDER / name).read_text(encoding="utf-8"))


def figures(*path: str) -> Any:
    """Return the block of `parameters.toml` at `path`."""
    block: Any = read_toml("parameters.toml")
    for key in path:
        block = block[key]
    return block


def referral(name: str, severity: float) -> float:
    """Return a figure of `[referral]` at a referral severity between 0 and 2."""
    block = figures("referral")
    return float(np.interp(severity, block["levels"], block[name]))


def choose(rng: np.random.Generator, shares: Mapping[str, float], size: int) -> Array:
    """Draw `size` names with these shares, which are scaled to a sum of 1."""
    weights = np.array(list(shares.values()), dtype=float)
    names = np.array(list(shares), dtype=object)
    return names[rng.choice(len(names), size=size, p=weights / weights.sum())]
