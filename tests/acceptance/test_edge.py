"""Each site in a network of its own: no raw data crosses its edge, and nobody else is called.

The local half runs in there too, from raw files to a release. What crosses is recorded twice: every
frame at the edge, and every byte of the node before TLS hides it. Controls show that the recorders
work and that the search would find a canary.
"""

import json
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import duckdb
import pytest

import infra.consortium
from federated.flower import OFFLINE
from federated.flower.layout import load_consortium
from infra.consortium.processes import end_processes, start_process
from infra.demo.synthesize import synthesize
from infra.environments import ROOT, python
from tests.acceptance.canaries import found, harvest
from tests.acceptance.edge import GATEWAY, NODE, Edge, edges, frames, why_not
from transforms.site import Site, load_site, site_folders


PORT = 8443
TCP = 6
REQUEST = {
    "analysis": "crosstab",
    "view": "person",
    "minimum_sites": 3,
}
ASK = """\
import json, sys
from federated.client import Client
with Client(sys.argv[1], sys.argv[2], sys.argv[3]) as client:
    print(json.dumps(client.run(json.loads(sys.argv[4])).provenance["releases"]))
"""


@dataclass(frozen=True)
class Crossing:
    """What was recorded while three sites published and answered."""

    sites: dict[str, Site]
    edges: dict[str, Edge]
    answered: dict[str, str]

    def plain(self, name: str) -> bytes:
        """What a site's node sent, before TLS."""
        return self.edges[name].record.with_suffix(".plain").read_bytes()


@pytest.fixture(scope="module")
def crossing(tmp_path_factory: pytest.TempPathFactory) -> Crossing:
    if reason := why_not():
        pytest.skip(f"no network namespaces here: {reason}")
    folder = tmp_path_factory.mktemp("canary-in-the-path")
    synthesize(sites=3, patients=40, seed=11, out=folder / "sites", artefacts=False)
    sites = {path.name: load_site(path) for path in site_folders(folder / "sites")}
    with edges(list(sites), folder) as (gateway, inside):
        with ThreadPoolExecutor(2) as pool:
            list(pool.map(publish, inside.values(), sites.values()))
        place = infra.consortium.init(folder / "consortium", host=GATEWAY, port=PORT)
        infra.consortium.enroll(place.folder, [site.folder for site in sites.values()])
        return Crossing(sites, inside, converse(gateway, inside, sites, place.folder))


def publish(edge: Edge, site: Site) -> None:
    """Take a site from raw files to a release, in its namespace."""
    command = [sys.executable, "-m", "infra.cli", "site", "run", site.folder, "--json"]
    done = subprocess.run(edge.command(*command), cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def converse(
    gateway: Edge, inside: dict[str, Edge], sites: dict[str, Site], folder: Path
) -> dict[str, str]:
    """Run gateway and nodes in their namespaces, ask one question, return who answered."""
    place, flower = load_consortium(folder), python("federation")
    records = [place.process, *(site.work / "node.json" for site in sites.values())]
    command = gateway.command(flower, "-m", "federated.flower.gateway", "--folder", folder)
    start_process(command, log=place.log, record=records[0], env=OFFLINE, tied=True)
    try:
        for name, site in sites.items():
            files = [inside[name].record.with_suffix(end) for end in (".plain", ".lookups")]
            command = inside[name].command(flower, "-c", NODE, *files, "--site", site.folder)
            log, record = site.work / "node.log", site.work / "node.json"
            start_process(command, log=log, record=record, env=OFFLINE, tied=True)
        answered = ask(gateway, folder)
        for site in sites.values():
            spoil(site)
        assert put(gateway, folder, "severity").returncode != 0
        return answered
    finally:
        end_processes(*reversed(records))


def ask(gateway: Edge, folder: Path) -> dict[str, str]:
    """Ask from the gateway's machine, again until every site has come."""
    deadline = time.monotonic() + 60
    while (done := put(gateway, folder, "ever_fractured")).returncode != 0:
        assert time.monotonic() < deadline, done.stderr
        time.sleep(0.5)
    return dict(json.loads(done.stdout))


def put(gateway: Edge, folder: Path, variable: str) -> subprocess.CompletedProcess[str]:
    """Ask once for a table of sex by `variable`."""
    place, secret = load_consortium(folder), infra.consortium.read_token(folder)
    request = {**REQUEST, "parameters": {"variables": ["sex_at_birth", variable]}}
    arguments = [place.url, secret, place.ca, json.dumps(request)]
    command = gateway.command(python("federation"), "-c", ASK, *arguments)
    return subprocess.run(command, capture_output=True, text=True)


def spoil(site: Site) -> None:
    """Write the centre's raw files over its view, so that reading it fails on patients' data."""
    view = site.releases / site.current.read_text().strip() / "views/person.parquet"
    raw = b"".join(path.read_bytes() for path in sorted(site.inbox.rglob("*")) if path.is_file())
    view.chmod(0o600)
    view.write_bytes(raw)


def canaries(site: Site) -> set[str]:
    """Return texts that must not leave: of persons, their pseudonyms, keys, the folder's name."""
    tables = site.releases / site.current.read_text().strip() / "tables"
    rows = duckdb.execute(
        "select distinct person_id from read_parquet($1) order by all limit 10",
        [str(tables / "person.parquet")],
    ).fetchall()
    secrets = [path.read_text("latin-1").splitlines() for path in site.keys.glob("*.key")]
    lines = {line for text in secrets for line in text if line and not line.startswith("-----")}
    return {*harvest(site), *(str(row[0]) for row in rows), *lines, "canary-in-the-path"}


def test_every_site_has_answered(crossing: Crossing) -> None:
    assert set(crossing.answered) == set(crossing.sites)


def test_no_canary_crosses_the_edge(crossing: Crossing) -> None:
    for name, site in crossing.sites.items():
        texts = canaries(site)
        assert len(texts) > 50
        crossed = b"".join(frame for frame, _ in frames(crossing.edges[name].record))
        plain = crossing.plain(name)
        assert found(texts, {"frames": crossed, "before TLS": plain}) == []


def test_a_failure_on_raw_data_tells_a_code(crossing: Crossing) -> None:
    for name, site in crossing.sites.items():
        assert b"view_changed" in crossing.plain(name)
        assert "view_changed: ExecutorError" in (site.work / "node.log").read_text()


def test_the_recorders_see_what_is_sent(crossing: Crossing) -> None:
    """Before TLS the protocol's own words are there; on the wire they are not, so it is TLS."""
    for name in crossing.sites:
        crossed = b"".join(frame for frame, _ in frames(crossing.edges[name].record))
        plain = crossing.plain(name)
        assert b"MRM1" in plain
        assert crossing.answered[name].encode() in plain  # the release's id does leave
        assert crossing.answered[name].encode() not in crossed
        assert len(crossed) > len(plain) > 1000


def test_only_the_gateway_is_called(crossing: Crossing) -> None:
    for name, edge in crossing.edges.items():
        packets = [packet for _, packet in frames(edge.record) if packet is not None]
        sent = [packet for packet in packets if packet.source != GATEWAY]
        assert len(sent) > 10
        strange = {
            packet
            for packet in sent
            if (packet.source, packet.target, packet.protocol) != (edge.address, GATEWAY, TCP)
            or packet.ports[1] != PORT
        }
        assert strange == set(), name
        assert set(edge.record.with_suffix(".lookups").read_text().split()) == {GATEWAY}


def test_a_planted_canary_and_a_strange_call_would_be_seen(tmp_path: Path) -> None:
    if reason := why_not():
        pytest.skip(f"no network namespaces here: {reason}")
    text = "Canary Kanarienvogel, born 1999-09-09"
    call = (
        "import socket, sys; s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); "
        f"s.sendto(sys.argv[1].encode(), ('192.0.2.7', 53)); "
        f"s.sendto(sys.argv[1].encode().hex().encode(), ('{GATEWAY}', 9))"
    )
    with edges(["ulm"], tmp_path) as (_, inside):
        edge = inside["ulm"]
        subprocess.run(edge.command(sys.executable, "-c", call, text), check=True)
        deadline = time.monotonic() + 10
        while len(seen := [p for _, p in frames(edge.record) if p and p.protocol == 17]) < 2:
            assert time.monotonic() < deadline
            time.sleep(0.05)
    assert {(packet.target, packet.ports[1]) for packet in seen} == {
        ("192.0.2.7", 53),
        (GATEWAY, 9),
    }
    crossed = b"".join(frame for frame, _ in frames(edge.record))
    assert len(found([text], {"frames": crossed})) == 2
