"""Records that only some centres keep: treatments, operations, infections, visits, questionnaires.

The figures are invented: they fill a mapping, they say nothing of the disease.
"""

import numpy as np

from infra.demo.columns import Array, Columns, years
from infra.demo.parameters import choose


__all__ = ["infections", "operations", "questionnaires", "treatments", "visits"]

Generator = np.random.Generator
USUAL = {  # drug → dose, its unit, how often
    "calcitriol": (0.25, "ug", "daily"),
    "cholecalciferol": (1000.0, "[iU]", "daily"),
    "interferon_gamma_1b": (50.0, "ug/m2", "3_weekly"),
    "corticosteroid": (1.0, "mg/kg", "daily"),
    "transfusion_rbc": (2.0, "unit", "monthly"),
    "antibiotic": (500.0, "mg", "3_daily"),
    "analgesic": (500.0, "mg", "as_needed"),
}


def _days(rng: Generator, person: Columns, who: Array) -> Array:
    """Draw a day between first and last contact."""
    start = person["first_contact"][who]
    span = (person["last_contact"][who] - start).astype(int)
    days: Array = start + (rng.random(len(who)) * span).astype("timedelta64[D]")
    return days


def _some(rng: Generator, person: Columns, mean: float) -> Array:
    """Draw how many records each patient has."""
    return np.repeat(np.arange(len(person)), np.minimum(rng.poisson(mean, len(person)), 4))


def treatments(rng: Generator, person: Columns) -> Columns:
    """Return treatments: drug, first and last day, dose with its unit, how often."""
    who = _some(rng, person, 0.8)
    start = _days(rng, person, who)
    last = person["last_contact"][who]
    stop = np.minimum(start + rng.integers(30, 700, len(who)).astype("timedelta64[D]"), last)
    drug = choose(rng, dict.fromkeys(USUAL, 1.0), len(who))
    dose, unit, often = (np.array([USUAL[d][n] for d in drug], dtype=object) for n in range(3))
    stop[rng.random(len(who)) < 0.4] = np.datetime64("NaT")
    return Columns({"person": who, "drug": drug, "start": start, "stop": stop,
                    "dose": dose.astype(float), "unit": unit, "often": often})  # fmt: skip


def operations(rng: Generator, person: Columns) -> Columns:
    """Return operations: day, procedure, side, why, minutes."""
    who = _some(rng, person, 0.7)
    kinds = {
        "ORIF": "fracture", "IM_nail": "fracture", "THA": "osteoarthritis",
        "hardware_removal": "hardware", "tooth_extraction": "dental",
        "jaw_debridement": "infection", "osteotomy": "deformity",
    }  # fmt: skip
    procedure = choose(rng, dict.fromkeys(kinds, 1.0), len(who))
    unpaired = np.isin(procedure, ("tooth_extraction", "jaw_debridement"))
    side = np.where(unpaired, "not_applicable", choose(rng, {"left": 1, "right": 1}, len(who)))
    return Columns(
        {
            "person": who,
            "date": _days(rng, person, who),
            "procedure": procedure,
            "side": side.astype(object),
            "why": np.array([kinds[one] for one in procedure], dtype=object),
            "minutes": rng.integers(40, 240, len(who)).astype(float),
        }
    )


def infections(rng: Generator, person: Columns) -> Columns:
    """Return infections: day, site, whether the patient was admitted."""
    who = _some(rng, person, 0.6)
    sites = {"jaw": 0.5, "bone": 0.2, "lung": 0.15, "blood": 0.05, "ENT": 0.1}
    inside = np.where(rng.random(len(who)) < 0.5, "true", "false").astype(object)
    return Columns(
        {
            "person": who,
            "date": _days(rng, person, who),
            "site": choose(rng, sites, len(who)),
            "inside": inside,
        }
    )


def visits(rng: Generator, person: Columns) -> Columns:
    """Return one visit per patient: day, kind, height and weight that fit the age."""
    who = np.arange(len(person))
    day = _days(rng, person, who)
    age = years(person["birth"], day)
    height = np.round(np.clip(50 + 7.5 * age, 50, 160) + rng.normal(0, 4, len(who)))
    weight = np.round(
        np.clip(22 * (height / 100) ** 2 * rng.uniform(0.8, 1.2, len(who)), 3, None), 1
    )
    kind = choose(rng, {"outpatient": 0.7, "inpatient": 0.2, "remote": 0.1}, len(who))
    walk = choose(rng, {"independent": 0.8, "aid": 0.15, "wheelchair": 0.05}, len(who))
    return Columns({"person": who, "date": day, "kind": kind, "height": height,
                    "weight": weight, "walk": np.where(age < 2, "not_yet", walk)})  # fmt: skip


def questionnaires(rng: Generator, person: Columns) -> Columns:
    """Return one EQ-5D-5L for half of the adults: five answers, the scale, pain."""
    day = _days(rng, person, np.arange(len(person)))
    who = np.flatnonzero((years(person["birth"], day) >= 18) & (rng.random(len(person)) < 0.6))
    answers = {
        name: rng.integers(1, 5, len(who)).astype(float) for name in ("mo", "sc", "ua", "pd", "ad")
    }
    return Columns({"person": who, "date": day[who], **answers,
                    "vas": rng.integers(30, 96, len(who)).astype(float),
                    "pain": rng.integers(0, 9, len(who)).astype(float)})  # fmt: skip
