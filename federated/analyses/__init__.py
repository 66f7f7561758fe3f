"""The catalogue of analyses: one file each. A site runs nothing else."""

from collections.abc import Mapping
from typing import Any

from federated.analyses import (
    correlation,
    cox,
    crosstab,
    describe,
    glm,
    histogram,
    kaplan_meier,
    rate,
    t_test,
)
from federated.analysis import Analysis


__all__ = ["ANALYSES"]

ANALYSES: Mapping[str, Analysis[Any]] = {
    item.name: item
    for item in (
        correlation.ANALYSIS,
        cox.ANALYSIS,
        crosstab.ANALYSIS,
        describe.ANALYSIS,
        glm.ANALYSIS,
        histogram.ANALYSIS,
        kaplan_meier.ANALYSIS,
        rate.ANALYSIS,
        t_test.ANALYSIS,
    )
}
