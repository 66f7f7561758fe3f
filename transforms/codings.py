"""Which code of a code list a code of a public system stands for: ORPHA:53 is ADO2.

The dictionary holds each code's equivalents, so a mapping need not repeat them: a recode with
`system=orpha,omim,mondo` looks a text up here, and after that in the sheet `values`, which wins.

A text is a code behind the name of its system (`ORPHA:53`, `Orphanet_53`, `snomedct_248152002`).
Where the argument names one system alone the name may lack (`53`). A code that stands for several
codes of the list (ORPHA:667 is the sum of five genes) stands for none of them.

For a text field, `system=omim` takes the code of that system alone, without its name.
"""

import re
from collections.abc import Iterator
from collections.abc import Mapping as MappingType

from transforms.dictionary import DICTIONARY, Dictionary, Field


__all__ = ["SPELLINGS", "coded_words", "known_systems", "local_sql", "systems_of"]

# What stands before a code, lower case; the dictionary's own key of the system is the first.
SPELLINGS: MappingType[str, tuple[str, ...]] = {
    "orpha": ("orpha", "orphanet", "ordo"),
    "omim": ("omim", "mim"),
    "mondo": ("mondo",),
    "hgnc": ("hgnc",),
    "hpo": ("hpo", "hp"),
    "loinc": ("loinc", "ln"),
    "snomed": ("snomed", "snomedct", "sct"),
    "icd10": ("icd10", "icd10cm", "icd10who"),
    "icd11": ("icd11",),
    "atc": ("atc",),
    "geno": ("geno",),
    "ucum": ("ucum",),
    "iso": ("iso",),
}
SEPARATORS = (":", "_")
HPO_TERM = re.compile(r"HP:[0-9]{7}")


def systems_of(argument: str) -> tuple[str, ...]:
    """Return the systems that `system=` names, separated by commas."""
    return tuple(part.strip().lower() for part in argument.split(",") if part.strip())


def known_systems(field: Field, dictionary: Dictionary = DICTIONARY) -> tuple[str, ...]:
    """Return the systems in which at least one code of the field's code list has an equivalent."""
    return tuple(system for system in SPELLINGS if any(_pairs(field, system, dictionary)))


def coded_words(
    field: Field, systems: tuple[str, ...], dictionary: Dictionary = DICTIONARY
) -> dict[str, str]:
    """Return text (in the form of `mapping.normal_value`) → code of the field's code list.

    A code of the list itself, and its other names in use, are understood besides.
    """
    if not systems:
        return {}
    codes = dictionary.codelists[field.codelist or ""].codes.values()
    found: dict[str, set[str]] = {code.code.lower(): {code.code} for code in codes}
    for code in codes:
        for alias in code.attributes.get("aliases", "").split(";"):
            if alias.strip():
                found.setdefault(alias.strip().lower(), set()).add(code.code)
    for system in systems:
        for local, meant in _pairs(field, system, dictionary):
            for text in _spelled(system, local, bare=len(systems) == 1):
                found.setdefault(text, set()).add(meant)
    return {text: min(meanings) for text, meanings in found.items() if len(meanings) == 1}


def _spelled(system: str, local: str, *, bare: bool) -> Iterator[str]:
    """Yield how a code of a system may be written."""
    yield from (f"{name}{sign}{local}" for name in SPELLINGS[system] for sign in SEPARATORS)
    if bare:
        yield local


def _pairs(field: Field, system: str, dictionary: Dictionary) -> Iterator[tuple[str, str]]:
    """Yield (local part of the system's code, lower case; code of the list)."""
    codelist = dictionary.codelists[field.codelist or ""]
    for code in codelist.codes.values():
        given = code.codings.get(system, "")
        if not given and system == "hpo" and HPO_TERM.fullmatch(code.code):
            given = code.code
        if not given and system == "loinc" and codelist.name == "analyte":
            given = " ".join(dictionary.analytes[code.code].loinc)
        yield from ((_local(system, one), code.code) for one in re.split(r"[\s,;]+", given) if one)


def _local(system: str, code: str) -> str:
    """Return a code without the name of its system, lower case: GENO:0000135 is 0000135."""
    text = code.lower()
    for name in SPELLINGS[system]:
        for sign in SEPARATORS:
            text = text.removeprefix(name + sign)
    return text


def local_sql(text: str, systems: tuple[str, ...]) -> str:
    """Return the bare code of the text expression; NULL for a code of another system.

    `OMIM:166600` is 166600 of omim and nothing of mondo; a text without a name stays as it is.
    """
    names = "|".join(name for system in systems for name in SPELLINGS[system])
    own = f"regexp_matches({text}, '^({names})[:_]', 'i')"
    bare = f"regexp_replace({text}, '^[A-Za-z0-9]+[:_]', '')"
    other = f"regexp_matches({text}, '^[A-Za-z]+[A-Za-z0-9]*[:_]')"
    return f"case when {own} or not {other} then {bare} end"
