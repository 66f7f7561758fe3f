"""Decisions on runs: who let a run become a release, when and why, and what exactly was seen.

    reports/<run>/validation.json ──▶ review ──▶ review/<run>.json ──▶ the release's manifest

A run whose acceptance criteria all hold passes by itself. Any other waits until a person accepts
it or sends it back. A run takes the whole inbox, so once a later one was accepted there is nothing
left to decide about those before it.

A decision carries the SHA-256 of the validation it was taken on; when that changes, the decision
no longer counts and is put aside under `review/superseded/`.

Nothing here imports Great Expectations, so that asking what waits takes no time.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

from transforms.errors import ReviewError
from transforms.site import Site


__all__ = [
    "AUTOMATIC",
    "Decision",
    "accept",
    "decision",
    "publish_reviewed",
    "reject",
    "review",
    "waiting",
]

AUTOMATIC = "acceptance criteria"
"""Who decided, when nobody had to."""


@dataclass(frozen=True)
class Decision:
    """A decision on one run. `when` is ISO 8601 in UTC; `validation_sha256` is what was seen."""

    run_id: str
    outcome: Literal["accepted", "rejected"]
    who: str
    when: str
    why: str
    validation_sha256: str

    def as_mapping(self) -> Mapping[str, str]:
        """Return the decision as it stands in its file and in the release's manifest."""
        return dataclasses.asdict(self)


def review(site: Site, run_id: str, now: datetime | None = None) -> Decision | None:
    """Return the decision on a run, taking it when the acceptance criteria hold.

    None means that the run waits for a person. Raises ReviewError when the run was sent back, was
    superseded by a later one, or has no validation.
    """
    taken = decision(site, run_id)
    if taken is not None:
        return _not_sent_back(site, taken)
    validation, digest = _validation(site, run_id)
    _refuse_superseded(site, run_id)
    if validation["verdict"] != "passed":
        return None
    why = "; ".join(criterion["statement"] for criterion in validation["criteria"])
    return _record(site, Decision(run_id, "accepted", AUTOMATIC, _utc(now), why, digest))


def accept(site: Site, run_id: str, by: str, reason: str, now: datetime | None = None) -> Decision:
    """Let a waiting run become a release.

    Raises ReviewError when the run is unknown, superseded or decided already, or name or reason
    is empty.
    """
    return _decide(site, run_id, "accepted", by, reason, now)


def reject(site: Site, run_id: str, by: str, reason: str, now: datetime | None = None) -> Decision:
    """Send a waiting run back: it never becomes a release, and the last good one stays.

    Raises ReviewError when the run is unknown, superseded or decided already, or name or reason
    is empty.
    """
    return _decide(site, run_id, "rejected", by, reason, now)


def waiting(site: Site) -> tuple[str, ...]:
    """Return the runs that a person has to decide about, oldest validation first."""
    reports = sorted(
        site.reports.glob("*/validation.json"), key=lambda path: (path.stat().st_mtime_ns, path)
    )
    runs = (path.parent.name for path in reports)
    return tuple(run_id for run_id in runs if _waits(site, run_id))


def decision(site: Site, run_id: str) -> Decision | None:
    """Return the decision that counts for a run, or None.

    A decision on a validation that has changed since does not count.
    """
    path = _path(site, run_id)
    if not path.is_file():
        return None
    try:
        taken = Decision(**json.loads(path.read_text(encoding="utf-8")))
    except (ValueError, TypeError):
        raise ReviewError(
            f"{path}: not a decision; it was edited by hand. Move it away and decide again."
        ) from None
    _, digest = _validation(site, run_id)
    return taken if taken.validation_sha256 == digest else None


def publish_reviewed(site: Site, run_id: str) -> str:
    """Publish a run that was accepted, with its decision in the manifest; return the release id.

    Raises ReviewError when the run waits, was sent back, was validated again since, or when a
    later run was accepted: its release must not be followed by older data.
    """
    from transforms.release import publish

    taken = decision(site, run_id)
    if taken is None:
        raise ReviewError(
            f"{site.id}: run {run_id} has no decision; read "
            f"{site.reports / run_id / 'report.html'}, then `marmor quality accept` or `reject` it"
        )
    _not_sent_back(site, taken)
    _refuse_superseded(site, run_id)
    return str(publish(site, run_id, dict(taken.as_mapping()), taken.validation_sha256))


def _waits(site: Site, run_id: str) -> bool:
    """Return whether a validated run needs a decision that nobody has taken."""
    return (
        _validation(site, run_id)[0]["verdict"] != "passed"
        and decision(site, run_id) is None
        and _successor(site, run_id) is None
    )


def _successor(site: Site, run_id: str) -> Decision | None:
    """Return the acceptance of a run that was validated after this one, or None."""
    validated = {
        path.parent.name: path.stat().st_mtime_ns for path in site.reports.glob("*/validation.json")
    }
    later = (run for run, when in validated.items() if when > validated[run_id])
    taken = (decision(site, run) for run in later)
    return next((one for one in taken if one and one.outcome == "accepted"), None)


def _refuse_superseded(site: Site, run_id: str) -> None:
    """Raise ReviewError when a later run of the same inbox was accepted."""
    later = _successor(site, run_id)
    if later is not None:
        raise ReviewError(
            f"{site.id}: run {run_id} was superseded by {later.run_id}, accepted by {later.who} on "
            f"{later.when}; there is nothing to decide"
        )


def _decide(
    site: Site,
    run_id: str,
    outcome: Literal["accepted", "rejected"],
    by: str,
    reason: str,
    now: datetime | None,
) -> Decision:
    """Record what a person decided."""
    if not by.strip() or not reason.strip():
        raise ReviewError(f"{site.id}: a decision needs a name and a reason; give both")
    _, digest = _validation(site, run_id)
    taken = decision(site, run_id)
    if taken is not None:
        raise _already_decided(site, taken)
    _refuse_superseded(site, run_id)
    made = Decision(run_id, outcome, by.strip(), _utc(now), reason.strip(), digest)
    return _record(site, made)


def _not_sent_back(site: Site, taken: Decision) -> Decision:
    """Return an acceptance; raise ReviewError for a rejection."""
    if taken.outcome == "rejected":
        raise ReviewError(
            f"{site.id}: run {taken.run_id} was sent back by {taken.who} on {taken.when}: "
            f"{taken.why}. Mend the source or the mapping; the next run is a new one."
        )
    return taken


def _already_decided(site: Site, taken: Decision) -> ReviewError:
    """Say who decided first."""
    return ReviewError(
        f"{site.id}: run {taken.run_id} was {taken.outcome} by {taken.who} on {taken.when}; "
        "a decision is not changed. To decide anew, mend the source or the mapping and run again."
    )


def _validation(site: Site, run_id: str) -> tuple[dict[str, Any], str]:
    """Return a run's validation and its SHA-256; ReviewError when there is none."""
    path = site.reports / run_id / "validation.json"
    if Path(run_id).name != run_id or not path.is_file():
        raise ReviewError(
            f"{site.id}: no run called {run_id} was validated; "
            "`marmor site status` lists the runs that wait"
        )
    content = path.read_bytes()
    return json.loads(content), hashlib.sha256(content).hexdigest()


def _path(site: Site, run_id: str) -> Path:
    """Return where the decision on a run is kept."""
    return site.review / f"{run_id}.json"


def _utc(now: datetime | None) -> str:
    """Return `now`, or the present, as ISO 8601 in UTC to the second."""
    return (now or datetime.now(UTC)).astimezone(UTC).isoformat(timespec="seconds")


def _record(site: Site, made: Decision) -> Decision:
    """Write a decision whole or not at all; the first of two that come at once is kept."""
    path = _path(site, made.run_id)
    path.parent.mkdir(parents=True, exist_ok=True)
    _put_aside(path, made.validation_sha256)
    staged = path.with_name(f".{path.name}.{os.getpid()}")
    with staged.open("w", encoding="utf-8") as file:
        json.dump(made.as_mapping(), file, indent=2, ensure_ascii=False)
        file.write("\n")
        file.flush()
        os.fsync(file.fileno())
    try:
        os.link(staged, path)  # unlike a rename, it fails when somebody was faster
    except FileExistsError:
        first = decision(site, made.run_id)
        if first is None:
            raise
        if made.who == AUTOMATIC:
            return _not_sent_back(site, first)
        raise _already_decided(site, first) from None
    finally:
        staged.unlink(missing_ok=True)
    return made


def _put_aside(path: Path, current: str) -> None:
    """Keep a decision that no longer counts, under the digest of what it was taken on."""
    if not path.exists():
        return
    digest = json.loads(path.read_text(encoding="utf-8"))["validation_sha256"]
    if digest == current:  # somebody was faster, and that decision counts
        return
    aside = path.parent / "superseded" / f"{path.stem}-{digest[:12]}.json"
    aside.parent.mkdir(exist_ok=True)
    os.replace(path, aside)
