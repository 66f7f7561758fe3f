"""The memory of what was asked and answered: append-only, hash-chained, written before the answer.

One entry of a `transforms.chain` a line. A changed, removed or inserted line breaks the chain, and
a site with a broken ledger refuses every query. Bodies hold the question in its own words, digests,
site and release ids; never a count, never a value.

Any number of processes may use one ledger: a lock file lets one write at a time, and each reads
what the others wrote before it decides.
"""

import fcntl
import json
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from transforms.chain import FIRST, Chain, Entry
from transforms.durable import append_line
from transforms.errors import ConsortiumError


__all__ = ["Entry", "Head", "Ledger", "Spending", "SpentError", "heads_of", "lacking"]

CHAIN = Chain("marmor/ledger/1", escaped=True)


class SpentError(Exception):
    """What was answered before forbids this answer; `rule` is a fixed word."""

    def __init__(self, rule: str) -> None:
        super().__init__(rule)
        self.rule = rule


def _now() -> datetime:
    """The present, in UTC."""
    return datetime.now(UTC)


@dataclass(frozen=True)
class Head:
    """How a ledger stands: how many entries, the hash of the last one, and who keeps it signed."""

    entries: int
    hash: str
    signature: str = ""


@dataclass(frozen=True)
class Spending:
    """One unmasking: which question, from which release, to whom, and over which broadcast.

    `counted` names the numbers that the sites sum; several questions may have the same. `words` is
    the question as it was asked, for whoever reads the ledger, and to compare later ones with.
    `heads` are the heads of the others' ledgers: this ledger is their witness. `completes` says
    that sites may join the sites of an earlier answer: whoever spends has seen to it that what they
    add tells nothing about one of them. `grid` is the width of the bins in which counts are told.
    """

    question: str
    counted: str
    release: str
    round: int
    roster: str
    survivors: tuple[str, ...]
    broadcast: str
    words: Mapping[str, object] = field(default_factory=dict)
    heads: Mapping[str, object] = field(default_factory=dict)
    completes: bool = False
    grid: int = 0

    def same_numbers(self, body: Mapping[str, object]) -> bool:
        """Whether a ledger entry is about the same numbers of the same release."""
        return (body["counted"], body["release"]) == (self.counted, self.release)

    def same_round(self, body: Mapping[str, object]) -> bool:
        """Whether it is about the same round of the very same question, too."""
        return (body["question"], body["round"]) == (self.question, self.round)


class Ledger:
    """The ledger in `folder`, made when it is not there."""

    def __init__(self, folder: Path, now: Callable[[], datetime] = _now) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.path = folder / "ledger.jsonl"
        self._witness_path = folder / "witness.json"
        self._lock_path = folder / "ledger.lock"
        self._now = now
        self._thread_lock = threading.RLock()
        self._entries: list[Entry] = []
        self._heads: dict[str, Mapping[str, object]] = {}
        self._read_to = 0
        self._held = 0  # depth of nested use; the file lock belongs to the outermost
        with self._locked():
            pass

    def entries(self) -> tuple[Entry, ...]:
        """Return all entries, checked; ConsortiumError when the chain is broken."""
        with self._locked():
            return tuple(self._entries)

    def head(self) -> Head:
        """Return how the ledger stands now."""
        with self._locked():
            return Head(len(self._entries), str(self._last["hash"]) if self._last else FIRST)

    def heads(self) -> Mapping[str, Mapping[str, object]]:
        """Return the newest head of every other ledger that was written down here."""
        with self._locked():
            return dict(self._heads)

    def holds(self, head: Head) -> bool:
        """Whether the ledger once stood as `head` says: False when it was cut or written anew."""
        with self._locked():
            if head.entries == 0:
                return head.hash == FIRST
            if not 0 < head.entries <= len(self._entries):
                return False
            return bool(self._entries[head.entries - 1]["hash"] == head.hash)

    def check_witness(self, head: Head) -> None:
        """Keep the newest head that others have of this ledger, signed by its owner.

        Raises ConsortiumError when the ledger does not hold it: entries were cut off or rewritten.
        """
        known = self.witnessed()
        if known is None or head.entries > known.entries:
            temporary = self._witness_path.with_suffix(".tmp")
            temporary.write_text(json.dumps(asdict(head)), encoding="utf-8")
            temporary.replace(self._witness_path)
        if not self.holds(head):
            raise lacking(self.path, head)

    def witnessed(self) -> Head | None:
        """Return the newest head of this ledger that others have told; None before the first."""
        try:
            return Head(**json.loads(self._witness_path.read_bytes()))
        except (OSError, ValueError, TypeError):
            return None

    def spent(self, release: str) -> tuple[Mapping[str, object], ...]:
        """Return what was unmasked of `release`, oldest first."""
        with self._locked():
            bodies = [_body(entry) for entry in self._entries if entry["event"] == "spent"]
        return tuple(body for body in bodies if body["release"] == release)

    def append(self, event: str, body: Mapping[str, object]) -> None:
        """Write one entry and force it to the disk."""
        with self._locked():
            self._append(event, body)

    def check_budget(self, question: str, release: str, most_per_day: int) -> None:
        """Raise SpentError when a new question would exceed today's budget.

        A question that this release answered before is free: it can only be answered alike.
        """
        today = self._now().date().isoformat()
        with self._locked():
            spent = [_body(entry) for entry in self._entries if entry["event"] == "spent"]
            if any((b["question"], b["release"]) == (question, release) for b in spent):
                return
            asked = {
                (_body(entry)["question"], _body(entry)["release"])
                for entry in self._entries
                if entry["event"] == "spent" and str(entry["time"]).startswith(today)
            }
        if len(asked) >= most_per_day:
            raise SpentError("budget_spent")

    def check_asked(self, question: str, analyst: str, most_per_day: int) -> None:
        """Raise SpentError when a new question would exceed the analyst's budget for today."""
        today = self._now().date().isoformat()
        with self._locked():
            asked = {
                _body(entry)["question"]
                for entry in self._entries
                if entry["event"] == "asked"
                and str(entry["time"]).startswith(today)
                and _body(entry).get("analyst") == analyst
            }
        if question not in asked and len(asked) >= most_per_day:
            raise SpentError("analyst_budget_spent")

    def check_spend(self, spending: "Spending") -> bool:
        """Whether an unmasking would be new; SpentError when an earlier one forbids it.

        The same numbers of one release are summed for one roster and one set of survivors, and
        each round of a question for one broadcast: the difference of two answers would be one
        site's own. The session is no part of the key, so that asking again does not start afresh.
        Other sites may only join (`completes`), and from then on are needed too. Numbers that
        follow from others (a margin, a coarser grid, nearly the same cohort) are the matter of
        `federated.overlap`. Not noticed: changes between releases.
        """
        with self._locked():
            earlier = [_body(e) for e in self._entries if e["event"] == "spent"]
        same = [e for e in earlier if spending.same_numbers(e)]
        if any(e["roster"] != spending.roster for e in same):
            raise SpentError("second_roster")
        if any(e.get("grid", 0) != spending.grid for e in same):
            raise SpentError("second_grid")
        last = set(same[-1]["survivors"]) if same else set(spending.survivors)  # type: ignore[call-overload]
        if last != set(spending.survivors) and not (
            spending.completes and last < set(spending.survivors)
        ):
            raise SpentError("second_survivors")
        same = [e for e in same if e["survivors"] == list(spending.survivors)]
        this_round = [e for e in same if spending.same_round(e)]
        if any(e["broadcast"] != spending.broadcast for e in this_round):
            raise SpentError("second_broadcast")
        return not this_round

    def spend(self, spending: "Spending") -> None:
        """Record an unmasking before it happens; SpentError as in `check_spend`."""
        with self._locked():
            if self.check_spend(spending):
                self._append("spent", asdict(spending))

    @property
    def _last(self) -> Entry | None:
        """The newest entry known."""
        return self._entries[-1] if self._entries else None

    def _append(self, event: str, body: Mapping[str, object]) -> None:
        """Write under the lock; the entry is in memory only once it is on the disk."""
        append_line(self.path, CHAIN.line(CHAIN.following(self._last, self._now(), event, body)))
        self._refresh()

    @contextmanager
    def _locked(self) -> Iterator[None]:
        """Hold the ledger alone, having read what others appended."""
        with self._thread_lock, self._lock_path.open("a") as lock:
            if not self._held:
                fcntl.flock(lock, fcntl.LOCK_EX)
                self._refresh()
            self._held += 1
            try:
                yield
            finally:
                self._held -= 1

    def _refresh(self) -> None:
        """Read and check the lines after the last one known."""
        size = self.path.stat().st_size if self.path.exists() else 0
        if size < self._read_to:
            raise ConsortiumError(f"{self.path}: the ledger became shorter; restore it")
        if size == self._read_to:
            return
        with self.path.open("rb") as file:
            file.seek(self._read_to)
            data = file.read()
        for line in data.splitlines(keepends=True):
            self._take(line)

    def _take(self, line: bytes) -> None:
        """Check one line against the chain and keep it."""
        entry = CHAIN.checked(line, self._last) if line.endswith(b"\n") else None
        if entry is None:
            where = f"{self.path}: line {len(self._entries) + 1}"
            raise ConsortiumError(f"{where} was changed or cut off; restore the ledger")
        self._entries.append(entry)
        heads = _body(entry).get("heads")
        self._heads |= heads if isinstance(heads, dict) else {}
        self._read_to += len(line)


def lacking(path: Path, head: Head) -> ConsortiumError:
    """Return the error for a ledger that does not hold a head that others have seen of it."""
    return ConsortiumError(
        f"{path}: others saw it with {head.entries} entries that it does not hold; some were cut "
        "off or rewritten: restore the whole ledger, or enroll with a new identity key"
    )


def heads_of(name: str, path: Path) -> tuple[Head, ...]:
    """Return every head of `name`'s ledger that another ledger, in file `path`, has written down.

    Raises ConsortiumError when the file cannot be read or its own chain is broken.
    """
    try:
        lines = path.read_bytes().splitlines()
    except OSError:
        raise ConsortiumError(
            f"{path}: cannot be read; name a ledger or an export of one"
        ) from None
    found, last = [], None
    for number, line in enumerate(lines, start=1):
        last = CHAIN.checked(line, last)
        if last is None:
            raise ConsortiumError(f"{path}: line {number} was changed, or is not of a ledger")
        told = _body(last).get("heads")
        head = told.get(name) if isinstance(told, Mapping) else None
        if isinstance(head, Mapping):
            found.append(Head(int(head["entries"]), str(head["hash"])))
    return tuple(found)


def _body(entry: Entry) -> Mapping[str, object]:
    """The entry's body."""
    body = entry["body"]
    return body if isinstance(body, Mapping) else {}
