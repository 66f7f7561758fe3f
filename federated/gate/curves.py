"""What is told of survival curves: steps of enough events, on a public grid, with no lone tail.

A step is delayed until enough events came together (OpenSAFELY's rounded Kaplan-Meier), stands at
an edge that the policy allows, and the curve ends before the first bin with too few at risk.
Counts of events and of patients at risk are told on the grid; probabilities have two decimals.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.special import chdtrc  # scipy.stats takes half a second to import

from federated.analysis import Curve, Curves
from federated.gate.cells import Json, Withheld, count, describe, significant, told, write
from federated.policy import Policy


__all__ = ["curves_data"]

EARLY_MONTHS = 24
MONTHS = {"a": 12.0, "mo": 1.0}  # UCUM units in which a grid is judged; others have no month


def curves_data(curves: Curves, policy: Policy) -> Json:
    """Return the JSON values of curves, each merged and cut as its own numbers need."""
    most = [int(told(curve.at_risk, policy).max(initial=0)) for curve in curves.curves]
    everybody = max(most, default=0)
    shown = [_curve(curve, curves.time.unit, policy) for curve in curves.curves]
    return {
        "shape": "curves",
        "time": describe(curves.time),
        "group": describe(curves.group) if curves.group else None,
        "confidence": curves.confidence,
        "curves": shown,
        "logrank": _log_rank(curves, shown, policy),
        "unobserved": write(count(curves.unobserved, everybody, policy)),
        "missing": write(count(curves.missing, everybody, policy)),
    }


def _log_rank(curves: Curves, shown: Sequence[Json], policy: Policy) -> object:
    """The log-rank test over the curves that have a step and whose events are told; None if none.

    Observed and expected events are told on the grid, the p-value is that of the rounded statistic.
    """
    if curves.test is None or len(shown) < 2:
        return None
    keep = [bool(item["steps"]) and isinstance(item["events"], int) for item in shown]
    test = curves.test(np.asarray(keep, dtype=bool))
    if test is None:
        return Withheld("few_levels").to_json()
    exact, freedom = policy.exact, test.degrees_of_freedom
    places = 17 if exact else min(policy.digits, 2)
    statistic = significant(test.statistic, places)
    of_rounded = significant(float(chdtrc(freedom, statistic)), places)
    return {
        "statistic": statistic,
        "df": freedom,
        "p": test.p_value if exact else of_rounded,
        "levels": list(test.levels),
        "observed": [
            write(count(int(n), int(told(int(n), policy)), policy)) for n in test.observed
        ],
        "expected": [significant(float(number), places) for number in test.expected],
    }


def _curve(curve: Curve, unit: str | None, policy: Policy) -> Json:
    """Merge bins until each has enough events, and stop where too few are at risk."""
    steps = _merge(curve, _edges(curve.times, unit, policy), policy)
    observed = int(curve.at_risk.max(initial=0))
    among = int(told(observed, policy))
    rows = [_step(curve, index, policy) for index in steps]
    survival = [(row["time"], row["survival"]) for row in rows]
    rest = _rest(curve, steps, policy)
    # Without a step there may have been events all the same: that is not "none".
    events = int(curve.events[: steps[-1] + 1].sum()) if steps else 0
    shown_events = count(events, among, policy) if steps or rest is None else rest
    return {
        "level": curve.level,
        "label": curve.label,
        "largest_at_risk": write(count(observed, among, policy)),
        "events": write(shown_events),
        "steps": rows,
        "median": next((time for time, value in survival if _below(value)), None),
        "end": float(curve.times[steps[-1]]) if steps else None,
        "rest": write(rest),
    }


def _edges(times: NDArray[np.float64], unit: str | None, policy: Policy) -> NDArray[np.bool_]:
    """Which edges may end a step: those of the policy's own grid, where time has months."""
    if unit not in MONTHS or policy.exact:
        return np.ones(times.size, dtype=bool)
    months = times * MONTHS[unit]
    width = np.where(
        months <= EARLY_MONTHS, policy.min_step_months, policy.min_late_step_months
    ).astype(np.float64)
    return np.asarray(np.isclose(np.rint(months / width) * width, months), dtype=np.bool_)


def _merge(curve: Curve, edges: NDArray[np.bool_], policy: Policy) -> list[int]:
    """Return the bins at whose end the curve is shown.

    A step is delayed until `min_step_events` events came together. The last edge where enough
    patients are at risk is shown as well when nothing happened since the step before.
    """
    needed = policy.least(policy.min_step_events)
    shown: list[int] = []
    waiting = 0
    last = _last_observed(curve, policy)
    for index in range(last + 1):
        waiting += int(curve.events[index])
        if edges[index] and waiting and waiting >= needed:
            shown.append(index)
            waiting = 0
    quiet = np.flatnonzero(edges[: last + 1])
    if quiet.size and waiting == 0 and quiet[-1] not in shown:
        shown.append(int(quiet[-1]))
    return shown


def _last_observed(curve: Curve, policy: Policy) -> int:
    """Index of the last bin before the number at risk falls below the limit for good; -1: none.

    Under left truncation few may be at risk at first; the curve starts where it starts, and a
    bin with too few makes everything after it rest on them.
    """
    enough = curve.at_risk >= max(policy.least(policy.min_at_risk), 1)
    return int(np.argmin(enough)) - 1 if not enough.all() else len(enough) - 1


def _step(curve: Curve, index: int, policy: Policy) -> dict[str, object]:
    """One shown point of a curve; probabilities to two decimals under a rounding policy."""
    decimals = 17 if policy.exact else 2
    at_risk = int(curve.at_risk[index])
    return {
        "time": float(curve.times[index]),
        "survival": round(float(curve.survival[index]), decimals),
        "lower": round(float(curve.lower[index]), decimals),
        "upper": round(float(curve.upper[index]), decimals),
        "at_risk": write(count(at_risk, int(told(at_risk, policy)), policy)),
    }


def _below(survival: object) -> bool:
    """Whether a shown survival has reached one half; a product of 30 factors misses it by 1e-16."""
    return isinstance(survival, float) and survival <= 0.5 + 1e-9


def _rest(curve: Curve, steps: Sequence[int], policy: Policy) -> Withheld | None:
    """Why the curve ends before its patients do; None when nobody is left after the last step.

    An empty group looks like one of few patients, unless a zero may be seen.
    """
    after = steps[-1] + 1 if steps else 0
    left = bool(curve.at_risk[after:].any())
    if not left and (steps or count(0, 0, policy) == 0):
        return None
    if _last_observed(curve, policy) < 0:
        return Withheld("small_start")
    return Withheld("small_tail" if steps else "few_events")
