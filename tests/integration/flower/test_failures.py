"""Sites that are down, killed, or refuse: the answer says so, and they come back by themselves."""

import itertools
import os
import signal
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import pytest

from infra import consortium
from transforms.errors import SetupError, SiteDownError

from .conftest import Running


# Twenty questions, then again: each test has centres of its own, that remember no other's.
VARIABLES = itertools.cycle(
    [first, second]
    for first in ("sex_at_birth", "severity", "visual_loss", "hearing_loss", "marrow_failure")
    for second in ("gene_group", "ever_fractured", "died", "hsct")
)


def new_question() -> dict[str, object]:
    """Return a question that a test did not ask before, so that the sites must answer it."""
    variables = next(VARIABLES)
    return {"analysis": "crosstab", "view": "person", "parameters": {"variables": variables}}


def processes_of(folder: Path) -> list[str]:
    """Return the command lines of running processes that name a file below `folder`."""
    found = []
    for entry in Path("/proc").iterdir():
        try:
            line = (entry / "cmdline").read_text() if entry.name.isdigit() else ""
        except OSError:
            continue
        if str(folder) in line:  # a zombie has no command line any more
            found.append(line.replace("\0", " "))
    return found


def await_none(folder: Path) -> None:
    """Return when no process of `folder` is left."""
    deadline = time.monotonic() + 10
    while left := processes_of(folder):
        assert time.monotonic() < deadline, left
        time.sleep(0.05)


def executor_of(running: Running, name: str) -> int:
    """Return the process id of a site's executor: the only child of its node."""
    node = consortium.service.running(running.sites[name] / "work" / "node.json")
    children = Path(f"/proc/{node}/task/{node}/children").read_text().split()
    (child,) = map(int, children)
    return child


@pytest.fixture
def one_down(running: Running) -> Iterator[str]:
    consortium.stop_node(running.sites["ulm"])
    running.await_online(3)
    yield "ulm"
    running.start_node("ulm")
    running.await_online(4)


def test_a_site_that_is_down_is_counted_in_the_result(running: Running, one_down: str) -> None:
    with running.client() as client:
        provenance = client.run(new_question()).provenance
    assert provenance["absent"] == {"offline": 1}
    assert set(provenance["releases"]) == set(running.sites) - {one_down}


def test_too_few_sites_is_an_error_that_counts_them(running: Running, one_down: str) -> None:
    consortium.stop_node(running.sites["lyon"])
    running.await_online(2)
    try:
        with (
            running.client() as client,
            pytest.raises(SiteDownError, match="2 absent: not connected"),
        ):
            client.run(new_question())
    finally:
        running.start_node("lyon")
        running.await_online(3)


def test_an_executor_stays_warm_between_queries(running: Running) -> None:
    first = executor_of(running, "lyon")
    with running.client() as client:
        for _ in range(2):
            client.run(new_question())
    assert executor_of(running, "lyon") == first


def test_a_killed_executor_is_replaced(running: Running) -> None:
    os.kill(first := executor_of(running, "lyon"), signal.SIGKILL)
    with running.client() as client:
        assert set(client.run(new_question()).provenance["releases"]) == set(running.sites)
    assert executor_of(running, "lyon") != first


def test_a_killed_node_takes_its_executor_along_and_is_absent_at_once(running: Running) -> None:
    node = consortium.service.running(running.sites["lyon"] / "work" / "node.json")
    assert node is not None
    os.kill(node, signal.SIGKILL)
    running.await_online(3, seconds=10)
    await_none(running.sites["lyon"])
    running.start_node("lyon")
    running.await_online(4)


def test_an_older_connection_of_a_node_is_let_go(running: Running) -> None:
    """After a broken connection the gateway may still hold the old call: it must not count."""
    consortium.stop_node(running.sites["ulm"])
    running.await_online(3)
    old = running.link("ulm")
    with closing(running.link("ulm")) as new, ThreadPoolExecutor(2) as pool:
        old.hello()
        held = pool.submit(old.exchange, None)
        running.await_online(4)
        new.hello()
        assert held.result(5) is None
        waiting = pool.submit(new.exchange, None)
        running.await_online(4)
        old._client.close()  # without a goodbye, as a broken connection ends
        time.sleep(0.3)
        running.await_online(4, seconds=1)
        running.start_node("ulm")  # ends the call that waits
        assert waiting.result(30) is None
    running.await_online(4)


def test_nodes_return_to_a_gateway_that_was_killed(running: Running) -> None:
    gateway = consortium.status(running.folder).pid
    assert gateway is not None
    os.kill(gateway, signal.SIGKILL)
    running.await_end(gateway)
    assert set(consortium.status(running.folder).sites.values()) == {"unknown"}
    running.start_gateway()
    running.await_online(4)
    with running.client() as client:
        assert set(client.run(new_question()).provenance["releases"]) == set(running.sites)


def test_a_foreign_app_is_never_executed(running: Running) -> None:
    """The site allows another bundle than the one that the gateway runs."""
    settings = running.sites["ulm"] / "keys" / "federation.toml"
    agreed = settings.read_text()
    settings.write_text(agreed.replace('allowed_apps = ["', 'allowed_apps = ["f'))
    running.restart_node("ulm")
    running.await_online(4)
    ledger = [path.read_bytes() for path in sorted((running.sites["ulm"] / "ledger").iterdir())]
    try:
        with running.client() as client:
            provenance = client.run(new_question()).provenance
        assert "ulm" not in provenance["releases"]
        assert "not on the allow-list" in running.log("ulm")
        now = [path.read_bytes() for path in sorted((running.sites["ulm"] / "ledger").iterdir())]
        assert now == ledger
    finally:
        settings.write_text(agreed)
        running.restart_node("ulm")
        running.await_online(4)


def test_starting_twice_is_an_error(running: Running) -> None:
    with pytest.raises(SetupError, match="runs already"):
        consortium.start(running.folder)
    with pytest.raises(SetupError, match="runs already"):
        consortium.start_node(running.sites["ulm"])


def test_nothing_is_left_after_a_stop(running: Running) -> None:
    root = running.folder.parent
    assert len(processes_of(root)) == 9  # a gateway, four nodes, four executors
    assert consortium.stop(running.folder, list(running.sites.values()))
    await_none(root)
    assert not consortium.stop(running.folder)
