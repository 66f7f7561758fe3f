"""Shuts Flower's own Control API: only the gateway itself, in process, starts runs and adds nodes.

Open-source Flower has no account authentication: whoever reaches its port can start runs with any
code and register nodes. The gateway's front door does not route there at all (`gateway.Door`);
these two plug-ins refuse a second time, should a later Flower or a proxy open another way in.
"""

from collections.abc import Sequence

from flwr.common.constant import NOOP_FLWR_AID
from flwr.supercore.auth.typing import AccountInfo
from flwr.supercore.constant import ActionType
from flwr.supercore.error import ApiErrorCode, FlowerError
from flwr.supercore.typing import ActionContext
from flwr.superlink.auth_plugin import NoOpControlAuthnPlugin
from flwr.superlink.federation import NoOpFederationManager


__all__ = ["GATEWAY", "Membership", "NoAccounts"]

GATEWAY = AccountInfo(NOOP_FLWR_AID, "gateway")
"""The gateway's own account: the only member of the federation."""


class NoAccounts(NoOpControlAuthnPlugin):
    """Refuses every caller of Flower's Control API; analysts use `/marmor/v1` instead."""

    def validate_tokens_in_metadata(
        self, metadata: Sequence[tuple[str, str | bytes]]
    ) -> tuple[bool, AccountInfo | None]:
        """Return that no token is valid."""
        return False, None


class Membership(NoOpFederationManager):
    """One federation whose only member is the gateway."""

    def can_execute(self, flwr_aid: str, action: ActionType, context: ActionContext) -> None:
        """Refuse every action that is not the gateway's own."""
        if flwr_aid != GATEWAY.flwr_aid:
            raise FlowerError(
                ApiErrorCode.FEDERATION_NOT_FOUND_OR_NO_PERMISSION,
                f"{flwr_aid} may not {action}: only the gateway itself may",
            )
