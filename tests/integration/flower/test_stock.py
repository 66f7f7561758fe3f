"""The slow path: stock flower-superlink, flower-supernode and `flwr run` give the same bytes."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from federated.flower import OFFLINE, fab
from federated.rehearsal import rehearse
from federated.request import parse_request
from infra import consortium
from infra.bench_stock import await_port, free_port

from .conftest import make_site


NAMES = ("leiden", "lyon", "ulm")
BIN = Path(sys.executable).parent
REQUEST = {
    "analysis": "crosstab",
    "view": "person",
    "parameters": {"variables": ["gene_group", "ever_fractured"]},
}
CONFIG = """\
[superlink]
default = "marmor"
[superlink.marmor]
address = "{address}"
root-certificates = "{ca}"
"""

Start = Callable[..., None]


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    (tmp_path / "flwr").mkdir()
    return {
        **os.environ,
        **OFFLINE,
        "FLWR_HOME": str(tmp_path / "flwr"),
        "PATH": f"{BIN}:{os.environ['PATH']}",
    }


@pytest.fixture
def start(tmp_path: Path, environment: dict[str, str]) -> Iterator[Start]:
    """Start a command with its output in a log; end all of them, with their children."""
    running: list[subprocess.Popen[bytes]] = []

    def begin(*command: object) -> None:
        with (tmp_path / f"{len(running)}.log").open("wb") as log:
            running.append(
                subprocess.Popen(
                    [str(part) for part in command],
                    env=environment,
                    stdout=log,
                    stderr=log,
                    start_new_session=True,
                )
            )

    yield begin
    for number in (signal.SIGTERM, signal.SIGKILL):
        for process in reversed(running):
            with suppress(ProcessLookupError):
                os.killpg(process.pid, number)
        time.sleep(2 if number == signal.SIGTERM else 0)
    for process in running:
        process.wait(10)


@pytest.mark.audit
def test_stock_flower_gives_the_same_bytes(
    tmp_path: Path, environment: dict[str, str], start: Start
) -> None:
    sites = {name: make_site(tmp_path / name, name) for name in NAMES}
    place = consortium.init(tmp_path / "c", port=free_port())
    consortium.enroll(place.folder, list(sites.values()))
    (tmp_path / "flwr/config.toml").write_text(CONFIG.format(address=place.address, ca=place.ca))
    (tmp_path / "request.json").write_text(json.dumps(REQUEST))

    def flwr(*arguments: object) -> None:
        command = [BIN / "flwr", *map(str, arguments)]
        subprocess.run(command, env=environment, check=True, capture_output=True, timeout=200)

    tls = place.certificates
    start(
        *(BIN / "flower-superlink", "--host", place.host, "--port", place.port),
        *("--ssl-ca-certfile", place.ca, "--ssl-certfile", tls / "gateway.pem"),
        *("--ssl-keyfile", tls / "gateway.key", "--enable-supernode-auth"),
    )
    await_port(place.port)
    for name, folder in sites.items():
        party = folder / "party"
        flwr("supernode", "register", place.nodes / f"{name}.pub", "marmor", "--name", name)
        start(sys.executable, "-m", "federated.flower.node", "--site", folder, "--listen", party)
        start(
            *(BIN / "flower-supernode", "--superlink", place.address),
            *("--root-certificates", place.ca, "--host", "127.0.0.1", "--port", free_port()),
            *("--auth-supernode-private-key", folder / "keys/node.key"),
            *("--node-config", f'party="{party}"'),
        )
    time.sleep(8)
    config = {name: str(tmp_path / name) for name in ("request.json", "result.json")}
    options = f'folder="{place.folder}" request="{config["request.json"]}"'
    flwr(
        "run", fab.FOLDER, "marmor", "--stream", "-c", f'{options} result="{config["result.json"]}"'
    )
    releases = {name: folder / "releases" / f"rel-{name}" for name, folder in sites.items()}
    rehearsed = rehearse(parse_request(REQUEST), releases)
    assert (tmp_path / "result.json").read_bytes() == rehearsed.to_json()
