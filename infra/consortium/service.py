"""The processes of a consortium: one gateway at the operator, one node at each site."""

import json
import socket
import ssl
import time
import urllib.error
import urllib.request
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from federated.client import Client
from federated.flower import OFFLINE
from federated.flower.layout import Consortium, load_consortium, load_membership
from federated.roster import load_roster
from infra.consortium.enrollment import read_token
from infra.consortium.processes import end_processes, running, start_process
from infra.environments import python
from transforms.errors import ConsortiumError, SetupError
from transforms.site import Site, load_site


__all__ = ["Status", "node_walls", "start", "start_node", "status", "stop", "stop_node"]

PATIENCE = 30.0
"""Seconds until a gateway that was started must answer."""


@dataclass(frozen=True)
class Status:
    """What an operator wants to know: is the gateway up, where, and which sites are connected."""

    url: str
    pid: int | None
    sites: Mapping[str, str]
    log: Path


def start(folder: Path, *, tied: bool = False, kept: bool = False) -> int:
    """Start the gateway of the consortium in `folder`; return its process id once it answers.

    With `tied` it ends with this process; with `kept` it is started again whenever it is killed,
    and the id is its keeper's. Raises ConsortiumError when no site is enrolled,
    SetupError when it runs already, its port is taken or it ends at once; then the message ends
    with the log's last line.
    """
    consortium = load_consortium(folder)
    if not load_roster(consortium.roster).sites:
        raise ConsortiumError(f"{folder}: no site is enrolled; use `marmor consortium enroll`")
    if running(consortium.process) is None:
        _check_port(consortium)
    pid = start_process(
        _command("gateway", "--folder", consortium.folder, kept=kept),
        log=consortium.log,
        record=consortium.process,
        env=OFFLINE,
        tied=tied,
    )
    try:
        _await_health(consortium)
    except BaseException:
        end_processes(consortium.process)
        raise
    return pid


def stop(folder: Path, sites: Sequence[Path] = ()) -> bool:
    """Stop the gateway, and with it the nodes of `sites`; return whether the gateway was running.

    Nodes that are not named keep trying to reconnect.
    """
    records = [load_consortium(folder).process, *(_node_record(load_site(site)) for site in sites)]
    return end_processes(*records)[0]


def status(folder: Path) -> Status:
    """Return what the gateway says of itself; every site is "unknown" when it does not run."""
    consortium = load_consortium(folder)
    pid = running(consortium.process)
    sites = dict.fromkeys(load_roster(consortium.roster).sites, "unknown")
    if pid is not None:
        with Client(consortium.url, read_token(folder, "operator"), consortium.ca) as client:
            sites |= client.status()["site_status"]
    return Status(consortium.url, pid, sites, consortium.log)


def start_node(folder: Path, *, tied: bool = False, kept: bool = False) -> int:
    """Start the node of the site in `folder`; return its process id.

    It connects by itself and keeps trying; with `tied` it ends with this process; with `kept` it is
    started again whenever it is killed, and the id is its keeper's. Raises
    ConsortiumError when the site's keys do not fit, SetupError when the node runs already.
    """
    site = load_site(folder)
    load_membership(site.keys)
    return start_process(
        _command("node", "--site", site.folder, kept=kept),
        log=_node_log(site),
        record=_node_record(site),
        env=OFFLINE,
        tied=tied,
    )


def stop_node(folder: Path) -> bool:
    """Stop the node of the site in `folder` and its executor; return whether it was running."""
    return end_processes(_node_record(load_site(folder)))[0]


def node_walls(site: Site) -> tuple[str, ...] | None:
    """Return which walls stand around the executor of `site`; None while its node does not run.

    network: it reaches none; files: it opens no file of the site; limits: memory, time, files;
    user: it runs as another user than the node.
    """
    if running(_node_record(site)) is None:
        return None
    try:
        walls = json.loads((site.work / "executor.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return ()
    return tuple(name for name, stands in walls.items() if stands)


def _command(module: str, option: str, folder: Path, *, kept: bool) -> list[str]:
    return [
        str(python("federation")),
        "-m",
        f"federated.flower.{module}",
        option,
        str(folder),
        *(["--keep"] if kept else []),
    ]


def _node_log(site: Site) -> Path:
    return site.work / "node.log"


def _node_record(site: Site) -> Path:
    return site.work / "node.json"


def _check_port(consortium: Consortium) -> None:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((consortium.host, consortium.port))
        except OSError as error:
            raise SetupError(
                f"{consortium.address}: cannot listen there ({error.strerror}); choose another "
                f"host or port in {consortium.folder / 'consortium.toml'} and enroll again"
            ) from None


def _await_health(consortium: Consortium) -> None:
    """Return when the gateway answers; raise SetupError when it ends or takes too long."""
    trust = ssl.create_default_context(cafile=str(consortium.ca))
    url = f"{consortium.url}/marmor/v1/health"
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline and running(consortium.process) is not None:
        try:
            with urllib.request.urlopen(url, timeout=2, context=trust):  # noqa: S310 - https only
                return
        except (urllib.error.URLError, OSError):
            time.sleep(0.05)
    lines = consortium.log.read_text(encoding="utf-8", errors="replace").splitlines()
    raise SetupError(
        f"the gateway did not start: {lines[-1] if lines else 'no log'}; see {consortium.log}"
    )
