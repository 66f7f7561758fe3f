"""Real phenopackets go through a mapping: no problem, and what cannot be held is counted."""

import json
import shutil
from pathlib import Path
from typing import Any

import duckdb
import pytest

from transforms.collect import collect
from transforms.harmonize import harmonize
from transforms.site import create_site


MAPPING = Path(__file__).parent / "phenopacket_mapping"


def run(folder: Path, files: list[Path]) -> tuple[dict[str, Any], Path]:
    """Harmonize copies of `files` at a new site; return the run's counts and its folder."""
    site = create_site(folder, site_id="odense", name="Odense", country="DK", language="da")
    for path in files:
        shutil.copyfile(path, site.inbox / path.name)
    for path in MAPPING.glob("*.csv"):
        shutil.copyfile(path, site.mapping / path.name)
    run_id = collect(site).run_id
    harmonize(site, run_id)
    work = site.work / run_id
    return json.loads((work / "harmonization.json").read_text()), work


@pytest.mark.parametrize(
    ("pattern", "features"),
    [("phenopackets/*/*.json", 244), ("rarelink/phenopackets/[0-9]*.json", 48)],
)
def test_every_row_is_kept_rejected_or_skipped(data: Path, tmp_path: Path, pattern, features):
    counts, _ = run(tmp_path / "site", sorted(data.glob(pattern)))
    tables = {
        "subjects": "person",
        "diseases": "diagnosis",
        "features": "complication",
        "variants": "variant",
        "measurements": "lab_measurement",
    }
    assert counts["rows_read"]["features"] == features
    for source, table in tables.items():
        fates = (counts["rows"], counts["rejected"], counts["skipped"])
        assert counts["rows_read"][source] == sum(fate.get(table, 0) for fate in fates), table


def test_rarelink_persons_arrive_and_the_rest_is_counted(data: Path, tmp_path: Path):
    counts, work = run(tmp_path / "site", sorted(data.glob("rarelink/phenopackets/[0-9]*.json")))
    assert counts["rows"]["person"] == 10
    assert counts["skipped"]["diagnosis"] == 10  # Kabuki syndrome
    assert counts["rows"]["lab_measurement"] > 0
    assert counts["not_held"] == {
        "features.modifiers": 18,
        "features.resolution": 1,
        "subjects.gender": 10,
        "variants.variant_interpretation.variation_descriptor.id": 13,
    }
    (first,) = duckdb.sql(
        f"select min(birth_date)::varchar from '{work}/tables/person.parquet'"
    ).fetchall()
    assert first == ("2009-12-03",)
