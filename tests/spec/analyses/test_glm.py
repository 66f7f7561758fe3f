"""Generalized linear models: two-by-two tables worked out by hand, and fits without an answer."""

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from federated.rehearsal import rehearse
from transforms.errors import RequestError


VIEW = """
[view]
name = "ward"
unit = "patient"
[columns.sick]
type = "flag"
[columns.exposed]
type = "flag"
[columns.y]
type = "number"
[columns.x]
type = "number"
[columns.years]
type = "number"
"""
Table = Mapping[str, pa.Table]


@pytest.fixture
def views(tmp_path: Path) -> Path:
    (tmp_path / "ward.toml").write_text(VIEW, encoding="utf-8")
    return tmp_path


def ward(sick: Sequence[int], well: Sequence[int]) -> Table:
    """So many sick and well, exposed first and then not."""
    exposed = [True] * sick[0] + [False] * sick[1] + [True] * well[0] + [False] * well[1]
    n = len(exposed)
    ill = [True] * sum(sick) + [False] * sum(well)
    numbers = {"y": [float(i) for i in ill], "x": [0.0] * n, "years": [2.0] * n}
    return {"ward": pa.table({"sick": ill, "exposed": exposed, **numbers})}


def line(x: Sequence[float], y: Sequence[float]) -> Table:
    """One row per point."""
    n = len(x)
    flags = {"sick": [True] * n, "exposed": [False] * n}
    return {"ward": pa.table({**flags, "x": x, "y": y, "years": [1.0] * n})}


def ask(sites: Mapping[str, Table], views: Path, gate: Any = "off", **more: object) -> Any:
    parameters = {"outcome": "sick", "covariates": ["exposed"], "family": "binomial", **more}
    request = {"analysis": "glm", "view": "ward", "parameters": parameters}
    return rehearse(request, sites, views=views, gate=gate).data


# sick 20 of 30 exposed, 10 of 40 not exposed
SITES = {
    "lyon": ward((12, 3), (2, 10)),
    "ulm": ward((8, 7), (8, 0)),
    "odense": ward((0, 0), (0, 20)),
}


@pytest.mark.parametrize(
    ("link", "scale", "ratio"),
    [
        ("logit", "odds_ratio", (20 * 30) / (10 * 10)),
        ("log", "risk_ratio", (20 / 30) / (10 / 40)),
        ("cloglog", "hazard_ratio", math.log(1 / 3) / math.log(3 / 4)),
    ],
)
def test_a_two_by_two_table_gives_the_ratio_of_the_link(
    views: Path, link: str, scale: str, ratio: float
) -> None:
    data = ask(SITES, views, link=link)
    assert data["scale"] == scale
    assert data["terms"][1]["term"] == "exposed"
    assert data["terms"][1][scale] == pytest.approx(ratio, rel=1e-12)
    assert (data["n"], data["events"], data["df_residual"]) == (70, 30, 68)


def test_the_odds_ratio_has_woolfs_error(views: Path) -> None:
    se = math.sqrt(1 / 20 + 1 / 10 + 1 / 10 + 1 / 30)
    assert ask(SITES, views)["terms"][1]["se"] == pytest.approx(se, rel=1e-10)


def test_rates_per_year_of_exposure(views: Path) -> None:
    data = ask(SITES, views, outcome="y", family="poisson", exposure="years")
    intercept, exposed = data["terms"]
    assert math.exp(intercept["estimate"]) == pytest.approx(10 / 80, rel=1e-12)
    assert exposed["rate_ratio"] == pytest.approx((20 / 60) / (10 / 80), rel=1e-12)
    assert exposed["se"] == pytest.approx(math.sqrt(1 / 20 + 1 / 10), rel=1e-10)


def test_a_line_through_four_points(views: Path) -> None:
    """x 0 1 2 3, y 1 3 2 6: slope 7/5, intercept 0.9, residual sum of squares 4.2, 2 df."""
    sites = {"lyon": line([0, 1], [1, 3]), "ulm": line([2, 3], [2, 6])}
    data = ask(sites, views, outcome="y", covariates=["x"], family="gaussian")
    intercept, slope = data["terms"]
    assert slope["estimate"] == pytest.approx(1.4, rel=1e-12)
    assert intercept["estimate"] == pytest.approx(0.9, rel=1e-12)
    assert data["deviance"] == pytest.approx(4.2, rel=1e-12)
    assert data["dispersion"] == pytest.approx(2.1, rel=1e-12)
    assert slope["se"] == pytest.approx(math.sqrt(2.1 / 5), rel=1e-12)
    # Student's t on 2 df: p = 1 - t/√(t² + 2)
    t = 1.4 / math.sqrt(2.1 / 5)
    assert slope["p"] == pytest.approx(1 - t / math.sqrt(t * t + 2), rel=1e-10)


def test_a_line_through_every_point_converges(views: Path) -> None:
    sites = {"lyon": line([0, 1, 2], [1, 3, 5])}
    data = ask(sites, views, outcome="y", covariates=["x"], family="gaussian")
    assert data["converged"]
    assert [term["estimate"] for term in data["terms"]] == pytest.approx([1, 2], rel=1e-12)


def test_everybody_exposed_is_sick(views: Path) -> None:
    data = ask({"lyon": ward((8, 4), (0, 9))}, views)
    assert data["issues"] == [{"kind": "separation", "terms": ["exposed"]}]
    assert data["converged"] is False
    intercept, exposed = data["terms"]
    assert intercept["estimate"] == pytest.approx(math.log(4 / 9), rel=1e-8)
    assert exposed["estimate"] is None


@pytest.mark.parametrize("data", [ward((0, 0), (8, 9)), ward((8, 9), (0, 0))])
def test_an_outcome_that_never_or_always_comes_is_refused(views: Path, data: Table) -> None:
    data = ask({"lyon": data}, views)
    assert [reason["rule"] for reason in data["reasons"]] == ["few_events_per_parameter"]


def test_the_gate_rounds_what_would_tell_the_patients(views: Path) -> None:
    data = ask(SITES, views, gate="on")
    assert (data["n"], data["df_residual"]) == (69, 69)
    assert data["terms"][1]["odds_ratio"] == 6.0


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"family": "gamma"}, "family: must be one of gaussian, binomial, poisson"),
        ({"link": "probit"}, "link: must be one of logit, log, cloglog for binomial"),
        ({"outcome": "y"}, "outcome: y must have levels"),
        ({"covariates": ["sick"]}, "sick: cannot explain itself"),
        ({"offset": "x", "exposure": "years"}, "give one of them"),
        ({"robust": 1}, "robust: must be true or false"),
    ],
)
def test_what_is_asked_wrongly_is_named(
    views: Path, parameters: Mapping[str, object], message: str
) -> None:
    with pytest.raises(RequestError, match=message):
        ask(SITES, views, **parameters)
