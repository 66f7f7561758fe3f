"""Reads FHIR R4: Bundles, single resources and Bulk NDJSON; `sheet` names the block of columns.

Blocks and their columns stand in `fhir_blocks`; `observations/laboratory` is the block restricted
to one category. Names, addresses, notes, narratives and the display texts of references are left
out before anything reaches DuckDB, and counted; so is every element that no column takes.
Resources marked `entered-in-error` are left out, as FHIR demands. Of a resource that stands in
several files the newest version counts.
"""

import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.compute as pc

from transforms.errors import SourceError
from transforms.readers.fhir_blocks import BLOCKS, PATIENT, SAID, Block, known
from transforms.readers.fhir_codes import by_system, curies, label
from transforms.readers.fhir_files import Files, Versions
from transforms.readers.fhir_observations import Lost, is_feature, observation_block
from transforms.readers.fhir_paths import Node, extensions, values
from transforms.readers.fhir_references import (
    KARYOTYPE,
    Register,
    contained,
    own_id,
    own_key,
    reference_key,
    subject_key,
)
from transforms.readers.relation import (
    Part,
    SourceLike,
    SourceTable,
    begin,
    matching_files,
    part,
    store,
)


__all__ = ["columns", "read"]

ROWS_AT_ONCE = 20_000
ELEMENT = re.compile(r"_?[a-z][A-Za-z]{0,40}")
# What every resource may have and nothing is taken from.
FRAME = {
    "resourceType", "id", "meta", "implicitRules", "language", "contained", "extension",
    "modifierExtension", "status",
}  # fmt: skip
NAMING = {
    "text", "name", "telecom", "address", "photo", "contact", "note", "identifier", "performer",
    "asserter", "recorder", "informationSource", "requester", "participant", "generalPractitioner",
    "managingOrganization", "presentedForm", "conclusion", "resultsInterpreter", "source",
    "interpreter", "serialNumber", "udiCarrier", "owner", "patientInstruction", "followUp",
}  # fmt: skip
# What must be seen besides a block's own resources, to resolve what they refer to.
REFERRED = {
    "patients": ("Consent",),
    "variants": ("Observation",),
    "implications": ("Observation",),
    "medications": ("Medication",),
}
HIDDEN = ("#person", "#resource", "#other")


def columns(block: str) -> tuple[str, ...]:
    """Return the text columns of `block` in order."""
    return BLOCKS[block].names


@dataclass
class _Reading:
    """What one source's files give, while they are read."""

    name: str
    block: Block
    category: str
    files: Files
    known: tuple[set[str], set[str]]
    register: Register = field(default_factory=Register)
    lost: Lost = field(default_factory=Counter)
    others: set[str] = field(default_factory=set)
    versions: Versions = field(default_factory=Versions)
    contradicted: Counter[str] = field(default_factory=Counter)


def read(source: SourceLike, inbox: Path, connection: duckdb.DuckDBPyConnection) -> SourceTable:
    """Read the block `sheet` of all files of a source into `source.<id>`.

    `source_row` is the entry's number in a Bundle, the line's in NDJSON. Raises SourceError for a
    file that is not FHIR JSON, a block that does not exist, or two versions of one resource that
    contradict each other.
    """
    reading = _start(source)
    pieces = [
        piece
        for path in matching_files(source, inbox)
        for piece in _read_file(path, path.relative_to(inbox).as_posix(), reading)
    ]
    begin("")
    for name, count in reading.contradicted.items():
        raise SourceError(
            f"{name}: {count} of its resources stand in it, or in another file of source "
            f"{source.source}, a second time with different content and without a date that says "
            "which is newer; keep one export in the inbox"
        )
    parts = [_resolve(piece, reading) for piece in pieces]
    if reading.name == "patients":
        _count_unused(parts, reading)
    reading.lost["entries without a resource"] += reading.files.bare_entries
    return store(
        source,
        parts,
        connection,
        not_held=reading.lost,
        notes=reading.files.notes,
        other_parts=_others(source, reading),
    )


def _start(source: SourceLike) -> _Reading:
    name, _, category = source.sheet.strip().partition("/")
    if name not in BLOCKS:
        raise SourceError(
            f"source {source.source}: FHIR has no block '{source.sheet}'; "
            f"use one of {', '.join(BLOCKS)} in column 'sheet'"
        )
    if category and "category" not in BLOCKS[name].columns:
        raise SourceError(
            f"source {source.source}: {name} have no categories; write '{name}' in column 'sheet'"
        )
    if source.decimal == ",":
        raise SourceError(
            f"source {source.source}: decimal ',' is declared, but JSON writes numbers with '.'; "
            "correct 'decimal' in sheet 'sources'"
        )
    wanted = frozenset({"Patient", *BLOCKS[name].types, *REFERRED.get(name, ())})
    marks = (KARYOTYPE.encode(),) if name == "patients" else ()
    return _Reading(name, BLOCKS[name], category, Files(wanted, marks), known(BLOCKS[name]))


def _others(source: SourceLike, reading: _Reading) -> set[str]:
    """Return the blocks and categories that the files hold besides this one."""
    skipped = {n for n, block in BLOCKS.items() if reading.files.skipped & set(block.types)}
    return (reading.others | skipped) - {source.sheet.strip(), reading.name}


def _read_file(path: Path, name: str, reading: _Reading) -> Iterator[Part]:
    """Yield the rows of one file, so many at a time; persons are keys still."""
    names = (*reading.block.names, *HIDDEN)
    rows: list[tuple[int, dict[str, str | None]]] = []
    made, before = False, reading.versions.contradictions
    for place, url, resource in reading.files.resources(path, name):
        rows += [(place, row) for row in _rows(url, resource, name, reading)]
        if len(rows) >= ROWS_AT_ONCE:
            yield _piece(name, reading.name, names, rows)
            rows, made = [], True
    if contradicted := reading.versions.contradictions - before:
        reading.contradicted[name] = contradicted
    if rows or not made:
        yield _piece(name, reading.name, names, rows)


def _piece(
    name: str, sheet: str, names: Sequence[str], rows: Sequence[tuple[int, Mapping[str, Any]]]
) -> Part:
    arrays = [pa.array([row.get(column) for _, row in rows]) for column in names]  # may be null
    return part(name, sheet, names, arrays, pa.array([place for place, _ in rows], pa.int64()))


def _rows(
    url: str, resource: Node, name: str, reading: _Reading
) -> Iterator[dict[str, str | None]]:
    """Yield the rows that a resource gives to the block; note what others refer to."""
    kind = resource["resourceType"]
    try:
        reading.register.see(url, resource)
        reading.others |= _blocks_of(resource)
        if kind not in reading.block.types:
            _count_strangers(kind, reading)
        elif _is_void(resource):
            reading.lost[f"{reading.name} entered in error"] += 1
        else:
            yield from _block_rows(url, resource, reading)
    except (AttributeError, TypeError, KeyError, ValueError, IndexError):
        raise SourceError(
            f"{name}: a {kind if kind in KINDS else 'resource'} is not built as in FHIR R4; "
            "check with a FHIR validator, and export again"
        ) from None


KINDS = {kind for block in BLOCKS.values() for kind in block.types}
SILENT = {"Medication", "Practitioner", "PractitionerRole", "Organization", "Location",
          "OperationOutcome", "Specimen", "Composition", "Provenance"}  # fmt: skip


def _count_strangers(kind: str, reading: _Reading) -> None:
    """Count, once per export, resources of persons for which there is no block."""
    if reading.name == "patients" and kind not in KINDS | SILENT:
        reading.lost[f"resources of type {kind if kind.isalpha() else 'unknown'}"] += 1


def _blocks_of(resource: Node) -> set[str]:
    """Return the blocks that the resource gives rows to."""
    kind = resource["resourceType"]
    if kind == "Observation":
        return {observation_block(resource)}
    more = {"features"} if kind == "Condition" and is_feature(resource) else set()
    return more | {n for n, b in BLOCKS.items() if kind in b.types and n != "features"}


def _is_void(resource: Node) -> bool:
    verification = values(resource, ("verificationStatus", "coding", "code"))
    return "entered-in-error" in {resource.get("status"), *verification}


def _block_rows(url: str, resource: Node, reading: _Reading) -> Iterator[dict[str, str | None]]:
    block = reading.block
    if resource.get("modifierExtension"):
        reading.lost[f"{reading.name} with a modifierExtension, whose meaning is not known"] += 1
        return
    made = list(block.rows({**resource, "#ext": extensions(resource)}, reading.lost))
    if not made:
        return
    key = own_key(url, resource)
    number = reading.versions.take(key, resource)
    if number is None:
        reading.lost[f"{reading.name} that stand in the files twice"] += 1
        return
    _count_unheld(resource, reading)
    person = subject_key(resource, block.about) if block.about else key
    for row in made:
        texts = _texts(row, block, own_id(url, resource))
        categories = (texts.get("category") or "none").split(";")
        if reading.category not in ("", *categories):
            reading.others |= {f"{reading.name}/{category}" for category in categories}
        else:
            yield {**texts, "#person": person, "#resource": str(number), "#other": _other(row, key)}


def _texts(row: Node, block: Block, own: str) -> dict[str, str | None]:
    """Return the text of each column of the block."""
    texts = {name: column.take(row) for name, column in block.columns.items()}
    named = next((name for name in block.columns if name.endswith("_id")), "")
    if named and block.columns[named].paths == (("id",),):
        texts[named] = own
    return texts | _coded(_concepts(row, block), block)


def _concepts(row: Node, block: Block) -> list[Any]:
    found = values(row, block.concept.split("."))
    inner = contained(row, row.get("medicationReference"))
    return found or ([inner.get("code")] if inner else [])


def _coded(concepts: Sequence[Any], block: Block) -> dict[str, str | None]:
    if not block.own or not concepts:
        return {}
    found = by_system(concepts, block.own)
    codes = {f"{system}_code": found.get(system) for system in (*block.own, "other")}
    return {"code": curies(concepts), **codes, "code_text": label(concepts)}


def _other(row: Node, key: str) -> str:
    """Return the key of what else is to be looked up: a Medication, or the variant itself."""
    return reference_key(row.get("medicationReference")) or key


def _count_unheld(resource: Node, reading: _Reading) -> None:
    """Count elements and extensions that no column of the block takes."""
    elements, names = reading.known
    for element in resource.keys() - elements - FRAME:
        if element in NAMING:
            reading.lost[f"{reading.name}.{element}: may name a person, not read"] += 1
        else:
            shown = element if ELEMENT.fullmatch(element) else "element of an unusual name"
            reading.lost[f"{reading.name}.{shown}"] += 1
    for name in extensions(resource).keys() - names:
        reading.lost[f"{reading.name}.extension {name}"] += 1


def _count_unused(parts: Sequence[Part], reading: _Reading) -> None:
    """Count what stands beside patients, such as a Consent, and belongs to no row of theirs."""
    patients = {one for piece in parts for one in pc.unique(piece.table[PATIENT[0]]).to_pylist()}
    for kind, count in reading.register.unused(patients).items():
        reading.lost[f"{kind} that name no patient of these files"] += count


def _resolve(piece: Part, reading: _Reading) -> Part:
    """Replace the hidden keys of `piece` by the persons and codes they stand for."""
    table = _without_superseded(_as_texts(piece.table), reading)
    register = reading.register
    person = _look_up(table["#person"], lambda key: getattr(register.person(key), "id", None))
    number = _look_up(
        table["#person"], lambda key: getattr(register.person(key), "identifier", None)
    )
    table = _put(_put(table, PATIENT[0], person), PATIENT[1], number)
    if reading.name == "patients":
        said = register.said_of_persons()
        table = _fill(table, SAID, lambda one: said.get(one, {}), by=PATIENT[0])
    if reading.name == "variants":
        table = _fill(table, VARIANT_FILLS, lambda key: register.implications.get(key, {}))
    if reading.name == "medications":
        coded = reading.block
        table = _fill(
            table, coded.coded, lambda key: _coded([register.medications.get(key)], coded)
        )
    kept = _with_person(table, reading)
    return Part(piece.file, reading.block.names, kept.drop_columns(list(HIDDEN)))


def _as_texts(table: pa.Table) -> pa.Table:
    """Return `table` with texts in its columns of nothing, which took no memory until now."""
    fields = [f.with_type(pa.string()) if pa.types.is_null(f.type) else f for f in table.schema]
    return table.cast(pa.schema(fields))


VARIANT_FILLS = ("acmg_code", "acmg_text", "disease_code", "inheritance_code")


def _without_superseded(table: pa.Table, reading: _Reading) -> pa.Table:
    """Return `table` without rows of older versions and of patients merged into others."""
    old = pa.array([str(number) for number in reading.versions.superseded], pa.string())
    table = table.filter(pc.invert(pc.is_in(table["#resource"], value_set=old)))
    if reading.name != "patients":
        return table
    merged = _look_up(
        table["#person"], lambda key: "yes" if reading.register.is_replaced(key) else None
    )
    reading.lost["patients merged into another"] += table.num_rows - merged.null_count
    return table.filter(pc.is_null(merged))


def _with_person(table: pa.Table, reading: _Reading) -> pa.Table:
    kept = table.filter(pc.is_valid(table[PATIENT[0]]))
    reading.lost[f"{reading.name} without a patient"] += table.num_rows - kept.num_rows
    return kept


def _look_up(keys: pa.ChunkedArray, found: Callable[[str], str | None]) -> pa.ChunkedArray:
    """Return what `found` gives for each of `keys`, asked once per distinct key."""
    chunks = [chunk.dictionary_encode() for chunk in keys.chunks]
    texts = [
        pa.array([found(key) if key else None for key in chunk.dictionary.to_pylist()], pa.string())
        for chunk in chunks
    ]
    taken = [text.take(chunk.indices) for text, chunk in zip(texts, chunks, strict=True)]
    return pa.chunked_array(taken, pa.string())


def _put(table: pa.Table, name: str, cells: pa.ChunkedArray) -> pa.Table:
    return table.set_column(table.column_names.index(name), name, cells)


def _fill(
    table: pa.Table,
    names: Sequence[str],
    found: Callable[[str], Mapping[str, str | None]],
    by: str = "#other",
) -> pa.Table:
    """Fill empty cells of `names` with what is found for the row's key in column `by`."""
    for name in names:
        more = _look_up(table[by], _entry(name, found))
        table = _put(table, name, pc.coalesce(table[name], more))
    return table


def _entry(
    name: str, found: Callable[[str], Mapping[str, str | None]]
) -> Callable[[str], str | None]:
    return lambda key: found(key).get(name)
