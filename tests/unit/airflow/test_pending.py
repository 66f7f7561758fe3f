"""Which runs begin again: only those that have something left to do."""

import json
import os
from pathlib import Path

import pytest

from dags.pending import held_back, overtaken, taken_away
from expectations.review import accept, reject
from transforms.site import Site, create_site


RUN = "run-0123456789ab"


@pytest.fixture
def site(tmp_path: Path) -> Site:
    folder = tmp_path / "lyon"
    made = create_site(folder, site_id="lyon", name="Lyon", country="FR", language="fr")
    (made.work / RUN).mkdir(parents=True)
    (made.work / RUN / "batch.json").write_text("{}")
    return made


def validated(site: Site, verdict: str) -> None:
    report = site.reports / RUN / "validation.json"
    report.parent.mkdir(parents=True)
    report.write_text(json.dumps({"verdict": verdict, "criteria": []}))


def test_a_new_run_goes_on(site: Site) -> None:
    assert held_back(site, RUN) is None


def test_a_run_that_passed_but_was_not_published_goes_on(site: Site) -> None:
    validated(site, "passed")
    assert held_back(site, RUN) is None


def test_a_waiting_run_is_not_done_again(site: Site) -> None:
    validated(site, "needs_review")
    assert f"marmor quality accept {site.folder} {RUN}" in str(held_back(site, RUN))


def test_an_accepted_run_that_was_not_published_goes_on(site: Site) -> None:
    validated(site, "needs_review")
    accept(site, RUN, by="Ada", reason="a known gap")
    assert held_back(site, RUN) is None


def test_a_run_that_was_sent_back_is_not_done_again(site: Site) -> None:
    validated(site, "needs_review")
    reject(site, RUN, by="Ada", reason="the wrong export")
    assert "was sent back" in str(held_back(site, RUN))


def test_a_release_overtakes_what_was_collected_before_it(site: Site) -> None:
    assert not overtaken(site, RUN)
    site.current.write_text("rel-1")
    os.utime(site.current, (0, 0))
    assert not overtaken(site, RUN)
    os.utime(site.work / RUN / "batch.json", (0, 0))
    site.current.write_text("rel-2")
    assert overtaken(site, RUN)


def test_a_run_whose_work_was_taken_away_does_not_wait(site: Site) -> None:
    """After a withdrawal there is nothing left that a reviewer could decide on."""
    assert not taken_away(site, RUN)
    (site.work / RUN / "batch.json").unlink()
    assert taken_away(site, RUN)
