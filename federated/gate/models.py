"""What is told of a regression: coefficients, errors, tests and counts; never a residual."""

import numpy as np

from federated.analysis import Model, Term
from federated.gate.cells import Json, count, significant, told, write
from federated.policy import Policy


__all__ = ["model_data"]

FREEDOM = ("df", "df_residual")  # patients less parameters would tell the patients


def model_data(model: Model, policy: Policy) -> Json:
    """Return the JSON values of a model that was fitted; what cannot be estimated is None."""
    patients, events = model.counts.patients, model.counts.events
    among = int(told(patients, policy))
    return {
        "shape": "model",
        "model": model.name,
        "terms": [_term(term, model.scale, policy) for term in model.terms],
        "n": write(count(patients, among, policy)),
        "events": None if events is None else write(count(events, among, policy)),
        **{
            name: write(count(int(number), among, policy))
            if name in FREEDOM and not policy.exact and np.isfinite(number)
            else _figure(number, policy.digits)
            for name, number in model.figures.items()
        },
        "tests": {
            name: {key: _figure(number, policy.digits) for key, number in test.items()}
            for name, test in model.tests.items()
        },
        "scale": model.scale,
        "robust": model.robust,
        "conf_level": model.confidence,
        "iterations": model.iterations,
        "converged": model.converged,
        "issues": [{"kind": item.kind, "terms": list(item.terms)} for item in model.issues],
        "missing": write(count(model.missing, among, policy)),
        **model.described,
    }


def _term(term: Term, scale: str | None, policy: Policy) -> Json:
    """One coefficient; on the scale of a ratio as well where the model has one."""
    limits = {"estimate": term.estimate, "ci_low": term.lower, "ci_high": term.upper}
    numbers = {**limits, "se": term.se, "statistic": term.statistic, "p": term.p_value}
    if scale:
        ratios = dict(zip(limits, (scale, "ratio_low", "ratio_high"), strict=True))
        with np.errstate(over="ignore"):
            numbers |= {ratio: float(np.exp(limits[name])) for name, ratio in ratios.items()}
    names = {"variable": term.variable, "level": term.level, "reference": term.reference}
    rounded = {name: _figure(number, policy.digits) for name, number in numbers.items()}
    return {"term": term.name, **names, **rounded}


def _figure(number: float, digits: int) -> float | int | None:
    """Round to significant digits, whole numbers as they are; None for what is no number."""
    if isinstance(number, int):
        return number
    return significant(number, digits) if np.isfinite(number) else None
