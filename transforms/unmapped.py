"""Texts that a recode met in the files and that no row of the sheet `values` names.

They stop a run: a word that nobody looked at may mean anything. The message counts them and never
repeats one; `marmor site check` shows them on the screen.
"""

from dataclasses import dataclass

import duckdb

from transforms.mapping import Mapping
from transforms.sql import qualified
from transforms.staging import SCHEMA, column


__all__ = ["PROBLEM", "Unmapped", "unmapped_values"]

PROBLEM = "unmapped_value"


@dataclass(frozen=True)
class Unmapped:
    """How many distinct texts, in how many rows, one recode did not know."""

    table: str
    field: str
    bracket: str | None
    source: str
    values: int
    rows: int

    @property
    def target(self) -> str:
        """The field as it stands in the sheet `fields`."""
        return self.field if self.bracket is None else f"{self.field}[{self.bracket}]"

    @property
    def message(self) -> str:
        """What is wrong, where, and what to do."""
        values = "1 value" if self.values == 1 else f"{self.values} values"
        rows = "1 row" if self.rows == 1 else f"{self.rows} rows"
        return (
            f"source {self.source}: {values} in {rows} that no row of the sheet values names for "
            f"{self.table}.{self.target}; look at them with `marmor site check SITE --show-values` "
            "and give each a code, or * the code reject"
        )


def unmapped_values(connection: duckdb.DuckDBPyConnection, mapping: Mapping) -> list[Unmapped]:
    """Count what the staged rows say of unmapped values, by table, field, bracket and source."""
    recoded = dict.fromkeys(
        (rule.table, rule.field) for rule in mapping.fields if rule.rule in ("recode", "split")
    )
    return [
        Unmapped(table, field, bracket, source, values, rows)
        for table, field in recoded
        for bracket, source, values, rows in _count(connection, table, field)
    ]


def _count(
    connection: duckdb.DuckDBPyConnection, table: str, field: str
) -> list[tuple[str | None, str, int, int]]:
    """Return bracket, source, distinct texts and rows of one field."""
    return connection.execute(
        f"select bracket, source_id, count(distinct lower({column(field, 'raw')})), count(*) "
        f"from {qualified(SCHEMA, table)} where {column(field, 'problem')} = $1 "
        "group by all order by all",
        [PROBLEM],
    ).fetchall()
