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
from transforms.site import Site


if TYPE_CHECKING:
    from transforms.scan import Scan, TableScan

__all__ = ["scan", "suggest"]


@contextmanager
def _saying(*, quiet: bool) -> Iterator[Any]:
    """Yield a function that shows what is being looked at, on a terminal, in one line."""
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
    with _saying(quiet=as_json) as say:
        found = scan_inbox(site, say)
    site.scan.mkdir(exist_ok=True)
    write_json(site.scan / "scan.json", found.plain())
    write_text(site.scan / "scan.html", page(site.name, found))
    emit(found.plain(), as_json=as_json, text=_scan_text(site, found))


def _scan_text(site: Site, found: "Scan") -> Group:
    """Return a table per table of the inbox, and what to do next."""
    ready = [
        Text(f"{one.ready}: {one.files} files ({one.file}); their mapping ships with Marmor")
        for one in found.ready
    ]
    refused = [Text(f"not read: {line}", style="red") for line in found.refused]
    following = Text(
        f"The same as a page: {site.scan / 'scan.html'}\n"
        f"Next: `marmor site suggest {site.folder}` drafts the mapping."
    )
    return Group(*refused, *ready, *map(_scan_table, found.tables), following)


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
            "; ".join([*column.detected, *column.notes]),
        )
        for column in one.columns
    ]
    columns = ("column", "looks like", "missing", "distinct", "most frequent", "look at")
    title = f"{one.source.source}: {place}, {one.rows} rows"
    notes = [Text(f"! {note}", style="yellow") for note in one.notes]
    return Group(table(title, columns, rows), *notes)


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
    from transforms.suggest import draft, merged
    from transforms.suggest.workbook import read_rows, write_rows

    site = find_site(name)
    there = read_rows(site.mapping)
    with _saying(quiet=as_json) as say:
        found = scan_inbox(site, say)
    new = merged(there, draft(found, site, rare=rare_words))
    counts = {sheet: len(rows) for sheet, rows in new.items()}
    path = write_rows(site.mapping, new) if any(counts.values()) else site.mapping
    unsure = sum(
        float(row.get("confidence") or 1) < UNSURE for rows in new.values() for row in rows
    )
    data = {"site": site.id, "mapping": path, "new_rows": counts, "unsure": unsure}
    emit(data, as_json=as_json, text=_suggest_text(site, data, found.refused))


UNSURE = 0.6  # below, the workbook shows a row in red or yellow


def _suggest_text(site: Site, data: dict[str, Any], refused: tuple[str, ...]) -> str:
    """Return what was drafted and what to do next."""
    lines = [f"not read: {line}" for line in refused]
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
