"""What all mapping rules are made with: the job at hand, its parameters, the SQL that comes out."""

import dataclasses
from collections.abc import Mapping as MappingType
from dataclasses import dataclass

from transforms.codings import systems_of
from transforms.dictionary import Dictionary, Field, Table
from transforms.mapping import FieldRule, Mapping, Source, normal_value
from transforms.spelling import amount_sql
from transforms.sql import identifier


__all__ = [
    "CHECKED",
    "SQL_TYPES",
    "UNCHECKED",
    "Conversion",
    "Job",
    "Parameters",
    "normal_text",
    "person_sql",
    "present_sql",
    "text_sql",
]

BLANKS = " \t\r\n\u00a0\u2007\u202f\ufeff"
CHECKED = ("1", "checked", "true", "yes", "x")
UNCHECKED = ("0", "unchecked", "false", "no")
SQL_TYPES: MappingType[str, str] = {
    "string": "varchar",
    "code": "varchar",
    "codes": "varchar[]",
    "integer": "bigint",
    "number": "double",
    "boolean": "boolean",
    "date": "date",
}


class Parameters(dict[str, object]):
    """Values that a SQL text refers to; `add` returns the placeholder to write into the text."""

    def add(self, value: object) -> str:
        """Keep `value` and return its placeholder."""
        name = f"p{len(self)}"
        self[name] = value
        return f"${name}"

    def lookup(self, pairs: MappingType[str, object], kind: str = "varchar") -> str:
        """Keep a table of texts and return it as a SQL map, to be followed by `[key]`."""
        keys, values = self.add(list(pairs)), self.add(list(pairs.values()))
        return f"map({keys}::varchar[], {values}::{kind}[])"

    def one_of(self, text: str, options: tuple[str, ...]) -> str:
        """Return a condition: the text expression, in normal form, is one of `options`."""
        return f"list_contains({self.add(list(options))}::varchar[], {normal_text(text)})"


@dataclass(frozen=True)
class Conversion:
    """How one field is made from a source row; all texts are SQL.

    Each step sees the columns that the steps before it made, so that nothing is computed twice:
    `raw` (column names and expressions over the source's columns), `read` (likewise, over the raw
    columns and the row's discriminator), `value` (the column called `field`), then `problem` and
    `skip`. Where `rows` is given, a list, each of its elements makes a row and is the column
    `<field>:item` from the step of the raw columns on; an empty list makes none.
    """

    field: str
    raw: MappingType[str, str]
    value: str
    problem: str = "null"
    read: MappingType[str, str] = dataclasses.field(default_factory=dict)
    skip: str = "false"
    rows: str | None = None


@dataclass(frozen=True)
class Job:
    """Everything a rule may need to know."""

    rule: FieldRule
    table: Table
    source: Source
    mapping: Mapping
    dictionary: Dictionary
    parameters: Parameters

    @property
    def field(self) -> Field:
        """The target field."""
        return self.table.field(self.rule.field)

    @property
    def raw(self) -> str:
        """The quoted name of the column that holds the text looked at."""
        return identifier(self.said("raw"))

    @property
    def systems(self) -> tuple[str, ...]:
        """The code systems in which a recode looks a text up."""
        return systems_of(self.rule.options.get("system", ""))

    def first(self) -> dict[str, str]:
        """Return the raw column: the first of the rule's columns that holds something.

        Where each column holds codes of a system of its own, a bare code gets that system's name.
        """
        texts = [text_sql(column, self.source, self.parameters) for column in self.rule.columns]
        if 1 < len(self.systems) == len(texts):
            texts = [
                f"case when regexp_matches({text}, '[:_]') then {text} else '{name}:' || {text} end"
                for name, text in zip(self.systems, texts, strict=True)
            ]
        return {self.said("raw"): f"coalesce({', '.join([*texts, 'null'])})"}

    def text(self) -> str:
        """Return the expression of the first of the rule's columns that holds something."""
        texts = [text_sql(column, self.source, self.parameters) for column in self.rule.columns]
        return f"coalesce({', '.join([*texts, 'null'])})"

    def amount(self, compared: bool = False) -> str:
        """Return the number that the raw text spells in the habits of its source."""
        return amount_sql(self.raw, self.source.decimal, compared, self.source.thousands)

    def said(self, besides: str) -> str:
        """Return the name of a column that is made besides the value."""
        return f"{self.rule.field}:{besides}"

    def unread(self, column: str, problem: str) -> str:
        """Return the problem expression: there is a text, and nothing came of it in `column`."""
        read = identifier(column)
        return f"case when {self.raw} is not null and {read} is null then '{problem}' end"


def text_sql(column: str, source: Source, parameters: Parameters) -> str:
    """Return the trimmed text of a source column, NULL for a missing token or nothing."""
    trimmed = f"trim({identifier(column)}, {parameters.add(BLANKS)})"
    text = f"nullif({trimmed}, '')"
    if not source.missing:
        return text
    tokens = tuple(normal_value(token) for token in source.missing)
    longest = max(len(token.encode()) for token in tokens)
    # a longer text of ASCII alone cannot be a token: most need not be brought into normal form
    may_be = f"(strlen({trimmed}) <= {longest} or strlen({trimmed}) <> length({trimmed}))"
    return f"case when {may_be} and {parameters.one_of(text, tokens)} then null else {text} end"


def person_sql(source: Source, parameters: Parameters) -> str:
    """Return the local id of the person that a row is about; NULL when there is none."""
    texts = [text_sql(column, source, parameters) for column in source.id_columns]
    return f"coalesce({', '.join([*texts, 'null'])})"


def present_sql(conversion: Conversion) -> str:
    """Return a condition: the row has something for this field."""
    name = f"{conversion.field}:raw"
    return f"{identifier(name)} is not null" if name in conversion.raw else "false"


def normal_text(text: str) -> str:
    """Return the SQL expression that does what `mapping.normal_value` does."""
    return f"lower(nfc_normalize(trim(replace({text}, '\u00a0', ' '))))"
