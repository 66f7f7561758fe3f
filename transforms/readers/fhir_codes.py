"""Coded values of FHIR: which code system a URL means, and how its codes are written here.

Servers write one system in many ways (`http://loinc.org`, `https://loinc.org/`, with a stray
blank, as an OID); the ones below are taken for the same. Codes of ontologies carry their prefix
(`HP:0000365`, `MONDO:0009815`, `ORPHA:667`, `OMIM:259700`, `HGNC:2025`), as in phenopackets; codes
of LOINC, SNOMED CT, ICD, ATC and RxNorm are bare in a column of their own. Source of the URLs and
OIDs: the code system registry of HL7 Terminology (THO).
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache
from typing import Any

from transforms.readers.unit_ontology import UCUM_OF_TERM


__all__ = ["SYSTEMS", "by_system", "curies", "label", "system_of", "ucum"]

SYSTEMS: Mapping[str, str] = {
    "loinc": "LOINC",
    "snomed": "SNOMEDCT",
    "mondo": "MONDO",
    "orpha": "ORPHA",
    "omim": "OMIM",
    "hpo": "HP",
    "icd10": "ICD10",
    "icd11": "ICD11",
    "hgnc": "HGNC",
    "atc": "ATC",
    "rxnorm": "RXNORM",
    "ncit": "NCIT",
    "geno": "GENO",
    "uo": "UO",
    "ucum": "UCUM",
    "eco": "ECO",
    "ncbitaxon": "NCBITaxon",
    "cpt": "CPT",
    "ops": "OPS",
    "clinvar": "CLINVAR",
    "dbsnp": "DBSNP",
}
"""Key of a code system (the column is `<key>_code`) and the prefix of its codes."""

PREFIXED = {"mondo", "orpha", "omim", "hpo", "hgnc"}  # with prefix in a column of their own too
URLS: Mapping[str, str] = {
    "loinc.org": "loinc",
    "2.16.840.1.113883.6.1": "loinc",
    "snomed.info/sct": "snomed",
    "snomed.info": "snomed",
    "2.16.840.1.113883.6.96": "snomed",
    "purl.obolibrary.org/obo/mondo.owl": "mondo",
    "purl.obolibrary.org/obo/mondo": "mondo",
    "monarchinitiative.org": "mondo",
    "orpha.net": "orpha",
    "orpha.net/ordo": "orpha",
    "omim.org": "omim",
    "2.16.840.1.113883.6.174": "omim",
    "purl.obolibrary.org/obo/hp.owl": "hpo",
    "purl.obolibrary.org/obo/hp": "hpo",
    "human-phenotype-ontology.org": "hpo",
    "hpo.jax.org": "hpo",
    "hl7.org/fhir/sid/icd-10": "icd10",
    "hl7.org/fhir/sid/icd-10-cm": "icd10",
    "hl7.org/fhir/sid/icd-10-nl": "icd10",
    "fhir.de/codesystem/bfarm/icd-10-gm": "icd10",
    "fhir.de/codesystem/dimdi/icd-10-gm": "icd10",
    "2.16.840.1.113883.6.3": "icd10",
    "2.16.840.1.113883.6.90": "icd10",
    "hl7.org/fhir/sid/icd-11": "icd11",
    "id.who.int/icd/release/11/mms": "icd11",
    "id.who.int/icd11/mms": "icd11",
    "genenames.org": "hgnc",
    "genenames.org/geneid": "hgnc",
    "2.16.840.1.113883.6.281": "hgnc",
    "whocc.no/atc": "atc",
    "fhir.de/codesystem/bfarm/atc": "atc",
    "fhir.de/codesystem/dimdi/atc": "atc",
    "2.16.840.1.113883.6.73": "atc",
    "nlm.nih.gov/research/umls/rxnorm": "rxnorm",
    "2.16.840.1.113883.6.88": "rxnorm",
    "ncicb.nci.nih.gov/xml/owl/evs/thesaurus.owl": "ncit",
    "ncit.nci.nih.gov": "ncit",
    "purl.obolibrary.org/obo/ncit.owl": "ncit",
    "purl.obolibrary.org/obo/geno.owl": "geno",
    "ontobee.org/ontology/uo": "uo",
    "purl.obolibrary.org/obo/uo.owl": "uo",
    "unitsofmeasure.org": "ucum",
    "evidenceontology.org": "eco",
    "purl.obolibrary.org/obo/eco.owl": "eco",
    "purl.obolibrary.org/obo/ncbitaxon.owl": "ncbitaxon",
    "ama-assn.org/go/cpt": "cpt",
    "fhir.de/codesystem/bfarm/ops": "ops",
    "fhir.de/codesystem/dimdi/ops": "ops",
    "ncbi.nlm.nih.gov/clinvar": "clinvar",
    "ncbi.nlm.nih.gov/projects/snp": "dbsnp",
    "ncbi.nlm.nih.gov/snp": "dbsnp",
}
# A value set is not a code system, but some write it in its place: then the version tells.
SNOMED_VERSION = re.compile(r"SNOMEDCT|http://snomed\.info/sct", re.IGNORECASE)
OWN_PREFIX = re.compile(r"^[A-Za-z]+[0-9]*[:_]\s*")
ANNOTATION = re.compile(r"\{[^{}]*\}")
Node = Mapping[str, Any]


@lru_cache(maxsize=1024)
def system_of(url: str, version: str = "") -> str:
    """Return the key of the code system that `url` means, or an empty text."""
    bare = "".join(url.split()).lower().removeprefix("urn:oid:")
    bare = re.sub(r"^https?://(www\.)?", "", bare).rstrip("/#")
    if bare.startswith("snomed.info/"):
        return "snomed"
    found = URLS.get(bare, "")
    return found or ("snomed" if SNOMED_VERSION.match(version) else "")


def _codings(concept: Any) -> Sequence[Node]:
    """Return the codings of a CodeableConcept, of a Coding, or of a plain code."""
    if isinstance(concept, str):
        return ({"code": concept},)
    if not isinstance(concept, dict):
        return ()
    if "coding" in concept:
        return [one for one in concept["coding"] if isinstance(one, dict) and one.get("code")]
    return (concept,) if concept.get("code") else ()


def _coded(concept: Any) -> Iterator[tuple[str, str]]:
    """Yield the code system's key and the code with its prefix, one per coding."""
    for coding in _codings(concept):
        code = str(coding["code"]).strip()
        version = str(coding.get("version", "")) if code.isdecimal() else ""
        system = system_of(str(coding.get("system", "")), version)
        if system:
            yield system, f"{SYSTEMS[system]}:{_bare(code, system)}"
        else:
            yield "", code


def _bare(code: str, system: str) -> str:
    """Return `code` without the prefix that some systems' codes come with."""
    if system in {"loinc", "ucum"}:
        return code
    bare = OWN_PREFIX.sub("", code, count=1)
    return bare.upper() if system == "ncit" else bare


def curies(concepts: Sequence[Any]) -> str | None:
    """Return the first code of each concept, with its prefix, joined by `;`.

    A code of a system that is not in `SYSTEMS`, such as HL7's own lists, stands as it is. A coding
    whose system is known is preferred to others of the same concept.
    """
    found = []
    for concept in concepts:
        coded = list(_coded(concept))
        known = [code for system, code in coded if system]
        found += (known or [code for _, code in coded])[:1]
    return ";".join(dict.fromkeys(found)) or None


def by_system(concepts: Sequence[Any], own: Sequence[str]) -> dict[str, str]:
    """Return the codes of `concepts` by system: one entry per key of `own`, and `other`.

    Several codes of one system are joined by `;`: nothing is left out.
    """
    found: dict[str, list[str]] = {}
    for system, code in (pair for concept in concepts for pair in _coded(concept)):
        key = system if system in own else "other"
        text = code if system in PREFIXED or key == "other" else code.partition(":")[2]
        found.setdefault(key, []).append(text)
    return {key: ";".join(dict.fromkeys(codes)) for key, codes in found.items()}


def label(concepts: Sequence[Any]) -> str | None:
    """Return the text of the first concept that has one, or its first coding's display."""
    for concept in concepts:
        if not isinstance(concept, dict):
            continue
        texts = [concept.get("text"), *(one.get("display") for one in _codings(concept))]
        found = next((text for text in texts if isinstance(text, str) and text.strip()), None)
        if found:
            return found
    return None


def ucum(quantity: Node) -> str | None:
    """Return the UCUM code of a Quantity, or None when its unit is not coded.

    An annotation has no meaning in UCUM: `{Z-Score}` is the unit one, `1`.
    """
    code = quantity.get("code")
    if not isinstance(code, str):
        return None
    system = system_of(str(quantity.get("system", "")))
    if system == "ucum":
        return ANNOTATION.sub("", code) or "1"
    if system == "uo":
        return UCUM_OF_TERM.get(f"UO:{_bare(code, system)}")
    return None
