"""From files that nobody has described to a release that is true, and how much had to be typed.

Each centre is scanned and drafted, the draft is corrected by what is true of the files
(`tests/acceptance/corrections.py`), approved and run. The release must hold what is true of those
who agreed, field for field. The bounds are a ratchet: a draft may get better, not worse.
"""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from infra.demo.homemade import synthesize_unmapped
from tests.acceptance.conftest import Typed
from tests.acceptance.corrections import Book, Corrector


Marmor = Callable[..., Typed]

# centre → corrections and cells that a person types at most, for 60 patients of seed 1
LIMITS = {"limoges": (4, 12), "rostock": (8, 35), "sevilla": (8, 30), "utrecht": (40, 110)}


@pytest.mark.parametrize("name", LIMITS)
def test_unknown_files_become_a_release_that_is_true(
    marmor: Marmor, tmp_path: Path, name: str
) -> None:
    (centre,) = synthesize_unmapped(60, 1, tmp_path, only=name)
    truth = json.loads((tmp_path / "truth" / f"{name}.json").read_text("utf-8"))

    scanned = marmor("site", "scan", centre)
    assert scanned.code == 0, scanned.err
    page = (centre / "scan" / "scan.html").read_text("utf-8")
    assert not [one for one in truth["identifying"] if one in scanned.out + page]

    assert marmor("site", "suggest", centre).code == 0
    book = Book(centre / "mapping" / "mapping.xlsx")
    first = Corrector(book, truth["columns"], words=False)
    first.correct()
    book.save()
    assert marmor("site", "suggest", centre).code == 0  # lists the words of what was mapped now
    cells, book = book.cells, Book(centre / "mapping" / "mapping.xlsx")
    second = Corrector(book, truth["columns"])
    second.correct()
    said = [*first.said, *second.said]
    assert len(said) <= LIMITS[name][0], "\n".join(said)
    assert cells + book.cells <= LIMITS[name][1]
    book.approve()
    book.save()
    last = marmor("site", "check", centre, "--show-values")
    assert last.code == 0, last.out
    assert "Nothing blocks" in last.out

    ran = marmor("site", "run", centre)
    assert ran.code == 0, ran.err
    release = centre / "releases" / (centre / "CURRENT").read_text("utf-8").strip() / "tables"
    for table, rows in truth["rows"].items():
        assert_true(table, rows, pq.read_table(release / f"{table}.parquet").to_pylist())


def test_a_suggestion_never_runs(marmor: Marmor, tmp_path: Path) -> None:
    (centre,) = synthesize_unmapped(12, 1, tmp_path, only="limoges")
    assert marmor("site", "suggest", centre).code == 0
    checked = marmor("site", "check", centre)
    assert checked.code == 11
    assert "rows wait for approval" in checked.out
    assert marmor("site", "run", centre).code == 11


def assert_true(table: str, true: list[dict[str, Any]], found: list[dict[str, Any]]) -> None:
    """Every mapped field of every row is what is true of it; numbers to a ten-thousandth."""
    names = sorted({name for row in true for name in row})
    texts = [name for name in names if not any(isinstance(r.get(name), float) for r in true)]
    numbers = [name for name in names if name not in texts]

    def written(row: dict[str, Any]) -> tuple[list[str], list[float]]:
        plain = [str(row.get(name) if row.get(name) is not None else "") for name in texts]
        plain = ["true" if t == "True" else "false" if t == "False" else t for t in plain]
        return plain, [float(n) if (n := row.get(name)) is not None else -1.0 for name in numbers]

    mine, theirs = sorted(map(written, true)), sorted(map(written, found))
    assert [row[0] for row in theirs] == [row[0] for row in mine], table
    for one, other in zip(mine, theirs, strict=True):
        assert other[1] == pytest.approx(one[1], rel=1e-4), table
