"""The mapping of one site: what each column of its files means in the dictionary.

A data manager fills a workbook `mapping/mapping.xlsx` with four sheets, or four CSV files
`mapping/{sources,fields,values,ignore}.csv` (UTF-8, comma). Nothing in a cell is code.

**sources**: one row per file (or per sheet, instrument, table, block of a file)
    source (its id), system, file (pattern in the inbox, such as `biologie_*.xlsx`), format
    (delimited | excel | redcap | omop | phenopackets | fhir), sheet, header_row (of an Excel sheet
    also `3-4`: headings over several columns and the names below them, `Labor / Hb`), encoding,
    delimiter, decimal (`,` or `.`), date_order (DMY | MDY | YMD), missing (tokens that mean "no
    value", separated by `;`), id_column (the column with the local person id; several, separated by
    `;`: the first that holds a value), comment.
    May be left out: ready (name of a shipped mapping, which then says all else about this source:
    `transforms.ready`), thousands (the sign that groups digits: `.`, `,`, `'` or `space`),
    language (ISO 639-1, for `marmor site suggest`), repeat_key (a column of
    the file: rows in which it is empty say nothing here, so that a second source of one sheet can
    read the second mutation of those who have one)

**fields**: one row per field of the dictionary that a source fills
    table, field, source, column, rule, arg, unit, status, comment. May be left out: required_if
    (`FIELD=CODE`: then the field must have a value), confidence (0 to 1, of a suggestion), author
    and date (who decided, and when)
    All rows of one (table, source) together build that table's rows from that source. What
    several sources say of a person becomes one row, unless they contradict each other (R93); a
    second row for the same person in one file is rejected (R05).
    `field` is plain (`sex_at_birth`) or bracketed (`value[calcium]`, `status[HP:0000572]`): the
    bracket is a code of the table's discriminator (analyte, hpo_id, region). Bracketed fields
    with the same bracket make one output row per source row; plain fields of the same (table,
    source) are shared by all its brackets. A row is made only when at least one of the columns
    of its own fields holds a value: for a bracket, of its bracketed fields; without brackets, of
    all fields that are not const (nor checkbox, when there are others). Where a table has a
    discriminator and no bracket is used, the discriminator itself must be mapped.
    `column` may name several columns separated by `;`: the first that holds a value is taken
    (checkbox: checked when one of them is). Rules:

    copy          the text as it stands. For a code: it must be a code of the code list, for an
                  integer or boolean (true/false, 1/0) it must read as one. For a text, arg
                  `system=omim` takes a code of that system alone (`OMIM:166600` is 166600)
    recode        look the text up in the sheet `values` (upper or lower case and outer blanks do
                  not matter). For code, boolean, integer and string fields. arg
                  `system=orpha,omim,mondo` looks the text up in the dictionary's own codings
                  first (`transforms.codings`: `ORPHA:53`, or `53` where one system is named, or
                  one for each of the columns); `filled` makes no row where the columns are empty
                  (counted as skipped): the source row belongs to another table
    number        a number, read with the source's decimal sign; blanks and the other sign are
                  thousands separators where they group three digits, otherwise `22.1` and `1,54`
                  read as written. `<0,5` is kept as comparator and limit where the table has a
                  `value_comparator`. `unit` is the declared unit, or arg `unit_column=NAME` takes
                  it from another column (then `unit` is used where that column is empty; several
                  columns are separated by `|`, the first that holds a value is taken). An
                  analyte needs one of the two; other fields default to the dictionary's unit.
                  Ages know the units `a`, `mo`, `wk`, `d` and `iso8601` (`P3Y6M`, also `3Y`)
    date          a date in the source's date_order; arg may hold, separated by `;`, another order
                  (`MDY`), `pivot=NN` (two-digit years up to NN are 20NN, later ones 19NN; without
                  it a two-digit year is not a date) and `parts` (column names year;month;day).
                  ISO dates (2010-12-31, also with a time) are always understood. `2010` and
                  `03/2010` are dates of lesser precision: 1 July of that year, the first of that
                  month; said in birth_date_precision or by the flag `partial_date`
    const         every row gets `arg`
                  `excel` and `excel1904` say in which calendar of Excel five digits count days
                  (40271 is 2010-04-03 in the calendar of 1900); without it they are no date
    checkbox      1/0 columns of REDCap, arg `gate=COLUMN` names the form's `_complete` column.
                  Checked is present/yes/true. Not checked is excluded/no/false when the gate says
                  the form was filled in (1 or 2), otherwise unknown (a boolean: no value).
                  For a field of type codes the columns `field___code` make the set of the codes
                  that are checked; the sheet `values` may say which code a column is
    age_to_date   an age at the event (`unit` as for ages, default `a`): the person's birth date
                  plus that age, whole months by the calendar, flagged `partial_date`. With unit
                  `iso8601` an ISO date stands for itself. For dates other than birth_date
    date_to_age   the date of the event, for ages (onset_age_y): the years from the person's birth
                  date to it. With unit `iso8601` an age such as `P3Y6M` stands for itself
    split         a set of codes in one text, for fields of type codes: taken apart at
                  `separator=,` (a sign, or semicolon | newline | space | tab; default semicolon),
                  each part looked up in the sheet `values` or taken as a code. One part that is
                  neither stops the run, as for recode
    hgvs          a genotype in free text, for variant.hgvs_c: `CLCN7: c.643G>A (p.G215R) het`,
                  `c.[43del];[1360C>T]`. Makes a row for each variant and fills gene_symbol,
                  transcript, hgvs_c, hgvs_p, zygosity, phase, variant_class, acmg_class and
                  variant_raw; a field with a row of its own keeps what its own column says.
                  `gene_column=NAME` names the column of the gene. `no mutation found` and
                  `pending` make no row (counted as skipped): the same rule for
                  genetic_test.result reads them. What is not understood, or contradicts a field's
                  own column or the protein's codon, is never guessed: the row keeps the text and
                  gets the flag `needs_review`
    count_to_events  a number of events without dates. The field is `*`, arg says what is known of
                  all of them and that their dates are not: `bone_site=femur_shaft;date=unknown`.
                  A count of 3 makes three rows with the flag `undated_event`, 0 makes none
                  (counted as skipped); what is no whole number up to 200 is rejected. Undated
                  events count in a prevalence and in no rate
    not_collected the site does not have it; says so in the coverage. `column` is empty, `source`
                  may be empty (all sources of that table)
    impossible    the same, because the format has no place for it (OMOP and zygosity, say)

    Any text of `missing`, and an empty cell, is "no value" before any rule sees it. What a rule
    cannot read is never guessed: a mandatory field rejects the row (`unknown_code`,
    `not_a_number`, `unknown_unit`, `not_a_date`), another field becomes empty with the soft flag
    `unreadable_value`.

**values**: what a recode does
    table, field (plain: for all brackets, or bracketed), source (empty: all), source_value,
    target_code (a code of the field's code list; true or false; or `skip`: the source row belongs
    to another table, no row here, counted as skipped; or `missing`: the same as an empty cell; or
    `reject`: a mistake of the source, treated as a text that no rule can read), status, comment.
    May be left out: predicate (exact | broad | narrow: how the code compares with the
    value; empty: exact), justification, confidence, author, date

**ignore**: source, column, reason (identifier | free_text | not_needed | derived). May be left out:
    status (empty: approved), confidence, author, date, comment. The column `*` stands for all
    columns that another source of the same files and sheet uses or ignores

`status` is suggested, approved or rejected. A mapping runs only when no row is `suggested`; a row
that is `rejected` counts as not there. A column that no row of fields or ignore uses (as column,
unit_column, gate, id_column or repeat_key) blocks the run, and so does a text that a recode finds
in the files and no row of values names, so that nothing is dropped silently. The source_value `*`
stands for every text that no other row names: `*` with `reject`, say. `load_mapping` raises one
MappingError with every problem.
"""

import dataclasses
import hashlib
import json
import re
import unicodedata
from collections.abc import Mapping as MappingType
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from transforms.sheets import Row, read_sheets


__all__ = [
    "MISSING",
    "NOT_HELD",
    "OPTIONAL",
    "OTHERS",
    "REJECT",
    "SHEETS",
    "SKIP",
    "FieldRule",
    "IgnoreRule",
    "Mapping",
    "Source",
    "ValueRule",
    "column_name",
    "normal_value",
    "parse_mapping",
    "parse_sheets",
]

SHEETS: MappingType[str, tuple[str, ...]] = {
    "sources": (
        "source", "ready", "system", "file", "format", "sheet", "header_row", "encoding",
        "delimiter", "decimal", "thousands", "date_order", "language", "missing", "id_column",
        "repeat_key", "comment",
    ),
    "fields": (
        "table", "field", "source", "column", "rule", "arg", "unit", "required_if", "status",
        "confidence", "author", "date", "comment",
    ),
    "values": (
        "table", "field", "source", "source_value", "target_code", "predicate", "justification",
        "status", "confidence", "author", "date", "comment",
    ),
    "ignore": (
        "source", "column", "reason", "status", "confidence", "author", "date", "comment",
    ),
}  # fmt: skip
# A sheet may do without these columns: then every cell of them is empty.
OPTIONAL: MappingType[str, tuple[str, ...]] = {
    "sources": ("ready", "thousands", "language", "repeat_key", "comment"),
    "fields": ("required_if", "confidence", "author", "date", "comment"),
    "values": ("predicate", "justification", "confidence", "author", "date", "comment"),
    "ignore": ("status", "confidence", "author", "date", "comment"),
}
# What a row of the sheet `values` may say instead of a code, and how it names all other texts.
SKIP, REJECT, MISSING = "skip", "reject", "missing"
OTHERS = "*"
# Rules for what a source does not have: nobody asks for it, or its format has no place for it.
NOT_HELD = ("not_collected", "impossible")
# Args that name a column besides those of `column`.
HEADER_ROWS = re.compile(r"(\d{1,7})(?:\s*[-–]\s*(\d{1,7}))?")
OTHER_COLUMNS = ("unit_column", "gate", "gene_column")
BLANK_WORDS = (
    "space",
    "blank",
    "espace",
    "leerzeichen",
    "spatie",
    "spazio",
    "espacio",
    "mellemrum",
)


@dataclass(frozen=True)
class Source:
    """One relation of the inbox: a file pattern and how to read it. Empty text: not said."""

    source: str
    system: str
    file: str
    format: str
    id_column: str
    sheet: str = ""
    header_row: int = 1
    header_lines: int = 1  # of a header of several lines, the last of which is header_row
    encoding: str = ""
    delimiter: str = ""
    decimal: str = "."
    date_order: str = "YMD"
    missing: tuple[str, ...] = ()
    thousands: str = ""
    language: str = ""
    repeat_key: str = ""
    ready: str = ""
    optional: bool = False  # said of shipped sources alone: no such part is no error
    place: str = dataclasses.field(default="", compare=False)

    @property
    def id_columns(self) -> tuple[str, ...]:
        """The columns of the local person id; the first that holds something counts."""
        return tuple(column_name(part) for part in self.id_column.split(";") if part.strip())


@dataclass(frozen=True)
class FieldRule:
    """How one field is filled from one source."""

    table: str
    field: str
    source: str
    rule: str
    columns: tuple[str, ...] = ()
    bracket: str | None = None
    arg: str = ""
    unit: str = ""
    required_if: str = ""
    status: str = "approved"
    place: str = dataclasses.field(default="", compare=False)

    @property
    def options(self) -> dict[str, str]:
        """The argument's parts: `order`, `pivot`, `parts`, `gate`, `unit_column`, as given."""
        if self.rule == "const":
            return {}
        parts = [part.strip() for part in self.arg.split(";") if part.strip()]
        named = (part.partition("=") for part in parts)
        return {
            (key.strip() if equals else _bare(key)): (value.strip() if equals else key)
            for key, equals, value in named
        }

    @property
    def used_columns(self) -> tuple[str, ...]:
        """Every column of the source that the rule looks at."""
        options = self.options
        extra = [
            column_name(column)
            for key in OTHER_COLUMNS
            if key in options
            for column in options[key].split("|")
        ]
        return (*self.columns, *extra)


@dataclass(frozen=True)
class ValueRule:
    """One source value and the code it stands for."""

    table: str
    field: str
    source: str
    source_value: str
    target_code: str
    bracket: str | None = None
    predicate: str = "exact"
    status: str = "approved"
    place: str = dataclasses.field(default="", compare=False)


@dataclass(frozen=True)
class IgnoreRule:
    """A column that is left behind on purpose."""

    source: str
    column: str
    reason: str
    place: str = dataclasses.field(default="", compare=False)
    status: str = "approved"


@dataclass(frozen=True)
class Mapping:
    """The whole mapping of one site."""

    sources: tuple[Source, ...]
    fields: tuple[FieldRule, ...]
    values: tuple[ValueRule, ...]
    ignores: tuple[IgnoreRule, ...]

    @property
    def digest(self) -> str:
        """SHA-256 over all rows without comments, in canonical order: equal meaning, equal hash."""
        rows = [
            sorted(json.dumps(_plain(item), sort_keys=True) for item in part)
            for part in (self.sources, self.fields, self.values, self.ignores)
        ]
        return hashlib.sha256(json.dumps(rows).encode()).hexdigest()

    def source(self, source_id: str) -> Source:
        """Return the source called `source_id`; KeyError when there is none."""
        return {source.source: source for source in self.sources}[source_id]

    def rules(self, table: str, source: str) -> tuple[FieldRule, ...]:
        """Return the rules that fill `table` from `source`, without those for what it lacks."""
        return tuple(
            rule
            for rule in self.fields
            if (rule.table, rule.source) == (table, source) and rule.rule not in NOT_HELD
        )

    def codes(self, rule: FieldRule) -> dict[str, str]:
        """Return source value (normal form) → target code for one recode rule.

        A bracketed row of `values` wins over a plain one, a row for this source over one for all.
        """
        fitting = [
            value
            for value in self.values
            if (value.table, value.field) == (rule.table, rule.field)
            and value.source in ("", rule.source)
            and value.bracket in (None, rule.bracket)
        ]
        fitting.sort(key=lambda value: (value.bracket is not None, value.source != ""))
        return {normal_value(value.source_value): value.target_code for value in fitting}

    def not_collected(self, table: str, source: str) -> frozenset[str]:
        """Return the fields of `table` that the site says `source` does not have."""
        return frozenset(
            rule.field
            for rule in self.fields
            if rule.rule in NOT_HELD and rule.table == table and rule.source in ("", source)
        )


def column_name(text: str) -> str:
    """Return a column's name as the readers write it: composed, single spaces."""
    return " ".join(unicodedata.normalize("NFC", text).split())


def normal_value(text: str) -> str:
    """Return `text` as source values are compared: composed, trimmed, lower case.

    >>> normal_value("  Nee ")
    'nee'
    """
    return unicodedata.normalize("NFC", text).replace("\u00a0", " ").strip().lower()


def parse_mapping(folder: Path) -> Mapping:
    """Read the mapping in `folder`, with all that its ready mappings say in place of their names.

    Raises MappingError as `parse_sheets` does, and when a ready mapping is not known.
    """
    from transforms.ready import expand  # it reads shipped mappings as those of a site are read

    return expand(parse_sheets(folder))


def parse_sheets(folder: Path) -> Mapping:
    """Read the workbook or the four CSV files in `folder`; say nothing yet about their meaning.

    Raises MappingError when there is no mapping, a file cannot be read, a sheet is missing, or a
    sheet has other columns than `SHEETS` says.
    """
    sheets = read_sheets(folder, SHEETS, OPTIONAL)
    mapping = Mapping(
        sources=tuple(_source(row, place) for row, place in sheets["sources"]),
        fields=tuple(_field(row, place) for row, place in sheets["fields"]),
        values=tuple(_value(row, place) for row, place in sheets["values"]),
        ignores=tuple(
            IgnoreRule(
                row["source"],
                column_name(row["column"]),
                row["reason"],
                place,
                row["status"] or "approved",
            )
            for row, place in sheets["ignore"]
        ),
    )
    return _without_rejected(mapping)


def _without_rejected(mapping: Mapping) -> Mapping:
    """Leave out the rows that a person refused."""
    return dataclasses.replace(
        mapping,
        fields=tuple(rule for rule in mapping.fields if rule.status != "rejected"),
        values=tuple(value for value in mapping.values if value.status != "rejected"),
        ignores=tuple(ignore for ignore in mapping.ignores if ignore.status != "rejected"),
    )


def _source(row: Row, place: str) -> Source:
    """Build a source; `header_row` that is neither `3` nor `3-4` becomes 0, which is refused."""
    lines = HEADER_ROWS.fullmatch(row["header_row"] or "1")
    first, last = (int(lines[1]), int(lines[2] or lines[1])) if lines else (0, 0)
    delimiter = {"tab": "\t", "\\t": "\t"}.get(row["delimiter"].lower(), row["delimiter"])
    return Source(
        source=row["source"],
        system=row["system"],
        file=row["file"],
        format=row["format"],
        sheet=row["sheet"],
        header_row=last if first <= last else 0,
        header_lines=last - first + 1 if first <= last else 1,
        encoding=row["encoding"],
        delimiter=delimiter,
        decimal=row["decimal"] or ".",
        date_order=row["date_order"].upper() or "YMD",
        missing=tuple(part.strip() for part in row["missing"].split(";") if part.strip()),
        thousands=" " if row["thousands"].lower() in BLANK_WORDS else row["thousands"],
        language=row["language"].lower(),
        id_column=column_name(row["id_column"]),
        repeat_key=column_name(row["repeat_key"]),
        ready=row["ready"],
        place=place,
    )


def _field(row: Row, place: str) -> FieldRule:
    """Build a field rule, splitting `value[calcium]` and several columns."""
    name, bracket = _bracketed(row["field"])
    return FieldRule(
        table=row["table"],
        field=name,
        bracket=bracket,
        source=row["source"],
        columns=tuple(map(column_name, filter(str.strip, row["column"].split(";")))),
        rule=row["rule"],
        arg=row["arg"],
        unit=row["unit"],
        required_if=row["required_if"],
        status=row["status"],
        place=place,
    )


def _value(row: Row, place: str) -> ValueRule:
    """Build a value rule."""
    name, bracket = _bracketed(row["field"])
    return ValueRule(
        table=row["table"],
        field=name,
        bracket=bracket,
        source=row["source"],
        source_value=row["source_value"],
        target_code=row["target_code"],
        predicate=row["predicate"] or "exact",
        status=row["status"],
        place=place,
    )


def _bracketed(text: str) -> tuple[str, str | None]:
    """Split `value[calcium]` into field and bracket."""
    if text.endswith("]") and "[" in text:
        name, _, bracket = text[:-1].partition("[")
        return name, bracket
    return text, None


def _bare(part: str) -> str:
    """Name an argument given without `=`: a date order, or a switch."""
    return "order" if part.upper() in ("DMY", "MDY", "YMD") else part


def _plain(item: Any) -> dict[str, Any]:
    """Return a rule as plain data without its place, and without what older mappings lack."""
    plain = {key: value for key, value in vars(item).items() if key != "place"}
    if plain.get("header_lines") == 1:
        del plain["header_lines"]
    return plain
