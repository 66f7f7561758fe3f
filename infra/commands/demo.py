"""`marmor demo`: try everything on a synthetic consortium."""

import time
from collections.abc import Iterator
from pathlib import Path
from shlex import quote
from typing import TYPE_CHECKING, Annotated

import typer

from infra.environments import ROOT
from infra.output import AsJson, console, emit


if TYPE_CHECKING:
    from infra.demo.run import Demo
    from infra.site.airflow import AirflowStack


__all__ = ["app"]

app = typer.Typer(help="Try everything on a synthetic consortium.", no_args_is_help=True)

Folder = Annotated[Path, typer.Option(help="Where the demo lives.")]
DEFAULT = ROOT / "build" / "demo"
REQUESTS = ROOT / "infra" / "demo" / "requests"


@app.command()
def run(
    folder: Folder = DEFAULT,
    sites: Annotated[int, typer.Option(help="How many centres.", min=3)] = 5,
    patients: Annotated[int, typer.Option(help="How many patients each.", min=1)] = 120,
    seed: Annotated[int, typer.Option(help="Same seed, same patients.")] = 1,
    keep: Annotated[bool, typer.Option("--keep", help="Leave everything running.")] = False,
    prepared: Annotated[
        bool, typer.Option("--prepared", help="Take the centres that are in the folder already.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Run the main job: the centres' raw files to federated answers with pictures."""
    from infra.demo.run import Demo, run_demo
    from infra.output import errors
    from infra.progress import Progress

    began = time.monotonic()
    demo = Demo(folder.resolve())
    with Progress(errors if as_json else console) as progress:
        stack = run_demo(
            demo,
            progress,
            sites=sites,
            patients=patients,
            seed=seed,
            keep=keep,
            prepared=prepared,
        )
    kept = _kept(demo, stack) if keep else {}
    made = _made(demo)
    text = "\n".join([f"\nDone in {time.monotonic() - began:.0f} s.", *_lines(made, kept)])
    emit({**made, **kept}, as_json=as_json, text=text)


def _made(demo: "Demo") -> dict[str, list[str]]:
    """Return where results, pictures and reports are."""
    return {
        "results": sorted(str(path) for path in demo.results.glob("*.json")),
        "pictures": sorted(str(path) for path in demo.results.glob("*.png")),
        "reports": [str(path) for path in demo.reports],
    }


def _kept(demo: "Demo", stack: "AirflowStack") -> dict[str, str]:
    """Return addresses and the account of what goes on running, and the variables to set."""
    from infra.demo.run import connection

    name, password = stack.account
    account = {"AIRFLOW": stack.url, "USER": name, "PASSWORD": password}
    return {**account, "MARMOR_HOME": str(demo.sites), **connection(demo)}


def _lines(made: dict[str, list[str]], kept: dict[str, str]) -> Iterator[str]:
    """Say where everything is; what goes on running, how to use it and how to stop it."""
    for title, paths in made.items():
        yield f"\n{title.capitalize()}:"
        yield from (f"  {path}" for path in paths)
    if kept:
        yield f"\nAirflow runs at {kept['AIRFLOW']}"
        yield f"  user      {kept['USER']}"
        yield f"  password  {kept['PASSWORD']}"
        yield "\nThe federation runs. To use it yourself, paste:"
        yield f"  source {quote(str(ROOT / '.venv' / 'federation' / 'bin' / 'activate'))}"
        names = [name for name in kept if name.startswith("MARMOR_")]
        yield from (f"  export {name}={quote(kept[name])}" for name in names)
        few = len(made["reports"]) < 5
        hint = "   # after setting its minimum_sites to 3" if few else ""
        yield f"  marmor query run {quote(str(REQUESTS / 'crosstab.toml'))}{hint}"
        yield "\nTo stop everything:"
        yield f"  {_stopping(Path(kept['MARMOR_HOME']).parent)}"


def _stopping(folder: Path) -> str:
    """Return how to stop the demo in `folder`, to be pasted anywhere."""
    option = "" if folder == DEFAULT else f" --folder {quote(str(folder))}"
    return f"{quote(str(ROOT / '.venv' / 'site' / 'bin' / 'marmor'))} demo stop{option}"


@app.command()
def stop(folder: Folder = DEFAULT, as_json: AsJson = False) -> None:
    """Stop what `marmor demo run --keep` left running."""
    from infra.demo.run import Demo, stop_demo

    stopped = stop_demo(Demo(folder.resolve()))
    text = "Stopped." if stopped else f"Nothing was running in {folder}."
    emit({"stopped": stopped}, as_json=as_json, text=text)


@app.command()
def synthesize(
    out: Annotated[Path, typer.Option(help="The folder to make.")],
    sites: Annotated[int, typer.Option(help="How many centres.", min=1)] = 5,
    patients: Annotated[int, typer.Option(help="How many patients each.", min=1)] = 120,
    seed: Annotated[int, typer.Option(help="Same seed, same bytes.")] = 1,
    unmapped: Annotated[
        bool,
        typer.Option("--unmapped", help="Four centres with home-made files and no mapping."),
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Make synthetic centres: raw files in five national formats, mappings, and the truth."""
    from infra.demo.homemade import synthesize_unmapped
    from infra.demo.synthesize import synthesize as make
    from transforms.errors import SetupError

    if out.exists() and (out.is_file() or any(out.iterdir())):
        raise SetupError(f"{out}: is not an empty folder; give a new one")
    if unmapped:
        folders = synthesize_unmapped(patients, seed, out)
        made = [folder.name for folder in folders]
        text = (
            f"Made {', '.join(made)} in {out}, without a mapping; what is true of them is in "
            f"{out / 'truth'}.\nNext: `marmor site scan {quote(str(folders[0]))}`."
        )
        emit({"folder": out, "sites": made}, as_json=as_json, text=text)
        return
    consortium = make(sites=sites, patients=patients, seed=seed, out=out)
    names = list(consortium.sites)
    text = (
        f"Made {', '.join(names)} in {out}; what was made wrong on purpose is in {out / 'truth'}."
    )
    emit({"folder": out, "sites": names}, as_json=as_json, text=text)
