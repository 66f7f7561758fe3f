"""What would pass: found on the pooled counts, so that nobody has to find it by trial and error.

    table     merge two levels of a variable whose cells are withheld in the same places, or drop
              a variable when all its levels are
    curves    merge two groups whose curves are withheld
    summaries merge two groups whose means are withheld and whose numbers are not
    model     drop a term, or use a coarser time grid

A remedy is a whole request, ready to be asked, and words for people. It is found by putting each
candidate before the same gate; `remedies` is a pure function of request, counts and policy.

**Why a remedy does not leak.** That "merge 0-1 and 2-9" is suggested depends on counts that nobody
may see, so it has to be shown that it tells no more than may be told.

1. *What is suggested would itself be released.* The candidate has passed this gate on these counts.
   Whoever reads "would pass" learns what he would learn by asking it, and less: not its numbers.
2. *Which candidates are tried follows from what the answer tells already* (`told` counts, public
   levels), in a fixed order. So a remedy that is absent says, at most, that the gate withholds
   something of a question that could have been asked.
3. *At most `MOST_TRIED` candidates are tried for an answer, `MOST_SUGGESTED` suggested.* The same
   counts always give the same remedies, so that nothing is gained by asking again. The coordinator
   writes both numbers into its ledger beside the answer.
4. *Neither a yes nor a no narrows a withheld count to fewer than `grid` numbers.* A yes says that k
   withheld counts, 1 to 6 each, make 7 or more: each may still be any of 1 to 6. A no says of one
   sum that it is 6 or less: each may still be 0 to 5 when a zero would be withheld there as well,
   and not otherwise. So a candidate whose no would speak of one sum only is not tried unless at
   most one of its counts is known not to be zero; where it speaks of two or more sums, it does
   not say which of them is small. And no withheld count takes part in two candidates, so that two
   verdicts never meet in it. `federated.feasible` checks this in the tests. A candidate that must
   not be tried is named all the same, as one that may pass (`certain` is false): that follows from
   what is told, and whoever wants to know has to ask it and is entered in the ledger for it.
5. *Cells are merged withheld with withheld and shown with shown.* A withheld count merged with one
   that is shown would be their difference; the rule of overlap would refuse it anyway.

A model that is refused shows nothing, so its candidates (5 at most) rest on 1 to 3: a term that may
be dropped says that the counts of the others are clear, which its fit would say.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import singledispatch
from itertools import combinations
from typing import Any, TypeAlias, cast

import numpy as np
from numpy.typing import NDArray

from federated.analysis import Curve, Curves, ModelCounts, Summaries, Table, Variable
from federated.gate.cells import told
from federated.gate.curves import curves_data
from federated.gate.tables import table_data
from federated.guards import model_problems, table_problems
from federated.policy import Policy
from federated.request import Request


__all__ = ["MOST_SUGGESTED", "MOST_TRIED", "Plan", "Remedy", "fitting", "remedies"]

MOST_TRIED, MOST_SUGGESTED = 12, 3

# So many counts that are not zero may still make a sum that is withheld, on the narrowest grid.
MOST_IN_A_SMALL_SUM = 6

Question: TypeAlias = Mapping[str, Any]


@dataclass(frozen=True)
class Remedy:
    """A question that would be released: words for people, and the request itself.

    `certain` is false for one that was not put before the gate and may be withheld as well.
    """

    words: str
    request: Question
    certain: bool = True

    def to_json(self) -> Mapping[str, object]:
        """Return how the remedy stands in a result."""
        return {"words": self.words, "certain": self.certain, "request": self.request}


@dataclass(frozen=True)
class Plan:
    """What was found, and how many candidates were put before the gate to find it."""

    remedies: tuple[Remedy, ...] = ()
    tried: int = 0


@dataclass(frozen=True)
class _Candidate:
    """A change to a question, and whether it passes; None where that must not be tried."""

    remedy: Remedy
    passes: bool | None


def remedies(request: Request, outcome: object, policy: Policy) -> Plan:
    """Return what would pass in place of what is withheld of `outcome`; nothing where all is shown.

    Nothing either under the exact policy, and for outcomes whose cells cannot be merged.
    """
    if policy.exact:
        return Plan()
    found: list[Remedy] = []
    tried = 0
    for candidate in _candidates(outcome, request, policy):
        tried += candidate.passes is not None
        if candidate.passes is not False:
            found.append(replace(candidate.remedy, certain=candidate.passes is True))
        if tried >= MOST_TRIED or len(found) >= MOST_SUGGESTED:
            break
    return Plan(tuple(found), tried)


def fitting(request: Request, policy: Policy) -> tuple[Remedy, ...]:
    """Return requests with one variable less whose table is as small as allowed, largest first.

    A table's size is public, so that nothing is asked of any site; nothing where it fits already.
    """
    variables = request.definition.table(request.design)
    if not table_problems(variables, policy):
        return ()
    found = []
    for dropped in sorted(variables, key=lambda item: (-len(item.levels), item.name)):
        left = [item for item in variables if item.name != dropped.name]
        lists = {key: names for key, names in request.parameters.items() if isinstance(names, list)}
        key = next((key for key, names in lists.items() if dropped.name in names), None)
        if key and left and not table_problems(left, policy):
            question = _changed(request, {key: [item.name for item in left]})
            found.append(Remedy(f"drop {dropped.name}", question))
    return tuple(found[:MOST_SUGGESTED])


@singledispatch
def _candidates(outcome: object, request: Request, policy: Policy) -> Iterator[_Candidate]:
    """Yield candidates in a fixed order; none for an outcome without a rule of its own."""
    yield from ()


@_candidates.register
def _of_table(table: Table, request: Request, policy: Policy) -> Iterator[_Candidate]:
    """Two or all levels of one variable: the others are counted in a cohort of these.

    Who lacks a dropped variable only would join; the verdict is about those who are counted now.
    """
    if table.counts.ndim < 2 or request.analysis != "crosstab":
        return
    used = np.zeros(table.counts.shape, dtype=bool)
    order = sorted(range(table.counts.ndim), key=lambda axis: -table.counts.shape[axis])
    for axis in order:
        lines = np.moveaxis(table.counts, axis, 0)
        taken = np.moveaxis(used, axis, 0)
        hidden = np.moveaxis(_withheld(table, policy), axis, 0)
        seen = np.moveaxis(_zeros_are_seen(table, policy), axis, 0)
        for group in (*_pairs(len(lines)), tuple(range(len(lines)))):
            chosen = list(group)
            small = hidden[chosen]
            if not small.any() or (small != small[0]).any() or (taken[chosen] & small).any():
                continue
            taken[chosen] |= small
            others = tuple(v for i, v in enumerate(table.variables) if i != axis)
            merged = Table(others, lines[chosen].sum(axis=0), 0, lambda keep: None)
            passes = not _withheld(merged, policy).any()
            remedy = _merge(request, table.variables[axis], group, "variables")
            yield _Candidate(remedy, passes if _may_be_tried(small, seen[chosen]) else None)


def _may_be_tried(withheld: NDArray[np.bool_], zero_is_seen: NDArray[np.bool_]) -> bool:
    """Whether a verdict on merging lines leaves every withheld count as open as it must be.

    `withheld` and `zero_is_seen` have one row for each line.
    """
    known_not_zero = (zero_is_seen & withheld).sum(axis=0)[withheld[0]]
    several = withheld[0].sum() > 1 and known_not_zero.max() <= MOST_IN_A_SMALL_SUM
    return bool(several or known_not_zero.sum() <= 1)


def _withheld(table: Table, policy: Policy) -> NDArray[np.bool_]:
    """Which cells the gate withholds."""
    cells: Any = table_data(table, policy)["counts"]
    for _ in range(table.counts.ndim - 1):
        cells = [cell for line in cells for cell in line]
    hidden = [not isinstance(cell, int) for cell in cells]
    return np.array(hidden, dtype=bool).reshape(table.counts.shape)


def _zeros_are_seen(table: Table, policy: Policy) -> NDArray[np.bool_]:
    """Where a zero would be shown, so that a withheld count is known not to be one."""
    size = table.counts.shape
    if any(variable.sensitive for variable in table.variables):
        return np.zeros(size, dtype=bool)
    least = np.where(_withheld(table, policy), 0, told(table.counts, policy))
    lines = [
        np.broadcast_to(least.sum(axis=axis, keepdims=True), size) for axis in range(len(size))
    ]
    return np.asarray(np.minimum.reduce(lines) >= policy.min_denominator, dtype=np.bool_)


def _pairs(count: int) -> Sequence[tuple[int, int]]:
    """Pairs of levels, neighbors first."""
    return sorted(combinations(range(count), 2), key=lambda pair: (pair[1] - pair[0], pair))


@_candidates.register
def _of_curves(curves: Curves, request: Request, policy: Policy) -> Iterator[_Candidate]:
    """Two groups whose curves are withheld whole: one curve in a cohort of both."""
    if curves.group is None:
        return
    hidden = [index for index, one in enumerate(_shown(curves, policy)) if _is_withheld(one)]
    used: set[int] = set()
    for one, two in _pairs(len(curves.curves)):
        if {one, two} & used or not {one, two} <= set(hidden):
            continue
        used |= {one, two}
        merged = replace(curves, curves=(_together(curves.curves[one], curves.curves[two]),))
        (both,) = _shown(merged, policy)
        remedy = _merge(request, curves.group, (one, two), "group")
        yield _Candidate(remedy, not _is_withheld(both))


def _shown(curves: Curves, policy: Policy) -> list[Mapping[str, Any]]:
    """The curves as they are told."""
    return cast(list[Mapping[str, Any]], curves_data(curves, policy)["curves"])


@_candidates.register
def _of_summaries(summaries: Summaries, request: Request, policy: Policy) -> Iterator[_Candidate]:
    """Two groups whose numbers are told and too few for a mean: told together they are enough.

    Numbers that are withheld are left alone: two of them, 6 and 6, are never enough.
    """
    size = tuple(len(item.levels) for item in summaries.by)
    least = told(summaries.counts, policy).reshape(*size, -1)
    needed = policy.least(policy.min_denominator)
    used: set[tuple[int, int]] = set()
    for axis in range(len(size)):
        lines = np.moveaxis(least, axis, 0)
        for one, two in _pairs(len(lines)):
            few = (lines[[one, two]] < needed).any()
            if not few or not lines[[one, two]].all() or {(axis, one), (axis, two)} & used:
                continue
            used |= {(axis, one), (axis, two)}
            passes = bool((lines[one] + lines[two] >= needed).all())
            yield _Candidate(_merge(request, summaries.by[axis], (one, two), "by"), passes)


def _is_withheld(curve: Mapping[str, Any]) -> bool:
    """Whether a told curve has no step at all and says why."""
    return not curve["steps"] and curve["rest"] is not None


def _together(one: Curve, two: Curve) -> Curve:
    """The counts of two groups as one; the gate looks at no estimate to decide on steps."""
    return replace(
        one,
        at_risk=one.at_risk + two.at_risk,
        events=one.events + two.events,
        censored=one.censored + two.censored,
    )


@_candidates.register
def _of_model(counts: ModelCounts, request: Request, policy: Policy) -> Iterator[_Candidate]:
    """A coarser grid where its times are at fault; one term less, or all that are at fault less.

    Patients who lack a value of the dropped term only would join; the verdict is about those who
    are counted now.
    """
    problems = model_problems(counts, policy)
    rules = {problem.rule for problem in problems}
    if rules == {"small_risk_set"}:
        yield from _coarser_grid(counts, request, policy)
        return
    terms = [name for name in _terms(request) if (name,) in counts.tables]
    named = [name for name in terms if any(name in p.variables for p in problems)]
    groups: list[tuple[str, ...]] = [(name,) for name in (named or terms)]
    groups += [tuple(named)] if len(named) > 1 else []
    for dropped in groups[:5]:
        if len(dropped) < len(_terms(request)):
            passes = not model_problems(_without(counts, dropped), policy)
            words = f"drop {' and '.join(dropped)}"
            yield _Candidate(Remedy(words, _dropping(request, dropped)), passes)


def _coarser_grid(counts: ModelCounts, request: Request, policy: Policy) -> Iterator[_Candidate]:
    """The yearly grid instead of the finer one of the request, when all else passes."""
    if request.parameters.get("times") == "early":
        question = _changed(request, {"times": "years"})
        passes = not model_problems(replace(counts, risk_sets=None), policy)
        yield _Candidate(Remedy("use the yearly grid", question), passes)


def _without(counts: ModelCounts, dropped: Sequence[str]) -> ModelCounts:
    """The counts of a model without the terms `dropped`, on the same patients."""
    levels = [int((counts.tables[(name,)] > 0).sum()) for name in dropped]
    fewer = sum(max(number - 1, 0) for number in levels)
    tables = {k: v for k, v in counts.tables.items() if not set(k) & set(dropped)}
    return replace(counts, parameters=max(counts.parameters - fewer, 1), tables=tables)


def _terms(request: Request) -> list[str]:
    """The covariates of a model's request."""
    return [str(name) for name in request.parameters.get("covariates") or ()]  # type: ignore[attr-defined]


def _dropping(request: Request, dropped: Sequence[str]) -> Question:
    """The request without some covariates, and without what it says of their reference levels."""
    left = [name for name in _terms(request) if name not in dropped]
    reference = request.parameters.get("reference")
    kept = (
        {name: level for name, level in reference.items() if name in left}
        if isinstance(reference, Mapping)
        else reference
    )
    return _changed(request, {"covariates": left, **({"reference": kept} if kept else {})})


def _merge(request: Request, variable: Variable, group: Sequence[int], parameter: str) -> Remedy:
    """Ask the rest of the question of a cohort that has one of some levels, or of everybody."""
    named = request.parameters[parameter]
    left = None if named == variable.name else [n for n in _names(named) if n != variable.name]
    question = _changed(request, {parameter: left})
    if len(group) == len(variable.levels):
        return Remedy(f"drop {variable.name}", question)
    labels = " and ".join(variable.level_labels[i] for i in group)
    levels = [variable.levels[i] for i in group]
    some = {"field": variable.name, "operator": "in", "value": levels}
    plain = question["cohort"]
    cohort = {"and": [plain, some]} if plain else some
    return Remedy(f"merge {labels} of {variable.label}", {**question, "cohort": cohort})


def _names(value: object) -> list[str]:
    """The variables that a parameter lists."""
    return [str(name) for name in value] if isinstance(value, list | tuple) else []


def _changed(request: Request, parameters: Mapping[str, object]) -> Question:
    """The request with other parameters."""
    plain = request.to_mapping()
    return {**plain, "parameters": {**request.parameters, **parameters}}
