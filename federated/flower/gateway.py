"""The consortium's gateway as a process: `python -m federated.flower.gateway --folder CONSORTIUM`.

One TLS port serves analysts (`rest`) and nodes (`superlink`). A query runs in a thread of its own:
the coordinator asks, the post office carries. Flower's state lives in memory; after a restart the
registered node keys are read again and the nodes come back by themselves. Roster, node keys, policy
and tokens are followed while it runs (`members`, `tokens`).
"""

import argparse
import logging
import secrets
import ssl
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import cast

import uvicorn

from federated import coordinator
from federated.catalogue import catalogue
from federated.coordinator import AskSites
from federated.flower import fab, process
from federated.flower.layout import Consortium, load_consortium
from federated.flower.members import MemberFiles, Members
from federated.flower.post import PostOffice
from federated.flower.rest import Services, rest_app
from federated.flower.shelf import Shelf
from federated.flower.superlink import Door, flower_app, node_routes
from federated.flower.tokens import TokenFile
from federated.messages import (
    Absent,
    Hello,
    Message,
    MessageError,
    Present,
    Reply,
    decode,
    encode,
)
from federated.preflight import Report, preflight
from federated.request import Request
from federated.results import Result
from transforms.errors import ConsortiumError, UserError


__all__ = ["ask_by", "build", "main", "serve"]

RECHECK = 1.0
"""Seconds until a running gateway has noticed that somebody was taken in or out."""

PATIENCE = 10.0
"""Seconds that an empty message may take to every site and back."""

_log = logging.getLogger("marmor.gateway")


def ask_by(post: PostOffice) -> AskSites:
    """Return the coordinator's `ask`, carried by `post`."""

    def ask(messages: Mapping[str, Message], timeout: float) -> dict[str, Reply | Absent]:
        replies = post.ask({site: encode(item) for site, item in messages.items()}, timeout)
        present = post.online()
        return {
            site: _reply(replies[site]) if site in replies else _absent(site, present)
            for site in messages
        }

    return ask


def _reply(content: bytes | None) -> Reply | Absent:
    if content is None:
        return Absent("garbled")
    try:
        return cast(Reply, decode(content))  # the coordinator checks which kind it is
    except MessageError:
        return Absent("garbled")


def _absent(site: str, present: frozenset[str]) -> Absent:
    """Tell a slow site, whose node is still there, from one whose node has gone."""
    return Absent("timeout" if site in present else "offline")


def build(consortium: Consortium) -> Door:
    """Assemble the gateway: Flower's state, the run, the routes.

    Raises ConsortiumError or RefusedError when a file of the consortium is missing or malformed.
    """
    files, tokens = MemberFiles(consortium), TokenFile(consortium.tokens)
    flower = flower_app(secrets.token_bytes(32))
    post = PostOffice(flower.state.linkstate_factory.state())
    ask = ask_by(post)

    def follow() -> Members:
        found = files.current()
        post.admit(found.keys)
        return found

    def members() -> Members:
        try:
            return follow()
        except UserError:  # which names files here: for the operator's log alone
            raise ConsortiumError(
                "the consortium's own files do not fit together just now; tell its operator, whose "
                "log says what is wrong"
            ) from None

    def answer(request: Request, analyst: str) -> Result:
        now = members()
        return coordinator.run(
            request,
            roster=now.roster,
            policy=now.policy,
            ask=ask,
            state=consortium.state,
            analyst=analyst,
        )

    def would_answer(request: Request) -> Report:
        now = members()
        return preflight(request, roster=now.roster, policy=now.policy, ask=ask)

    def greet() -> int:
        replies = ask(dict.fromkeys(members().roster.sites, Hello()), PATIENCE)
        return sum(isinstance(reply, Present) for reply in replies.values())

    follow()
    _every(RECHECK, follow)
    marmor = rest_app(
        Services(
            tokens=tokens,
            shelf=Shelf(consortium.results),
            sites=lambda: tuple(members().roster.sites),
            online=post.online,
            answer=answer,
            preflight=would_answer,
            catalogue=catalogue,
            facts=lambda: _facts(members()),
            greet=greet,
        )
    )
    marmor.state.linkstate_factory = flower.state.linkstate_factory
    node_routes(marmor, post)
    return Door(flower, marmor)


def _facts(members: Members) -> dict[str, object]:
    """Return what everybody must agree on: the app, the roster, the policy."""
    return {
        "app": fab.digest(),
        "roster": members.roster.digest,
        "policy": members.policy.digest,
    }


def _every(seconds: float, work: Callable[[], object]) -> None:
    """Do `work` again and again in a thread; say once when the files are wrong, once when right."""

    def forever() -> None:
        trouble = ""
        while True:
            time.sleep(seconds)
            try:
                work()
                found = ""
            except UserError as error:
                found = str(error)
            if found != trouble:
                _log.warning("%s", found or "the consortium's files are right again")
            trouble = found

    threading.Thread(target=forever, name="members", daemon=True).start()


def serve(consortium: Consortium) -> None:
    """Serve until told to stop."""
    config = uvicorn.Config(
        build(consortium),
        host=consortium.host,
        port=consortium.port,
        ssl_certfile=consortium.certificates / "gateway.pem",
        ssl_keyfile=str(consortium.certificates / "gateway.key"),
        access_log=False,
        log_config=None,
        server_header=False,
        timeout_keep_alive=120,  # a node that computes keeps its TLS session
        timeout_graceful_shutdown=0,  # held calls have nothing to finish
    )
    config.load()
    if config.ssl is None:
        raise ConsortiumError(f"{consortium.certificates}: no TLS without a certificate there")
    config.ssl.minimum_version = ssl.TLSVersion.TLSv1_3
    uvicorn.Server(config).run()


def main(arguments: list[str] | None = None) -> int:
    """Run the gateway; return the exit code."""
    parser = argparse.ArgumentParser(prog="federated.flower.gateway", description=__doc__)
    parser.add_argument("--folder", type=Path, required=True)
    parser.add_argument("--lifeline", action="store_true", help="end when standard input closes")
    parser.add_argument("--keep", action="store_true", help="start again whenever it is killed")
    options = parser.parse_args(arguments)
    home = options.folder / "state" / "flower"
    process.prepare(home, lifeline=options.lifeline, kept=options.keep)
    try:
        serve(load_consortium(options.folder))
    except UserError as error:
        _log.error("%s", error)
        return error.exit_code
    return 0


if __name__ == "__main__":
    process.leave(main)
