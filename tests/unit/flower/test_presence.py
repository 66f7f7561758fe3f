"""Slow is not gone: a node that works gives signs, and who is absent is told apart."""

import threading
import time
from collections.abc import Callable, Mapping
from typing import cast

import pytest

from federated.flower import pulse
from federated.flower.gateway import ask_by
from federated.flower.post import PostOffice
from federated.flower.pulse import Pulse
from federated.messages import Absent, Hello, Refused, encode


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pulse, "EVERY", 0.02)


class Signs:
    """Counts the signs of a node; may fail, as a call may."""

    def __init__(self, error: Exception | None = None) -> None:
        self.count, self.error, self.seen = 0, error, threading.Event()

    def __call__(self) -> None:
        self.count += 1
        self.seen.set()
        if self.error is not None:
            raise self.error


def await_true(seen: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 5
    while not seen():
        assert time.monotonic() < deadline
        time.sleep(0.005)


@pytest.mark.parametrize("error", [None, OSError("the line is cut")])
def test_long_work_gives_signs_and_rest_gives_none(error: Exception | None) -> None:
    signs = Signs(error)
    heart = Pulse(signs)
    for _ in range(2):
        with heart.beat(60):
            before = signs.count
            await_true(lambda: signs.count >= before + 3)  # noqa: B023 - waited for right here
        time.sleep(0.05)
        rest = signs.count
        time.sleep(0.1)
        assert signs.count == rest


def test_quick_work_costs_no_sign(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pulse, "EVERY", 5.0)
    signs = Signs()
    heart = Pulse(signs)
    for _ in range(100):
        with heart.beat(60):
            pass
    assert signs.count == 0


def test_no_sign_is_given_for_longer_than_meant() -> None:
    signs = Signs()
    with Pulse(signs).beat(0.0):
        time.sleep(0.2)
    assert signs.count == 0


class Office:
    """A post office with one answer, two sites that talk nonsense, one slow, one that is gone."""

    def ask(self, blobs: Mapping[str, bytes], timeout: float) -> dict[str, bytes | None]:
        return {"graz": encode(Refused("no_release")), "lyon": b"nonsense", "oslo": None}

    def online(self) -> frozenset[str]:
        return frozenset({"graz", "lyon", "oslo", "ulm"})


def test_slow_gone_and_garbled_are_told_apart() -> None:
    ask = ask_by(cast(PostOffice, Office()))
    sites = ("graz", "lyon", "oslo", "ulm", "wien")
    replies = ask(dict.fromkeys(sites, Hello()), 1.0)
    assert replies == {
        "graz": Refused("no_release"),
        "lyon": Absent("garbled"),
        "oslo": Absent("garbled"),
        "ulm": Absent("timeout"),
        "wien": Absent("offline"),
    }
