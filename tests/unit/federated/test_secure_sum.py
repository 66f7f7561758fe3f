"""The secure sum: exact whatever drops out, and refused whoever cheats."""

import dataclasses
import hashlib
import math
import random
from collections.abc import Callable, Iterable, Mapping, Sequence
from fractions import Fraction

import numpy as np
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from federated import ring
from federated.agreement import Announcement, Gathering, ProtocolError, gather, threshold
from federated.roster import Roster
from federated.secure_sum import Party, check_masked, open_sum


CONTEXT, BINDING = b"c" * 32, b"b" * 32
NAMES = ("leiden", "lyon", "odense", "torino", "ulm", "wien", "zagreb")


class Consortium:
    """Parties of one query, and the coordinator's part played by a test."""

    def __init__(
        self, count: int, rounds: int = 1, minimum: int = 3, seed: int = 1, context: bytes = CONTEXT
    ) -> None:
        self.names = NAMES[:count]
        self.keys = {
            name: Ed25519PrivateKey.from_private_bytes(hashlib.sha256(name.encode()).digest())
            for name in self.names
        }
        self.roster = Roster(
            {name: key.public_key().public_bytes_raw() for name, key in self.keys.items()}
        )
        self.rounds, self.minimum, self.context = rounds, minimum, context
        self.parties = {
            name: self.party(name, random.Random(f"{seed}{name}")) for name in self.names
        }

    def party(self, name: str, source: random.Random) -> Party:
        return Party(
            name,
            self.keys[name],
            self.roster,
            context=self.context,
            release=f"rel-{name}",
            rounds=self.rounds,
            minimum=self.minimum,
            entropy=source.randbytes,
        )

    def announce(self) -> dict[str, bytes]:
        return {name: party.announce() for name, party in self.parties.items()}

    def gather(self, announced: Mapping[str, bytes]) -> Gathering:
        return gather(announced, self.roster, self.context, self.rounds, self.minimum)

    def share(self, announced: Mapping[str, bytes]) -> None:
        outboxes = {name: party.share(announced) for name, party in self.parties.items()}
        for name, party in self.parties.items():
            party.receive({giver: box[name] for giver, box in outboxes.items() if giver != name})

    def mask(self, number: int, vectors: Mapping[str, ring.Limbs]) -> dict[str, ring.Limbs]:
        return {n: self.parties[n].mask(number, v, BINDING)[0] for n, v in vectors.items()}

    def endorse(self, number: int, survivors: Sequence[str]) -> dict[str, bytes]:
        return {n: self.parties[n].endorse(number, survivors) for n in survivors}

    def reveal(
        self, number: int, names: Iterable[str], signatures: Mapping[str, bytes]
    ) -> dict[str, Mapping[str, bytes]]:
        return {name: self.parties[name].reveal(number, signatures) for name in names}


def vectors(names: Sequence[str], values: Mapping[str, Sequence[float]]) -> dict[str, ring.Limbs]:
    return {name: ring.encode_sums(np.array(values[name])) for name in names}


def random_values(names: Sequence[str], length: int, seed: int) -> dict[str, list[float]]:
    source = random.Random(seed)
    return {
        name: [source.gauss(0, 1) * 10.0 ** source.randint(-3, 8) for _ in range(length)]
        for name in names
    }


def refused(rule: str, action: Callable[[], object]) -> None:
    with pytest.raises(ProtocolError) as caught:
        action()
    assert caught.value.rule == rule


@pytest.mark.parametrize("count", [3, 4, 5, 6, 7])
def test_the_sum_is_exact(count: int) -> None:
    all_of = Consortium(count)
    announced = all_of.announce()
    gathering = all_of.gather(announced)
    all_of.share(announced)
    values = random_values(all_of.names, 50, count)
    masked = all_of.mask(1, vectors(all_of.names, values))
    revealed = all_of.reveal(1, all_of.names, all_of.endorse(1, all_of.names))
    total = ring.decode_sums(open_sum(gathering, 1, masked, revealed))
    for k, found in enumerate(total):
        column = [values[name][k] for name in all_of.names]
        assert found == math.fsum(column) == float(sum(map(Fraction, column)))


@pytest.mark.parametrize("dropped", [(), ("lyon",), ("leiden",), ("wien",), ("leiden", "wien")])
def test_sites_that_drop_out_before_their_vector_arrives(dropped: tuple[str, ...]) -> None:
    all_of = Consortium(6 if len(dropped) < 2 else 7)
    announced = all_of.announce()
    gathering = all_of.gather(announced)
    all_of.share(announced)
    survivors = [name for name in all_of.names if name not in dropped]
    values = random_values(all_of.names, 5, 7)
    masked = all_of.mask(1, vectors(all_of.names, values))
    for name in dropped:
        del masked[name]
    signatures = all_of.endorse(1, survivors)
    revealed = all_of.reveal(1, survivors, signatures)
    total = ring.decode_sums(open_sum(gathering, 1, masked, revealed))
    assert total.tolist() == [math.fsum(values[n][k] for n in survivors) for k in range(5)]


def test_sites_that_drop_out_after_their_vector_arrived_are_still_in_the_sum() -> None:
    all_of = Consortium(5)
    announced = all_of.announce()
    gathering = all_of.gather(announced)
    all_of.share(announced)
    values = random_values(all_of.names, 3, 3)
    masked = all_of.mask(1, vectors(all_of.names, values))
    signatures = all_of.endorse(1, all_of.names)
    left = all_of.names[: threshold(5)]
    revealed = all_of.reveal(1, left, {name: signatures[name] for name in left})
    total = ring.decode_sums(open_sum(gathering, 1, masked, revealed))
    assert total.tolist() == [math.fsum(values[n][k] for n in all_of.names) for k in range(3)]


def test_several_rounds_use_the_keys_of_one_agreement() -> None:
    all_of = Consortium(4, rounds=3)
    announced = all_of.announce()
    gathering = all_of.gather(announced)
    all_of.share(announced)
    for number in (1, 2, 3):
        values = random_values(all_of.names, number, number)
        masked = all_of.mask(number, vectors(all_of.names, values))
        revealed = all_of.reveal(number, all_of.names, all_of.endorse(number, all_of.names))
        total = ring.decode_sums(open_sum(gathering, number, masked, revealed))
        assert total[0] == math.fsum(values[name][0] for name in all_of.names)


def test_a_swapped_key_is_refused() -> None:
    all_of = Consortium(4)
    announced = all_of.announce()
    mine = Consortium(4, seed=99).announce()  # the coordinator's own keys, under the site's name
    real, fake = (Announcement.unpack(item["lyon"]) for item in (announced, mine))
    announced["lyon"] = dataclasses.replace(real, pairs=fake.pairs).pack()
    refused("wrong_signature", lambda: all_of.parties["leiden"].share(announced))


def test_keys_replayed_from_another_query_are_refused() -> None:
    all_of, other = Consortium(4), Consortium(4, context=b"another query")
    announced = all_of.announce()
    announced["lyon"] = other.announce()["lyon"]
    refused("wrong_signature", lambda: all_of.parties["leiden"].share(announced))


def test_ones_own_keys_replaced_are_refused() -> None:
    all_of, again = Consortium(4), Consortium(4, seed=5)
    announced = all_of.announce()
    announced["lyon"] = again.announce()["lyon"]
    refused("own_keys_changed", lambda: all_of.parties["lyon"].share(announced))


def test_a_stranger_and_too_few_sites_are_refused() -> None:
    all_of = Consortium(4)
    announced = all_of.announce()
    two = {name: announced[name] for name in ("leiden", "lyon")}
    refused("too_few_sites", lambda: all_of.parties["lyon"].share(two))
    announced["mallory"] = announced["odense"]
    refused("unknown_site", lambda: all_of.parties["leiden"].share(announced))


def test_the_name_of_another_site_is_refused() -> None:
    all_of = Consortium(4)
    announced = all_of.announce()
    announced["odense"] = announced["torino"]
    refused("wrong_signature", lambda: all_of.parties["leiden"].share(announced))


def test_a_forged_or_misdirected_share_is_refused() -> None:
    all_of = Consortium(3)
    announced = all_of.announce()
    boxes = {name: party.share(announced) for name, party in all_of.parties.items()}
    inbox = {"lyon": boxes["lyon"]["leiden"], "odense": boxes["odense"]["lyon"]}
    refused("forged_share", lambda: all_of.parties["leiden"].receive(inbox))
    refused("shares_missing", lambda: all_of.parties["lyon"].receive({}))


def test_survivors_that_are_too_few_unknown_or_exclude_oneself_are_refused() -> None:
    for survivors, rule in (
        (["leiden", "lyon", "odense"], "too_few_survivors"),
        (["leiden", "lyon", "odense", "mallory"], "unknown_survivor"),
        (["lyon", "odense", "torino", "ulm"], "wrong_survivors"),
        (["leiden", "leiden", "lyon", "odense", "torino"], "wrong_survivors"),
    ):
        all_of = ready(5)
        party = all_of.parties["leiden"]
        refused(rule, lambda p=party, s=survivors: p.endorse(1, s))


def ready(count: int) -> Consortium:
    """A consortium whose vectors are masked."""
    all_of = Consortium(count)
    all_of.share(all_of.announce())
    all_of.mask(1, vectors(all_of.names, random_values(all_of.names, 2, 1)))
    return all_of


def test_a_split_view_of_the_survivors_is_refused() -> None:
    # Some are told that all five survived, others that ulm dropped out: ulm's two shares would
    # together unmask it alone. The signatures do not fit, so nobody reveals anything.
    all_of = ready(5)
    four, five = all_of.names[:4], all_of.names
    signed = {n: all_of.parties[n].endorse(1, five) for n in ("leiden", "lyon", "ulm")}
    signed |= {n: all_of.parties[n].endorse(1, four) for n in ("odense", "torino")}
    refused("wrong_signature", lambda: all_of.parties["leiden"].reveal(1, signed))
    del signed["ulm"]
    refused("wrong_signature", lambda: all_of.parties["odense"].reveal(1, signed))


def test_a_split_view_of_what_was_computed_is_refused() -> None:
    all_of = Consortium(3)
    all_of.share(all_of.announce())
    zero = np.zeros((1, 3), dtype=np.uint64)
    for name in all_of.names:
        all_of.parties[name].mask(1, zero, BINDING if name != "odense" else b"x" * 32)
    signed = all_of.endorse(1, all_of.names)
    refused("wrong_signature", lambda: all_of.parties["leiden"].reveal(1, signed))


def test_both_kinds_of_share_are_never_given() -> None:
    all_of = ready(6)
    survivors = all_of.names[:5]
    signatures = all_of.endorse(1, survivors)
    shares = all_of.parties["lyon"].reveal(1, signatures)
    assert {name: share[:1] for name, share in shares.items()} == {
        **dict.fromkeys(survivors, b"s"),
        "wien": b"p",
    }
    refused("already_done", lambda: all_of.parties["lyon"].reveal(1, signatures))
    refused("already_done", lambda: all_of.parties["lyon"].endorse(1, all_of.names))


def test_a_changed_or_swapped_vector_is_noticed() -> None:
    all_of = Consortium(3)
    announced = all_of.announce()
    gathering = all_of.gather(announced)
    all_of.share(announced)
    zero = np.zeros((2, 3), dtype=np.uint64)
    sent = {name: all_of.parties[name].mask(1, zero, BINDING) for name in all_of.names}

    def check(site: str, number: int, masked: ring.Limbs, binding: bytes, by: str) -> None:
        roster = all_of.roster
        check_masked(gathering, roster, number, site, masked, binding, sent[by][1])

    mine = sent["lyon"][0]
    check("lyon", 1, mine, BINDING, "lyon")
    other = mine.copy()
    other[0, 0] ^= np.uint64(1)
    for wrong in (
        ("lyon", 1, other, BINDING, "lyon"),
        ("lyon", 1, mine[:1], BINDING, "lyon"),
        ("lyon", 2, mine, BINDING, "lyon"),
        ("lyon", 1, mine, b"x" * 32, "lyon"),
        ("odense", 1, mine, BINDING, "lyon"),
        ("lyon", 1, mine, BINDING, "odense"),
    ):
        refused("wrong_signature", lambda w=wrong: check(*w))


def test_a_mask_is_never_used_twice_and_no_step_is_skipped() -> None:
    all_of = ready(3)
    again = vectors(all_of.names, random_values(all_of.names, 2, 2))
    refused("already_done", lambda: all_of.parties["lyon"].mask(1, again["lyon"], BINDING))
    refused("out_of_order", lambda: all_of.parties["lyon"].mask(2, again["lyon"], BINDING))
    refused("out_of_order", lambda: all_of.parties["lyon"].reveal(1, {}))


def test_too_few_signatures_or_a_strangers_are_refused() -> None:
    all_of = ready(5)
    signatures = all_of.endorse(1, all_of.names)
    three = {name: signatures[name] for name in all_of.names[:3]}
    refused("too_few_signatures", lambda: all_of.parties["lyon"].reveal(1, three))
    all_of = ready(5)
    signatures = all_of.endorse(1, all_of.names) | {"mallory": b""}
    refused("unknown_survivor", lambda: all_of.parties["lyon"].reveal(1, signatures))


def test_the_coordinator_notices_a_wrong_share() -> None:
    all_of = Consortium(3)
    announced = all_of.announce()
    gathering = all_of.gather(announced)
    all_of.share(announced)
    masked = all_of.mask(1, vectors(all_of.names, random_values(all_of.names, 2, 1)))
    revealed = all_of.reveal(1, all_of.names, all_of.endorse(1, all_of.names))
    forged = {**revealed, "lyon": {**revealed["lyon"], "odense": b"s" + bytes(32)}}
    refused("wrong_share", lambda: open_sum(gathering, 1, masked, forged))
    few = {name: revealed[name] for name in all_of.names[:2]}
    refused("too_few_shares", lambda: open_sum(gathering, 1, masked, few))


@pytest.mark.parametrize("data", [b"", b"x" * 64, b"x" * 64 + b"\x04\x00\x00\x00\x01\x00\x00\x00"])
def test_a_malformed_announcement_is_refused(data: bytes) -> None:
    all_of = Consortium(3)
    refused("malformed_announcement", lambda: all_of.gather(dict.fromkeys(all_of.names, data)))


@pytest.mark.parametrize(("sites", "needed"), [(3, 3), (4, 3), (5, 4), (6, 5), (7, 5), (40, 27)])
def test_the_threshold_is_more_than_two_thirds(sites: int, needed: int) -> None:
    assert threshold(sites) == needed
