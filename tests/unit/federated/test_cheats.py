"""A coordinator that cheats: every case ends in a refusal, and no share of a site leaves it."""

import dataclasses
import itertools
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from federated import coordinator
from federated.agreement import Announcement
from federated.messages import (
    Announced,
    Continue,
    Contribute,
    Contributed,
    Endorsed,
    Failed,
    Message,
    Open,
    Refused,
    Reply,
    Revealed,
    Settle,
    Unmask,
)
from federated.roster import Roster
from federated.statistics import Blocks, Broadcast, Sums
from tests.unit.federated.test_query import RATE, SITES, TABLE, World, compute
from transforms.errors import RefusedError, SiteDownError


class Cheat:
    """A coordinator that keeps to the protocol until a case departs from it."""

    def __init__(
        self, world: World, session: str = "0" * 32, sites: tuple[str, ...] = SITES
    ) -> None:
        self.world, self.session, self.names = world, session, sites
        self.said: list[Reply] = []

    def tell(self, site: str, message: Message) -> Reply:
        reply = self.world.sites[site].handle(message)
        self.said.append(reply)
        return reply

    def open(self, **change: object) -> dict[str, bytes]:
        message = self.world.open(session=self.session, **change)
        replies = {site: self.tell(site, message) for site in self.names}
        return {s: r.announcement for s, r in replies.items() if isinstance(r, Announced)}

    def contribute(
        self, announced: Mapping[str, bytes], seen: Mapping[str, Mapping[str, bytes]] | None = None
    ) -> dict[str, Contributed]:
        found = {}
        for site in self.names:
            reply = self.tell(site, Contribute(self.session, (seen or {}).get(site, announced)))
            if isinstance(reply, Contributed):
                found[site] = reply
        return found

    def settle(
        self,
        contributed: Mapping[str, Contributed],
        survivors: Mapping[str, tuple[str, ...]] | None = None,
    ) -> dict[str, bytes]:
        signed = {}
        for site in self.names:
            inbox = {s: r.shares.get(site, b"") for s, r in contributed.items() if s != site}
            chosen = (survivors or {}).get(site, self.names)
            reply = self.tell(site, Settle(self.session, 1, chosen, inbox))
            if isinstance(reply, Endorsed):
                signed[site] = reply.signature
        return signed

    def unmask(self, signed: Mapping[str, bytes]) -> None:
        for site in self.names:
            self.tell(site, Unmask(self.session, 1, signed))

    @property
    def revealed(self) -> list[Revealed]:
        return [reply for reply in self.said if isinstance(reply, Revealed)]

    @property
    def refusals(self) -> set[str]:
        return {reply.rule for reply in self.said if isinstance(reply, Refused)}


def swapped_key(world: World) -> Cheat:
    cheat = Cheat(world)
    announced = cheat.open()
    mine = X25519PrivateKey.generate().public_key().public_bytes_raw()
    announced["lyon"] = dataclasses.replace(
        Announcement.unpack(announced["lyon"]), agreement=mine
    ).pack()
    cheat.unmask(cheat.settle(cheat.contribute(announced)))
    return cheat


def split_view_of_the_keys(world: World) -> Cheat:
    """Two groups see two sets of genuine announcements of one site."""
    cheat = Cheat(world)
    announced = cheat.open()
    other = Cheat(world, "1" * 32).open()
    seen = {site: {**announced, "lyon": other["lyon"]} for site in ("ulm", "torino")}
    cheat.unmask(cheat.settle(cheat.contribute(announced, seen)))
    return cheat


def split_view_of_who_takes_part(world: World) -> Cheat:
    cheat = Cheat(world)
    announced = cheat.open()
    without = {site: item for site, item in announced.items() if site != "lyon"}
    seen = dict.fromkeys(("ulm", "torino"), without)
    cheat.unmask(cheat.settle(cheat.contribute(announced, seen)))
    return cheat


def split_view_of_the_survivors(world: World) -> Cheat:
    cheat = Cheat(world)
    contributed = cheat.contribute(cheat.open())
    four = tuple(site for site in SITES if site != "lyon")
    signed = cheat.settle(contributed, dict.fromkeys(("ulm", "torino"), four))
    cheat.unmask(signed)
    return cheat


def both_types_of_share(world: World) -> Cheat:
    """After an honest unmasking, the pair keys of one survivor are asked for as well."""
    cheat = Cheat(world)
    contributed = cheat.contribute(cheat.open())
    signed = cheat.settle(contributed)
    cheat.unmask(signed)
    assert len(cheat.revealed) == len(SITES)
    cheat.said.clear()
    four = tuple(site for site in SITES if site != "lyon")
    again = cheat.settle(contributed, dict.fromkeys(SITES, four))
    cheat.unmask(again or signed)
    # An honest message that comes again gets the reply of before, and nothing new.
    assert all(share[:1] == b"s" for reply in cheat.revealed for share in reply.shares.values())
    cheat.said = [reply for reply in cheat.said if not isinstance(reply, Revealed)]
    return cheat


def second_survivors(world: World) -> Cheat:
    """The same question again, in a new session, without one site."""
    world.run()
    cheat = Cheat(world, sites=tuple(site for site in SITES if site != "lyon"))
    cheat.unmask(cheat.settle(cheat.contribute(cheat.open())))
    return cheat


def replayed_keys(world: World) -> Cheat:
    """Keys that the sites signed for an earlier session."""
    old = Cheat(world, "1" * 32).open()
    cheat = Cheat(world)
    cheat.open()
    cheat.unmask(cheat.settle(cheat.contribute(old)))
    return cheat


def replayed_signatures(world: World) -> Cheat:
    """Endorsements of another session of the same question."""
    old = Cheat(world, "1" * 32)
    signed = old.settle(old.contribute(old.open()))
    cheat = Cheat(world)
    cheat.settle(cheat.contribute(cheat.open()))
    cheat.unmask(signed)
    return cheat


def below_the_minimum(world: World) -> Cheat:
    cheat = Cheat(world, sites=SITES[:2])
    cheat.unmask(cheat.settle(cheat.contribute(cheat.open())))
    return cheat


def below_the_minimum_by_request(world: World) -> Cheat:
    """A request that is content with one site does not lower the policy's three."""
    cheat = Cheat(world, sites=SITES[:2])
    announced = cheat.open(request={**TABLE.to_mapping(), "minimum_sites": 1})
    cheat.unmask(cheat.settle(cheat.contribute(announced)))
    return cheat


def fewer_survivors_than_the_minimum(world: World) -> Cheat:
    cheat = Cheat(world)
    contributed = cheat.contribute(cheat.open())
    cheat.unmask(cheat.settle(contributed, dict.fromkeys(SITES, SITES[:2])))
    return cheat


def unknown_node(world: World) -> Cheat:
    cheat = Cheat(world)
    announced = cheat.open()
    announced["mallory"] = announced["ulm"]
    cheat.unmask(cheat.settle(cheat.contribute(announced)))
    return cheat


def reordered_roster(world: World) -> Cheat:
    """Two sites have changed names: each one's keys stand under the other's."""
    cheat = Cheat(world)
    announced = cheat.open()
    announced["lyon"], announced["ulm"] = announced["ulm"], announced["lyon"]
    cheat.unmask(cheat.settle(cheat.contribute(announced)))
    return cheat


def another_roster(world: World) -> Cheat:
    """A roster of the same names, with a key of the coordinator's own for one of them."""
    key = Ed25519PrivateKey.generate().public_key().public_bytes_raw()
    cheat = Cheat(world)
    cheat.open(roster=Roster({**world.roster.sites, "lyon": key}).digest)
    return cheat


def stale_roster(world: World) -> Cheat:
    """The roster of before a site's key was taken back."""
    before = world.roster
    now = Roster({site: key for site, key in before.sites.items() if site != "lyon"})
    for site in world.sites.values():
        site.renew(site._identity, now, world.policy)
    cheat = Cheat(world)
    cheat.open(roster=before.digest)
    return cheat


def shares_swapped(world: World) -> Cheat:
    """Shares that one site meant for a second are handed to a third."""
    cheat = Cheat(world)
    contributed = cheat.contribute(cheat.open())
    lyon = contributed["lyon"]
    wrong = {**lyon.shares, "ulm": lyon.shares["torino"]}
    contributed["lyon"] = dataclasses.replace(lyon, shares=wrong)
    signed = cheat.settle(contributed)
    assert "ulm" not in signed
    cheat.names = ("ulm",)
    cheat.unmask(signed)
    return cheat


def words_of_another_question(world: World) -> Cheat:
    """The sites are to compare a question with something that was not asked before."""
    world.run(RATE)
    by_sex = {**RATE.to_mapping(), "parameters": {"by": ["sex_at_birth"]}}
    cheat = Cheat(world)
    message = world.open(session=cheat.session, request=by_sex)
    announced = {}
    for site in SITES:
        reply = cheat.tell(site, message)
        assert isinstance(reply, Announced)
        announced[site] = reply.announcement
    wrong = {RATE.digest: {**RATE.question(), "parameters": {"by": ["sex_at_birth"]}}}
    for site in SITES:
        cheat.tell(site, Contribute(cheat.session, announced, wrong))
    return cheat


CASES: tuple[Callable[[World], Cheat], ...] = (
    swapped_key,
    split_view_of_the_keys,
    split_view_of_who_takes_part,
    split_view_of_the_survivors,
    both_types_of_share,
    second_survivors,
    replayed_keys,
    replayed_signatures,
    below_the_minimum,
    below_the_minimum_by_request,
    fewer_survivors_than_the_minimum,
    unknown_node,
    reordered_roster,
    another_roster,
    stale_roster,
    shares_swapped,
    words_of_another_question,
)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.__name__)
def test_a_cheat_is_refused_and_no_share_leaves(
    tmp_path: Path, case: Callable[[World], Cheat]
) -> None:
    cheat = case(World(tmp_path))
    assert cheat.revealed == []
    assert cheat.refusals
    assert cheat.refusals <= {"protocol", "roster_differs", "second_survivors", "unknown_session"}


def test_an_honest_coordinator_gets_its_shares(tmp_path: Path) -> None:
    """The cases above could not fail if this one did."""
    cheat = Cheat(World(tmp_path))
    cheat.unmask(cheat.settle(cheat.contribute(cheat.open())))
    assert len(cheat.revealed) == len(SITES)
    assert cheat.refusals == set()


@pytest.mark.parametrize("number", [np.nan, np.inf, -np.inf, 2.0**89, 2.0**-97])
def test_a_site_never_masks_what_cannot_be_summed_exactly(tmp_path: Path, number: float) -> None:
    def odd(request: Mapping[str, object], broadcast: Broadcast, release: str) -> Blocks:
        blocks = compute(request, broadcast, release)
        if "person_years" not in blocks:
            return blocks
        sums = object.__new__(Sums)  # as if a check of the block had been forgotten
        object.__setattr__(sums, "values", np.full(blocks["person_years"].values.shape, number))
        return {"person_years": sums}

    with pytest.raises(SiteDownError, match="1 failed: the site's statistics could not"):
        World(tmp_path, computing={"lyon": odd}).run(RATE)


@pytest.mark.parametrize("change", ["truncated", "one bit", "signature"])
def test_a_vector_that_was_changed_on_its_way_is_not_summed(tmp_path: Path, change: str) -> None:
    """The query goes on without the site, as if it had been away."""
    world = World(tmp_path)
    plain = world.ask

    def ask(messages: Mapping[str, Message], timeout: float) -> Mapping[str, object]:
        replies = dict(plain(messages, timeout))
        lyon = replies.get("lyon")
        if isinstance(lyon, Contributed):
            masked = lyon.masked.copy()
            if change == "one bit":
                masked[0, 0] ^= np.uint64(1)
            signature = bytes(64) if change == "signature" else lyon.signature
            masked = masked[:-1] if change == "truncated" else masked
            replies["lyon"] = dataclasses.replace(lyon, masked=masked, signature=signature)
        return replies

    result = coordinator.run(
        TABLE, roster=world.roster, policy=world.policy, ask=ask, state=tmp_path / "state"
    )
    assert result.provenance["failed"] == {"unreadable": 1}
    assert result.data["counts"] == [81, 81]


def subsets(sites: tuple[str, ...]) -> list[tuple[str, ...]]:
    most = len(sites) // 3
    return [lost for k in range(1, most + 1) for lost in itertools.combinations(sites, k)]


@pytest.mark.parametrize("kind", [Open, Contribute, Settle, Unmask, Continue])
def test_every_dropout_through_the_coordinator_is_exact_or_refused(
    tmp_path: Path, kind: type[Message]
) -> None:
    for number, lost in enumerate(subsets(SITES)):
        world = World(tmp_path / str(number))
        world.cut = lambda site, message, lost=lost: site in lost and isinstance(message, kind)
        if kind is Continue:
            with pytest.raises(SiteDownError):
                world.run(RATE)
            continue
        result = world.run()
        assert result.data["counts"] == ([81, 81] if kind in (Open, Contribute) else [99, 99])


def test_messages_that_come_twice_or_in_another_order_change_nothing(tmp_path: Path) -> None:
    """Each message is delivered again after every later one, as a network may."""
    world = World(tmp_path)
    plain, delivered = world.ask, []

    def ask(messages: Mapping[str, Message], timeout: float) -> Mapping[str, object]:
        replies = plain(messages, timeout)
        for site, message in reversed(delivered):
            world.sites[site].handle(message)
        delivered.extend(messages.items())
        return replies

    result = coordinator.run(
        RATE, roster=world.roster, policy=world.policy, ask=ask, state=tmp_path / "state"
    )
    assert result.to_json() == World(tmp_path / "plain").run(RATE).to_json()
    assert not any(isinstance(item, Failed) for step in world.received for item in step.values())


def test_a_wrong_sum_is_not_published(tmp_path: Path) -> None:
    """A forged share does not lead to the key that was announced."""
    world = World(tmp_path)
    plain = world.ask

    def ask(messages: Mapping[str, Message], timeout: float) -> Mapping[str, object]:
        replies = dict(plain(messages, timeout))
        if isinstance(replies.get("lyon"), Revealed):
            shares = {**replies["lyon"].shares, "ulm": b"s" + bytes(32)}
            replies["lyon"] = dataclasses.replace(replies["lyon"], shares=shares)
        return replies

    with pytest.raises((SiteDownError, RefusedError), match="do not fit together"):
        coordinator.run(
            TABLE, roster=world.roster, policy=world.policy, ask=ask, state=tmp_path / "state"
        )
