"""Survival curves and log-rank tests over sites equal R's survfit and survdiff."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from federated.analysis import AnalysisView
from federated.statistics import Frame


Columns = Mapping[str, NDArray[Any]]
GROUPS: Mapping[str, tuple[str, Sequence[str]]] = {
    "veteran": ("celltype", ("squamous", "smallcell", "adeno", "large")),
    "lung": ("sex", ("1", "2")),
}


@pytest.mark.parametrize("sites", [1, 3, 5, 19])
@pytest.mark.parametrize("index", range(2))
def test_as_survfit_and_survdiff(
    pooled: Callable[..., Mapping[str, Any]],
    view_of: Callable[..., AnalysisView],
    frames_of: Callable[..., list[Frame]],
    data_set: Callable[[str], Columns],
    reference: Mapping[str, Any],
    index: int,
    sites: int,
) -> None:
    known = reference["curves"][index]
    group, levels = GROUPS[known["data"]]
    columns = dict(data_set(known["data"]))
    codes = [levels.index(f"{v:g}" if isinstance(v, float) else v) for v in columns[group]]
    columns |= {group: np.array(codes), "status": columns["status"].astype(np.int64)}
    place = np.arange(len(codes)) * 37 % len(codes) / len(codes)
    site = np.where(np.arange(len(codes)) == 0, 99, np.floor(sites * place**2))
    parameters = {"time": "time", "event": "status", "group": group, "grid": {"step": 1}}
    view = view_of("time", flags=["status"], **{group: levels})
    data = pooled("kaplan_meier", parameters, view, frames_of(columns, site))
    steps = {(c["level"], s["time"]): s for c in data["curves"] for s in c["steps"]}
    for name, key in (("survival", "survival"), ("lower", "lower"), ("upper", "upper")):
        places = zip(known["group"], known["time"], known[name], strict=True)
        for level, time, value in places:
            if value is not None:  # R has no limits where nobody is left; ours are the estimate
                assert steps[level, time][key] == pytest.approx(value, rel=1e-8)
    at_risk = [steps[pair]["at_risk"] for pair in zip(known["group"], known["time"], strict=True)]
    assert at_risk == known["at_risk"]
    test = data["logrank"]
    assert test["statistic"] == pytest.approx(known["chisq"], rel=1e-8)
    assert (test["df"], test["observed"]) == (len(levels) - 1, known["observed"])
    assert test["expected"] == pytest.approx(known["expected"], rel=1e-8)
