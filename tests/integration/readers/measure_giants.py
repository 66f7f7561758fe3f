"""Measures what hostile files cost a run: seconds, processor, peak memory of parent and child.

    python -m tests.integration.readers.measure_giants FOLDER [NAME …]

Makes each file in FOLDER, then has it collected and read beside a good one in a process of its own;
at the end all of them lie in one inbox. Seconds are those of the machine as it is: the processor's
say more where others work too.
"""

import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq

from tests.integration.readers.bad_files import BAD, sheet_xml, workbook
from transforms.errors import UserError
from transforms.fingerprints import fingerprints
from transforms.mapping import Source
from transforms.readers.isolation import read_inbox


HEADER = b"id;x\n"
PERSON = b'{"id": "a", "subject": {"id": "a"}, "phenotypicFeatures": ['


@dataclass(frozen=True)
class Giant:
    """A file, how it would be read, and how it is made."""

    name: str
    format: str
    make: Callable[[Path], object]
    sheet: str = ""


def sparse(start: bytes) -> Callable[[Path], None]:
    """Return a maker of 8 GB, of which only the start was ever written."""

    def make(path: Path) -> None:
        path.write_bytes(start)
        os.truncate(path, 8 * 2**30)

    return make


def bytes_of(content: Callable[[], bytes]) -> Callable[[Path], object]:
    return lambda path: path.write_bytes(content())


def parquet(path: Path) -> None:
    rows = pa.table({"person_id": pa.repeat(1, 50_000_000)})
    with pq.ParquetWriter(path, rows.schema, compression="zstd") as writer:
        for _ in range(10):
            writer.write_table(rows, row_group_size=50_000_000)


def repeated_text(path: Path) -> None:
    texts = pa.DictionaryArray.from_arrays(pa.repeat(0, 2_000_000), pa.array(["x" * 100_000]))
    pq.write_table(pa.table({"person_id": texts}), path, compression="zstd")


def database(statement: str) -> Callable[[Path], None]:
    def make(path: Path) -> None:
        with duckdb.connect(str(path)) as connection:
            connection.execute(statement)

    return make


def far(column: str) -> bytes:
    text = '<c r="{}" t="inlineStr"><is><t>id</t></is></c>'
    rows = (f'<row r="{row}">{text.format(f"{name}{row}")}</row>'
            for name, row in (("A", 1), (column, 1_048_576)))  # fmt: skip
    return sheet_xml("", f"<sheetData>{''.join(rows)}</sheetData>")


GIANTS = (
    Giant("sparse.csv", "delimited", sparse(b"")),
    Giant("sparse_below.csv", "delimited", sparse(HEADER + b"1;2\n" * 1000)),
    Giant("sparse.parquet", "omop", sparse(b"PAR1"), "sparse"),
    Giant("sparse.duckdb", "omop", sparse(b"\0" * 8 + b"DUCK"), "person"),
    Giant("sparse.xlsx", "excel", sparse(b"PK\x03\x04")),
    Giant("sparse.ndjson", "fhir", sparse(b'{"resourceType":"Patient"}\n'), "patients"),
    Giant("nul_300mb.csv", "delimited", bytes_of(lambda: bytes(300 << 20))),
    Giant("cell_150mb.csv", "delimited",
          bytes_of(lambda: HEADER + b"1;" + b"a" * (150 << 20) + b"\n2;3\n")),
    Giant("quoted_150mb.csv", "delimited",
          bytes_of(lambda: HEADER + b'1;"' + b"a\n" * (75 << 20) + b'"\n2;3\n')),
    Giant("line_600mb.csv", "delimited", bytes_of(lambda: b"a;" * (300 << 20))),
    Giant("ragged_120mb.csv", "delimited", bytes_of(lambda: HEADER + b"1\n" * (60 << 20))),
    Giant("same_names.csv", "delimited",
          bytes_of(lambda: b"a;" * 19_999 + b"a\n" + (b"1;" * 19_999 + b"1\n") * 10)),
    Giant("bomb.parquet", "omop", parquet, "bomb"),
    Giant("texts.parquet", "omop", repeated_text, "texts"),
    Giant("rows.duckdb", "omop",
          database("create table person as select 1 as person_id from range(2000000000)"),
          "person"),
    Giant("generated.duckdb", "omop",
          database("create table person(i int, x varchar generated always as "
                   "(repeat('a', 1000000))); insert into person select 1 from range(1000000)"),
          "person"),
    Giant("far_text.xlsx", "excel", bytes_of(lambda: far("S"))),
    Giant("line_500mb.ndjson", "fhir",
          bytes_of(lambda: b'{"resourceType":"Patient","id":"' + b"a" * (500 << 20) + b'"}\n'),
          "patients"),
    Giant("blank_190mb.ndjson", "fhir", bytes_of(lambda: b"\n" * (190 << 20)), "patients"),
    Giant("nulls_37m.json", "redcap", bytes_of(lambda: b"[" + b"null," * 37_000_000 + b"null]")),
    Giant("features_20m.json", "phenopackets",
          bytes_of(lambda: PERSON + b"{}," * 20_000_000 + b"{}]}"), "features"),
    Giant("deep_5m.json", "phenopackets",
          bytes_of(lambda: b'{"a":' * 5_000_000 + b"1" + b"}" * 5_000_000), "subjects"),
    *(Giant(bad.name, bad.format, bytes_of(bad.make), bad.sheet) for bad in BAD),
)  # fmt: skip


def main() -> None:
    folder = Path(sys.argv[1])
    chosen = [giant.name for giant in GIANTS if giant.name in sys.argv[2:] or not sys.argv[2:]]
    say(f"{'file':22} wall s  cpu s  parent MB  child MB  said")
    for names in (*([name] for name in chosen), chosen):
        for step in ("make", "measure"):  # each in a process of its own
            code = f"from {__spec__.name} import {step}; {step}({str(folder)!r}, {names!r})"
            subprocess.run([sys.executable, "-c", code], check=True)


def say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def make(folder: str, names: list[str]) -> None:
    """Make those of the files that are not there."""
    for giant in GIANTS:
        if giant.name in names and not (Path(folder) / giant.name).exists():
            giant.make(Path(folder) / giant.name)


def measure(folder: str, names: list[str]) -> None:
    """Collect and read an inbox of these files and a good one; say what it took."""
    giants = [giant for giant in GIANTS if giant.name in names]
    with tempfile.TemporaryDirectory(dir=folder) as place:
        inbox, work = Path(place) / "inbox", Path(place) / "work"
        inbox.mkdir()
        (inbox / "good.xlsx").write_bytes(workbook())
        for giant in giants:
            os.link(Path(folder) / giant.name, inbox / giant.name)
        sources = [
            Source(f"s{number}", "", one.name, one.format, "id", sheet=one.sheet)
            for number, one in enumerate(giants)
        ]
        started = time.monotonic()
        said = collected_and_read([*sources, Source("good", "", "good.xlsx", "excel", "id")],
                                  inbox, work)  # fmt: skip
        seconds = time.monotonic() - started
    usage = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    processor = sum(one.ru_utime + one.ru_stime for one in usage)
    name = names[0] if len(names) == 1 else f"all {len(names)} together"
    peaks = f"{peak_mb():10} {usage[1].ru_maxrss // 1024:9}"
    say(f"{name:22} {seconds:6.1f} {processor:6.1f} {peaks}  {said}")


def collected_and_read(sources: list[Source], inbox: Path, work: Path) -> str:
    """Do what a run does before it looks at rows; return what was said."""
    fingerprints(inbox, work)
    try:
        read = read_inbox(sources, inbox, work / "read", duckdb.connect())
    except UserError as error:
        return str(error)
    finally:
        fingerprints(inbox, work)
    first = read.refused[0].message if read.refused else "nothing was refused"
    return f"{len(read.refused)} refused, {len(read.tables)} read: {first[:90]}"


def peak_mb() -> int:
    """Return the most memory that this process has held, in MB."""
    status = Path("/proc/self/status").read_text(encoding="ascii")
    return int(status.partition("VmHWM:")[2].split()[0]) // 1024


if __name__ == "__main__":
    main()
