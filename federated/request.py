"""A question to the consortium, typed and checked against the data dictionary.

    version = 1
    analysis = "kaplan_meier"
    view = "person"
    minimum_sites = 3

    [parameters]
    time = "time_to_first_fracture_y"
    event = "first_fracture_observed"
    group = "gene_group"

    [cohort]
    field = "sex_at_birth"
    operator = "=="
    value = "female"

The digest names the question. It leaves `minimum_sites` out, which is a condition for answering
and not part of what is asked, so that it cannot be varied to ask the same thing again; likewise
`complete_later`, which lets sites that were absent when it was answered join that answer.
"""

import hashlib
import json
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any

from federated.analyses import ANALYSES
from federated.analysis import Analysis, AnalysisView, ParameterError, Variable, suggest
from federated.cohort import Cohort, known_part, mixed_fields, parse_cohort
from federated.statistics import CONTRIBUTING, Broadcast, Shape, Shapes
from federated.views import DICTIONARY_VIEWS
from transforms.errors import RequestError, raise_all


__all__ = ["Request", "load_request", "parse_again", "parse_request"]

VERSION = 1
KEYS = ("version", "analysis", "view", "parameters", "cohort", "minimum_sites", "complete_later")
APART = (
    "a condition on a sensitive field must stand by itself beside the others in one `and`; ask for "
    "the parts apart, or take the field as a variable of the table"
)
MOST_SITES = 64  # the headroom of the ring
MOST_BYTES = 1_000_000  # of a file; the longest that is of use has some ten thousand
DEEPEST = 20  # tables and lists within each other; a cohort has a limit of its own
MOST_PROBLEMS, LONGEST_PROBLEM = 20, 900  # what is said of a hopeless request, in characters each


@dataclass(frozen=True)
class Request:
    """One question. `parameters` have their defaults filled in; `design` is what they parse to.

    `sensitive` names the fields of the view that no colleague knows of a patient.
    """

    analysis: str
    view: str
    parameters: Mapping[str, object]
    cohort: Cohort | None
    minimum_sites: int
    design: Any = field(compare=False, repr=False)
    complete_later: bool = False
    sensitive: frozenset[str] = field(default=frozenset(), compare=False, repr=False)

    @property
    def definition(self) -> Analysis[Any]:
        """The analysis that the request names."""
        return ANALYSES[self.analysis]

    @property
    def known_cohort(self) -> Cohort | None:
        """The part of the cohort that looks at nothing sensitive; None when that is everybody."""
        return known_part(self.cohort, self.sensitive)

    @property
    def lines(self) -> tuple[Variable, ...]:
        """The variables of the table that are not sensitive: a line is one combination of them."""
        table = self.definition.table(self.design)
        return tuple(item for item in table if item.name not in self.sensitive)

    def cohort_problems(self) -> tuple[str, ...]:
        """Say which conditions tie what is secret to what is known, and what to ask instead."""
        mixed = sorted(mixed_fields(self.cohort, self.sensitive))
        names = ", ".join(mixed)
        return (f"cohort: {names} stand in one `or` or `not`; {APART}",) if mixed else ()

    def shapes(self, broadcast: Broadcast) -> Shapes:
        """Return the public shapes of what a site sends in answer to `broadcast`."""
        first = {} if broadcast else {CONTRIBUTING: Shape("counts", (1,))}
        return {**self.definition.shapes(self.design, broadcast), **first}

    def question(self) -> Mapping[str, object]:
        """Return what is asked, as plain JSON values."""
        return {
            "version": VERSION,
            "analysis": self.analysis,
            "view": self.view,
            "parameters": dict(self.parameters),
            "cohort": self.cohort.to_mapping() if self.cohort else None,
        }

    def to_mapping(self) -> Mapping[str, object]:
        """Return the request as plain JSON values, which `parse_request` accepts again."""
        conditions: dict[str, object] = {"minimum_sites": self.minimum_sites}
        if self.complete_later:
            conditions["complete_later"] = True
        return {**self.question(), **conditions}

    def canonical(self) -> bytes:
        """Return the question as canonical JSON."""
        text = json.dumps(self.question(), sort_keys=True, separators=(",", ":"), allow_nan=False)
        return text.encode()

    @cached_property
    def digest(self) -> str:
        """SHA-256 of `canonical()`, in hexadecimal: the name of the question."""
        return hashlib.sha256(b"marmor/request/1\n" + self.canonical()).hexdigest()

    @cached_property
    def counted(self) -> str:
        """SHA-256 of what the sites count: the same for one question put in two ways.

        The order of variables or the width of an interval makes another question, but the sites'
        numbers are the same, and must not be summed over other sites.
        """
        what = {**self.question(), "parameters": self.definition.counted(self.design)}
        text = json.dumps(what, sort_keys=True, separators=(",", ":"), allow_nan=False)
        return hashlib.sha256(b"marmor/counted/1\n" + text.encode()).hexdigest()


def parse_request(
    data: Mapping[str, object], views: Mapping[str, AnalysisView] = DICTIONARY_VIEWS
) -> Request:
    """Parse a request about one of `views`; RequestError lists every problem, nearest names too."""
    if not isinstance(data, Mapping):
        raise RequestError(f"a request must be a table with {', '.join(KEYS)}")
    deep = [key for key in data if key != "cohort" and _too_deep(data[key])]
    raise_all(RequestError, [f"{key}: is nested deeper than {DEEPEST}" for key in _brief(deep)])
    problems = [f"unknown key {k}{suggest(k, KEYS)}" for k in data if k not in KEYS]
    if data.get("version", VERSION) != VERSION:
        problems.append(f"version must be {VERSION}")
    analysis, view = _named(data, "analysis", ANALYSES, problems), _view(data, views, problems)
    if analysis and view and view.unit not in analysis.units:
        fitting = [name for name, one in views.items() if one.unit in analysis.units]
        problems.append(f"{analysis.name} reads the view {' or '.join(fitting) or '–'} only")
    minimum = data.get("minimum_sites", 3)
    if type(minimum) is not int or not 1 <= minimum <= MOST_SITES:
        problems.append(f"minimum_sites must be a whole number from 1 to {MOST_SITES}")
    later = data.get("complete_later", False)
    if type(later) is not bool:
        problems.append("complete_later must be true or false")
    cohort, wrong = _cohort(data.get("cohort"), view.variables) if view else (None, ())
    design = _design(data.get("parameters", {}), analysis, view, problems) if view else None
    raise_all(RequestError, _brief([*problems, *wrong]))
    if analysis is None or view is None or type(minimum) is not int:
        raise RequestError("the request is empty")
    parameters = analysis.canonical(design)
    sensitive = frozenset(name for name, one in view.variables.items() if one.sensitive)
    return Request(
        *(analysis.name, view.name, parameters, cohort, minimum, design, later is True), sensitive
    )


def parse_again(words: Mapping[str, object], views: Mapping[str, AnalysisView]) -> Request:
    """Parse a question that was asked before; one about the dictionary's views is remembered.

    Every new question is compared with all earlier ones, which need not be parsed each time.
    """
    if views is not DICTIONARY_VIEWS:
        return parse_request(words, views)
    return _parsed_text(json.dumps(words, sort_keys=True))


@lru_cache(maxsize=2048)
def _parsed_text(text: str) -> Request:
    """Parse the JSON of a question about the dictionary's views."""
    return parse_request(json.loads(text))


def load_request(path: Path, views: Mapping[str, AnalysisView] = DICTIONARY_VIEWS) -> Request:
    """Read a request from a .toml or .json file; RequestError when it is neither."""
    try:
        if path.stat().st_size > MOST_BYTES:
            raise RequestError(f"{path}: a request has at most {MOST_BYTES} bytes")
        data = _read(path.read_text(encoding="utf-8"), path.suffix)
    except OSError:
        raise RequestError(f"{path}: cannot be read") from None
    except RecursionError:
        raise RequestError(f"{path}: is nested far too deep") from None
    except ValueError as error:
        raise RequestError(f"{path}: is not valid {path.suffix[1:].upper()} ({error})") from None
    if not isinstance(data, dict):
        raise RequestError(f"{path}: must be a table with {', '.join(KEYS)}")
    try:
        return parse_request(data, views)
    except RequestError as error:
        raise_all(RequestError, [f"{path}: {line}" for line in str(error).splitlines()])
        raise


def _read(text: str, suffix: str) -> object:
    """Read JSON, without keys that come twice and numbers that are none, or TOML."""
    if suffix != ".json":
        return tomllib.loads(text)
    return json.loads(text, object_pairs_hook=_unique, parse_constant=_no_constant)


def _unique(pairs: list[tuple[str, object]]) -> dict[str, object]:
    """Build an object; a key that comes twice is an error."""
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a key comes twice")
    return found


def _no_constant(name: str) -> object:
    """Refuse NaN and Infinity, which are not JSON."""
    raise ValueError(f"{name} is no number")


def _too_deep(value: object) -> bool:
    """Whether tables and lists lie within each other more than DEEPEST deep."""
    level = [value]
    for _ in range(DEEPEST):
        inside = [
            item.values() if isinstance(item, Mapping) else item
            for item in level
            if isinstance(item, Mapping | list | tuple)
        ]
        level = [item for items in inside for item in items]
    return any(isinstance(item, Mapping | list | tuple) for item in level)


def _brief(problems: list[str]) -> list[str]:
    """The first problems, none of them long: the answer must not grow with the request."""
    lines = [
        f"{line[:LONGEST_PROBLEM]}…" if len(line) > LONGEST_PROBLEM else line for line in problems
    ]
    more = len(lines) - MOST_PROBLEMS
    return [*lines[:MOST_PROBLEMS], f"and {more} more"] if more > 0 else lines


def _named(
    data: Mapping[str, object], key: str, known: Mapping[str, Analysis[Any]], problems: list[str]
) -> Analysis[Any] | None:
    """Return the analysis that `data` names."""
    name = data.get(key)
    if isinstance(name, str) and name in known:
        return known[name]
    if key in data:
        problems.append(f"unknown {key} {name}{suggest(name, known)}")
    else:
        problems.append(f"{key} is missing; there are {', '.join(sorted(known))}")
    return None


def _view(
    data: Mapping[str, object], views: Mapping[str, AnalysisView], problems: list[str]
) -> AnalysisView | None:
    """Return the view that `data` names."""
    name = data.get("view")
    if isinstance(name, str) and name in views:
        return views[name]
    problems.append(f"unknown view {name}{suggest(name, views)}")
    return None


def _cohort(
    data: object, variables: Mapping[str, Variable]
) -> tuple[Cohort | None, tuple[str, ...]]:
    """Return the cohort; none, or an empty table, means every row of the view."""
    return (None, ()) if data is None or data == {} else parse_cohort(data, variables)


def _design(
    parameters: object,
    analysis: Analysis[Any] | None,
    view: AnalysisView,
    problems: list[str],
) -> object:
    """Return the analysis's design; None with a noted problem when the parameters do not fit."""
    if analysis is None:
        return None
    if not isinstance(parameters, Mapping):
        problems.append("parameters must be a table")
        return None
    unknown = [name for name in parameters if name not in analysis.parameters]
    problems += [f"unknown parameter {n}{suggest(n, analysis.parameters)}" for n in unknown]
    if unknown:
        return None
    try:
        return analysis.design(parameters, view)
    except ParameterError as error:
        problems += error.problems
        return None
