"""Odense: a folder of GA4GH phenopackets (version 2, JSON), beside them a patient list and a CSV
of laboratory results with Danish headers.

Phenopackets hold no consent and no first contact: those stand in the centre's patient list.
"""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from infra.demo.columns import Array, Columns, Patients, years
from infra.demo.findings import FINDINGS
from infra.demo.raw import Place, dates, numbers, rows_of, tick, words, write_csv
from infra.demo.vocabulary import labs_of, words_of
from transforms.dictionary import DICTIONARY


__all__ = ["ACMG", "LABORATORY", "PATIENTS", "disease", "export"]

W, LABS = words_of("odense"), labs_of("odense")

FIRST_ROW = 2
DAY = "{d}-{m}-{y}"
PATIENTS, LABORATORY = "patientliste.csv", "laboratorium.csv"
ACMG = {4: "LIKELY_PATHOGENIC", 5: "PATHOGENIC"}
RESOURCES = (
    ("hp", "human phenotype ontology", "HP", "http://purl.obolibrary.org/obo/HP_"),
    ("geno", "Genotype Ontology", "GENO", "http://purl.obolibrary.org/obo/GENO_"),
    ("omim", "Online Mendelian Inheritance in Man", "OMIM", "https://www.omim.org/entry/"),
    ("ordo", "Orphanet", "ORPHA", "http://www.orpha.net/ORDO/Orphanet_"),
    ("loinc", "LOINC", "LOINC", "https://loinc.org/"),
    ("snomed", "SNOMED CT", "SNOMED", "http://snomed.info/id/"),
    ("ouh-brud", "local list of fractures", "OUH-BRUD", "https://example.org/ouh-brud/"),
    ("ouh-sct", "local list of transplants", "OUH-SCT", "https://example.org/ouh-sct/"),
)

Node = dict[str, Any]


def disease(subtype: str) -> tuple[str, str]:
    """Return the OMIM or ORPHA id of a subtype, or a local one, and its label."""
    code = DICTIONARY.codelists["dx_subtype"].codes[subtype]
    for system, prefix in (("omim", "OMIM"), ("orpha", "ORPHA")):
        if system in code.codings:
            return f"{prefix}:{code.codings[system]}", code.label
    return f"OUH-DIAG:{subtype.lower()}", code.label


def export(patients: Patients, inbox: Path) -> Mapping[str, Place]:
    """Write one phenopacket per patient, the patient list and the laboratory's file."""
    write_csv(inbox / PATIENTS, _patient_list(patients), delimiter=";")
    write_csv(inbox / LABORATORY, _laboratory(patients), delimiter=";")
    folder = inbox / "phenopackets"
    folder.mkdir(parents=True, exist_ok=True)
    rows = {name: _by_patient(patients, name) for name in ELEMENTS_OF}
    for who in range(len(patients["diagnosis"])):
        packet = _packet(patients, who, {name: index[who] for name, index in rows.items()})
        text = json.dumps(packet, ensure_ascii=False, indent=1)
        (folder / _file(who)).write_text(text + "\n", encoding="utf-8")
    return {
        "person": Place.of(PATIENTS, "", rows_of(patients.person, FIRST_ROW)),
        "lab": Place.of(LABORATORY, "", rows_of(patients["lab"], FIRST_ROW)),
        **_places(patients, rows),
    }


# Truth table → the phenopacket's block that holds it.
ELEMENTS_OF = {
    "diagnosis": "diseases",
    "complication": "features",
    "fracture": "features",
    "bmd": "measurements",
    "variant": "variants",
    "hsct": "procedures",
    "followup": "subjects",
}


def _file(who: int) -> str:
    """Return the name of a patient's file: it says nothing about the patient."""
    return f"patient_{who + 1:06d}.json"


def _by_patient(p: Patients, name: str) -> Sequence[Array]:
    """Return, for each patient, the numbers of the exported rows of a table."""
    rows = p[name]
    kept = np.arange(len(rows))
    if name == "complication":
        told = rows["status"] == "present"
        told |= (rows["status"] == "excluded") & ~p.person["excluded_lost"][rows["person"]]
        kept = kept[told]
    who = rows["person"][kept]
    order = np.argsort(who, kind="stable")
    cuts = np.searchsorted(who[order], np.arange(1, len(p.person)))
    return np.split(kept[order], cuts)


def _places(p: Patients, rows: Mapping[str, Sequence[Array]]) -> dict[str, Place]:
    """Return where each row stands: its patient's file, its number within the block."""
    places = {}
    before = [len(index) for index in rows["complication"]]
    for name, block in ELEMENTS_OF.items():
        number = np.zeros(len(p[name]), dtype=int)
        for who, index in enumerate(rows[name]):
            start = before[who] if name == "fracture" else 0
            number[index] = start + np.arange(1, len(index) + 1)
        file = np.array([f"phenopackets/{_file(who)}" for who in p[name]["person"]], dtype=object)
        places[name] = Place(file, np.full(len(file), block, dtype=object), number)
    return places


def _packet(p: Patients, who: int, rows: Mapping[str, Array]) -> Node:
    """Return one patient's phenopacket."""
    person = p.person
    packet: Node = {
        "id": f"ouh-{who + 1:06d}",
        "subject": _subject(p, who, p["followup"].take(rows["followup"])),
        "phenotypicFeatures": [
            *(_feature(p, who, row) for row in rows["complication"]),
            *(_fracture(p["fracture"], row) for row in rows["fracture"]),
        ],
        "measurements": [_scan(p["bmd"], row) for row in rows["bmd"]],
        "diseases": [_diagnosis(p["diagnosis"], row) for row in rows["diagnosis"]],
        "interpretations": _interpretations(p, who, rows["variant"]),
        "medicalActions": [_transplant(p["hsct"], row) for row in rows["hsct"]],
        "metaData": META_DATA,
    }
    if packet["phenotypicFeatures"] and who % 4 == 0:
        packet["phenotypicFeatures"][0]["description"] = person["note"][who]
    return {key: value for key, value in packet.items() if value}


META_DATA: Node = {
    "created": "2026-06-30T00:00:00Z",
    "createdBy": "Fiktivt center Odense",
    "resources": [
        {
            "id": name,
            "name": title,
            "url": url,
            "version": "2026",
            "namespacePrefix": prefix,
            "iriPrefix": url,
        }
        for name, title, prefix, url in RESOURCES
    ],
    "phenopacketSchemaVersion": "2.0",
}


def _time(day: Any) -> Node:
    """Return a day as a time element."""
    return {"timestamp": f"{day}T00:00:00Z"}


def _age(age: float) -> Node:
    """Return an age in years as a time element of years, months and days."""
    full = int(age)
    months, rest = divmod((age - full) * 12, 1)
    days = round(rest * 365.25 / 12)
    return {"age": {"iso8601duration": f"P{full}Y{int(months)}M{days}D"}}


def _term(pair: tuple[str, str]) -> Node:
    """Return an ontology class."""
    return {"id": pair[0], "label": pair[1]}


def _subject(p: Patients, who: int, course: Columns) -> Node:
    """Return the block `subject`, with the state at last contact."""
    person = p.person
    status: Node = {"status": W["vital"][course["vital_status"][0]]}
    if course["vital_status"][0] == "dead":
        cause = course["cause"][0]
        status["timeOfDeath"] = _time(course["death"][0])
        status["causeOfDeath"] = {"id": f"OUH-DOD:{cause}", "label": W["cause"][cause]}
    return {
        "id": person["local_id"][who],
        "alternateIds": [person["national_id"][who]],
        "dateOfBirth": f"{person['birth'][who]}T00:00:00Z",
        "timeAtLastEncounter": _time(course["last_contact"][0]),
        "vitalStatus": status,
        "sex": W["sex_in_packet"].get(person["sex"][who], "UNKNOWN_SEX"),
        "taxonomy": {"id": "NCBITaxon:9606", "label": "Homo sapiens"},
    }


def _feature(p: Patients, who: int, row: int) -> Node:
    """Return a complication as a phenotypic feature."""
    found = p["complication"]
    hpo = found["hpo"][row]
    feature: Node = {"type": {"id": hpo, "label": FINDINGS[hpo]["label"]}}
    if found["status"][row] == "excluded":
        return {**feature, "excluded": True}
    onset = years(p.person["birth"][who : who + 1], found["onset"][row : row + 1])[0]
    return {**feature, "onset": _age(max(float(onset), 0.0))}


def _fracture(rows: Columns, row: int) -> Node:
    """Return a fracture as a phenotypic feature."""
    feature: Node = {"type": _term(W["bone"][rows["bone"][row]]), "onset": _time(rows["date"][row])}
    side = W["side"].get(rows["side"][row])
    return {**feature, "modifiers": [_term(side)]} if side else feature


def _scan(rows: Columns, row: int) -> Node:
    """Return a Z-score as a measurement."""
    unit = {"id": "UCUM:{Zscore}", "label": "Z-score"}
    return {
        "assay": _term(W["region"][rows["region"][row]]),
        "value": {"quantity": {"unit": unit, "value": round(float(rows["z"][row]), 1)}},
        "timeObserved": _time(rows["date"][row]),
    }


def _diagnosis(rows: Columns, row: int) -> Node:
    """Return a diagnosis as a disease."""
    found: Node = {"term": _term(disease(rows["subtype"][row]))}
    onset = float(rows["onset_age"][row])
    return found if np.isnan(onset) else {**found, "onset": _age(onset)}


def _interpretations(p: Patients, who: int, index: Array) -> list[Node]:
    """Return the variants of a patient as one interpretation."""
    if not len(index):
        return []
    genomic = [_variant(p["variant"], row, p.person["local_id"][who]) for row in index]
    term = _term(disease(p["diagnosis"]["subtype"][who]))
    return [
        {
            "id": f"ouh-{who + 1:06d}-1",
            "progressStatus": "SOLVED",
            "diagnosis": {"disease": term, "genomicInterpretations": genomic},
        }
    ]


def _variant(rows: Columns, row: int, subject: str) -> Node:
    """Return a variant as a genomic interpretation."""
    expressions = [
        {"syntax": "hgvs.c", "value": f"{rows['transcript'][row]}:{rows['hgvs_c'][row]}"}
    ]
    if rows["hgvs_p"][row]:
        expressions.append({"syntax": "hgvs.p", "value": rows["hgvs_p"][row]})
    gene = DICTIONARY.codelists["gene"].codes[rows["gene"][row]]
    state = W["zygosity"][rows["zygosity"][row]]
    descriptor = {
        "id": f"var-{row + 1}",
        "geneContext": {"valueId": f"HGNC:{gene.codings['hgnc']}", "symbol": gene.code},
        "expressions": expressions,
        "moleculeContext": "genomic",
        "allelicState": {"id": state, "label": rows["zygosity"][row].replace("_", " ")},
    }
    return {
        "subjectOrBiosampleId": subject,
        "interpretationStatus": "CAUSATIVE",
        "variantInterpretation": {
            "acmgPathogenicityClassification": ACMG[int(rows["acmg"][row])],
            "variationDescriptor": descriptor,
        },
    }


def _transplant(rows: Columns, row: int) -> Node:
    """Return a transplant as a procedure."""
    code = _term(W["donor"][rows["donor"][row]])
    return {"procedure": {"code": code, "performed": _time(rows["date"][row])}}


def _patient_list(p: Patients) -> dict[str, Array]:
    """Return the columns of the patient list."""
    person = p.person
    return {
        "Patientnummer": person["local_id"],
        "Fornavn": person["given"],
        "Efternavn": person["family_name"],
        "CPR-nummer": person["national_id"],
        "Telefon": person["phone"],
        "Fødselsdato": dates(person["birth"], DAY),
        "Køn": words(person["sex"], W["sex"]),
        "Familienummer": np.array([f"F-{number}" for number in person["family"]], dtype=object),
        "Indekspatient": tick(person["proband"], "ja", "nej"),
        "Forældre beslægtede": words(person["consanguinity"], W["yes_no"]),
        "Samtykke": words(person["consent"], W["yes_no"]),
        "Første kontakt": dates(person["first_contact"], DAY),
        "Fuldstændig anamnese": tick(person["history_complete"], "ja", "nej"),
        "Bemærkning": person["note"],
    }


def _laboratory(p: Patients) -> dict[str, Array]:
    """Return the columns of the laboratory's file: one row per result."""
    rows = p["lab"]
    value = np.empty(len(rows), dtype=object)
    for analyte, lab in LABS.items():
        here = rows["analyte"] == analyte
        value[here] = numbers(rows["value"][here] * lab.factor, lab.digits, ",")
    return {
        "Patientnummer": p.person["local_id"][rows["person"]],
        "Prøvedato": dates(rows["date"], DAY),
        "Analyse": words(rows["analyte"], {name: lab.name for name, lab in LABS.items()}),
        "Resultat": value,
        "Enhed": words(rows["analyte"], {name: lab.unit for name, lab in LABS.items()}),
        "Rekvirent": np.where(rows["person"] % 6 == 0, p.person["note"][rows["person"]], ""),
    }


def _records(patients: Patients) -> Patients:
    """Return the patients unchanged: the export leaves out what a phenopacket cannot hold."""
    return patients
