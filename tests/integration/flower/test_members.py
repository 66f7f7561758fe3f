"""Sites come and go while the gateway runs: nobody restarts anything for it."""

import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import httpx
import pytest

from infra import consortium
from infra.bench_stock import free_port
from transforms.errors import ConsortiumError, RefusedError, SiteDownError

from .conftest import Running, make_site
from .test_failures import new_question


NAMES = ("graz", "leiden", "lyon")


@pytest.fixture
def world(tmp_path: Path) -> Iterator[Running]:
    """A gateway and three sites, of which the nodes run."""
    sites = {name: make_site(tmp_path / name, name) for name in NAMES}
    consortium.init(tmp_path / "gateway", port=free_port())
    consortium.enroll(tmp_path / "gateway", list(sites.values()))
    running = Running(tmp_path / "gateway", sites)
    try:
        running.start_gateway()
        for name in sites:
            running.start_node(name)
        running.await_online(len(sites))
        yield running
    finally:
        running.close()


def await_true(seen: Callable[[], object]) -> None:
    deadline = time.monotonic() + 15
    while not seen():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_a_site_comes_and_goes_without_a_restart(world: Running, tmp_path: Path) -> None:
    world.sites["ulm"] = make_site(tmp_path / "ulm", "ulm")
    consortium.enroll(world.folder, list(world.sites.values()))
    world.start_node("ulm")
    world.await_online(4)
    with world.client() as client:
        assert set(client.run(new_question()).provenance["releases"]) == {*NAMES, "ulm"}

    node_key = (world.folder / "nodes/ulm.pub").read_bytes()
    roster = consortium.remove(world.folder, "ulm")
    world.await_online(3)  # although the node's call was being held open
    await_true(lambda: "no longer (HTTP 401)" in world.log("ulm"))
    assert "ulm: its node key was taken back" in world.gateway_log()
    assert set(consortium.status(world.folder).sites) == set(NAMES)
    assert roster.digest not in (world.sites["lyon"] / "keys/federation.toml").read_text()
    with closing(world.link("ulm")) as link, pytest.raises(httpx.HTTPStatusError):
        link.hello()

    with world.client() as client, pytest.raises(RefusedError, match="pinned another roster"):
        client.run(new_question())
    del world.sites["ulm"]
    consortium.enroll(world.folder, list(world.sites.values()))  # the nodes run on
    with world.client() as client:
        assert set(client.run(new_question()).provenance["releases"]) == set(NAMES)
    assert f"now holds to roster {roster.digest[:16]}" in world.log("lyon")
    (world.folder / "nodes/lyon.pub").write_bytes(node_key)
    await_true(lambda: "lyon: this node key was taken back before" in world.gateway_log())


def test_a_node_whose_key_is_taken_back_loses_the_call_it_holds(world: Running) -> None:
    consortium.stop_node(world.sites["lyon"])
    world.await_online(2)
    with closing(world.link("lyon")) as link, ThreadPoolExecutor(1) as pool:
        link.hello()
        held = pool.submit(link.exchange, None)
        world.await_online(3)
        (world.folder / "nodes/lyon.pub").unlink()
        assert held.result(5) is None
        with pytest.raises(httpx.HTTPStatusError):
            link.exchange(None)


def test_a_broken_roster_stops_queries_and_not_the_gateway(world: Running) -> None:
    path = world.folder / "roster.toml"
    agreed = path.read_text()
    with world.client() as client:
        path.write_text("[")
        with pytest.raises(ConsortiumError, match="tell its operator") as told:
            client.run(new_question())
        assert str(world.folder) not in str(told.value)
        await_true(lambda: "roster.toml: not a TOML file" in world.gateway_log())
        path.write_text(agreed)
        assert set(client.run(new_question()).provenance["releases"]) == set(NAMES)


def test_a_site_whose_files_do_not_fit_takes_part_in_nothing(world: Running) -> None:
    pinned = world.sites["lyon"] / "keys/roster.toml"
    agreed = pinned.read_text()
    pinned.write_text(agreed.replace('graz = "', 'graz = "0').replace('"0', '"', 1) + "\nx = 1\n")
    try:
        with world.client() as client, pytest.raises(SiteDownError, match="2 sites can answer"):
            client.run(new_question())
    finally:
        pinned.write_text(agreed)
    assert "takes part in nothing until this is mended" in world.log("lyon")
    with world.client() as client:
        assert set(client.run(new_question()).provenance["releases"]) == set(NAMES)
