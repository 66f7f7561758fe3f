"""Nothing is spent twice: many at once, killed at any moment, asked by two coordinators."""

import contextlib
import dataclasses
import os
import random
import signal
import threading
import time
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path

import pytest

from federated.ledger import Ledger, Spending, SpentError
from federated.messages import Message
from federated.request import Request, parse_request
from tests.unit.federated.test_query import SITES, TABLE, World
from transforms.errors import RefusedError, SiteDownError


SPENT = Spending("question", "counted", "rel-1", 1, "roster", ("a", "b", "c"), "00")
SETS = (("a", "b", "c"), ("a", "b", "d"), ("a", "c", "d"), ("b", "c", "d"))
FIELDS = ("died", "sex_at_birth", "hsct", "ever_fractured")


def spending(number: int, survivors: tuple[str, ...]) -> Spending:
    name = f"question {number}"
    return dataclasses.replace(SPENT, question=name, counted=name, survivors=survivors)


def forked(work: Callable[[], None]) -> int:
    """Run `work` in a process of its own; return its id."""
    child = os.fork()
    if child == 0:
        try:
            work()
        finally:
            os._exit(0)
    return child


def survivors_of(folder: Path) -> dict[str, set[tuple[str, ...]]]:
    found = defaultdict(set)
    for entry in Ledger(folder).entries():
        body = entry["body"]
        assert isinstance(body, dict)
        found[body["question"]].add(tuple(body["survivors"]))
    return found


def test_four_processes_that_disagree_spend_each_question_once(tmp_path: Path) -> None:
    def work(survivors: tuple[str, ...]) -> None:
        ledger = Ledger(tmp_path)
        for number in range(40):
            with contextlib.suppress(SpentError):
                ledger.spend(spending(number, survivors))

    children = [forked(lambda chosen=chosen: work(chosen)) for chosen in SETS]
    for child in children:
        assert os.waitpid(child, 0)[1] == 0
    found = survivors_of(tmp_path)
    assert len(found) == 40
    assert all(len(sets) == 1 for sets in found.values())


def kill_while_spending(folder: Path, source: random.Random) -> None:
    """Kill a process that spends without a pause; what it was told is done must be there."""
    reader, writer = os.pipe()

    def work() -> None:
        ledger = Ledger(folder)
        start = len(ledger.entries())
        for number in range(start, start + 10_000):
            ledger.spend(spending(number, SETS[0]))
            os.write(writer, f"{number}\n".encode())

    child = forked(work)
    os.close(writer)
    time.sleep(source.uniform(0.002, 0.06))
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    with os.fdopen(reader, encoding="utf-8") as pipe:
        acknowledged = {f"question {line.strip()}" for line in pipe if line.endswith("\n")}
    ledger = Ledger(folder)  # the chain is whole
    kept = {str(entry["body"]["question"]) for entry in ledger.entries()}  # type: ignore[index]
    assert acknowledged <= kept
    for question in acknowledged:
        again = dataclasses.replace(SPENT, question=question, counted=question, survivors=SETS[1])
        with pytest.raises(SpentError, match="second_survivors"):
            ledger.check_spend(again)


def test_what_was_acknowledged_before_a_kill_is_remembered(tmp_path: Path) -> None:
    source = random.Random(4)
    for _ in range(15):
        kill_while_spending(tmp_path, source)
    assert len(Ledger(tmp_path).entries()) > 15


@pytest.mark.audit
def test_three_hundred_kills(tmp_path: Path) -> None:
    source = random.Random(5)
    for number in range(300):
        kill_while_spending(tmp_path / str(number // 20), source)


def together(*work: Callable[[], None]) -> None:
    threads = [threading.Thread(target=one) for one in work]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def test_two_coordinators_that_disagree_about_who_is_there_get_one_answer(tmp_path: Path) -> None:
    """One does not reach ulm, the other does not reach lyon; both ask at the same time."""
    world = World(tmp_path)
    ways: dict[str, str] = {"one": "ulm", "two": "lyon"}
    answers: dict[str, str] = {}

    def work(state: str) -> None:
        lost = ways[state]
        plain = world.ask

        def ask(messages, timeout):  # type: ignore[no-untyped-def]
            return plain({s: m for s, m in messages.items() if s != lost}, timeout)

        from federated import coordinator

        try:
            coordinator.run(
                TABLE, roster=world.roster, policy=world.policy, ask=ask, state=tmp_path / state
            )
            answers[state] = "answered"
        except (RefusedError, SiteDownError):
            answers[state] = "refused"

    together(lambda: work("one"), lambda: work("two"))
    assert len(answers) == 2
    assert list(answers.values()).count("answered") <= 1
    for site in SITES:
        assert all(len(s) == 1 for s in survivors_of(tmp_path / site / "ledger").values())


def variations() -> list[Request]:
    base = TABLE.to_mapping()
    return [parse_request({**base, "parameters": {"variables": [name]}}) for name in FIELDS]


@pytest.mark.parametrize("states", [["state"], ["one", "two", "three", "four"]])
def test_questions_asked_at_the_same_time_are_all_answered_and_compared(
    tmp_path: Path, states: list[str]
) -> None:
    """By one coordinator, and by four that know nothing of each other."""
    world = World(tmp_path)
    answers: list[object] = []

    def ask(number: int, question: Request) -> None:
        for _ in range(4):  # who is overtaken more than three times is told to ask again
            try:
                answers.append(world.run(question, state=states[number % len(states)]))
                return
            except RefusedError as error:
                answers.append(error) if "ask again" not in str(error) else None

    together(*(lambda n=n, q=q: ask(n, q) for n, q in enumerate(variations())))
    assert len(answers) == len(FIELDS)
    assert not [item for item in answers if isinstance(item, Exception)]
    for site in SITES:
        found = survivors_of(tmp_path / site / "ledger")
        assert len(found) == len(FIELDS)


def test_a_site_that_restarts_in_the_middle_spends_nothing_twice(tmp_path: Path) -> None:
    """Its conversations are gone and its ledger is not: the query ends, and can be asked again."""
    world = World(tmp_path)

    def restarting(site: str, message: Message) -> bool:
        if site == "lyon" and type(message).__name__ == "Unmask":
            world.sites["lyon"]._sessions.clear()
        return False

    world.cut = restarting
    assert world.run().data["counts"] == [99, 99]  # four of five shares are enough
    world.cut = lambda site, message: False
    assert world.run(state="another").data["counts"] == [99, 99]
    for site in SITES:
        assert all(len(s) == 1 for s in survivors_of(tmp_path / site / "ledger").values())
