"""`marmor site request` and `join`: how a centre takes part in a consortium that is elsewhere."""

from pathlib import Path
from typing import Annotated

import typer

from infra.commands.site import SiteArgument, app, find_site
from infra.output import AsJson, emit, table
from transforms.errors import ConsortiumError, SetupError


__all__ = ["join", "request"]


@app.command()
def request(
    name: SiteArgument,
    to: Annotated[Path, typer.Option(help="The file to write; it must not be there yet.")],
    as_json: AsJson = False,
) -> None:
    """Write the file with which the site asks to take part: public keys, for the operator.

    Makes the site's keys when there are none; the private ones stay in its keys/ folder.
    """
    import infra.consortium

    site = find_site(name)
    if to.exists():
        raise SetupError(f"{to}: is there already; name another file")
    content, mark = infra.consortium.request(site)
    to.write_bytes(content)
    text = (
        f"Wrote {to}. Send it to the consortium's operator, and read them this fingerprint over "
        f"the telephone:\n  {mark}"
    )
    emit({"site": site.id, "file": to, "fingerprint": mark}, as_json=as_json, text=text)


@app.command()
def join(
    name: SiteArgument,
    file: Annotated[Path, typer.Argument(help="The roster file that the operator has sent.")],
    fingerprint: Annotated[
        str | None,
        typer.Option(help="The file's fingerprint, once compared; without it nothing is pinned."),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Pin who takes part in the consortium: first look and compare, then confirm.

    A node that runs holds to it from the next question on.
    """
    import infra.consortium
    from federated.roster import fingerprint as mark

    site = find_site(name)
    try:
        content = file.read_bytes()
    except OSError as error:
        raise ConsortiumError(f"{file}: cannot be read ({error.strerror})") from None
    if fingerprint is None:
        found = infra.consortium.review(site, content)
        hint = (
            f"Nothing is pinned yet. Compare {found.fingerprint} with another site over the "
            f'telephone, then run this again with --fingerprint "{found.fingerprint}".'
        )
    else:
        found = infra.consortium.join(site, content, fingerprint)
        hint = f"{site.id} holds to this roster. Connect with `marmor site connect {name}`."
    sites = {member: mark(key) for member, key in found.roster.sites.items()}
    data = {
        "site": site.id,
        "pinned": fingerprint is not None,
        "fingerprint": found.fingerprint,
        "gateway": found.gateway,
        "sites": sites,
    }
    rows = sorted(sites.items())
    emit(data, as_json=as_json, text=table(found.gateway, ("site", "fingerprint of its key"), rows))
    if not as_json:
        emit({}, as_json=False, text=hint)
