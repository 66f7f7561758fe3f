"""What several analyses parse alike: one variable, a named outcome, a confidence, a time grid."""

from collections.abc import Mapping

import numpy as np

from federated.analysis import AnalysisView, Variable, suggest


__all__ = ["GRIDS", "confidence", "grid_edges", "one_variable", "spelled_out"]

CONFIDENCES = (0.90, 0.95, 0.99)
HORIZON, MOST_STEPS, LONGEST_STEP = 100.0, 10_000, 1e9
NARROWEST_STEP = 0.25  # three months; a finer grid lets single events stand alone in a bin

# Edges in years. "early" has quarters where the infantile forms are decided, then years.
GRIDS: Mapping[str, tuple[float, ...]] = {
    "years": tuple(float(year) for year in range(1, 101)),
    "early": (*(i / 4 for i in range(1, 9)), *(float(year) for year in range(3, 101))),
}


def spelled_out(
    parameters: Mapping[str, object], view: AnalysisView, problems: list[str]
) -> Mapping[str, object]:
    """Return `parameters` with the columns of a named outcome in its stead."""
    name = parameters.get("outcome")
    if name is None:
        return parameters
    twice = [key for key in ("time", "event", "entry") if parameters.get(key) is not None]
    if twice:
        problems.append(f"outcome: says already what {', '.join(twice)} would; give one of them")
    if not isinstance(name, str) or name not in view.outcomes:
        problems.append(f"outcome: unknown outcome {name}{suggest(name, view.outcomes)}")
        return parameters
    outcome = view.outcomes[name]
    return {**parameters, "time": outcome.time, "event": outcome.event, "entry": outcome.entry}


def one_variable(
    name: str,
    parameters: Mapping[str, object],
    variables: Mapping[str, Variable],
    coded: bool,
    problems: list[str],
    *,
    optional: bool = False,
) -> Variable | None:
    """Return the variable that parameter `name` gives; note what is wrong with it."""
    value = parameters.get(name)
    if value is None:
        problems.extend([] if optional else [f"{name}: is missing"])
        return None
    if not isinstance(value, str) or value not in variables:
        problems.append(f"{name}: unknown variable {value}{suggest(value, variables)}")
        return None
    if variables[value].coded is not coded:
        problems.append(f"{name}: {value} must {'have levels' if coded else 'be a number'}")
    return variables[value]


def confidence(name: str, parameters: Mapping[str, object], problems: list[str]) -> float:
    """Return the level of confidence that parameter `name` gives, by default 0.95."""
    value = parameters.get(name, 0.95)
    if not isinstance(value, float) or value not in CONFIDENCES:
        problems.append(f"{name}: must be 0.90, 0.95 or 0.99")
        return 0.95
    return value


def grid_edges(
    name: str, value: object, time: Variable | None, problems: list[str]
) -> tuple[float, ...]:
    """Return the bins' upper edges of a named grid or of {"step": s}, in the unit of `time`.

    Ages and durations in years have steps that are multiples of 0.25, up to 100. Other units, which
    only a rehearsal's own views have, have any step, 10,000 times.
    """
    if isinstance(value, str) and value in GRIDS:
        return GRIDS[value]
    step = value.get("step") if isinstance(value, Mapping) and set(value) == {"step"} else None
    years = time is None or time.unit == "a"
    if isinstance(step, int | float) and _fits(step, years=years):
        count = int(np.ceil(HORIZON / step)) if years else MOST_STEPS
        return tuple(float(step) * k for k in range(1, count + 1))
    names = ", ".join(GRIDS)
    problems.append(f'{name}: must be one of {names}, or {{"step": s}}, s a multiple of 0.25 years')
    return ()


def _fits(step: float, *, years: bool) -> bool:
    """Whether a step may be asked for; true is no number, and a huge whole one no float."""
    if isinstance(step, bool) or not 0 < step < LONGEST_STEP:
        return False
    return not years or (NARROWEST_STEP <= step <= HORIZON and (step / NARROWEST_STEP).is_integer())
