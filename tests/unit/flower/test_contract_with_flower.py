"""Every name of Flower's inside that we use, with its parameters: an upgrade fails here first."""

import dataclasses
import importlib
import importlib.metadata
import inspect

import pytest


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
