"""Whatever is done to a file: it becomes a table, or it is refused with a message; nothing else.

Spoiled samples of every format are read in one process with the limits of a reading child. A seed
says how a file was spoiled, so that a failure can be looked at again.
"""

import io
import json
import signal
import subprocess
import sys
import zipfile
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import duckdb
import openpyxl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.integration.readers.mutations import mutated
from tests.spec.readers.workbooks.binary import binary_workbook
from tests.spec.readers.workbooks.content import content
from transforms.mapping import SHEETS, Source
from transforms.readers.isolation import read_inbox
from transforms.readers.keeper import ENVIRONMENT, MEMORY_BYTES


CANARY = "Zwjkxq"  # stands in cells of samples; a message that has it has content
CANARIES = (CANARY, "naïve ß", "Familie Muster")  # those of the shared workbooks, too
MOST_BYTES, MOST_SECONDS = 1_500 * 2**20, 5.0  # what a file may take
# Rust ends a process that asks for more memory than there may be, the kernel one whose time is
# over. A centre's parent outlives both and refuses the file.
OUTLIVED = {-signal.SIGABRT, -signal.SIGXCPU}
MOST_FILES = 4  # of one kind, or those of which there are many would be most of it
ROOT = Path(__file__).parents[3]
WORKBOOKS = ROOT / "tests" / "spec" / "readers" / "workbooks"
# Sample files of the data folder: pattern, format and the sheets to read.
REAL = (
    ("rarelink/phenopackets/1.json", "phenopackets", ("subjects", "features", "variants")),
    ("phenopackets/ANKH/*.json", "phenopackets", ("diseases", "measurements")),
    ("rarelink/fhir/*.json", "fhir", ("patients", "observations", "conditions")),
    ("fhir_uscore_dxa/Diag*.json", "fhir", ("reports",)),
    ("redcapr/simple/data.csv", "redcap", ("",)),
    ("redcapr/longitudinal/data.csv", "redcap", ("",)),
    ("redcapr/repeating-instruments/data.csv", "redcap", ("",)),
    ("redcapr/russian/data.csv", "delimited", ("",)),
    ("rarelink/evaluation_cohort.csv", "delimited", ("",)),
    ("omop_synthea27nj/person.parquet", "omop", ("person",)),
    ("omop_synthea27nj/death.parquet", "omop", ("death",)),
)


def workbook() -> bytes:
    """Return a workbook with texts, numbers, dates and an empty column."""
    book = openpyxl.Workbook()
    sheet = book.active
    sheet.append(["id", "name", None, "Hb", "Datum"])
    for row in range(5):
        sheet.append([row, CANARY, None, 11.5 + row, f"0{row + 1}.02.2020"])
    stream = io.BytesIO()
    book.save(stream)
    return stream.getvalue()


def open_document() -> bytes:
    """Return the least that an OpenDocument spreadsheet needs."""
    names = "urn:oasis:names:tc:opendocument:xmlns"
    cell = '<table:table-cell office:value-type="string"><text:p>{}</text:p></table:table-cell>'
    rows = "".join(
        f"<table:table-row>{''.join(map(cell.format, cells))}</table:table-row>"
        for cells in (("id", "name"), ("1", CANARY), ("2", "b"))
    )
    content = (
        f'<office:document-content xmlns:office="{names}:office:1.0" '
        f'xmlns:table="{names}:table:1.0" xmlns:text="{names}:text:1.0"><office:body>'
        f'<office:spreadsheet><table:table table:name="a">{rows}</table:table>'
        "</office:spreadsheet></office:body></office:document-content>"
    )
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        archive.writestr("mimetype", "application/vnd.oasis.opendocument.spreadsheet")
        archive.writestr("content.xml", content)
    return stream.getvalue()


def parquet() -> bytes:
    """Return a Parquet file with a dictionary, numbers and a time."""
    stream = io.BytesIO()
    columns = {
        "person_id": list(range(200)),
        "gender_source_value": ["M", CANARY] * 100,
        "birth_datetime": pa.array([10**9] * 200, pa.timestamp("us")),
    }
    pq.write_table(pa.table(columns), stream)
    return stream.getvalue()


def mapping_workbook() -> bytes:
    """Return a mapping workbook of one row per sheet."""
    book = openpyxl.Workbook()
    book.remove(book.active)
    for name, columns in SHEETS.items():
        sheet = book.create_sheet(name)
        sheet.append(columns)
        sheet.append([f"x{number}" for number in range(len(columns))])
    stream = io.BytesIO()
    book.save(stream)
    return stream.getvalue()


PACKET = {
    "id": CANARY,
    "subject": {"id": CANARY, "timeAtLastEncounter": {"age": {"iso8601duration": "P35Y"}}},
    "phenotypicFeatures": [{"type": {"id": "HP:0002659", "label": CANARY}, "excluded": True}],
    "metaData": {"created": "2020-01-01T00:00:00Z", "phenopacketSchemaVersion": "2.0"},
}
PATIENT = {"resourceType": "Patient", "id": CANARY, "gender": "female", "birthDate": "1987-02"}
CSV = f'id;Größe;Hb\n1;{CANARY};11,2\n2;"a;b";<0,5\n3;"line\nline";9\n'
REDCAP = [
    {"record_id": "1", "redcap_repeat_instrument": "", "name": CANARY},
    {"record_id": "1", "redcap_repeat_instrument": "lab", "name": ""},
]
SMALL = [["id", "name", "Hb"], ["p1", CANARY, 11.5], [None, "b", -3], ["p2", "#N/A", True]]
EAV = [{"record": "1", "field_name": "name", "value": CANARY, "redcap_event_name": ""}]
OWN = (
    ("a.csv", "delimited", "", CSV.encode()),
    ("b.csv", "delimited", "", CSV.encode("cp1252")),
    ("c.csv", "delimited", "", CSV.encode("utf-16")),
    ("a.xlsx", "excel", "", workbook()),
    ("a.ods", "excel", "", open_document()),
    ("a.xls", "excel", "", b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(1536)),
    ("person.parquet", "omop", "person", parquet()),
    ("person.csv", "omop", "person", f"person_id,name\n1,{CANARY}\n".encode()),
    ("p.json", "phenopackets", "subjects", json.dumps(PACKET).encode()),
    ("q.json", "phenopackets", "features", json.dumps([PACKET, PACKET]).encode()),
    ("f.json", "fhir", "patients", json.dumps(PATIENT).encode()),
    ("f.ndjson", "fhir", "patients", (json.dumps(PATIENT) + "\n").encode() * 3),
    ("r.json", "redcap", "", json.dumps(REDCAP).encode()),
    ("e.json", "redcap", "", json.dumps(EAV).encode()),
    ("r.csv", "redcap", "", f"record_id,name,lab_complete\n1,{CANARY},2\n".encode()),
    ("peek.csv", "peek", "", CSV.encode()),
    ("peek.xlsx", "peek", "", workbook()),
    ("mapping.xlsx", "mapping", "", mapping_workbook()),
    ("b.xlsx", "excel", "", content()),
    ("b.xls", "excel", "", (WORKBOOKS / "content.xls").read_bytes()),
    ("c.xls", "excel", "", (WORKBOOKS / "calendar1904.xls").read_bytes()),
    ("b.ods", "excel", "", (WORKBOOKS / "content.ods").read_bytes()),
    ("b.xlsb", "excel", "", binary_workbook(("A", SMALL), merged=[(1, 2, 0, 0)])),
    ("peek.ods", "peek", "", (WORKBOOKS / "content.ods").read_bytes()),
    ("peek.xlsb", "peek", "", binary_workbook(("A", SMALL), ("B", SMALL))),
)


def samples(folder: Path, data: Path | None) -> Iterator[dict[str, str]]:
    """Yield where each sample is, under which name and as what it is to be read."""
    for name, form, sheet, data_of in OWN:
        (folder / name).write_bytes(data_of)
        yield {"path": str(folder / name), "name": name, "format": form, "sheet": sheet}
    for pattern, form, sheets in REAL if data else ():
        for path in sorted(data.glob(pattern))[:MOST_FILES]:
            if path.stat().st_size < 50_000:
                for sheet in sheets:
                    yield {"path": str(path), "name": path.name, "format": form, "sheet": sheet}


def fuzz(tmp_path: Path, first: int, count: int) -> None:
    """Read `count` spoiled samples; fail with all that went wrong."""
    for name in ("samples", "work", "work/inbox", "work/read"):
        (tmp_path / name).mkdir()
    data = ROOT.parent / "shared" / "data"
    job = {
        "samples": list(samples(tmp_path / "samples", data if data.is_dir() else None)),
        "folder": str(tmp_path / "work"),
        "memory": MEMORY_BYTES,
        "canaries": CANARIES,
        "end": first + count,
    }
    died = []
    while first < job["end"]:
        (tmp_path / "job.json").write_text(json.dumps({**job, "first": first}))
        done = subprocess.run(
            [sys.executable, "-m", "tests.integration.readers.fuzz_child",
             str(tmp_path / "job.json")],
            env={**ENVIRONMENT, "PYTHONPATH": str(ROOT)},
            cwd=ROOT, capture_output=True, text=True, check=False,
        )  # fmt: skip
        if not done.returncode:
            break
        died.append((seed := int((tmp_path / "work" / "seed").read_text()), done.returncode))
        assert len(died) <= count / 1_000, f"{died} {done.stderr[-500:]}"
        first = seed + 1
    told = list(map(json.loads, (tmp_path / "work" / "told.jsonl").read_text().splitlines()))
    tell(told, died)
    assert [one for one in told if one["wrong"]] == []
    assert {code for _, code in died} <= OUTLIVED
    lost = [job["samples"][seed % len(job["samples"])]["format"] for seed, _ in died]
    assert "mapping" not in lost, "it is read in the parent, whom nobody outlives"
    assert len(told) == count - len(died)
    assert max(one["seconds"] for one in told) < MOST_SECONDS
    assert max(one["peak"] for one in told) < MOST_BYTES
    assert sum(one["end"] == "table" for one in told) > count / 20, (
        "hardly any file survives: the mutations are too rough"
    )


def tell(told: list[dict[str, Any]], died: list[tuple[int, int]]) -> None:
    """Write what came of the files; seen with `pytest -rP`."""
    ends = Counter((one["format"], one["end"]) for one in told)
    lines = [f"{form:13} {end:8} {number:6}" for (form, end), number in sorted(ends.items())]
    for what in ("seconds", "peak"):
        most = max(told, key=lambda one: float(one[what]))
        lines.append(f"most {what}: {most}")
    sys.stdout.write("\n".join([*lines, f"died: {died}", ""]))


def test_two_thousand_spoiled_files(tmp_path: Path) -> None:
    fuzz(tmp_path, first=0, count=2_000)


@pytest.mark.audit
@pytest.mark.parametrize("first", range(10_000, 110_000, 10_000))
def test_a_hundred_thousand_spoiled_files(tmp_path: Path, first: int) -> None:
    fuzz(tmp_path, first=first, count=10_000)


def read_spoiled(folder: Path, first: int, count: int) -> Counter[str]:
    """Read an inbox of spoiled files and a good one as a centre does; count how they end."""
    for name in ("samples", "inbox"):
        (folder / name).mkdir(parents=True)
    data = ROOT.parent / "shared" / "data"
    kinds = [
        one
        for one in samples(folder / "samples", data if data.is_dir() else None)
        if one["format"] not in ("mapping", "peek")
    ]
    (folder / "inbox" / "good.csv").write_text("id;x\n1;2,5\n")
    sources = [Source("good", "", "good.csv", "delimited", "id")]
    for seed in range(first, first + count):
        sample = kinds[seed % len(kinds)]
        (folder / "inbox" / str(seed)).mkdir()
        path = folder / "inbox" / str(seed) / sample["name"]
        path.write_bytes(mutated(Path(sample["path"]).read_bytes(), seed))
        file = f"{seed}/{sample['name']}"
        sources.insert(0, Source(f"s{seed}", "", file, sample["format"], "id", sample["sheet"]))
    with duckdb.connect() as connection:
        read = read_inbox(sources, folder / "inbox", folder / "read", connection)
        assert connection.execute("select x from source.good").fetchall() == [("2,5",)]
        for table in read.tables:
            connection.execute(f'select count(*) from source."{table.source}"')
    told = {one.source: one for one in read.refused}
    ended = {"good", *told} | {table.source for table in read.tables}
    assert ended == {source.source for source in sources}
    for source in sources[:-1]:
        if refusal := told.get(source.source):
            assert refusal.file == source.file
            assert refusal.message.startswith(source.file)
            assert not any(canary in refusal.message for canary in CANARIES), source
    return Counter("refused" if source.source in told else "table" for source in sources[:-1])


def test_an_inbox_of_spoiled_files(tmp_path: Path) -> None:
    """Whatever the reading child dies of, the parent lives and reads the rest."""
    assert read_spoiled(tmp_path, first=0, count=30)["refused"] > 0


@pytest.mark.audit
def test_fifty_inboxes_of_spoiled_files(tmp_path: Path) -> None:
    ends = Counter[str]()
    for number in range(50):
        ends += read_spoiled(tmp_path / str(number), first=1_000 * number, count=40)
    sys.stdout.write(f"{dict(ends)}\n")
    assert ends.total() == 2_000
