"""One run from the centre's files to harmonized tables, rejects and flags in `work/<run>/`.

    read → stage (convert) → consent → derive → limits → rules → outcome

All work on rows is SQL in an in-memory DuckDB. A run leaves behind (`transforms.outcome`):

    tables/<table>.parquet   one per table of the dictionary, sorted; the same input, the same bytes
    rejects.parquet          table, source_file, source_sheet, source_row, field, rule, severity,
                             remedy: rows that were rejected, one line per reason
    flags.parquet            table, row_id, field, rule, severity, remedy
    coverage.json            per target field: mapped, derived, not collected or not mapped
    harmonization.json       counts per table, source and rule; written last: a run is done when it
                             is there
    quarantine/<run>/<table>.csv   rejected rows with the text that was looked at, for the data
                             manager's eyes; the only file with raw values, mode 0600

A person who withdrew, or is without a yes to reuse, and every row of theirs, is left out before
anything is looked at: they are counted in harmonization.json and stand in no reject, flag or
quarantine.
"""

import datetime
import os
from collections.abc import Iterator
from collections.abc import Mapping as MappingType
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import duckdb

from transforms.codelists import load_codelists
from transforms.collect import Batch, code_version, inbox_files, load_batch
from transforms.consent import forget_texts
from transforms.derive import derive
from transforms.dictionary import DICTIONARY
from transforms.errors import MappingError, SourceError, raise_all
from transforms.fingerprints import fingerprints
from transforms.form_remedies import say_for_forms
from transforms.identifiers import load_known
from transforms.intake import scratch, take_in
from transforms.limits import check_limits
from transforms.mapping import Mapping
from transforms.mapping_check import load_mapping
from transforms.merge import merge_sources
from transforms.outcome import DONE, Harmonized, write_outcome
from transforms.pseudonyms import install, site_key
from transforms.rules import apply_rules
from transforms.saying import Say, nothing
from transforms.settle import settle
from transforms.site import Site
from transforms.sql import qualified
from transforms.staging import SCHEMA, STORED, column, stage
from transforms.tombstones import PREFIX, tombstones
from transforms.unmapped import unmapped_values


__all__ = ["Harmonized", "Judged", "harmonize", "judged"]

MEMORY = "800MB"
THREADS = 4
IN_MEMORY = 50 * 2**20  # bytes of the inbox


@dataclass(frozen=True)
class Judged:
    """A connection that holds all relations of a run, what is known of them, what could be read.

    Relations: `source.<id>`, `staged.<table>`, `codelist.*`, the harmonized tables, `violations`.
    """

    connection: duckdb.DuckDBPyConnection
    counts: MappingType[str, Any]
    mapping: Mapping


def harmonize(site: Site, run_id: str, say: Say = nothing) -> Harmonized:
    """Harmonize the inbox as the batch `run_id` describes it; `say` is told what is being done.

    Raises SourceError when a file cannot be read or changed since it was collected, MappingError
    when the mapping has problems or does not fit the files' columns.
    """
    batch = load_batch(site, run_id)
    mapping = load_mapping(site.mapping)
    (site.work / run_id / DONE).unlink(missing_ok=True)
    with judged(site, batch, mapping, say) as run:
        say("writing tables, quarantine and counts")
        return write_outcome(run.connection, site, batch, mapping, run.counts)


@contextmanager
def judged(
    site: Site, batch: Batch | None, mapping: Mapping, say: Say = nothing
) -> Iterator[Judged]:
    """Read, stage and judge the inbox; what was made is gone when the block ends.

    Without a `batch` nothing needs to have been collected and today is the ingest date: a dry run.
    Raises as `harmonize` does.
    """
    with scratch(site) as folder, _database(site, folder) as connection:
        taken = take_in(connection, site, mapping, folder, dry=batch is None, say=say)
        if batch is not None:
            _unchanged(site, batch, mapping)
        mapping, counts = taken.mapping, taken.counts
        install(connection, site_key(site.keys))
        say(f"mapping {sum(counts['rows_read'].values()):,} rows")
        counts["skipped"] = stage(connection, mapping)
        counts["excluded_withdrawn"] = _leave_out(connection, tombstones(site))
        today = datetime.datetime.now(datetime.UTC).date()
        day = batch.ingest_date if batch else today
        counts |= _judge(connection, mapping, day, site=site, dry=batch is None, say=say)
        yield Judged(connection, counts, mapping)


def _database(site: Site, folder: Path) -> duckdb.DuckDBPyConnection:
    """Open the run's database: in memory, or in the run's folder when the inbox is large.

    Nothing from the network, nothing outside that folder; what does not fit into memory goes there.
    """
    size = sum(path.stat().st_size for path in inbox_files(site.inbox))
    settings: dict[str, str | bool | int | float | list[str]] = {
        "memory_limit": MEMORY,
        "threads": min(THREADS, os.cpu_count() or 1),
        "autoinstall_known_extensions": False,
        "autoload_known_extensions": False,
        "temp_directory": str(folder / "spill"),
    }
    return duckdb.connect(
        str(folder / "run.duckdb") if size > IN_MEMORY else ":memory:", config=settings
    )


def _unchanged(site: Site, batch: Batch, mapping: Mapping) -> None:
    """Refuse a run whose files, mapping or code are no longer those that were collected."""
    files = tuple(content for _, content in fingerprints(site.inbox, site.work))
    was = (batch.files, batch.mapping_sha256, batch.code_version)
    is_now = (files, mapping.digest, code_version())
    if was != is_now:
        raise SourceError(
            f"{batch.run_id}: the inbox or the mapping changed since this run was collected; "
            "run collect again when all files are in place"
        )


def _judge(
    connection: duckdb.DuckDBPyConnection,
    mapping: Mapping,
    ingest_date: datetime.date,
    *,
    site: Site,
    dry: bool,
    say: Say,
) -> dict[str, Any]:
    """Consent, derived fields, limits and rules; leaves `violations` and the harmonized tables.

    Unmapped values stop the run; a dry run judges their rows as if they could not be read.
    """
    load_codelists(connection)
    connection.execute(
        "create temp table violations (table_name varchar, row_id varchar, field varchar, "
        "rule varchar, severity varchar, remedy varchar)"
    )
    connection.execute(
        "create temp table run as "
        "select $1::date as ingest_date, $2 as country, $3::date as opened",
        [ingest_date, site.country, site.opened],
    )
    excluded = _exclude(connection, mapping)
    forget_texts(connection)
    if not dry:
        unknown = unmapped_values(connection, mapping)
        raise_all(MappingError, [one.message for one in unknown])
    say("putting the sources together")
    merged = merge_sources(connection, mapping)
    derive(connection)
    say("checking limits")
    check_limits(connection, mapping)
    for table in DICTIONARY.tables.values():
        settle(connection, table)
    load_known(connection, mapping)
    say("applying rules")
    apply_rules(connection)
    say_for_forms(connection, mapping)
    return excluded | merged


def _leave_out(connection: duckdb.DuckDBPyConnection, withdrawn: frozenset[str]) -> int:
    """Take away all rows of persons who withdrew; return how many persons there were."""
    if not withdrawn:
        return 0
    persons = " union ".join(
        f"select person_id from {qualified(SCHEMA, table)}" for table in DICTIONARY.tables
    )
    connection.execute(
        f"create or replace temp table withdrawn as select person_id from ({persons}) "
        "where pseudonym($1, person_id) in (select unnest($2::varchar[]))",
        [PREFIX, sorted(withdrawn)],
    )
    for table in DICTIONARY.tables:
        connection.execute(
            f"delete from {qualified(STORED, table)} "
            "where person_id in (select person_id from withdrawn)"
        )
    ((count,),) = connection.execute("select count(*) from withdrawn").fetchall()
    return int(count)


UNREADABLE = (
    f"select row_id from staged.person where {column('consent_reuse', 'problem')} is not null"
)


def _exclude(connection: duckdb.DuckDBPyConnection, mapping: Mapping) -> dict[str, Any]:
    """Take away all rows of persons who have not said yes to reuse; return how many there were.

    Every source that speaks of a person's consent must say yes, and at least one must speak. A
    consent that could not be read is left out too, and its one row stays to be rejected: it is the
    mapping's fault.
    """
    speaking = [rule.source for rule in mapping.fields if rule.field == "consent_reuse"]
    connection.execute(
        """
        create or replace temp table without_consent as
        select person_id from staged.person where person_id is not null
        group by person_id having not coalesce(
            bool_and(coalesce(consent_reuse = 'yes', false))
            filter (where list_contains($1::varchar[], source_id)), false)
        """,
        [speaking],
    )
    rows = {}
    for table in DICTIONARY.tables.values():
        keep = f"and row_id not in ({UNREADABLE})" if table.name == "person" else ""
        ((rows[table.name],),) = connection.execute(
            f"delete from {qualified(STORED, table.name)} where person_id in "
            f"(select person_id from without_consent) {keep}"
        ).fetchall()
    ((persons,),) = connection.execute(
        "select count(*) from without_consent anti join staged.person using (person_id)"
    ).fetchall()
    return {"excluded_for_consent": persons, "rows_excluded_for_consent": rows}
