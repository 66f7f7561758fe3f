"""`marmor site`: a centre's own half, from the inbox to a published release."""

import os
from pathlib import Path
from typing import Annotated, Any

import typer

from infra.output import AsJson, console, emit, table
from infra.progress import Progress
from transforms.errors import SetupError
from transforms.inbox import inbox_files
from transforms.site import (
    Site,
    create_site,
    current_release,
    ids_beside,
    load_site,
    site_folders,
)


__all__ = ["SiteArgument", "app", "find_site"]

app = typer.Typer(help="Take local files to a harmonised release.", no_args_is_help=True)

SiteArgument = Annotated[
    str, typer.Argument(metavar="SITE", help="A site's folder, or its name under $MARMOR_HOME.")
]


def find_site(name: str) -> Site:
    """Return the site in folder `name`, or called `name` under $MARMOR_HOME.

    Raises SetupError that lists the sites there are.
    """
    home = Path(os.environ.get("MARMOR_HOME", "."))
    for folder in (Path(name), home / name):
        if (folder / "site.toml").is_file():
            return load_site(folder)
    known = ", ".join(folder.name for folder in site_folders(home)) or "none"
    place = f"under {home}" if "MARMOR_HOME" in os.environ else "here, as MARMOR_HOME is not set"
    raise SetupError(
        f"{name}: no site.toml there, and no site of that name {place} (sites: {known}); "
        "give a site's folder, set MARMOR_HOME, or create one with `marmor site init`"
    )


@app.command()
def init(
    folder: Annotated[Path, typer.Argument(help="The folder to make; its name is free.")],
    site_id: Annotated[str, typer.Option("--id", help="Short name, such as lyon.")],
    name: Annotated[str, typer.Option(help="The centre's full name.")],
    country: Annotated[str, typer.Option(help="ISO 3166-1 alpha-2, such as FR.")],
    language: Annotated[str, typer.Option(help="ISO 639-1, such as fr.")],
    mapping: Annotated[
        str | None,
        typer.Option(help="Write a mapping that ships: rarelink_redcap, phenopackets, fhir, omop."),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Create a site's folder: exports go into its inbox/, the mapping into its mapping/."""
    from transforms.ready import ready_names, write_ready

    if mapping is not None and mapping not in ready_names():
        raise SetupError(f"--mapping {mapping}: use one of {', '.join(ready_names())}")
    site = create_site(folder, site_id=site_id, name=name, country=country, language=language)
    if mapping is not None:
        write_ready(site.mapping, mapping)
    text = (
        f"Created {site.id} in {site.folder}.\nNext: put the centre's files into {site.inbox}, "
        f"{_mapping_step(site, mapping)}, then `marmor site run {folder}`."
    )
    emit({"site": site.id, "folder": site.folder, "mapping": mapping}, as_json=as_json, text=text)


def _mapping_step(site: Site, mapping: str | None) -> str:
    """Say what is still to be done for the mapping."""
    from transforms.ready import carries_consent

    if mapping is None:
        return (
            "have a mapping drafted with `marmor site scan` and `marmor site suggest` (a form, "
            "`marmor dictionary export --to xlsx`, needs none)"
        )
    if carries_consent(mapping):
        return "see what they hold with `marmor site check`"
    return (
        f"say in {site.mapping / 'fields.csv'} that you hold each person's consent to reuse "
        "(`marmor site check` says how)"
    )


@app.command()
def run(name: SiteArgument, as_json: AsJson = False) -> None:
    """Run the whole local half once, without Airflow: from collecting to publishing.

    The last good release stays in place whatever goes wrong.
    """
    from infra.local_run import run_site

    site = find_site(name)
    with _Steps(site, quiet=as_json) as steps:
        result = run_site(site, steps.begin, steps.at)
    data = {
        "site": site.id,
        "run": result.run_id,
        "release": result.release_id,
        "new": result.new,
        "report": site.reports / result.run_id / "report.html",
    }
    text = (
        f"Published {result.release_id}. Report: {data['report']}"
        if result.new
        else f"Nothing new in the inbox; {result.release_id} is current."
    )
    emit(data, as_json=as_json, text=text)


class _Steps:
    """The steps of a run: a live list with seconds on a terminal, otherwise a line for each."""

    def __init__(self, site: Site, *, quiet: bool) -> None:
        self._site = site
        self._quiet = quiet
        self._progress = Progress(console)

    def __enter__(self) -> "_Steps":
        if not self._quiet:
            self._progress.__enter__()
        return self

    def __exit__(self, kind: Any, error: BaseException | None, trace: Any) -> None:
        if not self._quiet:
            self._end("failed" if error else "done")
            self._progress.__exit__(kind, error, trace)

    def begin(self, name: str) -> None:
        """A step begins, the one before is done."""
        if not self._quiet:
            self._end("done")
            self._progress.add(name).begin()

    def at(self, text: str) -> None:
        """Say what the step is at."""
        if self._quiet:
            return
        self._progress.steps[-1].at(f"{text} …")
        if not console.is_terminal:
            console.print(f"{self._site.id}: {self._progress.steps[-1].title}: {text} …")

    def _end(self, state: str) -> None:
        """End the step that was at work, if there is one; what it was at is past."""
        if self._progress.steps:
            self._progress.steps[-1].at("")
            self._progress.finish(self._progress.steps[-1], state)


@app.command()
def status(
    name: Annotated[
        str | None, typer.Argument(metavar="SITE", help="One site; all under $MARMOR_HOME if none.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Show each site's release, what waits for review, files in the inbox, and its node.

    Of a node that runs, the walls around its executor: network, files, limits, user.
    """
    home = Path(os.environ.get("MARMOR_HOME", "."))
    if name:
        rows = [_state(find_site(name))]
    else:
        rows = [_state_of(folder) for folder in site_folders(home)]
    if not rows:
        place = f"in {home}" if "MARMOR_HOME" in os.environ else "here, and MARMOR_HOME is not set"
        raise SetupError(
            f"no site {place}; set MARMOR_HOME to the folder that holds the sites' folders, "
            "or create one with `marmor site init`"
        )
    columns = ("site", "release", "waits for review", "files in inbox", "node's walls", "problem")
    text = table("Sites", columns, [tuple(_cell(value) for value in row.values()) for row in rows])
    emit(rows, as_json=as_json, text=text)


def _state_of(folder: Path) -> dict[str, object]:
    """Return what `status` tells about a folder, also when its `site.toml` is broken."""
    try:
        site = load_site(folder)
    except SetupError as error:
        empty: dict[str, object] = {"inbox_files": None, "walls": None, "problem": str(error)}
        return {"site": folder.name, "release": None, "waiting": [], **empty}
    first = ids_beside(folder).get(site.id, site.folder)
    same = f"has the id of {first.name}; change one of the two in site.toml"
    return _state(site) | {"problem": same if first.resolve() != site.folder else ""}


def _state(site: Site) -> dict[str, object]:
    """Return what `status` tells about one site."""
    from expectations.review import waiting
    from infra.consortium import node_walls

    walls = node_walls(site)
    files = inbox_files(site.inbox)
    return {
        "site": site.id,
        "release": current_release(site),
        "waiting": list(waiting(site)),
        "inbox_files": len(files),
        "walls": None if walls is None else list(walls),
        "problem": "",
    }


def _cell(value: object) -> object:
    """Show a list as words and nothing as a dash."""
    return (", ".join(value) if isinstance(value, list) else value) or "–"


@app.command()
def connect(name: SiteArgument, as_json: AsJson = False) -> None:
    """Start the site's node: outbound only, it waits for requests and answers through the gate."""
    import infra.consortium

    site = find_site(name)
    infra.consortium.start_node(site.folder, kept=True)
    log = site.work / "node.log"
    emit({"site": site.id, "log": log}, as_json=as_json, text=f"{site.id}: node runs (log: {log}).")


@app.command()
def disconnect(name: SiteArgument, as_json: AsJson = False) -> None:
    """Stop the site's node; requests then count the site as absent."""
    import infra.consortium

    site = find_site(name)
    stopped = infra.consortium.stop_node(site.folder)
    text = f"{site.id}: {'stopped' if stopped else 'no node was running'}."
    emit({"site": site.id, "stopped": stopped}, as_json=as_json, text=text)
