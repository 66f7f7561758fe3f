"""Names, files and the union of parts: what all readers share."""

from pathlib import Path

import pytest

from transforms.errors import SourceError
from transforms.mapping import Source
from transforms.readers.relation import column_names, matching_files, some


@pytest.mark.parametrize(
    ("header", "names"),
    [
        (["id", "Nom"], ("id", "Nom")),
        ([" id ", "\ufeffNom\u00a0"], ("id", "Nom")),
        (["Z-score\r\n rachis"], ("Z-score rachis",)),
        (["e\u0301cole"], ("école",)),
        (["Date", "date", "DATE"], ("Date", "date (2)", "DATE (3)")),
        (["a", "a (2)", "a"], ("a", "a (2)", "a (3)")),
        (["", " ", "x"], ("column 1", "column 2", "x")),
        (["source_row"], ("source_row (2)",)),
    ],
)
def test_column_names(header, names):
    assert column_names(header) == names


def test_files_come_sorted_and_only_from_the_inbox(tmp_path: Path):
    for name in ("b/2.csv", "a/1.csv", "b/~$2.csv", "b/.hidden.csv", "b/3.txt"):
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.touch()
    source = Source("labs", "", "*/*.csv", "delimited", "id")
    assert matching_files(source, tmp_path) == (tmp_path / "a/1.csv", tmp_path / "b/2.csv")


@pytest.mark.parametrize("pattern", ["", "/etc/passwd", "../x.csv", "a/../../x.csv"])
def test_patterns_that_leave_the_inbox_are_refused(tmp_path: Path, pattern):
    with pytest.raises(SourceError, match=r"source labs: .*inside the inbox"):
        matching_files(Source("labs", "", pattern, "delimited", "id"), tmp_path)


def test_some_says_how_many_more():
    assert some([1, 2]) == "1, 2"
    assert some(range(8), limit=3) == "0, 1, 2 and 5 more"
