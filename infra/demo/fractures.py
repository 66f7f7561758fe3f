"""When bones break: a Poisson process with gamma frailty, hence negative-binomial counts."""

import numpy as np

from infra.demo.columns import Array, Columns, age_to_date, years
from infra.demo.parameters import choose, figures


__all__ = ["event_ages", "fractures"]

PROCESS_OF = {"intermediate": "other"}
UNPAIRED = ("vertebra", "pelvis", "skull", "mandible")
FEMUR = ("femur_neck", "femur_subtroch", "femur_shaft", "femur_distal")
SURGERY = {
    "femur_neck": {"screws": 0.7, "arthroplasty": 0.2, "conservative": 0.1},
    "femur_subtroch": {"im_nail": 0.4, "plate": 0.4, "conservative": 0.2},
    "femur_shaft": {"im_nail": 0.4, "plate": 0.4, "conservative": 0.2},
    "femur_distal": {"plate": 0.7, "conservative": 0.3},
    "tibia": {"plate": 0.3, "im_nail": 0.2, "conservative": 0.5},
    "humerus": {"plate": 0.3, "conservative": 0.7},
}


def fractures(rng: np.random.Generator, person: Columns) -> Columns:
    """Return one row per fracture, ordered by patient and date.

    High bone mass (LRP5) breaks no bone here: no excess of fractures is published for it.
    """
    who, age = event_ages(rng, person["group"], years(person["birth"], person["last_contact"]))
    date = age_to_date(person["birth"][who], age)
    keep = (date > person["birth"][who]) & (date < person["last_contact"][who])
    keep &= person["history_complete"][who] | (date > person["first_contact"][who])
    who, date = who[keep], date[keep]
    order = np.lexsort((date, who))
    who, date = who[order], date[order]
    apart = _apart(who, date)
    return _details(rng, person, who[apart], date[apart])


def event_ages(rng: np.random.Generator, group: Array, exit_age: Array) -> tuple[Array, Array]:
    """Draw (person, age) pairs of all events up to `exit_age`.

    Given the frailty, the number of events is Poisson with the cumulated rate, and their ages
    are uniform on the scale of that cumulated rate.
    """
    people, ages = [np.empty(0, dtype=int)], [np.empty(0)]
    for name, process in figures("fractures").items():
        members = np.flatnonzero([PROCESS_OF.get(g, g) == name for g in group])
        shape = process["frailty_shape"]
        frailty = rng.gamma(shape, 1 / shape, len(members))
        edges = np.array([0.0, *process["until"]])
        cumulated = np.concatenate([[0.0], np.cumsum(np.diff(edges) * process["rate"])])
        total = np.interp(exit_age[members], edges, cumulated)
        number = np.minimum(
            rng.poisson(frailty * total), figures("fracture_details", "max_per_person")
        )
        height = rng.random(number.sum()) * np.repeat(total, number)
        people.append(np.repeat(members, number))
        ages.append(np.interp(height, cumulated, edges))
    return np.concatenate(people), np.concatenate(ages)


def _apart(who: Array, date: Array) -> Array:
    """Tell which events come long enough after the one before of the same patient."""
    gap = np.diff(date).astype(int) >= figures("fracture_details", "gap_days")
    return np.concatenate([np.ones(min(len(who), 1), dtype=bool), (np.diff(who) != 0) | gap])


def _details(rng: np.random.Generator, person: Columns, who: Array, date: Array) -> Columns:
    """Draw bone, side, trauma, pattern, treatment and healing of each fracture."""
    settings, size = figures("fracture_details"), len(who)
    bone = choose(rng, settings["bone_site"], size)
    side = np.where(rng.random(size) < 0.5, "left", "right").astype(object)
    side[np.isin(bone, UNPAIRED)] = "not_applicable"
    femur = np.isin(bone, FEMUR)
    pattern = choose(rng, {"oblique": 0.4, "spiral": 0.2, "comminuted": 0.1, "unknown": 0.3}, size)
    pattern[femur & (rng.random(size) < settings["transverse_femur"])] = "transverse"
    pattern[bone == "vertebra"] = "compression"
    return Columns(
        {
            "person": who,
            "date": date,
            "bone": bone,
            "side": side,
            "trauma": choose(rng, settings["trauma_level"], size),
            "pattern": pattern,
            "treatment": _treatment(rng, bone),
            "healing": _healing(rng, femur, person["last_contact"][who] - date),
        }
    )


def _treatment(rng: np.random.Generator, bone: Array) -> Array:
    """Draw how each fracture was treated."""
    treatment = np.full(len(bone), "conservative", dtype=object)
    for name, shares in SURGERY.items():
        here = bone == name
        treatment[here] = choose(rng, shares, int(here.sum()))
    return treatment


def _healing(rng: np.random.Generator, femur: Array, observed: Array) -> Array:
    """Draw how each fracture healed; one followed for less than a year is still open."""
    settings = figures("fracture_details")
    healing = settings["healing"]
    nonunion = healing["nonunion"] * np.where(femur, settings["nonunion_femur_factor"], 1.0)
    draw = rng.random(len(femur))
    outcome = np.where(
        draw < nonunion,
        "nonunion",
        np.where(draw < nonunion + healing["delayed_union"], "delayed_union", "union"),
    ).astype(object)
    outcome[observed.astype(int) < 366] = "ongoing"
    return outcome
