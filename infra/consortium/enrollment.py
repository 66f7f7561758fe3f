"""Who takes part: the consortium's folder, the sites' keys, the roster, the analysts' tokens.

In a real consortium each site makes its keys at home and sends only the public halves; the
operator collects them in the roster, and every site compares fingerprints before it pins the copy
(`joining`). `enroll` does all of that for site folders that stand on one machine.
"""

import datetime
import json
import secrets
from collections.abc import Sequence
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)

from federated.flower import fab
from federated.flower.layout import (
    Consortium,
    load_consortium,
    read_identity_key,
    read_node_key,
    read_secret,
)
from federated.flower.tokens import NAME, ROLES, fingerprint
from federated.roster import Roster, load_roster, write_roster
from infra.consortium.certificates import make_certificates, private_pem, renew_certificate
from infra.consortium.files import write_public, write_secret
from transforms.errors import ConsortiumError, SetupError
from transforms.site import Site, load_site


__all__ = [
    "add_analyst",
    "enroll",
    "identity_key",
    "init",
    "node_key",
    "pin",
    "read_token",
    "remove",
    "remove_analyst",
    "renew",
]

CONSORTIUM_TOML = """\
# Where the gateway listens. Sites and analysts connect to this address over TLS.
host = "{host}"
port = {port}
"""

FEDERATION_TOML = """\
# What this site has agreed to. Written by `marmor consortium enroll`.
gateway = "{gateway}"
roster = "{roster}"   # digest of roster.toml: compare its fingerprints with the other sites
allowed_apps = ["{app}"]   # SHA-256 of the Flower app; it holds no code
operator = "{operator}"   # who may sign the next roster file; empty: nobody has signed one
issued = "{issued}"   # an older roster file is not taken
"""


def init(folder: Path, *, host: str = "127.0.0.1", port: int = 8443) -> Consortium:
    """Make a consortium's folder: own CA, gateway certificate, empty roster, one analyst.

    The tokens of the first analyst and the first operator are in `tokens/`, mode 0400. Raises
    SetupError when the folder holds a consortium already.
    """
    if (folder / "consortium.toml").exists():
        raise SetupError(f"{folder}: is a consortium already; enroll sites or start it")
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    make_certificates(folder / "certificates", host)
    write_roster(folder / "roster.toml", Roster({}))
    write_public(folder / "tokens.json", b"{}\n")
    text = CONSORTIUM_TOML.format(host=host, port=port)
    write_public(folder / "consortium.toml", text.encode())
    add_analyst(folder, "analyst")
    add_analyst(folder, "operator", roles=("operator",))
    return load_consortium(folder)


def renew(folder: Path) -> datetime.datetime:
    """Give the gateway a new certificate under the same CA; return until when it is valid.

    A gateway that runs takes it at its next start. Raises ConsortiumError for no consortium.
    """
    consortium = load_consortium(folder)
    return renew_certificate(consortium.certificates, consortium.host)


def add_analyst(folder: Path, name: str, roles: Sequence[str] = ("analyst",)) -> Path:
    """Make a token for `name`; return the file that holds it, for handing over.

    The consortium keeps only the token's hash. Raises ConsortiumError for a name that is taken or
    malformed, or an unknown role.
    """
    path = load_consortium(folder).tokens
    known = json.loads(path.read_text(encoding="utf-8"))
    if not NAME.fullmatch(name) or not set(roles) <= ROLES:
        raise ConsortiumError(f"{name}: use a-z, 0-9, '.', '_', '-' and roles {sorted(ROLES)}")
    if name in known:
        raise ConsortiumError(f"{name}: has a token already; remove-analyst takes it back")
    token = secrets.token_urlsafe(32)
    known[name] = {"sha256": fingerprint(token), "roles": sorted(roles)}
    write_secret(folder / "tokens" / f"{name}.token", token.encode())
    write_public(path, json.dumps(known, indent=2).encode() + b"\n")
    return folder / "tokens" / f"{name}.token"


def remove_analyst(folder: Path, name: str) -> None:
    """Take back the token of `name`: the gateway knows it no more from the next call on.

    Results of that analyst stay. Raises ConsortiumError when there is nobody of that name.
    """
    path = load_consortium(folder).tokens
    known = json.loads(path.read_text(encoding="utf-8"))
    if name not in known:
        listed = ", ".join(sorted(known)) or "nobody"
        raise ConsortiumError(f"{name}: has no token here; known are {listed}")
    del known[name]
    write_public(path, json.dumps(known, indent=2).encode() + b"\n")
    (folder / "tokens" / f"{name}.token").unlink(missing_ok=True)


def read_token(folder: Path, name: str = "analyst") -> str:
    """Return the token of `name` from the folder where `add_analyst` left it."""
    return read_secret(folder / "tokens" / f"{name}.token").decode().strip()


def enroll(folder: Path, sites: Sequence[Path]) -> Roster:
    """Enroll the sites in folders `sites`; return the roster, which all of them have now pinned.

    Keys that a site has already stay. Sites enrolled earlier that are not given keep their older
    roster and will refuse queries until enrolled again: pass all sites whose folders are here. A
    gateway that runs knows the new sites within seconds. Raises ConsortiumError or SetupError
    when a folder is not a consortium or a site.
    """
    consortium = load_consortium(folder)
    members = [load_site(path) for path in sites]
    known = dict(load_roster(consortium.roster).sites)
    for site in members:
        known[site.id] = identity_key(site).public_key().public_bytes_raw()
        write_public(consortium.nodes / f"{site.id}.pub", node_key(site))
    roster = Roster(dict(sorted(known.items())))
    write_roster(consortium.roster, roster)
    for site in members:
        pin(site, roster, ca=consortium.ca.read_bytes(), gateway=consortium.address)
    return roster


def remove(folder: Path, name: str) -> Roster:
    """Take site `name` off the roster and its node key back; return the roster that is left.

    A gateway that runs shuts the node out within seconds. The other sites must pin the shorter
    roster, or refuse. Raises ConsortiumError when there is no such site.
    """
    consortium = load_consortium(folder)
    known = dict(load_roster(consortium.roster).sites)
    if name not in known:
        listed = ", ".join(sorted(known)) or "nobody"
        raise ConsortiumError(f"{name}: is not on the roster; on it are {listed}")
    del known[name]
    roster = Roster(known)
    write_roster(consortium.roster, roster)
    (consortium.nodes / f"{name}.pub").unlink(missing_ok=True)
    return roster


def identity_key(site: Site) -> Ed25519PrivateKey:
    """Return the private identity key of `site`, made now when there is none."""
    path = site.keys / "identity.pem"
    if not path.exists():
        write_secret(path, private_pem(Ed25519PrivateKey.generate()))
    return read_identity_key(path)


def node_key(site: Site) -> bytes:
    """Return the public node key of `site` in OpenSSH's format, made now when there is none."""
    path = site.keys / "node.key"
    if not path.exists():
        fresh = ec.generate_private_key(ec.SECP384R1())
        write_secret(path, fresh.private_bytes(Encoding.PEM, PrivateFormat.OpenSSH, NoEncryption()))
    key = read_node_key(path)
    return key.public_key().public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH)


def pin(
    site: Site, roster: Roster, *, ca: bytes, gateway: str, operator: str = "", issued: str = ""
) -> None:
    """Write what `site` trusts from now on: roster, CA, gateway address, allowed app."""
    write_roster(site.keys / "roster.toml", roster)
    write_public(site.keys / "ca.pem", ca)
    text = FEDERATION_TOML.format(
        gateway=gateway, roster=roster.digest, app=fab.digest(), operator=operator, issued=issued
    )
    write_public(site.keys / "federation.toml", text.encode())
