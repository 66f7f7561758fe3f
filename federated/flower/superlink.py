"""Our own SuperLink: Flower's app without its open doors, and the calls that nodes make.

What is reachable from outside is what `Door` names and nothing else: Flower's Control and Runtime
APIs, its documentation and every other Fleet call have no route.

    POST /marmor/v1/node/hello      a node has started: its public key → its node id
    POST /marmor/v1/node/exchange   the last reply up, the next message down, held open while
                                    there is none
    POST /marmor/v1/node/working    a node's answer takes longer than a second
    POST /marmor/v1/node/goodbye    a node ends
    POST /v1/fleet/get-run, get-fab Flower's own: which app a message belongs to

All carry Flower's node signature (P-384 over a timestamp, valid ±300 s), so they need TLS.
"""

import asyncio
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from fastapi import FastAPI, HTTPException, Request, Response
from flwr.common.constant import TRANSPORT_TYPE_GRPC_RERE
from flwr.common.serde import message_from_proto, message_to_proto
from flwr.proto.fleet_pb2 import (
    ActivateNodeRequest,
    ActivateNodeResponse,
    DeactivateNodeRequest,
    DeactivateNodeResponse,
    PullMessagesResponse,
    PushMessagesRequest,
)
from flwr.supercore.constant import FLWR_IN_MEMORY_DB_NAME
from flwr.supercore.protobuf.constants import PROTOBUF_MEDIA_TYPE
from flwr.superlink import main as superlink
from flwr.superlink.cli.flower_superlink import SuperLinkLifespan
from flwr.superlink.config_loader import SuperLinkLifespanConfig
from flwr.superlink.routers.fleet.node_auth import authenticate_node
from google.protobuf.message import DecodeError, Message

from federated.flower.access import Membership, NoAccounts
from federated.flower.post import PostOffice
from federated.flower.wire import EXCHANGE, GOODBYE, HELLO, HOLD, WORKING


__all__ = ["MAX_BODY", "Door", "flower_app", "node_routes"]

FLEET = frozenset({"/v1/fleet/get-run", "/v1/fleet/get-fab"})

MAX_BODY = 64 * 2**20
"""Largest body a node may send, in bytes: a masked vector of 10⁶ values is 24 MB."""

Scope = MutableMapping[str, Any]
App = Callable[[Scope, Any, Any], Awaitable[None]]


class Door:
    """Routes by path: our own app, the two Fleet calls that nodes need, 404 for the rest."""

    def __init__(self, flower: App, marmor: App) -> None:
        self._flower, self._marmor = flower, marmor

    async def __call__(self, scope: Scope, receive: Any, send: Any) -> None:
        """Serve one ASGI scope."""
        path = scope.get("path", "")
        if scope["type"] == "lifespan" or path in FLEET:
            await self._flower(scope, receive, send)
        elif scope["type"] == "http" and path.startswith("/marmor/v1/"):
            await self._marmor(scope, receive, send)
        elif scope["type"] == "http":
            await Response(status_code=404)(scope, receive, send)


def flower_app(secret: bytes) -> FastAPI:
    """Return Flower's SuperLink app: state in memory, node keys on, no executor, no gRPC server.

    `secret` guards the task API, which has no route from outside either.
    """
    superlink.get_federation_manager = lambda is_simulation=False: Membership(is_simulation)
    return superlink.create_app(_config(secret), SuperLinkLifespan)


def _config(secret: bytes) -> SuperLinkLifespanConfig:
    """Return the settings of `flower-superlink --isolation process --enable-supernode-auth`.

    TLS is not among them, because uvicorn terminates it for the whole door.
    """
    return SuperLinkLifespanConfig(
        control_address="",
        health_server_address=None,
        host="",
        port=0,
        insecure=False,
        certificates=None,
        superexec_auth_secret=secret,
        authn_plugin=NoAccounts(),
        event_log_plugin=None,
        fleet_event_log_plugin=None,
        enable_event_log=False,
        artifact_provider=None,
        enable_supernode_auth=True,
        fleet_api_type=TRANSPORT_TYPE_GRPC_RERE,
        fleet_api_address=None,
        simulation=False,
        ssl_ca_certfile=None,
        ssl_certfile=None,
        ssl_keyfile=None,
        database=FLWR_IN_MEMORY_DB_NAME,
        isolation="process",
        runtime_dependency_install=False,
    )


def node_routes(app: FastAPI, post: PostOffice) -> None:
    """Add the nodes' calls to `app`, whose state holds Flower's LinkState factory."""

    @app.post(HELLO, include_in_schema=False)
    async def hello(request: Request) -> Response:
        call = await _authenticated(request, ActivateNodeRequest)
        node_id = post.arrive(call.public_key)
        if node_id is None:
            raise HTTPException(401, "this node key is not registered")
        return _protobuf(ActivateNodeResponse(node_id=node_id))

    @app.post(GOODBYE, include_in_schema=False)
    async def goodbye(request: Request) -> Response:
        call = await _authenticated(request, DeactivateNodeRequest)
        post.leave(call.node_id)
        return _protobuf(DeactivateNodeResponse())

    @app.post(WORKING, include_in_schema=False)
    async def working(request: Request) -> Response:
        call = await _authenticated(request, PushMessagesRequest)
        post.stay(call.node.node_id)
        return _protobuf(PullMessagesResponse())

    @app.post(EXCHANGE, include_in_schema=False)
    async def exchange(request: Request) -> Response:
        call = await _authenticated(request, PushMessagesRequest)
        node_id = call.node.node_id
        post.stay(node_id)
        for item in call.messages_list:
            post.deliver(node_id, message_from_proto(item))
        message = await _next(post, node_id, request)
        messages = [] if message is None else [message_to_proto(message)]
        return _protobuf(PullMessagesResponse(messages_list=messages))


async def _next(post: PostOffice, node_id: int, request: Request) -> Any:
    """Return the next message for a node; None after HOLD seconds or when the node has gone.

    A node that has come back over another connection has nothing to expect on this one, and its
    end says nothing about the node.
    """
    bell, visit = post.bell(node_id), post.visit(node_id)
    bell.clear()
    if (message := post.fetch(node_id)) is not None:
        return message
    rung = asyncio.ensure_future(bell.wait())
    gone = asyncio.ensure_future(request.receive())
    try:
        await asyncio.wait({rung, gone}, timeout=HOLD, return_when=asyncio.FIRST_COMPLETED)
    finally:
        current = post.visit(node_id) == visit
        if current and gone.done():
            post.leave(node_id)
        fetch = current and rung.done() and not gone.done()
        rung.cancel()
        gone.cancel()
    return post.fetch(node_id) if fetch else None


async def _authenticated(request: Request, kind: type[Message]) -> Any:
    """Return the request's protobuf message once the node's signature is verified.

    Raises 413, 400 or 401, none of which says more than that.
    """
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > MAX_BODY:
            raise HTTPException(413)
    try:
        request.state.protobuf_request = kind.FromString(bytes(body))
    except DecodeError:
        raise HTTPException(400) from None
    authenticate_node(request)
    return request.state.protobuf_request


def _protobuf(message: Message) -> Response:
    return Response(message.SerializeToString(), media_type=PROTOBUF_MEDIA_TYPE)
