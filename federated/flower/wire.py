"""One blob per message: how the protocol's bytes ride in Flower messages.

A Flower message of ours has one ConfigRecord with one `bytes` value. It travels whole (metadata
and content in one protobuf) between node and gateway, so that an exchange costs one HTTP call;
Flower's own Fleet calls, one per object, stay available for a stock SuperNode.
"""

from flwr.app import ConfigRecord, Message, RecordDict
from flwr.app.error import Error
from flwr.app.message import remove_content_from_message
from flwr.common.constant import ErrorCode
from flwr.proto.message_pb2 import ObjectTree
from flwr.supercore.inflatable.inflatable_object import (
    get_all_nested_objects,
    get_object_tree,
    no_object_id_recompute,
)


__all__ = [
    "EXCHANGE",
    "GOODBYE",
    "HELLO",
    "HOLD",
    "MESSAGE_TYPE",
    "WORKING",
    "blob",
    "deflate",
    "instruction",
    "refusal",
    "reply",
]

MESSAGE_TYPE = "query.marmor"
"""The only Flower message type a site answers."""

HELLO = "/marmor/v1/node/hello"
EXCHANGE = "/marmor/v1/node/exchange"
WORKING = "/marmor/v1/node/working"
GOODBYE = "/marmor/v1/node/goodbye"

HOLD = 20.0
"""Seconds that a node's call is held open while there is nothing to deliver."""

_RECORD, _KEY = "marmor", "blob"


def instruction(content: bytes, node_id: int, ttl: float) -> Message:
    """Return the message that carries `content` to node `node_id` and dies after `ttl` seconds."""
    return _identified(Message(_records(content), node_id, MESSAGE_TYPE, ttl=ttl))


def reply(content: bytes, to: Message) -> Message:
    """Return the message that carries `content` back to the sender of `to`."""
    return _identified(Message(_records(content), reply_to=to))


def refusal(to: Message) -> Message:
    """Return the reply to an app that is not on this site's allow-list; it tells nothing else."""
    error = Error(code=ErrorCode.INVALID_FAB, reason="not on this site's allow-list")
    return _identified(Message(error, reply_to=to))


def blob(message: Message) -> bytes | None:
    """Return the bytes that `message` carries, or None when it is not one of ours."""
    if not message.has_content():
        return None
    record = message.content.config_records.get(_RECORD)
    value = record.get(_KEY) if record is not None else None
    return value if isinstance(value, bytes) else None


def deflate(message: Message) -> tuple[Message, ObjectTree, dict[str, bytes]]:
    """Split `message` as Flower stores it: head without content, object tree, object contents."""
    with no_object_id_recompute():
        tree = get_object_tree(message)
        contents = {key: item.deflate() for key, item in get_all_nested_objects(message).items()}
    return remove_content_from_message(message), tree, contents


def _records(content: bytes) -> RecordDict:
    return RecordDict({_RECORD: ConfigRecord({_KEY: content})})


def _identified(message: Message) -> Message:
    """Set the message id, which in Flower is the hash of the message."""
    message.metadata.__dict__["_message_id"] = message.object_id
    return message
