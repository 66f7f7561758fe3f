"""Tables on a terminal: what is typed next and short words stay whole as long as there is room."""

import io

import pytest
from rich.console import Console

from infra import output


def printed(monkeypatch: pytest.MonkeyPatch, columns: list[str], rows: list[list[object]]) -> str:
    text = io.StringIO()
    monkeypatch.setattr(output, "console", Console(file=text, width=80, soft_wrap=True))
    output.console.print(output.table("A title", columns, rows))
    return text.getvalue()


def test_a_long_cell_does_not_break_the_words_of_others(monkeypatch: pytest.MonkeyPatch) -> None:
    row = ["rel-0228cf88f5a7", "identifier", "12 %", "word " * 40, "more than one line " * 5]
    text = printed(monkeypatch, ["release", "looks like", "missing", "frequent", "note"], [row])
    for word in ("rel-0228cf88f5a7", "identifier", "missing", "frequent"):
        assert word in text
    assert max(map(len, text.splitlines())) <= 80


def test_a_long_first_column_breaks_when_others_would_have_to(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    row = ["value[vitamin_d_25oh] of lab_measurement in biologie", *["identifier"] * 3, "x " * 60]
    text = printed(monkeypatch, ["field", "a", "b", "c", "d"], [row])
    assert text.count("identifier") == 3
    assert max(map(len, text.splitlines())) <= 80


def test_a_table_that_fits_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    lines = printed(monkeypatch, ["site", "release"], [["haifa", "[a]"]]).splitlines()
    assert "haifa   [a]" in "\n".join(lines)
