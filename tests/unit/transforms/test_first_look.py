"""What a few bytes of a giant tell; sparse files stand for gigabytes that nobody wrote."""

import hashlib
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from transforms.fingerprints import fingerprints
from transforms.first_look import AT_ONCE, hopeless, is_inflated


SIZE = AT_ONCE + 2**20
PATIENT = b'{"resourceType": "Patient", "id": "1"}\n'


@pytest.fixture
def giant(tmp_path: Path) -> Callable[..., Path]:
    """Return a function that makes a file of some bytes, which go on as nothing at all."""

    def make(name: str, start: bytes, size: int = SIZE) -> Path:
        path = tmp_path / "inbox" / name
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(start)
        os.truncate(path, size)
        return path

    return make


@pytest.mark.parametrize(
    ("name", "start", "said"),
    [
        ("a.csv", b"", "hold nothing"),
        ("a.csv", b"id;x\n" + b"1;2\n" * 100_000, "hold nothing"),
        ("a.ndjson", PATIENT * 1000, "hold nothing"),
        ("cdm.duckdb", b"\0" * 8 + b"DUCK", "hold nothing"),
        ("person.parquet", b"PAR1", "cut off"),
        ("a.xlsx", b"PK\x03\x04", "at most 200 MB"),
        ("a.xls", b"\xd0\xcf\x11\xe0", "at most 200 MB"),
        ("bundle.json", b'{"resourceType": "Bundle", "entry": [', "at most 200 MB"),
        ("records.json", b'[\n{"record_id": "1"}', "at most 200 MB"),
        ("a.csv.gz", b"\x1f\x8b\x08", "unpacked"),
    ],
)
def test_a_giant_that_nobody_can_read_is_known(giant, name, start, said) -> None:
    reason = hopeless(giant(name, start))
    assert said in reason
    assert ";" in reason or ":" in reason, "with a remedy"


def test_a_giant_without_a_line_end_is_known(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_bytes(b"a;" * (SIZE // 2))
    assert "no line end" in hopeless(path)


@pytest.mark.parametrize(
    ("name", "line"),
    [
        ("a.csv", b"id;x;y\n"),
        ("wide.csv", "id;x;é\n".encode("utf-16-le")),
        ("old.csv", b"id;x;y\r"),
        ("a.ndjson", PATIENT),
        ("patients.json", PATIENT),  # NDJSON, whatever it is called
    ],
)
def test_an_honest_giant_is_read(tmp_path: Path, name: str, line: bytes) -> None:
    path = tmp_path / name
    path.write_bytes(line * (SIZE // len(line) + 1))
    assert hopeless(path) == ""


def test_what_is_no_giant_is_left_to_its_reader(giant) -> None:
    assert hopeless(giant("a.csv", b"", AT_ONCE)) == ""


def test_a_hopeless_giant_is_not_fingerprinted_to_its_end(giant, tmp_path, monkeypatch) -> None:
    path = giant("a.csv", b"id\n", 8 * 2**30)
    monkeypatch.setattr(hashlib, "file_digest", lambda *_: pytest.fail("read to its end"))
    ((_, first),) = fingerprints(path.parent, tmp_path / "work")
    path.touch()
    ((_, touched),) = fingerprints(path.parent, tmp_path / "work")
    os.truncate(path, 8 * 2**30 + 1)
    ((_, longer),) = fingerprints(path.parent, tmp_path / "work")
    assert first == touched != longer


def test_cells_beyond_what_the_bytes_can_mean() -> None:
    assert is_inflated(5_000_001, 1_000)
    assert not is_inflated(5_000_000, 1_000)  # few bytes may still be an honest small table
    assert not is_inflated(200 * 10**6, 2 * 10**6)
    assert is_inflated(200 * 10**6 + 1, 2 * 10**6)
