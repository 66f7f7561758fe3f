"""A patient withdraws, as a data manager would type it: nothing of them is left in any byte."""

import gzip
import io
import json
import zipfile
from collections.abc import Callable, Iterator
from datetime import date
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from infra.demo.synthesize import synthesize
from tests.acceptance.conftest import Typed


Marmor = Callable[..., Typed]
CENTRES = ("lyon", "ulm", "leiden", "torino", "odense")


def everything(folder: Path) -> Iterator[tuple[Path, bytes]]:
    """Yield all bytes of a folder: files, members of archives, cells of Parquet files as text.

    Written apart from `transforms.traces`, so that one checks the other.
    """
    for path in sorted(folder.rglob("*")):
        if not path.is_file():
            continue
        content = path.read_bytes()
        yield path, str(path.relative_to(folder)).encode() + b"\n" + content
        if content[:4] == b"PK\x03\x04":
            with zipfile.ZipFile(io.BytesIO(content)) as archive:
                yield from ((path, archive.read(name)) for name in archive.namelist())
        if content[:2] == b"\x1f\x8b":
            yield path, gzip.decompress(content)
        if content[:4] == b"PAR1":
            yield path, json.dumps(pq.read_table(path).to_pylist(), default=str).encode()


def places(folder: Path, texts: list[str]) -> set[str]:
    """Return the files that hold one of `texts`, as UTF-8 or UTF-16."""
    needles = [form for text in texts for form in (text.encode(), text.encode("utf-16-le"))]
    return {
        str(path.relative_to(folder))
        for path, content in everything(folder)
        if any(needle in content for needle in needles)
    }


def patient_of(folder: Path) -> tuple[str, list[str]]:
    """Return the number of a released patient, and texts that only this patient's rows hold."""
    from transforms.pseudonyms import pseudonym, site_key
    from transforms.site import load_site

    site = load_site(folder)
    truth = json.loads((folder.parent / "truth" / f"{folder.name}.json").read_text("utf-8"))
    release = site.releases / site.current.read_text().strip()
    there = set(pq.read_table(release / "tables" / "person.parquet")["person_id"].to_pylist())
    for local_id in truth["identifying"]["local_id"]:
        person = pseudonym(site_key(site.keys), "P", local_id)
        if person in there:
            # Codes and words of the mapping tell nothing about a person.
            words = b"".join(content for _, content in everything(site.mapping))
            found = [text for text in unique(release, person) if text.encode() not in words]
            assert len(found) >= 5
            return local_id, [person, *found]
    raise AssertionError("no patient of the truth is in the release")


def unique(release: Path, person: str) -> list[str]:
    """Return row ids, days and texts of one person that nobody else in the release has."""
    mine: set[str] = set()
    others: set[str] = set()
    for path in release.glob("tables/*.parquet"):
        for row in pq.read_table(path).to_pylist():
            cells = {v for v in row.values() if isinstance(v, str) and len(v) >= 8}
            cells |= {v.isoformat() for v in row.values() if isinstance(v, date) and v.year < 2020}
            (mine if row["person_id"] == person else others).update(cells)
    return sorted(mine - others)


@pytest.fixture(scope="module")
def centres(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("withdrawal")
    synthesize(sites=5, patients=14, seed=11, out=folder, artefacts=True)
    return folder


@pytest.mark.parametrize("centre", CENTRES)
def test_nothing_of_the_patient_is_left(marmor: Marmor, centres: Path, centre: str) -> None:
    folder = centres / centre
    first = marmor("site", "run", folder)
    if first.code == 14:
        run = json.loads(marmor("site", "status", folder, "--json").out)[0]["waiting"][0]
        assert marmor("quality", "accept", folder, run, "--by", "t", "--reason", "test").code == 0
        first = marmor("site", "run", folder)
    assert first.code == 0, first.err
    local_id, texts = patient_of(folder)
    before = (folder / "CURRENT").read_text()
    assert places(folder, texts)
    assert any(place.startswith("releases/") for place in places(folder, texts))

    done = marmor("site", "withdraw", folder, local_id, "--yes", "--by", "dm", "--json")
    assert done.code == 0, done.err
    told = json.loads(done.out)
    assert local_id not in done.out + done.err
    assert told["release"] == (folder / "CURRENT").read_text() != before
    assert places(folder, texts) == set()
    if len(local_id) >= 5:
        assert places(folder, [local_id]) == set()
    # the search finds what is planted
    (folder / "mapping" / "planted.zip").write_bytes(zipped(texts[0]))
    assert places(folder, texts) == {"mapping/planted.zip"}
    (folder / "mapping" / "planted.zip").unlink()

    assert marmor("site", "verify", folder).code == 0
    listed = json.loads(marmor("site", "releases", folder, "--json").out)
    assert [row["release"] for row in listed] == [told["release"]]
    again = marmor("site", "withdraw", folder, local_id, "--yes", "--json")
    assert json.loads(again.out)["again"]
    # The centre exports again, forgetting about it: the patient stays out.
    fresh = centres / "fresh"
    synthesize(sites=5, patients=14, seed=11, out=fresh / centre, artefacts=True)
    for file in (fresh / centre / centre / "inbox").rglob("*"):
        target = folder / "inbox" / file.relative_to(fresh / centre / centre / "inbox")
        if file.is_file():
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(file.read_bytes())
    run_again(marmor, folder)
    release = folder / "releases" / (folder / "CURRENT").read_text()
    person = pq.read_table(release / "tables" / "person.parquet")["person_id"].to_pylist()
    assert texts[0] not in person


def zipped(text: str) -> bytes:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a.xml", f"<v>{text}</v>" * 100)
    return packed.getvalue()


def run_again(marmor: Marmor, folder: Path) -> None:
    """Run a centre, accepting what waits."""
    if marmor("site", "run", folder).code == 14:
        run = json.loads(marmor("site", "status", folder, "--json").out)[0]["waiting"][0]
        marmor("quality", "accept", folder, run, "--by", "t", "--reason", "test")
        assert marmor("site", "run", folder).code == 0
