"""Pictures of results, as PNG or SVG: the same result always gives the same file.

Colors are those of Okabe and Ito, which stay apart for color-blind readers and in grey; lines
differ in style as well. What is withheld is drawn as withheld: hatched, or named in words.
"""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from transforms.errors import RequestError


__all__ = ["Drawable", "plot"]

COLORS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
LINES = ("-", (0, (5, 1.5)), (0, (1, 1)), (0, (4, 1, 1, 1)))
GREY, LIGHT = "#595959", "#d9d9d9"
STYLE = {
    "font.family": "DejaVu Sans",
    "font.size": 10,
    "axes.titlesize": 13,
    "axes.titlelocation": "left",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.edgecolor": GREY,
    "svg.hashsalt": "marmor",
    "svg.fonttype": "none",
    "hatch.linewidth": 0.6,
    "hatch.color": "#a6a6a6",
}
LONGEST_FOREST = 20
RATE_COLUMN, COUNT_COLUMN = 1.1, 1.72  # where a forest's figures stand, in largest upper limits
SUFFIXES = (".png", ".svg")
MODELS = {
    "cox": "Cox model",
    "glm": "Regression",
    "t_test": "Difference of means",
    "correlation": "Correlation",
}

Json = Mapping[str, Any]


class Drawable(Protocol):
    """What a picture is made of: `federated.results.Result` has it."""

    @property
    def analysis(self) -> str:
        """Name of the analysis."""

    @property
    def request(self) -> Json:
        """The question."""

    @property
    def data(self) -> Json:
        """The published values."""

    @property
    def provenance(self) -> Json:
        """Where they come from."""


def plot(result: Drawable, path: Path) -> None:
    """Draw `result` into `path`, a .png or .svg file; RequestError for another suffix."""
    if path.suffix not in SUFFIXES:
        raise RequestError(f"{path}: a picture is {' or '.join(SUFFIXES)}")
    draw = DRAWINGS[result.data["shape"]]
    with mpl.rc_context(STYLE):
        figure = draw(result)
        figure.suptitle(_title(result), x=0.01, ha="left", fontsize=13)
        figure.text(0.01, 0.005, _footnote(result), fontsize=7.5, color=GREY, va="bottom")
        metadata = {"Date": None} if path.suffix == ".svg" else {"Software": None}
        figure.savefig(path, dpi=150, metadata=metadata)


def _curves(result: Drawable) -> Figure:
    """Steps with confidence bands, at-risk table below, ends and empty groups named."""
    data = result.data
    shown = [curve for curve in data["curves"] if curve["steps"]]
    hidden = [curve["label"] for curve in data["curves"] if not curve["steps"] and curve["rest"]]
    rows = len(shown)
    figure = Figure(figsize=(9, 5.2 + 0.24 * rows))
    figure.set_layout_engine("constrained", rect=(0, 0.035, 1, 0.965))
    axes, table = figure.subplots(2, 1, sharex=True, height_ratios=[5, 0.35 + 0.25 * max(rows, 1)])
    for index, curve in enumerate(shown):
        _curve(axes, curve, index, _unit(data["time"]))
    unit = _unit(data["time"])
    end = max((curve["end"] for curve in shown), default=1.0)
    axes.set(xlim=(0, end * 1.04), ylim=(0, 1.02), ylabel="Share without the event")
    axes.grid(axis="y", color=LIGHT, linewidth=0.6)
    if any(curve["rest"] for curve in shown):
        note = "ends: too few at risk or events to go on"
        axes.plot([], [], "s", markerfacecolor="white", markeredgecolor=GREY, label=note)
    if shown:
        axes.legend(frameon=False, fontsize=9, loc="upper right")
    _at_risk(table, shown, axes.get_xticks(), end)
    table.set_xlabel(f"{data['time']['label']} ({unit})" if unit else data["time"]["label"])
    notes = ["Too few patients or events to show: " + "; ".join(hidden)] if hidden else []
    test = data.get("logrank")
    if test and "p" in test:
        notes.insert(0, f"Log-rank test of the curves shown: {test['df']} df, p = {test['p']:g}")
    if notes:
        note = "\n".join(_wrapped(line, 110) for line in notes)
        table.annotate(
            note,
            (0, 0),
            (0, -38),
            "axes fraction",
            "offset points",
            fontsize=8,
            color=GREY,
            va="top",
        )
    return figure


def _unit(variable: Json) -> str:
    """Return a variable's unit in words."""
    unit = variable["unit"] or ""
    return {"a": "years"}.get(unit, unit)


def _curve(axes: Axes, curve: Json, index: int, unit: str) -> None:
    """One curve; an open square marks where it ends although patients were left."""
    color, line = COLORS[index % len(COLORS)], LINES[index // len(COLORS) % len(LINES)]
    if len(COLORS) > index:
        line = LINES[index % len(LINES)]
    time = [0.0, *(step["time"] for step in curve["steps"])]
    survival = [1.0, *(step["survival"] for step in curve["steps"])]
    lower = [1.0, *(step["lower"] for step in curve["steps"])]
    upper = [1.0, *(step["upper"] for step in curve["steps"])]
    median = "" if curve["median"] is None else f", median {curve['median']:g} {unit}".rstrip()
    label = curve["label"] + median
    axes.step(time, survival, where="post", color=color, linestyle=line, linewidth=1.8, label=label)
    axes.fill_between(time, lower, upper, step="post", color=color, alpha=0.13, linewidth=0)
    if curve["rest"]:
        axes.plot(
            time[-1:], survival[-1:], marker="s", markersize=6, markerfacecolor="white",
            markeredgecolor=color, linestyle="none", clip_on=False,
        )  # fmt: skip


def _at_risk(axes: Axes, curves: Sequence[Json], ticks: Sequence[float], end: float) -> None:
    """Patients at risk at the time axis's ticks, rounded as published."""
    axes.set_ylim(len(curves) - 0.4, -1.2)
    axes.spines[["left", "bottom"]].set_visible(False)
    names = [curve["label"] for curve in curves]
    axes.set_yticks(range(len(curves)), names, fontsize=8, va="center_baseline")
    axes.tick_params(axis="x", length=0)
    axes.tick_params(axis="y", length=0, pad=16)
    axes.text(0, -0.85, "At risk (rounded; · = withheld or ended)", fontsize=8, color=GREY)
    for row, curve in enumerate(curves):
        axes.get_yticklabels()[row].set_color(COLORS[row % len(COLORS)])
        for tick in ticks:
            if 0 <= tick <= end:
                text = _number_at(curve["steps"], tick)
                axes.text(tick, row, text, fontsize=8, ha="center", va="center_baseline")


def _number_at(steps: Sequence[Json], tick: float) -> str:
    """Number at risk at the first shown step at or after `tick`."""
    step = next((item for item in steps if item["time"] >= tick), None)
    return "·" if step is None or isinstance(step["at_risk"], Mapping) else str(step["at_risk"])


def _table(result: Drawable) -> Figure:
    """Bars for one variable; a shaded table for two, and for three with two of them as rows."""
    data = result.data
    if len(data["variables"]) == 1:
        return _bars(data)
    *down, across = data["variables"]
    columns = across["level_labels"]
    flat = np.array(_flat(data["counts"]), dtype=object).reshape(-1, len(columns))
    shares = np.array(_flat(data["percent"]), dtype=object).reshape(-1, len(columns))
    names = _row_names(down)
    full = [i for i, row in enumerate(flat) if not all(isinstance(c, Mapping) for c in row)]
    empty = [names[i] for i in range(len(names)) if i not in full]
    size = (max(4.0 + 1.3 * len(columns), 7.5), 2.2 + 0.42 * max(len(full), 1))
    figure = Figure(figsize=size)
    figure.set_layout_engine("constrained", rect=(0, 0.4 / size[1], 1, 1 - 0.4 / size[1]))
    axes = figure.subplots()
    for y, row in enumerate(full):
        for x in range(len(columns)):
            _cell(axes, x, y, flat[row, x], shares[row, x])
    axes.set(xlim=(-0.5, len(columns) - 0.5), ylim=(max(len(full), 1) - 0.5, -0.5))
    axes.set_xticks(range(len(columns)), columns)
    axes.set_yticks(range(len(full)), [names[i] for i in full])
    axes.tick_params(length=0, labeltop=True, labelbottom=False)
    axes.spines[["left", "bottom"]].set_visible(False)
    known = any(isinstance(share, int | float) for share in shares.flat)
    notes = ["Percentages are of a row"] if known else []
    notes += [_test_note(data["test"])] if data["test"] else []
    notes += ["All withheld: " + "; ".join(empty)] if empty else []
    axes.set_xlabel(
        "\n".join(_wrapped(n, int(11 * size[0])) for n in notes), fontsize=8, color=GREY, loc="left"
    )
    return figure


def _cell(axes: Axes, x: int, y: int, count: object, share: object) -> None:
    """One cell: darker for a larger share of its row, hatched when withheld."""
    corner = (x - 0.47, y - 0.44)
    if isinstance(count, Mapping):
        axes.add_patch(
            Rectangle(corner, 0.94, 0.88, facecolor="white", hatch="////", edgecolor=LIGHT)
        )
        axes.text(x, y, "withheld", ha="center", va="center", fontsize=8, color=GREY,
                  bbox={"facecolor": "white", "edgecolor": "none", "pad": 1.5})  # fmt: skip
        return
    percent = share if isinstance(share, int | float) else None
    strength = 0.06 if percent is None else 0.06 + 0.009 * percent
    color = mpl.colormaps["Blues"](strength)
    axes.add_patch(Rectangle(corner, 0.94, 0.88, facecolor=color, edgecolor="none"))
    text = f"{count}" if percent is None else f"{count}  ({percent:.0f} %)"
    ink = "white" if strength > 0.6 else "black"
    axes.text(x, y, text, ha="center", va="center", fontsize=9.5, color=ink)


def _bars(data: Json) -> Figure:
    """Horizontal bars of one variable's counts."""
    variable = data["variables"][0]
    labels, counts = variable["level_labels"], data["counts"]
    figure = Figure(figsize=(8, 1.7 + 0.38 * len(labels)))
    figure.set_layout_engine("constrained", rect=(0, 0.06, 1, 0.94))
    axes = figure.subplots()
    largest = max((count for count in counts if isinstance(count, int)), default=1)
    for y, count in enumerate(counts):
        if isinstance(count, Mapping):
            axes.text(largest * 0.01, y, "withheld", va="center", fontsize=8, color=GREY)
        else:
            axes.barh(y, count, height=0.66, color=COLORS[0])
            axes.text(count + largest * 0.01, y, str(count), va="center", fontsize=9)
    axes.set_yticks(range(len(labels)), labels)
    axes.set(xlim=(0, largest * 1.1), ylim=(len(labels) - 0.4, -0.6), xlabel="Count (rounded)")
    return figure


def _rates(result: Drawable) -> Figure:
    """A forest of rates with exact limits; in a long one, withheld cells are counted instead."""
    data = result.data
    rows = list(zip(_row_names(data["variables"]), data["cells"], strict=True))
    shown = [row for row in rows if not isinstance(row[1]["rate"], Mapping)]
    hidden = len(rows) - len(shown) if len(rows) > LONGEST_FOREST else 0
    rows = shown if hidden else rows
    height, width = 2.1 + 0.36 * len(rows), 7.5 + 0.065 * max((len(n) for n, _ in rows), default=0)
    figure = Figure(figsize=(width, height))
    figure.set_layout_engine("constrained", rect=(0, 0.3 / height, 1, 1 - 0.3 / height))
    axes = figure.subplots()
    largest = max((cell["upper"] or 0 for _, cell in shown), default=1.0)
    for y, (_, cell) in enumerate(rows):
        _rate(axes, y, cell, largest)
    axes.set_yticks(range(len(rows)), [name for name, _ in rows])
    axes.set(xlim=(0, largest * (COUNT_COLUMN + 0.01)), ylim=(len(rows) - 0.4, -0.8))
    ticks = [tick for tick in axes.get_xticks() if tick <= largest * 1.05]
    axes.set_xticks(ticks)
    axes.spines["bottom"].set_bounds(0, largest * 1.05)
    limits = f"{100 * data['confidence']:g} % exact Poisson limits"
    note = f"\n{hidden} further cells are withheld" if hidden else ""
    label = f"Fractures per {data['per']:g} patient-years, {limits}{note}"
    axes.set_xlabel(label, loc="left")
    _headings(axes, largest, data["per"])
    axes.grid(axis="x", color=LIGHT, linewidth=0.6)
    axes.set_axisbelow(True)
    return figure


def _headings(axes: Axes, largest: float, per: float) -> None:
    """Name the two columns of figures beside the forest."""
    style: dict[str, Any] = {"fontsize": 8, "color": GREY, "va": "center"}
    axes.text(largest * RATE_COLUMN, -0.6, f"per {per:g} (limits)", **style)
    axes.text(largest * COUNT_COLUMN, -0.6, "fractures / years", ha="right", **style)


def _rate(axes: Axes, y: int, cell: Json, largest: float) -> None:
    """One row of the forest."""
    rate = cell["rate"]
    if isinstance(rate, Mapping):
        axes.text(
            largest * 0.02, y, "withheld", va="center", fontsize=8.5, color=GREY, style="italic"
        )
        return
    if rate is None:
        axes.text(largest * 0.02, y, "no time at risk", va="center", fontsize=8.5, color=GREY)
        return
    axes.plot([cell["lower"], cell["upper"]], [y, y], color=COLORS[0], linewidth=1.8)
    axes.plot([rate], [y], marker="s", color=COLORS[0], markersize=6)
    low, middle, high = (_three_digits(value) for value in (cell["lower"], rate, cell["upper"]))
    axes.text(largest * RATE_COLUMN, y, f"{middle} ({low} to {high})", va="center", fontsize=8.5)
    text = f"{cell['events']} / {cell['person_years']:g}"
    axes.text(largest * COUNT_COLUMN, y, text, ha="right", va="center", fontsize=8.5)


def _summaries(result: Drawable) -> Figure:
    """A panel per variable, a line per group: the quantiles' range, the median, the mean."""
    data = result.data
    groups, variables = data["groups"], data["variables"]
    names = _row_names(data["by"]) if data["by"] else ["Everybody"]
    height = 1.6 + 0.34 * len(groups)
    figure = Figure(figsize=(2.2 + 4.2 * len(variables), height))
    figure.set_layout_engine("constrained", rect=(0, 0.3 / height, 1, 1 - 0.3 / height))
    panels = figure.subplots(1, len(variables), sharey=True, squeeze=False)[0]
    for axes, variable in zip(panels, variables, strict=True):
        for y, group in enumerate(groups):
            _summary(axes, y, group["variables"][variable["name"]])
        unit = _unit(variable)
        axes.set_xlabel(f"{variable['label']} ({unit})" if unit else variable["label"])
        axes.set_ylim(len(groups) - 0.5, -0.5)
        axes.grid(axis="x", color=LIGHT, linewidth=0.6)
    panels[0].set_yticks(range(len(groups)), names)
    marks = (("s", "median"), ("o", "mean"))
    for marker, label in marks:
        panels[-1].plot(
            [],
            [],
            marker,
            color=COLORS[0],
            markersize=6,
            label=label,
            markerfacecolor=COLORS[0] if marker == "s" else "white",
        )
    panels[-1].plot([], [], "-", color=COLORS[0], linewidth=1.8, label="lowest to highest quantile")
    figure.legend(frameon=False, fontsize=8, loc="outside upper right", ncols=3)
    return figure


def _summary(axes: Axes, y: int, summary: Json) -> None:
    """One group of one variable; what is withheld is said."""
    shown = {
        float(p): value
        for p, value in summary["quantiles"].items()
        if isinstance(value, int | float)
    }
    if len(shown) > 1:
        ends = [min(shown.values()), max(shown.values())]
        axes.plot(ends, [y, y], color=COLORS[0], linewidth=1.8)
    if 0.5 in shown:
        axes.plot([shown[0.5]], [y], "s", color=COLORS[0], markersize=6)
    if isinstance(summary["mean"], int | float):
        axes.plot(
            [summary["mean"]], [y], "o", color=COLORS[0], markersize=6, markerfacecolor="white"
        )
    elif isinstance(summary["mean"], Mapping):
        style: dict[str, Any] = {"fontsize": 8.5, "color": GREY, "style": "italic", "va": "center"}
        axes.annotate("withheld", (0.02, y), xycoords=("axes fraction", "data"), **style)


def _model(result: Drawable) -> Figure:
    """A forest of the terms: ratios on a logarithmic axis around 1, coefficients around 0."""
    data = result.data
    scale = data["scale"]
    absent = {name for item in data["issues"] if item["kind"] == "absent" for name in item["terms"]}
    terms = [term for term in data["terms"] if term["term"] not in absent]
    names = (scale, "ratio_low", "ratio_high") if scale else ("estimate", "ci_low", "ci_high")
    height = 2.1 + 0.36 * len(terms)
    figure = Figure(figsize=(9, height))
    figure.set_layout_engine("constrained", rect=(0, 0.3 / height, 1, 1 - 0.3 / height))
    axes = figure.subplots()
    for y, term in enumerate(terms):
        _estimate(axes, y, [term[name] for name in names], term["p"])
    if scale:
        axes.set_xscale("log")
        axes.set_xticks(_ratio_ticks(*axes.get_xlim()))
        axes.xaxis.set_major_formatter("{x:g}")
        axes.minorticks_off()
    axes.axvline(1.0 if scale else 0.0, color=GREY, linewidth=0.8)
    axes.set_yticks(range(len(terms)), [_term_name(term) for term in terms])
    axes.set_ylim(len(terms) - 0.4, -0.8)
    kind = scale.replace("_", " ").capitalize() if scale else "Coefficient"
    limits = f"{100 * data['conf_level']:g} % limits{', robust' if data['robust'] else ''}"
    wrong = "" if data["converged"] else "\nNot converged: do not report these figures"
    axes.set_xlabel(f"{kind}, {limits}{wrong}", loc="left")
    axes.grid(axis="x", color=LIGHT, linewidth=0.6)
    axes.set_axisbelow(True)
    return figure


def _ratio_ticks(low: float, high: float) -> list[float]:
    """Round numbers between two limits, at most nine of them."""
    for digits in ((1, 1.5, 2, 2.5, 3, 4, 5, 6, 8), (1, 2, 5), (1,)):
        decades = range(int(np.floor(np.log10(low))), int(np.ceil(np.log10(high))) + 1)
        ticks = [d * 10.0**k for k in decades for d in digits if low <= d * 10.0**k <= high]
        if len(ticks) <= 9:
            break
    return ticks[:: -(-len(ticks) // 9)]


def _term_name(term: Json) -> str:
    """A term, and the level that it is compared with."""
    return f"{term['term']} vs. {term['reference']}" if term["reference"] else str(term["term"])


def _estimate(axes: Axes, y: int, numbers: Sequence[float | None], p: float | None) -> None:
    """One line of the forest, its figures to the right."""
    beside: dict[str, Any] = {
        "xycoords": ("axes fraction", "data"),
        "fontsize": 8.5,
        "va": "center",
        "annotation_clip": False,
    }
    middle, low, high = numbers
    if middle is None or low is None or high is None or p is None:
        axes.annotate("cannot be estimated", (1.02, y), color=GREY, **beside)
        return
    axes.plot([low, high], [y, y], color=COLORS[0], linewidth=1.8)
    axes.plot([middle], [y], marker="s", color=COLORS[0], markersize=6)
    told = f"{_three_digits(middle)} ({_three_digits(low)} to {_three_digits(high)})   p = {p:.2g}"
    axes.annotate(told, (1.02, y), **beside)


def _three_digits(value: float) -> str:
    """A rate as it is published: 13.0 and not 13."""
    return f"{value:#.3g}".rstrip(".") if 0 < value < 1000 else f"{value:g}"


def _row_names(variables: Sequence[Json]) -> list[str]:
    """Labels of every combination of levels, in the order of the flattened table."""
    names = [""]
    for variable in variables:
        names = [f"{a} · {b}" if a else b for a in names for b in variable["level_labels"]]
    return names


def _flat(cells: object) -> list[object]:
    """Unfold nested lists of cells."""
    if isinstance(cells, list):
        return [item for cell in cells for item in _flat(cell)]
    return [cells]


def _test_note(test: Json) -> str:
    """The test in words."""
    if "withheld" in test:
        return "Test withheld: fewer than two rows can be shown in full"
    doubt = "; doubtful, expected counts below 5" if test["small_expected"] else ""
    return (
        f"Chi-squared {test['statistic']:g}, {test['degrees_of_freedom']} df, "
        f"p = {test['p_value']:g}, over {len(test['levels'])} rows shown in full{doubt}"
    )


def _wrapped(text: str, width: int) -> str:
    """Break a note into lines."""
    words, lines = text.split(), [""]
    for word in words:
        if len(lines[-1]) + len(word) > width:
            lines.append("")
        lines[-1] += word + " "
    return "\n".join(line.rstrip() for line in lines)


def _title(result: Drawable) -> str:
    """What the picture shows, in the words of the dictionary."""
    data = result.data
    if data["shape"] == "refusal":
        return "No model"
    if data["shape"] == "curves":
        group = f", by {_inside(data['group']['label'])}" if data["group"] else ""
        return f"{data['time']['label']}{group}"
    if data["shape"] == "model":
        asked = result.request["parameters"]
        named = [asked.get("event") or asked.get("outcome"), *asked.get("variables", ())]
        what = ", ".join(name for name in named if name)
        return f"{MODELS[data['model']]}{f': {what}' if what else ''}"
    if data["shape"] == "summaries":
        by = " and ".join(_inside(variable["label"]) for variable in data["by"])
        return f"Summary{f' by {by}' if by else ''}"
    first, *others = (variable["label"] for variable in data["variables"])
    if data["shape"] == "rates":
        return "Fracture rate by " + " and ".join(_inside(label) for label in (first, *others))
    return " × ".join([first, *(_inside(label) for label in others)])


def _inside(label: str) -> str:
    """A label within a sentence; an abbreviation keeps its capitals."""
    return label if label[1:2].isupper() else label[:1].lower() + label[1:]


def _footnote(result: Drawable) -> str:
    """Where the picture comes from, in one line."""
    provenance = result.provenance
    grid = provenance["policy"]["grid"]
    rounding = f"counts on a grid of {grid}, 1 to {grid} withheld" if grid > 1 else "exact counts"
    kinds = ("absent", "slow", "refused", "failed")
    out = sum(number for kind in kinds for number in provenance[kind].values())
    without = f" · without {out} more" if out else ""
    sites = f"{len(provenance['releases'])} sites{without}"
    return f"{sites} · {rounding} · question {provenance['question'][:12]}"


def _refusal(result: Drawable) -> Figure:
    """Why a model was not fitted, in words: there is nothing to draw."""
    reasons = [str(reason["words"]) for reason in result.data["reasons"]]
    figure = Figure(figsize=(9, 1.4 + 0.3 * len(reasons)))
    for line, text in enumerate(["Not fitted:", *reasons]):
        figure.text(0.02, 1 - (0.8 + 0.3 * line) / figure.get_figheight(), text, fontsize=9)
    return figure


DRAWINGS: Mapping[str, Callable[[Drawable], Figure]] = {
    "curves": _curves,
    "table": _table,
    "rates": _rates,
    "summaries": _summaries,
    "model": _model,
    "refusal": _refusal,
}
