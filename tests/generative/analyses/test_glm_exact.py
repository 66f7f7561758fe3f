"""Generalized linear models over sites equal R's glm on all rows together."""

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from federated.analysis import AnalysisView
from federated.statistics import Frame


Columns = Mapping[str, NDArray[Any]]
LEVELS: Mapping[str, Mapping[str, Sequence[str]]] = {
    "birthwt": {"race": ("white", "black", "other")},
    "quine": {
        "Eth": ("A", "N"),
        "Sex": ("F", "M"),
        "Age": ("F0", "F1", "F2", "F3"),
        "Lrn": ("AL", "SL"),
    },
    "insurance": {
        "district": ("d1", "d2", "d3", "d4"),
        "age": ("<25", "25-29", "30-35", ">35"),
    },
}
QUESTIONS: Sequence[Mapping[str, object]] = (
    {"outcome": "bwt", "covariates": ["age", "lwt", "smoke", "race"], "cluster": "mother"},
    {"outcome": "low", "covariates": ["age", "lwt", "smoke", "race"], "cluster": "mother"},
    {"outcome": "low", "covariates": ["age", "lwt", "smoke", "race"], "cluster": "mother"},
    {"outcome": "low", "covariates": ["smoke", "race"], "cluster": "mother"},
    {"outcome": "Days", "covariates": ["Eth", "Sex", "Age", "Lrn"], "cluster": "child"},
    {
        "outcome": "claims",
        "covariates": ["district", "age"],
        "exposure": "holders",
        "cluster": "office",
    },
)


@pytest.fixture(scope="module")
def ask(
    pooled: Callable[..., Mapping[str, Any]],
    view_of: Callable[..., AnalysisView],
    frames_of: Callable[..., list[Frame]],
    data_set: Callable[[str], Columns],
) -> Callable[..., Mapping[str, Any]]:
    """Return the fit of a question on one of the data sets at so many sites."""

    def fit(name: str, sites: int, question: Mapping[str, object], backwards: bool = False) -> Any:
        columns = dict(data_set(name))
        for variable, levels in LEVELS[name].items():
            columns[variable] = np.array([levels.index(text) for text in columns[variable]])
        flags = ["low"] if question["outcome"] == "low" else []
        columns |= {flag: columns[flag].astype(np.int64) for flag in flags}
        numbers = [key for key in columns if key not in (*flags, *LEVELS[name])]
        rows = columns[numbers[0]].size
        # whole clusters at one site; of more than one site one has a single cluster of rows
        cluster = columns[str({"birthwt": "mother", "quine": "child"}.get(name, "office"))]
        place = (cluster * 37) % (cluster.max() + 1) / (cluster.max() + 1)
        site = np.where((cluster == 1) & (sites > 1), 99, np.floor(sites * place**2))
        assert site.size == rows
        frames = frames_of(columns, site)
        view = view_of(*numbers, flags=flags, **LEVELS[name])
        return pooled("glm", question, view, frames[:: -1 if backwards else 1])

    return fit


@pytest.mark.parametrize("sites", [1, 3, 5, 19])
@pytest.mark.parametrize("index", range(6))
def test_as_glm(
    ask: Callable[..., Mapping[str, Any]], reference: Mapping[str, Any], index: int, sites: int
) -> None:
    known = reference["glm"][index]
    more = {"family": known["family"], "link": known["link"]}
    question = {**QUESTIONS[index], **more}
    plain = ask(known["data"], sites, {**question, "cluster": None})
    by_row = ask(known["data"], sites, {**question, "cluster": None, "robust": True})
    by_patient = ask(known["data"], sites, question)
    for data in (plain, by_row, by_patient):
        assert [term["estimate"] for term in data["terms"]] == pytest.approx(
            known["estimate"], rel=1e-8
        )
        assert data["converged"]
    for data, key in ((plain, "se"), (by_row, "hc0"), (by_patient, "cr0")):
        assert [term["se"] for term in data["terms"]] == pytest.approx(known[key], rel=1e-8)
    assert [term["p"] for term in plain["terms"]] == pytest.approx(known["p"], rel=1e-7, abs=1e-300)
    for key in ("log_likelihood", "deviance", "null_deviance", "df_residual", "dispersion"):
        assert plain[key] == pytest.approx(known[key], rel=1e-9)


def test_the_order_of_sites_changes_no_bit(ask: Callable[..., Mapping[str, Any]]) -> None:
    question = {**QUESTIONS[1], "family": "binomial"}
    one, other = (json.dumps(ask("birthwt", 19, question, back)) for back in (False, True))
    assert one == other


def test_a_column_far_from_zero_costs_no_digits(
    pooled: Callable[..., Mapping[str, Any]],
    view_of: Callable[..., AnalysisView],
    frames_of: Callable[..., list[Frame]],
) -> None:
    """A line through year of birth: slope and its error do not know where years begin."""
    source = np.random.default_rng(1)
    t = np.round(source.normal(0, 4, 60), 3)
    y = 1 + 2 * t + source.normal(0, 1, 60)
    view = view_of("t", "y")
    found = [
        pooled(
            "glm",
            {"outcome": "y", "covariates": ["t"], "family": "gaussian"},
            view,
            frames_of({"t": t + shift, "y": y}, np.arange(60) % 3),
        )["terms"][1]
        for shift in (0.0, 2.0**20)
    ]
    assert found[1]["estimate"] == pytest.approx(found[0]["estimate"], rel=1e-9)
    assert found[1]["se"] == pytest.approx(found[0]["se"], rel=1e-9)
