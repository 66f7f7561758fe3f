"""The dictionary of one version as plain data, kept under `history/` so that versions compare.

A snapshot holds what a centre's mapping or a request can depend on: tables, fields, code lists and
analytes. Reasons of limits, codings and crosswalks are not in it: no row changes with them.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from transforms.dictionary.model import Analyte, Dictionary, Field, Range, Table
from transforms.errors import DictionaryError


__all__ = ["Snapshot", "history", "kept", "parse_snapshot", "snapshot", "version_order"]

Snapshot = Mapping[str, Any]

HISTORY = Path(__file__).with_name("history")
PLAIN = (
    "description", "type", "obligation", "leaves", "unit", "codelist", "references", "pattern",
    "derived",
)  # fmt: skip
PARTS = ("version", "tables", "codelists", "analytes")


def snapshot(dictionary: Dictionary) -> dict[str, Any]:
    """Return the dictionary as plain data: what `json.dumps` takes, keys in dictionary order."""
    return {
        "version": dictionary.version,
        "tables": {name: _table(table) for name, table in dictionary.tables.items()},
        "codelists": {
            name: {code.code: code.label for code in codelist.codes.values()}
            for name, codelist in dictionary.codelists.items()
        },
        "analytes": {code: _analyte(analyte) for code, analyte in dictionary.analytes.items()},
    }


def history() -> tuple[str, ...]:
    """Return the versions that are kept, oldest first."""
    return tuple(sorted((path.stem for path in HISTORY.glob("*.json")), key=version_order))


def kept(version: str) -> Snapshot:
    """Return the snapshot of a version that is kept; DictionaryError lists those that are."""
    if version not in history():
        raise DictionaryError(
            f"dictionary: version {version} is not known here; known are {', '.join(history())}"
        )
    return parse_snapshot(HISTORY / f"{version}.json")


def parse_snapshot(path: Path) -> Snapshot:
    """Read a snapshot from a JSON file; DictionaryError when it is none."""
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or "it is not JSON"
        raise DictionaryError(f"{path}: cannot be read ({reason})") from None
    if not isinstance(data, dict) or any(part not in data for part in PARTS):
        raise DictionaryError(
            f"{path}: not a snapshot of a dictionary (it needs {', '.join(PARTS)}); "
            "make one with `marmor dictionary export --to snapshot`"
        )
    return data


def version_order(version: str) -> tuple[int, ...]:
    """Return what versions sort by.

    >>> version_order("0.10.0") > version_order("0.9.1")
    True
    """
    return tuple(int(part) if part.isdecimal() else 0 for part in version.split("."))


def _table(table: Table) -> dict[str, Any]:
    """Return one table; provenance fields are the same everywhere and left out."""
    return {
        "description": table.description,
        "key": list(table.key),
        "discriminator": table.discriminator,
        "fields": {
            field.name: _field(field)
            for field in table.fields
            if not field.name.startswith("source_")
        },
    }


def _field(field: Field) -> dict[str, Any]:
    """Return one field, without what it does not have."""
    plain = {name: getattr(field, name) for name in PLAIN}
    limits = {"hard": _range(field.hard), "soft": _range(field.soft)}
    return {name: value for name, value in {**plain, **limits}.items() if value is not None}


def _analyte(analyte: Analyte) -> dict[str, Any]:
    """Return one analyte."""
    return {
        "unit": analyte.unit,
        "hard": _range(analyte.hard),
        "soft": _range(analyte.soft),
        "factors": dict(analyte.factors),
    }


def _range(limits: Range | None) -> list[float | None] | None:
    """Return limits as [low, high]."""
    return None if limits is None else [limits.low, limits.high]
