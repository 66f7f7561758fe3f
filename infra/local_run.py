"""One run of a site without Airflow: the same steps in one process, for trying and for testing."""

from collections.abc import Callable
from dataclasses import dataclass

from transforms.collect import collect
from transforms.errors import ReviewError
from transforms.harmonize import harmonize
from transforms.release import publish
from transforms.site import Site, current_release


__all__ = ["STEPS", "LocalRun", "run_site"]

STEPS = ("collect", "harmonize", "validate", "review", "publish", "aggregate")


@dataclass(frozen=True)
class LocalRun:
    """What a run ended with; `new` is False when the inbox held nothing new."""

    run_id: str
    release_id: str
    new: bool


def run_site(site: Site, on_step: Callable[[str], None] = lambda step: None) -> LocalRun:
    """Take the files of a site's inbox to a published release.

    `on_step` is called with each step's name as it begins. Raises ReviewError when the run waits
    for a decision; the last good release stays in place on any error.
    """
    on_step("collect")
    batch = collect(site)
    release_id = current_release(site)
    if not batch.new and release_id is not None:
        return LocalRun(batch.run_id, release_id, new=False)
    decision, validation_sha256 = _judge(site, batch.run_id, on_step)
    on_step("publish")
    release_id = publish(site, batch.run_id, decision, validation_sha256)
    on_step("aggregate")
    from transforms.aggregate import aggregate

    aggregate(site, release_id)
    return LocalRun(batch.run_id, release_id, new=True)


def _judge(
    site: Site, run_id: str, on_step: Callable[[str], None]
) -> tuple[dict[str, object], str]:
    """Harmonise and validate, then return the decision and what it was taken on."""
    # Great Expectations takes seconds to import; a run with nothing new must not pay for it.
    from expectations.review import review
    from expectations.validate import validate

    on_step("harmonize")
    harmonize(site, run_id)
    on_step("validate")
    validate(site, run_id)
    on_step("review")
    decision = review(site, run_id)
    if decision is None:
        raise ReviewError(
            f"{site.id}: run {run_id} waits for a decision; read "
            f"{site.reports / run_id / 'report.html'}, then "
            f"`marmor quality accept {site.folder} {run_id} --by NAME --reason TEXT` and run again"
        )
    return dict(decision.as_mapping()), decision.validation_sha256
