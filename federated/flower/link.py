"""A node's only connection: outbound TLS to the gateway, every call signed with the node's key."""

import datetime
import email.utils
import traceback
from contextlib import suppress
from typing import TypeVar

import httpx
from cryptography.hazmat.primitives.asymmetric import ec
from flwr.app import Message
from flwr.common.serde import message_from_proto, message_to_proto
from flwr.proto.fab_pb2 import GetFabRequest
from flwr.proto.fleet_pb2 import (
    ActivateNodeRequest,
    ActivateNodeResponse,
    DeactivateNodeRequest,
    DeactivateNodeResponse,
    PullMessagesResponse,
    PushMessagesRequest,
)
from flwr.proto.node_pb2 import Node
from flwr.proto.run_pb2 import GetRunRequest
from flwr.supercore.interceptors import RuntimeVersionHttpInterceptor
from flwr.supercore.primitives.asymmetric import public_key_to_bytes
from flwr.supernode.fleet_http_client import FleetHttpClient
from flwr.supernode.node_auth_http_interceptor import NodeAuthHttpInterceptor
from google.protobuf.message import Message as Protobuf

from federated.flower.wire import EXCHANGE, GOODBYE, HELLO, HOLD, WORKING


__all__ = ["Link", "trouble"]

TIMEOUT = httpx.Timeout(10.0, read=HOLD + 10.0)

_AHEAD, _BEHIND = 4, 300
"""Seconds that a node's clock may be ahead of the gateway's, or behind: Flower's own limits."""

Response = TypeVar("Response", bound=Protobuf)


class Link:
    """Flower's Fleet client plus our own calls, on one TLS session that stays open.

    Every method raises httpx.HTTPStatusError when the gateway refuses (401: key not registered, or
    the gateway has restarted and no longer knows this node's id), httpx.TransportError when it
    cannot be reached.
    """

    def __init__(self, address: str, ca: bytes, key: ec.EllipticCurvePrivateKey) -> None:
        """Prepare a connection to `address` ("host:port"); `ca` (PEM) is the only root trusted."""
        self._client = FleetHttpClient.from_server_address(
            address,
            False,
            ca,
            [
                RuntimeVersionHttpInterceptor(component_name="SuperNode"),
                NodeAuthHttpInterceptor(key, key.public_key()),
            ],
        )
        self._public = public_key_to_bytes(key.public_key())
        self._node = Node()

    def hello(self) -> None:
        """Tell the gateway that this node has started, and learn its node id."""
        request = ActivateNodeRequest(public_key=self._public)
        self._node = Node(node_id=self._call(HELLO, request, ActivateNodeResponse).node_id)

    def exchange(self, reply: Message | None) -> Message | None:
        """Hand in the last reply and wait up to HOLD seconds for the next message."""
        request = PushMessagesRequest(
            node=self._node, messages_list=[] if reply is None else [message_to_proto(reply)]
        )
        for item in self._call(EXCHANGE, request, PullMessagesResponse).messages_list:
            return message_from_proto(item)
        return None

    def working(self) -> None:
        """Tell the gateway that an answer takes a while; any thread may."""
        request = PushMessagesRequest(node=self._node)
        self._call(WORKING, request, PullMessagesResponse, httpx.Timeout(5.0))

    def app(self, run_id: int) -> bytes:
        """Return the content of the app bundle of a run."""
        run = self._client.GetRun(GetRunRequest(node=self._node, run_id=run_id)).run
        request = GetFabRequest(node=self._node, hash_str=run.fab_hash, run_id=run_id)
        return bytes(self._client.GetFab(request).fab.content)

    def close(self) -> None:
        """Say goodbye, if anybody listens, and end the connection."""
        with suppress(httpx.HTTPError):
            request = DeactivateNodeRequest(node_id=self._node.node_id)
            self._call(GOODBYE, request, DeactivateNodeResponse, httpx.Timeout(1.0))
        self._client.close()

    def _call(
        self,
        path: str,
        request: Protobuf,
        kind: type[Response],
        timeout: httpx.Timeout = TIMEOUT,
    ) -> Response:
        return self._client._unary_unary(
            path=path,
            rpc_method=path,
            request=request,
            response_type=kind,
            timeout=timeout,
        )


def trouble(error: Exception) -> str:
    """Say why there is no connection, in words that lead to a remedy."""
    if not isinstance(error, httpx.HTTPError):
        frames = traceback.extract_tb(error.__traceback__)
        return f"{type(error).__name__} at {frames[-1].name}:{frames[-1].lineno}"
    if not isinstance(error, httpx.HTTPStatusError):
        return _unreachable(error)
    if error.response.status_code != httpx.codes.UNAUTHORIZED:
        return f"it answers HTTP {error.response.status_code}"
    if skew := _skew(error.response):
        way = "ahead of" if skew > 0 else "behind"
        return f"its clock and this machine's differ: ours is {abs(skew)} s {way} it; set it right"
    return "it does not know this site's node key, or no longer (HTTP 401); ask its operator"


def _unreachable(error: httpx.HTTPError) -> str:
    """Tell a certificate that is wrong from a gateway that is not there."""
    text = str(error)
    if "certificate has expired" in text:
        return "its certificate has expired; its operator must renew it"
    if "certificate is not yet valid" in text:
        return "its certificate is not valid yet; compare the clocks"
    if "CERTIFICATE_VERIFY_FAILED" in text:
        return "its certificate is not of this consortium; compare keys/ca.pem with its operator"
    return f"it cannot be reached ({type(error).__name__})"


def _skew(response: httpx.Response) -> int:
    """Return by how many seconds, in tens, this clock is ahead, where Flower minds it."""
    try:
        theirs = email.utils.parsedate_to_datetime(response.headers["date"])
    except (KeyError, ValueError):
        return 0
    ahead = (datetime.datetime.now(datetime.UTC) - theirs).total_seconds()
    return 0 if -_BEHIND < ahead < _AHEAD else int(round(ahead, -1)) or 10
