"""How does an outcome depend on covariates? Generalized linear models by Fisher scoring.

    g(μ) = x'β + offset,  y ~ gaussian (identity), binomial (logit, log, cloglog), poisson (log)
    score Σ x m (y - μ)/V,  information Σ x x' m²/V,  m = dμ/dη, V the variance function at μ
The sums over sites are those of all rows together, so the estimate is that of R's `glm`. Fitting
begins at the model of an intercept alone, which also gives the null deviance. Dispersion is
Pearson's Σ (y - μ)²/V over the residual degrees of freedom, at the final μ; it scales the errors of
the gaussian family, whose tests use Student's t. Errors that do not rest on the family, by row or
by patient: C (Σ_c u_c u_c') C, C = information⁻¹, u_c a patient's summed score (HC0, CR0, without
a small-sample factor).

Rows that lack a value count as missing; so do a negative outcome of the poisson family and an
exposure that is not above 0.

Columns are taken around a pooled mean rounded to three digits, so that age or year near one another
cost no digits; the intercept is put back afterwards.
Sources: McCullagh and Nelder, Generalized Linear Models, 2nd ed. (1989), 2.5; White, Econometrica
48 (1980) 817; Liang and Zeger, Biometrika 73 (1986) 13.

What leaves a site: masked counts of patients, of those with the outcome and of every pair of
levels; then masked sums of the covariates, the outcome and exp(offset), once; then of the log
likelihood, deviance, score and information at the coefficients so far, and once of the robust sums.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import cast

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit, gammaln, xlogy

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
    three_digits,
    unpacked,
)
from federated.newton import MOST_STEPS, Fit, advance
from federated.parameters import confidence, one_variable
from federated.statistics import Blocks, Broadcast, Counts, Frame, Shape, Shapes, fixed_point


__all__ = ["ANALYSIS", "Glm", "combine", "design", "shapes", "site"]

LINKS: Mapping[str, tuple[str, ...]] = {
    "gaussian": ("identity",),
    "binomial": ("logit", "log", "cloglog"),
    "poisson": ("log",),
}
SCALES: Mapping[tuple[str, str], str] = {
    ("binomial", "logit"): "odds_ratio",
    ("binomial", "log"): "risk_ratio",
    ("binomial", "cloglog"): "hazard_ratio",
    ("poisson", "log"): "rate_ratio",
}
HOPELESS = -1e12  # the log likelihood of coefficients whose μ no outcome can have
SMALLEST_SHARE = 1e-18  # of the null variance, where a line fits through every point
TINY = 1e-300
LARGEST_ETA = 55.0  # of a logarithm; the ring holds sums below 2^89
INTERCEPT = Covariate(Variable("intercept", "Intercept"), None)

Vector = NDArray[np.float64]
Matrix = NDArray[np.float64]


@dataclass(frozen=True)
class Glm:
    """A regression; `offset` is added to the linear predictor as it is, `exposure` as its log."""

    outcome: Variable
    covariates: tuple[Covariate, ...]
    family: str
    link: str
    offset: Variable | None
    exposure: Variable | None
    cluster: Variable | None
    robust: bool
    confidence: float

    @property
    def every(self) -> tuple[Covariate, ...]:
        """The intercept and the covariates."""
        return (INTERCEPT, *self.covariates)

    @property
    def width(self) -> int:
        """Number of terms, the intercept among them."""
        return sum(item.width for item in self.every)

    @property
    def happened(self) -> Variable | None:
        """Whether the outcome is there at all, as a yes-or-no variable; None for a measurement."""
        name = self.outcome.name
        return None if self.family == "gaussian" else Variable(name, name, ("false", "true"))

    @property
    def coded(self) -> tuple[Variable, ...]:
        """Variables with levels whose pairs are counted, the outcome last."""
        named = [item.variable for item in self.covariates if item.reference is not None]
        return (*named, self.happened) if self.happened else tuple(named)


@dataclass(frozen=True)
class _Rows:
    """One site's complete rows; `x` has a first column of ones."""

    x: Matrix
    y: Vector
    offset: Vector
    patient: NDArray[np.int64]


@dataclass(frozen=True)
class _State:
    """What the coordinator keeps between rounds."""

    counts: ModelCounts
    rows: int
    missing: int
    fit: Fit
    centre: Vector
    null_deviance: float = np.nan
    deviance: float = np.nan
    pearson: float = np.nan
    scale: float = 1.0
    residuals: bool = False

    @property
    def freedom(self) -> int:
        """Residual degrees of freedom."""
        return self.rows - int(self.fit.active.sum())


def design(parameters: Mapping[str, object], view: AnalysisView) -> Glm:
    """Parse outcome, covariates, family and link; ParameterError lists every problem."""
    problems: list[str] = []
    variables = view.variables
    family, link = _family(parameters, problems)
    binary = family == "binomial"
    outcome = one_variable("outcome", parameters, variables, binary, problems)
    if binary and outcome and outcome.levels != ("false", "true"):
        problems.append(f"outcome: {outcome.name} is not a yes-or-no variable")
    chosen = covariates(parameters, variables, problems)

    def number(name: str, *, optional: bool = True) -> Variable | None:
        return one_variable(name, parameters, variables, False, problems, optional=optional)

    offset, exposure = number("offset"), number("exposure")
    cluster = number("cluster", optional=view.unit == "patient")
    if offset and exposure:
        problems.append("offset, exposure: give one of them")
    used = {item.name for item in (outcome, offset, exposure, cluster) if item}
    wrong = [item.variable.name for item in chosen if item.variable.name in used]
    problems += [f"{name}: cannot explain itself; leave it out" for name in wrong]
    robust = parameters.get("robust", False)
    if not isinstance(robust, bool):
        problems.append("robust: must be true or false")
    level = confidence("conf_level", parameters, problems)
    if problems or outcome is None:
        raise ParameterError(problems)
    return Glm(
        outcome=outcome,
        covariates=chosen,
        family=family,
        link=link,
        offset=offset,
        exposure=exposure,
        cluster=cluster,
        robust=bool(robust) or cluster is not None,
        confidence=level,
    )


def _family(parameters: Mapping[str, object], problems: list[str]) -> tuple[str, str]:
    """Return family and link, by default the first of the family."""
    family = parameters.get("family")
    if not isinstance(family, str) or family not in LINKS:
        problems.append(f"family: must be one of {', '.join(LINKS)}")
        return "gaussian", "identity"
    link = parameters.get("link") or LINKS[family][0]
    if link not in LINKS[family]:
        problems.append(f"link: must be one of {', '.join(LINKS[family])} for {family}")
    return family, str(link)


def shapes(plan: Glm, broadcast: Broadcast) -> Shapes:
    """Counts, then the sums to begin from, then the likelihood's, at the end the residuals'."""
    if not broadcast:
        single = {name: Shape("counts", (1,)) for name in ("missing", "patients", "rows")}
        return {**single, **pair_shapes(plan.coded)}
    return {name: Shape("sums", (size,)) for name, size in _sizes(plan, broadcast).items()}


def _sizes(plan: Glm, broadcast: Broadcast) -> Mapping[str, int]:
    """Lengths of the sums."""
    p, triangle = plan.width, plan.width * (plan.width + 1) // 2
    if "beta" not in broadcast:
        return {"columns": p, "outcome": 1, "exposure": 1}
    sizes = {"likelihood": 1, "deviance": 1, "pearson": 1, "score": p, "information": triangle}
    return {**sizes, "meat": triangle} if "residuals" in broadcast else sizes


def site(frame: Frame, plan: Glm, broadcast: Broadcast) -> Blocks:
    """Count one site's patients, or sum its part of the likelihood at the coefficients so far."""
    rows, codes = _rows(frame, plan)
    if broadcast:
        found = _sums(rows, plan, broadcast) if "beta" in broadcast else _beginning(rows)
        return {name: fixed_point(np.atleast_1d(values)) for name, values in found.items()}
    single = {
        "missing": frame.rows - rows.y.size,
        "patients": np.unique(rows.patient).size,
        "rows": rows.y.size,
    }
    counts = {k: Counts(np.array([n], dtype=np.int64)) for k, n in single.items()}
    return {**counts, **pair_counts(plan.coded, codes, rows.patient)}


def _rows(frame: Frame, plan: Glm) -> tuple[_Rows, list[NDArray[np.int64]]]:
    """Complete rows and the codes of `plan.coded`."""
    x, known = columns(frame, plan.covariates)
    x = np.column_stack([np.ones(frame.rows), x])
    y = frame.columns[plan.outcome.name].astype(np.float64)
    offset = np.zeros(frame.rows)
    if plan.offset:
        offset = cast(Vector, frame.columns[plan.offset.name])
    if plan.exposure:
        exposure = cast(Vector, frame.columns[plan.exposure.name])
        offset = np.log(np.where(exposure > 0, exposure, np.nan))
    patient = np.arange(frame.rows, dtype=np.float64)
    if plan.cluster:
        patient = cast(Vector, frame.columns[plan.cluster.name])
    known = known & ~(np.isnan(y) | np.isnan(offset) | np.isnan(patient))
    if plan.family != "gaussian":
        known &= y >= 0
    named = [item.variable.name for item in plan.covariates if item.reference is not None]
    codes = [cast(NDArray[np.int64], frame.columns[name])[known] for name in named]
    codes += [(y[known] > 0).astype(np.int64)] if plan.happened else []
    names = np.unique(patient[known], return_inverse=True)[1].astype(np.int64)
    return _Rows(x[known], y[known], offset[known], names), codes


def _beginning(rows: _Rows) -> Mapping[str, Vector]:
    """Sums of the columns, of the outcome and of what its rate is per."""
    return {
        "columns": rows.x.sum(axis=0),
        "outcome": rows.y.sum(),
        "exposure": np.exp(np.minimum(rows.offset, LARGEST_ETA)).sum(),
    }


def _sums(rows: _Rows, plan: Glm, broadcast: Broadcast) -> Mapping[str, Vector]:
    """Log likelihood, deviance, score and information at the broadcast's coefficients."""
    beta, centre = cast(Vector, broadcast["beta"]), cast(Vector, broadcast["centre"])
    x = rows.x - centre
    mean, slope = _mean(x @ beta + rows.offset, plan.link)
    sizes = _sizes(plan, broadcast)
    if not _possible(mean, plan.family):
        return {**{k: np.zeros(n) for k, n in sizes.items()}, "likelihood": np.array([HOPELESS])}
    variance = _variance(mean, plan.family)
    weight = slope * slope / variance
    residual = slope * (rows.y - mean) / variance
    found = {
        "likelihood": _log_likelihood(rows.y, mean, plan.family).sum(),
        "deviance": _deviance(rows.y, mean, plan.family).sum(),
        "pearson": ((rows.y - mean) ** 2 / variance).sum(),
        "score": x.T @ residual,
        "information": packed(x.T @ (x * weight[:, None])),
    }
    if "meat" in sizes:
        sums = np.zeros((int(rows.patient.max(initial=-1)) + 1, x.shape[1]))
        np.add.at(sums, rows.patient, x * residual[:, None])
        found["meat"] = packed(sums.T @ sums)
    return found


def _mean(eta: Vector, link: str) -> tuple[Vector, Vector]:
    """μ and dμ/dη; each link has its own derivative, logit's is not that of log."""
    if link == "identity":
        return eta, np.ones_like(eta)
    if link == "logit":
        return expit(eta), expit(eta) * expit(-eta)
    exponential = np.exp(np.minimum(eta, LARGEST_ETA))
    if link == "log":
        return exponential, exponential
    return -np.expm1(-exponential), exponential * np.exp(-exponential)


def _variance(mean: Vector, family: str) -> Vector:
    """The variance function."""
    if family == "binomial":
        return mean * (1 - mean)
    return mean if family == "poisson" else np.ones_like(mean)


def _possible(mean: Vector, family: str) -> bool:
    """Whether outcomes can have these means."""
    if family == "binomial":
        return bool(((mean > 0) & (mean < 1)).all())
    return bool((mean > 0).all()) if family == "poisson" else True


def _log_likelihood(y: Vector, mean: Vector, family: str) -> Vector:
    """Each row's part; of the gaussian family minus half its deviance, which serves to compare."""
    if family == "binomial":
        return np.asarray(xlogy(y, mean) + xlogy(1 - y, 1 - mean))
    if family == "poisson":
        return np.asarray(xlogy(y, mean) - mean - gammaln(y + 1))
    return -0.5 * (y - mean) ** 2


def _deviance(y: Vector, mean: Vector, family: str) -> Vector:
    """Each row's part of the deviance."""
    if family == "binomial":
        return -2 * _log_likelihood(y, mean, family)
    if family == "poisson":
        return np.asarray(2 * (xlogy(y, y / mean) - (y - mean)))
    return (y - mean) ** 2


def combine(total: Blocks, plan: Glm, ask: Ask) -> Ask | Done:
    """Judge the counts, begin from the intercept alone, step until the coefficients stand still."""
    if not ask.broadcast:
        return _judged(total, plan)
    state: _State = ask.carry
    sums = {name: cast(Vector, block.values) for name, block in total.items()}
    if "beta" not in ask.broadcast:
        return _begun(sums, plan, state)
    if state.residuals:
        return Done(_model(state, plan, sums))
    beta = cast(Vector, ask.broadcast["beta"])
    deviance = float(sums["deviance"][0])
    if not state.fit.steps:
        state = replace(state, null_deviance=deviance)
    scale = _scale(plan, state, sums)
    height = float(sums["likelihood"][0])
    if plan.family == "gaussian":  # its likelihood at the best variance for these coefficients
        height = -state.rows / 2 * float(np.log(max(deviance, TINY)))
    information = unpacked(sums["information"], plan.width) / scale
    fit, following = advance(state.fit, beta, height, sums["score"] / scale, information)
    state = replace(state, fit=fit)
    if fit.best is beta:
        state = replace(state, scale=scale, deviance=deviance, pearson=float(sums["pearson"][0]))
    if following is not None:
        return Ask({"beta": following, "centre": state.centre}, carry=state)
    if plan.robust:
        broadcast = {"beta": fit.best, "centre": state.centre, "residuals": np.ones(1)}
        return Ask(broadcast, carry=replace(state, residuals=True))
    return Done(_model(state, plan, sums))


def _judged(total: Blocks, plan: Glm) -> Ask:
    """Give the gate the pooled counts."""
    tables = pair_tables(plan.coded, total)
    somebody = np.concatenate([[True], present(plan.covariates, tables)])
    without, events = _without_and_with(tables, plan)
    patients = int(total["patients"].values[0])
    rarer = events
    if plan.family == "binomial" and without is not None and events is not None:
        rarer = min(without, events)  # an outcome that always comes tells as little
    state = _State(
        counts=ModelCounts(patients, events, int(somebody.sum()), tables),
        rows=int(total["rows"].values[0]),
        missing=int(total["missing"].values[0]),
        fit=Fit.begin(np.zeros(plan.width), somebody),
        centre=np.zeros(plan.width),
    )
    judged = replace(state.counts, events=rarer)
    return Ask({"begin": np.ones(1)}, model=judged, carry=state)


def _without_and_with(
    tables: Mapping[tuple[str, ...], NDArray[np.int64]], plan: Glm
) -> tuple[int, int] | tuple[None, None]:
    """Patients without and with the outcome, where it is one that comes or does not."""
    if not plan.happened:
        return None, None
    without, events = tables[plan.outcome.name,]
    return int(without), int(events)


def _begun(sums: Mapping[str, Vector], plan: Glm, state: _State) -> Ask:
    """Ask at the intercept alone, whose estimate is that of the pooled outcome."""
    mean = float(sums["outcome"][0]) / state.rows
    start = np.zeros(plan.width)
    if plan.link == "identity":
        start[0] = mean
    elif plan.link == "log":
        per = float(sums["exposure"][0]) / state.rows if plan.family == "poisson" else 1.0
        start[0] = np.log(mean / per)
    else:
        odds = np.log(mean) - np.log1p(-mean)
        start[0] = odds if plan.link == "logit" else np.log(-np.log1p(-mean))
    number = np.repeat([v.reference is None for v in plan.every], [v.width for v in plan.every])
    centre = np.where(number, three_digits(sums["columns"] / state.rows), 0.0)
    centre[0] = 0.0
    fit = Fit.begin(start, state.fit.somebody)
    return Ask({"beta": start, "centre": centre}, carry=replace(state, fit=fit, centre=centre))


def _scale(plan: Glm, state: _State, sums: Mapping[str, Vector]) -> float:
    """What errors are scaled by: the gaussian family's variance, never quite zero."""
    if plan.family != "gaussian":
        return 1.0
    found = float(sums["pearson"][0]) / max(1, state.freedom)
    least = SMALLEST_SHARE * (state.null_deviance / state.rows)
    return max(found, least, TINY)


def _model(state: _State, plan: Glm, last_sums: Mapping[str, Vector]) -> Model:
    """The outcome, the intercept put back to where all covariates are 0."""
    fit, gaussian = state.fit, plan.family == "gaussian"
    covariance = fit.last.covariance
    if "meat" in last_sums:
        bread = covariance / state.scale
        covariance = bread @ unpacked(last_sums["meat"], plan.width) @ bread
    back = np.eye(plan.width)
    back[0] -= state.centre
    estimates = fit.estimates
    moved = fit.active & (state.centre != 0)
    estimates[0] -= float((estimates * state.centre)[moved].sum())
    freedom = float(state.freedom) if gaussian else np.inf
    names = [name for name, _, _ in term_names(plan.every)]
    likelihood = fit.heights[-1]
    if gaussian:
        each = np.log(2 * np.pi * max(state.deviance, TINY) / state.rows) + 1
        likelihood = -state.rows / 2 * float(each)
    return Model(
        name="glm",
        counts=state.counts,
        terms=terms(plan.every, estimates, back @ covariance @ back.T, plan.confidence, freedom),
        figures={
            "log_likelihood": likelihood,
            "deviance": state.deviance,
            "null_deviance": state.null_deviance,
            "dispersion": state.pearson / max(1, state.freedom),
            "df_residual": state.freedom,
        },
        tests={},
        scale=SCALES.get((plan.family, plan.link)),
        robust=plan.robust,
        confidence=plan.confidence,
        iterations=len(fit.steps),
        converged=fit.converged and not fit.endless.any(),
        issues=issues_of(names, fit),
        missing=state.missing,
        described={"family": plan.family, "link": plan.link},
    )


def _canonical(plan: Glm) -> Mapping[str, object]:
    """The parameters with defaults filled in."""
    references = {
        item.variable.name: item.variable.levels[item.reference]
        for item in plan.covariates
        if item.reference is not None
    }
    return {
        "outcome": plan.outcome.name,
        "covariates": [item.variable.name for item in plan.covariates],
        "reference": references or None,
        "family": plan.family,
        "link": plan.link,
        "offset": plan.offset.name if plan.offset else None,
        "exposure": plan.exposure.name if plan.exposure else None,
        "cluster": plan.cluster.name if plan.cluster else None,
        "robust": plan.robust,
        "conf_level": plan.confidence,
    }


def _fields(plan: Glm) -> tuple[str, ...]:
    """The columns that the plan needs."""
    chosen = (plan.outcome, plan.offset, plan.exposure, plan.cluster)
    names = [item.name for item in chosen if item]
    return tuple(dict.fromkeys([*names, *(item.variable.name for item in plan.covariates)]))


ANALYSIS = Analysis(
    name="glm",
    title="Regression (generalized linear model)",
    units=("patient", "episode"),
    parameters={
        "outcome": "what is to be explained: yes or no for binomial, a number for the others",
        "covariates": "what may explain it, a list of variables",
        "reference": "a table of variable = level to compare with; default: the first level",
        "family": '"gaussian", "binomial" or "poisson"',
        "link": 'of binomial "logit" (default), "log" or "cloglog"',
        "offset": "a number added to the linear predictor as it is",
        "exposure": "a number whose logarithm is added, such as years at risk",
        "cluster": "number that names a patient with several rows; makes errors robust",
        "robust": "true: standard errors of the sandwich",
        "conf_level": "0.90, 0.95 (default) or 0.99",
    },
    rounds=MOST_STEPS + 3,
    design=design,
    canonical=_canonical,
    counted=lambda plan: {k: v for k, v in _canonical(plan).items() if k != "conf_level"},
    fields=_fields,
    table=lambda plan: (),
    shapes=shapes,
    site=site,
    combine=combine,
)
