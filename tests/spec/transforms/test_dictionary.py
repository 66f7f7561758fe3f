"""The shipped dictionary against the data reference and the public code systems beside it."""

import csv
import re
from collections import Counter, defaultdict
from importlib import resources
from pathlib import Path

import pytest

from transforms.dictionary import DICTIONARY, Analyte, Field, Range, Table
from transforms.dictionary.model import PROVENANCE
from transforms.units import field_factors


TABLES = list(DICTIONARY.tables.values())
FIELDS = [(table, field) for table in TABLES for field in table.fields if field not in PROVENANCE]
LIMITED: list[Field | Analyte] = [*(field for _, field in FIELDS), *DICTIONARY.analytes.values()]
NAMES = [f"{table.name}.{field.name}" for table, field in FIELDS]

# Fields of each table in the data reference, section 3, and what stands here besides: a row id
# where the reference has none, what harmonization says of a value, cells that hold two things.
REFERENCE = {
    "person": 18, "diagnosis": 19, "genetic_test": 8, "variant": 19, "fracture": 24,
    "complication": 15, "sensory_assessment": 10, "lab_measurement": 14, "imaging_bmd": 17,
    "treatment": 13, "surgery": 12, "hsct": 26, "pro": 26, "visit": 11, "death_followup": 10,
    "infection_event": 6,
}  # fmt: skip
BESIDES = {
    "genetic_test": {"genetic_test_id"},
    "sensory_assessment": {"assessment_id"},
    "lab_measurement": {"value_source", "value_source_unit", "unit_status"},
    "imaging_bmd": {"bmd_id", "bmd_mg_cm3"},
    "surgery": {"opcs_local"},
    "pro": {"pro_id"},
    "visit": {"puberty_tanner"},
    "death_followup": {"followup_id"},
    "infection_event": {"infection_id"},
}
# A row without one of these says nothing; whatever a source may lack is recommended at most.
MANDATORY = {
    "person": {"person_id", "birth_date", "sex_at_birth", "first_contact_date", "consent_reuse"},
    "diagnosis": {"dx_subtype", "dx_status"},
    "genetic_test": {"result"},
    "variant": {"gene_symbol", "zygosity"},
    "fracture": {"bone_site"},
    "complication": {"hpo_id", "status"},
    "sensory_assessment": set(),
    "lab_measurement": {"analyte", "value", "unit_ucum"},
    "imaging_bmd": {"modality", "region"},
    "treatment": {"drug"},
    "surgery": {"procedure"},
    "hsct": {"hsct_date", "donor_type"},
    "pro": {"instrument"},
    "visit": {"visit_date"},
    "death_followup": {"vital_status", "last_contact_date"},
    "infection_event": {"site"},
}
# The sixteen common data elements of the JRC.
JRC = {
    "1.1", "2.1", "2.2", "3.1", "3.2", "4.1", "5.1", "5.2", "6.1", "6.2", "6.3", "7.1", "7.2",
    "7.3", "7.4", "8.1",
}  # fmt: skip
# What the data reference marks as not re-read (its tags K and L), and what it does not hold at all.
UNCHECKED = {
    "analyte": {
        "hemoglobin": {"59260-0"},
        "neutrophils": {"751-8"},
        "calcium_ionized": {"47596-2", "1995-0"},
        "phosphate": {"2777-1", "14879-1"},
        "vitamin_d_25oh": {"62292-8", "68438-1", "14635-7"},
        "creatinine": {"14682-9"},
        "bicarbonate": {"1963-8"},
        "ph": {"2746-6", "2744-1"},
        "ldh": {"2532-0"},
    },
    "drug": {
        code: {"atc"}
        for code in (
            "interferon_gamma_1b", "calcitriol", "cholecalciferol", "corticosteroid", "g_csf",
            "epo", "growth_hormone", "bisphosphonate", "denosumab", "immunoglobulin",
        )
    },
    "dx_subtype": {
        "OPT_ANY": {"icd11_mms"},
        "PYCNO": {"icd10"},
        **{code: {"genes"} for code in ("ARO_SLC4A2", "DOS", "OSMD", "COMMAD")},
        **{
            code: {"inheritance"}
            for code in ("CED", "CMD", "OSCS", "OSTEOPOIKILOSIS", "PYLE", "JUVENILE_PAGET")
        },
        **{code: {"inheritance", "genes"} for code in ("SCLEROSTEOSIS", "RAINE", "WORTH")},
    },
    "gene": {
        **{
            gene: {"transcript"}
            for gene in (
                "CLCN7", "TCIRG1", "OSTM1", "SNX10", "PLEKHM1", "TNFSF11", "TNFRSF11A", "CA2",
                "CTSK", "SLC29A3",
            )
        },
        **{gene: {"hgnc"} for gene in ("SLC4A2", "LRRK1", "RELA")},
    },
    "healing_outcome": {"delayed_union": {"icd10"}, "nonunion": {"icd10"}},
}  # fmt: skip
NOT_IN_THE_HPO_FILE = {"HP:0009839", "HP:0001476"}

# From the data reference, section T8: 1 of this unit is so much of the canonical one, by molar
# mass in g/mol (mass to amount of substance) or by what the units mean.
FACTORS = [
    ("hemoglobin", "mmol/L", 64458 / 4 / 1000),
    ("calcium", "mg/dL", 10 / 40.078),
    ("calcium", "mg/L", 1 / 40.078),
    ("calcium_ionized", "mg/dL", 10 / 40.078),
    ("phosphate", "mg/dL", 10 / 30.973762),
    ("phosphate", "mg{PO4}/dL", 10 / 94.971),
    ("magnesium", "mg/dL", 10 / 24.305),
    ("pth", "pg/mL", 1000 / 9424.7),
    ("vitamin_d_25oh", "ng/mL", 1000 / 400.64),
    ("vitamin_d_125oh2", "pg/mL", 1000 / 416.64),
    ("creatinine", "mg/dL", 10 * 1000 / 113.12),
    ("creatinine", "mg/L", 1000 / 113.12),
    ("platelets", "/uL", 1 / 1000),
    ("alp", "ukat/L", 60),
    ("trap5b", "ukat/L", 60),
    ("ctx", "ng/mL", 1000),
    ("igg", "mg/dL", 0.01),
]
KIND = {
    "mmol/L": "SCnc", "pmol/L": "SCnc", "nmol/L": "SCnc", "umol/L": "SCnc", "g/L": "MCnc",
    "ug/L": "MCnc", "ng/L": "MCnc", "U/L": "CCnc", "10*9/L": "NCnc", "[pH]": "LsCnc",
}  # fmt: skip


def rows(path: Path, delimiter: str = ",") -> list[dict[str, str]]:
    with path.open(encoding="utf-8-sig", newline="") as file:
        return list(csv.DictReader(file, delimiter=delimiter))


def test_every_table_has_the_fields_of_the_data_reference() -> None:
    counted = {
        table.name: len(
            {field.name for field in table.fields if field not in PROVENANCE}
            - BESIDES.get(table.name, set())
        )
        for table in TABLES
    }
    assert counted == REFERENCE
    assert sum(counted.values()) == 248
    for name, besides in BESIDES.items():
        assert besides <= set(DICTIONARY.tables[name].field_names)


@pytest.mark.parametrize("table", TABLES, ids=lambda table: table.name)
def test_only_what_makes_a_row_is_mandatory(table: Table) -> None:
    mandatory = {field.name for field in table.fields if field.obligation == "mandatory"}
    assert mandatory == MANDATORY[table.name] | {"person_id", *table.key}


def test_each_common_data_element_has_a_field() -> None:
    assert {field.jrc for _, field in FIELDS} - {None} == JRC


def test_every_limit_has_a_reason_of_its_own() -> None:
    limits = [limit for one in LIMITED for limit in (one.hard, one.soft) if limit is not None]
    reasons = Counter(limit.reason for limit in limits)
    # what is said twice says nothing about either
    assert [reason for reason, count in reasons.items() if count > 1] == []
    assert all(len(reason.split()) >= 3 for reason in reasons)


@pytest.mark.parametrize(
    ("hard", "soft"), [(one.hard, one.soft) for one in LIMITED if one.hard and one.soft]
)
def test_what_is_usual_is_possible(hard: Range, soft: Range) -> None:
    if soft.low is not None:
        assert hard.low is not None
        assert hard.low <= soft.low
    if soft.high is not None:
        assert hard.high is not None
        assert soft.high <= hard.high


@pytest.mark.parametrize(("table", "field"), FIELDS, ids=NAMES)
def test_what_could_name_a_person_never_leaves(table: Table, field: Field) -> None:
    formed = field.pattern is not None or field.name == "unit_ucum"
    if field.type == "date" or field.references or field.name in (*table.key, "person_id"):
        assert field.leaves == "never"
    if field.type == "string" and field.leaves == "aggregate":
        assert formed, "a text without a form could hold anything"
    if field.name.startswith("hgvs") or field.name in ("transcript", "variant_raw", "note_local"):
        assert field.leaves == "never"


@pytest.mark.parametrize("name", DICTIONARY.views)
def test_a_view_holds_nothing_that_never_leaves(name: str) -> None:
    view = DICTIONARY.views[name]
    never = {field.name for _, field in FIELDS if field.leaves == "never"}
    assert never.isdisjoint(view.field_names)
    assert {field.type for field in view.fields} <= {"code", "number", "integer", "boolean"}
    assert {field.leaves for field in view.fields} == {"aggregate"}


def test_what_was_not_checked_stays_marked() -> None:
    marked = {
        name: {code.code: set(code.unchecked) for code in listed.codes.values() if code.unchecked}
        for name, listed in DICTIONARY.codelists.items()
    }
    assert {name: codes for name, codes in marked.items() if codes} == UNCHECKED
    assert {
        code: set(analyte.unchecked)
        for code, analyte in DICTIONARY.analytes.items()
        if analyte.unchecked
    } == UNCHECKED["analyte"]
    for listed in DICTIONARY.codelists.values():
        for code in listed.codes.values():
            assert (code.attributes.get("checked") == "no") == bool(code.unchecked)


def test_every_code_system_in_use_is_named() -> None:
    for listed in DICTIONARY.codelists.values():
        used = {system for code in listed.codes.values() for system in code.codings}
        assert set(listed.systems) == used, listed.name


def test_hpo_terms_are_those_of_the_hpo(data: Path) -> None:
    path = data / "codes" / "hpo_osteopetrosis_terms_multilingual.tsv"
    public = {row["hpo_id"]: row["en"] for row in rows(path, "\t")}
    ours = {code.code: code.label for code in DICTIONARY.codelists["phenotype"].codes.values()}
    assert set(ours) - set(public) == NOT_IN_THE_HPO_FILE
    assert {key: label for key, label in ours.items() if public.get(key, label) != label} == {}
    coded = {
        code.codings["hpo"]
        for listed in DICTIONARY.codelists.values()
        for code in listed.codes.values()
        if "hpo" in code.codings
    }
    assert coded - set(public) == {"HP:0012825", "HP:0012826", "HP:0012828"}  # modifiers


def test_every_complication_category_is_one_of_the_list() -> None:
    categories = DICTIONARY.codelists["complication_category"].codes
    for code in DICTIONARY.codelists["phenotype"].codes.values():
        assert code.attributes["category"] in categories


def test_diseases_have_the_numbers_that_mondo_gives_them(data: Path) -> None:
    systems = {"Orphanet": "orpha", "OMIM": "omim", "SCTID": "snomed", "ICD10CM": "icd10",
               "icd11.foundation": "icd11"}  # fmt: skip
    mondo: dict[str, dict[str, set[str]]] = defaultdict(lambda: defaultdict(set))
    for row in rows(data / "codes" / "mondo_osteopetrosis_mappings.tsv", "\t"):
        system, _, number = row["xref"].partition(":")
        if system in systems:
            mondo[row["mondo_id"].removeprefix("MONDO:")][systems[system]].add(number)
    group = mondo["0019026"]["orpha"]  # autosomal recessive malignant osteopetrosis
    for code in DICTIONARY.codelists["dx_subtype"].codes.values():
        if "mondo" not in code.codings:
            assert code.attributes["class"] in ("differential", "carrier")
            continue
        public = mondo[code.codings["mondo"]]
        assert public, f"{code.code}: {code.codings['mondo']} is not in the file"
        for system, number in code.codings.items():
            if system == "mondo" or system in code.unchecked:
                continue
            allowed = public[system] or (group if system == "orpha" else set())
            assert number in allowed, f"{code.code} {system} {number}"
        for system in [system for system, numbers in public.items() if numbers]:
            assert code.codings.get(system) in public[system], f"{code.code} has no {system}"


def test_subtypes_name_genes_of_the_list() -> None:
    for code in DICTIONARY.codelists["dx_subtype"].codes.values():
        assert set(code.attributes["genes"].split()) <= set(DICTIONARY.codelists["gene"].codes)


def test_genes_are_known_under_their_other_names() -> None:
    aliases = {
        alias: code.code
        for code in DICTIONARY.codelists["gene"].codes.values()
        for alias in code.attributes.get("aliases", "").split(";")
        if alias
    }
    assert aliases == {
        "ClC-7": "CLCN7", "OC116": "TCIRG1", "ATP6i": "TCIRG1", "a3": "TCIRG1",
        "ATP6V0A3": "TCIRG1", "GL": "OSTM1", "RANKL": "TNFSF11", "OPGL": "TNFSF11",
        "TRANCE": "TNFSF11", "RANK": "TNFRSF11A", "NEMO": "IKBKG", "CAII": "CA2", "CA-2": "CA2",
        "Kindlin-3": "FERMT3", "cathepsin K": "CTSK", "ENT3": "SLC29A3",
    }  # fmt: skip


@pytest.mark.parametrize(("code", "unit", "factor"), FACTORS)
def test_factors_follow_from_molar_masses(code: str, unit: str, factor: float) -> None:
    assert DICTIONARY.analytes[code].factors[unit] == pytest.approx(factor, rel=2e-5)


@pytest.mark.parametrize(
    ("table", "name", "unit", "factor"),
    [
        ("visit", "height_cm", "m", 100.0),
        ("visit", "height_cm", "in", 2.54),
        ("visit", "weight_kg", "g", 0.001),
        ("visit", "head_circ_cm", "mm", 0.1),
        ("surgery", "blood_loss_ml", "l", 1000.0),
        ("surgery", "duration_min", "h", 60.0),
        ("sensory_assessment", "optic_canal_mm", "cm", 10.0),
        ("imaging_bmd", "sbmd_mg_cm2", "g/cm2", 1000.0),
        ("imaging_bmd", "bmd_g_cm2", "mg/cm2", 0.001),
    ],
)
def test_a_measure_may_come_in_an_everyday_unit(
    table: str, name: str, unit: str, factor: float
) -> None:
    assert field_factors(DICTIONARY.tables[table].field(name))[unit] == factor


def test_every_loinc_code_has_its_check_digit() -> None:
    codes = [code for analyte in DICTIONARY.analytes.values() for code in analyte.loinc]
    regions = DICTIONARY.codelists["bmd_region"].codes.values()
    codes += [code.codings["loinc"] for code in regions if "loinc" in code.codings]
    codes += [
        code.attributes[key] for code in regions for key in ("loinc_z", "loinc_t")
        if key in code.attributes
    ]  # fmt: skip
    assert [code for code in codes if not mod_10(code)] == []


def mod_10(code: str) -> bool:
    """Whether the last digit is the check digit of those before it (LOINC Users' Guide, mod 10)."""
    digits, _, check = code.partition("-")
    doubled = [int(digit) * (2 if place % 2 == 0 else 1) for place, digit in
               enumerate(reversed(digits))]  # fmt: skip
    total = sum(value // 10 + value % 10 for value in doubled)
    return (10 - total % 10) % 10 == int(check)


def test_the_canonical_unit_has_a_code_of_its_kind_where_there_are_codes() -> None:
    for analyte in DICTIONARY.analytes.values():
        if analyte.loinc:
            assert KIND[analyte.unit] in analyte.loinc.values(), analyte.code


def test_redcap_crosswalks_name_variables_and_forms_of_rarelink(data: Path) -> None:
    path = data / "rarelink" / "redcap" / "rarelink_cdm_datadictionary_v2_0_5.csv"
    with path.open(encoding="utf-8-sig", newline="") as file:
        listed = list(csv.reader(file))[1:]
    variables, forms = {row[0] for row in listed}, {row[1] for row in listed}
    for table, field in FIELDS:
        assert field.crosswalk.get("redcap", "record_id") in variables, f"{table.name} {field.name}"
    for table in TABLES:
        assert table.crosswalk.get("redcap") in (None, *forms), table.name


def test_omop_crosswalks_name_columns_of_the_common_data_model(data: Path) -> None:
    listed = rows(data / "omop_spec" / "OMOP_CDMv5.4_Field_Level.csv")
    columns = {f"{row['cdmTableName']}.{row['cdmFieldName']}".lower() for row in listed}
    tables = {name.partition(".")[0] for name in columns}
    for table, field in FIELDS:
        if "omop" in field.crosswalk:
            assert field.crosswalk["omop"] in columns, f"{table.name} {field.name}"
    for table in TABLES:
        assert table.crosswalk.get("omop") in (None, *tables), table.name


PATHS = {
    # subject.vitalStatus.status, phenotypicFeatures[].onset
    "phenopackets": re.compile(r"[a-z][A-Za-z]*(\[\])?(\.[a-z][A-Za-z]*(\[\])?)*"),
    # Condition.onset[x], Observation.component:gene-studied
    "fhir": re.compile(r"[A-Z][A-Za-z]+(\.[a-z][A-Za-z]*(\[x\])?(:[a-zA-Z-]+)?)*"),
}
PHENOPACKET = {"subject", "phenotypicFeatures[]", "measurements[]", "interpretations[]",
               "diseases[]", "medicalActions[]", "pedigree", "consanguinousParents"}  # fmt: skip


@pytest.mark.parametrize(("table", "field"), FIELDS, ids=NAMES)
def test_crosswalk_paths_are_well_formed(table: Table, field: Field) -> None:
    for walk in (table.crosswalk, field.crosswalk):
        for standard, pattern in PATHS.items():
            path = walk.get(standard)
            assert path is None or pattern.fullmatch(path), path
        assert walk.get("phenopackets", "subject").partition(".")[0] in PHENOPACKET


def test_what_a_standard_cannot_carry_has_no_crosswalk() -> None:
    # OMOP has no age at onset, no excluded finding and no zygosity (data reference, section 4.2)
    for table, name in (("diagnosis", "onset_age_y"), ("complication", "status"),
                        ("variant", "zygosity"), ("fracture", "healing_outcome")):  # fmt: skip
        assert "omop" not in DICTIONARY.tables[table].field(name).crosswalk
    assert not any("omop" in field.crosswalk for field in DICTIONARY.tables["variant"].fields)


def test_countries_are_those_of_iso_3166_1() -> None:
    """Compared with the list that the time zone database carries."""
    listed = (resources.files("tzdata") / "zoneinfo" / "iso3166.tab").read_text("utf-8")
    codes = {line.split("\t")[0] for line in listed.splitlines() if not line.startswith("#")}
    countries = DICTIONARY.codelists["country"].codes
    assert set(countries) == codes
    assert len({code.label for code in countries.values()}) == len(codes) == 249
