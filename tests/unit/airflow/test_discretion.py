"""No value from a record reaches Airflow, whatever a library does."""

import logging
import stat
import sys
import warnings
from pathlib import Path

import pytest
from airflow.sdk.exceptions import AirflowFailException

from dags.discretion import discreetly
from transforms.errors import SourceError
from transforms.site import Site, create_site


CANARY = "Jeanne Testeur 1987-05-04"


@pytest.fixture
def folder(tmp_path: Path) -> str:
    folder = tmp_path / "lyon"
    create_site(folder, site_id="lyon", name="Lyon", country="FR", language="fr")
    return str(folder)


def whole_chain(error: BaseException | None) -> list[BaseException]:
    return [] if error is None else [error, *whole_chain(error.__cause__ or error.__context__)]


def test_a_result_comes_back(folder: str) -> None:
    assert discreetly(lambda site, run: f"{site.id} {run}", folder, "run-1") == "lyon run-1"


def test_what_a_person_can_mend_is_shown_as_it_is(folder: str) -> None:
    def step(site: Site) -> None:
        raise SourceError("patients.csv: no column called Geburtsdatum")

    with pytest.raises(AirflowFailException, match=r"^patients.csv: no column called Geburtsd"):
        discreetly(step, folder)


def test_an_unexpected_error_becomes_a_reference(folder: str) -> None:
    def step(site: Site, run: str) -> None:
        raise ValueError(f"cannot parse {CANARY}")

    with pytest.raises(AirflowFailException) as caught:
        discreetly(step, folder, "run-1")
    assert all(CANARY not in str(error) for error in whole_chain(caught.value))
    log = Path(folder, "work", "run-1", "errors.log")
    assert CANARY in log.read_text(encoding="utf-8")
    assert stat.S_IMODE(log.stat().st_mode) == 0o600
    assert str(log) in str(caught.value)


def test_a_site_that_cannot_be_read_says_why(tmp_path: Path) -> None:
    with pytest.raises(AirflowFailException, match="marmor site init"):
        discreetly(lambda site: None, str(tmp_path))


def test_prints_warnings_and_log_lines_stay_at_the_site(
    folder: str, capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    def step(site: Site) -> None:
        sys.stdout.write(CANARY)
        warnings.warn(CANARY, stacklevel=1)
        logging.getLogger("openpyxl").error(CANARY)

    discreetly(step, folder)
    assert CANARY not in "".join(capfd.readouterr()) + caplog.text
    assert CANARY in Path(folder, "work", "errors.log").read_text(encoding="utf-8")
    logging.getLogger("openpyxl").error("heard again")
    assert "heard again" in caplog.text
