"""How commands speak: results on standard output, as text or as JSON; errors in one place."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table


__all__ = ["AsJson", "console", "emit", "errors", "table"]

AsJson = Annotated[bool, typer.Option("--json", help="Print machine-readable JSON instead.")]

console = Console(highlight=False, soft_wrap=True)
errors = Console(stderr=True, highlight=False, soft_wrap=True)


def emit(data: Any, *, as_json: bool, text: object) -> None:
    """Print `data` as JSON with sorted keys, or `text` (anything rich can print) for a person."""
    if as_json:
        typer.echo(json.dumps(data, sort_keys=True, indent=2, default=_plain))
    else:
        console.print(text)


def table(title: str, columns: Sequence[str], rows: Sequence[Sequence[object]]) -> Table:
    """Return a table for `emit`; cells are printed as they are, never read as markup."""
    result = Table(title=title, title_justify="left", title_style="bold", box=SIMPLE_HEAD)
    for index, column in enumerate(columns):
        # The name in the first column is what a person types next: never broken.
        result.add_column(column, no_wrap=index == 0, overflow="fold")
    for row in rows:
        result.add_row(*(str(cell).replace("[", r"\[") for cell in row))
    return result


def _plain(value: object) -> object:
    """Turn what JSON does not know into what it does."""
    if isinstance(value, Path):
        return str(value)
    if isinstance(value, Mapping):
        return dict(value)
    raise TypeError(f"cannot print a {type(value).__name__} as JSON")
