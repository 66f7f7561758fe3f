"""Whoever is killed comes back without a hand; whoever is told to stop stays away."""

import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from infra import consortium
from infra.bench_stock import free_port

from .conftest import Running, make_site
from .test_failures import await_none, new_question


NAMES = ("leiden", "lyon", "ulm")


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """A gateway and three nodes, each with its keeper; the tests end one after the other."""
    tmp_path = tmp_path_factory.mktemp("kept")
    sites = {name: make_site(tmp_path / name, name) for name in NAMES}
    consortium.init(tmp_path / "gateway", port=free_port())
    consortium.enroll(tmp_path / "gateway", list(sites.values()))
    running = Running(tmp_path / "gateway", sites)
    try:
        consortium.start(running.folder, tied=True, kept=True)
        for folder in sites.values():
            consortium.start_node(folder, tied=True, kept=True)
        running.await_online(3)
        yield running
    finally:
        running.close()


def child_of(record: Path) -> int:
    """Return the process id of the only child of the process in `record`."""
    keeper = consortium.service.running(record)
    (child,) = Path(f"/proc/{keeper}/task/{keeper}/children").read_text().split()
    return int(child)


def await_line(world: Running, name: str, text: str, count: int) -> None:
    deadline = time.monotonic() + 20
    while world.log(name).count(text) < count:
        assert time.monotonic() < deadline, world.log(name)
        time.sleep(0.05)


def test_killed_processes_come_back(kept: Running) -> None:
    node = kept.sites["lyon"] / "work/node.json"
    os.kill(first := child_of(node), signal.SIGKILL)
    await_line(kept, "lyon", "connected", 2)
    kept.await_online(3)
    assert child_of(node) != first
    os.kill(child_of(kept.folder / "run/gateway.json"), signal.SIGKILL)
    for name in NAMES:
        await_line(kept, name, "connected", 2 + (name == "lyon"))
    kept.await_online(3)
    with kept.client() as client:
        assert set(client.run(new_question()).provenance["releases"]) == set(NAMES)


def test_a_keeper_that_is_killed_leaves_nothing_behind(kept: Running) -> None:
    keeper = consortium.service.running(kept.sites["ulm"] / "work/node.json")
    assert keeper is not None
    os.kill(keeper, signal.SIGKILL)
    await_none(kept.sites["ulm"])


def test_a_stop_is_a_stop(kept: Running) -> None:
    assert consortium.stop(kept.folder, list(kept.sites.values()))
    await_none(kept.folder.parent)


def test_a_mistake_is_not_tried_again(tmp_path: Path) -> None:
    """A node without keys ends with the exit code of a user's mistake, and so does its keeper."""
    from infra.consortium.processes import running, start_process
    from infra.consortium.service import _command

    site = make_site(tmp_path / "lyon", "lyon")
    record, log = tmp_path / "node.json", tmp_path / "node.log"
    command = _command("node", "--site", site, kept=True)
    start_process(command, log=log, record=record, env={}, tied=True)
    deadline = time.monotonic() + 20
    while running(record) is not None:
        assert time.monotonic() < deadline
        time.sleep(0.05)
    assert log.read_text().count("enroll this site") == 1
