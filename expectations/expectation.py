"""One expectation, as plain data: what must be true, why, how strictly, and what to do if not."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal


__all__ = ["NONE_ALLOWED", "Category", "Expectation", "Severity"]

Category = Literal["conformance", "completeness", "plausibility"]
Severity = Literal["critical", "warning", "info"]

# Harmonisation has rejected such rows already; one that is left means that the rule did not run.
NONE_ALLOWED = "rows that break it are rejected before; any that is left is a fault"


@dataclass(frozen=True)
class Expectation:
    """One expectation on one table.

    `threshold` is the smallest share of checked rows, 0 to 1, for which `statement` must be true.
    `fields` are the columns it is about; `holds` is the SQL of its computed column, if it has one.
    """

    id: str
    table: str
    fields: tuple[str, ...]
    type: str
    kwargs: Mapping[str, Any]
    category: Category
    severity: Severity
    statement: str
    reason: str
    source: str = "data dictionary"
    remedy: str = ""
    threshold: float = 1.0
    rationale: str = NONE_ALLOWED
    column: str | None = None
    holds: str | None = field(default=None, repr=False)

    def configuration(self) -> dict[str, Any]:
        """Return the expectation as Great Expectations writes it in a suite."""
        kwargs = dict(self.kwargs)
        if self.threshold < 1:
            kwargs["mostly"] = self.threshold
        meta = {
            "id": self.id,
            "kahn_category": self.category,
            "context": "verification",
            "statement": self.statement,
            "reason": self.reason,
            "source": self.source,
            "threshold": self.threshold,
            "rationale": self.rationale,
            "severity": self.severity,
        }
        return {"type": self.type, "kwargs": kwargs, "severity": self.severity, "meta": meta}
