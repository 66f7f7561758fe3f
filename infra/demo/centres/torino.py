"""Torino: an Italian OMOP CDM 5.4 extract (CSV) in mg/dL, with variants in a file beside it.

The model holds no excluded finding, zygosity, healing or onset age. The extract of `person` is the
query that sites usually run: the table with its observation period and the consent observation.
"""

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from infra.demo.columns import Array, Columns, Patients
from infra.demo.raw import Place, dates, numbers, rows_of, words, write_csv
from infra.demo.vocabulary import labs_of, words_of


__all__ = ["FRACTURE", "JOINED", "TABLES_OF_CDM", "export"]

W, LABS = words_of("torino"), labs_of("torino")

TABLES_OF_CDM: Mapping[str, tuple[str, ...]] = {
    name: tuple(columns) for name, columns in W["tables_of_cdm"].items()
}
FIRST_ROW = 2
EHR = "32817"  # OMOP type concept: electronic health record
# code as written → bone, side
FRACTURE = {
    f"Frattura {word}{mark}": (bone, side)
    for bone, word in W["bone"].items()
    for side, mark in W["side"].items()
}

# What the query adds to `person`: columns of observation_period and of the consent observation.
JOINED = ("observation_period_start_date", "observation_period_end_date", "value_source_value")


def export(patients: Patients, inbox: Path) -> Mapping[str, Place]:
    """Write six tables of the model and the file of variants."""
    conditions, condition_rows = _conditions(patients)
    measurements, measurement_rows = _measurements(patients)
    observations, deaths, followup = _course(patients)
    procedures = _procedures(patients)
    tables = {
        "person": _persons(patients),
        "condition_occurrence": conditions,
        "measurement": measurements,
        "procedure_occurrence": procedures,
        "observation": observations,
        "death": deaths,
    }
    for name, columns in tables.items():
        extra = JOINED if name == "person" else ()
        write_csv(inbox / "omop" / f"{name}.csv", _all_columns(name, columns, extra))
    write_csv(inbox / "genetica.csv", _variants(patients))
    condition, measurement = "omop/condition_occurrence.csv", "omop/measurement.csv"
    return {
        "person": Place.of("omop/person.csv", "person", rows_of(patients.person, FIRST_ROW)),
        **{
            name: Place.of(condition, "condition_occurrence", rows)
            for name, rows in condition_rows.items()
        },
        **{
            name: Place.of(measurement, "measurement", rows)
            for name, rows in measurement_rows.items()
        },
        "hsct": Place.of(
            "omop/procedure_occurrence.csv", "procedure_occurrence",
            rows_of(patients["hsct"], FIRST_ROW),
        ),
        "variant": Place.of("genetica.csv", "", rows_of(patients["variant"], FIRST_ROW)),
        "followup": followup,
    }  # fmt: skip


def _all_columns(
    name: str, columns: Mapping[str, Array], extra: tuple[str, ...] = ()
) -> dict[str, Array]:
    """Return every column of a table of the model in its order, empty where nothing is held."""
    size = len(next(iter(columns.values())))
    empty = np.full(size, "", dtype=object)
    return {column: columns.get(column, empty) for column in (*TABLES_OF_CDM[name], *extra)}


def _ids(size: int) -> Array:
    """Return row ids from 1."""
    return np.array([str(number) for number in range(1, size + 1)], dtype=object)


def _same(size: int, text: str) -> Array:
    """Return a column that holds one text."""
    return np.full(size, text, dtype=object)


def _persons(p: Patients) -> dict[str, Array]:
    """Return the columns of `person`, joined with observation period and consent."""
    person, size = p.person, len(p.person)
    unknown = person["birth_year_only"]
    return {
        "person_id": person["local_id"],
        "gender_concept_id": np.array(
            [W["gender"].get(s, "0") for s in person["sex"]], dtype=object
        ),
        "year_of_birth": dates(person["birth"], "{y}"),
        "month_of_birth": np.where(unknown, "", dates(person["birth"], "{m}")),
        "day_of_birth": np.where(unknown, "", dates(person["birth"], "{d}")),
        "race_concept_id": _same(size, "0"),
        "ethnicity_concept_id": _same(size, "0"),
        "person_source_value": person["national_id"],
        "gender_source_value": words(person["sex"], W["sex"]),
        "observation_period_start_date": dates(person["first_contact"]),
        "observation_period_end_date": dates(person["last_contact"]),
        "value_source_value": words(person["consent"], W["consent"]),
    }


def _conditions(p: Patients) -> tuple[dict[str, Array], dict[str, Array]]:
    """Return the columns of `condition_occurrence` and where each truth row stands in it."""
    diagnosis, fracture, found = p["diagnosis"], p["fracture"], p["complication"]
    present = np.flatnonzero(found["status"] == "present")
    seen = found.take(present)
    side = np.array([W["side"].get(name, "") for name in fracture["side"]], dtype=object)
    broken = np.array([f"Frattura {W['bone'][b]}" for b in fracture["bone"]], dtype=object) + side
    blank = _same(len(fracture), ""), _same(len(seen), "")
    code = [words(diagnosis["subtype"], W["subtype"]), broken, words(seen["hpo"], W["finding"])]
    status = np.concatenate([words(diagnosis["status"], W["dx_status"]), *blank])
    who = np.concatenate([diagnosis["person"], fracture["person"], seen["person"]])
    date = np.concatenate([diagnosis["date"], fracture["date"], seen["onset"]])
    zeros = _same(len(diagnosis), "0"), _same(len(seen), "0")
    bones = _concepts(fracture["bone"], W["concept"])
    concept = np.concatenate([zeros[0], bones, zeros[1]])
    rows = np.arange(len(who)) + FIRST_ROW
    complication = np.zeros(len(found), dtype=int)
    complication[present] = rows[len(diagnosis) + len(fracture) :]
    columns = {
        "condition_occurrence_id": _ids(len(who)),
        "person_id": p.person["local_id"][who],
        "condition_concept_id": concept,
        "condition_start_date": dates(date),
        "condition_type_concept_id": _same(len(who), EHR),
        "condition_source_value": np.concatenate(code),
        "condition_status_source_value": status,
    }
    places = {
        "diagnosis": rows[: len(diagnosis)],
        "fracture": rows[len(diagnosis) : len(diagnosis) + len(fracture)],
        "complication": complication,
    }
    return columns, places


def _measurements(p: Patients) -> tuple[dict[str, Array], dict[str, Array]]:
    """Return the columns of `measurement` and where each truth row stands in it."""
    labs, scans = p["lab"], p["bmd"]
    value = np.empty(len(labs), dtype=object)
    for analyte, lab in LABS.items():
        here = labs["analyte"] == analyte
        value[here] = numbers(labs["value"][here] * lab.factor, lab.digits)
    spine = np.where(scans["region"] == "lumbar_spine", "36204417", "0").astype(object)
    regions = words(scans["region"], W["region"])
    who = np.concatenate([labs["person"], scans["person"]])
    size = len(who)
    columns = {
        "measurement_id": _ids(size),
        "person_id": p.person["local_id"][who],
        "measurement_concept_id": np.concatenate([_lab(labs, "concept"), spine]),
        "measurement_date": dates(np.concatenate([labs["date"], scans["date"]])),
        "measurement_type_concept_id": _same(size, EHR),
        "value_as_number": np.concatenate([value, numbers(scans["z"], 1)]),
        "unit_concept_id": np.concatenate([_lab(labs, "unit_concept"), _same(len(scans), "")]),
        "measurement_source_value": np.concatenate([_lab(labs, "name"), regions]),
        "unit_source_value": np.concatenate([_lab(labs, "unit"), _same(len(scans), "")]),
    }
    rows = np.arange(size) + FIRST_ROW
    return columns, {"lab": rows[: len(labs)], "bmd": rows[len(labs) :]}


def _lab(labs: Columns, part: str) -> Array:
    """Return a part of how each value is printed: name, unit, concept or unit_concept."""
    return words(labs["analyte"], {name: getattr(lab, part) for name, lab in LABS.items()})


def _concepts(values: Array, concepts: Mapping[str, str]) -> Array:
    """Return each code's OMOP concept, 0 where there is none."""
    return np.array([concepts.get(value, "0") for value in values], dtype=object)


def _procedures(p: Patients) -> dict[str, Array]:
    """Return the columns of `procedure_occurrence`: transplants, then operations on fractures."""
    grafts, fractures = p["hsct"], p["fracture"]
    operated = fractures.take(np.isin(fractures["treatment"], list(W["surgery"])))
    who = np.concatenate([grafts["person"], operated["person"]])
    return {
        "procedure_occurrence_id": _ids(len(who)),
        "person_id": p.person["local_id"][who],
        "procedure_concept_id": _same(len(who), "0"),
        "procedure_date": dates(np.concatenate([grafts["date"], operated["date"]])),
        "procedure_type_concept_id": _same(len(who), EHR),
        "procedure_source_value": np.concatenate(
            [words(grafts["donor"], W["donor"]), words(operated["treatment"], W["surgery"])]
        ),
        "modifier_source_value": np.concatenate(
            [words(grafts["cells"], W["cells"]), _same(len(operated), "")]
        ),
    }


def _course(p: Patients) -> tuple[dict[str, Array], dict[str, Array], Place]:
    """Return the columns of `observation` and `death`, and where each follow-up stands.

    The vital state is an observation on the day of the last contact; who died stands in `death`.
    """
    rows, person = p["followup"], p.person
    who, size = rows["person"], len(rows)
    dead = rows.take(rows["vital_status"] == "dead")
    notes = np.arange(0, len(person), 3)
    owner = np.concatenate([who, notes])
    blank = _same(size, "")
    observations = {
        "observation_id": _ids(len(owner)),
        "person_id": person["local_id"][owner],
        "observation_concept_id": _same(len(owner), "0"),
        "observation_date": dates(person["last_contact"][owner]),
        "observation_type_concept_id": _same(len(owner), EHR),
        "value_as_string": np.concatenate([blank, words(person["note"][notes], {})]),
        "observation_source_value": np.concatenate(
            [_same(size, "STATO_VITALE"), _same(len(notes), "NOTA")]
        ),
        "value_source_value": np.concatenate(
            [words(rows["vital_status"], W["vital"]), _same(len(notes), "testo libero")]
        ),
    }
    deaths = {
        "person_id": person["local_id"][dead["person"]],
        "death_date": dates(dead["death"]),
        "death_type_concept_id": _same(len(dead), EHR),
        "cause_source_value": words(dead["cause"], W["cause"]),
    }
    place = rows_of(rows, FIRST_ROW)
    died = rows["vital_status"] == "dead"
    place[died] = np.arange(int(died.sum())) + FIRST_ROW
    table = np.where(died, "death", "observation").astype(object)
    file = np.array([f"omop/{name}.csv" for name in table], dtype=object)
    return observations, deaths, Place(file, table, place)


def _variants(p: Patients) -> dict[str, Array]:
    """Return the columns of the laboratory's file of variants."""
    rows, person = p["variant"], p.person
    who = rows["person"]
    return {
        "person_id": person["local_id"][who],
        "cognome": person["family_name"][who],
        "nome": person["given"][who],
        "cellulare": person["phone"][who],
        "gene": rows["gene"],
        "trascritto": rows["transcript"],
        "hgvs_c": rows["hgvs_c"],
        "hgvs_p": rows["hgvs_p"],
        "zigosita": words(rows["zygosity"], W["zygosity"]),
        "tipo": words(rows["kind"], W["kind"]),
        "classe_acmg": words(rows["acmg"].astype(str), {}),
        "commento": np.where(who % 5 == 0, person["note"][who], ""),
    }


def _records(patients: Patients) -> Patients:
    """Return the patients unchanged: the export leaves out what the model cannot hold."""
    return patients
