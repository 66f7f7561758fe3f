"""What changes the hazard of an event? Cox's proportional hazards model, Efron's or Breslow's ties.

With one baseline hazard per site (`baseline = "site"`, the default) a site's part of the log
partial likelihood needs nobody else's risk sets. Summed over its event times t, with the d events
of a time sharing the risk set R and, after Efron, losing the share f = l/d of their own weight:
    ll = Σ x'β - Σ_l log Z0,   U = Σ x - Σ_l Z1/Z0,   I = Σ_l (Z2/Z0 - (Z1/Z0)(Z1/Z0)')
    Zk = Σ_R w x^k - f Σ_events w x^k,   w = exp(x'β),   f = l/d for l = 0 … d - 1 (Breslow: f = 0)
The sums over sites are those of `coxph(Surv(…) ~ … + strata(site))` on all rows together, exactly.
Sums over R are taken by site and stratum and around the site's own mean, so nothing is cancelled.

With one baseline for all (`baseline = "pooled"`) the sums Zk themselves are added over sites, per
time of a public grid; the result is that of `coxph` without strata on times rounded up to that
grid. Times of a named grid are merged until each has 13 pooled events, so that no two risk sets
differ by few; {"step": s} merges nothing and is for rehearsals, because the gate refuses it.

Rows that lack a value count as missing; so do those never at risk, whose entry is not before their
exit or whose time is negative.

A round counts (two with a pooled baseline); then each Newton step is one round, five or six in all;
a further one adds what the robust variance or the test of proportional hazards need:
    robust: C (Σ_c u_c u_c') C,  u_c: the summed score residuals of patient c, C = I⁻¹
    test of term j with g(t), t or log t: score test of a coefficient β_j + θ g(t) at θ = 0.
Sources: Cox, JRSS B 34 (1972) 187; Efron, JASA 72 (1977) 557; Therneau and Grambsch, Modeling
Survival Data (2000), 3.3 and 7.2; Lin and Wei, JASA 84 (1989) 1074; Grambsch and Therneau,
Biometrika 81 (1994) 515.

What leaves a site: masked counts of patients, of events and of every pair of levels; then masked
sums of ll, U and I at the coefficients so far, and once of the robust and test sums. No risk set,
no event time, no baseline hazard leaves a site or can be worked out: differences of risk sets would
tell patients' covariates. The coordinator knows pooled sums only, sites the coefficients so far.
With a pooled baseline: masked counts of events per time, then masked sums over the risk sets.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import cast

import numpy as np
from numpy.typing import NDArray

from federated.analysis import (
    Analysis,
    AnalysisView,
    Ask,
    Done,
    Model,
    ModelCounts,
    ParameterError,
    Variable,
)
from federated.modelling import (
    Covariate,
    chi_squared_test,
    columns,
    covariates,
    issues_of,
    packed,
    pair_counts,
    pair_shapes,
    pair_tables,
    present,
    term_names,
    terms,
    unpacked,
)
from federated.newton import MOST_STEPS, Fit, advance
from federated.parameters import confidence, grid_edges, one_variable, spelled_out
from federated.partial_likelihood import (
    RiskSums,
    Rows,
    centred,
    likelihood_sums,
    meat,
    moments_of,
    risk_sums,
    score_residuals,
    trend_sums,
)
from federated.statistics import (
    Blocks,
    Broadcast,
    Counts,
    Frame,
    Shape,
    Shapes,
    fixed_point,
    tally_codes,
)


__all__ = ["ANALYSIS", "Cox", "combine", "design", "shapes", "site"]

MOST_ROUNDS = MOST_STEPS + 3  # counts before, twice at most, residuals after
LARGEST_EXPONENT = 50.0  # of a weight; the ring holds sums below 2^89
EVENTS_PER_RISK_SET = 13  # more than ten, at the start of a bin of the grid of counts

Vector = NDArray[np.float64]
Matrix = NDArray[np.float64]
Mask = NDArray[np.bool_]


@dataclass(frozen=True)
class Cox:
    """A proportional hazards question; `edges` are those of the time grid, None: times as held."""

    time: Variable
    event: Variable
    entry: Variable | None
    covariates: tuple[Covariate, ...]
    strata: tuple[Variable, ...]
    cluster: Variable | None
    ties: str
    pooled: bool
    robust: bool
    test: str | None
    times: object
    edges: tuple[float, ...] | None
    confidence: float

    @property
    def width(self) -> int:
        """Number of terms."""
        return sum(item.width for item in self.covariates)

    @property
    def triangle(self) -> int:
        """Length of a packed symmetric matrix of the terms."""
        return self.width * (self.width + 1) // 2

    @property
    def merged(self) -> bool:
        """Whether times of the grid are merged until enough events are at each."""
        return self.pooled and isinstance(self.times, str)

    @property
    def levels(self) -> int:
        """Number of strata besides the sites."""
        return int(np.prod([len(item.levels) for item in self.strata], dtype=np.int64))

    @property
    def coded(self) -> tuple[Variable, ...]:
        """Variables with levels whose pairs are counted, the event last."""
        named = [item.variable for item in self.covariates if item.reference is not None]
        return (*named, *self.strata, self.event)


@dataclass(frozen=True)
class _State:
    """What the coordinator keeps between rounds."""

    counts: ModelCounts
    missing: int
    unobserved: int
    fit: Fit
    keep: Mask | None = None
    residuals: bool = False


def design(parameters: Mapping[str, object], view: AnalysisView) -> Cox:
    """Parse outcome or time, event and entry, then covariates, strata and how ties are taken.

    ParameterError lists every problem.
    """
    problems: list[str] = []
    variables, parameters = view.variables, spelled_out(parameters, view, problems)
    time = one_variable("time", parameters, variables, False, problems)
    event = one_variable("event", parameters, variables, True, problems)
    entry = one_variable("entry", parameters, variables, False, problems, optional=True)
    if event and event.levels != ("false", "true"):
        problems.append(f"event: {event.name} is not a yes-or-no variable")
    chosen = covariates(parameters, variables, problems)
    strata = _strata(parameters.get("strata"), variables, problems)
    cluster = _cluster(parameters, view, problems)
    used = {item.name for item in (time, event, entry, cluster) if item}
    wrong = [v.name for v in (*(c.variable for c in chosen), *strata) if v.name in used]
    problems += [f"{name}: cannot explain itself; leave it out" for name in wrong]
    pooled = parameters.get("baseline") == "pooled"
    times = parameters.get("times", "years" if pooled else None)
    edges = grid_edges("times", times, time, problems) if times is not None else None
    if pooled and (parameters.get("robust") or cluster):
        problems.append('robust, cluster: need baseline = "site"; risk sets would go to the sites')
    for name, value, allowed in _choices(parameters):
        if value not in allowed:
            problems.append(f"{name}: must be {' or '.join(map(repr, allowed))}")
    level = confidence("conf_level", parameters, problems)
    if problems or time is None or event is None:
        raise ParameterError(problems)
    ties, robust, test = (value for _, value, _ in _choices(parameters)[:3])
    return Cox(
        time=time,
        event=event,
        entry=entry,
        covariates=chosen,
        strata=strata,
        cluster=cluster,
        ties=str(ties),
        pooled=pooled,
        robust=bool(robust) or cluster is not None,
        test=str(test) if test else None,
        times=times,
        edges=edges,
        confidence=level,
    )


def _choices(
    parameters: Mapping[str, object],
) -> list[tuple[str, object, tuple[object, ...]]]:
    """(parameter, value, allowed values) where there are few."""
    return [
        ("ties", parameters.get("ties", "efron"), ("efron", "breslow")),
        ("robust", parameters.get("robust", False), (True, False)),
        ("proportionality", parameters.get("proportionality"), (None, "identity", "log")),
        ("baseline", parameters.get("baseline", "site"), ("site", "pooled")),
    ]


def _strata(
    names: object, variables: Mapping[str, Variable], problems: list[str]
) -> tuple[Variable, ...]:
    """Variables by whose levels the baseline differs, besides the site."""
    listed = [names] if isinstance(names, str) else names or []
    if not isinstance(listed, list | tuple):
        problems.append("strata: must be a list of variables with levels")
        return ()
    found = (one_variable("strata", {"strata": name}, variables, True, problems) for name in listed)
    return tuple(item for item in found if item)


def _cluster(
    parameters: Mapping[str, object], view: AnalysisView, problems: list[str]
) -> Variable | None:
    """The number that names a patient, needed where a patient can have several rows."""
    optional = view.unit == "patient"
    return one_variable("cluster", parameters, view.variables, False, problems, optional=optional)


def shapes(plan: Cox, broadcast: Broadcast) -> Shapes:
    """Counts first, then the likelihood's sums; at the end the residuals' as well."""
    if "beta" not in broadcast:
        single = {name: Shape("counts", (1,)) for name in ("missing", "patients", "unobserved")}
        return {**single, **pair_shapes(plan.coded), **_death_shape(plan, broadcast)}
    p, triangle = plan.width, plan.triangle
    if plan.pooled:
        times, sums = int(broadcast["keep"].sum()), 1 + p + triangle
        dying = {"dying": Shape("sums", (times, sums))} if plan.ties == "efron" else {}
        return {
            **dying,
            "at risk": Shape("sums", (times, sums)),
            "happened": Shape("sums", (times, p)),
        }
    return {name: Shape("sums", (size,)) for name, size in _sizes(plan, broadcast).items()}


def _sizes(plan: Cox, broadcast: Broadcast) -> Mapping[str, int]:
    """Lengths of the sums with a baseline by site."""
    p, triangle = plan.width, plan.triangle
    sizes = {"likelihood": 1, "score": p, "information": triangle}
    if "residuals" in broadcast and plan.robust:
        sizes["meat"] = triangle
    if "residuals" in broadcast and plan.test:
        sizes |= {"trend score": p, "trend cross": triangle, "trend information": triangle}
    return sizes


def _death_shape(plan: Cox, broadcast: Broadcast) -> Shapes:
    """Events per stratum and time of the grid, and per merged time once those are known."""
    if not plan.pooled or plan.edges is None:
        return {}
    size = (plan.levels, len(plan.edges))
    kept = (int(broadcast["keep"].sum()),) if "keep" in broadcast else size
    return {"deaths": Shape("counts", kept)}


def site(frame: Frame, plan: Cox, broadcast: Broadcast) -> Blocks:
    """Count one site's patients, or sum its part of the likelihood at the coefficients so far."""
    keep = np.asarray(broadcast["keep"], dtype=bool) if "keep" in broadcast else None
    rows, codes, missing, unobserved = _rows(frame, plan, keep)
    if "beta" in broadcast:
        found = _risk_sets(rows, plan, broadcast) if plan.pooled else _sums(rows, plan, broadcast)
        return {name: fixed_point(values) for name, values in found.items()}
    single = {
        "missing": missing,
        "patients": np.unique(rows.patient).size,
        "unobserved": unobserved,
    }
    counts = {k: Counts(np.array([n], dtype=np.int64)) for k, n in single.items()}
    deaths = {"deaths": _deaths(rows, plan, keep)} if plan.pooled else {}
    return {**counts, **deaths, **pair_counts(plan.coded, codes, rows.patient)}


def _deaths(rows: Rows, plan: Cox, keep: Mask | None) -> Counts:
    """Events per stratum and time, of the kept ones only where those are known."""
    edges = np.asarray(plan.edges)
    place = np.searchsorted(edges, rows.time[rows.event])
    counts = tally_codes((rows.stratum[rows.event], place), (plan.levels, edges.size))
    return counts if keep is None else Counts(counts.values[keep])


def _rows(
    frame: Frame, plan: Cox, keep: Mask | None
) -> tuple[Rows, list[NDArray[np.int64]], int, int]:
    """Complete rows ever at risk, codes of `plan.coded`, rows with a gap, rows never at risk."""
    x, known = columns(frame, plan.covariates)
    time = cast(Vector, frame.columns[plan.time.name])
    start = np.full(frame.rows, -np.inf)
    if plan.entry:
        start = cast(Vector, frame.columns[plan.entry.name])
    patient = np.arange(frame.rows, dtype=np.float64)
    if plan.cluster:
        patient = cast(Vector, frame.columns[plan.cluster.name])
    codes = [cast(NDArray[np.int64], frame.columns[item.name]) for item in plan.coded]
    known = known & ~(np.isnan(time) | np.isnan(start) | np.isnan(patient))
    known &= np.logical_and.reduce([code >= 0 for code in codes])
    stratum = _strata_of(codes, plan)
    event = codes[-1] == 1
    start, stop, event = _rounded(start, time, event, stratum, plan, keep)
    chosen = known & (stop > start) & (time >= 0)
    codes = [*(code[chosen] for code in codes[:-1]), event[chosen].astype(np.int64)]
    names = np.unique(patient[chosen], return_inverse=True)[1].astype(np.int64)
    rows = Rows(x[chosen], stop[chosen], start[chosen], event[chosen], stratum[chosen], names)
    return rows, codes, frame.rows - int(known.sum()), int(known.sum() - chosen.sum())


def _strata_of(codes: list[NDArray[np.int64]], plan: Cox) -> NDArray[np.int64]:
    """Number of each row's stratum; a missing level counts as the first, its row is left out."""
    stratum = np.zeros(codes[-1].size, dtype=np.int64)
    for item, code in zip(plan.strata, codes[-1 - len(plan.strata) : -1], strict=True):
        stratum = stratum * len(item.levels) + np.maximum(code, 0)
    return stratum


def _rounded(
    start: Vector,
    time: Vector,
    event: Mask,
    stratum: NDArray[np.int64],
    plan: Cox,
    keep: Mask | None,
) -> tuple[Vector, Vector, Mask]:
    """Entry, exit and event on the grid, and then on the merged times of it."""
    if plan.edges is None:
        return start, time, event
    edges = np.asarray(plan.edges)
    start, time, event = _on_grid(start, time, event, edges)
    if keep is not None and plan.merged:
        for number in range(plan.levels):
            mine = stratum == number
            found = _on_grid(start[mine], time[mine], event[mine], edges[keep[number]])
            start[mine], time[mine], event[mine] = found
    return start, time, event


def _on_grid(
    entry: Vector, time: Vector, event: Mask, edges: Vector
) -> tuple[Vector, Vector, Mask]:
    """Entry and exit rounded up to `edges`; whoever is followed beyond them is censored there."""
    grid = np.concatenate([edges, [np.inf]])
    stop = grid[np.searchsorted(edges, time, side="left")]
    start = np.where(entry <= 0, -np.inf, grid[np.searchsorted(edges, entry, side="left")])
    beyond = np.isinf(stop)
    last = edges[-1] if edges.size else -np.inf
    return start, np.where(beyond, last, stop), event & ~beyond


def _sums(rows: Rows, plan: Cox, broadcast: Broadcast) -> dict[str, Vector]:
    """The likelihood's sums over strata, and the residuals' where they are asked for."""
    beta = cast(Vector, broadcast["beta"])
    found = {name: np.zeros(size) for name, size in _sizes(plan, broadcast).items()}
    residuals = np.zeros_like(rows.x)
    for number in np.unique(rows.stratum):
        chosen = rows.stratum == number
        part = centred(rows.of(chosen))
        shift = float((part.x @ beta).max())
        weight = np.exp(part.x @ beta - shift)
        risk = risk_sums(part, np.unique(part.time[part.event]), weight)
        moments = moments_of(risk, plan.ties)
        sums = likelihood_sums(risk, moments, beta, shift)
        if "trend score" in found:
            sums = {**sums, **trend_sums(risk, moments, str(plan.test))}
        for name, values in sums.items():
            found[name] += values
        if "meat" in found:
            residuals[chosen] = score_residuals(part, weight, risk, moments)
    if "meat" in found:
        found["meat"] = packed(meat(residuals, rows.patient))
    return found


def _risk_sets(rows: Rows, plan: Cox, broadcast: Broadcast) -> dict[str, Matrix]:
    """Sums over the risk sets at the kept times, stratum by stratum."""
    beta, keep = cast(Vector, broadcast["beta"]), np.asarray(broadcast["keep"], dtype=bool)
    shift, edges = float(broadcast["shift"][0]), np.asarray(plan.edges)
    found: dict[str, list[Matrix]] = {"at risk": [], "dying": [], "happened": []}
    for number in range(plan.levels):
        part = rows.of(rows.stratum == number)
        part = replace(part, x=part.x - _public_centre(plan))
        weight = np.exp(np.minimum(part.x @ beta - shift, LARGEST_EXPONENT))
        risk = risk_sums(part, edges[keep[number]], weight)
        for name, values in zip(found, (risk.at_risk, risk.dying, risk.happened), strict=True):
            found[name].append(values)
    if plan.ties != "efron":
        del found["dying"]
    return {name: np.concatenate(values) for name, values in found.items()}


def _public_centre(plan: Cox) -> Vector:
    """What is taken off each column at every site alike: the middle of its declared bounds."""
    centre: list[float] = []
    for item in plan.covariates:
        bounds = item.variable.bounds
        centre += [(bounds[0] + bounds[1]) / 2 if bounds else 0.0] * item.width
    return np.asarray(centre)


def combine(total: Blocks, plan: Cox, ask: Ask) -> Ask | Done:
    """Judge the counts, then step until the coefficients stand still."""
    if "beta" not in ask.broadcast:
        return _judged(total, plan, ask)
    state: _State = ask.carry
    beta = cast(Vector, ask.broadcast["beta"])
    sums = _pooled_sums(total, plan, ask) if plan.pooled else _values(total)
    if state.residuals:
        return Done(_model(state, plan, sums))
    information = unpacked(sums["information"], plan.width)
    likelihood = float(sums["likelihood"][0])
    fit, following = advance(state.fit, beta, likelihood, sums["score"], information)
    state = replace(state, fit=fit)
    if following is not None:
        return _next(state, following, total)
    if not plan.pooled and (plan.robust or plan.test):
        broadcast = {"beta": fit.best, "residuals": np.ones(1)}
        return Ask(broadcast, carry=replace(state, residuals=True))
    return Done(_model(state, plan, sums))


def _values(total: Blocks) -> Mapping[str, Vector]:
    """The blocks' numbers."""
    return {name: cast(Vector, block.values) for name, block in total.items()}


def _pooled_sums(total: Blocks, plan: Cox, ask: Ask) -> Mapping[str, Vector]:
    """The likelihood's sums from those over the pooled risk sets."""
    state: _State = ask.carry
    edges, keep = np.asarray(plan.edges), np.asarray(ask.broadcast["keep"], dtype=bool)
    values = _values(total)
    risk = RiskSums(
        times=np.broadcast_to(edges, keep.shape)[keep],
        deaths=cast(NDArray[np.int64], state.counts.risk_sets),
        at_risk=values["at risk"],
        dying=values.get("dying", np.zeros_like(values["at risk"])),
        happened=values["happened"],
    )
    moments = moments_of(risk, plan.ties)
    beta, shift = cast(Vector, ask.broadcast["beta"]), float(ask.broadcast["shift"][0])
    sums = likelihood_sums(risk, moments, beta, shift)
    return {**sums, **(trend_sums(risk, moments, plan.test) if plan.test else {})}


def _judged(total: Blocks, plan: Cox, ask: Ask) -> Ask:
    """Give the gate the pooled counts, with a pooled baseline those of the merged times."""
    if plan.pooled and "keep" not in ask.broadcast:
        deaths = cast(NDArray[np.int64], total["deaths"].values)
        return Ask({"keep": _kept(deaths, merge=plan.merged)})
    tables = pair_tables(plan.coded, total)
    somebody = present(plan.covariates, tables)
    per_time = cast(NDArray[np.int64], total["deaths"].values) if plan.pooled else None
    counts = ModelCounts(
        patients=int(total["patients"].values[0]),
        events=int(tables[plan.event.name,][1]),
        parameters=int(somebody.sum()),
        tables=tables,
        risk_sets=per_time,
    )
    state = _State(
        counts=counts,
        missing=int(total["missing"].values[0]),
        unobserved=int(total["unobserved"].values[0]),
        fit=Fit.begin(np.zeros(plan.width), somebody),
        keep=np.asarray(ask.broadcast["keep"], dtype=bool) if plan.pooled else None,
    )
    first = _next(state, np.zeros(plan.width), {})
    return replace(first, model=counts)


def _kept(deaths: NDArray[np.int64], *, merge: bool) -> Mask:
    """Times of the grid at which risk sets are summed, per stratum: those with events, or merged.

    Merged times come as soon as enough events have; what is left at the end joins the last of them.
    """
    if not merge:
        return deaths > 0
    keep = np.zeros(deaths.shape, dtype=bool)
    for line, kept in zip(deaths, keep, strict=True):
        waiting = 0
        for index, number in enumerate(line):
            waiting += int(number)
            if waiting >= EVENTS_PER_RISK_SET:
                kept[index], waiting = True, 0
        if waiting:
            kept[np.flatnonzero(kept)[-1:]] = False
            kept[-1] = True
    return keep


def _next(state: _State, beta: Vector, total: Blocks) -> Ask:
    """Ask for the sums at other coefficients.

    With a pooled baseline all weights are taken relative to the mean of those with the event, so
    that they stay within the range of the ring.
    """
    broadcast: dict[str, NDArray[np.generic]] = {"beta": beta}
    if state.keep is not None:
        happened = cast(Matrix, total["happened"].values).sum(axis=0) if total else 0 * beta
        events = max(1, state.counts.events or 0)
        broadcast |= {"keep": state.keep, "shift": np.array([float(happened @ beta) / events])}
    return Ask(broadcast, carry=state)


def _model(state: _State, plan: Cox, last_sums: Mapping[str, Vector]) -> Model:
    """The outcome, with the sums of the last round."""
    fit, covariance = state.fit, state.fit.last.covariance
    if "meat" in last_sums:
        covariance = covariance @ unpacked(last_sums["meat"], plan.width) @ covariance
    names = [name for name, _, _ in term_names(plan.covariates)]
    return Model(
        name="cox",
        counts=state.counts,
        terms=terms(plan.covariates, fit.estimates, covariance, plan.confidence),
        figures={"log_likelihood": fit.heights[-1], "log_likelihood_null": fit.heights[0]},
        tests=_tests(state, plan, last_sums),
        scale="hazard_ratio",
        robust=plan.robust,
        confidence=plan.confidence,
        iterations=len(fit.steps),
        converged=fit.converged and not fit.endless.any(),
        issues=issues_of(names, fit),
        missing=state.missing + state.unobserved,
        described={"ties": plan.ties, "baseline": _baseline(plan), "times": plan.times},
    )


def _tests(
    state: _State, plan: Cox, last_sums: Mapping[str, Vector]
) -> Mapping[str, Mapping[str, float]]:
    """Tests of all coefficients together, and of proportional hazards where that was asked."""
    fit, index = state.fit, np.flatnonzero(state.fit.active)
    rise = 2 * (fit.heights[-1] - fit.heights[0])
    tests = {
        "likelihood_ratio": chi_squared_test(rise, index.size),
        "score": chi_squared_test(fit.steps[0].decrement ** 2, index.size),
    }
    if fit.endless.any():
        return tests
    beta = fit.estimates[index]
    information = np.linalg.inv(fit.last.covariance[np.ix_(index, index)])
    tests["wald"] = chi_squared_test(float(beta @ information @ beta), index.size)
    if "trend score" in last_sums:
        tests |= _proportionality(plan, index, last_sums)
    return tests


def _proportionality(
    plan: Cox, index: NDArray[np.int64], total: Mapping[str, Vector]
) -> Mapping[str, Mapping[str, float]]:
    """Score tests that each coefficient, and all together, do not change with time."""
    grid = np.ix_(index, index)
    inner, cross, outer = (
        unpacked(total[name], plan.width)[grid]
        for name in ("information", "trend cross", "trend information")
    )
    score = total["trend score"][index]
    left = outer - cross @ np.linalg.solve(inner, cross)
    names = [name for name, _, _ in term_names(plan.covariates)]
    tests = {
        f"proportionality {names[position]}": chi_squared_test(float(u * u / left[j, j]), 1)
        for j, (position, u) in enumerate(zip(index, score, strict=True))
    }
    together = float(score @ np.linalg.solve(left, score))
    return {**tests, "proportionality": chi_squared_test(together, len(index))}


def _baseline(plan: Cox) -> str:
    """How the parameter `baseline` says it."""
    return "pooled" if plan.pooled else "site"


def _canonical(plan: Cox) -> Mapping[str, object]:
    """The parameters with defaults filled in."""
    references = {
        item.variable.name: item.variable.levels[item.reference]
        for item in plan.covariates
        if item.reference is not None
    }
    return {
        "time": plan.time.name,
        "event": plan.event.name,
        "entry": plan.entry.name if plan.entry else None,
        "covariates": [item.variable.name for item in plan.covariates],
        "reference": references or None,
        "strata": [item.name for item in plan.strata] or None,
        "cluster": plan.cluster.name if plan.cluster else None,
        "ties": plan.ties,
        "baseline": _baseline(plan),
        "robust": plan.robust,
        "proportionality": plan.test,
        "times": plan.times,
        "conf_level": plan.confidence,
    }


def _counted(plan: Cox) -> Mapping[str, object]:
    """The parameters that decide what is summed."""
    rest = {k: v for k, v in _canonical(plan).items() if k != "conf_level"}
    return {**rest, "times": list(plan.edges) if plan.edges else None}


def _fields(plan: Cox) -> tuple[str, ...]:
    """The columns that the plan needs."""
    chosen = (plan.time, plan.event, plan.entry, plan.cluster, *plan.strata)
    names = [item.name for item in chosen if item]
    return tuple(dict.fromkeys([*names, *(item.variable.name for item in plan.covariates)]))


ANALYSIS = Analysis(
    name="cox",
    title="Proportional hazards (Cox)",
    units=("patient", "episode"),
    parameters={
        "outcome": "an outcome that the view names, in place of time, event and entry",
        "time": "age or duration at the event or at the end of follow-up, a number",
        "event": "whether the event was observed, yes or no",
        "entry": "age at which observation began (left truncation); none: from birth",
        "covariates": "what may change the hazard, a list of variables",
        "reference": "a table of variable = level to compare with; default: the first level",
        "strata": "variables with levels whose baselines differ, besides the sites'",
        "cluster": "number that names a patient with several rows; makes errors robust",
        "ties": '"efron" (default) or "breslow"',
        "baseline": '"site" (default): each site its own baseline hazard; or "pooled", on a grid',
        "robust": "true: standard errors of the sandwich",
        "proportionality": 'test of proportional hazards against time, "identity" or "log"',
        "times": 'none (default): as held; or a public grid, "years", "early" or {"step": s}',
        "conf_level": "0.90, 0.95 (default) or 0.99",
    },
    rounds=MOST_ROUNDS,
    design=design,
    canonical=_canonical,
    counted=_counted,
    fields=_fields,
    table=lambda plan: (),
    shapes=shapes,
    site=site,
    combine=combine,
)
