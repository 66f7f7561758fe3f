"""The report page of one validation: a single HTML file that needs nothing else.

`render` takes the stored document (`validation.json`) and nothing more, so a page can be made
again at any time. The verdict comes first, with what it means and what to do; every bar stands in
the table whose figures it draws. No script, no other host, and every text is escaped.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from functools import cache
from itertools import groupby
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined, Template, select_autoescape
from markupsafe import Markup, escape

from transforms.dictionary import DICTIONARY


__all__ = ["render"]

SEVERITIES = ("critical", "warning", "info")
# Rejects and flags speak of hard and soft; the page uses one scale of words for both.
WORDS = {
    "hard": "rejected",
    "soft": "flagged",
    "critical": "critical",
    "warning": "warning",
    "info": "note",
}

# How a field is filled, as `transforms.outcome` says it.
WAYS = ("mapped", "derived", "not collected", "not mapped")
ABSENT = ("not collected", "not mapped")
# What was done about a unit: the laboratory's own, or another than the mapping declares.
CONVERTED = {
    "converted": "by the dictionary's factor",
    "overruled": "impossible in that unit: read in the one unit that makes it usual, and flagged",
}
CRITERIA = {
    "rejected_share": "Rejected rows among all rows",
    "mandatory_completeness": "Filled cells among the cells of mandatory fields",
    "critical_findings": "Critical expectations that failed",
    "emptied_tables": "Tables with rows in the current release that are empty now",
    "refused_files": "Files of the inbox that could not be read",
}
CATEGORY_MEANING = {
    "conformance": "Is it in the agreed form: codes of the lists, keys, references?",
    "completeness": "Is it filled where the dictionary asks for it?",
    "plausibility": "Can it be believed: limits, dates, units, shares?",
}


def render(document: Mapping[str, Any], folder: str = "") -> str:
    """Return the page of a stored validation; commands on it name the site by its `folder`."""
    ways = {(one["table"], one["field"]): one["mapped"] for one in document["fields"]}
    failed = [one for one in document["expectations"] if not one["passed"]]
    sparse = [{**one, "mapped": _way(one, ways)} for one in failed if _is_sparse(one)]
    absent = [one for one in sparse if one["mapped"] in ABSENT and one["unexpected"]]
    failed = [one for one in failed if not _is_sparse(one)]
    failed.sort(key=lambda one: (SEVERITIES.index(one["severity"]), -_share(one)))
    return _template().render(
        document=document,
        site=folder or document["site"]["id"],
        failed=failed,
        sparse=[one for one in sparse if one not in absent],
        absent=len(absent),
        categories=_categories(document),
        fields=_by_table(document["fields"]),
        empty=[one["table"] for one in document["tables"] if not one["rows"]],
        coverage=_coverage(document["fields"]),
        expectations=_by_table(document["expectations"]),
        rules=_rules(document),
        rejects=_rejects(document),
        converted=[one for one in document["units"] if one["status"] in CONVERTED],
        totals=_totals(document),
        criterion_labels=CRITERIA,
        conversions=CONVERTED,
        titles={name: table.title for name, table in DICTIONARY.tables.items()},
    )


@cache
def _template() -> Template:
    """Return the compiled page; unknown names are errors, all texts are escaped."""
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent / "templates"),
        autoescape=select_autoescape(default=True, default_for_string=True),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(
        percent=_percent,
        count=_count,
        marked=_marked,
        word=lambda severity: WORDS.get(severity, severity),
    )
    return environment.get_template("report.html.j2")


def _percent(share: float) -> str:
    """Write a share so that only all is 100 % and only none is 0 %."""
    if 0 < share < 0.001:
        return "< 0.1%"
    if 0.999 < share < 1:
        return "> 99.9%"
    return f"{share:.1%}".replace(".0%", "%")


def _marked(text: str) -> Markup:
    """Set what stands between backticks as code; the text is escaped first."""
    return Markup(re.sub(r"`([^`]*)`", r"<code>\1</code>", str(escape(text))))  # noqa: S704


def _count(number: int) -> str:
    """Write a count with thin spaces between thousands."""
    return f"{number:,}".replace(",", "\u202f")


def _share(expectation: Mapping[str, Any]) -> float:
    """Return the share of checked rows that broke an expectation."""
    checked: int = expectation["checked"]
    return float(expectation["unexpected"] / checked) if checked else 0.0


def _is_sparse(expectation: Mapping[str, Any]) -> bool:
    """Return whether it is a recommended field that is mostly empty: listed, not told at length."""
    return bool(
        expectation["severity"] == "info"
        and expectation["category"] == "completeness"
        and expectation["fields"]
    )


def _way(expectation: Mapping[str, Any], ways: Mapping[tuple[str, str], str]) -> str:
    """Return how the mapping treats the field that an expectation is about."""
    return ways.get((expectation["table"], expectation["fields"][0]), "not mapped")


def _categories(document: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return each Kahn category with its counts, its share passed and what it asks."""
    rows = []
    for name, counts in document["categories"].items():
        judged = counts["passed"] + counts["failed"]
        share = counts["passed"] / judged if judged else 1.0
        rows.append({"name": name, "meaning": CATEGORY_MEANING[name], "share": share, **counts})
    return rows


def _by_table(items: Sequence[Mapping[str, Any]]) -> list[tuple[str, list[Mapping[str, Any]]]]:
    """Group items by table; they come in the dictionary's order."""
    return [(table, list(group)) for table, group in groupby(items, lambda one: str(one["table"]))]


def _coverage(fields: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Return for each table which fields are filled, not collected here, and left out."""
    rows = []
    for table, group in _by_table(fields):
        states: dict[str, list[str]] = {state: [] for state in WAYS}
        for one in group:
            states[one["mapped"]].append(one["field"])
        filled = len(states["mapped"]) + len(states["derived"])
        rows.append({"table": table, "states": states, "share": filled / len(group)})
    return rows


def _rules(document: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Add up rejects and flags by rule: where each fired and what to do; rejecting ones first."""
    rules: dict[tuple[str, str], dict[str, Any]] = {}
    for one in (*document["rejects"], *document["flags"]):
        key = (one["rule"], one["severity"])
        rule = rules.setdefault(key, {**one, "rows": 0, "where": {}, "remedies": {}})
        rule["rows"] += one["rows"]
        where = f"{one['table']}.{one['field']}" if one["field"] else one["table"]
        rule["where"].setdefault(where)
        rule["remedies"].setdefault(one["remedy"])
    return sorted(rules.values(), key=lambda one: (one["severity"] != "hard", -one["rows"]))


def _rejects(document: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Add up rejects by source, table, field and rule, most rows first."""
    sums: dict[tuple[str, ...], int] = {}
    for one in document["rejects"]:
        key = (one["source"], one["table"], one["field"], one["rule"])
        sums[key] = sums.get(key, 0) + one["rows"]
    names = ("source", "table", "field", "rule")
    ordered = sorted(sums.items(), key=lambda item: (-item[1], item[0]))
    return [{**dict(zip(names, key, strict=True)), "rows": rows} for key, rows in ordered]


def _totals(document: Mapping[str, Any]) -> dict[str, int]:
    """Return the sums that stand in the page's first lines."""
    expectations = document["expectations"]
    return {
        "rows": sum(table["rows"] for table in document["tables"]),
        "rejected": sum(table["rejected"] for table in document["tables"]),
        "flagged": sum(one["rows"] for one in document["flags"]),
        "expectations": len(expectations),
        "failed": sum(1 for one in expectations if not one["passed"]),
        "persons": next(one["rows"] for one in document["tables"] if one["table"] == "person"),
    }
