"""Reads GA4GH phenopackets: JSON, version 2 in camelCase or snake_case, one person a file or more.

Whatever a phenopacket holds that its block has no column for is counted by its path, never
dropped silently; only `metaData`, which describes the file and not the person, is left out. Known
defects of files in circulation are mended: `negated` of version 1, durations without P, and
1970-01-01T00:00:00Z, which stands for a date that was never set.
"""

import json
import math
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa

from transforms.errors import SourceError, raise_all
from transforms.readers.phenopacket_blocks import BLOCKS, Node, flatten
from transforms.readers.relation import (
    Part,
    SourceLike,
    SourceTable,
    content,
    matching_files,
    part,
    store,
)


__all__ = ["columns", "read"]

MAX_NUMBER_LENGTH = 64
HUMP = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")
GROUPS = {"proband": "Family", "members": "Cohort"}
KEYS_OF_BLOCKS = {
    "diseases": "diseases",
    "features": "phenotypic_features",
    "measurements": "measurements",
    "variants": "interpretations",
    "procedures": "medical_actions",
}
SEPARATE_KEYS = {"id", "subject", "meta_data", *KEYS_OF_BLOCKS.values()}


class _NotPhenopacketError(ValueError):
    """Why a file is not taken; the text names keys of the schema, never a value."""


def columns(block: str) -> tuple[str, ...]:
    """Return the text columns of `block` in order; `subject_id` comes first."""
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
        except _NotPhenopacketError as refusal:
            problems.append(f"{name}: not a readable phenopacket: {refusal}")
        except (AttributeError, TypeError):
            problems.append(f"{name}: not a readable phenopacket: {block} are not as in version 2")
    raise_all(SourceError, problems)
    return store(source, parts, connection, not_held=not_held, other_parts=others)


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
    return {"subjects", *filled}


def _beside_the_blocks(packet: Node) -> dict[str, int]:
    """Return how many elements stand under each key that belongs to no block."""
    others = {key: value for key, value in packet.items() if key not in SEPARATE_KEYS and value}
    return {key: len(value) if isinstance(value, list) else 1 for key, value in others.items()}


def _packets(data: bytes) -> list[Node]:
    """Return the phenopackets in `data`, one object or a list of them."""
    found = _strict_json(data)
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


def _strict_json(data: bytes) -> Any:
    """Parse JSON strictly: no key twice, no NaN, no infinity; numbers stay texts."""
    try:
        return json.loads(
            data.decode("utf-8-sig"),
            object_pairs_hook=_node,
            parse_constant=_no_constant,
            parse_float=_number,
            parse_int=_number,
        )
    except UnicodeDecodeError:
        raise _NotPhenopacketError("it is not UTF-8 text, as JSON must be") from None
    except json.JSONDecodeError as error:
        raise _NotPhenopacketError(f"it is not valid JSON at line {error.lineno}") from None
    except RecursionError:
        raise _NotPhenopacketError("it is nested too deeply") from None


def _node(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    node = {_snake_case(key): value for key, value in pairs}
    if len(node) < len(pairs):
        raise _NotPhenopacketError("a key is given twice in one object")
    return node


@cache
def _snake_case(key: str) -> str:
    return HUMP.sub("_", key).lower()


def _no_constant(_: str) -> Any:
    raise _NotPhenopacketError("it holds NaN or Infinity, which JSON does not have")


def _number(text: str) -> str:
    if len(text) > MAX_NUMBER_LENGTH or not math.isfinite(float(text)):
        raise _NotPhenopacketError("it holds a number that is too large")
    return text
