"""What to do about a row of the form, in words of the form: who fills it in has no mapping."""

import duckdb

from transforms.dictionary import DICTIONARY
from transforms.limits import MISSING, PROBLEMS
from transforms.mapping import Mapping
from transforms.sql import qualified
from transforms.staging import SCHEMA


__all__ = ["say_for_forms"]

CODE = "choose a word of the list in the form; the sheet codes has them all"
# What a remedy says of a mapping → what it says of the form.
WORDS = {
    PROBLEMS["unknown_code"]: CODE,
    PROBLEMS["unmapped_value"]: CODE,
    PROBLEMS["not_a_number"]: "write a number, with a point or a comma before the decimals",
    PROBLEMS["unknown_unit"]: "choose the unit that the laboratory wrote in the column unit",
    PROBLEMS["not_a_date"]: "write the date as 2010-12-31, or 2010-12, or 2010",
    MISSING: "fill it in",
    "check the unit at the source, declare it in the mapping": "check value and unit in the form",
    "declare it in the mapping": "correct the unit in the form",
}


def say_for_forms(connection: duckdb.DuckDBPyConnection, mapping: Mapping) -> None:
    """Reword the remedies in `violations` of rows that were read from the form."""
    forms = [source.source for source in mapping.sources if source.system == "form"]
    if not forms:
        return
    remedy = "remedy"
    for there, here in WORDS.items():
        remedy = f"replace({remedy}, '{there.replace(chr(39), chr(39) * 2)}', '{here}')"
    for table in DICTIONARY.tables:
        connection.execute(
            f"update violations set remedy = {remedy} where table_name = $1 and row_id in "  # noqa: S608
            f"(select row_id from {qualified(SCHEMA, table)} where list_contains($2, source_id))",
            [table, forms],
        )
