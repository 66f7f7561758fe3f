"""`marmor query`: ask the consortium, read and plot the answers, rehearse."""

import re
from pathlib import Path
from typing import Annotated, Literal

import typer

from federated.analysis import suggest
from federated.catalogue import catalogue
from federated.client import Client
from federated.request import load_request
from federated.results import Result
from infra.answers import answer, draw, write
from infra.output import AsJson, console, emit, table
from transforms.errors import ConsortiumError, RequestError


__all__ = ["app"]

app = typer.Typer(help="Ask federated questions and publish the answers.", no_args_is_help=True)

RequestFile = Annotated[Path, typer.Argument(metavar="REQUEST", help="A .toml or .json file.")]
Gateway = Annotated[
    str, typer.Option(envvar="MARMOR_GATEWAY", help="Address, such as https://gateway:8443.")
]
TokenFile = Annotated[
    Path, typer.Option("--token", envvar="MARMOR_TOKEN", help="The file that holds your token.")
]
Ca = Annotated[
    Path, typer.Option(envvar="MARMOR_CA", help="The consortium's certificate (ca.pem).")
]
Out = Annotated[Path | None, typer.Option(help="Write result, PNG and SVG into this folder.")]


@app.command()
def run(
    request: RequestFile,
    gateway: Gateway,
    token: TokenFile,
    ca: Ca,
    out: Out = None,
    as_json: AsJson = False,
) -> None:
    """Ask a question; the same question of the same releases is answered from the store."""
    question = load_request(request)
    with _client(gateway, token, ca) as client:
        _tell(client.run(question), request.stem, out, as_json=as_json)


@app.command()
def preflight(
    request: RequestFile, gateway: Gateway, token: TokenFile, ca: Ca, as_json: AsJson = False
) -> None:
    """Ask which sites would answer a question, before anything is computed."""
    question = load_request(request)
    with _client(gateway, token, ca) as client:
        report = client.preflight(question)
    rows = [
        (item["kind"].replace("_", " "), item["sites"], item["rule"] or "–", item["remedy"] or "–")
        for item in report["verdicts"]
    ]
    verdict = "can be answered" if report["answerable"] else "cannot be answered now"
    title = f"{request.stem}: {verdict}; {report['needed_sites']} sites are needed"
    columns = ("verdict", "sites", "rule", "what to do")
    emit(report, as_json=as_json, text=table(title, columns, rows))
    if not as_json:
        console.print(f"Policy: {report['policy']['profile']}.")
        for remedy in report["would_pass"]:
            console.print(f"Would be allowed: {remedy['words']}.")


@app.command()
def show(
    digest: Annotated[str, typer.Argument(help="A result's digest, or its first 8 digits.")],
    gateway: Gateway,
    token: TokenFile,
    ca: Ca,
    out: Out = None,
    as_json: AsJson = False,
) -> None:
    """Show one of your earlier results."""
    if not re.fullmatch("[0-9a-f]{8,64}", digest):
        raise RequestError(
            f"{digest}: a result is named by 8 to 64 of the digits 0-9 and a-f; see `query list`"
        )
    with _client(gateway, token, ca) as client:
        _tell(client.get(digest), digest[:8], out, as_json=as_json)


@app.command("list")
def list_results(gateway: Gateway, token: TokenFile, ca: Ca, as_json: AsJson = False) -> None:
    """List your earlier results, newest first."""
    with _client(gateway, token, ca) as client:
        results = client.list()
    rows = [(item["digest"][:12], item["analysis"], item["answered_at"]) for item in results]
    text = table("Results", ("digest", "analysis", "answered"), rows)
    emit([dict(item) for item in results], as_json=as_json, text=text)


@app.command()
def rehearse(
    request: RequestFile,
    releases: Annotated[
        list[Path], typer.Argument(metavar="RELEASE...", help="Release folders that you hold.")
    ],
    gate: Annotated[
        Literal["on", "off"], typer.Option(help="off gives exact numbers: you hold the rows.")
    ] = "on",
    out: Out = None,
    as_json: AsJson = False,
) -> None:
    """Run a question over release folders in one process: no network, the very same code."""
    from federated.rehearsal import by_site
    from federated.rehearsal import rehearse as rehearsal

    result = rehearsal(request, by_site(releases), gate=gate)
    _tell(result, request.stem, out, as_json=as_json)


@app.command()
def analyses(
    name: Annotated[str, typer.Argument(help="One analysis; none: list them all.")] = "",
    as_json: AsJson = False,
) -> None:
    """Say which analyses there are, what they read, and what each parameter means."""
    known = catalogue()["analyses"]
    if name and name not in known:
        raise RequestError(f"unknown analysis {name}{suggest(name, known)}")
    chosen = {name: known[name]} if name else known
    if name:
        item = known[name]
        views = " or ".join(item["views"]) or "no view of the dictionary"
        title = f"{item['title']}; reads {views}"
        text = table(title, ("parameter", "meaning"), list(item["parameters"].items()))
    else:
        rows = [(key, item["title"], ", ".join(item["views"])) for key, item in known.items()]
        text = table("Analyses", ("analysis", "what it gives", "reads"), rows)
    emit(chosen, as_json=as_json, text=text)


@app.command()
def plot(
    results: Annotated[
        list[Path], typer.Argument(metavar="RESULT...", help="Saved results, .json files.")
    ],
    as_json: AsJson = False,
) -> None:
    """Draw saved results again: a .png and a .svg beside each."""
    pictures = [
        picture for path in results for picture in draw(_saved(path), path.parent, path.stem)
    ]
    text = "Wrote " + ", ".join(str(picture) for picture in pictures)
    emit({"pictures": pictures}, as_json=as_json, text=text)


def _saved(path: Path) -> Result:
    """Read a saved result; RequestError when it is none."""
    try:
        return Result.from_json(path.read_bytes())
    except (OSError, ValueError, KeyError, TypeError):
        raise RequestError(f"{path}: is not a saved result; write one with --out") from None


def _client(gateway: str, token: Path, ca: Path) -> Client:
    """Return a client; a token file that is not there is the user's mistake."""
    try:
        text = token.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        raise ConsortiumError(
            f"{token}: no token to read there; ask the consortium's operator for yours"
        ) from None
    return Client(gateway, text, ca=ca)


def _tell(result: Result, name: str, out: Path | None, *, as_json: bool) -> None:
    """Print a result and, when asked, write its files."""
    if as_json:
        typer.echo(result.to_json().decode())
    else:
        console.print(answer(result))
    if out is not None:
        files = (write(result, out, name), *draw(result, out, name))
        if not as_json:
            console.print("Wrote " + ", ".join(str(path) for path in files))
