"""Rehearsals on release folders: which are accepted, and what the gate leaves of an answer."""

import shutil
from collections.abc import Mapping
from pathlib import Path

import pytest

from federated.rehearsal import by_site, rehearse
from federated.request import parse_request
from federated.results import Result
from transforms.errors import RefusedError, ReleaseError, SiteDownError


CROSSTAB = parse_request(
    {
        "analysis": "crosstab",
        "view": "person",
        "parameters": {"variables": ["gene_group", "ever_fractured"]},
    }
)


def test_folders_are_named_by_the_site_they_lie_below(consortium: Mapping[str, Path]) -> None:
    listed = rehearse(CROSSTAB, by_site(consortium.values()))
    assert listed.to_json() == rehearse(CROSSTAB, consortium).to_json()
    assert sorted(listed.provenance["releases"]) == sorted(consortium)


def test_the_gate_is_on_unless_told_otherwise(consortium: Mapping[str, Path]) -> None:
    guarded, exact = rehearse(CROSSTAB, consortium), rehearse(CROSSTAB, consortium, gate="off")
    assert guarded.provenance["policy"]["grid"] == 6
    assert exact.provenance["policy"]["grid"] == 1
    assert "withheld" in guarded.to_json().decode()
    assert '"withheld": "small_cell"' not in exact.to_json().decode()


def test_a_result_reads_back(consortium: Mapping[str, Path]) -> None:
    result = rehearse(CROSSTAB, consortium)
    assert Result.from_json(result.to_json()) == result


def test_two_sites_are_too_few_for_the_gate_and_enough_without(
    consortium: Mapping[str, Path],
) -> None:
    two = {site: consortium[site] for site in ("leiden", "lyon")}
    with pytest.raises(RefusedError, match="2 sites can answer and 3 are needed"):
        rehearse(CROSSTAB, two)
    one = {"lyon": consortium["lyon"]}
    assert rehearse(CROSSTAB, one, gate="off").data["total"] > 0


def test_a_folder_that_is_no_release_is_named(tmp_path: Path) -> None:
    with pytest.raises(ReleaseError, match="is not a release folder"):
        rehearse(CROSSTAB, {"lyon": tmp_path})


def test_a_release_with_a_changed_byte_is_a_failed_site(
    consortium: Mapping[str, Path], tmp_path: Path
) -> None:
    broken = tmp_path / "ulm" / "releases" / "rel-2"
    shutil.copytree(consortium["lyon"], broken)
    view = broken / "views" / "person.parquet"
    content = bytearray(view.read_bytes())
    content[len(content) // 2] ^= 1
    view.write_bytes(bytes(content))
    result = rehearse(CROSSTAB, {**consortium, "ulm": broken})
    assert result.provenance["failed"] == {"view_changed": 1}
    with pytest.raises(SiteDownError, match="3 failed: the release was changed"):
        rehearse(CROSSTAB, dict.fromkeys(("ulm", "lyon", "odense"), broken) | {})


def test_two_releases_of_one_site_are_not_two_sites(consortium: Mapping[str, Path]) -> None:
    release = next(iter(consortium.values()))
    older = release.with_name("rel-older")
    older.mkdir()
    with pytest.raises(ReleaseError, match="two releases of one site"):
        by_site([*consortium.values(), older])
