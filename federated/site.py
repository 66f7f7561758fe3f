"""A site's side of a query: what it checks, what it answers, and what it never says.

`SiteParty` lives in the site's node process, which holds the identity key and the ledger. It never
touches the release: the plain statistics come from an injected `compute`, which in production is
another process without keys and without network (`federated.tally.tally` does the work there).

How a transport uses it: one `SiteParty` per node process, kept for as long as the process lives
(conversations are held in memory), and for every blob that arrives
`reply = party.handle_bytes(blob)`, sent back as it is. `handle_bytes` and `handle` never raise;
calls from several threads are taken one after the other. A message that arrives twice gets the
same reply twice.
"""

import hashlib
import importlib.metadata
import logging
import secrets
import threading
import traceback
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from functools import singledispatchmethod
from pathlib import Path
from typing import TypeAlias

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from federated.agreement import ProtocolError
from federated.analysis import AnalysisView
from federated.conversation import broadcast_digest, query_context
from federated.disclosure import table_problems
from federated.ledger import Spending, SpentError
from federated.memory import Memory
from federated.messages import (
    Announced,
    Cleared,
    Continue,
    Contribute,
    Contributed,
    Endorsed,
    Failed,
    Hello,
    Masked,
    Message,
    MessageError,
    Open,
    Preflight,
    Present,
    Refused,
    Reply,
    Revealed,
    Settle,
    Unmask,
    decode,
    encode,
)
from federated.overlap import (
    MOST_COUNTERS,
    OVERLAP,
    Earlier,
    counters,
    earlier_questions,
    job,
    shape,
)
from federated.policy import Policy, parse_policy
from federated.refusals import FAILURES
from federated.request import Request, parse_request
from federated.ring import Limbs, pack
from federated.roster import Roster
from federated.secure_sum import Party
from federated.statistics import CONTRIBUTING, Blocks, Broadcast, Counts, check_blocks
from federated.views import DICTIONARY_VIEWS
from federated.witness import COORDINATOR, Note, heads_in, read_notes
from transforms.dictionary import DICTIONARY
from transforms.errors import ConsortiumError, RefusedError, RequestError


__all__ = ["Compute", "SiteParty"]

# compute(the request as plain JSON values, broadcast, release id) → the site's plain blocks
Compute: TypeAlias = Callable[[Mapping[str, object], Broadcast, str], Blocks]

MOST_SESSIONS = 64
_log = logging.getLogger("marmor.site")


class _RefusalError(Exception):
    """Ends the handling of a message with Refused(rule)."""

    def __init__(self, rule: str) -> None:
        super().__init__(rule)
        self.rule = rule


class _FailureError(Exception):
    """Ends the handling of a message with Failed(code, reference)."""

    def __init__(self, code: str) -> None:
        super().__init__(code)
        self.code = code


@dataclass
class _Session:
    """One conversation: the checked question, the party in its secure sum, and where it stands.

    `note` is what the site said at the opening; `alone` says that it joins an earlier answer with
    fewer others than hide it; `heads` are how the others' ledgers stood.
    """

    request: Request
    policy: Policy
    release: str
    note: Note
    party: Party
    alone: bool = False
    heads: Mapping[str, object] = field(default_factory=dict)
    round: int = 0
    binding: bytes = b""
    survivors: tuple[str, ...] = ()
    replies: dict[bytes, Reply] = field(default_factory=dict)


class SiteParty:
    """One site's party in every query, under its own key, roster, policy and ledger.

    `release_id()` gives the current release, None before the first; a query is answered from the
    release that was current when it was opened. `views` is what may be asked about. `standing` says
    by which rule a release may not answer just now (after a withdrawal), None when it may.
    """

    def __init__(
        self,
        site_id: str,
        identity_key: Ed25519PrivateKey,
        roster: Roster,
        policy: Policy,
        ledger_folder: Path,
        compute: Compute,
        release_id: Callable[[], str | None],
        views: Mapping[str, AnalysisView] = DICTIONARY_VIEWS,
        standing: Callable[[str], str | None] = lambda release: None,
    ) -> None:
        self._site = site_id
        self._identity = identity_key
        self._roster = roster
        self._policy = policy
        self._memory = Memory(site_id, ledger_folder, views)
        self._compute = compute
        self._release_id = release_id
        self._views = views
        self._standing = standing
        self._sessions: OrderedDict[str, _Session] = OrderedDict()
        self._lock = threading.Lock()

    def renew(self, identity_key: Ed25519PrivateKey, roster: Roster, policy: Policy) -> None:
        """Go on under another key, roster or policy; conversations under the old ones end."""
        with self._lock:
            self._identity, self._roster, self._policy = identity_key, roster, policy
            self._sessions.clear()

    def handle_bytes(self, data: bytes) -> bytes:
        """Decode, handle, encode. Anything that goes wrong becomes an encoded Failed."""
        try:
            message = decode(data)
        except MessageError as error:
            return encode(self._failed(error, "garbled"))
        return encode(self.handle(message))  # type: ignore[arg-type]

    def handle(self, message: Message) -> Reply:
        """Answer one message; refuse by rule, fail by code, never raise."""
        with self._lock:
            try:
                return self._answer_once(message)
            except (_RefusalError, SpentError) as refusal:
                _log.warning("refused %s: %s", type(message).__name__, refusal.rule)
                return Refused(refusal.rule)
            except ProtocolError as error:
                _log.warning("refused %s: protocol (%s)", type(message).__name__, error.rule)
                return Refused("protocol")
            except _FailureError as failure:
                return self._failed(failure, failure.code)
            except ConsortiumError as error:
                return self._failed(error, "ledger_broken")
            except Exception as error:
                return self._failed(error, "internal")

    def _failed(self, error: BaseException, code: str) -> Failed:
        """Note where an error came from, but not its text, which may quote a cell."""
        reference = secrets.token_hex(4)
        cause = error.__cause__ or error
        frames = traceback.extract_tb(cause.__traceback__)
        where = [f"{frame.name}:{frame.lineno}" for frame in reversed(frames)]
        inside = getattr(cause, "where", ())  # what the executor says of its own failure
        path = " < ".join((type(cause).__name__, *inside, *where))
        _log.error("%s %s: %s", reference, code, path)
        return Failed(code, reference)

    def _answer_once(self, message: Message) -> Reply:
        """Answer, or repeat the reply when the very same message was answered before."""
        name = hashlib.sha256(encode(message)).digest()
        session = self._sessions.get(getattr(message, "session", ""))
        if session is not None and name in session.replies:
            return session.replies[name]
        reply = self._answer(message)
        session = self._sessions.get(getattr(message, "session", ""))  # Open has begun it
        if session is not None:
            session.replies[name] = reply
        return reply

    @singledispatchmethod
    def _answer(self, message: object) -> Reply:
        """Answer by the message's type; a reply is not something a site is asked."""
        raise _RefusalError("protocol")

    @_answer.register
    def _hello(self, message: Hello) -> Reply:
        return Present(
            site=self._site,
            release=self._release_id() or "",
            versions={
                "marmor": importlib.metadata.version("marmor"),
                "dictionary": DICTIONARY.version,
            },
            roster=self._roster.digest,
            policy=self._policy.canonical(),
        )

    @_answer.register
    def _preflight(self, message: Preflight) -> Reply:
        return Cleared(self._accepted(message)[2])

    @_answer.register
    def _open(self, message: Open) -> Reply:
        if message.session in self._sessions:
            raise _RefusalError("protocol")
        request, policy, release = self._accepted(message)
        self._memory.check_witnessed(message.heads, self._roster)
        note, words = self._memory.note(request, release, self._identity)
        context = query_context(
            message.session, request.digest, policy.digest, message.roster, message.dictionary
        )
        party = Party(
            self._site,
            self._identity,
            self._roster,
            context=context,
            release=release,
            rounds=request.definition.rounds,
            minimum=max(policy.min_sites, request.minimum_sites),
            note=note.pack(),
        )
        heads = {name: head for name, head in message.heads.items() if name == COORDINATOR}
        session = _Session(request, policy, release, note, party, heads=heads)
        self._sessions[message.session] = session
        while len(self._sessions) > MOST_SESSIONS:
            self._sessions.popitem(last=False)
        unknown = {digest: words[digest] for digest in words if digest not in message.known}
        return Announced(message.session, party.announce(), unknown)

    @_answer.register
    def _contribute(self, message: Contribute) -> Reply:
        session = self._session(message.session)
        shares = session.party.share(message.announcements)
        notes = read_notes(session.party.gathering)
        session.heads = {**session.heads, **heads_in(notes)}
        earlier = self._earlier(session, notes, message.questions)
        self._check_joining(session, earlier)
        return Contributed(message.session, shares, *self._mask(session, 1, {}, earlier))

    @_answer.register
    def _continue(self, message: Continue) -> Reply:
        session = self._session(message.session)
        masked = self._mask(session, message.round, message.broadcast)
        return Masked(message.session, message.round, *masked)

    @_answer.register
    def _settle(self, message: Settle) -> Reply:
        session = self._session(message.session)
        self._check_round(session, message.round)
        survivors = tuple(sorted(message.survivors))
        if message.round == 1:
            session.party.receive(message.inbox)
        elif survivors != session.survivors:
            # Two rounds over different sites could be subtracted from each other.
            raise _RefusalError("second_survivors")
        self._memory.check_spend(self._spending(session, survivors))
        signature = session.party.endorse(message.round, survivors)
        session.survivors = survivors
        return Endorsed(message.session, message.round, signature)

    @_answer.register
    def _unmask(self, message: Unmask) -> Reply:
        session = self._session(message.session)
        self._check_round(session, message.round)
        self._check_standing(session.release)
        self._memory.check_budget(session.request, session.release, self._policy)
        if message.round == 1:
            self._memory.check_overtaken(
                session.note, session.request, session.release, session.survivors
            )
        shares = session.party.reveal(message.round, message.signatures)
        # On the disk before the shares leave: a crash may lose an answer, never the memory of one.
        self._memory.spend(self._spending(session, session.survivors))
        head = self._memory.signed_head(self._identity)
        return Revealed(message.session, message.round, shares, asdict(head))

    def _spending(self, session: _Session, survivors: tuple[str, ...]) -> Spending:
        """What the ledger remembers of an unmasking."""
        return Spending(
            question=session.request.digest,
            counted=session.request.counted,
            release=session.release,
            round=session.round,
            roster=self._roster.digest,
            survivors=survivors,
            broadcast=session.binding.hex(),
            words=session.request.question(),
            grid=session.policy.grid,
            heads={name: told for name, told in session.heads.items() if name != self._site},
            completes=session.request.complete_later,
        )

    def _earlier(
        self, session: _Session, notes: Mapping[str, Note], words: Mapping[str, object]
    ) -> tuple[Earlier, ...]:
        """The questions that this one is compared with, from what all sites say they answered."""
        if session.policy.exact:
            return ()
        answered = {site: note.answered for site, note in notes.items()}
        try:
            return earlier_questions(answered, words, session.request, self._views)
        except RequestError:
            raise ProtocolError("wrong_words") from None

    def _check_joining(self, session: _Session, earlier: Sequence[Earlier]) -> None:
        """Refuse to join an answer of others, or let others join, where too few would join."""
        sites, policy = set(session.party.gathering.sites), session.policy
        same = [e for e in earlier if e.question.counted == session.request.counted]
        late = [sites - set(item.survivors) for item in same if set(item.survivors) < sites]
        if any(len(joining) < policy.min_late_sites for joining in late):
            raise _RefusalError("late_alone")
        session.alone = any(
            self._site in joining and len(joining) < policy.min_sites for joining in late
        )

    def _check_alone(self, session: _Session, blocks: Blocks) -> None:
        """Refuse to join an answer with counts of too few, when nobody else's hide them."""
        counts = (
            block.values
            for name, block in blocks.items()
            if isinstance(block, Counts) and name not in (CONTRIBUTING, OVERLAP)
        )
        if any(bool(((c > 0) & (c <= session.policy.grid)).any()) for c in counts):
            raise _RefusalError("late_alone")

    def _mask(
        self,
        session: _Session,
        number: int,
        broadcast: Broadcast,
        earlier: Sequence[Earlier] = (),
    ) -> tuple[Limbs, bytes]:
        """Compute the site's blocks for a round, put the round's masks on them, and sign."""
        if number != session.round + 1:
            raise _RefusalError("protocol")
        request = session.request
        if earlier and counters(request, earlier) > MOST_COUNTERS:
            raise _RefusalError("too_much_answered")
        shapes = request.shapes(broadcast)
        try:
            task = request.to_mapping()
            if earlier:
                task = job(request, earlier, self._site, session.policy.grid + 1)
                shapes = {**shapes, OVERLAP: shape(request, earlier)}
            blocks = self._compute(task, broadcast, session.release)
            check_blocks(blocks, shapes)
            vector = pack(blocks)
        except Exception as error:
            code = str(getattr(error, "code", ""))
            raise _FailureError(code if code in FAILURES else "tally_failed") from error
        if session.alone:
            self._check_alone(session, blocks)
        session.round, session.binding = number, broadcast_digest(broadcast)
        return session.party.mask(number, vector, session.binding)

    def _session(self, name: str) -> _Session:
        """Return the conversation called `name`."""
        if name not in self._sessions:
            raise _RefusalError("unknown_session")
        return self._sessions[name]

    def _check_standing(self, release: str) -> None:
        """Refuse after a withdrawal; asked again at the end, because it may have come meanwhile."""
        rule = self._standing(release)
        if rule is not None:
            raise _RefusalError(rule)

    def _check_round(self, session: _Session, number: int) -> None:
        """Refuse a message about any round but the current one."""
        if number != session.round:
            raise _RefusalError("protocol")

    def _accepted(self, message: Open | Preflight) -> tuple[Request, Policy, str]:
        """Return request, policy and release when no rule stands against the question."""
        if message.roster != self._roster.digest or self._site not in self._roster.sites:
            raise _RefusalError("roster_differs")
        if message.dictionary != DICTIONARY.version:
            raise _RefusalError("dictionary_differs")
        policy = self._accepted_policy(message.policy)
        request = self._accepted_request(message.request)
        release = self._release_id()
        if release is None:
            raise _RefusalError("no_release")
        self._check_standing(release)
        self._memory.check_budget(request, release, self._policy)
        return request, policy, release

    def _accepted_policy(self, values: Mapping[str, object]) -> Policy:
        """Return the coordinator's policy when it is at least as strict as the site's own."""
        if dict(values) == dict(self._policy.canonical()):
            return self._policy
        try:
            policy = parse_policy(values)
        except RefusedError:
            raise _RefusalError("policy_too_lax") from None
        if policy.laxer_than(self._policy):
            raise _RefusalError("policy_too_lax")
        return policy

    def _accepted_request(self, values: Mapping[str, object]) -> Request:
        """Return the request when this site's dictionary knows it and its policy allows it."""
        try:
            request = parse_request(values, self._views)
        except RequestError:
            raise _RefusalError("request_unknown") from None
        if table_problems(request.definition.table(request.design), self._policy):
            raise _RefusalError("table_too_large")
        if request.cohort_problems() and not self._policy.exact:
            raise _RefusalError("cohort_mixed")
        return request
