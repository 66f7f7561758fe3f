"""A whole query: who may be absent, what a site refuses, and that nothing of a site gets out."""

import dataclasses
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from federated import coordinator
from federated.coordinator import AskSites
from federated.ledger import Ledger
from federated.messages import (
    Absent,
    Continue,
    Contribute,
    Contributed,
    Failed,
    Hello,
    Message,
    Open,
    Present,
    Refused,
    Reply,
    Revealed,
    Settle,
    Unmask,
    decode,
    encode,
)
from federated.overlap import OVERLAP, by_cell, cells, differences
from federated.policy import CONSORTIUM, PUBLIC, Policy
from federated.refusals import FAILURES, RULES
from federated.rehearsal import in_process, parties
from federated.request import Request, parse_request
from federated.results import Result
from federated.roster import Roster
from federated.site import Compute, SiteParty
from federated.statistics import Blocks, Broadcast, Counts, Sums
from transforms.dictionary import DICTIONARY
from transforms.errors import RefusedError, SiteDownError


SITES = ("leiden", "lyon", "odense", "torino", "ulm")
TABLE = parse_request(
    {"analysis": "crosstab", "view": "person", "parameters": {"variables": ["died"]}}
)
RATE = parse_request(
    {"analysis": "rate", "view": "person_time", "parameters": {"by": ["age_band"]}}
)


def compute(request: Mapping[str, object], broadcast: Broadcast, release: str) -> Blocks:
    """Plain statistics of a site, without a release: 20 patients in every cell."""
    asked = parse_request({k: v for k, v in request.items() if k != "compare"})
    shapes = asked.shapes(broadcast)
    overlap = far_from_all(asked, request["compare"]) if "compare" in request else {}
    blocks: dict[str, Counts | Sums] = {
        name: Counts(np.full(shape.size, 20))
        if shape.kind == "counts"
        else Sums(np.full(shape.size, 12.25))
        for name, shape in shapes.items()
    }
    return {**blocks, **overlap}


def far_from_all(asked: Request, job: Any) -> Blocks:
    """The answer of a site whose cells differ much from all that was answered before."""
    earlier = [parse_request(item["question"]) for item in job["earlier"]]
    cell = by_cell(asked, earlier)
    sizes, new = [cells(item, cell=cell) for item in earlier], cells(asked, cell=cell)
    none = np.full(20, -1)
    rows = [(np.full(20, -1), size) for size in sizes]
    return {OVERLAP: differences(none, new, rows, np.zeros(20, dtype=np.int64), job["limit"])}


class World:
    """Five sites, a coordinator, and a wire that a test can listen to or cut."""

    def __init__(
        self,
        folder: Path,
        policy: Policy = CONSORTIUM,
        computing: Mapping[str, Compute] | None = None,
    ) -> None:
        self.folder, self.policy = folder, policy
        computes = dict.fromkeys(SITES, compute) | dict(computing or {})
        self.releases = {site: f"rel-{site}" for site in computes}
        self.roster, self.sites = parties(computes, self.releases, policy, folder)
        self.sent: list[dict[str, Message]] = []
        self.received: list[dict[str, Reply | Absent]] = []
        self.cut: Callable[[str, Message], bool] = lambda site, message: False

    @property
    def ask(self) -> AskSites:
        carry = in_process(self.sites)

        def ask(messages: Mapping[str, Message], timeout: float) -> Mapping[str, Reply | Absent]:
            self.sent.append(dict(messages))
            through = {s: m for s, m in messages.items() if not self.cut(s, m)}
            replies = {**dict.fromkeys(messages, Absent("timeout")), **carry(through, timeout)}
            self.received.append(replies)
            return replies

        return ask

    def run(self, request: Request = TABLE, state: str = "state", **more: object) -> Result:
        settings = {"roster": self.roster, "policy": self.policy, **more}
        return coordinator.run(
            request,
            ask=self.ask,
            state=self.folder / state,
            **settings,  # type: ignore[arg-type]
        )

    def open(self, asked: Request = TABLE, **change: object) -> Open:
        message = Open(
            "0" * 32,
            asked.to_mapping(),
            self.policy.canonical(),
            self.roster.digest,
            DICTIONARY.version,
        )
        return dataclasses.replace(message, **change)


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


def test_a_table_takes_four_exchanges_and_a_second_round_three_more(world: World) -> None:
    result = world.run()
    assert result.data["counts"] == [99, 99]
    assert result.provenance["releases"] == world.releases
    assert len(world.sent) == 4
    rates = world.run(RATE)
    assert len(world.sent) == 4 + 7
    assert rates.data["cells"][0]["person_years"] == 61.2  # 5 · 12.25, three digits


def test_the_same_question_is_answered_from_the_store_with_the_same_bytes(world: World) -> None:
    first = world.run().to_json()
    again = world.run(dataclasses.replace(TABLE, minimum_sites=4)).to_json()
    assert again == first
    assert len(world.sent) == 5  # only asked who is there


def test_a_fresh_coordinator_gets_the_same_bytes(world: World) -> None:
    assert world.run(state="one").to_json() == world.run(state="two").to_json()


def test_an_absent_site_is_named(world: World) -> None:
    world.cut = lambda site, message: site == "ulm"
    result = world.run()
    assert result.provenance["slow"] == {"timeout": 1}
    assert sorted(result.provenance["releases"]) == sorted(set(SITES) - {"ulm"})
    assert result.data["counts"] == [81, 81]


def test_too_few_sites_is_an_error_that_names_them(world: World) -> None:
    world.cut = lambda site, message: site in ("ulm", "lyon", "odense")
    with pytest.raises(SiteDownError) as caught:
        world.run()
    assert str(caught.value).splitlines() == [
        "2 sites can answer and 3 are needed",
        "3 slow: no reply in time",
    ]


def test_a_site_lost_before_anything_is_unmasked_is_left_out(world: World) -> None:
    world.cut = lambda site, message: site == "lyon" and isinstance(message, Contribute)
    result = world.run()
    assert result.provenance["slow"] == {"timeout": 1}
    assert result.data["counts"] == [81, 81]


CURVE = {"time": "exit_age_y", "event": "died"}
BANDS = ["age_band", "sex_at_birth"]
SAME_NUMBERS = [
    ("crosstab", "person", {"variables": ["died", "hsct"]}, {"variables": ["hsct", "died"]}),
    ("kaplan_meier", "person", CURVE, {**CURVE, "confidence": 0.9}),
    ("kaplan_meier", "person", CURVE, {**CURVE, "grid": {"step": 1}}),
    ("rate", "person_time", {"by": ["age_band"]}, {"by": ["age_band"], "confidence": 0.99}),
    ("rate", "person_time", {"by": BANDS}, {"by": BANDS[::-1]}),
]
ADULT = {"field": "entry_age_y", "operator": "!=", "value": 0}


@pytest.mark.parametrize(("analysis", "view", "first", "second"), SAME_NUMBERS)
def test_the_same_numbers_asked_for_in_other_words_are_not_summed_over_other_sites(
    world: World,
    analysis: str,
    view: str,
    first: Mapping[str, object],
    second: Mapping[str, object],
) -> None:
    base = {"analysis": analysis, "view": view}
    world.run(parse_request({**base, "parameters": first}))
    other = parse_request({**base, "parameters": second})
    world.cut = lambda site, message: site == "ulm"
    with pytest.raises(RefusedError, match="together with other sites"):
        world.run(other)
    world.cut = lambda site, message: False
    assert world.run(other).provenance["slow"] == {}  # with the same sites it is answered


def test_a_cohort_in_other_words_is_the_same_question(world: World) -> None:
    same = {"not": {"not": {"field": "entry_age_y", "operator": "!=", "value": -0.0}}}
    plain, other = (parse_request({**TABLE.to_mapping(), "cohort": c}) for c in (ADULT, same))
    assert world.run(plain).to_json() == world.run(other).to_json()


@pytest.mark.parametrize("kind", [Settle, Unmask])
def test_a_site_lost_after_its_vector_arrived_is_still_in_the_sum(
    world: World, kind: type[Message]
) -> None:
    world.cut = lambda site, message: site == "lyon" and isinstance(message, kind)
    result = world.run()
    assert result.data["counts"] == [99, 99]
    assert result.provenance["absent"] == {}


def test_two_sites_lost_while_unmasking_are_too_many_and_nothing_is_published(
    world: World,
) -> None:
    world.cut = lambda site, message: site in ("lyon", "ulm") and isinstance(message, Unmask)
    with pytest.raises(SiteDownError, match="3 sites can answer and 4 are needed"):
        world.run()
    world.cut = lambda site, message: False
    assert world.run().data["counts"] == [99, 99]  # the same survivors may be asked again


def test_a_site_lost_between_rounds_ends_the_query(world: World) -> None:
    world.cut = lambda site, message: site == "lyon" and isinstance(message, Continue)
    with pytest.raises(SiteDownError, match="1 slow: no reply in time"):
        world.run(RATE)


def test_a_lost_reply_is_asked_for_again_and_given_again(world: World) -> None:
    lost: list[str] = []

    def once(site: str, message: Message) -> bool:
        if site != "lyon" or not isinstance(message, Settle) or lost:
            return False
        world.sites[site].handle(message)  # it arrived, only the reply was lost
        lost.append(site)
        return True

    world.cut = once
    assert world.run().data["counts"] == [99, 99]
    assert lost == ["lyon"]


def test_an_answer_is_given_again_whoever_is_there_until_a_release_is_new(world: World) -> None:
    world.cut = lambda site, message: site == "ulm"
    first = world.run().to_json()
    world.cut = lambda site, message: site == "lyon"
    assert world.run().to_json() == first
    world.cut = lambda site, message: False
    assert world.run().to_json() == first
    world.releases |= {site: f"new-{site}" for site in SITES}
    assert world.run().data["counts"] == [99, 99]


def test_a_session_starts_nothing_afresh(world: World) -> None:
    # The difference of a sum over five and a sum over four would be one site's own numbers.
    world.run(state="one")
    world.cut = lambda site, message: site == "ulm"
    with pytest.raises(RefusedError, match="together with other sites"):
        world.run(state="two")


def test_the_ledger_is_written_before_the_shares_leave(world: World, tmp_path: Path) -> None:
    world.run()
    for site in SITES:
        spent = [e for e in Ledger(tmp_path / site / "ledger").entries() if e["event"] == "spent"]
        assert [entry["body"]["survivors"] for entry in spent] == [list(SITES)]  # type: ignore[index]
    events = [entry["event"] for entry in Ledger(tmp_path / "state" / "ledger").entries()]
    assert events == ["asked", "answered"]


def test_a_site_whose_ledger_was_changed_answers_nothing(world: World, tmp_path: Path) -> None:
    world.run()
    path = tmp_path / "lyon" / "ledger" / "ledger.jsonl"
    path.write_bytes(path.read_bytes()[:-30])
    assert world.run(RATE).provenance["failed"] == {"ledger_broken": 1}


@pytest.mark.parametrize(
    ("change", "rule"),
    [
        ({"roster": "0" * 64}, "roster_differs"),
        ({"dictionary": "99"}, "dictionary_differs"),
        ({"policy": {**CONSORTIUM.canonical(), "grid": 5}}, "policy_too_lax"),
        ({"policy": {"grid": 1}}, "policy_too_lax"),
        ({"policy": {"gird": 6}}, "policy_too_lax"),
        ({"request": {**TABLE.to_mapping(), "analysis": "rows"}}, "request_unknown"),
        ({"request": {}}, "request_unknown"),
    ],
)
def test_a_site_refuses_by_rule(world: World, change: dict[str, object], rule: str) -> None:
    assert world.sites["lyon"].handle(world.open(**change)) == Refused(rule)
    assert rule in RULES


def test_a_stricter_policy_than_the_sites_own_is_fine(world: World) -> None:
    assert world.run(policy=PUBLIC).data["counts"] == [95, 95]


def test_the_strictest_policy_of_all_sites_wins_and_is_named(world: World) -> None:
    world.sites["lyon"]._policy = PUBLIC
    world.sites["ulm"]._policy = dataclasses.replace(CONSORTIUM, min_step_events=12)
    result = world.run()
    named = result.provenance["policy"]
    assert (named["profile"], named["stricter_in"]) == ("public", ["min_step_events"])
    assert (named["grid"], named["min_step_events"]) == (10, 12)
    assert result.provenance["refused"] == {}
    assert result.data["counts"] == [95, 95]  # 100 in bins of ten, 91 to 100


def test_a_site_that_wants_what_is_no_policy_is_left_out(world: World) -> None:
    def ask(messages: Mapping[str, Message], timeout: float) -> Mapping[str, Reply | Absent]:
        replies = dict(world.ask(messages, timeout))
        for site, message in messages.items():
            if site == "lyon":
                hello = isinstance(message, Hello)
                lax = Refused("policy_too_lax")
                replies[site] = Present("lyon", "r", {}, "", {"grid": 3}) if hello else lax
        return replies

    result = coordinator.run(
        TABLE, roster=world.roster, policy=CONSORTIUM, ask=ask, state=world.folder / "state"
    )
    assert result.provenance["policy"]["profile"] == "consortium"
    assert result.provenance["refused"] == {"policy_too_lax": 1}


def test_a_table_that_is_too_large_for_the_strictest_is_refused(world: World) -> None:
    variables = ["died", "sex_at_birth", "ever_fractured"]
    words = {"analysis": "crosstab", "view": "person", "parameters": {"variables": variables}}
    world.sites["lyon"]._policy = PUBLIC
    with pytest.raises(RefusedError, match="3 variables: the policy allows 2"):
        world.run(parse_request(words))


def test_a_site_never_answers_the_same_numbers_in_other_bins(world: World) -> None:
    world.run()
    with pytest.raises(RefusedError, match="has told these numbers in other bins"):
        world.run(state="another", policy=PUBLIC)


def test_a_site_without_a_release_refuses(world: World) -> None:
    world.releases["ulm"] = None  # type: ignore[assignment]
    assert world.run().provenance["refused"] == {"no_release": 1}


def test_a_release_that_is_held_back_answers_nothing(world: World) -> None:
    world.sites["ulm"]._standing = {"rel-ulm": "release_held"}.get
    assert world.run().provenance["refused"] == {"release_held": 1}


def test_a_withdrawal_ends_a_conversation_that_was_opened_before(world: World) -> None:
    """Nothing is unmasked of a release that was taken back while it was asked."""
    gone: list[str] = []
    world.sites["ulm"]._standing = lambda release: "release_gone" if gone else None

    def cut(site: str, message: Message) -> bool:
        if isinstance(message, Unmask):
            gone.append(site)
        return False

    world.cut = cut
    world.run()
    answers = [step["ulm"] for step in world.received if "ulm" in step]
    assert Refused("release_gone") in answers
    assert not any(isinstance(reply, Revealed) for reply in answers)


def test_a_table_that_is_too_large_is_refused_before_anyone_is_asked(world: World) -> None:
    big = parse_request(
        {
            "analysis": "crosstab",
            "view": "person",
            "parameters": {"variables": ["gene_group", "dx_subtype", "sex_at_birth"]},
        }
    )
    with pytest.raises(RefusedError, match="cells: the policy allows 200"):
        world.run(big)
    assert world.sent == []
    assert world.sites["lyon"].handle(world.open(big)) == Refused("table_too_large")


def test_the_days_budget_is_enforced_by_the_site(tmp_path: Path) -> None:
    world = World(tmp_path, policy=Policy(max_queries_per_day=1))
    world.run()
    world.run(state="another")  # the same question again is free
    with pytest.raises(RefusedError, match="most questions for today"):
        world.run(RATE)


def test_conversations_opened_side_by_side_share_the_days_budget(tmp_path: Path) -> None:
    world = World(tmp_path, policy=Policy(max_queries_per_day=1))
    inner: list[Result] = []

    def between(site: str, message: Message) -> bool:
        if isinstance(message, Settle):
            world.cut = lambda site, message: False
            inner.append(world.run(RATE))
        return False

    world.cut = between
    with pytest.raises(RefusedError, match="most questions for today"):
        world.run()
    assert inner[0].provenance["absent"] == {}


def test_what_breaks_at_a_site_becomes_a_code_without_its_text(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    def broken(request: Mapping[str, object], broadcast: Broadcast, release: str) -> Blocks:
        raise ValueError("could not convert 'Dupont, Marie'")

    world = World(tmp_path, computing={"lyon": broken})
    assert world.run().provenance["failed"] == {"tally_failed": 1}
    assert "tally_failed" in FAILURES
    assert "ValueError < broken" in caplog.text
    carried = b"".join(encode(r) for step in world.received for r in step.values())  # type: ignore[arg-type]
    for text in (caplog.text.encode(), carried):
        assert b"Dupont" not in text


def test_a_site_that_sends_other_shapes_is_stopped_by_itself(tmp_path: Path) -> None:
    def rows(request: Mapping[str, object], broadcast: Broadcast, release: str) -> Blocks:
        return {"cells": Counts(np.arange(500)), "missing": Counts(np.array([0]))}

    assert World(tmp_path, computing={"lyon": rows}).run().provenance["failed"] == {
        "tally_failed": 1
    }


def test_a_site_never_raises_and_never_answers_noise(world: World) -> None:
    reply = decode(world.sites["lyon"].handle_bytes(b"noise"))
    assert isinstance(reply, Failed)
    assert reply.code == "garbled"
    assert world.sites["lyon"].handle(Refused("x")) == Refused("protocol")  # type: ignore[arg-type]
    for message in (
        Contribute("nobody", {}),
        Continue("nobody", 2, {}),
        Settle("nobody", 1, SITES),
        Unmask("nobody", 1, {}),
    ):
        assert world.sites["lyon"].handle(message) == Refused("unknown_session")


def test_a_conversation_out_of_order_is_refused(world: World) -> None:
    lyon = world.sites["lyon"]
    announced = lyon.handle(world.open())
    session = "0" * 32
    assert lyon.handle(world.open()) == announced  # an echo changes nothing
    assert lyon.handle(dataclasses.replace(world.open(), roster="another")) == Refused("protocol")
    assert lyon.handle(Continue(session, 1, {})) == Refused("protocol")
    assert lyon.handle(Settle(session, 1, SITES)) == Refused("protocol")
    assert lyon.handle(Unmask(session, 1, {})) == Refused("protocol")


def test_a_site_tells_who_it_is(world: World) -> None:
    reply = world.sites["lyon"].handle(Hello())
    assert isinstance(reply, Present)
    assert (reply.site, reply.release, reply.roster) == ("lyon", "rel-lyon", world.roster.digest)


def test_nothing_of_a_single_site_is_on_the_wire(tmp_path: Path) -> None:
    # A number that only one site has, as it would look in any plain encoding.
    canary = 7_234_567_890_123

    def secret(request: Mapping[str, object], broadcast: Broadcast, release: str) -> Blocks:
        blocks = dict(compute(request, broadcast, release))
        cells = blocks["cells"].values.copy()
        cells[0] = canary
        return {**blocks, "cells": Counts(cells)}

    world = World(tmp_path, computing={"lyon": secret})
    world.run()
    wire = b"".join(
        encode(message)
        for step in (*world.sent, *world.received)
        for message in step.values()
        if not isinstance(message, Absent)
    )
    forms = [
        canary.to_bytes(8, "little"),
        canary.to_bytes(8, "big"),
        (canary << 32).to_bytes(16, "little")[:8],
        str(canary).encode(),
        np.float64(canary).tobytes(),
    ]
    assert not any(form in wire for form in forms)
    assert b"rel-lyon" in wire  # the search would find what is there


def test_masked_vectors_of_equal_sites_differ_and_of_equal_queries_too(world: World) -> None:
    world.run(state="one")
    world.run(state="two")
    vectors = [
        reply.masked.tobytes()
        for step in world.received
        for reply in step.values()
        if isinstance(reply, Contributed)
    ]
    assert len(vectors) == len(set(vectors)) == 10


def test_a_site_reveals_one_share_per_site(world: World) -> None:
    world.run()
    revealed = [r for step in world.received for r in step.values() if isinstance(r, Revealed)]
    assert len(revealed) == 5
    assert all(len(share) == 33 for reply in revealed for share in reply.shares.values())


def test_a_stranger_in_the_roster_of_the_coordinator_is_refused(world: World) -> None:
    keys = dict(world.roster.sites) | {"mallory": b"\x05" * 32}
    with pytest.raises(RefusedError, match="pinned another roster"):
        world.run(roster=Roster(keys))


def test_a_party_outside_its_own_roster_refuses(world: World, tmp_path: Path) -> None:
    outsider = SiteParty(
        "paris",
        world.sites["lyon"]._identity,
        world.roster,
        CONSORTIUM,
        tmp_path / "paris",
        compute,
        lambda: "rel-paris",
    )
    assert outsider.handle(world.open()) == Refused("roster_differs")
