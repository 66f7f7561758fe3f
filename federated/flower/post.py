"""The post office of the gateway: one long-lived Flower run, one blob to each site and one back.

Everything happens on Flower's LinkState in this process: node identities, routing, time to live,
refusal of replies from the wrong node. A node holds one call open (`gateway.exchange`), so that a
message arrives when it is sent, and the reply and the wait for the next message are one call.
"""

import asyncio
import logging
import threading
import time
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from flwr.app import Message
from flwr.common.constant import SUPERLINK_NODE_ID
from flwr.common.serde import fab_to_proto
from flwr.proto.control_pb2 import StartRunRequest
from flwr.server.superlink.linkstate import LinkState
from flwr.supercore.constant import NodeStatus
from flwr.supercore.fab import Fab
from flwr.supercore.inflatable.inflatable_object import iterate_object_tree
from flwr.supercore.inflatable.inflatable_utils import inflate_object_from_contents
from flwr.supercore.task_identity import TaskIdentity
from flwr.superlink.servicer.control import control_handlers

from federated.flower import fab, wire
from federated.flower.access import GATEWAY


__all__ = ["HEARTBEAT", "SILENCE", "PostOffice"]

HEARTBEAT = 30.0
"""Seconds between two signs of life of a node; after twice that a silent node counts as absent."""

SILENCE = 6.0
"""Seconds without a sign of life after which a node that was asked counts as gone.

A node that computes gives a sign every second. Without this, a node behind a cut line would hold
up every query until its deadline, because Flower keeps it online for a minute.
"""

_RUN_HEARTBEAT = 15.0
_RECHECK = 1.0  # seconds after which a waiting question looks again which nodes are still there

_log = logging.getLogger("marmor.gateway")


@dataclass(frozen=True)
class _Letter:
    """What is on its way: to which site, which node, in which of the node's lives, since when."""

    site: str
    node_id: int
    visit: int
    sent: float


class PostOffice:
    """Carries blobs between the coordinator's threads and the nodes' open calls."""

    def __init__(self, state: LinkState) -> None:
        """Start the run; nobody is admitted yet."""
        self._state = state
        self.run_id, self._task_id = _start_run(state)
        self._keys: dict[str, bytes] = {}
        self._nodes: dict[str, int] = {}
        self._sites: dict[int, str] = {}
        self._replied = threading.Condition()
        self._bells: dict[int, asyncio.Event] = {}
        self._visits: Counter[int] = Counter()
        self._signs: dict[int, float] = {}
        self._loop: asyncio.AbstractEventLoop | None = None
        threading.Thread(target=self._keep_run_alive, name="run-heartbeat", daemon=True).start()

    # -- the coordinator's side, any thread ---------------------------------------------------

    def admit(self, keys: Mapping[str, bytes]) -> None:
        """Know just these nodes from now on: site id → public node key in PEM.

        A node whose key is not among them any more is shut out at once, in whatever it does.
        """
        with self._replied:
            if keys == self._keys:
                return
            for site in {site for site, key in self._keys.items() if keys.get(site) != key}:
                self._shut_out(site)
            for site in keys.keys() - self._nodes.keys():
                self._let_in(site, keys[site])
            self._keys = dict(keys)
            self._replied.notify_all()

    def _let_in(self, site: str, key: bytes) -> None:
        try:
            node = self._state.create_node(
                GATEWAY.flwr_aid, GATEWAY.account_name, key, HEARTBEAT, name=site
            )
        except ValueError:  # Flower never takes a key again that it has let go
            _log.error("%s: this node key was taken back before; the site needs another", site)
            return
        self._nodes[site], self._sites[node] = node, site
        _log.info("%s: its node may connect", site)

    def _shut_out(self, site: str) -> None:
        node = self._nodes.pop(site, None)
        if node is None:
            return
        del self._sites[node]
        self._state.delete_node(GATEWAY.flwr_aid, node)
        self._visits[node] += 1
        self._ring(node)  # a call that is held open must end
        _log.warning("%s: its node key was taken back; its node is shut out", site)

    def online(self) -> frozenset[str]:
        """Return the sites whose node is connected."""
        nodes = self._state.get_node_info(statuses=[NodeStatus.ONLINE])
        found = (self._sites.get(node.node_id) for node in nodes)
        return frozenset(site for site in found if site is not None)

    def ask(self, blobs: Mapping[str, bytes], timeout: float) -> dict[str, bytes | None]:
        """Send each site its blob and return the replies that came within `timeout` seconds.

        A site that is not connected, loses its connection or does not answer in time is left out;
        None stands for an answer that is not ours, such as the refusal of a foreign app.
        """
        deadline = time.monotonic() + timeout
        nodes = dict(self._nodes)  # somebody may be shut out meanwhile
        present = blobs.keys() & self.online() & nodes.keys()
        sent = dict(self._send(site, nodes[site], blobs[site], timeout) for site in present)
        replies: dict[str, bytes | None] = {}
        waiting = set(sent)
        try:
            while waiting and (left := deadline - time.monotonic()) > 0:
                with self._replied:
                    found = self._collect(waiting)
                    waiting -= {item.metadata.reply_to_message_id for item in found}
                    waiting -= self._lost(waiting, sent)
                    if waiting and not found:
                        self._replied.wait(min(left, _RECHECK))
                for message in found:
                    site = sent[message.metadata.reply_to_message_id].site
                    replies[site] = self._read(site, message)
        finally:
            self._forget(sent)
        return replies

    def _send(self, site: str, node_id: int, content: bytes, timeout: float) -> tuple[str, _Letter]:
        message = wire.instruction(content, node_id, timeout)
        letter = _Letter(site, node_id, self._visits[node_id], time.monotonic())
        self._store(message)
        self._ring(node_id)
        return message.metadata.message_id, letter

    def _collect(self, waiting: set[str]) -> list[Message]:
        """Return the replies that are there, with content; called with the lock held."""
        heads = self._state.get_message_res(message_ids=set(waiting), run_id=self.run_id)
        messages = [head if head.has_error() else self._inflate(head) for head in heads]
        self._free(head.metadata.message_id for head in heads)
        return messages

    def _read(self, site: str, message: Message) -> bytes | None:
        content = wire.blob(message)
        if content is None:
            code = message.error.code if message.has_error() else None
            _log.warning("%s answered with something that is not ours, code %s", site, code)
        return content

    def _lost(self, waiting: set[str], sent: Mapping[str, _Letter]) -> set[str]:
        """Return the messages whose node has gone, or has come back without remembering them."""
        for letter in {sent[key] for key in waiting}:
            last = max(letter.sent, self._signs.get(letter.node_id, 0.0))
            if time.monotonic() - last > SILENCE:
                _log.warning("%s: its node fell silent; it counts as absent", letter.site)
                self.leave(letter.node_id)
        online = self.online()
        return {
            key
            for key in waiting
            if sent[key].site not in online or self._visits[sent[key].node_id] != sent[key].visit
        }

    def _forget(self, messages: Iterable[str]) -> None:
        self._state.delete_messages(set(messages))
        self._free(messages)

    def _free(self, messages: Iterable[str]) -> None:
        for message in messages:
            self._state.object_store.delete(message)

    # -- the nodes' side, event loop ----------------------------------------------------------

    def arrive(self, key: bytes) -> int | None:
        """Note that the node with this public key has (re)started; return its id, None if unknown.

        Messages that its former life had taken are lost: whoever waits for them is told.
        """
        if (node_id := self._state.get_node_id_by_public_key(key)) is None:
            return None
        with self._replied:
            self._visits[node_id] += 1
            self._state.deactivate_node(node_id)  # present again once it waits for messages
            self._replied.notify_all()
        self.bell(node_id).set()  # an older call that is still held open must end
        return node_id

    def visit(self, node_id: int) -> int:
        """Return how often the node has arrived: another number means another connection."""
        return self._visits[node_id]

    def stay(self, node_id: int) -> None:
        """Note a sign of life of a node."""
        self._loop = self._loop or asyncio.get_running_loop()
        self._signs[node_id] = time.monotonic()
        self._state.acknowledge_node_heartbeat(node_id, HEARTBEAT)

    def leave(self, node_id: int) -> None:
        """Note that a node's connection has ended: the site is absent from now on."""
        self._state.deactivate_node(node_id)
        with self._replied:
            self._replied.notify_all()

    def deliver(self, node_id: int, message: Message) -> None:
        """Take a node's reply; a reply that Flower's state refuses is dropped and logged."""
        with self._replied:  # nobody may see the reply's head before its content is stored
            if message.metadata.src_node_id == node_id and self._store(message):
                self._replied.notify_all()
                return
        _log.warning("dropped a reply of %s: late, or not its own", self._sites.get(node_id))

    def fetch(self, node_id: int) -> Message | None:
        """Return the next message for a node, or None."""
        for head in self._state.get_message_ins(node_id, 1):
            self._signs[node_id] = time.monotonic()
            return self._inflate(head)
        return None

    def bell(self, node_id: int) -> asyncio.Event:
        """Return the event that is set whenever a message for the node is stored."""
        return self._bells.setdefault(node_id, asyncio.Event())

    def _ring(self, node_id: int) -> None:
        if self._loop and (bell := self._bells.get(node_id)):
            self._loop.call_soon_threadsafe(bell.set)

    # -- Flower's state -------------------------------------------------------------------------

    def _store(self, message: Message) -> bool:
        head, tree, contents = wire.deflate(message)
        session = self._state.start_session(self.run_id)
        stored, missing = self._state.store_message_and_object_tree(head, tree, session)
        for key in missing:
            self._state.store_object(self.run_id, session, key, contents[key])
        return stored

    def _inflate(self, head: Message) -> Message:
        key = head.metadata.message_id
        tree = self._state.object_store.get_object_tree(key)
        contents = {
            item.object_id: self._state.get_object(self.run_id, item.object_id) or b""
            for item in iterate_object_tree(tree)
        }
        message = inflate_object_from_contents(key, contents)
        message.metadata.__dict__["_message_id"] = key
        return message

    def _keep_run_alive(self) -> None:
        while self._state.acknowledge_task_heartbeat(self._task_id):
            time.sleep(_RUN_HEARTBEAT)
        _log.error("the Flower run has ended; restart the gateway")


def _start_run(state: LinkState) -> tuple[int, int]:
    """Start the run of the inert app and take its server role; return run and task id."""
    app = fab_to_proto(Fab(fab.digest(), fab.bundle(), {}))
    response = control_handlers.start_run(StartRunRequest(fab=app), GATEWAY, state, None)
    run = state.get_run_info(run_ids=[response.run_id])[0]
    task = run.primary_task_id
    if not (task and state.claim_task(task) and state.activate_task(task)):
        raise RuntimeError("Flower did not give the gateway the server role of its own run")
    TaskIdentity.run_id, TaskIdentity.task_id = run.run_id, task
    TaskIdentity.node_id = SUPERLINK_NODE_ID
    return run.run_id, task
