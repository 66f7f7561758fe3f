"""Network namespaces for a gateway and sites, and recorders of all that crosses a site's edge.

A site has one way out, a pair of virtual interfaces to the gateway's namespace with the default
route on it: whatever it sends anywhere is seen there, also what would get nowhere. Two programs
help: one records every frame at the edge, the other is a node that records every byte before TLS.
"""

import ipaddress
import os
import shutil
import struct
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path


__all__ = ["Edge", "Packet", "edges", "frames", "why_not"]

GATEWAY = "10.99.0.1"

RECORDER = """\
import select, socket, struct, sys
files, sockets = {}, []
for pair in sys.argv[1:]:
    device, path = pair.split("=")
    edge = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(3))
    edge.bind((device, 0))
    edge.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2**25)
    files[edge.fileno()] = open(path, "wb", buffering=0)
    sockets.append(edge)
print("recording", flush=True)
while True:
    for edge in select.select(sockets, [], [])[0]:
        frame = edge.recv(2**17)
        files[edge.fileno()].write(struct.pack("<I", len(frame)) + frame)
"""

NODE = """\
import socket, ssl, sys
record = open(sys.argv.pop(1), "ab", buffering=0)
lookups = open(sys.argv.pop(1), "a", buffering=1)
for kind in (ssl.SSLSocket, socket.socket):
    for name in ("send", "sendall", "sendto"):
        def told(self, data, *others, _call=getattr(kind, name)):
            record.write(bytes(data))
            return _call(self, data, *others)
        setattr(kind, name, told)
def note(event, arguments):
    if event in ("socket.getaddrinfo", "socket.gethostbyname"):
        lookups.write(f"{arguments[0]}\\n")
sys.addaudithook(note)
from federated.flower import node, process
process.leave(node.main)
"""


def why_not() -> str:
    """Return why namespaces cannot be made on this machine; nothing when they can."""
    if os.geteuid() != 0:
        return "only root can make network namespaces that are joined"
    if shutil.which("ip") is None:
        return "there is no `ip` (iproute2)"
    name = f"marmor-{os.getpid()}"
    made = subprocess.run(["ip", "netns", "add", name], capture_output=True, text=True)
    if made.returncode != 0:
        return f"`ip netns add`: {made.stderr.strip()}"
    pair = ["ip", "-n", name, "link", "add", "near", "type", "veth", "peer", "name", "far"]
    linked = subprocess.run(pair, capture_output=True, text=True)
    subprocess.run(["ip", "netns", "del", name], check=True)
    return "" if linked.returncode == 0 else f"`ip link add`: {linked.stderr.strip()}"


@dataclass(frozen=True)
class Edge:
    """One namespace: how to run in it, its address, where what crosses its edge is recorded."""

    name: str
    address: str
    record: Path

    def command(self, *command: object) -> list[str]:
        """Return `command` as it runs inside."""
        return ["ip", "netns", "exec", self.name, *map(str, command)]


@contextmanager
def edges(sites: list[str], folder: Path) -> Iterator[tuple[Edge, dict[str, Edge]]]:
    """Make the gateway's namespace and one for each site, recorded into `folder`; yield them."""
    mark = f"mm{os.getpid()}"
    gateway = Edge(f"{mark}-gw", GATEWAY, folder / "gateway.frames")
    inside = {
        site: Edge(f"{mark}-{n}", f"10.99.{n}.2", folder / f"{site}.frames")
        for n, site in enumerate(sites, 1)
    }
    try:
        for edge in (gateway, *inside.values()):
            _ip("netns", "add", edge.name)
            _quiet(edge)
        _ip("-n", gateway.name, "address", "add", f"{GATEWAY}/32", "dev", "lo")
        for number, edge in enumerate(inside.values(), 1):
            _join(gateway, edge, number)
        with _recorder(gateway, inside):
            yield gateway, inside
    finally:
        for edge in (gateway, *inside.values()):
            with suppress(subprocess.CalledProcessError):
                _ip("netns", "del", edge.name)


@contextmanager
def _recorder(gateway: Edge, inside: dict[str, Edge]) -> Iterator[None]:
    pairs = [f"s{number}={edge.record}" for number, edge in enumerate(inside.values(), 1)]
    command = gateway.command(sys.executable, "-c", RECORDER, *pairs)
    with subprocess.Popen(command, stdout=subprocess.PIPE) as recorder:
        assert recorder.stdout is not None
        assert recorder.stdout.readline() == b"recording\n"
        try:
            yield
        finally:
            recorder.kill()


def _join(gateway: Edge, edge: Edge, number: int) -> None:
    """Lay the line between gateway and site, the site's only one, and its default route."""
    near, far = f"s{number}", f"10.99.{number}.1"
    peer = ("type", "veth", "peer", "name", "edge0", "netns", edge.name)
    _ip("-n", gateway.name, "link", "add", near, *peer)
    for name, device, address in ((gateway.name, near, far), (edge.name, "edge0", edge.address)):
        _ip("-n", name, "address", "add", f"{address}/30", "dev", device)
        _ip("-n", name, "link", "set", device, "up")
    _ip("-n", edge.name, "route", "add", "default", "via", far)


def _quiet(edge: Edge) -> None:
    """Let the kernel itself send nothing but ARP: no IPv6 there."""
    _ip("-n", edge.name, "link", "set", "lo", "up")
    off = "for f in /proc/sys/net/ipv6/conf/*/disable_ipv6; do [ -e $f ] && echo 1 > $f; done; true"
    subprocess.run(edge.command("sh", "-c", off), check=True)


def _ip(*arguments: str) -> None:
    subprocess.run(["ip", *arguments], check=True, capture_output=True)


@dataclass(frozen=True)
class Packet:
    """Who sent a frame to whom: addresses, and the protocol's number with ports for TCP and UDP."""

    source: str
    target: str
    protocol: int
    ports: tuple[int, int]


def frames(record: Path) -> Iterator[tuple[bytes, Packet | None]]:
    """Yield every recorded frame and what it is; None for ARP, which only asks for neighbours."""
    content, at = record.read_bytes(), 0
    while at < len(content):
        size = struct.unpack_from("<I", content, at)[0]
        frame = content[at + 4 : at + 4 + size]
        at += 4 + size
        kind = struct.unpack_from(">H", frame, 12)[0]
        yield frame, None if kind == 0x0806 else _packet(kind, frame[14:])


def _packet(kind: int, data: bytes) -> Packet:
    if kind != 0x0800:
        return Packet(f"ethertype {kind:#x}", "", -1, (0, 0))
    source, target = (str(ipaddress.IPv4Address(data[at : at + 4])) for at in (12, 16))
    start = (data[0] & 15) * 4
    ports = struct.unpack_from(">HH", data, start) if data[9] in (6, 17) else (0, 0)
    return Packet(source, target, data[9], (ports[0], ports[1]))
