"""Files that no centre should send, each with the format that a mapping would declare for it."""

import io
import zipfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import openpyxl
import pyarrow as pa
import pyarrow.parquet as pq


__all__ = ["BAD", "SECRET", "Bad", "workbook"]

SECRET = "Dupont"  # stands in every file, may stand in no message

LARGE = '"x": ' + "9" * 200_000


@dataclass(frozen=True)
class Bad:
    """A file, how it would be read, and a part of what is said of it."""

    name: str
    format: str
    make: Callable[[], bytes]
    said: str
    sheet: str = ""


def workbook(rows: int = 3) -> bytes:
    """Return a small workbook as Excel would save it."""
    book = openpyxl.Workbook()
    sheet = book.active
    sheet.append(["id", "name"])
    for row in range(rows):
        sheet.append([row, SECRET])
    stream = io.BytesIO()
    book.save(stream)
    return stream.getvalue()


def rezipped(changes: Mapping[str, bytes]) -> bytes:
    """Return a workbook with some entries changed or added."""
    stream = io.BytesIO()
    with (
        zipfile.ZipFile(io.BytesIO(workbook())) as old,
        zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as new,
    ):
        for name in dict.fromkeys([*old.namelist(), *changes]):
            new.writestr(name, changes[name] if name in changes else old.read(name))
    return stream.getvalue()


def bomb() -> bytes:
    """Return a few hundred kilobytes that unfold to 300 MB."""
    return rezipped({"xl/worksheets/sheet1.xml": bytes(300 * 2**20)})


def nested_bomb() -> bytes:
    """Return an archive of archives, each of which unfolds to 100 MB."""
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as inner:
        inner.writestr("zeros", bytes(100 * 2**20))
    return rezipped({f"xl/{number}.zip": stream.getvalue() for number in range(1200)})


def sheet_xml(head: str, body: str) -> bytes:
    """Return a workbook whose sheet is as given."""
    namespace = "http://schemas.openxmlformats.org/spreadsheetml/2006/main"
    text = f'<?xml version="1.0"?>{head}<worksheet xmlns="{namespace}">{body}</worksheet>'
    return rezipped({"xl/worksheets/sheet1.xml": text.encode()})


def entity_bomb() -> bytes:
    """Return a billion laughs."""
    entities = "".join(f'<!ENTITY e{n} "{f"&e{n - 1};" * 10 if n else "ha"}">' for n in range(10))
    return sheet_xml(f"<!DOCTYPE x [{entities}]>", "<sheetData>&e9;</sheetData>")


def foreign_entity() -> bytes:
    """Return a sheet that asks for a file of the machine."""
    return sheet_xml(
        '<!DOCTYPE x [<!ENTITY e SYSTEM "file:///etc/passwd">]>', "<sheetData>&e;</sheetData>"
    )


def packet(extra: str) -> bytes:
    """Return a phenopacket with something after its subject."""
    return f'{{"id": "{SECRET}", "subject": {{"id": "{SECRET}"}}, {extra}}}'.encode()


def deep(levels: int) -> str:
    """Return lists in lists."""
    return '"notes": ' + "[" * levels + "]" * levels


def parquet_without_foot() -> bytes:
    """Return a Parquet file whose description was overwritten."""
    data = bytearray(parquet(pa.table({"person_id": [SECRET] * 10})))
    data[-200:-8] = b"\xff" * 192
    return bytes(data)


def parquet(table: pa.Table) -> bytes:
    """Return a Parquet file."""
    stream = io.BytesIO()
    pq.write_table(table, stream)
    return stream.getvalue()


def parquet_without_pages() -> bytes:
    """Return a Parquet file whose description is whole and whose rows were overwritten."""
    data = bytearray(parquet(pa.table({"person_id": [SECRET] * 10})))
    size = int.from_bytes(data[-8:-4], "little")
    data[4 : -8 - size] = b"\xff" * (len(data) - 12 - size)
    return bytes(data)


def resource(extra: str) -> bytes:
    """Return a FHIR patient with something more."""
    return f'{{"resourceType": "Patient", "id": "{SECRET}", {extra}}}'.encode()


BAD = (
    Bad("ragged.csv", "delimited", lambda: f"id;x\n1;{SECRET}\n2\n".encode(), "rows 3 have 1"),
    Bad("quotes.csv", "delimited", lambda: f'id;x\n1;"{SECRET}\n2;b\n'.encode(), "never closed"),
    Bad("swallow.csv", "delimited",
        lambda: f'id;x\n1;"{SECRET}\n2;b\n3;"{SECRET}"\n'.encode(), "quotation mark"),
    Bad("nul.csv", "delimited", lambda: f"id;x\n1;{SECRET}\0\n".encode(), "binary data"),
    Bad("control.csv", "delimited", lambda: f"id;x\n1;{SECRET}\x01\n".encode(), "binary data"),
    Bad("mixed.csv", "delimited",
        lambda: "id;x\n1;é\n".encode() + "2;é\n".encode("cp1252"), "another encoding"),
    Bad("wide.csv", "delimited", lambda: b"a;" * 1_000_000 + b"\n", "more than 20000"),
    Bad("long.csv", "delimited", lambda: b"id;x\n1;" + b"a" * 100_000_000 + b"\n", "longer than"),
    Bad("picture.csv", "delimited", lambda: b"\x89PNG\r\n\x1a\n" + bytes(range(256)), "export"),
    Bad("truncated.xlsx", "excel", lambda: workbook()[:3000], "damaged"),
    Bad("no.xlsx", "excel", lambda: SECRET.encode(), "is not one"),
    Bad("bomb.xlsx", "excel", bomb, "unfolds to"),
    Bad("nested.xlsx", "excel", nested_bomb, "entries"),
    Bad("entities.xlsx", "excel", entity_bomb, "no spreadsheet program writes"),
    Bad("foreign.xlsx", "excel", foreign_entity, "no spreadsheet program writes"),
    Bad("far.xlsx", "excel",
        lambda: sheet_xml("", '<sheetData><row r="1048576"><c r="XFD1048576"><v>1</v></c></row>'
                              "</sheetData>"), "cells"),
    Bad("old.xls", "excel", lambda: b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(5000), "cannot be"),
    Bad("twice.json", "phenopackets", lambda: packet('"id": "b"'), "twice", "subjects"),
    Bad("nan.json", "phenopackets", lambda: packet('"x": NaN'), "NaN", "subjects"),
    Bad("number.json", "phenopackets", lambda: packet(LARGE), "number", "subjects"),
    Bad("huge.json", "phenopackets", lambda: packet('"x": 1e999'), "number", "subjects"),
    Bad("deep.json", "phenopackets", lambda: packet(deep(10_000)), "nested", "subjects"),
    Bad("cut.json", "phenopackets", lambda: packet('"x": 1')[:-4], "JSON", "subjects"),
    Bad("twice.fhir.json", "fhir", lambda: resource('"id": "b"'), "twice", "patients"),
    Bad("nan.fhir.json", "fhir", lambda: resource('"x": NaN'), "NaN", "patients"),
    Bad("number.fhir.json", "fhir", lambda: resource(LARGE), "number", "patients"),
    Bad("deep.fhir.json", "fhir", lambda: resource(deep(10_000)), "nested", "patients"),
    Bad("person.parquet", "omop", parquet_without_foot, "Parquet", "person"),
    Bad("death.parquet", "omop", parquet_without_pages, "Parquet", "death"),
    Bad("empty.csv", "delimited", lambda: b"", "empty"),
)  # fmt: skip
