"""Rehearsals on tables in memory under declared views, and results as tables and pictures."""

from collections.abc import Mapping
from pathlib import Path

import pyarrow as pa
import pytest

from federated.rehearsal import rehearse
from federated.results import Result
from transforms.errors import RefusedError, RequestError, SiteDownError


VIEW = """
[view]
name = "limb"
unit = "patient"
[columns.side]
type = "category"
levels = ["left", "right"]
[columns.broken]
type = "flag"
[columns.years]
type = "number"
[outcomes.fracture]
time = "years"
event = "broken"
"""
CROSSTAB = {"analysis": "crosstab", "view": "limb", "parameters": {"variables": ["side", "broken"]}}
SURVIVAL = {"analysis": "kaplan_meier", "view": "limb", "parameters": {"outcome": "fracture"}}


def limbs(left: int, right: int, broken: int) -> Mapping[str, pa.Table]:
    """One site: `broken` of the left limbs are broken after two years, none of the right."""
    rows = {
        "side": ["left"] * left + ["right"] * right,
        "broken": [True] * broken + [False] * (left + right - broken),
        "years": [1.5] * broken + [2.5] * (left + right - broken),
    }
    return {"limb": pa.table(rows)}


@pytest.fixture
def views(tmp_path: Path) -> Path:
    (tmp_path / "limb.toml").write_text(VIEW, encoding="utf-8")
    return tmp_path


SITES = {"lyon": limbs(10, 20, 4), "ulm": limbs(5, 10, 2), "odense": limbs(5, 10, 2)}


def test_tables_are_counted_as_releases_are(views: Path) -> None:
    result = rehearse(CROSSTAB, SITES, views=views, gate="off")
    assert result.data["counts"] == [[12, 8], [40, 0]]
    assert result.status == "released"
    assert sorted(result.provenance["releases"]) == ["lyon", "odense", "ulm"]


def test_a_withheld_number_is_null_beside_its_rule(views: Path) -> None:
    sites = {**SITES, "lyon": limbs(10, 20, 0)}  # 4 of 20 left limbs are broken
    result = rehearse(CROSSTAB, sites, views=views)
    assert result.status == "partly_withheld"
    rows = result.table().to_pylist()
    assert rows[1] == {
        "side": "left",
        "broken": "true",
        "count": None,
        "count_withheld": "small_cell",
        "percent": None,
        "percent_withheld": "complement",
    }
    assert rows[2]["count"] == 39  # 40 limbs, in the middle of the bin 37 to 42
    assert rows[3]["count_withheld"] == "small_cell"  # a zero beside four would tell of the four


def test_a_curve_is_one_row_a_step(views: Path) -> None:
    table = rehearse(SURVIVAL, SITES, views=views, gate="off").table()
    assert table.column_names == ["group", "time", "survival", "lower", "upper", "at_risk"]
    first = next(row for row in table.to_pylist() if row["survival"] < 1)
    assert (first["time"], first["at_risk"]) == (2.0, 60)
    assert first["survival"] == pytest.approx(1 - 8 / 60)


def test_nothing_shown_is_a_refusal(views: Path) -> None:
    sites = dict.fromkeys(("lyon", "ulm", "odense"), limbs(1, 1, 1))
    sites = {name: limbs(1, 1, index) for index, name in enumerate(sites)}
    result = rehearse(CROSSTAB, sites, views=views)
    assert result.status == "refused"
    assert set(result.table()["count_withheld"].to_pylist()) == {"small_cell"}


def test_a_site_whose_table_lacks_a_column_fails_by_code(views: Path) -> None:
    broken = {"limb": pa.table({"side": ["left"]})}
    result = rehearse(CROSSTAB, {**SITES, "torino": broken}, views=views)
    assert result.provenance["failed"] == {"view_differs": 1}
    with pytest.raises(SiteDownError, match="does not have the dictionary's columns"):
        rehearse(CROSSTAB, dict.fromkeys(("a", "b", "c"), broken), views=views)


def test_a_cohort_of_two_sites_is_refused_whoever_else_answers(views: Path) -> None:
    nobody = {"limb": limbs(1, 0, 0)["limb"].slice(0, 0)}
    sites = {**SITES, "odense": nobody, "torino": nobody}
    with pytest.raises(RefusedError, match="fewer than 3 sites hold anybody of the cohort"):
        rehearse(CROSSTAB, sites, views=views)
    assert rehearse(CROSSTAB, sites, views=views, gate="off").data["counts"] == [[9, 6], [30, 0]]


def test_requests_come_as_mappings_or_files(views: Path, tmp_path: Path) -> None:
    file = tmp_path / "question.json"
    file.write_text(
        '{"analysis": "crosstab", "view": "limb", "parameters": {"variables": ["side"]}}',
        encoding="utf-8",
    )
    assert rehearse(file, SITES, views=views, gate="off").data["counts"] == [20, 40]
    with pytest.raises(RequestError, match="unknown view limb"):
        rehearse(file, SITES)


def test_a_result_draws_itself(views: Path, tmp_path: Path) -> None:
    result = rehearse(SURVIVAL, SITES, views=views)
    result.plot(tmp_path / "curve.png")
    assert (tmp_path / "curve.png").read_bytes().startswith(b"\x89PNG")
    assert Result.from_json(result.to_json()).table() == result.table()
