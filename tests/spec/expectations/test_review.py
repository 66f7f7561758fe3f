"""A run becomes a release by itself when its criteria hold, otherwise when a person says so."""

import hashlib
import json
import os
from datetime import UTC, datetime
from pathlib import Path

import pytest

from expectations import review as reviews
from expectations.review import accept, decision, reject, review, waiting
from transforms.errors import ReviewError
from transforms.site import Site, create_site


NOW = datetime(2026, 5, 4, 3, 2, 1, tzinfo=UTC)


@pytest.fixture
def site(tmp_path: Path) -> Site:
    folder = tmp_path / "lyon"
    return create_site(folder, site_id="lyon", name="Lyon", country="FR", language="fr")


def validated(site: Site, run_id: str, verdict: str, note: str = "") -> str:
    """Write a validation and return its SHA-256."""
    path = site.reports / run_id / "validation.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    criteria = [{"statement": "2.0% of the rows were rejected, at most 10.0% may be"}]
    content = json.dumps({"verdict": verdict, "criteria": criteria, "note": note})
    path.write_text(content, encoding="utf-8")
    seconds = len(list(site.reports.iterdir()))  # each run is validated a second after the other
    os.utime(path, (seconds, seconds))
    return hashlib.sha256(content.encode()).hexdigest()


def test_a_run_whose_criteria_hold_passes_by_itself(site: Site) -> None:
    digest = validated(site, "run-1", "passed")
    made = review(site, "run-1", now=NOW)
    assert made is not None
    assert made.as_mapping() == {
        "run_id": "run-1",
        "outcome": "accepted",
        "who": "acceptance criteria",
        "when": "2026-05-04T03:02:01+00:00",
        "why": "2.0% of the rows were rejected, at most 10.0% may be",
        "validation_sha256": digest,
    }
    assert decision(site, "run-1") == made
    assert json.loads((site.review / "run-1.json").read_text()) == made.as_mapping()


def test_asking_again_does_not_decide_again(site: Site) -> None:
    validated(site, "run-1", "passed")
    first = review(site, "run-1", now=NOW)
    assert review(site, "run-1") == first


def test_any_other_run_waits(site: Site) -> None:
    for run_id, verdict in (
        ("run-1", "needs_review"),
        ("run-2", "passed"),
        ("run-3", "needs_review"),
    ):
        validated(site, run_id, verdict)
    assert review(site, "run-1") is None
    assert not (site.review / "run-1.json").exists()
    assert waiting(site) == ("run-1", "run-3")


def test_a_run_is_superseded_when_a_later_one_is_accepted(site: Site) -> None:
    for run_id, verdict in (
        ("run-1", "needs_review"),
        ("run-2", "passed"),
        ("run-3", "needs_review"),
    ):
        validated(site, run_id, verdict)
    review(site, "run-2", now=NOW)
    assert waiting(site) == ("run-3",)
    for ask in (review, lambda *run: accept(*run, by="Dr. Roche", reason="because")):
        with pytest.raises(
            ReviewError, match="superseded by run-2, accepted by acceptance criteria"
        ):
            ask(site, "run-1")


def test_a_person_accepts_with_a_name_and_a_reason(site: Site) -> None:
    validated(site, "run-1", "needs_review")
    made = accept(site, "run-1", by="Dr. Roche", reason="The old scanner, as always.", now=NOW)
    assert (made.outcome, made.who, made.why) == (
        "accepted",
        "Dr. Roche",
        "The old scanner, as always.",
    )
    assert review(site, "run-1") == made
    assert waiting(site) == ()


def test_a_rejected_run_fails_and_says_who_and_why(site: Site) -> None:
    validated(site, "run-1", "needs_review")
    reject(site, "run-1", by="Dr. Roche", reason="Dates are shifted", now=NOW)
    with pytest.raises(ReviewError, match=r"sent back by Dr\. Roche .*: Dates are shifted\."):
        review(site, "run-1")
    assert waiting(site) == ()


@pytest.mark.parametrize("decide", [accept, reject])
def test_a_run_nobody_validated_cannot_be_decided(site: Site, decide: object) -> None:
    for run_id in ("run-9", "../lyon", ""):
        with pytest.raises(ReviewError, match=r"no run called .* was validated"):
            decide(site, run_id, by="Dr. Roche", reason="because")


@pytest.mark.parametrize(("by", "reason"), [("", "because"), ("Dr. Roche", "  ")])
def test_a_decision_needs_a_name_and_a_reason(site: Site, by: str, reason: str) -> None:
    validated(site, "run-1", "needs_review")
    with pytest.raises(ReviewError, match="needs a name and a reason"):
        accept(site, "run-1", by=by, reason=reason)


def test_a_decision_is_not_changed(site: Site) -> None:
    validated(site, "run-1", "needs_review")
    accept(site, "run-1", by="Dr. Roche", reason="because", now=NOW)
    with pytest.raises(ReviewError, match=r"was accepted by Dr\. Roche on 2026-05-04"):
        reject(site, "run-1", by="Dr. Blanc", reason="no")
    made = decision(site, "run-1")
    assert made is not None
    assert made.who == "Dr. Roche"


def test_of_two_reviewers_at_once_the_first_counts(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    validated(site, "run-1", "needs_review")
    utc = reviews._utc

    def while_another_writes(now: datetime | None) -> str:
        monkeypatch.setattr(reviews, "_utc", utc)
        accept(site, "run-1", by="Dr. Roche", reason="because", now=NOW)
        return utc(now)

    monkeypatch.setattr(reviews, "_utc", while_another_writes)
    with pytest.raises(ReviewError, match=r"was accepted by Dr\. Roche"):
        reject(site, "run-1", by="Dr. Blanc", reason="no")
    assert [path.name for path in site.review.iterdir()] == ["run-1.json"]


def test_a_decision_does_not_outlive_what_was_seen(site: Site) -> None:
    validated(site, "run-1", "needs_review")
    accept(site, "run-1", by="Dr. Roche", reason="because", now=NOW)
    validated(site, "run-1", "needs_review", note="other data")
    assert decision(site, "run-1") is None
    assert waiting(site) == ("run-1",)
    again = accept(site, "run-1", by="Dr. Blanc", reason="looked again", now=NOW)
    assert decision(site, "run-1") == again
    (aside,) = (site.review / "superseded").iterdir()
    assert json.loads(aside.read_text())["who"] == "Dr. Roche"


def test_a_decision_edited_by_hand_is_named(site: Site) -> None:
    validated(site, "run-1", "needs_review")
    site.review.mkdir()
    (site.review / "run-1.json").write_text('{"outcome": "accepted"}')
    with pytest.raises(ReviewError, match=r"run-1\.json: not a decision"):
        decision(site, "run-1")


def test_an_accepted_run_does_not_undo_a_later_one(site: Site) -> None:
    validated(site, "run-1", "passed")
    review(site, "run-1", now=NOW)
    validated(site, "run-2", "passed")
    review(site, "run-2", now=NOW)
    with pytest.raises(ReviewError, match="superseded by run-2"):
        reviews.publish_reviewed(site, "run-1")


def test_nothing_is_published_without_an_acceptance(site: Site) -> None:
    validated(site, "run-1", "needs_review")
    with pytest.raises(ReviewError, match="has no decision"):
        reviews.publish_reviewed(site, "run-1")
    reject(site, "run-1", by="Dr. Roche", reason="no", now=NOW)
    with pytest.raises(ReviewError, match="was sent back"):
        reviews.publish_reviewed(site, "run-1")
