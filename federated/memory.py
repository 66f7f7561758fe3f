"""What a site remembers, and what follows from it: its notes, its budgets, what overtook a query.

One `Memory` per site, over its ledger. Rules are refused by SpentError; a ledger that is broken, or
that lacks what the site once signed, is a ConsortiumError.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import cast

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from federated.analysis import AnalysisView
from federated.budget import check_cells
from federated.ledger import Head, Ledger, Spending, SpentError
from federated.policy import Policy
from federated.request import Request, parse_again
from federated.roster import Roster
from federated.witness import Note, genuine_head, sign_head
from transforms.errors import RequestError


__all__ = ["Memory"]

Answered = tuple[str, tuple[str, ...]]


class Memory:
    """The ledger of `site` in `folder`, and the questions about `views` in it."""

    def __init__(self, site: str, folder: Path, views: Mapping[str, AnalysisView]) -> None:
        self._site = site
        self._ledger = Ledger(folder)
        self._views = views

    def check_spend(self, spending: Spending) -> None:
        """Raise SpentError when an earlier unmasking forbids this one."""
        self._ledger.check_spend(spending)

    def spend(self, spending: Spending) -> None:
        """Write an unmasking down, on the disk; SpentError as in `check_spend`."""
        self._ledger.spend(spending)

    def signed_head(self, identity: Ed25519PrivateKey) -> Head:
        """Return how the ledger stands, under the site's signature."""
        head = self._ledger.head()
        return sign_head(self._site, identity, head.entries, head.hash)

    def check_witnessed(self, heads: Mapping[str, object], roster: Roster) -> None:
        """Raise ConsortiumError when the ledger does not hold a head that this site once signed."""
        head = genuine_head(self._site, heads.get(self._site), roster)
        if head is not None:
            self._ledger.check_witness(head)

    def note(
        self, request: Request, release: str, identity: Ed25519PrivateKey
    ) -> tuple[Note, Mapping[str, object]]:
        """Return what the site says at an opening, and the words of the questions it names."""
        words = self._answered(request.view, release)
        told = {digest: question for (digest, _), question in words.items()}
        return Note(self.signed_head(identity), tuple(sorted(words))), told

    def check_overtaken(
        self, note: Note, request: Request, release: str, survivors: tuple[str, ...]
    ) -> None:
        """Raise SpentError when something was answered since `note` that it does not name."""
        now = set(self._answered(request.view, release))
        if now - set(note.answered) - {(request.digest, survivors)}:
            raise SpentError("overtaken")

    def check_budget(self, request: Request, release: str, policy: Policy) -> None:
        """Raise SpentError for one question too many today, or one cell too many in all."""
        self._ledger.check_budget(request.digest, release, policy.max_queries_per_day)
        parsed = [self._parsed(body["words"]) for body in self._ledger.spent(release)]
        known = [question for question in parsed if question is not None]
        check_cells(request, known, policy.max_answered_cells)

    def _answered(self, view: str, release: str) -> Mapping[Answered, Mapping[str, object]]:
        """What `release` answered about `view`: digest and sites → the question's words."""
        found: dict[Answered, Mapping[str, object]] = {}
        for body in self._ledger.spent(release):
            words, survivors = body["words"], cast(Sequence[object], body["survivors"])
            if isinstance(words, Mapping) and words.get("view") == view:
                found[str(body["question"]), tuple(map(str, survivors))] = words
        return found

    def _parsed(self, words: object) -> Request | None:
        """Return the question of these words; None when this version does not know it."""
        try:
            return parse_again(words, self._views) if isinstance(words, Mapping) else None
        except RequestError:
            return None
