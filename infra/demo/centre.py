"""What the demo knows of a centre: who it is, what it records, how it exports and maps it."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from infra.demo.columns import Array, Columns, Patients
from infra.demo.findings import FINDINGS
from infra.demo.mapping_book import MappingBook
from infra.demo.raw import Place, spread


__all__ = [
    "Centre",
    "all_records",
    "first_scans",
    "one_per_patient",
    "statuses",
    "turn",
    "visits_of",
]


@dataclass(frozen=True)
class Centre:
    """One way of exporting. `export` writes files into an inbox and says where each row went."""

    id: str
    name: str
    country: str
    language: str
    prefix: str
    severity: float
    workbook: bool
    records: Callable[[Patients], Patients]
    export: Callable[[Patients, Path], Mapping[str, Place]]
    mapping: Callable[[], MappingBook]


def one_per_patient(patients: Patients, table: str, column: str) -> Array:
    """Return a column of a table with at most one row per patient, laid out by patient."""
    rows = patients[table]
    return spread(len(patients.person), rows["person"], rows[column])


def statuses(patients: Patients) -> Mapping[str, Array]:
    """Return HPO id → status by patient; "" where nothing is recorded."""
    rows, size = patients["complication"], len(patients.person)
    return {
        hpo: spread(size, rows["person"][rows["hpo"] == hpo], rows["status"][rows["hpo"] == hpo])
        for hpo in FINDINGS
    }


def all_records(patients: Patients) -> Patients:
    """Return the patients unchanged: what a format cannot hold, its export leaves out."""
    return patients


def first_scans(patients: Patients) -> Patients:
    """Return the patients with their first densitometry alone, as a centre that keeps one."""
    scans = patients["bmd"]
    first = np.full(len(patients.person), np.datetime64("9999-12-31"))
    np.minimum.at(first, scans["person"], scans["date"])
    return patients.only("bmd", scans["date"] == first[scans["person"]])


def visits_of(rows: Columns) -> tuple[Columns, Array]:
    """Return one row per patient and day of a table, and each row's place among them."""
    keys = np.stack([rows["person"], rows["date"].astype("datetime64[D]").astype(int)])
    unique, place = np.unique(keys, axis=1, return_inverse=True)
    visits = Columns({"person": unique[0], "date": unique[1].astype("datetime64[D]")})
    return visits, place.reshape(-1)


def turn(names: Mapping[str, str]) -> dict[str, str]:
    """Return word → code."""
    return {word: code for code, word in names.items()}
