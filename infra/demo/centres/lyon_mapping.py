"""Lyon: the mapping of the workbook, as its data manager approved it."""

from infra.demo.centre import turn
from infra.demo.centres.lyon import HEADER_ROW
from infra.demo.mapping_book import MappingBook
from infra.demo.vocabulary import labs_of, words_of


__all__ = ["mapping"]

W, LABS = words_of("lyon"), labs_of("lyon")

PATIENT_COLUMNS = (
    "IPP", "Nom", "Prénom", "NIR", "Téléphone", "Courriel", "Date naissance", "Sexe", "N° famille",
    "Cas index", "Consanguinité", "Consentement réutilisation", "Première consultation",
    "Histoire complète", "Diagnostic", "Certitude", "Âge premiers signes (ans)",
    "Date du diagnostic", "Gravité", "Gène", "Transcrit", "Zygotie", "Variant 1", "Protéine 1",
    "Type variant 1", "ACMG 1", *W["finding"].values(), "Date DXA", "Z-score rachis",
    "T-score rachis",
    "DMO rachis (g/cm²)", "Z-score hanche", "T-score hanche", "DMO hanche (g/cm²)",
    "Date greffe CSH", "Donneur", "Source CSH", "Statut vital", "Date des dernières nouvelles",
    "Date de décès", "Cause du décès", "Commentaire",
)  # fmt: skip


def mapping() -> MappingBook:
    """Return the mapping that a data manager in Lyon approved."""
    book = MappingBook()
    for source in ("patients", "fractures", "biologie"):
        book.source(
            source, system="excel", file="registre_osteopetrose_*.xlsx", format="excel",
            sheet=source, header_row=str(HEADER_ROW), decimal=",", date_order="DMY",
            missing="NR;-", id_column="IPP",
        )  # fmt: skip
    book.source(
        "patients_allele_2", system="excel", file="registre_osteopetrose_*.xlsx", format="excel",
        sheet="patients", header_row=str(HEADER_ROW), decimal=",", date_order="DMY",
        missing="NR;-", id_column="IPP", comment="the second allele of a compound heterozygote",
    )  # fmt: skip
    _map_person(book)
    _map_genes(book)
    _map_findings(book)
    _map_course(book)
    _map_fractures(book)
    _map_laboratory(book)
    return book


def _map_person(book: MappingBook) -> None:
    """Map who the patient is and the diagnosis."""
    book.copies(
        "person", "patients",
        {"birth_date": "Date naissance", "first_contact_date": "Première consultation"}, "date",
    )  # fmt: skip
    book.field("person", "family_id", "patients", "N° famille", "copy")
    book.field("person", "country_of_care", "patients", "", "const", arg="FR")
    book.recode("person", "sex_at_birth", "patients", "Sexe", turn(W["sex"]))
    book.recode("person", "is_proband", "patients", "Cas index", {"oui": "true", "non": "false"})
    book.recode("person", "consanguinity", "patients", "Consanguinité", turn(W["yes_no"]))
    book.recode(
        "person", "consent_reuse", "patients", "Consentement réutilisation", turn(W["yes_no"])
    )
    book.recode(
        "person", "history_complete_from_birth", "patients", "Histoire complète",
        {"oui": "true", "non": "false"},
    )  # fmt: skip
    book.recode("diagnosis", "dx_subtype", "patients", "Diagnostic", turn(W["subtype"]))
    book.recode("diagnosis", "dx_status", "patients", "Certitude", turn(W["dx_status"]))
    book.recode("diagnosis", "severity", "patients", "Gravité", turn(W["severity"]))
    book.field(
        "diagnosis", "onset_age_y", "patients", "Âge premiers signes (ans)", "number", unit="a"
    )
    book.field("diagnosis", "dx_date", "patients", "Date du diagnostic", "date")
    book.field("diagnosis", "dx_rank", "patients", "", "const", arg="1")
    book.not_collected("diagnosis", ["orpha_code"])
    book.ignore("patients", "identifier", ["Nom", "Prénom", "NIR", "Téléphone", "Courriel"])
    book.ignore("patients", "free_text", ["Commentaire"])
    book.ignore("fractures", "free_text", ["Remarque"])


def _map_genes(book: MappingBook) -> None:
    """Map both alleles: the second from the same sheet, read once more."""
    for source, number in (("patients", "1"), ("patients_allele_2", "2")):
        other = "" if number == "1" else " variant 2"
        book.field("variant", "gene_symbol", source, f"Gène{other}", "copy")
        book.recode("variant", "zygosity", source, f"Zygotie{other}", turn(W["zygosity"]))
        book.field("variant", "hgvs_c", source, f"Variant {number}", "copy")
        book.field("variant", "hgvs_p", source, f"Protéine {number}", "copy")
        book.recode("variant", "variant_class", source, f"Type variant {number}", turn(W["kind"]))
    book.field("variant", "transcript", "patients", "Transcrit", "copy")
    book.field("variant", "acmg_class", "patients", "ACMG 1", "copy")
    second = ["Gène variant 2", "Zygotie variant 2", "Variant 2", "Protéine 2", "Type variant 2"]
    book.ignore("patients", "not_needed", second, "read by the source patients_allele_2")
    book.ignore_rest(
        "patients_allele_2", PATIENT_COLUMNS, "not_needed", "read by the source patients"
    )


def _map_findings(book: MappingBook) -> None:
    """Map complications and densitometry, which stand in columns of their own."""
    for hpo, column in W["finding"].items():
        book.recode("complication", f"status[{hpo}]", "patients", column, turn(W["status"]))
    book.field("imaging_bmd", "scan_date", "patients", "Date DXA", "date")
    book.field("imaging_bmd", "modality", "patients", "", "const", arg="DXA")
    book.field("imaging_bmd", "device_vendor", "patients", "", "const", arg="hologic")
    for region, word in (("lumbar_spine", "rachis"), ("total_hip", "hanche")):
        for name, column, unit in (
            ("z_score", "Z-score {}", ""),
            ("t_score", "T-score {}", ""),
            ("bmd_g_cm2", "DMO {} (g/cm²)", "g/cm2"),
        ):
            book.field(
                "imaging_bmd", f"{name}[{region}]", "patients", column.format(word), "number",
                unit=unit,
            )  # fmt: skip


def _map_course(book: MappingBook) -> None:
    """Map transplant, follow-up and death."""
    book.field("hsct", "hsct_date", "patients", "Date greffe CSH", "date")
    book.recode("hsct", "donor_type", "patients", "Donneur", turn(W["donor"]))
    book.recode("hsct", "stem_cell_source", "patients", "Source CSH", turn(W["cells"]))
    book.not_collected("hsct", ["primary_graft_failure", "outcome_status", "outcome_date"])
    book.recode("death_followup", "vital_status", "patients", "Statut vital", turn(W["vital"]))
    book.copies(
        "death_followup", "patients",
        {"last_contact_date": "Date des dernières nouvelles", "death_date": "Date de décès"},
        "date",
    )  # fmt: skip
    book.recode("death_followup", "cause", "patients", "Cause du décès", turn(W["cause"]))


def _map_fractures(book: MappingBook) -> None:
    """Map the sheet of fractures."""
    book.field("fracture", "fracture_date", "fractures", "Date fracture", "date")
    for name, column, values in (
        ("bone_site", "Os", W["bone"]),
        ("laterality", "Côté", W["side"]),
        ("trauma_level", "Énergie", W["trauma"]),
        ("pattern", "Trait", W["pattern"]),
        ("treatment", "Traitement", W["treatment"]),
        ("healing_outcome", "Évolution", W["healing"]),
    ):
        book.recode("fracture", name, "fractures", column, turn(values))


def _map_laboratory(book: MappingBook) -> None:
    """Map the sheet of blood samples: one column per analyte, units in the header."""
    book.field("lab_measurement", "sample_date", "biologie", "Date prélèvement", "date")
    for analyte, lab in LABS.items():
        book.field(
            "lab_measurement", f"value[{analyte}]", "biologie", lab.name, "number", unit=lab.unit
        )
