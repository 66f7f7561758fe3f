"""A result's numbers as one flat Arrow table, a row per cell, step or estimate.

A withheld number is null in its column, and the rule stands in `<column>_withheld`, so that nobody
takes it for a missing one; a column without a withheld number has no such companion.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import product
from typing import Any

import pyarrow as pa


__all__ = ["flat", "withheld_numbers"]

# Columns in a fixed order: a saved result has its keys sorted.
STEP = ("time", "survival", "lower", "upper", "at_risk")
MODEL = ("term", "variable", "level", "reference", "estimate", "se", "statistic", "p")
SUMMARY = ("n", "missing", "mean", "sd")
RATE = ("patients", "events", "person_years", "rate", "lower", "upper")

Row = Mapping[str, Any]


def flat(data: Mapping[str, Any]) -> pa.Table:
    """Return the rows of a result's `data`, whatever its shape; KeyError for an unknown shape."""
    rows = list(ROWS[data["shape"]](data))
    names = list(dict.fromkeys(name for row in rows for name in row))
    columns: dict[str, pa.Array] = {}
    for name in names:
        values = [row.get(name) for row in rows]
        rules = [_rule(value) for value in values]
        columns[name] = pa.array(
            [None if rule else v for v, rule in zip(values, rules, strict=True)]
        )
        if any(rules):
            columns[f"{name}_withheld"] = pa.array(rules, pa.string())
    return pa.table(columns)


def withheld_numbers(data: Mapping[str, Any]) -> Iterator[bool]:
    """Yield, for each number of a result, whether it is withheld."""
    for row in ROWS[data["shape"]](data):
        for value in row.values():
            if _is_withheld(value) or type(value) in (int, float):
                yield _is_withheld(value)
    for curve in data.get("curves", ()):
        yield from (True for _ in [curve["rest"]] if curve["rest"])


def _rule(value: Any) -> str | None:
    """Return the rule by which a value is withheld, None for one that is shown."""
    return str(value["withheld"]) if _is_withheld(value) else None


def _is_withheld(value: object) -> bool:
    """Whether `value` is how a result writes a withheld number."""
    return isinstance(value, Mapping) and set(value) == {"withheld"}


def _table(data: Mapping[str, Any]) -> Iterator[Row]:
    """One row per combination of levels."""
    names = [variable["name"] for variable in data["variables"]]
    for index in product(*(range(len(item["levels"])) for item in data["variables"])):
        levels = [item["levels"][i] for item, i in zip(data["variables"], index, strict=True)]
        cell = {"count": _at(data["counts"], index), "percent": _at(data["percent"], index)}
        yield {**dict(zip(names, levels, strict=True)), **cell}


def _at(nested: Any, index: Sequence[int]) -> Any:
    """Return one element of nested lists."""
    for position in index:
        nested = nested[position]
    return nested


def _curves(data: Mapping[str, Any]) -> Iterator[Row]:
    """One row per step of each curve."""
    group = data["group"]["name"] if data["group"] else "group"
    for curve in data["curves"]:
        for step in curve["steps"]:
            yield {group: curve["level"], **{name: step[name] for name in STEP}}


def _rates(data: Mapping[str, Any]) -> Iterator[Row]:
    """One row per cell."""
    names = [variable["name"] for variable in data["variables"]]
    for cell in data["cells"]:
        levels = dict(zip(names, cell["levels"], strict=True))
        yield {**levels, **{name: cell[name] for name in RATE}}


def _summaries(data: Mapping[str, Any]) -> Iterator[Row]:
    """One row per group and variable; a quantile's column is named q and its probability."""
    for group in data["groups"]:
        for variable in data["variables"]:
            summary = group["variables"][variable["name"]]
            quantiles = {f"q{p}": value for p, value in summary["quantiles"].items()}
            numbers = {name: summary[name] for name in SUMMARY}
            yield {**group["by"], "variable": variable["name"], **numbers, **quantiles}


def _model(data: Mapping[str, Any]) -> Iterator[Row]:
    """One row per term, its limits, and the same on the scale of a ratio where there is one."""
    scale = data["scale"]
    names = (*MODEL, "ci_low", "ci_high", *((scale, "ratio_low", "ratio_high") if scale else ()))
    for term in data["terms"]:
        yield {name: term[name] for name in names}


def _refusal(data: Mapping[str, Any]) -> Iterator[Row]:
    """One row per reason why a model was not fitted."""
    for reason in data["reasons"]:
        names = ", ".join(reason["variables"])
        yield {"variables": names, "reason": reason["words"], "model": {"withheld": reason["rule"]}}


ROWS: Mapping[str, Callable[[Mapping[str, Any]], Iterator[Row]]] = {
    "model": _model,
    "table": _table,
    "curves": _curves,
    "rates": _rates,
    "summaries": _summaries,
    "refusal": _refusal,
}
