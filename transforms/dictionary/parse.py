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


__all__ = ["parse_dictionary"]

FIELD_KEYS = {
    "description", "type", "obligation", "leaves", "unit", "codelist", "references",
    "hard", "soft", "pattern", "derived", "jrc",
}  # fmt: skip
TABLE_KEYS = {"title", "description", "key", "discriminator", "fields"}
VIEW_KEYS = {"title", "description", "sql", "fields"}
CHOICES = {
    "type": get_args(FieldType),
    "obligation": get_args(Obligation),
    "leaves": get_args(Leaves),
}


class _Problems(list[str]):
    """Collects what is wrong, each with its place."""

    def unknown_keys(self, place: str, data: Mapping[str, Any], known: set[str]) -> None:
        """Note each key of `data` that is not in `known`."""
        self += [f"{place}: unknown key {key}" for key in data if key not in known]


def parse_dictionary(folder: Path) -> Dictionary:
    """Read `folder/{version.toml,tables,codelists,views}`.

    A file's name is the table's, code list's or view's name. Raises DictionaryError listing every
    unknown key, unknown code list, missing key field or reference to a field that is not there.
    """
    problems = _Problems()
    files = dict(_files(folder))
    version = tomllib.loads((folder / "version.toml").read_text(encoding="utf-8"))["version"]
    codelists = {
        name: _codelist(name, data) for (kind, name), data in files.items() if kind == "codelists"
    }
    analytes = {
        code: _analyte(code, data) for code, data in files["codelists", "analyte"]["codes"].items()
    }
    tables = {
        name: _table(name, data, problems)
        for (kind, name), data in files.items()
        if kind == "tables"
    }
    member_sql = (folder / "views" / "member.sql").read_text(encoding="utf-8")
    views = {
        name: _view(name, data, member_sql, problems)
        for (kind, name), data in files.items()
        if kind == "views"
    }
    dictionary = Dictionary(version, tables, codelists, analytes, views)
    problems += _dangling(dictionary)
    raise_all(DictionaryError, problems)
    return dictionary


def _files(folder: Path) -> Iterator[tuple[tuple[str, str], dict[str, Any]]]:
    """Yield ((kind, name), content) of each TOML file, in a fixed order."""
    for kind in ("codelists", "tables", "views"):
        for path in sorted((folder / kind).glob("*.toml")):
            try:
                yield (kind, path.stem), tomllib.loads(path.read_text(encoding="utf-8"))
            except tomllib.TOMLDecodeError as error:
                raise DictionaryError(f"{kind}/{path.name}: not a TOML file ({error})") from None


def _codelist(name: str, data: Mapping[str, Any]) -> CodeList:
    """Build a code list; an entry is a label, or a table with label, codings and attributes."""
    codes = {}
    for code, entry in data["codes"].items():
        parts: dict[str, Any] = {"label": entry} if isinstance(entry, str) else entry
        attributes = {
            key: str(value)
            for key, value in parts.items()
            if key not in ("label", "codings", "factors", "hard", "soft", "loinc")
        }
        codes[code] = Code(code, parts["label"], parts.get("codings", {}), attributes)
    return CodeList(name, data["description"], codes)


def _analyte(code: str, data: Mapping[str, Any]) -> Analyte:
    """Build an analyte; the canonical unit's own factor is 1."""
    return Analyte(
        code=code,
        label=data["label"],
        unit=data["unit"],
        loinc=tuple(data.get("loinc", ())),
        hard=_range(data["hard"]),
        soft=_range(data["soft"]) if "soft" in data else None,
        factors={data["unit"]: 1.0, **data.get("factors", {})},
    )


def _range(data: Mapping[str, Any]) -> Range:
    """Build limits from `{low, high, reason}`, either bound optional."""
    return Range(data.get("low"), data.get("high"), data["reason"])


def _table(name: str, data: Mapping[str, Any], problems: _Problems) -> Table:
    """Build a table; provenance fields are added here, never written in a file."""
    problems.unknown_keys(f"tables/{name}.toml", data, TABLE_KEYS)
    return Table(
        name=name,
        title=data["title"],
        description=data["description"],
        key=tuple(data["key"]),
        discriminator=data.get("discriminator"),
        fields=(*_fields(f"tables/{name}.toml", data["fields"], problems), *PROVENANCE),
    )


def _view(name: str, data: Mapping[str, Any], member_sql: str, problems: _Problems) -> View:
    """Build an analysis view; its SQL selects from the relation `member`."""
    problems.unknown_keys(f"views/{name}.toml", data, VIEW_KEYS)
    fields = _fields(f"views/{name}.toml", data["fields"], problems)
    sql = f"with member as (\n{member_sql}), rows as (\n{data['sql']})\nselect * from rows"
    return View(name, data["title"], data["description"], fields, sql)


def _fields(place: str, data: Mapping[str, Any], problems: _Problems) -> tuple[Field, ...]:
    """Build the fields of one file, noting what each has wrong."""
    return tuple(_field(f"{place} {name}", name, entry, problems) for name, entry in data.items())


def _field(place: str, name: str, data: Mapping[str, Any], problems: _Problems) -> Field:
    """Build one field."""
    problems.unknown_keys(place, data, FIELD_KEYS)
    for key, choices in CHOICES.items():
        if key in data and data[key] not in choices:
            problems.append(f"{place}: {key} must be one of {', '.join(choices)}")
    limits = {key: _range(data[key]) for key in ("hard", "soft") if key in data}
    rest = {key: value for key, value in data.items() if key in FIELD_KEYS - {"hard", "soft"}}
    return Field(name=name, **{**rest, **limits})


def _dangling(dictionary: Dictionary) -> Iterator[str]:
    """Yield each name that is used and not defined."""
    places: list[tuple[str, Table | View]] = [
        *((f"tables/{name}.toml", table) for name, table in dictionary.tables.items()),
        *((f"views/{name}.toml", view) for name, view in dictionary.views.items()),
    ]
    for place, part in places:
        for field in part.fields:
            if (field.type == "code") != (field.codelist is not None):
                yield f"{place} {field.name}: a code names its codelist, nothing else does"
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
