"""Leiden: the mapping of the REDCap project, as its data manager approved it."""

from infra.demo.centre import turn
from infra.demo.centres.leiden import IDENTIFIERS
from infra.demo.findings import FINDINGS
from infra.demo.mapping_book import MappingBook
from infra.demo.vocabulary import labs_of, words_of


__all__ = ["mapping"]

W, LABS = words_of("leiden"), labs_of("leiden")


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
    book.recode("person", "sex_at_birth", "basis", "geslacht", turn(W["sex"]))
    book.recode("person", "consanguinity", "basis", "consanguiniteit", turn(W["yes_no"]))
    book.recode("person", "consent_reuse", "basis", "toestemming", turn(W["yes_no"]))
    book.ignore("basis", "identifier", IDENTIFIERS)
    book.ignore("basis", "free_text", ["opmerkingen"])
    done = ["patient_complete", "diagnose_complete", "sct_complete", "followup_complete"]
    book.ignore("basis", "not_needed", done)


def _map_diagnosis(book: MappingBook) -> None:
    """Map the instrument `diagnose` and the checkboxes."""
    book.recode("diagnosis", "dx_subtype", "basis", "diagnose", turn(W["subtype"]))
    book.recode("diagnosis", "dx_status", "basis", "zekerheid", turn(W["dx_status"]))
    book.recode("diagnosis", "severity", "basis", "ernst", turn(W["severity"]))
    book.field("diagnosis", "onset_age_y", "basis", "leeftijd_begin", "number", unit="a")
    book.field("diagnosis", "dx_date", "basis", "datum_diagnose", "date")
    book.not_collected("diagnosis", ["orpha_code"])
    for group, form in W["form_of"].items():
        members = [hpo for hpo, finding in FINDINGS.items() if finding["group"] == group]
        for number, hpo in enumerate(members, start=1):
            book.field(
                "complication", f"status[{hpo}]", "basis", f"{form}___{number}", "checkbox",
                arg=f"gate={form}_complete",
            )  # fmt: skip


def _map_course(book: MappingBook) -> None:
    """Map the instruments `sct` and `followup`."""
    book.field("hsct", "hsct_date", "basis", "sct_datum", "date")
    book.recode("hsct", "donor_type", "basis", "sct_donor", turn(W["donor"]))
    book.recode("hsct", "stem_cell_source", "basis", "sct_bron", turn(W["cells"]))
    book.not_collected("hsct", ["primary_graft_failure", "outcome_status", "outcome_date"])
    book.recode("death_followup", "vital_status", "basis", "vitale_status", turn(W["vital"]))
    book.recode("death_followup", "cause", "basis", "doodsoorzaak", turn(W["cause"]))
    book.copies(
        "death_followup", "basis",
        {"last_contact_date": "laatste_contact", "death_date": "datum_overlijden"}, "date",
    )  # fmt: skip


def _map_repeats(book: MappingBook) -> None:
    """Map the repeating instruments."""
    copied = {"gene_symbol": "gen", "transcript": "transcript", "hgvs_c": "hgvs_c"}
    copied |= {"hgvs_p": "hgvs_p", "acmg_class": "acmg"}
    book.copies("variant", "variant", copied, "copy")
    book.recode("variant", "zygosity", "variant", "zygotie", turn(W["zygosity"]))
    book.recode("variant", "variant_class", "variant", "type_variant", turn(W["kind"]))
    book.field("fracture", "fracture_date", "fractuur", "fractuurdatum", "date")
    for name, column, values in (
        ("bone_site", "bot", W["bone"]),
        ("laterality", "zijde", W["side"]),
        ("trauma_level", "trauma", W["trauma"]),
        ("pattern", "patroon", W["pattern"]),
        ("treatment", "behandeling", W["treatment"]),
        ("healing_outcome", "genezing", W["healing"]),
    ):
        book.recode("fracture", name, "fractuur", column, turn(values))
    book.field("lab_measurement", "sample_date", "lab", "labdatum", "date")
    for analyte, lab in LABS.items():
        book.field("lab_measurement", f"value[{analyte}]", "lab", lab.name, "number", unit=lab.unit)
    book.field("imaging_bmd", "scan_date", "dxa", "dxa_datum", "date")
    book.field("imaging_bmd", "modality", "dxa", "", "const", arg="DXA")
    book.recode("imaging_bmd", "device_vendor", "dxa", "dxa_apparaat", turn(W["vendor"]))
    for region, word in (("lumbar_spine", "lwk"), ("total_hip", "heup")):
        for name, column, unit in (
            ("z_score", "z_score", ""), ("t_score", "t_score", ""), ("bmd_g_cm2", "bmd", "g/cm2"),
        ):  # fmt: skip
            book.field(
                "imaging_bmd", f"{name}[{region}]", "dxa", f"{column}_{word}", "number", unit=unit
            )
