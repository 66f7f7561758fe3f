"""Ulm: German CSV files with semicolons in Windows-1252, TT.MM.JJJJ, a laboratory in long form."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from infra.demo.centre import Centre, one_per_patient, statuses, turn
from infra.demo.columns import Array, Patients
from infra.demo.mapping_book import MappingBook
from infra.demo.raw import Place, dates, numbers, rows_of, tick, words, write_csv


__all__ = ["CENTRE"]

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

SEX = {"female": "w", "male": "m"}
YES_NO = {"yes": "ja", "no": "nein", "unknown": "unbekannt"}
STATUS = {"present": "ja", "excluded": "nein", "unknown": "k.A."}
SUBTYPE = {
    "ADO2": "ADO2 (M. Albers-Schönberg)",
    "CARRIER_UNAFFECTED": "gesunder Anlageträger",
    "ADO1": "LRP5-High-Bone-Mass",
    "PYCNO": "Pyknodysostose",
    "CA2D": "Carboanhydrase-II-Mangel",
    "XLO": "OL-EDA-ID",
    "LAD3": "LAD-III",
    "ARO_TCIRG1": "ARO/TCIRG1",
    "ARO_CLCN7": "ARO/CLCN7",
    "ARO_OSTM1": "ARO/OSTM1",
    "ARO_SNX10": "ARO/SNX10",
    "ARO_TNFRSF11A": "ARO/RANK",
    "ARO_TNFSF11": "ARO/RANKL",
    "OPT_ANY": "Osteopetrose ohne Gennachweis",
}
DX_STATUS = {"confirmed_genetic": "molekulargenetisch", "confirmed_radiographic": "radiologisch"}
SEVERITY = {"mild": "leicht", "moderate": "mittel", "severe": "schwer"}
ZYGOSITY = {
    "heterozygous": "heterozygot",
    "homozygous": "homozygot",
    "compound_heterozygous": "compound-heterozygot",
    "hemizygous": "hemizygot",
}
KIND = {
    "missense": "Missense",
    "nonsense": "Nonsense",
    "frameshift": "Leserasterverschiebung",
    "splice": "Spleißvariante",
}
FINDING = {
    "HP:0000572": "Sehverlust",
    "HP:0000365": "Schwerhörigkeit",
    "HP:0005528": "Knochenmarkversagen",
    "HP:0001433": "Hepatosplenomegalie",
    "HP:0002901": "Hypokalzämie",
    "HP:0007626": "Kieferosteomyelitis",
    "HP:0030757": "Zahnabszess",
    "HP:0008843": "Coxarthrose",
    "HP:0002650": "Skoliose",
    "HP:0001947": "Renale tubuläre Azidose",
    "HP:0002514": "Hirnverkalkung",
    "HP:0002719": "Rezidivierende Infekte",
}
VITAL = {"alive": "lebt", "dead": "verstorben", "lost": "Kontakt verloren"}
CAUSE = {
    "infection": "Infektion",
    "haemorrhage": "Blutung",
    "marrow_failure": "Knochenmarkversagen",
    "transplant_related": "Transplantation",
    "unrelated": "andere Ursache",
    "unknown": "unbekannt",
}
DONOR = {
    "MSD": "HLA-ident. Geschwister",
    "MRD": "HLA-ident. verwandt",
    "MUD": "HLA-ident. fremd",
    "haplo": "haploident",
    "MMUD": "nicht HLA-ident. fremd",
}
CELLS = {"BM": "KM", "PB": "PBSZ", "UCB": "NSB"}
OUTCOME = {"alive": "lebt", "dead": "verstorben"}
BONE = {
    "femur_neck": "Schenkelhals",
    "femur_subtroch": "Femur subtrochantär",
    "femur_shaft": "Femurschaft",
    "femur_distal": "Femur distal",
    "tibia": "Tibia",
    "humerus": "Humerus",
    "radius_ulna": "Unterarm",
    "foot": "Fuß",
    "hand": "Hand",
    "vertebra": "Wirbel",
    "rib": "Rippe",
    "clavicle": "Schlüsselbein",
    "pelvis": "Becken",
}
SIDE = {"left": "li", "right": "re", "not_applicable": "entfällt"}
TRAUMA = {"none": "kein", "low": "Bagatelle", "high": "Hochrasanz", "unknown": "k.A."}
PATTERN = {
    "transverse": "quer",
    "oblique": "schräg",
    "spiral": "Spirale",
    "comminuted": "Trümmer",
    "compression": "Sinterung",
    "unknown": "k.A.",
}
TREATMENT = {
    "conservative": "konservativ",
    "plate": "Platte",
    "im_nail": "Marknagel",
    "screws": "DHS/Schrauben",
    "arthroplasty": "Endoprothese",
}
HEALING = {
    "union": "konsolidiert",
    "delayed_union": "verzögert",
    "nonunion": "Pseudarthrose",
    "ongoing": "noch offen",
}
REGION = {"lumbar_spine": "LWS", "total_hip": "Hüfte gesamt"}
VENDOR = {"ge_lunar": "GE Lunar", "hologic": "Hologic"}
# analyte → parameter, unit as printed, factor from the canonical unit, digits
LABS: Mapping[str, tuple[str, str, float, int]] = {
    "hemoglobin": ("Hämoglobin", "g/dl", 0.1, 1),
    "platelets": ("Thrombozyten", "Tsd/µl", 1.0, 0),
    "calcium": ("Kalzium", "mmol/l", 1.0, 2),
    "phosphate": ("Phosphat", "mmol/l", 1.0, 2),
    "alp": ("AP", "U/l", 1.0, 0),
    "pth": ("Parathormon", "pg/ml", 1 / 0.106104, 1),
    "vitamin_d_25oh": ("25-OH-Vitamin D", "ng/ml", 1 / 2.496006, 1),
    "creatinine": ("Kreatinin", "mg/dl", 1 / 88.4017, 2),
    "ldh": ("LDH", "U/l", 1.0, 0),
    "bicarbonate": ("Bikarbonat", "mmol/l", 1.0, 1),
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
        "Geschlecht": words(person["sex"], SEX),
        "Familie": np.array([f"Fam-{number}" for number in person["family"]], dtype=object),
        "Indexpatient": tick(person["proband"], "ja", "nein"),
        "Konsanguinität": words(person["consanguinity"], YES_NO),
        "Einwilligung": words(person["consent"], YES_NO),
        "Erstvorstellung": dates(person["first_contact"], DAY),
        "Anamnese ab Geburt": tick(person["history_complete"], "ja", "nein"),
        "Diagnose": words(one_per_patient(p, "diagnosis", "subtype"), SUBTYPE),
        "Sicherung": words(one_per_patient(p, "diagnosis", "status"), DX_STATUS),
        "Alter Erstmanifestation (Monate)": numbers(
            one_per_patient(p, "diagnosis", "onset_age") * 12, 1, ","
        ),
        "Diagnosedatum": dates(one_per_patient(p, "diagnosis", "date"), DAY),
        "Schweregrad": words(one_per_patient(p, "diagnosis", "severity"), SEVERITY),
        **{name: words(statuses(p)[hpo], STATUS) for hpo, name in FINDING.items()},
        "Vitalstatus": words(one_per_patient(p, "followup", "vital_status"), VITAL),
        "Letzter Kontakt": dates(one_per_patient(p, "followup", "last_contact"), DAY),
        "Sterbedatum": dates(one_per_patient(p, "followup", "death"), DAY),
        "Todesursache": words(one_per_patient(p, "followup", "cause"), CAUSE),
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
        "Zygotie": words(rows["zygosity"], ZYGOSITY),
        "Typ": words(rows["kind"], KIND),
        "ACMG-Klasse": words(rows["acmg"].astype(str), {}),
    }


def _fractures(p: Patients) -> dict[str, Array]:
    """Return the columns of the fractures."""
    rows = p["fracture"]
    who = rows["person"]
    return {
        "Patienten-ID": p.person["local_id"][who],
        "Datum": np.where(rows["date_text"] != "", rows["date_text"], dates(rows["date"], DAY)),
        "Lokalisation": words(rows["bone"], BONE),
        "Seite": words(rows["side"], SIDE),
        "Trauma": words(rows["trauma"], TRAUMA),
        "Frakturtyp": words(rows["pattern"], PATTERN),
        "Therapie": words(rows["treatment"], TREATMENT),
        "Heilung": words(rows["healing"], HEALING),
        "Freitext": np.where(who % 9 == 0, p.person["note"][who], ""),
    }


def _laboratory(p: Patients) -> dict[str, Array]:
    """Return the columns of the laboratory: one row per value, with its unit."""
    rows = p["lab"]
    value = np.empty(len(rows), dtype=object)
    for analyte, (_, _, factor, digits) in LABS.items():
        here = rows["analyte"] == analyte
        value[here] = numbers(rows["value"][here] * factor, digits, ",")
    point = rows["decimal_point"]
    value[point] = [text.replace(",", ".") for text in value[point]]
    return {
        "Patienten-ID": p.person["local_id"][rows["person"]],
        "Abnahmedatum": dates(rows["date"], DAY),
        "Parameter": words(rows["analyte"], {name: lab[0] for name, lab in LABS.items()}),
        "Wert": value,
        "Einheit": words(rows["analyte"], {name: lab[1] for name, lab in LABS.items()}),
    }


def _scans(p: Patients) -> dict[str, Array]:
    """Return the columns of the densitometry: one row per region and scan."""
    rows = p["bmd"]
    return {
        "Patienten-ID": p.person["local_id"][rows["person"]],
        "Untersuchungsdatum": dates(rows["date"], DAY),
        "Region": words(rows["region"], REGION),
        "Z-Score": numbers(rows["z"], 1, ","),
        "T-Score": numbers(rows["t"], 1, ","),
        "BMD (g/cm²)": numbers(rows["bmd"], 3, ","),
        "Gerät": words(np.where(rows["other_device"], "hologic", "ge_lunar"), VENDOR),
    }


def _transplants(p: Patients) -> dict[str, Array]:
    """Return the columns of the transplants."""
    rows = p["hsct"]
    return {
        "Patienten-ID": p.person["local_id"][rows["person"]],
        "Datum SZT": dates(rows["date"], DAY),
        "Spender": words(rows["donor"], DONOR),
        "Quelle": words(rows["cells"], CELLS),
        "Primäres Transplantatversagen": tick(rows["graft_failure"], "ja", "nein"),
        "Verlauf": words(rows["outcome"], OUTCOME),
        "Stand vom": dates(rows["outcome_date"], DAY),
    }


def mapping() -> MappingBook:
    """Return the mapping that a data manager in Ulm approved."""
    book = MappingBook()
    for source, file in FILES.items():
        book.source(
            SOURCES[source], system="csv", file=file.replace("2026", "*"), format="delimited",
            encoding="cp1252", delimiter=";", decimal=",", date_order="DMY", missing="-;n.d.",
            id_column="Patienten-ID",
        )  # fmt: skip
    _map_person(book)
    _map_diagnosis(book)
    _map_tables(book)
    return book


SOURCES = {
    "person": "patienten",
    "variant": "genetik",
    "fracture": "frakturen",
    "lab": "labor",
    "bmd": "dxa",
    "hsct": "szt",
}
JA_NEIN = {"ja": "true", "nein": "false"}


def _map_person(book: MappingBook) -> None:
    """Map who the patient is."""
    source = "patienten"
    book.copies(
        "person", source,
        {"birth_date": "Geburtsdatum", "first_contact_date": "Erstvorstellung"}, "date",
    )  # fmt: skip
    book.field("person", "family_id", source, "Familie", "copy")
    book.field("person", "country_of_care", source, "", "const", arg="DE")
    for name, column, values in (
        ("sex_at_birth", "Geschlecht", turn(SEX)),
        ("is_proband", "Indexpatient", JA_NEIN),
        ("consanguinity", "Konsanguinität", turn(YES_NO)),
        ("consent_reuse", "Einwilligung", turn(YES_NO)),
        ("history_complete_from_birth", "Anamnese ab Geburt", JA_NEIN),
    ):
        book.recode("person", name, source, column, values)
    book.ignore(source, "identifier", ["Nachname", "Vorname", "KVNR", "Telefon"])
    book.ignore(source, "free_text", ["Bemerkung"])


def _map_diagnosis(book: MappingBook) -> None:
    """Map diagnosis, findings and follow-up, which stand beside the patient."""
    source = "patienten"
    book.recode("diagnosis", "dx_subtype", source, "Diagnose", turn(SUBTYPE))
    book.recode("diagnosis", "dx_status", source, "Sicherung", turn(DX_STATUS))
    book.recode("diagnosis", "severity", source, "Schweregrad", turn(SEVERITY))
    book.field(
        "diagnosis", "onset_age_y", source, "Alter Erstmanifestation (Monate)", "number", unit="mo"
    )
    book.field("diagnosis", "dx_date", source, "Diagnosedatum", "date")
    book.not_collected("diagnosis", ["orpha_code"])
    for hpo, column in FINDING.items():
        book.recode("complication", f"status[{hpo}]", source, column, turn(STATUS))
    book.recode("death_followup", "vital_status", source, "Vitalstatus", turn(VITAL))
    book.recode("death_followup", "cause", source, "Todesursache", turn(CAUSE))
    book.copies(
        "death_followup", source,
        {"last_contact_date": "Letzter Kontakt", "death_date": "Sterbedatum"}, "date",
    )  # fmt: skip


def _map_tables(book: MappingBook) -> None:
    """Map the files that hold one table each."""
    for name, column in {
        "gene_symbol": "Gen", "transcript": "Transkript", "hgvs_c": "Variante",
        "hgvs_p": "Protein", "acmg_class": "ACMG-Klasse",
    }.items():  # fmt: skip
        book.field("variant", name, "genetik", column, "copy")
    book.recode("variant", "zygosity", "genetik", "Zygotie", turn(ZYGOSITY))
    book.recode("variant", "variant_class", "genetik", "Typ", turn(KIND))
    book.field("fracture", "fracture_date", "frakturen", "Datum", "date")
    for name, column, values in (
        ("bone_site", "Lokalisation", BONE),
        ("laterality", "Seite", SIDE),
        ("trauma_level", "Trauma", TRAUMA),
        ("pattern", "Frakturtyp", PATTERN),
        ("treatment", "Therapie", TREATMENT),
        ("healing_outcome", "Heilung", HEALING),
    ):
        book.recode("fracture", name, "frakturen", column, turn(values))
    book.ignore("frakturen", "free_text", ["Freitext"])
    book.recode(
        "lab_measurement", "analyte", "labor", "Parameter",
        {lab[0]: name for name, lab in LABS.items()},
    )  # fmt: skip
    book.field("lab_measurement", "sample_date", "labor", "Abnahmedatum", "date")
    book.field("lab_measurement", "value", "labor", "Wert", "number", arg="unit_column=Einheit")
    book.recode("imaging_bmd", "region", "dxa", "Region", turn(REGION))
    book.field("imaging_bmd", "modality", "dxa", "", "const", arg="DXA")
    book.field("imaging_bmd", "scan_date", "dxa", "Untersuchungsdatum", "date")
    book.copies("imaging_bmd", "dxa", {"z_score": "Z-Score", "t_score": "T-Score"}, "number")
    book.field("imaging_bmd", "bmd_g_cm2", "dxa", "BMD (g/cm²)", "number", unit="g/cm2")
    book.recode("imaging_bmd", "device_vendor", "dxa", "Gerät", turn(VENDOR))
    book.copies("hsct", "szt", {"hsct_date": "Datum SZT", "outcome_date": "Stand vom"}, "date")
    book.recode("hsct", "donor_type", "szt", "Spender", turn(DONOR))
    book.recode("hsct", "stem_cell_source", "szt", "Quelle", turn(CELLS))
    book.recode("hsct", "primary_graft_failure", "szt", "Primäres Transplantatversagen", JA_NEIN)
    book.recode("hsct", "outcome_status", "szt", "Verlauf", turn(OUTCOME))


def _records(patients: Patients) -> Patients:
    """Return the patients unchanged: Ulm records everything."""
    return patients


CENTRE = Centre(
    id="ulm",
    name="Fiktives Zentrum Ulm",
    country="DE",
    language="de",
    prefix="ULM-",
    severity=1.4,
    workbook=True,
    records=_records,
    export=export,
    mapping=mapping,
)
