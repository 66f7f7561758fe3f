"""Torino: an Italian OMOP CDM 5.4 extract (CSV) in mg/dL, with variants in a file beside it.

The model holds no excluded finding, zygosity, healing or onset age. The extract of `person` is the
query that sites usually run: the table with its observation period and the consent observation.
"""

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from infra.demo.centre import Centre, turn
from infra.demo.columns import Array, Columns, Patients
from infra.demo.mapping_book import MappingBook
from infra.demo.raw import Place, dates, numbers, rows_of, words, write_csv


__all__ = ["CENTRE", "TABLES_OF_CDM"]

FIRST_ROW = 2
EHR = "32817"  # OMOP type concept: electronic health record
SEX = {"female": "F", "male": "M"}
GENDER = {"female": "8532", "male": "8507"}
CONSENT = {"yes": "si", "no": "no", "unknown": "nd"}
SUBTYPE = {
    "ADO2": "Osteopetrosi ADO2",
    "CARRIER_UNAFFECTED": "Portatore sano CLCN7",
    "ADO1": "Alta massa ossea LRP5",
    "PYCNO": "Picnodisostosi",
    "CA2D": "Deficit di anidrasi carbonica II",
    "XLO": "OL-EDA-ID",
    "LAD3": "LAD III",
    "ARO_TCIRG1": "Osteopetrosi maligna TCIRG1",
    "ARO_CLCN7": "Osteopetrosi maligna CLCN7",
    "ARO_OSTM1": "Osteopetrosi maligna OSTM1",
    "ARO_SNX10": "Osteopetrosi maligna SNX10",
    "ARO_TNFRSF11A": "Osteopetrosi maligna RANK",
    "ARO_TNFSF11": "Osteopetrosi maligna RANKL",
    "OPT_ANY": "Osteopetrosi, gene non identificato",
}
DX_STATUS = {"confirmed_genetic": "genetica", "confirmed_radiographic": "radiologica"}
FINDING = {
    "HP:0000572": "Perdita visiva",
    "HP:0000365": "Ipoacusia",
    "HP:0005528": "Insufficienza midollare",
    "HP:0001433": "Epatosplenomegalia",
    "HP:0002901": "Ipocalcemia",
    "HP:0007626": "Osteomielite mandibolare",
    "HP:0030757": "Ascesso dentario",
    "HP:0008843": "Coxartrosi",
    "HP:0002650": "Scoliosi",
    "HP:0001947": "Acidosi tubulare renale",
    "HP:0002514": "Calcificazioni cerebrali",
    "HP:0002719": "Infezioni ricorrenti",
}
BONE = {
    "femur_neck": "collo femore",
    "femur_subtroch": "femore sottotrocanterica",
    "femur_shaft": "diafisi femore",
    "femur_distal": "femore distale",
    "tibia": "tibia",
    "humerus": "omero",
    "radius_ulna": "avambraccio",
    "foot": "piede",
    "hand": "mano",
    "vertebra": "vertebra",
    "rib": "costa",
    "clavicle": "clavicola",
    "pelvis": "bacino",
}
SIDE = {"left": " sx", "right": " dx", "not_applicable": ""}
# code as written → bone, side
FRACTURE = {
    f"Frattura {word}{mark}": (bone, side)
    for bone, word in BONE.items()
    for side, mark in SIDE.items()
}
# OMOP concepts that were found in a public vocabulary extract; 0 is the model's "no concept".
CONCEPT = {"rib": "4142905", "clavicle": "4237458", "radius_ulna": "4278672"}
VITAL = {"alive": "vivo", "lost": "perso al follow-up", "dead": "deceduto"}
CAUSE = {
    "infection": "infezione",
    "haemorrhage": "emorragia",
    "marrow_failure": "insufficienza midollare",
    "transplant_related": "legata al trapianto",
    "unrelated": "non correlata",
    "unknown": "sconosciuta",
}
DONOR = {
    "MSD": "TCSE fratello HLA identico",
    "MRD": "TCSE familiare compatibile",
    "MUD": "TCSE non familiare compatibile",
    "haplo": "TCSE aploidentico",
    "MMUD": "TCSE non familiare non compat.",
}
CELLS = {"BM": "midollo", "PB": "sangue periferico", "UCB": "cordone"}
SURGERY = {"plate": "Osteosintesi con placca", "im_nail": "Chiodo endomidollare"}
ZYGOSITY = {
    "heterozygous": "eterozigote",
    "homozygous": "omozigote",
    "compound_heterozygous": "eterozigote composto",
    "hemizygous": "emizigote",
}
KIND = {
    "missense": "missenso",
    "nonsense": "nonsenso",
    "frameshift": "frameshift",
    "splice": "splicing",
}
REGION = {
    "lumbar_spine": "DXA Z-score colonna lombare",
    "total_hip": "DXA Z-score anca",
}
# analyte → name, unit, OMOP concept, OMOP unit concept, factor from the canonical unit, digits
LABS: Mapping[str, tuple[str, str, str, str, float, int]] = {
    "hemoglobin": ("Emoglobina", "g/dL", "3000963", "8713", 0.1, 1),
    "platelets": ("Piastrine", "10*3/mmc", "3024929", "8848", 1.0, 0),
    "calcium": ("Calcio totale", "mg/dL", "3006906", "8840", 1 / 0.249513, 2),
    "phosphate": ("Fosforo", "mg/dL", "0", "8840", 1 / 0.322854, 2),
    "alp": ("Fosfatasi alcalina", "U/L", "3035995", "8645", 1.0, 0),
    "pth": ("PTH intatto", "pg/mL", "0", "8845", 1 / 0.106104, 1),
    "vitamin_d_25oh": ("25-OH vitamina D", "ng/mL", "0", "8842", 1 / 2.496006, 1),
    "creatinine": ("Creatinina", "mg/dL", "3016723", "8840", 1 / 88.4017, 2),
    "ldh": ("LDH", "U/L", "3016436", "8645", 1.0, 0),
    "bicarbonate": ("Bicarbonati", "mEq/L", "0", "0", 1.0, 1),
}

TABLES_OF_CDM: Mapping[str, tuple[str, ...]] = {
    "person": (
        "person_id", "gender_concept_id", "year_of_birth", "month_of_birth", "day_of_birth",
        "birth_datetime", "race_concept_id", "ethnicity_concept_id", "location_id", "provider_id",
        "care_site_id", "person_source_value", "gender_source_value", "gender_source_concept_id",
        "race_source_value", "race_source_concept_id", "ethnicity_source_value",
        "ethnicity_source_concept_id",
    ),
    "condition_occurrence": (
        "condition_occurrence_id", "person_id", "condition_concept_id", "condition_start_date",
        "condition_start_datetime", "condition_end_date", "condition_end_datetime",
        "condition_type_concept_id", "condition_status_concept_id", "stop_reason", "provider_id",
        "visit_occurrence_id", "visit_detail_id", "condition_source_value",
        "condition_source_concept_id", "condition_status_source_value",
    ),
    "measurement": (
        "measurement_id", "person_id", "measurement_concept_id", "measurement_date",
        "measurement_datetime", "measurement_time", "measurement_type_concept_id",
        "operator_concept_id", "value_as_number", "value_as_concept_id", "unit_concept_id",
        "range_low", "range_high", "provider_id", "visit_occurrence_id", "visit_detail_id",
        "measurement_source_value", "measurement_source_concept_id", "unit_source_value",
        "unit_source_concept_id", "value_source_value", "measurement_event_id",
        "meas_event_field_concept_id",
    ),
    "procedure_occurrence": (
        "procedure_occurrence_id", "person_id", "procedure_concept_id", "procedure_date",
        "procedure_datetime", "procedure_end_date", "procedure_end_datetime",
        "procedure_type_concept_id", "modifier_concept_id", "quantity", "provider_id",
        "visit_occurrence_id", "visit_detail_id", "procedure_source_value",
        "procedure_source_concept_id", "modifier_source_value",
    ),
    "observation": (
        "observation_id", "person_id", "observation_concept_id", "observation_date",
        "observation_datetime", "observation_type_concept_id", "value_as_number",
        "value_as_string", "value_as_concept_id", "qualifier_concept_id", "unit_concept_id",
        "provider_id", "visit_occurrence_id", "visit_detail_id", "observation_source_value",
        "observation_source_concept_id", "unit_source_value", "qualifier_source_value",
        "value_source_value", "observation_event_id", "obs_event_field_concept_id",
    ),
    "death": (
        "person_id", "death_date", "death_datetime", "death_type_concept_id", "cause_concept_id",
        "cause_source_value", "cause_source_concept_id",
    ),
}  # fmt: skip
# What the query adds to `person`: columns of observation_period and of the consent observation.
JOINED = ("observation_period_start_date", "observation_period_end_date", "value_source_value")


def export(patients: Patients, inbox: Path) -> Mapping[str, Place]:
    """Write six tables of the model and the file of variants."""
    conditions, condition_rows = _conditions(patients)
    measurements, measurement_rows = _measurements(patients)
    observations, deaths, followup = _course(patients)
    procedures = _procedures(patients)
    tables = {
        "person": _persons(patients),
        "condition_occurrence": conditions,
        "measurement": measurements,
        "procedure_occurrence": procedures,
        "observation": observations,
        "death": deaths,
    }
    for name, columns in tables.items():
        extra = JOINED if name == "person" else ()
        write_csv(inbox / "omop" / f"{name}.csv", _all_columns(name, columns, extra))
    write_csv(inbox / "genetica.csv", _variants(patients))
    condition, measurement = "omop/condition_occurrence.csv", "omop/measurement.csv"
    return {
        "person": Place.of("omop/person.csv", "person", rows_of(patients.person, FIRST_ROW)),
        **{
            name: Place.of(condition, "condition_occurrence", rows)
            for name, rows in condition_rows.items()
        },
        **{
            name: Place.of(measurement, "measurement", rows)
            for name, rows in measurement_rows.items()
        },
        "hsct": Place.of(
            "omop/procedure_occurrence.csv", "procedure_occurrence",
            rows_of(patients["hsct"], FIRST_ROW),
        ),
        "variant": Place.of("genetica.csv", "", rows_of(patients["variant"], FIRST_ROW)),
        "followup": followup,
    }  # fmt: skip


def _all_columns(
    name: str, columns: Mapping[str, Array], extra: tuple[str, ...] = ()
) -> dict[str, Array]:
    """Return every column of a table of the model in its order, empty where nothing is held."""
    size = len(next(iter(columns.values())))
    empty = np.full(size, "", dtype=object)
    return {column: columns.get(column, empty) for column in (*TABLES_OF_CDM[name], *extra)}


def _ids(size: int) -> Array:
    """Return row ids from 1."""
    return np.array([str(number) for number in range(1, size + 1)], dtype=object)


def _same(size: int, text: str) -> Array:
    """Return a column that holds one text."""
    return np.full(size, text, dtype=object)


def _persons(p: Patients) -> dict[str, Array]:
    """Return the columns of `person`, joined with observation period and consent."""
    person, size = p.person, len(p.person)
    unknown = person["birth_year_only"]
    return {
        "person_id": person["local_id"],
        "gender_concept_id": np.array([GENDER.get(s, "0") for s in person["sex"]], dtype=object),
        "year_of_birth": dates(person["birth"], "{y}"),
        "month_of_birth": np.where(unknown, "", dates(person["birth"], "{m}")),
        "day_of_birth": np.where(unknown, "", dates(person["birth"], "{d}")),
        "race_concept_id": _same(size, "0"),
        "ethnicity_concept_id": _same(size, "0"),
        "person_source_value": person["national_id"],
        "gender_source_value": words(person["sex"], SEX),
        "observation_period_start_date": dates(person["first_contact"]),
        "observation_period_end_date": dates(person["last_contact"]),
        "value_source_value": words(person["consent"], CONSENT),
    }


def _conditions(p: Patients) -> tuple[dict[str, Array], dict[str, Array]]:
    """Return the columns of `condition_occurrence` and where each truth row stands in it."""
    diagnosis, fracture, found = p["diagnosis"], p["fracture"], p["complication"]
    present = np.flatnonzero(found["status"] == "present")
    seen = found.take(present)
    side = np.array([SIDE.get(name, "") for name in fracture["side"]], dtype=object)
    broken = np.array([f"Frattura {BONE[b]}" for b in fracture["bone"]], dtype=object) + side
    blank = _same(len(fracture), ""), _same(len(seen), "")
    code = [words(diagnosis["subtype"], SUBTYPE), broken, words(seen["hpo"], FINDING)]
    status = np.concatenate([words(diagnosis["status"], DX_STATUS), *blank])
    who = np.concatenate([diagnosis["person"], fracture["person"], seen["person"]])
    date = np.concatenate([diagnosis["date"], fracture["date"], seen["onset"]])
    zeros = _same(len(diagnosis), "0"), _same(len(seen), "0")
    bones = np.array([CONCEPT.get(bone, "0") for bone in fracture["bone"]], dtype=object)
    concept = np.concatenate([zeros[0], bones, zeros[1]])
    rows = np.arange(len(who)) + FIRST_ROW
    complication = np.zeros(len(found), dtype=int)
    complication[present] = rows[len(diagnosis) + len(fracture) :]
    columns = {
        "condition_occurrence_id": _ids(len(who)),
        "person_id": p.person["local_id"][who],
        "condition_concept_id": concept,
        "condition_start_date": dates(date),
        "condition_type_concept_id": _same(len(who), EHR),
        "condition_source_value": np.concatenate(code),
        "condition_status_source_value": status,
    }
    places = {
        "diagnosis": rows[: len(diagnosis)],
        "fracture": rows[len(diagnosis) : len(diagnosis) + len(fracture)],
        "complication": complication,
    }
    return columns, places


def _measurements(p: Patients) -> tuple[dict[str, Array], dict[str, Array]]:
    """Return the columns of `measurement` and where each truth row stands in it."""
    labs, scans = p["lab"], p["bmd"]
    value = np.empty(len(labs), dtype=object)
    for analyte, (*_, factor, digits) in LABS.items():
        here = labs["analyte"] == analyte
        value[here] = numbers(labs["value"][here] * factor, digits)
    spine = np.where(scans["region"] == "lumbar_spine", "36204417", "0").astype(object)
    who = np.concatenate([labs["person"], scans["person"]])
    size = len(who)
    columns = {
        "measurement_id": _ids(size),
        "person_id": p.person["local_id"][who],
        "measurement_concept_id": np.concatenate([_lab(labs, 2), spine]),
        "measurement_date": dates(np.concatenate([labs["date"], scans["date"]])),
        "measurement_type_concept_id": _same(size, EHR),
        "value_as_number": np.concatenate([value, numbers(scans["z"], 1)]),
        "unit_concept_id": np.concatenate([_lab(labs, 3), _same(len(scans), "")]),
        "measurement_source_value": np.concatenate([_lab(labs, 0), words(scans["region"], REGION)]),
        "unit_source_value": np.concatenate([_lab(labs, 1), _same(len(scans), "")]),
    }
    rows = np.arange(size) + FIRST_ROW
    return columns, {"lab": rows[: len(labs)], "bmd": rows[len(labs) :]}


def _lab(labs: Columns, part: int) -> Array:
    """Return the name (0), unit (1), concept (2) or unit concept (3) of each value."""
    return words(labs["analyte"], {name: str(lab[part]) for name, lab in LABS.items()})


def _procedures(p: Patients) -> dict[str, Array]:
    """Return the columns of `procedure_occurrence`: transplants, then operations on fractures."""
    grafts, fractures = p["hsct"], p["fracture"]
    operated = fractures.take(np.isin(fractures["treatment"], list(SURGERY)))
    who = np.concatenate([grafts["person"], operated["person"]])
    return {
        "procedure_occurrence_id": _ids(len(who)),
        "person_id": p.person["local_id"][who],
        "procedure_concept_id": _same(len(who), "0"),
        "procedure_date": dates(np.concatenate([grafts["date"], operated["date"]])),
        "procedure_type_concept_id": _same(len(who), EHR),
        "procedure_source_value": np.concatenate(
            [words(grafts["donor"], DONOR), words(operated["treatment"], SURGERY)]
        ),
        "modifier_source_value": np.concatenate(
            [words(grafts["cells"], CELLS), _same(len(operated), "")]
        ),
    }


def _course(p: Patients) -> tuple[dict[str, Array], dict[str, Array], Place]:
    """Return the columns of `observation` and `death`, and where each follow-up stands.

    The vital state is an observation on the day of the last contact; who died stands in `death`.
    """
    rows, person = p["followup"], p.person
    who, size = rows["person"], len(rows)
    dead = rows.take(rows["vital_status"] == "dead")
    notes = np.arange(0, len(person), 3)
    owner = np.concatenate([who, notes])
    blank = _same(size, "")
    observations = {
        "observation_id": _ids(len(owner)),
        "person_id": person["local_id"][owner],
        "observation_concept_id": _same(len(owner), "0"),
        "observation_date": dates(person["last_contact"][owner]),
        "observation_type_concept_id": _same(len(owner), EHR),
        "value_as_string": np.concatenate([blank, words(person["note"][notes], {})]),
        "observation_source_value": np.concatenate(
            [_same(size, "STATO_VITALE"), _same(len(notes), "NOTA")]
        ),
        "value_source_value": np.concatenate(
            [words(rows["vital_status"], VITAL), _same(len(notes), "testo libero")]
        ),
    }
    deaths = {
        "person_id": person["local_id"][dead["person"]],
        "death_date": dates(dead["death"]),
        "death_type_concept_id": _same(len(dead), EHR),
        "cause_source_value": words(dead["cause"], CAUSE),
    }
    place = rows_of(rows, FIRST_ROW)
    died = rows["vital_status"] == "dead"
    place[died] = np.arange(int(died.sum())) + FIRST_ROW
    table = np.where(died, "death", "observation").astype(object)
    file = np.array([f"omop/{name}.csv" for name in table], dtype=object)
    return observations, deaths, Place(file, table, place)


def _variants(p: Patients) -> dict[str, Array]:
    """Return the columns of the laboratory's file of variants."""
    rows, person = p["variant"], p.person
    who = rows["person"]
    return {
        "person_id": person["local_id"][who],
        "cognome": person["family_name"][who],
        "nome": person["given"][who],
        "cellulare": person["phone"][who],
        "gene": rows["gene"],
        "trascritto": rows["transcript"],
        "hgvs_c": rows["hgvs_c"],
        "hgvs_p": rows["hgvs_p"],
        "zigosita": words(rows["zygosity"], ZYGOSITY),
        "tipo": words(rows["kind"], KIND),
        "classe_acmg": words(rows["acmg"].astype(str), {}),
        "commento": np.where(who % 5 == 0, person["note"][who], ""),
    }


def mapping() -> MappingBook:
    """Return the mapping that a data manager in Torino approved."""
    book = MappingBook()
    for table in TABLES_OF_CDM:
        book.source(
            table, system="omop", file="omop/*.csv", format="omop", sheet=table,
            encoding="utf-8", delimiter=",", decimal=".", date_order="YMD",
            id_column="person_id",
        )  # fmt: skip
    book.source(
        "genetica", system="csv", file="genetica.csv", format="delimited", encoding="utf-8",
        delimiter=",", decimal=".", date_order="YMD", id_column="person_id",
    )  # fmt: skip
    _map_person(book)
    _map_conditions(book)
    _map_measurements(book)
    _map_course(book)
    _map_variants(book)
    for table, columns in TABLES_OF_CDM.items():
        book.ignore_rest(table, columns, "not_needed", "standard column of the model, not used")
    return book


def _map_person(book: MappingBook) -> None:
    """Map the table `person` with what the query joined to it."""
    born = "year_of_birth;month_of_birth;day_of_birth"
    book.field("person", "birth_date", "person", born, "date", arg="parts")
    book.field("person", "first_contact_date", "person", JOINED[0], "date")
    book.field("person", "country_of_care", "person", "", "const", arg="IT")
    book.recode("person", "sex_at_birth", "person", "gender_source_value", turn(SEX))
    book.recode("person", "consent_reuse", "person", "value_source_value", turn(CONSENT))
    lacking = ["family_id", "is_proband", "consanguinity", "history_complete_from_birth"]
    book.not_collected("person", lacking)
    book.ignore("person", "identifier", ["person_source_value"])
    book.ignore("person", "derived", ["observation_period_end_date", "gender_concept_id"])


def _map_conditions(book: MappingBook) -> None:
    """Map `condition_occurrence`, which holds diagnoses, fractures and findings."""
    source, column = "condition_occurrence", "condition_source_value"
    diagnoses = turn(SUBTYPE)
    findings = turn(FINDING)
    bones = {text: bone for text, (bone, _) in FRACTURE.items()}
    sides = {text: side for text, (_, side) in FRACTURE.items()}
    for table, name, values in (
        ("diagnosis", "dx_subtype", diagnoses),
        ("fracture", "bone_site", bones),
        ("fracture", "laterality", sides),
        ("complication", "hpo_id", findings),
    ):
        others = (diagnoses | findings | bones).keys() - values.keys()
        book.recode(table, name, source, column, values | dict.fromkeys(sorted(others), "skip"))
    start = "condition_start_date"
    status = turn(DX_STATUS)
    book.recode("diagnosis", "dx_status", source, "condition_status_source_value", status)
    book.field("diagnosis", "dx_date", source, start, "date")
    book.field("fracture", "fracture_date", source, start, "date")
    book.field("complication", "onset_date", source, start, "date")
    book.field("complication", "status", source, "", "const", arg="present")
    book.not_collected("diagnosis", ["onset_age_y", "severity", "orpha_code"])
    book.not_collected("fracture", ["trauma_level", "pattern", "treatment", "healing_outcome"])


def _map_measurements(book: MappingBook) -> None:
    """Map `measurement`, which holds laboratory values and Z-scores."""
    source, column = "measurement", "measurement_source_value"
    names = {lab[0]: analyte for analyte, lab in LABS.items()}
    regions = turn(REGION)
    book.recode(
        "lab_measurement", "analyte", source, column, names | dict.fromkeys(regions, "skip")
    )
    book.field("lab_measurement", "sample_date", source, "measurement_date", "date")
    unit = "unit_column=unit_source_value"
    book.field("lab_measurement", "value", source, "value_as_number", "number", arg=unit)
    book.recode("imaging_bmd", "region", source, column, regions | dict.fromkeys(names, "skip"))
    book.field("imaging_bmd", "modality", source, "", "const", arg="DXA")
    book.field("imaging_bmd", "scan_date", source, "measurement_date", "date")
    book.field("imaging_bmd", "z_score", source, "value_as_number", "number")
    book.not_collected("imaging_bmd", ["t_score", "bmd_g_cm2", "device_vendor"], source)


def _map_course(book: MappingBook) -> None:
    """Map transplants, vital state and death."""
    source = "procedure_occurrence"
    operations = dict.fromkeys(SURGERY.values(), "skip")
    book.recode("hsct", "donor_type", source, "procedure_source_value", turn(DONOR) | operations)
    book.recode("hsct", "stem_cell_source", source, "modifier_source_value", turn(CELLS))
    book.field("hsct", "hsct_date", source, "procedure_date", "date")
    book.not_collected("hsct", ["primary_graft_failure", "outcome_status", "outcome_date"])
    living = turn(VITAL) | {"deceduto": "skip", "testo libero": "skip"}
    book.recode("death_followup", "vital_status", "observation", "value_source_value", living)
    book.field("death_followup", "last_contact_date", "observation", "observation_date", "date")
    book.ignore("observation", "free_text", ["value_as_string"])
    book.field("death_followup", "vital_status", "death", "", "const", arg="dead")
    dates_of_death = dict.fromkeys(("last_contact_date", "death_date"), "death_date")
    book.copies("death_followup", "death", dates_of_death, "date")
    book.recode("death_followup", "cause", "death", "cause_source_value", turn(CAUSE))


def _map_variants(book: MappingBook) -> None:
    """Map the file of variants."""
    copied = {"gene_symbol": "gene", "transcript": "trascritto", "hgvs_c": "hgvs_c"}
    book.copies("variant", "genetica", {**copied, "hgvs_p": "hgvs_p"}, "copy")
    book.field("variant", "acmg_class", "genetica", "classe_acmg", "copy")
    book.recode("variant", "zygosity", "genetica", "zigosita", turn(ZYGOSITY))
    book.recode("variant", "variant_class", "genetica", "tipo", turn(KIND))
    book.ignore("genetica", "identifier", ["cognome", "nome", "cellulare"])
    book.ignore("genetica", "free_text", ["commento"])


def _records(patients: Patients) -> Patients:
    """Return the patients unchanged: the export leaves out what the model cannot hold."""
    return patients


CENTRE = Centre(
    id="torino",
    name="Centro fittizio di Torino",
    country="IT",
    language="it",
    prefix="7",
    severity=1.2,
    workbook=False,
    records=_records,
    export=export,
    mapping=mapping,
)
