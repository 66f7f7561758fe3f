"""Rostock: a doctor's workbook, headings over two lines, laboratory values side by side."""

from dataclasses import replace
from pathlib import Path

import numpy as np

from infra.demo.centre import one_per_patient, statuses, visits_of
from infra.demo.columns import Array, Columns, Patients
from infra.demo.homemade.files import write_workbook
from infra.demo.homemade.more import operations, treatments
from infra.demo.homemade.table import Column, Hand, Sheet, grouped
from infra.demo.raw import spread


__all__ = ["sheets", "write"]

FILE = "Osteopetrose_Gesamt_neu2.xlsx"
LEGEND = (
    "Erläuterung",
    ("Erfundene Daten. j = ja, n = nein, u = unbekannt; re/li/bds",
     "OSH = Oberschenkelhals, OS = Oberschenkel, US = Unterschenkel, UA = Unterarm"),
)  # fmt: skip
SEX = {"female": "w", "male": "m"}
AGREED = {"yes": ("j", "ja", "liegt vor"), "no": ("n", "nein"), "unknown": ("u", "offen")}
FOUND = {"present": ("j", "+", "ja"), "excluded": ("n", "-", "nein"), "unknown": ("u", "?", "k.A.")}
KINDS = {
    "ADO2": ("ADO II", "ADO Typ 2", "autosomal-dominant Typ II"), "ADO1": ("ADO I", "ADO Typ 1"),
    "PYCNO": ("Pyknodysostose", "Pykno"), "CA2D": ("CA-II-Mangel", "Carboanhydrase II"),
    "CARRIER_UNAFFECTED": ("Überträger gesund", "Anlageträger o. Sympt."),
    "OPT_ANY": ("Osteopetrose unklar", "Osteopetrose o.n.A."), "XLO": ("OL-EDA-ID", "NEMO"),
    "LAD3": ("LAD III", "Kindlin-3-Defekt"), "ARO_TCIRG1": ("infantil TCIRG1", "ARO (TCIRG1)"),
    "ARO_CLCN7": ("infantil CLCN7", "ARO (CLCN7)"), "ARO_OSTM1": ("infantil OSTM1", "ARO (OSTM1)"),
    "ARO_SNX10": ("infantil SNX10", "ARO (SNX10)"),
    "ARO_TNFRSF11A": ("infantil RANK", "ARO (RANK)"),
    "ARO_TNFSF11": ("infantil RANKL", "ARO (RANKL)"),
}  # fmt: skip
PROOF = {
    "confirmed_genetic": ("molekulargen.", "genet.", "Genetik"),
    "confirmed_radiographic": ("Rö", "röntgenologisch", "Röntgen"),
}
ZYGOSITY = {
    "heterozygous": ("het.", "heteroz.", "het"), "homozygous": ("hom.", "homoz.", "hom"),
    "compound_heterozygous": ("comp.-het.", "cpd. het.", "komp. heterozygot"),
    "hemizygous": ("hemi.", "hemizygot"),
}  # fmt: skip
VITAL = {
    "alive": ("lebt", "am Leben"),
    "dead": ("verst.", "†", "verstorben"),
    "lost": ("LTFU", "nicht mehr in Betreuung"),
}
BONES = {
    "femur_neck": ("OSH", "Schenkelhals", "SH"),
    "femur_subtroch": ("OS subtroch.", "subtrochantär"),
    "femur_shaft": ("OS-Schaft", "Femurschaft"), "femur_distal": ("OS distal", "distales Femur"),
    "tibia": ("Tibia", "US"), "humerus": ("Humerus", "OA", "Oberarm"),
    "radius_ulna": ("UA", "Unterarm"), "foot": ("Fuß", "MFK"), "hand": ("Hand", "MHK"),
    "vertebra": ("WK", "Wirbelkörper"), "rib": ("Rippe", "Rippen"),
    "clavicle": ("Clavicula", "Schlüsselbein"), "pelvis": ("Becken",),
}  # fmt: skip
SIDES = {"left": ("li", "li.", "links"), "right": ("re", "re.", "rechts"), "not_applicable": ""}
CHOCK = {
    "none": ("spontan", "ohne Trauma"),
    "low": ("Sturz", "Bagatelle", "inadäquat"),
    "high": ("Verkehrsunfall", "adäquat", "Hochrasanz"),
    "unknown": ("u", "?"),
}
CARE = {
    "conservative": ("kons.", "konservativ", "Gips"),
    "plate": ("Platte", "Plattenosteosynthese"),
    "im_nail": ("ESIN", "Marknagel", "Nagel"),
    "screws": ("Schrauben", "DHS"),
    "arthroplasty": ("TEP", "Endoprothese"),
}
HEALED = {
    "union": ("verheilt", "konsolidiert", "fest"),
    "delayed_union": ("verzögert", "verz. Heilung"),
    "nonunion": ("Pseudarthrose", "PSA"),
    "ongoing": ("in Heilung", "noch nicht fest"),
}
DONORS = {
    "MSD": ("Geschwister", "MSD", "HLA-id. Geschw."),
    "MRD": ("verwandt", "MFD"),
    "MUD": ("fremd", "MUD", "unverwandt"),
    "haplo": ("haplo", "haploident."),
    "MMUD": ("MMUD", "fremd mismatch"),
}
CELLS = {"BM": ("KM", "Knochenmark"), "PB": ("PBSZ", "periph."), "UCB": ("NSB", "Nabelschnur")}
DRUGS = {
    "calcitriol": ("Rocaltrol", "Calcitriol"),
    "cholecalciferol": ("Vit. D3", "Vigantol"),
    "interferon_gamma_1b": ("Imukin", "IFN-gamma", "Interferon-γ"),
    "corticosteroid": ("Prednisolon", "Kortison"),
    "transfusion_rbc": ("EK", "Ery-Konzentrat"),
    "antibiotic": ("Antibiotikum", "AB"),
    "analgesic": ("Schmerzmittel", "Ibuprofen"),
}
DOSES = {
    "ug": ("µg", "mcg"),
    "mg": "mg",
    "ug/m2": ("µg/m²",),
    "mg/kg": ("mg/kg", "mg/kgKG"),
    "[iU]": ("IE", "I.E."),
    "unit": ("Stk.", "Konserve"),
}
OFTEN = {
    "daily": ("1x tgl.", "1-0-0", "tägl."),
    "3_weekly": ("3x/Wo", "3x/Woche"),
    "monthly": ("mtl.", "1x/Monat"),
    "3_daily": ("3x tgl.", "1-1-1"),
    "as_needed": ("b.B.", "bei Bedarf"),
}
PROCEDURES = {
    "ORIF": ("ORIF", "Osteosynthese"),
    "IM_nail": ("Marknagelung", "ESIN"),
    "THA": ("Hüft-TEP", "HTEP"),
    "hardware_removal": ("ME", "Metallentfernung"),
    "tooth_extraction": ("Zahnextraktion", "Zahn-Ex"),
    "osteotomy": ("Osteotomie", "Umstellung"),
    "jaw_debridement": ("Kieferdebridement", "Sequestrektomie Kiefer"),
}
WHY = {
    "fracture": ("Fraktur", "Fx"),
    "osteoarthritis": ("Coxarthrose", "Arthrose"),
    "hardware": ("Metall", "liegendes Material"),
    "dental": ("Zahn", "dental"),
    "infection": ("Infekt", "Osteomyelitis"),
    "deformity": ("Fehlstellung", "Achsfehler"),
}
FINDINGS = {
    "HP:0000572": ("Visusminderung", "Visus↓", "Sehminderung"),
    "HP:0000365": ("Hörminderung", "Schwerhörigkeit", "SH"),
    "HP:0005528": ("KM-Insuff.", "Knochenmarkinsuffizienz", "KM-Versagen"),
    "HP:0001433": ("Hepatosplenomeg.", "HSM"),
    "HP:0007626": ("Kiefer-OM", "Osteomyelitis Kiefer"),
}
LABS = (  # analyte, ways to call it, factor from the canonical unit, digits, unit
    ("hemoglobin", ("Hb [mmol/l]", "Hämoglobin (mmol/l)"), 1 / 16.1145, 1, "mmol/l"),
    ("platelets", ("Thrombo [Gpt/l]", "Thrombozyten (Gpt/l)"), 1.0, 0, "Gpt/l"),
    ("calcium", ("Ca ges. [mmol/l]", "Calcium i.S. (mmol/l)"), 1.0, 2, "mmol/l"),
    ("phosphate", ("Phosphat", "P anorg."), 1.0, 2, "mmol/l"),
    ("alp", ("AP [U/l]", "alk. Phosphatase (U/l)"), 1.0, 0, "U/l"),
    ("pth", ("PTH intakt [ng/l]", "Parathormon (ng/l)"), 9.424715374, 1, "ng/l"),
    ("vitamin_d_25oh", ("25-OH-D [µg/l]", "25-OH-Vit. D3 (µg/l)"), 0.4006400626, 1, "µg/l"),
)


def sheets(p: Patients, rng: np.random.Generator) -> list[Sheet]:
    """Return the six tables."""
    hand = Hand(rng)
    id_name = hand.one_of(("Pat.-Nr.", "Pat.ID", "Fall-Nr."))
    return [
        _patients(p, hand, id_name), _fractures(p, hand, id_name), _laboratory(p, hand, id_name),
        _densitometry(p, hand, id_name), _treatments(p, hand, id_name),
        _operations(p, hand, id_name),
    ]  # fmt: skip


def write(inbox: Path, made: list[Sheet]) -> None:
    """Write the workbook."""
    write_workbook(inbox, LEGEND, made)


def _patients(p: Patients, hand: Hand, id_name: str) -> Sheet:
    """Return who the patients are, what they have and how it went."""
    person, size = p.person, len(p.person)
    vital, last, death = (
        one_per_patient(p, "followup", name) for name in ("vital_status", "last_contact", "death")
    )
    columns = (
        *grouped(
            "Patient",
            hand.identifier(id_name, person["local_id"]),
            hand.left("Name", person["family_name"]),
            hand.left("Vorname", person["given"]),
            hand.date(("geb.", "Geb.-Dat.", "Geburtstag"), "person.birth_date", person["birth"]),
            hand.coded(("m/w", "Geschl.", "Geschlecht"), "person.sex_at_birth", person["sex"], SEX),
            hand.coded(
                ("Einw. Forschung", "Einverständnis", "Einwilligung liegt vor"),
                "person.consent_reuse", person["consent"], AGREED,
            ),
            hand.date(
                ("EV am", "Erstvorst.", "Vorstellung erstmals"), "person.first_contact_date",
                person["first_contact"],
            ),
        ),
        *grouped("Diagnose", *_diagnosis(p, hand)),
        *grouped(
            "Befunde",
            *(
                hand.coded(names, f"complication.status[{hpo}]", statuses(p)[hpo], FOUND)
                for hpo, names in FINDINGS.items()
            ),
        ),
        *grouped("SZT", *_transplant(p, hand)),
        *grouped(
            "Verlauf",
            hand.coded(("Status", "Z.n."), "death_followup.vital_status", vital, VITAL),
            hand.date(
                ("zuletzt gesehen", "letzte Vorst.", "LK"), "death_followup.last_contact_date", last
            ),
            hand.date(("verst. am", "Tod am", "† am"), "death_followup.death_date", death),
            hand.left(("Bem.", "Bemerkungen", "Sonstiges"), person["note"]),
        ),
    )  # fmt: skip
    title = ("Osteopetrose-Patienten (Stand 06/2026)", "")
    return Sheet(FILE, "Pat", np.arange(size), columns, title)


def _diagnosis(p: Patients, hand: Hand) -> tuple[Column, ...]:
    """Return what the patients have."""
    size, one = len(p.person), p["variant"].take(p["variant"]["allele"] == 1)
    of_one: dict[str, Array] = {
        name: spread(size, one["person"], one[name]) for name in ("gene", "hgvs_c", "zygosity")
    }
    status, onset, when = (
        one_per_patient(p, "diagnosis", name) for name in ("status", "onset_age", "date")
    )
    return (
        hand.coded(("Typ", "Form"), "diagnosis.dx_subtype", p.person["subtype"], KINDS),
        hand.coded(("gesichert", "Sicherung"), "diagnosis.dx_status", status, PROOF),
        hand.date(("ED", "ED am", "Diagnose am"), "diagnosis.dx_date", when),
        hand.number(
            ("Erstsympt. (Jahre)", "Alter Erstsymptom (Jahre)"), "diagnosis.onset_age_y", onset, 1,
            unit="a",
        ),
        hand.text(("Gen",), "variant.gene_symbol", of_one["gene"]),
        hand.text(("cDNA", "Mutation", "Variante (c.)"), "variant.hgvs_c", of_one["hgvs_c"]),
        hand.coded(("Zygotie", "het/hom"), "variant.zygosity", of_one["zygosity"], ZYGOSITY),
    )  # fmt: skip


def _transplant(p: Patients, hand: Hand) -> tuple[Column, ...]:
    """Return the transplants, one per patient at most."""
    when, donor, cells = (one_per_patient(p, "hsct", name) for name in ("date", "donor", "cells"))
    return (
        hand.date(("Datum", "am"), "hsct.hsct_date", when),
        hand.coded(("Spender", "Spendertyp"), "hsct.donor_type", donor, DONORS),
        hand.coded(("Quelle", "Stammzellquelle"), "hsct.stem_cell_source", cells, CELLS),
    )


def _fractures(p: Patients, hand: Hand, id_name: str) -> Sheet:
    """Return the fractures."""
    rows = p["fracture"]
    columns = (
        hand.identifier(id_name, p.person["local_id"][rows["person"]]),
        hand.date(("Datum", "Fx-Datum", "Unfalltag"), "fracture.fracture_date", rows["date"]),
        hand.coded(("Knochen", "Lok.", "Lokalisation"), "fracture.bone_site", rows["bone"], BONES),
        hand.coded(("Seite", "re/li"), "fracture.laterality", rows["side"], SIDES),
        hand.coded(
            ("Unfallhergang", "Trauma", "Ursache"), "fracture.trauma_level", rows["trauma"], CHOCK
        ),
        hand.coded(("Therapie", "Versorgung"), "fracture.treatment", rows["treatment"], CARE),
        hand.coded(("Heilung", "Ergebnis"), "fracture.healing_outcome", rows["healing"], HEALED),
    )
    return Sheet(FILE, "Frakturen", rows["person"], columns, ("Frakturen", ""))


def _laboratory(p: Patients, hand: Hand, id_name: str) -> Sheet:
    """Return one row per sample; what was not measured is a dash."""
    labs: Columns = p["lab"]
    samples, sample_of = visits_of(labs)
    dashed = replace(hand, blank="-")
    values = []
    for analyte, names, factor, digits, unit in LABS:
        rows = labs["analyte"] == analyte
        column = spread(len(samples), sample_of[rows], labs["value"][rows])
        target = f"lab_measurement.value[{analyte}]"
        values.append(dashed.number(names, target, column, digits, factor, unit))
    columns = (
        hand.identifier(id_name, p.person["local_id"][samples["person"]]),
        hand.date(
            ("Datum", "Abnahme", "vom"), "lab_measurement.sample_date", samples["date"]
        ),
        *grouped("Blutbild", *values[:2]),
        *grouped("Knochenstoffwechsel", *values[2:]),
    )  # fmt: skip
    return Sheet(FILE, "Laborwerte", samples["person"], columns, ("Labor", ""))


def _densitometry(p: Patients, hand: Hand, id_name: str) -> Sheet:
    """Return one row per scan; both regions have columns of the same name, under a heading."""
    scans = p["bmd"]
    days, day_of = visits_of(scans)
    parts: list[Column] = []
    for region, names in (("lumbar_spine", "LWS"), ("total_hip", ("Hüfte gesamt", "Hüfte"))):
        rows = scans["region"] == region
        z, t = (spread(len(days), day_of[rows], scans[name][rows]) for name in ("z", "t"))
        parts += grouped(
            hand.one_of(names),
            hand.number("Z-Score", f"imaging_bmd.z_score[{region}]", z, 1),
            hand.number("T-Score", f"imaging_bmd.t_score[{region}]", t, 1),
        )
    columns = (
        hand.identifier(id_name, p.person["local_id"][days["person"]]),
        hand.date(("Datum", "Messung am"), "imaging_bmd.scan_date", days["date"]),
        *parts,
    )
    return Sheet(
        FILE, "DXA", days["person"], columns, ("Knochendichte", ""),
        constants={"imaging_bmd.modality": "DXA"},
    )  # fmt: skip


def _treatments(p: Patients, hand: Hand, id_name: str) -> Sheet:
    """Return the drugs."""
    rows = treatments(hand.rng, p.person)
    columns = (
        hand.identifier(id_name, p.person["local_id"][rows["person"]]),
        hand.coded(("Medikament", "Präparat", "Wirkstoff"), "treatment.drug", rows["drug"], DRUGS),
        hand.date(("von", "Beginn", "seit"), "treatment.start_date", rows["start"]),
        hand.date(("bis", "Ende"), "treatment.stop_date", rows["stop"]),
        hand.number(("Dosis", "Menge"), "treatment.dose", rows["dose"], 2),
        hand.coded(("Einheit", "Dosiseinheit"), "treatment.dose_unit", rows["unit"], DOSES),
        hand.coded(("Frequenz", "Einnahme"), "treatment.frequency", rows["often"], OFTEN),
    )
    return Sheet(FILE, "Medikamente", rows["person"], columns, ("Medikamente", ""))


def _operations(p: Patients, hand: Hand, id_name: str) -> Sheet:
    """Return the operations."""
    rows = operations(hand.rng, p.person)
    columns = (
        hand.identifier(id_name, p.person["local_id"][rows["person"]]),
        hand.date(("OP-Datum", "Datum"), "surgery.surgery_date", rows["date"]),
        hand.coded(
            ("Eingriff", "OP", "Prozedur"), "surgery.procedure", rows["procedure"], PROCEDURES
        ),
        hand.coded(("Seite", "re/li"), "surgery.side", rows["side"], SIDES),
        hand.coded(("Indikation", "wegen"), "surgery.indication", rows["why"], WHY),
        hand.number(
            ("OP-Dauer (min)", "Dauer (min)"),
            "surgery.duration_min",
            rows["minutes"],
            0,
            unit="min",
        ),
    )
    return Sheet(FILE, "OPs", rows["person"], columns, ("Operationen", ""))
