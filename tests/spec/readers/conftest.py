"""Reads files that a test writes, as a site's mapping would have them read."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import duckdb
import pytest

from transforms.mapping import Source
from transforms.readers import PROVENANCE, SourceTable, read


@dataclass(frozen=True)
class Reading:
    """What came out: `rows` without provenance, `places` as (file, sheet, row)."""

    table: SourceTable
    rows: list[tuple[str | None, ...]]
    places: list[tuple[str, str, int]]

    def column(self, name: str) -> list[str | None]:
        return [row[self.table.columns.index(name)] for row in self.rows]


Reader = Callable[..., Reading]


@pytest.fixture
def reading(tmp_path: Path) -> Reader:
    """Write `files` into an inbox and read them as the source that the keywords declare."""

    def run(files: Mapping[str, bytes | str], **declared: object) -> Reading:
        for name, content in files.items():
            path = tmp_path / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content.encode() if isinstance(content, str) else content)
        declaration = {"file": "*", "format": "delimited", "id_column": "id", **declared}
        source = Source(source="labs", system="", **declaration)  # type: ignore[arg-type]
        connection = duckdb.connect()
        table = read(source, tmp_path, connection)
        found = connection.execute("select * from source.labs").fetchall()
        names = [column[0] for column in connection.description or ()]
        assert tuple(names) == (*table.columns, *PROVENANCE)
        count = len(table.columns)
        return Reading(table, [row[:count] for row in found], [row[count:] for row in found])

    return run
