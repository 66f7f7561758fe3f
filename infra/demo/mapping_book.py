"""Writes a centre's mapping: the four sheets as a workbook or as CSV files, every row approved."""

import csv
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from infra.demo.raw import save_workbook
from transforms.mapping import OTHERS, REJECT, SHEETS


__all__ = ["MappingBook"]


@dataclass
class MappingBook:
    """Rows of the four sheets, in the order in which they were added."""

    rows: dict[str, list[dict[str, str]]] = field(
        default_factory=lambda: {name: [] for name in SHEETS}
    )

    def source(self, source: str, **cells: str) -> None:
        """Add a source; the cells are the columns of the sheet `sources`."""
        self.rows["sources"].append({"source": source, **cells})

    def field(
        self, table: str, name: str, source: str, column: str, rule: str, **cells: str
    ) -> None:
        """Add a row of the sheet `fields`; cells: arg, unit, comment."""
        start = {"table": table, "field": name, "source": source, "column": column, "rule": rule}
        self.rows["fields"].append({**start, "status": "approved", **cells})

    def copies(self, table: str, source: str, columns: Mapping[str, str], rule: str) -> None:
        """Add one row per field → column, all by the same rule without an argument."""
        for name, column in columns.items():
            self.field(table, name, source, column, rule)

    def recode(
        self, table: str, name: str, source: str, column: str, values: Mapping[str, str]
    ) -> None:
        """Add a recoded field with its source values (text → code).

        A sex that the centre's list does not have is an error of the source.
        """
        if name == "sex_at_birth":
            values = {**values, OTHERS: REJECT}
        self.field(table, name, source, column, "recode")
        self.rows["values"].extend(
            {
                "table": table,
                "field": name,
                "source": source,
                "source_value": text,
                "target_code": code,
                "status": "approved",
            }
            for text, code in values.items()
        )

    def not_collected(self, table: str, names: Iterable[str], source: str = "") -> None:
        """Say which fields of a table the centre does not have."""
        for name in names:
            self.field(table, name, source, "", "not_collected")

    def ignore(self, source: str, reason: str, columns: Iterable[str], comment: str = "") -> None:
        """Leave columns of a source behind."""
        self.rows["ignore"].extend(
            {"source": source, "column": column, "reason": reason, "comment": comment}
            for column in columns
        )

    def ignore_rest(self, source: str, columns: Iterable[str], reason: str, comment: str) -> None:
        """Leave behind every column that no row of this source uses so far."""
        used = {row["column"] for row in self.rows["ignore"] if row["source"] == source}
        for row in self.rows["fields"]:
            if row["source"] == source:
                used.update(row["column"].split(";"))
                used.update(
                    part.partition("=")[2] for part in row.get("arg", "").split(";") if "=" in part
                )
        used.update(row["id_column"] for row in self.rows["sources"] if row["source"] == source)
        self.ignore(source, reason, (name for name in columns if name not in used), comment)

    def write(self, folder: Path, *, workbook: bool) -> None:
        """Write `mapping.xlsx`, or the four CSV files, into `folder`."""
        folder.mkdir(parents=True, exist_ok=True)
        sheets = {
            name: [list(header), *([row.get(c, "") for c in header] for row in self.rows[name])]
            for name, header in SHEETS.items()
        }
        if workbook:
            save_workbook(folder / "mapping.xlsx", sheets)
            return
        for name, rows in sheets.items():
            path = folder / f"{name}.csv"
            with path.open("w", encoding="utf-8", newline="") as lines:
                csv.writer(lines, lineterminator="\n").writerows(rows)
