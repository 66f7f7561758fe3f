"""Ulm: the mapping of the CSV files, as their data manager approved it."""

from infra.demo.centre import turn
from infra.demo.centres.ulm import FILES
from infra.demo.mapping_book import MappingBook
from infra.demo.vocabulary import labs_of, words_of


__all__ = ["mapping"]

W, LABS = words_of("ulm"), labs_of("ulm")


def mapping() -> MappingBook:
    """Return the mapping that a data manager in Ulm approved."""
    book = MappingBook()
    for source, file in FILES.items():
        book.source(
            SOURCES[source], system="csv", file=file.replace("2026", "*"), format="delimited",
            encoding="cp1252", delimiter=";", decimal=",", date_order="DMY", missing="-;n.d.",
            id_column="Patienten-ID",
        )  # fmt: skip
    _map_person(book)
    _map_diagnosis(book)
    _map_tables(book)
    return book


SOURCES = {
    "person": "patienten",
    "variant": "genetik",
    "fracture": "frakturen",
    "lab": "labor",
    "bmd": "dxa",
    "hsct": "szt",
}


def _map_person(book: MappingBook) -> None:
    """Map who the patient is."""
    source = "patienten"
    book.copies(
        "person", source,
        {"birth_date": "Geburtsdatum", "first_contact_date": "Erstvorstellung"}, "date",
    )  # fmt: skip
    book.field("person", "family_id", source, "Familie", "copy")
    book.field("person", "country_of_care", source, "", "const", arg="DE")
    for name, column, values in (
        ("sex_at_birth", "Geschlecht", turn(W["sex"])),
        ("is_proband", "Indexpatient", W["ja_nein"]),
        ("consanguinity", "Konsanguinität", turn(W["yes_no"])),
        ("consent_reuse", "Einwilligung", turn(W["yes_no"])),
        ("history_complete_from_birth", "Anamnese ab Geburt", W["ja_nein"]),
    ):
        book.recode("person", name, source, column, values)
    book.ignore(source, "identifier", ["Nachname", "Vorname", "KVNR", "Telefon"])
    book.ignore(source, "free_text", ["Bemerkung"])


def _map_diagnosis(book: MappingBook) -> None:
    """Map diagnosis, findings and follow-up, which stand beside the patient."""
    source = "patienten"
    book.recode("diagnosis", "dx_subtype", source, "Diagnose", turn(W["subtype"]))
    book.recode("diagnosis", "dx_status", source, "Sicherung", turn(W["dx_status"]))
    book.recode("diagnosis", "severity", source, "Schweregrad", turn(W["severity"]))
    book.field(
        "diagnosis", "onset_age_y", source, "Alter Erstmanifestation (Monate)", "number", unit="mo"
    )
    book.field("diagnosis", "dx_date", source, "Diagnosedatum", "date")
    book.not_collected("diagnosis", ["orpha_code"])
    for hpo, column in W["finding"].items():
        book.recode("complication", f"status[{hpo}]", source, column, turn(W["status"]))
    book.recode("death_followup", "vital_status", source, "Vitalstatus", turn(W["vital"]))
    book.recode("death_followup", "cause", source, "Todesursache", turn(W["cause"]))
    book.copies(
        "death_followup", source,
        {"last_contact_date": "Letzter Kontakt", "death_date": "Sterbedatum"}, "date",
    )  # fmt: skip


def _map_tables(book: MappingBook) -> None:
    """Map the files that hold one table each."""
    for name, column in {
        "gene_symbol": "Gen", "transcript": "Transkript", "hgvs_c": "Variante",
        "hgvs_p": "Protein", "acmg_class": "ACMG-Klasse",
    }.items():  # fmt: skip
        book.field("variant", name, "genetik", column, "copy")
    book.recode("variant", "zygosity", "genetik", "Zygotie", turn(W["zygosity"]))
    book.recode("variant", "variant_class", "genetik", "Typ", turn(W["kind"]))
    book.field("fracture", "fracture_date", "frakturen", "Datum", "date")
    for name, column, values in (
        ("bone_site", "Lokalisation", W["bone"]),
        ("laterality", "Seite", W["side"]),
        ("trauma_level", "Trauma", W["trauma"]),
        ("pattern", "Frakturtyp", W["pattern"]),
        ("treatment", "Therapie", W["treatment"]),
        ("healing_outcome", "Heilung", W["healing"]),
    ):
        book.recode("fracture", name, "frakturen", column, turn(values))
    book.ignore("frakturen", "free_text", ["Freitext"])
    book.recode(
        "lab_measurement", "analyte", "labor", "Parameter",
        {lab.name: name for name, lab in LABS.items()},
    )  # fmt: skip
    book.field("lab_measurement", "sample_date", "labor", "Abnahmedatum", "date")
    book.field("lab_measurement", "value", "labor", "Wert", "number", arg="unit_column=Einheit")
    book.recode("imaging_bmd", "region", "dxa", "Region", turn(W["region"]))
    book.field("imaging_bmd", "modality", "dxa", "", "const", arg="DXA")
    book.field("imaging_bmd", "scan_date", "dxa", "Untersuchungsdatum", "date")
    book.copies("imaging_bmd", "dxa", {"z_score": "Z-Score", "t_score": "T-Score"}, "number")
    book.field("imaging_bmd", "bmd_g_cm2", "dxa", "BMD (g/cm²)", "number", unit="g/cm2")
    book.recode("imaging_bmd", "device_vendor", "dxa", "Gerät", turn(W["vendor"]))
    book.copies("hsct", "szt", {"hsct_date": "Datum SZT", "outcome_date": "Stand vom"}, "date")
    book.recode("hsct", "donor_type", "szt", "Spender", turn(W["donor"]))
    book.recode("hsct", "stem_cell_source", "szt", "Quelle", turn(W["cells"]))
    book.recode(
        "hsct", "primary_graft_failure", "szt", "Primäres Transplantatversagen", W["ja_nein"]
    )
    book.recode("hsct", "outcome_status", "szt", "Verlauf", turn(W["outcome"]))
