"""Who gets in: a token for analysts, a registered key for nodes, nobody for Flower's own APIs."""

import ssl
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import httpx
import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from flwr.app import Message
from flwr.proto.node_pb2 import Node

from federated.client import Client
from federated.flower import wire
from transforms.errors import ConsortiumError

from .conftest import Running


def status_of(call: Callable[..., object], *arguments: Message | None) -> int:
    with pytest.raises(httpx.HTTPStatusError) as caught:
        call(*arguments)
    return caught.value.response.status_code


@pytest.mark.parametrize("token", ["", "wrong", "a\nb", "ä"])
def test_a_wrong_token_is_refused(running: Running, token: str) -> None:
    with (
        pytest.raises(ConsortiumError, match="token"),
        Client(running.url, token, running.ca) as client,
    ):
        client.status()


def test_another_authority_is_not_trusted(running: Running) -> None:
    with (
        Client(running.url, "token") as client,
        pytest.raises(ConsortiumError, match="certificate"),
    ):
        client.status()


def test_an_older_tls_is_not_spoken(running: Running) -> None:
    old = ssl.create_default_context(cafile=str(running.ca))
    old.minimum_version = old.maximum_version = ssl.TLSVersion.TLSv1_2
    with httpx.Client(verify=old) as client, pytest.raises(httpx.ConnectError):
        client.get(f"{running.url}/marmor/v1/health")
    with httpx.Client(verify=ssl.create_default_context(cafile=str(running.ca))) as client:
        assert client.get(f"{running.url}/marmor/v1/health").json() == {"status": "ok"}


def test_a_gateway_that_is_not_there_is_named() -> None:
    with (
        Client("https://127.0.0.1:1", "token") as client,
        pytest.raises(ConsortiumError, match=r"127\.0\.0\.1:1.*marmor consortium start"),
    ):
        client.status()


def test_an_unregistered_node_key_is_refused(running: Running) -> None:
    with closing(running.link("ulm", ec.generate_private_key(ec.SECP384R1()))) as stranger:
        assert status_of(stranger.hello) == 401
        assert status_of(stranger.exchange, None) == 401


def test_a_node_cannot_take_another_nodes_messages(running: Running) -> None:
    with closing(running.link("ulm")) as thief:
        for node_id in (0, 1, 2**40):
            thief._node = Node(node_id=node_id)
            assert status_of(thief.exchange, None) == 401
            assert status_of(thief.working) == 401


def test_an_unsigned_call_is_refused(running: Running) -> None:
    for path in (
        wire.HELLO,
        wire.EXCHANGE,
        wire.WORKING,
        wire.GOODBYE,
        "/v1/fleet/get-run",
        "/v1/fleet/get-fab",
    ):
        answer = httpx.post(
            running.url + path,
            verify=_trust(running.ca),
            content=b"",
            headers={"content-type": "application/protobuf"},
        )
        assert answer.status_code in (400, 401), path


def test_the_rest_interface_describes_itself(running: Running) -> None:
    with httpx.Client(verify=_trust(running.ca)) as client:
        told = client.get(f"{running.url}/marmor/v1/openapi.json").json()
    assert told["openapi"].startswith("3.")
    assert {"/marmor/v1/queries", "/marmor/v1/preflight", "/marmor/v1/status"} <= set(told["paths"])
    assert all(path.startswith("/marmor/v1/") for path in told["paths"])
    assert not any("/node/" in path for path in told["paths"])


@pytest.mark.parametrize(
    "path",
    [
        "/docs",
        "/openapi.json",
        "/health",
        "/v1/control/start-run",
        "/v1/control/list-runs",
        "/v1/runtime/acquire-task",
        "/v1/runtime/pull-task-input",
        "/v1/fleet/register-node",
        "/v1/fleet/unregister-node",
        "/v1/fleet/activate-node",
        "/v1/fleet/pull-messages",
        "/v1/fleet/push-messages",
        "/v1/fleet/push-object",
    ],
)
def test_flowers_own_doors_are_shut(running: Running, path: str) -> None:
    with httpx.Client(verify=_trust(running.ca)) as client:
        for method in ("GET", "POST"):
            assert client.request(method, running.url + path).status_code == 404


def test_only_the_gateway_may_change_anything_in_flower() -> None:
    """The second lock, behind the door: see `federated.flower.access`."""
    from flwr.supercore.constant import ActionType
    from flwr.supercore.error import FlowerError

    from federated.flower.access import GATEWAY, Membership, NoAccounts

    assert NoAccounts().validate_tokens_in_metadata([]) == (False, None)
    Membership().can_execute(GATEWAY.flwr_aid, ActionType.START_RUN, None)
    with pytest.raises(FlowerError):
        Membership().can_execute("somebody", ActionType.START_RUN, None)


def _trust(ca: Path) -> ssl.SSLContext:
    return ssl.create_default_context(cafile=str(ca))
