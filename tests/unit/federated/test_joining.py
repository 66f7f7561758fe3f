"""Sites that come late: when they may join an answer, and what the ledger says to it."""

import dataclasses
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest

from federated.ledger import Ledger, Spending, SpentError
from federated.messages import Message, Unmask
from federated.overlap import OVERLAP, cells, differences
from federated.policy import CONSORTIUM, Policy
from federated.request import Request, parse_request
from federated.site import Compute
from federated.statistics import Blocks, Broadcast, Counts
from tests.unit.federated.test_query import TABLE, World
from transforms.errors import RefusedError


NINE = ("bonn", "gent", "leiden", "lyon", "odense", "porto", "torino", "turku", "ulm")
LATER = dataclasses.replace(TABLE, complete_later=True)
ALONE = dataclasses.replace(CONSORTIUM, min_late_sites=1)


def holding(first: int, second: int) -> Compute:
    """A site with so many patients in the two cells of the table."""
    rows = np.array([0] * first + [1] * second, dtype=np.int64)
    bands = np.zeros(rows.size, dtype=np.int64)

    def compute(request: Mapping[str, object], broadcast: Broadcast, release: str) -> Blocks:
        counts = Counts(np.array([first, second]))
        one, none = Counts(np.array([1])), Counts(np.array([0]))
        blocks = {"cells": counts, "contributing_sites": one, "missing": none}
        job = request.get("compare")
        if not isinstance(job, dict):
            return blocks
        earlier = [
            (rows if item["here"] else None, cells(parse_request(item["question"])))
            for item in job["earlier"]
        ]
        return {**blocks, OVERLAP: differences(rows, 2, earlier, bands, job["limit"])}

    return compute


def world_of(
    folder: Path,
    late: tuple[str, ...],
    policy: Policy = CONSORTIUM,
    sites: Mapping[str, Compute] | None = None,
) -> World:
    """Nine sites, of which the `late` were away when the question was answered."""
    computing = dict.fromkeys(NINE, holding(20, 20)) | dict(sites or {})
    world = World(folder, policy, computing)
    world.cut = lambda site, message: site in late
    world.run()
    world.cut = lambda site, message: False
    return world


def test_three_sites_join_an_answer_together(tmp_path: Path) -> None:
    world = world_of(tmp_path, ("bonn", "gent", "porto"))
    assert world.run().data["counts"] == [117, 117]  # 6 · 20: as it was answered
    assert world.run(LATER).data["counts"] == [177, 177]  # 9 · 20
    assert world.run().data["counts"] == [177, 177]  # from now on this is the answer


@pytest.mark.parametrize("late", [("bonn",), ("bonn", "gent")])
def test_fewer_do_not_for_their_own_figures_would_be_known(
    tmp_path: Path, late: tuple[str, ...]
) -> None:
    world = world_of(tmp_path, late)
    first = world.run().to_json()
    with pytest.raises(RefusedError, match="too few sites would join"):
        world.run(LATER)
    assert world.run().to_json() == first


def test_a_coordinator_that_lets_them_join_all_the_same_is_refused_by_the_sites(
    tmp_path: Path,
) -> None:
    world = world_of(tmp_path, ("bonn", "gent"))
    with pytest.raises(RefusedError, match="too few sites would join"):
        world.run(LATER, state="forgetful")


@pytest.mark.parametrize(("held", "allowed"), [(2, False), (3, True), (0, True)])
def test_what_they_add_is_nobody_or_more_than_six_in_every_cell(
    tmp_path: Path, held: int, allowed: bool
) -> None:
    late = ("bonn", "gent", "porto")
    world = world_of(tmp_path, late, sites=dict.fromkeys(late, holding(20, held)))
    first = world.run().to_json()
    if allowed:
        assert world.run(LATER).data["counts"][0] == 177
        return
    with pytest.raises(RefusedError, match="differ by too few"):
        world.run(LATER)
    assert world.run().to_json() == first


def test_one_site_joins_where_the_policy_allows_it_and_its_cells_are_not_small(
    tmp_path: Path,
) -> None:
    world = world_of(tmp_path, ("bonn",), ALONE)
    assert world.run(LATER).data["counts"] == [177, 177]


def test_one_site_with_a_small_cell_refuses_to_join_before_it_sends_anything(
    tmp_path: Path,
) -> None:
    world = world_of(tmp_path, ("bonn",), ALONE, {"bonn": holding(20, 3)})
    first = world.run().to_json()
    # The others go on without it, and are whom the answer rests on already.
    assert world.run(LATER).to_json() == first
    assert not Ledger(tmp_path / "bonn" / "ledger").entries()


def test_without_the_word_nobody_joins(tmp_path: Path) -> None:
    world = world_of(tmp_path, ("bonn", "gent", "porto"))
    with pytest.raises(RefusedError, match="together with other sites"):
        world.run(state="forgetful")


def test_a_site_lost_again_while_the_others_join_leaves_the_first_answer(tmp_path: Path) -> None:
    world = world_of(tmp_path, ("bonn", "gent", "porto"))
    first = world.run().to_json()
    world.cut = lambda site, message: site == "lyon"
    assert world.run(LATER).to_json() == first


def test_the_word_is_a_condition_and_no_part_of_the_question() -> None:
    asked = parse_request({**TABLE.to_mapping(), "complete_later": True})
    assert isinstance(asked, Request)
    assert (asked.complete_later, asked.digest) == (True, TABLE.digest)
    assert parse_request(asked.to_mapping()).complete_later
    assert not TABLE.complete_later


SPENT = Spending("question", "counted", "rel-1", 1, "roster", ("a", "b", "c"), "00")
MORE = dataclasses.replace(SPENT, survivors=("a", "b", "c", "d", "e", "f"), completes=True)


def test_a_ledger_lets_sites_join_and_never_leave(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path)
    ledger.spend(SPENT)
    with pytest.raises(SpentError, match="second_survivors"):
        ledger.spend(dataclasses.replace(MORE, completes=False))
    with pytest.raises(SpentError, match="second_survivors"):
        ledger.spend(dataclasses.replace(MORE, survivors=("a", "b", "d", "e", "f")))
    ledger.spend(MORE)
    ledger.spend(MORE)
    assert len(ledger.entries()) == 2
    for back in (SPENT, dataclasses.replace(SPENT, completes=True)):
        with pytest.raises(SpentError, match="second_survivors"):
            ledger.spend(back)


def test_a_question_answered_while_another_is_asked_sends_that_round_again(tmp_path: Path) -> None:
    """Each of two questions is compared with the other, whoever is first."""
    world = World(tmp_path)
    by_sex = parse_request({**TABLE.to_mapping(), "parameters": {"variables": ["sex_at_birth"]}})
    inner: list[object] = []

    def between(site: str, message: Message) -> bool:
        if isinstance(message, Unmask) and not inner:
            inner.append(None)
            world.run(by_sex, state="another")
        return False

    world.cut = between
    world.run()
    notes = [entry["body"] for entry in Ledger(tmp_path / "lyon" / "ledger").entries()]
    assert [body["question"] for body in notes] == [by_sex.digest, TABLE.digest]  # type: ignore[index]
    kinds = [type(m).__name__ for step in world.sent for m in list(step.values())[:1]]
    assert kinds.count("Open") == 3  # the first had to begin again
