"""Foreign code, wrong keys, an old certificate: nothing is executed, and the site's log says so."""

import asyncio
import datetime
import io
import os
import shutil
import sys
import time
import zipfile
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
)

from federated.client import Client
from federated.flower import OFFLINE
from federated.flower.layout import load_consortium
from infra import consortium
from infra.bench_stock import free_port
from infra.consortium import certificates
from infra.consortium.files import write_secret
from infra.consortium.processes import end_processes, start_process
from transforms.errors import ConsortiumError, SiteDownError

from .conftest import Running, make_site
from .test_failures import executor_of, new_question


NAMES = ("leiden", "lyon", "ulm")


@pytest.fixture
def world(tmp_path: Path) -> Iterator[Running]:
    """Three sites and a consortium; nothing runs yet."""
    sites = {name: make_site(tmp_path / name, name) for name in NAMES}
    consortium.init(tmp_path / "gateway", port=free_port())
    consortium.enroll(tmp_path / "gateway", list(sites.values()))
    running = Running(tmp_path / "gateway", sites)
    yield running
    running.close()


def start_nodes(world: Running) -> None:
    for name in world.sites:
        world.start_node(name)


def await_line(world: Running, text: str) -> None:
    """Return when the log of every site has a line with `text`."""
    deadline = time.monotonic() + 20
    while not all(text in world.log(name) for name in world.sites):
        assert time.monotonic() < deadline, [world.log(name) for name in world.sites]
        time.sleep(0.05)


def ledgers(world: Running) -> list[bytes]:
    """Return the content of every site's ledger: an answer would be in it."""
    files = [file for site in world.sites.values() for file in sorted((site / "ledger").glob("*"))]
    return [file.read_bytes() for file in files]


ROGUE = """\
import pathlib
pathlib.Path({marker!r}).write_text("executed")
"""

# A gateway whose app holds code, and that says so to every node.
ROGUE_GATEWAY = """\
import functools, sys
from pathlib import Path
from federated.flower import fab, gateway
content = Path(sys.argv.pop(1)).read_bytes()
fab.bundle = lambda: content
raise SystemExit(gateway.main(sys.argv[1:]))
"""


def rogue_bundle(marker: Path) -> bytes:
    """Return a Flower app that leaves a file behind when any of its code is run."""
    from federated.flower import fab

    code = ROGUE.format(marker=str(marker))
    source = zipfile.ZipFile(io.BytesIO(fab.bundle()))
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name in source.namelist():
            archive.writestr(name, source.read(name))
        for name in ("__init__.py", "client_app.py", "server_app.py", "conftest.py", "setup.py"):
            archive.writestr(f"federated/flower/{name}", code)
            archive.writestr(name, code)
    return buffer.getvalue()


def test_a_rogue_app_is_refused_by_every_site(world: Running, tmp_path: Path) -> None:
    marker, bundle = tmp_path / "executed", tmp_path / "rogue.fab"
    bundle.write_bytes(rogue_bundle(marker))
    place = load_consortium(world.folder)
    options = ["--folder", str(place.folder)]
    start_process(
        [sys.executable, "-c", ROGUE_GATEWAY, str(bundle), *options],
        log=place.log,
        record=place.process,
        env=OFFLINE,
        tied=True,
    )
    consortium.service._await_health(place)
    start_nodes(world)
    world.await_online(3)
    before = ledgers(world)
    with world.client() as client, pytest.raises(SiteDownError):
        client.run(new_question())
    await_line(world, "not on the allow-list")
    assert not marker.exists()
    assert ledgers(world) == before


def test_planted_files_are_never_executed_and_are_told_of(world: Running, tmp_path: Path) -> None:
    """Where Flower would unpack apps, and take what lies there for unpacked, is nothing of ours."""
    from federated.flower import fab

    marker = tmp_path / "executed"
    for site in world.sites.values():
        home = site / "work/flower/apps"
        for app in (f"marmor.marmor.1.0.0.{fab.digest()[:8]}", "anything"):
            for name in ("federated/flower/client_app.py", "sitecustomize.py", "__init__.py"):
                planted = home / app / name
                planted.parent.mkdir(parents=True, exist_ok=True)
                planted.write_text(ROGUE.format(marker=str(marker)))
    world.start_gateway()
    start_nodes(world)
    world.await_online(3)
    with world.client() as client:
        assert set(client.run(new_question()).provenance["releases"]) == set(NAMES)
    await_line(world, "planted")
    assert not marker.exists()


def test_an_unregistered_key_gets_nowhere(world: Running) -> None:
    stranger = ec.generate_private_key(ec.SECP384R1())
    for site in world.sites.values():
        pem = stranger.private_bytes(Encoding.PEM, PrivateFormat.OpenSSH, NoEncryption())
        write_secret(site / "keys/node.key", pem)
    world.start_gateway()
    start_nodes(world)
    await_line(world, "does not know this site's node key")
    with world.client() as client:
        assert client.status()["online"] == 0
        with pytest.raises(SiteDownError):
            client.run(new_question())


@pytest.mark.parametrize(
    ("begins", "ends", "line"),
    [
        (-10, -1, "its certificate has expired"),
        pytest.param(1, 10, "its certificate is not valid yet", marks=pytest.mark.audit),
    ],
)
def test_a_certificate_out_of_its_time_is_not_trusted(
    world: Running, monkeypatch: pytest.MonkeyPatch, begins: int, ends: int, line: str
) -> None:
    place = load_consortium(world.folder)
    build = certificates._builder

    def dated(*arguments: object) -> x509.CertificateBuilder:
        now, day = datetime.datetime.now(datetime.UTC), datetime.timedelta(days=1)
        builder = build(*arguments)  # type: ignore[arg-type]
        builder._not_valid_before, builder._not_valid_after = None, None
        return builder.not_valid_before(now + begins * day).not_valid_after(now + ends * day)

    monkeypatch.setattr(certificates, "_builder", dated)
    consortium.renew(place.folder)
    monkeypatch.undo()
    start_process(
        [sys.executable, "-m", "federated.flower.gateway", "--folder", str(place.folder)],
        log=place.log,
        record=place.process,
        env=OFFLINE,
        tied=True,
    )
    start_nodes(world)
    await_line(world, line)
    with (
        Client(place.url, consortium.read_token(place.folder), place.ca) as client,
        pytest.raises(ConsortiumError, match=line),
    ):
        client.run(new_question())
    assert not any(ledgers(world))
    end_processes(place.process)
    consortium.renew(place.folder)
    world.start_gateway()
    world.await_online(3)


def test_another_authority_is_not_trusted_by_a_node(world: Running, tmp_path: Path) -> None:
    consortium.init(tmp_path / "false", port=1)
    for name in ("gateway.pem", "gateway.key"):
        target = world.folder / "certificates" / name
        target.unlink()
        shutil.copy(tmp_path / "false/certificates" / name, target)
    place = load_consortium(world.folder)
    start_process(
        [sys.executable, "-m", "federated.flower.gateway", "--folder", str(place.folder)],
        log=place.log,
        record=place.process,
        env=OFFLINE,
        tied=True,
    )
    start_nodes(world)
    await_line(world, "its certificate is not of this consortium")


def test_a_site_listens_nowhere_so_that_no_task_can_be_taken_from_it(world: Running) -> None:
    world.start_gateway()
    start_nodes(world)
    world.await_online(3)
    for name in world.sites:
        node = consortium.service.running(world.sites[name] / "work/node.json")
        for pid in (node, executor_of(world, name)):
            assert listening(pid) == set()
    gateway = consortium.status(world.folder).pid
    assert len(listening(gateway)) == 1  # the control: a listener would be seen


def listening(pid: int | None) -> set[str]:
    """Return the inodes of the TCP and Unix sockets on which process `pid` listens."""
    listeners = set()
    for table in ("tcp", "tcp6"):
        for line in Path(f"/proc/{pid}/net/{table}").read_text().splitlines()[1:]:
            fields = line.split()
            if fields[3] == "0A":
                listeners.add(fields[9])
    for line in Path(f"/proc/{pid}/net/unix").read_text().splitlines()[1:]:
        fields = line.split()
        if int(fields[3], 16) & 0x10000:  # __SO_ACCEPTCON
            listeners.add(fields[6])
    own = set()
    for link in Path(f"/proc/{pid}/fd").iterdir():
        with_target = os.readlink(link) if link.is_symlink() else ""
        if with_target.startswith("socket:["):
            own.add(with_target[8:-1])
    return listeners & own


def test_a_stolen_task_token_opens_no_door() -> None:
    """Whoever held the token of the gateway's own task would find no route to use it on."""
    from federated.flower.superlink import Door, flower_app

    flower = flower_app(b"secret")
    paths = [path for path in flower.openapi()["paths"] if "{" not in path]
    inside = asyncio.run(statuses(flower, paths))
    assert inside["/v1/runtime/pull-task-input"] != 404, "Flower has it, the door hides it"
    through = asyncio.run(statuses(Door(flower, flower), paths))
    assert {path for path, status in through.items() if status != 404} == {
        "/v1/fleet/get-run",
        "/v1/fleet/get-fab",
    }


async def statuses(app: object, paths: list[str]) -> dict[str, int]:
    """Return the status of a call with a token to each path of `app`."""
    transport = httpx.ASGITransport(app, raise_app_exceptions=False)  # type: ignore[arg-type]
    headers = {"authorization": "Bearer stolen", "flwr-app-token": "stolen"}
    async with httpx.AsyncClient(transport=transport, base_url="https://gateway") as client:
        return {path: (await client.post(path, headers=headers)).status_code for path in paths}
