"""Odense: a folder of GA4GH phenopackets (version 2, JSON), beside them a patient list and a CSV
of laboratory results with Danish headers.

Phenopackets hold no consent and no first contact: those stand in the centre's patient list.
"""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from infra.demo.centre import Centre, turn
from infra.demo.columns import Array, Columns, Patients, years
from infra.demo.findings import FINDINGS
from infra.demo.mapping_book import MappingBook
from infra.demo.raw import Place, dates, numbers, rows_of, tick, words, write_csv
from transforms.dictionary import DICTIONARY
from transforms.readers.phenopacket_blocks import BLOCKS


__all__ = ["CENTRE"]

FIRST_ROW = 2
DAY = "{d}-{m}-{y}"
PATIENTS, LABORATORY = "patientliste.csv", "laboratorium.csv"
SEX = {"female": "kvinde", "male": "mand"}
SEX_IN_PACKET = {"female": "FEMALE", "male": "MALE"}
YES_NO = {"yes": "ja", "no": "nej", "unknown": "ukendt"}
ZYGOSITY = {
    "heterozygous": "GENO:0000135",
    "homozygous": "GENO:0000136",
    "compound_heterozygous": "GENO:0000402",
    "hemizygous": "GENO:0000134",
}
ACMG = {4: "LIKELY_PATHOGENIC", 5: "PATHOGENIC"}
VITAL = {"alive": "ALIVE", "dead": "DECEASED", "lost": "UNKNOWN_STATUS"}
CAUSE = {
    "infection": "infektion",
    "haemorrhage": "blødning",
    "marrow_failure": "knoglemarvssvigt",
    "transplant_related": "relateret til transplantation",
    "unrelated": "anden årsag",
    "unknown": "ukendt",
}
SIDE = {"left": ("HP:0012835", "Left"), "right": ("HP:0012834", "Right")}
# HPO and SNOMED CT where a term was found; otherwise the centre's own list (OUH-BRUD).
BONE = {
    "femur_neck": ("OUH-BRUD:1", "brud på lårbenshals"),
    "femur_subtroch": ("OUH-BRUD:2", "subtrokantært lårbensbrud"),
    "femur_shaft": ("HP:0031846", "Femur fracture"),
    "femur_distal": ("OUH-BRUD:4", "distalt lårbensbrud"),
    "tibia": ("OUH-BRUD:5", "brud på skinneben"),
    "humerus": ("OUH-BRUD:6", "brud på overarm"),
    "radius_ulna": ("SNOMED:65966004", "Fracture of forearm"),
    "foot": ("OUH-BRUD:8", "brud på fod"),
    "hand": ("OUH-BRUD:9", "brud på hånd"),
    "vertebra": ("HP:0002953", "Vertebral compression fracture"),
    "rib": ("SNOMED:33737001", "Fracture of rib"),
    "clavicle": ("SNOMED:58150001", "Fracture of clavicle"),
    "pelvis": ("OUH-BRUD:13", "bækkenbrud"),
}
REGION = {
    "lumbar_spine": ("LOINC:85394-5", "DXA Lumbar spine Z-score"),
    "total_hip": ("LOINC:80933-5", "DXA Hip Z-score"),
}
DONOR = {
    "MSD": ("OUH-SCT:1", "SCT, HLA-identisk søskende"),
    "MRD": ("OUH-SCT:2", "SCT, anden forligelig slægtning"),
    "MUD": ("OUH-SCT:3", "SCT, forligelig ubeslægtet"),
    "haplo": ("OUH-SCT:4", "SCT, haploidentisk"),
    "MMUD": ("OUH-SCT:5", "SCT, uforligelig ubeslægtet"),
}
# analyte → name, unit as printed, factor from the canonical unit, digits
LABS: Mapping[str, tuple[str, str, float, int]] = {
    "hemoglobin": ("Hæmoglobin", "mmol/L", 1 / 16.1145, 1),
    "platelets": ("Trombocytter", "10^9/L", 1.0, 0),
    "calcium": ("Calcium", "mmol/L", 1.0, 2),
    "phosphate": ("Fosfat", "mmol/L", 1.0, 2),
    "alp": ("Basisk fosfatase", "U/L", 1.0, 0),
    "pth": ("Parathyrin", "pmol/L", 1.0, 1),
    "vitamin_d_25oh": ("25-OH-vitamin D", "nmol/L", 1.0, 0),
    "creatinine": ("Kreatinin", "µmol/L", 1.0, 0),
    "ldh": ("Laktatdehydrogenase", "U/L", 1.0, 0),
    "bicarbonate": ("Bikarbonat", "mmol/L", 1.0, 1),
}
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


def _disease(subtype: str) -> tuple[str, str]:
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
    status: Node = {"status": VITAL[course["vital_status"][0]]}
    if course["vital_status"][0] == "dead":
        cause = course["cause"][0]
        status["timeOfDeath"] = _time(course["death"][0])
        status["causeOfDeath"] = {"id": f"OUH-DOD:{cause}", "label": CAUSE[cause]}
    return {
        "id": person["local_id"][who],
        "alternateIds": [person["national_id"][who]],
        "dateOfBirth": f"{person['birth'][who]}T00:00:00Z",
        "timeAtLastEncounter": _time(course["last_contact"][0]),
        "vitalStatus": status,
        "sex": SEX_IN_PACKET.get(person["sex"][who], "UNKNOWN_SEX"),
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
    feature: Node = {"type": _term(BONE[rows["bone"][row]]), "onset": _time(rows["date"][row])}
    side = SIDE.get(rows["side"][row])
    return {**feature, "modifiers": [_term(side)]} if side else feature


def _scan(rows: Columns, row: int) -> Node:
    """Return a Z-score as a measurement."""
    unit = {"id": "UCUM:{Zscore}", "label": "Z-score"}
    return {
        "assay": _term(REGION[rows["region"][row]]),
        "value": {"quantity": {"unit": unit, "value": round(float(rows["z"][row]), 1)}},
        "timeObserved": _time(rows["date"][row]),
    }


def _diagnosis(rows: Columns, row: int) -> Node:
    """Return a diagnosis as a disease."""
    disease: Node = {"term": _term(_disease(rows["subtype"][row]))}
    onset = float(rows["onset_age"][row])
    return disease if np.isnan(onset) else {**disease, "onset": _age(onset)}


def _interpretations(p: Patients, who: int, index: Array) -> list[Node]:
    """Return the variants of a patient as one interpretation."""
    if not len(index):
        return []
    genomic = [_variant(p["variant"], row, p.person["local_id"][who]) for row in index]
    disease = _term(_disease(p["diagnosis"]["subtype"][who]))
    return [
        {
            "id": f"ouh-{who + 1:06d}-1",
            "progressStatus": "SOLVED",
            "diagnosis": {"disease": disease, "genomicInterpretations": genomic},
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
    state = ZYGOSITY[rows["zygosity"][row]]
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
    code = _term(DONOR[rows["donor"][row]])
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
        "Køn": words(person["sex"], SEX),
        "Familienummer": np.array([f"F-{number}" for number in person["family"]], dtype=object),
        "Indekspatient": tick(person["proband"], "ja", "nej"),
        "Forældre beslægtede": words(person["consanguinity"], YES_NO),
        "Samtykke": words(person["consent"], YES_NO),
        "Første kontakt": dates(person["first_contact"], DAY),
        "Fuldstændig anamnese": tick(person["history_complete"], "ja", "nej"),
        "Bemærkning": person["note"],
    }


def _laboratory(p: Patients) -> dict[str, Array]:
    """Return the columns of the laboratory's file: one row per result."""
    rows = p["lab"]
    value = np.empty(len(rows), dtype=object)
    for analyte, (_, _, factor, digits) in LABS.items():
        here = rows["analyte"] == analyte
        value[here] = numbers(rows["value"][here] * factor, digits, ",")
    return {
        "Patientnummer": p.person["local_id"][rows["person"]],
        "Prøvedato": dates(rows["date"], DAY),
        "Analyse": words(rows["analyte"], {name: lab[0] for name, lab in LABS.items()}),
        "Resultat": value,
        "Enhed": words(rows["analyte"], {name: lab[1] for name, lab in LABS.items()}),
        "Rekvirent": np.where(rows["person"] % 6 == 0, p.person["note"][rows["person"]], ""),
    }


def mapping() -> MappingBook:
    """Return the mapping that a data manager in Odense approved."""
    book = MappingBook()
    for source, file in (("patientliste", PATIENTS), ("laboratorium", LABORATORY)):
        book.source(
            source, system="csv", file=file, format="delimited", encoding="utf-8", delimiter=";",
            decimal=",", date_order="DMY", missing="-", id_column="Patientnummer",
        )  # fmt: skip
    for block in BLOCKS:
        book.source(
            block, system="phenopackets", file="phenopackets/*.json", format="phenopackets",
            sheet=block, decimal=".", date_order="YMD", id_column="subject_id",
        )  # fmt: skip
    _map_patient_list(book)
    _map_subjects(book)
    _map_features(book)
    _map_blocks(book)
    why = "not used here, or said by another column"
    for name, columns in BLOCKS.items():
        book.ignore_rest(name, columns.columns, "not_needed", why)
    return book


def _map_patient_list(book: MappingBook) -> None:
    """Map the patient list and the laboratory's file."""
    source = "patientliste"
    days = {"birth_date": "Fødselsdato", "first_contact_date": "Første kontakt"}
    book.copies("person", source, days, "date")
    book.field("person", "family_id", source, "Familienummer", "copy")
    book.field("person", "country_of_care", source, "", "const", arg="DK")
    said = {"ja": "true", "nej": "false"}
    for name, column, values in (
        ("sex_at_birth", "Køn", turn(SEX)),
        ("is_proband", "Indekspatient", said),
        ("consanguinity", "Forældre beslægtede", turn(YES_NO)),
        ("consent_reuse", "Samtykke", turn(YES_NO)),
        ("history_complete_from_birth", "Fuldstændig anamnese", said),
    ):
        book.recode("person", name, source, column, values)
    book.ignore(source, "identifier", ["Fornavn", "Efternavn", "CPR-nummer", "Telefon"])
    book.ignore(source, "free_text", ["Bemærkning"])
    source = "laboratorium"
    names = {lab[0]: analyte for analyte, lab in LABS.items()}
    book.recode("lab_measurement", "analyte", source, "Analyse", names)
    book.field("lab_measurement", "sample_date", source, "Prøvedato", "date")
    book.field("lab_measurement", "value", source, "Resultat", "number", arg="unit_column=Enhed")
    book.ignore(source, "free_text", ["Rekvirent"])


def _map_subjects(book: MappingBook) -> None:
    """Map the state at last contact; who the patient is stands in the patient list."""
    table, source = "death_followup", "subjects"
    book.recode(table, "vital_status", source, "vital_status", turn(VITAL))
    days = {"last_contact_date": "last_encounter_date", "death_date": "death_date"}
    book.copies(table, source, days, "date")
    book.recode(table, "cause", source, "cause_of_death_label", turn(CAUSE))
    book.ignore(source, "derived", ["sex", "date_of_birth"], "read from the patient list")


def _map_features(book: MappingBook) -> None:
    """Map phenotypic features: complications and fractures."""
    source = "features"
    bones = {code: bone for bone, (code, _) in BONE.items()}
    sides = {code: side for side, (code, _) in SIDE.items()}
    findings = {hpo: hpo for hpo in FINDINGS}
    skip_bones, skip_findings = dict.fromkeys(bones, "skip"), dict.fromkeys(findings, "skip")
    book.recode("complication", "hpo_id", source, "hpo_id", findings | skip_bones)
    book.field("complication", "status", source, "status", "copy")
    book.field("complication", "onset_age_y", source, "onset_age_iso", "number", unit="iso8601")
    book.recode("fracture", "bone_site", source, "hpo_id", bones | skip_findings)
    book.recode("fracture", "laterality", source, "laterality_id", sides)
    book.field("fracture", "fracture_date", source, "onset_date", "date")
    book.not_collected("fracture", ["trauma_level", "pattern", "treatment", "healing_outcome"])


def _map_blocks(book: MappingBook) -> None:
    """Map diseases, variants, measurements and procedures."""
    subtypes = {_disease(name)[0]: name for name in DICTIONARY.codelists["dx_subtype"].codes}
    book.recode("diagnosis", "dx_subtype", "diseases", "term_id", subtypes)
    book.field("diagnosis", "onset_age_y", "diseases", "onset_age_iso", "number", unit="iso8601")
    book.not_collected("diagnosis", ["dx_status", "dx_date", "severity", "orpha_code"])
    copied = ("gene_symbol", "transcript", "hgvs_c", "hgvs_p")
    book.copies("variant", "variants", {name: name for name in copied}, "copy")
    book.recode("variant", "zygosity", "variants", "zygosity_id", turn(ZYGOSITY))
    acmg = {text: str(number) for number, text in ACMG.items()}
    book.recode("variant", "acmg_class", "variants", "acmg", acmg)
    status = {"CAUSATIVE": "causative"}
    book.recode("variant", "interpretation_status", "variants", "interpretation_status", status)
    book.not_collected("variant", ["variant_class"])
    regions = {code: region for region, (code, _) in REGION.items()}
    book.recode("imaging_bmd", "region", "measurements", "assay_id", regions)
    book.field("imaging_bmd", "modality", "measurements", "", "const", arg="DXA")
    book.field("imaging_bmd", "z_score", "measurements", "value", "number")
    book.field("imaging_bmd", "scan_date", "measurements", "observed_date", "date")
    book.not_collected("imaging_bmd", ["t_score", "bmd_g_cm2", "device_vendor"])
    donors = {code: donor for donor, (code, _) in DONOR.items()}
    book.recode("hsct", "donor_type", "procedures", "procedure_id", donors)
    book.field("hsct", "hsct_date", "procedures", "performed_date", "date")
    lacking = ["stem_cell_source", "primary_graft_failure", "outcome_status", "outcome_date"]
    book.not_collected("hsct", lacking)


def _records(patients: Patients) -> Patients:
    """Return the patients unchanged: the export leaves out what a phenopacket cannot hold."""
    return patients


CENTRE = Centre(
    id="odense",
    name="Fiktivt center Odense",
    country="DK",
    language="da",
    prefix="OUH",
    severity=0.5,
    workbook=False,
    records=_records,
    export=export,
    mapping=mapping,
)
