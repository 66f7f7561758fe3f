"""Results on a terminal: the dictionary's words, published digits, and what is withheld."""

from typing import Any

from rich.console import Console

from federated.results import Result
from infra.answers import answer


SITES = {"releases": {"lyon": "rel-1"}, "absent": {}, "slow": {}, "refused": {}, "failed": {}}
HIDDEN = {"withheld": "small_start"}


def told(data: dict[str, Any]) -> str:
    """Return what a person reads, with single blanks."""
    console = Console(width=200)
    with console.capture() as capture:
        console.print(answer(Result("x", {}, data, SITES)))
    return " ".join(capture.get().split())


def test_rates_use_labels_and_three_digits() -> None:
    cell = {"patients": 51, "events": 39, "person_years": 300.0}
    text = told(
        {
            "shape": "rates",
            "per": 100.0,
            "variables": [{"levels": ["0-1", "65+"], "level_labels": ["0 and 1 year", "65 on"]}],
            "cells": [
                {**cell, "levels": ["0-1"], "rate": 13.0, "lower": 9.24, "upper": 1070.0},
                {"levels": ["65+"]} | dict.fromkeys([*cell, "rate", "lower", "upper"], HIDDEN),
            ],
        }
    )
    assert "0 and 1 year 51 39 300 13.0 9.24 1070" in text
    assert "65 on withheld (small_start)" in text


def test_a_curve_without_a_step_has_no_rest() -> None:
    step = {"time": 4.0, "survival": 0.7, "lower": 0.5, "upper": 0.8, "at_risk": 21}
    curve = {"label": "A", "median": None, "rest": HIDDEN, "steps": [step]}
    curves = [
        curve,
        {**curve, "label": "B", "steps": []},
        {**curve, "label": "C", "median": 4.0, "rest": None},
    ]
    text = told({"shape": "curves", "time": {"label": "Age"}, "curves": curves})
    assert "A 4 0.70 0.50 0.80 21" in text
    assert "A: no median is reached; what follows is withheld (small_start). B: withheld" in text
    assert "C: median 4." in text
