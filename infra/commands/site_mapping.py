"""`marmor site scan`, `suggest` and `check`: from unknown files to a mapping that runs."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Group
from rich.text import Text

from infra.commands.site import SiteArgument, app, find_site
from infra.output import AsJson, console, emit, table
from transforms.durable import write_json, write_text
from transforms.errors import MappingError
from transforms.lock import at_work
from transforms.site import Site


if TYPE_CHECKING:
    from transforms.dry_run import DryRun
    from transforms.scan import Scan, TableScan

__all__ = ["check", "scan", "suggest"]

NOT_TAKEN = 20  # kinds of what no field takes, shown on a screen
REMARKS = "remarks of the readers"  # they are shown themselves


@contextmanager
def _at_work(site: Site, *, quiet: bool) -> Iterator[Any]:
    """Yield a function that shows what is being looked at, on a terminal, in one line.

    It is a step at work in the site's folder: a withdrawal waits for it, because it lays the files
    down in `work/` and tells of them in `scan/`, and neither may come back after a purge.
    """
    with at_work(site):
        if quiet or not console.is_terminal:
            yield lambda _: None
            return
        with console.status("") as status:
            yield lambda text: status.update(Text(f"{text} …"))


@app.command()
def scan(name: SiteArgument, as_json: AsJson = False) -> None:
    """Look at the files in the inbox: tables, columns, and what they seem to hold.

    Writes scan/scan.html and scan/scan.json, which hold no value of an identifier, a date or a
    free text, and no word that fewer than five persons have.
    """
    from transforms.scan import scan_inbox
    from transforms.scan.page import page

    site = find_site(name)
    with _at_work(site, quiet=as_json) as say:
        found = scan_inbox(site, say)
        site.scan.mkdir(exist_ok=True)
        write_json(site.scan / "scan.json", found.plain())
        write_text(site.scan / "scan.html", page(site.name, found))
    emit(found.plain(), as_json=as_json, text=_scan_text(site, found))


def _scan_text(site: Site, found: "Scan") -> Group:
    """Return a table per table of the inbox, and what to do next."""
    ready = [
        Text(
            f"{one.ready}: {one.files} {'file' if one.files == 1 else 'files'} ({one.file}); "
            "the mapping ships with Marmor"
        )
        for one in found.ready
    ]
    refused = [Text(f"not read: {line}", style="red") for line in found.refused]
    following = Text(f"The same as a page: {site.scan / 'scan.html'}\n{_after_scan(site, found)}")
    return Group(*refused, *ready, *map(_scan_table, found.tables), following)


def _after_scan(site: Site, found: "Scan") -> str:
    """Return what to do next."""
    if found.tables or found.ready:
        return f"Next: `marmor site suggest {site.folder}` drafts the mapping."
    return f"Nothing could be read: mend the files, then `marmor site scan {site.folder}` again."


def _scan_table(one: "TableScan") -> Group:
    """Return what is known of one table."""
    place = f"{one.source.file} {one.source.sheet}".strip()
    rows = [
        (
            f"{column.group} › {column.name}" if column.group else column.name,
            f"{column.kind.replace('_', ' ')} {column.unit}".strip(),
            f"{100 * column.missing:.0f} %",
            column.distinct,
            ", ".join(f"{word} ({count})" for word, count in column.shown.items()),
        )
        for column in one.columns
    ]
    columns = ("column", "looks like", "missing", "distinct", "most frequent")
    title = f"{one.source.source}: {place}, {one.rows} rows"
    notes = [Text(f"! {note}", style="yellow") for note in [*one.notes, *_to_look_at(one)]]
    return Group(table(title, columns, rows), *notes, Text())


def _to_look_at(one: "TableScan") -> Iterator[str]:
    """Yield what is to be looked at, once for all columns of which it is true."""
    said: dict[str, list[str]] = {}
    for column in one.columns:
        for note in [*map(_holds, column.detected), *column.notes]:
            said.setdefault(note, []).append(column.name)
    for note, names in said.items():
        yield f"{', '.join(names)}: {note}"


def _holds(kind: str) -> str:
    """Return what a detector of direct identifiers found, in words."""
    return f"looks like an identifier ({kind.replace('_', ' ')})"


RareWords = Annotated[
    bool,
    typer.Option(
        "--rare-words",
        help="Also list unknown words of fewer than five persons; they may be somebody's own.",
    ),
]


@app.command()
def suggest(name: SiteArgument, rare_words: RareWords = False, as_json: AsJson = False) -> None:
    """Draft mapping/mapping.xlsx from the files: every row a suggestion with its reason.

    Nothing that stands in the mapping already is changed, nothing is approved, nothing runs.
    """
    from transforms.scan import scan_inbox
    from transforms.suggest import add_words, draft, merged
    from transforms.suggest.workbook import read_rows, write_rows

    site = find_site(name)
    there = read_rows(site.mapping)
    with _at_work(site, quiet=as_json) as say:
        found = scan_inbox(site, say)
    drafted = draft(found, site, rare=rare_words)
    add_words(drafted, there, found, site, rare=rare_words)
    new = merged(there, drafted)
    counts = {sheet: len(rows) for sheet, rows in new.items()}
    path = write_rows(site.mapping, new) if any(counts.values()) else site.mapping
    unsure = sum(
        float(row.get("confidence") or 1) < UNSURE for rows in new.values() for row in rows
    )
    data = {"site": site.id, "mapping": path, "new_rows": counts, "unsure": unsure}
    emit(data, as_json=as_json, text=_suggest_text(site, data, found))


UNSURE = 0.6  # below, the workbook shows a row in red or yellow


def _suggest_text(site: Site, data: dict[str, Any], found: "Scan") -> str:
    """Return what was drafted and what to do next."""
    lines = [f"not read: {line}" for line in found.refused]
    if not (found.tables or found.ready):
        return "\n".join([*lines, _after_scan(site, found)])
    if not any(data["new_rows"].values()):
        lines.append("Nothing new: the mapping speaks of every column already.")
    else:
        rows = ", ".join(f"{count} {sheet}" for sheet, count in data["new_rows"].items() if count)
        lines.append(f"Added to {data['mapping']}: {rows}; {data['unsure']} of them are unsure.")
        lines.append(
            "Open it, look at the red and yellow rows first, set status to approved or rejected."
        )
    lines.append(f"Next: `marmor site check {site.folder}`.")
    return "\n".join(lines)


ShowValues = Annotated[
    bool,
    typer.Option(
        "--show-values",
        help="Also show words without a code, and texts before and after: patients' data.",
    ),
]


@app.command()
def check(name: SiteArgument, show_values: ShowValues = False, as_json: AsJson = False) -> None:
    """Try the mapping on the files: what would come out, what is rejected, what is in the way.

    Suggested rows are tried as if they were approved; nothing is kept. Ends with exit code 11 while
    anything blocks a run. `--json` never holds a value of the files.
    """
    from transforms.dry_run import dry_run

    site = find_site(name)
    with _at_work(site, quiet=as_json) as say:
        found = dry_run(site, texts=show_values and not as_json, say=say)
    emit(found.plain(), as_json=as_json, text=_check_text(site, found))
    if found.blocks:
        count = len(found.blocks)
        raise MappingError(
            f"{site.id}: {count} {'thing blocks' if count == 1 else 'things block'} a run; "
            "the list is above, the first is to be done first"
        )


def _check_text(site: Site, found: "DryRun") -> Group:
    """Return the report of a dry run, what blocks at its end, where it is read."""
    parts: list[Any] = [*_come_out(found), *_texts(found)]
    parts += [Text(f"• {line}", style="red") for line in found.blocks]
    if not found.blocks and not found.rows.get("person"):
        parts.append(Text("Nothing blocks, but nobody is left: see above.", style="yellow"))
    elif not found.blocks:
        parts.append(Text("Nothing blocks.", style="green"))
        parts.append(Text(f"Next: `marmor site run {site.folder}`."))
    parts.append(Text(f"This took {found.seconds:.1f} s.", style="dim"))
    return Group(*parts)


def _come_out(found: "DryRun") -> list[Any]:
    """Return rows per table with their fields, what is left out, and what rules would say."""
    refused = [one["message"] for one in found.counts.get("refused_files", [])]
    parts = [*_tables(found), *_left_out(found)]
    parts += [Text(f"not read: {message}", style="red") for message in dict.fromkeys(refused)]
    for severity, title in (("hard", "Rows that would be rejected"), ("soft", "Rows to look at")):
        rows = [
            (f.rule, f"{f.table}.{f.field}", f.rows, f.remedy)
            for f in found.findings
            if f.severity == severity
        ]
        if rows:
            parts.append(table(title, ("rule", "field", "rows", "what to do"), rows))
    return [*parts, *_not_taken(found)]


def _not_taken(found: "DryRun") -> Iterator[Any]:
    """Yield what the files hold and no field takes, the most frequent first, and what looks odd."""
    not_held = found.counts.get("not_held", {})
    held = {kind: count for kind, count in not_held.items() if not kind.startswith(REMARKS)}
    if held:
        rows = sorted(held.items(), key=lambda item: -item[1])
        title = "In the files, and taken by no field"
        if len(rows) > NOT_TAKEN:
            title += f": the first {NOT_TAKEN} of {len(rows)} kinds; all are in `--json`"
        yield table(title, ("what", "how many"), rows[:NOT_TAKEN])
    yield from (Text(f"! {note}", style="yellow") for note in found.counts.get("notes", []))


NOBODY = "Nobody is left, a release of these files would be empty"
NO_CONSENT = (
    "nobody is in without a yes in consent_reuse; check the column or list that says it, and the "
    "codes of its words"
)
REJECTED = "every row of the table person would be rejected, for the reasons below"


def _left_out(found: "DryRun") -> Iterator[Text]:
    """Yield who is left out for want of consent, and that nobody is left."""
    if excluded := found.counts.get("excluded_for_consent"):
        persons = "person" if excluded == 1 else "persons"
        yield Text(f"Left out: {excluded} {persons} without consent to reuse.")
    if found.counts and not found.rows.get("person"):
        why = REJECTED if found.rejected.get("person") else NO_CONSENT
        yield Text(f"{NOBODY}: {why}.", style="red")


def _tables(found: "DryRun") -> list[Any]:
    """Return a table of what would come out, or nothing."""
    kept = {name: rows for name, rows in found.rows.items() if rows or found.rejected.get(name)}
    if not kept:
        return []
    fields = [item for item in found.coverage if item["table"] in kept]
    tables = [
        (
            name,
            rows,
            found.rejected.get(name, 0),
            ", ".join(_filled(item) for item in fields if item["table"] == name and item["filled"]),
            ", ".join(i["field"] for i in fields if i["table"] == name and _lacks(i)),
        )
        for name, rows in kept.items()
    ]
    columns = ("table", "rows", "rejected", "fields that are filled", "nowhere in the files")
    return [table("What would come out", columns, tables)]


def _filled(item: dict[str, Any]) -> str:
    """Return a field with the share of rows that have it."""
    share = 100 * item["filled"] / item["rows"] if item["rows"] else 0
    return str(item["field"]) if share == 100 else f"{item['field']} {share:.0f} %"


def _lacks(item: dict[str, Any]) -> bool:
    """Tell whether no row of the mapping fills a field."""
    return bool(item["mapped"] == "not mapped")


def _texts(found: "DryRun") -> list[Any]:
    """Return words and examples of the files, when they were asked for."""
    parts: list[Any] = []
    for one in found.words:
        title = f"Words without a code: {one.unmapped.table}.{one.unmapped.target}"
        title = f"{title}, source {one.unmapped.source}"
        parts.append(table(title, ("word", "rows"), one.words))
    if found.examples:
        rows = [(e.target, e.column, e.before, e.after, e.rows) for e in found.examples]
        columns = ("field", "column", "before", "after", "rows")
        parts.append(table("Before and after", columns, rows))
    return parts
