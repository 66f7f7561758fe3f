"""A search for texts looks into archives and tables, but not without end."""

import gzip
import io
import zipfile
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from transforms.traces import traces


TEXT = "P-4711"


def zipped(content: bytes, name: str = "a.csv") -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(name, content)
    return stream.getvalue()


@pytest.mark.parametrize(
    ("content", "found"),
    [
        (zipped(f"id;{TEXT};x".encode()), True),
        (zipped(gzip.compress(TEXT.encode())), True),
        (zipped(zipped(TEXT.encode("utf-16"))), True),
        (zipped(b"nothing of the kind"), False),
        (zipped(b"nothing", f"{TEXT}.csv"), True),
        (zipped(TEXT.encode())[:-30], False),  # no archive any more: its bytes are searched
        (zipped(bytes(200 * 2**20)), True),  # 200 kB that unfold to 200 MB: nobody looked
        (gzip.compress(bytes(100 * 2**20)), True),
        (zipped(gzip.compress(bytes(100 * 2**20))), True),
        (zipped(bytes(range(256)) * 2**18), False),  # 64 MB, not more than is looked at
    ],
)
def test_archives(tmp_path: Path, content: bytes, found: bool) -> None:
    (tmp_path / "a").write_bytes(content)
    assert traces(tmp_path, [TEXT]) == ((tmp_path / "a",) if found else ())


@pytest.mark.parametrize(
    ("column", "found"),
    [
        (["a", TEXT, None], True),
        (["a", f"x{TEXT}"], False),
        ([["a"], [TEXT], None], True),
        (pa.array(["a", TEXT] * 1000).dictionary_encode(), True),
        ([4711, 12], False),
        (pa.repeat("a", 6_000_000), True),  # far more than the file can mean: nobody looked
        (pa.DictionaryArray.from_arrays(pa.repeat(0, 5000), pa.array(["x" * 100_000])), False),
    ],
)
def test_tables(tmp_path: Path, column: object, found: bool) -> None:
    pq.write_table(pa.table({"a": column}), tmp_path / "a.parquet", compression="zstd")
    assert bool(traces(tmp_path, [TEXT])) is found


def test_a_number_in_a_table_is_found_as_it_is_written(tmp_path: Path) -> None:
    pq.write_table(pa.table({"a": [4711, 12]}), tmp_path / "a.parquet")
    assert traces(tmp_path, ["4711"])
