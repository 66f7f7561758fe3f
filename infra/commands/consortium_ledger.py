"""`marmor consortium ledger`: who asked what, which sites answered, and which did not and why."""

from pathlib import Path
from typing import Annotated, Any

import typer

from federated.ledger import Entry, Ledger, heads_of, lacking
from infra.commands.consortium import Folder, app
from infra.output import AsJson, emit, table
from transforms.errors import ConsortiumError


__all__ = ["ledger"]

EVENTS = ("asked", "answered", "unanswered")

ledger = typer.Typer(help="Read the coordinator's own ledger.", no_args_is_help=True)
app.add_typer(ledger, name="ledger")


@ledger.command()
def show(folder: Folder, as_json: AsJson = False) -> None:
    """List what was asked: when, by whom, which sites answered, which did not and why."""
    entries = [dict(entry) for entry in _entries(folder) if entry["event"] in EVENTS]
    columns = ("when (UTC)", "event", "question", "by", "sites", "not")
    rows = [_row(entry) for entry in entries]
    emit(entries, as_json=as_json, text=table("Asked of the consortium", columns, rows))


@ledger.command()
def verify(
    folder: Folder,
    against: Annotated[
        list[Path] | None, typer.Option(help="Ledger of a site, or an export of one; repeatable.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Check the chain from end to end, and that it holds what the sites saw of it.

    Exit code 23 when an entry was changed, cut off, or the ledger written anew.
    """
    entries = _entries(folder)
    heads = [head for path in against or [] for head in heads_of("coordinator", path)]
    if heads and not entries:
        raise ConsortiumError(f"{_place(folder)}: sites have seen entries and none is here")
    for head in heads:
        if not Ledger(_place(folder)).holds(head):
            raise lacking(_place(folder), head)
    data = {"entries": len(entries), "intact": True, "witnesses": len(heads)}
    seen = f"; holds all {len(heads)} heads that sites saw" if heads else ""
    emit(data, as_json=as_json, text=f"{len(entries)} entries, chain intact{seen}.")


def _place(folder: Path) -> Path:
    """Where the coordinator of a consortium keeps its ledger."""
    return folder / "state" / "ledger"


def _entries(folder: Path) -> tuple[Entry, ...]:
    """Return the checked entries; none, and nothing made, before the first question."""
    if not (_place(folder) / "ledger.jsonl").is_file():
        return ()
    return Ledger(_place(folder)).entries()


def _row(entry: dict[str, Any]) -> tuple[object, ...]:
    """Tell one event in a line."""
    body = entry["body"]
    sites = body.get("sites") or body.get("releases") or ()
    return (
        str(entry["time"])[:16],
        entry["event"],
        str(body["question"])[:12],
        body.get("analyst") or "–",
        ", ".join(sites) or "–",
        "; ".join(f"{site} {why}" for site, why in body.get("sites_out", {}).items()) or "–",
    )
