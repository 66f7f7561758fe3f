"""Files that are, or declare, far more than they should: left out by name, the rest is read.

Which check refuses them is tested, not the seconds; `measure_giants.py` tells these.
"""

import errno
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.integration.readers.bad_files import sheet_xml, workbook
from transforms.fingerprints import fingerprints
from transforms.mapping import Source
from transforms.readers import keeper
from transforms.readers.child import answer
from transforms.readers.isolation import Inbox, read_inbox


ROWS = {"person.parquet": 6_000_000, "cdm.duckdb": 100_000_000}


def source(name: str, file: str, form: str = "delimited", sheet: str = "") -> Source:
    return Source(source=name, system="", file=file, format=form, sheet=sheet, id_column="id")


@pytest.fixture
def inbox(tmp_path: Path) -> Path:
    """An inbox with one good file."""
    folder = tmp_path / "inbox"
    folder.mkdir()
    (folder / "good.csv").write_text("id;x\n1;2,5\n")
    return folder


@pytest.fixture
def asked(monkeypatch) -> list[tuple[str, tuple[str, ...]]]:
    """Which source a child was asked for, without which files."""
    told: list[tuple[str, tuple[str, ...]]] = []
    ask = keeper.Child.ask

    def noting(self: keeper.Child, one, names, left_out):
        told.append((one.source, tuple(left_out)))
        return ask(self, one, names, left_out)

    monkeypatch.setattr(keeper.Child, "ask", noting)
    return told


@pytest.fixture
def taken(inbox: Path, tmp_path: Path) -> Callable[..., Inbox]:
    """Read sources, and the good file as the last of them."""

    def run(*sources: Source) -> Inbox:
        good = source("good", "good.csv")
        read = read_inbox([*sources, good], inbox, tmp_path / "read", duckdb.connect())
        assert "good" in {table.source for table in read.tables}
        return read

    return run


def test_a_sparse_giant_costs_no_child_and_is_told_of_every_source(inbox, taken, asked) -> None:
    (inbox / "giant.csv").write_bytes(b"id;x\n1;2\n")
    os.truncate(inbox / "giant.csv", 8 * 2**30)
    read = taken(source("a", "giant.csv"), source("b", "*.csv"))
    assert [(one.source, one.file) for one in read.refused] == [
        ("a", "giant.csv"), ("b", "giant.csv"),
    ]  # fmt: skip
    assert read.refused[0].message.startswith("giant.csv: long stretches of it hold nothing")
    assert asked == [("b", ("giant.csv",)), ("good", ())]


def parquet_bomb(path: Path) -> None:
    pq.write_table(pa.table({"person_id": pa.repeat(1, ROWS[path.name])}), path)


def database_bomb(path: Path) -> None:
    with duckdb.connect(str(path)) as connection:
        rows = f"range({ROWS[path.name]})"
        connection.execute(f"create table person as select 1 as person_id from {rows}")


@pytest.mark.parametrize(
    ("name", "make"), [("person.parquet", parquet_bomb), ("cdm.duckdb", database_bomb)]
)
def test_a_table_that_declares_too_much_is_not_read(inbox, taken, name, make) -> None:
    make(inbox / name)
    (refused,) = taken(source("bomb", name, "omop", "person")).refused
    assert refused.message.startswith(f"{name}: it declares {ROWS[name]} rows of 1 columns in ")


def far_cell() -> bytes:
    """A workbook of some kilobytes with a text in the last row of the largest sheet."""
    text = '<c r="{}" t="inlineStr"><is><t>id</t></is></c>'
    rows = (f'<row r="{row}">{text.format(f"{column}{row}")}</row>'
            for column, row in (("A", 1), ("R", 1_048_576)))  # fmt: skip
    return sheet_xml("", f"<sheetData>{''.join(rows)}</sheetData>")


def test_a_small_file_that_takes_long_is_found_among_others_at_once(
    inbox, taken, asked, monkeypatch
) -> None:
    """It is given its own time, not that of all, and nobody tries it again."""
    monkeypatch.setattr(keeper, "SECONDS", 1)
    (inbox / "a.xlsx").write_bytes(workbook())
    (inbox / "far.xlsx").write_bytes(far_cell())
    read = taken(source("books", "*.xlsx", "excel"), source("again", "far.xlsx", "excel"))
    assert {one.file for one in read.refused} == {"far.xlsx"}
    assert "stopped after 1 s" in read.refused[0].message
    assert asked == [("books", ()), ("books", ("far.xlsx",)), ("good", ())]


def test_patience_wears_out(inbox, taken, monkeypatch) -> None:
    monkeypatch.setattr(keeper, "SECONDS", 2)
    monkeypatch.setattr(keeper, "PATIENT_WITH", 1)
    for number in (1, 2):
        (inbox / f"{number}.xlsx").write_bytes(far_cell())
    read = taken(source("one", "1.xlsx", "excel"), source("two", "2.xlsx", "excel"))
    assert ["stopped after 2 s" in one.message for one in read.refused] == [True, False]
    assert "stopped after 1 s" in read.refused[1].message


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("cell.csv", b"id;x\n1;" + b"a" * (40 << 20) + b"\n2;3\n", "data row 1 is longer than 32"),
        ("open.csv", b'id;x\n1;"' + b"a;b\n" * (10 << 20), "never closed"),
        ("odd.csv", "id;x\n1;é\n".encode("utf-16") + b"\0", "bytes that are not utf-16"),
        ("ragged.csv", b"id;x\n" + b"1\n" * (1 << 20), "more than 1000 rows have 1"),
        ("packed.csv", b"\x1f\x8b\x08" + bytes(100), "gzip-compressed"),
    ],
)
def test_large_and_odd_texts_are_refused_by_their_reader(inbox, taken, name, content, said) -> None:
    (inbox / name).write_bytes(content)
    (refused,) = taken(source("bad", name)).refused
    assert said in refused.message
    assert "stopped" not in refused.message


@pytest.mark.parametrize(
    ("name", "content", "form", "sheet", "said"),
    [
        ("a.ndjson", b'{"resourceType": "Patient", "id": "' + b"a" * (51 << 20) + b'"}\n', "fhir",
         "patients", "line 1 is longer than 50 MB"),
        ("b.ndjson", b"\n" * 1_000_002, "fhir", "patients", "lines are empty"),
        ("c.json", b"[" + b"null," * 2_000_000 + b"null]", "redcap", "", "each an object"),
        ("d.json", b"[" + b"null," * 2_000_000 + b"null]", "phenopackets", "subjects", "an object"),
        ("e.json", b'{"a":' * 1_000_000 + b"1" + b"}" * 1_000_000, "phenopackets", "subjects",
         "nested too deeply"),
    ],
)  # fmt: skip
def test_large_and_odd_json_is_refused_by_its_reader(
    inbox, taken, name, content, form, sheet, said
) -> None:
    (inbox / name).write_bytes(content)
    (refused,) = taken(source("bad", name, form, sheet)).refused
    assert said in refused.message
    assert "stopped" not in refused.message


def test_twenty_thousand_columns_of_one_name_are_told_apart() -> None:
    from transforms.readers.relation import column_names

    names = column_names(["a", "A (2)", "a", "a"])
    assert names == ("a", "A (2)", "a (3)", "a (4)")
    assert len(set(column_names(["a"] * 20_000))) == 20_000


def test_a_source_of_more_files_than_may_be_open(inbox, taken) -> None:
    for number in range(300):
        (inbox / f"patient_{number}.csv").write_text(f"id;x\n{number};1\n")
    read = taken(source("all", "patient_*.csv"))
    assert [table.rows for table in read.tables if table.source == "all"] == [300]
    assert read.refused == ()


def test_folders_too_deep_to_be_named_are_told_and_the_rest_is_read(inbox, taken) -> None:
    before = os.getcwd()
    os.chdir(inbox)
    try:
        for _ in range(1200):
            os.mkdir("deep")
            os.chdir("deep")
        Path("lost.csv").write_text("id;x\n1;2\n")
    finally:
        os.chdir(before)
    try:
        read = taken(source("all", "**/*.csv"))
        (refused,) = read.refused
        assert "a folder that cannot be looked into; check its permissions" in refused.message
        assert len(refused.message) < 400
        fingerprint = fingerprints(inbox, inbox.parent / "work")
        assert len(fingerprint) == 2  # the good file, and the folder by its name
    finally:
        _remove_deep(inbox / "deep")


def _remove_deep(folder: Path) -> None:
    """Take away folders that the system cannot name any more, from the outside in."""
    while (folder / "deep").is_dir():
        (folder / "deep").rename(folder.with_name("next"))
        folder.rmdir()
        folder.with_name("next").rename(folder)
    shutil.rmtree(folder)


def test_a_file_that_may_not_be_opened_costs_itself_alone(inbox, monkeypatch) -> None:
    """Its fingerprint is that of its name; the child tells of what the system refuses."""
    (inbox / "closed.csv").write_text("id;x\n1;2\n")
    opened = Path.open

    def refusing(self: Path, *arguments: object, **named: object) -> object:
        if self.name == "closed.csv":
            raise PermissionError(errno.EACCES, "Permission denied", str(self))
        return opened(self, *arguments, **named)

    monkeypatch.setattr(Path, "open", refusing)
    assert len(fingerprints(inbox, inbox.parent / "work")) == 2
    request = {"source": vars(source("a", "closed.csv", "peek")) | {"sheet": ""}, "left_out": [],
               "inbox": str(inbox), "folder": str(inbox.parent)}  # fmt: skip
    told = answer(request)
    assert told == {
        "refused": "closed.csv: cannot be read (Permission denied); check its permissions"
    }
