"""`marmor dictionary`: what the harmonised data mean, in every form that somebody needs."""

import dataclasses
import difflib
import json
from collections.abc import Callable, Mapping
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from infra.output import AsJson, emit, table
from transforms.dictionary import DICTIONARY, CodeList, Dictionary, Field, Table, View
from transforms.dictionary.diff import Change, changes
from transforms.dictionary.snapshot import (
    Snapshot,
    history,
    kept,
    parse_snapshot,
    snapshot,
    version_order,
)
from transforms.dictionary.words import elsewhere, kind, limits, same_as, same_loinc
from transforms.errors import DictionaryError, SetupError


__all__ = ["app"]

app = typer.Typer(help="Read the data dictionary.", no_args_is_help=True)


@app.callback()
def group() -> None:
    """Read the data dictionary: tables, fields, units, codes and limits."""


@app.command()
def show(
    name: Annotated[
        str | None,
        typer.Argument(
            help="A table, view, code list or field (fracture.bone_site); nothing for an overview."
        ),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Show the dictionary, one of its tables, views or code lists, or all about one field."""
    view = (name or "").removeprefix("view:")
    part, _, field = (name or "").partition(".")
    if name is None:
        _overview(as_json)
    elif name in DICTIONARY.tables:
        _fields(DICTIONARY.tables[name], as_json)
    elif view in DICTIONARY.views:
        _fields(DICTIONARY.views[view], as_json)
    elif name in DICTIONARY.codelists:
        _codes(DICTIONARY.codelists[name], as_json)
    elif part in DICTIONARY.tables and field in DICTIONARY.tables[part].field_names:
        _field(DICTIONARY.tables[part].field(field), as_json)
    else:
        raise DictionaryError(_unknown(name))


def _unknown(name: str) -> str:
    """Say which names are nearest to an unknown one."""
    known = [*DICTIONARY.tables, *(f"view:{view}" for view in DICTIONARY.views)]
    fields = [f"{one.name}.{field}" for one in DICTIONARY.tables.values()
              for field in one.field_names]  # fmt: skip
    near = difflib.get_close_matches(name, [*known, *DICTIONARY.codelists, *fields], n=3)
    hint = f"did you mean {' or '.join(near)}?" if near else f"tables are {', '.join(known)}"
    return f"dictionary: nothing is called {name}; {hint}"


def _overview(as_json: bool) -> None:
    """Print tables and views with what a row is, then the code lists."""
    parts: list[tuple[str, Table | View]] = [
        *DICTIONARY.tables.items(),
        *((f"view:{name}", view) for name, view in DICTIONARY.views.items()),
    ]
    data = {
        "version": DICTIONARY.version,
        "tables": {name: part.description for name, part in parts},
        "codelists": {name: part.description for name, part in DICTIONARY.codelists.items()},
    }
    rows = [
        *((name, len(part.fields), part.description) for name, part in parts),
        *((name, len(part.codes), part.description) for name, part in DICTIONARY.codelists.items()),
    ]
    title = f"Data dictionary {DICTIONARY.version}"
    emit(
        data, as_json=as_json, text=table(title, ("name", "fields or codes", "what it holds"), rows)
    )


def _fields(part: Table | View, as_json: bool) -> None:
    """Print the fields of a table or view."""
    columns: tuple[str, ...] = ("field", "type", "meaning")
    rows: list[tuple[str, ...]] = [
        (field.name, f"{kind(field)} {field.unit or ''}".strip(), _meaning(field))
        for field in part.fields
    ]
    title = f"{part.title}: {part.description}"
    if isinstance(part, Table):
        columns = (*columns, "obligation")
        pairs = zip(rows, part.fields, strict=True)
        rows = [(*row, field.obligation) for row, field in pairs]
        title += f" All about one field: `marmor dictionary show {part.name}.FIELD`."
    emit(_plain(part), as_json=as_json, text=table(title, columns, rows))


def _meaning(field: Field) -> str:
    """Return what a field means, with its limits."""
    said = limits(field)
    return f"{field.description}; {said}" if said else field.description


def _field(field: Field, as_json: bool) -> None:
    """Print all about one field."""
    rows = {
        "meaning": field.description,
        "type": kind(field),
        "unit": field.unit,
        "obligation": field.obligation,
        "leaves the site": field.leaves,
        "limits": limits(field),
        "written like": field.pattern,
        "derived": field.derived,
        "refers to": field.references,
        "JRC element": field.jrc,
        "elsewhere": elsewhere(field),
    }
    cells = [(name, value) for name, value in rows.items() if value]
    emit(_plain(field), as_json=as_json, text=table(field.name, ("", ""), cells))


def _codes(codelist: CodeList, as_json: bool) -> None:
    """Print the codes of a code list; analytes with their units and limits."""
    columns: tuple[str, ...] = ("code", "label", "same as")
    rows: list[tuple[str, ...]] = [
        (code.code, code.label, same_as(code)) for code in codelist.codes.values()
    ]
    if codelist.name == "analyte":
        columns = ("code", "label", "LOINC", "unit", "other units", "limits")
        rows = [
            (
                one.code, one.label, same_loinc(one), one.unit,
                ", ".join(unit for unit in one.factors if unit != one.unit), limits(one),
            )
            for one in DICTIONARY.analytes.values()
        ]  # fmt: skip
    text = table(codelist.description, columns, rows)
    emit(_plain(codelist), as_json=as_json, text=text)


def _plain(part: Table | View | Field | CodeList) -> dict[str, object]:
    """Return a part of the dictionary as plain data."""
    return dataclasses.asdict(part)


class Target(StrEnum):
    """What the dictionary can be written as."""

    XLSX = "xlsx"
    REDCAP = "redcap"
    LINKML = "linkml"
    JSONSCHEMA = "jsonschema"
    MARKDOWN = "markdown"
    SNAPSHOT = "snapshot"


FILES: Mapping[Target, str] = {
    Target.XLSX: "marmor-form.xlsx",
    Target.REDCAP: "marmor-redcap.csv",
    Target.LINKML: "marmor-linkml.yaml",
    Target.JSONSCHEMA: "marmor-schema.json",
    Target.MARKDOWN: "marmor-dictionary.md",
    Target.SNAPSHOT: "marmor-dictionary.json",
}
REDCAP_MAPPING = "redcap-mapping"


@app.command()
def export(
    to: Annotated[Target, typer.Option(help="What to write.")],
    output: Annotated[
        Path | None, typer.Option(help="The file to write; a name of its own here if none.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Write the dictionary as a form (xlsx), a REDCap data dictionary, a schema or a page.

    `redcap` also writes the mapping that reads such a project's exports, in `redcap-mapping/`
    beside the file. An existing file is never overwritten: it may be a form that was filled in.
    """
    path = output or Path(FILES[to])
    written = [path]
    if to is Target.REDCAP:
        written.append(path.parent / REDCAP_MAPPING)
    for one in written:
        if one.exists():
            raise SetupError(f"{one}: is there already; give another --output, or remove it")
    path.parent.mkdir(parents=True, exist_ok=True)
    if to is Target.XLSX:
        from transforms.dictionary.export.xlsx import workbook

        workbook(DICTIONARY).save(path)
    else:
        path.write_text(_texts()[to](DICTIONARY), encoding="utf-8")
    if to is Target.REDCAP:
        from transforms.redcap_project import write_redcap_mapping

        write_redcap_mapping(written[1])
    text = f"Wrote {' and '.join(str(one) for one in written)} (dictionary {DICTIONARY.version})."
    data = {"files": written, "version": DICTIONARY.version}
    emit(data, as_json=as_json, text=text)


def _texts() -> Mapping[Target, Callable[[Dictionary], str]]:
    """Return what makes the text of each target but the workbook."""
    from transforms.dictionary.export.json_schema import json_schema
    from transforms.dictionary.export.linkml import linkml_yaml
    from transforms.dictionary.export.redcap import data_dictionary
    from transforms.dictionary.markdown import dictionary_page

    return {
        Target.REDCAP: data_dictionary,
        Target.LINKML: linkml_yaml,
        Target.JSONSCHEMA: lambda dictionary: _json(json_schema(dictionary)),
        Target.MARKDOWN: dictionary_page,
        Target.SNAPSHOT: lambda dictionary: _json(snapshot(dictionary)),
    }


def _json(data: object) -> str:
    """Return plain data as JSON that a person can read and a difference can show."""
    return json.dumps(data, indent=1, ensure_ascii=False) + "\n"


@app.command()
def diff(
    old: Annotated[
        str | None,
        typer.Argument(
            help="A version, a release's folder or MANIFEST.json, or a snapshot; the last version "
            "before this one if none (with --site: that of the site's release)."
        ),
    ] = None,
    new: Annotated[str | None, typer.Argument(help="The same; this version if none.")] = None,
    name: Annotated[
        str | None,
        typer.Option("--site", metavar="SITE", help="Name the rows of this site's mapping."),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Say what changed between two versions, and what a centre must do about it."""
    before = _version(old) if old else _default_old(name)
    after = _version(new) if new else snapshot(DICTIONARY)
    found = changes(before, after)
    places = _places(name, found)
    data = {
        "old": before["version"],
        "new": after["version"],
        "changes": [
            {**dataclasses.asdict(change), "rows": places.get(change, ())} for change in found
        ],
    }
    rows = [
        (change.duty, change.what, change.todo, *_rows(change, places, name)) for change in found
    ]
    columns = ("duty", "what changed", "what a centre must do", *(("your rows",) if name else ()))
    musts = sum(change.duty == "must" for change in found)
    title = (
        f"From dictionary {before['version']} to {after['version']}: {len(found)} changes, "
        f"{musts} that a centre must act on"
    )
    text: object = table(title, columns, rows) if found else f"{title}. The two are the same."
    emit(data, as_json=as_json, text=text)


def _version(name: str) -> Snapshot:
    """Return the dictionary that `name` stands for: a version, a release, a manifest, a file."""
    if name == DICTIONARY.version:
        return snapshot(DICTIONARY)
    if name in history():
        return kept(name)
    path = Path(name)
    manifest = path / "MANIFEST.json" if path.is_dir() else path
    if not manifest.is_file():
        known = ", ".join(dict.fromkeys((*history(), DICTIONARY.version)))
        raise DictionaryError(
            f"{name}: neither a version ({known}), nor a release's folder, nor a snapshot"
        )
    try:
        data = json.loads(manifest.read_text(encoding="utf-8"))
    except ValueError:
        data = None
    if isinstance(data, dict) and "dictionary_version" in data:
        return _version(data["dictionary_version"])
    return parse_snapshot(manifest)


def _default_old(name: str | None) -> Snapshot:
    """Return the dictionary of the site's release, or the last version before this one."""
    if name is not None:
        from infra.commands.site import find_site
        from transforms.site import current_release

        site = find_site(name)
        release = current_release(site)
        if release is not None:
            return _version(str(site.releases / release))
    order = version_order(DICTIONARY.version)
    earlier = [version for version in history() if version_order(version) < order]
    return kept(earlier[-1]) if earlier else snapshot(DICTIONARY)


def _places(name: str | None, found: tuple[Change, ...]) -> dict[Change, tuple[str, ...]]:
    """Return the rows of a site's mapping that each change touches."""
    if name is None:
        return {}
    from infra.commands.site import find_site
    from transforms.mapping import parse_mapping
    from transforms.touched import touched

    folder = find_site(name).mapping
    if not any(folder.glob("*.*")):  # a centre that has only forms
        return dict.fromkeys(found, ())
    mapping = parse_mapping(folder)
    return {change: touched(change, mapping) for change in found}


def _rows(
    change: Change, places: Mapping[Change, tuple[str, ...]], name: str | None
) -> tuple[str, ...]:
    """Return the cell with the rows of the mapping, when a site was named."""
    if name is None:
        return ()
    rows = places[change]
    count = "" if len(rows) < 2 else f"{len(rows)} rows: "
    return (f"{count}{'; '.join(rows)}" or "–",)
