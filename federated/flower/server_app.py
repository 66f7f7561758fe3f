"""The protocol as a stock Flower ServerApp: one query per run, for `flwr run` (the slow path).

    flwr run federated/flower/app -c 'folder="CONSORTIUM" request="q.toml" result="q.json"'

Sites are found by asking every connected node who it is; that a node speaks for a site is proved
later, by the site's signature in the protocol itself.
"""

import time
from collections.abc import Mapping
from pathlib import Path
from typing import cast

from flwr.app import Context
from flwr.serverapp import Grid, ServerApp

from federated import coordinator
from federated.coordinator import AskSites
from federated.flower import wire
from federated.messages import Absent, Hello, MessageError, Present, Reply, decode, encode
from federated.messages import Message as Step
from federated.policy import load_policy
from federated.request import load_request
from federated.roster import load_roster


__all__ = ["app", "ask_by", "find_sites", "main"]

TIMEOUT = 60.0
"""Seconds per exchange; a stock SuperNode needs up to 10."""

_POLL = 0.1

app = ServerApp()


@app.main()
def main(grid: Grid, context: Context) -> None:
    """Answer the request of this run and write its result to a file."""
    folder, request, result = (
        Path(str(context.run_config[name])) for name in ("folder", "request", "result")
    )
    roster = load_roster(folder / "roster.toml")
    answer = coordinator.run(
        load_request(request),
        roster=roster,
        policy=load_policy(folder / "policy.toml"),
        ask=ask_by(grid, find_sites(grid)),
        state=folder / "state",
        timeout=TIMEOUT,
    )
    result.write_bytes(answer.to_json())


def find_sites(grid: Grid) -> dict[str, int]:
    """Ask every connected node which site it is; return site → node id."""
    replies = _exchange(grid, {node: encode(Hello()) for node in grid.get_node_ids()}, TIMEOUT)
    found = {node: _decoded(content) for node, content in replies.items()}
    return {reply.site: node for node, reply in found.items() if isinstance(reply, Present)}


def ask_by(grid: Grid, nodes: Mapping[str, int]) -> AskSites:
    """Return the coordinator's `ask`, carried by Flower's grid."""

    def ask(messages: Mapping[str, Step], timeout: float) -> dict[str, Reply | Absent]:
        blobs = {nodes[site]: encode(step) for site, step in messages.items() if site in nodes}
        replies = _exchange(grid, blobs, timeout)
        return {
            site: _decoded(replies[nodes[site]])
            if nodes.get(site) in replies
            else Absent("timeout" if site in nodes else "offline")
            for site in messages
        }

    return ask


def _exchange(grid: Grid, blobs: Mapping[int, bytes], timeout: float) -> dict[int, bytes]:
    """Send each node its blob and return the blobs that came back in time."""
    messages = [wire.instruction(content, node, timeout) for node, content in blobs.items()]
    waiting = set(grid.push_messages(messages))
    replies: dict[int, bytes] = {}
    deadline = time.monotonic() + timeout
    while waiting and time.monotonic() < deadline:
        for message in grid.pull_messages(waiting):
            waiting.discard(message.metadata.reply_to_message_id)
            if (content := wire.blob(message)) is not None:
                replies[message.metadata.src_node_id] = content
        if waiting:
            time.sleep(_POLL)
    return replies


def _decoded(content: bytes) -> Reply | Absent:
    try:
        return cast(Reply, decode(content))  # the coordinator checks which kind it is
    except MessageError:
        return Absent("garbled")
