"""What a request may be about: the dictionary's analysis views, or views that a folder declares.

A declared view is for rehearsals on tables that no centre's release holds. One TOML file each:

    [view]
    name = "lung"
    unit = "patient"                  # what a row is

    [columns.age]
    type = "number"                   # or "integer", "flag", "category"
    [columns.sex]
    type = "category"
    levels = ["female", "male"]
    [columns.died]
    type = "flag"
    sensitive = true                  # no colleague knows it of a patient; default: false

    [outcomes.death]
    time = "days"
    event = "died"
    entry = "entered"                 # only under left truncation
"""

import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from federated.analysis import AnalysisView, TimeToEvent, Variable, suggest
from transforms.dictionary import DICTIONARY, Field, View
from transforms.errors import RequestError, raise_all


__all__ = ["DICTIONARY_VIEWS", "YES_OR_NO", "load_views", "without_bounds"]

YES_OR_NO = ("false", "true")
TYPES = ("number", "integer", "flag", "category")
VIEW_KEYS = ("name", "unit", "title")
COLUMN_KEYS = ("type", "levels", "labels", "unit", "label", "sensitive")
OUTCOME_KEYS = ("time", "event", "entry")

# What a colleague may know of a patient. Everything else of the dictionary's views is sensitive;
# a field too few here only narrows how a cohort may be put, one too many would let it be told.
KNOWN = frozenset(
    {"sex_at_birth", "gene_group", "dx_subtype", "age_band", "onset_age_y", "dx_age_y"}
)

# Public limits of a number and the width to which its quantiles are told, by its unit (UCUM):
# wider than what the dictionary's rules let through, and no finer than a clinic writes down.
BOUNDS: Mapping[str | None, tuple[float, float, float]] = {
    "a": (0.0, 120.0, 0.25),
    "{count}": (0.0, 1000.0, 1.0),
    "{Zscore}": (-20.0, 30.0, 0.1),
    "g/L": (0.0, 400.0, 1.0),
    "mmol/L": (0.0, 100.0, 0.01),
}


def load_views(folder: Path) -> Mapping[str, AnalysisView]:
    """Read every `*.toml` of `folder`; RequestError lists every problem of every file."""
    files = sorted(folder.glob("*.toml"))
    if not files:
        raise RequestError(f"{folder}: no view is declared there; put <name>.toml into it")
    problems: list[str] = []
    views = [_declared(path, problems) for path in files]
    names = [view.name for view in views]
    problems += [
        f"{folder}: two views are called {n}" for n in sorted({*names}) if names.count(n) > 1
    ]
    raise_all(RequestError, problems)
    return {view.name: view for view in views}


def without_bounds(views: Mapping[str, AnalysisView]) -> Mapping[str, AnalysisView]:
    """Return `views` with no number bounded, so that its quantiles are found to the last bit."""
    return {
        name: replace(
            view,
            variables={key: replace(item, bounds=None) for key, item in view.variables.items()},
        )
        for name, view in views.items()
    }


def _declared(path: Path, problems: list[str]) -> AnalysisView:
    """Build one declared view, noting what is wrong with its file."""
    try:
        data = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise RequestError(f"{path}: is not a TOML file that can be read ({error})") from None
    head, columns, outcomes = (_part(data, key) for key in ("view", "columns", "outcomes"))
    notes = [f"unknown key {key}" for key in data if key not in ("view", "columns", "outcomes")]
    notes += [f"[view]: unknown key {key}" for key in head if key not in VIEW_KEYS]
    notes += [f"[view]: {key} is missing" for key in ("name", "unit") if not head.get(key)]
    notes += [] if columns else ["[columns]: there is none"]
    for name, column in columns.items():
        notes += [f"[columns.{name}]: {problem}" for problem in _column_problems(column)]
    for name, outcome in outcomes.items():
        notes += [
            f"[outcomes.{name}]: {problem}" for problem in _outcome_problems(outcome, columns)
        ]
    problems += [f"{path}: {note}" for note in notes]
    if notes:
        return AnalysisView(path.stem, "", {})
    return AnalysisView(
        str(head["name"]),
        str(head["unit"]),
        {name: _variable(name, column) for name, column in columns.items()},
        {name: TimeToEvent(name, **outcome) for name, outcome in outcomes.items()},
    )


def _part(data: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    """Return a table of the file, empty where it is none."""
    part = data.get(key)
    return part if isinstance(part, dict) else {}


def _column_problems(column: object) -> Iterator[str]:
    """Yield what is wrong with one declared column."""
    if not isinstance(column, dict):
        yield f"must be a table with type, one of {', '.join(TYPES)}"
        return
    yield from (f"unknown key {key}" for key in column if key not in COLUMN_KEYS)
    kind, levels = column.get("type"), column.get("levels")
    if kind not in TYPES:
        yield f"type {kind}: must be one of {', '.join(TYPES)}"
    if (kind == "category") != (levels is not None):
        yield "a category has levels, nothing else has"
    if levels is not None and not _are_names(levels):
        yield "levels must be a list of distinct texts"
    if type(column.get("sensitive", False)) is not bool:
        yield "sensitive must be true or false"
    labels = column.get("labels")
    if labels is not None and not (_are_names(labels) and len(labels) == len(levels or ())):
        yield "labels must be distinct texts, one for each level"


def _are_names(values: object) -> bool:
    """Whether `values` is a list of distinct texts that are not empty."""
    if not isinstance(values, list) or not values:
        return False
    return all(isinstance(v, str) and v for v in values) and len(set(values)) == len(values)


def _outcome_problems(outcome: object, columns: Mapping[str, Any]) -> Iterator[str]:
    """Yield what is wrong with one declared outcome."""
    if not isinstance(outcome, dict):
        yield "must be a table with time and event"
        return
    yield from (f"unknown key {key}" for key in outcome if key not in OUTCOME_KEYS)
    for key in OUTCOME_KEYS:
        name = outcome.get(key)
        if name is None:
            yield from [f"{key} is missing"] if key != "entry" else []
            continue
        wanted = ("flag",) if key == "event" else ("number", "integer")
        if name not in columns:
            yield f"{key}: unknown column {name}{suggest(name, columns)}"
        elif _part(columns, name).get("type") not in wanted:
            yield f"{key}: {name} must be a {' or '.join(wanted)}"


def _variable(name: str, column: Mapping[str, Any]) -> Variable:
    """One declared column as the public sees it."""
    levels = YES_OR_NO if column["type"] == "flag" else tuple(column.get("levels", ()))
    labels = ("No", "Yes") if column["type"] == "flag" else tuple(column.get("labels", levels))
    label, sensitive = column.get("label", name), column.get("sensitive", False)
    return Variable(name, label, levels, labels, column.get("unit"), sensitive=sensitive)


def _of_dictionary(view: View) -> AnalysisView:
    """One of the dictionary's views: its columns that may leave as aggregates."""
    variables = {f.name: _of_field(f) for f in view.fields if f.leaves == "aggregate"}
    outcomes = {name: TimeToEvent(name, **columns) for name, columns in view.outcomes.items()}
    return AnalysisView(view.name, view.unit, variables, outcomes)


def _of_field(item: Field) -> Variable:
    """One column; yes-or-no has the levels of the code list `boolean`."""
    name = item.codelist or ("boolean" if item.type == "boolean" else None)
    plain = Variable(item.name, item.description, unit=item.unit, sensitive=item.name not in KNOWN)
    if name is None:
        return replace(plain, bounds=BOUNDS.get(item.unit))
    codes = DICTIONARY.codelists[name].codes
    labels = tuple(code.label for code in codes.values())
    return replace(plain, levels=tuple(codes), level_labels=labels)


DICTIONARY_VIEWS: Mapping[str, AnalysisView] = {
    name: _of_dictionary(view) for name, view in DICTIONARY.views.items()
}
