"""A sum over sites in which nobody learns a summand: double masks, shared and revealed once.

After Bonawitz et al., "Practical Secure Aggregation for Privacy-Preserving Machine Learning"
(CCS 2017), in its variant against an active server, with exact arithmetic (`federated.ring`),
authenticated by Ed25519 keys that every site has pinned (`federated.roster`).

Each site i adds to its vector, modulo 2^192, a self mask from a random seed and one mask per other
site j, from a key that only i and j can compute; i adds it and j subtracts it, so that these cancel
in the sum. Seeds and pair keys are shared among the sites, t = ⌊2n/3⌋ + 1 of n needed. Once the
survivors (the sites whose vector arrived) are agreed and signed by at least t of them, every site
reveals one share per site: of the self mask of a survivor, or of the pair key of a site that
dropped out, and never both. The coordinator can then take off exactly the masks that are left in
the sum over the survivors.

Keys are agreed once per query. There is an independent seed and pair key for each data round, so
revealing one round's masks tells nothing about another's, and a further round needs no new keys.

Every masked vector is signed by its site, over the transcript of all keys, the round and the
public arrays it answers (`binding`), so that nobody on the way can change or swap one unnoticed.

What each party sees:
- the coordinator: public keys, ciphertexts, a uniformly random vector per site and round, the sum;
- a site: everybody's public keys, shares encrypted to it, who survived, then what is published;
- t - 1 or fewer sites that collude with each other: nothing beyond that;
- fewer than n/3 sites that collude with the coordinator: the sum over all others, and nothing less
  aggregated, since two survivor sets cannot both get t signatures unless n/3 sites sign twice;
- t or more sites that collude with the coordinator: every other site's vector. Whoever holds t
  shares of a site's seeds can take its masks off; no threshold scheme can do better.

What it does not do: hide the sum from the coordinator, stop a site from sending wrong numbers, or
keep an answer available when more than n - t sites leave after their vector arrived. Equal
questions are kept to one survivor set by `federated.ledger`. The primitives come from the
`cryptography` package. This protocol code has had no external review yet: do not call it audited.
"""

import hashlib
import secrets
import struct
from collections.abc import Callable, Mapping, Sequence

import numpy as np
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305

from federated import shamir
from federated.agreement import (
    LABEL,
    Announcement,
    Gathering,
    ProtocolError,
    commitment,
    derive,
    exchange,
    gather,
    joined,
    threshold,
    verify,
)
from federated.ring import Limbs, add, subtract
from federated.roster import Roster


__all__ = ["Party", "check_endorsed", "check_masked", "open_sum"]

SELF, PAIR = b"s", b"p"


class Party:
    """One site in one query. Each method may be called once (per round), in this order:

    announce → share → mask(1) → receive → endorse(1) → reveal(1) → mask(2) → endorse(2) → …
    `entropy(n)` gives n random bytes; only a test with a frozen vector passes its own.
    """

    def __init__(
        self,
        site: str,
        identity: Ed25519PrivateKey,
        roster: Roster,
        *,
        context: bytes,
        release: str,
        rounds: int,
        minimum: int,
        note: bytes = b"",
        entropy: Callable[[int], bytes] = secrets.token_bytes,
    ) -> None:
        self.site = site
        self._identity = identity
        self._roster = roster
        self._context = context
        self._minimum = minimum
        self._entropy = entropy
        self._agreement = X25519PrivateKey.from_private_bytes(entropy(32))
        self._self_seeds = tuple(shamir.draw(entropy) for _ in range(rounds))
        self._pair_seeds = tuple(shamir.draw(entropy) for _ in range(rounds))
        self._release, self._note = release, note
        self._done: set[tuple[str, int]] = set()
        self._shares: dict[str, tuple[tuple[int, int], ...]] = {}
        self._survivors: dict[int, tuple[str, ...]] = {}
        self._bindings: dict[int, bytes] = {}

    def announce(self) -> bytes:
        """Return the site's fresh public keys, signed."""
        self._once("announce", 0)
        unsigned = Announcement(
            self._release,
            self._note,
            self._agreement.public_key().public_bytes_raw(),
            tuple(_pair_key(seed).public_key().public_bytes_raw() for seed in self._pair_seeds),
            tuple(commitment(seed) for seed in self._self_seeds),
        )
        signature = self._identity.sign(unsigned.signed_text(self.site, self._context))
        self._announced = signature + unsigned.body()
        return self._announced

    def share(self, announcements: Mapping[str, bytes]) -> Mapping[str, bytes]:
        """Check all announcements; return this site's shares, encrypted, per other site."""
        self._once("share", 0, after=("announce", 0))
        self.gathering = gather(
            announcements, self._roster, self._context, len(self._self_seeds), self._minimum
        )
        if announcements.get(self.site) != self._announced:
            raise ProtocolError("own_keys_changed")
        per_round = [
            (self._split(mine), self._split(pair))
            for mine, pair in zip(self._self_seeds, self._pair_seeds, strict=True)
        ]
        outbox = {
            site: tuple((mine[index], pair[index]) for mine, pair in per_round)
            for index, site in enumerate(self.gathering.sites)
        }
        self._shares[self.site] = outbox.pop(self.site)
        return {site: self._encrypt(site, shares) for site, shares in outbox.items()}

    def mask(self, number: int, vector: Limbs, binding: bytes) -> tuple[Limbs, bytes]:
        """Return `vector` under the masks of data round `number` (from 1), and its signature.

        What is returned is uniformly random. `binding` (32 bytes) is the digest of what the vector
        answers; the site endorses it together with the survivors.
        """
        self._once("mask", number, after=("share", 0) if number == 1 else ("reveal", number - 1))
        transcript, seed = self.gathering.transcript, self._self_seeds[number - 1]
        masked = add(vector, _self_mask(seed, transcript, self.site, number, len(vector)))
        key = _pair_key(self._pair_seeds[number - 1])
        for other in self.gathering.sites:
            if other != self.site:
                mask = _pair_mask(self.gathering, key, self.site, other, number, len(vector))
                masked = add(masked, mask) if self.site < other else subtract(masked, mask)
        self._bindings[number] = binding
        text = _masked_text(self.gathering, number, self.site, masked, binding)
        return masked, self._identity.sign(text)

    def receive(self, inbox: Mapping[str, bytes]) -> None:
        """Decrypt the shares that the other sites meant for this one; all must be there."""
        self._once("receive", 0, after=("share", 0))
        if set(inbox) != set(self.gathering.sites) - {self.site}:
            raise ProtocolError("shares_missing")
        self._shares |= {site: self._decrypt(site, data) for site, data in inbox.items()}

    def endorse(self, number: int, survivors: Sequence[str]) -> bytes:
        """Sign the survivors of round `number`, and what this site's vector answers."""
        self._once("endorse", number, after=("mask", number))
        chosen = tuple(sorted(set(survivors)))
        if set(chosen) - set(self.gathering.sites):
            raise ProtocolError("unknown_survivor")
        if self.site not in chosen or len(chosen) != len(survivors):
            raise ProtocolError("wrong_survivors")
        if len(chosen) < max(threshold(len(self.gathering.sites)), self._minimum):
            raise ProtocolError("too_few_survivors")
        self._survivors[number] = chosen
        text = _endorsed_text(self.gathering, number, chosen, self._bindings[number])
        return self._identity.sign(text)

    def reveal(self, number: int, signatures: Mapping[str, bytes]) -> Mapping[str, bytes]:
        """Return one share per site, once t survivors have signed what this site signed."""
        self._once("reveal", number, after=("endorse", number))
        if set(self._shares) != set(self.gathering.sites):
            raise ProtocolError("shares_missing")
        survivors = self._survivors[number]
        if set(signatures) - set(survivors):
            raise ProtocolError("unknown_survivor")
        if len(signatures) < threshold(len(self.gathering.sites)):
            raise ProtocolError("too_few_signatures")
        text = _endorsed_text(self.gathering, number, survivors, self._bindings[number])
        for site, signature in signatures.items():
            verify(self._roster, site, signature, text)
        return {site: self._reveal_one(number, site) for site in self.gathering.sites}

    def _reveal_one(self, number: int, site: str) -> bytes:
        """Exactly one of the two shares held of `site` for the round."""
        mine, pair = self._shares[site][number - 1]
        alive = site in self._survivors[number]
        return SELF + mine.to_bytes(32, "little") if alive else PAIR + pair.to_bytes(32, "little")

    def _split(self, secret: int) -> tuple[int, ...]:
        """Share `secret` among all sites of the query."""
        count = len(self.gathering.sites)
        return shamir.split(secret, threshold(count), count, self._entropy)

    def _encrypt(self, site: str, shares: tuple[tuple[int, int], ...]) -> bytes:
        """Encrypt `shares` to `site`; the key is used for this one message, so the nonce is 0."""
        plain = b"".join(n.to_bytes(32, "little") for pair in shares for n in pair)
        return self._channel(self.site, site).encrypt(bytes(12), plain, None)

    def _decrypt(self, site: str, data: bytes) -> tuple[tuple[int, int], ...]:
        """Decrypt the shares from `site`; ProtocolError when they are not authentic."""
        try:
            plain = self._channel(site, self.site).decrypt(bytes(12), data, None)
        except InvalidTag:
            raise ProtocolError("forged_share") from None
        if len(plain) != 64 * len(self._self_seeds):
            raise ProtocolError("forged_share")
        numbers = [int.from_bytes(plain[i : i + 32], "little") for i in range(0, len(plain), 32)]
        return tuple(zip(numbers[::2], numbers[1::2], strict=True))

    def _channel(self, sender: str, receiver: str) -> ChaCha20Poly1305:
        """The one-way channel between two sites for this query."""
        other = receiver if sender == self.site else sender
        secret = exchange(self._agreement, self.gathering.announcements[other].agreement)
        info = b"shares" + joined(sender.encode(), receiver.encode())
        return ChaCha20Poly1305(derive(secret, self.gathering.transcript, info))

    def _once(self, step: str, number: int, after: tuple[str, int] | None = None) -> None:
        """Let each step happen once and in order: a mask used twice would give values away."""
        if number > len(self._self_seeds) or (after and after not in self._done):
            raise ProtocolError("out_of_order")
        if (step, number) in self._done:
            raise ProtocolError("already_done")
        self._done.add((step, number))


def check_masked(
    gathering: Gathering,
    roster: Roster,
    number: int,
    site: str,
    masked: Limbs,
    binding: bytes,
    signature: bytes,
) -> None:
    """Raise ProtocolError unless `site` signed `masked` as its answer to `binding`."""
    verify(roster, site, signature, _masked_text(gathering, number, site, masked, binding))


def check_endorsed(
    gathering: Gathering,
    roster: Roster,
    number: int,
    site: str,
    survivors: Sequence[str],
    binding: bytes,
    signature: bytes,
) -> None:
    """Raise ProtocolError unless `site` signed that these, sorted, survived with `binding`."""
    verify(roster, site, signature, _endorsed_text(gathering, number, survivors, binding))


def open_sum(
    gathering: Gathering,
    number: int,
    masked: Mapping[str, Limbs],
    revealed: Mapping[str, Mapping[str, bytes]],
) -> Limbs:
    """Return the sum over the survivors, the sites in `masked`, of data round `number`.

    `revealed` maps at least t sites to the shares they gave. Raises ProtocolError when there are
    too few, or when a share is not of the kind, or does not lead to the key, that was announced.
    """
    if len(revealed) < threshold(len(gathering.sites)):
        raise ProtocolError("too_few_shares")
    vectors = list(masked.values())
    total = np.zeros_like(vectors[0])
    for vector in vectors:
        total = add(total, vector)
    for site in gathering.sites:
        if site in masked:
            seed = _rejoin(gathering, revealed, site, SELF)
            if commitment(seed) != gathering.announcements[site].commitments[number - 1]:
                raise ProtocolError("wrong_share")
            mask = _self_mask(seed, gathering.transcript, site, number, len(total))
            total = subtract(total, mask)
        else:
            key = _pair_key(_rejoin(gathering, revealed, site, PAIR))
            total = _without_pairs(gathering, number, site, key, tuple(masked), total)
    return total


def _without_pairs(
    gathering: Gathering,
    number: int,
    dropped: str,
    key: X25519PrivateKey,
    survivors: Sequence[str],
    total: Limbs,
) -> Limbs:
    """Take off the masks that the survivors share with a site that dropped out."""
    announced = gathering.announcements[dropped].pairs[number - 1]
    if key.public_key().public_bytes_raw() != announced:
        raise ProtocolError("wrong_share")
    for site in survivors:
        mask = _pair_mask(gathering, key, dropped, site, number, len(total))
        total = subtract(total, mask) if site < dropped else add(total, mask)
    return total


def _rejoin(
    gathering: Gathering, revealed: Mapping[str, Mapping[str, bytes]], site: str, kind: bytes
) -> int:
    """Put together the seed of `site` from the first t sites' shares of one `kind`."""
    chosen = sorted(revealed)[: threshold(len(gathering.sites))]
    shares = {giver: revealed[giver].get(site, b"") for giver in chosen}
    if any(len(share) != 33 or share[:1] != kind for share in shares.values()):
        raise ProtocolError("wrong_share")
    points = {
        gathering.position(giver): int.from_bytes(share[1:], "little")
        for giver, share in shares.items()
    }
    return shamir.join(points)


def _endorsed_text(
    gathering: Gathering, number: int, survivors: Sequence[str], binding: bytes
) -> bytes:
    """What a survivor signs: the query, the round, what was computed, and who survived."""
    names = joined(*(site.encode() for site in survivors))
    parts = (gathering.transcript, struct.pack("<I", number), binding, names)
    return LABEL + b"survivors" + joined(*parts)


def _masked_text(
    gathering: Gathering, number: int, site: str, masked: Limbs, binding: bytes
) -> bytes:
    """What a site signs of its masked vector."""
    digest = hashlib.sha256(np.ascontiguousarray(masked, dtype="<u8").tobytes()).digest()
    parts = (gathering.transcript, struct.pack("<I", number), site.encode(), binding, digest)
    return LABEL + b"masked" + joined(*parts)


def _self_mask(seed: int, transcript: bytes, site: str, number: int, count: int) -> Limbs:
    """The mask that only `site` knows until t sites reveal their shares of its seed."""
    info = b"self" + joined(site.encode(), struct.pack("<I", number))
    return _stream(derive(seed.to_bytes(32, "little"), transcript, info), count)


def _pair_mask(
    gathering: Gathering, key: X25519PrivateKey, own: str, other: str, number: int, count: int
) -> Limbs:
    """The mask that `own`, who holds `key`, and `other` have in common."""
    secret = exchange(key, gathering.announcements[other].pairs[number - 1])
    first, second = sorted((own, other))
    info = b"pair" + joined(first.encode(), second.encode(), struct.pack("<I", number))
    return _stream(derive(secret, gathering.transcript, info), count)


def _stream(key: bytes, count: int) -> Limbs:
    """`count` uniformly random ring elements from a key that is used for nothing else."""
    cipher = Cipher(algorithms.ChaCha20(key, bytes(16)), mode=None).encryptor()
    data = cipher.update(bytes(24 * count))
    return np.frombuffer(data, dtype="<u8").astype(np.uint64).reshape(count, 3)


def _pair_key(seed: int) -> X25519PrivateKey:
    """The X25519 key that follows from a shared seed."""
    material = derive(seed.to_bytes(32, "little"), b"", b"pair key")
    return X25519PrivateKey.from_private_bytes(material)
