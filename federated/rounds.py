"""One query's data rounds: masked vectors in, the survivors signed, the masks off, the sum out.

What comes back is checked before it is used: a vector that is not of the public length or not
signed, and a signature that is wrong, count as an answer that could not be read. A site that falls
silent is asked once more, because a repeated message gets the same reply.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import TypeAlias, TypeVar

import numpy as np
from numpy.typing import NDArray

from federated import ring
from federated.agreement import Gathering, ProtocolError, threshold
from federated.analysis import AnalysisView
from federated.attendance import Attendance
from federated.conversation import broadcast_digest
from federated.messages import (
    Absent,
    Announced,
    Continue,
    Contribute,
    Contributed,
    Endorsed,
    Masked,
    Message,
    Reply,
    Revealed,
    Settle,
    Unmask,
)
from federated.overlap import OVERLAP, Earlier, earlier_questions, shape
from federated.policy import Policy
from federated.request import Request
from federated.roster import Roster
from federated.secure_sum import check_endorsed, check_masked, open_sum
from federated.statistics import Blocks, Broadcast, Shapes
from federated.witness import Note
from transforms.errors import SiteDownError


__all__ = [
    "AskAgainError",
    "AskSites",
    "Asked",
    "Query",
    "first_sum",
    "further_sum",
    "sorted_out",
]

Replies: TypeAlias = Mapping[str, Reply | Absent]
AskSites: TypeAlias = Callable[[Mapping[str, Message], float], Replies]
Expected = TypeVar("Expected", Announced, Contributed, Masked, Endorsed, Revealed)
Carrier = TypeVar("Carrier", Contributed, Masked)


@dataclass(frozen=True)
class Asked:
    """A request, under which terms, and how the sites are reached."""

    request: Request
    roster: Roster
    policy: Policy
    ask: AskSites
    timeout: float
    views: Mapping[str, AnalysisView]


@dataclass
class Query:
    """One conversation with the sites that take part.

    `earlier` are the questions that this one is compared with, `heads` the sites' ledgers at last.
    """

    asked: Asked
    session: str
    gathering: Gathering
    notes: Mapping[str, Note]
    words: Mapping[str, object]
    missing: Attendance
    heads: dict[str, Mapping[str, object]] = field(default_factory=dict)
    near: NDArray[np.bool_] | None = None

    @property
    def request(self) -> Request:
        """What is asked."""
        return self.asked.request

    @property
    def roster(self) -> Roster:
        """Who may answer."""
        return self.asked.roster

    @property
    def policy(self) -> Policy:
        """The rules of the gate."""
        return self.asked.policy

    @cached_property
    def earlier(self) -> tuple[Earlier, ...]:
        """The questions that this one is compared with: the same that the sites find."""
        if self.policy.exact:
            return ()
        answered = {site: note.answered for site, note in self.notes.items()}
        return earlier_questions(answered, self.words, self.request, self.asked.views)

    def shapes(self, number: int, broadcast: Broadcast) -> Shapes:
        """Public shapes of what each site sends in a round."""
        shapes, earlier = self.request.shapes(broadcast), self.earlier if number == 1 else ()
        return {**shapes, OVERLAP: shape(self.request, earlier)} if earlier else shapes

    def ask(self, messages: Mapping[str, Message]) -> Replies:
        """Send messages and wait for the replies."""
        return self.asked.ask(messages, self.asked.timeout)


class AskAgainError(Exception):
    """Starting afresh is safe: nothing of the query was opened, or the same sites are asked.

    `overtaken` says that it is for another question's sake, and not for that of lost sites.
    """

    def __init__(self, *, overtaken: bool = False) -> None:
        super().__init__()
        self.overtaken = overtaken


def first_sum(query: Query) -> Blocks:
    """Exchanges 2 to 4: the first data round, after which every site has the query written down."""
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
    return _unmask(query, 1, masked, {}, inboxes)


def further_sum(query: Query, number: int, broadcast: Broadcast) -> Blocks:
    """Three exchanges: a further data round; every site that was summed once is needed."""
    masked = _masked_by_all(query, Continue(query.session, number, broadcast))
    return _unmask(query, number, masked, broadcast, {})


def _contribute(query: Query) -> Mapping[str, Contributed]:
    """Exchange 2. Nothing can be unmasked before it, so a site that is lost here is left out."""
    packed = {site: item.pack() for site, item in query.gathering.announcements.items()}
    message = Contribute(query.session, packed, query.words)
    sites = query.gathering.sites
    replies = query.ask(dict.fromkeys(sites, message))
    replies = _authentic(query, Contributed, 1, {}, replies)
    contributed = sorted_out(replies, sites, Contributed, query.missing)
    if len(contributed) < len(sites):
        raise AskAgainError
    return contributed


def _unmask(
    query: Query,
    number: int,
    masked: Mapping[str, ring.Limbs],
    broadcast: Broadcast,
    inboxes: Mapping[str, Mapping[str, bytes]],
) -> Blocks:
    """Two exchanges: have the survivors signed, then the masks revealed; return the sum."""
    sites = query.gathering.sites
    shapes = query.shapes(number, broadcast)
    settles = {s: Settle(query.session, number, sites, inboxes.get(s, {})) for s in sites}
    endorsed = _endorsements(query, number, broadcast_digest(broadcast), settles)
    signatures = {site: reply.signature for site, reply in endorsed.items()}
    unmasks = dict.fromkeys(endorsed, Unmask(query.session, number, signatures))
    revealed = _ask_enough(query, unmasks, Revealed)
    shares = {site: reply.shares for site, reply in revealed.items()}
    query.heads |= {site: reply.head for site, reply in revealed.items()}
    try:
        return ring.unpack(open_sum(query.gathering, number, masked, shares), shapes)
    except (ProtocolError, ring.RingError):
        raise SiteDownError("the sites' shares do not fit together; ask again") from None


def _masked_by_all(query: Query, message: Continue) -> dict[str, ring.Limbs]:
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
    query: Query, number: int, binding: bytes, settles: Mapping[str, Message]
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
    query: Query, kind: type[Carrier], number: int, broadcast: Broadcast, replies: Replies
) -> Replies:
    """Take a masked vector that is not of the public length, or not signed, as garbled."""
    length = ring.length(query.shapes(number, broadcast))
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
    query: Query,
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
    query: Query,
    messages: Mapping[str, Message],
    kind: type[Expected],
    checked: Callable[[Replies], Replies],
) -> dict[str, Expected]:
    """Ask, then ask the absent once more: a repeated message gets the same reply."""
    found: dict[str, Expected] = {}
    left = dict(messages)
    for _ in range(2):
        lost = Attendance()
        found |= sorted_out(checked(query.ask(left)), left, kind, lost)
        left = {site: messages[site] for site in lost.sites("absent", "slow")}
        if not left:
            break
    if "overtaken" in lost.out["refused"].values():
        raise AskAgainError(overtaken=True)
    query.missing.take(lost)
    return found


def sorted_out(
    replies: Replies,
    asked: "Mapping[str, object] | list[str] | tuple[str, ...]",
    kind: type[Expected],
    missing: Attendance,
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
