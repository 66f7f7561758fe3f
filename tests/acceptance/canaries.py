"""What must never be found outside a site's own folder, and how to look for it in any bytes."""

import base64
import struct
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

import duckdb

from transforms.mapping import Mapping as SiteMapping
from transforms.mapping import parse_mapping
from transforms.readers import read
from transforms.site import Site
from transforms.sql import identifier


__all__ = ["contents", "found", "harvest", "variants"]

SHORTEST = 8  # characters; a shorter text occurs by chance
FEW = 8  # texts per column: enough to notice a path out, few enough to search quickly


def harvest(site: Site) -> frozenset[str]:
    """Return texts of the site's raw files that name or describe a person.

    A few values of each column that the mapping ignores as an identifier or free text, of the id
    columns, of the columns that dates and HGVS strings come from, and converted laboratory values.
    """
    mapping = parse_mapping(site.mapping)
    texts: set[str] = set()
    with duckdb.connect() as connection:
        connection.execute("create schema source")
        for source in mapping.sources:
            table = read(source, site.inbox, connection)
            for name in _telling(mapping, source.source) & set(table.columns):
                texts |= _values(connection, source.source, name)
    return frozenset(texts | _measured(site))


def _measured(site: Site) -> set[str]:
    """Return a few laboratory values of the current release that have many digits."""
    path = site.releases / site.current.read_text().strip() / "tables" / "lab_measurement.parquet"
    rows = duckdb.execute(
        "select distinct value::varchar as text from read_parquet($1) "
        "where length(text) >= $2 order by length(text) desc, text limit $3",
        [str(path), SHORTEST, FEW],
    ).fetchall()
    return {str(row[0]) for row in rows}


def _telling(mapping: SiteMapping, source: str) -> set[str]:
    """Return the columns of `source` that tell about a person."""
    ignored = {
        rule.column
        for rule in mapping.ignores
        if rule.source in (source, "") and rule.reason in ("identifier", "free_text")
    }
    mapped = {
        name
        for rule in mapping.fields
        if rule.source == source and (rule.rule == "date" or rule.field.startswith("hgvs"))
        for name in rule.columns
    }
    ids = {item.id_column for item in mapping.sources if item.source == source}
    return ignored | mapped | ids


def _values(connection: duckdb.DuckDBPyConnection, source: str, name: str) -> set[str]:
    """Return the distinct texts of one column."""
    rows = connection.execute(
        f"select distinct {identifier(name)} as text from source.{identifier(source)} "
        # Recent dates and the epoch also stand in logs, databases and certificates.
        "where length(text) >= $1 and not regexp_matches(text, '20[2-9][0-9]|1970') "
        "order by text limit $2",
        [SHORTEST, FEW],
    ).fetchall()
    return {str(row[0]) for row in rows}


def variants(text: str) -> Iterator[bytes]:
    """Yield the forms in which `text` might travel."""
    for encoding in ("utf-8", "utf-16-le", "cp1252"):
        try:
            raw = text.encode(encoding)
        except UnicodeEncodeError:
            continue
        yield raw
        yield raw.hex().encode()
        yield from (_base64(raw, shift) for shift in range(3))
    yield text.encode("unicode_escape")
    try:
        number = float(text.replace(",", "."))
    except ValueError:
        return
    yield struct.pack("<d", number)
    yield struct.pack(">d", number)


def _base64(raw: bytes, shift: int) -> bytes:
    """Return what every base64 text with `raw` at an offset of `shift` must contain."""
    encoded = base64.b64encode(b"\0" * shift + raw)
    start = (0, 2, 3)[shift]
    whole = (len(raw) + shift) // 3 * 4
    return encoded[start:whole]


def found(texts: Iterable[str], contents: Mapping[str, bytes]) -> list[str]:
    """Return `place: which variant of which text` for every text found in `contents`.

    The text itself is not in the answer: only its length, so that a failing test tells nothing.
    """
    needles = {variant for text in texts for variant in variants(text) if len(variant) >= SHORTEST}
    return [
        f"{place}: {len(needle)} bytes"
        for place, content in contents.items()
        for needle in needles
        if needle in content
    ]


def contents(paths: Iterable[Path]) -> dict[str, bytes]:
    """Return the bytes of every file below `paths`."""
    files = (
        file
        for path in paths
        for file in (sorted(path.rglob("*")) if path.is_dir() else [path])
        if file.is_file() and not file.is_symlink()
    )
    return {str(file): file.read_bytes() for file in files}
