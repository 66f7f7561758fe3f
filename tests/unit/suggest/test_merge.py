"""A draft never touches what a person wrote, and what it writes reads back as text."""

import csv
from pathlib import Path

import openpyxl
import pytest

from transforms.errors import MappingError
from transforms.mapping import SHEETS, parse_mapping
from transforms.scan import ColumnScan, Scan, TableScan
from transforms.site import Site
from transforms.suggest import Draft, add_words, merged
from transforms.suggest.workbook import read_rows, write_rows


SOURCE = {
    "source": "patients", "file": "p.csv", "format": "delimited", "id_column": "IPP",
    "header_row": "1", "date_order": "DMY", "decimal": ",",
}  # fmt: skip


def row(field: str, column: str, rule: str = "date", **cells: str) -> dict[str, str]:
    start = {"table": "person", "field": field, "source": "patients", "column": column}
    return {**start, "rule": rule, "arg": "", "status": "suggested", "confidence": "0.9", **cells}


def word(text: str, code: str, **cells: str) -> dict[str, str]:
    start = {"table": "person", "field": "sex_at_birth", "source": "patients"}
    return {**start, "source_value": text, "target_code": code, "status": "suggested", **cells}


DRAFT = Draft(
    sources=[SOURCE],
    fields=[row("birth_date", "Naissance"), row("sex_at_birth", "Sexe", "recode")],
    values=[word("H", "male"), word("F", "female")],
    ignore=[{"source": "patients", "column": "Nom", "reason": "identifier", "status": "suggested"}],
)


def test_a_first_draft_is_written_as_it_stands_and_reads_back(tmp_path: Path) -> None:
    write_rows(tmp_path, merged(read_rows(tmp_path), DRAFT))
    mapping = parse_mapping(tmp_path)
    assert [rule.status for rule in mapping.fields] == ["suggested", "suggested"]
    assert mapping.ignores[0].status == "suggested"


def test_a_second_draft_adds_nothing(tmp_path: Path) -> None:
    write_rows(tmp_path, merged(read_rows(tmp_path), DRAFT))
    assert not any(merged(read_rows(tmp_path), DRAFT).values())


def test_what_a_person_wrote_stays_and_is_not_said_again(tmp_path: Path) -> None:
    path = write_rows(tmp_path, merged(read_rows(tmp_path), DRAFT))
    book = openpyxl.load_workbook(path)
    book["fields"]["D2"] = "Né le"  # another column for the birth date
    book["values"]["F2"] = "missing"
    book["ignore"]["D2"] = "rejected"
    book.create_sheet("my notes")["A1"] = "ask Dr B."
    book.save(path)
    before = read_rows(tmp_path)
    assert not any(merged(before, DRAFT).values())
    more = Draft([SOURCE], [row("family_id", "Famille", "copy")], [word("M", "male")], [])
    write_rows(tmp_path, merged(before, more))
    after = read_rows(tmp_path)
    assert after["fields"][:2] == before["fields"]
    assert [one["column"] for one in after["fields"]] == ["Né le", "Sexe", "Famille"]
    assert [one["source_value"] for one in after["values"]] == ["H", "F", "M"]
    assert openpyxl.load_workbook(path)["my notes"]["A1"].value == "ask Dr B."


def test_a_star_covers_all_other_words() -> None:
    there = {"sources": [SOURCE], "fields": [row("sex_at_birth", "Sexe", "recode")],
             "values": [word("*", "reject", status="approved")]}  # fmt: skip
    assert merged(there, DRAFT)["values"] == []


def test_a_source_that_a_person_renamed_is_the_same() -> None:
    there = {"sources": [{**SOURCE, "source": "registre"}]}
    new = merged(there, DRAFT)
    assert new["sources"] == []
    assert {one["source"] for one in new["fields"]} == {"registre"}


def test_four_csv_files_stay_csv_files(tmp_path: Path) -> None:
    write_rows(tmp_path, merged(read_rows(tmp_path), DRAFT))
    rows = read_rows(tmp_path)
    (tmp_path / "mapping.xlsx").unlink()
    for name in ("sources", "fields", "values", "ignore"):
        (tmp_path / f"{name}.csv").write_text(",".join(rows[name][0]) + "\n", encoding="utf-8")
    written = write_rows(tmp_path, merged(read_rows(tmp_path), DRAFT))
    assert written.name == "fields.csv"
    assert [one["column"] for one in read_rows(tmp_path)["fields"]] == ["Naissance", "Sexe"]


def test_no_cell_of_the_csv_files_is_a_formula_and_all_are_read_as_they_were(
    tmp_path: Path,
) -> None:
    words = ['=HYPERLINK("http://x","y")', "@x", "a;=1", "'=1", "-2,5"]
    rows = {"values": [word(one, "male") for one in words]}
    rows["fields"] = [row("sex_at_birth", "=Sexe", "recode")]
    header = {name: ",".join(columns) + "\n" for name, columns in SHEETS.items()}
    for name, text in header.items():
        (tmp_path / f"{name}.csv").write_text(text, encoding="utf-8")
    write_rows(tmp_path, rows)
    again = write_rows(tmp_path, {})  # what stands there is written anew
    assert "=Sexe" in again.read_text("utf-8")
    assert ",=" not in again.read_text("utf-8")
    lines = (tmp_path / "values.csv").read_text("utf-8").splitlines()
    cells = [one[3] for one in csv.reader(lines)][1:]
    assert [cell[:2] for cell in cells] == ["'=", "'@", "a;", "''", "-2"]
    kept = read_rows(tmp_path)
    assert [one["source_value"] for one in kept["values"]] == words
    assert [one["column"] for one in kept["fields"]] == ["=Sexe"]


def test_a_word_that_begins_like_a_formula_stays_a_word(tmp_path: Path) -> None:
    bad = '=HYPERLINK("http://x","y")'
    draft = Draft([SOURCE], [row("sex_at_birth", "Sexe", "recode")], [word(bad, "male")], [])
    path = write_rows(tmp_path, merged({}, draft))
    cell = openpyxl.load_workbook(path)["values"]["D2"]
    assert (cell.value, cell.data_type) == (bad, "s")


def test_each_row_offers_the_codes_of_its_field(tmp_path: Path) -> None:
    sheet = openpyxl.load_workbook(write_rows(tmp_path, merged({}, DRAFT)))["values"]
    choices = [v.formula1 for v in sheet.data_validations.dataValidation if "E3" in v]
    assert choices == ["codes_sex"]


def test_a_workbook_that_cannot_be_opened_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "mapping.xlsx").write_bytes(b"PK no workbook")
    with pytest.raises(MappingError, match=r"mapping\.xlsx"):
        read_rows(tmp_path)


def test_words_of_a_column_that_a_person_mapped_are_listed_the_next_time(tmp_path: Path) -> None:
    path = write_rows(tmp_path, merged(read_rows(tmp_path), DRAFT))
    book = openpyxl.load_workbook(path)
    book["fields"].append(["person", "consent_reuse", "patients", "Zz", "recode"])
    book.save(path)
    words = {"ja": 9, "selten": 2, "nee": 9}
    column = ColumnScan("Zz", "code", 20, 20, 3, values=words, persons=words)
    scan = Scan((TableScan(parse_mapping(tmp_path).sources[0], ("p.csv",), 20, (column,)),))
    again = Draft([SOURCE], list(DRAFT.fields), list(DRAFT.values), list(DRAFT.ignore))
    there = read_rows(tmp_path)
    add_words(again, there, scan, Site(tmp_path, "ulm", "Ulm", "DE", "de"))
    new = merged(there, again)
    assert [(one["source_value"], one["target_code"]) for one in new["values"]] == [
        ("ja", "yes"), ("nee", "no"),
    ]  # fmt: skip
    assert not new["fields"]
