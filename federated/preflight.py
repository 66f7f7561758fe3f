"""Would the sites answer? Asked before anything is computed, so that nobody learns it late.

Every site checks the question against its own roster, dictionary, policy, release and budget, and
says *cleared* or which rule stands against it. The reply depends on no row of the site: a number of
one site, however coarse its bucket, would be a figure of that site. Where a site's policy is
stricter, all are asked again under the strictest, under which the question would be answered; the
report names it. What would pass is found where that is a matter of public numbers, which is the
size of the table; what depends on counts comes with the answer (`federated.planner`).
"""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from federated import disclosure
from federated.coordinator import AskSites, needed_sites
from federated.messages import Absent, Cleared, Failed, Preflight, Refused
from federated.planner import Remedy, fitting
from federated.policy import Policy
from federated.refusals import FAILURES, REMEDIABLE, RULES
from federated.request import Request
from federated.roster import Roster
from federated.strictness import stricter_policy
from transforms.dictionary import DICTIONARY


__all__ = ["Report", "Verdict", "preflight"]

Kind = Literal["allowed", "allowed_after_change", "refused", "failed", "absent"]
TABLE_TOO_LARGE = "table_too_large"


@dataclass(frozen=True)
class Verdict:
    """What one site says: `rule` is a fixed word, empty where the question is allowed."""

    kind: Kind
    rule: str = ""
    remedy: str = ""


@dataclass(frozen=True)
class Report:
    """All sites' verdicts on one question under `policy`, and how many sites it needs."""

    question: str
    needed: int
    sites: Mapping[str, Verdict]
    policy: Policy
    would_pass: tuple[Remedy, ...] = ()

    @property
    def answerable(self) -> bool:
        """Whether enough sites would answer the question as it stands."""
        return sum(item.kind == "allowed" for item in self.sites.values()) >= self.needed

    def to_mapping(self, *, by_site: bool) -> Mapping[str, object]:
        """Return plain JSON values: one merged table, and each site's verdict for an operator."""
        counted = Counter(self.sites.values())
        order = sorted(counted, key=lambda item: (item.kind, item.rule))
        merged = {
            "question": self.question,
            "answerable": self.answerable,
            "needed_sites": self.needed,
            "verdicts": [{**vars(item), "sites": counted[item]} for item in order],
            "policy": self.policy.described(),
            "would_pass": [remedy.to_json() for remedy in self.would_pass],
        }
        named = {site: vars(item) for site, item in sorted(self.sites.items())}
        return {**merged, "by_site": named} if by_site else merged


def preflight(
    request: Request, *, roster: Roster, policy: Policy, ask: AskSites, timeout: float = 10.0
) -> Report:
    """Ask every site of `roster` whether it would answer `request` under the strictest policy."""
    too_large = disclosure.table_problems(request.definition.table(request.design), policy)
    if too_large:
        here = Verdict("allowed_after_change", TABLE_TOO_LARGE, "; ".join(too_large))
        return _report(request, dict.fromkeys(roster.sites, here), policy)
    message = Preflight(request.to_mapping(), policy.canonical(), roster.digest, DICTIONARY.version)
    replies = ask(dict.fromkeys(sorted(roster.sites), message), timeout)
    if stricter := stricter_policy(policy, replies, ask, timeout):
        return preflight(request, roster=roster, policy=stricter, ask=ask, timeout=timeout)
    verdicts = {site: _verdict(replies.get(site, Absent("timeout"))) for site in roster.sites}
    return _report(request, verdicts, policy)


def _report(request: Request, verdicts: Mapping[str, Verdict], policy: Policy) -> Report:
    """Put the verdicts together, with the tables that would fit where this one is too large."""
    needed = needed_sites(request, policy)
    return Report(request.digest, needed, verdicts, policy, fitting(request, policy))


def _verdict(reply: object) -> Verdict:
    """Return what a reply means; a rule or code that is not known is none of a site's words."""
    if isinstance(reply, Cleared):
        return Verdict("allowed")
    if isinstance(reply, Refused):
        rule = reply.rule if reply.rule in RULES else "protocol"
        return Verdict(
            "allowed_after_change" if rule in REMEDIABLE else "refused", rule, RULES[rule]
        )
    if isinstance(reply, Failed):
        code = reply.code if reply.code in FAILURES else "internal"
        return Verdict("failed", code, FAILURES[code])
    reason = reply.reason if isinstance(reply, Absent) else "garbled"
    return Verdict("absent", reason, "ask when the site is back")
