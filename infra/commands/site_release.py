"""`marmor site releases|verify|diff|export|withdraw|purge`: what becomes of published data."""

import dataclasses
import getpass
import sys
from pathlib import Path
from typing import Annotated, Any, get_args

import typer

from infra.commands.site import SiteArgument, app, find_site
from infra.output import AsJson, console, emit, errors, table
from transforms.errors import ReleaseError, SetupError
from transforms.site import Site, current_release


__all__: list[str] = []

ReleaseArgument = Annotated[
    str | None, typer.Argument(metavar="RELEASE", help="A release; the current one if none.")
]


@app.command()
def releases(name: SiteArgument, as_json: AsJson = False) -> None:
    """List a site's releases, oldest first: published when, by whom, from what, intact or not."""
    from transforms.release import releases as list_releases

    site = find_site(name)
    rows = [_listed(site, release_id) for release_id in list_releases(site)]
    columns = ("release", "state", "published", "from run", "holds", "made with")
    cells = [
        (
            row["release"],
            _state(row),
            _published(row),
            row["run"],
            f"{row['persons']} persons, {row['rows']} rows, {row['bytes'] / 1e6:.1f} MB",
            f"dictionary {row['dictionary_version']}, mapping {row['mapping_version'] or '–'}",
        )
        for row in rows
    ]
    emit(rows, as_json=as_json, text=table(f"Releases of {site.id}", columns, cells))


def _state(row: dict[str, Any]) -> str:
    """Return whether a release is in force and as it was published."""
    parts = ["current"] if row["current"] else []
    parts += [] if row["intact"] else ["NOT INTACT"]
    return ", ".join(parts) or "intact"


def _published(row: dict[str, Any]) -> str:
    """Return when a release was published, to the minute, and who accepted it."""
    return f"{str(row['published'] or '–')[:16].replace('T', ' ')} by {row['accepted_by'] or '–'}"


def _listed(site: Site, release_id: str) -> dict[str, Any]:
    """Return what the list says of one release."""
    from transforms.manifest import read_manifest
    from transforms.release import verify as verify_release

    manifest = read_manifest(site.releases / release_id)
    try:
        verify_release(site, release_id)
        intact = True
    except ReleaseError:
        intact = False
    files = manifest["files"]
    tables = {path: file for path, file in files.items() if path.startswith("tables/")}
    return {
        "release": release_id,
        "current": release_id == current_release(site),
        "published": manifest.get("published"),
        "accepted_by": manifest.get("decision", {}).get("who"),
        "run": manifest["run_id"],
        "persons": tables.get("tables/person.parquet", {}).get("rows", 0),
        "rows": sum(file["rows"] for file in tables.values()),
        "dictionary_version": manifest.get("dictionary_version"),
        "mapping_version": manifest.get("mapping_version"),
        "bytes": sum(file["bytes"] for file in files.values()),
        "held_until": (manifest.get("hold") or {}).get("until"),
        "intact": intact,
    }


@app.command()
def verify(name: SiteArgument, release: ReleaseArgument = None, as_json: AsJson = False) -> None:
    """Check every file of a release against its manifest."""
    from transforms.release import verify as verify_release

    site = find_site(name)
    verified = release or current_release(site)
    verify_release(site, release)
    data = {"site": site.id, "release": verified, "intact": True}
    emit(data, as_json=as_json, text=f"{site.id}: {verified} is intact.")


@app.command()
def diff(
    name: SiteArgument,
    first: Annotated[str, typer.Argument(metavar="FIRST", help="A release.")],
    second: ReleaseArgument = None,
    as_json: AsJson = False,
) -> None:
    """Say what changed from one release to another: inputs, mapping, dictionary, rows by key.

    Counts only, never a value; but of single patients, so for the centre alone.
    """
    from transforms.releases_diff import diff_releases

    site = find_site(name)
    other = second or current_release(site)
    if other is None:
        raise ReleaseError(f"{site.id}: there is no release yet; run the site's pipeline first")
    found = diff_releases(site, first, other)
    changed = [what for what, differs in found.made_from.items() if differs]
    title = f"{found.first} → {found.second}; changed: {', '.join(changed) or 'nothing'}"
    rows = [(name, *dataclasses.astuple(counts)) for name, counts in found.tables.items()]
    columns = ("table", "added", "removed", "changed", "same")
    emit(dataclasses.asdict(found), as_json=as_json, text=table(title, columns, rows))


@app.command()
def export(
    name: SiteArgument,
    to: Annotated[Path, typer.Option(help="A folder that is not there yet.")],
    release: ReleaseArgument = None,
    kind: Annotated[str, typer.Option("--format", help="parquet, csv or duckdb.")] = "parquet",
    as_json: AsJson = False,
) -> None:
    """Copy a release for the centre's own use. The copy holds patients' rows: guard it.

    A later withdrawal does not reach a copy; whoever made it deletes the patient there too.
    """
    from transforms.release_copy import Format, copy_release

    if kind not in get_args(Format):
        raise SetupError(f"--format {kind}: use one of {', '.join(get_args(Format))}")
    site = find_site(name)
    wanted = release or current_release(site)
    if wanted is None:
        raise ReleaseError(f"{site.id}: there is no release yet; run the site's pipeline first")
    place = copy_release(site, wanted, to, kind)  # type: ignore[arg-type]
    errors.print(
        f"marmor: {place} holds rows of patients, with dates and pseudonyms: keep it inside the "
        "centre, and delete it when it is no longer needed",
        markup=False,
    )
    data = {"site": site.id, "release": wanted, "folder": place, "format": kind}
    emit(data, as_json=as_json, text=f"{site.id}: {wanted} copied to {place}.")


@app.command()
def withdraw(
    name: SiteArgument,
    patient: Annotated[
        str,
        typer.Argument(
            metavar="PATIENT",
            help="The centre's own number of the patient; - (or nothing) to be asked for it, so "
            "that it stands in no history.",
        ),
    ] = "-",
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask whether to go on.")] = False,
    ahead: Annotated[
        bool, typer.Option("--ahead", help="Keep out a patient whom nothing here knows yet.")
    ] = False,
    by: Annotated[str, typer.Option(help="Who withdraws the patient; kept in the audit.")] = "",
    as_json: AsJson = False,
) -> None:
    """Take a patient out for good: a new release without them, everything older purged.

    Gone afterwards: all other releases, the inbox (or only the patient's own files in it), work,
    quarantine, reports and reviews. What was published in sums stays. Crash-safe: if it stops, call
    it again, or let the next run complete it. Exit code 13 when nobody of that number is known.
    """
    from transforms.withdrawal import withdraw as take_out

    site = find_site(name)
    local_id = _asked() if patient == "-" else patient
    if not local_id.strip():
        raise SetupError("no patient was named; give the number as the id column has it")
    if not yes:
        _confirm(site, as_json=as_json)
    done = take_out(
        site, local_id, by=by or _user(), ahead=ahead,
        on_wait=lambda: errors.print("marmor: waiting for a run to end its step …"),
    )  # fmt: skip
    data = {
        "site": site.id,
        "release": done.release,
        "purged": dict(done.purged),
        "inbox_emptied": done.inbox_emptied,
        "again": done.again,
        "left": [str(path) for path in done.left],
    }
    emit(data, as_json=as_json, text=_told(site, data))
    if done.left:
        raise ReleaseError(
            "\n".join(
                f"{site.folder / path}: still holds the patient's number" for path in done.left
            )
            + "\nlook into these files and take it out there; Marmor does not change them"
        )


def _asked() -> str:
    """Ask for the patient's number without showing it, or read a line of standard input."""
    if sys.stdin.isatty():
        return str(typer.prompt("Patient's number", hide_input=True, confirmation_prompt=True))
    return sys.stdin.readline().rstrip("\r\n")


def _confirm(site: Site, *, as_json: bool) -> None:
    """Show what will happen and ask; end with code 1 when the answer is no."""
    if as_json or not sys.stdin.isatty():
        raise SetupError("withdraw deletes for good: add --yes where nobody can be asked")
    from transforms.release import releases as list_releases

    console.print(
        f"{site.id}: this makes a release without the patient and deletes for good "
        f"{len(list_releases(site))} releases, all work, quarantine, reports and reviews, and the "
        f"files in {site.inbox} that hold the patient (all of them, where the patient stands among "
        "others).",
        markup=False,
    )
    typer.confirm("Go on?", abort=True)


def _user() -> str:
    """Return who is logged in, as far as the machine knows."""
    try:
        return getpass.getuser()
    except (OSError, KeyError):
        return "unknown"


def _told(site: Site, data: dict[str, Any]) -> str:
    """Say what a withdrawal came to and what to do next; never who withdrew."""
    if data["again"]:
        return f"{site.id}: the patient withdrew before; nothing was left to take out."
    if not data["purged"]:
        return f"{site.id}: the patient is kept out from now on; nothing here knew them."
    gone = ", ".join(f"{count} {kind}" for kind, count in data["purged"].items() if count)
    lines = [f"{site.id}: the patient is out. Deleted: {gone or 'nothing more'}."]
    if data["release"]:
        lines.append(
            f"{data['release']} is current. It answers the consortium again when 7 other patients "
            "have changed, or from the next quarter on."
        )
    if data["inbox_emptied"]:
        lines.append(f"The inbox was emptied: export again without the patient into {site.inbox}.")
    lines.append("Backups and copies made with `marmor site export` are yours to clean.")
    return "\n".join(lines)


@app.command()
def purge(
    name: SiteArgument,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Only say what would be deleted.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Delete what need not be kept (site.toml says how long). Runs do it by themselves.

    Never the current release, the audit chain, the ledger, tombstones or keys.
    """
    from transforms.retention import outdated
    from transforms.retention import purge as take_away

    site = find_site(name)
    gone = outdated(site) if dry_run else take_away(site)
    rows = [(str(item.path), item.reason) for item in gone if item.kind != "inbox file"]
    inbox = [item for item in gone if item.kind == "inbox file"]
    if inbox:
        rows.append((f"inbox: {len(inbox)} files", inbox[0].reason))
    data = {
        "site": site.id,
        "dry_run": dry_run,
        "paths": [path for path, _ in rows if not path.startswith("inbox: ")],
        "inbox_files": len(inbox),
    }
    title = f"{site.id}: {'would be deleted' if dry_run else 'deleted'}"
    text = table(title, ("what", "why"), rows) if rows else f"{site.id}: nothing to delete."
    emit(data, as_json=as_json, text=text)
