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
import random
import secrets
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import cached_property, lru_cache
from pathlib import Path
from typing import TypeAlias, TypeVar

import numpy as np
from numpy.typing import NDArray

from federated import disclosure, ring
from federated.agreement import Gathering, ProtocolError, gather, threshold
from federated.analysis import AnalysisView, Ask, Done, Outcome
from federated.attendance import Attendance
from federated.conversation import broadcast_digest, query_context
from federated.desk import Desk
from federated.ledger import Ledger
from federated.messages import (
    Absent,
    Announced,
    Continue,
    Contribute,
    Contributed,
    Endorsed,
    Masked,
    Message,
    Open,
    Reply,
    Revealed,
    Settle,
    Unmask,
)
from federated.overlap import (
    OVERLAP,
    TOO_SIMILAR,
    Earlier,
    earlier_questions,
    hide,
    near,
    shape,
)
from federated.planner import remedies
from federated.policy import Policy
from federated.refusals import RULES
from federated.request import Request
from federated.results import Result, ResultStore
from federated.roster import Roster
from federated.secure_sum import check_endorsed, check_masked, open_sum
from federated.statistics import Blocks, Broadcast, Counts, Shapes
from federated.strictness import stricter_policy
from federated.views import DICTIONARY_VIEWS
from federated.witness import Note, read_notes
from transforms.dictionary import DICTIONARY
from transforms.errors import RefusedError, SiteDownError, raise_all


__all__ = ["AskSites", "needed_sites", "run"]

Replies: TypeAlias = Mapping[str, Reply | Absent]
AskSites: TypeAlias = Callable[[Mapping[str, Message], float], Replies]
Expected = TypeVar("Expected", Announced, Contributed, Masked, Endorsed, Revealed)
Carrier = TypeVar("Carrier", Contributed, Masked)

MOST_ATTEMPTS = 6
PAUSE = 0.05  # seconds, at first
LONGEST_TURN = 15.0  # seconds that a query waits for the first sum of those about the same view
TURNS: dict[tuple[Path, str], threading.Lock] = {}
TURNS_LOCK = threading.Lock()


@dataclass(frozen=True)
class _Asked:
    """A request, under which terms, and how the sites are reached."""

    request: Request
    roster: Roster
    policy: Policy
    ask: AskSites
    timeout: float
    views: Mapping[str, AnalysisView]


@dataclass
class _Query:
    """One conversation with the sites that take part.

    `earlier` are the questions that this one is compared with, `heads` the sites' ledgers at last.
    """

    asked: _Asked
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


class _AskAgainError(Exception):
    """Starting afresh is safe: nothing of the query was opened, or the same sites are asked.

    `overtaken` says that it is for another question's sake, and not for that of lost sites.
    """

    def __init__(self, *, overtaken: bool = False) -> None:
        super().__init__()
        self.overtaken = overtaken


class _TooLaxError(Exception):
    """A site has a stricter policy; nothing was opened yet."""

    def __init__(self, stricter: Policy) -> None:
        super().__init__()
        self.stricter = stricter


def run(
    request: Request,
    *,
    roster: Roster,
    policy: Policy,
    ask: AskSites,
    state: Path,
    timeout: float = 30.0,
    views: Mapping[str, AnalysisView] = DICTIONARY_VIEWS,
    analyst: str = "",
) -> Result:
    """Answer `request` from the sites of `roster`; ledger and result store lie in folder `state`.

    `views` are those that the request was parsed with; `analyst` is who asks, for the day's budget.

    Raises RefusedError when a rule says no, SiteDownError when fewer sites than needed answered.
    """
    raise_all(
        RefusedError,
        [
            *disclosure.table_problems(request.definition.table(request.design), policy),
            *(() if policy.exact else request.cohort_problems()),
        ],
    )
    desk = Desk(_ledger(state / "ledger"), ResultStore(state / "results"), analyst)
    asked, missing = _Asked(request, roster, policy, ask, timeout, views), Attendance()
    try:
        desk.check_budget(request, policy)
        return _under_strictest(asked, desk, missing)
    except (RefusedError, SiteDownError):
        desk.note_unanswered(request, missing)
        raise


def _under_strictest(asked: "_Asked", desk: Desk, missing: Attendance) -> Result:
    """Ask under the consortium's policy, and under a stricter one as soon as a site wants it."""
    for _ in asked.roster.sites:
        try:
            return _attempts(asked, desk, missing)
        except _TooLaxError as found:
            asked = replace(asked, policy=found.stricter)
            variables = asked.request.definition.table(asked.request.design)
            raise_all(RefusedError, disclosure.table_problems(variables, asked.policy))
    return _attempts(asked, desk, missing)


def _attempts(asked: "_Asked", desk: Desk, missing: Attendance) -> Result:
    """Ask, and ask again without the sites that were lost before anything was unmasked."""
    overtaken = False
    for attempt in range(MOST_ATTEMPTS):
        try:
            return _attempt(asked, desk, missing)
        except _AskAgainError as again:
            overtaken = again.overtaken
        if overtaken:  # so that two coordinators do not overtake each other for ever
            time.sleep(random.uniform(0, PAUSE * 2**attempt))  # noqa: S311 - not a secret
    if overtaken:
        raise RefusedError(RULES["overtaken"])
    have = len(asked.roster.sites) - len(missing.sites())
    raise missing.error(have, needed_sites(asked.request, asked.policy))


def _attempt(asked: "_Asked", desk: Desk, missing: Attendance) -> Result:
    """Ask once: an answer that is kept, or a new one."""
    request, roster, policy = asked.request, asked.roster, asked.policy
    with _in_turn(desk.ledger.path, request.view):
        query = _open(asked, desk, missing)
        releases, needed = query.gathering.releases, needed_sites(request, policy)
        if kept := desk.kept(request, releases, roster, policy, needed):
            return kept
        desk.note_asked(request, query.gathering, query.notes)
        total = _first_sum(query)
    result = _publish(query, _converse(query, total))
    key = ResultStore.key(request.digest, releases, roster.digest, policy.digest)
    desk.note_answered(result, key, missing, query.heads, roster)
    return result


@contextmanager
def _in_turn(ledger: Path, view: str) -> Iterator[None]:
    """Begin one query about a view after the other, so that each is compared with those before.

    Sites refuse one that was not, so to wait for ever would gain nothing.
    """
    with TURNS_LOCK:
        turn = TURNS.setdefault((ledger, view), threading.Lock())
    mine = turn.acquire(timeout=LONGEST_TURN)
    try:
        yield
    finally:
        if mine:
            turn.release()


@lru_cache(maxsize=8)
def _ledger(folder: Path) -> Ledger:
    """The coordinator's ledger, kept open so that it is not read anew for every query."""
    return Ledger(folder)


def _open(asked: "_Asked", desk: Desk, missing: Attendance) -> _Query:
    """Exchange 1: find out who takes part, and gather their keys and notes."""
    request, policy, roster = asked.request, asked.policy, asked.roster
    session, words = secrets.token_hex(16), desk.words(request.view)
    terms = (request.to_mapping(), policy.canonical(), roster.digest, DICTIONARY.version)
    message = Open(session, *terms, desk.heads(), tuple(sorted(words)))
    invited = sorted(set(roster.sites) - missing.sites())
    replies = asked.ask(dict.fromkeys(invited, message), asked.timeout) if invited else {}
    if stricter := stricter_policy(policy, replies, asked.ask, asked.timeout):
        raise _TooLaxError(stricter)
    announced = _sorted_out(replies, invited, Announced, missing)
    minimum = needed_sites(request, policy)
    if len(announced) < minimum:
        raise missing.error(len(announced), minimum)
    context = query_context(session, request.digest, policy.digest, *terms[2:])
    packed = {site: reply.announcement for site, reply in announced.items()}
    try:
        gathering = gather(packed, roster, context, request.definition.rounds, minimum)
        notes = read_notes(gathering)
    except ProtocolError as error:
        raise SiteDownError(f"the sites' keys do not fit together ({error.rule})") from None
    if not desk.check_heads(notes, roster, missing):
        raise _AskAgainError
    told = [reply.questions for reply in announced.values()]
    questions = {**{d: w for item in told for d, w in item.items()}, **words}
    return _Query(asked, session, gathering, notes, _named(questions, notes), missing)


def _named(questions: Mapping[str, object], notes: Mapping[str, Note]) -> Mapping[str, object]:
    """Those questions that a site's note names."""
    named = {digest for note in notes.values() for digest, _ in note.answered}
    return {digest: questions[digest] for digest in sorted(named & set(questions))}


def _first_sum(query: _Query) -> Blocks:
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


def _converse(query: _Query, total: Blocks) -> Outcome:
    """The exchanges after the first data round, if any, until the analysis is done."""
    analysis, design = query.request.definition, query.request.design
    step, number = Ask(), 1
    disclosure.check_contributing(total, query.policy)
    query.near = _too_near(query, total)
    while True:
        following = analysis.combine(total, design, step)
        if isinstance(following, Done):
            return following.outcome
        if following.model and disclosure.model_problems(following.model, query.policy):
            return following.model
        step, number = _screened(following, query.policy), number + 1
        masked = _masked_by_all(query, Continue(query.session, number, step.broadcast))
        total = _unmask(query, number, masked, step.broadcast, {})


def _contribute(query: _Query) -> Mapping[str, Contributed]:
    """Exchange 2. Nothing can be unmasked before it, so a site that is lost here is left out."""
    packed = {site: item.pack() for site, item in query.gathering.announcements.items()}
    message = Contribute(query.session, packed, query.words)
    sites = query.gathering.sites
    replies = query.ask(dict.fromkeys(sites, message))
    replies = _authentic(query, Contributed, 1, {}, replies)
    contributed = _sorted_out(replies, sites, Contributed, query.missing)
    if len(contributed) < len(sites):
        raise _AskAgainError
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
        lost = Attendance()
        found |= _sorted_out(checked(query.ask(left)), left, kind, lost)
        left = {site: messages[site] for site in lost.sites("absent", "slow")}
        if not left:
            break
    if "overtaken" in lost.out["refused"].values():
        raise _AskAgainError(overtaken=True)
    query.missing.take(lost)
    return found


def _sorted_out(
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


def _too_near(query: _Query, total: Blocks) -> NDArray[np.bool_] | None:
    """Which cells lie too near to answered ones; RefusedError when that is another set of sites'.

    The same numbers with more sites would tell of the few patients that those have.
    """
    block, earlier = total.get(OVERLAP), query.earlier
    if not isinstance(block, Counts):
        return None
    found = near(block, query.request, earlier, query.policy.grid + 1)
    if found.any() and any(e.question.counted == query.request.counted for e in earlier):
        raise RefusedError(TOO_SIMILAR)
    return found


def _screened(step: Ask, policy: Policy) -> Ask:
    """Put the gate's decision on each screened block into the broadcast."""
    passed = {name: disclosure.passing(screen, policy) for name, screen in step.screen.items()}
    return replace(step, broadcast={**step.broadcast, **passed})


def _publish(query: _Query, outcome: Outcome) -> Result:
    """Pass the gate and add where the result comes from."""
    request = query.request
    hidden = query.near is not None and bool(query.near.any())
    if hidden and query.near is not None:
        outcome = hide(outcome, query.near)
    published = disclosure.release(outcome, query.policy)
    provenance = {
        "question": request.digest,
        "releases": dict(query.gathering.releases),
        **query.missing.counts(without=query.gathering.sites),
        "policy": query.policy.described(),
        "versions": {
            "marmor": importlib.metadata.version("marmor"),
            "dictionary": DICTIONARY.version,
        },
    }
    data = dict(published.data)
    plan = remedies(request, outcome, query.policy)
    if plan.tried or plan.remedies:
        suggested = [item.to_json() for item in plan.remedies]
        data["would_pass"] = {"tried": plan.tried, "remedies": suggested}
    return Result(request.analysis, request.question(), data, provenance)


def needed_sites(request: Request, policy: Policy) -> int:
    """Fewest sites: the stricter of what the request and the policy say."""
    return max(request.minimum_sites, policy.min_sites)
