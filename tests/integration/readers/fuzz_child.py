"""Reads spoiled files in a process with the limits of a reading child; says what went wrong.

    python -m tests.integration.readers.fuzz_child JOB.json

Every file goes the way of production: `transforms.readers.child.answer` reads it and writes
Parquet, with the processor time that a file of its size is granted; only DuckDB is not started
anew for each. One line of JSON per file: its seed and sample, how it ended, what was wrong with
that, processor seconds and peak memory; never any content.
"""

import dataclasses
import json
import re
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq

from tests.integration.readers.mutations import mutated
from transforms import sandbox
from transforms.errors import UserError
from transforms.mapping import Source, parse_mapping
from transforms.readers.child import OUT_OF_MEMORY, _import_all, answer
from transforms.readers.keeper import seconds_for
from transforms.readers.relation import PROVENANCE, parquet_name


REMEDY = re.compile(r"[;:,]\s+\w")
ONE_ROW_A_PLACE = ("delimited", "excel", "peek", "redcap")  # others take records apart
End = tuple[str, str]


def main() -> None:
    job = json.loads(Path(sys.argv[1]).read_text())
    folder = Path(job["folder"])
    with (folder / "told.jsonl").open("a", encoding="utf-8") as told:
        _import_all()
        _start_duckdb_once()
        sandbox.limit_data(job["memory"], 2**30)
        for seed in range(job["first"], job["end"]):
            sample = job["samples"][seed % len(job["samples"])]
            (folder / "seed").write_text(str(seed))  # who looks into a crash wants to know
            told.write(json.dumps(_try(sample, seed, folder, job["canaries"])) + "\n")
            told.flush()


def _start_duckdb_once() -> None:
    """Have `duckdb.connect` return another session of one database with the settings asked for."""
    connect, started = duckdb.connect, dict[str, duckdb.DuckDBPyConnection]()

    def another(config: dict[str, Any]) -> duckdb.DuckDBPyConnection:
        return (started.get("one") or started.setdefault("one", connect(config=config))).cursor()

    duckdb.connect = another


def _try(sample: Mapping[str, str], seed: int, folder: Path, canaries: list[str]) -> dict[str, Any]:
    """Read one spoiled file; return how it ended and what that took."""
    data = mutated(Path(sample["path"]).read_bytes(), seed)
    inbox = folder / "inbox"
    (inbox / sample["name"]).write_bytes(data)
    sandbox.grant_cpu(seconds_for(len(data)))
    Path("/proc/self/clear_refs").write_text("5")  # the peak of memory starts anew
    started = time.process_time()
    read = _mapping if sample["format"] == "mapping" else _read
    end, wrong = read(sample, inbox, folder / "read", canaries)
    (inbox / sample["name"]).unlink()
    return {
        "seed": seed,
        "sample": sample["name"],
        "format": sample["format"],
        "end": end,
        "wrong": wrong,
        "seconds": time.process_time() - started,
        "peak": _peak(),
    }


def _read(sample: Mapping[str, str], inbox: Path, folder: Path, canaries: list[str]) -> End:
    """Read a file as a centre's child would; look at what was told and at what was written."""
    source = Source(
        source="s", system="", file=sample["name"], format=sample["format"],
        sheet=sample["sheet"], id_column="id",
    )  # fmt: skip
    declared = {k: v for k, v in dataclasses.asdict(source).items() if k != "place"}
    asked = {"source": declared, "inbox": str(inbox), "left_out": [], "folder": str(folder)}
    told = answer(asked)
    if "table" in told:
        rows = pq.read_table(folder / parquet_name("s"))
        unique = sample["format"] in ONE_ROW_A_PLACE and not sample["name"].endswith(".json")
        return "table", _wrong_note(told["table"], canaries) or _wrong_rows(
            rows, told["table"], unique
        )
    if "refused" in told:
        return "refused", _wrong_message(told["refused"], sample["name"], canaries)
    lost = str(told.get("lost"))
    return ("memory", "") if lost == OUT_OF_MEMORY else ("lost", lost)


def _mapping(sample: Mapping[str, str], inbox: Path, folder: Path, canaries: list[str]) -> End:
    """Parse a mapping where it lies."""
    try:
        parse_mapping(inbox)
    except UserError as error:
        return "refused", _wrong_message(str(error), "", canaries)
    except MemoryError:
        return "memory", ""
    except Exception as error:
        return "error", type(error).__name__
    return "table", ""


def _wrong_message(message: str, name: str, canaries: list[str]) -> str:
    """Return what is wrong with a refusal: content in it, no file, no remedy."""
    if any(canary in message for canary in canaries):
        return "content in the message"
    if not message.startswith(name):
        return "the message does not begin with the file"
    return "" if REMEDY.search(message) else "no remedy"


def _wrong_note(table: Mapping[str, Any], canaries: list[str]) -> str:
    """Return whether a note on an accepted file has content; a name of a column it may tell."""
    named = " ".join(table["columns"])
    notes = " ".join(table["notes"])
    found = any(canary in notes and canary not in named for canary in canaries)
    return "content in a note" if found else ""


def _wrong_rows(rows: pa.Table, table: Mapping[str, Any], unique: bool) -> str:
    """Return what is wrong with the rows that were written of an accepted file."""
    try:
        rows.validate(full=True)  # also that every text is UTF-8
    except pa.ArrowInvalid:
        return "text that is none"
    if rows.num_rows != table["rows"] or set(table["columns"]) - set(rows.column_names):
        return "another table than was told"
    if any(rows[name].null_count for name in PROVENANCE):
        return "a row from nowhere"
    places = rows.group_by(list(PROVENANCE)).aggregate([]).num_rows
    return "two rows from one place" if unique and places != rows.num_rows else ""


def _peak() -> int:
    """Return the most bytes that this process had resident since it was last asked to forget."""
    status = Path("/proc/self/status").read_text(encoding="ascii")
    return int(status.split("VmHWM:")[1].split()[0]) * 1024


if __name__ == "__main__":
    main()
