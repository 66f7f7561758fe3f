"""A site's party behind a Unix socket, for the stock SuperNode.

A stock SuperNode starts a new process for every message, but a query is a conversation that the
party remembers. So the party lives in a process of its own, with keys and executor, and Flower's
ClientApp only hands the bytes over: `python -m federated.flower.node --site FOLDER --listen PATH`.
"""

import socket
import socketserver
import struct
from collections.abc import Callable
from pathlib import Path


__all__ = ["forward", "listen"]

LARGEST = 64 * 2**20
"""Bytes of one message; the protocol's own limit."""


def listen(path: Path, party: Callable[[bytes], bytes]) -> None:
    """Answer at the Unix socket `path`, which only this user can open, until told to stop."""

    class Handler(socketserver.StreamRequestHandler):
        def handle(self) -> None:
            self.wfile.write(_frame(party(_read(self.rfile.read))))

    path.unlink(missing_ok=True)
    with socketserver.UnixStreamServer(str(path), Handler) as server:
        path.chmod(0o600)
        try:
            server.serve_forever()
        finally:
            path.unlink(missing_ok=True)


def forward(path: Path, content: bytes, timeout: float) -> bytes:
    """Hand `content` to the party at `path` and return its reply; OSError when it is not there."""
    with socket.socket(socket.AF_UNIX) as channel:
        channel.settimeout(timeout)
        channel.connect(str(path))
        channel.sendall(_frame(content))
        with channel.makefile("rb") as stream:
            return _read(stream.read)


def _frame(content: bytes) -> bytes:
    return struct.pack("<Q", len(content)) + content


def _read(read: Callable[[int], bytes]) -> bytes:
    head = read(8)
    size = struct.unpack("<Q", head)[0] if len(head) == 8 else LARGEST + 1
    content = read(size) if size <= LARGEST else b""
    if len(content) != size:
        raise OSError("the other side closed the socket")
    return content
