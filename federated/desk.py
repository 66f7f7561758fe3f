"""What the coordinator remembers: its ledger, the answers it keeps, and what follows from both.

An answer that was given is given again, byte for byte, for as long as none of its sites has another
release: also when one of them is away just now, or another is back. Only a request that says
`complete_later` asks anew with the sites that have come back, if there are enough of them.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from federated.agreement import Gathering
from federated.attendance import Attendance
from federated.ledger import Head, Ledger, SpentError
from federated.policy import Policy
from federated.refusals import RULES
from federated.request import Request
from federated.results import Result, ResultStore
from federated.roster import Roster
from federated.witness import COORDINATOR, Note, genuine_head, heads_in
from transforms.errors import RefusedError


__all__ = ["Desk"]

Words = Mapping[str, Mapping[str, object]]


@dataclass(frozen=True)
class Desk:
    """The coordinator's ledger and store, at the service of one analyst."""

    ledger: Ledger
    store: ResultStore
    analyst: str

    def heads(self) -> Mapping[str, object]:
        """Return the newest heads of all ledgers that are known here, this one's own included."""
        return {**self.ledger.heads(), COORDINATOR: asdict(self.ledger.head())}

    def words(self, view: str) -> Words:
        """Return the questions about `view` that were asked: digest → question."""
        asked = [body.get("words") for body in self._bodies("asked")]
        digests = [str(body["question"]) for body in self._bodies("asked")]
        found = zip(digests, asked, strict=True)
        return {d: w for d, w in found if isinstance(w, Mapping) and w.get("view") == view}

    def check_budget(self, request: Request, policy: Policy) -> None:
        """Raise RefusedError when the analyst has asked the day's most different questions.

        Nobody in particular asks in a rehearsal and on the stock path; the sites' budgets remain.
        """
        if not self.analyst:
            return
        try:
            self.ledger.check_asked(request.digest, self.analyst, policy.max_queries_per_analyst)
        except SpentError as error:
            raise RefusedError(RULES[error.rule]) from None

    def check_heads(self, notes: Mapping[str, Note], roster: Roster, missing: Attendance) -> bool:
        """Note every site whose ledger is behind a head that it signed; whether there is none."""
        cut = [site for site, note in notes.items() if self._is_behind(site, note.head, roster)]
        for site in cut:
            missing.note_failed(site, "ledger_broken")
        return not cut

    def note_asked(self, request: Request, gathering: Gathering, notes: Mapping[str, Note]) -> None:
        """Write down who is asked what, for whom, and how the sites' ledgers stand."""
        body = {
            "question": request.digest,
            "words": request.question(),
            "analyst": self.analyst,
            "sites": gathering.sites,
            "heads": heads_in(notes),
        }
        self.ledger.append("asked", body)

    def note_answered(
        self,
        result: Result,
        key: str,
        missing: Attendance,
        heads: Mapping[str, Mapping[str, object]],
        roster: Roster,
    ) -> None:
        """Write down the answer, then keep it."""
        provenance = result.provenance
        body = {
            "question": provenance["question"],
            "result": result.digest,
            "key": key,
            "releases": provenance["releases"],
            "roster": roster.digest,
            "policy": provenance["policy"]["digest"],
            "sites_out": missing.by_site(),
            "heads": heads,
            "remedies_tried": result.data.get("would_pass", {}).get("tried", 0),
        }
        self.ledger.append("answered", body)
        self.store.put(key, result)

    def note_unanswered(self, request: Request, missing: Attendance) -> None:
        """Write down that a question was not answered, and for which sites' sake."""
        body = {
            "question": request.digest,
            "analyst": self.analyst,
            "sites_out": missing.by_site(),
        }
        self.ledger.append("unanswered", body)

    def kept(
        self,
        request: Request,
        releases: Mapping[str, str],
        roster: Roster,
        policy: Policy,
        needed: int,
    ) -> Result | None:
        """Return the newest answer that no site's release has overtaken, None when there is none.

        Raises RefusedError when sites should join it (`complete_later`) and are too few for that.
        """
        for body in reversed(self._bodies("answered")):
            same = (body["question"], body.get("roster"), body.get("policy"))
            if same != (request.digest, roster.digest, policy.digest):
                continue
            theirs: Mapping[str, str] = body["releases"]
            result = self.store.get(body["key"])
            current = all(releases.get(site, name) == name for site, name in theirs.items())
            if result is not None and current and len(theirs) >= needed:
                return None if _may_join(request, set(theirs), set(releases), policy) else result
        return None

    def _bodies(self, event: str) -> list[Mapping[str, Any]]:
        """The bodies of all entries of one event."""
        return [entry["body"] for entry in self.ledger.entries() if entry["event"] == event]

    def _is_behind(self, site: str, head: Head, roster: Roster) -> bool:
        """Whether `head` is older than, or another than, one that `site` signed before."""
        known = genuine_head(site, self.ledger.heads().get(site), roster)
        if known is None or head.entries > known.entries:
            return False
        return (head.entries, head.hash) != (known.entries, known.hash)


def _may_join(request: Request, theirs: set[str], present: set[str], policy: Policy) -> bool:
    """Whether sites that are back join an answer; RefusedError when they are too few."""
    joining = present - theirs
    if not request.complete_later or not joining or theirs - present:
        return False
    if len(joining) < policy.min_late_sites:
        raise RefusedError(RULES["late_alone"])
    return True
