"""Federated answers equal plain computations on the concatenated rows, written here anew."""

import json
import math
from collections import Counter
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import chi2_contingency

from federated.analyses.kaplan_meier import GRIDS
from federated.rehearsal import rehearse
from federated.request import parse_request


Rows = list[dict[str, object]]
Consortium = Mapping[str, Path]


def pooled(consortium: Consortium, view: str) -> Rows:
    tables = [pq.read_table(path / "views" / f"{view}.parquet") for path in consortium.values()]
    return pa.concat_tables(tables).to_pylist()  # type: ignore[no-any-return]


def ask(consortium: Consortium, analysis: str, view: str, **more: object) -> dict[str, object]:
    request = parse_request({"analysis": analysis, "view": view, **more})
    return dict(rehearse(request, consortium, gate="off").data)


def test_crosstab(consortium: Consortium) -> None:
    names = ["gene_group", "sex_at_birth", "ever_fractured"]
    data = ask(consortium, "crosstab", "person", parameters={"variables": names})
    rows = pooled(consortium, "person")
    keys = [tuple(_text(row[name]) for name in names) for row in rows]
    expected = Counter(key for key in keys if None not in key)
    levels = [variable["levels"] for variable in data["variables"]]  # type: ignore[attr-defined]
    counts = np.array(data["counts"])
    found = {tuple(levels[d][i] for d, i in enumerate(ix)): n for ix, n in np.ndenumerate(counts)}
    assert {key: n for key, n in found.items() if n} == dict(expected)
    assert data["missing"] == sum(None in key for key in keys)
    assert data["total"] == expected.total()


def test_chi_squared(consortium: Consortium) -> None:
    names = ["gene_group", "ever_fractured"]
    data = ask(consortium, "crosstab", "person", parameters={"variables": names})
    counts = np.array(data["counts"])
    expected = chi2_contingency(counts[counts.sum(axis=1) > 0], correction=False)
    test = data["test"]
    assert isinstance(test, dict)
    assert test["statistic"] == pytest.approx(expected.statistic, rel=1e-12)
    assert test["p_value"] == pytest.approx(expected.pvalue, rel=1e-12)
    assert test["degrees_of_freedom"] == expected.dof


@pytest.mark.parametrize("grid", ["years", "early", {"step": 5}])
@pytest.mark.parametrize("entry", [None, "entry_age_y"])
def test_kaplan_meier(consortium: Consortium, grid: object, entry: str | None) -> None:
    parameters = {
        "time": "time_to_first_fracture_y",
        "event": "first_fracture_observed",
        "group": "gene_group",
        "entry": entry,
        "grid": grid,
    }
    data = ask(consortium, "kaplan_meier", "person", parameters=parameters)
    edges = GRIDS[grid] if isinstance(grid, str) else tuple(5.0 * k for k in range(1, 21))
    rows = pooled(consortium, "person")
    for curve in data["curves"]:  # type: ignore[attr-defined]
        patients = _patients(rows, curve["level"], entry, edges)
        expected = _kaplan_meier(patients, edges)
        for step in curve["steps"]:
            at_risk, survival, lower, upper = expected[step["time"]]
            assert step["at_risk"] == at_risk
            assert step["survival"] == pytest.approx(survival, rel=1e-12)
            assert step["lower"] == pytest.approx(lower, rel=1e-9)
            assert step["upper"] == pytest.approx(upper, rel=1e-9)
        events = sum(event for _, _, event in patients)
        assert curve["events"] == events


@pytest.mark.parametrize("by", [["age_band"], ["gene_group"], ["gene_group", "age_band"]])
def test_rate(consortium: Consortium, by: list[str]) -> None:
    data = ask(consortium, "rate", "person_time", parameters={"by": by})
    needed = [*by, "age_band", "person_years", "fracture_count"]
    rows = [r for r in pooled(consortium, "person_time") if None not in [r[n] for n in needed]]
    for cell in data["cells"]:  # type: ignore[attr-defined]
        mine = [row for row in rows if [row[name] for name in by] == cell["levels"]]
        years = math.fsum(float(str(row["person_years"])) for row in mine)
        assert cell["events"] == sum(int(str(row["fracture_count"])) for row in mine)
        assert cell["person_years"] == pytest.approx(years, rel=1e-12)
        if years:
            assert cell["rate"] == pytest.approx(100 * cell["events"] / years, rel=1e-12)


CONDITIONS = st.recursive(
    st.sampled_from(
        [
            {"field": "sex_at_birth", "operator": "==", "value": "female"},
            {"field": "gene_group", "operator": "in", "value": ["TCIRG1", "CLCN7_het"]},
            {"field": "onset_age_y", "operator": ">=", "value": 10},
            {"field": "hsct", "operator": "!=", "value": True},
            {"field": "severity", "operator": "is_missing"},
        ]
    ),
    lambda inner: st.one_of(
        st.builds(lambda item: {"not": item}, inner),
        st.builds(lambda items: {"and": items}, st.lists(inner, min_size=1, max_size=3)),
        st.builds(lambda items: {"or": items}, st.lists(inner, min_size=1, max_size=3)),
    ),
    max_leaves=5,
)


@settings(max_examples=12, deadline=None)
@given(cohort=CONDITIONS)
def test_a_cohort_selects_what_its_words_say(
    consortium: Consortium, cohort: dict[str, object]
) -> None:
    data = ask(consortium, "crosstab", "person", parameters={"variables": ["died"]}, cohort=cohort)
    rows = [row for row in pooled(consortium, "person") if _holds(cohort, row)]
    expected = [sum(row["died"] is value for row in rows) for value in (False, True)]
    assert data["counts"] == expected


@settings(max_examples=3, deadline=None)
@given(order=st.permutations(range(5)))
def test_the_order_of_sites_does_not_matter(consortium: Consortium, order: list[int]) -> None:
    names = list(consortium)
    shuffled = {names[i]: consortium[names[i]] for i in order}
    request = parse_request(
        {"analysis": "rate", "view": "person_time", "parameters": {"by": ["age_band"]}}
    )
    assert rehearse(request, shuffled).to_json() == rehearse(request, consortium).to_json()


def test_how_patients_are_spread_over_sites_does_not_matter(
    consortium: Consortium,
    tmp_path: Path,
    write_release: Callable[[Path, Mapping[str, Mapping[str, list[object]]]], Path],
) -> None:
    table = pa.concat_tables(
        [pq.read_table(path / "views" / "person.parquet") for path in consortium.values()]
    )
    cuts = {"a": (0, 1), "b": (1, 140), "c": (140, 141), "d": (141, table.num_rows)}
    again = {
        site: write_release(tmp_path / site, {"person": table.slice(low, high - low).to_pydict()})
        for site, (low, high) in cuts.items()
    }
    request = parse_request(
        {
            "analysis": "kaplan_meier",
            "view": "person",
            "parameters": {
                "time": "time_to_first_fracture_y",
                "event": "first_fracture_observed",
            },
        }
    )
    assert json.dumps(rehearse(request, again).data) == json.dumps(
        rehearse(request, consortium).data
    )


def _text(value: object) -> object:
    """Yes-or-no as the names of its levels."""
    return str(value).lower() if isinstance(value, bool) else value


def _patients(
    rows: Rows, group: str, entry: str | None, edges: tuple[float, ...]
) -> list[tuple[float, float, bool]]:
    """(entry, exit, event) per patient, rounded up to the grid; only those at risk on it."""

    def up(age: float) -> float:
        return next((edge for edge in edges if edge >= age), math.inf)

    found = []
    for row in rows:
        time, event = row["time_to_first_fracture_y"], row["first_fracture_observed"]
        start = row[entry] if entry else 0.0
        if row["gene_group"] != group or None in (time, event, start):
            continue
        enter = 0.0 if float(str(start)) <= 0 else up(float(str(start)))
        leave = max(up(float(str(time))), edges[0])
        if enter < leave and enter < edges[-1]:
            found.append((enter, min(leave, edges[-1]), bool(event) and leave <= edges[-1]))
    return found


def _kaplan_meier(
    patients: list[tuple[float, float, bool]], edges: tuple[float, ...]
) -> dict[float, tuple[int, float, float, float]]:
    """At risk, survival and log-log limits at every edge, by the textbook."""
    survival, variance, result = 1.0, 0.0, {}
    for edge in edges:
        at_risk = sum(enter < edge <= leave for enter, leave, _ in patients)
        events = sum(event and leave == edge for _, leave, event in patients)
        if events:
            survival *= 1 - events / at_risk
            rest = at_risk - events
            variance += events / (at_risk * rest) if rest else math.inf
        lower = upper = survival
        if 0 < survival < 1:
            width = 1.959963984540054 * math.sqrt(variance) / math.log(survival)
            lower, upper = survival ** math.exp(-width), survival ** math.exp(width)
        result[edge] = (at_risk, survival, lower, upper)
    return result


def _holds(condition: Mapping[str, object], row: Mapping[str, object]) -> bool:
    """The meaning of a cohort, one row at a time."""
    for word, quantifier in (("and", all), ("or", any)):
        if word in condition:
            items = condition[word]
            assert isinstance(items, list)
            return quantifier(_holds(item, row) for item in items)
    if "not" in condition:
        inner = condition["not"]
        assert isinstance(inner, Mapping)
        return not _holds(inner, row)
    value, wanted = row[str(condition["field"])], condition.get("value")
    if condition["operator"] == "is_missing":
        return value is None
    if value is None:
        return False
    return {
        "==": lambda: value == wanted,
        "!=": lambda: value != wanted,
        ">=": lambda: float(str(value)) >= float(str(wanted)),
        "in": lambda: isinstance(wanted, list) and value in wanted,
    }[str(condition["operator"])]()
