"""Yields the resources of FHIR files one by one: Bundles, single resources, Bulk NDJSON.

Neither a Bundle nor an NDJSON file is ever held as objects as a whole. Of a resource that stands in
several files or pages, `Versions` tells which one counts.
"""

import json
import re
from array import array
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from transforms.errors import SourceError
from transforms.readers.fhir_paths import Node, values
from transforms.readers.relation import begin, content
from transforms.readers.strict_json import NotStrictJsonError, Parser, text_of


__all__ = ["Files", "Versions"]

MAX_LINE_BYTES = 50 * 2**20
MAX_BLANK_LINES = 1_000_000
BUNDLES = ("batch", "collection", "document", "searchset", "transaction")
TYPE = re.compile(rb'"resourceType"\s*:\s*"([A-Za-z]{1,40})"')


@dataclass
class Files:
    """Reads files; of NDJSON only lines of the types `wanted`, or that hold one of `marks`.

    `skipped` are the types of lines that were not looked into; `bare_entries` counts entries of
    Bundles that hold no resource.
    """

    wanted: frozenset[str]
    marks: tuple[bytes, ...] = ()
    skipped: set[str] = field(default_factory=set)
    bare_entries: int = 0
    notes: list[str] = field(default_factory=list)

    def resources(self, path: Path, name: str) -> Iterator[tuple[int, str, Node]]:
        """Yield place, full URL and content of every resource in a file.

        Raises SourceError for what is not FHIR in JSON.
        """
        try:
            if _is_ndjson(path, name):
                yield from self._lines(path, name)
            else:
                yield from self._members(text_of(content(path, name)), name)
        except NotStrictJsonError as refusal:
            raise SourceError(f"{name}: not readable as FHIR JSON: {refusal}") from None

    def _lines(self, path: Path, name: str) -> Iterator[tuple[int, str, Node]]:
        """Yield the resources of an NDJSON file line by line; types that do not matter unparsed."""
        parser = Parser()
        with path.open("rb") as stream:
            lines = iter(lambda: stream.readline(MAX_LINE_BYTES), b"")
            blank = 0
            for number, line in enumerate(lines, start=1):
                if not line.strip():
                    blank += 1
                    _refuse_blanks(blank, name)
                    continue
                kinds = {kind.decode() for kind in TYPE.findall(line)}
                marked = any(mark in line for mark in self.marks)
                if marked or not kinds or kinds & self.wanted:
                    where = f"{name}: line {number}"
                    yield number, "", _checked(_parsed(parser, line, where), where)
                else:
                    self.skipped |= kinds

    def _members(self, text: str, name: str) -> Iterator[tuple[int, str, Node]]:
        """Yield the resources of a Bundle one by one, or the one resource that the file is."""
        _refuse_other_texts(text, name)
        head: dict[str, Any] = {}
        number = 0
        for key, value in Parser().members(text, "entry"):
            if key != "entry":
                head[key] = value
                continue
            number += 1
            entry = value if isinstance(value, Mapping) else {}
            if "resource" in entry:
                where = f"{name}: entry {number}"
                yield number, str(entry.get("fullUrl", "")), _checked(entry["resource"], where)
            else:
                self.bare_entries += 1
        if head.get("resourceType") == "Bundle":
            self._check_bundle(head, name)
        else:
            yield 1, "", _checked(head, name)

    def _check_bundle(self, head: Node, name: str) -> None:
        if head.get("type") not in BUNDLES:
            raise SourceError(
                f"{name}: it is a Bundle of another type than {', '.join(BUNDLES)}; "
                "export the present state of the records, not their history or a server's answers"
            )
        links = [one for one in values(head, ("link",)) if isinstance(one, Mapping)]
        if any(one.get("relation") == "next" for one in links):
            self.notes.append(
                f"{name}: it is one page of several (link 'next'); put all pages into the inbox"
            )


def _is_ndjson(path: Path, name: str) -> bool:
    """Tell by the ending, or by a first line that is a whole object with another one below it."""
    begin(name)
    if path.suffix.lower() in {".ndjson", ".jsonl"}:
        return True
    try:
        with path.open("rb") as stream:
            first = stream.readline(MAX_LINE_BYTES).strip()
            second = stream.readline(1024).lstrip()
    except OSError as error:
        reason = error.strerror or "unreadable"
        raise SourceError(f"{name}: cannot be read ({reason}); check its permissions") from None
    return first.startswith(b"{") and first.endswith(b"}") and second.startswith(b"{")


def _refuse_blanks(count: int, name: str) -> None:
    if count > MAX_BLANK_LINES:
        raise SourceError(
            f"{name}: more than {MAX_BLANK_LINES} of its lines are empty; "
            "NDJSON has one resource per line: export again"
        )


def _parsed(parser: Parser, line: bytes, where: str) -> Any:
    if len(line) == MAX_LINE_BYTES:
        raise SourceError(
            f"{where} is longer than {MAX_LINE_BYTES // 2**20} MB; "
            "NDJSON has one resource per line: export again"
        )
    try:
        return parser.parse(text_of(line))
    except NotStrictJsonError as refusal:
        reason = str(refusal).partition(" at line")[0]
        raise SourceError(f"{where} is not readable as FHIR JSON: {reason}") from None


def _refuse_other_texts(text: str, name: str) -> None:
    start = text.lstrip()[:1]
    if start != "{":
        kind = {"<": "XML", "[": "a JSON list"}.get(start, "no JSON")
        raise SourceError(
            f"{name}: a FHIR Bundle or resource in JSON was expected, but the file is {kind}; "
            "export a Bundle as JSON, or NDJSON with one resource per line"
        )


def _checked(resource: Any, where: str) -> Node:
    if not isinstance(resource, dict) or not isinstance(resource.get("resourceType"), str):
        raise SourceError(
            f"{where}: not a FHIR resource, it has no 'resourceType'; export FHIR R4 as JSON"
        )
    if resource["resourceType"] == "Bundle":
        raise SourceError(f"{where}: a Bundle within another file; save it as a file of its own")
    return resource


class Versions:
    """Which of several versions of a resource counts: the one that was updated last."""

    def __init__(self) -> None:
        self._latest: dict[str, int] = {}
        self._updated: list[str] = []
        self._digests = array("q")
        self.superseded: set[int] = set()
        self.contradictions = 0

    def take(self, key: str, resource: Node) -> int | None:
        """Return a number for the resource, or None when an equal or newer one was seen."""
        meta = resource.get("meta")
        updated = str(meta.get("lastUpdated", "")) if isinstance(meta, Mapping) else ""
        bare = {name: value for name, value in resource.items() if name not in {"meta", "text"}}
        digest = hash(json.dumps(bare, sort_keys=True))
        before = self._latest.get(key) if key else None
        if before is not None:
            same = self._digests[before] == digest
            self.contradictions += not same and updated == self._updated[before]
            if same or updated <= self._updated[before]:
                return None
            self.superseded.add(before)
        self._updated.append(updated)
        self._digests.append(digest)
        number = len(self._updated) - 1
        if key:
            self._latest[key] = number
        return number
