"""Pictures: the same bytes for the same result, and withheld parts are named in them."""

from pathlib import Path

import pytest

from federated import plots
from federated.results import Result
from transforms.errors import RequestError


HIDDEN = {"withheld": "small_cell"}
PROVENANCE = {
    "question": "0123456789abcdef",
    "releases": {"lyon": "rel-1", "ulm": "rel-1", "odense": "rel-1"},
    "absent": {},
    "slow": {"timeout": 1},
    "refused": {},
    "failed": {},
    "policy": {"grid": 6},
}


def variable(name: str, *labels: str) -> dict[str, object]:
    return {"name": name, "label": name, "levels": labels, "level_labels": labels, "unit": "a"}


def step(time: float, survival: float) -> dict[str, object]:
    limits = {"lower": survival - 0.1, "upper": survival + 0.05}
    return {"time": time, "survival": survival, "at_risk": 21, **limits}


CURVE = {"median": None, "events": 9, "largest_at_risk": 33}
DATA: dict[str, dict[str, object]] = {
    "curves": {
        "shape": "curves",
        "time": variable("Age"),
        "group": variable("Gene", "A", "B"),
        "confidence": 0.95,
        "curves": [
            {**CURVE, "level": "a", "label": "A", "end": 9.0, "rest": HIDDEN,
             "steps": [step(3.0, 0.9), step(9.0, 0.7)]},
            {**CURVE, "level": "b", "label": "B", "end": None, "rest": HIDDEN, "steps": []},
        ],
    },
    "table": {
        "shape": "table",
        "variables": [variable("Gene", "A", "B"), variable("Broken", "No", "Yes")],
        "counts": [[9, 15], [HIDDEN, 21]],
        "percent": [[37.5, 62.5], [HIDDEN, HIDDEN]],
        "test": {"withheld": "few_levels"},
    },
    "bars": {
        "shape": "table",
        "variables": [variable("Gene", "A", "B")],
        "counts": [9, HIDDEN],
        "percent": [HIDDEN, HIDDEN],
        "test": None,
    },
    "rates": {
        "shape": "rates",
        "variables": [variable("Band", "0-1", "2-9", "10+")],
        "per": 100.0,
        "confidence": 0.95,
        "cells": [
            {"rate": 9.0, "lower": 4.1, "upper": 17.1, "events": 9, "person_years": 100.0},
            dict.fromkeys(("rate", "lower", "upper", "events", "person_years"), HIDDEN),
            {"rate": None, "lower": None, "upper": None, "events": 0, "person_years": 0.0},
        ],
    },
}  # fmt: skip


@pytest.mark.parametrize("name", list(DATA))
@pytest.mark.parametrize("suffix", [".svg", ".png"])
def test_the_same_result_gives_the_same_file(tmp_path: Path, name: str, suffix: str) -> None:
    result = Result("x", {}, DATA[name], PROVENANCE)
    one, two = tmp_path / f"one{suffix}", tmp_path / f"two{suffix}"
    plots.plot(result, one)
    plots.plot(result, two)
    assert one.read_bytes() == two.read_bytes()


@pytest.mark.parametrize(
    ("name", "words"),
    [
        (
            "curves",
            [
                "Too few patients or events to show: B",
                "ends: too few at risk",
                "years",
                "without 1 more",
            ],
        ),
        ("table", ["withheld", "15  (62 %)", "Test withheld", "3 sites"]),
        ("bars", ["withheld", "counts on a grid of 6, 1 to 6 withheld"]),
        ("rates", ["withheld", "no time at risk", "9.00 (4.10 to 17.1)", "9 / 100"]),
    ],
)
def test_what_is_withheld_is_said(tmp_path: Path, name: str, words: list[str]) -> None:
    path = tmp_path / "picture.svg"
    plots.plot(Result("x", {}, DATA[name], PROVENANCE), path)
    text = path.read_text(encoding="utf-8")
    assert [word for word in words if word not in text] == []


def test_another_suffix_is_refused(tmp_path: Path) -> None:
    with pytest.raises(RequestError, match=r"a picture is \.png or \.svg"):
        plots.plot(Result("x", {}, DATA["bars"], PROVENANCE), tmp_path / "picture.pdf")
