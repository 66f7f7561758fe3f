"""`marmor site ledger`: what the consortium asked this centre, and whether the memory is whole."""

import json
from pathlib import Path
from typing import Annotated, Any

import typer

from federated.ledger import Entry, Ledger, heads_of, lacking
from infra.commands.site import SiteArgument, app, find_site
from infra.output import AsJson, emit, table
from transforms.errors import ConsortiumError, SetupError
from transforms.site import Site


__all__ = ["ledger"]

ledger = typer.Typer(help="Read what was asked of a site and answered.", no_args_is_help=True)
app.add_typer(ledger, name="ledger")


@ledger.command()
def verify(
    name: SiteArgument,
    against: Annotated[
        list[Path] | None,
        typer.Option(help="Ledger of another site or of the coordinator, or an export of one."),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Check the chain from end to end, and that it holds what others saw of it.

    Exit code 23 when an entry was changed, cut off, or the ledger written anew.
    """
    site = find_site(name)
    entries = _entries(site)
    witnesses = _check_witnesses(site, against or [])
    head = str(entries[-1]["hash"]) if entries else ""
    data = {"site": site.id, "entries": len(entries), "head": head, "intact": True}
    text = f"{site.id}: {len(entries)} entries, chain intact" + (
        f", head {head[:12]}" if head else ""
    )
    seen = f"; holds all {witnesses} heads that others saw" if witnesses else ""
    emit({**data, "witnesses": witnesses}, as_json=as_json, text=text + seen)


@ledger.command()
def show(name: SiteArgument, as_json: AsJson = False) -> None:
    """List what was answered: when, which question, of which release, with which other sites."""
    site = find_site(name)
    entries = [dict(entry) for entry in _entries(site)]
    rows = [_row(entry) for entry in entries if entry["event"] == "spent"]
    columns = ("when (UTC)", "analysis", "of", "with", "cohort", "release", "round", "sites")
    emit(entries, as_json=as_json, text=table(f"Answered by {site.id}", columns, rows))


@ledger.command()
def export(
    name: SiteArgument,
    to: Annotated[Path, typer.Option(help="The file to write; it must not be there yet.")],
    as_json: AsJson = False,
) -> None:
    """Copy the checked ledger into a file, one JSON line per entry, for whoever audits it."""
    site = find_site(name)
    entries = _entries(site)
    try:
        with to.open("x", encoding="utf-8") as file:
            file.writelines(json.dumps(entry, sort_keys=True) + "\n" for entry in entries)
    except FileExistsError:
        raise SetupError(f"{to}: is there already; name another file") from None
    data = {"site": site.id, "entries": len(entries), "file": to}
    emit(data, as_json=as_json, text=f"{site.id}: wrote {len(entries)} entries to {to}.")


def _check_witnesses(site: Site, others: list[Path]) -> int:
    """Check the heads that others saw, and return how many; ConsortiumError when one is missing."""
    heads = [head for path in others for head in heads_of(site.id, path)]
    if (
        not (site.ledger / "ledger.jsonl").is_file()
        and not (site.ledger / "witness.json").is_file()
    ):
        if any(head.entries for head in heads):
            raise ConsortiumError(f"{site.ledger}: others have seen entries and none is here")
        return len(heads)
    ledger = Ledger(site.ledger)
    heads += [head for head in [ledger.witnessed()] if head is not None]
    for head in heads:
        if not ledger.holds(head):
            raise lacking(ledger.path, head)
    return len(heads)


def _entries(site: Site) -> tuple[Entry, ...]:
    """Return the site's checked entries; none, and nothing made, before the first question."""
    if not (site.ledger / "ledger.jsonl").is_file():
        return ()
    return Ledger(site.ledger).entries()


def _row(entry: dict[str, Any]) -> tuple[object, ...]:
    """Tell one answer in a line."""
    body = entry["body"]
    words = body.get("words", {})
    parameters = ", ".join(f"{k}: {_brief(v)}" for k, v in words.get("parameters", {}).items() if v)
    return (
        str(entry["time"])[:16],
        words.get("analysis", body["question"][:12]),
        words.get("view", "–"),
        parameters or "–",
        _brief(words.get("cohort")) if words.get("cohort") else "everybody",
        body["release"],
        body["round"],
        ", ".join(body["survivors"]),
    )


def _brief(value: object) -> str:
    """Write a parameter as a person would."""
    if isinstance(value, list):
        return " × ".join(map(str, value))
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
