"""Histograms, t tests and correlations: small tables by hand, and what the gate leaves of them."""

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
name = "scan"
unit = "patient"
[columns.before]
type = "number"
[columns.after]
type = "number"
[columns.treated]
type = "flag"
"""
Site = Mapping[str, pa.Table]


@pytest.fixture
def views(tmp_path: Path) -> Path:
    (tmp_path / "scan.toml").write_text(VIEW, encoding="utf-8")
    return tmp_path


def site(
    before: Sequence[float], after: Sequence[float] = (), treated: Sequence[bool] = ()
) -> Site:
    n = len(before)
    rows = {
        "before": [float(v) for v in before],
        "after": [float(v) for v in after] or [0.0] * n,
        "treated": list(treated) or [False] * n,
    }
    return {"scan": pa.table(rows)}


def ask(
    analysis: str, sites: Mapping[str, Site], views: Path, gate: Any = "off", **parameters: object
) -> Mapping[str, Any]:
    request = {"analysis": analysis, "view": "scan", "parameters": parameters}
    return rehearse(request, sites, views=views, gate=gate).data


def test_bins_hold_their_lower_edge_and_the_last_both(views: Path) -> None:
    sites = {"lyon": site([-1, 0, 0.5, 1]), "ulm": site([1.5, 2, 2, 3])}
    data = ask("histogram", sites, views, variables=["before"], edges=[0, 1, 2])
    assert data["variables"][0]["levels"] == ["< 0", "[0, 1)", "[1, 2]", "> 2"]
    assert data["counts"] == [1, 2, 4, 1]


def test_small_bins_are_withheld(views: Path) -> None:
    sites = {name: site([0.5] * 5 + [1.5]) for name in ("a", "b", "c")}
    data = ask("histogram", sites, views, gate="on", variables=["before"], edges=[0, 1, 2])
    assert data["counts"] == [0, 15, {"withheld": "small_cell"}, 0]


def test_welch_by_hand(views: Path) -> None:
    """1 2 3 against 2 6: means 2 and 4, variances 1 and 8."""
    sites = {
        "lyon": site([1, 2], treated=[False, False]),
        "ulm": site([3, 2, 6], treated=[False, True, True]),
    }
    data = ask("t_test", sites, views, variables=["before"], group="treated")
    (term,) = data["terms"]
    assert term["estimate"] == pytest.approx(-2, rel=1e-14)
    assert term["se"] == pytest.approx(math.sqrt(1 / 3 + 8 / 2), rel=1e-14)
    freedom = (13 / 3) ** 2 / ((1 / 9) / 2 + 16 / 1)
    assert data["df"] == pytest.approx(freedom, rel=1e-13)
    assert (data["mean_1"], data["mean_2"]) == (2.0, 4.0)


def test_before_and_after_by_hand(views: Path) -> None:
    """Differences 1 2 3: mean 2, SD 1, t = 2√3 on 2 df, p = 1 - t/√(t² + 2)."""
    sites = {"lyon": site([5, 7], [4, 5]), "ulm": site([9], [6])}
    data = ask("t_test", sites, views, variables=["before", "after"])
    (term,) = data["terms"]
    assert (term["estimate"], data["df"]) == (2.0, 2.0)
    assert term["statistic"] == pytest.approx(2 * math.sqrt(3), rel=1e-14)
    assert term["p"] == pytest.approx(1 - math.sqrt(12 / 14), rel=1e-12)


def test_a_group_without_spread_says_so(views: Path) -> None:
    data = ask("t_test", {"lyon": site([3, 3, 3])}, views, variables=["before"])
    assert data["issues"] == [{"kind": "no_spread", "terms": ["mean"]}]
    assert data["terms"][0]["p"] is None


def test_a_correlation_by_hand(views: Path) -> None:
    """x 1 2 3 4, y 1 3 2 4: products 4, squares 5 and 5, r = 0.8."""
    sites = {"lyon": site([1, 2], [1, 3]), "ulm": site([3, 4], [2, 4])}
    data = ask("correlation", sites, views, variables=["before", "after"])
    (term,) = data["terms"]
    assert term["term"] == "before × after"
    assert term["estimate"] == pytest.approx(0.8, rel=1e-14)
    # on 2 df p = 1 - |r|
    assert term["p"] == pytest.approx(0.2, rel=1e-12)


def test_what_does_not_vary_has_no_correlation(views: Path) -> None:
    sites = {"lyon": site([1, 2, 3, 4])}
    data = ask("correlation", sites, views, variables=["before", "after"])
    assert data["issues"] == [{"kind": "no_spread", "terms": ["before × after"]}]


def test_a_rounded_freedom_does_not_tell_the_patients(views: Path) -> None:
    sites = {name: site([1, 2, 3, 4, 5, 6, 8]) for name in ("a", "b", "c")}
    data = ask("t_test", sites, views, gate="on", variables=["before"])
    assert (data["n"], data["df"]) == (21, 21)


@pytest.mark.parametrize(
    ("analysis", "parameters", "message"),
    [
        ("histogram", {"variables": ["before"], "edges": [1, 1]}, "edges: must be 2 to 41"),
        (
            "histogram",
            {"variables": ["treated"], "edges": [0, 1]},
            "treated has levels and no mean",
        ),
        ("t_test", {"variables": ["before", "before"]}, "names a variable twice"),
        ("t_test", {"variables": ["before"], "group": "treated", "mean": 2}, "is for one sample"),
        ("t_test", {"variables": ["before"], "levels": ["true"]}, "levels: need a group"),
        ("correlation", {"variables": ["before"]}, "must be a list of 2 to 10 numbers"),
    ],
)
def test_what_is_asked_wrongly_is_named(
    views: Path, analysis: str, parameters: Mapping[str, object], message: str
) -> None:
    with pytest.raises(RequestError, match=message):
        ask(analysis, {"lyon": site([1.0])}, views, **parameters)


def test_edges_are_no_finer_than_what_is_told() -> None:
    from federated.request import parse_request

    parameters = {"variables": ["dx_age_y"], "edges": [0, 0.1]}
    with pytest.raises(RequestError, match="dx_age_y is told to 0\\.25; use multiples of that"):
        parse_request({"analysis": "histogram", "view": "person", "parameters": parameters})
