"""What an artefact does to a patient's records: one function per kind."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from infra.demo.carriers import conspicuous, young_spine
from infra.demo.columns import Array, Columns, Patients


__all__ = ["SPOILERS", "Spoilt"]

NOT_A_DATE = {"lyon": "été {y}", "ulm": "Sommer {y}"}
RTA = "HP:0001947"


@dataclass(frozen=True)
class Spoilt:
    """What a patient's records became, and which rows of the artefact's table changed."""

    patients: Patients
    rows: Array


Spoiler = Callable[[Patients, int, Mapping[str, Any], str], Spoilt]


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


def _own(patients: Patients, table: str, who: int, keep: Array | None = None) -> Array:
    """Return the rows of a patient in a table, of those that `keep` marks."""
    mine = patients[table]["person"] == who
    return np.flatnonzero(mine if keep is None else mine & keep)


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
    row = _own(p, "lab", who, conspicuous(p, artefact))[:1]
    return _alter(p, "lab", row, value=p["lab"]["value"][row] * artefact["factor"])


def _point(p: Patients, who: int, artefact: Mapping[str, Any], __: str) -> Spoilt:
    row = _own(p, "lab", who, conspicuous(p, artefact))[:1]
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
    row = _own(p, "bmd", who, young_spine(p))[:1]
    return _alter(p, "bmd", row, z=-np.abs(p["bmd"]["z"][row]).clip(3.0, 9.0))


def _t_for_z(p: Patients, who: int, _: Mapping[str, Any], __: str) -> Spoilt:
    return _alter(p, "bmd", _own(p, "bmd", who, young_spine(p))[:1], z=1.3)


def _t_score(p: Patients, who: int, _: Mapping[str, Any], __: str) -> Spoilt:
    row = _own(p, "bmd", who, young_spine(p))[:1]
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
