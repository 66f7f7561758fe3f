"""kill -9 at random moments: no corrupt read, nothing acknowledged lost, the next run correct.

300 kills here, 1,000 in `make audit`. Most come right before one of the job's changes to the file
system, counted by Python's audit events, so that they fall between any two steps; the others come
by the clock, so that they also fall into writes of DuckDB and Arrow.
"""

import json
import os
import random
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from tests.integration.transforms import zygote
from tests.integration.transforms.conftest import INBOX, LABS, MAPPING, write
from transforms import audit
from transforms.collect import collect
from transforms.harmonize import harmonize
from transforms.pseudonyms import pseudonym, site_key
from transforms.release import publish, releases, verify
from transforms.site import Site, create_site, current_release, load_site
from transforms.tombstones import pending
from transforms.traces import traces
from transforms.withdrawal import resume


Start = Callable[..., dict[str, Any]]
RUNS = 3


@pytest.fixture(scope="module")
def start(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Start]:
    """Return a function that starts a job, has it killed, and tells what it said before."""
    arguments = [sys.executable, "-m", zygote.__name__]
    scratch = str(tmp_path_factory.mktemp("zygote"))
    environment = {**os.environ, "PYTHONPATH": os.getcwd(), "TMPDIR": scratch}
    with subprocess.Popen(
        arguments, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        stdin, stdout = process.stdin, process.stdout

        def started(job: str, site: Site, **when: object) -> dict[str, Any]:
            stdin.write(json.dumps({"job": job, "site": str(site.folder), **when}) + "\n")
            stdin.flush()
            told: dict[str, Any] = json.loads(stdout.readline())
            assert told["failed"] == []
            return told

        yield started
        stdin.close()


@pytest.fixture(scope="module")
def harmonized(tmp_path_factory: pytest.TempPathFactory) -> Site:
    """A centre with three harmonized runs, the first published, which keeps one release."""
    folder = tmp_path_factory.mktemp("kills") / "lyon"
    create_site(folder, site_id="lyon", name="Lyon", country="FR", language="fr")
    path = folder / "site.toml"
    path.write_text(path.read_text().replace("releases = 3", "releases = 1"))
    write(folder / "mapping", MAPPING, {})
    site = load_site(folder)
    for number in range(RUNS):
        labs = LABS + f"1001;04/04/2021;12,{number};;;\n"
        write(folder / "inbox", INBOX, {"labs": labs})
        batch = collect(site, zygote.TODAY)
        harmonize(site, batch.run_id)
        if not number:
            publish(site, batch.run_id, {"outcome": "accepted"}, "0")
    now = (path.stat() for path in site.work.glob("run-*/batch.json"))
    latest = max(stat.st_mtime for stat in now)
    for batch_file in site.work.glob("run-*/batch.json"):  # the retention must keep all three
        os.utime(batch_file, (latest, latest))
    return site


@pytest.fixture
def fresh(harmonized: Site, tmp_path: Path) -> Callable[[], Site]:
    """Return a function that copies the centre anew."""
    number = iter(range(10_000))

    def copied() -> Site:
        return load_site(Path(shutil.copytree(harmonized.folder, tmp_path / str(next(number)))))

    return copied


def assert_sound(site: Site) -> None:
    """Every release is whole, the current one is there, the audit's chain holds."""
    assert current_release(site) in releases(site)
    for name in releases(site):
        verify(site, name)
    audit.entries(site)


def assert_swept(site: Site) -> None:
    """Nothing half-written is left after a next run that was not killed."""
    assert not list((site.releases / ".staging").glob("*"))
    assert not list(site.releases.glob(".gone-*"))
    assert not list(site.folder.glob(".CURRENT*"))


@pytest.mark.parametrize(
    ("events", "clocks"),
    [(220, 50), pytest.param(650, 150, marks=pytest.mark.audit)],
    ids=["few", "many"],
)
def test_while_publishing_and_taking_away(
    start: Start, fresh: Callable[[], Site], events: int, clocks: int
) -> None:
    site, chance = fresh(), random.Random(7)
    whole = start("publish", site)
    assert not whole["killed"]
    order, total = whole["said"][:RUNS], whole["events"]
    assert len(set(order)) == RUNS
    current, killed = order[-1], 0
    while killed < events + clocks:  # a job may be done before its time has come
        told = (
            start("publish", site, event=chance.randint(1, total // 2))
            if killed < events
            else start("publish", site, after=chance.uniform(0.01, 0.2))
        )
        killed += told["killed"]
        last = told["said"][-1] if told["said"] else current
        # What was told is current, or the one after it, which had no time to be told.
        expected = {last, order[(order.index(last) + 1) % RUNS] if told["said"] else order[0]}
        assert current_release(site) in expected
        assert_sound(site)
        current = str(current_release(site))
    assert start("publish", site)["said"][:RUNS] == order
    assert_sound(site)
    assert_swept(site)


@pytest.mark.parametrize(
    "kills", [20, pytest.param(140, marks=pytest.mark.audit)], ids=["few", "many"]
)
def test_while_withdrawing(start: Start, fresh: Callable[[], Site], kills: int) -> None:
    """Whenever it dies: once the tombstone is there, the next command finishes it."""
    site, chance = fresh(), random.Random(8)
    gone = pseudonym(site_key(site.keys), "P", "1002")
    before = current_release(site)
    start("withdraw", site)  # computes the views, which takes more steps than to find them
    total = start("withdraw", fresh())["events"]
    begun = 0
    for number in range(kills):
        site = fresh()
        told = start("withdraw", site, event=1 + (number * 7 + chance.randint(0, 6)) % total)
        assert told["killed"]
        assert_sound(site)
        if not (site.folder / "withdrawn").exists() or not pending(site):
            assert told["said"] or current_release(site) == before  # not begun, or complete
            shutil.rmtree(site.folder)
            continue
        begun += 1
        assert resume(site)
        assert not pending(site)
        assert_sound(site)
        assert_swept(site)
        assert current_release(site) != before
        assert traces(site.folder, [gone, "1002", "2019-02-01", "c.1213G>A"]) == ()
        assert not resume(site)
        shutil.rmtree(site.folder)
    assert begun > kills // 2


@pytest.mark.parametrize(
    "kills", [10, pytest.param(60, marks=pytest.mark.audit)], ids=["few", "many"]
)
def test_from_the_inbox_to_a_release(start: Start, fresh: Callable[[], Site], kills: int) -> None:
    site, chance = fresh(), random.Random(9)
    write(site.folder / "inbox", INBOX, {"labs": LABS + "1002;05/05/2021;11,9;;;\n"})
    other = fresh()
    shutil.copytree(site.inbox, other.inbox, dirs_exist_ok=True)
    whole = start("harmonize", other)
    before = current_release(site)
    (expected,) = whole["said"]
    killed = 0
    while killed < kills:
        at = {"event": chance.randint(1, whole["events"])} if killed % 3 else {
            "after": chance.uniform(0.05, 0.8)
        }  # fmt: skip
        told = start("harmonize", site, **at)
        killed += told["killed"]
        assert current_release(site) in ({expected} if told["said"] else {before, expected})
        assert_sound(site)
        if current_release(site) == expected:
            site.current.write_text(str(before))
            shutil.rmtree(site.releases / expected)
    assert start("harmonize", site)["said"] == [expected]
    files = [verify(one, expected)["files"] for one in (site, other)]
    assert files[0] == files[1]
    assert_swept(site)
    rows = pq.read_table(site.releases / expected / "tables" / "lab_measurement.parquet")
    assert rows.num_rows > 0
