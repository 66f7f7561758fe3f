"""Releases compared and copied: counts that are right, copies that hold what was published."""

import csv
import stat
from collections.abc import Callable
from pathlib import Path

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.integration.transforms.conftest import FRACTURES, LABS, PATIENTS
from tests.integration.transforms.test_release import release
from transforms import release_copy
from transforms.errors import ReleaseError
from transforms.formulas import disarmed, original
from transforms.release import verify
from transforms.release_copy import copy_release
from transforms.releases_diff import TableDiff, diff_releases
from transforms.site import Site


Centre = Callable[..., Site]


def test_rows_are_compared_by_key(centre: Centre) -> None:
    first = release(centre())
    site = centre(
        patients=PATIENTS.replace("1001;MARTIN;14/03/1985;F", "1001;MARTIN;14/03/1985;H"),
        fractures=FRACTURES + "1002;01/02/2020;tibia\n",
        labs=LABS.replace("1002;11/06/2019;9,1;88;98 000;/µL\n", ""),
    )
    second = release(site)
    found = diff_releases(site, first, second)
    assert found.tables["person"] == TableDiff(added=0, removed=0, changed=1, same=1)
    assert found.tables["fracture"] == TableDiff(added=1, removed=0, changed=0, same=2)
    assert found.tables["lab_measurement"] == TableDiff(added=0, removed=3, changed=0, same=3)
    changed = {what for what, differs in found.made_from.items() if differs}
    assert changed == {"inputs_sha256", "run_id"}
    back = diff_releases(site, second, first)
    assert back.tables["fracture"] == TableDiff(added=0, removed=1, changed=0, same=2)
    same = diff_releases(site, second, second)
    assert not any(same.made_from.values())


def test_a_copy_holds_what_was_published(centre: Centre, tmp_path: Path) -> None:
    site = centre()
    name = release(site)
    source = site.releases / name
    parquet = copy_release(site, name, tmp_path / "a", "parquet")
    for file in verify(site)["files"]:
        assert (parquet / file).read_bytes() == (source / file).read_bytes()
    modes = {stat.S_IMODE(path.stat().st_mode) for path in parquet.rglob("*.parquet")}
    assert modes == {0o600}
    assert stat.S_IMODE(parquet.stat().st_mode) == 0o700

    folder = copy_release(site, name, tmp_path / "b", "csv")
    text = (folder / "tables" / "person.csv").read_text(encoding="utf-8")
    rows = list(csv.DictReader(text.splitlines()))
    assert [row["birth_date"] for row in rows] == [
        str(day)
        for day in pq.read_table(source / "tables/person.parquet")["birth_date"].to_pylist()
    ]

    (database,) = copy_release(site, name, tmp_path / "c", "duckdb").glob("*.duckdb")
    with duckdb.connect(str(database), read_only=True) as connection:
        assert connection.execute("select count(*) from tables.person").fetchall() == [(2,)]
        assert connection.execute("select count(*) from views.fracture").fetchall() == [(2,)]


@pytest.mark.parametrize(
    "text", ["=1+1", "+49", "-1+1", "@x", "\tx", "a;=1", "\n=1+1", " =1+1", "\uff1d1+1"]
)
def test_no_cell_of_a_copy_is_a_formula(text: str) -> None:
    (cell,) = release_copy._as_text(pa.chunked_array([[text]])).to_pylist()
    assert cell == disarmed(text) != text
    assert original(cell) == text
    assert release_copy._as_text(pa.chunked_array([["a=1"]])).to_pylist() == ["a=1"]
    assert release_copy._as_text(pa.chunked_array([[["a", "b"], None]])).to_pylist() == [
        "a;b",
        None,
    ]


def test_no_copy_inside_the_site_over_anything_or_of_a_changed_release(
    centre: Centre, tmp_path: Path
) -> None:
    site = centre()
    name = release(site)
    (tmp_path / "there").mkdir()
    with pytest.raises(ReleaseError, match="is there already"):
        copy_release(site, name, tmp_path / "there", "csv")
    with pytest.raises(ReleaseError, match="inside the site's folder"):
        copy_release(site, name, site.folder / "copy", "csv")
    (tmp_path / "link").symlink_to(site.folder)
    with pytest.raises(ReleaseError, match="inside the site's folder"):
        copy_release(site, name, tmp_path / "link" / "copy", "csv")
    path = site.releases / name / "views" / "person.parquet"
    path.chmod(0o644)
    path.write_bytes(path.read_bytes() + b"x")
    with pytest.raises(ReleaseError, match="was changed after publication"):
        copy_release(site, name, tmp_path / "copy", "parquet")
    assert not (tmp_path / "copy").exists()
