"""Frozen vectors of the secure sum, and a second reading of the protocol in plain integers.

`secure_sum_vectors.json` says what three sites with known randomness send. Any change of a label,
of key derivation or of an encoding changes these bytes, and with them whether two versions
understand each other. Who writes the protocol anew can check against them.
"""

import hashlib
import json
import random
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from federated import ring
from federated.agreement import Gathering, gather
from federated.roster import Roster
from federated.secure_sum import Party, open_sum


VECTORS = Path(__file__).with_name("secure_sum_vectors.json")
NAMES = ("leiden", "lyon", "odense")
CONTEXT, BINDING = b"c" * 32, b"b" * 32
VALUES = {"leiden": [1.5, -2.0], "lyon": [0.25, 1e9], "odense": [-7.0, 2.0**-40]}


def keys() -> dict[str, Ed25519PrivateKey]:
    digests = {name: hashlib.sha256(name.encode()).digest() for name in NAMES}
    return {name: Ed25519PrivateKey.from_private_bytes(seed) for name, seed in digests.items()}


def converse() -> tuple[Gathering, Mapping[str, object], list[float]]:
    """Run the protocol with frozen randomness and note everything that is sent."""
    own = keys()
    roster = Roster({name: key.public_key().public_bytes_raw() for name, key in own.items()})
    parties = {
        name: Party(
            name,
            own[name],
            roster,
            context=CONTEXT,
            release=f"rel-{name}",
            rounds=1,
            minimum=3,
            note=b"note",
            entropy=random.Random(f"2026{name}").randbytes,
        )
        for name in NAMES
    }
    announced = {name: party.announce() for name, party in parties.items()}
    gathering = gather(announced, roster, CONTEXT, 1, 3)
    boxes = {name: party.share(announced) for name, party in parties.items()}
    masked, signed = {}, {}
    for name, party in parties.items():
        party.receive({giver: box[name] for giver, box in boxes.items() if giver != name})
        vector = ring.encode_sums(np.array(VALUES[name]))
        masked[name], signed[name] = party.mask(1, vector, BINDING)
    endorsed = {name: party.endorse(1, NAMES) for name, party in parties.items()}
    revealed = {name: party.reveal(1, endorsed) for name, party in parties.items()}
    total = ring.decode_sums(open_sum(gathering, 1, masked, revealed))
    sent = {
        "announcements": {name: data.hex() for name, data in announced.items()},
        "transcript": gathering.transcript.hex(),
        "shares": {n: {to: data.hex() for to, data in box.items()} for n, box in boxes.items()},
        "masked": {name: vector.astype("<u8").tobytes().hex() for name, vector in masked.items()},
        "masked_signatures": {name: data.hex() for name, data in signed.items()},
        "endorsements": {name: data.hex() for name, data in endorsed.items()},
        "revealed": {n: {of: data.hex() for of, data in r.items()} for n, r in revealed.items()},
        "total": total.tolist(),
    }
    return gathering, sent, total.tolist()


def test_what_is_sent_has_not_changed() -> None:
    assert converse()[1] == json.loads(VECTORS.read_text(encoding="utf-8"))


def test_a_masked_vector_is_what_the_paper_says_in_plain_integers() -> None:
    gathering, sent, _ = converse()
    masked = sent["masked"]
    assert isinstance(masked, dict)
    for name in NAMES:
        expected = [plain_masked(gathering, name, k) for k in range(2)]
        raw = bytes.fromhex(masked[name])
        assert [int.from_bytes(raw[24 * k : 24 * k + 24], "little") for k in range(2)] == expected


def plain_masked(gathering: Gathering, name: str, position: int) -> int:
    """x·2^96 + self mask + Σ ± pair masks modulo 2^192, from the site's frozen randomness alone."""
    source = random.Random(f"2026{name}")
    source.randbytes(32)  # the key that encrypts shares
    seed, pair = source.randbytes(32), source.randbytes(32)
    total = int(VALUES[name][position] * 2**96)
    info = b"self" + named(name.encode(), (1).to_bytes(4, "little"))
    total += stream(hkdf(seed, gathering.transcript, info), position)
    key = X25519PrivateKey.from_private_bytes(hkdf(pair, b"", b"pair key"))
    for other in NAMES:
        if other != name:
            public = X25519PublicKey.from_public_bytes(gathering.announcements[other].pairs[0])
            first, second = sorted((name, other))
            info = b"pair" + named(first.encode(), second.encode(), (1).to_bytes(4, "little"))
            mask = stream(hkdf(key.exchange(public), gathering.transcript, info), position)
            total += mask if name < other else -mask
    return total % 2**192


def named(*parts: bytes) -> bytes:
    return b"".join(len(part).to_bytes(4, "little") + part for part in parts)


def hkdf(secret: bytes, salt: bytes, info: bytes) -> bytes:
    return HKDF(hashes.SHA256(), 32, salt, b"marmor/secure-sum/2/" + info).derive(secret)


def stream(key: bytes, position: int) -> int:
    cipher = Cipher(algorithms.ChaCha20(key, bytes(16)), mode=None).encryptor()
    return int.from_bytes(cipher.update(bytes(48))[24 * position : 24 * position + 24], "little")
