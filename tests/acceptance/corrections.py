"""What a person has to change in a drafted mapping until it is true, counted cell by cell.

`Corrector` compares the workbook that `marmor site suggest` wrote with what the generator of the
home-made centres says of each column, types the differences into it as a person would, and counts.
"""

from collections import Counter
from dataclasses import dataclass, field
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

import openpyxl


Row = dict[str, Any]
SHEETS = ("sources", "fields", "values", "ignore")


class Book:
    """The mapping workbook under a person's hands."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.book = openpyxl.load_workbook(path)
        self.cells = 0

    def header(self, sheet: str) -> list[str]:
        return [cell.value for cell in self.book[sheet][1]]

    def rows(self, sheet: str) -> list[Row]:
        """Return the rows that were not rejected, each with its number."""
        header = self.header(sheet)
        found = []
        for number, cells in enumerate(self.book[sheet].iter_rows(min_row=2, values_only=True), 2):
            row = {name: str(cell or "") for name, cell in zip(header, cells, strict=True) if name}
            if any(row.values()) and row.get("status") != "rejected":
                found.append(row | {"row": number})
        return found

    def write(self, sheet: str, number: int, cells: dict[str, str]) -> None:
        """Write cells of a row and count them."""
        header = self.header(sheet)
        for name, text in cells.items():
            cell = self.book[sheet].cell(number, header.index(name) + 1)
            cell.value = text or None
            cell.data_type = "s" if text else "n"
            self.cells += 1

    def add(self, sheet: str, cells: dict[str, str]) -> None:
        """Add a row below the last one and count its cells."""
        filled = {name: text for name, text in cells.items() if text}
        last = max((row["row"] for row in self.rows(sheet)), default=1)
        used = max(last, *(n for n, c in enumerate(self.book[sheet].iter_rows(), 1) if c[0].value))
        self.write(sheet, used + 1, filled)

    def approve(self) -> None:
        """Pull `approved` down over all rows that are still suggested."""
        for sheet in ("fields", "values", "ignore"):
            column = self.header(sheet).index("status") + 1
            for row in self.rows(sheet):
                if row["status"] == "suggested":
                    self.book[sheet].cell(row["row"], column, "approved")

    def save(self) -> None:
        self.book.save(self.path)


@dataclass
class Corrector:
    """Types the truth into a draft. `columns` and `values` count what was right, wrong, missing.

    Without `words` the columns alone are set right: the words of columns that were left behind are
    listed when the mapping is drafted once more.
    """

    book: Book
    truth: list[Row]
    words: bool = True
    columns: Counter[str] = field(default_factory=Counter)
    values: Counter[str] = field(default_factory=Counter)
    said: list[str] = field(default_factory=list)

    def correct(self) -> None:
        """Make every correction, sheet by sheet; say each in a line."""
        self.drafted = sum(len(self.book.rows(sheet)) for sheet in SHEETS)
        for place in dict.fromkeys((one["file"], one["sheet"]) for one in self.truth):
            entries = [one for one in self.truth if (one["file"], one["sheet"]) == place]
            self._sources(place, entries)
            for entry in entries:
                self._column(entry)
        if self.words:
            self._leftovers()

    def sources_of(self, entry: Row) -> list[Row]:
        """Return the sources that read a column's sheet: the first, and those that repeat it."""
        found = [
            row for row in self.book.rows("sources")
            if row["sheet"] == entry["sheet"] and fnmatch(entry["file"], row["file"])
        ]  # fmt: skip
        return sorted(found, key=lambda row: bool(row["repeat_key"]))

    def _note(self, text: str) -> None:
        self.said.append(text)

    def _sources(self, place: tuple[str, str], entries: list[Row]) -> None:
        """Answer the questions of the sheet sources: who the rows are about, the dates' order."""
        (id_column,) = [one["column"] for one in entries if one["role"] == "person_id"]
        for row in self.sources_of(entries[0]):
            wrong = {}
            if row["id_column"] != id_column:
                wrong["id_column"] = id_column
            if row["date_order"] == "?":
                wrong["date_order"] = "DMY"
            if wrong:
                self._note(f"sources {row['source']}: {wrong}")
                self.book.write("sources", row["row"], wrong)

    def _column(self, entry: Row) -> None:
        """Correct what the draft says of one column."""
        sources = [row["source"] for row in self.sources_of(entry)]
        if entry["role"] in ("person_id", "unit_column"):
            return
        mine = [
            row for row in self.book.rows("fields")
            if row["source"] in sources and row["column"] == entry["column"]
        ]  # fmt: skip
        if entry["role"] == "constant":
            self._constant(entry, sources[0])
        elif entry["role"] == "left":
            self._leave(entry, mine, sources[0])
        else:
            self._field(entry, mine, sources)

    def _constant(self, entry: Row, source: str) -> None:
        """Write what no column says."""
        rows = [
            row for row in self.book.rows("fields")
            if (row["table"], row["field"], row["source"])
            == (entry["table"], entry["field"], source)
        ]  # fmt: skip
        right = {"rule": "const", "arg": entry["arg"]}
        if rows and all(rows[0][name] == text for name, text in right.items()):
            return
        self._note(f"fields {source}: {entry['table']}.{entry['field']} is {entry['arg']}")
        if rows:
            self.book.write("fields", rows[0]["row"], right)
        else:
            said = {"table": entry["table"], "field": entry["field"], "source": source}
            self.book.add("fields", {**said, **right, "status": "approved"})

    def _leave(self, entry: Row, mine: list[Row], source: str) -> None:
        """Leave a column behind that the draft maps."""
        self.columns["wrong" if mine else "right"] += 1
        for row in mine:
            self._note(f"ignore {source}: {entry['column']}, not {row['table']}.{row['field']}")
            self.book.write("fields", row["row"], {"status": "rejected"})
        if mine:
            left = {"source": source, "column": entry["column"], "reason": "not_needed"}
            self.book.add("ignore", {**left, "status": "approved"})

    def _field(self, entry: Row, mine: list[Row], sources: list[str]) -> None:
        """Map a column to its field, with rule, argument, unit and words."""
        right = {name: entry[name] for name in ("table", "field", "rule", "arg", "unit")}
        place = f"{entry['column']} is {entry['table']}.{entry['field']}"
        if not mine:
            self.columns["missing"] += 1
            self._note(f"fields: {place} (was left behind)")
            source = sources[min(entry["repeat"], len(sources)) - 1]
            self._map(entry, right, source)
            mine = [{"source": source}]
        else:
            (row, *_) = mine
            same = (row["table"], row["field"]) == (entry["table"], entry["field"])
            self.columns["right" if same else "wrong"] += 1
            wrong = {name: text for name, text in right.items() if not self._equal(row, name, text)}
            if wrong:
                self._note(f"fields: {place}: {wrong}")
                self.book.write("fields", row["row"], wrong)
                self._not_asked(entry, row["source"])
        if entry["rule"] == "recode" and self.words:
            for row in [one for one in self._same(entry, sources) if one["column"]] or mine:
                self._words(entry, row["source"])

    def _not_asked(self, entry: Row, source: str) -> None:
        """Reject the row that asked for the column of a field that has one now."""
        for row in self.book.rows("fields"):
            place = (row["table"], row["field"], row["source"])
            if place == (entry["table"], entry["field"], source) and not row["column"]:
                self._note(f"fields: {entry['field']} is not asked for any more")
                self.book.write("fields", row["row"], {"status": "rejected"})

    def _same(self, entry: Row, sources: list[str]) -> list[Row]:
        """Return the rows that fill a field from a column, in each of its sheet's sources."""
        return [
            row for row in self.book.rows("fields")
            if row["source"] in sources and row["column"] == entry["column"]
        ]  # fmt: skip

    @staticmethod
    def _equal(row: Row, name: str, text: str) -> bool:
        """Tell whether a cell says what is true; what the unit's spelling says, counts."""
        plain = row[name].replace("µ", "u").casefold().removeprefix("x")  # x10^9/L
        if name == "unit" and not text:
            return True
        if (name, row["rule"], text) == ("rule", "hgvs", "copy"):
            return True
        if name == "arg" and row["rule"] == "hgvs":
            return True
        return plain == text.replace("µ", "u").casefold()

    def _map(self, entry: Row, right: dict[str, str], source: str) -> None:
        """Map a column that was left behind: in the row that asks for it, or a new one."""
        for row in self.book.rows("ignore"):
            if (row["source"], row["column"]) == (source, entry["column"]):
                self.book.write("ignore", row["row"], {"status": "rejected"})
        asked = [
            row for row in self.book.rows("fields")
            if (row["table"], row["field"], row["source"])
            == (entry["table"], entry["field"], source) and not row["column"]
        ]  # fmt: skip
        filled = {name: text for name, text in right.items() if text}
        if asked:
            new = {name: text for name, text in filled.items() if asked[0][name] != text}
            self.book.write("fields", asked[0]["row"], {**new, "column": entry["column"]})
        else:
            said = {"source": source, "column": entry["column"], "status": "approved"}
            self.book.add("fields", {**filled, **said})

    def _words(self, entry: Row, source: str) -> None:
        """Give every word its code."""
        plain = entry["field"].partition("[")[0]
        there = {
            row["source_value"].casefold(): row for row in self.book.rows("values")
            if (row["table"], row["field"]) == (entry["table"], plain)
            and row["source"] in ("", source)
        }  # fmt: skip
        for word, code in entry["words"].items():
            row = there.get(word.casefold())
            found = row["target_code"] if row else ""
            verdict = "right" if found == code else "wrong" if found else "missing"
            if word != "*":
                self.values[verdict] += 1
            if verdict == "right":
                continue
            said = f"{entry['table']}.{plain} {word!r} is {code}, not {found!r}"
            self._note(f"values {source}: {said}")
            if row:
                self.book.write("values", row["row"], {"target_code": code})
            else:
                place = {"table": entry["table"], "field": plain, "source": source}
                meaning = {"source_value": word, "target_code": code, "status": "approved"}
                self.book.add("values", place | meaning)

    def _leftovers(self) -> None:
        """Reject words that no column of their field has."""
        fills = {
            (row["table"], row["field"].partition("[")[0], row["source"])
            for row in self.book.rows("fields") if row["rule"] in ("recode", "split", "hgvs")
        }  # fmt: skip
        idle = [
            row for row in self.book.rows("values")
            if (row["table"], row["field"], row["source"]) not in fills or not row["target_code"]
        ]  # fmt: skip
        for row in idle:
            self.book.write("values", row["row"], {"status": "rejected"})
        if idle:
            self._note(
                f"values: {len(idle)} rows of words that their field does not have are rejected"
            )
