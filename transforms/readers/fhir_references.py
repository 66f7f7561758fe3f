"""Who a FHIR resource is about: references of every form, resolved to one person's id.

A reference may be `Patient/x`, an absolute URL, `urn:uuid:…`, `#x` (contained in the resource),
`Patient?identifier=…`, or an identifier alone. Its `display` often is a name: it is never looked
at. A person's own number is taken from Patient.identifier, a national or insurance number never.
"""

from collections import Counter
from collections.abc import Container, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from transforms.readers.fhir_observations import IMPLICATION, Lost, implication, is_variant
from transforms.readers.fhir_paths import Column, Node, codes, dates, extensions, texts, values


__all__ = [
    "KARYOTYPE",
    "Person",
    "Register",
    "contained",
    "own_id",
    "own_key",
    "reference_key",
    "subject_key",
]

# Kinds of identifier (HL7 table 0203) that name a person outside the centre, and parts of the
# systems they are issued under.
NATIONAL_TYPES = {
    "SS", "SB", "NI", "NH", "NIIP", "NNXXX", "TAX", "DL", "PPN", "CZ", "INS-NIR", "INS-C", "GKV",
    "KVZ10", "PKV", "MC", "MA", "JHN", "HC", "AN", "NP", "WP", "BC", "BCT",
}  # fmt: skip
NATIONAL_SYSTEMS = (
    "us-ssn", "us-medicare", "us-mbi", "nhs-number", "kvid", "insz", "bsn", "cpr", "fodsels",
    "codice-fiscale", "codicefiscale", "dni", "tsi", "drivers", "passport", "1.2.250.1.213.1.4.",
    "2.16.528.1.1007.3.1", "2.16.840.1.113883.4.1", "2.16.840.1.113883.2.4.6.3",
)  # fmt: skip
PREFERRED_TYPES = ("MR", "PI", "PT")
RETIRED = {"old", "temp"}


KARYOTYPE = "1296886006"  # SNOMED CT: karyotypic sex
KARYOTYPIC_SEX = {"karyotypic_sex_code": codes("valueCodeableConcept")}
CONSENT = {
    "consent_status": texts("status"),
    "consent_provision": texts("provision.type"),
    "consent_reuse_code": codes("#ext.erdri-consent-to-reuse"),
    "consent_contact_code": codes("#ext.erdri-agreement-to-be-contacted"),
    "consent_date": dates("dateTime"),
}


@dataclass(frozen=True)
class Person:
    """A person as the export knows them: the Patient's id and the centre's own number."""

    id: str
    identifier: str | None


@dataclass
class Register:
    """What was seen while reading, to resolve references when all has been read."""

    persons: dict[str, Person] = field(default_factory=dict)
    replaced: dict[str, str] = field(default_factory=dict)
    about: dict[str, str] = field(default_factory=dict)
    """Variant → key of the person it was found in."""
    implications: dict[str, dict[str, str]] = field(default_factory=dict)
    """Variant → what an implication says of it, by column."""
    medications: dict[str, Any] = field(default_factory=dict)
    said: dict[str, dict[str, list[str]]] = field(default_factory=dict)
    """Person → column of the block patients → what other resources say."""
    noted: Counter[tuple[str, str]] = field(default_factory=Counter)
    """(kind, person) → how many resources have said something."""

    def see(self, url: str, resource: Node) -> None:
        """Note what others may refer to."""
        kind = resource["resourceType"]
        if kind == "Patient":
            self._see_patient(url, resource)
        elif kind == "Medication":
            for key in _keys(url, resource):
                self.medications[key] = resource.get("code")
        elif kind == "Observation":
            self._see_observation(url, resource)
        elif kind == "Consent" and resource.get("status") != "entered-in-error":
            self._note("consents", subject_key(resource, ("patient",)), CONSENT, resource)

    def _note(self, kind: str, key: str, columns: Mapping[str, Column], resource: Node) -> None:
        self.noted[kind, key] += 1
        node = {**resource, "#ext": extensions(resource)}
        known = self.said.setdefault(key, {})
        for name, column in columns.items():
            text = column.take(node)
            if text and text not in known.setdefault(name, []):
                known[name].append(text)

    def _see_patient(self, url: str, resource: Node) -> None:
        person = Person(own_id(url, resource), _own_number(resource))
        for key in (*_keys(url, resource), *_identifier_keys(resource)):
            self.persons[key] = person
        for link in resource.get("link") or ():
            other = link.get("other") if isinstance(link, Mapping) else None
            if isinstance(other, Mapping) and link.get("type") == "replaced-by":
                for key in _keys(url, resource):
                    self.replaced[key] = reference_key(other)

    def _see_observation(self, url: str, resource: Node) -> None:
        if KARYOTYPE in values(resource, ("code", "coding", "code")):
            person = subject_key(resource, ("subject",))
            self._note("karyotypic sexes", person, KARYOTYPIC_SEX, resource)
        if is_variant(resource):
            for key in _keys(url, resource):
                self.about[key] = subject_key(resource, ("subject",))
        for row in implication(resource, Lost()):
            said = {name: column.take(row) for name, column in IMPLICATION.items()}
            for reference in values(resource, ("derivedFrom",)):
                known = self.implications.setdefault(reference_key(reference), {})
                for name, text in said.items():
                    if text:
                        known.setdefault(name, text)

    def is_replaced(self, key: str) -> bool:
        """Tell whether a Patient was merged into another one."""
        return key in self.replaced

    def said_of_persons(self) -> dict[str, dict[str, str]]:
        """Return Patient id → column → what is said; contradictions stand side by side.

        Two consents that differ give a text such as `active;rejected`, which no mapping takes for
        a yes.
        """
        found: dict[str, dict[str, list[str]]] = {}
        for key, said in self.said.items():
            person = self.person(key)
            known = found.setdefault(person.id, {}) if person else {}
            for name, words in said.items():
                known.setdefault(name, []).extend(words)
        return {
            one: {name: ";".join(dict.fromkeys(words)) for name, words in said.items()}
            for one, said in found.items()
        }

    def unused(self, patients: Container[str]) -> Counter[str]:
        """Count by kind what was said of nobody, or of a person who is none of `patients`."""
        found = Counter[str]()
        for (kind, key), count in self.noted.items():
            person = self.person(key)
            if person is None or person.id not in patients:
                found[kind] += count
        return found

    def person(self, key: str) -> Person | None:
        """Return whom `key` stands for; a Patient that is not in the files is known by its id."""
        key = self.about.get(key, key)
        for _ in range(3):  # a merged patient may have been merged again
            key = self.replaced.get(key, key)
        kind, _, rest = key.partition("/")
        found = self.persons.get(key)
        if found or not rest:
            return found or _unknown_person(key)
        return Person(rest, None) if kind == "Patient" else None


def _unknown_person(key: str) -> Person | None:
    """Return the person of an identifier that no Patient in the files has."""
    value = key.rpartition("|")[2] if key.startswith("identifier|") else ""
    return Person(value, value) if value else None


def own_id(url: str, resource: Node) -> str:
    """Return the resource's id, or what its full URL ends in."""
    found = resource.get("id") or url.removeprefix("urn:uuid:").rpartition("/")[2]
    return str(found)


def own_key(url: str, resource: Node) -> str:
    """Return the key under which the resource is known, or an empty text."""
    return next(_keys(url, resource), "")


def _keys(url: str, resource: Node) -> Iterator[str]:
    if resource.get("id"):
        yield f"{resource['resourceType']}/{resource['id']}"
    if url:
        yield reference_key({"reference": url})


def subject_key(resource: Node, paths: Sequence[str]) -> str:
    """Return the key of what the resource is about, from the first of `paths` that says so."""
    for path in paths:
        for reference in values(resource, (path,)):
            key = _contained_key(resource, reference) or reference_key(reference)
            if key:
                return key
    return ""


def _contained_key(resource: Node, reference: Any) -> str:
    """Return the key of a person who is contained in `resource`: their identifier."""
    target = contained(resource, reference)
    return next(_identifier_keys(target), "") if target else ""


def contained(resource: Node, reference: Any) -> Node | None:
    """Return the resource within `resource` that `reference` (`#x`) points to."""
    text = reference.get("reference") if isinstance(reference, Mapping) else None
    if not isinstance(text, str) or not text.startswith("#"):
        return None
    inner = (one for one in resource.get("contained") or () if isinstance(one, Mapping))
    return next((one for one in inner if one.get("id") == text[1:]), None)


def reference_key(reference: Any) -> str:
    """Return `Patient/x`, a URN, or `identifier|system|value`; never what is displayed."""
    if not isinstance(reference, Mapping):
        return ""
    text = reference.get("reference")
    if not isinstance(text, str) or not text or text.startswith("#"):
        return _identifier_key(reference.get("identifier"))
    kind, conditional, query = text.partition("?identifier=")
    if conditional:
        system, _, value = query.rpartition("|")
        return f"identifier|{system}|{value}"
    if text.startswith("urn:"):
        return text
    return "/".join(kind.partition("/_history/")[0].split("/")[-2:])


def _identifier_key(identifier: Any) -> str:
    if not isinstance(identifier, Mapping) or not identifier.get("value"):
        return ""
    return f"identifier|{identifier.get('system', '')}|{identifier['value']}"


def _identifier_keys(resource: Node) -> Iterator[str]:
    for identifier in _usable(resource):
        yield _identifier_key(identifier)


def _usable(resource: Node) -> list[Node]:
    """Return the identifiers that are the centre's own, the best first."""
    own = [one for one in values(resource, ("identifier",)) if _is_own(one)]
    return sorted(own, key=_rank)


def _is_own(identifier: Any) -> bool:
    if not isinstance(identifier, Mapping) or not isinstance(identifier.get("value"), str):
        return False
    system = str(identifier.get("system", "")).lower()
    national = any(part in system for part in NATIONAL_SYSTEMS)
    return not national and not NATIONAL_TYPES & {code.upper() for code in _types(identifier)}


def _types(identifier: Node) -> list[str]:
    return [str(code) for code in values(identifier, ("type", "coding", "code"))]


def _rank(identifier: Node) -> tuple[bool, int]:
    ranks = [PREFERRED_TYPES.index(code) for code in _types(identifier) if code in PREFERRED_TYPES]
    return identifier.get("use") in RETIRED, min(ranks, default=len(PREFERRED_TYPES))


def _own_number(resource: Node) -> str | None:
    return next((str(one["value"]) for one in _usable(resource)), None)
