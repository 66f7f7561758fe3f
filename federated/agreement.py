"""The keys of one query: each site's fresh announcement, signed, and all of them checked together.

A site announces X25519 keys that live for one query: one to encrypt shares with, and one per data
round to make pairwise masks with. Whatever is derived from them depends on the *transcript*, the
hash over the query's context and every announcement, so that sites that were shown different keys
derive different secrets and sign different texts.
"""

import hashlib
import struct
from collections.abc import Mapping
from dataclasses import dataclass

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from federated.roster import Roster


__all__ = [
    "LABEL",
    "Announcement",
    "Gathering",
    "ProtocolError",
    "commitment",
    "derive",
    "exchange",
    "gather",
    "joined",
    "threshold",
    "verify",
]

# Every hash, signature and derived key of this version of the protocol begins with it.
LABEL = b"marmor/secure-sum/2/"


class ProtocolError(Exception):
    """The other side does not keep to the protocol; `rule` is a fixed word."""

    def __init__(self, rule: str) -> None:
        super().__init__(rule)
        self.rule = rule


def threshold(sites: int) -> int:
    """Shares and signatures needed to unmask: ⌊2n/3⌋ + 1."""
    return 2 * sites // 3 + 1


@dataclass(frozen=True)
class Announcement:
    """A site's fresh keys for one query: `pairs` and `commitments` have one entry per data round.

    `agreement` encrypts shares; a pair key makes the masks that cancel; a commitment is the
    hash of a self-mask seed, so that a wrong share is noticed. `note` is what the site tells all
    others under its signature (`federated.witness`); it means nothing here.
    """

    release: str
    note: bytes
    agreement: bytes
    pairs: tuple[bytes, ...]
    commitments: tuple[bytes, ...]
    signature: bytes = b""

    def body(self) -> bytes:
        """Everything but the signature, in one unambiguous string."""
        keys = (self.agreement, *self.pairs, *self.commitments)
        parts = (self.release.encode(), self.note, *keys)
        return joined(struct.pack("<I", len(self.pairs)), *parts)

    def signed_text(self, site: str, context: bytes) -> bytes:
        """What the site signs: label, context, its own name and the body."""
        return LABEL + b"keys" + joined(context, site.encode(), self.body())

    def pack(self) -> bytes:
        """Return the announcement as bytes."""
        return self.signature + self.body()

    @staticmethod
    def unpack(data: bytes) -> "Announcement":
        """Undo `pack`; ProtocolError for anything else."""
        parts = _cut(data[64:])
        rounds = struct.unpack("<I", parts[0])[0] if parts and len(parts[0]) == 4 else 0
        keys = parts[3:]
        if not rounds or len(keys) != 2 * rounds + 1 or any(len(key) != 32 for key in keys):
            raise ProtocolError("malformed_announcement")
        release = parts[1].decode(errors="replace")
        pairs, commitments = tuple(keys[1 : rounds + 1]), tuple(keys[rounds + 1 :])
        return Announcement(release, parts[2], keys[0], pairs, commitments, data[:64])


@dataclass(frozen=True)
class Gathering:
    """All announcements of a query, checked. `transcript` commits to every one of them."""

    sites: tuple[str, ...]
    announcements: Mapping[str, Announcement]
    transcript: bytes

    @property
    def releases(self) -> Mapping[str, str]:
        """Site → release that it answers from."""
        return {site: self.announcements[site].release for site in self.sites}

    def position(self, site: str) -> int:
        """The x at which `site` holds its shares: 1 … n in the order of names."""
        return self.sites.index(site) + 1


def gather(
    packed: Mapping[str, bytes], roster: Roster, context: bytes, rounds: int, minimum: int
) -> Gathering:
    """Check everybody's announcement against the pinned `roster` and put them together.

    Raises ProtocolError for too few sites, a stranger, a wrong signature (a swapped or replayed
    key has one), another number of rounds, or a key that comes twice.
    """
    if len(packed) < minimum:
        raise ProtocolError("too_few_sites")
    if set(packed) - set(roster.sites):
        raise ProtocolError("unknown_site")
    announcements = {site: Announcement.unpack(packed[site]) for site in sorted(packed)}
    for site, item in announcements.items():
        verify(roster, site, item.signature, item.signed_text(site, context))
    if any(len(item.pairs) != rounds for item in announcements.values()):
        raise ProtocolError("wrong_number_of_rounds")
    keys = [key for item in announcements.values() for key in (item.agreement, *item.pairs)]
    if len(set(keys)) != len(keys):
        raise ProtocolError("key_used_twice")
    parts = [part for site in announcements for part in (site.encode(), packed[site])]
    transcript = hashlib.sha256(LABEL + b"transcript" + joined(context, *parts)).digest()
    return Gathering(tuple(announcements), announcements, transcript)


def derive(secret: bytes, transcript: bytes, info: bytes) -> bytes:
    """HKDF-SHA256, salted with the transcript of the whole query."""
    return HKDF(hashes.SHA256(), 32, transcript, LABEL + info).derive(secret)


def exchange(key: X25519PrivateKey, public: bytes) -> bytes:
    """X25519; ProtocolError for a public key of low order."""
    try:
        return key.exchange(X25519PublicKey.from_public_bytes(public))
    except ValueError:
        raise ProtocolError("weak_key") from None


def commitment(seed: int) -> bytes:
    """The public hash of a self-mask seed."""
    return hashlib.sha256(LABEL + b"commitment" + seed.to_bytes(32, "little")).digest()


def verify(roster: Roster, site: str, signature: bytes, text: bytes) -> None:
    """Raise ProtocolError unless `site`, by the pinned roster, signed `text`."""
    try:
        roster.key(site).verify(signature, text)
    except InvalidSignature:
        raise ProtocolError("wrong_signature") from None


def joined(*parts: bytes) -> bytes:
    """Join byte strings so that no two lists give the same result: length before each."""
    return b"".join(struct.pack("<I", len(part)) + part for part in parts)


def _cut(data: bytes) -> list[bytes]:
    """Undo `joined`; ProtocolError when the lengths do not add up."""
    parts = []
    while data:
        size = struct.unpack("<I", data[:4])[0] if len(data) >= 4 else len(data)
        if len(data) < 4 + size:
            raise ProtocolError("malformed_announcement")
        parts.append(data[4 : 4 + size])
        data = data[4 + size :]
    return parts
