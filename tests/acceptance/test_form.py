"""A centre with nothing: it makes the form, fills it in, drops it into the inbox, runs."""

import json
from collections.abc import Callable
from pathlib import Path

import openpyxl
import pyarrow.parquet as pq

from tests.acceptance.conftest import Typed


Marmor = Callable[..., Typed]

PERSON = {
    "local_id": "A-1",
    "birth_date": "2004-03-17",
    "sex_at_birth": "Female",
    "first_contact_date": "2004-05",
    "consent_reuse": "Yes",
}


def test_from_the_empty_form_to_a_release(marmor: Marmor, tmp_path: Path) -> None:
    form, centre = tmp_path / "form.xlsx", tmp_path / "haifa"
    assert marmor("dictionary", "export", "--to", "xlsx", "--output", form).code == 0
    book = openpyxl.load_workbook(form)
    names = [cell.value for cell in book["person"][3]]
    for name, value in PERSON.items():
        book["person"].cell(4, names.index(name) + 1, value)
    made = marmor(
        "site", "init", centre, "--id", "haifa", "--name", "Haifa", "--country", "IL",
        "--language", "he",
    )  # fmt: skip
    assert made.code == 0, made.err
    book.save(centre / "inbox" / "filled in.xlsx")
    run = marmor("site", "run", centre, "--json")
    assert run.code == 0, run.err
    release = centre / "releases" / json.loads(run.out)["release"]
    assert pq.read_metadata(release / "tables" / "person.parquet").num_rows == 1
    assert pq.read_metadata(release / "tables" / "fracture.parquet").num_rows == 0
    same = marmor("dictionary", "diff", release, "--json")
    assert same.code == 0, same.err
    assert json.loads(same.out)["changes"] == []


def test_a_form_that_may_be_filled_in_is_never_overwritten(marmor: Marmor, tmp_path: Path) -> None:
    form = tmp_path / "form.xlsx"
    form.write_bytes(b"filled in")
    again = marmor("dictionary", "export", "--to", "xlsx", "--output", form)
    assert again.code == 30
    assert "is there already" in again.err
    assert form.read_bytes() == b"filled in"
