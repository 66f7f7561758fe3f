"""The one gate between a pooled outcome and anything that may be published.

`release` knows a closed set of outcomes by their type; any other value is an error, so that a new
kind of result needs a new rule here. Every rule works on *pooled* cells: a centre with three
patients contributes, and only the consortium's cell must be large enough. Numbers: `Policy`.

- A count of 1 to `grid` is withheld; larger ones are shown as the midpoint of their bin (7-12 as 9
  with the default grid of 6), so that two answers cannot be subtracted to one patient.
- All else depends on what is *told* of counts, never on more: thresholds act on starts of bins, a
  zero is seen only where the shown cells of every line through it make enough patients, a total is
  the sum of what is shown. So each withheld count may be any number from 1 to `grid`, whatever else
  is published with it; `federated.feasible` checks that for every table.
- Along a sensitive variable a cell is told only beside others that are, and never a zero: a line
  of known length tells what all of its patients are, if all are the same or nearly all.
- A percentage comes from the shown cells of its line only, and only when all of them are shown:
  what the rest of a line adds up to would give its withheld cells away. A rate comes from shown
  numbers with enough patients, and nobody or enough both of those with an event and those without.
- A survival curve shows a step only after enough events, delayed until then, and ends where too few
  are at risk. Mean and SD need enough patients, a quantile enough on either side; never an extreme.
- A regression is fitted only when its counts pass `federated.guards.model_problems`.

`Withheld` is a value of its own: never zero, never missing. It names the rule and not the count.
Rule by rule, where it is enforced and which test shows it: docs/privacy.md, "The gate".
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import singledispatch

from federated.analysis import Curves, Model, ModelCounts, Rates, Summaries, Table
from federated.gate.cells import Json, Withheld
from federated.gate.curves import curves_data
from federated.gate.models import model_data
from federated.gate.rates import rates_data
from federated.gate.summaries import summaries_data
from federated.gate.tables import table_data
from federated.guards import (
    MODEL_RULES,
    check_contributing,
    model_problems,
    passing,
    table_problems,
)
from federated.policy import Policy
from transforms.errors import RefusedError, raise_all


__all__ = [
    "RULES",
    "Published",
    "Withheld",
    "check_contributing",
    "model_problems",
    "passing",
    "release",
    "table_problems",
]

RULES: Mapping[str, str] = {
    "small_cell": "too few patients in the cell; merge levels or widen the cohort",
    "small_denominator": "too few patients to relate to; merge levels or widen the cohort",
    "complement": "a cell of the line is withheld and a share would tell it; merge levels",
    "sensitive_line": "too few cells of a line along a sensitive variable are large enough, and "
    "one alone would tell the others; merge levels or widen the cohort",
    "small_tail": "too few patients still under observation; the curve ends here",
    "small_start": "too few patients under observation at the start; merge groups",
    "few_events": "too few events for a step of the curve; merge groups",
    "few_levels": "fewer than two levels can be shown in full, so there is nothing to test",
    **MODEL_RULES,
}


@dataclass(frozen=True)
class Published:
    """What the gate let out, as JSON values with `Withheld` where a number is not shown.

    Only this module makes one; a test keeps it so.
    """

    data: Json


@singledispatch
def release(outcome: object, policy: Policy) -> Published:
    """Apply every rule of `policy` to a pooled `outcome`; TypeError for an unknown kind."""
    raise TypeError(f"no disclosure rule for {type(outcome).__name__}")


@release.register
def _release_table(table: Table, policy: Policy) -> Published:
    raise_all(RefusedError, table_problems(table.variables, policy))
    return Published(table_data(table, policy))


@release.register
def _release_curves(curves: Curves, policy: Policy) -> Published:
    raise_all(RefusedError, table_problems((curves.group,) if curves.group else (), policy))
    return Published(curves_data(curves, policy))


@release.register
def _release_rates(rates: Rates, policy: Policy) -> Published:
    raise_all(RefusedError, table_problems(rates.variables, policy))
    return Published(rates_data(rates, policy))


@release.register
def _release_summaries(summaries: Summaries, policy: Policy) -> Published:
    raise_all(RefusedError, table_problems(summaries.by, policy))
    return Published(summaries_data(summaries, policy))


@release.register
def _release_model(model: Model, policy: Policy) -> Published:
    if model_problems(model.counts, policy):
        return _refusal_of_model(model.counts, policy)
    return Published(model_data(model, policy))


@release.register
def _refusal_of_model(counts: ModelCounts, policy: Policy) -> Published:
    """Say why a model is not fitted: the counts on which it was judged stand for it."""
    reasons = [
        {"rule": item.rule, "variables": list(item.variables), "words": str(item)}
        for item in model_problems(counts, policy)
    ]
    return Published({"shape": "refusal", "reasons": reasons})
