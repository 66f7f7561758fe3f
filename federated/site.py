"""A site's side of a query: what it checks, what it answers, and what it never says.

`SiteParty` lives in the site's node process, which holds the identity key and the ledger. It never
touches the release: the plain statistics come from an injected `compute`, which in production is
another process without keys and without network (`federated.tally.tally` does the work there).

How a transport uses it: one `SiteParty` per node process, kept for as long as the process lives
(conversations are held in memory), and for every blob that arrives
`reply = party.handle_bytes(blob)`, sent back as it is. `handle_bytes` and `handle` never raise; calls
from several threads are taken one after the other.
"""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TypeAlias

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from federated.messages import Message, Reply
from federated.policy import Policy
from federated.roster import Roster
from federated.statistics import Blocks, Broadcast


__all__ = ["RULES", "Compute", "SiteParty"]

# compute(canonical request as a mapping, broadcast, release id) → the site's plain blocks
Compute: TypeAlias = Callable[[Mapping[str, object], Broadcast, str], Blocks]

RULES: Mapping[str, str] = {}


class SiteParty:
    """One site's party in every query, under its own key, roster, policy and ledger."""

    def __init__(
        self,
        site_id: str,
        identity_key: Ed25519PrivateKey,
        roster: Roster,
        policy: Policy,
        ledger_folder: Path,
        compute: Compute,
        release_id: Callable[[], str | None],
    ) -> None:
        raise NotImplementedError

    def handle_bytes(self, data: bytes) -> bytes:
        """Decode, handle, encode. Anything that goes wrong becomes an encoded Failed."""
        raise NotImplementedError

    def handle(self, message: Message) -> Reply:
        """Answer one message; refuse by rule, fail by code, never raise."""
        raise NotImplementedError
