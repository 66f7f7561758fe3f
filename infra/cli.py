"""The `marmor` command: one umbrella over the two environments.

A command that belongs to the other environment is started there as a process, so that a person
types `marmor` and need not know that Airflow and Flower cannot live together.
"""

import importlib.metadata
import subprocess
import sys
import traceback
from collections.abc import Mapping
from typing import Annotated

import typer

from infra.commands import (
    consortium,
    consortium_ledger,  # noqa: F401 - adds its commands to `consortium`
    demo,
    dictionary,
    quality,
    query,
    site,
    site_joining,  # noqa: F401 - adds its commands to `site`
    site_ledger,  # noqa: F401 - adds its commands to `site`
    site_mapping,  # noqa: F401 - likewise
    site_release,  # noqa: F401 - likewise
)
from infra.environments import Environment, is_current, python
from infra.output import errors
from transforms.errors import SetupError, UserError


__all__ = ["app", "main"]

app = typer.Typer(
    name="marmor",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
)
app.add_typer(demo.app, name="demo", rich_help_panel="Try it")
app.add_typer(site.app, name="site", rich_help_panel="Site data managers")
app.add_typer(dictionary.app, name="dictionary", rich_help_panel="Site data managers")
app.add_typer(quality.app, name="quality", rich_help_panel="Data quality reviewers")
app.add_typer(query.app, name="query", rich_help_panel="Consortium analysts")
app.add_typer(consortium.app, name="consortium", rich_help_panel="Consortium operators")

# Groups that need one environment; the others run in either.
NEEDS: Mapping[str, Environment] = {
    "demo": "site",
    "site": "site",
    "quality": "site",
    "query": "federation",
    "consortium": "federation",
}


def _version(wanted: bool) -> None:
    """Print the version and end, when `wanted`."""
    if wanted:
        typer.echo(f"marmor {importlib.metadata.version('marmor')}")
        raise typer.Exit


@app.callback()
def _umbrella(
    version: Annotated[
        bool,
        typer.Option("--version", callback=_version, is_eager=True, help="Show the version."),
    ] = False,
) -> None:
    """Federated multi-centre data pipeline for osteopetrosis: raw data never leaves a centre."""


def main() -> None:
    """Run `marmor`; a user's mistake ends with one line per problem and its own exit code."""
    try:
        _run(sys.argv[1:])
    except UserError as error:
        for line in str(error).splitlines():
            errors.print(f"marmor: {line}", markup=False)
        sys.exit(error.exit_code)
    except KeyboardInterrupt:
        errors.print("marmor: interrupted")
        sys.exit(130)
    except Exception as error:
        if isinstance(error, OSError) and error.filename is not None:
            hint = "look at the path, at who may read and write there, and at the room on the disk"
            errors.print(f"marmor: {error.filename}: {error.strerror}; {hint}", markup=False)
            sys.exit(SetupError.exit_code)
        errors.print(f"marmor: {_unexpected(error)}", markup=False)
        sys.exit(UserError.exit_code)


def _unexpected(error: Exception) -> str:
    """Say what kind of error it was and where; its text may quote a patient's cell."""
    frames = traceback.extract_tb(error.__traceback__)[-4:]
    where = " < ".join(f"{frame.name}:{frame.lineno}" for frame in reversed(frames))
    return (
        f"stopped on an error that nobody expected ({type(error).__name__} at {where}); what was "
        "published stays in place. Tell the developers this line: it holds nothing of a patient"
    )


def _run(arguments: list[str]) -> None:
    """Run the command here, or in the environment that it belongs to."""
    needed = NEEDS.get(arguments[0]) if arguments else None
    if needed is not None and not is_current(needed):
        _elsewhere(needed, arguments)
    try:
        app(args=arguments, prog_name="marmor")
    except SystemExit as end:
        if end.code == 130:  # Typer's word for Ctrl-C
            raise KeyboardInterrupt from None
        raise


def _elsewhere(environment: Environment, arguments: list[str]) -> None:
    """Run the command in `environment` and end with its exit code."""
    try:
        command = [str(python(environment)), "-m", "infra.cli", *arguments]
    except SetupError:
        if {"--help", "-h"} & set(arguments):
            return
        raise
    with subprocess.Popen(command) as process:
        while True:
            try:
                sys.exit(process.wait())
            except KeyboardInterrupt:
                # The child got the same Ctrl-C from the terminal and is cleaning up.
                continue


if __name__ == "__main__":
    main()
