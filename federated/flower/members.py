"""Who is in the consortium as its files say now: roster, node keys, policy, read again on change.

An operator who takes a site in or out must not need to stop the gateway: the files are looked at
before every query and every second. A file that is malformed stops queries, not the gateway.
"""

import threading
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from cryptography.hazmat.primitives.serialization import (
    Encoding,
    PublicFormat,
    load_ssh_public_key,
)

from federated.flower.layout import Consortium, stamp
from federated.policy import Policy, load_policy
from federated.roster import Roster, load_roster
from transforms.errors import ConsortiumError


__all__ = ["MemberFiles", "Members"]


@dataclass(frozen=True)
class Members:
    """The consortium at one moment; `keys` holds the node keys in PEM, as Flower compares them.

    A site of the roster without a node key cannot connect: its key was taken back.
    """

    roster: Roster
    policy: Policy
    keys: Mapping[str, bytes]


class MemberFiles:
    """The consortium's files, read anew only when one of them has changed."""

    def __init__(self, consortium: Consortium) -> None:
        """Read them; ConsortiumError or RefusedError when one is missing or malformed."""
        self._consortium = consortium
        self._lock = threading.Lock()
        self._seen, self._members = self._stamps(), _read(consortium)

    def current(self) -> Members:
        """Return the members now; raises what reading raised until the file is mended."""
        with self._lock:
            stamps = self._stamps()
            if stamps != self._seen:
                self._members = _read(self._consortium)
                self._seen = stamps
            return self._members

    def _stamps(self) -> tuple[object, ...]:
        place = self._consortium
        keys = sorted(place.nodes.glob("*.pub"))
        return tuple((path, stamp(path)) for path in (place.roster, place.policy, *keys))


def _read(consortium: Consortium) -> Members:
    roster = load_roster(consortium.roster)
    paths = {site: consortium.nodes / f"{site}.pub" for site in roster.sites}
    keys = {site: _key(path) for site, path in paths.items() if path.exists()}
    return Members(roster, load_policy(consortium.policy), keys)


def _key(path: Path) -> bytes:
    try:
        key = load_ssh_public_key(path.read_bytes())
    except (OSError, ValueError):
        raise ConsortiumError(f"{path}: not a public key; enroll that site again") from None
    return key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
