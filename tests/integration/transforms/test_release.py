"""Releases: whole or not there, the same for the same input, and any changed byte is found."""

import datetime
import errno
import json
import os
import stat
from collections.abc import Callable
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from tests.integration.transforms.conftest import LABS, MAPPING
from transforms.collect import collect
from transforms.dictionary import DICTIONARY
from transforms.dictionary.arrow import schema
from transforms.errors import ReleaseError
from transforms.harmonize import harmonize
from transforms.release import current_rows, publish, releases, verify
from transforms.release_folder import _file_system
from transforms.site import Site, current_release


TODAY = datetime.date(2026, 11, 22)
ACCEPTED = {"outcome": "accepted", "who": "criteria", "why": "all hold", "when": "2026-11-22"}
Centre = Callable[..., Site]


def release(site: Site) -> str:
    batch = collect(site, TODAY)
    harmonize(site, batch.run_id)
    return publish(site, batch.run_id, ACCEPTED, "0" * 64)


def test_a_release_holds_tables_views_and_a_manifest(centre: Centre) -> None:
    site = centre()
    name = release(site)
    assert current_release(site) == name
    assert releases(site) == (name,)
    manifest = verify(site)
    assert set(manifest["files"]) == {
        *(f"tables/{table}.parquet" for table in DICTIONARY.tables),
        *(f"views/{view}.parquet" for view in DICTIONARY.views),
    }
    assert manifest["decision"] == ACCEPTED
    assert manifest["parent"] is None
    assert manifest["files"]["tables/person.parquet"]["rows"] == 2
    for view_name, view in DICTIONARY.views.items():
        found = pq.read_schema(site.releases / name / "views" / f"{view_name}.parquet")
        assert found.equals(schema(view))
    modes = {stat.S_IMODE(p.stat().st_mode) for p in (site.releases / name).rglob("*.*")}
    assert modes == {0o444}


def test_views_hold_what_analyses_ask_for(centre: Centre) -> None:
    site = centre()
    views = site.releases / release(site) / "views"
    persons = pq.read_table(views / "person.parquet").to_pylist()
    assert [(row["gene_group"], row["fracture_count"]) for row in persons] == [
        ("CLCN7_het", 2), ("TCIRG1", 0),
    ]  # fmt: skip
    assert persons[0]["hemoglobin_g_l"] == 125.0
    assert round(persons[0]["first_fracture_age_y"], 2) == 10.0
    assert pq.read_metadata(views / "fracture.parquet").num_rows == 2


def test_the_current_release_says_how_many_rows_it_has(centre: Centre) -> None:
    site = centre()
    assert current_rows(site) == {}
    release(site)
    assert {name: current_rows(site)[name] for name in ("person", "fracture", "hsct")} == {
        "person": 2, "fracture": 2, "hsct": 0,
    }  # fmt: skip


def test_the_same_run_published_twice_is_one_release(centre: Centre) -> None:
    site = centre()
    name = release(site)
    before = (site.releases / name / "MANIFEST.json").read_bytes()
    assert release(site) == name
    assert (site.releases / name / "MANIFEST.json").read_bytes() == before
    assert not collect(site, TODAY).new
    assert releases(site) == (name,)


def test_the_same_centre_elsewhere_gives_the_same_release(centre: Centre) -> None:
    one, other = centre("one"), centre("other")
    other.keys.mkdir(exist_ok=True)
    first = release(one)
    (other.keys / "pseudonym.key").write_bytes((one.keys / "pseudonym.key").read_bytes())
    (other.keys / "pseudonym.key").chmod(0o400)
    second = release(other)
    files = [verify(site, name)["files"] for site, name in ((one, first), (other, second))]
    assert files[0] == files[1]


def test_a_new_input_gives_a_new_release_that_names_its_parent(centre: Centre) -> None:
    first = release(centre())
    site = centre(labs=LABS + "1001;04/04/2021;12,6;;;\n")
    assert collect(site, TODAY).new
    second = release(site)
    assert releases(site) == (first, second)
    assert verify(site)["parent"]["release"] == first
    back = centre()
    assert release(back) == first
    assert current_release(back) == first


def test_each_mapping_has_a_number_that_comes_back_with_it(centre: Centre) -> None:
    release(centre())
    changed = MAPPING["values"].replace(
        "oui,yes", "oui,yes,approved,\nperson,consent_reuse,,ok,yes"
    )
    site = centre(values=changed)
    release(site)
    assert verify(site)["mapping_version"] == 2
    site = centre(labs=LABS + "1001;04/04/2021;12,6;;;\n")
    release(site)
    assert verify(site)["mapping_version"] == 1


@pytest.mark.parametrize("file", ["tables/person.parquet", "views/fracture.parquet"])
def test_a_changed_byte_is_found_and_named(centre: Centre, file: str) -> None:
    site = centre()
    path = site.releases / release(site) / file
    path.chmod(0o644)
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)
    with pytest.raises(ReleaseError, match=f"{file}: was changed after publication"):
        verify(site)


def test_a_missing_an_added_file_and_a_changed_manifest_are_found(centre: Centre) -> None:
    site = centre()
    folder = site.releases / release(site)
    (folder / "views" / "extra.parquet").write_bytes(b"x")
    with pytest.raises(ReleaseError, match=r"extra\.parquet: is not part of the release"):
        verify(site)
    (folder / "views" / "extra.parquet").rename(folder / "views" / "person.parquet")
    (folder / "tables" / "person.parquet").unlink()
    with pytest.raises(ReleaseError, match=r"person\.parquet: is missing") as caught:
        verify(site)
    assert "views/person.parquet: was changed" in str(caught.value)
    manifest = json.loads((folder / "MANIFEST.json").read_text())
    (folder / "MANIFEST.json").chmod(0o644)
    (folder / "MANIFEST.json").write_text(json.dumps(manifest | {"mapping_sha256": "0"}))
    with pytest.raises(ReleaseError, match=r"MANIFEST\.json: was changed"):
        verify(site)


def test_who_decided_cannot_be_changed_unnoticed(centre: Centre) -> None:
    site = centre()
    path = site.releases / release(site) / "MANIFEST.json"
    manifest = json.loads(path.read_text())
    path.chmod(0o644)
    for change in ({"decision": {**ACCEPTED, "who": "nobody"}}, {"validation_sha256": "1" * 64}):
        path.write_text(json.dumps(manifest | change))
        with pytest.raises(ReleaseError, match=r"MANIFEST\.json: was changed"):
            verify(site)


def test_a_link_is_not_a_file_of_the_release(centre: Centre, tmp_path: Path) -> None:
    site = centre()
    folder = site.releases / release(site)
    file = folder / "views" / "person.parquet"
    file.rename(tmp_path / "elsewhere.parquet")
    file.symlink_to(tmp_path / "elsewhere.parquet")
    (folder / "views" / "nowhere").symlink_to(tmp_path / "nothing")
    (folder / "more").symlink_to(tmp_path)
    with pytest.raises(ReleaseError) as caught:
        verify(site)
    for path in (file, folder / "views" / "nowhere", folder / "more"):
        assert f"{path}: is not part of the release" in str(caught.value)


def test_what_cannot_be_published_is_refused(centre: Centre) -> None:
    site = centre()
    with pytest.raises(ReleaseError, match="no release yet"):
        verify(site)
    with pytest.raises(ReleaseError, match="there is no release rel-000000000000"):
        verify(site, "rel-000000000000")
    batch = collect(site, TODAY)
    with pytest.raises(ReleaseError, match="is not harmonized"):
        publish(site, batch.run_id, ACCEPTED, "0" * 64)


def test_a_disk_that_cannot_be_written_leaves_the_release_before(
    centre: Centre, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = release(centre())
    site = centre(labs=LABS + "1001;04/04/2021;12,6;;;\n")

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patch:
        patch.setattr("transforms.release.fsync_file", full)
        with pytest.raises(ReleaseError, match="No space left on device"):
            release(site)
    assert current_release(site) == first
    verify(site)
    assert release(site) != first


def test_a_remote_disk_is_refused(centre: Centre, monkeypatch: pytest.MonkeyPatch) -> None:
    site = centre()
    with monkeypatch.context() as patch:
        patch.setattr("transforms.release_folder._file_system", lambda path: "nfs4")
        with pytest.raises(ReleaseError, match="is on nfs4, where renames and locks were never"):
            release(site)
    assert current_release(site) is None
    assert releases(site) == ()
    release(site)


def test_the_kind_of_file_system_is_the_innermost_mounts() -> None:
    assert _file_system(Path("/proc/self")) == "proc"
    assert _file_system(Path("/")) not in ("", "unknown", "proc")
