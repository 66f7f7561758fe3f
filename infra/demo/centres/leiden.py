"""Leiden: a Dutch REDCap export (raw CSV) with repeating instruments, checkboxes, Hb in mmol/L."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from infra.demo.centre import one_per_patient, statuses, visits_of
from infra.demo.columns import Array, Columns, Patients
from infra.demo.findings import FINDINGS
from infra.demo.raw import Place, dates, numbers, spread, tick, words, write_csv
from infra.demo.vocabulary import labs_of, words_of
from transforms.dictionary.export.redcap import COLUMNS


__all__ = ["IDENTIFIERS", "export"]

W, LABS = words_of("leiden"), labs_of("leiden")

FILE = "osteopetrose_DATA_2026-06-30.csv"
DICTIONARY_FILE = "osteopetrose_DataDictionary_2026-06-30.csv"
FIRST_ROW = 2


@dataclass(frozen=True)
class _Form:
    """Rows of one instrument: whose they are, which repeat they are, and their columns."""

    name: str
    who: Array
    instance: Array
    columns: Mapping[str, Array]


def export(patients: Patients, inbox: Path) -> Mapping[str, Place]:
    """Write the data export and the project's data dictionary."""
    visits, visit_of = visits_of(patients["lab"])
    scans, scan_of = visits_of(patients["bmd"])
    forms = [
        _baseline(patients),
        _repeat("variant", patients["variant"], _variants(patients["variant"])),
        _repeat("fractuur", patients["fracture"], _fractures(patients["fracture"])),
        _repeat("lab", visits, _laboratory(patients, visits, visit_of)),
        _repeat("dxa", scans, _scans(patients, scans, scan_of)),
    ]
    columns, rows = _one_file(patients, forms)
    write_csv(inbox / FILE, columns)
    _write_dictionary(inbox / DICTIONARY_FILE)
    places = {
        name: Place.of(FILE, "", rows[0][patients[name]["person"]])
        for name in ("diagnosis", "complication", "hsct", "followup")
    }
    return places | {
        "person": Place.of(FILE, "", rows[0]),
        "variant": Place.of(FILE, "variant", rows[1]),
        "fracture": Place.of(FILE, "fractuur", rows[2]),
        "lab": Place.of(FILE, "lab", rows[3][visit_of]),
        "bmd": Place.of(FILE, "dxa", rows[4][scan_of]),
    }


def _repeat(name: str, rows: Columns, columns: Mapping[str, Array]) -> _Form:
    """Return a repeating instrument, its repeats numbered per patient."""
    who = rows["person"]
    order = np.argsort(who, kind="stable")
    first = np.searchsorted(who[order], who[order])
    instance = np.empty(len(who), dtype=int)
    instance[order] = np.arange(len(who)) - first + 1
    return _Form(name, who, instance, {**columns, f"{name}_complete": _same(len(who), "2")})


def _same(size: int, text: str) -> Array:
    """Return a column that holds one text."""
    return np.full(size, text, dtype=object)


def _one_file(p: Patients, forms: list[_Form]) -> tuple[dict[str, Array], list[Array]]:
    """Return the export's columns, record by record, and the row numbers of each form's rows."""
    who = np.concatenate([form.who for form in forms])
    block = np.repeat(np.arange(len(forms)), [len(form.who) for form in forms])
    instance = np.concatenate([form.instance for form in forms])
    order = np.lexsort((instance, block, who))
    row = np.empty(len(who), dtype=int)
    row[order] = np.arange(len(who)) + FIRST_ROW
    names = np.array([form.name for form in forms], dtype=object)[block]
    group = np.where(who % 2 == 0, "lumc", "satelliet")
    columns = {
        "record_id": p.person["local_id"][who][order],
        "redcap_repeat_instrument": names[order],
        "redcap_repeat_instance": words(np.where(block > 0, instance, "").astype(str), {})[order],
        "redcap_data_access_group": group.astype(object)[order],
    }
    for number, form in enumerate(forms):
        for name, values in form.columns.items():
            full = _same(len(who), "")
            full[block == number] = values
            columns[name] = full[order]
    return columns, [row[block == number] for number in range(len(forms))]


def _baseline(p: Patients) -> _Form:
    """Return the instruments that are filled once per patient."""
    size = len(p.person)
    columns = {**_person(p), **_diagnosis(p), **_checkboxes(p), **_course(p)}
    return _Form("", np.arange(size), np.zeros(size, dtype=int), columns)


def _person(p: Patients) -> dict[str, Array]:
    """Return the columns of the instrument `patient`."""
    person = p.person
    return {
        "achternaam": person["family_name"],
        "voornaam": person["given"],
        "bsn": person["national_id"],
        "telefoon": person["phone"],
        "geboortedatum": dates(person["birth"]),
        "geslacht": words(person["sex"], W["sex"]),
        "familienummer": np.array([f"fam{number}" for number in person["family"]], dtype=object),
        "index": tick(person["proband"], "1", "0"),
        "consanguiniteit": words(person["consanguinity"], W["yes_no"]),
        "toestemming": words(person["consent"], W["yes_no"]),
        "eerste_contact": dates(person["first_contact"]),
        "anamnese_volledig": tick(person["history_complete"], "1", "0"),
        "opmerkingen": person["note"],
        "patient_complete": _same(len(person), "2"),
    }


def _diagnosis(p: Patients) -> dict[str, Array]:
    """Return the columns of the instrument `diagnose`."""
    return {
        "diagnose": words(one_per_patient(p, "diagnosis", "subtype"), W["subtype"]),
        "zekerheid": words(one_per_patient(p, "diagnosis", "status"), W["dx_status"]),
        "leeftijd_begin": numbers(one_per_patient(p, "diagnosis", "onset_age"), 2, ","),
        "datum_diagnose": dates(one_per_patient(p, "diagnosis", "date")),
        "ernst": words(one_per_patient(p, "diagnosis", "severity"), W["severity"]),
        "diagnose_complete": _same(len(p.person), "2"),
    }


def _checkboxes(p: Patients) -> dict[str, Array]:
    """Return three instruments of checkboxes; 0 also stands where the form was never opened."""
    status = statuses(p)
    columns: dict[str, Array] = {}
    for group, form in W["form_of"].items():
        members = [hpo for hpo, finding in FINDINGS.items() if finding["group"] == group]
        for number, hpo in enumerate(members, start=1):
            columns[f"{form}___{number}"] = tick(status[hpo] == "present", "1", "0")
        closed = status[members[0]] == "unknown"
        columns[f"{form}_complete"] = tick(closed, "0", "2")
    return columns


def _course(p: Patients) -> dict[str, Array]:
    """Return the columns of the instruments `sct` and `followup`."""
    size = len(p.person)
    return {
        "sct_datum": dates(one_per_patient(p, "hsct", "date")),
        "sct_donor": words(one_per_patient(p, "hsct", "donor"), W["donor"]),
        "sct_bron": words(one_per_patient(p, "hsct", "cells"), W["cells"]),
        "sct_complete": _same(size, "2"),
        "vitale_status": words(one_per_patient(p, "followup", "vital_status"), W["vital"]),
        "laatste_contact": dates(one_per_patient(p, "followup", "last_contact")),
        "datum_overlijden": dates(one_per_patient(p, "followup", "death")),
        "doodsoorzaak": words(one_per_patient(p, "followup", "cause"), W["cause"]),
        "followup_complete": _same(size, "2"),
    }


def _variants(rows: Columns) -> dict[str, Array]:
    """Return the columns of the instrument `variant`."""
    return {
        "gen": rows["gene"],
        "transcript": rows["transcript"],
        "hgvs_c": rows["hgvs_c"],
        "hgvs_p": rows["hgvs_p"],
        "zygotie": words(rows["zygosity"], W["zygosity"]),
        "type_variant": words(rows["kind"], W["kind"]),
        "acmg": words(rows["acmg"].astype(str), {}),
    }


def _fractures(rows: Columns) -> dict[str, Array]:
    """Return the columns of the instrument `fractuur`."""
    return {
        "fractuurdatum": dates(rows["date"]),
        "bot": words(rows["bone"], W["bone"]),
        "zijde": words(rows["side"], W["side"]),
        "trauma": words(rows["trauma"], W["trauma"]),
        "patroon": words(rows["pattern"], W["pattern"]),
        "behandeling": words(rows["treatment"], W["treatment"]),
        "genezing": words(rows["healing"], W["healing"]),
    }


def _laboratory(p: Patients, visits: Columns, visit_of: Array) -> dict[str, Array]:
    """Return the columns of the instrument `lab`: one repeat per sample."""
    labs = p["lab"]
    columns = {"labdatum": dates(visits["date"])}
    for analyte, lab in LABS.items():
        rows = labs["analyte"] == analyte
        values = spread(len(visits), visit_of[rows], labs["value"][rows] * lab.factor)
        mark = spread(len(visits), visit_of[rows], labs["decimal_point"][rows], blank=False)
        text = numbers(values, lab.digits, ",")
        columns[lab.name] = np.where(mark.astype(bool), numbers(values, lab.digits, "."), text)
    return columns


def _scans(p: Patients, scans: Columns, scan_of: Array) -> dict[str, Array]:
    """Return the columns of the instrument `dxa`: one repeat per scan."""
    rows, size = p["bmd"], len(scans)
    other = spread(size, scan_of, rows["other_device"], blank=False).astype(bool)
    columns = {
        "dxa_datum": dates(scans["date"]),
        "dxa_apparaat": words(np.where(other, "ge_lunar", "hologic"), W["vendor"]),
    }
    for region, word in (("lumbar_spine", "lwk"), ("total_hip", "heup")):
        here = rows["region"] == region
        for name, column, digits in (("z", "z_score", 1), ("t", "t_score", 1), ("bmd", "bmd", 3)):
            values = spread(size, scan_of[here], rows[name][here])
            columns[f"{column}_{word}"] = numbers(values, digits, ",")
    return columns


IDENTIFIERS = ("achternaam", "voornaam", "bsn", "telefoon")
# Variable → the word list that holds its choices.
CHOICES = {
    "geslacht": "sex",
    "consanguiniteit": "yes_no",
    "toestemming": "yes_no",
    "diagnose": "subtype",
    "zekerheid": "dx_status",
    "ernst": "severity",
    "sct_donor": "donor",
    "sct_bron": "cells",
    "vitale_status": "vital",
    "doodsoorzaak": "cause",
    "zygotie": "zygosity",
    "type_variant": "kind",
    "bot": "bone",
    "zijde": "side",
    "trauma": "trauma",
    "patroon": "pattern",
    "behandeling": "treatment",
    "genezing": "healing",
    "dxa_apparaat": "vendor",
}


def _write_dictionary(path: Path) -> None:
    """Write the project's data dictionary as REDCap exports it."""
    rows = []
    for form, variables in W["forms"].items():
        measured = {lab.name: lab.name for lab in LABS.values()} if form == "lab" else {}
        for name, label in (variables | measured).items():
            members = [hpo for hpo in FINDINGS if W["form_of"][FINDINGS[hpo]["group"]] == name]
            choices = {FINDINGS[hpo]["label"]: str(n) for n, hpo in enumerate(members, start=1)}
            choices = choices or dict(W[CHOICES[name]] if name in CHOICES else {})
            kind = "checkbox" if members else "radio" if choices else "text"
            cells = dict.fromkeys(COLUMNS, "") | {
                "Variable / Field Name": name,
                "Form Name": form,
                "Field Type": kind,
                "Field Label": label,
                "Choices, Calculations, OR Slider Labels": " | ".join(
                    f"{code}, {text}" for text, code in choices.items()
                ),
                "Identifier?": "y" if name in IDENTIFIERS else "",
            }
            rows.append(list(cells.values()))
    columns = zip(*rows, strict=True)
    write_csv(
        path,
        {
            name: np.array(column, dtype=object)
            for name, column in zip(COLUMNS, columns, strict=True)
        },
    )


def _records(patients: Patients) -> Patients:
    """Return the patients unchanged: what a checkbox cannot say is left to the gate."""
    return patients
