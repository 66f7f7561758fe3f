"""A site's node: calls out, hands each message to the site's party, sends the reply back.

`python -m federated.flower.node --site FOLDER` needs no open port. It never unpacks or imports the
Flower app that a run names: it compares the bundle's hash with the site's allow-list and executes
only what is installed here. Whatever goes wrong at the site stays in the site's log; the wire
carries data or a fixed code.
"""

import argparse
import hashlib
import logging
import time
import traceback
from collections.abc import Callable, Set
from contextlib import closing
from pathlib import Path
from typing import Protocol

import httpx
from flwr.app import Message

from federated.executor import Executor
from federated.flower import local, process, wire
from federated.flower.layout import load_membership
from federated.flower.link import Link
from federated.policy import load_policy
from federated.site import SiteParty
from transforms.errors import UserError
from transforms.hold import standing
from transforms.site import Site, current_release, load_site


__all__ = ["Connection", "Node", "Party", "main", "serve_site"]

BACKOFF = (0.2, 0.5, 1.0, 2.0, 5.0)
"""Seconds between attempts to reach the gateway; the last one repeats."""

_log = logging.getLogger("marmor.node")

Party = Callable[[bytes], bytes]
"""One message of the protocol in, one reply out; it must not raise."""


class Connection(Protocol):
    """What a node needs of its link to the gateway."""

    def hello(self) -> None:
        """Announce this node."""

    def exchange(self, reply: Message | None) -> Message | None:
        """Hand in the last reply, wait for the next message."""

    def app(self, run_id: int) -> bytes:
        """Return the app bundle of a run."""


class Node:
    """The endless loop of one site: exchange, check the app, ask the party."""

    def __init__(self, link: Connection, party: Party, allowed: Set[str]) -> None:
        """Serve `party` for runs whose app has a SHA-256 in `allowed`."""
        self._link, self._party, self._allowed = link, party, allowed
        self._permitted: dict[int, bool] = {}

    def serve(self) -> None:
        """Serve until the process is told to stop; survive every loss of the gateway."""
        failures, reported = 0, ""
        while True:
            try:
                self._link.hello()
                _log.info("connected")
                failures, reported = 0, ""
                self._exchange_forever()
            except Exception as error:  # whatever it is, the site must come back by itself
                reason = _reason(error)
            if reason != reported:  # once per trouble, not once per attempt
                _log.warning("no connection to the gateway: %s; trying again", reason)
            reported = reason
            time.sleep(BACKOFF[min(failures, len(BACKOFF) - 1)])
            failures += 1

    def answer(self, message: Message) -> Message:
        """Return the reply to one message; an app that is not allowed is refused unread."""
        if not self._is_permitted(message.metadata.run_id):
            return wire.refusal(message)
        content = wire.blob(message)
        if content is None or message.metadata.message_type != wire.MESSAGE_TYPE:
            _log.warning("refused a message that is not ours")
            return wire.refusal(message)
        return wire.reply(self._party(content), message)

    def _exchange_forever(self) -> None:
        reply = None
        while True:
            message = self._link.exchange(reply)
            reply = None if message is None else self.answer(message)

    def _is_permitted(self, run_id: int) -> bool:
        if run_id not in self._permitted:
            digest = hashlib.sha256(self._link.app(run_id)).hexdigest()
            self._permitted[run_id] = digest in self._allowed
            if not self._permitted[run_id]:
                _log.warning("refused run %d: app %s is not on the allow-list", run_id, digest)
        return self._permitted[run_id]


def _reason(error: Exception) -> str:
    """Say why there is no connection, in words that lead to a remedy."""
    if not isinstance(error, httpx.HTTPError):
        frames = traceback.extract_tb(error.__traceback__)
        return f"{type(error).__name__} at {frames[-1].name}:{frames[-1].lineno}"
    if not isinstance(error, httpx.HTTPStatusError):
        return f"it cannot be reached ({type(error).__name__})"
    if error.response.status_code == httpx.codes.UNAUTHORIZED:
        return "it does not know this site's node key (HTTP 401); enroll the site, restart it"
    return f"it answers HTTP {error.response.status_code}"


def serve_site(site: Site, listen: Path | None = None) -> None:
    """Be the node of `site` until told to stop; with `listen`, its party behind that socket.

    Raises ConsortiumError when its keys, roster or settings are missing or do not fit.
    """
    membership = load_membership(site.keys)
    policy = load_policy(site.folder / "policy.toml")
    executor = Executor(site.releases)
    try:
        party = SiteParty(
            site.id,
            membership.identity_key,
            membership.roster,
            policy,
            site.ledger,
            executor,
            lambda: current_release(site),
            standing=lambda release: standing(site, release),
        )
        if listen is not None:
            local.listen(listen, party.handle_bytes)
        link = Link(membership.gateway, membership.ca, membership.node_key)
        with closing(link):
            Node(link, party.handle_bytes, membership.allowed_apps).serve()
    finally:
        executor.close()


def main(arguments: list[str] | None = None) -> int:
    """Run the node; return the exit code."""
    parser = argparse.ArgumentParser(prog="federated.flower.node", description=__doc__)
    parser.add_argument("--site", type=Path, required=True)
    parser.add_argument("--lifeline", action="store_true", help="end when standard input closes")
    parser.add_argument("--listen", type=Path, help="serve a stock SuperNode at this socket")
    options = parser.parse_args(arguments)
    process.prepare(options.site / "work" / "flower", lifeline=options.lifeline)
    try:
        serve_site(load_site(options.site), options.listen)
    except UserError as error:
        _log.error("%s", error)
        return error.exit_code
    return 0


if __name__ == "__main__":
    process.leave(main)
