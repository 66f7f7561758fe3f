"""Validate one run: expectations and counts of harmonisation, against the site's criteria.

    work/<run>/tables/*.parquet ─▶ expectations.engine ─┐
    work/<run>/{rejects,flags,coverage,harmonization} ──┴▶ verdict ─▶ reports/<run>/validation.json
                                                                      reports/<run>/report.html

Findings never raise: a bad run gets a report that says so and waits for a reviewer. The document
holds counts, ids and texts of the dictionary, no value of any row and no time of day, so the same
input beside the same current release gives the same bytes, whose SHA-256 a decision can name.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from expectations.engine import Finding, run_suites
from expectations.evidence import Evidence, gather
from expectations.report import render
from transforms.dictionary import DICTIONARY
from transforms.durable import write_text
from transforms.release import current_rows
from transforms.site import Site


__all__ = ["CATEGORIES", "Criterion", "Validation", "validate"]

CATEGORIES = ("conformance", "completeness", "plausibility")

Verdict = Literal["passed", "needs_review"]


@dataclass(frozen=True)
class Criterion:
    """One acceptance criterion: its value, the threshold it is held to, and whether it held."""

    name: str
    statement: str
    value: float
    threshold: float
    comparison: Literal["at most", "at least"]
    held: bool


@dataclass(frozen=True)
class Validation:
    """The outcome of one run's validation."""

    site_id: str
    run_id: str
    verdict: Verdict
    criteria: tuple[Criterion, ...]
    passed: int
    failed: int
    report: Path


def validate(site: Site, run_id: str) -> Validation:
    """Run every suite on a harmonised run, judge it and write its report.

    Raises SourceError when the run was not harmonised.
    """
    evidence = gather(site, run_id)
    findings = _declared(run_suites(site.work / run_id / "tables"), evidence)
    criteria = _criteria(site, evidence, findings)
    document = _document(site, run_id, criteria, findings, evidence)
    folder = site.reports / run_id
    folder.mkdir(parents=True, exist_ok=True)
    write_text(folder / "report.html", render(document, site.folder.name))
    text = json.dumps(document, indent=1, ensure_ascii=False, sort_keys=False) + "\n"
    write_text(folder / "validation.json", text)
    return Validation(
        site_id=site.id,
        run_id=run_id,
        verdict=document["verdict"],
        criteria=criteria,
        passed=sum(1 for one in findings if one.passed),
        failed=sum(1 for one in findings if not one.passed),
        report=folder / "report.html",
    )


def _declared(findings: Iterable[Finding], evidence: Evidence) -> tuple[Finding, ...]:
    """Make a warning of an empty mandatory field that the mapping says is not collected.

    That is known and was approved with the mapping; how much of it a centre may lack is what
    `min_mandatory_completeness` decides. Anything else that is empty is a fault.
    """
    lacking = {
        f"{one.table}.{one.field}.filled"
        for one in evidence.fields
        if one.mapped == "not collected"
    }
    return tuple(
        dataclasses.replace(
            one,
            expectation=dataclasses.replace(
                one.expectation,
                severity="warning",
                rationale="the mapping says that this centre does not collect it",
            ),
        )
        if one.expectation.id in lacking and one.expectation.severity == "critical"
        else one
        for one in findings
    )


def _criteria(site: Site, evidence: Evidence, findings: Sequence[Finding]) -> tuple[Criterion, ...]:
    """Hold a run to the site's acceptance criteria."""
    rejected, kept = evidence.rejected_rows, sum(table.rows for table in evidence.tables)
    rejected_share = rejected / (rejected + kept) if rejected + kept else 0.0
    filled, mandatory = evidence.mandatory_cells
    completeness = filled / mandatory if mandatory else 0.0
    critical = [
        one for one in findings if not one.passed and one.expectation.severity == "critical"
    ]
    limits = site.acceptance
    return (
        Criterion(
            "rejected_share",
            f"{rejected_share:.1%} of the rows were rejected,"
            f" at most {limits.max_rejected_share:.1%} may be",
            round(rejected_share, 6),
            limits.max_rejected_share,
            "at most",
            rejected_share <= limits.max_rejected_share,
        ),
        Criterion(
            "mandatory_completeness",
            f"{completeness:.1%} of the mandatory cells are filled,"
            f" at least {limits.min_mandatory_completeness:.1%} must be",
            round(completeness, 6),
            limits.min_mandatory_completeness,
            "at least",
            completeness >= limits.min_mandatory_completeness,
        ),
        Criterion(
            "critical_findings",
            f"{len(critical)} critical {'expectation' if len(critical) == 1 else 'expectations'}"
            " failed, none may",
            len(critical),
            0,
            "at most",
            not critical,
        ),
        _emptied(site, evidence),
        _refused(evidence),
    )


def _emptied(site: Site, evidence: Evidence) -> Criterion:
    """Hold a run to the current release: an export that came out empty must not pass for none.

    Otherwise nobody has a fracture as soon as a file holds its header alone.
    """
    before = current_rows(site)
    empty = [one.table for one in evidence.tables if not one.rows and before.get(one.table)]
    named = f" ({', '.join(empty)})" if empty else ""
    return Criterion(
        "emptied_tables",
        f"{len(empty)} {'table is' if len(empty) == 1 else 'tables are'} empty that"
        f" {'has' if len(empty) == 1 else 'have'} rows in the current release{named}, none may be",
        len(empty),
        0,
        "at most",
        not empty,
    )


def _refused(evidence: Evidence) -> Criterion:
    """Hold a run to its inbox: what a file would have said must not be taken for nothing."""
    count = len(evidence.refused_files)
    return Criterion(
        "refused_files",
        f"{count} {'file' if count == 1 else 'files'} of the inbox could not be read, none may"
        " be left out unseen",
        count,
        0,
        "at most",
        not count,
    )


def _document(
    site: Site,
    run_id: str,
    criteria: Sequence[Criterion],
    findings: Sequence[Finding],
    evidence: Evidence,
) -> dict[str, Any]:
    """Return the validation as it is stored: what `report.render` and the release read."""
    held = all(criterion.held for criterion in criteria)
    return {
        "site": {"id": site.id, "name": site.name, "country": site.country},
        "run_id": run_id,
        "dictionary_version": DICTIONARY.version,
        "verdict": "passed" if held else "needs_review",
        "criteria": _plain(criteria),
        "categories": {name: _category(name, findings) for name in CATEGORIES},
        "tables": _plain(evidence.tables),
        "expectations": [_expectation(one) for one in findings],
        "fields": _plain(evidence.fields),
        "rejects": _plain(evidence.rejects),
        "flags": _plain(evidence.flags),
        "units": _plain(evidence.units),
        "sources": _plain(evidence.sources),
        "not_held": _plain(evidence.not_held),
        "refused_files": _plain(evidence.refused_files),
        "excluded_for_consent": evidence.excluded_for_consent,
    }


def _plain(items: Iterable[Any]) -> list[dict[str, Any]]:
    """Return dataclasses as mappings."""
    return [dataclasses.asdict(item) for item in items]


def _category(name: str, findings: Sequence[Finding]) -> Mapping[str, int]:
    """Count a category's expectations; one without any row to check neither passed nor failed."""
    mine = [one for one in findings if one.expectation.category == name]
    idle = sum(1 for one in mine if one.passed and not one.checked)
    failed = [one for one in mine if not one.passed]
    return {
        "passed": len(mine) - len(failed) - idle,
        "failed": len(failed),
        "nothing_to_check": idle,
        "failed_critical": sum(1 for one in failed if one.expectation.severity == "critical"),
    }


def _expectation(one: Finding) -> dict[str, Any]:
    """Return one finding as it is stored."""
    item = one.expectation
    return {
        "id": item.id,
        "table": item.table,
        "fields": list(item.fields),
        "type": item.type,
        "category": item.category,
        "context": "verification",
        "severity": item.severity,
        "statement": item.statement,
        "reason": item.reason,
        "source": item.source,
        "remedy": item.remedy,
        "threshold": item.threshold,
        "rationale": item.rationale,
        "checked": one.checked,
        "unexpected": one.unexpected,
        "passed": one.passed,
        "failed_to_run": one.failed_to_run,
    }
