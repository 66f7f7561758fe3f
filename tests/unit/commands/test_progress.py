"""The progress display: one line per step at any width; an error stops every clock."""

import io

import pytest
from rich.console import Console

from infra.progress import Progress, Step


def shown(progress: Progress) -> list[str]:
    """Return the lines of the display as it is now."""
    console = progress.console
    with console.capture() as capture:
        console.print(progress._table())
    return [line.rstrip() for line in capture.get().splitlines()]


def display(width: int) -> Progress:
    return Progress(
        Console(file=io.StringIO(), width=width, force_terminal=True, color_system=None)
    )


@pytest.mark.parametrize("width", [40, 80, 120])
def test_every_step_has_one_line(width: int) -> None:
    progress = display(width)
    for title in ("Start Airflow", "Run the centres' DAGs"):
        progress.add(title).at("collect 0.4 · harmonize 6.7 · validate 11.7 · publish 2.1 [x] " * 2)
    lines = shown(progress)
    assert len(lines) == 2
    assert all(len(line) <= width for line in lines)


def test_a_narrow_display_takes_the_short_form() -> None:
    for width, told in ((100, "every single word of it"), (50, "short")):
        progress = display(width)
        progress.add("Step").at("every single word of it, and some more", "short")
        assert told in shown(progress)[0]


def test_an_error_ends_every_step_at_work() -> None:
    steps: list[Step] = []

    def fail() -> None:
        with display(80) as progress:
            steps.extend(
                [progress.add("outer"), progress.add("inner", indent=1), progress.add("later")]
            )
            with progress.run(steps[0]):
                steps[1].begin()
                raise ValueError("broken")

    with pytest.raises(ValueError, match="broken"):
        fail()
    assert [step.state for step in steps] == ["failed", "failed", "waits"]
    assert steps[1].seconds is not None
