"""Every name of Flower's inside that we use, with its parameters: an upgrade fails here first.

Which names those are is read from our own code, so that none can be forgotten here.
"""

import ast
import dataclasses
import importlib
import importlib.metadata
import inspect
from collections.abc import Iterator
from pathlib import Path

import pytest

import federated.flower


def test_version_is_the_pinned_one() -> None:
    assert importlib.metadata.version("flwr") == "1.41.0"


SIGNATURES = {
    "flwr.app.message:remove_content_from_message": ["message"],
    "flwr.common.serde:fab_to_proto": ["fab"],
    "flwr.common.serde:message_from_proto": ["message_proto"],
    "flwr.common.serde:message_to_proto": ["message"],
    "flwr.supercore.fab:Fab": ["hash_str", "content", "verifications"],
    "flwr.supercore.auth.typing:AccountInfo": ["flwr_aid", "account_name"],
    "flwr.supercore.inflatable.inflatable_object:get_all_nested_objects": ["obj"],
    "flwr.supercore.inflatable.inflatable_object:get_object_tree": ["obj"],
    "flwr.supercore.inflatable.inflatable_object:iterate_object_tree": ["tree"],
    "flwr.supercore.inflatable.inflatable_object:no_object_id_recompute": [],
    "flwr.supercore.inflatable.inflatable_utils:inflate_object_from_contents": [
        "object_id",
        "object_contents",
        "keep_object_contents",
        "objects",
    ],
    "flwr.supercore.primitives.asymmetric:public_key_to_bytes": ["public_key"],
    "flwr.superlink.federation:NoOpFederationManager": ["simulation"],
    "flwr.superlink.federation:NoOpFederationManager.can_execute": [
        "self",
        "flwr_aid",
        "action",
        "context",
    ],
    "flwr.superlink.auth_plugin:NoOpControlAuthnPlugin.validate_tokens_in_metadata": [
        "self",
        "metadata",
    ],
    "flwr.superlink.main:create_app": ["config", "superlink_lifespan_class"],
    "flwr.superlink.main:get_federation_manager": ["is_simulation"],
    "flwr.superlink.cli.flower_superlink:SuperLinkLifespan": ["config", "state_factory"],
    "flwr.superlink.routers.fleet.node_auth:authenticate_node": ["request"],
    "flwr.superlink.servicer.control.control_handlers:start_run": [
        "request",
        "account",
        "state",
        "fleet_api_type",
        "source",
    ],
    "flwr.supernode.fleet_http_client:FleetHttpClient.GetFab": ["self", "request"],
    "flwr.supernode.fleet_http_client:FleetHttpClient.GetRun": ["self", "request"],
    "flwr.supernode.fleet_http_client:FleetHttpClient._unary_unary": [
        "self",
        "path",
        "rpc_method",
        "request",
        "response_type",
        "timeout",
    ],
    "flwr.supernode.fleet_http_client:FleetHttpClient.from_server_address": [
        "server_address",
        "insecure",
        "root_certificates",
        "interceptors",
        "retry_invoker",
    ],
    "flwr.supernode.node_auth_http_interceptor:NodeAuthHttpInterceptor": [
        "private_key",
        "public_key",
    ],
    **{
        f"flwr.server.superlink.linkstate:LinkState.{name}": ["self", *parameters]
        for name, parameters in {
            "acknowledge_node_heartbeat": ["node_id", "heartbeat_interval"],
            "acknowledge_task_heartbeat": ["task_id"],
            "activate_task": ["task_id"],
            "claim_task": ["task_id"],
            "create_node": [
                "owner_aid",
                "owner_name",
                "public_key",
                "heartbeat_interval",
                "location",
                "name",
            ],
            "deactivate_node": ["node_id"],
            "delete_node": ["owner_aid", "node_id"],
            "get_run_info": [
                *("run_ids", "statuses", "flwr_aids", "federation_ids"),
                *("order_by", "ascending", "limit", "skip"),
            ],
            "delete_messages": ["message_ins_ids"],
            "get_message_ins": ["node_id", "limit", "run_id"],
            "get_message_res": ["message_ids", "run_id"],
            "get_node_id_by_public_key": ["public_key"],
            "get_node_info": ["node_ids", "owner_aids", "statuses"],
            "get_object": ["run_id", "object_id"],
            "start_session": ["run_id"],
            "store_message_and_object_tree": ["message", "object_tree", "session_id"],
            "store_object": ["run_id", "session_id", "object_id", "object_content"],
        }.items()
    },
}


# What we use that has no signature of interest: what is read of it, by us or through it.
NAMES: dict[str, set[str]] = {
    "flwr.app:ConfigRecord": {"get"},
    "flwr.app:Context": {"node_config", "run_config"},
    "flwr.app:Message": {
        *("content", "error", "has_content", "has_error", "metadata", "object_id"),
    },
    "flwr.app:RecordDict": {"config_records"},
    "flwr.app.error:Error": {"code", "reason"},
    "flwr.clientapp:ClientApp": {"query"},
    "flwr.common.constant:ErrorCode": {"INVALID_FAB"},
    "flwr.common.constant:NOOP_FLWR_AID": set(),
    "flwr.common.constant:SUPERLINK_NODE_ID": set(),
    "flwr.common.constant:TRANSPORT_TYPE_GRPC_RERE": set(),
    "flwr.proto.control_pb2:StartRunRequest": {"fab"},
    "flwr.proto.fab_pb2:GetFabRequest": {"node", "hash_str", "run_id"},
    "flwr.proto.fleet_pb2:ActivateNodeRequest": {"public_key"},
    "flwr.proto.fleet_pb2:ActivateNodeResponse": {"node_id"},
    "flwr.proto.fleet_pb2:DeactivateNodeRequest": {"node_id"},
    "flwr.proto.fleet_pb2:DeactivateNodeResponse": set(),
    "flwr.proto.fleet_pb2:PullMessagesResponse": {"messages_list"},
    "flwr.proto.fleet_pb2:PushMessagesRequest": {"node", "messages_list"},
    "flwr.proto.message_pb2:ObjectTree": {"object_id"},
    "flwr.proto.node_pb2:Node": {"node_id"},
    "flwr.proto.run_pb2:GetRunRequest": {"node", "run_id"},
    "flwr.server.superlink.linkstate:LinkState": {"object_store"},
    "flwr.serverapp:Grid": {"get_node_ids", "pull_messages", "push_messages"},
    "flwr.serverapp:ServerApp": {"main"},
    "flwr.supercore.constant:ActionType": {"START_RUN"},
    "flwr.supercore.constant:FLWR_IN_MEMORY_DB_NAME": set(),
    "flwr.supercore.constant:NodeStatus": {"ONLINE"},
    "flwr.supercore.error:ApiErrorCode": {"FEDERATION_NOT_FOUND_OR_NO_PERMISSION"},
    "flwr.supercore.error:FlowerError": set(),
    "flwr.supercore.interceptors:RuntimeVersionHttpInterceptor": set(),
    "flwr.supercore.protobuf.constants:PROTOBUF_MEDIA_TYPE": set(),
    "flwr.supercore.task_identity:TaskIdentity": {"run_id", "task_id", "node_id"},
    "flwr.supercore.typing:ActionContext": set(),
    "flwr.superlink.config_loader:SuperLinkLifespanConfig": set(),
}

# What our code calls on objects that Flower makes: the name we give them → who they are.
RECEIVERS = {
    "self._state": "flwr.server.superlink.linkstate:LinkState",
    "state": "flwr.server.superlink.linkstate:LinkState",
    "self._state.object_store": "flwr.supercore.object_store:ObjectStore",
    "self._client": "flwr.supernode.fleet_http_client:FleetHttpClient",
    "grid": "flwr.serverapp:Grid",
    "control_handlers": "flwr.superlink.servicer.control.control_handlers",
    "superlink": "flwr.superlink.main",
    "message.metadata": "flwr.app:Metadata",
    "head.metadata": "flwr.app:Metadata",
    "item.metadata": "flwr.app:Metadata",
}


def trees() -> Iterator[ast.AST]:
    """Yield every node of the code that may import Flower."""
    folder = Path(federated.flower.__file__).parent
    for path in sorted(folder.rglob("*.py")):
        yield from ast.walk(ast.parse(path.read_text(encoding="utf-8")))


def resolved(name: str) -> object:
    """Return what `module:path` names, or the module."""
    module, _, path = name.partition(":")
    found: object = importlib.import_module(module)
    for part in path.split(".") if path else ():
        found = getattr(found, part)
    return found


def test_every_import_of_flower_is_pinned_here() -> None:
    plain = {node for node in trees() if isinstance(node, ast.Import)}
    assert not [a.name for node in plain for a in node.names if a.name.startswith("flwr")]
    imported = {
        f"{node.module}:{alias.name}"
        for node in trees()
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("flwr")
        for alias in node.names
    }
    modules = {"flwr.superlink:main", "flwr.superlink.servicer.control:control_handlers"}
    pinned = {name for name in SIGNATURES if "." not in name.partition(":")[2]} | set(NAMES)
    through = {name.rpartition(".")[0] for name in SIGNATURES if "." in name.partition(":")[2]}
    assert imported - pinned - through - modules == set()
    stale = {name for name in set(NAMES) - imported if not name.startswith("flwr.app")}
    assert stale == set(), "pinned and not used any more"


@pytest.mark.parametrize("name", NAMES)
def test_name(name: str) -> None:
    found = resolved(name)
    fields = getattr(getattr(found, "DESCRIPTOR", None), "fields_by_name", {})
    declared = getattr(found, "__annotations__", {})
    assert NAMES[name] <= {*dir(found), *dir(type(found)), *fields, *declared}


def test_every_call_on_an_object_of_flowers_is_of_a_known_method() -> None:
    used = {
        (ast.unparse(node.value), node.attr) for node in trees() if isinstance(node, ast.Attribute)
    }
    for receiver, owner in RECEIVERS.items():
        attributes = {attribute for value, attribute in used if value == receiver}
        assert attributes, f"{receiver} is used nowhere any more"
        assert attributes - {"__dict__"} <= set(dir(resolved(owner))), owner
        if owner.endswith(("LinkState", "FleetHttpClient")):
            pinned = {name.rpartition(".")[2] for name in SIGNATURES if name.startswith(owner)}
            assert attributes <= pinned | {"object_store", "close"}, "add their parameters above"


def test_a_messages_id_and_a_clocks_tolerance_are_where_we_take_them() -> None:
    """`wire` sets an id where Flower keeps it; `link` names a clock that Flower refuses."""
    from flwr.app import Metadata
    from flwr.common.constant import SYSTEM_TIME_TOLERANCE, TIMESTAMP_TOLERANCE
    from flwr.supercore.task_identity import TaskIdentity

    from federated.flower import link, wire

    TaskIdentity.run_id, TaskIdentity.task_id, TaskIdentity.node_id = 1, 1, 1
    message = wire.instruction(b"", 7, 60)
    assert isinstance(message.metadata, Metadata)
    assert message.metadata.message_id == message.object_id
    assert (link._AHEAD, link._BEHIND) == (SYSTEM_TIME_TOLERANCE - 1, TIMESTAMP_TOLERANCE)


@pytest.mark.parametrize("name", SIGNATURES)
def test_signature(name: str) -> None:
    module, _, path = name.partition(":")
    found = importlib.import_module(module)
    for part in path.split("."):
        found = getattr(found, part)
    assert list(inspect.signature(found).parameters) == SIGNATURES[name]


def test_settings_of_the_superlink_are_all_known() -> None:
    from flwr.superlink.config_loader import SuperLinkLifespanConfig

    from federated.flower.superlink import _config

    known = {field.name for field in dataclasses.fields(SuperLinkLifespanConfig)}
    assert set(vars(_config(b"s"))) == known


def test_constants() -> None:
    from flwr.common.constant import NOOP_FLWR_AID, SUPERLINK_NODE_ID, ErrorCode
    from flwr.supercore.constant import FLWR_IN_MEMORY_DB_NAME, NodeStatus
    from flwr.supercore.protobuf.constants import PROTOBUF_MEDIA_TYPE

    assert NodeStatus.ONLINE == "online"
    assert FLWR_IN_MEMORY_DB_NAME == ":flwr-in-memory:"
    assert PROTOBUF_MEDIA_TYPE == "application/protobuf"
    assert SUPERLINK_NODE_ID == 1
    assert ErrorCode.INVALID_FAB == 7
    assert NOOP_FLWR_AID


def test_fleet_paths_are_those_that_the_door_opens() -> None:
    from flwr.superlink.routers.fleet.router import router

    from federated.flower.superlink import FLEET

    assert {route.path for route in router.routes} >= FLEET


def test_client_and_router_speak_of_the_same_messages() -> None:
    from flwr.proto.fleet_pb2 import PullMessagesResponse, PushMessagesRequest

    assert {"node", "messages_list"} <= set(PushMessagesRequest.DESCRIPTOR.fields_by_name)
    assert "messages_list" in PullMessagesResponse.DESCRIPTOR.fields_by_name
