"""What is told of measurements: how many, mean, SD and quantiles, of enough patients only."""

import numpy as np

from federated.analysis import Screen, Summaries
from federated.gate.cells import Json, Withheld, count, describe, digits, significant, told, write
from federated.guards import passing
from federated.policy import Policy


__all__ = ["summaries_data"]

UNDECLARED_DIGITS = 2
"""Significant digits of a quantile whose variable declares no public width: it is a patient's."""


def summaries_data(summaries: Summaries, policy: Policy) -> Json:
    """Return the JSON values of summaries, one group of variables after the other."""
    size = tuple(len(item.levels) for item in summaries.by)
    groups = [
        {
            "by": {v.name: v.levels[i] for v, i in zip(summaries.by, index, strict=True)},
            "variables": {
                item.name: _summary(summaries, g, v, policy)
                for v, item in enumerate(summaries.variables)
            },
        }
        for g, index in enumerate(np.ndindex(size))
    ]
    everybody = int(told(summaries.rows, policy).sum())
    return {
        "shape": "summaries",
        "variables": [describe(variable) for variable in summaries.variables],
        "by": [describe(variable) for variable in summaries.by],
        "groups": groups,
        "missing": write(count(summaries.missing, everybody, policy)),
    }


def _summary(summaries: Summaries, group: int, variable: int, policy: Policy) -> Json:
    """One variable in one group; a quantile needs enough patients on either side of it."""
    rows, values = int(summaries.rows[group]), int(summaries.counts[group, variable])
    patients = np.asarray([values], dtype=np.int64)
    nobody = np.zeros_like(patients)
    enough = bool(passing(Screen(nobody, patients), policy)[0])
    declared = summaries.variables[variable].bounds is not None
    places = policy.digits if declared or policy.exact else UNDECLARED_DIGITS
    quantiles = {}
    for index, p in enumerate(summaries.probabilities):
        screen = Screen(nobody, patients, np.asarray([min(p, 1 - p)]))
        number = float(summaries.quantiles[group, variable, index])
        passes = bool(passing(screen, policy)[0])
        quantiles[f"{p:g}"] = _number(significant(number, places), passes)
    return {
        "n": write(count(values, int(told(values, policy)), policy)),
        "missing": write(count(rows - values, int(told(rows, policy)), policy)),
        "mean": _number(digits(float(summaries.mean[group, variable]), policy), enough),
        "sd": _number(digits(float(summaries.sd[group, variable]), policy), enough),
        "quantiles": quantiles,
    }


def _number(number: float, passes: bool) -> object:
    """A rounded number, None where it is not defined."""
    if not passes:
        return Withheld("small_denominator").to_json()
    return None if np.isnan(number) else number
