"""The node executes nothing for an app that its site has not allowed, and survives the gateway."""

import logging

import httpx
import pytest
from flwr.app import ConfigRecord, Message, RecordDict
from flwr.common.constant import SUPERLINK_NODE_ID, ErrorCode
from flwr.supercore.task_identity import TaskIdentity

from federated.flower import fab, node, wire
from federated.flower.node import Node


class Stop(BaseException):
    """Ends the endless loop of a node in a test."""


class FakeLink:
    """A gateway that hands out the given messages (or raises them), then ends the test."""

    def __init__(self, *script: Message | Exception | None, app: bytes = b"") -> None:
        self.script, self.bundle = list(script), app or fab.bundle()
        self.replies: list[Message] = []
        self.hellos = self.downloads = 0

    def hello(self) -> None:
        self.hellos += 1

    def exchange(self, reply: Message | None) -> Message | None:
        if reply is not None:
            self.replies.append(reply)
        if not self.script:
            raise Stop
        step = self.script.pop(0)
        if isinstance(step, Exception):
            raise step
        return step

    def working(self) -> None:
        """Nobody minds here."""

    def app(self, run_id: int) -> bytes:
        self.downloads += 1
        return self.bundle


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    TaskIdentity.run_id, TaskIdentity.task_id, TaskIdentity.node_id = 1, 1, SUPERLINK_NODE_ID
    monkeypatch.setattr(node, "BACKOFF", (0.0,))


def serve(link: FakeLink) -> list[bytes]:
    """Run a node until the link's script ends; return what its party was given."""
    seen: list[bytes] = []

    def party(content: bytes) -> bytes:
        seen.append(content)
        return content.upper()

    with pytest.raises(Stop):
        Node(link, party, lambda: {fab.digest()}).serve()
    return seen


def test_answers_in_order_and_asks_for_the_app_once() -> None:
    link = FakeLink(wire.instruction(b"a", 7, 60), None, wire.instruction(b"b", 7, 60))
    assert serve(link) == [b"a", b"b"]
    assert [wire.blob(reply) for reply in link.replies] == [b"A", b"B"]
    assert link.downloads == 1


def test_refuses_an_app_that_is_not_allowed(caplog: pytest.LogCaptureFixture) -> None:
    link = FakeLink(wire.instruction(b"a", 7, 60), app=b"PK rogue bundle")
    with caplog.at_level(logging.WARNING):
        assert serve(link) == []
    assert link.replies[0].error.code == ErrorCode.INVALID_FAB
    assert "not on the allow-list" in caplog.text


@pytest.mark.parametrize("kind", ["train", "query", "query.other"])
def test_refuses_messages_of_another_type(kind: str) -> None:
    foreign = wire.instruction(b"a", 7, 60)
    foreign.metadata.message_type = kind
    assert serve(FakeLink(foreign)) == []


def test_refuses_content_that_is_not_ours() -> None:
    foreign = Message(RecordDict({"x": ConfigRecord({"y": 1})}), 7, wire.MESSAGE_TYPE)
    assert serve(FakeLink(foreign)) == []


def test_reconnects_whatever_the_gateway_does() -> None:
    request = httpx.Request("POST", "https://localhost")
    refusal = httpx.HTTPStatusError("", request=request, response=httpx.Response(401))
    link = FakeLink(
        httpx.ConnectError("gone"), ValueError("?"), refusal, wire.instruction(b"a", 7, 60)
    )
    assert serve(link) == [b"a"]
    assert link.hellos == 4
