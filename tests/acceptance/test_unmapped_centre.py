"""From a workbook that nobody has described to a release: the edits that a person makes.

The lists below are all that has to be typed; everything else of the draft is looked at and approved
as it stands. What comes out must be what is true of the patients.
"""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import openpyxl
import pyarrow.parquet as pq
import pytest

from infra.demo.unmapped import SITE, synthesize_unmapped
from tests.acceptance.conftest import Typed


Marmor = Callable[..., Typed]

# Rows that are there: which, and what is written into them.
CORRECTED = [
    ({"column": "Calcium"}, {"unit": "mg/L"}),  # the laboratory was asked
    ({"field": "first_contact_date"}, {"column": "1ère venue", "rule": "date"}),
    ({"field": "dx_status"}, {"column": "Preuve", "rule": "recode"}),
]
# Rows that the draft does not have: table, field, source, column, rule, arg.
ADDED = [
    ("lab_measurement", "sample_date", "biologie", "Prélevé le", "date", "excel"),
    ("complication", "status[HP:0000572]", "patients", "Baisse vision", "recode", ""),
]
# Columns that the draft would leave behind and that are mapped now.
NOT_LEFT = ["Prélevé le", "1ère venue", "Preuve", "Baisse vision"]
# Words of the house: field, word, code; "sources" where more than one source has the word.
WORDS = [
    ("fracture", "trauma_level", "fractures", "chute simple", "low"),
    ("fracture", "trauma_level", "fractures", "sans choc", "none"),
    ("fracture", "trauma_level", "fractures", "accident", "high"),
    ("fracture", "bone_site", "fractures", "fémur (diaphyse)", "femur_shaft"),
    ("fracture", "bone_site", "fractures", "fémur bas", "femur_distal"),
    ("fracture", "healing_outcome", "fractures", "lente", "delayed_union"),
    ("variant", "zygosity", "patients", "htz", "heterozygous"),
    ("variant", "zygosity", "patients", "hmz", "homozygous"),
    ("variant", "zygosity", "patients", "htz composite", "compound_heterozygous"),
    ("variant", "zygosity", "patients_2", "htz", "heterozygous"),
    ("variant", "zygosity", "patients_2", "hmz", "homozygous"),
    ("variant", "zygosity", "patients_2", "htz composite", "compound_heterozygous"),
    ("death_followup", "vital_status", "patients", "DCD", "dead"),
    ("death_followup", "vital_status", "patients", "PDV", "lost"),
    ("diagnosis", "dx_status", "patients", "génétique", "confirmed_genetic"),
    ("diagnosis", "dx_status", "patients", "radios", "confirmed_radiographic"),
    ("diagnosis", "dx_subtype", "patients", "apparenté sain porteur", "CARRIER_UNAFFECTED"),
    ("diagnosis", "dx_subtype", "patients", "CA II", "CA2D"),
    ("diagnosis", "dx_subtype", "patients", "maligne TCIRG1", "ARO_TCIRG1"),
    ("diagnosis", "dx_subtype", "patients", "maligne CLCN7", "ARO_CLCN7"),
    ("diagnosis", "dx_subtype", "patients", "maligne OSTM1", "ARO_OSTM1"),
    ("diagnosis", "dx_subtype", "patients", "maligne SNX10", "ARO_SNX10"),
    ("diagnosis", "dx_subtype", "patients", "maligne RANK", "ARO_TNFRSF11A"),
    ("diagnosis", "dx_subtype", "patients", "maligne RANKL", "ARO_TNFSF11"),
    ("person", "consent_reuse", "patients", "*", "reject"),  # a number, in the row of totals
]


class Book:
    """The mapping workbook under a person's hands."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.book = openpyxl.load_workbook(path)
        self.cells = 0

    def header(self, sheet: str) -> list[str]:
        return [cell.value for cell in self.book[sheet][1]]

    def rows(self, sheet: str, where: dict[str, str]) -> list[int]:
        header = self.header(sheet)
        return [
            row[0].row
            for row in self.book[sheet].iter_rows(min_row=2)
            if all(row[header.index(name)].value == text for name, text in where.items())
        ]

    def write(self, sheet: str, row: int, cells: dict[str, str]) -> None:
        header = self.header(sheet)
        for name, text in cells.items():
            if text:
                self.book[sheet].cell(row, header.index(name) + 1, text)
                self.cells += 1

    def add(self, sheet: str, cells: dict[str, str]) -> None:
        self.write(sheet, self.book[sheet].max_row + 1, cells)

    def approve(self) -> None:
        """Pull `approved` down over all rows that are still suggested."""
        for sheet in ("fields", "values", "ignore"):
            for row in self.rows(sheet, {"status": "suggested"}):
                self.book[sheet].cell(row, self.header(sheet).index("status") + 1, "approved")

    def save(self) -> None:
        self.book.save(self.path)


def edit(folder: Path) -> Book:
    """Make all edits, as a person would between two checks."""
    book = Book(folder / "mapping" / "mapping.xlsx")
    for where, cells in CORRECTED:
        (row,) = book.rows("fields", where)
        book.write("fields", row, cells)
    names = ("table", "field", "source", "column", "rule", "arg")
    for new in ADDED:
        book.add("fields", dict(zip(names, new, strict=True)) | {"status": "approved"})
    for column in NOT_LEFT:
        (row,) = book.rows("ignore", {"column": column})
        book.write("ignore", row, {"status": "rejected"})
    for table, field, source, word, code in WORDS:
        where = {"table": table, "field": field, "source": source, "source_value": word}
        rows = book.rows("values", where)
        if rows:
            book.write("values", rows[0], {"target_code": code})
        else:
            book.add("values", {**where, "target_code": code, "status": "approved"})
    return book


@pytest.fixture(scope="module")
def centre(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return synthesize_unmapped(60, 1, tmp_path_factory.mktemp("unmapped"))


def test_an_unknown_workbook_becomes_a_release_that_is_true(marmor: Marmor, centre: Path) -> None:
    truth = json.loads((centre.parent / "truth" / f"{SITE}.json").read_text("utf-8"))
    names = truth["identifying"]

    scanned = marmor("site", "scan", centre)
    assert scanned.code == 0, scanned.err
    page = (centre / "scan" / "scan.html").read_text("utf-8")
    assert not [name for name in names if name in scanned.out + page]

    assert marmor("site", "suggest", centre).code == 0
    first = marmor("site", "check", centre)
    assert first.code == 11
    assert "rows wait for approval" in first.out
    assert marmor("site", "run", centre).code == 11  # a suggestion never runs

    book = edit(centre)
    book.save()
    assert marmor("site", "check", centre).code == 11  # corrected, and not approved yet
    book.approve()
    book.save()
    last = marmor("site", "check", centre, "--show-values")
    assert last.code == 0, last.out
    assert "Nothing blocks" in last.out

    ran = marmor("site", "run", centre)
    assert ran.code == 0, ran.err
    release = centre / "releases" / (centre / "CURRENT").read_text("utf-8").strip() / "tables"
    assert_true(truth, release)


def assert_true(truth: dict[str, Any], release: Path) -> None:
    """The release holds what is true of those who agreed, row for row."""
    columns = {
        "person": ("birth_date", "sex_at_birth"),
        "fracture": ("fracture_date", "bone_site", "healing_outcome"),
        "variant": ("gene_symbol", "hgvs_c"),
        "complication": ("hpo_id", "status"),
    }
    for table, names in columns.items():
        rows = pq.read_table(release / f"{table}.parquet").to_pylist()
        assert sorted([str(row[name]) for name in names] for row in rows) == truth[table], table
    labs = pq.read_table(release / "lab_measurement.parquet").to_pylist()
    found = sorted((row["analyte"], str(row["sample_date"]), row["value"]) for row in labs)
    true = sorted((analyte, day, float(value)) for analyte, day, value in truth["lab_measurement"])
    assert [row[:2] for row in found] == [row[:2] for row in true]
    assert [row[2] for row in found] == pytest.approx([row[2] for row in true], rel=1e-4)
