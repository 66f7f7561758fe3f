"""Describe: small tables with values worked out by hand, and what the gate leaves of them."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from federated.rehearsal import rehearse
from federated.request import parse_request
from transforms.errors import RequestError


VIEW = """
[view]
name = "scan"
unit = "patient"
[columns.z]
type = "number"
[columns.sex]
type = "category"
levels = ["female", "male", "other"]
"""


@pytest.fixture
def views(tmp_path: Path) -> Path:
    (tmp_path / "scan.toml").write_text(VIEW, encoding="utf-8")
    return tmp_path


def table(values: Sequence[float | None], sex: str = "female") -> Mapping[str, pa.Table]:
    rows = {"z": pa.array(values, pa.float64()), "sex": pa.array([sex] * len(values), pa.string())}
    return {"scan": pa.table(rows)}


def ask(
    sites: Mapping[str, Mapping[str, pa.Table]], views: Path, gate: Any = "off", **more: object
) -> Mapping[str, Any]:
    parameters = {"variables": ["z"], **more}
    request = {"analysis": "describe", "view": "scan", "parameters": parameters}
    return rehearse(request, sites, views=views, gate=gate).data


def only(data: Mapping[str, Any]) -> Mapping[str, Any]:
    return dict(data["groups"][0]["variables"]["z"])


def test_five_values_at_three_sites(views: Path) -> None:
    sites = {"lyon": table([1.0, 2.0]), "ulm": table([4.0, None]), "odense": table([3.0, 10.0])}
    assert only(ask(sites, views)) == {
        "n": 5,
        "missing": 1,
        "mean": 4.0,  # 20 / 5
        "sd": pytest.approx(12.5**0.5, rel=1e-15),  # (9 + 4 + 1 + 0 + 36) / 4
        "quantiles": {"0.25": 2.0, "0.5": 3.0, "0.75": 4.0},
    }


def test_quantiles_are_those_of_all_values_and_not_means_of_quantiles(views: Path) -> None:
    sites = {"lyon": table([1.0, 1.0, 1.0, 1.0]), "ulm": table([9.0])}
    assert only(ask(sites, views, quantiles=[0.5]))["quantiles"] == {"0.5": 1.0}  # not 5


def test_type_7_lies_between_two_values(views: Path) -> None:
    found = only(ask({"lyon": table([0.0, 10.0, 20.0, 40.0])}, views, quantiles=[0.9, 0.1]))
    # h = 3·0.9 = 2.7: 20 + 0.7·20;  h = 0.3: 0 + 0.3·10
    assert found["quantiles"]["0.9"] == pytest.approx(34.0, rel=1e-15)
    assert found["quantiles"]["0.1"] == pytest.approx(3.0, rel=1e-15)


def test_quantiles_may_be_left_out(views: Path) -> None:
    found = only(ask({"lyon": table([0.0, 10.0])}, views, quantiles=[]))
    assert (found["mean"], found["quantiles"]) == (5.0, {})


def test_an_sd_far_from_zero_loses_no_digits(views: Path) -> None:
    sites = {"lyon": table([1e9, 1e9 + 1]), "ulm": table([1e9 + 2])}
    found = only(ask(sites, views))
    assert (found["mean"], found["sd"]) == (1e9 + 1, 1.0)


@pytest.mark.parametrize(("values", "mean", "sd"), [([], None, None), ([7.0], 7.0, None)])
def test_nobody_has_no_mean_and_one_has_no_sd(
    views: Path, values: list[float], mean: float | None, sd: None
) -> None:
    found = only(ask({"lyon": table(values)}, views))
    assert (found["n"], found["mean"], found["sd"]) == (len(values), mean, sd)


def test_what_would_take_megabytes_is_refused() -> None:
    parameters = {
        "variables": ["onset_age_y", "dx_age_y", "hemoglobin_g_l", "calcium_mmol_l"],
        "by": ["gene_group", "dx_subtype"],
        "quantiles": [k / 10 for k in range(1, 10)],
    }
    with pytest.raises(RequestError, match="ask for fewer variables, quantiles or groups"):
        parse_request({"analysis": "describe", "view": "person", "parameters": parameters})


def test_every_level_is_a_group_whoever_has_it(views: Path) -> None:
    sites = {"lyon": table([1.0, 3.0]), "ulm": table([5.0, 7.0], "male")}
    data = ask(sites, views, by="sex")
    found = [(group["by"], group["variables"]["z"]["mean"]) for group in data["groups"]]
    assert found == [({"sex": "female"}, 2.0), ({"sex": "male"}, 6.0), ({"sex": "other"}, None)]


def test_the_gate_needs_ten_on_either_side_of_a_quantile(views: Path) -> None:
    sites = {name: table(list(np.arange(9.0) + k)) for k, name in enumerate(("a", "b", "c"))}
    found = only(ask(sites, views, gate="on"))  # 27 values: a median (25), no quartiles (43)
    assert found["n"] == 27
    assert found["mean"] == 5.0
    assert found["quantiles"] == {
        "0.25": {"withheld": "small_denominator"},
        "0.5": 5.0,
        "0.75": {"withheld": "small_denominator"},
    }


def test_what_the_gate_withholds_is_not_summed(views: Path) -> None:
    sites = {name: table([1.5, 2.5, None]) for name in ("a", "b", "c")}
    found = only(ask(sites, views, gate="on"))
    assert found["n"] == {"withheld": "small_cell"}
    assert found["mean"] == found["sd"] == {"withheld": "small_denominator"}


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"variables": ["sex"]}, "sex has levels and no mean"),
        ({"variables": ["zz"]}, "unknown variable zz; did you mean z"),
        ({"variables": []}, "1 to 10 numbers"),
        ({"variables": ["z", "z"]}, "twice"),
        ({"variables": ["z"], "quantiles": [0.5, 1.5]}, "between 0 and 1"),
        ({"variables": ["z"], "by": "z"}, "by: z is a number"),
    ],
)
def test_what_is_asked_wrongly_is_named(
    views: Path, parameters: Mapping[str, object], message: str
) -> None:
    with pytest.raises(RequestError, match=message):
        ask({"lyon": table([1.0])}, views, **parameters)
