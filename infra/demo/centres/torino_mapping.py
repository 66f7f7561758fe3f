"""Torino: the mapping of the OMOP tables, as their data manager approved it."""

from infra.demo.centre import turn
from infra.demo.centres.torino import FRACTURE, JOINED, TABLES_OF_CDM
from infra.demo.mapping_book import MappingBook
from infra.demo.vocabulary import labs_of, words_of


__all__ = ["mapping"]

W, LABS = words_of("torino"), labs_of("torino")


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
    book.recode("person", "sex_at_birth", "person", "gender_source_value", turn(W["sex"]))
    book.recode("person", "consent_reuse", "person", "value_source_value", turn(W["consent"]))
    lacking = ["family_id", "is_proband", "consanguinity", "history_complete_from_birth"]
    book.not_collected("person", lacking)
    book.ignore("person", "identifier", ["person_source_value"])
    book.ignore("person", "derived", ["observation_period_end_date", "gender_concept_id"])


def _map_conditions(book: MappingBook) -> None:
    """Map `condition_occurrence`, which holds diagnoses, fractures and findings."""
    source, column = "condition_occurrence", "condition_source_value"
    diagnoses = turn(W["subtype"])
    findings = turn(W["finding"])
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
    status = turn(W["dx_status"])
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
    names = {lab.name: analyte for analyte, lab in LABS.items()}
    regions = turn(W["region"])
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
    book.ignore(source, "derived", ["unit_ucum"])


def _map_course(book: MappingBook) -> None:
    """Map transplants, vital state and death."""
    source = "procedure_occurrence"
    operations = dict.fromkeys(W["surgery"].values(), "skip")
    book.recode(
        "hsct", "donor_type", source, "procedure_source_value", turn(W["donor"]) | operations
    )
    book.recode("hsct", "stem_cell_source", source, "modifier_source_value", turn(W["cells"]))
    book.field("hsct", "hsct_date", source, "procedure_date", "date")
    book.not_collected("hsct", ["primary_graft_failure", "outcome_status", "outcome_date"])
    living = turn(W["vital"]) | {"deceduto": "skip", "testo libero": "skip"}
    book.recode("death_followup", "vital_status", "observation", "value_source_value", living)
    book.field("death_followup", "last_contact_date", "observation", "observation_date", "date")
    book.ignore("observation", "free_text", ["value_as_string"])
    book.ignore("observation", "derived", ["unit_ucum"])
    book.field("death_followup", "vital_status", "death", "", "const", arg="dead")
    dates_of_death = dict.fromkeys(("last_contact_date", "death_date"), "death_date")
    book.copies("death_followup", "death", dates_of_death, "date")
    book.recode("death_followup", "cause", "death", "cause_source_value", turn(W["cause"]))


def _map_variants(book: MappingBook) -> None:
    """Map the file of variants."""
    copied = {"gene_symbol": "gene", "transcript": "trascritto", "hgvs_c": "hgvs_c"}
    book.copies("variant", "genetica", {**copied, "hgvs_p": "hgvs_p"}, "copy")
    book.field("variant", "acmg_class", "genetica", "classe_acmg", "copy")
    book.recode("variant", "zygosity", "genetica", "zigosita", turn(W["zygosity"]))
    book.recode("variant", "variant_class", "genetica", "tipo", turn(W["kind"]))
    book.ignore("genetica", "identifier", ["cognome", "nome", "cellulare"])
    book.ignore("genetica", "free_text", ["commento"])
