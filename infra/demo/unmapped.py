"""A centre that nobody has described: a home-made workbook, a folder without a mapping.

The workbook is as people make them: titles and merged headings above the names of the columns, a
legend on a sheet of its own, a row of totals, decimal commas in texts, H and F, words of the
house, dates as texts on one sheet and as days counted by Excel on another, calcium without a unit.
`truth/<site>.json` says what a right mapping makes of it.
"""

import io
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from infra.demo.centre import one_per_patient, statuses, visits_of
from infra.demo.columns import Array, Columns, Patients
from infra.demo.identities import identities
from infra.demo.patients import generate
from infra.demo.raw import dates, fixed_bytes, numbers, spread, words
from transforms.durable import write_json
from transforms.site import create_site


__all__ = ["FILE", "SITE", "synthesize_unmapped"]

SITE, FILE = "limoges", "base_os_de_marbre.xlsx"
NUMBER = 77  # of the centre, for the random generator
DAY = "{d}/{m}/{y}"
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
# analyte → name, factor from the canonical unit, digits; the third has no unit in its name
LABS = {
    "hemoglobin": ("Hb (g/dL)", 0.1, 1),
    "platelets": ("Plaquettes (G/L)", 1.0, 0),
    "calcium": ("Calcium", 40.07807208, 1),
    "pth": ("PTH (pg/mL)", 9.424715374, 1),
    "vitamin_d_25oh": ("25 OH vit. D (ng/mL)", 0.4006400626, 1),
}


def synthesize_unmapped(size: int, seed: int, out: Path) -> Path:
    """Make the centre in `out` and its truth beside it; return the site's folder."""
    site = create_site(
        out / SITE, site_id=SITE, name="CHU de Limoges (fictif)", country="FR", language="fr"
    )
    patients = generate(size, seed, site=NUMBER, country="FR", severity=1.0)
    rng = np.random.default_rng([seed, NUMBER, 1])
    people = identities(rng, patients.person, "fr", "LI")
    patients = replace(patients, person=people)
    visits, visit_of = visits_of(patients["lab"])
    (site.inbox / FILE).write_bytes(
        _workbook(
            {
                "Patients": (_patients(patients), GROUPS, "Total"),
                "Fractures": (_fractures(patients), {}, ""),
                "Biologie": (_laboratory(patients, visits, visit_of), {}, "Moyenne"),
            }
        )
    )
    truth = out / "truth"
    truth.mkdir(exist_ok=True)
    write_json(truth / f"{SITE}.json", _truth(patients))
    return site.folder


GROUPS = {"N° dossier": "Identité", "Type": "Maladie", "Baisse vision": "Atteintes (O/N)",
          "Statut": "Suivi"}  # fmt: skip
Sheet = tuple[dict[str, Array], dict[str, str], str]


def _patients(p: Patients) -> dict[str, Array]:
    """Return the columns of the first sheet."""
    person, size = p.person, len(p.person)
    one = p["variant"].take(p["variant"]["allele"] == 1)
    two = p["variant"].take(p["variant"]["allele"] == 2)
    onset = one_per_patient(p, "diagnosis", "onset_age") * 12
    return {
        "N° dossier": person["local_id"],
        "Nom": person["family_name"],
        "Prénom": person["given"],
        "Tél.": person["phone"],
        "DDN": dates(person["birth"], DAY),
        "Sexe": words(person["sex"], SEX),
        "Accord recherche": words(person["consent"], YES),
        "1ère venue": dates(person["first_contact"], DAY),
        "Type": words(one_per_patient(p, "diagnosis", "subtype"), KINDS),
        "Preuve": words(one_per_patient(p, "diagnosis", "status"), PROOF),
        "Début (mois)": numbers(onset, 1, ","),
        "Date diagnostic": dates(one_per_patient(p, "diagnosis", "date"), DAY),
        "Gène": spread(size, one["person"], one["gene"]),
        "Mutation 1": spread(size, one["person"], one["hgvs_c"]),
        "Mutation 2": spread(size, two["person"], two["hgvs_c"]),
        "Zygotie": words(spread(size, one["person"], one["zygosity"]), ZYGOSITY),
        **{name: words(statuses(p)[hpo], FOUND) for hpo, name in FINDINGS.items()},
        "Statut": words(one_per_patient(p, "followup", "vital_status"), VITAL),
        "Dernière consult.": dates(one_per_patient(p, "followup", "last_contact"), DAY),
        "Décédé le": dates(one_per_patient(p, "followup", "death"), DAY),
        "Remarques": person["note"],
    }


def _fractures(p: Patients) -> dict[str, Array]:
    """Return the columns of the second sheet."""
    rows = p["fracture"]
    return {
        "N° dossier": p.person["local_id"][rows["person"]],
        "Date": dates(rows["date"], DAY),
        "Os cassé": words(rows["bone"], BONES),
        "Côté": words(rows["side"], SIDES),
        "Circonstances": words(rows["trauma"], CHOCK),
        "Devenir": words(rows["healing"], HEALED),
    }


def _laboratory(p: Patients, visits: Columns, visit_of: Array) -> dict[str, Array]:
    """Return the columns of the third sheet: one row per sample, dates as Excel counts days."""
    labs = p["lab"]
    days = (visits["date"] - EXCEL_EPOCH).astype(int)
    columns: dict[str, Array] = {
        "N° dossier": p.person["local_id"][visits["person"]],
        "Prélevé le": days.astype(object),
    }
    for analyte, (name, factor, digits) in LABS.items():
        rows = labs["analyte"] == analyte
        values = spread(len(visits), visit_of[rows], labs["value"][rows] * factor)
        texts = numbers(values, digits, ",")
        columns[name] = np.where(texts == "", "NF", texts).astype(object)
    return columns


def _workbook(sheets: dict[str, Sheet]) -> bytes:
    """Return the workbook with a legend and three tables."""
    from openpyxl import Workbook

    book = Workbook()
    legend = book.active
    legend.title = "Lisez-moi"
    legend.append(["Base tenue par le secrétariat. Données fictives."])
    legend.append(["O = oui, N = non, NF = non fait, PDV = perdu de vue, DCD = décédé"])
    for name, (columns, groups, total) in sheets.items():
        _fill(book.create_sheet(name), name, columns, groups, total)
    loose = io.BytesIO()
    book.save(loose)
    return fixed_bytes(loose)


def _fill(
    sheet: Any, name: str, columns: dict[str, Array], groups: dict[str, str], total: str
) -> None:
    """Write title, merged headings, names, rows and the row that sums up."""
    names = list(columns)
    sheet.append([f"{name} : base « os de marbre »"])
    sheet.append(["mise à jour juin 2026"])
    sheet.append([])
    if groups:
        sheet.append([groups.get(column) for column in names])
        _merge(sheet, [names.index(column) for column in groups], len(names))
    sheet.append(names)
    for row in zip(*columns.values(), strict=True):
        sheet.append([_cell(value) for value in row])
    if total:
        sheet.append([total, None, None, None, None, None, len(next(iter(columns.values())))])


def _merge(sheet: Any, starts: Sequence[int], width: int) -> None:
    """Merge each heading over the columns up to the next one."""
    for start, end in zip(starts, [*starts[1:], width], strict=True):
        if end - start > 1:
            sheet.merge_cells(start_row=4, end_row=4, start_column=start + 1, end_column=end)


def _cell(value: Any) -> Any:
    """Return a cell's content; nothing for an empty text."""
    return None if value == "" else value


def _truth(p: Patients) -> dict[str, Any]:
    """Return what a right mapping makes of the files, of persons who agreed alone."""
    agreed = p.person["consent"] == "yes"
    labs = p["lab"]
    known = np.isin(labs["analyte"], list(LABS))
    found = p["complication"]
    kept = np.isin(found["hpo"], list(FINDINGS)) & (found["status"] != "")
    person, fracture, variant = p.person, p["fracture"], p["variant"]
    return {
        "site": SITE,
        "patients": len(person),
        "without_consent": int((~agreed).sum()),
        "person": _rows(agreed, [dates(person["birth"]), person["sex"]]),
        "fracture": _rows(
            agreed[fracture["person"]],
            [dates(fracture["date"]), fracture["bone"], fracture["healing"]],
        ),
        "variant": _rows(agreed[variant["person"]], [variant["gene"], variant["hgvs_c"]]),
        "complication": _rows(agreed[found["person"]] & kept, [found["hpo"], found["status"]]),
        "lab_measurement": _rows(
            agreed[labs["person"]] & known,
            [labs["analyte"], dates(labs["date"]), _printed(labs)],
        ),
        "identifying": sorted(set(map(str, person["family_name"][:20]))),
    }


def _printed(labs: Columns) -> Array:
    """Return canonical values, as exact as the printed digits let them be known again."""
    values = np.full(len(labs), np.nan)
    for analyte, (_, factor, digits) in LABS.items():
        rows = labs["analyte"] == analyte
        values[rows] = np.round(labs["value"][rows] * factor, digits) / factor
    return np.array([f"{value:.6g}" for value in values], dtype=object)


def _rows(keep: Array, columns: Sequence[Array]) -> list[list[str]]:
    """Return the kept rows, sorted, as plain texts."""
    return sorted(
        [str(cell) for cell in row] for row in zip(*(c[keep] for c in columns), strict=True)
    )
