"""What a harmonization leaves behind: tables, rejects, flags, coverage, counts, quarantine."""

import json
import os
import shutil
from collections.abc import Mapping as MappingType
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.csv as pa_csv

from transforms.collect import Batch
from transforms.dictionary import DICTIONARY, Table
from transforms.dictionary.arrow import distinct_columns, schema
from transforms.durable import write_json
from transforms.formulas import disarmed_column
from transforms.mapping import NOT_HELD, Mapping
from transforms.mapping_check import made_here
from transforms.parquet import write_parquet, write_parquet_stream
from transforms.rule_checks import filled
from transforms.site import Site
from transforms.sql import identifier, qualified
from transforms.staging import REJECTED, STORED, column, stored_columns


__all__ = ["DONE", "Harmonized", "coverage", "refused_files", "write_outcome"]

REJECTS = (
    "table", "source_file", "source_sheet", "source_row", "field", "rule", "severity", "remedy",
)  # fmt: skip
DONE = "harmonization.json"
# No two rows of a table are alike in all of these.
ORDER = ("person_id", "source_file", "source_sheet", "source_row", "source_id", "bracket")
BATCH_ROWS = 2**17  # as many as a row group has, so that nothing is put together again


@dataclass(frozen=True)
class Harmonized:
    """What a run came to: rows per table, rejected rows and flags."""

    run_id: str
    rows: MappingType[str, int]
    rejected: int
    flagged: int


def write_outcome(
    connection: duckdb.DuckDBPyConnection,
    site: Site,
    batch: Batch,
    mapping: Mapping,
    counts: MappingType[str, Any],
) -> Harmonized:
    """Write all that a run leaves behind; `harmonization.json` comes last.

    `counts` is what is known already and goes into it as it stands.
    """
    folder = site.work / batch.run_id
    (folder / "tables").mkdir(exist_ok=True)
    rows = {
        name: _write_table(connection, table, folder / "tables" / f"{name}.parquet")
        for name, table in DICTIONARY.tables.items()
    }
    _all_rejects(connection)
    rejects = _arrow(connection, f"select {_listed(REJECTS)} from rejects order by all")
    write_parquet(rejects, folder / "rejects.parquet")
    flags = _arrow(connection, FLAGS)
    write_parquet(flags, folder / "flags.parquet")
    _write_quarantine(connection, site.quarantine / batch.run_id)
    write_json(folder / "coverage.json", coverage(connection, mapping))
    rejected = _pairs(connection, 'select "table", count(distinct (source_file, source_sheet, '
                      "source_row, bracket)) from rejects group by all")  # fmt: skip
    summary = {
        **counts,
        "run_id": batch.run_id,
        "dictionary_version": batch.dictionary_version,
        "code_version": batch.code_version,
        "mapping_sha256": batch.mapping_sha256,
        "rows": rows,
        "rejected": rejected,
        "rejects_by_rule": _pairs(connection, "select rule, count(*) from rejects group by all"),
        "flags_by_rule": _pairs(connection, f"select rule, count(*) from ({FLAGS}) group by all"),
    }
    write_json(folder / DONE, summary)
    return Harmonized(batch.run_id, rows, sum(rejected.values()), flags.num_rows)


def refused_files(site: Site, run_id: str) -> tuple[str, ...]:
    """Return what was said of each file that a harmonized run could not read, once."""
    text = (site.work / run_id / DONE).read_text(encoding="utf-8")
    return tuple(dict.fromkeys(one["message"] for one in json.loads(text)["refused_files"]))


def _write_table(connection: duckdb.DuckDBPyConnection, table: Table, path: Path) -> int:
    """Write one harmonized table, ordered by person and then by place; return its rows."""
    rows = connection.sql(
        f"select {_listed(table.field_names)} from {identifier(table.name)} "
        f"order by {_listed(ORDER)}"
    )
    batches = rows.to_arrow_reader(BATCH_ROWS)
    return write_parquet_stream(batches, schema(table), path, distinct_columns(table))


FLAGS = """
    select table_name as "table",
        case when table_name = 'person' then person.person_id else violations.row_id end as row_id,
        field, rule, severity, remedy
    from violations left join person using (row_id)
    where severity <> 'hard' and row_id in (select row_id from kept)
    order by all
"""


def _all_rejects(connection: duckdb.DuckDBPyConnection) -> None:
    """Make `rejects` with the text looked at in `value`, and `kept`: flagged rows that remain."""
    parts, kept = [], []
    for table in DICTIONARY.tables.values():
        stored = stored_columns(connection, table.name)
        raws = " ".join(
            f"when '{field.name}' then staged.{column(field.name, 'raw')}"
            for field in table.fields
            if f"{field.name}:raw" in stored
        )
        value = f"case violations.field {raws} end" if raws else "null::varchar"
        parts.append(
            'select table_name as "table", source_file, source_sheet, source_row, bracket, '
            "violations.field, rule, violations.severity, remedy, "
            f"{value} as value from violations "
            f"join {qualified(STORED, table.name)} as staged using (row_id) "
            f"where {REJECTED} and violations.severity = 'hard' and table_name = '{table.name}'"
        )
        kept.append(
            f"select row_id from {identifier(table.name)} where row_id in "
            "(select row_id from violations where severity <> 'hard')"
        )
    connection.execute(f"create or replace temp table rejects as {' union all '.join(parts)}")
    connection.execute(f"create or replace temp table kept as {' union all '.join(kept)}")


def _write_quarantine(connection: duckdb.DuckDBPyConnection, folder: Path) -> None:
    """Write one CSV per table with rejected rows, readable by the site's own user alone."""
    shutil.rmtree(folder, ignore_errors=True)
    tables = connection.execute('select distinct "table" from rejects order by 1').fetchall()
    folder.mkdir(mode=0o700, parents=True)
    for (table,) in tables:
        rows = _arrow(
            connection,
            "select source_file, source_sheet, source_row, field, value, rule, remedy "
            'from rejects where "table" = $1 order by all',
            table,
        )
        descriptor = os.open(folder / f"{table}.csv", os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            pa_csv.write_csv(_without_formulas(rows), file)


def _without_formulas(rows: pa.Table) -> pa.Table:
    """Return rows of which a spreadsheet computes no cell."""
    for name in ("source_file", "source_sheet", "value", "remedy"):  # which may name a file
        safe = disarmed_column(rows.column(name).cast(pa.string()))
        rows = rows.set_column(rows.schema.get_field_index(name), name, safe)
    return rows


def coverage(connection: duckdb.DuckDBPyConnection, mapping: Mapping) -> list[dict[str, Any]]:
    """Return, for each target field, how it is filled, in how many of how many rows."""
    covered = []
    for table in DICTIONARY.tables.values():
        counted = ", ".join(f"count({identifier(name)})" for name in table.field_names)
        ((rows, *filled),) = connection.execute(
            f"select count(*), {counted} from {identifier(table.name)}"
        ).fetchall()
        ways = _ways(table, mapping)
        covered += [
            {"table": table.name, "field": name, "mapped": ways[name], "rows": rows, "filled": full}
            for name, full in zip(table.field_names, filled, strict=True)
            if not name.startswith("source_")
        ]
    return covered


def _ways(table: Table, mapping: Mapping) -> dict[str, str]:
    """Return how each field of a table is filled."""
    rules = [rule for rule in mapping.fields if rule.table == table.name]
    mapped = {name for rule in rules if rule.rule not in NOT_HELD for name in filled(rule)}
    if any(rule.bracket is not None for rule in rules) and table.discriminator is not None:
        mapped.add(table.discriminator)
    lacking = {rule.field for rule in rules if rule.rule in NOT_HELD}
    ways = {}
    for field in table.fields:
        if field.name in mapped:
            ways[field.name] = "mapped"
        elif field.name in lacking:
            ways[field.name] = "not collected"
        else:
            ways[field.name] = "derived" if mapped and made_here(table, field) else "not mapped"
    return ways


def _pairs(connection: duckdb.DuckDBPyConnection, query: str) -> dict[str, int]:
    """Return a two-column result as a mapping in order."""
    return dict(sorted(connection.execute(query).fetchall()))


def _arrow(connection: duckdb.DuckDBPyConnection, query: str, *values: object) -> pa.Table:
    """Return a result as an Arrow table."""
    return connection.sql(query, params=list(values)).to_arrow_table()


def _listed(names: tuple[str, ...]) -> str:
    """Return names quoted and separated by commas."""
    return ", ".join(identifier(name) for name in names)
