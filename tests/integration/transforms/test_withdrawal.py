"""A patient who withdraws: gone from every byte of the site, and never back."""

import datetime
import json
from collections.abc import Callable
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from tests.integration.transforms.conftest import FRACTURES, LABS, PATIENTS
from tests.integration.transforms.test_release import release
from transforms import audit
from transforms.collect import collect
from transforms.errors import ReleaseError
from transforms.harmonize import harmonize
from transforms.hold import next_quarter, standing
from transforms.lock import at_work
from transforms.pseudonyms import pseudonym, site_key
from transforms.release import publish, releases, verify
from transforms.site import Site, current_release
from transforms.tombstones import pending, record, tombstone, tombstones
from transforms.traces import traces
from transforms.withdrawal import resume, withdraw


TODAY = datetime.date(2026, 11, 22)
Centre = Callable[..., Site]
CANARIES = ("1002", "2019-02-01", "01/02/2019", "c.1213G>A", "10/06/2019", "DUPONT")


def without(text: str, local_id: str) -> str:
    """Return a CSV text without the rows of a patient."""
    return "".join(line for line in text.splitlines(True) if not line.startswith(f"{local_id};"))


def persons(site: Site) -> list[str]:
    path = site.releases / str(current_release(site)) / "tables" / "person.parquet"
    return [str(person) for person in pq.read_table(path)["person_id"].to_pylist()]


def pseudonym_of(site: Site, local_id: str) -> str:
    return pseudonym(site_key(site.keys), "P", local_id)


def test_a_new_release_lacks_the_patient_and_all_older_are_gone(centre: Centre) -> None:
    older = release(centre())
    site = centre(labs=LABS + "1001;04/04/2021;12,6;;;\n")
    before = release(site)
    gone = pseudonym_of(site, "1002")
    assert gone in persons(site)
    done = withdraw(site, "1002", by="dm")
    assert releases(site) == (done.release,) == (current_release(site),)
    assert done.release not in (older, before)
    assert done.purged["releases"] == 2
    assert gone not in persons(site)
    assert len(persons(site)) == 1
    manifest = verify(site)
    assert manifest["decision"]["outcome"] == "withdrawal"
    assert gone not in json.dumps(manifest)
    for view in ("person", "fracture"):
        path = site.releases / str(done.release) / "views" / f"{view}.parquet"
        assert "TCIRG1" not in json.dumps(pq.read_table(path).to_pylist(), default=str)


def test_no_byte_of_the_patient_is_left(centre: Centre) -> None:
    site = centre()
    texts = (*CANARIES, pseudonym_of(site, "1002"))
    release(site)
    assert traces(site.folder, texts)
    assert not withdraw(site, "1002", by="dm").left
    assert traces(site.folder, texts) == ()
    # The search would find them: in a text, a table's cell, a workbook's member.
    (site.folder / "note.txt").write_text("seen: 1002, again")
    pq.write_table(pq.read_table(next(site.releases.glob("*/tables/person.parquet"))),
                   site.folder / "copy.parquet")  # fmt: skip
    kept = pseudonym_of(site, "1001")
    assert site.folder / "note.txt" in traces(site.folder, texts)
    assert site.folder / "copy.parquet" in traces(site.folder, [kept])


def test_what_is_left_of_others_stays_as_it_was(centre: Centre) -> None:
    """The release after a withdrawal has the bytes that harmonizing without the patient gives."""
    site = centre()
    release(site)
    withdraw(site, "1002", by="dm")
    derived = verify(site)["files"]
    site = centre()  # the export is dropped again, with the patient still in it
    again = release(site)
    assert verify(site, again)["files"] == derived


def test_the_inbox_is_emptied_where_the_patient_stands_among_others(centre: Centre) -> None:
    site = centre()
    release(site)
    done = withdraw(site, "1002", by="dm")
    assert done.inbox_emptied
    assert list(site.inbox.iterdir()) == []
    assert not list(site.work.glob("run-*"))
    assert not site.quarantine.exists() or list(site.quarantine.iterdir()) == []


def test_a_file_of_the_patients_own_goes_alone(centre: Centre) -> None:
    site = centre(
        patients=without(PATIENTS, "1002"), labs=without(LABS, "1002"), fractures=FRACTURES
    )
    head = PATIENTS.splitlines(True)[0]
    mine = "".join(line for line in PATIENTS.splitlines(True) if line.startswith("1002;"))
    (site.inbox / "patients_2.csv").write_text(head + mine)
    release(site)
    assert pseudonym_of(site, "1002") in persons(site)
    done = withdraw(site, "1002", by="dm")
    assert not done.inbox_emptied
    assert done.purged["inbox files"] == 1
    names = {path.name for path in site.inbox.iterdir()}
    assert names == {"patients.csv", "labs.csv", "fractures.csv"}


def test_who_withdrew_is_left_out_of_every_later_run(centre: Centre) -> None:
    site = centre()
    release(site)
    withdraw(site, "1002", by="dm")
    site = centre()
    batch = collect(site, TODAY)
    assert batch.new
    harmonize(site, batch.run_id)
    told = json.loads((site.work / batch.run_id / "harmonization.json").read_text())
    assert told["excluded_withdrawn"] == 1
    assert told["rows"]["person"] == 1
    assert pseudonym_of(site, "1002") not in json.dumps(told)
    # and doing it again finds the patient in the inbox, and empties that
    assert withdraw(site, "1002", by="dm").inbox_emptied
    assert withdraw(site, "1002", by="dm").again


def test_an_unknown_patient_is_refused_and_nothing_changes(centre: Centre) -> None:
    site = centre()
    name = release(site)
    with pytest.raises(ReleaseError, match="no release, run or file in the inbox holds") as caught:
        withdraw(site, "4711", by="dm")
    assert "4711" not in str(caught.value)
    assert tombstones(site) == frozenset()
    assert releases(site) == (name,)
    assert list(site.inbox.iterdir())


def test_ahead_keeps_out_whom_nobody_knows_yet(centre: Centre) -> None:
    site = centre(patients=without(PATIENTS, "1002"), labs=without(LABS, "1002"))
    name = release(site)
    done = withdraw(site, "1002", by="dm", ahead=True)
    assert done.release == name
    assert done.purged == {}
    assert list(site.inbox.iterdir())
    assert standing(site, name) is None
    site = centre()
    release(site)
    assert len(persons(site)) == 1


def test_withdrawal_before_the_first_release(centre: Centre) -> None:
    site = centre()
    done = withdraw(site, "1002", by="dm")
    assert done.release is None
    assert done.inbox_emptied
    release(centre())
    assert len(persons(site)) == 1


def test_a_run_that_was_collected_before_cannot_be_published(centre: Centre) -> None:
    site = centre()
    release(site)
    changed = centre(labs=LABS + "1001;04/04/2021;12,6;;;\n")
    batch = collect(changed, TODAY)
    harmonize(changed, batch.run_id)
    record(site, tombstone(site, pseudonym_of(site, "1002")), "begun")
    with pytest.raises(ReleaseError, match="a patient withdrew since run"):
        publish(site, batch.run_id, {"outcome": "accepted"}, "0")


def test_an_interrupted_withdrawal_is_completed_by_the_next_run(centre: Centre) -> None:
    site = centre()
    name = release(site)
    assert not resume(site)
    record(site, tombstone(site, pseudonym_of(site, "1002")), "begun")
    assert standing(site, name, TODAY) == "release_held"
    assert resume(site)
    assert pseudonym_of(site, "1002") not in persons(site)
    assert list(site.inbox.iterdir()) == []
    assert not pending(site)
    assert not resume(site)


def test_a_release_restored_from_a_backup_does_not_bring_the_patient_back(
    centre: Centre, tmp_path: Path
) -> None:
    import shutil

    site = centre()
    name = release(site)
    shutil.copytree(site.releases / name, tmp_path / "backup")
    withdraw(site, "1002", by="dm")
    shutil.copytree(tmp_path / "backup", site.releases / name)
    site.current.write_text(name)
    assert standing(site, name) == "release_held"
    assert resume(site)
    assert name not in releases(site)
    assert pseudonym_of(site, "1002") not in persons(site)


def test_a_withdrawal_waits_for_a_step_at_work(centre: Centre) -> None:
    site = centre()
    release(site)
    waited = []

    class EnoughError(Exception):
        pass

    def on_wait() -> None:
        waited.append(True)
        raise EnoughError

    with at_work(site), pytest.raises(EnoughError):
        withdraw(site, "1002", by="dm", on_wait=on_wait)
    assert waited
    assert tombstones(site) == frozenset()


def test_the_audit_says_that_and_when_but_not_who(centre: Centre) -> None:
    site = centre()
    first = release(site)
    done = withdraw(site, "1002", by="dm")
    told = audit.entries(site)
    assert [entry["event"] for entry in told] == ["published", "published", "withdrawn"]
    assert told[0]["body"]["release"] == first
    assert told[2]["body"]["release"] == done.release
    text = (site.folder / "audit.jsonl").read_text()
    assert "1002" not in text
    assert pseudonym_of(site, "1002") not in text
    (site.folder / "audit.jsonl").write_text(text.replace("dm", "xy"))
    with pytest.raises(ReleaseError, match="line 2: was changed"):
        audit.entries(site)


@pytest.mark.parametrize(
    ("day", "expected"),
    [
        ("2026-11-22", "2027-01-01"),
        ("2026-12-31", "2027-01-01"),
        ("2027-01-01", "2027-04-01"),
        ("2027-06-30", "2027-07-01"),
        ("2027-09-15", "2027-10-01"),
    ],
)
def test_the_next_quarter(day: str, expected: str) -> None:
    assert next_quarter(datetime.date.fromisoformat(day)).isoformat() == expected


def many(count: int, *, moved: int = 0) -> str:
    """Return `count` patients more than the usual three; of the first `moved` the sex differs."""
    lines = [
        f"{2000 + n};X;01/02/2010;{'F' if n < moved else 'H'};02/05/2011;oui;ADO2;02/05/2011;96;"
        f"CLCN7;c.643G>A;het;non;NR;vivant;{1 + n % 28:02d}/06/2026;\n"
        for n in range(count)
    ]
    return PATIENTS + "".join(lines)


def test_the_release_is_held_until_seven_others_changed_or_the_next_quarter(
    centre: Centre,
) -> None:
    broken = FRACTURES + "".join(f"{2000 + n};01/01/2015;tibia\n" for n in range(10))
    before = release(centre(patients=many(10), fractures=broken))
    site = centre(patients=many(10), fractures=broken)
    assert standing(site, before) is None
    done = withdraw(site, "1002", by="dm")
    held = str(done.release)
    until = datetime.date.fromisoformat(verify(site)["hold"]["until"])
    day = datetime.timedelta(days=1)
    assert standing(site, held, until - day) == "release_held"
    assert standing(site, held, until) is None
    assert standing(site, before) == "release_gone"

    six = release(centre(patients=many(10, moved=6), fractures=broken))
    assert standing(site, six, until - day) == "release_held"
    seven = release(centre(patients=many(10, moved=7), fractures=broken))
    assert standing(site, seven, until - day) is None
    assert verify(site)["hold"] is None


def test_the_release_is_held_while_one_view_has_not_changed_enough(centre: Centre) -> None:
    """Seven who never broke a bone hide nobody among the fractures, nor does one with seven."""
    release(centre(patients=many(10)))
    site = centre(patients=many(10))
    withdraw(site, "1002", by="dm")
    until = datetime.date.fromisoformat(verify(site)["hold"]["until"])
    day = until - datetime.timedelta(days=1)
    assert standing(site, release(centre(patients=many(10, moved=7))), day) == "release_held"
    often = FRACTURES + "".join(f"2000;{1 + n:02d}/01/2015;tibia\n" for n in range(7))
    one = release(centre(patients=many(10, moved=7), fractures=often))
    assert standing(site, one, day) == "release_held"
    each = FRACTURES + "".join(f"{2000 + n};01/01/2015;tibia\n" for n in range(7))
    seven = release(centre(patients=many(10, moved=7), fractures=each))
    assert standing(site, seven, day) is None
