"""What becomes of published data, as a data manager types it: listed, compared, copied, purged."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.acceptance.conftest import Typed
from tests.acceptance.test_bad_input import assert_told


Marmor = Callable[..., Typed]
Published = Callable[[str], tuple[Path, str]]


def test_a_release_is_listed_with_all_that_is_known_of_it(
    marmor: Marmor, published: Published
) -> None:
    folder, release = published("ulm")
    (row,) = json.loads(marmor("site", "releases", folder, "--json").out)
    assert row["release"] == release
    assert row["current"]
    assert row["intact"]
    assert row["accepted_by"] == "acceptance criteria"
    assert row["persons"] > 0
    assert row["rows"] > row["persons"]
    path = folder / "releases" / release / "views" / "person.parquet"
    path.chmod(0o644)
    path.write_bytes(path.read_bytes() + b"x")
    (row,) = json.loads(marmor("site", "releases", folder, "--json").out)
    assert not row["intact"]
    assert "NO" in marmor("site", "releases", folder).out
    assert_told(marmor("site", "export", folder, "--to", folder.parent / "x"), 13, "was changed")


def test_a_release_compared_with_itself_and_with_an_unknown_one(
    marmor: Marmor, published: Published
) -> None:
    folder, release = published("ulm")
    told = json.loads(marmor("site", "diff", folder, release, "--json").out)
    assert not any(told["made_from"].values())
    assert all(not counts["changed"] for counts in told["tables"].values())
    assert "changed: nothing" in marmor("site", "diff", folder, release, release).out
    assert_told(marmor("site", "diff", folder, "rel-000000000000"), 13, "there is no release")


@pytest.mark.parametrize("kind", ["parquet", "csv", "duckdb"])
def test_a_copy_comes_with_a_warning(
    marmor: Marmor, published: Published, tmp_path: Path, kind: str
) -> None:
    folder, release = published("ulm")
    done = marmor("site", "export", folder, "--to", tmp_path / "copy", "--format", kind)
    assert done.code == 0, done.err
    assert "holds rows of patients" in done.err
    assert release in done.out
    assert list((tmp_path / "copy").iterdir())
    assert_told(marmor("site", "export", folder, "--to", tmp_path / "copy"), 13, "is there already")
    assert_told(marmor("site", "export", folder, "--to", folder / "x"), 13, "inside the site")
    assert_told(marmor("site", "export", folder, "--to", "x", "--format", "xls"), 30, "parquet")


def test_a_dry_purge_deletes_nothing(marmor: Marmor, published: Published) -> None:
    folder, release = published("ulm")
    work = folder / "work" / "run-000000000000"
    work.mkdir()
    told = json.loads(marmor("site", "purge", folder, "--dry-run", "--json").out)
    assert told["paths"] == ["work/run-000000000000"]
    assert work.is_dir()
    assert json.loads(marmor("site", "purge", folder, "--json").out)["paths"] == told["paths"]
    assert not work.exists()
    assert "nothing to delete" in marmor("site", "purge", folder).out
    assert (folder / "CURRENT").read_text() == release


def test_a_withdrawal_that_is_not_meant_changes_nothing(
    marmor: Marmor, published: Published
) -> None:
    folder, release = published("ulm")
    assert_told(marmor("site", "withdraw", folder, "UL-nobody"), 30, "--yes")
    refused = marmor("site", "withdraw", folder, "UL-nobody", "--yes")
    assert_told(refused, 13, "no release, run or file in the inbox", "--ahead")
    assert "UL-nobody" not in refused.err
    assert_told(marmor("site", "withdraw", folder, "", "--yes"), 30, "no patient was named")
    assert (folder / "CURRENT").read_text() == release
    assert not (folder / "withdrawn").exists()
    done = marmor("site", "withdraw", folder, "UL-nobody", "--yes", "--ahead")
    assert done.code == 0
    assert "kept out from now on" in done.out
    assert (folder / "CURRENT").read_text() == release
