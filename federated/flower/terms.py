"""What a site has agreed to, as its files say now: pinned roster, allowed apps, its own policy.

Looked at before every message, so that a roster that was pinned, an app that was taken off the list
or a stricter policy holds from the next message on. When the files do not fit together, the site
takes part in nothing until they do.
"""

import logging

from federated.flower.layout import Membership, load_membership, stamp
from federated.policy import Policy, site_policy
from federated.roster import Roster
from federated.site import SiteParty
from transforms.errors import UserError
from transforms.site import Site


__all__ = ["Terms"]

_log = logging.getLogger("marmor.node")

_FILES = ("federation.toml", "roster.toml", "ca.pem", "node.key", "identity.pem")


class Terms:
    """A site's membership and policy; `follow` hands changes on to its party."""

    def __init__(self, site: Site) -> None:
        """Read the files; ConsortiumError or RefusedError when they are missing or do not fit."""
        self._keys, self._folder = site.keys, site.folder
        self._seen = self._stamps()
        self.membership: Membership = load_membership(site.keys)
        self.policy: Policy = site_policy(self._folder)
        self._party: SiteParty | None = None
        self._allowed = self.membership.allowed_apps

    def follow(self, party: SiteParty) -> None:
        """Keep `party` to these terms from now on."""
        self._party = party

    def allowed_apps(self) -> frozenset[str]:
        """Return the SHA-256 of the apps that the site allows just now; none while files misfit."""
        stamps = self._stamps()
        if stamps != self._seen:
            self._seen = stamps
            self._renew()
        return self._allowed

    def _renew(self) -> None:
        try:
            found, policy = load_membership(self._keys), site_policy(self._folder)
        except UserError as error:
            _log.error("takes part in nothing until this is mended: %s", error)
            self._hold(Roster({}), self.policy, frozenset())
            return
        if (found.gateway, found.ca) != (self.membership.gateway, self.membership.ca):
            _log.warning("the gateway's address or certificate changed: restart the node")
        _log.info("now holds to roster %s, policy %s", found.roster.digest[:16], policy.digest[:16])
        self.membership, self.policy = found, policy
        self._hold(found.roster, policy, found.allowed_apps)

    def _hold(self, roster: Roster, policy: Policy, allowed: frozenset[str]) -> None:
        self._allowed = allowed
        if self._party is not None:
            self._party.renew(self.membership.identity_key, roster, policy)

    def _stamps(self) -> tuple[object, ...]:
        paths = [self._keys / name for name in _FILES]
        return tuple(stamp(path) for path in (*paths, self._folder / "site.toml"))
