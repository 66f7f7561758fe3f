"""Injects the errors of `artefacts.toml` into what a centre recorded, and remembers each of them.

One error per patient at most. An error changes the truth as recorded (a value, a code, a date), so
that every export carries it in its own form; codes without a word are written as they stand.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from infra.demo.columns import Array, Columns, Patients, years
from infra.demo.parameters import read_toml
from infra.demo.patients import AS_OF
from transforms.dictionary import DICTIONARY, Range


__all__ = ["ARTEFACTS", "Mark", "artefact_at", "blank", "spoil"]

ARTEFACTS: Mapping[str, Mapping[str, Any]] = read_toml("artefacts.toml")
NOT_A_DATE = {"lyon": "été {y}", "ulm": "Sommer {y}"}
RECESSIVE = ("recessive", "intermediate", "pycnodysostosis")
MOST = 25  # of one kind at a centre: enough for any test, and large centres stay quick to make
RTA, CHILDHOOD = "HP:0001947", 45.0


@dataclass(frozen=True)
class Mark:
    """One injected error: the truth table and the rows of it that carry it."""

    artefact: str
    table: str
    rows: tuple[int, ...]
    field: str


@dataclass(frozen=True)
class Spoilt:
    """What a patient's records became, and which rows of the artefact's table changed."""

    patients: Patients
    rows: Array


Spoiler = Callable[[Patients, int, Mapping[str, Any], str], Spoilt]


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


def _set(rows: Columns, index: Array, **values: Any) -> Columns:
    """Return the table with these cells replaced."""
    columns = {name: rows[name].copy() for name in values}
    for name, value in values.items():
        columns[name][index] = value
    return rows.put(**columns)


def _alter(patients: Patients, table: str, rows: Array, **values: Any) -> Spoilt:
    """Return the records with cells of one table replaced."""
    if table == "person":
        person = _set(patients.person, rows, **values)
        return Spoilt(Patients(person=person, tables=patients.tables), rows)
    return Spoilt(patients.put(**{table: _set(patients[table], rows, **values)}), rows)


def _has_rows(patients: Patients, rows: Columns, keep: Array) -> Array:
    """Tell which patients have at least one row that `keep` marks."""
    found = np.zeros(len(patients.person), dtype=bool)
    found[rows["person"][keep]] = True
    return found


def _own(patients: Patients, table: str, who: int, keep: Array | None = None) -> Array:
    """Return the rows of a patient in a table, of those that `keep` marks."""
    mine = patients[table]["person"] == who
    return np.flatnonzero(mine if keep is None else mine & keep)


# Who can carry an artefact


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
    return _has_rows(p, p["lab"], _conspicuous(p, artefact))


def _conspicuous(p: Patients, artefact: Mapping[str, Any]) -> Array:
    """Tell which values of the analyte the artefact takes out of the dictionary's limits.

    A flag needs a value outside the soft limits, by 1 % so that no rounding brings it back, and
    inside the hard ones; a reject one outside the hard limits.
    """
    here = p["lab"]["analyte"] == artefact["analyte"]
    if "factor" not in artefact:
        return np.array(here)
    value = p["lab"]["value"] * artefact["factor"]
    analyte = DICTIONARY.analytes[artefact["analyte"]]
    impossible = _outside(value, analyte.hard)
    if artefact["severity"] == "reject":
        return np.array(here & impossible)
    return np.array(here & _outside(value, analyte.soft) & ~impossible)


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
    return np.array((p.person["group"] == "dominant") & _has_rows(p, p["bmd"], _young_spine(p)))


def _young_spine(p: Patients) -> Array:
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


# What an artefact does


def _sex(p: Patients, who: int, _: Mapping[str, Any], __: str) -> Spoilt:
    return _alter(p, "person", np.array([who]), sex="X9")


def _birth_1970(p: Patients, who: int, _: Mapping[str, Any], __: str) -> Spoilt:
    return _alter(p, "person", np.array([who]), birth=np.datetime64("1970-01-01"))


def _birth_year(p: Patients, who: int, _: Mapping[str, Any], __: str) -> Spoilt:
    return _alter(p, "person", np.array([who]), birth_year_only=True)


def _duplicate(p: Patients, who: int, _: Mapping[str, Any], __: str) -> Spoilt:
    person = p.person.append(p.person.take(np.array([who])))
    return Spoilt(Patients(person=person, tables=p.tables), np.array([len(p.person)]))


def _swap(p: Patients, who: int, _: Mapping[str, Any], __: str) -> Spoilt:
    """Move a fracture to a day of the birth year that reads as one before birth when swapped."""
    birth = p.person["birth"][who]
    year, month = birth.astype("datetime64[Y]"), int(birth.astype("datetime64[M]").astype(int) % 12)
    recorded = year.astype("datetime64[M]").astype("datetime64[D]") + np.timedelta64(month + 1, "D")
    return _alter(p, "fracture", _own(p, "fracture", who)[:1], date=recorded)


def _after_death(p: Patients, who: int, _: Mapping[str, Any], __: str) -> Spoilt:
    date = p.person["last_contact"][who] + np.timedelta64(40, "D")
    return _alter(p, "fracture", _own(p, "fracture", who)[-1:], date=date)


def _in_words(p: Patients, who: int, _: Mapping[str, Any], site: str) -> Spoilt:
    row = _own(p, "fracture", who)[:1]
    text = NOT_A_DATE[site].format(y=str(p["fracture"]["date"][row[0]])[:4])
    return _alter(p, "fracture", row, date_text=text)


def _no_bone(p: Patients, who: int, _: Mapping[str, Any], __: str) -> Spoilt:
    return _alter(p, "fracture", _own(p, "fracture", who)[:1], bone="")


def _unit(p: Patients, who: int, artefact: Mapping[str, Any], __: str) -> Spoilt:
    row = _own(p, "lab", who, _conspicuous(p, artefact))[:1]
    return _alter(p, "lab", row, value=p["lab"]["value"][row] * artefact["factor"])


def _point(p: Patients, who: int, artefact: Mapping[str, Any], __: str) -> Spoilt:
    row = _own(p, "lab", who, _conspicuous(p, artefact))[:1]
    return _alter(p, "lab", row, decimal_point=True)


def _allele(p: Patients, who: int, _: Mapping[str, Any], __: str) -> Spoilt:
    row = _own(p, "variant", who)
    return _alter(p, "variant", row, zygosity="heterozygous")


def _no_acidosis(p: Patients, who: int, _: Mapping[str, Any], site: str) -> Spoilt:
    found, labs = p["complication"], p["lab"]
    acidosis = _own(p, "complication", who, found["hpo"] == RTA)
    acid = _own(p, "lab", who, labs["analyte"] == "bicarbonate")
    p = _alter(p, "complication", acidosis, status="excluded").patients
    p = _alter(p, "complication", acidosis, onset=np.datetime64("NaT")).patients
    p = _alter(p, "lab", acid, value=25.0).patients
    return Spoilt(p, _own(p, "diagnosis", who))


def _sign(p: Patients, who: int, _: Mapping[str, Any], __: str) -> Spoilt:
    row = _own(p, "bmd", who, _young_spine(p))[:1]
    return _alter(p, "bmd", row, z=-np.abs(p["bmd"]["z"][row]).clip(3.0, 9.0))


def _t_for_z(p: Patients, who: int, _: Mapping[str, Any], __: str) -> Spoilt:
    return _alter(p, "bmd", _own(p, "bmd", who, _young_spine(p))[:1], z=1.3)


def _t_score(p: Patients, who: int, _: Mapping[str, Any], __: str) -> Spoilt:
    row = _own(p, "bmd", who, _young_spine(p))[:1]
    return _alter(p, "bmd", row, t=np.round(p["bmd"]["z"][row] - 1.0, 1))


def _device(p: Patients, who: int, _: Mapping[str, Any], __: str) -> Spoilt:
    mine = _own(p, "bmd", who)
    last = mine[p["bmd"]["date"][mine] == p["bmd"]["date"][mine].max()]
    return Spoilt(_alter(p, "bmd", last, other_device=True).patients, mine)


def _identifier(p: Patients, who: int, _: Mapping[str, Any], __: str) -> Spoilt:
    row = _own(p, "variant", who, p["variant"]["hgvs_p"] != "")[:1]
    text = f"{p['variant']['hgvs_p'][row[0]]} {p.person['national_id'][who]}"
    return _alter(p, "variant", row, hgvs_p=text)


def _as_it_is(p: Patients, who: int, _: Mapping[str, Any], __: str) -> Spoilt:
    unknown = p["complication"]["status"] == "unknown"
    return Spoilt(p, _own(p, "complication", who, unknown))


def _lost(p: Patients, who: int, _: Mapping[str, Any], __: str) -> Spoilt:
    excluded = p["complication"]["status"] == "excluded"
    rows = _own(p, "complication", who, excluded)
    return Spoilt(_alter(p, "person", np.array([who]), excluded_lost=True).patients, rows)


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
SPOILERS: Mapping[str, Spoiler] = {
    "sex_code_unknown": _sex,
    "birth_1970": _birth_1970,
    "birth_year_only": _birth_year,
    "duplicate_patient": _duplicate,
    "day_and_month_swapped": _swap,
    "fracture_after_death": _after_death,
    "date_in_words": _in_words,
    "bone_missing": _no_bone,
    "hemoglobin_unit": _unit,
    "calcium_unit": _unit,
    "platelets_unit": _unit,
    "pth_unit": _unit,
    "one_allele": _allele,
    "ca2d_without_acidosis": _no_acidosis,
    "z_score_sign": _sign,
    "t_score_in_z_column": _t_for_z,
    "t_score_before_50": _t_score,
    "device_changed": _device,
    "identifier_in_field": _identifier,
    "decimal_point": _point,
    "form_never_opened": _as_it_is,
    "excluded_features_lost": _lost,
}
