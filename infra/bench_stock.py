"""The same queries through stock Flower: flower-superlink, flower-supernode and `flwr run`.

What our own gateway and nodes are measured against. Each site's party runs as a process of ours, as
`docs/consortium-operator.md` describes the slow path; Flower carries the messages as it comes.
"""

import json
import os
import signal
import socket
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from federated.flower import OFFLINE
from federated.flower.layout import Consortium
from infra.environments import python


__all__ = ["StockRun", "await_port", "free_port", "stock"]

BIN = python("federation").parent
APP = Path(__file__).resolve().parent.parent / "federated" / "flower" / "app"
CONFIG = """\
[superlink]
default = "marmor"
[superlink.marmor]
address = "{address}"
root-certificates = "{ca}"
"""
SETTLED = 8.0  # seconds until every SuperNode polls


class StockRun:
    """Asks one query with `flwr run`."""

    def __init__(self, place: Consortium, folder: Path, environment: Mapping[str, str]) -> None:
        self._place, self._folder, self._environment = place, folder, environment

    def __call__(self, request: Mapping[str, object], limit: float) -> tuple[float, bool]:
        """Return the seconds until the result was there, and whether it was within `limit`."""
        asked, answered = self._folder / "request.json", self._folder / "result.json"
        asked.write_text(json.dumps(request), encoding="utf-8")
        answered.unlink(missing_ok=True)
        options = f'folder="{self._place.folder}" request="{asked}" result="{answered}"'
        command = [BIN / "flwr", "run", APP, "marmor", "--stream", "-c", options]
        started = time.perf_counter()
        with subprocess.Popen(
            [str(part) for part in command],
            env=self._environment,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        ) as process:
            while not answered.exists() and process.poll() is None:
                if time.perf_counter() - started > limit:
                    break
                time.sleep(0.05)
            seconds = time.perf_counter() - started
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
        return seconds, answered.exists()


@contextmanager
def stock(place: Consortium, sites: Mapping[str, Path], folder: Path) -> Iterator[StockRun]:
    """Run stock Flower with the consortium's own certificates and keys, one SuperNode per site."""
    folder.mkdir(parents=True)
    (folder / "config.toml").write_text(CONFIG.format(address=place.address, ca=place.ca))
    path = f"{BIN}:{os.environ['PATH']}"
    environment = {**os.environ, **OFFLINE, "FLWR_HOME": str(folder), "PATH": path}
    running: list[subprocess.Popen[bytes]] = []

    def start(*command: object) -> None:
        with (folder / f"{len(running)}.log").open("wb") as log:
            words = [str(part) for part in command]
            running.append(
                subprocess.Popen(
                    words, env=environment, stdout=log, stderr=log, start_new_session=True
                )
            )

    try:
        start(*_superlink(place))
        await_port(place.port)
        for name, site in sites.items():
            key = place.nodes / f"{name}.pub"
            _flwr(environment, "supernode", "register", key, "marmor", "--name", name)
            party = site / "party"
            node = ("-m", "federated.flower.node", "--site", site, "--listen", party)
            start(python("federation"), *node)
            start(*_supernode(place, site, party))
        time.sleep(SETTLED)
        yield StockRun(place, folder, environment)
    finally:
        _end(running)


def _superlink(place: Consortium) -> Sequence[object]:
    """The command of the SuperLink, TLS and node authentication on."""
    tls = place.certificates
    return (
        *(BIN / "flower-superlink", "--host", place.host, "--port", place.port),
        *("--ssl-ca-certfile", place.ca, "--ssl-certfile", tls / "gateway.pem"),
        *("--ssl-keyfile", tls / "gateway.key", "--enable-supernode-auth"),
        "--disable-runtime-dependency-installation",
    )


def _supernode(place: Consortium, site: Path, party: Path) -> Sequence[object]:
    """The command of one SuperNode."""
    return (
        *(BIN / "flower-supernode", "--superlink", place.address),
        *("--root-certificates", place.ca, "--host", "127.0.0.1", "--port", free_port()),
        *("--auth-supernode-private-key", site / "keys" / "node.key"),
        *("--node-config", f'party="{party}"'),
    )


def _flwr(environment: Mapping[str, str], *arguments: object) -> None:
    """Run one `flwr` command to its end."""
    command = [str(BIN / "flwr"), *map(str, arguments)]
    subprocess.run(command, env=environment, check=True, capture_output=True, timeout=120)


def free_port() -> int:
    """Return a port on loopback that nobody listens at just now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def await_port(port: int) -> None:
    """Return when somebody listens at `port` on loopback; TimeoutError after a minute."""
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        with suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
            return
        time.sleep(0.1)
    raise TimeoutError("the SuperLink did not start")


def _end(running: Sequence[subprocess.Popen[bytes]]) -> None:
    """End every process that was started, with its children."""
    for number in (signal.SIGTERM, signal.SIGKILL):
        for process in reversed(running):
            with suppress(ProcessLookupError):
                os.killpg(process.pid, number)
        time.sleep(2 if number == signal.SIGTERM else 0)
    for process in running:
        process.wait(10)
