"""Lyon: a French Excel workbook of three sheets, decimal comma, JJ/MM/AAAA, calcium in mg/L."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from infra.demo.centre import Centre, first_scans, one_per_patient, statuses, turn, visits_of
from infra.demo.columns import Array, Columns, Patients
from infra.demo.mapping_book import MappingBook
from infra.demo.raw import Place, dates, numbers, rows_of, save_workbook, spread, tick, words


__all__ = ["CENTRE"]

FILE = "registre_osteopetrose_2026.xlsx"
TITLES = {
    "patients": "Registre osteopétrose, données fictives : une ligne par patient",
    "fractures": "Une ligne par fracture",
    "biologie": "Une ligne par prélèvement",
}
HEADER_ROW = 3
DAY = "{d}/{m}/{y}"

SEX = {"female": "F", "male": "H"}
YES_NO = {"yes": "oui", "no": "non", "unknown": "NSP"}
STATUS = {"present": "oui", "excluded": "non", "unknown": "NSP"}
SUBTYPE = {
    "ADO2": "ADO type II (Albers-Schönberg)",
    "CARRIER_UNAFFECTED": "porteur sain CLCN7",
    "ADO1": "ADO type I / LRP5",
    "PYCNO": "pycnodysostose",
    "CA2D": "déficit en anhydrase carbonique II",
    "XLO": "OL-EDA-ID",
    "LAD3": "LAD III",
    "ARO_TCIRG1": "OPR TCIRG1",
    "ARO_CLCN7": "OPR CLCN7",
    "ARO_OSTM1": "OPR OSTM1",
    "ARO_SNX10": "OPR SNX10",
    "ARO_TNFRSF11A": "OPR RANK",
    "ARO_TNFSF11": "OPR RANKL",
    "OPT_ANY": "ostéopétrose sans gène identifié",
}
DX_STATUS = {"confirmed_genetic": "génétique", "confirmed_radiographic": "radiologique"}
SEVERITY = {"mild": "légère", "moderate": "modérée", "severe": "sévère"}
ZYGOSITY = {
    "heterozygous": "hétérozygote",
    "homozygous": "homozygote",
    "compound_heterozygous": "hétérozygote composite",
    "hemizygous": "hémizygote",
}
KIND = {
    "missense": "faux-sens",
    "nonsense": "non-sens",
    "frameshift": "décalage",
    "splice": "épissage",
}
FINDING = {
    "HP:0000572": "Baisse AV",
    "HP:0000365": "Surdité",
    "HP:0005528": "Insuffisance médullaire",
    "HP:0001433": "Hépatosplénomégalie",
    "HP:0002901": "Hypocalcémie",
    "HP:0007626": "Ostéomyélite mandibulaire",
    "HP:0030757": "Abcès dentaire",
    "HP:0008843": "Coxarthrose",
    "HP:0002650": "Scoliose",
    "HP:0001947": "Acidose tubulaire",
    "HP:0002514": "Calcifications cérébrales",
    "HP:0002719": "Infections récidivantes",
}
DONOR = {
    "MSD": "fratrie HLA identique",
    "MRD": "apparenté compatible",
    "MUD": "non apparenté compatible",
    "haplo": "haplo-identique",
    "MMUD": "non apparenté incompatible",
}
CELLS = {"BM": "moelle", "PB": "CSP", "UCB": "sang placentaire"}
VITAL = {"alive": "vivant", "dead": "décédé", "lost": "perdu de vue"}
CAUSE = {
    "infection": "infection",
    "haemorrhage": "hémorragie",
    "marrow_failure": "insuffisance médullaire",
    "transplant_related": "liée à la greffe",
    "unrelated": "sans rapport",
    "unknown": "inconnue",
}
BONE = {
    "femur_neck": "col fémoral",
    "femur_subtroch": "fémur sous-trochantérien",
    "femur_shaft": "diaphyse fémorale",
    "femur_distal": "fémur distal",
    "tibia": "tibia",
    "humerus": "humérus",
    "radius_ulna": "avant-bras",
    "foot": "pied",
    "hand": "main",
    "vertebra": "vertèbre",
    "rib": "côte",
    "clavicle": "clavicule",
    "pelvis": "bassin",
}
SIDE = {"left": "G", "right": "D", "not_applicable": "sans objet"}
TRAUMA = {"none": "spontanée", "low": "faible énergie", "high": "haute énergie", "unknown": "NSP"}
PATTERN = {
    "transverse": "transversal",
    "oblique": "oblique",
    "spiral": "spiroïde",
    "comminuted": "comminutif",
    "compression": "tassement",
    "unknown": "NSP",
}
TREATMENT = {
    "conservative": "orthopédique",
    "plate": "plaque",
    "im_nail": "clou centromédullaire",
    "screws": "vis",
    "arthroplasty": "prothèse",
}
HEALING = {
    "union": "consolidée",
    "delayed_union": "retard de consolidation",
    "nonunion": "pseudarthrose",
    "ongoing": "en cours",
}
# analyte → column, unit that the mapping declares, factor from the canonical unit, digits
LABS: Mapping[str, tuple[str, str, float, int]] = {
    "hemoglobin": ("Hb (g/dL)", "g/dL", 0.1, 1),
    "platelets": ("Plaquettes (G/L)", "G/L", 1.0, 0),
    "calcium": ("Calcémie (mg/L)", "mg/L", 1 / 0.0249513, 1),
    "phosphate": ("Phosphatémie (mmol/L)", "mmol/L", 1.0, 2),
    "alp": ("PAL (UI/L)", "UI/L", 1.0, 0),
    "pth": ("PTH (pg/mL)", "pg/mL", 1 / 0.106104, 1),
    "vitamin_d_25oh": ("25-OH vit D (ng/mL)", "ng/mL", 1 / 2.496006, 1),
    "creatinine": ("Créatininémie (µmol/L)", "µmol/L", 1.0, 0),
    "ldh": ("LDH (UI/L)", "UI/L", 1.0, 0),
    "bicarbonate": ("Bicarbonates (mmol/L)", "mmol/L", 1.0, 1),
}


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
        "Sexe": words(person["sex"], SEX),
        "N° famille": _family(person),
        "Cas index": tick(person["proband"], "oui", "non"),
        "Consanguinité": words(person["consanguinity"], YES_NO),
        "Consentement réutilisation": words(person["consent"], YES_NO),
        "Première consultation": dates(person["first_contact"], DAY),
        "Histoire complète": tick(person["history_complete"], "oui", "non"),
        **_diagnosis(p),
        **_genes(p),
        **{name: words(statuses(p)[hpo], STATUS) for hpo, name in FINDING.items()},
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
        "Diagnostic": words(one_per_patient(p, "diagnosis", "subtype"), SUBTYPE),
        "Certitude": words(one_per_patient(p, "diagnosis", "status"), DX_STATUS),
        "Âge premiers signes (ans)": numbers(one_per_patient(p, "diagnosis", "onset_age"), 2, ","),
        "Date du diagnostic": dates(one_per_patient(p, "diagnosis", "date"), DAY),
        "Gravité": words(one_per_patient(p, "diagnosis", "severity"), SEVERITY),
    }


def _genes(p: Patients) -> dict[str, Array]:
    """Return the columns about the gene, and the two alleles side by side."""
    size, rows = len(p.person), p["variant"]
    one, two = rows.take(rows["allele"] == 1), rows.take(rows["allele"] == 2)
    return {
        "Gène": spread(size, one["person"], one["gene"]),
        "Transcrit": spread(size, one["person"], one["transcript"]),
        "Zygotie": words(spread(size, one["person"], one["zygosity"]), ZYGOSITY),
        "Variant 1": spread(size, one["person"], one["hgvs_c"]),
        "Protéine 1": spread(size, one["person"], one["hgvs_p"]),
        "Type variant 1": words(spread(size, one["person"], one["kind"]), KIND),
        "ACMG 1": words(spread(size, one["person"], one["acmg"].astype(str)), {}),
        "Variant 2": spread(size, two["person"], two["hgvs_c"]),
        "Protéine 2": spread(size, two["person"], two["hgvs_p"]),
        "Gène variant 2": spread(size, two["person"], two["gene"]),
        "Zygotie variant 2": words(spread(size, two["person"], two["zygosity"]), ZYGOSITY),
        "Type variant 2": words(spread(size, two["person"], two["kind"]), KIND),
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
        "Donneur": words(one_per_patient(p, "hsct", "donor"), DONOR),
        "Source CSH": words(one_per_patient(p, "hsct", "cells"), CELLS),
        "Statut vital": words(one_per_patient(p, "followup", "vital_status"), VITAL),
        "Date des dernières nouvelles": dates(one_per_patient(p, "followup", "last_contact"), DAY),
        "Date de décès": dates(one_per_patient(p, "followup", "death"), DAY),
        "Cause du décès": words(one_per_patient(p, "followup", "cause"), CAUSE),
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
        "Os": words(rows["bone"], BONE),
        "Côté": words(rows["side"], SIDE),
        "Énergie": words(rows["trauma"], TRAUMA),
        "Trait": words(rows["pattern"], PATTERN),
        "Traitement": words(rows["treatment"], TREATMENT),
        "Évolution": words(rows["healing"], HEALING),
        "Remarque": np.where(who % 7 == 0, p.person["note"][who], ""),
    }


def _laboratory(p: Patients, visits: Columns, visit_of: Array) -> dict[str, Array]:
    """Return the columns of the sheet `biologie`: one row per sample, one column per analyte."""
    labs = p["lab"]
    columns = {
        "IPP": p.person["local_id"][visits["person"]],
        "Date prélèvement": dates(visits["date"], DAY),
    }
    for analyte, (column, _, factor, digits) in LABS.items():
        rows = labs["analyte"] == analyte
        values = spread(len(visits), visit_of[rows], labs["value"][rows] * factor)
        mark = spread(len(visits), visit_of[rows], labs["decimal_point"][rows], blank=False)
        text = numbers(values, digits, ",")
        columns[column] = np.where(mark.astype(bool), numbers(values, digits, "."), text)
    return columns


def mapping() -> MappingBook:
    """Return the mapping that a data manager in Lyon approved."""
    book = MappingBook()
    for source in ("patients", "fractures", "biologie"):
        book.source(
            source, system="excel", file="registre_osteopetrose_*.xlsx", format="excel",
            sheet=source, header_row=str(HEADER_ROW), decimal=",", date_order="DMY",
            missing="NR;-", id_column="IPP",
        )  # fmt: skip
    book.source(
        "patients_allele_2", system="excel", file="registre_osteopetrose_*.xlsx", format="excel",
        sheet="patients", header_row=str(HEADER_ROW), decimal=",", date_order="DMY",
        missing="NR;-", id_column="IPP", comment="the second allele of a compound heterozygote",
    )  # fmt: skip
    _map_person(book)
    _map_genes(book)
    _map_findings(book)
    _map_course(book)
    _map_fractures(book)
    _map_laboratory(book)
    return book


def _map_person(book: MappingBook) -> None:
    """Map who the patient is and the diagnosis."""
    book.copies(
        "person", "patients",
        {"birth_date": "Date naissance", "first_contact_date": "Première consultation"}, "date",
    )  # fmt: skip
    book.field("person", "family_id", "patients", "N° famille", "copy")
    book.field("person", "country_of_care", "patients", "", "const", arg="FR")
    book.recode("person", "sex_at_birth", "patients", "Sexe", turn(SEX))
    book.recode("person", "is_proband", "patients", "Cas index", {"oui": "true", "non": "false"})
    book.recode("person", "consanguinity", "patients", "Consanguinité", turn(YES_NO))
    book.recode("person", "consent_reuse", "patients", "Consentement réutilisation", turn(YES_NO))
    book.recode(
        "person", "history_complete_from_birth", "patients", "Histoire complète",
        {"oui": "true", "non": "false"},
    )  # fmt: skip
    book.recode("diagnosis", "dx_subtype", "patients", "Diagnostic", turn(SUBTYPE))
    book.recode("diagnosis", "dx_status", "patients", "Certitude", turn(DX_STATUS))
    book.recode("diagnosis", "severity", "patients", "Gravité", turn(SEVERITY))
    book.field(
        "diagnosis", "onset_age_y", "patients", "Âge premiers signes (ans)", "number", unit="a"
    )
    book.field("diagnosis", "dx_date", "patients", "Date du diagnostic", "date")
    book.field("diagnosis", "dx_rank", "patients", "", "const", arg="1")
    book.not_collected("diagnosis", ["orpha_code"])
    book.ignore("patients", "identifier", ["Nom", "Prénom", "NIR", "Téléphone", "Courriel"])
    book.ignore("patients", "free_text", ["Commentaire"])
    book.ignore("fractures", "free_text", ["Remarque"])


def _map_genes(book: MappingBook) -> None:
    """Map both alleles: the second from the same sheet, read once more."""
    for source, number in (("patients", "1"), ("patients_allele_2", "2")):
        other = "" if number == "1" else " variant 2"
        book.field("variant", "gene_symbol", source, f"Gène{other}", "copy")
        book.recode("variant", "zygosity", source, f"Zygotie{other}", turn(ZYGOSITY))
        book.field("variant", "hgvs_c", source, f"Variant {number}", "copy")
        book.field("variant", "hgvs_p", source, f"Protéine {number}", "copy")
        book.recode("variant", "variant_class", source, f"Type variant {number}", turn(KIND))
    book.field("variant", "transcript", "patients", "Transcrit", "copy")
    book.field("variant", "acmg_class", "patients", "ACMG 1", "copy")
    second = ["Gène variant 2", "Zygotie variant 2", "Variant 2", "Protéine 2", "Type variant 2"]
    book.ignore("patients", "not_needed", second, "read by the source patients_allele_2")
    book.ignore_rest(
        "patients_allele_2", PATIENT_COLUMNS, "not_needed", "read by the source patients"
    )


def _map_findings(book: MappingBook) -> None:
    """Map complications and densitometry, which stand in columns of their own."""
    for hpo, column in FINDING.items():
        book.recode("complication", f"status[{hpo}]", "patients", column, turn(STATUS))
    book.field("imaging_bmd", "scan_date", "patients", "Date DXA", "date")
    book.field("imaging_bmd", "modality", "patients", "", "const", arg="DXA")
    book.field("imaging_bmd", "device_vendor", "patients", "", "const", arg="hologic")
    for region, word in (("lumbar_spine", "rachis"), ("total_hip", "hanche")):
        for name, column, unit in (
            ("z_score", "Z-score {}", ""),
            ("t_score", "T-score {}", ""),
            ("bmd_g_cm2", "DMO {} (g/cm²)", "g/cm2"),
        ):
            book.field(
                "imaging_bmd", f"{name}[{region}]", "patients", column.format(word), "number",
                unit=unit,
            )  # fmt: skip


def _map_course(book: MappingBook) -> None:
    """Map transplant, follow-up and death."""
    book.field("hsct", "hsct_date", "patients", "Date greffe CSH", "date")
    book.recode("hsct", "donor_type", "patients", "Donneur", turn(DONOR))
    book.recode("hsct", "stem_cell_source", "patients", "Source CSH", turn(CELLS))
    book.not_collected("hsct", ["primary_graft_failure", "outcome_status", "outcome_date"])
    book.recode("death_followup", "vital_status", "patients", "Statut vital", turn(VITAL))
    book.copies(
        "death_followup", "patients",
        {"last_contact_date": "Date des dernières nouvelles", "death_date": "Date de décès"},
        "date",
    )  # fmt: skip
    book.recode("death_followup", "cause", "patients", "Cause du décès", turn(CAUSE))


def _map_fractures(book: MappingBook) -> None:
    """Map the sheet of fractures."""
    book.field("fracture", "fracture_date", "fractures", "Date fracture", "date")
    for name, column, values in (
        ("bone_site", "Os", BONE),
        ("laterality", "Côté", SIDE),
        ("trauma_level", "Énergie", TRAUMA),
        ("pattern", "Trait", PATTERN),
        ("treatment", "Traitement", TREATMENT),
        ("healing_outcome", "Évolution", HEALING),
    ):
        book.recode("fracture", name, "fractures", column, turn(values))


def _map_laboratory(book: MappingBook) -> None:
    """Map the sheet of blood samples: one column per analyte, units in the header."""
    book.field("lab_measurement", "sample_date", "biologie", "Date prélèvement", "date")
    for analyte, (column, unit, _, _) in LABS.items():
        book.field("lab_measurement", f"value[{analyte}]", "biologie", column, "number", unit=unit)


PATIENT_COLUMNS = (
    "IPP", "Nom", "Prénom", "NIR", "Téléphone", "Courriel", "Date naissance", "Sexe", "N° famille",
    "Cas index", "Consanguinité", "Consentement réutilisation", "Première consultation",
    "Histoire complète", "Diagnostic", "Certitude", "Âge premiers signes (ans)",
    "Date du diagnostic", "Gravité", "Gène", "Transcrit", "Zygotie", "Variant 1", "Protéine 1",
    "Type variant 1", "ACMG 1", *FINDING.values(), "Date DXA", "Z-score rachis", "T-score rachis",
    "DMO rachis (g/cm²)", "Z-score hanche", "T-score hanche", "DMO hanche (g/cm²)",
    "Date greffe CSH", "Donneur", "Source CSH", "Statut vital", "Date des dernières nouvelles",
    "Date de décès", "Cause du décès", "Commentaire",
)  # fmt: skip

CENTRE = Centre(
    id="lyon",
    name="Centre fictif de Lyon",
    country="FR",
    language="fr",
    prefix="LYO",
    severity=1.0,
    workbook=True,
    records=first_scans,
    export=export,
    mapping=mapping,
)
