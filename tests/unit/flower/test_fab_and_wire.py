"""The bundle holds no code and never changes by itself; a blob survives Flower's encoding."""

import io
import zipfile

import pytest
from flwr.app import ConfigRecord, Message, RecordDict
from flwr.common.config import get_fab_config
from flwr.common.constant import SUPERLINK_NODE_ID
from flwr.common.serde import message_from_proto, message_to_proto
from flwr.supercore.inflatable.inflatable_utils import inflate_object_from_contents
from flwr.supercore.task_identity import TaskIdentity

from federated.flower import fab, wire


@pytest.fixture(autouse=True)
def _identity() -> None:
    TaskIdentity.run_id, TaskIdentity.task_id, TaskIdentity.node_id = 1, 1, SUPERLINK_NODE_ID


def test_bundle_holds_no_code() -> None:
    names = zipfile.ZipFile(io.BytesIO(fab.bundle())).namelist()
    assert names == ["pyproject.toml", "LICENSE", ".info/CONTENT"]


def test_bundle_is_what_sites_have_pinned() -> None:
    """A new hash means that every site must agree again: change the app's version with it."""
    assert fab.digest() == "a032f443b778c22cb998efa3edceafa42bda47a3ba3d27b50ec6533bb7849149"


def test_flower_accepts_the_bundle() -> None:
    assert get_fab_config(fab.bundle())["project"]["name"] == "marmor"


@pytest.mark.parametrize("content", [b"", b"\x00\xff" * 1000])
def test_blob_survives_the_protobuf_form(content: bytes) -> None:
    message = wire.instruction(content, 7, 60.0)
    there = message_from_proto(message_to_proto(message))
    back = message_from_proto(message_to_proto(wire.reply(content[::-1], there)))
    assert wire.blob(there) == content
    assert wire.blob(back) == content[::-1]
    assert back.metadata.reply_to_message_id == message.metadata.message_id


def test_blob_survives_flowers_store() -> None:
    message = wire.instruction(b"abc", 7, 60.0)
    head, _, contents = wire.deflate(message)
    inflated = inflate_object_from_contents(head.metadata.message_id, contents)
    assert isinstance(inflated, Message)
    assert wire.blob(inflated) == b"abc"


def test_a_foreign_message_has_no_blob() -> None:
    foreign = Message(RecordDict({"x": ConfigRecord({"blob": b"1"})}), 7, "query")
    assert wire.blob(foreign) is None
    assert wire.blob(wire.refusal(wire.instruction(b"", 7, 60.0))) is None
