"""One progress display for long work: which step, what it is at, how long each took."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from types import TracebackType

from rich.console import Console
from rich.live import Live
from rich.table import Table
from rich.text import Text


__all__ = ["Progress", "Step"]

MARKS = {"waits": "·", "runs": "▸", "done": "✓", "failed": "✗"}
STYLES = {"waits": "dim", "runs": "bold", "done": "green", "failed": "bold red"}


@dataclass
class Step:
    """One line of the display: what it is, what it is at, and since when."""

    title: str
    indent: int = 0
    detail: str = ""
    short: str = ""
    state: str = "waits"
    started: float | None = None
    seconds: float | None = None

    def at(self, detail: str, short: str = "") -> None:
        """Say what the step is at now; `short` stands for it where a line has too little room."""
        self.detail = detail
        self.short = short

    def begin(self) -> None:
        """Start the clock, once."""
        if self.started is None:
            self.started = time.monotonic()
            self.state = "runs"

    def end(self, state: str = "done", seconds: float | None = None) -> None:
        """Stop the clock; `seconds` overrides what the clock says."""
        self.begin()
        elapsed = time.monotonic() - (self.started or 0.0)
        self.seconds = elapsed if seconds is None else seconds
        self.state = state

    @property
    def elapsed(self) -> str:
        """Seconds so far or in all; empty before the start."""
        if self.seconds is not None:
            return f"{self.seconds:.1f} s"
        return f"{time.monotonic() - self.started:.0f} s" if self.started is not None else ""


@dataclass
class Progress:
    """A live table on a terminal; one line per finished step where there is none."""

    console: Console
    steps: list[Step] = field(default_factory=list)

    def __enter__(self) -> "Progress":
        self._live = Live(
            get_renderable=self._table, console=self.console, refresh_per_second=5, transient=False
        )
        if self.console.is_terminal:
            self._live.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for step in self.steps if error is not None else ():
            if step.state == "runs":
                step.end("failed")
        if self.console.is_terminal:
            self._live.stop()

    def add(self, title: str, indent: int = 0) -> Step:
        """Announce a step that will come."""
        step = Step(title, indent)
        self.steps.append(step)
        return step

    @contextmanager
    def run(self, step: Step) -> Iterator[Step]:
        """Time the block as `step`; an exception marks it as failed."""
        step.begin()
        try:
            yield step
        except BaseException:
            self.finish(step, "failed")
            raise
        self.finish(step)

    def finish(self, step: Step, state: str = "done", seconds: float | None = None) -> None:
        """End `step` unless it has ended; without a terminal, print its line."""
        if step.seconds is not None:
            return
        step.end(state, seconds)
        if not self.console.is_terminal:
            title = "  " * step.indent + step.title
            self.console.print(
                f"{MARKS[step.state]} {title:<34} {step.elapsed:>8}  {step.detail}", markup=False
            )

    def _table(self) -> Table:
        """Return the display as it is now."""
        titles = ["  " * step.indent + step.title for step in self.steps]
        room = self.console.width - max(map(len, titles), default=0) - len("▸") - 8 - 3 * 2
        table = Table.grid(padding=(0, 2))
        for _ in range(3):
            table.add_column(no_wrap=True)
        # A line that breaks would push the step at work out of a low window.
        table.add_column(no_wrap=True, overflow="ellipsis")
        for step, title in zip(self.steps, titles, strict=True):
            detail = step.short if step.short and len(step.detail) > room else step.detail
            mark, style = MARKS[step.state], STYLES[step.state]
            table.add_row(mark, title, step.elapsed.rjust(8), Text(detail), style=style)
        return table
