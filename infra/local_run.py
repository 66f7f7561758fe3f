"""One run of a site without Airflow: the same steps in one process, for trying and for testing."""

from dataclasses import dataclass

from transforms.collect import collect
from transforms.errors import ReviewError
from transforms.harmonize import harmonize
from transforms.lock import at_work
from transforms.outcome import refused_files
from transforms.retention import purge_if_idle
from transforms.saying import Say, nothing
from transforms.site import Site, current_release
from transforms.withdrawal import resume


__all__ = ["LocalRun", "run_site"]


@dataclass(frozen=True)
class LocalRun:
    """What a run ended with; `new` is False when the inbox held nothing new."""

    run_id: str
    release_id: str
    new: bool


def run_site(site: Site, on_step: Say = nothing, say: Say = nothing) -> LocalRun:
    """Take the files of a site's inbox to a published release.

    A withdrawal that was interrupted is completed before, and what need not be kept is taken away
    after. `on_step` is told each step's name as it begins, `say` what a long step is at. Raises
    ReviewError when the run waits for a decision; the last good release stays in place on any
    error.
    """
    resume(site)
    with at_work(site):
        done = _run(site, on_step, say)
    if done.new:
        on_step("retain")
        purge_if_idle(site)
    return done


def _run(site: Site, on_step: Say, say: Say) -> LocalRun:
    """Do all steps that read and write in the site's folder."""
    on_step("collect")
    batch = collect(site)
    release_id = current_release(site)
    if not batch.new and release_id is not None:
        return LocalRun(batch.run_id, release_id, new=False)
    _prepare(site, batch.run_id, on_step, say)
    return LocalRun(batch.run_id, _release(site, batch.run_id, on_step), new=True)


def _prepare(site: Site, run_id: str, on_step: Say, say: Say) -> None:
    """Harmonize, validate and review; raise ReviewError when somebody has to decide."""
    # Great Expectations takes seconds to import; a run with nothing new must not pay for it.
    from expectations.review import review
    from expectations.validate import validate

    on_step("harmonize")
    harmonize(site, run_id, say)
    on_step("validate")
    validate(site, run_id)
    on_step("review")
    if review(site, run_id) is None:
        waits = (
            f"{site.id}: run {run_id} waits for a decision; read "
            f"{site.reports / run_id / 'report.html'}, then "
            f"`marmor quality accept {site.folder} {run_id} --by NAME --reason TEXT` and run again"
        )
        raise ReviewError("\n".join([*refused_files(site, run_id), waits]))


def _release(site: Site, run_id: str, on_step: Say) -> str:
    """Publish an accepted run and draw the site's own dashboard; return the release's id."""
    from expectations.review import publish_reviewed
    from transforms.aggregate import aggregate

    on_step("publish")
    release_id = publish_reviewed(site, run_id)
    on_step("aggregate")
    aggregate(site, release_id)
    return release_id
