"""`marmor consortium`: who takes part, and the gateway they meet at."""

from pathlib import Path
from typing import Annotated

import typer

from infra.commands.site import find_site
from infra.output import AsJson, emit, table


__all__ = ["app"]

app = typer.Typer(
    help="Set up and run the gateway that sites and analysts meet at.", no_args_is_help=True
)

Folder = Annotated[Path, typer.Argument(metavar="CONSORTIUM", help="The consortium's folder.")]
Sites = Annotated[list[str], typer.Argument(metavar="SITE...", help="Folders or names of sites.")]
Nodes = Annotated[
    list[str] | None,
    typer.Option("--site", help="Also the node of this site, when its folder is here; repeatable."),
]


@app.command()
def init(
    folder: Folder,
    host: Annotated[
        str, typer.Option(help="Name or address the gateway listens on.")
    ] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="Its port.", min=1, max=65535)] = 8443,
    as_json: AsJson = False,
) -> None:
    """Make a consortium's folder: certificates, an empty roster, a first analyst's token."""
    import infra.consortium

    consortium = infra.consortium.init(folder, host=host, port=port)
    text = (
        f"Created a consortium at {consortium.url}.\n"
        f"Next: `marmor consortium enroll {folder} SITE...`, then "
        f"`marmor consortium start {folder}`."
    )
    emit({"folder": folder, "url": consortium.url}, as_json=as_json, text=text)


@app.command()
def enroll(folder: Folder, sites: Sites, as_json: AsJson = False) -> None:
    """Give sites their keys, put them on the roster, and let each pin it."""
    import infra.consortium

    roster = infra.consortium.enroll(folder, [find_site(name).folder for name in sites])
    data = {"roster": roster.digest, "sites": sorted(roster.sites)}
    text = f"{len(roster.sites)} sites on the roster, fingerprint {roster.digest[:16]}."
    emit(data, as_json=as_json, text=text)


@app.command()
def admit(
    folder: Folder,
    requests: Annotated[
        list[Path], typer.Argument(metavar="REQUEST...", help="Files of `marmor site request`.")
    ],
    replace: Annotated[
        bool, typer.Option(help="A site has made new keys: take the old ones off the roster.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Put sites that are elsewhere on the roster; then send everybody what `roster` writes.

    Compare each fingerprint with the one that the site's people read over the telephone.
    """
    import infra.consortium

    found = [
        infra.consortium.admit(folder, path.read_bytes(), replace=replace) for path in requests
    ]
    emit(dict(found), as_json=as_json, text=table("Admitted", ("site", "fingerprint"), found))


@app.command()
def roster(
    folder: Folder,
    to: Annotated[Path, typer.Option(help="The file to write; replaces an older one.")],
    as_json: AsJson = False,
) -> None:
    """Write the signed roster file that every site pins with `marmor site join`."""
    import infra.consortium

    content, mark = infra.consortium.signed_roster(folder)
    to.write_bytes(content)
    text = f"Wrote {to}, fingerprint {mark}. Send it to every site."
    emit({"file": to, "fingerprint": mark}, as_json=as_json, text=text)


@app.command()
def remove(
    folder: Folder,
    site: Annotated[str, typer.Argument(help="The site's id, as it stands on the roster.")],
    as_json: AsJson = False,
) -> None:
    """Take a site off the roster and its node key back; a gateway that runs shuts it out at once.

    The sites that stay refuse questions until they have pinned the shorter roster.
    """
    import infra.consortium

    roster = infra.consortium.remove(folder, site)
    data = {"site": site, "removed": True, "roster": roster.digest, "sites": sorted(roster.sites)}
    text = (
        f"{site} is off the roster. Now let the other {len(roster.sites)} pin it, "
        f"fingerprint {roster.digest[:16]}: enroll them again."
    )
    emit(data, as_json=as_json, text=text)


@app.command()
def renew(folder: Folder, as_json: AsJson = False) -> None:
    """Renew the gateway's certificate, valid for 398 days; restart the gateway afterwards."""
    import infra.consortium

    until = infra.consortium.renew(folder).date()
    text = f"Valid until {until}. Now stop and start the gateway; sites need do nothing."
    emit({"valid_until": str(until)}, as_json=as_json, text=text)


@app.command("add-analyst")
def add_analyst(
    folder: Folder,
    name: Annotated[str, typer.Argument(help="The analyst's name.")],
    role: Annotated[
        list[str] | None,
        typer.Option(help="analyst: asks and reads own results; operator: sees sites. Repeatable."),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Make a token for one more analyst, or operator; hand over the file that it names."""
    import infra.consortium

    path = infra.consortium.add_analyst(folder, name, tuple(role or ("analyst",)))
    emit({"analyst": name, "token": path}, as_json=as_json, text=f"Token of {name}: {path}")


@app.command("remove-analyst")
def remove_analyst(
    folder: Folder,
    name: Annotated[str, typer.Argument(help="The analyst's name.")],
    as_json: AsJson = False,
) -> None:
    """Take an analyst's token back; a gateway that runs refuses it at once."""
    import infra.consortium

    infra.consortium.remove_analyst(folder, name)
    emit({"analyst": name, "removed": True}, as_json=as_json, text=f"{name} may ask no more.")


@app.command()
def start(folder: Folder, site: Nodes = None, as_json: AsJson = False) -> None:
    """Start the gateway, and the nodes of sites whose folders are on this machine."""
    import infra.consortium

    infra.consortium.start(folder, kept=True)
    for name in site or ():
        infra.consortium.start_node(find_site(name).folder, kept=True)
    state = infra.consortium.status(folder)
    text = f"The gateway answers at {state.url} (log: {state.log})."
    emit({"url": state.url, "log": state.log}, as_json=as_json, text=text)


@app.command()
def stop(folder: Folder, site: Nodes = None, as_json: AsJson = False) -> None:
    """Stop the nodes named and the gateway."""
    import infra.consortium

    stopped = {name: infra.consortium.stop_node(find_site(name).folder) for name in site or ()}
    stopped["gateway"] = infra.consortium.stop(folder)
    lines = [f"{name}: {'stopped' if was else 'was not running'}" for name, was in stopped.items()]
    emit(stopped, as_json=as_json, text="\n".join(lines))


@app.command()
def status(folder: Folder, as_json: AsJson = False) -> None:
    """Show whether the gateway runs, and which sites are connected."""
    import infra.consortium

    state = infra.consortium.status(folder)
    data = {"url": state.url, "running": state.pid is not None, "sites": dict(state.sites)}
    title = f"{state.url}: {'runs' if state.pid is not None else 'is not running'}"
    emit(data, as_json=as_json, text=table(title, ("site", "node"), sorted(state.sites.items())))
