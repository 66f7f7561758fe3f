"""Workbooks whose extent cannot be looked up beforehand cost the reading process, not the run."""

import re
import resource
import struct
from pathlib import Path

import duckdb
import pytest

from tests.spec.readers.test_excel import open_document
from tests.spec.readers.workbooks.binary import binary_workbook
from transforms.mapping import Source
from transforms.readers.isolation import read_inbox


XLS = Path(__file__).parents[2] / "spec" / "readers" / "workbooks" / "calendar1900.xls"
MEMORY_KB = 1_500 * 1024
DIMENSIONS = re.compile(rb"(?s)\x00\x02\x0e\x00.{14}")


def far_xlsb() -> bytes:
    """One row of two cells at the far end of the largest sheet there can be."""
    return binary_workbook(("A", [["id", *[None] * 16_382, "x"]]), first_row=1_048_575)


def wide_xls() -> bytes:
    """A small sheet that declares four thousand million rows of 65,535 columns."""
    extent = struct.pack("<HHIIHHH", 0x200, 14, 0, 0xFFFF_FFFF, 0, 0xFFFF, 0)
    return DIMENSIONS.sub(lambda _: extent, XLS.read_bytes(), count=1)


def repeating_ods() -> bytes:
    """One cell that is said to stand in every place of the largest sheet there can be."""
    cell = (
        '<table:table-cell office:value-type="string" table:number-columns-repeated="16384">'
        "<text:p>x</text:p></table:table-cell>"
    )
    rows = f'<table:table-row table:number-rows-repeated="1048576">{cell}</table:table-row>'
    return open_document(rows)


@pytest.mark.parametrize(
    ("name", "bomb"),
    [("far.xlsb", far_xlsb), ("wide.xls", wide_xls), ("repeating.ods", repeating_ods)],
)
def test_a_bomb_is_refused_by_name_and_the_rest_is_read(tmp_path, name, bomb):
    inbox = tmp_path / "inbox"
    inbox.mkdir()
    (inbox / name).write_bytes(bomb())
    (inbox / "good.csv").write_text("id;x\n1;2\n")
    sources = [
        Source("bomb", "", name, "excel", "id"),
        Source("good", "", "good.csv", "delimited", "id"),
    ]
    read = read_inbox(sources, inbox, tmp_path / "read", duckdb.connect())
    assert [table.source for table in read.tables] == ["good"]
    assert [one.file for one in read.refused] == [name]
    assert read.refused[0].message.startswith((f"{name}: ", f"{name}, sheet 1: "))
    assert re.search("CSV|save it again", read.refused[0].message)
    assert resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss < MEMORY_KB
