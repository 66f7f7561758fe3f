"""A site's node: calls out, hands each message to the site's party, sends the reply back.

`python -m federated.flower.node --site FOLDER` needs no open port. It never unpacks or imports the
Flower app that a run names: it compares the bundle's hash with the site's allow-list and executes
only what is installed here. Whatever goes wrong at the site stays in the site's log; the wire
carries data or a fixed code.
"""

import argparse
import hashlib
import json
import logging
import time
from collections.abc import Callable, Set
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import Protocol

from flwr.app import Message

from federated.executor import Executor, Walls
from federated.flower import local, process, wire
from federated.flower.link import Link, trouble
from federated.flower.pulse import Pulse
from federated.flower.terms import Terms
from federated.site import SiteParty
from transforms.errors import UserError
from transforms.hold import standing
from transforms.site import Site, current_release, load_site


__all__ = ["Connection", "Node", "Party", "main", "serve_site"]

BACKOFF = (0.2, 0.5, 1.0, 2.0, 5.0)
"""Seconds between attempts to reach the gateway; the last one repeats."""

LONGEST = 600.0
"""Seconds for which a node says that it works; no answer takes as long."""

SLOWEST_LINE = 250_000
"""Bytes a second with which an answer travels at least (2 Mbit/s)."""

_log = logging.getLogger("marmor.node")

Party = Callable[[bytes], bytes]
"""One message of the protocol in, one reply out; it must not raise."""


class Connection(Protocol):
    """What a node needs of its link to the gateway."""

    def hello(self) -> None:
        """Announce this node."""

    def exchange(self, reply: Message | None) -> Message | None:
        """Hand in the last reply, wait for the next message."""

    def working(self) -> None:
        """Tell that an answer takes a while; called from another thread."""

    def app(self, run_id: int) -> bytes:
        """Return the app bundle of a run."""


class Node:
    """The endless loop of one site: exchange, check the app, ask the party."""

    def __init__(self, link: Connection, party: Party, allowed: Callable[[], Set[str]]) -> None:
        """Serve `party` for runs whose app's SHA-256 is among what `allowed` returns just then."""
        self._link, self._party, self._allowed = link, party, allowed
        self._apps: dict[int, str] = {}
        self._pulse = Pulse(link.working)

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
                reason = trouble(error)
            if reason != reported:  # once per trouble, not once per attempt
                _log.warning("no connection to the gateway: %s; trying again", reason)
            reported = reason
            time.sleep(BACKOFF[min(failures, len(BACKOFF) - 1)])
            failures += 1

    def answer(self, message: Message) -> Message:
        """Return the reply to one message; an app that is not allowed is refused unread."""
        run_id = message.metadata.run_id
        if self._app(run_id) not in self._allowed():
            _log.warning("refused run %d: app %s not on the allow-list", run_id, self._app(run_id))
            return wire.refusal(message)
        content = wire.blob(message)
        if content is None or message.metadata.message_type != wire.MESSAGE_TYPE:
            _log.warning("refused a message of type %.40r", message.metadata.message_type)
            return wire.refusal(message)
        return wire.reply(self._party(content), message)

    def _exchange_forever(self) -> None:
        reply = None
        while True:
            sending = 0 if reply is None else len(wire.blob(reply) or b"") / SLOWEST_LINE
            with self._pulse.beat(sending):
                message = self._link.exchange(reply)
            with self._pulse.beat(LONGEST):
                reply = None if message is None else self.answer(message)

    def _app(self, run_id: int) -> str:
        """Return the SHA-256 of a run's app, which is read as bytes and never unpacked."""
        if run_id not in self._apps:
            self._apps[run_id] = hashlib.sha256(self._link.app(run_id)).hexdigest()
        return self._apps[run_id]


def _tell_of_planted(home: Path) -> None:
    """Say when somebody has put files where Flower would unpack apps; we never look into them."""
    apps = home / "apps"
    if any(path.is_file() for path in apps.rglob("*")):
        _log.warning("files were planted in %s; nothing there is executed; remove them", apps)


def serve_site(site: Site, listen: Path | None = None) -> None:
    """Be the node of `site` until told to stop; with `listen`, its party behind that socket.

    Raises ConsortiumError when its keys, roster or settings are missing or do not fit.
    """
    terms = Terms(site)
    membership = terms.membership
    executor = Executor(site.releases, user=site.executor.user, note=partial(_note_walls, site))
    try:
        executor.warm_up()
        party = SiteParty(
            site.id,
            membership.identity_key,
            membership.roster,
            terms.policy,
            site.ledger,
            executor,
            lambda: current_release(site),
            standing=lambda release: standing(site, release),
        )
        terms.follow(party)
        if listen is not None:
            local.listen(listen, party.handle_bytes)
        link = Link(membership.gateway, membership.ca, membership.node_key)
        with closing(link):
            Node(link, party.handle_bytes, terms.allowed_apps).serve()
    finally:
        executor.close()


def _note_walls(site: Site, walls: Walls) -> None:
    """Keep which walls stand, for `marmor site status`."""
    path = site.work / "executor.json"
    path.write_text(json.dumps(dict(walls)), encoding="utf-8")


def main(arguments: list[str] | None = None) -> int:
    """Run the node; return the exit code."""
    parser = argparse.ArgumentParser(prog="federated.flower.node", description=__doc__)
    parser.add_argument("--site", type=Path, required=True)
    parser.add_argument("--lifeline", action="store_true", help="end when standard input closes")
    parser.add_argument("--keep", action="store_true", help="start again whenever it is killed")
    parser.add_argument("--listen", type=Path, help="serve a stock SuperNode at this socket")
    options = parser.parse_args(arguments)
    home = options.site / "work" / "flower"
    process.prepare(home, lifeline=options.lifeline, kept=options.keep)
    _tell_of_planted(home)
    try:
        serve_site(load_site(options.site), options.listen)
    except UserError as error:
        _log.error("%s", error)
        return error.exit_code
    return 0


if __name__ == "__main__":
    process.leave(main)
