"""The protocol as a stock Flower ClientApp: hands each message to the site's party.

The slow path, for a consortium that runs `flower-superlink` and `flower-supernode` as they come:
8 to 10 s per exchange instead of hundredths, and no guard at the site against foreign apps. The
SuperNode's `--node-config` names the party's socket: `party="/path/to/socket"` (see `local`).
"""

from pathlib import Path

from flwr.app import Context, Message
from flwr.clientapp import ClientApp

from federated.flower import wire
from federated.flower.local import forward
from federated.messages import Failed, encode


__all__ = ["app", "query"]

TIMEOUT = 60.0
"""Seconds for one step at the site; its executor is killed before that."""

app = ClientApp()


@app.query("marmor")
def query(message: Message, context: Context) -> Message:
    """Answer one message; an error becomes a fixed code, because Flower would send its text."""
    content = wire.blob(message)
    try:
        if content is None:
            return wire.refusal(message)
        path = Path(str(context.node_config["party"]))
        return wire.reply(forward(path, content, TIMEOUT), message)
    except Exception:
        return wire.reply(encode(Failed("internal", "")), message)
