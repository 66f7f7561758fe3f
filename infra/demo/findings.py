"""What was found in the synthetic patients: complications, laboratory values, densitometry."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from infra.demo.columns import Array, Columns, age_to_date, years
from infra.demo.parameters import figures, referral


__all__ = ["FINDINGS", "complications", "densitometry", "laboratory", "severity_of"]

FINDINGS: Mapping[str, Mapping[str, Any]] = figures("complications", "findings")
VISUAL, MARROW, CALCIUM = "HP:0000572", "HP:0005528", "HP:0002901"


def complications(rng: np.random.Generator, person: Columns, severity: float) -> Columns:
    """Return one row per patient and feature: present, excluded, or unknown when never assessed.

    Features are asked for in groups; a group that was not filled in is unknown as a whole.
    """
    size = len(person)
    exit_age = years(person["birth"], person["last_contact"])
    assessed = {
        name: rng.random(size) < share
        for name, share in figures("complications", "assessed").items()
    }
    forced = np.isin(person["group"], ("intermediate", "other"))  # their finding defines them
    parts = []
    for hpo, finding in FINDINGS.items():
        onset = _onset(rng, person, finding, hpo, severity)
        present = onset < exit_age
        known = assessed[finding["group"]] | (forced & (finding["group"] == "organs"))
        status = np.where(known, np.where(present, "present", "excluded"), "unknown")
        parts.append(_feature(person, hpo, finding, status, onset))
    table = parts[0]
    for part in parts[1:]:
        table = table.append(part)
    order = np.lexsort((np.arange(len(table)), table["person"]))
    return table.take(order)


def _onset(
    rng: np.random.Generator,
    person: Columns,
    finding: Mapping[str, Any],
    hpo: str,
    severity: float,
) -> Array:
    """Draw the age at which the feature appears; infinite when it never does."""
    size, (low, high) = len(person), finding["onset"]
    uniform = low + (high - low) * rng.random(size)
    draw = rng.random(size)
    if "hazard" in finding:
        hazard = np.array([finding["hazard"].get(name, 0.0) for name in person["group"]])
        waiting = -np.log(1 - draw) / np.maximum(hazard, 1e-9)
        return np.where(hazard > 0, low + waiting, np.inf)
    shares = dict(finding["present"])
    if hpo == VISUAL:
        shares["dominant"] = referral("visual_loss_ado2", severity)
    share = np.array([shares.get(name, 0.0) for name in person["group"]])
    contact = years(person["birth"], person["first_contact"])
    certain = np.where(share >= 1.0, np.minimum(uniform, contact), uniform)
    return np.where(draw < share, certain, np.inf)


def _feature(
    person: Columns, hpo: str, finding: Mapping[str, Any], status: Array, onset: Array
) -> Columns:
    """Return the rows of one feature."""
    size = len(person)
    begun = age_to_date(person["birth"], np.where(np.isfinite(onset), onset, 0.0))
    date = np.minimum(begun, person["last_contact"])
    return Columns(
        {
            "person": np.arange(size),
            "hpo": np.full(size, hpo, dtype=object),
            "group": np.full(size, finding["group"], dtype=object),
            "status": status.astype(object),
            "onset": np.where(status == "present", date, np.datetime64("NaT")),
        }
    )


def severity_of(person: Columns, broken: Columns, found: Columns) -> Array:
    """Call severe who has marrow failure, visual loss or ten fractures; moderate who has two."""
    size = len(person)
    number = np.bincount(broken["person"], minlength=size)
    grave = (found["status"] == "present") & np.isin(found["hpo"], (VISUAL, MARROW))
    severe = (np.bincount(found["person"][grave], minlength=size) > 0) | (number >= 10)
    label = np.where(severe, "severe", np.where(number >= 2, "moderate", "mild")).astype(object)
    label[person["group"] == "carrier"] = ""
    return label


def _has(found: Columns, hpo: str, size: int) -> Array:
    """Tell which patients have a feature."""
    rows = (found["hpo"] == hpo) & (found["status"] == "present")
    return np.array(np.bincount(found["person"][rows], minlength=size) > 0)


def laboratory(rng: np.random.Generator, person: Columns, found: Columns) -> Columns:
    """Return one row per patient, day and analyte, in canonical units."""
    settings, size = figures("laboratory"), len(person)
    visits = np.clip(rng.poisson(settings["visits_mean"], size), 1, settings["visits_max"])
    who = np.repeat(np.arange(size), visits)
    days, keep = _visit_dates(rng, person, who)
    who, date = who[keep], days[keep]
    shifts = {
        "marrow_failure": _has(found, MARROW, size),
        "hypocalcemia": _has(found, CALCIUM, size),
    }
    parts = []
    for analyte, figure in settings["analytes"].items():
        shift = sum(
            has * settings["shifts"][name].get(analyte, 0.0) for name, has in shifts.items()
        )
        value = _values(rng, figure, shift + np.zeros(size), who)
        acidotic = settings["shifts"]["intermediate"].get(analyte)
        if acidotic:
            acid = _values(rng, acidotic, np.zeros(size), who)
            value = np.where(person["group"][who] == "intermediate", acid, value)
        keep = rng.random(len(who)) < settings["measured"]
        name = np.full(len(who), analyte, dtype=object)
        rounded = np.round(value, figure["digits"])
        part = Columns({"person": who, "date": date, "analyte": name, "value": rounded})
        parts.append(part.take(keep))
    table = parts[0]
    for part in parts[1:]:
        table = table.append(part)
    return table.take(np.lexsort((table["date"], table["person"])))


def _values(rng: np.random.Generator, figure: Mapping[str, Any], shift: Array, who: Array) -> Array:
    """Draw a patient's usual value and each visit's deviation from it, inside the limits."""
    usual = figure["mean"] + shift + np.sqrt(0.75) * figure["sd"] * rng.standard_normal(len(shift))
    value = usual[who] + 0.5 * figure["sd"] * rng.standard_normal(len(who))
    return np.array(np.clip(value, figure["low"], figure["high"]))


def _visit_dates(rng: np.random.Generator, person: Columns, who: Array) -> tuple[Array, Array]:
    """Draw the days of the visits and tell which to keep: one visit per patient and day."""
    start = person["first_contact"][who]
    followed = years(start, person["last_contact"][who])
    date = age_to_date(start, rng.random(len(who)) * followed)
    date = date[np.lexsort((date, who))]
    again = (np.diff(who) == 0) & (np.diff(date).astype(int) == 0)
    return date, np.concatenate([[True], ~again])


def densitometry(rng: np.random.Generator, person: Columns) -> Columns:
    """Return one row per patient, scan and region, all of a patient by one device."""
    settings = figures("densitometry")
    first = np.maximum(
        person["first_contact"],
        person["birth"] + np.timedelta64(int(settings["youngest"] * 365.25) + 1, "D"),
    )
    days = (person["last_contact"] - first).astype(int)
    gap = int(settings["gap_years"] * 365.25)
    possible = np.clip(days // gap + 1, 0, settings["scans_max"]) * (days >= 0)
    number = np.minimum(possible, rng.integers(1, settings["scans_max"] + 1, len(person)))
    who = np.repeat(np.arange(len(person)), number)
    order = np.arange(len(who)) - np.repeat(np.cumsum(number) - number, number)
    date = first[who] + (order * gap).astype("timedelta64[D]")
    spine = _z_scores(rng, person, who, date)
    hip = np.round(spine + settings["hip_offset"] * _room(spine), 1)
    parts = [
        _region(person, who, date, region, z)
        for region, z in (("lumbar_spine", spine), ("total_hip", hip))
    ]
    table = parts[0].append(parts[1])
    return table.take(np.lexsort((table["region"], table["date"], table["person"])))


def _room(spine: Array) -> Array:
    """Return how far the hip may lie below the spine and stay above +2.5: all of it from +4."""
    room: Array = np.clip(spine - 3.0, 0.0, 1.0)
    return room


def _z_scores(rng: np.random.Generator, person: Columns, who: Array, date: Array) -> Array:
    """Draw Z-scores of the spine: truncated normal by group, drifting, falling after transplant."""
    settings = figures("densitometry")
    mean, sd, low, high = np.array([settings["z"][name] for name in person["group"]]).T
    base = np.clip(mean + sd * rng.standard_normal(len(person)), low, high)
    followed = years(person["first_contact"][who], date)
    noise = settings["noise"] * rng.uniform(-1, 1, len(who))
    drift = base[who] + settings["slope"] * followed + noise
    age = years(person["birth"][who], date)
    since = np.nan_to_num(np.maximum(age - person["hsct_age"][who], 0.0))
    fallen = np.maximum(drift + settings["after_hsct_slope"] * since, settings["after_hsct_floor"])
    return np.array(np.round(np.clip(np.where(since > 0, fallen, drift), None, 19.0), 1))


def _region(person: Columns, who: Array, date: Array, region: str, z: Array) -> Columns:
    """Return the rows of one region."""
    age = years(person["birth"][who], date)
    older = age >= figures("densitometry", "t_score_from_age")
    return Columns(
        {
            "person": who,
            "date": date,
            "region": np.full(len(who), region, dtype=object),
            "z": z,
            "t": np.where(older, np.round(z - 0.8, 1), np.nan),
            "bmd": np.round(np.where(age < 18, 0.70, 1.0) + 0.09 * z, 3),
        }
    )
