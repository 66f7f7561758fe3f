"""Show a result on a terminal, and write its files: JSON, PNG and SVG."""

from collections.abc import Iterator, Mapping, Sequence
from itertools import product
from pathlib import Path
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.console import Group, RenderableType
from rich.markup import escape
from rich.table import Table

from federated.results import Result


__all__ = ["answer", "draw", "write"]


def answer(result: Result) -> RenderableType:
    """Return tables of a result for `infra.output.console`; withheld cells say by which rule."""
    data: Mapping[str, Any] = result.data
    shapes = {
        "table": _crosstab,
        "curves": _curves,
        "rates": _rates,
        "summaries": _summaries,
        "model": _model,
        "refusal": _refusal,
    }
    return Group(*shapes[data["shape"]](data), *_would_pass(data), _provenance(result))


def _refusal(data: Mapping[str, Any]) -> Iterator[RenderableType]:
    """Why a model was not fitted."""
    yield "The model was not fitted:"
    yield from (f"  {escape(reason['words'])}" for reason in data["reasons"])


def _would_pass(data: Mapping[str, Any]) -> Iterator[RenderableType]:
    """What to ask instead, where the gate has found it."""
    for remedy in data.get("would_pass", {}).get("remedies", ()):
        how = "Would be released" if remedy["certain"] else "May be released"
        yield f"{how}: {escape(remedy['words'])}."


def write(result: Result, folder: Path, name: str) -> Path:
    """Write `name`.json into `folder`, whole or not at all."""
    folder.mkdir(parents=True, exist_ok=True)
    document = folder / f"{name}.json"
    staged = document.with_suffix(".json.part")
    staged.write_bytes(result.to_json())
    staged.replace(document)
    return document


def draw(result: Result, folder: Path, name: str) -> tuple[Path, ...]:
    """Write `name`.png and `name`.svg into `folder`; needs the federation environment."""
    from federated.plots import plot

    pictures = (folder / f"{name}.png", folder / f"{name}.svg")
    for picture in pictures:
        plot(result, picture)
    return pictures


def _cell(value: object) -> str:
    """Show a number, a withheld cell by its rule, and nothing as a dash."""
    if isinstance(value, Mapping):
        return _withheld(value["withheld"])
    if isinstance(value, float):
        return f"{value:g}"
    return "–" if value is None else escape(str(value))  # sex[female] is no markup


def _table(title: str, columns: Sequence[str], rows: Sequence[Sequence[object]]) -> Table:
    """Return a table of cells."""
    table = Table(title=title, title_justify="left", title_style="bold", box=SIMPLE_HEAD)
    for index, column in enumerate(columns):
        table.add_column(column, justify="left" if index == 0 else "right")
    for row in rows:
        table.add_row(*(_cell(value) for value in row))
    return table


def _crosstab(data: Mapping[str, Any]) -> Iterator[RenderableType]:
    """One line per combination of all but the last variable, one column per level of the last."""
    *outer, last = data["variables"]
    rows = [(label, *cells) for label, cells in _lines(outer, data["counts"])]
    title = " × ".join(variable["label"] for variable in data["variables"])
    yield _table(title, ("", *last["level_labels"]), rows)
    if data["test"] and "p_value" in data["test"]:
        test = data["test"]
        yield f"{test['name']}: p = {_cell(test['p_value'])}, {test['degrees_of_freedom']} df"
    yield f"Total shown {data['total']}; without a value {_cell(data['missing'])}."


def _lines(outer: Sequence[Mapping[str, Any]], counts: Any) -> Iterator[tuple[str, Any]]:
    """Yield (label, cells of the last variable) for each combination of the outer levels."""
    if not outer:
        yield "", counts
        return
    for label, inner in zip(outer[0]["level_labels"], counts, strict=True):
        for rest, cells in _lines(outer[1:], inner):
            yield " · ".join(part for part in (label, rest) if part), cells


def _curves(data: Mapping[str, Any]) -> Iterator[RenderableType]:
    """One line per shown step of each curve."""
    columns = ("group", "time", "survival", "lower", "upper", "at risk")
    rows = [
        (curve["label"], step["time"], *_decimals(step), step["at_risk"])
        for curve in data["curves"]
        for step in curve["steps"]
    ]
    yield _table(f"Kaplan-Meier: {data['time']['label']}", columns, rows)
    yield from (f"{curve['label']}: {_about(curve)}." for curve in data["curves"])
    if (test := data.get("logrank")) and "p" in test:
        over = f"over {len(test['levels'])} curves"
        yield f"log-rank: p = {_cell(test['p'])}, {test['df']} df, {over}"


def _decimals(step: Mapping[str, Any]) -> list[str]:
    """The estimate and its limits, all with the two decimals that they are published with."""
    return [f"{step[key]:.2f}" for key in ("survival", "lower", "upper")]


def _about(curve: Mapping[str, Any]) -> str:
    """Say the median of a curve, and by which rule it ends or is not there."""
    told = "no median is reached" if curve["median"] is None else f"median {curve['median']:g}"
    if not curve["rest"]:
        return told
    rule = _withheld(curve["rest"]["withheld"])
    return f"{told}; what follows is {rule}" if curve["steps"] else rule


def _withheld(rule: str) -> str:
    """Name what is not shown by its rule."""
    return f"withheld ({rule})"


def _rates(data: Mapping[str, Any]) -> Iterator[RenderableType]:
    """One line per cell."""
    names = ("patients", "events", "person_years", "rate", "lower", "upper")
    labels = product(*(variable["level_labels"] for variable in data["variables"]))
    rows = [
        (
            " · ".join(label),
            *(cell[name] for name in names[:3]),
            *(_three_digits(cell[name]) for name in names[3:]),
        )
        for label, cell in zip(labels, data["cells"], strict=True)
    ]
    columns = ("", *(name.replace("_", " ") for name in names))
    yield _table(f"Events per {data['per']:g} patient-years", columns, rows)


def _summaries(data: Mapping[str, Any]) -> Iterator[RenderableType]:
    """One table per variable, one line per group."""
    for variable in data["variables"]:
        found = [(group["by"], group["variables"][variable["name"]]) for group in data["groups"]]
        rows = [
            (
                " · ".join(by.values()) or "everybody",
                *(item[name] for name in ("n", "missing", "mean", "sd")),
                *item["quantiles"].values(),
            )
            for by, item in found
        ]
        quantiles = (f"{100 * float(p):g} %" for p in found[0][1]["quantiles"])
        yield _table(_with_unit(variable), ("", "n", "missing", "mean", "SD", *quantiles), rows)


def _with_unit(variable: Mapping[str, Any]) -> str:
    """A variable's label and unit."""
    return f"{variable['label']} ({variable['unit']})" if variable["unit"] else variable["label"]


def _model(data: Mapping[str, Any]) -> Iterator[RenderableType]:
    """One line per term, then what is wrong with the fit."""
    scale = data["scale"]
    absent = {name for item in data["issues"] if item["kind"] == "absent" for name in item["terms"]}
    names = (scale, "ratio_low", "ratio_high") if scale else ("estimate", "ci_low", "ci_high")
    rows = [
        (term["term"], *(_three_digits(term[name]) for name in names), term["p"])
        for term in data["terms"]
        if term["term"] not in absent
    ]
    limits = f"{100 * data['conf_level']:g} %"
    columns = ("", names[0].replace("_", " "), f"{limits} low", f"{limits} high", "p")
    yield _table(
        f"{data['model']}: n {_cell(data['n'])}, events {_cell(data['events'])}", columns, rows
    )
    for issue in data["issues"]:
        yield f"{issue['kind'].replace('_', ' ')}: {escape(', '.join(issue['terms']))}"
    yield "Converged." if data["converged"] else "Not converged: do not report these figures."


def _three_digits(value: object) -> object:
    """Show 13.0 as it is published, with three significant digits, and not as 13."""
    return f"{value:#.3g}".rstrip(".") if isinstance(value, float) and value < 1000 else value


def _provenance(result: Result) -> str:
    """Say who answered."""
    provenance = result.provenance
    parts = [f"{len(provenance['releases'])} sites answered"]
    for kind in ("absent", "slow", "refused", "failed"):
        parts += [f"{number} {kind} ({why})" for why, number in provenance[kind].items()]
    return "; ".join(parts) + "."
