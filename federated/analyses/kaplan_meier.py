"""How long until an event: Kaplan-Meier curves on a public time grid, with left truncation.

Ages at entry and exit are rounded up to the grid, at every site alike; after that the estimator
is the standard one, so that the pooled curve equals the curve of the concatenated rows exactly:
    S(t) = Π over t_k ≤ t of (1 - d_k / n_k)
    d_k: events at t_k;  n_k: patients who entered before t_k and did not leave before t_k.
A patient with an event at exactly 0 counts in the first bin. A patient whose entry and exit fall
into the same bin was never at risk on the grid and is counted as unobserved; so is one whose event
came before entry. Whoever is followed beyond the grid is censored at its end.

Variance after Greenwood, V = Σ d_k / (n_k (n_k - d_k)); limits on the log(-log S) scale:
    S(t) ^ exp(± z √V / log S(t)),  z = Φ⁻¹(1 - α/2).
Where S is 1 or 0 the limits are S itself.

Two or more groups are compared by the log-rank test, from the same counts: over the bins,
    E_g = Σ d n_g/n,   V_gh = Σ d (n - d)/(n - 1) · n_g/n · (δ_gh - n_h/n)
    X² = (O - E)' V⁻¹ (O - E) over all groups but one, which follow from the others.
Sources: Kaplan and Meier, JASA 53 (1958) 457; Kalbfleisch and Prentice, The Statistical Analysis
of Failure Time Data, 2nd ed. (2002), 1.4; Tsai, Jewell and Wang, Biometrika 74 (1987) 883 for
left truncation; Mantel, Cancer Chemother Rep 50 (1966) 163, for the log-rank test.

What leaves a site: masked counts of events, censorings and entries per group and bin, and of
patients never at risk or with a missing value.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import cast

import numpy as np
from numpy.typing import NDArray
from scipy.special import chdtrc, ndtri  # norm.ppf without half a second to import scipy.stats

from federated.analysis import (
    Analysis,
    AnalysisView,
    Ask,
    Curve,
    Curves,
    Done,
    LogRank,
    ParameterError,
    Variable,
)
from federated.parameters import GRIDS, confidence, grid_edges, one_variable, spelled_out
from federated.statistics import Blocks, Broadcast, Counts, Frame, Shape, Shapes, tally_codes


__all__ = [
    "ANALYSIS",
    "GRIDS",
    "KaplanMeier",
    "combine",
    "design",
    "estimate",
    "log_rank",
    "shapes",
    "site",
]


@dataclass(frozen=True)
class KaplanMeier:
    """A time-to-event question; `grid` holds the bins' upper edges, in the time's unit."""

    time: Variable
    event: Variable
    entry: Variable | None
    group: Variable | None
    grid: tuple[float, ...]
    grid_name: object
    confidence: float

    @property
    def groups(self) -> tuple[tuple[str, str], ...]:
        """(level, label) per curve; one unnamed group when there is no grouping."""
        if self.group is None:
            return (("all", "All"),)
        return tuple(zip(self.group.levels, self.group.level_labels, strict=True))


def design(parameters: Mapping[str, object], view: AnalysisView) -> KaplanMeier:
    """Parse outcome or time, event and entry, then group, grid and confidence.

    ParameterError lists every problem.
    """
    problems: list[str] = []
    variables, parameters = view.variables, spelled_out(parameters, view, problems)
    time = one_variable("time", parameters, variables, False, problems)
    event = one_variable("event", parameters, variables, True, problems)
    entry = one_variable("entry", parameters, variables, False, problems, optional=True)
    group = one_variable("group", parameters, variables, True, problems, optional=True)
    if event and event.levels != ("false", "true"):
        problems.append(f"event: {event.name} is not a yes-or-no variable")
    grid = grid_edges("grid", parameters.get("grid", "years"), time, problems)
    level = confidence("confidence", parameters, problems)
    if problems or time is None or event is None:
        raise ParameterError(problems)
    name = parameters.get("grid", "years")
    return KaplanMeier(time, event, entry, group, grid, name, level)


def shapes(plan: KaplanMeier, broadcast: Broadcast) -> Shapes:
    """Events and censorings per group and bin, entries per group and edge before each bin."""
    size = (len(plan.groups), len(plan.grid))
    names = ("censored", "entered", "events")
    rest = {"missing": Shape("counts", (1,)), "unobserved": Shape("counts", (1,))}
    return {**{name: Shape("counts", size) for name in names}, **rest}


def site(frame: Frame, plan: KaplanMeier, broadcast: Broadcast) -> Blocks:
    """Count one site's events, censorings and entries on the grid."""
    time, entry, event, group = _columns(frame, plan)
    known = ~np.isnan(time) & ~np.isnan(entry) & (event >= 0) & (group >= 0)
    edges = np.asarray(plan.grid)
    # Bin k ends at edges[k]; an entry at edges[k - 1] or just before makes one at risk in bin k.
    leave = np.searchsorted(edges, time, side="left")
    join = np.where(entry <= 0, 0, np.searchsorted(edges, entry, side="left") + 1)
    beyond = leave >= edges.size
    observed = known & (join <= leave) & (join < edges.size)
    happened = observed & (event == 1) & ~beyond
    leave = np.minimum(leave, edges.size - 1)
    size = (len(plan.groups), edges.size)

    def tally(rows: NDArray[np.bool_], bins: NDArray[np.int64]) -> Counts:
        return tally_codes((group[rows], bins[rows]), size)

    return {
        "events": tally(happened, leave),
        "censored": tally(observed & ~happened, leave),
        "entered": tally(observed, join),
        "unobserved": Counts(np.array([(known & ~observed).sum()], dtype=np.int64)),
        "missing": Counts(np.array([frame.rows - known.sum()], dtype=np.int64)),
    }


def combine(total: Blocks, plan: KaplanMeier, ask: Ask) -> Ask | Done:
    """Return the pooled curves; there is no second round."""
    curves = tuple(
        estimate(
            np.asarray(plan.grid),
            *(
                cast(NDArray[np.int64], total[name].values[index])
                for name in ("events", "censored", "entered")
            ),
            confidence=plan.confidence,
            level=level,
            label=label,
        )
        for index, (level, label) in enumerate(plan.groups)
    )
    unobserved, missing = int(total["unobserved"].values[0]), int(total["missing"].values[0])

    def test(keep: NDArray[np.bool_]) -> LogRank | None:
        return log_rank([curve for curve, kept in zip(curves, keep, strict=True) if kept])

    return Done(Curves(plan.time, plan.group, plan.confidence, curves, unobserved, missing, test))


def estimate(
    times: NDArray[np.float64],
    events: NDArray[np.int64],
    censored: NDArray[np.int64],
    entered: NDArray[np.int64],
    *,
    confidence: float,
    level: str = "all",
    label: str = "All",
) -> Curve:
    """Return the curve of counts per bin; see the module's formulas."""
    left = np.cumsum(events + censored)
    at_risk = np.cumsum(entered) - np.concatenate(([0], left[:-1]))
    safe = np.maximum(at_risk, 1)
    survival = np.cumprod(1 - events / safe).astype(np.float64)
    remaining = at_risk - events
    with np.errstate(divide="ignore", invalid="ignore"):
        variance = np.cumsum(np.where(events > 0, events / (safe * remaining), 0.0))
        width = ndtri((1 + confidence) / 2) * np.sqrt(variance) / np.log(survival)
        lower, upper = survival ** np.exp(-width), survival ** np.exp(width)
    fixed = (survival >= 1) | (survival <= 0)
    lower, upper = np.where(fixed, survival, lower), np.where(fixed, survival, upper)
    return Curve(level, label, times, at_risk, events, censored, survival, lower, upper)


def log_rank(curves: Sequence[Curve]) -> LogRank | None:
    """Compare curves on one grid; None for fewer than two that were ever at risk with an event."""
    curves = [curve for curve in curves if curve.at_risk.any()]
    if len(curves) < 2 or not any(curve.events.any() for curve in curves):
        return None
    events = np.stack([curve.events for curve in curves]).astype(np.float64)
    at_risk = np.stack([curve.at_risk for curve in curves]).astype(np.float64)
    d, n = events.sum(axis=0), at_risk.sum(axis=0)
    share = at_risk / np.maximum(n, 1)
    expected = share @ d
    spread = d * (n - d) / np.maximum(n - 1, 1)
    variance = np.diag(share @ spread) - (share * spread) @ share.T
    away = (events.sum(axis=1) - expected)[:-1]
    statistic = float(away @ np.linalg.pinv(variance[:-1, :-1], hermitian=True) @ away)
    freedom = len(curves) - 1
    return LogRank(
        statistic=statistic,
        degrees_of_freedom=freedom,
        p_value=float(chdtrc(freedom, statistic)),
        levels=tuple(curve.level for curve in curves),
        observed=np.stack([curve.events.sum() for curve in curves]),
        expected=expected,
    )


def _columns(
    frame: Frame, plan: KaplanMeier
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.int64], NDArray[np.int64]]:
    """Time, entry, event and group per row; entry 0 and group 0 where there is none."""
    time = cast(NDArray[np.float64], frame.columns[plan.time.name])
    event = cast(NDArray[np.int64], frame.columns[plan.event.name])
    entry = np.zeros(frame.rows)
    group = np.zeros(frame.rows, dtype=np.int64)
    if plan.entry:
        entry = cast(NDArray[np.float64], frame.columns[plan.entry.name])
    if plan.group:
        group = cast(NDArray[np.int64], frame.columns[plan.group.name])
    return time, entry, event, group


def _canonical(plan: KaplanMeier) -> Mapping[str, object]:
    """The parameters with defaults filled in."""
    return {
        "time": plan.time.name,
        "event": plan.event.name,
        "entry": plan.entry.name if plan.entry else None,
        "group": plan.group.name if plan.group else None,
        "grid": plan.grid_name,
        "confidence": plan.confidence,
    }


def _counted(plan: KaplanMeier) -> Mapping[str, object]:
    """The parameters that decide what is counted, the grid by its edges and not by its name."""
    rest = {k: v for k, v in _canonical(plan).items() if k != "confidence"}
    return {**rest, "grid": list(plan.grid)}


def _fields(plan: KaplanMeier) -> tuple[str, ...]:
    """The columns that the plan needs."""
    chosen = (plan.time, plan.event, plan.entry, plan.group)
    return tuple(dict.fromkeys(item.name for item in chosen if item))


ANALYSIS = Analysis(
    name="kaplan_meier",
    title="Time to event (Kaplan-Meier)",
    units=("patient",),
    parameters={
        "outcome": "an outcome that the view names, in place of time, event and entry",
        "time": "age or duration at the event or at the end of follow-up, a number",
        "event": "whether the event was observed, yes or no",
        "entry": "age at which observation began (left truncation); none: from birth",
        "group": "variable with levels, one curve each; none: one curve",
        "grid": 'public time grid: "years", "early" or {"step": s} with s a multiple of 0.25',
        "confidence": "0.90, 0.95 (default) or 0.99",
    },
    rounds=1,
    design=design,
    canonical=_canonical,
    counted=_counted,
    fields=_fields,
    table=lambda plan: (plan.group,) if plan.group else (),
    shapes=shapes,
    site=site,
    combine=combine,
)
