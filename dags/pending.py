"""Which runs must not begin again, and which need not wait any longer.

The folder decides, not Airflow's database: whichever run comes next finds the same answer, also
after that database was lost.
"""

from expectations.review import decision, waiting
from transforms.site import Site


__all__ = ["held_back", "overtaken", "taken_away"]


def held_back(site: Site, run_id: str) -> str | None:
    """Say why a run that was collected before is not done again; None when it goes on.

    A run that was accepted but not published goes on.
    """
    if run_id in waiting(site):
        return f"{run_id} waits for a decision: marmor quality accept {site.folder} {run_id}"
    if (site.reports / run_id / "validation.json").is_file():
        taken = decision(site, run_id)
        if taken is not None and taken.outcome == "rejected":
            return f"{run_id} was sent back: mend the source or the mapping"
    return None


def taken_away(site: Site, run_id: str) -> bool:
    """Return whether a run's work is no longer there: after a withdrawal, or by the retention."""
    return not (site.work / run_id / "batch.json").is_file()


def overtaken(site: Site, run_id: str) -> bool:
    """Return whether a release was published after this run's files were collected."""
    batch = site.work / run_id / "batch.json"
    if not site.current.exists() or not batch.exists():
        return False
    return site.current.stat().st_mtime_ns > batch.stat().st_mtime_ns
