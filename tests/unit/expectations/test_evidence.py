"""Counts of harmonisation name sources by their id, never by a file, which may bear a name."""

import pytest

from expectations.evidence import Fired, _by_source, _source_of
from transforms.mapping import Source


def source(name: str, file: str, sheet: str = "") -> Source:
    return Source(name, "excel", file, "excel", "id", sheet)


SOURCES = (
    source("patients", "registre.xlsx", "Patients"),
    source("biologie", "registre.xlsx", "Biologie"),
    source("features", "phenopackets/*.json", "features"),
)


@pytest.mark.parametrize(
    ("place", "expected"),
    [
        ("registre.xlsx\tPatients", "patients"),
        ("registre.xlsx\tBiologie", "biologie"),
        ("registre.xlsx\t", "patients, biologie"),
        ("phenopackets/Dupont.json\tfeatures", "features"),
        ("Dupont.csv\t", "unknown source"),
    ],
)
def test_a_file_and_sheet_are_named_by_their_source(place: str, expected: str) -> None:
    assert _source_of(place, SOURCES) == expected


def test_files_of_one_source_are_added_up() -> None:
    def fired(file: str, rows: int) -> Fired:
        return Fired("R01", "hard", "fracture", "fracture_date", rows, "compare", file)

    both = _by_source(
        [fired("phenopackets/a.json\tfeatures", 2), fired("phenopackets/b.json\tfeatures", 3)],
        SOURCES,
    )
    assert both == (fired("features", 5),)
