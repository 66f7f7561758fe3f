"""From the files of an inbox to tables: how each is read, and what its columns look like.

First every file is looked at (`transforms.readers.peek`), then every table that was found is read
by the reader that a run would use, and its columns are counted.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import duckdb

from transforms.collect import empty_inbox, inbox_files
from transforms.errors import SourceError
from transforms.intake import scratch
from transforms.lexicon import LEXICON, normal, value_key, words_for
from transforms.mapping import Source
from transforms.saying import Say, nothing
from transforms.scan.columns import scan_column
from transforms.scan.layout import Layout, find_layout, is_data
from transforms.scan.model import ColumnScan, Label, Ready, Scan, TableScan
from transforms.site import Site
from transforms.sql import identifier, qualified


if TYPE_CHECKING:
    from transforms.readers import SourceTable

__all__ = ["pattern_of", "scan_inbox"]

REDCAP_COLUMNS = ("redcap_repeat_instrument", "redcap_event_name", "redcap_data_access_group")
OMOP_TABLES = ("person", "measurement", "condition_occurrence", "observation_period", "death")
DETECTED = re.compile(r"(encoding|delimiter) ('[^']+'|[^ ;]+) was detected")
FORM_SHEET = "marmor"
CHOICES = ("choices", "select_choices")
MAX_GAPS = 20


@dataclass(frozen=True)
class _Look:
    """The first rows of one sheet of one file."""

    file: str
    kind: str
    detail: str
    sheet: str
    layout: Layout


@dataclass(frozen=True)
class _Found:
    """A table: how to read it, the headings over its columns, and what there is to say."""

    source: Source
    header: tuple[str, ...]
    groups: tuple[str, ...]
    notes: tuple[str, ...]


def scan_inbox(site: Site, say: Say = nothing) -> Scan:
    """Scan a site's inbox; `say` is told what is being looked at.

    Raises SourceError when the inbox holds no file, or none that can be read.
    """
    from transforms.readers.isolation import read_inbox  # its libraries are there at a site only

    files = inbox_files(site.inbox)
    if not files:
        raise SourceError(empty_inbox(site.inbox))
    with scratch(site) as folder, duckdb.connect() as connection:
        say(f"looking at {len(files)} files")
        names = [path.relative_to(site.inbox).as_posix() for path in files]
        peeked = read_inbox(_peeks(names), site.inbox, folder / "peek", connection)
        looks = [look for table in peeked.tables for look in _looks(connection, table.source)]
        refused = [refusal.message for refusal in peeked.refused]
        ready, rest = _ready(looks)
        refused += _nameless(rest)
        labels = _labels(connection, rest, site.inbox, folder)
        tables: list[TableScan] = []
        waiting = list(_tables(rest, site))
        while waiting:
            by_source = {found.source.source: found for found in waiting}
            sources = [found.source for found in waiting]
            read, left = _read(sources, site.inbox, folder / "read", connection, say)
            refused += left
            waiting = [
                one for table in read for one in _instruments(by_source[table.source], table)
            ]
            tables += [_table(connection, by_source[t.source], t, labels, say) for t in read]
    return Scan(tuple(tables), tuple(ready), tuple(dict.fromkeys(refused)))


def _read(
    sources: Sequence[Source],
    inbox: Path,
    folder: Path,
    connection: duckdb.DuckDBPyConnection,
    say: Say,
) -> "tuple[list[SourceTable], list[str]]":
    """Read sources in one process, or each in its own when one of them fits no file at all."""
    from transforms.readers.isolation import read_inbox

    try:
        found = read_inbox(sources, inbox, folder, connection, say)
    except SourceError as error:
        if len(sources) == 1:
            return [], str(error).splitlines()
        parts = [_read([source], inbox, folder, connection, say) for source in sources]
        return [t for read, _ in parts for t in read], [line for _, left in parts for line in left]
    return list(found.tables), [refusal.message for refusal in found.refused]


def _labels(
    connection: duckdb.DuckDBPyConnection, looks: Sequence[_Look], inbox: Path, folder: Path
) -> dict[str, Label]:
    """Return what REDCap's data dictionary says of each variable, by its name."""
    from transforms.readers.isolation import read_inbox

    found = [look for look in looks if _is_dictionary(look)]
    sources = [
        Source(f"dictionary_{n}", "", _literally(look.file), "delimited", "", delimiter=look.detail)
        for n, look in enumerate(found)
    ]
    labels: dict[str, Label] = {}
    for table in read_inbox(sources, inbox, folder / "labels", connection).tables if found else ():
        names = {column.lower(): column for column in table.columns}
        label = names.get("field label") or names.get("field_label")
        choices = next((names[name] for name in names if name.startswith(CHOICES)), None)
        if label and choices:
            rows = connection.execute(
                f"select {identifier(table.columns[0])}, {identifier(label)}, "
                f"{identifier(choices)} from {qualified('source', table.source)}"
            ).fetchall()
            labels |= {
                name: Label(text or "", _choices(listed or "")) for name, text, listed in rows
            }
    return labels


def _choices(listed: str) -> dict[str, str]:
    """Return code → label of a REDCap choice list.

    >>> _choices("1, Male | 2, Female")
    {'1': 'Male', '2': 'Female'}
    """
    pairs = (part.partition(",") for part in listed.split("|") if "," in part)
    return {code.strip(): label.strip() for code, _, label in pairs}


def _peeks(names: Sequence[str]) -> list[Source]:
    """Return one source per file that is looked at."""
    return [
        Source(f"peek_{number}", "", _literally(name), "peek", "")
        for number, name in enumerate(names)
    ]


def _literally(name: str) -> str:
    """Return a file pattern that fits this one name."""
    return "".join(f"[{letter}]" if letter in "*?[" else letter for letter in name)


def _looks(connection: duckdb.DuckDBPyConnection, peek: str) -> Iterator[_Look]:
    """Yield the sheets of one file that was looked at."""
    cursor = connection.execute(
        f"select * from {qualified('source', peek)} order by source_sheet, source_row"
    )
    names = [column[0] for column in cursor.description or ()]
    cells = [index for index, name in enumerate(names) if re.fullmatch("c[0-9]+", name)]
    sheets: dict[str, list[dict[str, Any]]] = {}
    for row in cursor.fetchall():
        record = dict(zip(names, row, strict=True))
        record["cells"] = [row[index] or "" for index in cells]
        sheets.setdefault(record["source_sheet"] or "", []).append(record)
    for sheet, records in sheets.items():
        first = records[0]
        grid: list[list[str]] = []
        for record in records:
            grid += [[] for _ in range(record["source_row"] - len(grid) - 1)]
            grid.append(_trimmed(record["cells"]))
        yield _Look(
            first["source_file"], first["kind"], first["detail"] or "", sheet, find_layout(grid)
        )


def _trimmed(cells: list[str]) -> list[str]:
    """Return a row without the empty cells at its end."""
    while cells and not cells[-1]:
        cells.pop()
    return cells


def _ready(looks: Sequence[_Look]) -> tuple[list[Ready], list[_Look]]:
    """Split off the files for which a mapping ships."""
    kinds = {look.file: _shipped(look, looks) for look in looks}
    ready = [
        Ready(name, pattern_of([f for f, kind in kinds.items() if kind == name]),
              sum(kind == name for kind in kinds.values()))
        for name in dict.fromkeys(filter(None, kinds.values()))
    ]  # fmt: skip
    return ready, [look for look in looks if not kinds[look.file]]


def _shipped(look: _Look, looks: Sequence[_Look]) -> str:
    """Return the shipped mapping for the file of `look`, or ""."""
    if look.kind in ("phenopackets", "fhir"):
        return look.kind
    beside = [other for other in looks if Path(other.file).parent == Path(look.file).parent]
    stems = {Path(other.file).stem.lower() for other in beside}
    if Path(look.file).stem.lower() in OMOP_TABLES or look.kind == "parquet":
        return "omop" if len(stems & set(OMOP_TABLES)) >= 2 else ""
    if any(other.sheet == FORM_SHEET for other in looks if other.file == look.file):
        return "form"
    names = {cell.lower() for cell in look.layout.header}
    if look.kind == "redcap_json" or any(name.startswith("rarelink_") for name in names):
        return "rarelink_redcap"
    return "omop" if "omop" in _parents(look) and stems & set(OMOP_TABLES) else ""


def _parents(look: _Look) -> set[str]:
    """Return the names of the folders that a file lies in."""
    return {part.lower() for part in Path(look.file).parts[:-1]}


def pattern_of(names: Sequence[str]) -> str:
    """Return a file pattern that fits all names: what differs in the last part becomes `*`.

    >>> pattern_of(["labs_2024.csv", "labs_2025.csv"]), pattern_of(["p/a.json", "p/b.json"])
    ('labs_*.csv', 'p/*.json')
    """
    if len(names) == 1:
        return _literally(names[0])
    folders = {Path(name).parent.as_posix() for name in names}
    stems = [Path(name).name for name in names]
    start = re.sub("[0-9]+$", "", _common(stems))
    end = _common([stem[len(start) :][::-1] for stem in stems])[::-1]
    folder = folders.pop() if len(folders) == 1 else "**"
    return f"{'' if folder == '.' else folder + '/'}{_literally(start)}*{_literally(end)}"


def _common(texts: Sequence[str]) -> str:
    """Return how all texts begin."""
    first, last = min(texts), max(texts)
    size = next((i for i, c in enumerate(first) if last[i : i + 1] != c), len(first))
    return first[:size]


def _nameless(looks: Sequence[_Look]) -> Iterator[str]:
    """Tell the files on none of whose sheets the columns have names."""
    named = {look.file for look in looks if look.layout.header_row}
    for file in dict.fromkeys(look.file for look in looks if look.file not in named):
        yield (
            f"{file}: no row with the columns' names was found; export it with headings, or put "
            "a first row with a name for each column"
        )


def _tables(looks: Sequence[_Look], site: Site) -> Iterator[_Found]:
    """Yield one table per sheet; files of the same columns and a similar name are one table."""
    alike: dict[object, list[_Look]] = {}
    for look in looks:
        if look.layout.header_row and not _is_dictionary(look):
            key = (look.kind, look.sheet, look.layout.header, re.sub("[0-9]+", "#", look.file))
            alike.setdefault(key, []).append(look)
    taken: set[str] = set()
    for group in alike.values():
        look = group[0]
        source = _source(look, pattern_of(sorted(look.file for look in group)), site, taken)
        yield _Found(source, look.layout.header, look.layout.groups, look.layout.notes)


def _is_dictionary(look: _Look) -> bool:
    """Tell whether a file is REDCap's data dictionary, which describes and holds nobody."""
    names = set(look.layout.header)
    return {"Form Name", "Field Type"} <= names or {"field_name", "form_name"} <= names


def _instruments(found: _Found, read: "SourceTable") -> list[_Found]:
    """Return the repeating instruments that the baseline rows of a REDCap export leave aside."""
    if found.source.format != "redcap" or found.source.sheet:
        return []
    sources = (
        replace(found.source, source=f"{found.source.source}_{name}", sheet=name)
        for name in read.other_parts
        if name
    )
    return [replace(found, source=source) for source in sources]


def _is_redcap(header: Sequence[str]) -> bool:
    """Tell whether a header is that of a REDCap export: its own columns, or forms that end so."""
    forms = [name for name in header if name.endswith("_complete")]
    return bool(set(REDCAP_COLUMNS) & set(header)) or (bool(forms) and "record_id" in header[:1])


def _source(look: _Look, pattern: str, site: Site, taken: set[str]) -> Source:
    """Declare how a table is read, as far as its first rows tell."""
    redcap = look.kind == "delimited" and _is_redcap(look.layout.header)
    named = look.sheet or Path(look.file).stem
    stem = re.sub("[^a-z0-9]+", "_", normal(re.sub("[0-9]+", " ", named))).strip("_") or "source"
    name = next(n for n in (stem, *(f"{stem}_{i}" for i in range(2, 1000))) if n not in taken)
    taken.add(name)
    return Source(
        source=name,
        system="redcap" if redcap else look.kind,
        file=pattern,
        format="redcap" if redcap else look.kind,
        id_column="",
        sheet=look.sheet,
        header_row=look.layout.header_row,
        delimiter=look.detail,
        language=site.language.lower(),
    )


def _table(
    connection: duckdb.DuckDBPyConnection,
    found: _Found,
    read: "SourceTable",
    labels: Mapping[str, Label],
    say: Say,
) -> TableScan:
    """Count the columns of a table that was read, and say what it needs to be read rightly."""
    from transforms.readers.relation import column_names  # its libraries are there at a site only

    named = column_names(found.header)  # as the reader tells columns of the same name apart
    groups = dict(zip(named, found.groups, strict=False))
    ids = (c for c in read.columns if "person_id" in {w.target for w in words_for(c)})
    person = next(ids, read.columns[0] if read.columns else "")
    columns = []
    for number, name in enumerate(read.columns, start=1):
        say(f"{found.source.source}: column {number} of {len(read.columns)}")
        column = scan_column(connection, found.source.source, name, person, groups.get(name, ""))
        label = labels.get(name.split("___")[0])
        columns.append(replace(column, label=label) if label else column)
    source = _declared(found.source, columns, read.notes)
    notes = [*found.notes, *_odd_rows(connection, found.source.source, columns)]
    return TableScan(source, read.files, read.rows, tuple(columns), tuple(notes))


def _declared(source: Source, columns: Sequence[ColumnScan], notes: Sequence[str]) -> Source:
    """Fill in what the whole table tells: encoding, delimiter, decimal sign, date order, id."""
    found = [match for note in notes for match in DETECTED.finditer(note)]
    detected = {match.group(1): match.group(2) for match in found}
    numbers = [column.numbers for column in columns if column.numbers]
    commas, points = (sum(getattr(n, sign) for n in numbers) for sign in ("commas", "points"))
    orders = {column.dates.order for column in columns if column.dates} - {"", "YMD"}
    tokens = [token for column in columns for token in column.tokens]
    return replace(
        source,
        encoding=detected.get("encoding", "utf-8" if source.format == "delimited" else ""),
        delimiter=detected.get("delimiter", source.delimiter).strip("'"),
        decimal="," if commas > points else ".",
        date_order=orders.pop() if len(orders) == 1 else "" if _open(columns) else "YMD",
        missing=tuple(dict.fromkeys(tokens)),
        id_column=_id_column(columns),
    )


def _open(columns: Sequence[ColumnScan]) -> bool:
    """Tell whether there are dates whose order nobody can see."""
    return any(c.dates and (c.dates.either or c.dates.day_first) for c in columns)


def _id_column(columns: Sequence[ColumnScan]) -> str:
    """Return the column that most probably holds the local person id."""
    named = [column for column in columns if column.kind == "id"]
    if named:
        return max(named, key=lambda column: column.filled).name
    first = columns[0] if columns else None
    return first.name if first and first.kind in ("text", "number") and first.filled else ""


def _odd_rows(
    connection: duckdb.DuckDBPyConnection, source: str, columns: Sequence[ColumnScan]
) -> Iterator[str]:
    """Say where totals stand among the rows, and where a second table seems to begin."""
    if not columns:
        return
    name = identifier(columns[0].name)
    rows = connection.execute(
        f"select source_row, {name} from {qualified('source', source)} where {name} is not null "
        f"and not regexp_matches({name}, '[0-9]') order by source_row limit 1000"
    ).fetchall()
    for row, text in rows:
        if value_key(text).split(" ")[0] in LEXICON.totals:
            yield f"row {row} sums up others: it will be rejected; better delete it in a copy"
    yield from _second_tables(connection, source, columns)


def _second_tables(
    connection: duckdb.DuckDBPyConnection, source: str, columns: Sequence[ColumnScan]
) -> Iterator[str]:
    """Say where, after an empty row, names of columns seem to stand again."""
    listed = ", ".join(identifier(column.name) for column in columns)
    cursor = connection.execute(
        f"select source_row, {listed} from (select *, lag(source_row) over (partition by "
        f"source_file order by source_row) as before from {qualified('source', source)}) "
        f"where source_row > before + 1 order by 1 limit {MAX_GAPS}"
    )
    for row, *cells in cursor.fetchall():
        texts = [cell for cell in cells if cell]
        names = [text for text in texts if not is_data(text)]
        known = sum(normal(text) in LEXICON.columns for text in names)
        if len(names) >= 2 and len(names) == len(texts) and known >= 2:
            yield (
                f"a second table seems to begin in row {row}: put it on a sheet of its own; "
                "until then its rows are read as if they belonged to the first"
            )
