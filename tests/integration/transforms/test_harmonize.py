"""From a centre's own files to harmonized tables, rejects and flags."""

import csv
import datetime
import hashlib
import json
import re
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from tests.integration.transforms.conftest import (
    FIELDS,
    FRACTURES,
    LABS,
    PATIENT_COLUMNS,
    PATIENTS,
    SOURCES,
    VALUES,
)
from transforms.collect import collect
from transforms.dictionary import DICTIONARY
from transforms.dictionary.arrow import schema
from transforms.errors import MappingError, SourceError
from transforms.harmonize import harmonize
from transforms.outcome import DONE
from transforms.site import Site


TODAY = datetime.date(2026, 11, 22)
Centre = Callable[..., Site]


def run(site: Site) -> Path:
    """Collect and harmonize; return the run's folder."""
    batch = collect(site, TODAY)
    harmonize(site, batch.run_id)
    return site.work / batch.run_id


def rows(folder: Path, name: str) -> list[dict[str, Any]]:
    return pq.read_table(folder / f"{name}.parquet").to_pylist()


def reasons(folder: Path, name: str) -> set[tuple[str, str, str]]:
    return {(row["table"], row["field"], row["rule"]) for row in rows(folder, name)}


def test_a_clean_centre_is_harmonized_without_a_reject(centre: Centre) -> None:
    folder = run(centre())
    assert rows(folder, "rejects") == []
    counts = json.loads((folder / "harmonization.json").read_text("utf-8"))
    assert {table: count for table, count in counts["rows"].items() if count} == {
        "person": 2, "diagnosis": 2, "variant": 2, "fracture": 2, "complication": 3,
        "lab_measurement": 6, "death_followup": 2,
    }  # fmt: skip
    assert counts["excluded_for_consent"] == 1
    assert counts["rows_read"] == {"patients": 3, "fractures": 3, "labs": 3}
    for name, table in DICTIONARY.tables.items():
        assert pq.read_schema(folder / "tables" / f"{name}.parquet").equals(schema(table))


def test_values_arrive_in_the_dictionary_s_units(centre: Centre) -> None:
    folder = run(centre())
    labs = {(r["analyte"], round(r["value"], 3), r["unit_ucum"], r["unit_status"])
            for r in rows(folder, "tables/lab_measurement")}  # fmt: skip
    assert labs == {
        ("hemoglobin", 125.0, "g/L", "converted"), ("hemoglobin", 91.0, "g/L", "converted"),
        ("calcium", 2.4, "mmol/L", "converted"), ("calcium", 2.196, "mmol/L", "converted"),
        ("platelets", 250.0, "10*9/L", "declared"), ("platelets", 98.0, "10*9/L", "converted"),
    }  # fmt: skip
    ages = [row["age_at_fracture_y"] for row in rows(folder, "tables/fracture")]
    assert sorted(round(age, 2) for age in ages) == [10.0, 18.69]
    onset = {row["onset_age_y"] for row in rows(folder, "tables/diagnosis")}
    assert sorted(onset) == pytest.approx([2.5 / 12, 8.0])
    found = {(r["hpo_id"], r["status"], r["category"]) for r in rows(folder, "tables/complication")}
    assert found == {
        ("HP:0000572", "excluded", "visual"), ("HP:0000572", "present", "visual"),
        ("HP:0000365", "excluded", "hearing"),
    }  # fmt: skip


def test_nobody_without_consent_is_anywhere(centre: Centre) -> None:
    site = centre(
        fractures=FRACTURES + "1003;99/99/2003;tibia\n", labs=LABS + "1003;1/1/2020;quatre;;;\n"
    )
    folder = run(site)
    assert rows(folder, "rejects") == []
    written = b"".join(p.read_bytes() for p in site.folder.rglob("*") if p.is_file()
                       and "inbox" not in p.parts)  # fmt: skip
    for secret in (b"1003", b"SECRET", b"MARTIN", b"1001", b"quatre"):
        # four digits stand by chance inside one of some hundred digests every few runs
        alone = re.compile(rb"(?<![0-9A-Fa-f])" + secret + rb"(?![0-9A-Fa-f])")
        assert not alone.search(written), secret


def test_the_same_input_gives_the_same_bytes(centre: Centre) -> None:
    site = centre()
    first = {p.name: p.read_bytes() for p in sorted(run(site).rglob("*")) if p.is_file()}
    second = {p.name: p.read_bytes() for p in sorted(run(site).rglob("*")) if p.is_file()}
    assert first == second
    assert len(first) == len(DICTIONARY.tables) + 5


def test_many_rows_give_the_same_bytes_on_any_number_of_processors(
    centre: Centre, monkeypatch: pytest.MonkeyPatch
) -> None:
    """So many rows that each processor reads, stages and sorts some of them."""
    person = (
        "{id};P;14/03/1985;F;02/05/1999;oui;ADO2;02/05/1999;96;CLCN7;c.643G>A;het;non;NR;vivant;;"
    )
    days = [datetime.date(2001, 1, 1) + datetime.timedelta(days=day) for day in range(2000)]
    patients = "\n".join([PATIENT_COLUMNS, *(person.format(id=n) for n in range(2000, 2200))])
    labs = "\n".join(
        [LABS.splitlines()[0]]
        + [
            f"{n};{day:%d/%m/%Y};12,{day.day % 10};96;250;"
            for day in days
            for n in range(2000, 2200)
        ]
    )
    site = centre(patients=patients, labs=labs, fractures=FRACTURES.splitlines()[0] + "\n")
    made = []
    for threads in (1, 2):
        monkeypatch.setattr("transforms.harmonize.THREADS", threads)
        folder = run(site)
        made.append({p.name: p.read_bytes() for p in sorted(folder.rglob("*.parquet"))})
    written = pq.read_metadata(folder / "tables" / "lab_measurement.parquet")
    assert written.num_rows == 3 * len(days) * 200
    assert made[0] == made[1]


@pytest.mark.parametrize(
    ("name", "text", "expected"),
    [
        ("fractures", FRACTURES + "1001;01/01/1980;tibia\n", ("fracture", "fracture_date", "R01")),
        ("fractures", FRACTURES + "1001;01/01/2027;tibia\n", ("fracture", "fracture_date", "R01")),
        ("fractures", FRACTURES + "4711;01/01/2003;tibia\n", ("fracture", "person_id", "R04")),
        ("fractures", FRACTURES + "1001;01/01/2003;rotule\n",
         ("fracture", "bone_site", "unknown_code")),
        ("fractures", FRACTURES + "1001;01/01/2003;\n",
         ("fracture", "bone_site", "missing_mandatory")),
        ("patients", PATIENTS.replace(";F;", ";M;"), ("person", "sex_at_birth", "unknown_code")),
        ("patients", PATIENTS + PATIENTS.splitlines()[1] + "\n", ("person", "person_id", "R05")),
        ("patients", PATIENTS.replace("c.643G>A", "c.643G>A tel. 06 12 34 56 78", 1),
         None),
        ("labs", LABS.replace("12,5", "950"), ("lab_measurement", "value", "range")),
        ("labs", LABS + "1001;03/04/2020;13,0;;;\n", ("lab_measurement", "value", "R83")),
        ("labs", LABS.replace("12,5", "douze"), ("lab_measurement", "value", "not_a_number")),
        ("labs", LABS.replace("/µL", "par µL"), ("lab_measurement", "value", "unknown_unit")),
    ],
)  # fmt: skip
def test_a_wrong_row_is_rejected_with_its_reason(
    centre: Centre, name: str, text: str, expected: tuple[str, str, str] | None
) -> None:
    folder = run(centre(**{name: text}))
    if expected is not None:
        assert expected in reasons(folder, "rejects")


def test_a_row_that_hangs_on_a_rejected_person_is_rejected_too(centre: Centre) -> None:
    folder = run(centre(patients=PATIENTS.replace(";F;", ";M;")))
    assert {table for table, _, rule in reasons(folder, "rejects") if rule == "R04"} == {
        "diagnosis", "variant", "complication", "death_followup", "fracture", "lab_measurement",
    }  # fmt: skip
    assert [row["sex_at_birth"] for row in rows(folder, "tables/person")] == ["male"]


@pytest.mark.parametrize(
    ("name", "text", "expected"),
    [
        ("fractures", FRACTURES.replace("20/11/2003", "été 2003"),
         ("fracture", "fracture_date", "unreadable_value")),
        ("fractures", FRACTURES.replace("20/11/2003", "2003"),
         ("fracture", "fracture_date", "partial_date")),
        ("fractures", FRACTURES + "1001;22/11/2003;tibia\n", ("fracture", "fracture_date", "R06")),
        ("patients", PATIENTS.replace("14/03/1985", "01/01/1970"), ("person", "birth_date", "R07")),
        ("patients", PATIENTS.replace("14/03/1985", "1985"), ("person", "birth_date", "R08")),
        ("patients", PATIENTS.replace("hom", "het"), ("variant", "zygosity", "R10")),
        ("labs", LABS.replace("12,5", "6,5"), ("lab_measurement", "value", "R80")),
        # impossible as declared, usual in g/L and in mmol/L: read so
        ("labs", LABS.replace("12,5", "125"), ("lab_measurement", "value", "R80")),
        ("labs", LABS.replace("96,2", "2,4"), ("lab_measurement", "value", "R80")),
    ],
)  # fmt: skip
def test_an_odd_row_is_kept_and_flagged(
    centre: Centre, name: str, text: str, expected: tuple[str, str, str]
) -> None:
    folder = run(centre(**{name: text}))
    assert rows(folder, "rejects") == []
    (flag,) = [
        row for row in rows(folder, "flags")
        if (row["table"], row["field"], row["rule"]) == expected
    ]  # fmt: skip
    table = DICTIONARY.tables[flag["table"]]
    key = table.key[0]
    assert flag["row_id"] in {row[key] for row in rows(folder, f"tables/{table.name}")}
    assert flag["remedy"]


def test_only_the_quarantine_holds_values_and_only_the_owner_reads_it(centre: Centre) -> None:
    site = centre(labs=LABS.replace("12,5", "douze-virgule-cinq"))
    folder = run(site)
    path = site.quarantine / folder.name / "lab_measurement.csv"
    (row,) = csv.DictReader(path.read_text("utf-8").splitlines())
    assert (row["field"], row["value"], row["source_row"]) == ("value", "douze-virgule-cinq", "2")
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert all(b"douze" not in p.read_bytes() for p in folder.rglob("*") if p.is_file())


def test_an_unmapped_column_blocks_and_names_it(centre: Centre) -> None:
    header, *lines = FRACTURES.splitlines()
    remarks = "\n".join([f"{header};Remarque", *(f"{line};x" for line in lines)]) + "\n"
    site = centre(fractures=remarks)
    batch = collect(site, TODAY)
    with pytest.raises(MappingError, match="source fractures: unmapped column 'Remarque'"):
        harmonize(site, batch.run_id)
    assert not (site.work / batch.run_id / "harmonization.json").exists()


def test_an_unmapped_value_blocks_is_counted_and_never_repeated(centre: Centre) -> None:
    values = VALUES.replace("fracture,bone_site,,*,reject,approved,\n", "")
    lines = "1001;01/01/2003;Rotule\n1001;01/01/2004; rotule\n1003;01/01/2003;secret\n"
    site = centre(fractures=FRACTURES + lines, values=values)
    batch = collect(site, TODAY)
    with pytest.raises(MappingError, match=r"1 value in 2 rows .* fracture\.bone_site") as caught:
        harmonize(site, batch.run_id)
    assert "rotule" not in str(caught.value).lower()
    assert not (site.work / batch.run_id / "harmonization.json").exists()


def test_unknown_consent_is_no_consent_and_an_unreadable_one_is_reported(centre: Centre) -> None:
    folder = run(centre(patients=PATIENTS.replace(";oui;ADO2", ";;ADO2")))
    assert json.loads((folder / "harmonization.json").read_text())["excluded_for_consent"] == 2
    folder = run(centre(patients=PATIENTS.replace(";oui;ADO2", ";peut-être;ADO2")))
    assert reasons(folder, "rejects") == {("person", "consent_reuse", "unknown_code")}
    assert len(rows(folder, "tables/diagnosis")) == 1


def test_a_no_counts_however_the_id_is_spelled(centre: Centre) -> None:
    composed, decomposed = "Zo\u00eb1", "Zoe\u03081"
    agreed = PATIENTS.splitlines()[1].replace("1001", composed)
    refused = agreed.replace(composed, decomposed).replace(";oui;", ";non;")
    folder = run(
        centre(
            patients=f"{PATIENTS}{agreed}\n{refused}\n",
            fractures=f"{FRACTURES}{composed};01/01/2003;tibia\n",
        )
    )
    assert rows(folder, "rejects") == []
    assert len(rows(folder, "tables/person")) == 2
    assert json.loads((folder / DONE).read_text("utf-8"))["excluded_for_consent"] == 2


def test_what_a_reader_remarks_is_kept_and_counted(centre: Centre) -> None:
    sources = SOURCES.replace("labs*.csv,delimited,,1,utf-8,;", "labs*.csv,delimited,,1,utf-8,")
    counts = json.loads((run(centre(sources=sources)) / DONE).read_text("utf-8"))
    (note,) = counts["notes"]
    assert note.startswith("labs.csv: delimiter ';' was detected")
    assert counts["not_held"] == {"remarks of the readers, listed in harmonization.json": 1}


def test_an_age_beyond_belief_rejects_its_row_and_not_the_run(centre: Centre) -> None:
    fields = FIELDS.replace(
        "fracture,fracture_date,fractures,Date,date,,,",
        "fracture,fracture_date,fractures,Date,age_to_date,,a,",
    )
    ages = "IPP;Date;Os\n1001;10;fémur\n1001;99999999999;tibia\n"
    folder = run(centre(fields=fields, fractures=ages))
    assert ("fracture", "fracture_date", "unreadable_value") in reasons(folder, "flags")
    dates = [row["fracture_date"] for row in rows(folder, "tables/fracture")]
    assert sorted(dates, key=str) == [datetime.date(1995, 3, 14), None]


def test_a_file_that_changes_after_collect_stops_the_run(centre: Centre) -> None:
    batch = collect(centre(), TODAY)
    site = centre(labs=LABS + "1001;04/04/2020;12,6;;;\n")
    with pytest.raises(SourceError, match="changed since this run was collected"):
        harmonize(site, batch.run_id)


def test_run_ids_follow_the_content(centre: Centre) -> None:
    first = collect(centre(), TODAY)
    assert collect(centre(), TODAY + datetime.timedelta(days=3)) == first
    assert collect(centre(labs=LABS + "\n1001;04/04/2020;12,6;;;\n"), TODAY).run_id != first.run_id
    fields = FIELDS.replace("g/dL", "g/100mL")
    assert collect(centre(fields=fields), TODAY).run_id != first.run_id
    digest = hashlib.sha256(PATIENTS.encode()).hexdigest()
    assert digest in first.files


def test_an_empty_inbox_and_an_unknown_run_are_refused(centre: Centre) -> None:
    site = centre()
    with pytest.raises(SourceError, match="run collect first"):
        harmonize(site, "run-000000000000")
    for path in site.inbox.iterdir():
        path.unlink()
    with pytest.raises(SourceError, match="no file there"):
        collect(site, TODAY)


def test_coverage_says_how_each_field_is_filled(centre: Centre) -> None:
    fields = FIELDS + "death_followup,cause,,,not_collected,,,approved,\n"
    folder = run(centre(fields=fields))
    coverage = {
        (r["table"], r["field"]): r
        for r in json.loads((folder / "coverage.json").read_text("utf-8"))
    }
    assert coverage["person", "sex_at_birth"]["mapped"] == "mapped"
    assert coverage["death_followup", "cause"]["mapped"] == "not collected"
    assert coverage["person", "family_id"]["mapped"] == "not mapped"
    assert coverage["fracture", "age_at_fracture_y"] == {
        "table": "fracture", "field": "age_at_fracture_y", "mapped": "derived",
        "rows": 2, "filled": 2,
    }  # fmt: skip


def test_a_source_whose_mapping_names_a_missing_column_is_refused(centre: Centre) -> None:
    site = centre(sources=SOURCES.replace("IPP,\nlabs", "Ipp,\nlabs"))
    batch = collect(site, TODAY)
    with pytest.raises(MappingError, match="id_column 'Ipp'"):
        harmonize(site, batch.run_id)


def test_files_that_no_source_reads_are_counted(centre: Centre) -> None:
    site = centre()
    (site.inbox / "letters.txt").write_text("a letter", encoding="utf-8")
    (site.inbox / ".hidden").write_text("not ours", encoding="utf-8")
    counts = json.loads((run(site) / "harmonization.json").read_text("utf-8"))
    assert counts["not_held"] == {"files that no source reads": 1}


def test_a_file_without_a_header_shows_no_cell_in_the_message(centre: Centre) -> None:
    site = centre(fractures="\n".join(FRACTURES.splitlines()[1:]) + "\n")
    batch = collect(site, TODAY)
    with pytest.raises(MappingError, match="no column of source fractures") as caught:
        harmonize(site, batch.run_id)
    assert "1001" not in str(caught.value)


def test_the_order_of_rows_in_a_file_does_not_matter(centre: Centre) -> None:
    def content(folder: Path) -> dict[str, list[Any]]:
        made = {name: {*table.key} for name, table in DICTIONARY.tables.items() if name != "person"}
        return {
            name: sorted(
                repr([value for field, value in row.items()
                      if field not in made.get(name, ()) and not field.startswith("source_")])
                for row in rows(folder, f"tables/{name}")
            )
            for name in DICTIONARY.tables
        }  # fmt: skip

    def turned(text: str) -> str:
        header, *lines = text.splitlines()
        return "\n".join([header, *reversed(lines)]) + "\n"

    first = content(run(centre()))
    again = centre(patients=turned(PATIENTS), fractures=turned(FRACTURES), labs=turned(LABS))
    assert content(run(again)) == first
