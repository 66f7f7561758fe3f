"""Was this patient in the model? The score of a candidate against the published coefficients.

Known to the attacker: the candidate's whole record, and a large sample of the same population that
took no part, from which he has reference coefficients and hazards. A member has pulled the
coefficients along his own score; the statistic is how far they lie that way,
    T = (β published - β reference)' U(candidate),
U the score residual at the reference. It is the likelihood ratio's first order, so that no other
test is much better. With p coefficients of n patients its AUC is about Φ(√(p / 2n)).
Source: Homer et al., PLoS Genetics 4 (2008) e1000167, for the idea; Therneau and Grambsch, Modeling
Survival Data (2000), 4.2, for score residuals.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.stats import norm, rankdata

from infra.attacks.asking import Asker, asked
from infra.attacks.models import fitted
from infra.attacks.world import LABS, World, make_world


__all__ = ["Membership", "attack", "expected_auc", "score_residuals"]

REFERENCE = 4000  # patients of the attacker's own sample
Vector = NDArray[np.float64]


@dataclass(frozen=True)
class Membership:
    """AUC of members against others, over `models` published, of `parameters` and `patients`."""

    models: int
    parameters: int
    patients: int
    auc: float


def attack(
    sites: int, patients: int, parameters: int, ask_of: "Sequence[tuple[World, Asker]]"
) -> Membership:
    """Test members and as many others against the coefficients of each consortium."""
    names = LABS[:parameters]
    inside: list[float] = []
    outside: list[float] = []
    models = 0
    for number, (world, ask) in enumerate(ask_of):
        answer = ask(asked("cox", {"outcome": "death", "covariates": list(names)}))
        if answer is None or not fitted(answer):
            continue
        models += 1
        published = np.array([term["estimate"] for term in answer["terms"]], dtype=np.float64)
        sample = make_world(sites, seed=900_000 + number, patients=REFERENCE)
        others = make_world(sites, seed=800_000 + number, patients=patients)
        inside += list(score_residuals(world, sample, names) @ published)
        outside += list(score_residuals(others, sample, names) @ published)
    return Membership(models, parameters, patients, _auc(inside, outside))


def score_residuals(world: World, sample: World, names: Sequence[str]) -> NDArray[np.float64]:
    """Score residuals of `world`'s patients at coefficients of zero, hazards from `sample`.

    Zero are the true coefficients of the laboratory values, which the attacker may well know.
    """
    time, died, x = _rows(sample, names)
    events = np.unique(time[died])
    at_risk = time[None, :] >= events[:, None]
    deaths = np.array([(died & (time == event)).sum() for event in events])
    means = (at_risk @ x) / at_risk.sum(axis=1)[:, None]
    hazard = deaths / at_risk.sum(axis=1)
    time, died, x = _rows(world, names)
    position = np.searchsorted(events, time, side="right")
    lived = np.concatenate([[0.0], np.cumsum(hazard)])[position]
    passed = np.vstack([np.zeros(x.shape[1]), np.cumsum(hazard[:, None] * means, axis=0)])[position]
    here = means[np.minimum(np.searchsorted(events, time), events.size - 1)]
    residuals: Vector = died[:, None] * (x - here) - (x * lived[:, None] - passed)
    return residuals


def expected_auc(parameters: int, patients: int) -> float:
    """AUC of the best test when `parameters` of `patients` are published to the last digit."""
    return float(norm.cdf(np.sqrt(parameters / (2 * patients))))


def _rows(
    world: World, names: Sequence[str]
) -> tuple[Vector, NDArray[np.bool_], NDArray[np.float64]]:
    """Time, event and covariates."""
    x = np.stack([np.asarray(world.columns[name], dtype=np.float64) for name in names], axis=1)
    time = np.asarray(world.columns["time_y"], dtype=np.float64)
    return time, np.asarray(world.columns["died"], dtype=np.bool_), x


def _auc(inside: Sequence[float], outside: Sequence[float]) -> float:
    """Area under the curve: how often a member's statistic is the larger."""
    if not inside or not outside:
        return 0.5
    ranks = rankdata([*inside, *outside])
    rest = len(inside) * (len(inside) + 1) / 2
    return float((ranks[: len(inside)].sum() - rest) / (len(inside) * len(outside)))
