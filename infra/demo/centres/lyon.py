"""Lyon: a French Excel workbook of three sheets, decimal comma, JJ/MM/AAAA, calcium in mg/L."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from infra.demo.centre import one_per_patient, statuses, visits_of
from infra.demo.columns import Array, Columns, Patients
from infra.demo.raw import Place, dates, numbers, rows_of, save_workbook, spread, tick, words
from infra.demo.vocabulary import labs_of, words_of


__all__ = ["FILE", "HEADER_ROW", "export"]

W, LABS = words_of("lyon"), labs_of("lyon")

FILE = "registre_osteopetrose_2026.xlsx"
TITLES = {
    "patients": "Registre osteopétrose, données fictives : une ligne par patient",
    "fractures": "Une ligne par fracture",
    "biologie": "Une ligne par prélèvement",
}
HEADER_ROW = 3
DAY = "{d}/{m}/{y}"


def export(patients: Patients, inbox: Path) -> Mapping[str, Place]:
    """Write the workbook; one row per patient, per fracture and per blood sample."""
    visits, visit_of = visits_of(patients["lab"])
    sheets = {
        "patients": _patients(patients),
        "fractures": _fractures(patients),
        "biologie": _laboratory(patients, visits, visit_of),
    }
    save_workbook(inbox / FILE, {name: _rows(TITLES[name], c) for name, c in sheets.items()})
    first = HEADER_ROW + 1
    places = {
        name: Place.of(FILE, "patients", patients[name]["person"] + first)
        for name in ("diagnosis", "variant", "complication", "bmd", "hsct", "followup")
    }
    return places | {
        "person": Place.of(FILE, "patients", rows_of(patients.person, first)),
        "fracture": Place.of(FILE, "fractures", rows_of(patients["fracture"], first)),
        "lab": Place.of(FILE, "biologie", visit_of + first),
    }


def _rows(title: str, columns: Mapping[str, Array]) -> list[list[str]]:
    """Return a sheet's rows: a title, an empty row, the header, the data."""
    return [[title], [], list(columns), *(list(row) for row in zip(*columns.values(), strict=True))]


def _patients(p: Patients) -> dict[str, Array]:
    """Return the columns of the sheet `patients`."""
    person = p.person
    return {
        "IPP": person["local_id"],
        "Nom": person["family_name"],
        "Prénom": person["given"],
        "NIR": person["national_id"],
        "Téléphone": person["phone"],
        "Courriel": person["email"],
        "Date naissance": _birth(person),
        "Sexe": words(person["sex"], W["sex"]),
        "N° famille": _family(person),
        "Cas index": tick(person["proband"], "oui", "non"),
        "Consanguinité": words(person["consanguinity"], W["yes_no"]),
        "Consentement réutilisation": words(person["consent"], W["yes_no"]),
        "Première consultation": dates(person["first_contact"], DAY),
        "Histoire complète": tick(person["history_complete"], "oui", "non"),
        **_diagnosis(p),
        **_genes(p),
        **{name: words(statuses(p)[hpo], W["status"]) for hpo, name in W["finding"].items()},
        **_scan(p),
        **_course(p),
        "Commentaire": person["note"],
    }


def _birth(person: Columns) -> Array:
    """Return birth dates; of some patients only the year is known."""
    return np.where(
        person["birth_year_only"], dates(person["birth"], "{y}"), dates(person["birth"], DAY)
    )


def _family(person: Columns) -> Array:
    """Return the number of each family."""
    return np.array([f"F{number:05d}" for number in person["family"]], dtype=object)


def _diagnosis(p: Patients) -> dict[str, Array]:
    """Return the columns about the diagnosis."""
    return {
        "Diagnostic": words(one_per_patient(p, "diagnosis", "subtype"), W["subtype"]),
        "Certitude": words(one_per_patient(p, "diagnosis", "status"), W["dx_status"]),
        "Âge premiers signes (ans)": numbers(one_per_patient(p, "diagnosis", "onset_age"), 2, ","),
        "Date du diagnostic": dates(one_per_patient(p, "diagnosis", "date"), DAY),
        "Gravité": words(one_per_patient(p, "diagnosis", "severity"), W["severity"]),
    }


def _genes(p: Patients) -> dict[str, Array]:
    """Return the columns about the gene, and the two alleles side by side."""
    size, rows = len(p.person), p["variant"]
    one, two = rows.take(rows["allele"] == 1), rows.take(rows["allele"] == 2)
    return {
        "Gène": spread(size, one["person"], one["gene"]),
        "Transcrit": spread(size, one["person"], one["transcript"]),
        "Zygotie": words(spread(size, one["person"], one["zygosity"]), W["zygosity"]),
        "Variant 1": spread(size, one["person"], one["hgvs_c"]),
        "Protéine 1": spread(size, one["person"], one["hgvs_p"]),
        "Type variant 1": words(spread(size, one["person"], one["kind"]), W["kind"]),
        "ACMG 1": words(spread(size, one["person"], one["acmg"].astype(str)), {}),
        "Variant 2": spread(size, two["person"], two["hgvs_c"]),
        "Protéine 2": spread(size, two["person"], two["hgvs_p"]),
        "Gène variant 2": spread(size, two["person"], two["gene"]),
        "Zygotie variant 2": words(spread(size, two["person"], two["zygosity"]), W["zygosity"]),
        "Type variant 2": words(spread(size, two["person"], two["kind"]), W["kind"]),
    }


def _scan(p: Patients) -> dict[str, Array]:
    """Return the columns about the one densitometry that this centre keeps."""
    size, rows = len(p.person), p["bmd"]
    spine, hip = (rows.take(rows["region"] == name) for name in ("lumbar_spine", "total_hip"))
    return {
        "Date DXA": dates(spread(size, spine["person"], spine["date"]), DAY),
        "Z-score rachis": numbers(spread(size, spine["person"], spine["z"]), 1, ","),
        "T-score rachis": numbers(spread(size, spine["person"], spine["t"]), 1, ","),
        "DMO rachis (g/cm²)": numbers(spread(size, spine["person"], spine["bmd"]), 3, ","),
        "Z-score hanche": numbers(spread(size, hip["person"], hip["z"]), 1, ","),
        "T-score hanche": numbers(spread(size, hip["person"], hip["t"]), 1, ","),
        "DMO hanche (g/cm²)": numbers(spread(size, hip["person"], hip["bmd"]), 3, ","),
    }


def _course(p: Patients) -> dict[str, Array]:
    """Return the columns about transplant, follow-up and death."""
    return {
        "Date greffe CSH": dates(one_per_patient(p, "hsct", "date"), DAY),
        "Donneur": words(one_per_patient(p, "hsct", "donor"), W["donor"]),
        "Source CSH": words(one_per_patient(p, "hsct", "cells"), W["cells"]),
        "Statut vital": words(one_per_patient(p, "followup", "vital_status"), W["vital"]),
        "Date des dernières nouvelles": dates(one_per_patient(p, "followup", "last_contact"), DAY),
        "Date de décès": dates(one_per_patient(p, "followup", "death"), DAY),
        "Cause du décès": words(one_per_patient(p, "followup", "cause"), W["cause"]),
    }


def _fractures(p: Patients) -> dict[str, Array]:
    """Return the columns of the sheet `fractures`."""
    rows = p["fracture"]
    who = rows["person"]
    return {
        "IPP": p.person["local_id"][who],
        "Date fracture": np.where(
            rows["date_text"] != "", rows["date_text"], dates(rows["date"], DAY)
        ),
        "Os": words(rows["bone"], W["bone"]),
        "Côté": words(rows["side"], W["side"]),
        "Énergie": words(rows["trauma"], W["trauma"]),
        "Trait": words(rows["pattern"], W["pattern"]),
        "Traitement": words(rows["treatment"], W["treatment"]),
        "Évolution": words(rows["healing"], W["healing"]),
        "Remarque": np.where(who % 7 == 0, p.person["note"][who], ""),
    }


def _laboratory(p: Patients, visits: Columns, visit_of: Array) -> dict[str, Array]:
    """Return the columns of the sheet `biologie`: one row per sample, one column per analyte."""
    labs = p["lab"]
    columns = {
        "IPP": p.person["local_id"][visits["person"]],
        "Date prélèvement": dates(visits["date"], DAY),
    }
    for analyte, lab in LABS.items():
        rows = labs["analyte"] == analyte
        values = spread(len(visits), visit_of[rows], labs["value"][rows] * lab.factor)
        mark = spread(len(visits), visit_of[rows], labs["decimal_point"][rows], blank=False)
        text = numbers(values, lab.digits, ",")
        columns[lab.name] = np.where(mark.astype(bool), numbers(values, lab.digits, "."), text)
    return columns
