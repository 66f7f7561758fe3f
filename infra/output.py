"""How commands speak: results on standard output, as text or as JSON; errors in one place."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.box import SIMPLE_HEAD
from rich.cells import cell_len
from rich.console import Console
from rich.table import Table


__all__ = ["AsJson", "console", "emit", "errors", "table"]

LONG_WORD, SHORT_WORD = 24, 10  # characters; a short word breaks after the first column's names

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
    cells = [[str(cell) for cell in row] for row in rows]
    widths = _widths([columns, *cells], console.width - 3 * len(columns) - 1)
    for index, column in enumerate(columns):
        # The name in the first column is what a person types next: it breaks last.
        whole = index == 0 and widths[0] is None
        result.add_column(column, no_wrap=whole, overflow="fold", width=widths[index])
    for row in cells:
        result.add_row(*(cell.replace("[", r"\[") for cell in row))
    return result


def _widths(rows: Sequence[Sequence[str]], room: int) -> Sequence[int | None]:
    """Return a width for each column of a table that is too wide; words stay whole if possible.

    Beyond its longest word, each further character goes to the column whose longest cell needs
    most lines. Without an answer (the table fits, or no width would do) the widths are rich's own.
    """
    longest = [max(map(cell_len, column)) for column in zip(*rows, strict=True)]
    words = [
        max((cell_len(word) for cell in column for word in cell.split()), default=1)
        for column in zip(*rows, strict=True)
    ]
    firsts = [(longest[0], SHORT_WORD), (min(words[0], LONG_WORD), 4)]
    floors = [
        [first, *(min(word, cap) for word in words[1:])]
        for first, least in firsts
        for cap in range(LONG_WORD, least, -1)
    ]
    widths = next((widths for widths in floors if sum(widths) <= room), None)
    if sum(longest) <= room or widths is None:
        return [None] * len(longest)
    for _ in range(room - sum(widths)):
        lines = [long / width for long, width in zip(longest, widths, strict=True)]
        widths[lines.index(max(lines))] += 1
    return widths


def _plain(value: object) -> object:
    """Turn what JSON does not know into what it does."""
    if isinstance(value, Path):
        return str(value)
    if isinstance(value, Mapping):
        return dict(value)
    raise TypeError(f"cannot print a {type(value).__name__} as JSON")
