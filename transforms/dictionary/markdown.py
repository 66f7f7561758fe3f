"""Reference pages of the dictionary, generated: tables, views, code lists, analytes."""

from collections.abc import Iterator, Sequence

from transforms.dictionary.model import Dictionary, Field, Table, View
from transforms.dictionary.words import elsewhere, limits, same_as, same_loinc


__all__ = ["dictionary_page"]

NOTE = "<!-- Generated from transforms/dictionary by `make docs`; do not edit. -->"


def dictionary_page(dictionary: Dictionary) -> str:
    """Return the whole dictionary as one Markdown page."""
    return "\n".join(_lines(dictionary)) + "\n"


def _lines(dictionary: Dictionary) -> Iterator[str]:
    """Yield the page's lines."""
    yield NOTE
    yield f"# Data dictionary {dictionary.version}"
    yield "\nEvery table also carries `source_system`, `source_file`, `source_sheet`, `source_row`;"
    yield "they never leave the site. Limits are hard (the row is rejected) or soft (flagged)."
    yield "\n## Harmonised tables"
    for table in dictionary.tables.values():
        yield from _part(table)
    yield "\n## Analysis views"
    yield "\nAll that a federated request can reach: no identifier, no calendar date, no free text."
    for view in dictionary.views.values():
        yield from _part(view)
    yield from _analytes(dictionary)
    yield from _codelists(dictionary)


def _part(part: Table | View) -> Iterator[str]:
    """Yield one table or view."""
    yield f"\n### {part.title} (`{part.name}`)\n\n{part.description}"
    if isinstance(part, Table) and part.crosswalk:
        yield f"\nElsewhere: {elsewhere(part)}."
    yield ""
    fields = [field for field in part.fields if not field.name.startswith("source_")]
    columns: tuple[str, ...] = (
        "field", "type", "unit", "obligation", "leaves", "limits", "meaning", "elsewhere",
    )  # fmt: skip
    rows = [_field_cells(field) for field in fields]
    if isinstance(part, View):
        columns, rows = columns[:-1], [row[:-1] for row in rows]
    yield from _table(columns, rows)


def _field_cells(field: Field) -> tuple[str, ...]:
    """Return one field's row."""
    listed = f"{field.type} [{field.codelist}](#{field.codelist})"
    return (
        f"`{field.name}`", field.type if field.codelist is None else listed, field.unit or "",
        field.obligation, field.leaves, limits(field), field.description, elsewhere(field),
    )  # fmt: skip


def _analytes(dictionary: Dictionary) -> Iterator[str]:
    """Yield canonical units, limits and conversion factors."""
    yield "\n## Analytes\n\nA value in another unit is multiplied by the factor beside that unit.\n"
    rows = [
        (
            f"`{analyte.code}`",
            analyte.label,
            analyte.unit,
            same_loinc(analyte),
            limits(analyte),
            ", ".join(
                f"{unit} ×{factor:g}"
                for unit, factor in analyte.factors.items()
                if unit != analyte.unit
            ),
        )
        for analyte in dictionary.analytes.values()
    ]
    columns = ("code", "analyte", "unit", "LOINC", "limits", "from other units")
    yield from _table(columns, rows)


def _codelists(dictionary: Dictionary) -> Iterator[str]:
    """Yield every code list."""
    yield "\n## Code lists"
    for codelist in dictionary.codelists.values():
        yield f"\n### {codelist.name}\n\n{codelist.description}.\n"
        rows = [(f"`{code.code}`", code.label, same_as(code)) for code in codelist.codes.values()]
        yield from _table(("code", "meaning", "same as"), rows)


def _table(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> Iterator[str]:
    """Yield a Markdown table."""
    yield "| " + " | ".join(columns) + " |"
    yield "|" + " --- |" * len(columns)
    for row in rows:
        yield "| " + " | ".join(cell.replace("|", "\\|") for cell in row) + " |"
