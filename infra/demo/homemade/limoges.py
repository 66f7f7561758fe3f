"""Limoges: a secretary's workbook, with titles, merged headings, totals, a unit that is lacking."""

from dataclasses import replace
from pathlib import Path

import numpy as np

from infra.demo.centre import one_per_patient, statuses, visits_of
from infra.demo.columns import Columns, Patients
from infra.demo.homemade.files import write_workbook
from infra.demo.homemade.table import Column, Hand, Sheet, grouped
from infra.demo.raw import spread


__all__ = ["sheets", "write"]

FILE = "base_os_de_marbre.xlsx"
LEGEND = (
    "Lisez-moi",
    ("Base tenue par le secrétariat. Données fictives.",
     "O = oui, N = non, NF = non fait, PDV = perdu de vue, DCD = décédé"),
)  # fmt: skip
EXCEL_EPOCH = np.datetime64("1899-12-30")
# Words of the house. Some are in no list: a person has to say what they mean.
SEX = {"female": "F", "male": "H"}
YES = {"yes": "oui", "no": "non", "unknown": "?"}
FOUND = {"present": "O", "excluded": "N", "unknown": "?"}
KINDS = {
    "ADO2": "Albers-Schönberg", "ADO1": "ADO1", "PYCNO": "pycno", "CA2D": "CA II",
    "CARRIER_UNAFFECTED": "apparenté sain porteur", "OPT_ANY": "ostéopétrose", "XLO": "OL-EDA-ID",
    "LAD3": "LAD III", "ARO_TCIRG1": "maligne TCIRG1", "ARO_CLCN7": "maligne CLCN7",
    "ARO_OSTM1": "maligne OSTM1", "ARO_SNX10": "maligne SNX10", "ARO_TNFRSF11A": "maligne RANK",
    "ARO_TNFSF11": "maligne RANKL",
}  # fmt: skip
PROOF = {"confirmed_genetic": "génétique", "confirmed_radiographic": "radios"}
ZYGOSITY = {
    "heterozygous": "htz", "homozygous": "hmz", "compound_heterozygous": "htz composite",
    "hemizygous": "hémizygote",
}  # fmt: skip
VITAL = {"alive": "vivant", "dead": "DCD", "lost": "PDV"}
BONES = {
    "femur_neck": "col du fémur", "femur_subtroch": "fémur sous-troch.",
    "femur_shaft": "fémur (diaphyse)", "femur_distal": "fémur bas", "tibia": "tibia",
    "humerus": "humérus", "radius_ulna": "avant-bras", "foot": "pied", "hand": "main",
    "vertebra": "vertèbre", "rib": "côte", "clavicle": "clavicule", "pelvis": "bassin",
}  # fmt: skip
SIDES = {"left": "G", "right": "D", "not_applicable": ""}
CHOCK = {"none": "sans choc", "low": "chute simple", "high": "accident", "unknown": "?"}
HEALED = {
    "union": "consolidée", "delayed_union": "lente", "nonunion": "pseudarthrose",
    "ongoing": "en cours",
}  # fmt: skip
FINDINGS = {
    "HP:0000572": "Baisse vision", "HP:0000365": "Surdité", "HP:0005528": "Insuff. médullaire",
    "HP:0007626": "Ostéite mandibulaire", "HP:0030757": "Abcès dentaire",
}  # fmt: skip
# analyte → name, factor from the canonical unit, digits, unit; the third has none in its name
LABS = {
    "hemoglobin": ("Hb (g/dL)", 0.1, 1, "g/dL"),
    "platelets": ("Plaquettes (G/L)", 1.0, 0, "G/L"),
    "calcium": ("Calcium", 40.07807208, 1, "mg/L"),
    "pth": ("PTH (pg/mL)", 9.424715374, 1, "pg/mL"),
    "vitamin_d_25oh": ("25 OH vit. D (ng/mL)", 0.4006400626, 1, "ng/mL"),
}


def sheets(p: Patients, rng: np.random.Generator) -> list[Sheet]:
    """Return the three tables."""
    hand = Hand(rng, day="{d}/{m}/{y}")
    return [_patients(p, hand), _fractures(p, hand), _laboratory(p, hand)]


def write(inbox: Path, made: list[Sheet]) -> None:
    """Write the workbook."""
    write_workbook(inbox, LEGEND, made)


def _title(name: str) -> tuple[str, ...]:
    """Return what stands above a table."""
    return (f"{name} : base « os de marbre »", "mise à jour juin 2026", "")


def _patients(p: Patients, hand: Hand) -> Sheet:
    """Return the first sheet."""
    person, size = p.person, len(p.person)
    one = p["variant"].take(p["variant"]["allele"] == 1)
    two = p["variant"].take(p["variant"]["allele"] == 2)
    onset = one_per_patient(p, "diagnosis", "onset_age")
    second = hand.text("Mutation 2", "variant.hgvs_c", spread(size, two["person"], two["hgvs_c"]))
    columns = (
        *grouped(
            "Identité",
            hand.identifier("N° dossier", person["local_id"]),
            hand.left("Nom", person["family_name"]),
            hand.left("Prénom", person["given"]),
            hand.left("Tél.", person["phone"]),
            hand.date("DDN", "person.birth_date", person["birth"]),
            hand.coded("Sexe", "person.sex_at_birth", person["sex"], SEX),
            hand.coded("Accord recherche", "person.consent_reuse", person["consent"], YES),
            hand.date("1ère venue", "person.first_contact_date", person["first_contact"]),
        ),
        *grouped(
            "Maladie",
            hand.coded("Type", "diagnosis.dx_subtype", person["subtype"], KINDS),
            hand.coded(
                "Preuve", "diagnosis.dx_status", one_per_patient(p, "diagnosis", "status"), PROOF
            ),
            hand.number("Début (mois)", "diagnosis.onset_age_y", onset, 1, 12, "mo"),
            hand.date(
                "Date diagnostic", "diagnosis.dx_date", one_per_patient(p, "diagnosis", "date")
            ),
            hand.text("Gène", "variant.gene_symbol", spread(size, one["person"], one["gene"])),
            hand.text("Mutation 1", "variant.hgvs_c", spread(size, one["person"], one["hgvs_c"])),
            replace(second, repeat=2),
            hand.coded(
                "Zygotie", "variant.zygosity", spread(size, one["person"], one["zygosity"]),
                ZYGOSITY,
            ),
        ),
        *grouped(
            "Atteintes (O/N)",
            *(
                hand.coded(name, f"complication.status[{hpo}]", statuses(p)[hpo], FOUND)
                for hpo, name in FINDINGS.items()
            ),
        ),
        *grouped("Suivi", *_followup(p, hand)),
    )  # fmt: skip
    return Sheet(FILE, "Patients", np.arange(size), columns, _title("Patients"), "Total")


def _followup(p: Patients, hand: Hand) -> tuple[Column, ...]:
    """Return what became of the patients."""
    vital, last, death = (
        one_per_patient(p, "followup", name) for name in ("vital_status", "last_contact", "death")
    )
    return (
        hand.coded("Statut", "death_followup.vital_status", vital, VITAL),
        hand.date("Dernière consult.", "death_followup.last_contact_date", last),
        hand.date("Décédé le", "death_followup.death_date", death),
        hand.left("Remarques", p.person["note"]),
    )


def _fractures(p: Patients, hand: Hand) -> Sheet:
    """Return the second sheet."""
    rows = p["fracture"]
    columns = (
        hand.identifier("N° dossier", p.person["local_id"][rows["person"]]),
        hand.date("Date", "fracture.fracture_date", rows["date"]),
        hand.coded("Os cassé", "fracture.bone_site", rows["bone"], BONES),
        hand.coded("Côté", "fracture.laterality", rows["side"], SIDES),
        hand.coded("Circonstances", "fracture.trauma_level", rows["trauma"], CHOCK),
        hand.coded("Devenir", "fracture.healing_outcome", rows["healing"], HEALED),
    )
    return Sheet(FILE, "Fractures", rows["person"], columns, _title("Fractures"))


def _laboratory(p: Patients, hand: Hand) -> Sheet:
    """Return the third sheet: one row per sample, dates as Excel counts days."""
    labs: Columns = p["lab"]
    samples, sample_of = visits_of(labs)
    drawn = hand.date("Prélevé le", "lab_measurement.sample_date", samples["date"], arg="excel")
    days = (samples["date"] - EXCEL_EPOCH).astype(int).astype(object)
    nothing = replace(hand, blank="NF")
    columns = [
        hand.identifier("N° dossier", p.person["local_id"][samples["person"]]),
        replace(drawn, texts=days),
    ]
    for analyte, (name, factor, digits, unit) in LABS.items():
        rows = labs["analyte"] == analyte
        values = spread(len(samples), sample_of[rows], labs["value"][rows])
        target = f"lab_measurement.value[{analyte}]"
        columns.append(nothing.number(name, target, values, digits, factor, unit))
    title = _title("Biologie")
    return Sheet(FILE, "Biologie", samples["person"], tuple(columns), title, "Moyenne")
