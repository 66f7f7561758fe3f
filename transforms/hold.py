"""The pause after a withdrawal: what a site answers before and after must not differ by one person.

Whoever asked the same question before and after a withdrawal, with nothing else changed, would
subtract and know the patient who left. So a release without that patient answers the consortium
only when at least 7 other patients changed too in each view (`transforms.changed`: or a question
about fractures would tell of the one patient whose fractures went), or from the next quarter on,
whichever is first.
Its manifest says so: `hold: {"base": the first release without the patient, "until": a day}`; in
that release itself `base` is null.

Source of both numbers: the consortium's policy (a difference of 1 to 6 patients is never answered;
releases are quarterly). The persons who withdrew do not count, so that the rule errs on their side.
"""

import datetime
from collections.abc import Mapping
from typing import Any

from transforms.errors import ReleaseError
from transforms.manifest import sealed_manifest
from transforms.site import Site, current_release
from transforms.tombstones import NOBODY, current_digests, pending


__all__ = ["LEAST_CHANGED", "Hold", "is_held", "next_quarter", "standing"]

LEAST_CHANGED = 7
Hold = Mapping[str, Any]


def next_quarter(day: datetime.date) -> datetime.date:
    """Return the first day of the quarter after the one that `day` lies in.

    >>> next_quarter(datetime.date(2026, 11, 22))
    datetime.date(2027, 1, 1)
    """
    months = day.year * 12 + (day.month - 1) // 3 * 3 + 3
    return datetime.date(months // 12, months % 12 + 1, 1)


def standing(site: Site, release: str, today: datetime.date | None = None) -> str | None:
    """Return the rule by which `release` may not answer the consortium today; None when it may.

    `release_gone`: it is not the current release and no longer there. `release_held`: see above,
    and while a withdrawal is not complete or was undone by a backup. Raises ReleaseError when a
    tombstone was spoilt.
    """
    if pending(site):
        return "release_held"
    try:
        manifest = sealed_manifest(site.releases / release)
    except ReleaseError:
        # What was changed or cannot be read is refused with its own code by who reads the rows.
        there = (site.releases / release).is_dir() or current_release(site) == release
        return None if there else "release_gone"
    day = today or datetime.datetime.now(datetime.UTC).date()
    current = manifest.get("withdrawn_sha256", NOBODY) in current_digests(site)
    return "release_held" if is_held(manifest.get("hold"), day) or not current else None


def is_held(hold: Hold | None, day: datetime.date) -> bool:
    """Return whether a manifest's `hold` is still on."""
    return hold is not None and day < datetime.date.fromisoformat(hold["until"])
