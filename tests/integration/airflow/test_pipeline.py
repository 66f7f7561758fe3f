"""Two small centres in a real Airflow: scheduler, workers, watcher and review, nothing replaced.

The tests build on each other's state and run in the order in which they stand.
"""

import json
import os
import signal
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from expectations.review import accept, waiting
from infra.demo.synthesize import synthesize
from infra.site.airflow import AirflowStack
from infra.site.client import STAGES, RunProgress
from transforms.release import verify
from transforms.site import Site, current_release, load_site


CANARY = "Jeanne-Testeur-1987"
LOOPBACK_HEXADECIMAL = "0100007F"


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory, observer: Any) -> Iterator[AirflowStack]:
    """A running Airflow with two centres; afterwards none of its processes is left."""
    folder = tmp_path_factory.mktemp("marmor")
    synthesize(sites=2, patients=40, seed=7, out=folder / "sites")
    with AirflowStack(folder / "airflow", folder / "sites") as stack:
        session = head(stack)
        yield stack
    assert not observer.session_members(session)


def head(stack: AirflowStack) -> int:
    return int(json.loads((stack.home / "airflow.json").read_text(encoding="utf-8"))["pid"])


def site(stack: AirflowStack, name: str) -> Site:
    return load_site(stack.marmor_home / name)


def run(stack: AirflowStack, name: str) -> RunProgress:
    (outcome,) = stack.wait([stack.trigger(name)], timeout=600)
    return outcome


def written_below(folder: Path) -> bytes:
    """Everything that Airflow wrote: database, logs, settings."""
    return b"".join(path.read_bytes() for path in folder.rglob("*") if path.is_file())


def test_two_centres_reach_a_release_at_the_same_time(stack: AirflowStack) -> None:
    seen: list[set[str | None]] = []
    runs = [stack.trigger("lyon"), stack.trigger("ulm")]
    outcomes = stack.wait(runs, lambda looks: seen.append({look.stage for look in looks}), 600)
    for outcome in outcomes:
        assert dict(outcome.tasks) == dict.fromkeys(STAGES, "success")
        release = current_release(site(stack, outcome.run.site))
        assert release is not None
        verify(site(stack, outcome.run.site), release)
    assert len(set().union(*seen)) > 3
    assert set(stack.task_states(runs[0]).values()) == {"success"}


def test_only_loopback_is_listened_on(stack: AirflowStack, observer: Any) -> None:
    members = observer.session_members(head(stack))
    assert len(members) > 5
    assert observer.listening_addresses(members) == {LOOPBACK_HEXADECIMAL}


def test_nothing_new_is_a_success_that_skips_the_rest(stack: AirflowStack) -> None:
    before = current_release(site(stack, "lyon"))
    outcome = run(stack, "lyon")
    assert outcome.state == "success"
    assert dict(outcome.tasks) == dict.fromkeys(STAGES, "skipped")
    assert current_release(site(stack, "lyon")) == before


def test_a_change_in_the_inbox_starts_a_run(stack: AirflowStack, observer: Any) -> None:
    known = set(stack.client.runs("ulm"))
    path = next(site(stack, "ulm").inbox.iterdir())
    settled = time.time() - 60
    os.utime(path, (settled, settled))
    observer.wait_until(lambda: set(stack.client.runs("ulm")) - known, 90, "the inbox is seen")
    (outcome,) = stack.wait(set(stack.client.runs("ulm")) - known)
    assert outcome.state == "success"
    assert outcome.run.dag_run.startswith("asset_triggered")


def test_a_killed_task_is_done_again(stack: AirflowStack, observer: Any) -> None:
    """A task may end in the moment before it is killed: then another run is tried."""
    ulm = site(stack, "ulm")
    for _ in range(5):
        before = current_release(ulm)
        repeat_a_row(ulm)
        started = stack.trigger("ulm")
        observer.wait_until(
            lambda run=started: stack.task_states(run)["harmonize"] == "running", 60, "begun"
        )
        for pid in task_processes(observer.session_members(head(stack))):
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        assert current_release(ulm) == before
        (outcome,) = stack.wait([started], timeout=600)
        assert outcome.state == "success"
        assert current_release(ulm) != before
        logs = stack.home / "logs" / "dag_id=marmor_ulm" / f"run_id={started.dag_run}"
        if list(logs.glob("task_id=*/attempt=2.log")):
            return
    raise AssertionError("no task was killed in five runs")


def task_processes(members: set[int]) -> list[int]:
    """Return those that compute: not the workers that watch over them."""
    titles = {}
    for pid in members:
        with suppress(FileNotFoundError, ProcessLookupError):
            titles[pid] = Path(f"/proc/{pid}/cmdline").read_bytes()
    return [
        pid
        for pid, title in titles.items()
        if title.startswith(b"airflow worker -- ") and b"LocalExecutor" not in title
    ]


def test_a_waiting_review_goes_on_when_somebody_accepts(stack: AirflowStack) -> None:
    ulm = site(stack, "ulm")
    before = current_release(ulm)
    text = (ulm.folder / "site.toml").read_text(encoding="utf-8")
    demanding = text.partition("[acceptance]")[0] + "[acceptance]\nmax_rejected_share = 0.0\n"
    (ulm.folder / "site.toml").write_text(demanding, encoding="utf-8")
    repeat_a_row(ulm)
    outcome = run(stack, "ulm")
    assert outcome.waits_for_review
    assert not outcome.finished
    assert current_release(ulm) == before
    assert set(run(stack, "ulm").tasks.values()) == {"skipped"}  # not a second time
    (waits,) = waiting(ulm)
    accept(ulm, waits, by="Ada", reason="a known gap")
    deadline = time.monotonic() + 300
    while not outcome.finished and time.monotonic() < deadline:
        (outcome,) = stack.client.progress([outcome.run])
        time.sleep(0.5)
    assert outcome.state == "success"
    assert current_release(ulm) != before


def repeat_a_row(ulm: Site) -> None:
    """Change the delivery a little; its injected errors are rejected as before."""
    path = next(ulm.inbox.glob("labor*.csv"))
    content = path.read_bytes()
    path.write_bytes(content + content.splitlines(keepends=True)[-1])


def test_a_spoilt_file_fails_in_words_and_tells_no_value(stack: AirflowStack) -> None:
    lyon = site(stack, "lyon")
    before = current_release(lyon)
    next(lyon.inbox.glob("*.xlsx")).write_text(CANARY, encoding="utf-8")
    outcome = run(stack, "lyon")
    assert outcome.state == "failed"
    assert current_release(lyon) == before
    failed = next(stage for stage, state in outcome.tasks.items() if state == "failed")
    name = f"dag_id=marmor_lyon/run_id={outcome.run.dag_run}/task_id={failed}/attempt=1.log"
    assert ".xlsx" in (stack.home / "logs" / name).read_text(encoding="utf-8")
    assert not (stack.home / "logs" / name.replace("attempt=1", "attempt=2")).exists()
    written = written_below(stack.home)
    assert b"marmor_lyon" in written
    assert CANARY.encode() not in written
