"""`marmor site scan`, `suggest` and `check`: from unknown files to a mapping that runs."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from rich.console import Group
from rich.text import Text

from infra.commands.site import SiteArgument, app, find_site
from infra.output import AsJson, console, emit, table
from transforms.durable import write_json, write_text
from transforms.site import Site


if TYPE_CHECKING:
    from transforms.scan import Scan, TableScan

__all__ = ["scan"]


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
