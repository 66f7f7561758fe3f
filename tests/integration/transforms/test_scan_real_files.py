"""Scan and suggest on real files: REDCap exports with their data dictionaries, phenopackets."""

import shutil
from pathlib import Path

import pytest

from transforms.scan import scan_inbox
from transforms.site import Site, create_site
from transforms.suggest import draft


SHARED = Path(__file__).resolve().parents[4] / "shared" / "data"

pytestmark = pytest.mark.skipif(not SHARED.is_dir(), reason="the sample files are not here")


@pytest.fixture
def site(tmp_path: Path) -> Site:
    return create_site(tmp_path / "s", site_id="s1", name="S", country="US", language="en")


def put(site: Site, folder: str, *names: str) -> None:
    for name in names:
        shutil.copy(SHARED / folder / name, site.inbox / name)


def test_redcap_s_own_dictionary_says_what_variables_and_codes_mean(site: Site) -> None:
    put(site, "redcapr/repeating-instruments", "data.csv", "dictionary.csv")
    scan = scan_inbox(site)
    assert [(t.source.format, t.source.sheet) for t in scan.tables][:2] == [
        ("redcap", ""), ("redcap", "bp"),
    ]  # fmt: skip
    result = draft(scan, site, rare=True)
    sex = {
        r["source_value"]: r["target_code"] for r in result.values if r["field"] == "sex_at_birth"
    }
    assert sex == {"0": "female", "1": "male"}


def test_no_name_of_a_redcap_project_fills_a_field(site: Site) -> None:
    put(site, "redcapr/simple", "data.csv", "dictionary.csv")
    scan = scan_inbox(site)
    result = draft(scan, site)
    left = {row["column"]: row["reason"] for row in result.ignore}
    named = {"name_first", "name_last", "address", "telephone", "email"}
    assert {left[name] for name in named & set(left)} <= {"identifier"}
    assert not named & {row["column"] for row in result.fields}
    assert [table.source.format for table in scan.tables] == ["redcap"]


def test_phenopackets_are_one_row_of_a_shipped_mapping(site: Site) -> None:
    for path in sorted((SHARED / "phenopackets").rglob("*.json"))[:3]:
        shutil.copy(path, site.inbox / path.name)
    scan = scan_inbox(site)
    assert [one.ready for one in scan.ready] == ["phenopackets"]
    assert scan.tables == ()
