"""The coordinator's side of a query: asks the sites, adds up, passes the gate, keeps the result.

How a transport uses it: give `run` an `ask` that sends each site its message and returns, after at
most `timeout` seconds, a reply or `Absent` for every site it was given:

    def ask(messages: Mapping[str, Message], timeout: float) -> Mapping[str, Reply | Absent]: ...

`run` blocks until the query is answered or fails; several may run at once in threads, as long as
`ask` can be called from several threads. A query of one data round takes four calls of `ask`, and
three more for each further round; an answer that is already kept takes one.

The coordinator holds exact pooled numbers only between a round and the gate. It never holds a
site's: what arrives from a site is uniformly random (`federated.secure_sum`).
"""

import importlib.metadata
import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import lru_cache
from pathlib import Path
from typing import TypeAlias, TypeVar

from federated import disclosure, ring
from federated.agreement import Gathering, ProtocolError, gather, threshold
from federated.analysis import Ask, Done, Outcome
from federated.conversation import broadcast_digest, query_context
from federated.ledger import Ledger
from federated.messages import (
    Absent,
    Announced,
    Continue,
    Contribute,
    Contributed,
    Endorsed,
    Failed,
    Masked,
    Message,
    Open,
    Refused,
    Reply,
    Revealed,
    Settle,
    Unmask,
)
from federated.policy import Policy
from federated.refusals import FAILURES, RULES
from federated.request import Request
from federated.results import Result, ResultStore
from federated.roster import Roster
from federated.secure_sum import check_endorsed, check_masked, open_sum
from federated.statistics import Blocks, Broadcast
from transforms.dictionary import DICTIONARY
from transforms.errors import RefusedError, SiteDownError, raise_all


__all__ = ["AskSites", "needed_sites", "run"]

Replies: TypeAlias = Mapping[str, Reply | Absent]
AskSites: TypeAlias = Callable[[Mapping[str, Message], float], Replies]
Expected = TypeVar("Expected", Announced, Contributed, Masked, Endorsed, Revealed)
Carrier = TypeVar("Carrier", Contributed, Masked)

MOST_ATTEMPTS = 3


@dataclass
class _Missing:
    """Sites that do not take part: absent (reason), refused (rule) or failed (code)."""

    absent: dict[str, str] = field(default_factory=dict)
    refused: dict[str, str] = field(default_factory=dict)
    failed: dict[str, str] = field(default_factory=dict)

    def note(self, site: str, reply: object) -> None:
        """Record why `site` does not take part."""
        if isinstance(reply, Refused):
            self.refused[site] = reply.rule if reply.rule in RULES else "protocol"
        elif isinstance(reply, Failed):
            self.failed[site] = reply.code if reply.code in FAILURES else "internal"
        else:
            self.absent[site] = reply.reason if isinstance(reply, Absent) else "garbled"

    def sites(self) -> set[str]:
        """Every site that was noted."""
        return {*self.absent, *self.refused, *self.failed}

    def error(self, have: int, need: int) -> RefusedError | SiteDownError:
        """What to tell the analyst when too few sites are left."""
        lines = [f"{have} {'site' if have == 1 else 'sites'} can answer and {need} are needed"]
        lines += [f"{site}: absent ({why})" for site, why in sorted(self.absent.items())]
        lines += [f"{site}: refused, {RULES[rule]}" for site, rule in sorted(self.refused.items())]
        lines += [f"{site}: failed, {FAILURES[code]}" for site, code in sorted(self.failed.items())]
        down = self.absent or self.failed
        kind = SiteDownError if down and not self.refused else RefusedError
        return kind("\n".join(lines))


@dataclass
class _Query:
    """One conversation with the sites that take part."""

    request: Request
    roster: Roster
    policy: Policy
    ask: AskSites
    timeout: float
    session: str
    gathering: Gathering
    missing: _Missing


class _SitesLostError(Exception):
    """Sites fell silent before anything was unmasked: starting afresh without them is safe."""


def run(
    request: Request,
    *,
    roster: Roster,
    policy: Policy,
    ask: AskSites,
    state: Path,
    timeout: float = 30.0,
) -> Result:
    """Answer `request` from the sites of `roster`; ledger and result store lie in folder `state`.

    Raises RefusedError when a rule says no, SiteDownError when fewer sites than needed answered.
    """
    raise_all(
        RefusedError,
        disclosure.table_problems(request.definition.table(request.design), policy),
    )
    store, ledger = ResultStore(state / "results"), _ledger(state / "ledger")
    missing = _Missing()
    for _ in range(MOST_ATTEMPTS):
        query = _open(request, roster, policy, ask, timeout, missing)
        key = ResultStore.key(
            request.digest, query.gathering.releases, roster.digest, policy.digest
        )
        if kept := store.get(key):
            return kept
        ledger.append("asked", {"question": request.digest, "sites": query.gathering.sites})
        try:
            outcome = _converse(query)
        except _SitesLostError:
            continue
        result = _publish(query, outcome)
        ledger.append("answered", {"question": request.digest, "result": result.digest})
        store.put(key, result)
        return result
    raise missing.error(len(roster.sites) - len(missing.sites()), needed_sites(request, policy))


@lru_cache(maxsize=8)
def _ledger(folder: Path) -> Ledger:
    """The coordinator's ledger, kept open so that it is not read anew for every query."""
    return Ledger(folder)


def _open(
    request: Request,
    roster: Roster,
    policy: Policy,
    ask: AskSites,
    timeout: float,
    missing: _Missing,
) -> _Query:
    """Exchange 1: find out who takes part, and gather their keys."""
    session = secrets.token_hex(16)
    message = Open(
        session, request.to_mapping(), policy.canonical(), roster.digest, DICTIONARY.version
    )
    invited = sorted(set(roster.sites) - missing.sites())
    replies = ask(dict.fromkeys(invited, message), timeout) if invited else {}
    announced = _sorted_out(replies, invited, Announced, missing)
    minimum = needed_sites(request, policy)
    if len(announced) < minimum:
        raise missing.error(len(announced), minimum)
    context = query_context(
        session, request.digest, policy.digest, roster.digest, DICTIONARY.version
    )
    packed = {site: reply.announcement for site, reply in announced.items()}
    try:
        gathering = gather(packed, roster, context, request.definition.rounds, minimum)
    except ProtocolError as error:
        raise SiteDownError(f"the sites' keys do not fit together ({error.rule})") from None
    return _Query(request, roster, policy, ask, timeout, session, gathering, missing)


def _converse(query: _Query) -> Outcome:
    """Exchanges 2 and on: data rounds until the analysis is done."""
    analysis, design = query.request.definition, query.request.design
    step, number = Ask(), 1
    contributed = _contribute(query)
    masked = {site: reply.masked for site, reply in contributed.items()}
    inboxes = {
        site: {
            giver: reply.shares.get(site, b"")
            for giver, reply in contributed.items()
            if giver != site
        }
        for site in contributed
    }
    while True:
        total = _unmask(query, number, masked, step.broadcast, inboxes)
        if number == 1:
            disclosure.check_contributing(total, query.policy)
        following = analysis.combine(total, design, step)
        if isinstance(following, Done):
            return following.outcome
        step, number, inboxes = _screened(following, query.policy), number + 1, {}
        message = Continue(query.session, number, step.broadcast)
        masked = _masked_by_all(query, message)


def _contribute(query: _Query) -> Mapping[str, Contributed]:
    """Exchange 2. Nothing can be unmasked before it, so a site that is lost here is left out."""
    packed = {site: item.pack() for site, item in query.gathering.announcements.items()}
    message = Contribute(query.session, packed)
    sites = query.gathering.sites
    replies = query.ask(dict.fromkeys(sites, message), query.timeout)
    replies = _authentic(query, Contributed, 1, {}, replies)
    contributed = _sorted_out(replies, sites, Contributed, query.missing)
    if len(contributed) < len(sites):
        raise _SitesLostError
    return contributed


def _unmask(
    query: _Query,
    number: int,
    masked: Mapping[str, ring.Limbs],
    broadcast: Broadcast,
    inboxes: Mapping[str, Mapping[str, bytes]],
) -> Blocks:
    """Two exchanges: have the survivors signed, then the masks revealed; return the sum."""
    sites = query.gathering.sites
    shapes = query.request.shapes(broadcast)
    settles = {s: Settle(query.session, number, sites, inboxes.get(s, {})) for s in sites}
    endorsed = _endorsements(query, number, broadcast_digest(broadcast), settles)
    signatures = {site: reply.signature for site, reply in endorsed.items()}
    unmasks = dict.fromkeys(endorsed, Unmask(query.session, number, signatures))
    revealed = _ask_enough(query, unmasks, Revealed)
    shares = {site: reply.shares for site, reply in revealed.items()}
    try:
        return ring.unpack(open_sum(query.gathering, number, masked, shares), shapes)
    except (ProtocolError, ring.RingError):
        raise SiteDownError("the sites' shares do not fit together; ask again") from None


def _masked_by_all(query: _Query, message: Continue) -> dict[str, ring.Limbs]:
    """Ask every site of the query; a site that was summed once is needed in every round.

    Leaving it out would let two sums be subtracted, so the query fails until the site is back.
    """
    sites = query.gathering.sites

    def checked(replies: Replies) -> Replies:
        return _authentic(query, Masked, message.round, message.broadcast, replies)

    found = _ask_twice(query, dict.fromkeys(sites, message), Masked, checked)
    if len(found) < len(sites):
        raise query.missing.error(len(found), len(sites))
    return {site: reply.masked for site, reply in found.items()}


def _endorsements(
    query: _Query, number: int, binding: bytes, settles: Mapping[str, Message]
) -> Mapping[str, Endorsed]:
    """Ask for signatures over the survivors; one that is wrong would spoil all others."""
    gathering, roster = query.gathering, query.roster

    def checked(replies: Replies) -> Replies:
        def check(site: str, reply: Endorsed) -> None:
            check_endorsed(
                gathering, roster, number, site, gathering.sites, binding, reply.signature
            )

        return _checked(replies, Endorsed, check)

    return _ask_enough(query, settles, Endorsed, checked)


def _authentic(
    query: _Query, kind: type[Carrier], number: int, broadcast: Broadcast, replies: Replies
) -> Replies:
    """Take a masked vector that is not of the public length, or not signed, as garbled."""
    length = ring.length(query.request.shapes(broadcast))
    binding = broadcast_digest(broadcast)

    def check(site: str, reply: Carrier) -> None:
        if reply.masked.shape != (length, 3):
            raise ProtocolError("wrong_length")
        check_masked(
            query.gathering, query.roster, number, site, reply.masked, binding, reply.signature
        )

    return _checked(replies, kind, check)


def _checked(
    replies: Replies, kind: type[Expected], check: Callable[[str, Expected], None]
) -> Replies:
    """Replace every reply of `kind` that does not pass `check`: it was changed on the way."""

    def passed(site: str, reply: Reply | Absent) -> Reply | Absent:
        if not isinstance(reply, kind):
            return reply
        try:
            check(site, reply)
        except ProtocolError:
            return Absent("garbled")
        return reply

    return {site: passed(site, reply) for site, reply in replies.items()}


def _as_they_are(replies: Replies) -> Replies:
    """Check nothing: a share proves itself by the key that it leads to."""
    return replies


def _ask_enough(
    query: _Query,
    messages: Mapping[str, Message],
    kind: type[Expected],
    checked: Callable[[Replies], Replies] = _as_they_are,
) -> Mapping[str, Expected]:
    """Ask sites of which t must answer, for signatures or shares."""
    need = threshold(len(query.gathering.sites))
    found = _ask_twice(query, messages, kind, checked)
    if len(found) < need:
        raise query.missing.error(len(found), need)
    return found


def _ask_twice(
    query: _Query,
    messages: Mapping[str, Message],
    kind: type[Expected],
    checked: Callable[[Replies], Replies],
) -> dict[str, Expected]:
    """Ask, then ask the absent once more: a repeated message gets the same reply."""
    found: dict[str, Expected] = {}
    left = dict(messages)
    for _ in range(2):
        lost = _Missing()
        found |= _sorted_out(checked(query.ask(left, query.timeout)), left, kind, lost)
        left = {site: messages[site] for site in lost.absent}
        if not left:
            break
    for part in ("absent", "refused", "failed"):
        getattr(query.missing, part).update(getattr(lost, part))
    return found


def _sorted_out(
    replies: Replies,
    asked: "Mapping[str, object] | list[str] | tuple[str, ...]",
    kind: type[Expected],
    missing: _Missing,
) -> dict[str, Expected]:
    """Return the replies of the expected kind, noting every other site as missing."""
    found: dict[str, Expected] = {}
    for site in asked:
        reply = replies.get(site, Absent("timeout"))
        if isinstance(reply, kind):
            found[site] = reply
        else:
            missing.note(site, reply)
    return found


def _screened(step: Ask, policy: Policy) -> Ask:
    """Put the gate's decision on each screened block into the broadcast; refuse a bad model."""
    if step.model is not None:
        disclosure.check_model(step.model, policy)
    passed = {name: disclosure.passing(screen, policy) for name, screen in step.screen.items()}
    return replace(step, broadcast={**step.broadcast, **passed})


def _publish(query: _Query, outcome: Outcome) -> Result:
    """Pass the gate and add where the result comes from."""
    request, missing = query.request, query.missing
    published = disclosure.release(outcome, query.policy)
    provenance = {
        "question": request.digest,
        "releases": dict(query.gathering.releases),
        "absent": _others(missing.absent, query),
        "refused": _others(missing.refused, query),
        "failed": _others(missing.failed, query),
        "policy": {"digest": query.policy.digest, **query.policy.canonical()},
        "versions": {
            "marmor": importlib.metadata.version("marmor"),
            "dictionary": DICTIONARY.version,
        },
    }
    return Result(request.analysis, request.question(), published.data, provenance)


def _others(notes: Mapping[str, str], query: _Query) -> Mapping[str, str]:
    """Notes on sites outside the sum; one that only missed the unmasking is in it all the same."""
    return {s: why for s, why in sorted(notes.items()) if s not in query.gathering.sites}


def needed_sites(request: Request, policy: Policy) -> int:
    """Fewest sites: the stricter of what the request and the policy say."""
    return max(request.minimum_sites, policy.min_sites)
