"""Invents patients: who they are, what they have, when it began and how it went."""

import numpy as np

from infra.demo.columns import DAYS_PER_YEAR, Array, Columns, Patients, age_to_date, years
from infra.demo.findings import complications, densitometry, laboratory, severity_of
from infra.demo.fractures import fractures
from infra.demo.parameters import choose, figures, referral
from infra.demo.variants import GENE_OF, variants


__all__ = ["AS_OF", "GROUP_OF", "generate"]

AS_OF = np.datetime64(figures("registry", "as_of"), "D")
NO_DATE = np.datetime64("1970-01-01")
MOST_MOVES = 200

# The group whose figures a subtype follows.
GROUP_OF = {
    "ADO2": "dominant",
    "CARRIER_UNAFFECTED": "carrier",
    "ADO1": "high_bone_mass",
    "PYCNO": "pycnodysostosis",
    "CA2D": "intermediate",
    "XLO": "other",
    "LAD3": "other",
    **dict.fromkeys(figures("recessive_genes", "shares"), "recessive"),
}
ONSET_OF = {"carrier": "high_bone_mass", "other": "intermediate"}
AGE_OF = {
    "recessive": "recessive",
    "pycnodysostosis": "pycnodysostosis",
    "intermediate": "other",
    "other": "other",
}


def generate(
    size: int, seed: int, *, site: int = 0, country: str = "FR", severity: float = 1.0
) -> Patients:
    """Invent `size` patients of one centre; the same arguments give the same patients.

    `severity` is the referral severity, from 0 (a population sample) to 2 (a trial centre).
    """
    streams = np.random.default_rng([seed, site]).spawn(8)
    person = _people(streams[0], size, country, severity)
    person = _course(streams[1], person)
    person, transplants = _transplants(streams[2], person)
    person = _last_contact(streams[3], person)
    transplants = _recorded_transplants(person, transplants)
    broken = fractures(streams[4], person)
    found = complications(streams[5], person, severity)
    tables = {
        "variant": variants(streams[6], person),
        "fracture": broken,
        "complication": found,
        "lab": laboratory(streams[7], person, found),
        "bmd": densitometry(streams[7], person),
        "hsct": transplants,
        "followup": _followup(person),
    }
    tables["diagnosis"] = _diagnosis(person, severity_of(person, broken, found))
    return Patients(person=person, tables=tables)


def _people(rng: np.random.Generator, size: int, country: str, severity: float) -> Columns:
    """Draw subtype, sex, birth, family and consent."""
    subtype = _subtypes(rng, size, severity)
    group = np.array([GROUP_OF[name] for name in subtype], dtype=object)
    settings = figures("person")
    sex = np.where(rng.random(size) < settings["female"], "female", "male").astype(object)
    sex[subtype == "XLO"] = "male"
    age = _present_age(rng, group)
    related = (group == "recessive") | (group == "intermediate") | (group == "pycnodysostosis")
    consanguineous = related & (rng.random(size) < settings["consanguinity_recessive"])
    family, proband = _families(rng, group)
    return Columns(
        {
            "subtype": subtype,
            "group": group,
            "sex": sex,
            "birth": _births(age_to_date(np.full(size, AS_OF), -age), sex, subtype),
            "country": np.full(size, country, dtype=object),
            "family": family,
            "proband": proband,
            "consanguinity": np.where(consanguineous, "yes", "no").astype(object),
            "consent": choose(rng, settings["consent"], size),
            "history_complete": rng.random(size) < settings["history_complete"],
            "tested": (subtype != "ADO2") | (rng.random(size) < settings["genetic_test_ado2"]),
        }
    )


def _births(birth: Array, sex: Array, subtype: Array) -> Array:
    """Move births by days until no two patients share day, sex and subtype, while there is room.

    Two who do look like one patient entered twice, and the first of January 1970 like no date.
    """
    kind = np.unique(np.stack([sex, subtype]).astype(str), axis=1, return_inverse=True)[1]
    moved = birth.copy()
    for _ in range(MOST_MOVES):
        key = moved.astype(int) * (int(kind.max()) + 1) + kind.reshape(-1)
        order = np.argsort(key, kind="stable")
        again = np.zeros(len(key), dtype=bool)
        again[order[1:]] = np.diff(key[order]) == 0
        again |= moved == NO_DATE
        if not again.any():
            break
        moved[again] -= np.timedelta64(1, "D")
    return moved


def _subtypes(rng: np.random.Generator, size: int, severity: float) -> Array:
    """Draw subtypes systematically: each count is its expectation rounded up or down."""
    mix = dict(figures("mix", "shares"))
    recessive = mix.pop("RECESSIVE") * referral("weight_of_recessive", severity)
    split = figures("recessive_genes", "shares")
    shares = mix | {name: recessive * share for name, share in split.items()}
    weights = np.array(list(shares.values()))
    edges = np.cumsum(weights / weights.sum()) * size
    ticks = np.arange(size) + rng.random()
    index = np.minimum(np.searchsorted(edges, ticks, side="right"), len(shares) - 1)
    return rng.permutation(np.array(list(shares), dtype=object)[index])


def _present_age(rng: np.random.Generator, group: Array) -> Array:
    """Draw the age that each patient has, or would have, on the day of the export."""
    spans = figures("age")
    names = [AGE_OF.get(name, "dominant") for name in group]
    low = np.array([spans[name][0] for name in names])
    high = np.array([spans[name][1] for name in names])
    age: Array = low + (high - low) * rng.beta(1.5, 1.5, len(group))
    return age


def _families(rng: np.random.Generator, group: Array) -> tuple[Array, Array]:
    """Put dominant patients and carriers into families of up to six; the first is the proband."""
    size = len(group)
    family = np.arange(size)
    members = np.flatnonzero((group == "dominant") | (group == "carrier"))
    sizes = rng.integers(1, figures("person", "family_size_max") + 1, size=max(len(members), 1))
    label = np.repeat(np.arange(len(sizes)), sizes)[: len(members)]
    first = np.unique(label, return_index=True)[1]
    proband = np.ones(size, dtype=bool)
    proband[members] = False
    proband[members[first]] = True
    family[members] = members[first][label] if len(members) else family[members]
    return family, proband


def _course(rng: np.random.Generator, person: Columns) -> Columns:
    """Draw onset, diagnosis and the first contact with the centre."""
    kinds = [ONSET_OF.get(name, name) for name in person["group"]]
    size = len(person)
    now = years(person["birth"], AS_OF)
    settings = figures("onset")
    mean, shape, low, high = (
        np.array([settings[kind].get(key, default) for kind in kinds])
        for key, default in (("mean", 0.0), ("shape", 1.0), ("low", 0.0), ("high", 70.0))
    )
    latest = 0.75 * now
    drawn = np.clip(rng.gamma(shape, mean / shape, size), low, np.minimum(high, latest))
    onset = np.round(np.minimum(drawn, latest), 2)
    delay = rng.exponential([settings["delay_mean"][kind] for kind in kinds])
    room = np.maximum(0.9 * now - onset, 0.0)
    diagnosed = onset + np.minimum(np.minimum(delay, settings["delay_max"]), room) + 0.01
    referred = np.where(person["history_complete"], rng.exponential(0.2, size), 2.0)
    referred = referred * rng.random(size)
    contact = np.minimum(diagnosed + referred, 0.93 * now)
    return person.put(
        onset_age=onset,
        diagnosed=age_to_date(person["birth"], diagnosed),
        first_contact=age_to_date(person["birth"], np.maximum(contact, diagnosed)),
    )


def _transplants(rng: np.random.Generator, person: Columns) -> tuple[Columns, Columns]:
    """Draw transplants and deaths of the recessive forms, and deaths of old age."""
    settings, survival = figures("hsct"), figures("survival", "untreated_recessive")
    size = len(person)
    recessive = person["group"] == "recessive"
    diagnosed = years(person["birth"], person["first_contact"])
    hazard = -np.log(survival["share"]) / survival["alive_at"]
    untreated = np.minimum(
        diagnosed + 0.05 + rng.exponential(1 / hazard, size), survival["longest"]
    )
    age = settings["median_age"] * np.exp(settings["sigma"] * rng.standard_normal(size))
    age = np.clip(age, diagnosed + 0.05, None)
    now = years(person["birth"], AS_OF)
    offered = recessive & (rng.random(size) < settings["share"])
    offered &= ~np.isin(person["subtype"], settings["not_indicated"])
    treated = offered & (age < np.minimum(untreated, now - 0.1)) & (age <= settings["oldest"])
    donor = choose(rng, settings["donor"], size)
    lives = rng.random(size) < np.array([settings["survival_2y"][name] for name in donor])
    soon = np.minimum(
        0.02 + rng.exponential(settings["mean_time_to_death"], size),
        settings["longest_time_to_death"],
    )
    span = figures("age", "life_span")
    old = rng.normal(span["mean"], span["sd"], size)
    old = np.where(old > diagnosed + 1.0, old, np.inf)
    after = np.where(lives, np.inf, age + soon)
    death = np.where(treated, after, np.where(recessive, untreated, old))
    cells = choose(rng, settings["stem_cell_source"], size)
    person = person.put(
        hsct_age=np.where(treated, age, np.nan),
        death_age=np.where(death < now - 0.01, death, np.nan),
    )
    return person, _transplant_rows(person, donor, cells)


def _transplant_rows(person: Columns, donor: Array, cells: Array) -> Columns:
    """Return one row per transplant."""
    who = np.flatnonzero(~np.isnan(person["hsct_age"]))
    return Columns(
        {
            "person": who,
            "date": age_to_date(person["birth"][who], person["hsct_age"][who]),
            "donor": donor[who],
            "cells": cells[who],
        }
    )


def _last_contact(rng: np.random.Generator, person: Columns) -> Columns:
    """Draw how long each patient was followed."""
    size = len(person)
    dead = ~np.isnan(person["death_age"])
    death_age = np.where(dead, person["death_age"], 0.0)
    death = age_to_date(person["birth"], death_age)
    death = np.where(dead, np.maximum(death, person["first_contact"] + 2), np.datetime64("NaT"))
    span = years(person["first_contact"], AS_OF) * DAYS_PER_YEAR
    lost = ~dead & (rng.random(size) < 0.05)
    gap = np.where(lost, rng.random(size) * span, np.minimum(rng.exponential(250, size), span / 2))
    hsct_age = np.where(np.isnan(person["hsct_age"]), 0.0, person["hsct_age"])
    earliest = age_to_date(person["birth"], hsct_age) + 5
    last = np.maximum(age_to_date(np.full(size, AS_OF), -gap / DAYS_PER_YEAR), earliest)
    last = np.where(dead, death, np.minimum(np.maximum(last, person["first_contact"]), AS_OF))
    vital = np.where(dead, "dead", np.where(lost, "lost", "alive")).astype(object)
    causes = {"infection": 0.35, "haemorrhage": 0.15, "marrow_failure": 0.2, "unknown": 0.3}
    cause = choose(rng, causes, size)
    cause[~np.isnan(person["hsct_age"])] = "transplant_related"
    cause[death_age > 40] = "unrelated"
    cause[~dead] = ""
    return person.put(last_contact=last, death=death, vital_status=vital, death_cause=cause)


def _recorded_transplants(person: Columns, transplants: Columns) -> Columns:
    """Return the transplants with the state at last contact."""
    who = transplants["person"]
    return transplants.put(
        outcome=np.where(person["vital_status"][who] == "dead", "dead", "alive").astype(object),
        outcome_date=person["last_contact"][who],
        graft_failure=np.zeros(len(who), dtype=bool),
    )


def _diagnosis(person: Columns, severity: Array) -> Columns:
    """Return one diagnosis per patient."""
    gene_known = np.array([name in GENE_OF for name in person["subtype"]]) & person["tested"]
    status = np.where(gene_known, "confirmed_genetic", "confirmed_radiographic")
    onset = np.where(person["group"] == "carrier", np.nan, person["onset_age"])
    return Columns(
        {
            "person": np.arange(len(person)),
            "subtype": person["subtype"],
            "status": status.astype(object),
            "onset_age": onset,
            "date": person["diagnosed"],
            "severity": severity,
        }
    )


def _followup(person: Columns) -> Columns:
    """Return one follow-up row per patient."""
    return Columns(
        {
            "person": np.arange(len(person)),
            "vital_status": person["vital_status"],
            "last_contact": person["last_contact"],
            "death": person["death"],
            "cause": person["death_cause"],
        }
    )
