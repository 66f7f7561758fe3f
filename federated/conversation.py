"""What both sides of a query compute alike: its context, and the digest of a broadcast."""

import hashlib
import json

import numpy as np

from federated.statistics import Broadcast


__all__ = ["broadcast_digest", "query_context"]


def query_context(session: str, question: str, policy: str, roster: str, dictionary: str) -> bytes:
    """Return the 32 bytes that every signature and derived key of a query depends on.

    It binds the fresh session, the question, the policy, the roster and the dictionary's version;
    each site's release is bound by its own announcement.
    """
    parts = [session, question, policy, roster, dictionary]
    return hashlib.sha256(b"marmor/query/1\n" + json.dumps(parts).encode()).digest()


def broadcast_digest(broadcast: Broadcast) -> bytes:
    """Return 32 bytes that differ whenever the public arrays of a round do."""
    digest = hashlib.sha256(b"marmor/broadcast/1\n")
    for name in sorted(broadcast):
        array = np.ascontiguousarray(broadcast[name])
        digest.update(json.dumps([name, array.dtype.str, array.shape]).encode() + b"\n")
        digest.update(array.tobytes())
    return digest.digest()
