"""Cox: small tables worked out by hand, and what is said of fits that have no answer."""

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
name = "cohort"
unit = "patient"
[columns.t]
type = "number"
[columns.t0]
type = "number"
[columns.died]
type = "flag"
[columns.x]
type = "number"
[columns.y]
type = "number"
[columns.arm]
type = "category"
levels = ["none", "low", "high"]
[outcomes.death]
time = "t"
event = "died"
"""
Row = tuple[float, bool, float]


@pytest.fixture
def views(tmp_path: Path) -> Path:
    (tmp_path / "cohort.toml").write_text(VIEW, encoding="utf-8")
    return tmp_path


def table(rows: Sequence[Row], **more: Sequence[object]) -> Mapping[str, pa.Table]:
    """(time, died, x) per patient; further columns by name."""
    columns = {
        "t": [float(row[0]) for row in rows],
        "died": [row[1] for row in rows],
        "x": [float(row[2]) for row in rows],
        "y": [0.0 for _ in rows],
        "t0": [0.0 for _ in rows],
        "arm": ["none" for _ in rows],
    }
    return {"cohort": pa.table({**columns, **more})}


def ask(
    sites: Mapping[str, Mapping[str, pa.Table]], views: Path, gate: Any = "off", **more: object
) -> Mapping[str, Any]:
    parameters = {"outcome": "death", "covariates": ["x"], **more}
    request = {"analysis": "cox", "view": "cohort", "parameters": parameters}
    return rehearse(request, sites, views=views, gate=gate).data


THREE = [(1, True, 1), (2, True, 0), (3, True, 1)]


def test_three_deaths_at_one_site(views: Path) -> None:
    data = ask({"lyon": table(THREE)}, views)
    # score 1 - 2r/(2r+1) - r/(r+1) = 0 for r = exp(b) gives 2r² = 1
    r = math.sqrt(0.5)
    term = data["terms"][0]
    assert term["estimate"] == pytest.approx(-math.log(2) / 2, rel=1e-14)
    information = 2 * r / (2 * r + 1) ** 2 + r / (r + 1) ** 2
    assert term["se"] == pytest.approx(1 / math.sqrt(information), rel=1e-14)
    assert term["hazard_ratio"] == pytest.approx(r, rel=1e-14)
    assert data["log_likelihood_null"] == pytest.approx(-math.log(6), rel=1e-15)
    likelihood = math.log(r / (2 * r + 1)) + math.log(1 / (r + 1))
    assert data["log_likelihood"] == pytest.approx(likelihood, rel=1e-14)
    assert (data["n"], data["events"], data["converged"], data["issues"]) == (3, 3, True, [])


def test_walds_statistic_is_of_the_coefficient_and_not_of_the_ratio(views: Path) -> None:
    term = ask({"lyon": table(THREE)}, views)["terms"][0]
    z = term["estimate"] / term["se"]
    assert term["statistic"] == pytest.approx(z, rel=1e-15)
    assert term["p"] == pytest.approx(math.erfc(abs(z) / math.sqrt(2)), rel=1e-12)
    width = 1.959963984540054 * term["se"]
    assert term["ci_low"] == pytest.approx(term["estimate"] - width, rel=1e-12)
    assert term["ratio_high"] == pytest.approx(math.exp(term["estimate"] + width), rel=1e-12)


def test_each_site_has_its_own_baseline(views: Path) -> None:
    """A second site with all times doubled says the same once more; one patient says nothing."""
    later = [(2 * t, died, x) for t, died, x in THREE]
    one = ask({"lyon": table(THREE)}, views)["terms"][0]
    both = ask({"lyon": table(THREE), "ulm": table(later), "odense": table([(5, True, 1)])}, views)
    assert both["terms"][0]["estimate"] == pytest.approx(one["estimate"], rel=1e-14)
    assert both["terms"][0]["se"] == pytest.approx(one["se"] / math.sqrt(2), rel=1e-14)
    assert (both["n"], both["events"]) == (7, 7)


def test_efron_and_breslow_at_a_tie(views: Path) -> None:
    """Two of three die at once, one of them with x = 1; log likelihoods at b = 0."""
    rows = [(1, True, 1), (1, True, 0), (2, True, 1)]
    efron = ask({"lyon": table(rows)}, views)
    breslow = ask({"lyon": table(rows)}, views, ties="breslow")
    assert efron["log_likelihood_null"] == pytest.approx(-math.log(3 * 2), rel=1e-15)
    assert breslow["log_likelihood_null"] == pytest.approx(-math.log(3 * 3), rel=1e-15)
    # Breslow: score 1 - 2·2r/(2r+1) = 0, r = 1/2
    assert breslow["terms"][0]["hazard_ratio"] == pytest.approx(0.5, rel=1e-13)
    # Efron: 1 = 2r/(2r+1) + (2r - r/2)/((2r+1) - (r+1)/2) = 2r/(2r+1) + 3r/(3r+1), 6r² = 1
    assert efron["terms"][0]["hazard_ratio"] == pytest.approx(math.sqrt(1 / 6), rel=1e-13)


def test_whoever_enters_late_is_not_at_risk_before(views: Path) -> None:
    rows = [*THREE, (2.5, False, 0)]
    late = table(rows, t0=[0.0, 0.0, 0.0, 2.0])
    parameters = {"outcome": None, "time": "t", "event": "died", "entry": "t0"}
    data = ask({"lyon": late}, views, **parameters)
    assert data["log_likelihood_null"] == pytest.approx(-math.log(6), rel=1e-15)
    assert data["n"] == 4
    never = ask({"lyon": table(rows, t0=[0.0, 0.0, 0.0, 2.5])}, views, **parameters)
    assert (never["n"], never["missing"]) == (3, 1)


def test_a_level_without_an_event_is_named(views: Path) -> None:
    arms = ["none", "low", "none", "low", "high", "high"]
    rows = [(1, True, 0), (2, True, 1), (3, True, 1), (4, True, 0), (5, False, 1), (6, False, 0)]
    data = ask({"lyon": table(rows, arm=arms)}, views, covariates=["arm"])
    assert data["issues"] == [{"kind": "separation", "terms": ["arm[high]"]}]
    assert data["converged"] is False
    low, high = data["terms"]
    assert high["estimate"] is high["se"] is high["p"] is None
    assert low["estimate"] is not None


def test_terms_that_say_the_same_are_named(views: Path) -> None:
    rows = [(1, True, 1), (2, True, 0), (3, True, 1), (4, True, 3)]
    doubled = table(rows, y=[2.0 * row[2] + 1 for row in rows])
    data = ask({"lyon": doubled}, views, covariates=["x", "y"])
    alone = ask({"lyon": doubled}, views, covariates=["x"])
    assert data["issues"] == [{"kind": "collinearity", "terms": ["y"]}]
    assert data["terms"][1]["estimate"] is None
    assert data["terms"][0] == alone["terms"][0]


def test_a_level_that_nobody_has_is_named(views: Path) -> None:
    arms = {"arm": ["none", "low", "none"]}
    data = ask({"lyon": table(THREE, **arms)}, views, covariates=["arm"])
    assert {"kind": "absent", "terms": ["arm[high]"]} in data["issues"]


def test_without_an_event_there_is_no_model(views: Path) -> None:
    data = ask({"lyon": table([(1, False, 1), (2, False, 0)])}, views)
    assert refused(data) == [("few_events_per_parameter", [])]


def test_the_gate_refuses_more_than_the_events_carry(views: Path) -> None:
    arms = {"arm": ["none", "none", "low", "low", "high", "high"] * 10}
    many = [*THREE, *THREE] * 10
    rare = [(t, i < 6, x) for i, (t, _, x) in enumerate(many)]
    sites = {name: table(rare, **arms) for name in ("a", "b", "c")}
    data = ask(sites, views, gate="on", covariates=["x", "y", "arm"])
    assert ("few_events_per_parameter", []) in refused(data)
    assert ask({n: table(THREE * 5) for n in ("a", "b", "c")}, views, gate="on")["n"] == 45


def refused(data: Mapping[str, Any]) -> list[tuple[str, list[str]]]:
    """Rules and variables of a refusal."""
    return [(reason["rule"], reason["variables"]) for reason in data["reasons"]]


def yearly(deaths: Sequence[int], x: Sequence[float]) -> list[Row]:
    """So many deaths in each year, in its middle, covariates in turn."""
    years = [year + 0.5 for year, number in enumerate(deaths) for _ in range(number)]
    return [(time, True, x[index % len(x)]) for index, time in enumerate(years)]


def test_one_baseline_for_all_merges_years_until_13_died(views: Path) -> None:
    rows = yearly([5, 9, 0, 20, 3], [0, 1, 3, 7, 2])
    sites = {name: table(rows[k::3]) for k, name in enumerate(("a", "b", "c"))}
    merged = [(2 if time < 2 else 5, died, x) for time, died, x in rows]
    again = {name: table(merged[k::3]) for k, name in enumerate(("a", "b", "c"))}
    found = ask(sites, views, baseline="pooled", times="years")["terms"][0]
    expected = ask(again, views, baseline="pooled", times={"step": 1})["terms"][0]
    assert found["estimate"] == pytest.approx(expected["estimate"], rel=1e-12)
    assert found["se"] == pytest.approx(expected["se"], rel=1e-12)


def test_the_gate_refuses_risk_sets_that_differ_by_few(views: Path) -> None:
    rows = yearly([5, 9, 0, 20, 3], [0, 1, 3, 7, 2])
    sites = {name: table(rows[k::3]) for k, name in enumerate(("a", "b", "c"))}
    data = ask(sites, views, gate="on", baseline="pooled", times={"step": 1})
    assert refused(data) == [("small_risk_set", [])]
    released = ask(sites, views, gate="on", baseline="pooled", times="years")
    assert (released["n"], released["baseline"]) == (39, "pooled")


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"covariates": ["t"]}, "t: cannot explain itself"),
        ({"covariates": ["died"]}, "died: cannot explain itself"),
        ({"covariates": []}, "must be a list of variables"),
        ({"covariates": ["z"]}, "unknown variable z"),
        ({"ties": "exact"}, "ties: must be 'efron' or 'breslow'"),
        ({"reference": {"arm": "low"}}, "arm is no covariate"),
        ({"covariates": ["arm"], "reference": {"arm": "hi"}}, "no level hi; did you mean high"),
        ({"strata": ["x"]}, "strata: x must have levels"),
        ({"conf_level": 0.5}, "conf_level: must be 0.90"),
        ({"baseline": "pooled", "robust": True}, "robust, cluster: need baseline"),
    ],
)
def test_what_is_asked_wrongly_is_named(
    views: Path, parameters: Mapping[str, object], message: str
) -> None:
    with pytest.raises(RequestError, match=message):
        ask({"lyon": table(THREE)}, views, **parameters)
