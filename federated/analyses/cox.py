"""What changes the hazard of an event? Cox's proportional hazards model, Efron's or Breslow's ties.

With one baseline hazard per site (`baseline = "site"`, the default) a site's part of the log
partial likelihood needs nobody else's risk sets. Summed over its event times t, with the d events
of a time sharing the risk set R and, after Efron, losing the share f = l/d of their own weight:
    ll = Σ x'β - Σ_l log Z0,   U = Σ x - Σ_l Z1/Z0,   I = Σ_l (Z2/Z0 - (Z1/Z0)(Z1/Z0)')
    Zk = Σ_R w x^k - f Σ_events w x^k,   w = exp(x'β),   f = l/d for l = 0 … d - 1 (Breslow: f = 0)
The sums over sites are those of `coxph(Surv(…) ~ … + strata(site))` on all rows together, exactly.
Sums over R are taken by site and stratum and around the site's own mean, so nothing is cancelled.

A round counts; then each Newton step is one round, five or six in all; a further one adds what the
robust variance or the test of proportional hazards need, at the final coefficients:
    robust: C (Σ_c u_c u_c') C,  u_c: the summed score residuals of patient c, C = I⁻¹
    test of term j with g(t), t or log t: score test of a coefficient β_j + θ g(t) at θ = 0.
Sources: Cox, JRSS B 34 (1972) 187; Efron, JASA 72 (1977) 557; Therneau and Grambsch, Modeling
Survival Data (2000), 3.3 and 7.2; Lin and Wei, JASA 84 (1989) 1074; Grambsch and Therneau,
Biometrika 81 (1994) 515.

What leaves a site: masked counts of patients, of events and of every pair of levels; then masked
sums of ll, U and I at the coefficients so far, and once of the robust and test sums. No risk set,
no event time, no baseline hazard leaves a site or can be worked out: differences of risk sets would
tell patients' covariates. The coordinator knows pooled sums only, sites the coefficients so far.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import cast

import numpy as np
from numpy.typing import NDArray

from federated.analysis import (
    Analysis,
    AnalysisView,
    Ask,
    Done,
    Issue,
    Model,
    ModelCounts,
    ParameterError,
    Variable,
)
from federated.modelling import (
    CONVERGED,
    Covariate,
    Step,
    chi_squared_test,
    columns,
    covariates,
    issues_of,
    newton_step,
    packed,
    pair_counts,
    pair_shapes,
    pair_tables,
    present,
    separated,
    term_names,
    terms,
    unpacked,
)
from federated.parameters import confidence, grid_edges, one_variable, spelled_out
from federated.statistics import Blocks, Broadcast, Counts, Frame, Shape, Shapes, fixed_point


__all__ = ["ANALYSIS", "Cox", "combine", "design", "shapes", "site"]

MOST_STEPS = 25
MOST_ROUNDS = MOST_STEPS + 2  # counts before, residuals after
CHUNK = 4_000_000  # cells of a risk-set matrix held at once
HOPELESS = -1e12  # the log likelihood of coefficients at which a risk set has no weight
HALVINGS_TOLERANCE = 1e-12
EARLIEST = 1e-3  # of log t: an event at time 0 counts as this early

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
    def coded(self) -> tuple[Variable, ...]:
        """Variables with levels whose pairs are counted, the event last."""
        named = [item.variable for item in self.covariates if item.reference is not None]
        return (*named, *self.strata, self.event)


@dataclass(frozen=True)
class _Rows:
    """One site's complete rows that were ever at risk; `stratum` and `patient` are numbers."""

    x: Matrix
    time: Vector
    entry: Vector
    event: Mask
    stratum: NDArray[np.int64]
    patient: NDArray[np.int64]


@dataclass(frozen=True)
class _Moments:
    """A stratum's weighted means and variances at each event, in the order of `at`.

    `at` is the event time's position in `times`, `share` Efron's f; `total` is Z0, `mean` and
    `spread` (packed) those of the covariates among the patients at risk.
    """

    times: Vector
    at: NDArray[np.int64]
    share: Vector
    total: Vector
    mean: Matrix
    spread: Matrix


@dataclass(frozen=True)
class _State:
    """What the coordinator keeps between rounds."""

    counts: ModelCounts
    missing: int
    unobserved: int
    somebody: Mask
    active: Mask
    steps: tuple[Step, ...] = ()
    likelihoods: tuple[float, ...] = ()
    score_test: float = 0.0
    before: Vector = field(default_factory=lambda: np.zeros(0))
    asked: int = 1
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
    times = parameters.get("times")
    edges = grid_edges("times", times, time, problems) if times is not None else None
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
        ("baseline", parameters.get("baseline", "site"), ("site",)),
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
    p, triangle = plan.width, plan.triangle
    if not broadcast:
        single = {name: Shape("counts", (1,)) for name in ("missing", "patients", "unobserved")}
        return {**single, **pair_shapes(plan.coded)}
    step = {
        "information": Shape("sums", (triangle,)),
        "likelihood": Shape("sums", (1,)),
        "score": Shape("sums", (p,)),
    }
    if "residuals" not in broadcast:
        return step
    more = {"meat": Shape("sums", (triangle,))} if plan.robust else {}
    if plan.test:
        more |= {
            "trend cross": Shape("sums", (triangle,)),
            "trend information": Shape("sums", (triangle,)),
            "trend score": Shape("sums", (p,)),
        }
    return {**step, **more}


def site(frame: Frame, plan: Cox, broadcast: Broadcast) -> Blocks:
    """Count one site's patients, or sum its part of the likelihood at the coefficients so far."""
    rows, codes, missing, unobserved = _rows(frame, plan)
    if not broadcast:
        single = {
            "missing": missing,
            "patients": np.unique(rows.patient).size,
            "unobserved": unobserved,
        }
        counts = {k: Counts(np.array([n], dtype=np.int64)) for k, n in single.items()}
        return {**counts, **pair_counts(plan.coded, codes, rows.patient)}
    return _sums(rows, plan, broadcast)


def _rows(frame: Frame, plan: Cox) -> tuple[_Rows, list[NDArray[np.int64]], int, int]:
    """Complete rows ever at risk, codes of `plan.coded`, rows with a gap, rows never at risk."""
    x, known = columns(frame, plan.covariates)
    time = cast(Vector, frame.columns[plan.time.name])
    entry = cast(Vector, frame.columns[plan.entry.name]) if plan.entry else None
    patient = np.arange(frame.rows, dtype=np.float64)
    if plan.cluster:
        patient = cast(Vector, frame.columns[plan.cluster.name])
    codes = [cast(NDArray[np.int64], frame.columns[item.name]) for item in plan.coded]
    known = known & ~np.isnan(time) & ~np.isnan(patient)
    known &= np.logical_and.reduce([code >= 0 for code in codes])
    if entry is not None:
        known &= ~np.isnan(entry)
    start = np.full(frame.rows, -np.inf) if entry is None else entry
    event = cast(NDArray[np.int64], frame.columns[plan.event.name]) == 1
    start, stop, event = _on_grid(start, time, event, plan.edges)
    chosen = known & (stop > start) & (time >= 0)
    codes = [code[chosen] for code in codes]
    strata = codes[len(codes) - 1 - len(plan.strata) : -1]
    size = tuple(len(item.levels) for item in plan.strata)
    stratum = np.ravel_multi_index(tuple(strata), size) if size else np.zeros(chosen.sum(), int)
    rows = _Rows(
        x=x[chosen],
        time=stop[chosen],
        entry=start[chosen],
        event=event[chosen],
        stratum=np.asarray(stratum, dtype=np.int64),
        patient=np.unique(patient[chosen], return_inverse=True)[1].astype(np.int64),
    )
    codes[-1] = rows.event.astype(np.int64)
    missing = frame.rows - int(known.sum())
    return rows, codes, missing, int(known.sum() - chosen.sum())


def _on_grid(
    entry: Vector, time: Vector, event: Mask, edges: tuple[float, ...] | None
) -> tuple[Vector, Vector, Mask]:
    """Entry and exit rounded up to the grid; whoever is followed beyond it is censored there."""
    if edges is None:
        return entry, time, event
    grid = np.concatenate([edges, [np.inf]])
    stop = grid[np.minimum(np.searchsorted(edges, time, side="left"), len(edges))]
    beyond = np.isinf(stop)
    start = np.where(
        entry <= 0,
        -np.inf,
        grid[np.minimum(np.searchsorted(edges, entry, side="left"), len(edges))],
    )
    return start, np.where(beyond, edges[-1], stop), event & ~beyond


def _sums(rows: _Rows, plan: Cox, broadcast: Broadcast) -> Blocks:
    """The likelihood's sums over strata, and the residuals' where they are asked for."""
    beta = cast(Vector, broadcast["beta"])
    found = {name: np.zeros(shape.size) for name, shape in shapes(plan, broadcast).items()}
    residuals = np.zeros_like(rows.x)
    for number in np.unique(rows.stratum):
        chosen = rows.stratum == number
        part = _centred(rows, chosen)
        eta = part.x @ beta
        weight = np.exp(eta - eta.max())
        moments = _moments(part, weight, plan.ties)
        if not bool((moments.total > 0).all()):
            found["likelihood"] += HOPELESS
            continue
        found["likelihood"] += (eta - eta.max())[part.event].sum() - np.log(moments.total).sum()
        found["score"] += part.x[part.event].sum(axis=0) - moments.mean.sum(axis=0)
        found["information"] += moments.spread.sum(axis=0)
        if "meat" in found:
            residuals[chosen] = _score_residuals(part, weight, moments)
        if "trend score" in found:
            _add_trend(found, part, moments, plan)
    if "meat" in found:
        found["meat"] = _meat(residuals, rows.patient)
    return {name: fixed_point(values) for name, values in found.items()}


def _centred(rows: _Rows, chosen: Mask) -> _Rows:
    """One stratum's rows, covariates around their own mean; a constant becomes exactly zero."""
    x = rows.x[chosen]
    constant = np.ptp(x, axis=0) == 0 if len(x) else np.ones(x.shape[1], dtype=bool)
    centred = np.where(constant, 0.0, x - x.mean(axis=0))
    return _Rows(
        centred,
        rows.time[chosen],
        rows.entry[chosen],
        rows.event[chosen],
        rows.stratum[chosen],
        rows.patient[chosen],
    )


def _moments(rows: _Rows, weight: Vector, ties: str) -> _Moments:
    """Weighted moments of the covariates at risk, once per event (Efron) at each event time."""
    upper = np.triu_indices(rows.x.shape[1])
    products = rows.x[:, upper[0]] * rows.x[:, upper[1]]
    weighted = weight[:, None] * np.column_stack([np.ones(len(weight)), rows.x, products])
    times, place, deaths = np.unique(rows.time[rows.event], return_inverse=True, return_counts=True)
    at_risk = _at_risk_sums(rows, times, weighted)
    at = np.repeat(np.arange(times.size), deaths)
    share = np.zeros(at.size)
    sums = at_risk[at]
    if ties == "efron":
        dying = np.zeros_like(at_risk)
        np.add.at(dying, place, weighted[rows.event])
        first = np.repeat(np.cumsum(deaths) - deaths, deaths)
        share = (np.arange(at.size) - first) / deaths[at]
        sums = sums - share[:, None] * dying[at]
    total = sums[:, 0]
    with np.errstate(divide="ignore", invalid="ignore"):
        scaled = sums[:, 1:] / total[:, None]
    mean = scaled[:, : rows.x.shape[1]]
    spread = scaled[:, rows.x.shape[1] :] - mean[:, upper[0]] * mean[:, upper[1]]
    return _Moments(times, at, share, total, mean, spread)


def _at_risk_sums(rows: _Rows, times: Vector, weighted: Matrix) -> Matrix:
    """Sum `weighted` over the patients at risk at each of `times`, by chunks of times.

    A product with the matrix of who is at risk, and no difference of running sums, so that a small
    risk set after a large one keeps its digits.
    """
    found = np.zeros((times.size, weighted.shape[1]))
    width = max(1, CHUNK // max(1, rows.time.size))
    for start in range(0, times.size, width):
        found[start : start + width] = _at_risk(rows, times[start : start + width]) @ weighted
    return found


def _score_residuals(rows: _Rows, weight: Vector, moments: _Moments) -> Matrix:
    """Each row's part of the score: what happened to it less what its risk made expected."""
    hazard = (1 / moments.total)[:, None] * np.column_stack(
        [np.ones(len(moments.mean)), moments.mean]
    )
    spared = moments.share[:, None] * hazard  # what Efron does not hold against those who die
    times, size = moments.times, moments.mean.shape[1]
    hazards, spares = np.zeros((2, times.size, size + 1))
    np.add.at(hazards, moments.at, hazard)
    np.add.at(spares, moments.at, spared)
    expected = _over_times(rows, times, hazards)
    place = np.searchsorted(times, rows.time[rows.event])
    expected[rows.event] -= spares[place]
    found = -weight[:, None] * (rows.x * expected[:, :1] - expected[:, 1:])
    mean = np.zeros((times.size, size))
    np.add.at(mean, moments.at, moments.mean)
    deaths = np.bincount(moments.at, minlength=times.size)[:, None]
    found[rows.event] += rows.x[rows.event] - (mean / np.maximum(deaths, 1))[place]
    return found


def _over_times(rows: _Rows, times: Vector, values: Matrix) -> Matrix:
    """For each row the sum of `values` over the times at which it was at risk, by chunks."""
    found = np.zeros((rows.time.size, values.shape[1]))
    width = max(1, CHUNK // max(1, rows.time.size))
    for start in range(0, times.size, width):
        there = _at_risk(rows, times[start : start + width])
        found += there.T @ values[start : start + width]
    return found


def _at_risk(rows: _Rows, times: Vector) -> Matrix:
    """1 where a row (column) is at risk at a time (line), else 0."""
    part = times[:, None]
    there = (rows.entry[None, :] < part) & (rows.time[None, :] >= part)
    return there.astype(np.float64)


def _meat(residuals: Matrix, patient: NDArray[np.int64]) -> Vector:
    """Sum of outer products of the patients' residuals, packed."""
    sums = np.zeros((int(patient.max(initial=-1)) + 1, residuals.shape[1]))
    np.add.at(sums, patient, residuals)
    return packed(sums.T @ sums)


def _add_trend(found: dict[str, Vector], rows: _Rows, moments: _Moments, plan: Cox) -> None:
    """Add a stratum's sums for the test that coefficients do not change with time."""
    scale = (
        moments.times if plan.test == "identity" else np.log(np.maximum(moments.times, EARLIEST))
    )
    g = scale[moments.at][:, None]
    happened = scale[np.searchsorted(moments.times, rows.time[rows.event])][:, None]
    found["trend score"] += (happened * rows.x[rows.event]).sum(axis=0)
    found["trend score"] -= (g * moments.mean).sum(axis=0)
    found["trend cross"] += (g * moments.spread).sum(axis=0)
    found["trend information"] += (g * g * moments.spread).sum(axis=0)


def combine(total: Blocks, plan: Cox, ask: Ask) -> Ask | Done:
    """Judge the counts, then step until the coefficients stand still."""
    if ask.carry is None:
        return _judged(total, plan)
    state: _State = ask.carry
    beta = cast(Vector, ask.broadcast["beta"])
    score = cast(Vector, total["score"].values)
    information = unpacked(cast(Vector, total["information"].values), plan.width)
    likelihood = float(total["likelihood"].values[0])
    if state.residuals:
        return Done(_model(state, plan, beta, total))
    if state.likelihoods and _fell(likelihood, state.likelihoods[-1]):
        if state.asked < MOST_STEPS:
            return _next(state, (beta + state.before) / 2)
        return Done(_model(state, plan, state.before, {}))
    step = newton_step(score, information, state.active)
    if not state.steps:
        state = replace(state, active=step.active, score_test=step.decrement**2)
    state = replace(
        state, steps=(*state.steps, step), likelihoods=(*state.likelihoods, likelihood), before=beta
    )
    if not _settled(state):
        return _next(state, beta + step.move)
    if plan.robust or plan.test:
        return Ask({"beta": beta, "residuals": np.ones(1)}, carry=replace(state, residuals=True))
    return Done(_model(state, plan, beta, {}))


def _judged(total: Blocks, plan: Cox) -> Ask | Done:
    """Give the gate the pooled counts; without an event there is nothing to fit."""
    tables = pair_tables(plan.coded, total)
    events = int(tables[plan.event.name,][1])
    patients = int(total["patients"].values[0])
    somebody = present(plan.covariates, tables)
    counts = ModelCounts(patients, events, int(somebody.sum()), tables)
    state = _State(
        counts=counts,
        missing=int(total["missing"].values[0]),
        unobserved=int(total["unobserved"].values[0]),
        somebody=somebody,
        active=somebody,
    )
    return Ask({"beta": np.zeros(plan.width)}, model=counts, carry=state)


def _next(state: _State, beta: Vector) -> Ask:
    """Ask for the sums at other coefficients."""
    return Ask({"beta": beta}, carry=replace(state, asked=state.asked + 1))


def _fell(likelihood: float, before: float) -> bool:
    """Whether a step overshot; the last digits do not count."""
    return likelihood < before - HALVINGS_TOLERANCE * abs(before)


def _settled(state: _State) -> bool:
    """Whether the last step is too small to matter, leaving out terms that have no maximum."""
    last = state.steps[-1]
    if last.decrement <= CONVERGED or state.asked >= MOST_STEPS:
        return True
    endless = separated(state.steps)
    still = last.active & ~endless
    small = np.abs(last.move[still]) <= CONVERGED * last.se[still]
    return bool(endless.any() and small.all())


def _model(state: _State, plan: Cox, beta: Vector, residuals: Blocks) -> Model:
    """The outcome at the final coefficients; `residuals` are the last round's sums, if any."""
    last = state.steps[-1]
    endless = separated(state.steps)
    lost = ~state.active | endless
    converged = last.decrement <= CONVERGED
    beta = beta + last.move if converged else beta
    covariance = last.covariance
    if plan.robust and residuals:
        meat = unpacked(cast(Vector, residuals["meat"].values), plan.width)
        covariance = last.covariance @ meat @ last.covariance
    se = np.sqrt(np.maximum(np.diag(covariance), 0))
    names = [name for name, _, _ in term_names(plan.covariates)]
    issues = issues_of(names, state.somebody, state.active, endless, converged)
    if not state.counts.events:
        issues = (Issue("no_events", tuple(names)),)
    return Model(
        name="cox",
        counts=state.counts,
        terms=terms(
            plan.covariates,
            np.where(lost, np.nan, beta),
            np.where(lost, np.nan, se),
            plan.confidence,
        ),
        figures={
            "log_likelihood": state.likelihoods[-1],
            "log_likelihood_null": state.likelihoods[0],
        },
        tests=_tests(state, plan, beta, residuals),
        scale="hazard_ratio",
        robust=plan.robust,
        confidence=plan.confidence,
        iterations=len(state.steps),
        converged=converged and not endless.any(),
        issues=issues,
        missing=state.missing + state.unobserved,
        described={"ties": plan.ties, "baseline": "site", "times": plan.times},
    )


def _tests(
    state: _State, plan: Cox, beta: Vector, residuals: Blocks
) -> Mapping[str, Mapping[str, float]]:
    """Tests of all coefficients together, and of proportional hazards where that was asked."""
    last, freedom = state.steps[-1], int(state.active.sum())
    tests = {
        "likelihood_ratio": chi_squared_test(
            2 * (state.likelihoods[-1] - state.likelihoods[0]), freedom
        ),
        "score": chi_squared_test(state.score_test, freedom),
    }
    if separated(state.steps).any():
        return tests
    index = np.flatnonzero(last.active)
    information = np.linalg.inv(last.covariance[np.ix_(index, index)])
    tests["wald"] = chi_squared_test(float(beta[index] @ information @ beta[index]), freedom)
    if "trend score" in residuals:
        tests |= _proportionality(plan, index, residuals)
    return tests


def _proportionality(
    plan: Cox, index: NDArray[np.int64], total: Blocks
) -> Mapping[str, Mapping[str, float]]:
    """Score tests that each coefficient, and all together, do not change with time."""
    grid = np.ix_(index, index)
    inner, cross, outer = (
        unpacked(cast(Vector, total[name].values), plan.width)[grid]
        for name in ("information", "trend cross", "trend information")
    )
    score = cast(Vector, total["trend score"].values)[index]
    left = outer - cross @ np.linalg.solve(inner, cross)
    names = [name for name, _, _ in term_names(plan.covariates)]
    tests = {
        f"proportionality {names[position]}": chi_squared_test(float(u * u / left[j, j]), 1)
        for j, (position, u) in enumerate(zip(index, score, strict=True))
    }
    together = float(score @ np.linalg.solve(left, score))
    return {**tests, "proportionality": chi_squared_test(together, len(index))}


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
        "baseline": "site",
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
        "baseline": '"site" (default): each site has its own baseline hazard',
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
