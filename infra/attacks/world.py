"""Synthetic consortia to attack: quasi-identifiers, and a secret that these do not tell.

The secret is independent of everything else, so that whoever guesses it better than its frequency
has learned it from an answer and not from medicine.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from federated.analysis import AnalysisView, TimeToEvent, Variable


__all__ = ["HIDDEN", "LABS", "QUASI", "SIZES", "VIEW", "VIEWS", "World", "make_world"]

VIEW = "patients"
# What a colleague may know of a patient, with how common each level is.
QUASI: Mapping[str, tuple[float, ...]] = {
    "sex": (0.5, 0.5),
    "age_band": (0.35, 0.20, 0.15, 0.12, 0.10, 0.08),
    "gene": (0.50, 0.17, 0.05, 0.05, 0.08, 0.15),
    "hsct": (0.6, 0.4),
    "region": (0.2, 0.2, 0.2, 0.2, 0.2),
}
HIDDEN = "secret"
HIDDEN_SHARE = 0.3
LABS = tuple(f"lab_{number}" for number in range(8))  # standard deviations from the mean
# Sites and patients: about what a small, a middle and a large consortium of a rare disease has.
SIZES: Mapping[int, int] = {5: 120, 12: 600, 30: 1500}


def _levels(name: str, count: int) -> Variable:
    """One variable with `count` levels called after it."""
    levels = tuple(f"{name}_{index}" for index in range(count))
    return Variable(name, name, levels, levels)


def _flag(name: str) -> Variable:
    """One sensitive yes-or-no variable."""
    return Variable(name, name, ("false", "true"), ("No", "Yes"), sensitive=True)


VIEWS: Mapping[str, AnalysisView] = {
    VIEW: AnalysisView(
        VIEW,
        "patient",
        {
            **{name: _levels(name, len(shares)) for name, shares in QUASI.items()},
            HIDDEN: _flag(HIDDEN),
            "age_y": Variable("age_y", "age", unit="a"),
            **{name: Variable(name, name, unit="1", sensitive=True) for name in LABS},
            "time_y": Variable("time_y", "follow-up", unit="a", sensitive=True),
            "died": _flag("died"),
        },
        {"death": TimeToEvent("death", "time_y", "died")},
    )
}


@dataclass(frozen=True)
class World:
    """One consortium: `site` says where each patient is treated; coded columns hold positions."""

    columns: Mapping[str, NDArray[np.generic]]
    site: NDArray[np.int64]

    @property
    def patients(self) -> int:
        """How many there are."""
        return self.site.size

    @property
    def secret(self) -> NDArray[np.bool_]:
        """Whom the secret is true of."""
        return np.asarray(self.columns[HIDDEN], dtype=np.bool_)

    @cached_property
    def classes(self) -> NDArray[np.int64]:
        """For each patient, which group of equal quasi-identifiers it is in."""
        known = np.stack([self.columns[name] for name in QUASI])
        return np.asarray(np.unique(known, axis=1, return_inverse=True)[1], dtype=np.int64).ravel()

    @cached_property
    def unique(self) -> NDArray[np.int64]:
        """Patients whom their quasi-identifiers single out."""
        sizes = np.bincount(self.classes)
        return np.flatnonzero(sizes[self.classes] == 1)

    @cached_property
    def sites(self) -> Mapping[str, Mapping[str, pa.Table]]:
        """The rows of each site, as `federated.rehearsal` takes them."""
        whole = self.table()
        return {
            f"site_{number:02d}": {VIEW: whole.filter(pa.array(self.site == number))}
            for number in range(int(self.site.max()) + 1)
        }

    def table(self) -> pa.Table:
        """All rows in one table, codes as their levels."""
        variables = VIEWS[VIEW].variables
        return pa.table(
            {
                name: np.asarray(variables[name].levels)[values]
                if variables[name].coded
                else values
                for name, values in self.columns.items()
            }
        )


def make_world(sites: int, seed: int, patients: int | None = None) -> World:
    """Draw a consortium; every site has at least one patient, some have very few."""
    source = np.random.default_rng((seed, sites))
    count = patients or SIZES[sites]
    share = source.dirichlet(np.full(sites, 1.5))
    site = np.concatenate([np.arange(sites), source.choice(sites, count - sites, p=share)])
    columns: dict[str, NDArray[np.generic]] = {
        name: source.choice(len(shares), count, p=shares) for name, shares in QUASI.items()
    }
    columns[HIDDEN] = (source.random(count) < HIDDEN_SHARE).astype(np.int64)
    columns["age_y"] = source.gamma(2.0, 8.0, count).round(2)
    columns |= {name: source.normal(size=count).round(3) for name in LABS}
    died, censored = source.exponential(18.0, count), source.uniform(0.5, 25.0, count)
    columns["time_y"] = np.minimum(died, censored).round(3)
    columns["died"] = (died <= censored).astype(np.int64)
    return World(columns, site)
