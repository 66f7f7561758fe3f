"""The catalogue of analyses: one file each. A site runs nothing else."""

from collections.abc import Mapping
from typing import Any

from federated.analyses import cox, crosstab, describe, glm, kaplan_meier, rate
from federated.analysis import Analysis


__all__ = ["ANALYSES"]

ANALYSES: Mapping[str, Analysis[Any]] = {
    item.name: item
    for item in (
        cox.ANALYSIS,
        crosstab.ANALYSIS,
        describe.ANALYSIS,
        glm.ANALYSIS,
        kaplan_meier.ANALYSIS,
        rate.ANALYSIS,
    )
}
