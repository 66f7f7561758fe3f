"""Takes texts out of a FHIR resource: by path, as code, date, age, quantity or reference.

A path is element names joined by dots; lists on the way are walked through. `#ext.<name>` is the
value of the extension whose URL ends in that name. Several values are joined by `;`, so that none
is left out without a word. Display texts of references, and names, are never taken.
"""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from transforms.readers.fhir_codes import curies, label, ucum


__all__ = [
    "Column",
    "Node",
    "ages",
    "codes",
    "dates",
    "extensions",
    "ids",
    "labels",
    "quantities",
    "texts",
    "values",
    "when",
]

Node = Mapping[str, Any]
Convert = Callable[[list[Any]], str | None]

DATE_TIME = re.compile(r"\d{4}-\d{2}-\d{2}T")
AGE_UNITS = {
    "a": "Y", "y": "Y", "yr": "Y", "year": "Y", "years": "Y", "mo": "M", "month": "M",
    "months": "M", "wk": "W", "week": "W", "weeks": "W", "d": "D", "day": "D", "days": "D",
}  # fmt: skip
EXTENSION_NAME = re.compile(r"(?:StructureDefinition-)?([A-Za-z0-9_.-]{1,60}?)(?:\.html)?")


@dataclass(frozen=True)
class Column:
    """A text column: the first of `paths` that holds anything is converted."""

    paths: tuple[tuple[str, ...], ...]
    convert: Convert

    def take(self, node: Node) -> str | None:
        """Return the column's text for `node`."""
        for path in self.paths:
            found = values(node, path) if path[0] in node else []
            if found:
                return self.convert(found)
        return None


def values(node: Any, path: Sequence[str]) -> list[Any]:
    """Return all that stands at `path` of `node`."""
    found = [node]
    for step in path:
        inner = [one[step] for one in found if isinstance(one, dict) and step in one]
        found = []
        for value in inner:
            if isinstance(value, list):
                found += value
            else:
                found.append(value)
    return [one for one in found if one is not None]


def _column(convert: Convert, paths: Sequence[str]) -> Column:
    return Column(tuple(tuple(path.split(".")) for path in paths), convert)


def texts(*paths: str) -> Column:
    """A column of plain values."""
    return _column(lambda found: _joined(_scalars(found)), paths)


def codes(*paths: str) -> Column:
    """A column of coded values, each as its first known code with prefix."""
    return _column(curies, paths)


def labels(*paths: str) -> Column:
    """A column of the words that stand beside codes."""
    return _column(label, paths)


def dates(*paths: str) -> Column:
    """A column of dates, `1987` and `1987-02` included; the time of day is cut off."""
    return _column(lambda found: _joined(map(_date, _scalars(found))), paths)


def ages(*paths: str) -> Column:
    """A column of ages as ISO 8601 durations; one in another unit stays as `value unit`."""
    return _column(lambda found: _joined(one for node in found if (one := _age(node))), paths)


def ids(*paths: str) -> Column:
    """A column of the ids that references point to."""
    return _column(lambda found: _joined(filter(None, map(_id, found))), paths)


def quantities(prefix: str, *paths: str) -> dict[str, Column]:
    """Columns of a Quantity: `<prefix>value` with its comparator, unit as written, and in UCUM."""
    return {
        f"{prefix}value": _column(lambda found: _joined(map(_number, found)), paths),
        f"{prefix}unit": texts(*(f"{path}.unit" for path in paths)),
        f"{prefix}unit_code": texts(*(f"{path}.code" for path in paths)),
        f"{prefix}unit_ucum": _column(
            lambda found: _joined(filter(None, (ucum(one) for one in found if _is_node(one)))),
            paths,
        ),
    }


def when(name: str, *elements: str) -> dict[str, Column]:
    """Columns of a choice of time such as onset[x]: date, end, ages and the words for it."""

    def each(kind: str) -> tuple[str, ...]:
        return tuple(element + kind for element in elements)

    return {
        f"{name}_date": dates(*each("DateTime"), *each("Instant"), *each("Period.start")),
        f"{name}_end": dates(*each("Period.end")),
        f"{name}_age_iso": ages(*each("Age")),
        f"{name}_age_low_iso": ages(*each("Range.low")),
        f"{name}_age_high_iso": ages(*each("Range.high")),
        f"{name}_text": texts(*each("String")),
    }


def extensions(node: Node) -> dict[str, list[Any]]:
    """Return extension name (in lower case) → its values; of a complex one, a node of its parts."""
    found: dict[str, list[Any]] = {}
    for one in node.get("extension") or ():
        if _is_node(one):
            found.setdefault(_extension_name(one.get("url")), []).append(_extension_value(one))
    return found


def _extension_name(url: object) -> str:
    matched = EXTENSION_NAME.fullmatch(str(url).rstrip("/").rpartition("/")[2])
    return matched.group(1).lower() if matched else "of an unusual name"


def _extension_value(node: Node) -> Any:
    if node.get("extension"):
        return extensions(node)
    return next((value for key, value in node.items() if key.startswith("value")), None)


def _is_node(value: Any) -> bool:
    return isinstance(value, dict)


def _scalars(found: Sequence[Any]) -> Iterator[str]:
    for one in found:
        if isinstance(one, bool):
            yield str(one).lower()
        elif isinstance(one, str):
            yield one


def _joined(found: Any) -> str | None:
    return ";".join(dict.fromkeys(found)) or None


def _date(text: str) -> str:
    """Return the day as it was written, without conversion to another time zone."""
    return text[:10] if DATE_TIME.match(text) else text


def _number(node: Any) -> str:
    if not _is_node(node):
        return next(_scalars([node]), "")
    value = node.get("value")
    return f"{node.get('comparator', '')}{value}" if isinstance(value, str) else ""


def _age(node: Any) -> str | None:
    """Return `{value: 3, code: a}` as `P3Y`."""
    value = node.get("value") if _is_node(node) else None
    if not isinstance(value, str):
        return None
    unit = str(node.get("code") or node.get("unit") or "").strip()
    letter = AGE_UNITS.get(unit.lower())
    return f"P{value}{letter}" if letter and value[:1].isdigit() else f"{value} {unit}".strip()


def _id(node: Any) -> str:
    """Return the id that a Reference, or a text like one, points to."""
    reference = node.get("reference") if _is_node(node) else node
    if not isinstance(reference, str):
        return ""
    bare = reference.partition("/_history/")[0].removeprefix("urn:uuid:").removeprefix("#")
    return bare.rpartition("/")[2]
