"""Analyses run on frames of sites: blocks added in the ring, published under the exact policy."""

import csv
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from federated import ring
from federated.analyses import ANALYSES
from federated.analysis import AnalysisView, Ask, Done, Variable
from federated.disclosure import release
from federated.guards import model_problems
from federated.policy import EXACT
from federated.statistics import Blocks, Broadcast, Frame, check_blocks


Columns = Mapping[str, NDArray[np.generic]]
Pooled = Callable[[str, Mapping[str, object], AnalysisView, Sequence[Frame]], Mapping[str, Any]]
REFERENCE = Path(__file__).parent / "reference"


@pytest.fixture(scope="session")
def pooled() -> Pooled:
    """Return a run of an analysis over frames, `Result.data` as a rehearsal would give it."""
    return _run


@pytest.fixture(scope="session")
def view_of() -> Callable[..., AnalysisView]:
    """Return a view: numbers by name, flags and levels by keyword."""

    def make(
        *numbers: str, flags: Sequence[str] = (), unit: str = "patient", **levels: Sequence[str]
    ) -> AnalysisView:
        coded = {**levels, **dict.fromkeys(flags, ("false", "true"))}
        variables = {name: Variable(name, name) for name in numbers}
        variables |= {k: Variable(k, k, tuple(v), tuple(v)) for k, v in coded.items()}
        return AnalysisView("view", unit, variables)

    return make


@pytest.fixture(scope="session")
def frames_of() -> Callable[[Columns, NDArray[np.generic]], list[Frame]]:
    """Return the frames of sites from columns of all rows and the site of each row."""

    def split(columns: Columns, site: NDArray[np.generic]) -> list[Frame]:
        return [
            Frame(int((site == s).sum()), {name: v[site == s] for name, v in columns.items()})
            for s in np.unique(site)
        ]

    return split


@pytest.fixture(scope="session")
def reference() -> Mapping[str, Any]:
    """What R says, see reference/reference.R."""
    return dict(json.loads((REFERENCE / "reference.json").read_text(encoding="utf-8")))


@pytest.fixture(scope="session")
def data_set() -> Callable[[str], Columns]:
    """Return the columns of one of the reference's data sets: numbers, or texts."""

    def load(name: str) -> Columns:
        with (REFERENCE / f"{name}.csv").open(encoding="utf-8") as file:
            rows = list(csv.DictReader(file))
        return {key: np.array([_value(row[key]) for row in rows]) for key in rows[0]}

    return load


def _value(text: str) -> float | str:
    """A number where it is one, NaN for NA."""
    try:
        return float(text.replace("NA", "nan"))
    except ValueError:
        return text


def _run(
    name: str, parameters: Mapping[str, object], view: AnalysisView, frames: Sequence[Frame]
) -> Mapping[str, Any]:
    analysis = ANALYSES[name]
    plan = analysis.design(parameters, view)
    again = analysis.design(analysis.canonical(plan), view)
    assert analysis.canonical(again) == analysis.canonical(plan)
    ask = Ask()
    for _ in range(analysis.rounds):
        total = ring.unpack(*_sum(analysis.site, frames, plan, ask.broadcast, analysis.shapes))
        step = analysis.combine(total, plan, ask)
        if isinstance(step, Done):
            return dict(release(step.outcome, EXACT).data)
        assert not step.model or not model_problems(step.model, EXACT)
        passed = {
            key: np.ones(item.patients.shape, dtype=bool) for key, item in step.screen.items()
        }
        ask = replace(step, broadcast={**step.broadcast, **passed})
    raise AssertionError("more rounds than the analysis says it takes")


def _sum(
    site: Callable[[Frame, Any, Broadcast], Blocks],
    frames: Sequence[Frame],
    plan: Any,
    broadcast: Broadcast,
    shapes: Callable[[Any, Broadcast], Any],
) -> tuple[ring.Limbs, Any]:
    """Add the frames' blocks as the secure sum does."""

    def packed() -> Iterator[ring.Limbs]:
        for frame in frames:
            blocks = site(frame, plan, broadcast)
            check_blocks(blocks, shapes(plan, broadcast))
            yield ring.pack(blocks)

    vectors = packed()
    total = next(vectors)
    for vector in vectors:
        total = ring.add(total, vector)
    return total, shapes(plan, broadcast)
