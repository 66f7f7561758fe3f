"""A draft beside what is in the mapping already: only what is new is added.

A row that a person wrote, approved or rejected stays as it is, and so does every column and word it
speaks of. A rejected row keeps its suggestion from coming back.
"""

from collections.abc import Iterator, Mapping, Sequence

from transforms.mapping import OTHERS, column_name, normal_value
from transforms.suggest.draft import Draft


__all__ = ["merged"]

Row = Mapping[str, str]
Rows = Mapping[str, Sequence[Row]]
LOOKED_UP = ("recode", "split")


def merged(there: Rows, draft: Draft) -> dict[str, list[dict[str, str]]]:
    """Return the rows of `draft` that say something new beside the rows that are `there`."""
    ids = _same_sources(there.get("sources", ()), draft.sources)
    new = {
        name: [{**row, "source": ids.get(row["source"], row["source"])} for row in rows]
        for name, rows in draft.sheets.items()
    }
    known = {row["source"] for row in there.get("sources", ())}
    used = set(_used(there))
    fields = [row for row in new["fields"] if _is_new_field(row, there.get("fields", ()), used)]
    return {
        "sources": [row for row in new["sources"] if row["source"] not in known],
        "fields": fields,
        "values": list(_new_values(new["values"], there, fields)),
        "ignore": [
            row for row in new["ignore"]
            if (row["source"], row["column"]) not in used
        ],
    }  # fmt: skip


def _same_sources(there: Sequence[Row], new: Sequence[Row]) -> dict[str, str]:
    """Return the id that each new source has already: the same id, or the same file and sheet."""
    ids = {row["source"]: row["source"] for row in there}
    free = [row for row in there if row["source"] not in {one["source"] for one in new}]
    same = {}
    for row in new:
        place = (row["file"], row.get("sheet", ""), row.get("ready", ""))
        match = next(
            (o for o in free if (o["file"], o.get("sheet", ""), o.get("ready", "")) == place), None
        )
        if row["source"] in ids:
            same[row["source"]] = row["source"]
        elif match is not None:
            free.remove(match)
            same[row["source"]] = match["source"]
    return same


def _used(there: Rows) -> Iterator[tuple[str, str]]:
    """Yield source and column of every cell that names a column."""
    for row in there.get("sources", ()):
        for part in row.get("id_column", "").split(";"):
            yield row["source"], column_name(part)
    for row in there.get("fields", ()):
        named = [*row["column"].split(";"), *_in_argument(row.get("arg", ""))]
        yield from ((row["source"], column_name(name)) for name in named if name.strip())
    for row in there.get("ignore", ()):
        yield row["source"], column_name(row["column"])


def _in_argument(arg: str) -> list[str]:
    """Return what stands behind the equals signs of an argument: columns among other things."""
    return [part.partition("=")[2] for part in arg.split(";") if "=" in part]


def _is_new_field(row: Row, there: Sequence[Row], used: set[tuple[str, str]]) -> bool:
    """Tell whether neither the field nor the column is spoken of for this source."""
    plain = row["field"].partition("[")[0]
    for other in there:
        same = (other["table"], other["source"] or row["source"]) == (row["table"], row["source"])
        if same and other["field"] == row["field"]:
            return False
        if same and not row["column"] and other["field"].partition("[")[0] == plain:
            return False
    return (row["source"], row["column"]) not in used


def _new_values(
    rows: Sequence[dict[str, str]], there: Rows, fields: Sequence[Row]
) -> Iterator[dict[str, str]]:
    """Yield words that no row names, of fields that are looked up in the sheet."""
    looked_up = {
        (row["table"], row["field"].partition("[")[0], row["source"])
        for row in (*there.get("fields", ()), *fields)
        if row["rule"] in LOOKED_UP
    }
    known = {_word(row) for row in there.get("values", ())}
    for row in rows:
        table, name, source, word = _word(row)
        places = ((table, name, source), (table, name, ""))
        named = any((*place, text) in known for place in places for text in (word, OTHERS))
        if (table, name, source) in looked_up and not named:
            yield row


def _word(row: Row) -> tuple[str, str, str, str]:
    """Return what a row of the sheet `values` is about."""
    name = row["field"].partition("[")[0]
    return row["table"], name, row["source"], normal_value(row["source_value"])
