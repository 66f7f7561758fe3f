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
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from functools import lru_cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from federated import disclosure
from federated.agreement import ProtocolError, gather
from federated.analysis import AnalysisView, Ask, Done, Outcome
from federated.attendance import Attendance
from federated.conversation import query_context
from federated.desk import Desk
from federated.ledger import Ledger
from federated.messages import (
    Announced,
    Open,
)
from federated.overlap import (
    OVERLAP,
    TOO_SIMILAR,
    hide,
    near,
)
from federated.planner import remedies
from federated.policy import Policy
from federated.refusals import RULES
from federated.request import Request
from federated.results import Result, ResultStore
from federated.roster import Roster
from federated.rounds import (
    AskAgainError,
    Asked,
    AskSites,
    Query,
    first_sum,
    further_sum,
    sorted_out,
)
from federated.statistics import Blocks, Counts
from federated.strictness import stricter_policy
from federated.views import DICTIONARY_VIEWS
from federated.witness import Note, read_notes
from transforms.dictionary import DICTIONARY
from transforms.errors import RefusedError, SiteDownError, raise_all


__all__ = ["AskSites", "needed_sites", "run"]

MOST_ATTEMPTS = 6
PAUSE = 0.05  # seconds, at first
LONGEST_TURN = 15.0  # seconds that a query waits for the first sum of those about the same view
TURNS: dict[tuple[Path, str], threading.Lock] = {}
TURNS_LOCK = threading.Lock()


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
    asked, missing = Asked(request, roster, policy, ask, timeout, views), Attendance()
    try:
        desk.check_budget(request, policy)
        return _under_strictest(asked, desk, missing)
    except (RefusedError, SiteDownError):
        desk.note_unanswered(request, missing)
        raise


def _under_strictest(asked: Asked, desk: Desk, missing: Attendance) -> Result:
    """Ask under the consortium's policy, and under a stricter one as soon as a site wants it."""
    for _ in asked.roster.sites:
        try:
            return _attempts(asked, desk, missing)
        except _TooLaxError as found:
            asked = replace(asked, policy=found.stricter)
            variables = asked.request.definition.table(asked.request.design)
            raise_all(RefusedError, disclosure.table_problems(variables, asked.policy))
    return _attempts(asked, desk, missing)


def _attempts(asked: Asked, desk: Desk, missing: Attendance) -> Result:
    """Ask, and ask again without the sites that were lost before anything was unmasked."""
    overtaken = False
    for attempt in range(MOST_ATTEMPTS):
        try:
            return _attempt(asked, desk, missing)
        except AskAgainError as again:
            overtaken = again.overtaken
        if overtaken:  # so that two coordinators do not overtake each other for ever
            time.sleep(random.uniform(0, PAUSE * 2**attempt))  # noqa: S311 - not a secret
    if overtaken:
        raise RefusedError(RULES["overtaken"])
    have = len(asked.roster.sites) - len(missing.sites())
    raise missing.error(have, needed_sites(asked.request, asked.policy))


def _attempt(asked: Asked, desk: Desk, missing: Attendance) -> Result:
    """Ask once: an answer that is kept, or a new one."""
    request, roster, policy = asked.request, asked.roster, asked.policy
    with _in_turn(desk.ledger.path, request.view):
        query = _open(asked, desk, missing)
        releases, needed = query.gathering.releases, needed_sites(request, policy)
        if kept := desk.kept(request, releases, roster, policy, needed):
            return kept
        desk.note_asked(request, query.gathering, query.notes)
        total = first_sum(query)
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


def _open(asked: Asked, desk: Desk, missing: Attendance) -> Query:
    """Exchange 1: find out who takes part, and gather their keys and notes."""
    request, policy, roster = asked.request, asked.policy, asked.roster
    session, words = secrets.token_hex(16), desk.words(request.view)
    terms = (request.to_mapping(), policy.canonical(), roster.digest, DICTIONARY.version)
    message = Open(session, *terms, desk.heads(), tuple(sorted(words)))
    invited = sorted(set(roster.sites) - missing.sites())
    replies = asked.ask(dict.fromkeys(invited, message), asked.timeout) if invited else {}
    if stricter := stricter_policy(policy, replies, asked.ask, asked.timeout):
        raise _TooLaxError(stricter)
    announced = sorted_out(replies, invited, Announced, missing)
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
        raise AskAgainError
    told = [reply.questions for reply in announced.values()]
    questions = {**{d: w for item in told for d, w in item.items()}, **words}
    return Query(asked, session, gathering, notes, _named(questions, notes), missing)


def _named(questions: Mapping[str, object], notes: Mapping[str, Note]) -> Mapping[str, object]:
    """Those questions that a site's note names."""
    named = {digest for note in notes.values() for digest, _ in note.answered}
    return {digest: questions[digest] for digest in sorted(named & set(questions))}


def _converse(query: Query, total: Blocks) -> Outcome:
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
        total = further_sum(query, number, step.broadcast)


def _too_near(query: Query, total: Blocks) -> NDArray[np.bool_] | None:
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


def _publish(query: Query, outcome: Outcome) -> Result:
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
