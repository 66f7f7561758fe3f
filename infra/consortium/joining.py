"""Enrollment of a site elsewhere: a request file goes to the operator, a signed roster file back.

    at the site       request(site)            public keys, signed by the site's own identity key
    at the operator   admit(folder, request)   onto the roster
                      signed_roster(folder)    roster, CA, address and app, signed by the operator
    at every site     review(file), join(…)    compared by telephone, then pinned

Private keys are made at the site and never leave it. Neither file is secret, and either can be sent
by any way: what makes them trustworthy is that people compare fingerprints over another one.
"""

import datetime
import json
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import (
    Ed25519PrivateKey,
    Ed25519PublicKey,
)
from cryptography.hazmat.primitives.serialization import load_ssh_public_key

from federated.flower import fab
from federated.flower.layout import Consortium, load_consortium, read_identity_key
from federated.roster import Roster, fingerprint, load_roster, parse_roster, write_roster
from infra.consortium.certificates import private_pem
from infra.consortium.enrollment import identity_key, node_key, pin
from infra.consortium.files import write_public, write_secret
from transforms.errors import ConsortiumError
from transforms.site import SITE_ID, Site


__all__ = ["Invitation", "admit", "join", "request", "review", "signed_roster"]

_REQUEST, _ROSTER = b"marmor/request/1\n", b"marmor/roster-file/1\n"
_INVITATION = ("gateway", "app", "ca", "roster", "issued", "operator")

REQUEST_HEADER = """\
# A site's request to take part: public keys only. Made by `marmor site request`.
# Send it to the operator, and read this fingerprint to them over the telephone:
#   {fingerprint}
"""
ROSTER_HEADER = """\
# Who takes part, where they meet and whom they trust. Made by `marmor consortium roster`.
# Every site compares this fingerprint with other sites, then runs `marmor site join`:
#   {fingerprint}
"""


@dataclass(frozen=True)
class Invitation:
    """What a site is asked to pin; `fingerprint` stands for all of it, for comparing by voice."""

    gateway: str
    app: str
    ca: str
    roster: Roster
    issued: str
    operator: str
    fingerprint: str


def request(site: Site) -> tuple[bytes, str]:
    """Return the request file of `site` and its fingerprint; keys are made when there are none."""
    key = identity_key(site)
    fields = {
        "site": site.id,
        "identity": key.public_key().public_bytes_raw().hex(),
        "node": node_key(site).decode(),
    }
    mark = _mark(_REQUEST, fields)
    return _signed(REQUEST_HEADER.format(fingerprint=mark), _REQUEST, fields, key), mark


def admit(folder: Path, content: bytes, *, replace: bool = False) -> tuple[str, str]:
    """Put the site of a request file on the roster; return its id and the request's fingerprint.

    Raises ConsortiumError when the file is damaged or not signed by the key it names, and when the
    site has another key on the roster already, unless `replace`.
    """
    consortium = load_consortium(folder)
    fields = _verified(content, _REQUEST, ("site", "identity", "node"), signer="identity")
    name, key = fields["site"], bytes.fromhex(fields["identity"])
    known = dict(load_roster(consortium.roster).sites)
    if not SITE_ID.fullmatch(name):
        raise ConsortiumError(f"{name[:40]!r}: not the id of a site; ask for another request")
    if known.get(name, key) != key and not replace:
        raise ConsortiumError(
            f"{name}: has another key on the roster ({fingerprint(known[name])}); if it made new "
            "ones, which you know from its people, use --replace"
        )
    if name in (other for other, held in known.items() if held == key and other != name):
        raise ConsortiumError(f"{name}: its key is another site's")
    write_public(consortium.nodes / f"{name}.pub", _checked_node_key(fields["node"]))
    write_roster(consortium.roster, Roster(dict(sorted({**known, name: key}.items()))))
    return name, _mark(_REQUEST, fields)


def signed_roster(folder: Path) -> tuple[bytes, str]:
    """Return the roster file of the consortium and its fingerprint."""
    consortium = load_consortium(folder)
    key = _operator_key(consortium)
    fields = {
        "gateway": consortium.address,
        "app": fab.digest(),
        "ca": consortium.ca.read_text(encoding="ascii"),
        "roster": consortium.roster.read_text(encoding="utf-8"),
        "issued": datetime.datetime.now(datetime.UTC).isoformat(timespec="microseconds"),
        "operator": key.public_key().public_bytes_raw().hex(),
    }
    mark = _mark(_ROSTER, fields)
    return _signed(ROSTER_HEADER.format(fingerprint=mark), _ROSTER, fields, key), mark


def review(site: Site, content: bytes) -> Invitation:
    """Read a roster file as `site` would pin it.

    Raises ConsortiumError when it is damaged, not signed by its operator, by another operator than
    the one pinned, older than what is pinned, names another app than the one installed here, or
    does not hold this site's own key.
    """
    fields = _verified(content, _ROSTER, _INVITATION, signer="operator")
    roster = parse_roster(fields["roster"], "roster file")
    found = Invitation(
        **{**fields, "roster": roster},  # type: ignore[arg-type]
        fingerprint=_mark(_ROSTER, fields),
    )
    pinned = _pinned(site)
    if (pinned.get("operator") or found.operator) != found.operator:
        raise ConsortiumError(
            "the roster file is signed by another operator than the one this site has pinned; "
            f"if that is meant, remove {site.keys / 'federation.toml'} first"
        )
    if found.issued < pinned.get("issued", ""):
        raise ConsortiumError("the roster file is older than the one this site has pinned")
    if found.app != fab.digest():
        raise ConsortiumError("the roster file names another version of the app; update both sides")
    own = identity_key(site).public_key().public_bytes_raw()
    if roster.sites.get(site.id) != own:
        raise ConsortiumError(
            f"this site's key is not on the roster as {site.id}; send the operator what "
            "`marmor site request` writes"
        )
    return found


def join(site: Site, content: bytes, compared: str) -> Invitation:
    """Pin a roster file whose fingerprint people have `compared`.

    Raises ConsortiumError as `review` does, and when the fingerprint is another.
    """
    found = review(site, content)
    if "".join(compared.split()).lower() != found.fingerprint.replace(" ", ""):
        raise ConsortiumError(
            f"the fingerprint is {found.fingerprint} and not {compared}: this is another file than "
            "the one that was compared; pin nothing, and ask the operator"
        )
    pin(
        site,
        found.roster,
        ca=found.ca.encode(),
        gateway=found.gateway,
        operator=found.operator,
        issued=found.issued,
    )
    return found


def _operator_key(consortium: Consortium) -> Ed25519PrivateKey:
    """Return the key that signs roster files, made at the first one."""
    path = consortium.certificates / "roster.key"
    if not path.exists():
        write_secret(path, private_pem(Ed25519PrivateKey.generate()))
    return read_identity_key(path)


def _checked_node_key(text: str) -> bytes:
    try:
        load_ssh_public_key(text.encode())
    except ValueError:
        raise ConsortiumError("the request's node key is none; ask for another request") from None
    return text.encode()


def _pinned(site: Site) -> Mapping[str, str]:
    try:
        return tomllib.loads((site.keys / "federation.toml").read_text(encoding="utf-8"))
    except (OSError, tomllib.TOMLDecodeError, UnicodeDecodeError):
        return {}


def _payload(kind: bytes, fields: Mapping[str, str]) -> bytes:
    return kind + json.dumps(fields, sort_keys=True).encode()


def _mark(kind: bytes, fields: Mapping[str, str]) -> str:
    """Return the fingerprint of all fields."""
    return fingerprint(_payload(kind, fields))


def _signed(header: str, kind: bytes, fields: Mapping[str, str], key: Ed25519PrivateKey) -> bytes:
    """Return a TOML file of `fields` and a signature over them."""
    signature = key.sign(_payload(kind, fields)).hex()
    lines = [f"{name} = {json.dumps(text)}" for name, text in fields.items()]
    return "\n".join([header, *lines, f'signature = "{signature}"', ""]).encode()


def _verified(
    content: bytes, kind: bytes, names: tuple[str, ...], *, signer: str
) -> dict[str, str]:
    """Return the fields of a file that the key in field `signer` has signed."""
    try:
        data = tomllib.loads(content.decode())
        signature = bytes.fromhex(data.pop("signature"))
        if set(data) != set(names) or not all(isinstance(text, str) for text in data.values()):
            raise ValueError
        key = Ed25519PublicKey.from_public_bytes(bytes.fromhex(data[signer]))
        key.verify(signature, _payload(kind, data))
    except (ValueError, KeyError, TypeError, AttributeError, InvalidSignature):
        raise ConsortiumError(
            "the file is damaged or was changed on its way; ask for it again"
        ) from None
    return data
