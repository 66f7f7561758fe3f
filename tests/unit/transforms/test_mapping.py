"""The mapping: what is read from workbook and CSV, and what is said about mistakes."""

import csv
from pathlib import Path

import openpyxl
import pytest

from transforms.errors import MappingError
from transforms.mapping import SHEETS, parse_mapping
from transforms.mapping_check import check_columns, load_mapping


SOURCES = """\
source,system,file,format,sheet,header_row,encoding,delimiter,decimal,date_order,missing,id_column,comment
p,excel,patients*.csv,delimited,,1,utf-8,;,",",DMY,NR;-,IPP,
"""
FIELDS = """\
table,field,source,column,rule,arg,unit,status,comment
person,birth_date,p,Naissance,date,,,approved,
person,sex_at_birth,p,Sexe,recode,,,approved,
person,first_contact_date,p,Contact,date,,,approved,
person,consent_reuse,p,,const,yes,,approved,
lab_measurement,sample_date,p,Date,date,,,approved,
lab_measurement,value[calcium],p,Calcium,number,,mg/L,approved,
"""
VALUES = """\
table,field,source,source_value,target_code,status,comment
person,sex_at_birth,p,H,male,approved,homme
person,sex_at_birth,p,F,female,approved,
"""
IGNORE = "source,column,reason,comment\np,Nom,identifier,\n"
COLUMNS = {"p": ("IPP", "Nom", "Naissance", "Sexe", "Contact", "Date", "Calcium")}


def write(folder: Path, **changes: str) -> Path:
    """Write the four CSV files, each as given or as above."""
    texts = {"sources": SOURCES, "fields": FIELDS, "values": VALUES, "ignore": IGNORE, **changes}
    for name, text in texts.items():
        (folder / f"{name}.csv").write_text(text, encoding="utf-8")
    return folder


def headed(header_row: str) -> str:
    """The sheet sources with a workbook's header row."""
    return SOURCES.replace(",delimited,,1,", f",excel,,{header_row},")


def problems(folder: Path) -> list[str]:
    with pytest.raises(MappingError) as caught:
        load_mapping(folder)
    return str(caught.value).splitlines()


def test_a_good_mapping_is_read_as_written(tmp_path: Path) -> None:
    mapping = load_mapping(write(tmp_path))
    source = mapping.source("p")
    assert (source.decimal, source.date_order, source.missing) == (",", "DMY", ("NR", "-"))
    (calcium,) = [rule for rule in mapping.fields if rule.bracket]
    assert (calcium.field, calcium.bracket, calcium.unit) == ("value", "calcium", "mg/L")
    (sex,) = [rule for rule in mapping.fields if rule.field == "sex_at_birth"]
    assert mapping.codes(sex) == {"h": "male", "f": "female"}
    assert not list(check_columns(mapping, COLUMNS))


def test_workbook_and_csv_mean_the_same(tmp_path: Path) -> None:
    folder = write(tmp_path)
    book = openpyxl.Workbook()
    book.remove(book.active)
    for name in SHEETS:
        sheet = book.create_sheet(name)
        for row in csv.reader((folder / f"{name}.csv").read_text("utf-8").splitlines()):
            sheet.append([int(cell) if cell.isdecimal() else cell or None for cell in row])
    other = tmp_path / "workbook"
    other.mkdir()
    book.save(other / "mapping.xlsx")
    assert load_mapping(other) == load_mapping(folder)
    assert load_mapping(other).digest == load_mapping(folder).digest


@pytest.mark.parametrize(
    ("written", "row", "lines"),
    [("", 1, 1), ("3", 3, 1), ("3-4", 4, 2), ("2 – 4", 4, 3), ("3-3", 3, 1)],
)
def test_a_header_may_have_several_rows(tmp_path: Path, written: str, row: int, lines: int) -> None:
    (source,) = parse_mapping(write(tmp_path, sources=headed(written))).sources
    assert (source.header_row, source.header_lines) == (row, lines)


@pytest.mark.parametrize("written", ["0", "x", "4-3", "3-", "-3", "1.5", "9" * 5000, "1-2-3"])
def test_a_header_row_that_is_none(tmp_path: Path, written: str) -> None:
    (line,) = problems(write(tmp_path, sources=headed(written)))
    assert "header_row must be a whole number from 1, or two such as 3-4" in line


def test_only_a_sheet_has_headings_over_columns(tmp_path: Path) -> None:
    (line,) = problems(write(tmp_path, sources=headed("3-4").replace(",excel,,3", ",delimited,,3")))
    assert "header_row names several rows, which only an Excel sheet has" in line


def test_new_columns_may_be_there_and_only_rules_change_the_digest(tmp_path: Path) -> None:
    header = FIELDS.splitlines()[0]
    wider = header.replace(",unit,", ",unit,required_if,") + ",confidence,author,date"
    row = "person,birth_date,p,Naissance,date,,,sex_at_birth=male,approved,,0.7,Ada,2026-01-02"
    one = parse_mapping(write(tmp_path, fields=f"{wider}\n{row}\n"))
    assert one.fields[0].required_if == "sex_at_birth=male"
    other = parse_mapping(write(tmp_path, fields=f"{wider}\n{row.replace('Ada', 'Bea')}\n"))
    assert other.digest == one.digest
    third = parse_mapping(write(tmp_path, fields=f"{wider}\n{row.replace('=male', '=female')}\n"))
    assert third.digest != one.digest
    named = SOURCES.replace("decimal,", "decimal,thousands,").replace('",",DMY', '",",space,DMY')
    (source,) = parse_mapping(write(tmp_path, sources=named)).sources
    assert (source.thousands, source.language, source.ready) == (" ", "", "")


def test_digest_ignores_comments_and_order_and_sees_everything_else(tmp_path: Path) -> None:
    digest = load_mapping(write(tmp_path)).digest
    header, *rows = VALUES.replace("homme", "a comment").splitlines()
    reordered = "\n".join([header, *reversed(rows)])
    assert load_mapping(write(tmp_path, values=reordered)).digest == digest
    assert load_mapping(write(tmp_path, fields=FIELDS.replace("mg/L", "mg/dL"))).digest != digest


@pytest.mark.parametrize(
    ("sheet", "old", "new", "expected"),
    [
        ("fields", "sex_at_birth", "sex_at_brith", "nearest: sex_at_birth"),
        ("fields", "person,birth", "persons,birth", "nearest: person"),
        ("fields", "Sexe,recode", "Sexe,recod", "nearest: recode"),
        ("fields", "mg/L,approved", "mg/L,suggested", "status is suggested; a person must"),
        ("fields", "mg/L", "mg/m3", "unit 'mg/m3' is not known for value; expected"),
        ("fields", "number,,mg/L", "number,,", "unit is empty"),
        ("fields", "value[calcium]", "value[calzium]", "nearest: calcium"),
        ("fields", "Calcium,number", "Calcium,date", "rule date cannot fill value"),
        ("fields", "const,yes", "const,oui", "expected one of yes, no, unknown"),
        ("fields", "Sexe,recode,", "Sexe,recode,x=1", "arg 'x' is not known for rule recode"),
        ("fields", "Naissance,date,,", ",date,,", "column is empty; rule date needs one"),
        ("values", "H,male", "H,mael", "nearest: male"),
        ("values", "F,female", "h,female", "says the same as"),
        ("values", "person,sex_at_birth,p,F", "person,sex,p,F", "no recode of person.sex uses it"),
        ("ignore", "identifier", "secret", "expected one of identifier, free_text"),
        ("sources", "delimited", "csv", "expected one of delimited, excel"),
        ("sources", "utf-8", "utf-88", "encoding 'utf-88' is not known"),
    ],
)
def test_each_mistake_is_named_with_its_row(
    tmp_path: Path, sheet: str, old: str, new: str, expected: str
) -> None:
    good = {"sources": SOURCES, "fields": FIELDS, "values": VALUES, "ignore": IGNORE}[sheet]
    assert old in good
    found = problems(write(tmp_path, **{sheet: good.replace(old, new, 1)}))
    said = [line for line in found if expected in line]
    assert said, found
    assert said[0].startswith(f"{sheet}.csv, row ")


def test_missing_mandatory_field_is_a_problem_unless_not_collected(tmp_path: Path) -> None:
    lines = FIELDS.splitlines(keepends=True)
    without = "".join(line for line in lines if "first_contact" not in line)
    (problem,) = problems(write(tmp_path, fields=without))
    assert "mandatory field first_contact_date is neither mapped nor not_collected" in problem
    said = without + "person,first_contact_date,,,not_collected,,,approved,\n"
    assert "first_contact_date" in load_mapping(write(tmp_path, fields=said)).not_collected(
        "person", "p"
    )


def test_all_problems_come_at_once(tmp_path: Path) -> None:
    found = problems(
        write(
            tmp_path,
            fields=FIELDS.replace("mg/L", "mg/m3").replace("Sexe,recode", "Sexe,recod"),
            ignore=IGNORE.replace("identifier", "secret"),
        )
    )
    assert len(found) >= 3


def test_a_second_source_of_a_sheet_may_leave_the_columns_of_the_first_at_once(
    tmp_path: Path,
) -> None:
    sources = SOURCES + SOURCES.splitlines()[1].replace("p,", "second,", 1) + "\n"
    mapping = load_mapping(
        write(tmp_path, sources=sources, ignore=f"{IGNORE}second,*,not_needed,\n")
    )
    assert not list(check_columns(mapping, COLUMNS | {"second": COLUMNS["p"]}))
    wider = (*COLUMNS["p"], "Poids")
    (problem,) = check_columns(mapping, COLUMNS | {"second": wider})
    assert problem.startswith("source second: unmapped column 'Poids'")


def test_columns_used_and_columns_there_must_agree(tmp_path: Path) -> None:
    mapping = load_mapping(write(tmp_path))
    columns = {"p": ("IPP", "Nom", "Naissance", "Sexe", "Contact", "Date", "Calcum", "Poids")}
    assert sorted(check_columns(mapping, columns)) == [
        "fields.csv, row 7: column 'Calcium': expected one of IPP, Nom, Naissance, Sexe, "
        "Contact, Date, Calcum, Poids; nearest: Calcum",
        "source p: unmapped column 'Calcum'; map it in the sheet fields, or name it in the "
        "sheet ignore with a reason",
        "source p: unmapped column 'Poids'; map it in the sheet fields, or name it in the "
        "sheet ignore with a reason",
    ]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("table,field\n", "the column source is missing"),
        (FIELDS.replace("rule", "regel"), "unknown column 'regel'"),
        (FIELDS + 'person,"unfinished\n', "not a UTF-8 CSV file"),
    ],
)
def test_broken_sheets_are_refused(tmp_path: Path, text: str, expected: str) -> None:
    with pytest.raises(MappingError, match=r"fields\.csv") as caught:
        parse_mapping(write(tmp_path, fields=text))
    assert expected in str(caught.value)


def test_unreadable_workbook_and_missing_mapping_are_refused(tmp_path: Path) -> None:
    with pytest.raises(MappingError, match=r"no mapping\.xlsx"):
        parse_mapping(tmp_path)
    (tmp_path / "mapping.xlsx").write_bytes(b"PK not a workbook")
    with pytest.raises(MappingError, match=r"mapping\.xlsx: the workbook is damaged"):
        parse_mapping(tmp_path)


def test_a_workbook_that_would_not_fit_into_memory_is_not_opened(tmp_path: Path) -> None:
    """One cell far away makes the parser allocate the whole sheet and abort the process."""
    book = openpyxl.Workbook()
    book.active["XFD1048576"] = "x"
    book.save(tmp_path / "mapping.xlsx")
    with pytest.raises(MappingError, match="a sheet reaches to row 1048576"):
        parse_mapping(tmp_path)


def test_a_workbook_that_reaches_further_than_a_mapping_is_not_taken_apart(tmp_path: Path) -> None:
    """Within what a data file may have, but it would keep the whole process busy."""
    book = openpyxl.Workbook()
    book.active.title = "values"
    book.active["XFD1000"] = "x"
    book.save(tmp_path / "mapping.xlsx")
    said = r"mapping\.xlsx, sheet values: reaches to row 1000 and column 16384, further .* delete"
    with pytest.raises(MappingError, match=said):
        parse_mapping(tmp_path)


@pytest.mark.parametrize(
    ("field", "given"),
    [
        ("diagnosis,dx_rank", "1.5"),
        ("diagnosis,onset_age_y", "nan"),
        ("diagnosis,dx_date", "2020-13-01"),
    ],
)
def test_a_constant_that_the_field_cannot_hold(tmp_path: Path, field: str, given: str) -> None:
    subtype = "diagnosis,dx_subtype,p,,const,ADO2,,approved,\n"
    fields = f"{FIELDS}{field},p,,const,{given},,approved,\n{subtype}"
    (line,) = [one for one in problems(write(tmp_path, fields=fields)) if "arg" in one]
    assert repr(given) in line
