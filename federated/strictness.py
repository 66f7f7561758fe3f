"""Under whose rules a question is answered: the strictest of the consortium's and the sites' own.

A site refuses a question that is asked under laxer rules than its own. It is then asked for its
rules, which are public, and the question is put again under the strictest of all. No site learns
another's rules but by the question it is asked, and none can be made laxer.
"""

from collections.abc import Callable, Mapping

from federated.messages import Absent, Hello, Message, Present, Refused, Reply
from federated.policy import Policy, parse_policy, strictest
from transforms.errors import RefusedError


__all__ = ["stricter_policy"]


def stricter_policy(
    policy: Policy,
    replies: Mapping[str, Reply | Absent],
    ask: Callable[[Mapping[str, Message], float], Mapping[str, Reply | Absent]],
    timeout: float,
) -> Policy | None:
    """Return the policy that the refusing sites of `replies` want too; None when nobody wants more.

    Rules that a site names and that are none are left to it to refuse.
    """
    lax = [site for site, reply in sorted(replies.items()) if reply == Refused("policy_too_lax")]
    if not lax or policy.exact:
        return None
    present = ask(dict.fromkeys(lax, Hello()), timeout)
    wanted = [parsed for site in lax if (parsed := _policy(present.get(site)))]
    merged = strictest(policy, *wanted)
    return merged if merged != policy else None


def _policy(reply: object) -> Policy | None:
    """The rules that a site says it has."""
    if not isinstance(reply, Present):
        return None
    try:
        return parse_policy(reply.policy)
    except RefusedError:
        return None
