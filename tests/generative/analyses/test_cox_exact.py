"""Cox over sites equals R's coxph with strata(site), and a plain program written here anew."""

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from federated.analysis import AnalysisView
from federated.statistics import Frame


Columns = Mapping[str, NDArray[Any]]
Vector = NDArray[np.float64]
CELLS = ("squamous", "smallcell", "adeno", "large")
QUESTIONS: Mapping[str, Mapping[str, object]] = {
    "veteran": {
        "time": "time",
        "event": "status",
        "covariates": ["trt", "celltype", "karno", "age"],
    },
    "veteran by celltype": {
        "time": "time",
        "event": "status",
        "covariates": ["trt", "karno", "age"],
        "strata": ["celltype"],
    },
    "heart": {
        "time": "stop",
        "event": "event",
        "entry": "start",
        "covariates": ["age", "year", "surgery", "transplant"],
        "cluster": "id",
    },
    "lung": {"time": "time", "event": "status", "covariates": ["age", "sex", "ecog", "loss"]},
}
RUNS = [
    (name, ties, sites)
    for name in ("veteran", "veteran by celltype", "heart")
    for ties in ("efron", "breslow")
    for sites in range(4)
]
RUNS += [("lung", ties, 0) for ties in ("efron", "breslow")]


@pytest.fixture(scope="module")
def ask(
    pooled: Callable[..., Mapping[str, Any]],
    view_of: Callable[..., AnalysisView],
    frames_of: Callable[..., list[Frame]],
    data_set: Callable[[str], Columns],
) -> Callable[..., Mapping[str, Any]]:
    """Return a fit of one of the questions."""

    def fit(
        name: str,
        site: Sequence[int],
        backwards: bool = False,
        unit: str | None = None,
        **more: object,
    ) -> Any:
        columns = dict(data_set(name.split()[0]))
        event = str(QUESTIONS[name]["event"])
        columns[event] = columns[event].astype(np.int64)
        levels = {}
        if "celltype" in columns:
            columns["celltype"] = np.array([CELLS.index(cell) for cell in columns["celltype"]])
            levels = {"celltype": CELLS}
        numbers = [key for key in columns if key not in (event, *levels)]
        kind = unit or ("episode" if name == "heart" else "patient")
        view = view_of(*numbers, flags=[event], unit=kind, **levels)
        frames = frames_of(columns, np.asarray(site))
        return pooled("cox", {**QUESTIONS[name], **more}, view, frames[:: -1 if backwards else 1])

    return fit


@pytest.mark.parametrize(("name", "ties", "index"), RUNS)
def test_as_coxph(
    ask: Callable[..., Mapping[str, Any]],
    reference: Mapping[str, Any],
    name: str,
    ties: str,
    index: int,
) -> None:
    known = [row for row in reference["cox"] if (row["data"], row["ties"]) == (name, ties)][index]
    data = ask(name, known["site"], ties=ties, robust=True, proportionality="identity")
    column = lambda key: [term[key] for term in data["terms"]]  # noqa: E731
    assert column("estimate") == pytest.approx(known["estimate"], rel=1e-8)
    assert column("se") == pytest.approx(known["robust_se"], rel=1e-8)
    likelihood = [data["log_likelihood_null"], data["log_likelihood"]]
    assert likelihood == pytest.approx(known["log_likelihood"], rel=1e-10)
    tests = data["tests"]
    assert tests["score"]["statistic"] == pytest.approx(known["score_test"], rel=1e-8)
    assert tests["wald"]["statistic"] == pytest.approx(known["wald_test"], rel=1e-8)
    trend = [test["statistic"] for key, test in tests.items() if "proportionality" in key]
    assert trend == pytest.approx(known["identity"], rel=1e-7)
    assert data["events"] == known["events"]
    other = ask(name, known["site"], ties=ties, proportionality="log")
    logarithmic = [t["statistic"] for key, t in other["tests"].items() if "proportion" in key]
    assert logarithmic == pytest.approx(known["log"], rel=1e-7)
    if name != "heart":  # a cluster makes errors robust
        assert [term["se"] for term in other["terms"]] == pytest.approx(known["se"], rel=1e-8)


@pytest.mark.parametrize("sites", [1, 5, 19])
@pytest.mark.parametrize("index", range(8))
def test_one_baseline_for_all_as_coxph(
    ask: Callable[..., Mapping[str, Any]], reference: Mapping[str, Any], index: int, sites: int
) -> None:
    known = reference["pooled"][index]
    name, ties = known["data"], known["ties"]
    rows = next(row for row in reference["cox"] if row["data"] == name)["site"]
    site = [(sites * number * number) // len(rows) ** 2 for number in range(len(rows))]
    more = {"baseline": "pooled", "times": {"step": 0.5}, "proportionality": "identity"}
    data = ask(name, site, ties=ties, cluster=None, unit="patient", **more)
    column = lambda key: [term[key] for term in data["terms"]]  # noqa: E731
    assert column("estimate") == pytest.approx(known["estimate"], rel=1e-8)
    assert column("se") == pytest.approx(known["se"], rel=1e-8)
    likelihood = [data["log_likelihood_null"], data["log_likelihood"]]
    assert likelihood == pytest.approx(known["log_likelihood"], rel=1e-10)
    assert data["tests"]["score"]["statistic"] == pytest.approx(known["score_test"], rel=1e-8)
    trend = [test["statistic"] for key, test in data["tests"].items() if "proportion" in key]
    assert trend == pytest.approx(known["identity"], rel=1e-7)


def test_the_order_of_sites_changes_no_bit(
    ask: Callable[..., Mapping[str, Any]], reference: Mapping[str, Any]
) -> None:
    site = reference["cox"][9]["site"]
    more = {"robust": True, "proportionality": "identity"}
    one, other = (json.dumps(ask("veteran", site, back, **more)) for back in (False, True))
    assert one == other


@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize("ties", ["efron", "breslow"])
def test_as_a_plain_program(
    pooled: Callable[..., Mapping[str, Any]],
    view_of: Callable[..., AnalysisView],
    frames_of: Callable[..., list[Frame]],
    seed: int,
    ties: str,
) -> None:
    """Random patients with ties and delayed entry at 1 to 19 sites, one of a single patient."""
    source = np.random.default_rng(seed)
    n, sites = 90, (1, 3, 5, 19)[seed % 4]
    x = np.column_stack([source.normal(1e4, 1, n), source.integers(0, 2, n)])
    entry = source.integers(0, 4, n).astype(float)
    time = entry + source.integers(1, 9, n)
    event = source.random(n) < 0.6
    site = np.where(np.arange(n) == 0, 99, (sites * source.random(n) ** 2).astype(int))
    columns = {"a": x[:, 0], "b": x[:, 1], "in": entry, "out": time, "died": event.astype(np.int64)}
    parameters = {"time": "out", "entry": "in", "event": "died", "covariates": ["a", "b"]}
    view = view_of("a", "b", "in", "out", flags=["died"])
    data = pooled("cox", {**parameters, "ties": ties}, view, frames_of(columns, site))
    rows = list(zip(entry, time, event, x - [1e4, 0], site, strict=True))
    beta, information, likelihood = plain_cox(rows, ties)
    assert [term["estimate"] for term in data["terms"]] == pytest.approx(beta, rel=1e-8)
    se = np.sqrt(np.diag(np.linalg.inv(information)))
    assert [term["se"] for term in data["terms"]] == pytest.approx(se, rel=1e-8)
    assert data["log_likelihood"] == pytest.approx(likelihood, rel=1e-10)


def plain_cox(rows: list[Any], ties: str) -> tuple[Vector, NDArray[np.float64], float]:
    """Newton's method on the textbook's sums, one patient at a time."""
    beta = np.zeros(2)
    for _ in range(9):
        likelihood, score, information = 0.0, np.zeros(2), np.zeros((2, 2))
        for site, t in sorted({(row[4], row[1]) for row in rows if row[2]}):
            risk = [row for row in rows if row[4] == site and row[0] < t <= row[1]]
            dying = [row for row in risk if row[2] and row[1] == t]
            likelihood += sum(float(row[3] @ beta) for row in dying)
            score = score + sum(row[3] for row in dying)
            for index in range(len(dying)):
                share = index / len(dying) if ties == "efron" else 0.0
                weights = [
                    np.exp(row[3] @ beta) * (1 - share * (row[2] and row[1] == t)) for row in risk
                ]
                total = sum(weights)
                mean = sum(w * row[3] for w, row in zip(weights, risk, strict=True)) / total
                likelihood -= float(np.log(total))
                score = score - mean
                for w, row in zip(weights, risk, strict=True):
                    information += w / total * np.outer(row[3] - mean, row[3] - mean)
        beta = beta + np.linalg.solve(information, score)
    return beta, information, likelihood
