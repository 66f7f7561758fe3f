"""Who can carry an artefact: patients whose other data stay clean, and whom its rule will catch."""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from infra.demo.columns import Array, Columns, Patients, years
from infra.demo.patients import AS_OF
from transforms.dictionary import DICTIONARY, Range
from transforms.units import READ_AS_MEANT


__all__ = ["ELIGIBLE", "conspicuous", "young_spine"]

RECESSIVE = ("recessive", "intermediate", "pycnodysostosis")
CHILDHOOD = 45.0  # scans before this age, well below the 50 years of the rule on T-scores


def _has_rows(patients: Patients, rows: Columns, keep: Array) -> Array:
    """Tell which patients have at least one row that `keep` marks."""
    found = np.zeros(len(patients.person), dtype=bool)
    found[rows["person"][keep]] = True
    return found


def _adults(p: Patients, _: Mapping[str, Any]) -> Array:
    """Dominant patients born after 1970: an earlier birth breaks no other rule."""
    late = p.person["birth"] > np.datetime64("1971-01-01")
    return np.isin(p.person["group"], ("dominant", "carrier")) & late


def _begun_later(p: Patients, _: Mapping[str, Any]) -> Array:
    """Patients of whom nothing is dated in the first two years of life."""
    early = p.person["birth"] + np.timedelta64(731, "D")
    fine = (p.person["diagnosed"] > early) & (p.person["first_contact"] > early)
    # A birth in the middle of its year moves the age at diagnosis, not the age at onset.
    fine &= years(p.person["birth"], p.person["diagnosed"]) > p.person["onset_age"] + 0.6
    young = p["fracture"]["date"] <= early[p["fracture"]["person"]]
    return np.array(fine & (p.person["group"] == "dominant") & ~_has_rows(p, p["fracture"], young))


def _swappable(p: Patients, _: Mapping[str, Any]) -> Array:
    """Patients with a fracture, born between February and November, followed for two years."""
    month = p.person["birth"].astype("datetime64[M]").astype(int) % 12 + 1
    long = years(p.person["birth"], p.person["last_contact"]) > 2
    everyone = np.ones(len(p["fracture"]), dtype=bool)
    return (month > 1) & (month < 12) & long & _has_rows(p, p["fracture"], everyone)


def _dead_with_fracture(p: Patients, _: Mapping[str, Any]) -> Array:
    """Patients who died long enough ago and had a fracture."""
    dead = p.person["vital_status"] == "dead"
    long = p.person["last_contact"] < AS_OF - np.timedelta64(90, "D")
    return np.array(
        dead & long & _has_rows(p, p["fracture"], np.ones(len(p["fracture"]), dtype=bool))
    )


def _fractured(p: Patients, _: Mapping[str, Any]) -> Array:
    """Patients with a fracture."""
    return _has_rows(p, p["fracture"], np.ones(len(p["fracture"]), dtype=bool))


def _measured(p: Patients, artefact: Mapping[str, Any]) -> Array:
    """Patients with a value of the analyte that the artefact makes conspicuous."""
    return _has_rows(p, p["lab"], conspicuous(p, artefact))


def conspicuous(p: Patients, artefact: Mapping[str, Any]) -> Array:
    """Tell which values of the analyte the artefact takes out of the dictionary's limits.

    A flag needs a value outside the soft limits, by 1 % so that no rounding brings it back, and
    inside the hard ones; a reject one outside the hard limits. Beyond the hard limits it is flagged
    too where the unit that was meant is read off the number, which then must be usual in it.
    """
    here = p["lab"]["analyte"] == artefact["analyte"]
    if "factor" not in artefact:
        return np.array(here)
    value = p["lab"]["value"] * artefact["factor"]
    analyte = DICTIONARY.analytes[artefact["analyte"]]
    impossible = _outside(value, analyte.hard)
    if artefact["severity"] == "reject":
        return np.array(here & impossible)
    kept = ~impossible
    if artefact["analyte"] in READ_AS_MEANT:
        kept |= ~_outside(p["lab"]["value"], analyte.soft)
    return np.array(here & _outside(value, analyte.soft) & kept)


def _outside(value: Array, limits: Range | None) -> Array:
    """Tell which values are outside limits, by at least 1 %."""
    if limits is None or limits.low is None or limits.high is None:
        return np.zeros(len(value), dtype=bool)
    return np.array((value < 0.99 * limits.low) | (value > 1.01 * limits.high))


def _homozygous(p: Patients, _: Mapping[str, Any]) -> Array:
    """Patients with a recessive form and one homozygous variant."""
    state = p["variant"]["zygosity"] == "homozygous"
    return np.isin(p.person["group"], RECESSIVE) & _has_rows(p, p["variant"], state)


def _with_variant(p: Patients, _: Mapping[str, Any]) -> Array:
    """Patients with a heterozygous variant that has a protein change."""
    rows = p["variant"]
    return _has_rows(p, rows, (rows["zygosity"] == "heterozygous") & (rows["hgvs_p"] != ""))


def _ca2d(p: Patients, _: Mapping[str, Any]) -> Array:
    """Patients with carbonic anhydrase II deficiency."""
    return np.array(p.person["subtype"] == "CA2D")


def _dense_child(p: Patients, _: Mapping[str, Any]) -> Array:
    """Dominant patients with a scan of the spine before the age of 45 and without a T-score."""
    return np.array((p.person["group"] == "dominant") & _has_rows(p, p["bmd"], young_spine(p)))


def young_spine(p: Patients) -> Array:
    """Tell which scans are of the spine and before the age of 45."""
    rows = p["bmd"]
    age = years(p.person["birth"][rows["person"]], rows["date"])
    return np.array((rows["region"] == "lumbar_spine") & (age < CHILDHOOD))


def _scanned_twice(p: Patients, _: Mapping[str, Any]) -> Array:
    """Dominant patients with two scans or more."""
    rows = p["bmd"]
    spine = rows["region"] == "lumbar_spine"
    number = np.bincount(rows["person"][spine], minlength=len(p.person))
    return np.array((number > 1) & (p.person["group"] == "dominant"))


def _anyone(p: Patients, _: Mapping[str, Any]) -> Array:
    """Carriers and dominant patients without fractures: little hangs on them."""
    fractured = _fractured(p, {})
    return np.isin(p.person["group"], ("dominant", "carrier")) & ~fractured


def _group_unknown(p: Patients, _: Mapping[str, Any]) -> Array:
    """Patients with a group of findings that was never asked for."""
    return _has_rows(p, p["complication"], p["complication"]["status"] == "unknown")


def _with_excluded(p: Patients, _: Mapping[str, Any]) -> Array:
    """Patients with excluded features."""
    mild = np.isin(p.person["group"], ("dominant", "carrier", "pycnodysostosis"))
    return mild & _has_rows(p, p["complication"], p["complication"]["status"] == "excluded")


ELIGIBLE: Mapping[str, Callable[[Patients, Mapping[str, Any]], Array]] = {
    "sex_code_unknown": _anyone,
    "birth_1970": _adults,
    "birth_year_only": _begun_later,
    "duplicate_patient": _anyone,
    "day_and_month_swapped": _swappable,
    "fracture_after_death": _dead_with_fracture,
    "date_in_words": _fractured,
    "bone_missing": _fractured,
    "hemoglobin_unit": _measured,
    "calcium_unit": _measured,
    "platelets_unit": _measured,
    "pth_unit": _measured,
    "one_allele": _homozygous,
    "ca2d_without_acidosis": _ca2d,
    "z_score_sign": _dense_child,
    "t_score_in_z_column": _dense_child,
    "t_score_before_50": _dense_child,
    "device_changed": _scanned_twice,
    "identifier_in_field": _with_variant,
    "decimal_point": _measured,
    "form_never_opened": _group_unknown,
    "excluded_features_lost": _with_excluded,
}
