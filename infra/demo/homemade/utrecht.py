"""Utrecht: an OpenDocument spreadsheet of eight sheets, kept by a research nurse."""

from dataclasses import replace
from pathlib import Path

import numpy as np

from infra.demo.centre import one_per_patient, statuses, visits_of
from infra.demo.columns import Array, Columns, Patients
from infra.demo.homemade.files import write_open_document
from infra.demo.homemade.more import infections, operations, treatments, visits
from infra.demo.homemade.table import Column, Hand, Sheet
from infra.demo.raw import spread


__all__ = ["sheets", "write"]

FILE = "OP-cohort WKZ.ods"
SEX = {"female": ("V", "vrouw"), "male": ("M", "man")}
AGREED = {
    "yes": ("ja", "J", "getekend"),
    "no": ("nee", "N", "geweigerd"),
    "unknown": ("onbekend", "?"),
}
FOUND = {
    "present": ("ja", "+", "1"),
    "excluded": ("nee", "-", "0"),
    "unknown": ("onb.", "?", "nvt"),
}
KINDS = {
    "ADO2": ("ADO-2", "ADO type II", "M. Albers-Schönberg"), "ADO1": ("ADO-1", "ADO type I"),
    "PYCNO": ("pycnodysostose", "PKND"), "CA2D": ("CAII-deficiëntie", "koolzuuranhydrase II"),
    "CARRIER_UNAFFECTED": ("drager", "gezond familielid met mutatie"),
    "OPT_ANY": ("osteopetrose, gen onbekend", "osteopetrose NNO"), "XLO": ("OLEDAID", "NEMO"),
    "LAD3": ("LAD-III", "LAD type 3"), "ARO_TCIRG1": ("ARO - TCIRG1", "maligne TCIRG1"),
    "ARO_CLCN7": ("ARO - CLCN7", "maligne CLCN7"), "ARO_OSTM1": ("ARO - OSTM1", "maligne OSTM1"),
    "ARO_SNX10": ("ARO - SNX10", "maligne SNX10"), "ARO_TNFRSF11A": ("ARO - RANK", "maligne RANK"),
    "ARO_TNFSF11": ("ARO - RANKL", "maligne RANKL"),
}  # fmt: skip
PROOF = {
    "confirmed_genetic": ("DNA", "genetisch bewezen", "mutatie aangetoond"),
    "confirmed_radiographic": ("röntgen", "X-foto", "radiologisch"),
}
ZYGOSITY = {
    "heterozygous": ("het", "heteroz."),
    "homozygous": ("homo", "homoz."),
    "compound_heterozygous": ("comp. het", "samengesteld het."),
    "hemizygous": ("hemi",),
}
VITAL = {
    "alive": ("leeft", "in leven"),
    "dead": ("overl.", "overleden", "†"),
    "lost": ("uit zorg", "verhuisd/onbekend", "lost to FU"),
}
BONES = {
    "femur_neck": ("collum femoris", "heup (collum)"),
    "femur_shaft": ("femurschacht", "bovenbeen midden"),
    "femur_subtroch": ("subtrochantair", "femur subtroch"),
    "femur_distal": ("distale femur", "bovenbeen laag"),
    "tibia": ("tibia", "scheenbeen", "onderbeen"),
    "humerus": ("humerus", "bovenarm"), "radius_ulna": ("onderarm", "radius/ulna"),
    "foot": ("voet", "MT"), "hand": ("hand", "MC"), "vertebra": ("wervel", "wervelfractuur"),
    "rib": ("rib", "ribben"), "clavicle": ("clavicula", "sleutelbeen"), "pelvis": ("bekken",),
}  # fmt: skip
SIDES = {"left": ("L", "li", "links"), "right": ("R", "re", "rechts"), "not_applicable": ""}
CHOCK = {
    "none": ("spontaan", "geen trauma"),
    "low": ("val uit stand", "laag-energetisch", "val"),
    "high": ("HET", "verkeersongeval", "hoog-energetisch"),
    "unknown": ("onb.", "?"),
}
CARE = {
    "conservative": ("gips", "cons.", "conservatief"),
    "plate": ("plaat", "plaatosteosynthese"),
    "im_nail": ("pen", "mergpen", "TEN"),
    "screws": ("schroeven", "gecannuleerde schroeven"),
    "arthroplasty": ("prothese", "THP"),
}
HEALED = {
    "union": ("genezen", "geconsolideerd"),
    "delayed_union": ("trage genezing", "vertraagd"),
    "nonunion": ("pseudartrose", "non-union"),
    "ongoing": ("nog niet genezen", "loopt nog"),
}
DRUGS = {
    "calcitriol": ("Etalpha", "calcitriol"),
    "cholecalciferol": ("D-cura", "vit D"),
    "interferon_gamma_1b": ("Immukine", "gamma-interferon"),
    "corticosteroid": ("prednison", "pred"),
    "transfusion_rbc": ("EC", "ery's"),
    "antibiotic": ("augmentin", "AB"),
    "analgesic": ("pcm", "pijnstilling"),
}
DOSES = {
    "ug": ("microgram", "mcg"),
    "mg": ("mg", "milligram"),
    "ug/m2": ("mcg/m2", "µg/m²"),
    "mg/kg": ("mg/kg",),
    "[iU]": ("IE", "EH"),
    "unit": ("zak", "eenheid"),
}
OFTEN = {
    "daily": ("1dd", "1 dd", "dagelijks"),
    "3_weekly": ("3x per week", "3/wk"),
    "monthly": ("maandelijks", "1x/mnd"),
    "3_daily": ("3dd", "3 dd"),
    "as_needed": ("zn", "zo nodig", "z.n."),
}
PROCEDURES = {
    "ORIF": ("ORIF", "plaatosteosynthese"), "IM_nail": ("mergpen", "TEN"),
    "THA": ("THP", "totale heupprothese"),
    "hardware_removal": ("VOM", "verwijderen osteosynthesemateriaal"),
    "tooth_extraction": ("extractie", "kiesextractie"),
    "osteotomy": ("osteotomie", "correctie-osteotomie"),
    "jaw_debridement": ("sequestrectomie", "debridement kaak"),
}  # fmt: skip
WHY = {
    "fracture": ("fractuur", "#"),
    "osteoarthritis": ("artrose", "coxartrose"),
    "hardware": ("OSM", "materiaal"),
    "dental": ("gebit", "dentaal"),
    "infection": ("infectie", "osteomyelitis"),
    "deformity": ("standsafwijking", "deformiteit"),
}
SITES = {
    "jaw": ("kaak",),
    "bone": ("bot", "ander bot"),
    "lung": ("pneumonie", "long"),
    "blood": ("sepsis", "bloed"),
    "ENT": ("KNO", "oor/neus/keel"),
}
INSIDE = {"true": ("ja", "opname"), "false": ("nee", "thuis")}
FINDINGS = {
    "HP:0000572": ("Visusdaling", "Visusverlies", "Slechtziend"),
    "HP:0000365": ("Gehoorverlies", "Slechthorend"),
    "HP:0005528": ("BM-falen", "Beenmergfalen", "Beenmerginsufficiëntie"),
    "HP:0001433": ("HSM", "Hepatosplenomegalie"),
    "HP:0007626": ("Osteomyelitis kaak", "Kaakosteomyelitis"),
    "HP:0002650": ("Scoliose",),
}
LABS = (  # analyte, ways to call it, factor from the canonical unit, digits, unit
    ("hemoglobin", ("Hb (mmol/L)", "Hemoglobine mmol/L"), 1 / 16.1145, 1, "mmol/L"),
    ("platelets", ("Trombo's (x10^9/L)", "Trombocyten (10^9/L)"), 1.0, 0, "10^9/L"),
    ("calcium", ("Ca (mmol/L)", "Calcium totaal (mmol/L)"), 1.0, 2, "mmol/L"),
    ("alp", ("AF (U/L)", "Alk. fosf. (U/L)"), 1.0, 0, "U/L"),
    ("pth", ("PTH", "PTH intact"), 1.0, 1, "pmol/L"),
    ("vitamin_d_25oh", ("25(OH)D (nmol/L)", "Vit D 25-OH (nmol/L)"), 1.0, 0, "nmol/L"),
    ("creatinine", ("Kreat (umol/L)", "Kreatinine (µmol/L)"), 1.0, 0, "umol/L"),
    ("ldh", ("LD (U/L)", "LDH (U/L)"), 1.0, 0, "U/L"),
)
WALK = {
    "independent": ("zelfstandig", "loopt los"),
    "aid": ("hulpmiddel", "rollator/krukken"),
    "wheelchair": ("rolstoel",),
    "not_yet": ("baby", "nog niet lopend"),
}


def sheets(p: Patients, rng: np.random.Generator) -> list[Sheet]:
    """Return the eight tables."""
    hand = Hand(rng, day="{d}-{m}-{y}")
    name = hand.one_of(("Studienr", "Pt.nr", "Patiëntnummer"))
    tables = (_patients, _course, _fractures, _laboratory, _treatments, _operations, _infections,
              _growth)  # fmt: skip
    return [table(p, hand, name) for table in tables]


def write(inbox: Path, made: list[Sheet]) -> None:
    """Write the spreadsheet."""
    write_open_document(inbox, made)


def _patients(p: Patients, hand: Hand, id_name: str) -> Sheet:
    """Return who the patients are and what they have."""
    person, size = p.person, len(p.person)
    one = p["variant"].take(p["variant"]["allele"] == 1)
    of_one: dict[str, Array] = {
        name: spread(size, one["person"], one[name]) for name in ("gene", "hgvs_c", "zygosity")
    }
    status, onset, when = (
        one_per_patient(p, "diagnosis", name) for name in ("status", "onset_age", "date")
    )
    columns = (
        hand.identifier(id_name, person["local_id"]),
        hand.left(("Naam", "Achternaam"), person["family_name"]),
        hand.left(("Roepnaam", "Voornaam"), person["given"]),
        hand.date(("Geb.dat.", "Geboren", "GD"), "person.birth_date", person["birth"]),
        hand.coded(("M/V", "Gesl.", "Geslacht"), "person.sex_at_birth", person["sex"], SEX),
        hand.coded(
            ("IC", "Toestemming gebruik data", "Informed consent"), "person.consent_reuse",
            person["consent"], AGREED,
        ),
        hand.date(
            ("1e poli", "Datum verwijzing", "Eerste polibezoek"), "person.first_contact_date",
            person["first_contact"],
        ),
        hand.coded(("Type OP", "Vorm"), "diagnosis.dx_subtype", person["subtype"], KINDS),
        hand.coded(("Bewijs", "Diagnose o.b.v."), "diagnosis.dx_status", status, PROOF),
        hand.date(("Dx datum", "Datum dx", "Diagnose gesteld"), "diagnosis.dx_date", when),
        hand.number(
            ("Start klachten (mnd)", "Leeftijd 1e klacht (maanden)"), "diagnosis.onset_age_y",
            onset, 0, 12, "mo",
        ),
        hand.text(("Gen",), "variant.gene_symbol", of_one["gene"]),
        hand.text(("Mutatie (cDNA)", "Variant"), "variant.hgvs_c", of_one["hgvs_c"]),
        hand.coded(("Zygotie", "het/hom"), "variant.zygosity", of_one["zygosity"], ZYGOSITY),
    )  # fmt: skip
    return Sheet(FILE, "Basisgegevens", np.arange(size), columns, ("Osteopetrose cohort", ""))


def _course(p: Patients, hand: Hand, id_name: str) -> Sheet:
    """Return findings and what became of the patients."""
    vital, last, death = (
        one_per_patient(p, "followup", name) for name in ("vital_status", "last_contact", "death")
    )
    columns = (
        hand.identifier(id_name, p.person["local_id"]),
        *(
            hand.coded(names, f"complication.status[{hpo}]", statuses(p)[hpo], FOUND)
            for hpo, names in FINDINGS.items()
        ),
        hand.coded(("Status", "Leeft?"), "death_followup.vital_status", vital, VITAL),
        hand.date(
            ("Laatst gezien", "Laatste poli", "Datum laatste FU"),
            "death_followup.last_contact_date", last,
        ),
        hand.date(("Overleden op", "Overl. datum"), "death_followup.death_date", death),
        hand.left(("Opm.", "Bijzonderheden"), p.person["note"]),
    )  # fmt: skip
    return Sheet(FILE, "Beloop", np.arange(len(p.person)), columns)


def _fractures(p: Patients, hand: Hand, id_name: str) -> Sheet:
    """Return the fractures."""
    rows = p["fracture"]
    columns = (
        hand.identifier(id_name, p.person["local_id"][rows["person"]]),
        hand.date(("Datum", "Datum #"), "fracture.fracture_date", rows["date"]),
        hand.coded(("Bot", "Welk bot", "Locatie"), "fracture.bone_site", rows["bone"], BONES),
        hand.coded(("Zijde", "L/R", "Kant"), "fracture.laterality", rows["side"], SIDES),
        hand.coded(("Oorzaak", "Trauma"), "fracture.trauma_level", rows["trauma"], CHOCK),
        hand.coded(("Behandeling", "Beh."), "fracture.treatment", rows["treatment"], CARE),
        hand.coded(("Uitkomst", "Genezing"), "fracture.healing_outcome", rows["healing"], HEALED),
    )
    return Sheet(FILE, "Fracturen", rows["person"], columns)


def _laboratory(p: Patients, hand: Hand, id_name: str) -> Sheet:
    """Return one row per sample."""
    labs: Columns = p["lab"]
    samples, sample_of = visits_of(labs)
    noted = replace(hand, blank=hand.one_of(("nb", "-", "n.b.")))
    columns: list[Column] = [
        hand.identifier(id_name, p.person["local_id"][samples["person"]]),
        hand.date(("Datum", "Afname", "Labdatum"), "lab_measurement.sample_date", samples["date"]),
    ]
    for analyte, names, factor, digits, unit in LABS:
        rows = labs["analyte"] == analyte
        values = spread(len(samples), sample_of[rows], labs["value"][rows])
        target = f"lab_measurement.value[{analyte}]"
        columns.append(noted.number(names, target, values, digits, factor, unit))
    return Sheet(FILE, "Lab", samples["person"], tuple(columns))


def _treatments(p: Patients, hand: Hand, id_name: str) -> Sheet:
    """Return the drugs."""
    rows = treatments(hand.rng, p.person)
    columns = (
        hand.identifier(id_name, p.person["local_id"][rows["person"]]),
        hand.coded(("Middel", "Medicijn", "Naam medicatie"), "treatment.drug", rows["drug"], DRUGS),
        hand.date(("Start", "Vanaf", "Gestart op"), "treatment.start_date", rows["start"]),
        hand.date(("Stop", "Tot", "Gestopt op"), "treatment.stop_date", rows["stop"]),
        hand.number(("Dosis", "Dosering"), "treatment.dose", rows["dose"], 2),
        hand.coded(("Eenheid", "Eenh."), "treatment.dose_unit", rows["unit"], DOSES),
        hand.coded(
            ("Freq.", "Frequentie", "Hoe vaak"), "treatment.frequency", rows["often"], OFTEN
        ),
    )
    return Sheet(FILE, "Medicatie", rows["person"], columns)


def _operations(p: Patients, hand: Hand, id_name: str) -> Sheet:
    """Return the operations."""
    rows = operations(hand.rng, p.person)
    columns = (
        hand.identifier(id_name, p.person["local_id"][rows["person"]]),
        hand.date(("OK-datum", "Datum OK", "Datum"), "surgery.surgery_date", rows["date"]),
        hand.coded(("Ingreep", "Operatie", "Verrichting"), "surgery.procedure", rows["procedure"],
                   PROCEDURES),
        hand.coded(("Zijde", "L/R", "Kant"), "surgery.side", rows["side"], SIDES),
        hand.coded(("Reden", "Indicatie"), "surgery.indication", rows["why"], WHY),
        hand.number(("Duur (min)", "OK-duur (min)"), "surgery.duration_min", rows["minutes"], 0,
                    unit="min"),
    )  # fmt: skip
    return Sheet(FILE, "Operaties", rows["person"], columns)


def _infections(p: Patients, hand: Hand, id_name: str) -> Sheet:
    """Return the infections."""
    rows = infections(hand.rng, p.person)
    columns = (
        hand.identifier(id_name, p.person["local_id"][rows["person"]]),
        hand.date(("Datum", "Datum infectie"), "infection_event.infection_date", rows["date"]),
        hand.coded(("Waar", "Focus", "Lokalisatie"), "infection_event.site", rows["site"], SITES),
        hand.coded(("Opname", "Opgenomen"), "infection_event.hospitalized", rows["inside"], INSIDE),
    )
    return Sheet(FILE, "Infecties", rows["person"], columns)


def _growth(p: Patients, hand: Hand, id_name: str) -> Sheet:
    """Return what was measured at the visits."""
    rows = visits(hand.rng, p.person)
    columns = (
        hand.identifier(id_name, p.person["local_id"][rows["person"]]),
        hand.date(("Datum", "Polibezoek", "Controle d.d."), "visit.visit_date", rows["date"]),
        hand.number(("Lengte (cm)", "Lengte cm"), "visit.height_cm", rows["height"], 0, unit="cm"),
        hand.number(
            ("Gewicht (kg)", "Gewicht kg"), "visit.weight_kg", rows["weight"], 1, unit="kg"
        ),
        hand.coded(("Lopen", "Mobiliteit"), "visit.ambulation", rows["walk"], WALK),
    )
    return Sheet(FILE, "Poli", rows["person"], columns)
