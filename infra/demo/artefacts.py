"""Injects the errors of `artefacts.toml` into what a centre recorded, and remembers each of them.

One error per patient at most. An error changes the truth as recorded (a value, a code, a date), so
that every export carries it in its own form; codes without a word are written as they stand.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from infra.demo.carriers import ELIGIBLE
from infra.demo.columns import Patients
from infra.demo.parameters import read_toml
from infra.demo.spoilers import SPOILERS


__all__ = ["ARTEFACTS", "Mark", "artefact_at", "blank", "spoil"]

ARTEFACTS: Mapping[str, Mapping[str, Any]] = read_toml("artefacts.toml")
MOST = 25  # of one kind at a centre: enough for any test, and large centres stay quick to make


@dataclass(frozen=True)
class Mark:
    """One injected error: the truth table and the rows of it that carry it."""

    artefact: str
    table: str
    rows: tuple[int, ...]
    field: str


def artefact_at(name: str, site: str) -> Mapping[str, Any] | None:
    """Return how an artefact looks at a centre of this kind, None where it does not occur."""
    artefact = ARTEFACTS[name]
    if site not in artefact.get("sites", [site]):
        return None
    return {**artefact, **artefact.get("at", {}).get(site, {})}


def blank(patients: Patients) -> Patients:
    """Return the patients with the columns that only artefacts fill."""
    person, bmd, lab = patients.person, patients["bmd"], patients["lab"]
    lost = np.zeros(len(person), dtype=bool)
    person = person.put(birth_year_only=lost, excluded_lost=lost)
    fracture = patients["fracture"]
    return Patients(person=person, tables=patients.tables).put(
        fracture=fracture.put(date_text=np.full(len(fracture), "", dtype=object)),
        bmd=bmd.put(other_device=np.zeros(len(bmd), dtype=bool)),
        lab=lab.put(decimal_point=np.zeros(len(lab), dtype=bool)),
    )


def spoil(
    patients: Patients, site: str, rng: np.random.Generator
) -> tuple[Patients, tuple[Mark, ...]]:
    """Inject every artefact of a centre; return the records and what was injected where."""
    free = patients.person["consent"] == "yes"
    marks: list[Mark] = []
    for name in sorted(ARTEFACTS, key=_rarity):
        artefact = artefact_at(name, site)
        if artefact is None:
            continue
        able = np.flatnonzero(ELIGIBLE[name](patients, artefact)[: len(free)] & free)
        number = min(len(able), max(1, round(artefact["share"] * len(able))), MOST)
        for who in rng.choice(able, number, replace=False) if len(able) else ():
            spoilt = SPOILERS[name](patients, int(who), artefact, site)
            patients, free[who] = spoilt.patients, False
            rows = tuple(int(row) for row in spoilt.rows)
            marks.append(Mark(name, artefact["table"], rows, artefact["field"]))
    return patients, tuple(marks)


def _rarity(name: str) -> int:
    """Order: what few patients can carry comes first; rows are added and taken away last."""
    first = ("ca2d_without_acidosis", "fracture_after_death", "one_allele", "t_score_in_z_column")
    last = ("duplicate_patient",)
    return first.index(name) - 9 if name in first else int(name in last)
