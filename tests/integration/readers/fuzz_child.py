"""Reads spoiled files in a process with the limits of a reading child; says what went wrong.

    python -m tests.integration.readers.fuzz_child JOB.json

Prints one line of JSON: for each failure the sample, the seed and the kind, never any content.
"""

import contextlib
import json
import os
import sys
import time
import traceback
from collections import Counter
from pathlib import Path
from typing import Any

import duckdb

from tests.integration.readers.mutations import mutated
from transforms import sandbox
from transforms.errors import UserError
from transforms.mapping import Source, parse_mapping
from transforms.readers import read


SECONDS = 5.0


def main() -> None:
    job = json.loads(Path(sys.argv[1]).read_text())
    sandbox.limit_data(job["memory"], 2**30)
    folder = Path(job["folder"])
    failures: list[dict[str, Any]] = []
    ends: Counter[str] = Counter()
    connection = duckdb.connect(config={"threads": 1})
    for seed in range(job["first"], job["first"] + job["count"]):
        sample = job["samples"][seed % len(job["samples"])]
        (folder / "seed").write_text(str(seed))  # who looks into a crash wants to know
        end, wrong = _try(sample, seed, folder, connection, job["canary"])
        ends[end] += 1
        failures += [{"sample": sample["name"], "seed": seed, "wrong": wrong}] if wrong else []
    sys.stdout.write(json.dumps({"ends": ends, "failures": failures}) + "\n")


def _try(
    sample: dict[str, Any],
    seed: int,
    folder: Path,
    connection: duckdb.DuckDBPyConnection,
    canary: str,
) -> tuple[str, str]:
    """Read one spoiled file; return how it ended and what was wrong with that."""
    data = mutated(Path(sample["path"]).read_bytes(), seed)
    inbox = folder / "inbox"
    (inbox / sample["name"]).write_bytes(data)
    started, end, wrong = time.process_time(), "table", ""
    try:
        with open(os.devnull, "w") as nowhere, contextlib.redirect_stderr(nowhere):
            _read(sample, inbox, connection)
    except UserError as error:
        end = "refused"
        wrong = "content in the message" if canary in str(error) else ""
        wrong = wrong or ("" if str(error).strip() else "no message")
    except MemoryError:
        end = "memory"
    except BaseException as error:
        frame = traceback.extract_tb(error.__traceback__)[-1]
        end, wrong = "error", f"{type(error).__name__} {Path(frame.filename).name}:{frame.lineno}"
    finally:
        (inbox / sample["name"]).unlink()
    if time.process_time() - started > SECONDS:
        wrong = wrong or "took too long"
    return end, wrong


def _read(sample: dict[str, Any], inbox: Path, connection: duckdb.DuckDBPyConnection) -> None:
    """Read a file as its format is read; a mapping is parsed where it lies."""
    if sample["format"] == "mapping":
        parse_mapping(inbox)
        return
    source = Source(
        source="s", system="", file=sample["name"], format=sample["format"],
        sheet=sample["sheet"], id_column="id",
    )  # fmt: skip
    read(source, inbox, connection)


if __name__ == "__main__":
    main()
