"""The dictionary as a LinkML schema: a class per table, an enum per code list.

Written by hand and not with LinkML, which would bring ninety packages for one file of text. Every
text is written as JSON writes it, which is YAML as well; so a country `NO` stays a text.
"""

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

from transforms.dictionary.model import Code, CodeList, Dictionary, Field, Range, Table


__all__ = ["linkml_schema", "linkml_yaml"]

# Prefixes of the code systems as LinkML and the OBO registry know them.
PREFIXES: Mapping[str, tuple[str, str]] = {
    "orpha": ("ORPHA", "http://www.orpha.net/ORDO/Orphanet_"),
    "omim": ("OMIM", "https://omim.org/entry/"),
    "mondo": ("MONDO", "http://purl.obolibrary.org/obo/MONDO_"),
    "hgnc": ("HGNC", "https://identifiers.org/hgnc:"),
    "hpo": ("HP", "http://purl.obolibrary.org/obo/HP_"),
    "loinc": ("LOINC", "http://loinc.org/rdf/"),
    "snomed": ("SCTID", "http://snomed.info/id/"),
    "icd10": ("ICD10", "https://icd.who.int/browse10/2019/en#/"),
    "icd11": ("ICD11", "http://id.who.int/icd/entity/"),
    "atc": ("ATC", "http://www.whocc.no/atc_ddd_index/?code="),
    "geno": ("GENO", "http://purl.obolibrary.org/obo/GENO_"),
    "ucum": ("UCUM", "http://unitsofmeasure.org/"),
    "iso": ("ISO3166", "https://www.iso.org/obp/ui/#iso:code:3166:"),
}
BASE = "https://w3id.org/marmor/"
RANGES: Mapping[str, str] = {"number": "float"}
# Words that YAML 1.1 reads as a truth value or as nothing when they stand without quotes.
SPOKEN = {"y", "n", "yes", "no", "on", "off", "true", "false", "null"}


def linkml_yaml(dictionary: Dictionary) -> str:
    """Return the schema as YAML text."""
    return "\n".join(_lines(linkml_schema(dictionary), "")) + "\n"


def linkml_schema(dictionary: Dictionary) -> dict[str, Any]:
    """Return the schema as plain data."""
    prefixes = dict(PREFIXES.values())
    return {
        "id": f"{BASE}dictionary",
        "name": "marmor",
        "title": "Marmor data dictionary for osteopetrosis",
        "version": dictionary.version,
        "license": "https://www.apache.org/licenses/LICENSE-2.0",
        "prefixes": {"linkml": "https://w3id.org/linkml/", "marmor": BASE, **prefixes},
        "default_prefix": "marmor",
        "default_range": "string",
        "imports": ["linkml:types"],
        "classes": {
            "Release": _release(dictionary),
            **{_class(table.name): _table(table) for table in dictionary.tables.values()},
        },
        "enums": {
            _enum(name): _codelist(codelist) for name, codelist in dictionary.codelists.items()
        },
    }


def _release(dictionary: Dictionary) -> dict[str, Any]:
    """Return the class that holds all rows."""
    return {
        "description": "The harmonised tables of one centre",
        "tree_root": True,
        "attributes": {
            name: {"range": _class(name), "multivalued": True, "inlined_as_list": True}
            for name in dictionary.tables
        },
    }


def _table(table: Table) -> dict[str, Any]:
    """Return a table as a class; what corresponds elsewhere is a comment, as it is no CURIE."""
    elsewhere = [f"{standard}: {path}" for standard, path in table.crosswalk.items()]
    return _filled(
        {
            "title": table.title,
            "description": table.description,
            "comments": elsewhere,
            "attributes": {field.name: _field(table, field) for field in table.fields},
        }
    )


def _field(table: Table, field: Field) -> dict[str, Any]:
    """Return a field as a slot of its class."""
    return _filled(
        {
            "description": field.description,
            "range": _range(field),
            "identifier": table.key == (field.name,) or None,
            "required": field.obligation == "mandatory" or None,
            "recommended": field.obligation == "recommended" or None,
            "multivalued": field.type == "codes" or None,
            "unit": {"ucum_code": field.unit} if field.unit else None,
            "minimum_value": _bound(field, field.hard.low) if field.hard else None,
            "maximum_value": _bound(field, field.hard.high) if field.hard else None,
            "pattern": field.pattern if field.type == "string" else None,
            "comments": list(_comments(field)),
        }
    )


def _range(field: Field) -> str:
    """Return the range: a type of LinkML, an enum, or the class whose row is referred to."""
    if field.codelist is not None:
        return _enum(field.codelist)
    if field.references is not None:
        return _class(field.references.partition(".")[0])
    return RANGES.get(field.type, field.type)


def _bound(field: Field, bound: float | None) -> float | int | None:
    """Return a limit as LinkML wants it for the field's type."""
    return int(bound) if bound is not None and field.type == "integer" else bound


def _comments(field: Field) -> Iterator[str]:
    """Yield what LinkML has no slot for."""
    for word, limits in (("must lie", field.hard), ("usually lies", field.soft)):
        if limits is not None:
            yield f"{word} {_said(limits)}: {limits.reason}"
    yield f"leaves the site: {field.leaves}"
    if field.derived is not None:
        yield f"derived: {field.derived}"
    if field.jrc is not None:
        yield f"JRC common data element {field.jrc}"
    for standard, path in field.crosswalk.items():
        yield f"{standard}: {path}"


def _said(limits: Range) -> str:
    """Return limits as text."""
    low, high = ("any" if bound is None else f"{bound:g}" for bound in (limits.low, limits.high))
    return f"from {low} to {high}"


def _codelist(codelist: CodeList) -> dict[str, Any]:
    """Return a code list as an enum."""
    return {
        "description": codelist.description,
        "permissible_values": {code.code: _code(code) for code in codelist.codes.values()},
    }


def _code(code: Code) -> dict[str, Any]:
    """Return one code: its first coding is its meaning, the others are mappings."""
    curies = [_curie(system, value) for system, value in code.codings.items()]
    if re.fullmatch("[A-Z]+:[0-9]+", code.code):
        curies.insert(0, code.code)
    curies = list(dict.fromkeys(curies))
    unchecked = f"not re-checked: {', '.join(code.unchecked)}" if code.unchecked else None
    return _filled(
        {
            "title": code.label,
            "meaning": curies[0] if curies else None,
            "exact_mappings": curies[1:],
            "comments": [unchecked] if unchecked else None,
        }
    )


def _curie(system: str, value: str) -> str:
    """Return a code as prefix and number, whichever of the two it is written as."""
    prefix = PREFIXES[system][0]
    return f"{prefix}:{value.rpartition(':')[2].replace(' ', '%20')}"


def _class(table: str) -> str:
    """Return a class name.

    >>> _class("lab_measurement")
    'LabMeasurement'
    """
    return "".join(word.capitalize() for word in table.split("_"))


def _enum(codelist: str) -> str:
    """Return an enum name."""
    return f"{_class(codelist)}Enum"


def _filled(data: dict[str, Any]) -> dict[str, Any]:
    """Leave out what is not said."""
    return {key: value for key, value in data.items() if value not in (None, [], {})}


def _lines(data: Any, indent: str) -> Iterator[str]:
    """Yield plain data as lines of YAML."""
    for key, value in data.items():
        if isinstance(value, dict) and value:
            yield f"{indent}{_key(key)}:"
            yield from _lines(value, indent + "  ")
        elif isinstance(value, list):
            yield f"{indent}{_key(key)}:"
            yield from (f"{indent}  - {_scalar(item)}" for item in value)
        else:
            yield f"{indent}{_key(key)}: {_scalar(value)}"


def _key(key: str) -> str:
    """Return a key, in quotes unless it is a plain word."""
    plain = re.fullmatch("[A-Za-z_][A-Za-z0-9_]*", key) and key.lower() not in SPOKEN
    return key if plain else json.dumps(key, ensure_ascii=False)


def _scalar(value: Any) -> str:
    """Return a text, number or truth value."""
    return json.dumps(value, ensure_ascii=False)
