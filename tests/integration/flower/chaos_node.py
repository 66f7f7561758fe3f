"""A site's real node with a fuse: as a program, it kills something in the middle of a query.

    python chaos_node.py FUSE SKEW --site FOLDER …

While the file FUSE holds {"step": …, "when": "before" | "after", "whom": …}, the first message of
that step removes it and has its effect, so that a node that comes back goes on unharmed. SKEW
seconds are added to the clock that the node signs with. With "whom": "echo" every message is
answered twice and every reply handed in again with the next one.
"""

import json
import os
import signal
import sys
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any


def main() -> int:
    """Be the node, with what is planned built in."""
    fuse, skew = Path(sys.argv[1]), float(sys.argv[2])
    from federated.flower import node

    _arm(fuse)
    _echo(fuse.with_name("echo"))
    if skew:
        _shift(skew)
    return node.main(sys.argv[3:])


def _arm(fuse: Path) -> None:
    from federated.site import SiteParty

    handle = SiteParty.handle

    def handle_and_burn(party: SiteParty, message: Any) -> Any:
        plan = _plan(fuse, type(message).__name__)
        if plan.get("when") == "before":
            _burn(fuse, plan["whom"])
        reply = handle(party, message)
        if plan.get("when") == "after":
            _burn(fuse, plan["whom"])
        return reply

    SiteParty.handle = handle_and_burn  # type: ignore[method-assign]


def _plan(fuse: Path, step: str) -> dict[str, str]:
    try:
        plan = dict(json.loads(fuse.read_text()))
    except (OSError, ValueError):
        return {}
    return plan if plan["step"] == step else {}


def _burn(fuse: Path, whom: str) -> None:
    """Kill `whom`: "node", "executor", or what a process id in text names; "line" cuts the line."""
    fuse.unlink()
    if whom == "line":
        fuse.with_name("cut").touch()
        time.sleep(0.3)
        return
    children = Path(f"/proc/{os.getpid()}/task/{os.getpid()}/children").read_text().split()
    os.kill(int({"node": os.getpid(), "executor": children[0]}.get(whom, whom)), signal.SIGKILL)


def _echo(switch: Path) -> None:
    """While `switch` is there, answer everything twice and hand every reply in again later."""
    from flwr.proto.fleet_pb2 import PushMessagesRequest

    from federated.flower.link import Link
    from federated.flower.node import Node

    answer, call, handed_in = Node.answer, Link._call, []

    def answer_twice(self: Node, message: Any) -> Any:
        if switch.exists():
            answer(self, message)
        return answer(self, message)

    def call_again(self: Link, path: str, request: Any, *others: Any) -> Any:
        if switch.exists() and isinstance(request, PushMessagesRequest):
            fresh = list(request.messages_list)
            request.messages_list.extend([*fresh, *reversed(handed_in[-3:])])
            handed_in.extend(fresh)
        return call(self, path, request, *others)

    Node.answer, Link._call = answer_twice, call_again  # type: ignore[method-assign]


def _shift(skew: float) -> None:
    """Let every clock that Flower and our link read be wrong by `skew` seconds."""
    import datetime

    from flwr.supercore import date

    from federated.flower import link

    right, wrong = date.now, lambda: right() + datetime.timedelta(seconds=skew)
    for module in list(sys.modules.values()):
        if getattr(module, "__name__", "").startswith("flwr") and vars(module).get("now") is right:
            vars(module)["now"] = wrong

    class Shifted(datetime.datetime):
        @classmethod
        def now(cls, tz: Any = None) -> datetime.datetime:
            return datetime.datetime.now(tz) + datetime.timedelta(seconds=skew)

    clock = SimpleNamespace(datetime=Shifted, UTC=datetime.UTC)
    link.datetime = clock  # type: ignore[assignment]


if __name__ == "__main__":
    from federated.flower import process

    process.leave(main)
