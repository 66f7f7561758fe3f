"""Odense: the mapping of phenopackets and lists, as their data manager approved it."""

from infra.demo.centre import turn
from infra.demo.centres.odense import ACMG, LABORATORY, PATIENTS, disease
from infra.demo.findings import FINDINGS
from infra.demo.mapping_book import MappingBook
from infra.demo.vocabulary import labs_of, words_of
from transforms.dictionary import DICTIONARY
from transforms.readers.phenopacket_blocks import BLOCKS, RARE


__all__ = ["mapping"]

W, LABS = words_of("odense"), labs_of("odense")


def mapping() -> MappingBook:
    """Return the mapping that a data manager in Odense approved."""
    book = MappingBook()
    for source, file in (("patientliste", PATIENTS), ("laboratorium", LABORATORY)):
        book.source(
            source, system="csv", file=file, format="delimited", encoding="utf-8", delimiter=";",
            decimal=",", date_order="DMY", missing="-", id_column="Patientnummer",
        )  # fmt: skip
    for name in BLOCKS:
        book.source(
            name, system="phenopackets", file="phenopackets/*.json", format="phenopackets",
            sheet=name, decimal=".", date_order="YMD", id_column="subject_id",
        )  # fmt: skip
    _map_patient_list(book)
    _map_subjects(book)
    _map_features(book)
    _map_blocks(book)
    why = "not used here, or said by another column"
    for name, block in BLOCKS.items():
        there = (column for column in block.columns if not column.endswith(RARE))
        book.ignore_rest(name, there, "not_needed", why)
    return book


def _map_patient_list(book: MappingBook) -> None:
    """Map the patient list and the laboratory's file."""
    source = "patientliste"
    days = {"birth_date": "Fødselsdato", "first_contact_date": "Første kontakt"}
    book.copies("person", source, days, "date")
    book.field("person", "family_id", source, "Familienummer", "copy")
    book.field("person", "country_of_care", source, "", "const", arg="DK")
    said = {"ja": "true", "nej": "false"}
    for name, column, values in (
        ("sex_at_birth", "Køn", turn(W["sex"])),
        ("is_proband", "Indekspatient", said),
        ("consanguinity", "Forældre beslægtede", turn(W["yes_no"])),
        ("consent_reuse", "Samtykke", turn(W["yes_no"])),
        ("history_complete_from_birth", "Fuldstændig anamnese", said),
    ):
        book.recode("person", name, source, column, values)
    book.ignore(source, "identifier", ["Fornavn", "Efternavn", "CPR-nummer", "Telefon"])
    book.ignore(source, "free_text", ["Bemærkning"])
    source = "laboratorium"
    names = {lab.name: analyte for analyte, lab in LABS.items()}
    book.recode("lab_measurement", "analyte", source, "Analyse", names)
    book.field("lab_measurement", "sample_date", source, "Prøvedato", "date")
    book.field("lab_measurement", "value", source, "Resultat", "number", arg="unit_column=Enhed")
    book.ignore(source, "free_text", ["Rekvirent"])


def _map_subjects(book: MappingBook) -> None:
    """Map the state at last contact; who the patient is stands in the patient list."""
    table, source = "death_followup", "subjects"
    book.recode(table, "vital_status", source, "vital_status", turn(W["vital"]))
    days = {"last_contact_date": "last_encounter_date", "death_date": "death_date"}
    book.copies(table, source, days, "date")
    book.recode(table, "cause", source, "cause_of_death_label", turn(W["cause"]))
    book.ignore(source, "derived", ["sex", "date_of_birth"], "read from the patient list")


def _map_features(book: MappingBook) -> None:
    """Map phenotypic features: complications and fractures."""
    source = "features"
    bones = {code: bone for bone, (code, _) in W["bone"].items()}
    sides = {code: side for side, (code, _) in W["side"].items()}
    findings = {hpo: hpo for hpo in FINDINGS}
    skip_bones, skip_findings = dict.fromkeys(bones, "skip"), dict.fromkeys(findings, "skip")
    book.recode("complication", "hpo_id", source, "hpo_id", findings | skip_bones)
    book.field("complication", "status", source, "status", "copy")
    book.field("complication", "onset_age_y", source, "onset_age_iso", "number", unit="iso8601")
    book.recode("fracture", "bone_site", source, "hpo_id", bones | skip_findings)
    book.recode("fracture", "laterality", source, "laterality_id", sides)
    book.field("fracture", "fracture_date", source, "onset_date", "date")
    book.not_collected("fracture", ["trauma_level", "pattern", "treatment", "healing_outcome"])


def _map_blocks(book: MappingBook) -> None:
    """Map diseases, variants, measurements and procedures."""
    subtypes = {disease(name)[0]: name for name in DICTIONARY.codelists["dx_subtype"].codes}
    book.recode("diagnosis", "dx_subtype", "diseases", "term_id", subtypes)
    book.field("diagnosis", "onset_age_y", "diseases", "onset_age_iso", "number", unit="iso8601")
    book.not_collected("diagnosis", ["dx_status", "dx_date", "severity", "orpha_code"])
    copied = ("gene_symbol", "transcript", "hgvs_c", "hgvs_p")
    book.copies("variant", "variants", {name: name for name in copied}, "copy")
    book.recode("variant", "zygosity", "variants", "zygosity_id", turn(W["zygosity"]))
    acmg = {text: str(number) for number, text in ACMG.items()}
    book.recode("variant", "acmg_class", "variants", "acmg", acmg)
    status = {"CAUSATIVE": "causative"}
    book.recode("variant", "interpretation_status", "variants", "interpretation_status", status)
    book.not_collected("variant", ["variant_class"])
    regions = {code: region for region, (code, _) in W["region"].items()}
    book.recode("imaging_bmd", "region", "measurements", "assay_id", regions)
    book.field("imaging_bmd", "modality", "measurements", "", "const", arg="DXA")
    book.field("imaging_bmd", "z_score", "measurements", "value", "number")
    book.field("imaging_bmd", "scan_date", "measurements", "observed_date", "date")
    book.not_collected("imaging_bmd", ["t_score", "bmd_g_cm2", "device_vendor"])
    donors = {code: donor for donor, (code, _) in W["donor"].items()}
    book.recode("hsct", "donor_type", "procedures", "procedure_id", donors)
    book.field("hsct", "hsct_date", "procedures", "performed_date", "date")
    lacking = ["stem_cell_source", "primary_graft_failure", "outcome_status", "outcome_date"]
    book.not_collected("hsct", lacking)
