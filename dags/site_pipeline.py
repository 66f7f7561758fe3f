"""One DAG per centre, from the files in its inbox to a published release.

Every folder below `MARMOR_HOME` that holds a `site.toml` gets a DAG. The tasks are thin: each calls
one function of the library with the site's folder and the run's id, and passes on nothing but ids.
The libraries are imported inside the tasks, because Airflow reads this file every few seconds.
"""

import inspect
import os
import re
from datetime import timedelta
from pathlib import Path

from airflow.sdk import (
    DAG,
    Asset,
    AssetOrTimeSchedule,
    AssetWatcher,
    CronTriggerTimetable,
    PokeReturnValue,
    task,
)
from airflow.sdk.exceptions import AirflowSkipException

from dags.discretion import discreetly
from dags.inbox import InboxTrigger, take_up
from transforms.errors import UserError
from transforms.site import load_site, site_folders


GUIDE = """\
### {name}: from the inbox to a release

collect → harmonize → validate → review → publish → aggregate → announce → retain

**When it runs**: half a minute after the last change in `inbox/` or `mapping/`, every hour, and
whenever you press *Trigger*. With nothing new, all steps after *collect* are skipped: that is a
success.

**What you need to do**: drop the exports into `{folder}/inbox`. Read
`{folder}/reports/<run>/report.html` when *validate* is done. If *review* waits, decide:
`marmor quality accept {folder} <run> --by NAME --reason TEXT`, or `reject`.

**When a step fails**: open it and read *Logs*: the last lines say which file, field or code is
wrong and what to do. Mend it and trigger again. The last good release stays in place until a new
one is complete. No value from a record is ever shown here.
"""

EMPTY = "the inbox is empty"
NOTHING_NEW = "nothing new in the inbox or the mapping"
TAKEN_AWAY = "a patient withdrew, or a later run was published; trigger again"
OVERTAKEN = "a newer delivery was published before anybody decided"
REVIEW_SECONDS = 60 * 24 * 3600.0
SETTLE_SECONDS = float(os.environ.get("MARMOR_SETTLE_SECONDS", "30"))

# Two runs of a site may go on at the same time, but never the same step of both.
ONE_AT_A_TIME = {"show_return_value_in_logs": False, "max_active_tis_per_dag": 1}

# Wrong data fails at once, see `discreetly`.
KILLED_TASKS_ARE_TRIED_AGAIN = {
    "retries": 1,
    "retry_delay": timedelta(seconds=5),
    "execution_timeout": timedelta(hours=2),
}


@task(**ONE_AT_A_TIME)
def collect(folder: str) -> str:
    """Fingerprint the inbox and the mapping.

    **Skipped** when the inbox is empty, or when its very content is already the current release,
    waits for a reviewer or was sent back: the log says which. **Fails** when `site.toml`, the inbox
    or the mapping cannot be read: the log names the line or the file.
    """
    from dags.pending import held_back
    from transforms.collect import collect
    from transforms.withdrawal import resume

    discreetly(resume, folder, cleans=True)
    if not take_up(Path(folder)):
        raise AirflowSkipException(EMPTY)
    batch = discreetly(collect, folder)
    reason = discreetly(held_back, folder, batch.run_id) if batch.new else NOTHING_NEW
    if reason:
        raise AirflowSkipException(reason)
    return batch.run_id


@task(**ONE_AT_A_TIME)
def harmonize(folder: str, run: str) -> str:
    """Read the sources, map and convert them to the dictionary, set aside what breaks a rule.

    **Fails** when a file is not what the mapping says, or has a column that the mapping does not
    know: the log lists all of them. Mend `mapping/` or the export, then trigger again. Single bad
    rows never stop the run: they are in `quarantine/<run>`, with rule and remedy.
    """
    from transforms.harmonize import harmonize

    discreetly(harmonize, folder, run)
    return run


@task(**ONE_AT_A_TIME)
def validate(folder: str, run: str) -> str:
    """Check conformance, completeness and plausibility; write the validation report.

    Findings do not fail this step: they are in `reports/<run>/report.html`, and the next step
    decides. If it **fails**, the log has a reference: the details are in the site's folder.
    """
    from expectations.validate import validate

    discreetly(validate, folder, run)
    return run


@task.sensor(
    mode="reschedule",  # a waiting run occupies no worker
    poke_interval=5,
    exponential_backoff=True,
    max_wait=30,
    timeout=REVIEW_SECONDS,
)
def review(folder: str, run: str) -> PokeReturnValue:
    """Pass at once when the site's acceptance criteria hold; otherwise wait for a reviewer.

    While it **waits** (*up for reschedule*) read the report, then run `marmor quality accept` or
    `marmor quality reject`; it goes on within half a minute. Other runs go on meanwhile. It
    **fails** when the run was rejected: mend the source and trigger again. **Skipped** when a
    newer delivery was published before anybody decided, or a patient withdrew meanwhile.
    """
    from dags.pending import overtaken, taken_away
    from expectations.review import review

    if discreetly(taken_away, folder, run):
        raise AirflowSkipException(TAKEN_AWAY)
    decision = discreetly(review, folder, run)
    if decision is None and discreetly(overtaken, folder, run):
        raise AirflowSkipException(OVERTAKEN)
    return PokeReturnValue(decision is not None, run)


@task(**ONE_AT_A_TIME)
def publish(folder: str, run: str) -> str:
    """Write the release: tables, analysis views and manifest, all of it or nothing.

    If it **fails**, the release before it stays current. Mend what the log says, trigger again.
    """
    from expectations.review import publish_reviewed

    return discreetly(publish_reviewed, folder, run)


@task(**ONE_AT_A_TIME)
def aggregate(folder: str, release_id: str) -> str:
    """Compute the site's own dashboard from the release, in `reports/`.

    It **fails** when a file of the release was changed: run `marmor site verify`.
    """
    from transforms.aggregate import aggregate

    discreetly(aggregate, folder, release_id)
    return release_id


@task(**ONE_AT_A_TIME)
def retain(folder: str, release_id: str) -> None:
    """Take away what the centre need not keep: see `[retention]` in its `site.toml`.

    It does nothing while another run is at work, and comes round again after the next one. If it
    **fails**, the release is published all the same: mend what the log says.
    """
    from transforms.retention import purge_if_idle

    discreetly(purge_if_idle, folder, cleans=True)


@task(show_return_value_in_logs=False)
def announce(release_id: str) -> str:
    """Tell Airflow that there is a new release, so that other DAGs can start on it."""
    return release_id


def site_pipeline(folder: Path) -> DAG:
    """Return the DAG of the site in `folder`."""
    site_id, name = identity(folder)
    watch = InboxTrigger(folder=str(folder), settle=SETTLE_SECONDS)
    inbox = Asset(name=f"inbox of {site_id}", watchers=[AssetWatcher(name="inbox", trigger=watch)])
    release = Asset(name=f"release of {site_id}", uri=f"marmor://{site_id}/release")
    with DAG(
        dag_id=f"marmor_{site_id}",
        dag_display_name=f"{name}: inbox to release",
        doc_md=GUIDE.format(name=name, folder=folder),
        schedule=AssetOrTimeSchedule(
            timetable=CronTriggerTimetable("0 * * * *", timezone="UTC"), assets=[inbox]
        ),
        catchup=False,  # and no start date: the first run is at the next full hour, not at once
        max_active_runs=8,  # runs that wait for a reviewer must not block the next inbox
        tags=["marmor"],
        default_args=KILLED_TASKS_ARE_TRIED_AGAIN,
    ) as pipeline:
        at = str(folder)
        reviewed = review(at, validate(at, harmonize(at, collect(at))))
        published = aggregate(at, publish(at, reviewed))
        retain(at, announce.override(outlets=[release])(published))
    for step in pipeline.tasks:
        step.doc_md = inspect.cleandoc(step.doc_md)  # indented text would be shown as code
    return pipeline


def identity(folder: Path) -> tuple[str, str]:
    """Return the id and the name in `site.toml`; the folder's name where it is not right.

    A site with a broken `site.toml` keeps its DAG, and *collect* says there what is wrong with it.
    An id that Airflow refuses would take the DAGs of all other sites with it.
    """
    try:
        site = load_site(folder)
    except (OSError, UserError):
        return re.sub(r"[^\w.-]", "_", folder.name), folder.name
    return site.id, site.name


for site_folder in site_folders(Path(os.environ.get("MARMOR_HOME", "."))):
    pipeline = site_pipeline(site_folder)
