"""Turns a REDCap export with labels back into raw names and codes, by the data dictionary.

An export can have labels as its headers, as its values, or both. Exports keep the dictionary's
order, so two variables with one label are told apart by their place; when only some variables were
exported and a label fits several, the file is refused.
"""

import re
from collections.abc import Iterator, Mapping, Sequence

import pyarrow as pa
import pyarrow.compute as pc

from transforms.errors import SourceError
from transforms.readers.redcap_dictionary import STATUS, Project, Variable, complete, plain
from transforms.readers.relation import BLANKS, PROVENANCE, Part, some


__all__ = ["has_label_headers", "to_raw"]

SYSTEM: Mapping[str, str] = {
    "Event Name": "redcap_event_name",
    "Repeat Instrument": "redcap_repeat_instrument",
    "Repeat Instance": "redcap_repeat_instance",
    "Data Access Group": "redcap_data_access_group",
    "Survey Identifier": "redcap_survey_identifier",
}
COMPLETE = "Complete?"
TIMESTAMP = "Survey Timestamp"
CHECKED: Mapping[str, str] = {"Checked": "1", "Unchecked": "0"}
REPEATED = re.compile(r"(.*) \(\d+\)")
ARM = r" \(Arm (\d+): [^()]*\)$"  # `Dose 1 (Arm 2: Drug B)`
REMEDY = "export it again as 'CSV / Microsoft Excel (raw data)'"


def has_label_headers(columns: Sequence[str], project: Project) -> bool:
    """Tell whether the header holds field labels instead of variable names."""
    if set(columns) & {*SYSTEM, COMPLETE, TIMESTAMP}:
        return True
    known = project.by_column()
    labels = {one.label for one in project.variables} - set(known)
    return bool(known) and not set(columns) & set(known) and bool(set(columns) & labels)


def to_raw(piece: Part, project: Project, events: Mapping[str, str]) -> tuple[Part, list[str]]:
    """Return `piece` with raw names and codes, and notes on what was translated.

    `events` are labels of events → their unique names, as far as they are known. Raises
    SourceError when the export has labels and no dictionary lies beside it, or a label is
    ambiguous.
    """
    notes = []
    if has_label_headers(piece.columns, project):
        if not project.variables:
            raise SourceError(
                f"{piece.file}: this is a REDCap export with labels and no data dictionary lies "
                f"beside it; put the dictionary (CSV) into the same folder, or {REMEDY}"
            )
        names = _raw_names(piece, project)
        table = piece.table.rename_columns([*names, *PROVENANCE])
        piece = Part(piece.file, names, table)
        notes.append(f"{piece.file}: headers are field labels; {project.file} gives their names")
    tables = {name: found for name in piece.columns if (found := _labels(name, project))}
    if _has_label_values(piece, tables):
        piece = _recoded(piece, {**tables, **_system_labels(project, events)})
        notes.append(f"{piece.file}: values are labels; {project.file} gives their codes")
    return piece, notes


def _raw_names(piece: Part, project: Project) -> tuple[str, ...]:
    """Return the raw name of each column."""
    headers = _headers(piece.columns)
    expected = list(_expected(project))
    own = [header for header in headers if header not in SYSTEM and header != TIMESTAMP]
    if own == [label for label, _ in expected]:
        rest = iter([name for _, name in expected])
        names = [_system_name(header) or next(rest) for header in headers]
    else:
        names = [_system_name(header) or _only_name(header, expected) for header in headers]
    unsure = [piece.columns[n] for n, name in enumerate(names) if not name]
    if unsure:
        raise SourceError(
            f"{piece.file}: this is a REDCap export with labels, and {len(unsure)} headers fit "
            f"none or several variables of {project.file}; {REMEDY}"
        )
    return tuple(_timestamps(names, project))


def _headers(columns: Sequence[str]) -> list[str]:
    """Return the labels as the file has them, without the numbers that made them distinct."""
    found: list[str] = []
    for column in columns:
        repeated = REPEATED.fullmatch(column)
        again = repeated is not None and repeated.group(1) in found
        found.append(repeated.group(1) if repeated and again else column)
    return found


def _expected(project: Project) -> Iterator[tuple[str, str]]:
    """Yield label and raw name of every column, in the order of an export."""
    for form in project.forms:
        for one in project.variables:
            if one.form == form:
                yield from _labelled(one)
        yield COMPLETE, complete(form)


def _labelled(one: Variable) -> Iterator[tuple[str, str]]:
    if one.is_checkbox:
        for column, choice in zip(one.columns, one.choices.values(), strict=True):
            yield plain(f"{one.label} (choice={choice})"), column
    else:
        for column in one.columns:
            yield one.label, column


def _system_name(header: str) -> str:
    return TIMESTAMP if header == TIMESTAMP else SYSTEM.get(header, "")


def _only_name(header: str, expected: Sequence[tuple[str, str]]) -> str:
    """Return the name of the only column with that label, or an empty text."""
    found = {name for label, name in expected if label == header}
    return found.pop() if len(found) == 1 else ""


def _timestamps(names: Sequence[str], project: Project) -> Iterator[str]:
    """Name each survey's timestamp after the form whose variables follow it."""
    forms = {column: one.form for column, one in project.by_column().items()}
    for place, name in enumerate(names):
        following = (forms[after] for after in names[place:] if after in forms)
        yield f"{next(following, 'survey')}_timestamp" if name == TIMESTAMP else name


def _labels(column: str, project: Project) -> Mapping[str, str]:
    """Return label → code of a column that holds one of several."""
    if column in {complete(form) for form in project.forms}:
        return STATUS
    one = project.by_column().get(column)
    if one is None or not one.choices:
        return {}
    if one.is_checkbox:
        return CHECKED
    labels = [*one.choices.values()]
    twice = {label for label in labels if labels.count(label) > 1}
    return {label: "" if label in twice else code for code, label in one.choices.items()}


def _system_labels(project: Project, events: Mapping[str, str]) -> dict[str, Mapping[str, str]]:
    """Return label → code of the columns that REDCap itself adds."""
    titles = {form.replace("_", " ").title(): form for form in project.forms}
    return {"redcap_repeat_instrument": titles, "redcap_event_name": events}


def _has_label_values(piece: Part, tables: Mapping[str, Mapping[str, str]]) -> bool:
    """Tell whether a column holds a text that is a label and no code."""
    return any(
        bool(_distinct(piece, name) & (set(labels) - {*labels.values()}))
        for name, labels in tables.items()
    )


def _distinct(piece: Part, column: str) -> set[str]:
    return set(pc.unique(pc.utf8_trim(piece.table[column], characters=BLANKS)).to_pylist())


def _recoded(piece: Part, tables: Mapping[str, Mapping[str, str]]) -> Part:
    """Return `piece` with codes in place of labels; what is no label stays."""
    table, unsure = piece.table, []
    for name, labels in tables.items():
        if name not in piece.columns or not labels:
            continue
        if _distinct(piece, name) & {label for label, code in labels.items() if not code}:
            unsure.append(name)
        cells = pc.utf8_trim(table[name], characters=BLANKS)
        if name == "redcap_event_name":
            cells = pc.replace_substring_regex(cells, ARM, r" (Arm \1)")
        codes = pc.coalesce(_looked_up(cells, labels), table[name])
        table = table.set_column(table.column_names.index(name), name, codes)
    if unsure:
        raise SourceError(
            f"{piece.file}: this is a REDCap export with labels, but in {some(unsure)} one label "
            f"stands for several codes; {REMEDY}"
        )
    return Part(piece.file, piece.columns, table)


def _looked_up(cells: pa.ChunkedArray, labels: Mapping[str, str]) -> pa.ChunkedArray:
    """Return the code of each cell, NULL where it is no label."""
    places = pc.index_in(cells, value_set=pa.array(list(labels), pa.string()))
    return pc.take(pa.array(list(labels.values()), pa.string()), places)
