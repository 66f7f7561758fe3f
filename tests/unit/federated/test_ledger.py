"""The ledger: it remembers, it notices a changed byte, and it refuses differencing."""

import dataclasses
import resource
from datetime import UTC, datetime
from pathlib import Path

import pytest

from federated.ledger import Ledger, Spending, SpentError
from transforms.errors import ConsortiumError


FIRST = Spending("question", "counted", "rel-1", 1, "roster", ("a", "b", "c"), "00")


def filled(folder: Path) -> Ledger:
    ledger = Ledger(folder)
    ledger.append("asked", {"question": "q"})
    ledger.spend(FIRST)
    ledger.append("asked", {"question": "r"})
    return ledger


def test_entries_are_chained_and_survive_a_restart(tmp_path: Path) -> None:
    before = filled(tmp_path).entries()
    again = Ledger(tmp_path)
    assert again.entries() == before
    assert [entry["seq"] for entry in before] == [0, 1, 2]
    assert before[2]["prev"] == before[1]["hash"]


def test_any_changed_byte_is_noticed(tmp_path: Path) -> None:
    path = filled(tmp_path).path
    intact = path.read_bytes()
    for place in range(0, len(intact), 7):
        broken = bytearray(intact)
        broken[place] ^= 1
        path.write_bytes(bytes(broken))
        with pytest.raises(ConsortiumError, match="was changed or cut off"):
            Ledger(tmp_path)


def test_a_line_that_is_missing_cut_off_or_moved_is_noticed(tmp_path: Path) -> None:
    path = filled(tmp_path).path
    one, two, three = path.read_bytes().splitlines(keepends=True)
    for text in (two + three, one + three, one + two + three[:-1], two + one + three):
        path.write_bytes(text)
        with pytest.raises(ConsortiumError):
            Ledger(tmp_path)


def test_a_ledger_that_became_shorter_while_in_use_is_noticed(tmp_path: Path) -> None:
    ledger = filled(tmp_path)
    ledger.path.write_bytes(ledger.path.read_bytes().splitlines(keepends=True)[0])
    with pytest.raises(ConsortiumError, match="became shorter"):
        ledger.append("asked", {})


def test_a_full_disk_leaves_the_ledger_as_it_was(tmp_path: Path) -> None:
    ledger = filled(tmp_path)
    before = ledger.path.read_bytes()
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (len(before) + 10, hard))  # a part of a line fits
    try:
        with pytest.raises(OSError, match="space"):
            ledger.append("asked", {})
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert ledger.path.read_bytes() == before
    ledger.append("asked", {})
    assert len(Ledger(tmp_path).entries()) == 4


def test_two_users_of_one_ledger_see_each_other(tmp_path: Path) -> None:
    one, two = Ledger(tmp_path), Ledger(tmp_path)
    one.spend(FIRST)
    two.append("asked", {})
    assert len(one.entries()) == 2
    with pytest.raises(SpentError, match="second_survivors"):
        two.spend(dataclasses.replace(FIRST, survivors=("a", "b")))


def test_the_same_unmasking_is_recorded_once(tmp_path: Path) -> None:
    ledger = filled(tmp_path)
    ledger.spend(FIRST)
    assert len(ledger.entries()) == 3


@pytest.mark.parametrize(
    ("change", "rule"),
    [
        ({"survivors": ("a", "b", "d")}, "second_survivors"),
        ({"survivors": ("a", "b")}, "second_survivors"),
        ({"roster": "another"}, "second_roster"),
        ({"broadcast": "01"}, "second_broadcast"),
        ({"round": 2, "survivors": ("a", "b")}, "second_survivors"),
    ],
)
def test_a_second_different_unmasking_is_refused(
    tmp_path: Path, change: dict[str, object], rule: str
) -> None:
    with pytest.raises(SpentError, match=rule):
        filled(tmp_path).spend(dataclasses.replace(FIRST, **change))


@pytest.mark.parametrize(
    "change", [{"question": "other"}, {"release": "rel-2"}, {"round": 2, "broadcast": "01"}]
)
def test_another_question_release_or_round_is_not_refused(
    tmp_path: Path, change: dict[str, object]
) -> None:
    ledger = filled(tmp_path)
    ledger.spend(dataclasses.replace(FIRST, **change))
    assert len(ledger.entries()) == 4


def test_the_budget_is_per_day_and_repeats_are_free(tmp_path: Path) -> None:
    day = datetime(2026, 11, 22, 12, tzinfo=UTC)
    ledger = Ledger(tmp_path, now=lambda: day)
    ledger.spend(FIRST)
    ledger.check_budget("question", "rel-1", 1)
    with pytest.raises(SpentError, match="budget_spent"):
        ledger.check_budget("another", "rel-1", 1)
    tomorrow = Ledger(tmp_path, now=lambda: day.replace(day=23))
    tomorrow.check_budget("another", "rel-1", 1)
