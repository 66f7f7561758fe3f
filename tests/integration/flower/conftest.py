"""A real consortium on loopback: gateway and four nodes as processes, TLS and node keys on."""

import hashlib
import json
import os
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from federated.client import Client
from federated.flower.layout import read_node_key
from infra import consortium
from infra.bench_stock import free_port
from transforms.dictionary import DICTIONARY
from transforms.dictionary.arrow import schema
from transforms.dictionary.model import Field
from transforms.manifest import seal_digest
from transforms.site import create_site


if TYPE_CHECKING:
    from federated.flower.link import Link

NAMES = ("leiden", "lyon", "torino", "ulm")


@dataclass
class Running:
    """A consortium with all processes up; `sites` are the folders of the sites by name."""

    folder: Path
    sites: dict[str, Path]

    @property
    def url(self) -> str:
        return consortium.status(self.folder).url

    @property
    def ca(self) -> Path:
        return self.folder / "certificates" / "ca.pem"

    def client(self) -> Client:
        return Client(self.url, consortium.read_token(self.folder), self.ca)

    def link(self, name: str, key: ec.EllipticCurvePrivateKey | None = None) -> "Link":
        """Return a connection as the node of site `name` makes it, or with another key."""
        from federated.flower.link import Link

        key = key or read_node_key(self.sites[name] / "keys" / "node.key")
        return Link(self.url.removeprefix("https://"), self.ca.read_bytes(), key)

    def release(self, name: str) -> Path:
        current = (self.sites[name] / "CURRENT").read_text()
        return self.sites[name] / "releases" / current

    def log(self, name: str) -> str:
        return (self.sites[name] / "work" / "node.log").read_text()

    def gateway_log(self) -> str:
        return (self.folder / "log" / "gateway.log").read_text()

    def restart_node(self, name: str) -> None:
        consortium.stop_node(self.sites[name])
        self.start_node(name)

    def start_node(self, name: str) -> None:
        consortium.start_node(self.sites[name], tied=True)

    def start_gateway(self) -> None:
        consortium.start(self.folder, tied=True)

    def close(self) -> None:
        consortium.stop(self.folder, list(self.sites.values()))

    def await_end(self, pid: int) -> None:
        """Return when process `pid`, a child of ours, has ended."""
        os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)

    def await_online(self, count: int, seconds: float = 20.0) -> None:
        """Return when exactly `count` nodes are connected."""
        deadline = time.monotonic() + seconds
        with self.client() as client:
            while client.status()["online"] != count:
                assert time.monotonic() < deadline, "the nodes did not (dis)connect in time"
                time.sleep(0.05)


def make_site(folder: Path, name: str, rows: int = 60) -> Path:
    """Make a site with one release whose views hold `rows` invented rows."""
    create_site(folder, site_id=name, name=name, country="DE", language="de")
    generator = np.random.default_rng(sum(map(ord, name)))
    views = folder / "releases" / f"rel-{name}" / "views"
    views.mkdir(parents=True)
    for view in DICTIONARY.views.values():
        columns = [_column(field, rows, generator) for field in view.fields]
        pq.write_table(pa.table(columns, schema=schema(view)), views / f"{view.name}.parquet")
    digests = {p: hashlib.sha256(p.read_bytes()).hexdigest() for p in sorted(views.iterdir())}
    files = {f"views/{path.name}": {"sha256": digest} for path, digest in digests.items()}
    manifest = {"files": files, "seal_sha256": seal_digest({"files": files})}
    (views.parent / "MANIFEST.json").write_text(json.dumps(manifest))
    (folder / "CURRENT").write_text(f"rel-{name}")
    return folder


def _column(field: Field, rows: int, generator: np.random.Generator) -> pa.Array:
    if field.type == "code":
        assert field.codelist is not None
        codes = list(DICTIONARY.codelists[field.codelist].codes)[:2]
        return pa.array(generator.choice(codes, rows))
    if field.type == "boolean":
        return pa.array(generator.random(rows) < 0.5)
    if field.type == "integer":
        return pa.array(generator.integers(0, 4, rows))
    return pa.array(np.round(generator.uniform(0.5, 40.0, rows), 2))


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    folder = tmp_path_factory.mktemp("consortium")
    sites = {name: make_site(folder / name, name) for name in NAMES}
    consortium.init(folder / "gateway", port=free_port())
    consortium.enroll(folder / "gateway", list(sites.values()))
    world = Running(folder / "gateway", sites)
    try:
        world.start_gateway()
        for name in sites:
            world.start_node(name)
        world.await_online(len(sites))
        yield world
    finally:
        world.close()
