"""`marmor quality`: what a reviewer reads and decides."""

import json
from typing import Annotated, Any

import typer

from infra.commands.site import SiteArgument, find_site
from infra.output import AsJson, emit, table
from transforms.errors import ReviewError
from transforms.site import Site


__all__ = ["app"]

app = typer.Typer(help="Read validation reports and decide on runs.", no_args_is_help=True)

RunArgument = Annotated[
    str, typer.Argument(metavar="RUN", help="A run, as `quality report` names it.")
]
By = Annotated[str, typer.Option(help="Who decides.")]
Reason = Annotated[str, typer.Option(help="Why; kept in the release's manifest.")]


@app.command()
def report(
    name: SiteArgument,
    run: Annotated[str | None, typer.Argument(help="A run; the latest one if none.")] = None,
    as_json: AsJson = False,
) -> None:
    """Show a run's verdict by Kahn category, and where its report page is."""
    site = find_site(name)
    run_id = run or _latest(site)
    path = site.reports / run_id / "validation.json"
    if not path.is_file():
        raise ReviewError(f"{site.id}: run {run_id} has no report; see {site.reports}")
    validation: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    emit(validation, as_json=as_json, text=_summary(site, run_id, validation))


def _latest(site: Site) -> str:
    """Return the run whose report was written last."""
    reports = sorted(site.reports.glob("*/validation.json"), key=lambda path: path.stat().st_mtime)
    if not reports:
        raise ReviewError(f"{site.id}: no run has a report yet; start one with `marmor site run`")
    return reports[-1].parent.name


def _summary(site: Site, run_id: str, validation: dict[str, Any]) -> object:
    """Return the verdict, what was decided since, and the Kahn categories as a table."""
    from expectations.review import decision

    rows = [
        (category, counts["passed"], counts["failed"])
        for category, counts in validation["categories"].items()
    ]
    taken = decision(site, run_id)
    since = f", {taken.outcome} by {taken.who} on {taken.when[:10]}" if taken else ""
    page = site.reports / run_id / "report.html"
    title = f"{site.id} {run_id}: {validation['verdict']}{since} · {page}"
    return table(title, ("category", "passed", "failed"), rows)


@app.command()
def accept(
    name: SiteArgument, run: RunArgument, by: By, reason: Reason, as_json: AsJson = False
) -> None:
    """Accept a run that waits: its next step publishes it."""
    from expectations.review import accept as record

    site = find_site(name)
    decision = record(site, run, by=by, reason=reason)
    text = f"{site.id}: {run} accepted; Airflow goes on by itself, or `marmor site run {name}`."
    emit(decision.as_mapping(), as_json=as_json, text=text)


@app.command()
def reject(
    name: SiteArgument, run: RunArgument, by: By, reason: Reason, as_json: AsJson = False
) -> None:
    """Send a run back: the data manager fixes the source, the last good release stays."""
    from expectations.review import reject as record

    site = find_site(name)
    decision = record(site, run, by=by, reason=reason)
    emit(decision.as_mapping(), as_json=as_json, text=f"{site.id}: {run} sent back.")
