"""Summaries, histograms, t tests and correlations over sites equal numpy and scipy on all rows."""

import json
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import stats

from federated.analysis import AnalysisView
from federated.statistics import Frame


Columns = Mapping[str, NDArray[Any]]
Ask = Callable[..., Mapping[str, Any]]
SITES = (1, 3, 5, 19)


@pytest.fixture(scope="module", params=[0, 1, 2, 3])
def rows(request: pytest.FixtureRequest) -> Columns:
    """Values around 0, 50, a million and a thousand; one in ten missing; a level that is rare."""
    source = np.random.default_rng(request.param)
    n, middle = 157, (0.0, 50.0, 1e6, 1e3)[request.param]
    x = source.normal(middle, 3, n)
    y = np.round(0.5 * x + source.normal(0, 2, n), 1)
    x[source.random(n) < 0.1] = np.nan
    sex = np.where(np.arange(n) < 2, 2, source.integers(0, 2, n))
    return {"x": x, "y": y, "sex": sex}


@pytest.fixture(params=SITES)
def ask(
    request: pytest.FixtureRequest,
    rows: Columns,
    pooled: Callable[..., Mapping[str, Any]],
    view_of: Callable[..., AnalysisView],
    frames_of: Callable[..., list[Frame]],
) -> Ask:
    """Return a run of an analysis at so many unequal sites, one of them of a single patient."""
    n, sites = rows["x"].size, request.param
    site = np.floor(sites * (np.arange(n) * 37 % n / n) ** 2)
    site = np.where((np.arange(n) == 5) & (sites > 1), 99, site)
    frames = frames_of(rows, site)
    view = view_of("x", "y", sex=("female", "male", "other", "unknown"))

    def run(analysis: str, backwards: bool = False, **parameters: object) -> Mapping[str, Any]:
        return pooled(analysis, parameters, view, frames[:: -1 if backwards else 1])

    return run


def test_describe(ask: Ask, rows: Columns) -> None:
    data = ask("describe", variables=["x", "y"], by="sex", quantiles=[0.05, 0.25, 0.5, 0.9])
    for code, group in enumerate(data["groups"]):
        for name, found in group["variables"].items():
            mine = rows[name][rows["sex"] == code]
            values = mine[~np.isnan(mine)]
            assert (found["n"], found["missing"]) == (values.size, mine.size - values.size)
            if values.size:
                assert found["mean"] == pytest.approx(values.mean(), rel=1e-12, abs=1e-12)
                quantiles = {k: float(np.quantile(values, float(k))) for k in found["quantiles"]}
                assert found["quantiles"] == pytest.approx(quantiles, rel=1e-14)
            if values.size > 1:
                assert found["sd"] == pytest.approx(values.std(ddof=1), rel=1e-10)


def test_histogram(ask: Ask, rows: Columns) -> None:
    values = rows["y"][~np.isnan(rows["y"])]
    edges = [float(round(v)) for v in np.linspace(values.min() + 1, values.max() - 1, 7)]
    data = ask("histogram", variables=["y"], edges=edges)
    below, *inner, above = data["counts"]
    assert inner == np.histogram(values, edges)[0].tolist()
    assert (below, above) == ((values < edges[0]).sum(), (values > edges[-1]).sum())


def test_welch(ask: Ask, rows: Columns) -> None:
    groups = [rows["x"][(rows["sex"] == k) & ~np.isnan(rows["x"])] for k in (0, 1)]
    known = stats.ttest_ind(*groups, equal_var=False)
    data = ask("t_test", variables=["x"], group="sex", levels=["female", "male"])
    check(data, known, float(groups[0].mean() - groups[1].mean()))


def test_one_sample_and_paired(ask: Ask, rows: Columns) -> None:
    values = rows["x"][~np.isnan(rows["x"])]
    known = stats.ttest_1samp(values, 40.0)
    check(ask("t_test", variables=["x"], mean=40.0), known, float(values.mean() - 40), 40.0)
    both = ~np.isnan(rows["x"]) & ~np.isnan(rows["y"])
    x, y = rows["x"][both], rows["y"][both]
    paired = stats.ttest_rel(x, y)
    check(ask("t_test", variables=["x", "y"]), paired, float((x - y).mean()))


def check(data: Mapping[str, Any], known: Any, estimate: float, mean: float = 0.0) -> None:
    """Compare a t test with scipy's."""
    (term,) = data["terms"]
    interval = known.confidence_interval(0.95)
    assert term["estimate"] == pytest.approx(estimate, rel=1e-8, abs=1e-9)
    assert term["statistic"] == pytest.approx(known.statistic, rel=1e-8)
    assert term["p"] == pytest.approx(known.pvalue, rel=1e-7)
    assert data["df"] == pytest.approx(known.df, rel=1e-8)
    low, high = interval.low - mean, interval.high - mean  # scipy's are of the mean itself
    assert (term["ci_low"], term["ci_high"]) == pytest.approx((low, high), rel=1e-7)


def test_correlation(ask: Ask, rows: Columns) -> None:
    both = ~np.isnan(rows["x"]) & ~np.isnan(rows["y"])
    known = stats.pearsonr(rows["x"][both], rows["y"][both])
    data = ask("correlation", variables=["x", "y"])
    (term,) = data["terms"]
    interval = known.confidence_interval(0.95)
    assert data["n"] == both.sum()
    assert term["estimate"] == pytest.approx(known.statistic, rel=1e-8)
    assert term["p"] == pytest.approx(known.pvalue, rel=1e-6, abs=1e-300)
    limits = (term["ci_low"], term["ci_high"])
    assert limits == pytest.approx((interval.low, interval.high), rel=1e-8)


@pytest.mark.parametrize(
    ("analysis", "parameters"),
    [
        ("describe", {"variables": ["x", "y"], "by": "sex"}),
        ("t_test", {"variables": ["x"], "group": "sex", "levels": ["male", "female"]}),
        ("correlation", {"variables": ["x", "y"]}),
    ],
)
def test_the_order_of_sites_changes_no_bit(
    ask: Ask, analysis: str, parameters: Mapping[str, object]
) -> None:
    one, other = (json.dumps(ask(analysis, back, **parameters)) for back in (False, True))
    assert one == other
