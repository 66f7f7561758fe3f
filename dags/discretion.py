"""What a task may say: Airflow's logs and database never receive a value from a record.

The libraries raise `UserError`s that name files, fields and codes only; these are shown as they
are. Any other exception, and whatever a library prints, warns or logs while it works, may quote a
cell. It goes to `errors.log` in the site's own work folder, and Airflow gets a fixed text with a
reference to it.
"""

import contextlib
import io
import logging
import os
import secrets
import traceback
import warnings
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import TypeVar

from airflow.sdk.exceptions import AirflowFailException

from transforms.errors import UserError
from transforms.lock import at_work
from transforms.site import load_site


__all__ = ["discreetly", "note"]

Result = TypeVar("Result")

log = logging.getLogger(__name__)


def discreetly(step: Callable[..., Result], folder: str, *ids: str, cleans: bool = False) -> Result:
    """Return `step(site, *ids)` for the site in `folder`.

    It is one of the steps at work there, so that nothing is taken away under its hands; a step that
    `cleans` takes things away itself, under a lock of its own. Raises AirflowFailException, so that
    wrong data is not tried again: only a killed task is.
    """
    work = Path(folder, "work", *ids[:1])
    said = io.StringIO()
    try:
        site = load_site(Path(folder))
        with _muted(said), contextlib.nullcontext() if cleans else at_work(site):
            return step(site, *ids)
    except UserError as error:
        complaint = str(error)
    except Exception:
        complaint = _unexpected(note(work, traceback.format_exc()))
    finally:
        if said.getvalue():
            note(work, said.getvalue())
    log.error("%s", complaint)  # in words, above the traceback that Airflow adds
    # Outside of the except blocks, so that the first exception does not hang on to this one.
    raise AirflowFailException(complaint)


def note(work: Path, text: str) -> str:
    """Append `text` to `errors.log` in `work`, for its owner alone; return a reference to it."""
    reference = secrets.token_hex(4)
    work.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(work / "errors.log", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    with os.fdopen(descriptor, "a", encoding="utf-8") as log:
        log.write(f"== {reference} {datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}\n{text.rstrip()}\n")
    return f"{reference} in {work / 'errors.log'}"


def _unexpected(reference: str) -> str:
    """Return the fixed text for an error that nobody foresaw."""
    return (
        "The step stopped on an unexpected error; the last release stays in place. "
        f"The data manager finds the details under {reference}."
    )


@contextlib.contextmanager
def _muted(said: io.StringIO) -> Iterator[None]:
    """Collect in `said` what would be printed; drop warnings and log lines of libraries."""
    level = logging.root.manager.disable
    logging.disable(logging.CRITICAL)
    try:
        with (
            warnings.catch_warnings(),
            contextlib.redirect_stdout(said),
            contextlib.redirect_stderr(said),
        ):
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(level)
