"""Which text columns each block of a FHIR export has, and from which elements each is taken.

The columns are public: mappings name them. Every block begins with `patient_id` (the id of the
Patient that the resource is about) and `patient_identifier` (the centre's own number of that
person). `<system>_code` columns hold the codes of one code system; `other_code` holds those of all
others; a column that ends in `_code` otherwise holds a code with its prefix (`SNOMEDCT:22298006`).
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from transforms.readers import fhir_observations
from transforms.readers.fhir_observations import Lost
from transforms.readers.fhir_paths import (
    Column,
    Node,
    ages,
    codes,
    dates,
    ids,
    labels,
    quantities,
    texts,
    when,
)


__all__ = ["BLOCKS", "PATIENT", "SAID", "Block", "known"]

PATIENT = ("patient_id", "patient_identifier")
DISEASE = ("mondo", "orpha", "omim", "icd10", "icd11", "snomed", "hpo")
ACT = ("snomed", "icd10", "loinc", "cpt", "ops")


def _itself(resource: Node, _: Lost) -> Iterator[Node]:
    yield resource


@dataclass(frozen=True)
class Block:
    """One relation: `types` of resources, their rows, the columns.

    `concept` is the element whose codes are spread over the columns of the systems `own`;
    `about` leads to the person.
    """

    types: tuple[str, ...]
    columns: Mapping[str, Column]
    own: tuple[str, ...] = ()
    concept: str = "code"
    about: tuple[str, ...] = ("subject",)
    rows: Callable[[Node, Lost], Iterator[Node]] = _itself
    also: tuple[str, ...] = ()
    """Elements that `rows` looks at, besides those of the columns."""

    @property
    def names(self) -> tuple[str, ...]:
        """All text columns, in order."""
        return (*PATIENT, *self.columns, *self.coded)

    @property
    def coded(self) -> tuple[str, ...]:
        """The columns that hold the codes of `concept`."""
        if not self.own:
            return ()
        return ("code", *(f"{system}_code" for system in self.own), "other_code", "code_text")


# What other resources say of the person; filled when all has been read (`fhir_references`).
SAID = (
    "karyotypic_sex_code", "consent_status", "consent_provision", "consent_reuse_code",
    "consent_contact_code", "consent_date",
)  # fmt: skip


def _bound(prefix: str, path: str) -> dict[str, Column]:
    """Columns of a period."""
    return {f"{prefix}start": dates(f"{path}.start"), f"{prefix}end": dates(f"{path}.end")}


def _medication(resource: Node, lost: Lost) -> Iterator[Node]:
    """Take the first dosage; further ones are counted."""
    steps = resource.get("dosage") or resource.get("dosageInstruction") or []
    steps = steps if isinstance(steps, list) else [steps]
    lost["medications.dosage after the first"] += max(len(steps) - 1, 0)
    first: Mapping[str, Any] = steps[0] if steps and isinstance(steps[0], Mapping) else {}
    lost["medications.dosage in words only"] += "text" in first and not set(first) - {"text"}
    repeat = (first.get("timing") or {}).get("repeat") or {}
    every = [repeat.get("frequency"), repeat.get("period"), repeat.get("periodUnit")]
    times = {"frequency": f"{every[0]}/{every[1]}{every[2]}"} if all(every) else {}
    yield {**resource, "#dosage": {**first, **times}}


def _family(resource: Node, _: Lost) -> Iterator[Node]:
    """One row per condition of the relative, or one without."""
    for condition in resource.get("condition") or [{}]:
        yield {**resource, "condition": condition}


EFFECTIVE = {
    "effective_date": dates("effectiveDateTime", "effectiveInstant", "effectivePeriod.start"),
    "effective_end": dates("effectivePeriod.end"),
}
OBSERVED: Mapping[str, Column] = {
    "observation_id": texts("id"),
    "encounter_id": ids("encounter"),
    "status": texts("status"),
    "category": codes("category"),
    **EFFECTIVE,
    "body_site_code": codes("bodySite"),
    "method_code": codes("method"),
}
VALUE: Mapping[str, Column] = {
    **quantities("", "valueQuantity", "valueInteger"),
    "value_low": texts("valueRange.low.value"),
    "value_high": texts("valueRange.high.value"),
    "value_code": codes("valueCodeableConcept"),
    "value_text": labels("valueCodeableConcept"),
    "value_string": texts("valueString"),
    "value_boolean": texts("valueBoolean"),
    "value_date": dates("valueDateTime", "valuePeriod.start"),
    "data_absent_code": codes("dataAbsentReason"),
    "interpretation_code": codes("interpretation"),
}

BLOCKS: Mapping[str, Block] = {
    "patients": Block(
        ("Patient",),
        {
            "active": texts("active"),
            "gender": texts("gender"),
            "birth_sex": codes(
                "#ext.us-core-birthsex", "#ext.us-core-sex", "#ext.patient-birthsex", "#birth_sex"
            ),
            "gender_identity": codes("#ext.us-core-genderidentity", "#ext.patient-genderidentity"),
            "birth_date": dates("birthDate"),
            "birth_country": codes(
                "#ext.birth-place.countrycode", "#ext.patient-birthplace.country"
            ),
            "deceased": texts("deceasedBoolean", "#deceased"),
            "death_date": dates("deceasedDateTime"),
            "admission_date": dates("#ext.date-of-admission.value"),
            **{name: texts(f"#said.{name}") for name in SAID},
        },
        about=(),
        rows=fhir_observations.patient,
        also=("#ext.individual-recordedsexorgender", "identifier", "link"),
    ),
    "conditions": Block(
        ("Condition",),
        {
            "condition_id": texts("id"),
            "encounter_id": ids("encounter"),
            "clinical_status": codes("clinicalStatus"),
            "verification_status": codes("verificationStatus"),
            "excluded": texts("#excluded"),
            "category": codes("category"),
            "severity_code": codes("severity"),
            "body_site_code": codes("bodySite"),
            **when("onset", "onset"),
            **when("abatement", "abatement"),
            "recorded_date": dates("recordedDate"),
        },
        own=DISEASE,
        rows=fhir_observations.condition,
    ),
    "features": Block(
        ("Observation", "Condition"),
        {
            "feature_id": texts("id"),
            "encounter_id": ids("encounter"),
            "hpo_code": texts("#codes.hpo"),
            "feature_text": labels("code"),
            "status": texts("#status"),
            "status_code": codes(
                "#ext.phenotype-status", "verificationStatus", "valueCodeableConcept"
            ),
            "severity_code": codes("#ext.phenotype-severity", "severity"),
            "modifier_code": codes("#ext.temporal-pattern", "#ext.phenotype-modifier"),
            "organism_code": codes("#ext.causing-organism"),
            "laterality_code": codes("#ext.phenotype-laterality", "bodySite"),
            "onset_class_code": codes("#onset_class"),
            **when("onset", "onset", "effective"),
            "recorded_date": dates("recordedDate"),
            "method_code": codes("method"),
        },
        rows=fhir_observations.feature,
        also=("category", "code", "status", "valueBoolean", "interpretation", "clinicalStatus"),
    ),
    "observations": Block(
        ("Observation",),
        {
            **OBSERVED,
            "panel_code": codes("#panel"),
            **VALUE,
            "reference_low": texts("#range.low.value"),
            "reference_high": texts("#range.high.value"),
            "device_id": ids("device"),
            "specimen_id": ids("specimen"),
        },
        own=("loinc", "snomed", "ncit"),
        rows=fhir_observations.observation,
        also=("component", "referenceRange"),
    ),
    "variants": Block(
        ("Observation",),
        {
            **OBSERVED,
            "value_code": codes("valueCodeableConcept"),
            **fhir_observations.VARIANT,
        },
        rows=fhir_observations.variant,
        also=("code", "component"),
    ),
    "implications": Block(
        ("Observation",),
        {
            **OBSERVED,
            "variant_id": ids("derivedFrom"),
            **fhir_observations.IMPLICATION,
        },
        about=("subject", "derivedFrom"),
        rows=fhir_observations.implication,
        also=("code", "component"),
    ),
    "procedures": Block(
        ("Procedure",),
        {
            "procedure_id": texts("id"),
            "encounter_id": ids("encounter"),
            "status": texts("status"),
            "status_reason_code": codes("statusReason"),
            "category": codes("category"),
            **when("performed", "performed"),
            "body_site_code": codes("bodySite"),
            "reason_code": codes("reasonCode"),
            "reason_id": ids("reasonReference"),
            "outcome_code": codes("outcome"),
            "complication_code": codes("complication"),
        },
        own=ACT,
    ),
    "medications": Block(
        ("MedicationStatement", "MedicationRequest", "MedicationAdministration"),
        {
            "medication_record_id": texts("id"),
            "resource_type": texts("resourceType"),
            "encounter_id": ids("encounter", "context"),
            "status": texts("status"),
            "intent": texts("intent"),
            "category": codes("category"),
            "start": dates("effectiveDateTime", "effectivePeriod.start", "authoredOn"),
            "stop": dates("effectivePeriod.end"),
            "asserted_date": dates("dateAsserted"),
            **quantities("dose_", "#dosage.doseAndRate.doseQuantity", "#dosage.dose"),
            "frequency": texts("#dosage.frequency"),
            "route_code": codes("#dosage.route"),
            "reason_code": codes("reasonCode"),
            "status_reason_code": codes("statusReason"),
        },
        own=("atc", "rxnorm", "snomed"),
        concept="medicationCodeableConcept",
        rows=_medication,
        also=("dosage", "dosageInstruction", "medicationReference"),
    ),
    "encounters": Block(
        ("Encounter",),
        {
            "encounter_id": texts("id"),
            "status": texts("status"),
            "class_code": codes("class"),
            "service_type_code": codes("serviceType"),
            **_bound("", "period"),
            "reason_code": codes("reasonCode"),
        },
        own=("snomed", "cpt"),
        concept="type",
    ),
    "consents": Block(
        ("Consent",),
        {
            "consent_id": texts("id"),
            "status": texts("status"),
            "scope_code": codes("scope"),
            "category": codes("category"),
            "consent_date": dates("dateTime"),
            "provision_type": texts("provision.type"),
            **_bound("provision_", "provision.period"),
            "provision_code": codes("provision.code"),
            "purpose_code": codes("provision.purpose"),
            "reuse_code": codes("#ext.erdri-consent-to-reuse"),
            "contact_code": codes("#ext.erdri-agreement-to-be-contacted"),
        },
        about=("patient",),
    ),
    "family_history": Block(
        ("FamilyMemberHistory",),
        {
            "family_history_id": texts("id"),
            "status": texts("status"),
            "relationship_code": codes("relationship"),
            "sex_code": codes("sex"),
            "born_date": dates("bornDate", "bornPeriod.start"),
            "age_iso": ages("ageAge"),
            "deceased": texts("deceasedBoolean"),
            "deceased_date": dates("deceasedDate"),
            "deceased_age_iso": ages("deceasedAge"),
            "onset_age_iso": ages("condition.onsetAge"),
            "outcome_code": codes("condition.outcome"),
            "propositus_code": codes("#ext.propositus"),
            "consanguinity_code": codes("#ext.consanguinity"),
        },
        own=DISEASE,
        concept="condition.code",
        about=("patient",),
        rows=_family,
    ),
    "reports": Block(
        ("DiagnosticReport",),
        {
            "report_id": texts("id"),
            "encounter_id": ids("encounter"),
            "status": texts("status"),
            "category": codes("category"),
            **EFFECTIVE,
            "conclusion_code": codes("conclusionCode"),
            "result_ids": ids("result"),
            "imaging_ids": ids("imagingStudy"),
        },
        own=("loinc", "snomed"),
    ),
    "imaging": Block(
        ("ImagingStudy",),
        {
            "imaging_id": texts("id"),
            "encounter_id": ids("encounter"),
            "status": texts("status"),
            "started": dates("started"),
            "modality_code": codes("modality", "series.modality"),
            "body_site_code": codes("series.bodySite"),
            "reason_code": codes("reasonCode"),
        },
        own=("snomed", "loinc"),
        concept="procedureCode",
        also=("series",),
    ),
    "devices": Block(
        ("Device",),
        {"device_id": texts("id"), "status": texts("status")},
        own=("snomed",),
        concept="type",
        about=("patient",),
    ),
}


def known(block: Block) -> tuple[set[str], set[str]]:
    """Return the elements and the extensions that `block` takes."""
    paths = [path for column in block.columns.values() for path in column.paths]
    paths += [tuple(path.split(".")) for path in (*block.also, block.concept, *block.about)]
    elements = {path[0] for path in paths if not path[0].startswith("#")}
    return elements, {path[1] for path in paths if path[0] == "#ext"}
