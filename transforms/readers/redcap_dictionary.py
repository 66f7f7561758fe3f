"""A REDCap project's data dictionary: its variables, their forms, labels and choices.

REDCap writes it as CSV (`Variable / Field Name`, …) and its API as CSV with other headers
(`field_name`, …). Columns are found by their place, because the first header can be damaged: in
RareLink's dictionary it is `1`.
"""

import csv
import html
import io
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from transforms.errors import SourceError
from transforms.readers.relation import SourceLike, content
from transforms.readers.text_encoding import text_of


__all__ = [
    "Project",
    "Variable",
    "checkbox_column",
    "complete",
    "events_beside",
    "is_dictionary",
    "is_list",
    "plain",
    "project_beside",
]

MARKS = ("Form Name", "Field Type")
MARKS_API = ("field_name", "form_name")
COLUMNS = 11  # as far as Identifier?
STATUS = {"Incomplete": "0", "Unverified": "1", "Complete": "2"}
YES_NO = {"Yes": "1", "No": "0"}
TRUE_FALSE = {"True": "1", "False": "0"}
TAG = re.compile(r"<[^<>]*>")
# Validations of dates and times; such a variable stays although it is marked as an identifier.
DATED = re.compile(r"(?:date|datetime)_")


@dataclass(frozen=True)
class Variable:
    """One row of the dictionary; `choices` are code → label, in order."""

    name: str
    form: str
    kind: str
    label: str
    choices: Mapping[str, str]
    validation: str
    minimum: str
    maximum: str
    identifier: bool

    @property
    def is_checkbox(self) -> bool:
        """Tell whether the export has a column per choice."""
        return self.kind == "checkbox"

    @property
    def is_date(self) -> bool:
        """Tell whether REDCap allows dates only."""
        return DATED.match(self.validation) is not None

    @property
    def is_number(self) -> bool:
        """Tell whether REDCap allows numbers only."""
        return self.validation.startswith(("number", "integer")) or self.kind in {"calc", "slider"}

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns that a raw export has for the variable."""
        if self.is_checkbox:
            return tuple(checkbox_column(self.name, code) for code in self.choices)
        return () if self.kind == "descriptive" else (self.name,)


@dataclass(frozen=True)
class Project:
    """All variables in order; the first one holds the record id. Empty without a dictionary."""

    variables: tuple[Variable, ...] = ()
    file: str = ""

    @property
    def record_id(self) -> str:
        """The variable of the record id, or an empty text."""
        return self.variables[0].name if self.variables else ""

    @property
    def forms(self) -> Mapping[str, tuple[str, ...]]:
        """Form → its variables."""
        found: dict[str, tuple[str, ...]] = {}
        for one in self.variables:
            found[one.form] = (*found.get(one.form, ()), one.name)
        return found

    def by_column(self) -> dict[str, Variable]:
        """Return column of a raw export → its variable."""
        return {column: one for one in self.variables for column in one.columns}


def checkbox_column(name: str, code: str) -> str:
    """Return the column of a checkbox's choice; REDCap writes `-9` as `____9`, in lower case."""
    return f"{name}___{re.sub(r'[^a-z0-9_]', '_', code.lower())}"


def complete(form: str) -> str:
    """Return the column that holds the status of a form."""
    return f"{form}_complete"


def is_list(path: Path) -> bool:
    """Tell by the first line whether `path` lists arms, events or which forms an event has."""
    return "arm_num" in _first_line(path)


def events_beside(export: Path) -> dict[str, str]:
    """Return label → unique name of the events that a REDCap list beside the export names.

    In a project with arms REDCap adds the arm to the label; here as `Dose 1 (Arm 2)`.
    """
    found: dict[str, set[str]] = {}
    for path in sorted(export.parent.glob("*.csv")):
        if {"event_name", "unique_event_name"} <= set(_first_line(path).strip().split(",")):
            with path.open(encoding="utf-8-sig", newline="", errors="replace") as stream:
                for row in csv.DictReader(stream):
                    label, arm = row["event_name"], row.get("arm_num", "")
                    for one in (label, f"{label} (Arm {arm})"):
                        found.setdefault(one, set()).add(row["unique_event_name"])
    return {label: names.pop() for label, names in found.items() if len(names) == 1}


def _first_line(path: Path) -> str:
    with path.open("rb") as stream:
        return stream.readline(4096).decode("utf-8", "replace").replace('"', "")


def is_dictionary(path: Path) -> bool:
    """Tell by the first line whether `path` is a REDCap data dictionary."""
    line = _first_line(path)
    return any(all(mark in line for mark in marks) for marks in (MARKS, MARKS_API))


def project_beside(source: SourceLike, inbox: Path, export: Path) -> Project:
    """Return the project whose data dictionary lies in the export's folder, or an empty one.

    Raises SourceError when there are several that differ.
    """
    found = [path for path in sorted(export.parent.glob("*.csv")) if is_dictionary(path)]
    read = [_read(path, path.relative_to(inbox).as_posix()) for path in found]
    if any(one.forms != read[0].forms for one in read):
        raise SourceError(
            f"source {source.source}: {' and '.join(one.file for one in read)} are different "
            "REDCap data dictionaries; keep only the one that belongs to the export"
        )
    return read[0] if read else Project()


def _read(path: Path, name: str) -> Project:
    """Read a dictionary leniently: its labels hold markup with quotation marks of all kinds."""
    text, _ = text_of(content(path, name), "", name)
    delimiter = max(",;\t", key=text.partition("\n")[0].count)
    try:
        _, *rows = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter)
    except csv.Error:
        raise SourceError(
            f"{name}: cannot be read as a REDCap data dictionary; download it again"
        ) from None
    padded = ([*row, *[""] * (COLUMNS - len(row))] for row in rows)
    return Project(tuple(_variable(row) for row in padded if row[0].strip()), name)


def _variable(row: Sequence[str]) -> Variable:
    kind = row[3].strip()
    return Variable(
        name=row[0].strip(),
        form=row[1].strip(),
        kind=kind,
        label=plain(row[4]),
        choices=_choices(row[5], kind),
        validation=row[7].strip(),
        minimum=row[8].strip(),
        maximum=row[9].strip(),
        identifier=row[10].strip().lower() in {"y", "1"},
    )


def plain(label: str) -> str:
    """Return a label as an export's header shows it: without markup, on one line."""
    return " ".join(html.unescape(TAG.sub("", label)).split())


def _choices(text: str, kind: str) -> dict[str, str]:
    """Return code → label of `1, one | 2, two`."""
    if kind == "yesno":
        return {code: label for label, code in YES_NO.items()}
    if kind == "truefalse":
        return {code: label for label, code in TRUE_FALSE.items()}
    if kind not in {"radio", "dropdown", "checkbox"}:
        return {}
    pairs = (one.partition(",") for one in text.split("|") if one.strip())
    return {code.strip(): plain(label) for code, _, label in pairs}
