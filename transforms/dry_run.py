"""A run without consequences: what a mapping would make of the files, and what is in its way.

Suggested rows count as approved. Nothing is written but what a run writes while it works and
removes at its end; texts of the files come out only on demand, for the screen of the person who
may see them.
"""

import dataclasses
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import duckdb

from transforms.dictionary import DICTIONARY
from transforms.errors import MappingError, SourceError
from transforms.form import form_alone
from transforms.harmonize import Judged, judged
from transforms.mapping import FieldRule, Mapping, parse_mapping
from transforms.mapping_check import check_mapping, sound
from transforms.outcome import coverage
from transforms.saying import Say, nothing
from transforms.site import Site
from transforms.sql import identifier, qualified
from transforms.staging import SCHEMA, column
from transforms.unmapped import PROBLEM, Unmapped, unmapped_values


__all__ = ["DryRun", "Example", "Finding", "Words", "dry_run"]

EXAMPLES = 3
WORDS = 40
NAMED = 12
NO_CODE = "target_code ''"


@dataclass(frozen=True)
class Finding:
    """Rows that a rule would reject (hard) or flag (soft, info), and what to do about them."""

    table: str
    field: str
    rule: str
    severity: str
    rows: int
    remedy: str


@dataclass(frozen=True)
class Example:
    """A text of the files, in how many rows it stands, and what becomes of it."""

    target: str
    column: str
    before: str
    after: str
    rows: int


@dataclass(frozen=True)
class Words:
    """The words of a column that no row of `values` names, with their rows."""

    unmapped: Unmapped
    words: tuple[tuple[str, int], ...]


@dataclass(frozen=True)
class DryRun:
    """What came out. `blocks` is sorted by what to do first; empty when a run would go through.

    `examples` and `words` hold texts of the files: for the screen alone.
    """

    blocks: tuple[str, ...]
    waiting: dict[str, int]
    rows: dict[str, int] = field(default_factory=dict)
    rejected: dict[str, int] = field(default_factory=dict)
    findings: tuple[Finding, ...] = ()
    coverage: tuple[dict[str, Any], ...] = ()
    counts: dict[str, Any] = field(default_factory=dict)
    unmapped: tuple[Unmapped, ...] = ()
    words: tuple[Words, ...] = ()
    examples: tuple[Example, ...] = ()
    seconds: float = 0.0

    def plain(self) -> dict[str, Any]:
        """Return what may be written down: no text of the files."""
        return {
            "blocks": list(self.blocks),
            "waiting_for_approval": self.waiting,
            "rows": self.rows,
            "rejected": self.rejected,
            "findings": [vars(finding) for finding in self.findings],
            "coverage": list(self.coverage),
            "unmapped_values": [vars(one) for one in self.unmapped],
            "counts": self.counts,
            "seconds": round(self.seconds, 2),
        }


def dry_run(site: Site, *, texts: bool = False, say: Say = nothing) -> DryRun:
    """Try the mapping of `site` on its inbox; `texts` also collects words and examples.

    `say` is told what is being done.

    Raises MappingError when the mapping cannot be read at all.
    """
    started = time.monotonic()
    written = form_alone(site.mapping, site.inbox) or parse_mapping(site.mapping)
    waiting = _waiting(written)
    mapping = _approved(written)
    problems = _shortened(check_mapping(mapping))
    try:
        with judged(site, None, sound(mapping), say) as run:
            problems += _of_columns(run.counts.get("column_problems", []), mapping)
            unmapped = unmapped_values(run.connection, run.mapping)
            blocks = [*problems, *(one.message for one in unmapped), *_undone(waiting)]
            return DryRun(
                blocks=tuple(sorted(dict.fromkeys(blocks), key=_order)),
                waiting=waiting,
                rows=_rows(run.connection),
                rejected=_rejected(run.connection),
                findings=tuple(_findings(run.connection)),
                coverage=tuple(coverage(run.connection, run.mapping)),
                counts={k: v for k, v in run.counts.items() if k != "column_problems"},
                unmapped=tuple(unmapped),
                words=tuple(_words(run, unmapped)) if texts else (),
                examples=tuple(_examples(run)) if texts else (),
                seconds=time.monotonic() - started,
            )
    except (MappingError, SourceError) as error:
        problems += _of_several(str(error).splitlines())
    blocks = [*problems, *_undone(waiting)]
    return DryRun(
        tuple(sorted(dict.fromkeys(blocks), key=_order)),
        waiting,
        seconds=time.monotonic() - started,
    )


def _of_columns(problems: Sequence[str], mapping: Mapping) -> list[str]:
    """Leave out the columns that are named, in a row which has a problem of its own."""
    named = {
        f"source {rule.source}: unmapped column {name!r}"
        for rule in mapping.fields
        for name in rule.used_columns
    }
    return [problem for problem in problems if problem.partition(";")[0] not in named]


def _of_several(problems: Iterable[str]) -> Iterator[str]:
    """Yield once what is said of several sources, as when one file is not there for all of them."""
    sources: dict[str, list[str]] = {}
    for problem in problems:
        place, _, said = problem.partition(": ")
        source = place.removeprefix("source ")
        if source == place:
            yield problem
        else:
            sources.setdefault(said, []).append(source)
    for said, names in sources.items():
        yield f"source{'s' if len(names) > 1 else ''} {', '.join(names)}: {said}"


def _shortened(problems: Iterable[str]) -> list[str]:
    """Say once of all rows without a target code what would be said of each."""
    empty: list[str] = []
    others: list[str] = []
    for problem in problems:
        (empty if NO_CODE in problem else others).append(problem)
    if empty:
        rows = [problem.partition(", row ")[2].partition(":")[0] for problem in empty]
        place = empty[0].partition(", row ")[0]
        listed = ", ".join(rows[:NAMED]) + (", …" if len(rows) > NAMED else "")
        others.append(
            f"{place}: {len(rows)} rows have no target_code: choose one, or missing or reject "
            f"(rows {listed})"
        )
    return others


def _waiting(mapping: Mapping) -> dict[str, int]:
    """Return how many rows of each sheet wait for approval."""
    sheets = {"fields": mapping.fields, "values": mapping.values, "ignore": mapping.ignores}
    return {
        name: sum(item.status == "suggested" for item in items)  # type: ignore[attr-defined]
        for name, items in sheets.items()
    }


def _approved(mapping: Mapping) -> Mapping:
    """Return the mapping as if every suggestion were approved; unknown orders are no order."""

    def yes(item: Any) -> Any:
        said = item.status == "suggested"
        return dataclasses.replace(item, status="approved") if said else item

    return dataclasses.replace(
        mapping,
        fields=tuple(map(yes, mapping.fields)),
        values=tuple(map(yes, mapping.values)),
        ignores=tuple(map(yes, mapping.ignores)),
    )


def _undone(waiting: dict[str, int]) -> Iterator[str]:
    """Yield what still has to be approved."""
    for name, count in waiting.items():
        if count:
            rows = "row waits" if count == 1 else "rows wait"
            yield f"sheet {name}: {count} {rows} for approval: set status to approved or rejected"


def _order(problem: str) -> int:
    """Return the place of a problem: how files are read comes first, approvals come last."""
    if "for approval" in problem:
        return 5
    if "no row of the sheet values names" in problem:
        return 4
    if "sources" in problem.partition(":")[0] or "no column of source" in problem:
        return 0
    if "unmapped column" in problem:
        return 2
    return 3 if "sheet values" in problem or "values.csv" in problem else 1


def _rows(connection: duckdb.DuckDBPyConnection) -> dict[str, int]:
    """Return the rows of each table that a release would hold."""
    counted = {}
    for name in DICTIONARY.tables:
        ((counted[name],),) = connection.execute(
            f"select count(*) from {identifier(name)}"
        ).fetchall()
    return counted


def _rejected(connection: duckdb.DuckDBPyConnection) -> dict[str, int]:
    """Return the rejected rows of each table that has any."""
    return dict(
        connection.execute(
            "select table_name, count(distinct row_id) from violations where severity = 'hard' "
            "group by all order by all"
        ).fetchall()
    )


def _findings(connection: duckdb.DuckDBPyConnection) -> Iterator[Finding]:
    """Yield what rules say, the hardest and most frequent first."""
    rows = connection.execute(
        "select * from (select table_name, field, rule, severity, count(distinct row_id) as size, "
        "min(remedy) as remedy from violations group by all) "
        "order by severity = 'hard' desc, size desc, 1, 2, 3"
    ).fetchall()
    for table, name, rule, severity, size, remedy in rows:
        yield Finding(table, name, rule, severity, size, remedy)


def _words(run: Judged, unmapped: Sequence[Unmapped]) -> Iterator[Words]:
    """Yield the words that no row names."""
    for one in unmapped:
        raw, problem = column(one.field, "raw"), column(one.field, "problem")
        rows = run.connection.execute(
            f"select min({raw}), count(*) from {qualified(SCHEMA, one.table)} where {problem} = $1 "
            "and source_id = $2 and bracket is not distinct from $3 "
            f"group by lower({raw}) order by count(*) desc, 1 limit {WORDS}",
            [PROBLEM, one.source, one.bracket],
        ).fetchall()
        yield Words(one, tuple(rows))


def _examples(run: Judged) -> Iterator[Example]:
    """Yield the most frequent texts of each mapped column and what they become."""
    for rule in run.mapping.fields:
        if rule.columns and rule.field in DICTIONARY.tables[rule.table].field_names:
            yield from _of_rule(run.connection, rule)


def _of_rule(connection: duckdb.DuckDBPyConnection, rule: FieldRule) -> Iterator[Example]:
    """Yield the examples of one row of the sheet `fields`."""
    raw, problem = column(rule.field, "raw"), column(rule.field, "problem")
    value = identifier(rule.field)
    kind = DICTIONARY.tables[rule.table].field(rule.field).type
    shown = (
        f"printf('%.6g', any_value({value}))"
        if kind == "number"
        else (f"any_value({value})::varchar")
    )
    rows = connection.execute(
        f"select {raw}, coalesce('? ' || any_value({problem}), {shown}, "
        f"'no value'), count(*) from {qualified(SCHEMA, rule.table)} where source_id = $1 and "
        "bracket is not distinct from coalesce($2, bracket) "
        f"and {raw} is not null group by {raw} "
        f"order by any_value({problem}) is null, count(*) desc, 1 limit {EXAMPLES}",
        [rule.source, rule.bracket],
    ).fetchall()
    name = rule.field if rule.bracket is None else f"{rule.field}[{rule.bracket}]"
    for before, after, count in rows:
        yield Example(f"{rule.table}.{name}", "; ".join(rule.columns), before, after, count)
