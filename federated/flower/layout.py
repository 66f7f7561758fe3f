"""Where the files of a consortium and of a site's membership are, and what must be in them.

CONSORTIUM/                          SITE/keys/
  consortium.toml   host, port         federation.toml   gateway, allowed apps, roster digest
  roster.toml       site identities    roster.toml       as compared and pinned by this site
  policy.toml       optional           ca.pem            the only root this node trusts
  nodes/SITE.pub    public node keys   node.key          P-384: opens the connection
  certificates/     CA, server         identity.pem      Ed25519: signs in the protocol
  tokens.json       hashes of tokens
  state/ results/ log/ run/

Node keys are in OpenSSH's formats, the only ones that stock Flower takes.
"""

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import (
    load_pem_private_key,
    load_ssh_private_key,
)

from federated.roster import Roster, load_roster
from transforms.errors import ConsortiumError


__all__ = [
    "Consortium",
    "Membership",
    "load_consortium",
    "load_membership",
    "read_identity_key",
    "read_node_key",
    "read_secret",
    "stamp",
]


@dataclass(frozen=True)
class Consortium:
    """One consortium's folder at its operator."""

    folder: Path
    host: str
    port: int

    @property
    def address(self) -> str:
        """The gateway as "host:port"."""
        return f"{self.host}:{self.port}"

    @property
    def url(self) -> str:
        """The gateway's base address for analysts."""
        return f"https://{self.address}"

    @property
    def roster(self) -> Path:
        """Who takes part."""
        return self.folder / "roster.toml"

    @property
    def policy(self) -> Path:
        """The consortium's policy; the default profile where there is no file."""
        return self.folder / "policy.toml"

    @property
    def nodes(self) -> Path:
        """Public node keys, one file per site in OpenSSH's format."""
        return self.folder / "nodes"

    @property
    def certificates(self) -> Path:
        """The consortium's own CA and the gateway's certificate."""
        return self.folder / "certificates"

    @property
    def ca(self) -> Path:
        """The certificate that sites and analysts trust."""
        return self.certificates / "ca.pem"

    @property
    def tokens(self) -> Path:
        """Hashes of the analysts' tokens."""
        return self.folder / "tokens.json"

    @property
    def results(self) -> Path:
        """Answered queries, one folder per analyst."""
        return self.folder / "results"

    @property
    def state(self) -> Path:
        """The coordinator's ledger and store."""
        return self.folder / "state"

    @property
    def log(self) -> Path:
        """The gateway's log."""
        return self.folder / "log" / "gateway.log"

    @property
    def process(self) -> Path:
        """Which process serves."""
        return self.folder / "run" / "gateway.json"


@dataclass(frozen=True)
class Membership:
    """What a site has pinned and the keys it takes part with."""

    gateway: str
    allowed_apps: frozenset[str]
    roster: Roster
    ca: bytes
    node_key: ec.EllipticCurvePrivateKey
    identity_key: Ed25519PrivateKey


def load_consortium(folder: Path) -> Consortium:
    """Read `folder/consortium.toml`; ConsortiumError when there is none or it is malformed."""
    path = folder / "consortium.toml"
    data = _toml(path, "make one with `marmor consortium init`")
    host, port = data.get("host"), data.get("port")
    if not isinstance(host, str) or type(port) is not int or not 0 < port < 65536:
        raise ConsortiumError(f'{path}: expected host = "…" and port = 1 … 65535')
    return Consortium(folder.resolve(), host, port)


def load_membership(keys: Path) -> Membership:
    """Read a site's `keys/` folder.

    Raises ConsortiumError when a file is missing or malformed, when a private key can be read by
    others, or when the roster is not the one whose digest the site has pinned.
    """
    path = keys / "federation.toml"
    data = _toml(path, "enroll this site with `marmor consortium enroll`")
    roster = load_roster(keys / "roster.toml")
    if data.get("roster") != roster.digest:
        raise ConsortiumError(
            f"{keys / 'roster.toml'}: is not the roster that this site has pinned; compare the "
            "fingerprints with the other sites, then pin it with `marmor consortium enroll`"
        )
    node_key = read_node_key(keys / "node.key")
    identity_key = read_identity_key(keys / "identity.pem")
    try:
        ca = (keys / "ca.pem").read_bytes()
        allowed = frozenset(map(str, data["allowed_apps"]))
        return Membership(str(data["gateway"]), allowed, roster, ca, node_key, identity_key)
    except (OSError, KeyError, TypeError):
        raise ConsortiumError(f"{path}: incomplete; enroll this site again") from None


def stamp(path: Path) -> tuple[int, int, int]:
    """Return what differs after any write of a file: its number, size and time; zeros for none."""
    try:
        found = path.stat()
    except OSError:
        return (0, 0, 0)
    return (found.st_ino, found.st_size, found.st_mtime_ns)


def read_secret(path: Path) -> bytes:
    """Return the bytes of a private file; ConsortiumError when missing or open to other users."""
    try:
        mode = path.stat().st_mode & 0o777
        content = path.read_bytes()
    except OSError:
        raise ConsortiumError(f"{path}: missing or not readable by this user") from None
    if mode & 0o077:
        raise ConsortiumError(f"{path}: others can read this key; run `chmod 400 {path}`")
    return content


def read_node_key(path: Path) -> ec.EllipticCurvePrivateKey:
    """Return a site's private node key; ConsortiumError when the file is not one."""
    key = _private_key(path)
    if not isinstance(key, ec.EllipticCurvePrivateKey):
        raise ConsortiumError(f"{path}: a key of another type; enroll this site again")
    return key


def read_identity_key(path: Path) -> Ed25519PrivateKey:
    """Return a site's private identity key; ConsortiumError when the file is not one."""
    key = _private_key(path)
    if not isinstance(key, Ed25519PrivateKey):
        raise ConsortiumError(f"{path}: a key of another type; enroll this site again")
    return key


def _private_key(path: Path) -> object:
    content = read_secret(path)
    load = load_ssh_private_key if b"OPENSSH" in content[:40] else load_pem_private_key
    try:
        return load(content, None)
    except ValueError:
        raise ConsortiumError(f"{path}: not a private key; enroll this site again") from None


def _toml(path: Path, remedy: str) -> Mapping[str, Any]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError:
        raise ConsortiumError(f"{path}: missing; {remedy}") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError):
        raise ConsortiumError(f"{path}: not a TOML file; {remedy}") from None
