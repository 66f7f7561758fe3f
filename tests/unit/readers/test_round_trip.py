"""Whatever Python's own CSV writer writes, the reader reads back, with the right row numbers."""

import csv
import io
import random
from pathlib import Path

import duckdb
import pytest

from transforms.mapping import Source
from transforms.readers import read


PIECES = [
    "",
    "a",
    "é",
    "1,5",
    ";",
    "|",
    '"',
    '""',
    "\n",
    "\n\n",
    " ",
    "\t",
    "=1+1",
    "ø",
    "x y",
    "-",
]


@pytest.mark.parametrize("seed", range(60))
def test_round_trip(tmp_path: Path, seed: int):
    chance = random.Random(seed)
    delimiter = chance.choice(",;\t|")
    encoding = chance.choice(["utf-8", "utf-8-sig", "utf-16", "cp1252"])
    rows = [
        ["".join(chance.choices(PIECES, k=chance.randrange(4))) for _ in range(4)]
        for _ in range(chance.randrange(1, 12))
    ]
    stream = io.StringIO(newline="")
    writer = csv.writer(stream, delimiter=delimiter, lineterminator=chance.choice(["\n", "\r\n"]))
    writer.writerows([["id", "b", "c", "d"], *rows])
    (tmp_path / "a.csv").write_bytes(stream.getvalue().encode(encoding))

    source = Source("s", "", "a.csv", "delimited", "id", encoding=encoding, delimiter=delimiter)
    connection = duckdb.connect()
    read(source, tmp_path, connection)
    found = connection.execute("select * exclude (source_file, source_sheet) from source.s")

    blank = " \t\r\n"
    expected = [
        (*(cell if cell.strip(blank) else None for cell in row), number)
        for number, row in enumerate(rows, start=2)
        if any(cell.strip(blank) for cell in row)
    ]
    assert found.fetchall() == expected
