"""A whole inbox is read whatever lies in it: bad files are left out by name, the rest is there."""

import json
import os
import resource
import signal
import time
from collections.abc import Callable
from pathlib import Path

import duckdb
import pytest

from tests.integration.readers.bad_files import BAD, SECRET, workbook
from transforms.errors import SetupError, SourceError
from transforms.mapping import Source
from transforms.readers import keeper
from transforms.readers.isolation import Inbox, read_inbox


GOOD = "id;x\n1;2,5\n2;3,5\n"


def source(name: str, file: str, form: str = "delimited", sheet: str = "") -> Source:
    return Source(source=name, system="", file=file, format=form, sheet=sheet, id_column="id")


@pytest.fixture
def inbox(tmp_path: Path) -> Path:
    """An inbox with one good file."""
    folder = tmp_path / "inbox"
    folder.mkdir()
    (folder / "good.csv").write_text(GOOD)
    return folder


@pytest.fixture
def taken(inbox: Path, tmp_path: Path) -> Callable[..., tuple[Inbox, duckdb.DuckDBPyConnection]]:
    """Read sources, and the good file as the last of them."""

    def run(*sources: Source) -> tuple[Inbox, duckdb.DuckDBPyConnection]:
        connection = duckdb.connect()
        folder = tmp_path / "read"
        return read_inbox(
            [*sources, source("good", "good.csv")], inbox, folder, connection
        ), connection

    return run


def rows(connection: duckdb.DuckDBPyConnection) -> list[tuple[str, ...]]:
    return connection.execute("select id, x from source.good order by 1").fetchall()


def test_bad_files_are_refused_by_name_and_the_good_one_is_read(inbox, taken) -> None:
    for number, bad in enumerate(BAD):
        (inbox / f"{number}").mkdir()
        (inbox / f"{number}" / bad.name).write_bytes(bad.make())
    started = time.monotonic()
    read, connection = taken(
        *(source(f"s{n}", f"{n}/{bad.name}", bad.format, bad.sheet) for n, bad in enumerate(BAD))
    )
    print(  # noqa: T201 - seen with `pytest -s`; nothing is timed by a test
        f"{len(BAD)} bad files in {time.monotonic() - started:.1f} s; largest child "
        f"{resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024:.0f} MB"
    )
    assert rows(connection) == [("1", "2,5"), ("2", "3,5")]
    said = {refusal.source: refusal for refusal in read.refused}
    assert len(said) == len(BAD)
    unclear = [
        (bad.said, said[f"s{number}"].message)
        for number, bad in enumerate(BAD)
        if bad.said not in said[f"s{number}"].message
    ]
    assert unclear == []
    for number, bad in enumerate(BAD):
        refusal = said[f"s{number}"]
        assert refusal.file == f"{number}/{bad.name}"
        assert refusal.message.startswith(refusal.file)
        assert SECRET not in refusal.message
        assert "root:" not in refusal.message
        assert "stopped" not in refusal.message, "refused by the reader, not by a limit"


def test_two_files_that_contradict_each_other_leave_the_rest(inbox, taken) -> None:
    """Nobody can know which of two versions holds: the second is left out, and it is said."""
    for name, day in (("a.json", "1987-01-02"), ("b.json", "1987-02-01")):
        patient = {"resourceType": "Patient", "id": "p1", "birthDate": day}
        (inbox / name).write_text(json.dumps(patient))
    read, connection = taken(source("people", "*.json", "fhir", "patients"))
    assert rows(connection) == [("1", "2,5"), ("2", "3,5")]
    births = connection.execute("select birth_date from source.people").fetchall()
    assert births == [("1987-01-02",)]
    (refusal,) = read.refused
    assert refusal.file == "b.json"
    assert "with different content and without a date" in refusal.message


def test_one_bad_file_of_a_source_leaves_its_others(inbox, taken) -> None:
    (inbox / "good2.csv").write_text("id;x\n3;4\n")
    (inbox / "good3.csv").write_text("id;x\n3;4;5\n")
    read, connection = taken(source("all", "good*.csv"))
    assert connection.execute("select id from source.all order by 1").fetchall() == [
        ("1",), ("2",), ("3",),
    ]  # fmt: skip
    assert [(one.source, one.file) for one in read.refused] == [("all", "good3.csv")]


def test_bad_files_do_not_cost_every_source_again(inbox, taken, monkeypatch) -> None:
    for number in range(5):
        (inbox / f"bad{number}.json").write_text('{"id": 1, "id": 2}')
    asked: list[str] = []
    ask = keeper.Child.ask

    def counting(child, source, names, left_out):
        asked.append(source.source)
        return ask(child, source, names, left_out)

    monkeypatch.setattr(keeper.Child, "ask", counting)
    blocks = ("subjects", "features", "diseases", "measurements")
    read, _ = taken(*(source(block, "*.json", "phenopackets", block) for block in blocks))
    assert {one.file for one in read.refused} == {f"bad{number}.json" for number in range(5)}
    # two sources try each file once; a third and a fourth know them all
    assert [asked.count(block) for block in blocks] == [5, 5, 0, 0]


def test_links_pipes_and_devices_are_no_files(inbox, taken, tmp_path) -> None:
    (tmp_path / "secret.csv").write_text(f"id;x\n{SECRET};1\n")
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "b.csv").write_text(f"id;x\n{SECRET};1\n")
    (inbox / "link.csv").symlink_to(tmp_path / "secret.csv")
    (inbox / "folder").symlink_to(tmp_path / "elsewhere")
    os.mkfifo(inbox / "pipe.csv")
    with pytest.raises(SourceError, match="no file in"):
        taken(source("b", "folder/*.csv"))
    read, connection = taken(source("link", "link.csv"), source("pipe", "*pe.csv"))
    assert rows(connection)
    assert {refusal.file for refusal in read.refused} == {"link.csv", "pipe.csv", "folder"}
    assert all("put the file itself into the inbox" in one.message for one in read.refused)


def test_a_name_that_cannot_be_shown_costs_its_file_alone(inbox, taken) -> None:
    names = (b"good\n2.csv", b"good\x1b[2J.csv", b"good\xff.csv", "good\u2028.csv".encode())
    for name in names:
        (inbox / os.fsdecode(name)).write_text(GOOD)
    (inbox / "good d\u00a0une \u202fMère.csv").write_text("id;x\n5;6\n")
    read, connection = taken(source("all", "good*.csv"), source("one", "good\n2.csv"))
    assert len(connection.execute("from source.all").fetchall()) == 3
    assert rows(connection)
    assert len(read.refused) == len(names)
    for refusal in read.refused:
        assert refusal.message.isprintable()
        assert refusal.message.isascii()
        assert refusal.message.endswith("; rename it")


def test_nothing_that_can_be_read_is_an_error(inbox, tmp_path) -> None:
    (inbox / "bad.csv").write_bytes(b"")
    with pytest.raises(SourceError, match=r"bad\.csv: the file is empty"):
        read_inbox([source("a", "bad.csv")], inbox, tmp_path / "read", duckdb.connect())


def test_sources_that_do_not_fit_the_inbox_are_told_together(inbox, taken) -> None:
    with pytest.raises(SourceError) as told:
        taken(source("a", "a.csv"), source("b", "../b.csv"), source("c", "good.csv", "stata"))
    assert len(str(told.value).splitlines()) == 3


def test_a_reader_that_dies_costs_its_file(inbox, taken, monkeypatch) -> None:
    """The first child is gone before it can answer; the second one reads the rest."""
    start, died = keeper.Child._start, []

    def fatal(self: keeper.Child):
        process = start(self)
        if not died:
            died.append(process.pid)
            os.kill(process.pid, signal.SIGSEGV)
        return process

    monkeypatch.setattr(keeper.Child, "_start", fatal)
    (inbox / "cruel.csv").write_text("id;x\n1;2\n")
    read, connection = taken(source("cruel", "cruel.csv"))
    assert [refusal.file for refusal in read.refused] == ["cruel.csv"]
    assert "signal 11" in read.refused[0].message
    assert rows(connection)


def test_a_reader_that_takes_too_long_is_stopped(inbox, taken, monkeypatch) -> None:
    (inbox / "slow.xlsx").write_bytes(workbook(30_000))
    monkeypatch.setattr(keeper, "SECONDS", 1)
    start = keeper.Child._start

    def stopped(self: keeper.Child):
        process = start(self)
        if monkeypatch is not None and not hasattr(stopped, "done"):
            stopped.done = True
            os.kill(process.pid, signal.SIGSTOP)
        return process

    monkeypatch.setattr(keeper.Child, "_start", stopped)
    read, connection = taken(source("slow", "slow.xlsx", "excel"))
    assert "stopped after 1 s" in read.refused[0].message
    assert rows(connection)


def test_a_reader_that_needs_too_much_memory_is_stopped(inbox, taken, monkeypatch) -> None:
    monkeypatch.setattr(keeper, "MEMORY_BYTES", 400 * 2**20)
    (inbox / "large.json").write_bytes(b'{"id": "a", "x": [' + b"[1]," * 8_000_000 + b"1]}")
    read, connection = taken(source("large", "large.json", "phenopackets", "subjects"))
    assert "memory" in read.refused[0].message
    assert rows(connection)


def test_no_room_on_the_disk_is_told_and_leaves_nothing(inbox, taken, monkeypatch) -> None:
    """A file-size limit stands in for a full disk: the system reports both in the same way."""
    usage = keeper.shutil.disk_usage

    class Full:
        free = 64

    monkeypatch.setattr(keeper.shutil, "disk_usage", lambda path: Full)
    with pytest.raises(SetupError, match="no room"):
        taken()
    monkeypatch.setattr(keeper.shutil, "disk_usage", usage)
    assert rows(taken()[1])


def test_the_child_sees_no_keys_no_network_and_no_secrets(inbox, tmp_path) -> None:
    (tmp_path / "read").mkdir()
    with keeper.Child(inbox, tmp_path / "read") as child:
        process = child._start()
        environment = Path(f"/proc/{process.pid}/environ").read_text()
        limits = Path(f"/proc/{process.pid}/limits").read_text()
    names = {line.partition("=")[0] for line in environment.split("\0") if line}
    assert names <= {*keeper.ENVIRONMENT, "LC_CTYPE"}
    assert f"Max data size             {keeper.MEMORY_BYTES}" in limits
    assert "Max core file size        0" in limits
