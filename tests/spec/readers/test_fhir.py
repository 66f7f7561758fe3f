"""What each block of a FHIR export becomes, whose it is, what never gets in, what is refused."""

import json
from typing import Any

import pytest

from transforms.errors import SourceError
from transforms.readers.fhir_blocks import BLOCKS


LOINC = "http://loinc.org"
SNOMED = "http://snomed.info/sct"
HPO = "http://human-phenotype-ontology.org"


def concept(system: str, code: str, **more: Any) -> dict[str, Any]:
    return {"coding": [{"system": system, "code": code, **more}]}


def resource(kind: str, **parts: Any) -> dict[str, Any]:
    """A resource about the patient `p1`."""
    return {"resourceType": kind, "id": "x1", "subject": {"reference": "Patient/p1"}, **parts}


def bundle(*resources: Any, kind: str = "collection") -> dict[str, Any]:
    return {
        "resourceType": "Bundle",
        "type": kind,
        "entry": [{"fullUrl": f"http://fhir.example/{r['resourceType']}/{r.get('id', 'x')}",
                   "resource": r} for r in resources],
    }  # fmt: skip


@pytest.fixture
def block(reading):
    """Read `sheet` of files, given as objects (one a file) or by name as texts."""

    def run(sheet: str, *contents: Any, files: dict[str, str] | None = None, **declared: Any):
        named = {f"{n}.json": json.dumps(one) for n, one in enumerate(contents, 1)}
        return reading({**named, **(files or {})}, format="fhir", sheet=sheet, **declared)

    return run


def row(found: Any) -> dict[str, str]:
    """The only row, without empty columns."""
    (values,) = found.rows
    return {c: v for c, v in zip(found.table.columns, values, strict=True) if v is not None}


def told(found: Any, *columns: str) -> tuple[str | None, ...]:
    """The cells of the only row in `columns`."""
    cells = row(found)
    return tuple(cells.get(column) for column in columns)


# --- patients -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("parts", "expected"),
    [
        ({"gender": "female", "birthDate": "1987"}, {"gender": "female", "birth_date": "1987"}),
        ({"birthDate": "1987-02"}, {"birth_date": "1987-02"}),
        ({"birthDate": "1987-02-03"}, {"birth_date": "1987-02-03"}),
        ({"deceasedBoolean": False}, {"deceased": "false"}),
        ({"deceasedBoolean": True}, {"deceased": "true"}),
        (
            {"deceasedDateTime": "2020-05-06T23:30:00-08:00"},
            {"deceased": "true", "death_date": "2020-05-06"},
        ),
        ({"deceasedDateTime": "2020"}, {"deceased": "true", "death_date": "2020"}),
    ],
)
def test_patient(block, parts, expected):
    found = block("patients", {"resourceType": "Patient", "id": "p1", **parts})
    assert row(found) == {"patient_id": "p1", **expected}


US_CORE = "http://hl7.org/fhir/us/core/StructureDefinition"
RECORDED = "http://hl7.org/fhir/StructureDefinition/individual-recordedSexOrGender"
AT_BIRTH = concept(LOINC, "76689-9")


@pytest.mark.parametrize(
    ("extension", "column", "expected"),
    [
        ({"url": f"{US_CORE}/us-core-birthsex", "valueCode": "F"}, "birth_sex", "F"),
        (
            {"url": f"{US_CORE}/us-core-sex", "valueCode": "248152002"},
            "birth_sex",
            "248152002",
        ),
        (
            {
                "url": RECORDED,
                "extension": [
                    {"url": "value", "valueCodeableConcept": concept(LOINC, "LA3-6")},
                    {"url": "type", "valueCodeableConcept": AT_BIRTH},
                ],
            },
            "birth_sex",
            "LOINC:LA3-6",
        ),
        (
            {
                "url": "http://hl7.org/fhir/StructureDefinition/patient-birthPlace",
                "valueAddress": {"country": "DE", "city": "CANARYTOWN"},
            },
            "birth_country",
            "DE",
        ),
    ],
)
def test_extensions_of_a_patient(block, extension, column, expected):
    found = block("patients", {"resourceType": "Patient", "id": "p1", "extension": [extension]})
    assert told(found, column) == (expected,)


def test_a_recorded_sex_of_another_kind_is_counted_not_taken(block):
    other = {"url": RECORDED, "extension": [{"url": "value", "valueCode": "F"}]}
    found = block("patients", {"resourceType": "Patient", "id": "p1", "extension": [other]})
    assert told(found, "birth_sex") == (None,)
    assert found.table.not_held["patients.recordedSexOrGender of another kind"] == 1


def identifier(value: str, code: str = "", **more: Any) -> dict[str, Any]:
    kind = {"type": concept("http://terminology.hl7.org/CodeSystem/v2-0203", code)} if code else {}
    return {"value": value, **kind, **more}


@pytest.mark.parametrize(
    ("identifiers", "expected"),
    [
        ([identifier("A1")], "A1"),
        ([identifier("S9", "SS"), identifier("A1")], "A1"),
        ([identifier("I7"), identifier("A1", "MR")], "A1"),
        ([identifier("A0", "MR", use="old"), identifier("A1", "MR")], "A1"),
        ([identifier("9434765919", system="https://fhir.nhs.uk/Id/nhs-number")], None),
        ([identifier("1 84 12", system="urn:oid:1.2.250.1.213.1.4.8")], None),
        ([identifier("078-05-1120", system="http://hl7.org/fhir/sid/us-ssn")], None),
    ],
)
def test_own_number_of_a_patient_is_never_a_national_one(block, identifiers, expected):
    found = block("patients", {"resourceType": "Patient", "id": "p1", "identifier": identifiers})
    assert told(found, "patient_identifier") == (expected,)


def test_a_merged_patient_is_the_other_one(block):
    old = {
        "resourceType": "Patient",
        "id": "old",
        "link": [{"type": "replaced-by", "other": {"reference": "Patient/p1"}}],
    }
    export = bundle(old, {"resourceType": "Patient", "id": "p1"}, resource(
        "Condition", subject={"reference": "Patient/old"}))  # fmt: skip
    assert block("patients", export).table.not_held["patients merged into another"] == 1
    assert told(block("conditions", export), "patient_id") == ("p1",)


ERDRI = "https://rarelink.bih-charite.de/fhir/StructureDefinition/erdri-consent-to-reuse"


def consent(key: str, status: str, reuse: str) -> dict[str, Any]:
    return {
        "resourceType": "Consent",
        "id": key,
        "status": status,
        "patient": {"reference": "Patient/p1"},
        "extension": [{"url": ERDRI, "valueCodeableConcept": concept(SNOMED, reuse)}],
    }


def test_consent_and_karyotype_stand_beside_the_patient(block):
    karyotype = resource(
        "Observation",
        code=concept(SNOMED, "1296886006"),
        valueCodeableConcept=concept(SNOMED, "734876009"),
    )
    person = {"resourceType": "Patient", "id": "p1"}
    found = block("patients", bundle(karyotype, person, consent("c1", "active", "373066001")))
    assert row(found) == {
        "patient_id": "p1",
        "karyotypic_sex_code": "SNOMEDCT:734876009",
        "consent_status": "active",
        "consent_reuse_code": "SNOMEDCT:373066001",
    }


def test_contradicting_consents_are_no_yes(block):
    person = {"resourceType": "Patient", "id": "p1"}
    given, drawn = consent("c1", "active", "373066001"), consent("c2", "inactive", "373067005")
    found = block("patients", bundle(person, given, drawn))
    assert told(found, "consent_status", "consent_reuse_code") == (
        "active;inactive",
        "SNOMEDCT:373066001;SNOMEDCT:373067005",
    )


def test_what_names_no_patient_of_the_files_is_counted(block):
    """A consent that nobody can be given is not silently none."""
    nobodys = {**consent("c2", "active", "373066001"), "patient": {"display": "somebody"}}
    strangers = {**consent("c3", "active", "373066001"), "patient": {"reference": "Patient/p9"}}
    void = {**nobodys, "id": "c4", "status": "entered-in-error"}
    found = block(
        "patients", bundle(PERSON, consent("c1", "active", "1"), nobodys, strangers, void)
    )
    counted = "consents that name no patient of these files"
    assert found.table.not_held[counted] == 2
    assert (
        counted
        not in block("patients", bundle(PERSON, consent("c1", "active", "1"))).table.not_held
    )


# --- whose it is --------------------------------------------------------------------------------

PERSON = {"resourceType": "Patient", "id": "p1", "identifier": [identifier("A1", "MR", system="u")]}


@pytest.mark.parametrize(
    ("reference", "expected"),
    [
        ({"reference": "Patient/p1"}, ("p1", "A1")),
        ({"reference": "Patient/p1/_history/3"}, ("p1", "A1")),
        ({"reference": "http://fhir.example/Patient/p1"}, ("p1", "A1")),
        ({"reference": "https://other.example/r4/Patient/p1"}, ("p1", "A1")),
        ({"reference": "urn:uuid:0c3151bd"}, ("p1", "A1")),
        ({"reference": "Patient?identifier=u|A1"}, ("p1", "A1")),
        ({"identifier": {"system": "u", "value": "A1"}}, ("p1", "A1")),
        ({"identifier": {"system": "u", "value": "A2"}}, ("A2", "A2")),
        ({"reference": "#inner"}, ("p1", "A1")),
        ({"reference": "Patient/absent"}, ("absent", None)),
    ],
)
def test_references_lead_to_the_patient(block, reference, expected):
    export = {
        "resourceType": "Bundle",
        "type": "collection",
        "entry": [
            {"resource": resource("Condition", subject=reference, contained=[
                {**PERSON, "id": "inner"}])},
            {"fullUrl": "urn:uuid:0c3151bd", "resource": PERSON},
        ],
    }  # fmt: skip
    assert told(block("conditions", export), "patient_id", "patient_identifier") == expected


@pytest.mark.parametrize(
    "subject",
    [{"reference": "Group/g"}, {"reference": "urn:uuid:absent"}, {"display": "Amy Shaw"}, {}],
)
def test_what_is_about_no_known_patient_is_counted(block, subject):
    found = block("conditions", resource("Condition", subject=subject))
    assert found.table.rows == 0
    assert found.table.not_held["conditions without a patient"] == 1


# --- conditions and features --------------------------------------------------------------------


@pytest.mark.parametrize(
    ("parts", "expected"),
    [
        ({"onsetAge": {"value": 3, "unit": "years", "code": "a"}}, {"onset_age_iso": "P3Y"}),
        ({"onsetAge": {"value": 18, "code": "mo"}}, {"onset_age_iso": "P18M"}),
        ({"onsetAge": {"value": 5, "unit": "moons"}}, {"onset_age_iso": "5 moons"}),
        ({"onsetDateTime": "2001-03"}, {"onset_date": "2001-03"}),
        (
            {"onsetPeriod": {"start": "2001", "end": "2002"}},
            {"onset_date": "2001", "onset_end": "2002"},
        ),
        (
            {"onsetRange": {"low": {"value": 1, "code": "a"}, "high": {"value": 2, "code": "a"}}},
            {"onset_age_low_iso": "P1Y", "onset_age_high_iso": "P2Y"},
        ),
        ({"onsetString": "at school"}, {"onset_text": "at school"}),
        (
            {"clinicalStatus": concept("http://h", "active")},
            {"clinical_status": "active"},
        ),
        (
            {"verificationStatus": concept("http://h", "refuted")},
            {"verification_status": "refuted", "excluded": "true"},
        ),
    ],
)
def test_condition(block, parts, expected):
    found = row(block("conditions", resource("Condition", **parts)))
    assert found == {"patient_id": "p1", "condition_id": "x1", "excluded": "false", **expected}


def test_each_code_system_has_its_column(block):
    codings = [
        {"system": SNOMED, "code": "1926006"},
        {"system": "http://www.orpha.net", "code": "2781"},
        {"system": "http://www.orpha.net/ORDO", "code": "Orphanet_667"},
        {"system": "https://omim.org", "code": "259700"},
        {"system": "http://purl.obolibrary.org/obo/mondo.owl", "code": "0009815"},
        {"system": "http://hl7.org/fhir/sid/icd-10", "code": "Q78.2"},
        {"system": "urn:oid:1.2.3.4", "code": "LOCAL7"},
    ]
    code = {"coding": codings, "text": "osteopetrosis"}
    found = row(block("conditions", resource("Condition", code=code)))
    del found["patient_id"], found["condition_id"], found["excluded"]
    assert found == {
        "code": "SNOMEDCT:1926006",
        "snomed_code": "1926006",
        "orpha_code": "ORPHA:2781;ORPHA:667",
        "omim_code": "OMIM:259700",
        "mondo_code": "MONDO:0009815",
        "icd10_code": "Q78.2",
        "other_code": "LOCAL7",
        "code_text": "osteopetrosis",
    }


STATUS = "https://rarelink.bih-charite.de/fhir/StructureDefinition/phenotype-status"


@pytest.mark.parametrize(
    ("kind", "parts", "status"),
    [
        ("Observation", {}, "present"),
        ("Observation", {"valueBoolean": True}, "present"),
        ("Observation", {"valueBoolean": False}, "excluded"),
        ("Observation", {"valueCodeableConcept": concept(LOINC, "LA9634-2")}, "excluded"),
        ("Observation", {"valueCodeableConcept": concept(LOINC, "LA0-0")}, "unknown"),
        ("Observation", {"dataAbsentReason": concept("http://d", "unknown")}, "unknown"),
        ("Condition", {}, "present"),
        ("Condition", {"verificationStatus": concept("http://h", "refuted")}, "excluded"),
        ("Condition", {"verificationStatus": concept("http://h", "unconfirmed")}, "present"),
    ],
)
def test_status_of_a_feature(block, kind, parts, status):
    found = block("features", resource(kind, code=concept(HPO, "HP:0000365"), **parts))
    assert told(found, "hpo_code", "status") == ("HP:0000365", status)


def test_rarelink_feature(block):
    """As RareLink writes it: status in an extension, onset class in the category, bare codes."""
    owl = "http://purl.obolibrary.org/obo/hp.owl"
    extension = {"url": STATUS, "valueCodeableConcept": concept(SNOMED, "410594000")}
    found = block(
        "features",
        resource(
            "Observation",
            code=concept(owl, "0001256"),
            category=[concept(owl, "0003577")],
            extension=[extension],
            effectiveDateTime="2017-01-12",
        ),
    )
    assert row(found) == {
        "patient_id": "p1",
        "feature_id": "x1",
        "hpo_code": "HP:0001256",
        "status": "excluded",
        "status_code": "SNOMEDCT:410594000",
        "onset_class_code": "HP:0003577",
        "onset_date": "2017-01-12",
    }


# --- observations -------------------------------------------------------------------------------

UCUM = "http://unitsofmeasure.org"
HB = concept(LOINC, "718-7")


@pytest.mark.parametrize(
    ("quantity", "expected"),
    [
        ({"value": 0.10, "unit": "g/L", "system": UCUM, "code": "g/L"}, ("0.1", "g/L", "g/L")),
        (
            {"value": 0.5, "comparator": "<", "unit": "x", "system": UCUM, "code": "ng/mL"},
            ("<0.5", "x", "ng/mL"),
        ),
        ({"value": -1.5, "unit": "Z-Score", "system": UCUM, "code": "1"}, ("-1.5", "Z-Score", "1")),
        ({"value": -1.5, "system": UCUM, "code": "{Z-Score}"}, ("-1.5", None, "1")),
        ({"value": 3, "system": UCUM, "code": "10*3/uL{cells}"}, ("3", None, "10*3/uL")),
        (
            {"value": 7, "system": "http://www.ontobee.org/ontology/UO", "code": "0000175"},
            ("7", None, "g/L"),
        ),
        ({"value": 7, "unit": "g/dl"}, ("7", "g/dl", None)),
    ],
)
def test_quantity(block, quantity, expected):
    found = block("observations", resource("Observation", code=HB, valueQuantity=quantity))
    assert told(found, "value", "unit", "unit_ucum") == expected


def test_decimals_stay_as_written(block):
    text = json.dumps(resource("Observation", code=HB, valueQuantity={"value": 0}))
    found = block("observations", files={"a.json": text.replace(": 0}", ": 7.10}")})
    assert told(found, "value") == ("7.10",)


@pytest.mark.parametrize(
    ("parts", "column", "expected"),
    [
        ({"valueCodeableConcept": concept(SNOMED, "1234")}, "value_code", "SNOMEDCT:1234"),
        ({"valueString": "soft"}, "value_string", "soft"),
        ({"valueBoolean": False}, "value_boolean", "false"),
        ({"valueDateTime": "2020-01-02T03:04:05Z"}, "value_date", "2020-01-02"),
        ({"valueInteger": 4}, "value", "4"),
        ({"dataAbsentReason": concept("http://d", "not-performed")}, "data_absent_code",
         "not-performed"),
        ({"interpretation": [concept("http://i", "L")]}, "interpretation_code", "L"),
        ({"bodySite": concept(SNOMED, "71341001")}, "body_site_code", "SNOMEDCT:71341001"),
        ({"method": concept(SNOMED, "399208008")}, "method_code", "SNOMEDCT:399208008"),
        ({"device": {"reference": "Device/d1", "display": "Amy's"}}, "device_id", "d1"),
        ({"referenceRange": [{"low": {"value": 120}}]}, "reference_low", "120"),
        ({"effectivePeriod": {"start": "2020-01", "end": "2020-02"}}, "effective_end", "2020-02"),
    ],
)  # fmt: skip
def test_observation(block, parts, column, expected):
    found = block("observations", resource("Observation", code=HB, **parts))
    assert told(found, column) == (expected,)


def test_components_are_rows_of_their_own(block):
    panel = resource(
        "Observation",
        code=concept(LOINC, "85354-9"),
        effectiveDateTime="2021-01-02",
        component=[
            {"code": concept(LOINC, "8480-6"), "valueQuantity": {"value": 120}},
            {"code": concept(LOINC, "8462-4"), "valueQuantity": {"value": 80}},
        ],
    )
    found = block("observations", panel)
    assert found.column("loinc_code") == ["8480-6", "8462-4"]
    assert found.column("value") == ["120", "80"]
    assert found.column("panel_code") == ["LOINC:85354-9"] * 2
    assert found.column("effective_date") == ["2021-01-02"] * 2


def test_a_block_may_be_one_category(block):
    def of(key: str, category: str) -> dict[str, Any]:
        return resource("Observation", id=key, code=HB, category=[concept("http://c", category)])

    export = bundle(of("a", "laboratory"), of("b", "imaging"), resource("Observation", id="c"))
    found = block("observations/imaging", export)
    assert found.column("observation_id") == ["b"]
    assert found.table.other_parts == ("observations/laboratory", "observations/none")


# --- variants -----------------------------------------------------------------------------------


def component(code: str, value: Any) -> dict[str, Any]:
    return {"code": concept(LOINC, code), "valueCodeableConcept": value}


VARIANT = resource(
    "Observation",
    id="v1",
    code=concept(LOINC, "69548-6"),
    component=[
        component("48018-6", concept("http://www.genenames.org", "HGNC:2025", display="CLCN7")),
        component("48004-6", {"text": "NM_001287.6:c.643G>A"}),
        component("48005-3", concept("http://varnomen.hgvs.org", "NP_001278.1:p.(Gly215Arg)")),
        component("53034-5", concept(LOINC, "LA6706-1")),
        component("48002-0", concept(LOINC, "LA6683-2")),
        component("0000-0", {"text": "not known"}),
    ],
)
IMPLICATION = resource(
    "Observation",
    id="i1",
    subject={},
    code=concept("http://hl7.org/fhir/uv/genomics-reporting/CodeSystem/tbd-codes-cs",
                 "diagnostic-implication"),
    derivedFrom=[{"reference": "Observation/v1"}],
    component=[
        component("53037-8", concept(LOINC, "LA6668-3")),
        component("81259-4", concept("http://purl.obolibrary.org/obo/mondo.owl", "0009815")),
        component("condition-inheritance", concept(HPO, "HP:0000006")),
    ],
)  # fmt: skip


def test_variant_with_what_its_implication_says(block):
    found = block("variants", IMPLICATION, VARIANT)
    assert row(found) == {
        "patient_id": "p1",
        "observation_id": "v1",
        "gene_id": "HGNC:2025",
        "gene_symbol": "CLCN7",
        "hgvs_c": "c.643G>A",
        "hgvs_p": "p.(Gly215Arg)",
        "transcript": "NM_001287.6",
        "zygosity_code": "LOINC:LA6706-1",
        "origin_code": "LOINC:LA6683-2",
        "acmg_code": "LOINC:LA6668-3",
        "disease_code": "MONDO:0009815",
        "inheritance_code": "HP:0000006",
    }
    assert found.table.not_held["variants.component of another kind"] == 1


def test_implication_is_about_the_variants_patient(block):
    found = block("implications", IMPLICATION, VARIANT)
    assert told(found, "patient_id", "variant_id", "disease_code") == ("p1", "v1", "MONDO:0009815")


# --- the other blocks ---------------------------------------------------------------------------


def test_procedure(block):
    found = block(
        "procedures",
        resource(
            "Procedure",
            status="not-done",
            code=concept(SNOMED, "52734007"),
            performedPeriod={"start": "2019-05", "end": "2019-06"},
            bodySite=[concept(SNOMED, "7569003"), concept(SNOMED, "24028007")],
        ),
    )
    assert told(found, "status", "snomed_code", "performed_date", "body_site_code") == (
        "not-done", "52734007", "2019-05", "SNOMEDCT:7569003;SNOMEDCT:24028007",
    )  # fmt: skip


ATC = "http://www.whocc.no/atc"


@pytest.mark.parametrize(
    ("kind", "parts"),
    [
        ("MedicationStatement", {"medicationCodeableConcept": concept(ATC, "L03AB03")}),
        ("MedicationRequest", {"medicationReference": {"reference": "Medication/m1"}}),
        ("MedicationAdministration", {
            "medicationReference": {"reference": "#m"},
            "contained": [
                {"resourceType": "Medication", "id": "m", "code": concept(ATC, "L03AB03")}
            ],
        }),
    ],
)  # fmt: skip
def test_medication_by_code_by_reference_or_contained(block, kind, parts):
    medication = {"resourceType": "Medication", "id": "m1", "code": concept(ATC, "L03AB03")}
    found = block("medications", bundle(resource(kind, **parts), medication))
    assert told(found, "resource_type", "atc_code", "code") == (kind, "L03AB03", "ATC:L03AB03")


def test_dose_and_dates_of_a_medication(block):
    dosage = {
        "text": "CANARY three times a week",
        "timing": {"repeat": {"frequency": 3, "period": 1, "periodUnit": "wk"}},
        "route": concept(SNOMED, "34206005"),
        "doseAndRate": [{"doseQuantity": {"value": 50, "system": UCUM, "code": "ug/m2"}}],
    }
    period = {"start": "2020-01-02", "end": "2021-03"}
    found = block(
        "medications", resource("MedicationStatement", effectivePeriod=period, dosage=[dosage])
    )
    columns = ("start", "stop", "dose_value", "dose_unit_ucum", "frequency", "route_code")
    assert told(found, *columns) == (
        "2020-01-02", "2021-03", "50", "ug/m2", "3/1wk", "SNOMEDCT:34206005",
    )  # fmt: skip


@pytest.mark.parametrize(
    ("sheet", "export", "expected"),
    [
        (
            "encounters",
            resource("Encounter", **{"class": {"code": "IMP"}}, period={"start": "2021-04-06"}),
            {"class_code": "IMP", "start": "2021-04-06"},
        ),
        (
            "consents",
            {**consent("c1", "active", "373066001"), "dateTime": "2023-04-12"},
            {"status": "active", "consent_date": "2023-04-12", "reuse_code": "SNOMEDCT:373066001"},
        ),
        (
            "family_history",
            {
                "resourceType": "FamilyMemberHistory",
                "patient": {"reference": "Patient/p1"},
                "relationship": concept(SNOMED, "60614009"),
                "condition": [{"code": concept(SNOMED, "1926006"),
                               "onsetAge": {"value": 2, "code": "a"}}],
            },
            {"relationship_code": "SNOMEDCT:60614009", "snomed_code": "1926006",
             "onset_age_iso": "P2Y"},
        ),
        (
            "reports",
            resource("DiagnosticReport", result=[{"reference": "Observation/a", "display": "Amy"},
                                                 {"reference": "Observation/b"}]),
            {"result_ids": "a;b"},
        ),
        (
            "imaging",
            resource("ImagingStudy", started="2020-02-03T04:05:06Z",
                     modality=[{"code": "CT"}]),
            {"started": "2020-02-03", "modality_code": "CT"},
        ),
        (
            "devices",
            {"resourceType": "Device", "id": "d1", "patient": {"reference": "Patient/p1"},
             "type": concept(SNOMED, "14106009"), "serialNumber": "CANARY"},
            {"device_id": "d1", "snomed_code": "14106009"},
        ),
    ],
)  # fmt: skip
def test_other_blocks(block, sheet, export, expected):
    found = row(block(sheet, export))
    assert {"patient_id": "p1", **expected}.items() <= found.items()


# --- what never gets in -------------------------------------------------------------------------

CANARY = "CANARY-Amy-Shaw"
NAMED = {
    "text": {"status": "generated", "div": f"<div>{CANARY}</div>"},
    "note": [{"text": CANARY, "authorString": CANARY}],
    "subject": {"reference": "Patient/p1", "display": CANARY},
    "patient": {"reference": "Patient/p1", "display": CANARY},
    "encounter": {"reference": "Encounter/e1", "display": CANARY},
    "performer": [{"reference": "Practitioner/d", "display": CANARY}],
    "asserter": {"display": CANARY},
    "recorder": {"display": CANARY},
    "derivedFrom": [{"reference": "Observation/v1", "display": CANARY}],
    "result": [{"reference": "Observation/a", "display": CANARY}],
    "device": {"display": CANARY},
    "conclusion": CANARY,
    "name": CANARY,
    "dosage": [{"text": CANARY, "patientInstruction": CANARY}],
    "patientInstruction": CANARY,
    "identifier": [{"value": CANARY}],
}
PATIENT = {
    **NAMED,
    "resourceType": "Patient",
    "id": "p1",
    "name": [{"family": CANARY, "given": [CANARY]}],
    "telecom": [{"value": CANARY}],
    "address": [{"line": [CANARY], "city": CANARY, "postalCode": CANARY}],
    "photo": [{"data": CANARY}],
    "contact": [{"name": {"family": CANARY}}],
    "generalPractitioner": [{"display": CANARY}],
    "identifier": [{"value": CANARY, "system": "http://hl7.org/fhir/sid/us-ssn"}],
    "extension": [{"url": "http://x/patient-mothersMaidenName", "valueString": CANARY}],
    "contained": [{"resourceType": "Practitioner", "name": [{"family": CANARY}]}],
}


@pytest.mark.parametrize("sheet", BLOCKS)
def test_no_name_note_or_display_reaches_the_relation(block, sheet):
    kinds = [kind for one in BLOCKS.values() for kind in one.types if kind != "Patient"]
    codes = {"Observation": [HB, concept(HPO, "HP:1"), VARIANT["code"], IMPLICATION["code"]]}
    named = [
        {**NAMED, "resourceType": kind, "id": f"{kind}{n}", "code": code}
        for kind in dict.fromkeys(kinds)
        for n, code in enumerate(codes.get(kind, [concept(HPO, "HP:1")]))
    ]
    found = block(sheet, bundle(PATIENT, *named))
    assert found.table.rows > 0
    assert CANARY not in repr(found)


def test_what_is_left_out_is_counted(block):
    more = {"note": [{"text": "x"}], "evidence": [{}], "extension": [{"url": "http://x/why"}]}
    found = block("conditions", resource("Condition", **more))
    assert dict(found.table.not_held) == {
        "conditions.evidence": 1,
        "conditions.extension why": 1,
        "conditions.note: may name a person, not read": 1,
    }


@pytest.mark.parametrize(
    ("parts", "kind"),
    [
        ({"verificationStatus": concept("http://h", "entered-in-error")}, "entered in error"),
        ({"modifierExtension": [{"url": "http://x/not"}]},
         "with a modifierExtension, whose meaning is not known"),
    ],
)  # fmt: skip
def test_what_must_not_be_used_is_left_out(block, parts, kind):
    found = block("conditions", resource("Condition", **parts))
    assert (found.table.rows, dict(found.table.not_held)) == (0, {f"conditions {kind}": 1})


# --- files --------------------------------------------------------------------------------------


def lines(*resources: Any) -> str:
    return "".join(json.dumps(one) + "\n" for one in resources)


def test_ndjson_is_read_line_by_line(block):
    conditions = [resource("Condition", id=f"c{n}", recordedDate=f"2020-0{n}") for n in (1, 2)]
    found = block(
        "conditions",
        files={"Condition.ndjson": lines(*conditions), "Patient.ndjson": lines(PERSON)},
    )
    assert found.column("recorded_date") == ["2020-01", "2020-02"]
    assert found.column("patient_identifier") == ["A1", "A1"]
    assert [place[2] for place in found.places] == [1, 2]
    assert found.table.other_parts == ("patients",)


def test_the_newest_version_of_a_resource_counts(block):
    def version(day: str) -> dict[str, Any]:
        meta = {"lastUpdated": f"{day}T00:00:00Z"}
        return resource("Condition", meta=meta, recordedDate=day)

    found = block("conditions", *map(version, ("2020-01-01", "2020-03-01", "2020-02-01")))
    assert found.column("recorded_date") == ["2020-03-01"]


def test_the_same_resource_in_two_files_is_one(block):
    found = block("conditions", resource("Condition"), bundle(resource("Condition")))
    assert found.table.rows == 1
    assert found.table.not_held["conditions that stand in the files twice"] == 1


def test_contradicting_versions_are_refused(block):
    with pytest.raises(SourceError, match="1 of its resources stand in it, or in another file"):
        block("conditions", resource("Condition"), resource("Condition", recordedDate="2020"))


def test_a_page_of_several_is_noted(block):
    page = {**bundle(PERSON, kind="searchset"), "link": [{"relation": "next", "url": "http://x"}]}
    (note,) = block("patients", page).table.notes
    assert note == "1.json: it is one page of several (link 'next'); put all pages into the inbox"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("<Patient/>", "was expected, but the file is XML"),
        ("[]", "was expected, but the file is a JSON list"),
        ("a;b", "was expected, but the file is no JSON"),
        ('{"resourceType": "Patient", "id": NaN}', "it holds NaN"),
        ('{"resourceType": "Patient", "id": "1", "id": "2"}', "a key is given twice"),
        ('{"resourceType": "Patient", "a": {"b": 1, "b": 2}}', "a key is given twice"),
        ('{"resourceType": "Patient", "a": ' + "[" * 10_000, "nested too deeply"),
        ('{"resourceType": "Patient", "a": ' + "9" * 200_000 + "}", "a number that is too large"),
        ('{"resourceType": "Patient", "a": 1e999}', "a number that is too large"),
        ('{"resourceType": "Patient", "id": "\\ud800"}', "half a character"),
        ('{"resourceType": "Patient", "id": "a\\u0000"}', "a NUL character"),
        ('{"resourceType": "Patient",\n"id": "1"', "it is not valid JSON at line 2"),
        ('{"resourceType": "Patient"} {}', "it is not valid JSON at line 1"),
        ('{"entry": [{"resource": {}},]}', "it has no 'resourceType'"),
        ('{"id": "1"}', "it has no 'resourceType'"),
        (json.dumps(bundle(PERSON, kind="history")), "a Bundle of another type"),
        (json.dumps(bundle(bundle(PERSON))), "a Bundle within another file"),
        ('{"resourceType": "Patient", "extension": true}', "as in FHIR R4"),
    ],
)
def test_what_is_no_fhir_is_refused(block, text, message):
    with pytest.raises(SourceError, match=message):
        block("patients", files={"a.json": text})


def test_a_broken_line_is_named_without_its_content(block):
    files = {"Patient.ndjson": lines(PERSON) + '{"resourceType": "Patient", "id": "SECRET'}
    with pytest.raises(SourceError, match=r"Patient\.ndjson: line 2 is not readable") as refusal:
        block("patients", files=files)
    assert "SECRET" not in str(refusal.value)


@pytest.mark.parametrize(
    ("declared", "message"),
    [
        ({"sheet": "teeth"}, "FHIR has no block 'teeth'; use one of patients, conditions"),
        ({"sheet": "devices/ct"}, "devices have no categories; write 'devices'"),
        ({"sheet": "patients", "decimal": ","}, "JSON writes numbers with '.'"),
    ],
)
def test_declarations_that_cannot_be(block, declared, message):
    with pytest.raises(SourceError, match=message):
        block(declared.pop("sheet"), PERSON, **declared)
