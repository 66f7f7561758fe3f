"""Read the dictionary's TOML files into the model; every problem of every file at once."""

import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, get_args

from transforms.dictionary.model import (
    PROVENANCE,
    Analyte,
    Code,
    CodeList,
    Dictionary,
    Field,
    FieldType,
    Leaves,
    Obligation,
    Range,
    Table,
    View,
)
from transforms.errors import DictionaryError, raise_all


__all__ = ["CODE_SYSTEMS", "STANDARDS", "parse_dictionary"]

# What a crosswalk can lead to, and which code systems a code may be equated with.
STANDARDS = ("redcap", "phenopackets", "fhir", "omop")
CODE_SYSTEMS = (
    "orpha", "omim", "mondo", "hgnc", "hpo", "loinc", "snomed", "icd10", "icd11", "atc", "geno",
    "ucum", "iso",
)  # fmt: skip
FIELD_KEYS = {
    "description", "type", "obligation", "leaves", "unit", "codelist", "references",
    "hard", "soft", "pattern", "derived", "jrc", "crosswalk",
}  # fmt: skip
TABLE_KEYS = {"title", "description", "key", "discriminator", "crosswalk", "fields"}
VIEW_KEYS = {"title", "description", "unit", "sql", "fields", "outcomes"}
OUTCOME_KEYS = {"time", "event", "entry"}
CODELIST_KEYS = {"description", "systems", "attributes", "codes"}
CODE_KEYS = {"label", "codings", "unchecked"}
ANALYTE_KEYS = {"label", "unit", "loinc", "unchecked", "hard", "soft", "factors"}
RANGE_KEYS = {"low", "high", "reason"}
CHOICES = {
    "type": get_args(FieldType),
    "obligation": get_args(Obligation),
    "leaves": get_args(Leaves),
}


class _Problems(list[str]):
    """Collects what is wrong, each with its place."""

    def check_keys(
        self, place: str, data: Mapping[str, Any], known: set[str], needed: tuple[str, ...] = ()
    ) -> None:
        """Note each key of `data` that is not in `known`, and each of `needed` that is missing."""
        self += [f"{place}: unknown key {key}" for key in data if key not in known]
        self += [f"{place}: {key} is missing" for key in needed if key not in data]


def parse_dictionary(folder: Path) -> Dictionary:
    """Read `folder/{version.toml,tables,codelists,views}`.

    A file's name is the table's, code list's or view's name. Raises DictionaryError listing every
    unknown or missing key, unknown code list or code system, missing key field and reference to a
    field that is not there.
    """
    problems = _Problems()
    files = dict(_files(folder, problems))
    raise_all(DictionaryError, problems)
    version = tomllib.loads((folder / "version.toml").read_text(encoding="utf-8"))["version"]
    member_sql = (folder / "views" / "member.sql").read_text(encoding="utf-8")
    codelists, tables, views = {}, {}, {}
    for (kind, name), data in files.items():
        if kind == "codelists":
            codelists[name] = _codelist(name, data, problems)
        elif kind == "tables":
            tables[name] = _table(name, data, problems)
        else:
            views[name] = _view(name, data, member_sql, problems)
    analytes = {
        code: _analyte(code, data, problems)
        for code, data in files["codelists", "analyte"]["codes"].items()
    }
    dictionary = Dictionary(version, tables, codelists, analytes, views)
    problems += _dangling(dictionary)
    raise_all(DictionaryError, problems)
    return dictionary


def _files(folder: Path, problems: _Problems) -> Iterator[tuple[tuple[str, str], dict[str, Any]]]:
    """Yield ((kind, name), content) of each TOML file, in a fixed order."""
    for kind in ("codelists", "tables", "views"):
        for path in sorted((folder / kind).glob("*.toml")):
            try:
                yield (kind, path.stem), tomllib.loads(path.read_text(encoding="utf-8"))
            except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
                problems.append(f"{kind}/{path.name}: not a TOML file ({error})")


def _codelist(name: str, data: Mapping[str, Any], problems: _Problems) -> CodeList:
    """Build a code list; an entry is a label, or a table with label, codings and attributes.

    The file says in `attributes` which further keys its entries may have.
    """
    place = f"codelists/{name}.toml"
    problems.check_keys(place, data, CODELIST_KEYS, ("description", "codes"))
    further = set(data.get("attributes", ()))
    if name == "analyte":
        further |= ANALYTE_KEYS
    codes = {}
    for code, entry in data.get("codes", {}).items():
        parts = {"label": entry} if isinstance(entry, str) else entry
        codes[code] = _code(f"{place} {code}", code, parts, further, problems)
    return CodeList(name, data.get("description", ""), codes, data.get("systems", {}))


def _code(
    place: str, code: str, data: Mapping[str, Any], further: set[str], problems: _Problems
) -> Code:
    """Build one code; whatever was not checked gives it the attribute `checked = "no"`."""
    problems.check_keys(place, data, CODE_KEYS | further, ("label",))
    codings, unchecked = data.get("codings", {}), tuple(data.get("unchecked", ()))
    problems.check_keys(f"{place} codings", codings, set(CODE_SYSTEMS))
    attributes = {
        key: str(data[key]) for key in data if key not in CODE_KEYS | (ANALYTE_KEYS - {"unit"})
    }
    if "loinc" not in data:
        for key in unchecked:
            if key not in codings and key not in data:
                problems.append(f"{place}: unchecked names {key}, which the code does not have")
    if unchecked:
        attributes["checked"] = "no"
    return Code(code, data.get("label", ""), codings, attributes, unchecked)


def _analyte(code: str, data: Mapping[str, Any], problems: _Problems) -> Analyte:
    """Build an analyte; the canonical unit's own factor is 1."""
    place = f"codelists/analyte.toml {code}"
    problems.check_keys(place, data, set(data), ("unit", "hard"))
    loinc, unchecked = data.get("loinc", {}), tuple(data.get("unchecked", ()))
    for key in unchecked:
        if key not in loinc and key != "loinc":
            problems.append(f"{place}: unchecked names {key}, which is not in loinc")
    unit = data.get("unit", "")
    return Analyte(
        code=code,
        label=data.get("label", ""),
        unit=unit,
        loinc=loinc,
        hard=_range(f"{place} hard", data.get("hard", {}), problems),
        soft=_range(f"{place} soft", data["soft"], problems) if "soft" in data else None,
        factors={unit: 1.0, **data.get("factors", {})},
        unchecked=unchecked,
    )


def _range(place: str, data: Mapping[str, Any], problems: _Problems) -> Range:
    """Build limits from `{low, high, reason}`, either bound optional."""
    problems.check_keys(place, data, RANGE_KEYS, ("reason",))
    low, high = data.get("low"), data.get("high")
    if low is None and high is None:
        problems.append(f"{place}: a limit needs low, high or both")
    if low is not None and high is not None and low >= high:
        problems.append(f"{place}: low must be below high")
    return Range(low, high, data.get("reason", ""))


def _table(name: str, data: Mapping[str, Any], problems: _Problems) -> Table:
    """Build a table; provenance fields are added here, never written in a file."""
    place = f"tables/{name}.toml"
    problems.check_keys(place, data, TABLE_KEYS, ("title", "description", "key", "fields"))
    crosswalk = data.get("crosswalk", {})
    problems.check_keys(f"{place} crosswalk", crosswalk, set(STANDARDS))
    return Table(
        name=name,
        title=data.get("title", ""),
        description=data.get("description", ""),
        key=tuple(data.get("key", ())),
        discriminator=data.get("discriminator"),
        crosswalk=crosswalk,
        fields=(*_fields(place, data.get("fields", {}), problems), *PROVENANCE),
    )


def _view(name: str, data: Mapping[str, Any], member_sql: str, problems: _Problems) -> View:
    """Build an analysis view; its SQL selects from the relation `member`."""
    place = f"views/{name}.toml"
    needed = ("title", "description", "unit", "sql", "fields")
    problems.check_keys(place, data, VIEW_KEYS, needed)
    fields = _fields(place, data.get("fields", {}), problems)
    outcomes = data.get("outcomes", {})
    for outcome, columns in outcomes.items():
        problems.check_keys(f"{place} {outcome}", columns, OUTCOME_KEYS, ("time", "event"))
        unknown = set(columns.values()) - {field.name for field in fields}
        problems += [f"{place} {outcome}: no field called {name}" for name in sorted(unknown)]
    problems += [
        f"{place} {field.name}: a set of codes is no level that an analysis could count"
        for field in fields
        if field.type == "codes"
    ]
    sql = f"with member as (\n{member_sql}), rows as (\n{data.get('sql', '')})\nselect * from rows"
    title, description, unit = (data.get(key, "") for key in ("title", "description", "unit"))
    return View(name, title, description, unit, fields, outcomes, sql)


def _fields(place: str, data: Mapping[str, Any], problems: _Problems) -> tuple[Field, ...]:
    """Build the fields of one file, noting what each has wrong."""
    return tuple(_field(f"{place} {name}", name, entry, problems) for name, entry in data.items())


def _field(place: str, name: str, data: Mapping[str, Any], problems: _Problems) -> Field:
    """Build one field."""
    problems.check_keys(place, data, FIELD_KEYS, ("description", "type"))
    for key, choices in CHOICES.items():
        if key in data and data[key] not in choices:
            problems.append(f"{place}: {key} must be one of {', '.join(choices)}")
    problems.check_keys(f"{place} crosswalk", data.get("crosswalk", {}), set(STANDARDS))
    limits: dict[str, Any] = {
        key: _range(f"{place} {key}", data[key], problems)
        for key in ("hard", "soft")
        if key in data
    }
    if limits and data.get("type") not in ("integer", "number"):
        problems.append(f"{place}: only an integer or a number has limits")
    known = FIELD_KEYS - {"hard", "soft"}
    rest = {"description": "", "type": "string"} | {key: data[key] for key in data if key in known}
    return Field(name=name, **rest, **limits)


def _dangling(dictionary: Dictionary) -> Iterator[str]:
    """Yield each name that is used and not defined."""
    places: list[tuple[str, Table | View]] = [
        *((f"tables/{name}.toml", table) for name, table in dictionary.tables.items()),
        *((f"views/{name}.toml", view) for name, view in dictionary.views.items()),
    ]
    for place, part in places:
        for field in part.fields:
            if (field.type in ("code", "codes")) != (field.codelist is not None):
                yield f"{place} {field.name}: code and codes name a codelist, nothing else does"
            if field.codelist is not None and field.codelist not in dictionary.codelists:
                yield f"{place} {field.name}: no code list called {field.codelist}"
            if field.references is not None and not _has(dictionary, field.references):
                yield f"{place} {field.name}: no field called {field.references}"
    for place, table in dictionary.tables.items():
        named = (*table.key, *((table.discriminator,) if table.discriminator else ()))
        for name in named:
            if name not in table.field_names:
                yield f"tables/{place}.toml: key or discriminator {name} is not a field"


def _has(dictionary: Dictionary, reference: str) -> bool:
    """Return whether `table.field` exists."""
    table, _, field = reference.partition(".")
    return table in dictionary.tables and field in dictionary.tables[table].field_names
