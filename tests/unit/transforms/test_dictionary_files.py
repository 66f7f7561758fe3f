"""The dictionary's files are read whole or refused whole, with every typo named."""

import shutil
from pathlib import Path

import pyarrow as pa
import pytest

from transforms import dictionary
from transforms.dictionary.arrow import schema
from transforms.dictionary.model import Field, Table
from transforms.dictionary.parse import parse_dictionary
from transforms.errors import DictionaryError


SHIPPED = Path(dictionary.__file__).parent

TYPOS = """
title = "Visit"
description = "One row per visit."
key = ["visit_number"]
crosswalks = { omop = "visit_occurrence" }

[fields.visit_id]
description = "Row id"
type = "text"

[fields.specialties]
description = "Who was there"
type = "codes"

[fields.height_cm]
description = "Height"
type = "number"
units = "cm"
hard = { low = 250, high = 20, reason = "a height" }
soft = { low = 40, high = 210 }
crosswalk = { loinc = "8302-2" }

[fields.note]
type = "string"
hard = { low = 1, reason = "a text has no limits" }
references = "ward.id"
"""

COLOURS = """
description = "Colours"
attribute = ["shade"]

[codes.red]
label = "Red"
shade = "dark"
unchecked = ["ral"]

[codes.blue]
codings = { ral = "5002" }
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Return a copy of the shipped files."""
    target = tmp_path / "dictionary"
    shutil.copytree(SHIPPED, target, ignore=shutil.ignore_patterns("__pycache__", "*.py"))
    return target


def problems(folder: Path) -> set[str]:
    with pytest.raises(DictionaryError) as raised:
        parse_dictionary(folder)
    return set(str(raised.value).splitlines())


def test_every_typo_is_named_at_once(folder: Path) -> None:
    (folder / "tables" / "visit.toml").write_text(TYPOS)
    (folder / "codelists" / "colour.toml").write_text(COLOURS)
    assert problems(folder) == {
        "tables/visit.toml: unknown key crosswalks",
        "tables/visit.toml visit_id: type must be one of "
        "string, integer, number, boolean, date, code, codes",
        "tables/visit.toml specialties: code and codes name a codelist, nothing else does",
        "tables/visit.toml height_cm: unknown key units",
        "tables/visit.toml height_cm hard: low must be below high",
        "tables/visit.toml height_cm soft: reason is missing",
        "tables/visit.toml height_cm crosswalk: unknown key loinc",
        "tables/visit.toml note: description is missing",
        "tables/visit.toml note: only an integer or a number has limits",
        "tables/visit.toml note: no field called ward.id",
        "tables/visit.toml: key or discriminator visit_number is not a field",
        "codelists/colour.toml: unknown key attribute",
        "codelists/colour.toml red: unknown key shade",
        "codelists/colour.toml red: unchecked names ral, which the code does not have",
        "codelists/colour.toml blue: label is missing",
        "codelists/colour.toml blue codings: unknown key ral",
    }


def test_each_file_that_is_no_toml_is_named(folder: Path) -> None:
    (folder / "tables" / "person.toml").write_text("title = ")
    (folder / "codelists" / "sex.toml").write_bytes(b"label = '\xff'")
    named = {line.partition(":")[0] for line in problems(folder)}
    assert named == {"tables/person.toml", "codelists/sex.toml"}


def test_a_view_holds_no_set_of_codes(folder: Path) -> None:
    path = folder / "views" / "fracture.toml"
    field = '\n[fields.genes]\ndescription = "Genes"\ntype = "codes"\ncodelist = "gene"\n'
    path.write_text(path.read_text() + field)
    (only,) = problems(folder)
    assert only.startswith("views/fracture.toml genes: a set of codes")


def test_what_was_not_checked_says_so(folder: Path) -> None:
    listed = 'description = "Colours"\n[codes.red]\nlabel = "Red"\nunchecked = ["iso"]\n'
    (folder / "codelists" / "colour.toml").write_text(listed + 'codings = { iso = "R" }\n')
    red = parse_dictionary(folder).codelists["colour"].codes["red"]
    assert (red.unchecked, dict(red.attributes)) == (("iso",), {"checked": "no"})


def test_a_set_of_codes_is_a_list_of_texts() -> None:
    genes = Field("genes", "Genes looked at", "codes", codelist="gene", leaves="aggregate")
    table = Table("genetic_test", "Genetic test", "", ("genes",), (genes,))
    assert schema(table).field("genes").type == pa.list_(pa.string())
    assert schema(table).field("genes").metadata[b"codelist"] == b"gene"
