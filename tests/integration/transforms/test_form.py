"""The form reads back as it was filled in, and says what is wrong with it when it does not fit."""

import datetime
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import openpyxl
import pyarrow.parquet as pq
import pytest
from jsonschema import Draft202012Validator

from infra.local_run import run_site
from transforms.collect import collect
from transforms.dictionary import DICTIONARY
from transforms.dictionary.entry import choices
from transforms.dictionary.export.form_layout import (
    ABOUT,
    FIRST_ROW,
    HEADER_ROW,
    LISTS,
    form_columns,
    form_tables,
)
from transforms.dictionary.export.json_schema import json_schema
from transforms.dictionary.export.xlsx import workbook
from transforms.dry_run import dry_run
from transforms.errors import MappingError, ReviewError, SourceError, UserError
from transforms.form import form_alone, form_mapping
from transforms.mapping_check import check_mapping
from transforms.site import Site, create_site


Rows = Mapping[str, list[dict[str, object]]]
Edit = Callable[[openpyxl.Workbook], None]

DAY = datetime.date

# What a person wrote, sheet by sheet: labels and codes, dates and texts, points and commas.
WRITTEN: Rows = {
    "person": [
        {
            "local_id": "A-1",
            "birth_date": "2004-03-17",
            "sex_at_birth": "Female",
            "first_contact_date": DAY(2004, 5, 2),
            "history_complete_from_birth": "yes",
            "consent_reuse": "Yes",
            "note": "ask for the old X-rays",
        },
        {
            "local_id": "A-2",
            "birth_date": "2010-03",
            "sex_at_birth": "male",
            "first_contact_date": "2010-11-11",
            "consent_reuse": "yes",
        },
        {
            "local_id": "A-3",
            "birth_date": 1999,
            "sex_at_birth": "male",
            "first_contact_date": "2010-11-11",
            "consent_reuse": "No",
        },
    ],
    "fracture": [
        {"local_id": "A-1", "fracture_date": "2015", "bone_site": "femur_shaft"},
        {"local_id": "A-1", "fracture_date": DAY(2016, 2, 29), "bone_site": "Tibia"},
        {"local_id": "A-3", "fracture_date": "2017-01-01", "bone_site": "tibia"},
    ],
    "lab_measurement": [
        {
            "local_id": "A-2",
            "sample_date": "2020-01-31",
            "analyte": "calcium",
            "value": "9,5",
            "unit": "mg/dL",
        },
        {
            "local_id": "A-2",
            "sample_date": DAY(2020, 2, 1),
            "analyte": "Calcium, total",
            "value": 2.4,
            "unit": "mmol/L",
        },
        {
            "local_id": "A-1",
            "sample_date": "2020-02",
            "analyte": "alp",
            "value": "<20",
            "unit": "U/L",
        },
    ],
    "visit": [
        {
            "local_id": "A-1",
            "visit_date": "2020-01-31",
            "height_cm": "121.5",
            "weight_kg": "25,4",
            "specialties": "ent; Clinical genetics",
        },
    ],
}


@pytest.fixture(scope="module")
def form(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The empty form."""
    path = tmp_path_factory.mktemp("form") / "form.xlsx"
    workbook(DICTIONARY).save(path)
    return path


@pytest.fixture
def centre(tmp_path: Path) -> Site:
    """A new centre, with nothing in it."""
    return create_site(tmp_path / "s", site_id="haifa", name="H", country="IL", language="he")


def fill(form: Path, target: Path, written: Rows = WRITTEN, edit: Edit | None = None) -> None:
    """Write rows into a copy of the form, column by column under the technical names."""
    book = openpyxl.load_workbook(form)
    for sheet, rows in written.items():
        columns = {cell.value: cell.column for cell in book[sheet][HEADER_ROW]}
        for number, row in enumerate(rows, start=HEADER_ROW + 1):
            for name, value in row.items():
                book[sheet].cell(number, columns[name], value)
    if edit is not None:
        edit(book)
    target.parent.mkdir(exist_ok=True)
    book.save(target)


def released(site: Site, table: str) -> list[dict[str, Any]]:
    """Return the rows of a table of the current release."""
    release = site.current.read_text().strip()
    path = site.releases / release / "tables" / f"{table}.parquet"
    rows: list[dict[str, Any]] = pq.read_table(path).to_pylist()
    return rows


def run(site: Site) -> None:
    run_site(site, on_step=lambda step: None)


def test_a_filled_form_becomes_a_release_of_exactly_its_rows(form: Path, centre: Site) -> None:
    fill(form, centre.inbox / "form 2026.xlsx")
    run(centre)
    counts = {table: len(released(centre, table)) for table in DICTIONARY.tables}
    # A-3 said no; nothing else is lost, and no sheet that was left empty makes a row
    assert {table: count for table, count in counts.items() if count} == {
        "person": 2, "fracture": 2, "lab_measurement": 3, "visit": 1,
    }  # fmt: skip
    born = {row["birth_date"]: row["birth_date_precision"] for row in released(centre, "person")}
    assert born == {DAY(2004, 3, 17): "day", DAY(2010, 3, 1): "month"}
    bones = {row["fracture_date"]: row["bone_site"] for row in released(centre, "fracture")}
    assert bones == {DAY(2015, 7, 1): "femur_shaft", DAY(2016, 2, 29): "tibia"}
    (visit,) = released(centre, "visit")
    assert (visit["height_cm"], visit["weight_kg"]) == (121.5, 25.4)
    assert visit["specialties"] == ["ENT", "genetics"]
    labs = released(centre, "lab_measurement")
    # 9.5 mg/dL of 40.078 g/mol are 2.370 mmol/L
    calcium = sorted(row["value"] for row in labs if row["analyte"] == "calcium")
    assert calcium == [pytest.approx(2.370, abs=5e-4), 2.4]
    (alp,) = (row for row in labs if row["analyte"] == "alp")
    assert (alp["value"], alp["value_comparator"]) == (20.0, "<")
    # what we publish is what our schema says
    document = {table: released(centre, table) for table in DICTIONARY.tables}
    plain = json.loads(json.dumps(document, default=datetime.date.isoformat))
    assert not list(Draft202012Validator(json_schema(DICTIONARY)).iter_errors(plain))


def test_a_form_can_be_tried_before_it_is_run(form: Path, centre: Site) -> None:
    fill(form, centre.inbox / "form.xlsx")
    tried = dry_run(centre)
    assert tried.blocks == ()
    assert not centre.current.exists()


def test_what_cannot_be_read_is_rejected_and_not_guessed(form: Path, centre: Site) -> None:
    odd: Rows = {
        "person": WRITTEN["person"][:2],
        "fracture": [
            {"local_id": "A-1", "fracture_date": "2015-01-02", "bone_site": "the long one"},
            {"local_id": "A-1", "fracture_date": "03/04/2015", "bone_site": "Tibia"},
        ],
    }
    fill(form, centre.inbox / "form.xlsx", odd)
    with pytest.raises(ReviewError):  # one row in four is rejected: a reviewer is asked
        run(centre)
    (work,) = centre.work.glob("run-*")
    (fracture,) = pq.read_table(work / "tables" / "fracture.parquet").to_pylist()
    # whether 03/04 is in March or in April, nobody knows
    assert (fracture["bone_site"], fracture["fracture_date"]) == ("tibia", None)
    rejects = pq.read_table(work / "rejects.parquet").to_pylist()
    assert [(row["field"], row["rule"]) for row in rejects] == [("bone_site", "unknown_code")]


def delete_column(book: openpyxl.Workbook) -> None:
    sheet = book["fracture"]
    (place,) = (cell.column for cell in sheet[HEADER_ROW] if cell.value == "laterality")
    sheet.delete_cols(place)


def delete_sheet(book: openpyxl.Workbook) -> None:
    del book["visit"]


def add_column(book: openpyxl.Workbook) -> None:
    sheet = book["fracture"]
    sheet.cell(HEADER_ROW, sheet.max_column + 1, "surgeon")
    sheet.cell(HEADER_ROW + 1, sheet.max_column, "Dr. Test")


def age(book: openpyxl.Workbook) -> None:
    book[ABOUT]["A2"] = "0.1.0"


def make_unknown(book: openpyxl.Workbook) -> None:
    book[ABOUT]["A2"] = "99.0"


@pytest.mark.parametrize(
    ("edit", "error", "words"),
    [
        (delete_column, MappingError, ("sheet fracture", "laterality", "put a deleted column")),
        (delete_sheet, SourceError, ("form.xlsx: lacks visit", "copy it from a new form")),
        (add_column, MappingError, ("surgeon", "fracture")),
        (age, SourceError, ("made for dictionary 0.1.0", "is new", "export --to xlsx")),
        (make_unknown, SourceError, ("made for dictionary 99.0", "export --to xlsx")),
    ],
)
def test_a_form_that_does_not_fit_is_refused_with_the_remedy(
    form: Path, centre: Site, edit: Edit, error: type[UserError], words: tuple[str, ...]
) -> None:
    fill(form, centre.inbox / "form.xlsx", edit=edit)
    with pytest.raises(error) as told:
        run(centre)
    for word in words:
        assert word in str(told.value)
    assert "Dr. Test" not in str(told.value)
    assert not centre.current.exists()


def test_another_file_beside_the_form_is_told(form: Path, centre: Site) -> None:
    fill(form, centre.inbox / "form.xlsx")
    (centre.inbox / "labs.csv").write_text("a;b\n1;2\n")
    with pytest.raises(SourceError, match=r"labs\.csv: is not a form.*ready = form"):
        collect(centre)


def test_without_a_form_a_mapping_is_asked_for(centre: Site) -> None:
    book = openpyxl.Workbook()
    book.save(centre.inbox / "list.xlsx")
    assert form_alone(centre.mapping, centre.inbox) is None
    with pytest.raises(MappingError, match=r"no mapping\.xlsx"):
        collect(centre)


def test_a_form_beside_other_files_needs_one_row_of_the_mapping(form: Path, centre: Site) -> None:
    fill(form, centre.inbox / "form.xlsx")
    sheets = {
        "sources": "source,ready,system,file,format,sheet,header_row,encoding,delimiter,decimal,"
        "date_order,missing,id_column\nf,form,,form*.xlsx,,,,,,,,,\n",
        "fields": "table,field,source,column,rule,arg,unit,status\n",
        "values": "table,field,source,source_value,target_code,status\n",
        "ignore": "source,column,reason\n",
    }
    for name, text in sheets.items():
        (centre.mapping / f"{name}.csv").write_text(text)
    run(centre)
    assert len(released(centre, "fracture")) == 2


def test_the_mapping_of_the_form_has_no_problem() -> None:
    mapping = form_mapping()
    assert list(check_mapping(mapping)) == []
    assert mapping.sources[0].source == "person"
    assert {source.source for source in mapping.sources} == set(DICTIONARY.tables)


@pytest.mark.parametrize("name", DICTIONARY.codelists)
def test_every_choice_stands_for_one_code(name: str) -> None:
    codelist = DICTIONARY.codelists[name]
    shown = choices(codelist)
    assert list(shown) == list(codelist.codes)
    assert len({text.lower() for text in shown.values()}) == len(shown)
    others = {code.lower() for code in shown}
    assert all(text.lower() not in others - {code.lower()} for code, text in shown.items())
    assert not any(";" in text for text in shown.values())


def test_every_column_says_what_to_write_and_how(form: Path) -> None:
    book = openpyxl.load_workbook(form)
    assert book[LISTS].sheet_state == book[ABOUT].sheet_state == "hidden"
    assert book.sheetnames[:2] == ["start", "person"]
    for table in form_tables(DICTIONARY):
        sheet = book[table.name]
        columns = form_columns(table)
        assert [cell.value for cell in sheet[HEADER_ROW]] == [column.name for column in columns]
        assert all(cell.value and cell.comment for cell in sheet[HEADER_ROW - 1])
        assert sheet.freeze_panes == f"B{FIRST_ROW}"
        checked = {
            str(area).partition(":")[0]
            for validation in sheet.data_validations.dataValidation
            for area in validation.sqref.ranges
        }
        for number, column in enumerate(columns, start=1):
            cell = sheet.cell(FIRST_ROW, number)
            kind = column.field.type if column.field else column.kind
            free = kind in ("string", "id", "note") or column.name == "value"
            assert (cell.coordinate in checked) != free, f"{table.name}.{column.name}"


def test_each_list_drops_down_with_its_own_words(form: Path) -> None:
    book = openpyxl.load_workbook(form)
    lists = book[LISTS]
    validations = book["fracture"].data_validations.dataValidation
    names = [column.name for column in form_columns(DICTIONARY.tables["fracture"])]
    letter = lists.cell(1, names.index("bone_site") + 1).column_letter
    (rule,) = (one for one in validations if str(one.sqref).startswith(f"{letter}{FIRST_ROW}:"))
    cells = lists[rule.formula1.partition("!")[2].replace("$", "")]
    assert [cell.value for (cell,) in cells] == list(
        choices(DICTIONARY.codelists["bone_site"]).values()
    )


def test_no_cell_of_the_form_is_a_formula(form: Path) -> None:
    book = openpyxl.load_workbook(form)
    found = [cell for sheet in book for row in sheet.iter_rows() for cell in row]
    assert not [cell.coordinate for cell in found if cell.data_type == "f"]


def test_what_to_do_is_said_in_words_of_the_form(form: Path, centre: Site) -> None:
    person = {**WRITTEN["person"][0], "local_id": "B-1", "sex_at_birth": "girl", "birth_date": None}
    wrong: Rows = {
        "person": [dict(WRITTEN["person"][1]), person],
        "fracture": [{"local_id": "A-2", "fracture_date": "03/04/2010", "bone_site": "tibia"}],
        "lab_measurement": [
            {"local_id": "A-2", "sample_date": "2020-02-01", "analyte": "calcium",
             "value": "9.5", "unit": "mmol/L"},
            {"local_id": "A-2", "sample_date": "2020-02-01", "analyte": "pth",
             "value": "high", "unit": "pg/mL"},
            {"local_id": "A-2", "sample_date": "2020-03-01", "analyte": "pth",
             "value": "7", "unit": "spoons"},
        ],
    }  # fmt: skip
    fill(form, centre.inbox / "form.xlsx", wrong)
    said = {finding.rule: finding.remedy for finding in dry_run(centre).findings}
    assert {"unknown_code", "missing_mandatory", "not_a_number", "unknown_unit"} <= set(said)
    assert said["missing_mandatory"] == "fill it in"
    assert not [text for text in said.values() if "mapping" in text or "source" in text]
