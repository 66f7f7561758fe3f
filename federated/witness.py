"""What a site tells all others under its signature: how its ledger stands, and what it answered.

A chain of hashes shows a line that was changed or taken out. It does not show a tail that was cut
off, or a whole ledger that was written anew: only who remembers an earlier head can tell. So every
site signs the head of its ledger in each query; the coordinator keeps these heads and tells them
again, and every other site writes them into its own ledger. A site whose ledger does not hold a
head that it once signed answers nothing.

The note also names the questions about the view that the site's release has answered, and together
with which sites, so that all sites compare a new question with the same earlier ones.
"""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from federated.agreement import LABEL, Gathering, ProtocolError, joined, verify
from federated.ledger import Head
from federated.roster import Roster


__all__ = ["COORDINATOR", "Note", "genuine_head", "heads_in", "read_notes", "sign_head"]


COORDINATOR = "coordinator"  # whose head is told unsigned: it has no key in the protocol


@dataclass(frozen=True)
class Note:
    """A site's statement at the opening of a query.

    `answered` holds, for each earlier question of the release about the same view, its digest and
    the sites that were summed.
    """

    head: Head
    answered: tuple[tuple[str, tuple[str, ...]], ...]

    def pack(self) -> bytes:
        """Return the note as canonical JSON."""
        return json.dumps(asdict(self), sort_keys=True, separators=(",", ":")).encode()

    @staticmethod
    def unpack(data: bytes) -> "Note":
        """Undo `pack`; ProtocolError for anything else."""
        try:
            content = json.loads(data)
            entries = content["answered"]
            answered = tuple((str(digest), tuple(map(str, sites))) for digest, sites in entries)
            return Note(_head(content["head"]), answered)
        except (ValueError, KeyError, TypeError, RecursionError):
            raise ProtocolError("malformed_note") from None


def sign_head(site: str, identity: Ed25519PrivateKey, entries: int, digest: str) -> Head:
    """Return the head of `site`'s ledger of so many entries, signed."""
    return Head(entries, digest, identity.sign(_text(site, entries, digest)).hex())


def genuine_head(site: str, told: object, roster: Roster) -> Head | None:
    """Return the head that somebody says `site` signed; None unless it did, by its present key."""
    try:
        head = _head(told)
        verify(roster, site, bytes.fromhex(head.signature), _text(site, head.entries, head.hash))
    except (ProtocolError, ValueError, KeyError, TypeError):
        return None
    return head


def read_notes(gathering: Gathering) -> Mapping[str, Note]:
    """Return every site's note; ProtocolError when one is malformed."""
    return {site: Note.unpack(gathering.announcements[site].note) for site in gathering.sites}


def heads_in(notes: Mapping[str, Note]) -> Mapping[str, Mapping[str, object]]:
    """Return the heads that the notes hold, as plain values for a ledger."""
    return {site: asdict(note.head) for site, note in notes.items()}


def _head(content: object) -> Head:
    """Return a head from plain values; TypeError or KeyError for anything else."""
    if not isinstance(content, Mapping) or type(content["entries"]) is not int:
        raise TypeError
    return Head(content["entries"], str(content["hash"]), str(content["signature"]))


def _text(site: str, entries: int, digest: str) -> bytes:
    """What a site signs of its ledger."""
    return LABEL + b"head" + joined(site.encode(), str(entries).encode(), digest.encode())
