"""Sevilla: text files with semicolons in Windows' encoding, laboratory results below each other."""

from pathlib import Path

import numpy as np

from infra.demo.centre import one_per_patient, statuses
from infra.demo.columns import Array, Patients
from infra.demo.homemade.files import write_delimited
from infra.demo.homemade.more import questionnaires, visits
from infra.demo.homemade.table import Column, Hand, Sheet
from infra.demo.raw import numbers, spread


__all__ = ["sheets", "write"]

SEX = {"female": "M", "male": ("H", "V")}
AGREED = {"yes": ("Sí", "S", "firmado"), "no": ("No", "N"), "unknown": ("NC", "pendiente")}
FOUND = {"present": ("Sí", "1", "+"), "excluded": ("No", "0", "-"), "unknown": ("NC", "9", "?")}
KINDS = {
    "ADO2": ("OAD tipo II", "Albers-Schönberg", "ADO-II"), "ADO1": ("OAD tipo I", "ADO-I"),
    "PYCNO": ("picnodisostosis", "Picnodisostosis (CTSK)"), "CA2D": ("déficit CAII", "OAR-CA2"),
    "CARRIER_UNAFFECTED": ("portador", "familiar portador sano"),
    "OPT_ANY": ("osteopetrosis sin tipificar", "osteopetrosis NOS"),
    "XLO": ("ligada al X", "OL-EDA-ID"), "LAD3": ("LAD-III", "déficit kindlina-3"),
    "ARO_TCIRG1": ("OAR TCIRG1", "maligna infantil TCIRG1"),
    "ARO_CLCN7": ("OAR CLCN7", "maligna infantil CLCN7"),
    "ARO_OSTM1": ("OAR OSTM1", "maligna infantil OSTM1"),
    "ARO_SNX10": ("OAR SNX10", "maligna infantil SNX10"),
    "ARO_TNFRSF11A": ("OAR RANK", "maligna infantil RANK"),
    "ARO_TNFSF11": ("OAR RANKL", "maligna infantil RANKL"),
}  # fmt: skip
PROOF = {
    "confirmed_genetic": ("genética", "estudio genético +"),
    "confirmed_radiographic": ("Rx", "radiología", "clínico-radiológico"),
}
ZYGOSITY = {
    "heterozygous": ("htz", "heterocigosis", "het"),
    "homozygous": ("hmz", "homocigosis", "hom"),
    "compound_heterozygous": ("het compuesto", "heterocigosis compuesta"),
    "hemizygous": ("hemicigosis", "hemicigoto"),
}
VITAL = {
    "alive": ("vivo", "V", "vivo/a"),
    "dead": ("exitus", "éxitus", "fallecido"),
    "lost": ("perdido seguimiento", "pérdida de seguimiento"),
}
BONES = {
    "femur_neck": ("cuello femoral", "cuello fémur"),
    "femur_shaft": ("diáfisis fémur", "fémur (diáfisis)"),
    "femur_subtroch": ("subtrocantérea", "fémur subtroc."),
    "femur_distal": ("fémur distal", "fémur dist."), "tibia": ("tibia",), "humerus": ("húmero",),
    "radius_ulna": ("antebrazo", "cúbito/radio"), "foot": ("pie", "metatarsiano"),
    "hand": ("mano", "metacarpiano"), "vertebra": ("vértebra", "aplastamiento vertebral"),
    "rib": ("costilla", "arco costal"), "clavicle": ("clavícula",), "pelvis": ("pelvis",),
}  # fmt: skip
SIDES = {"left": ("I", "izq.", "izda"), "right": ("D", "dcha.", "der"), "not_applicable": ""}
CHOCK = {
    "none": ("espontánea", "sin traumatismo"),
    "low": ("caída casual", "baja energía", "leve"),
    "high": ("accidente tráfico", "alta energía"),
    "unknown": ("NC", "desconocido"),
}
CARE = {
    "conservative": ("conservador", "yeso", "ortopédico"),
    "plate": ("placa", "RAFI placa"),
    "im_nail": ("clavo", "enclavado"),
    "screws": ("tornillos", "osteosíntesis tornillos"),
    "arthroplasty": ("prótesis", "artroplastia"),
}
HEALED = {
    "union": ("consolidada", "consolidó", "curada"),
    "delayed_union": ("retardo", "retraso consolidación"),
    "nonunion": ("pseudoartrosis", "no unión"),
    "ongoing": ("en evolución", "en curso"),
}
FINDINGS = {
    "HP:0000572": ("Déficit visual", "Pérdida de visión", "Disminución AV"),
    "HP:0000365": ("Hipoacusia", "Sordera"),
    "HP:0005528": ("Fallo medular", "Insuf. medular"),
    "HP:0007626": ("OM mandibular", "Osteomielitis mandíbula"),
    "HP:0002650": ("Escoliosis",),
}
DONORS = {
    "MSD": ("hermano HLA id.", "hermano idéntico", "DF"),
    "MRD": ("familiar idéntico", "familiar HLA id."),
    "MUD": ("DNE", "no emparentado"),
    "haplo": ("haplo", "haploidéntico"),
    "MMUD": ("DNE no idéntico", "no emparentado mismatch"),
}
CELLS = {"BM": ("MO", "médula ósea"), "PB": ("SP", "sangre periférica"), "UCB": ("SCU", "cordón")}
# analyte, ways to call it, factor from the canonical unit, digits, ways to write its unit
TESTS = (
    ("hemoglobin", ("Hemoglobina", "Hb"), 0.1, 1, ("g/dl", "g/dL")),
    ("platelets", ("Plaquetas",), 1.0, 0, ("miles/µl", "10^3/µL", "x10e3/uL")),
    ("calcium", ("Calcio total", "Ca"), 1 / 0.249513, 1, ("mg/dl", "mg/dL")),
    ("phosphate", ("Fósforo", "Fosfato"), 1 / 0.322854, 1, ("mg/dl", "mg/dL")),
    ("alp", ("F. alcalina", "Fosfatasa alcalina"), 1.0, 0, ("U/L", "UI/L")),
    ("pth", ("PTHi", "PTH intacta"), 9.424715374, 1, ("pg/ml", "pg/mL")),
    ("vitamin_d_25oh", ("25(OH)D", "25-OH vitamina D"), 0.4006400626, 1, ("ng/ml", "ng/mL")),
    ("creatinine", ("Creatinina",), 1 / 88.4017, 2, ("mg/dl", "mg/dL")),
)
KIND = {"outpatient": ("CCEE", "consulta externa"), "inpatient": ("ingreso", "hospitalización"),
        "remote": ("telefónica", "teleconsulta")}  # fmt: skip
WALK = {
    "independent": ("autónoma", "independiente"),
    "aid": ("bastones", "con ayuda"),
    "wheelchair": ("silla de ruedas",),
    "not_yet": ("lactante", "aún no"),
}


def sheets(p: Patients, rng: np.random.Generator) -> list[Sheet]:
    """Return the six tables."""
    hand = Hand(rng, day="{d}/{m}/{y}")
    name = hand.one_of(("NHC", "Nº Historia", "N.H.C."))
    return [
        _patients(p, hand, name), _fractures(p, hand, name), _laboratory(p, hand, name),
        _transplants(p, hand, name), _visits(p, hand, name), _questionnaires(p, hand, name),
    ]  # fmt: skip


def write(inbox: Path, made: list[Sheet]) -> None:
    """Write the text files."""
    for sheet in made:
        write_delimited(inbox, sheet, encoding="cp1252")


def _patients(p: Patients, hand: Hand, id_name: str) -> Sheet:
    """Return who the patients are, what they have and how it went."""
    person = p.person
    vital, last, death = (
        one_per_patient(p, "followup", name) for name in ("vital_status", "last_contact", "death")
    )
    columns = (
        hand.identifier(id_name, person["local_id"]),
        hand.left("Apellidos", person["family_name"]),
        hand.left("Nombre", person["given"]),
        hand.left(("Tfno", "Teléfono contacto"), person["phone"]),
        hand.date(("F. Nac.", "FN", "Fecha nac."), "person.birth_date", person["birth"]),
        hand.coded(("Sexo", "Sexo (H/M)"), "person.sex_at_birth", person["sex"], SEX),
        hand.coded(
            ("CI firmado", "Consentimiento", "C. informado"), "person.consent_reuse",
            person["consent"], AGREED,
        ),
        hand.date(
            ("1ª consulta", "Fecha 1ª visita", "Primera valoración"), "person.first_contact_date",
            person["first_contact"],
        ),
        *_diagnosis(p, hand),
        *(
            hand.coded(names, f"complication.status[{hpo}]", statuses(p)[hpo], FOUND)
            for hpo, names in FINDINGS.items()
        ),
        hand.coded(
            ("Situación", "Estado actual", "Estado"), "death_followup.vital_status", vital, VITAL
        ),
        hand.date(
            ("Últ. visita", "F. última revisión", "Último contacto"),
            "death_followup.last_contact_date", last,
        ),
        hand.date(
            ("F. exitus", "Fecha éxitus", "F. defunción"), "death_followup.death_date", death
        ),
        hand.left(("Obs.", "Observaciones"), person["note"]),
    )  # fmt: skip
    return Sheet("pacientes_op.csv", "", np.arange(len(person)), columns)


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
        hand.coded(
            ("Dx", "Tipo OP", "Diagnóstico"), "diagnosis.dx_subtype", p.person["subtype"], KINDS
        ),
        hand.coded(("Confirmación", "Dx por"), "diagnosis.dx_status", status, PROOF),
        hand.date(("F. Dx", "Fecha dx", "Fecha diagnóstico"), "diagnosis.dx_date", when),
        hand.number(
            ("Edad inicio (años)", "Debut (años)"), "diagnosis.onset_age_y", onset, 1, unit="a"
        ),
        hand.text(("Gen", "Gen afecto"), "variant.gene_symbol", of_one["gene"]),
        hand.text(("Variante", "Mutación", "Cambio cDNA"), "variant.hgvs_c", of_one["hgvs_c"]),
        hand.coded(("Cigosidad", "Cigosis"), "variant.zygosity", of_one["zygosity"], ZYGOSITY),
    )  # fmt: skip


def _fractures(p: Patients, hand: Hand, id_name: str) -> Sheet:
    """Return the fractures."""
    rows = p["fracture"]
    columns = (
        hand.identifier(id_name, p.person["local_id"][rows["person"]]),
        hand.date(("Fecha", "Fecha Fx"), "fracture.fracture_date", rows["date"]),
        hand.coded(("Hueso", "Localización"), "fracture.bone_site", rows["bone"], BONES),
        hand.coded(("Lado", "Lateralidad"), "fracture.laterality", rows["side"], SIDES),
        hand.coded(("Mecanismo", "Causa"), "fracture.trauma_level", rows["trauma"], CHOCK),
        hand.coded(("Tto.", "Tratamiento"), "fracture.treatment", rows["treatment"], CARE),
        hand.coded(
            ("Evolución", "Consolidación"), "fracture.healing_outcome", rows["healing"], HEALED
        ),
    )
    return Sheet("fracturas.csv", "", rows["person"], columns)


def _laboratory(p: Patients, hand: Hand, id_name: str) -> Sheet:
    """Return one row per result, with its unit beside it."""
    labs = p["lab"]
    labs = labs.take(np.isin(labs["analyte"], [one[0] for one in TESTS]))
    size = len(labs)
    texts, units, true = np.full(size, "", object), np.full(size, "", object), np.zeros(size)
    names = {}
    for analyte, ways, factor, digits, unit in TESTS:
        rows = labs["analyte"] == analyte
        names[analyte] = ways
        printed = np.round(labs["value"][rows] * factor, digits)
        texts[rows], true[rows] = numbers(printed, digits, hand.decimal), printed / factor
        units[rows] = hand.one_of(unit)
    unit_name = hand.one_of(("Unidades", "Unidad", "Uds."))
    columns = (
        hand.identifier(id_name, p.person["local_id"][labs["person"]]),
        hand.date(
            ("Fecha extracción", "F. analítica", "Fecha"), "lab_measurement.sample_date",
            labs["date"],
        ),
        hand.coded(
            ("Prueba", "Determinación", "Parámetro"), "lab_measurement.analyte", labs["analyte"],
            names,
        ),
        Column(
            hand.one_of(("Resultado", "Valor")), texts, "lab_measurement.value",
            true.astype(object), rule="number", arg=f"unit_column={unit_name}",
        ),
        Column(unit_name, units, "unit_column"),
    )  # fmt: skip
    return Sheet("analitica_2019_2026.csv", "", labs["person"], columns)


def _transplants(p: Patients, hand: Hand, id_name: str) -> Sheet:
    """Return the transplants."""
    rows = p["hsct"]
    columns = (
        hand.identifier(id_name, p.person["local_id"][rows["person"]]),
        hand.date(("F. TPH", "Fecha TPH", "Día 0"), "hsct.hsct_date", rows["date"]),
        hand.coded(("Donante", "Tipo donante"), "hsct.donor_type", rows["donor"], DONORS),
        hand.coded(
            ("Fuente", "Fuente progenitores"), "hsct.stem_cell_source", rows["cells"], CELLS
        ),
    )
    return Sheet("TPH.csv", "", rows["person"], columns)


def _visits(p: Patients, hand: Hand, id_name: str) -> Sheet:
    """Return the visits."""
    rows = visits(hand.rng, p.person)
    columns = (
        hand.identifier(id_name, p.person["local_id"][rows["person"]]),
        hand.date(("Fecha visita", "Fecha"), "visit.visit_date", rows["date"]),
        hand.coded(("Tipo visita", "Modalidad"), "visit.visit_type", rows["kind"], KIND),
        hand.number(("Talla (cm)", "Talla cm"), "visit.height_cm", rows["height"], 0, unit="cm"),
        hand.number(("Peso (kg)", "Peso kg"), "visit.weight_kg", rows["weight"], 1, unit="kg"),
        hand.coded(("Marcha", "Deambulación"), "visit.ambulation", rows["walk"], WALK),
    )
    return Sheet("visitas.csv", "", rows["person"], columns)


def _questionnaires(p: Patients, hand: Hand, id_name: str) -> Sheet:
    """Return the answers to EQ-5D-5L."""
    rows = questionnaires(hand.rng, p.person)
    items = (
        ("mo", ("Movilidad", "EQ movilidad")), ("sc", ("Autocuidado", "Cuidado personal")),
        ("ua", ("Actividades cotidianas", "Act. habituales")), ("pd", ("Dolor/malestar", "Dolor")),
        ("ad", ("Ansiedad/depresión", "Ansiedad")),
    )  # fmt: skip
    columns = (
        hand.identifier(id_name, p.person["local_id"][rows["person"]]),
        hand.date(("Fecha", "Fecha cuestionario"), "pro.pro_date", rows["date"]),
        *(
            _whole(hand.number(names, f"pro.item_{item}", rows[item], 0)) for item, names in items
        ),
        hand.number(("EVA salud", "EQ-VAS", "EVA (0-100)"), "pro.eq_vas", rows["vas"], 0),
        hand.number(("EVN dolor", "Dolor (0-10)"), "pro.pain_nrs", rows["pain"], 0),
    )  # fmt: skip
    return Sheet(
        "EQ5D5L.csv", "", rows["person"], columns, constants={"pro.instrument": "EQ-5D-5L"}
    )


def _whole(column: Column) -> Column:
    """Return a column of whole numbers, which are copied."""
    return Column(column.name, column.texts, column.target, column.true)
