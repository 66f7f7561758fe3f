"""What an analysis is: a site part, a combine part, and the public shape of what passes between.

    site(frame, design, broadcast)  → blocks          at every site, on its own rows
    combine(total, design, ask)     → Ask | Done      at the coordinator, on the sum over sites

Both are pure functions of arrays. An analysis never sees a network, a key, a file or the policy:
what may be published of its outcome is decided afterwards by `federated.disclosure`, which knows
the closed set of outcomes below and refuses anything else.
"""

import difflib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Generic, Literal, TypeAlias, TypeVar

import numpy as np
from numpy.typing import NDArray

from federated.statistics import Blocks, Broadcast, Frame, Shapes


__all__ = [
    "Analysis",
    "AnalysisView",
    "Ask",
    "Curve",
    "Curves",
    "Done",
    "Issue",
    "LogRank",
    "Model",
    "ModelCounts",
    "Outcome",
    "ParameterError",
    "Rates",
    "Screen",
    "Summaries",
    "Table",
    "Term",
    "Test",
    "TimeToEvent",
    "Variable",
    "choose_variables",
    "suggest",
]

Design = TypeVar("Design")


class ParameterError(ValueError):
    """Parameters do not fit the analysis; `problems` has one line for each."""

    def __init__(self, problems: Sequence[str]) -> None:
        super().__init__("\n".join(problems))
        self.problems = tuple(problems)


@dataclass(frozen=True)
class Variable:
    """A column of an analysis view as the public sees it; a number has no levels.

    `bounds` are a number's public limits and the width to which its quantiles are told; None where
    none is declared, and then quantiles are told as exactly as they are held. `sensitive`: a
    colleague does not know it of a patient, and must not learn it.
    """

    name: str
    label: str
    levels: tuple[str, ...] = ()
    level_labels: tuple[str, ...] = ()
    unit: str | None = None
    bounds: tuple[float, float, float] | None = None
    sensitive: bool = False

    @property
    def coded(self) -> bool:
        """Whether the variable has a public list of levels."""
        return bool(self.levels)


@dataclass(frozen=True)
class TimeToEvent:
    """A named outcome of a view: the columns that hold its time, its event and its entry."""

    name: str
    time: str
    event: str
    entry: str | None = None


@dataclass(frozen=True)
class AnalysisView:
    """What a request may speak of: what a row is (`unit`), its variables, its outcomes."""

    name: str
    unit: str
    variables: Mapping[str, Variable]
    outcomes: Mapping[str, TimeToEvent] = field(default_factory=dict)


@dataclass(frozen=True)
class Screen:
    """Pooled counts on which the gate decides which cells may be asked for in the next round.

    `contributors` (patients with the event) and `patients` have the same shape; a cell passes
    when both are large enough under the policy. Where the cells are quantiles, `tails` holds the
    shorter side of each, min(q, 1 - q), which has to have enough of the patients.
    """

    contributors: NDArray[np.int64]
    patients: NDArray[np.int64]
    tails: NDArray[np.float64] | None = None


@dataclass(frozen=True)
class ModelCounts:
    """Pooled counts on which the gate decides whether a regression may be fitted at all.

    `patients` are complete and distinct; `events` are those with the outcome, None where it is a
    number. `parameters` counts the estimable ones. `tables` are all one- and two-way counts of
    patients over the terms with levels and the outcome: variable names → counts over their levels.
    `risk_sets` are the events at each time whose risk set is summed over sites; None: none is.
    """

    patients: int
    events: int | None
    parameters: int
    tables: Mapping[tuple[str, ...], NDArray[np.int64]]
    risk_sets: NDArray[np.int64] | None = None


@dataclass(frozen=True)
class Ask:
    """Another round: sites receive `broadcast`, and per `screen` a 0/1 array of passing cells.

    The gate refuses the round when it refuses `model`. `carry` stays at the coordinator and comes
    back in the next `combine`.
    """

    broadcast: Broadcast = field(default_factory=dict)
    screen: Mapping[str, Screen] = field(default_factory=dict)
    model: ModelCounts | None = None
    carry: Any = None


@dataclass(frozen=True)
class Test:
    """A significance test of a table, over the first variable's levels named in `levels`."""

    __test__ = False  # not a test case for pytest

    name: str
    statistic: float
    degrees_of_freedom: int
    p_value: float
    levels: tuple[str, ...]
    small_expected: bool


@dataclass(frozen=True)
class Table:
    """Pooled counts per combination of levels; `missing` rows lack one of the variables.

    `test(keep)` tests independence over the first variable's levels where `keep` is true, and
    gives None where that is not defined. The gate calls it with the levels that may be shown.
    """

    variables: tuple[Variable, ...]
    counts: NDArray[np.int64]
    missing: int
    test: Callable[[NDArray[np.bool_]], Test | None] = field(compare=False)


@dataclass(frozen=True)
class Curve:
    """One group's pooled survival on the public grid; arrays run over the grid's bins.

    `at_risk[k]`, `events[k]` and `censored[k]` belong to the bin that ends at `times[k]`;
    `survival[k]` and its limits are the estimate at `times[k]`.
    """

    level: str
    label: str
    times: NDArray[np.float64]
    at_risk: NDArray[np.int64]
    events: NDArray[np.int64]
    censored: NDArray[np.int64]
    survival: NDArray[np.float64]
    lower: NDArray[np.float64]
    upper: NDArray[np.float64]


@dataclass(frozen=True)
class LogRank:
    """Log-rank test that groups have one hazard; `observed` and `expected` events per group."""

    statistic: float
    degrees_of_freedom: int
    p_value: float
    levels: tuple[str, ...]
    observed: NDArray[np.int64]
    expected: NDArray[np.float64]


@dataclass(frozen=True)
class Curves:
    """Kaplan-Meier curves; `unobserved` were never at risk on the grid, `missing` lack a value.

    `test(keep)` compares the curves where `keep` is true; None where that is not defined. The gate
    calls it with the curves that may be shown.
    """

    time: Variable
    group: Variable | None
    confidence: float
    curves: tuple[Curve, ...]
    unobserved: int
    missing: int
    test: Callable[[NDArray[np.bool_]], LogRank | None] | None = field(default=None, compare=False)


@dataclass(frozen=True)
class Rates:
    """Events per person-time and cell; `interval(events, time)` gives exact limits per unit time.

    `patients` and `contributors` are lower bounds of distinct patients, and of those with an
    event. `person_years` is NaN where it was not asked for.
    """

    variables: tuple[Variable, ...]
    events: NDArray[np.int64]
    patients: NDArray[np.int64]
    contributors: NDArray[np.int64]
    person_years: NDArray[np.float64]
    per: float
    confidence: float
    missing: int
    interval: Callable[[NDArray[Any], NDArray[np.float64]], tuple[NDArray[np.float64], ...]] = (
        field(compare=False)
    )


@dataclass(frozen=True)
class Summaries:
    """Number, mean, SD and quantiles of numbers by group.

    `rows` is per group (the levels of `by`, flattened), `counts`, `mean` and `sd` per group and
    variable, `quantiles` per group, variable and probability. NaN stands for what was not asked or
    is not defined; `missing` rows lack a variable of `by`.
    """

    variables: tuple[Variable, ...]
    by: tuple[Variable, ...]
    probabilities: tuple[float, ...]
    rows: NDArray[np.int64]
    counts: NDArray[np.int64]
    mean: NDArray[np.float64]
    sd: NDArray[np.float64]
    quantiles: NDArray[np.float64]
    missing: int


@dataclass(frozen=True)
class Term:
    """One coefficient of a model: of a number, or of a level against `reference`.

    `estimate` and what follows from it are NaN where the data do not determine it; then an `Issue`
    of the model names the term. `statistic` is estimate / se, the interval estimate ± z·se.
    """

    name: str
    variable: str
    level: str | None
    reference: str | None
    estimate: float
    se: float
    statistic: float
    p_value: float
    lower: float
    upper: float


@dataclass(frozen=True)
class Issue:
    """What is wrong with a fit, and the terms concerned; `absent` are levels that nobody has."""

    kind: Literal["absent", "collinearity", "no_spread", "not_converged", "separation"]
    terms: tuple[str, ...]


@dataclass(frozen=True)
class Model:
    """A fitted regression called `name`. `figures` are single numbers, such as log_likelihood.

    `tests` are tests of the whole model or of its assumptions. `robust` says that standard errors
    are those of the sandwich. `scale` names exp(estimate), such as "hazard_ratio"; None: no such.
    `counts` are those that the gate judged.
    """

    name: str
    counts: ModelCounts
    terms: tuple[Term, ...]
    figures: Mapping[str, float]
    tests: Mapping[str, Mapping[str, float]]
    scale: str | None
    robust: bool
    confidence: float
    iterations: int
    converged: bool
    issues: tuple[Issue, ...]
    missing: int
    described: Mapping[str, object]


# Counts of a model are an outcome when the gate does not let it be fitted.
Outcome: TypeAlias = Table | Curves | Rates | Summaries | Model | ModelCounts


@dataclass(frozen=True)
class Done:
    """The end: the pooled outcome, not yet seen by the gate."""

    outcome: Outcome


@dataclass(frozen=True)
class Analysis(Generic[Design]):
    """One analysis. `design` parses parameters against a view into a typed design.

    `units` says what a row of a view must be for the analysis to read it; `parameters` documents
    each parameter; `canonical` gives a design's parameters back with defaults filled in, so that
    equal questions look equal; `counted` leaves out what changes only how the answer is put, so
    that nobody gets the same numbers twice in other words; `table` are the variables whose levels
    make the cells of the result; `rounds` is the most data rounds it can take;
    `shapes(design, broadcast)` are the blocks that a site sends in answer to a broadcast.
    """

    name: str
    title: str
    units: tuple[str, ...]
    parameters: Mapping[str, str]
    rounds: int
    design: Callable[[Mapping[str, object], AnalysisView], Design]
    canonical: Callable[[Design], Mapping[str, object]]
    counted: Callable[[Design], Mapping[str, object]]
    fields: Callable[[Design], tuple[str, ...]]
    table: Callable[[Design], tuple[Variable, ...]]
    shapes: Callable[[Design, Broadcast], Shapes]
    site: Callable[[Frame, Design, Broadcast], Blocks]
    combine: Callable[[Blocks, Design, Ask], Ask | Done]


def choose_variables(
    names: object, variables: Mapping[str, Variable], *, most: int, what: str
) -> tuple[tuple[Variable, ...], list[str]]:
    """Return the coded variables called `names`, and what is wrong with the list.

    A number cannot be tabulated; the view has a banded variable for it.
    """
    if not isinstance(names, list | tuple) or not 1 <= len(names) <= most:
        return (), [f"{what} must be a list of 1 to {most} variables"]
    if len(set(map(str, names))) != len(names):
        return (), [f"{what} names a variable twice"]
    known = [name for name in names if isinstance(name, str) and name in variables]
    unknown = [str(name) for name in names if name not in known]
    uncoded = [name for name in known if not variables[name].coded]
    problems = [f"{what}: unknown variable {name}{suggest(name, variables)}" for name in unknown]
    problems += [f"{what}: {name} is a number and has no levels" for name in uncoded]
    return tuple(variables[name] for name in known), problems


def suggest(name: object, known: Iterable[str]) -> str:
    """Return "; did you mean …?" with the nearest known names, or what there is."""
    names = list(known)
    if not names:
        return "; there is none"
    near = difflib.get_close_matches(str(name)[:100], names, n=3, cutoff=0.5)
    if near:
        return f"; did you mean {' or '.join(near)}?"
    return f"; there is {', '.join(names)}"
