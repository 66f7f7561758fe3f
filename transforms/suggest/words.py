"""The words of columns that a person mapped: rows of the sheet `values` for what was typed."""

from collections.abc import Iterator, Mapping, Sequence

from transforms.dictionary import DICTIONARY, Dictionary
from transforms.scan.model import ColumnScan, Scan
from transforms.site import Site
from transforms.suggest.columns import Target
from transforms.suggest.draft import Draft, value_rows
from transforms.suggest.values import meanings


__all__ = ["add_words"]

Row = Mapping[str, str]
LOOKED_UP = ("recode", "split")


def add_words(
    draft: Draft,
    there: Mapping[str, Sequence[Row]],
    scan: Scan,
    site: Site,
    *,
    rare: bool = False,
    dictionary: Dictionary = DICTIONARY,
) -> None:
    """Add to `draft` the words of columns that rows which are `there` look up.

    A person who gives a field another column need not type the words of it: they are listed when
    the mapping is drafted again.
    """
    known = {_place(row) for row in draft.values}
    for row, target, column in _mapped(there, scan, dictionary):
        words = meanings(
            column, target.of(dictionary), site.country, rare=rare, dictionary=dictionary
        )
        new = [one for one in value_rows(row["source"], target, words) if _place(one) not in known]
        known |= set(map(_place, new))
        draft.values += new


def _mapped(
    there: Mapping[str, Sequence[Row]], scan: Scan, dictionary: Dictionary
) -> Iterator[tuple[Row, Target, ColumnScan]]:
    """Yield the rows that look words up in a column of the scan, with target and column."""
    columns = {
        (table.source.file, table.source.sheet, column.name): column
        for table in scan.tables
        for column in table.columns
    }
    places = {
        row["source"]: (row["file"], row.get("sheet", "")) for row in there.get("sources", ())
    }
    for row in there.get("fields", ()):
        found = columns.get((*places.get(row["source"], ("", "")), row["column"].strip()))
        target = _target(row, dictionary)
        if found and target and row["rule"] in LOOKED_UP and row["status"] != "rejected":
            yield row, target, found


def _target(row: Row, dictionary: Dictionary) -> Target | None:
    """Return what a row fills; None when the dictionary has no such field."""
    name, _, bracket = row["field"].rstrip("]").partition("[")
    table = dictionary.tables.get(row["table"])
    if table is None or name not in table.field_names:
        return None
    return Target(table.name, name, bracket or None)


def _place(row: Row) -> tuple[str, ...]:
    """Return what a row of the sheet `values` is about."""
    return (*(row[name] for name in ("table", "field", "source")), row["source_value"].lower())
