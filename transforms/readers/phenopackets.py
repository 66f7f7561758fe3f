"""Reads GA4GH phenopackets: JSON, version 2 in camelCase or snake_case, one person a file or more.

Whatever a phenopacket holds that its block has no column for is counted by its path, never
dropped silently; only `metaData`, which describes the file and not the person, is left out. Known
defects of files in circulation are mended: `negated` of version 1, durations without P, and
1970-01-01T00:00:00Z, which stands for a date that was never set.
"""

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa

from transforms.errors import SourceError, raise_all
from transforms.readers.phenopacket_blocks import BLOCKS, RARE, Node, flatten
from transforms.readers.relation import (
    Part,
    SourceLike,
    SourceTable,
    content,
    matching_files,
    part,
    store,
)
from transforms.readers.strict_json import NotStrictJsonError, Parser, text_of


__all__ = ["columns", "read"]

HUMP = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")
GROUPS = {"proband": "Family", "members": "Cohort"}
KEYS_OF_BLOCKS = {
    "diseases": "diseases",
    "features": "phenotypic_features",
    "measurements": "measurements",
    "variants": "interpretations",
    "treatments": "medical_actions",
    "procedures": "medical_actions",
}
SEPARATE_KEYS = {"id", "subject", "meta_data", *KEYS_OF_BLOCKS.values()}


class _NotPhenopacketError(NotStrictJsonError):
    """Why a file is not taken; the text names keys of the schema, never a value."""


def columns(block: str) -> tuple[str, ...]:
    """Return all text columns of `block` in order; `subject_id` comes first."""
    names = tuple(BLOCKS[block].columns)
    return names if names[0] == "subject_id" else ("subject_id", *names)


def read(source: SourceLike, inbox: Path, connection: duckdb.DuckDBPyConnection) -> SourceTable:
    """Read the block `sheet` of all phenopackets of a source into `source.<id>`.

    `source_row` is the element's number within its file. Raises SourceError that names every file
    that is not a phenopacket and what it lacks.
    """
    block = source.sheet.strip()
    if block not in BLOCKS:
        raise SourceError(
            f"source {source.source}: phenopackets have no block '{source.sheet}'; "
            f"use one of {', '.join(BLOCKS)} in column 'sheet'"
        )
    if source.decimal == ",":
        raise SourceError(
            f"source {source.source}: decimal ',' is declared, but JSON writes numbers with '.'; "
            "correct 'decimal' in sheet 'sources'"
        )
    parts: list[Part] = []
    problems: list[str] = []
    others: set[str] = set()
    not_held = Counter[str]()
    for path in matching_files(source, inbox):
        name = path.relative_to(inbox).as_posix()
        try:
            packets = _packets(content(path, name))
            parts.append(_read_part(packets, block, name, not_held))
            others |= _blocks_in(packets) - {block}
        except NotStrictJsonError as refusal:
            problems.append(f"{name}: not a readable phenopacket: {refusal}")
        except (AttributeError, TypeError, KeyError, ValueError, IndexError):
            problems.append(f"{name}: not a readable phenopacket: {block} are not as in version 2")
    raise_all(SourceError, problems)
    kept = _without_rare(parts)
    return store(source, kept, connection, not_held=not_held, other_parts=others)


def _without_rare(parts: Sequence[Part]) -> list[Part]:
    """Return `parts` without rare columns that no file says anything in."""
    empty = {
        name
        for name in (parts[0].columns if parts else ())
        if name.endswith(RARE)
        and all(one.table[name].null_count == len(one.table) for one in parts)
    }
    return [
        Part(
            one.file,
            tuple(name for name in one.columns if name not in empty),
            one.table.drop_columns(list(empty)),
        )
        for one in parts
    ]


def _read_part(packets: Sequence[Node], block: str, name: str, not_held: Counter[str]) -> Part:
    """Return the rows of `block` in one file's `packets`; count what they do not hold."""
    rows: list[Mapping[str, str | None]] = []
    for packet in packets:
        subject = {"subject_id": packet["subject"]["id"]}
        for element in BLOCKS[block].elements(packet, not_held):
            row, lost = flatten(element, BLOCKS[block])
            rows.append({**subject, **row})
            not_held.update(f"{block}.{kind}" for kind in lost)
        if block == "subjects":
            not_held.update(_beside_the_blocks(packet))
    names = columns(block)
    values = [pa.array([row[column] for row in rows], pa.string()) for column in names]
    return part(name, block, names, values, pa.array(range(1, len(rows) + 1), pa.int64()))


def _blocks_in(packets: Sequence[Node]) -> set[str]:
    """Return the blocks for which `packets` hold anything."""
    filled = {block for block, key in KEYS_OF_BLOCKS.items() if any(p.get(key) for p in packets)}
    actions = [action for packet in packets for action in packet.get("medical_actions") or ()]
    kinds = {f"{kind}s" for kind in ("treatment", "procedure") if any(kind in a for a in actions)}
    return {"subjects", *(filled - {"treatments", "procedures"}), *kinds}


def _beside_the_blocks(packet: Node) -> dict[str, int]:
    """Return how many elements stand under each key that belongs to no block."""
    others = {key: value for key, value in packet.items() if key not in SEPARATE_KEYS and value}
    return {key: len(value) if isinstance(value, list) else 1 for key, value in others.items()}


def _packets(data: bytes) -> list[Node]:
    """Return the phenopackets in `data`: one object, a list of them, or one a line."""
    text, parser = text_of(data), Parser(_snake_case)
    first, _, rest = text.strip().partition("\n")
    if first.rstrip().endswith("}") and rest.lstrip().startswith("{"):
        found: Any = [parser.parse(line) for line in text.splitlines() if line.strip()]
    else:
        found = parser.parse(text)
    packets = found if isinstance(found, list) else [found]
    if not packets:
        raise _NotPhenopacketError("the list is empty; one phenopacket per person was expected")
    for number, packet in enumerate(packets, start=1):
        where = f"item {number}: " if isinstance(found, list) else ""
        problem = _problem(packet)
        if problem:
            raise _NotPhenopacketError(where + problem)
    return packets


def _problem(packet: Any) -> str:
    """Return what keeps `packet` from being a phenopacket, or an empty text."""
    if not isinstance(packet, dict):
        return "an object with 'id', 'subject' and 'metaData' was expected"
    for key, message in GROUPS.items():
        if key in packet and "subject" not in packet:
            return f"it is a {message} message; export one phenopacket per person"
    subject = packet.get("subject")
    if not isinstance(subject, dict) or not isinstance(subject.get("id"), str):
        return "'subject' with an 'id' is missing; export it again as GA4GH Phenopacket v2"
    for key in KEYS_OF_BLOCKS.values():
        if not _is_list_of_nodes(packet.get(key) or []):
            return f"'{key}' must be a list of objects"
    return ""


def _is_list_of_nodes(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(item, dict) for item in value)


@cache
def _snake_case(key: str) -> str:
    return HUMP.sub("_", key).lower()
