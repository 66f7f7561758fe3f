"""Ulm: German CSV files with semicolons in Windows-1252, TT.MM.JJJJ, a laboratory in long form."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from infra.demo.centre import one_per_patient, statuses
from infra.demo.columns import Array, Patients
from infra.demo.raw import Place, dates, numbers, rows_of, tick, words, write_csv
from infra.demo.vocabulary import labs_of, words_of


__all__ = ["FILES", "export"]

W, LABS = words_of("ulm"), labs_of("ulm")

FIRST_ROW = 2
DAY = "{d}.{m}.{y}"
FILES = {
    "person": "patienten_2026.csv",
    "variant": "genetik_2026.csv",
    "fracture": "frakturen_2026.csv",
    "lab": "labor_2026.csv",
    "bmd": "dxa_2026.csv",
    "hsct": "szt_2026.csv",
}


def export(patients: Patients, inbox: Path) -> Mapping[str, Place]:
    """Write six CSV files; diagnosis, findings and follow-up stand beside the patient."""
    tables = {
        "person": _patients(patients),
        "variant": _variants(patients),
        "fracture": _fractures(patients),
        "lab": _laboratory(patients),
        "bmd": _scans(patients),
        "hsct": _transplants(patients),
    }
    for name, columns in tables.items():
        write_csv(inbox / FILES[name], columns, delimiter=";", encoding="cp1252")
    beside = {
        name: Place.of(FILES["person"], "", patients[name]["person"] + FIRST_ROW)
        for name in ("diagnosis", "complication", "followup")
    }
    own = {
        name: Place.of(FILES[name], "", rows_of(patients[name], FIRST_ROW))
        for name in FILES
        if name != "person"
    }
    return {
        **beside,
        **own,
        "person": Place.of(FILES["person"], "", rows_of(patients.person, FIRST_ROW)),
    }


def _patients(p: Patients) -> dict[str, Array]:
    """Return the columns of the patients' file."""
    person = p.person
    birth = np.where(
        person["birth_year_only"], dates(person["birth"], "{y}"), dates(person["birth"], DAY)
    )
    return {
        "Patienten-ID": person["local_id"],
        "Nachname": person["family_name"],
        "Vorname": person["given"],
        "KVNR": person["national_id"],
        "Telefon": person["phone"],
        "Geburtsdatum": birth,
        "Geschlecht": words(person["sex"], W["sex"]),
        "Familie": np.array([f"Fam-{number}" for number in person["family"]], dtype=object),
        "Indexpatient": tick(person["proband"], "ja", "nein"),
        "Konsanguinität": words(person["consanguinity"], W["yes_no"]),
        "Einwilligung": words(person["consent"], W["yes_no"]),
        "Erstvorstellung": dates(person["first_contact"], DAY),
        "Anamnese ab Geburt": tick(person["history_complete"], "ja", "nein"),
        "Diagnose": words(one_per_patient(p, "diagnosis", "subtype"), W["subtype"]),
        "Sicherung": words(one_per_patient(p, "diagnosis", "status"), W["dx_status"]),
        "Alter Erstmanifestation (Monate)": numbers(
            one_per_patient(p, "diagnosis", "onset_age") * 12, 1, ","
        ),
        "Diagnosedatum": dates(one_per_patient(p, "diagnosis", "date"), DAY),
        "Schweregrad": words(one_per_patient(p, "diagnosis", "severity"), W["severity"]),
        **{name: words(statuses(p)[hpo], W["status"]) for hpo, name in W["finding"].items()},
        "Vitalstatus": words(one_per_patient(p, "followup", "vital_status"), W["vital"]),
        "Letzter Kontakt": dates(one_per_patient(p, "followup", "last_contact"), DAY),
        "Sterbedatum": dates(one_per_patient(p, "followup", "death"), DAY),
        "Todesursache": words(one_per_patient(p, "followup", "cause"), W["cause"]),
        "Bemerkung": person["note"],
    }


def _variants(p: Patients) -> dict[str, Array]:
    """Return the columns of the genetic findings: one row per allele."""
    rows = p["variant"]
    return {
        "Patienten-ID": p.person["local_id"][rows["person"]],
        "Gen": rows["gene"],
        "Transkript": rows["transcript"],
        "Variante": rows["hgvs_c"],
        "Protein": rows["hgvs_p"],
        "Zygotie": words(rows["zygosity"], W["zygosity"]),
        "Typ": words(rows["kind"], W["kind"]),
        "ACMG-Klasse": words(rows["acmg"].astype(str), {}),
    }


def _fractures(p: Patients) -> dict[str, Array]:
    """Return the columns of the fractures."""
    rows = p["fracture"]
    who = rows["person"]
    return {
        "Patienten-ID": p.person["local_id"][who],
        "Datum": np.where(rows["date_text"] != "", rows["date_text"], dates(rows["date"], DAY)),
        "Lokalisation": words(rows["bone"], W["bone"]),
        "Seite": words(rows["side"], W["side"]),
        "Trauma": words(rows["trauma"], W["trauma"]),
        "Frakturtyp": words(rows["pattern"], W["pattern"]),
        "Therapie": words(rows["treatment"], W["treatment"]),
        "Heilung": words(rows["healing"], W["healing"]),
        "Freitext": np.where(who % 9 == 0, p.person["note"][who], ""),
    }


def _laboratory(p: Patients) -> dict[str, Array]:
    """Return the columns of the laboratory: one row per value, with its unit."""
    rows = p["lab"]
    value = np.empty(len(rows), dtype=object)
    for analyte, lab in LABS.items():
        here = rows["analyte"] == analyte
        value[here] = numbers(rows["value"][here] * lab.factor, lab.digits, ",")
    point = rows["decimal_point"]
    value[point] = [text.replace(",", ".") for text in value[point]]
    return {
        "Patienten-ID": p.person["local_id"][rows["person"]],
        "Abnahmedatum": dates(rows["date"], DAY),
        "Parameter": words(rows["analyte"], {name: lab.name for name, lab in LABS.items()}),
        "Wert": value,
        "Einheit": words(rows["analyte"], {name: lab.unit for name, lab in LABS.items()}),
    }


def _scans(p: Patients) -> dict[str, Array]:
    """Return the columns of the densitometry: one row per region and scan."""
    rows = p["bmd"]
    return {
        "Patienten-ID": p.person["local_id"][rows["person"]],
        "Untersuchungsdatum": dates(rows["date"], DAY),
        "Region": words(rows["region"], W["region"]),
        "Z-Score": numbers(rows["z"], 1, ","),
        "T-Score": numbers(rows["t"], 1, ","),
        "BMD (g/cm²)": numbers(rows["bmd"], 3, ","),
        "Gerät": words(np.where(rows["other_device"], "hologic", "ge_lunar"), W["vendor"]),
    }


def _transplants(p: Patients) -> dict[str, Array]:
    """Return the columns of the transplants."""
    rows = p["hsct"]
    return {
        "Patienten-ID": p.person["local_id"][rows["person"]],
        "Datum SZT": dates(rows["date"], DAY),
        "Spender": words(rows["donor"], W["donor"]),
        "Quelle": words(rows["cells"], W["cells"]),
        "Primäres Transplantatversagen": tick(rows["graft_failure"], "ja", "nein"),
        "Verlauf": words(rows["outcome"], W["outcome"]),
        "Stand vom": dates(rows["outcome_date"], DAY),
    }


def _records(patients: Patients) -> Patients:
    """Return the patients unchanged: Ulm records everything."""
    return patients
