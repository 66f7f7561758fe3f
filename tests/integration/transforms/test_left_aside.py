"""What of the files no source reads is counted once, and the form's own sheets not at all."""

from collections.abc import Callable
from pathlib import Path

from transforms.dictionary import DICTIONARY
from transforms.dictionary.export.xlsx import workbook
from transforms.dry_run import dry_run
from transforms.site import Site


KIND = "sheets, instruments or tables that no source reads"


def test_tables_of_a_folder_are_counted_once(ready_centre: Callable[..., Site], data: Path) -> None:
    files = [data / "omop_synthea27nj" / f"{name}.parquet" for name in
             ("person", "measurement", "condition_occurrence", "observation_period", "concept",
              "location", "provider")]  # fmt: skip
    row = "person,consent_reuse,omop_persons,,const,yes,,approved,test"
    counts = dry_run(ready_centre("omop", files, row)).counts
    assert counts["not_held"][KIND] == 3  # concept is looked up in, location and provider are not
    assert counts["unread_parts"] == ["concept", "location", "provider"]


def test_the_sheets_around_the_form_are_nobodys_data(ready_centre: Callable[..., Site]) -> None:
    site = ready_centre("form", [])
    workbook(DICTIONARY).save(site.inbox / "form.xlsx")
    assert KIND not in dry_run(site).counts["not_held"]
