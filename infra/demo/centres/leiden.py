"""Leiden: a Dutch REDCap export (raw CSV) with repeating instruments, checkboxes, Hb in mmol/L."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from infra.demo.centre import Centre, one_per_patient, statuses, turn, visits_of
from infra.demo.columns import Array, Columns, Patients
from infra.demo.findings import FINDINGS
from infra.demo.mapping_book import MappingBook
from infra.demo.raw import Place, dates, numbers, spread, tick, words, write_csv


__all__ = ["CENTRE"]

FILE = "osteopetrose_DATA_2026-06-30.csv"
DICTIONARY_FILE = "osteopetrose_DataDictionary_2026-06-30.csv"
FIRST_ROW = 2

SEX = {"female": "2", "male": "1"}
YES_NO = {"yes": "1", "no": "0", "unknown": "9"}
SUBTYPE = {
    name: str(number)
    for number, name in enumerate(
        (
            "ADO2", "CARRIER_UNAFFECTED", "ADO1", "PYCNO", "CA2D", "XLO", "LAD3", "ARO_TCIRG1",
            "ARO_CLCN7", "ARO_OSTM1", "ARO_SNX10", "ARO_TNFRSF11A", "ARO_TNFSF11", "OPT_ANY",
        ),
        start=1,
    )
}  # fmt: skip
DX_STATUS = {"confirmed_genetic": "1", "confirmed_radiographic": "2"}
SEVERITY = {"mild": "1", "moderate": "2", "severe": "3"}
ZYGOSITY = {
    "heterozygous": "1",
    "homozygous": "2",
    "compound_heterozygous": "3",
    "hemizygous": "4",
}
KIND = {"missense": "1", "nonsense": "2", "frameshift": "3", "splice": "4"}
VITAL = {"alive": "1", "dead": "2", "lost": "3"}
CAUSE = {
    "infection": "1",
    "haemorrhage": "2",
    "marrow_failure": "3",
    "transplant_related": "4",
    "unrelated": "5",
    "unknown": "9",
}
DONOR = {"MSD": "1", "MRD": "2", "MUD": "3", "haplo": "4", "MMUD": "5"}
CELLS = {"BM": "1", "PB": "2", "UCB": "3"}
BONE = {
    name: str(number)
    for number, name in enumerate(
        (
            "femur_neck", "femur_subtroch", "femur_shaft", "femur_distal", "tibia", "humerus",
            "radius_ulna", "foot", "hand", "vertebra", "rib", "clavicle", "pelvis",
        ),
        start=1,
    )
}  # fmt: skip
SIDE = {"left": "1", "right": "2", "not_applicable": "0"}
TRAUMA = {"none": "0", "low": "1", "high": "2", "unknown": "9"}
PATTERN = {
    "transverse": "1",
    "oblique": "2",
    "spiral": "3",
    "comminuted": "4",
    "compression": "5",
    "unknown": "9",
}
TREATMENT = {"conservative": "1", "plate": "2", "im_nail": "3", "screws": "4", "arthroplasty": "5"}
HEALING = {"union": "1", "delayed_union": "2", "nonunion": "3", "ongoing": "4"}
VENDOR = {"hologic": "1", "ge_lunar": "2"}
FORM_OF = {"senses": "zintuigen", "skeleton": "skelet", "organs": "organen"}
# analyte → column, unit that the mapping declares, factor from the canonical unit, digits
LABS: Mapping[str, tuple[str, str, float, int]] = {
    "hemoglobin": ("hb", "mmol/L", 1 / 16.1145, 1),
    "platelets": ("trombocyten", "10*9/L", 1.0, 0),
    "calcium": ("calcium", "mmol/L", 1.0, 2),
    "phosphate": ("fosfaat", "mmol/L", 1.0, 2),
    "alp": ("alkalische_fosfatase", "U/L", 1.0, 0),
    "pth": ("pth", "pmol/L", 1.0, 1),
    "vitamin_d_25oh": ("vitamine_d", "nmol/L", 1.0, 0),
    "creatinine": ("kreatinine", "umol/L", 1.0, 0),
    "ldh": ("ldh", "U/L", 1.0, 0),
    "bicarbonate": ("bicarbonaat", "mmol/L", 1.0, 1),
}


@dataclass(frozen=True)
class Form:
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


def _repeat(name: str, rows: Columns, columns: Mapping[str, Array]) -> Form:
    """Return a repeating instrument, its repeats numbered per patient."""
    who = rows["person"]
    order = np.argsort(who, kind="stable")
    first = np.searchsorted(who[order], who[order])
    instance = np.empty(len(who), dtype=int)
    instance[order] = np.arange(len(who)) - first + 1
    return Form(name, who, instance, {**columns, f"{name}_complete": _same(len(who), "2")})


def _same(size: int, text: str) -> Array:
    """Return a column that holds one text."""
    return np.full(size, text, dtype=object)


def _one_file(p: Patients, forms: list[Form]) -> tuple[dict[str, Array], list[Array]]:
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


def _baseline(p: Patients) -> Form:
    """Return the instruments that are filled once per patient."""
    size = len(p.person)
    columns = {**_person(p), **_diagnosis(p), **_checkboxes(p), **_course(p)}
    return Form("", np.arange(size), np.zeros(size, dtype=int), columns)


def _person(p: Patients) -> dict[str, Array]:
    """Return the columns of the instrument `patient`."""
    person = p.person
    return {
        "achternaam": person["family_name"],
        "voornaam": person["given"],
        "bsn": person["national_id"],
        "telefoon": person["phone"],
        "geboortedatum": dates(person["birth"]),
        "geslacht": words(person["sex"], SEX),
        "familienummer": np.array([f"fam{number}" for number in person["family"]], dtype=object),
        "index": tick(person["proband"], "1", "0"),
        "consanguiniteit": words(person["consanguinity"], YES_NO),
        "toestemming": words(person["consent"], YES_NO),
        "eerste_contact": dates(person["first_contact"]),
        "anamnese_volledig": tick(person["history_complete"], "1", "0"),
        "opmerkingen": person["note"],
        "patient_complete": _same(len(person), "2"),
    }


def _diagnosis(p: Patients) -> dict[str, Array]:
    """Return the columns of the instrument `diagnose`."""
    return {
        "diagnose": words(one_per_patient(p, "diagnosis", "subtype"), SUBTYPE),
        "zekerheid": words(one_per_patient(p, "diagnosis", "status"), DX_STATUS),
        "leeftijd_begin": numbers(one_per_patient(p, "diagnosis", "onset_age"), 2, ","),
        "datum_diagnose": dates(one_per_patient(p, "diagnosis", "date")),
        "ernst": words(one_per_patient(p, "diagnosis", "severity"), SEVERITY),
        "diagnose_complete": _same(len(p.person), "2"),
    }


def _checkboxes(p: Patients) -> dict[str, Array]:
    """Return three instruments of checkboxes; 0 also stands where the form was never opened."""
    status = statuses(p)
    columns: dict[str, Array] = {}
    for group, form in FORM_OF.items():
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
        "sct_donor": words(one_per_patient(p, "hsct", "donor"), DONOR),
        "sct_bron": words(one_per_patient(p, "hsct", "cells"), CELLS),
        "sct_complete": _same(size, "2"),
        "vitale_status": words(one_per_patient(p, "followup", "vital_status"), VITAL),
        "laatste_contact": dates(one_per_patient(p, "followup", "last_contact")),
        "datum_overlijden": dates(one_per_patient(p, "followup", "death")),
        "doodsoorzaak": words(one_per_patient(p, "followup", "cause"), CAUSE),
        "followup_complete": _same(size, "2"),
    }


def _variants(rows: Columns) -> dict[str, Array]:
    """Return the columns of the instrument `variant`."""
    return {
        "gen": rows["gene"],
        "transcript": rows["transcript"],
        "hgvs_c": rows["hgvs_c"],
        "hgvs_p": rows["hgvs_p"],
        "zygotie": words(rows["zygosity"], ZYGOSITY),
        "type_variant": words(rows["kind"], KIND),
        "acmg": words(rows["acmg"].astype(str), {}),
    }


def _fractures(rows: Columns) -> dict[str, Array]:
    """Return the columns of the instrument `fractuur`."""
    return {
        "fractuurdatum": dates(rows["date"]),
        "bot": words(rows["bone"], BONE),
        "zijde": words(rows["side"], SIDE),
        "trauma": words(rows["trauma"], TRAUMA),
        "patroon": words(rows["pattern"], PATTERN),
        "behandeling": words(rows["treatment"], TREATMENT),
        "genezing": words(rows["healing"], HEALING),
    }


def _laboratory(p: Patients, visits: Columns, visit_of: Array) -> dict[str, Array]:
    """Return the columns of the instrument `lab`: one repeat per sample."""
    labs = p["lab"]
    columns = {"labdatum": dates(visits["date"])}
    for analyte, (column, _, factor, digits) in LABS.items():
        rows = labs["analyte"] == analyte
        values = spread(len(visits), visit_of[rows], labs["value"][rows] * factor)
        mark = spread(len(visits), visit_of[rows], labs["decimal_point"][rows], blank=False)
        text = numbers(values, digits, ",")
        columns[column] = np.where(mark.astype(bool), numbers(values, digits, "."), text)
    return columns


def _scans(p: Patients, scans: Columns, scan_of: Array) -> dict[str, Array]:
    """Return the columns of the instrument `dxa`: one repeat per scan."""
    rows, size = p["bmd"], len(scans)
    other = spread(size, scan_of, rows["other_device"], blank=False).astype(bool)
    columns = {
        "dxa_datum": dates(scans["date"]),
        "dxa_apparaat": words(np.where(other, "ge_lunar", "hologic"), VENDOR),
    }
    for region, word in (("lumbar_spine", "lwk"), ("total_hip", "heup")):
        here = rows["region"] == region
        for name, column, digits in (("z", "z_score", 1), ("t", "t_score", 1), ("bmd", "bmd", 3)):
            values = spread(size, scan_of[here], rows[name][here])
            columns[f"{column}_{word}"] = numbers(values, digits, ",")
    return columns


# Form → its variables with their labels, as the project's data dictionary lists them.
FORMS: Mapping[str, Mapping[str, str]] = {
    "patient": {
        "record_id": "Studienummer",
        "achternaam": "Achternaam",
        "voornaam": "Voornaam",
        "bsn": "Burgerservicenummer",
        "telefoon": "Telefoon",
        "geboortedatum": "Geboortedatum",
        "geslacht": "Geslacht",
        "familienummer": "Familienummer",
        "index": "Indexpatiënt",
        "consanguiniteit": "Ouders verwant",
        "toestemming": "Toestemming hergebruik",
        "eerste_contact": "Eerste contact",
        "anamnese_volledig": "Anamnese volledig vanaf geboorte",
        "opmerkingen": "Opmerkingen",
    },
    "diagnose": {
        "diagnose": "Diagnose",
        "zekerheid": "Zekerheid",
        "leeftijd_begin": "Leeftijd bij eerste klachten (jaren)",
        "datum_diagnose": "Datum diagnose",
        "ernst": "Ernst",
    },
    "zintuigen": {"zintuigen": "Zintuigen"},
    "skelet": {"skelet": "Skelet en gebit"},
    "organen": {"organen": "Beenmerg en organen"},
    "sct": {"sct_datum": "Datum SCT", "sct_donor": "Donor", "sct_bron": "Bron stamcellen"},
    "followup": {
        "vitale_status": "Vitale status",
        "laatste_contact": "Laatste contact",
        "datum_overlijden": "Datum overlijden",
        "doodsoorzaak": "Doodsoorzaak",
    },
    "variant": {
        "gen": "Gen",
        "transcript": "Transcript",
        "hgvs_c": "Variant (c.)",
        "hgvs_p": "Eiwit (p.)",
        "zygotie": "Zygotie",
        "type_variant": "Type",
        "acmg": "ACMG-klasse",
    },
    "fractuur": {
        "fractuurdatum": "Datum breuk",
        "bot": "Bot",
        "zijde": "Zijde",
        "trauma": "Trauma",
        "patroon": "Breukpatroon",
        "behandeling": "Behandeling",
        "genezing": "Genezing",
    },
    "lab": {"labdatum": "Datum afname", **{lab[0]: lab[0] for lab in LABS.values()}},
    "dxa": {
        "dxa_datum": "Datum DXA",
        "dxa_apparaat": "Apparaat",
        **{
            f"{column}_{word}": f"{column} {word}"
            for word in ("lwk", "heup")
            for column in ("z_score", "t_score", "bmd")
        },
    },
}
IDENTIFIERS = ("achternaam", "voornaam", "bsn", "telefoon")
DICTIONARY_HEADER = (
    "Variable / Field Name", "Form Name", "Section Header", "Field Type", "Field Label",
    "Choices, Calculations, OR Slider Labels", "Field Note",
    "Text Validation Type OR Show Slider Number", "Text Validation Min", "Text Validation Max",
    "Identifier?", "Branching Logic (Show field only if...)", "Required Field?",
    "Custom Alignment", "Question Number (surveys only)", "Matrix Group Name", "Matrix Ranking?",
    "Field Annotation",
)  # fmt: skip
CHOICES: Mapping[str, Mapping[str, str]] = {
    "geslacht": SEX, "consanguiniteit": YES_NO, "toestemming": YES_NO, "diagnose": SUBTYPE,
    "zekerheid": DX_STATUS, "ernst": SEVERITY, "sct_donor": DONOR, "sct_bron": CELLS,
    "vitale_status": VITAL, "doodsoorzaak": CAUSE, "zygotie": ZYGOSITY, "type_variant": KIND,
    "bot": BONE, "zijde": SIDE, "trauma": TRAUMA, "patroon": PATTERN, "behandeling": TREATMENT,
    "genezing": HEALING, "dxa_apparaat": VENDOR,
}  # fmt: skip


def _write_dictionary(path: Path) -> None:
    """Write the project's data dictionary as REDCap exports it."""
    rows = []
    for form, variables in FORMS.items():
        for name, label in variables.items():
            members = [hpo for hpo in FINDINGS if FORM_OF[FINDINGS[hpo]["group"]] == name]
            choices = {FINDINGS[hpo]["label"]: str(n) for n, hpo in enumerate(members, start=1)}
            choices = choices or dict(CHOICES.get(name, {}))
            kind = "checkbox" if members else "radio" if choices else "text"
            cells = dict.fromkeys(DICTIONARY_HEADER, "") | {
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
            for name, column in zip(DICTIONARY_HEADER, columns, strict=True)
        },
    )


def mapping() -> MappingBook:
    """Return the mapping that a data manager in Leiden approved."""
    book = MappingBook()
    for source, sheet in (
        ("basis", ""), ("variant", "variant"), ("fractuur", "fractuur"), ("lab", "lab"),
        ("dxa", "dxa"),
    ):  # fmt: skip
        book.source(
            source, system="redcap", file="osteopetrose_DATA_*.csv", format="redcap", sheet=sheet,
            encoding="utf-8", delimiter=",", decimal=",", date_order="YMD", missing="-9;NASK",
            id_column="record_id",
        )  # fmt: skip
        book.ignore(source, "not_needed", ["redcap_data_access_group"])
        if sheet:
            book.ignore(source, "not_needed", ["redcap_repeat_instance", f"{sheet}_complete"])
    _map_person(book)
    _map_diagnosis(book)
    _map_course(book)
    _map_repeats(book)
    return book


def _map_person(book: MappingBook) -> None:
    """Map the instrument `patient`."""
    book.copies(
        "person", "basis",
        {"birth_date": "geboortedatum", "first_contact_date": "eerste_contact"}, "date",
    )  # fmt: skip
    book.field("person", "family_id", "basis", "familienummer", "copy")
    book.field("person", "country_of_care", "basis", "", "const", arg="NL")
    book.copies(
        "person", "basis",
        {"is_proband": "index", "history_complete_from_birth": "anamnese_volledig"}, "copy",
    )  # fmt: skip
    book.recode("person", "sex_at_birth", "basis", "geslacht", turn(SEX))
    book.recode("person", "consanguinity", "basis", "consanguiniteit", turn(YES_NO))
    book.recode("person", "consent_reuse", "basis", "toestemming", turn(YES_NO))
    book.ignore("basis", "identifier", IDENTIFIERS)
    book.ignore("basis", "free_text", ["opmerkingen"])
    done = ["patient_complete", "diagnose_complete", "sct_complete", "followup_complete"]
    book.ignore("basis", "not_needed", done)


def _map_diagnosis(book: MappingBook) -> None:
    """Map the instrument `diagnose` and the checkboxes."""
    book.recode("diagnosis", "dx_subtype", "basis", "diagnose", turn(SUBTYPE))
    book.recode("diagnosis", "dx_status", "basis", "zekerheid", turn(DX_STATUS))
    book.recode("diagnosis", "severity", "basis", "ernst", turn(SEVERITY))
    book.field("diagnosis", "onset_age_y", "basis", "leeftijd_begin", "number", unit="a")
    book.field("diagnosis", "dx_date", "basis", "datum_diagnose", "date")
    book.not_collected("diagnosis", ["orpha_code"])
    for group, form in FORM_OF.items():
        members = [hpo for hpo, finding in FINDINGS.items() if finding["group"] == group]
        for number, hpo in enumerate(members, start=1):
            book.field(
                "complication", f"status[{hpo}]", "basis", f"{form}___{number}", "checkbox",
                arg=f"gate={form}_complete",
            )  # fmt: skip


def _map_course(book: MappingBook) -> None:
    """Map the instruments `sct` and `followup`."""
    book.field("hsct", "hsct_date", "basis", "sct_datum", "date")
    book.recode("hsct", "donor_type", "basis", "sct_donor", turn(DONOR))
    book.recode("hsct", "stem_cell_source", "basis", "sct_bron", turn(CELLS))
    book.not_collected("hsct", ["primary_graft_failure", "outcome_status", "outcome_date"])
    book.recode("death_followup", "vital_status", "basis", "vitale_status", turn(VITAL))
    book.recode("death_followup", "cause", "basis", "doodsoorzaak", turn(CAUSE))
    book.copies(
        "death_followup", "basis",
        {"last_contact_date": "laatste_contact", "death_date": "datum_overlijden"}, "date",
    )  # fmt: skip


def _map_repeats(book: MappingBook) -> None:
    """Map the repeating instruments."""
    copied = {"gene_symbol": "gen", "transcript": "transcript", "hgvs_c": "hgvs_c"}
    copied |= {"hgvs_p": "hgvs_p", "acmg_class": "acmg"}
    book.copies("variant", "variant", copied, "copy")
    book.recode("variant", "zygosity", "variant", "zygotie", turn(ZYGOSITY))
    book.recode("variant", "variant_class", "variant", "type_variant", turn(KIND))
    book.field("fracture", "fracture_date", "fractuur", "fractuurdatum", "date")
    for name, column, values in (
        ("bone_site", "bot", BONE),
        ("laterality", "zijde", SIDE),
        ("trauma_level", "trauma", TRAUMA),
        ("pattern", "patroon", PATTERN),
        ("treatment", "behandeling", TREATMENT),
        ("healing_outcome", "genezing", HEALING),
    ):
        book.recode("fracture", name, "fractuur", column, turn(values))
    book.field("lab_measurement", "sample_date", "lab", "labdatum", "date")
    for analyte, (column, unit, _, _) in LABS.items():
        book.field("lab_measurement", f"value[{analyte}]", "lab", column, "number", unit=unit)
    book.field("imaging_bmd", "scan_date", "dxa", "dxa_datum", "date")
    book.field("imaging_bmd", "modality", "dxa", "", "const", arg="DXA")
    book.recode("imaging_bmd", "device_vendor", "dxa", "dxa_apparaat", turn(VENDOR))
    for region, word in (("lumbar_spine", "lwk"), ("total_hip", "heup")):
        for name, column, unit in (
            ("z_score", "z_score", ""), ("t_score", "t_score", ""), ("bmd_g_cm2", "bmd", "g/cm2"),
        ):  # fmt: skip
            book.field(
                "imaging_bmd", f"{name}[{region}]", "dxa", f"{column}_{word}", "number", unit=unit
            )


def _records(patients: Patients) -> Patients:
    """Return the patients unchanged: what a checkbox cannot say is left to the gate."""
    return patients


CENTRE = Centre(
    id="leiden",
    name="Fictief centrum Leiden",
    country="NL",
    language="nl",
    prefix="L",
    severity=0.8,
    workbook=False,
    records=_records,
    export=export,
    mapping=mapping,
)
