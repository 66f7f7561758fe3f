"""What one FHIR resource becomes: which rows, for which block, and what is worked out beforehand.

An Observation is a variant (LOINC 69548-6), an implication of one, a phenotypic feature (coded in
HPO), or else an observation. Keys that begin with `#` are made here for `fhir_blocks`. Component
codes: HL7 Genomics Reporting IG (STU1 to STU3), profiles Variant and Diagnostic Implication.
"""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from transforms.readers.fhir_codes import by_system, curies, label, system_of
from transforms.readers.fhir_paths import Column, Node, extensions, values
from transforms.readers.phenopacket_blocks import after_colon, transcript_of


__all__ = [
    "IMPLICATION",
    "VARIANT",
    "Lost",
    "condition",
    "feature",
    "implication",
    "is_feature",
    "is_variant",
    "observation",
    "observation_block",
    "patient",
    "variant",
]

Lost = Counter[str]

VARIANT_CODE = "69548-6"
SIGNIFICANCE = "53037-8"
IMPLICATIONS = {"diagnostic-implication", "therapeutic-implication", SIGNIFICANCE}
SEX_AT_BIRTH = {"281053000", "76689-9"}
# Status of a feature: SNOMED CT as RareLink writes it, LOINC answers, HL7's list of findings.
STATUS: Mapping[str, str] = {
    "SNOMEDCT:410605003": "present",
    "SNOMEDCT:410515003": "present",
    "SNOMEDCT:52101004": "present",
    "SNOMEDCT:373573001": "present",
    "LOINC:LA9633-4": "present",
    "POS": "present",
    "confirmed": "present",
    "true": "present",
    "SNOMEDCT:410594000": "excluded",
    "SNOMEDCT:410516002": "excluded",
    "SNOMEDCT:2667000": "excluded",
    "SNOMEDCT:723511001": "excluded",
    "LOINC:LA9634-2": "excluded",
    "NEG": "excluded",
    "refuted": "excluded",
    "false": "excluded",
    "SNOMEDCT:261665006": "unknown",
    "SNOMEDCT:1220561009": "unknown",
}
ONSET_CLASSES = "HP:0003674"  # what a category in HPO means in RareLink's observations


def _component(*wanted: str) -> tuple[tuple[str, ...], ...]:
    return tuple(("#component", code) for code in wanted)


def _codes(*wanted: str) -> Column:
    return Column(_component(*wanted), curies)


def _words(*wanted: str) -> Column:
    return Column(_component(*wanted), label)


def _hgvs(found: Sequence[Any]) -> str | None:
    """Return the expression, which stands in the code, or else in the words."""
    return curies(found) or label(found)


VARIANT: Mapping[str, Column] = {
    "gene_id": _codes("48018-6"),
    "gene_symbol": _words("48018-6"),
    "hgvs_c": Column(_component("48004-6"), lambda f: after_colon(_hgvs(f) or "") or None),
    "hgvs_p": Column(_component("48005-3"), lambda f: after_colon(_hgvs(f) or "") or None),
    "hgvs_g": Column(_component("81290-9"), _hgvs),
    "transcript": Column(_component("51958-7"), _hgvs),
    "zygosity_code": _codes("53034-5"),
    "zygosity_text": _words("53034-5"),
    "acmg_code": _codes(SIGNIFICANCE),
    "acmg_text": _words(SIGNIFICANCE),
    "inheritance_code": _codes("condition-inheritance", "79742-3"),
    "disease_code": _codes("81259-4", "predicted-phenotype"),
    "origin_code": _codes("48002-0"),
    "phase_code": _codes("82120-7"),
    "change_type_code": _codes("48019-4", "48006-1"),
    "clinvar_code": _codes("81252-9"),
    "dbsnp_code": _codes("81255-0"),
    "assembly_code": _codes("62374-4"),
    "genomic_reference": Column(_component("48013-7"), _hgvs),
    "chromosome_code": _codes("48000-4"),
    "cytoband_code": _codes("48001-2"),
    "ref_allele": Column(_component("69547-8"), _hgvs),
    "alt_allele": Column(_component("69551-0"), _hgvs),
    "copy_number": Column(_component("82155-3"), _hgvs),
    "allelic_frequency": Column(_component("81258-6"), _hgvs),
}
IMPLICATION: Mapping[str, Column] = {
    name: VARIANT[name] for name in ("acmg_code", "acmg_text", "inheritance_code", "disease_code")
} | {"disease_text": _words("81259-4", "predicted-phenotype")}


def _bare_codes(resource: Node) -> set[str]:
    return {one for one in values(resource, ("code", "coding", "code")) if isinstance(one, str)}


def is_variant(resource: Node) -> bool:
    """Tell whether an Observation is a genetic variant."""
    return VARIANT_CODE in _bare_codes(resource)


def _is_implication(resource: Node) -> bool:
    return bool(IMPLICATIONS & _bare_codes(resource))


def observation_block(resource: Node) -> str:
    """Return the block that an Observation belongs to."""
    if is_variant(resource):
        return "variants"
    if _is_implication(resource):
        return "implications"
    return "features" if is_feature(resource) else "observations"


def is_feature(resource: Node) -> bool:
    """Tell whether an Observation or Condition is coded in HPO."""
    systems = values(resource, ("code", "coding"))
    return any(
        system_of(str(one.get("system", ""))) == "hpo"
        for one in systems
        if isinstance(one, Mapping)
    )


def patient(resource: Node, lost: Lost) -> Iterator[Node]:
    """One row; a date of death says that the person has died."""
    more: dict[str, Any] = {}
    if "deceasedDateTime" in resource:
        more["#deceased"] = "true"
    for recorded in extensions(resource).get("individual-recordedsexorgender", ()):
        kinds = {code for key in ("type", "codedefinition") for code in _all_codes(recorded, key)}
        if kinds & SEX_AT_BIRTH:
            more["#birth_sex"] = recorded.get("value")
        else:
            lost["patients.recordedSexOrGender of another kind"] += 1
    yield {**resource, **more}


def _all_codes(node: Any, key: str) -> list[Any]:
    return values(node, (key, "coding", "code"))


def condition(resource: Node, _: Lost) -> Iterator[Node]:
    """One row; `refuted` means that the disease was excluded."""
    refuted = "refuted" in _all_codes(resource, "verificationStatus")
    yield {**resource, "#excluded": str(refuted).lower()}


def feature(resource: Node, _: Lost) -> Iterator[Node]:
    """One row of an Observation or Condition that is coded in HPO."""
    if not is_feature(resource):
        return
    categories = values(resource, ("category",))
    onset = [one for one in categories if (curies([one]) or "").startswith("HP:")]
    hpo = by_system(values(resource, ("code",)), ("hpo",)).get("hpo", "")
    yield {
        **resource,
        "#codes": {"hpo": hpo},
        "#onset_class": onset,
        "#status": _feature_status(resource),
    }


def _feature_status(resource: Node) -> str:
    """Return present, excluded or unknown; a feature that is recorded without more is present."""
    said = [
        *extensions(resource).get("phenotype-status", ()),
        *(resource.get(key) for key in ("verificationStatus", "valueCodeableConcept")),
        *values(resource, ("interpretation",)),
    ]
    found = [curies([one]) or "" for one in said if one]
    found += values({"b": str(resource.get("valueBoolean", "")).lower() or None}, ("b",))
    known = [STATUS[one] for one in found if one in STATUS]
    if known:
        return known[0]
    unsaid = "dataAbsentReason" in resource or (found and resource["resourceType"] == "Observation")
    return "unknown" if unsaid else "present"


def observation(resource: Node, _: Lost) -> Iterator[Node]:
    """One row for the observation's own value, and one per component."""
    if observation_block(resource) != "observations":
        return
    components = resource.get("component") or []
    own = any(key.startswith("value") or key == "dataAbsentReason" for key in resource)
    if own or not components:
        yield {**resource, "#range": _normal_range(resource)}
    shared = {key: value for key, value in resource.items() if key not in OF_THE_WHOLE}
    for component in components:
        row = {**shared, **component, "#panel": resource.get("code")}
        yield {**row, "#range": _normal_range(component)}


OF_THE_WHOLE = {
    "code", "component", "interpretation", "referenceRange", "dataAbsentReason",
    "valueQuantity", "valueCodeableConcept", "valueString", "valueBoolean", "valueInteger",
    "valueRange", "valueRatio", "valueSampledData", "valueTime", "valueDateTime", "valuePeriod",
}  # fmt: skip


def _normal_range(node: Node) -> Any:
    """Return the reference range that holds for normal, which is the one without another type."""
    ranges = [one for one in node.get("referenceRange") or () if isinstance(one, Mapping)]
    normal = (one for one in ranges if {"normal", ""} & {*_all_codes(one, "type"), _untyped(one)})
    return next(normal, {})


def _untyped(node: Node) -> str:
    return "typed" if "type" in node else ""


def variant(resource: Node, lost: Lost) -> Iterator[Node]:
    """One row with its components by code; components that no column takes are counted."""
    if not is_variant(resource):
        return
    found = _components(resource, "variants", VARIANT, lost)
    transcript = transcript_of(_hgvs(found.get("48004-6", ())) or "")
    if transcript:
        found.setdefault("51958-7", [{"text": transcript}])
    yield {**resource, "#component": found}


def implication(resource: Node, lost: Lost) -> Iterator[Node]:
    """One row with its components by code; the older profile has the significance as its value."""
    if not _is_implication(resource):
        return
    found = _components(resource, "implications", IMPLICATION, lost)
    if SIGNIFICANCE in _bare_codes(resource):
        found.setdefault(SIGNIFICANCE, values(resource, ("valueCodeableConcept",)))
    yield {**resource, "#component": found}


def _components(
    resource: Node, block: str, columns: Mapping[str, Column], lost: Lost
) -> dict[str, list[Any]]:
    """Return code of the component → its values; one that no column takes is counted."""
    taken = {path[1] for column in columns.values() for path in column.paths}
    found: dict[str, list[Any]] = {}
    for component in resource.get("component") or ():
        named = [one for one in _all_codes(component, "code") if one in taken]
        if named:
            found.setdefault(named[0], []).extend(_answers(component))
        else:
            lost[f"{block}.component of another kind"] += 1
    return found


def _answers(component: Node) -> Iterator[Any]:
    """Yield a component's value as something that has a code or words."""
    for key, value in component.items():
        if key == "valueCodeableConcept":
            yield value
        elif key == "valueQuantity" and isinstance(value, Mapping):
            yield {"text": str(value.get("value", ""))}
        elif key.startswith("value") and isinstance(value, str):
            yield {"text": value}
