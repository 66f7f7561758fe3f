"""Takes away what a site need not keep any longer: `marmor site purge`, and after each run.

| what                                        | goes                                             |
|---------------------------------------------|--------------------------------------------------|
| releases                                    | beyond the newest `releases`; never the current  |
| files in the inbox                          | `inbox_days` after the release made from them    |
| `work/` and `quarantine/` of a run          | when a run collected later was published         |
| reports and reviews of a run, logs          | after `log_days`; never those of a kept release  |
| audit chain, ledger, tombstones, keys       | never                                            |

The numbers stand in `site.toml` under `[retention]`. The inbox goes only as a whole and only when
it holds exactly what the current release was made from: half an inbox would make half a release.
"""

import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from transforms import audit
from transforms.collect import inbox_files
from transforms.durable import remove
from transforms.errors import ReleaseError
from transforms.landing import digests
from transforms.lock import BusyError, alone
from transforms.manifest import read_manifest
from transforms.release import releases
from transforms.release_folder import discard, publishing
from transforms.site import Site, current_release


__all__ = ["Outdated", "outdated", "purge", "purge_if_idle"]

DAY = re.compile(rb"(\d{4}-\d{2}-\d{2})[ T]")


@dataclass(frozen=True)
class Outdated:
    """Something that may go: a kind, a path below the site's folder, and the reason.

    The path of an inbox file is not for printing: a file's name may hold a patient's.
    """

    kind: str
    path: Path
    reason: str


def outdated(site: Site, now: datetime | None = None) -> tuple[Outdated, ...]:
    """Return what need not be kept at `now`. Raises ReleaseError when a manifest is spoilt."""
    moment = now or datetime.now(UTC)
    kept = _kept_releases(site)
    runs = {str(read_manifest(site.releases / name)["run_id"]) for name in kept}
    return (
        *_releases(site, kept),
        *_inbox(site, moment),
        *_runs(site),
        *_reports(site, runs, moment),
        *_logs(site, moment),
    )


def purge(site: Site, now: datetime | None = None) -> tuple[Outdated, ...]:
    """Take away what need not be kept; wait for steps at work. Return what went.

    Raises ReleaseError when something cannot be taken away; the rest is tried again next time.
    """
    with alone(site, on_wait=lambda: None):
        return _purge(site, now)


def purge_if_idle(site: Site, now: datetime | None = None) -> tuple[Outdated, ...]:
    """Do as `purge`, but nothing while a step is at work: it comes round again."""
    try:
        with alone(site):
            return _purge(site, now)
    except BusyError:
        return ()


def _purge(site: Site, now: datetime | None) -> tuple[Outdated, ...]:
    """Take away what is outdated, releases first, and note it."""
    gone = outdated(site, now)
    if not gone:
        return ()
    limit = (now or datetime.now(UTC)) - timedelta(days=site.retention.log_days)
    try:
        with publishing(site):
            for item in gone:
                if item.kind == "release":
                    discard(site, item.path.name)
        for item in gone:
            if item.kind == "log lines":
                _trim(site.folder / item.path, limit)
            elif item.kind != "release":
                remove(site.folder / item.path)
    except OSError as error:
        raise ReleaseError(
            f"{error.filename or site.folder}: cannot be removed ({error.strerror}); mend the "
            "folder's permissions and purge again"
        ) from None
    told = [str(item.path) for item in gone if item.kind != "inbox file"]
    kinds = Counter(item.kind for item in gone)
    audit.note(site, "purged", {"paths": told, "inbox_files": kinds["inbox file"]})
    return gone


def _kept_releases(site: Site) -> frozenset[str]:
    """Return the newest releases, the current one, and the one a pause is reckoned from."""
    current = current_release(site)
    kept = set(releases(site)[-site.retention.releases :])
    if current is not None:
        hold = read_manifest(site.releases / current).get("hold") or {}
        kept |= {current, str(hold.get("base"))} & set(releases(site))
    return frozenset(kept)


def _releases(site: Site, kept: frozenset[str]) -> Iterator[Outdated]:
    """Yield the releases beyond those that are kept."""
    for name in releases(site):
        if name not in kept:
            reason = f"the newest {site.retention.releases} are kept"
            yield Outdated("release", _below(site, site.releases / name), reason)


def _inbox(site: Site, now: datetime) -> Iterator[Outdated]:
    """Yield all files of the inbox when the current release was made from just these, long ago."""
    current = current_release(site)
    if current is None or not site.inbox.is_dir():
        return
    manifest = read_manifest(site.releases / current)
    since = datetime.fromtimestamp(site.current.stat().st_mtime, UTC)
    if now - since < timedelta(days=site.retention.inbox_days):
        return
    files = inbox_files(site.inbox)
    if files and digests(files) == sorted(manifest["inputs_sha256"]):
        reason = f"published more than {site.retention.inbox_days} days ago"
        yield from (Outdated("inbox file", _below(site, path), reason) for path in files)


def _runs(site: Site) -> Iterator[Outdated]:
    """Yield the folders of runs that were collected before the one that is published."""
    current = current_release(site)
    if current is None:
        return
    run = str(read_manifest(site.releases / current)["run_id"])
    published = _collected(site, run) or site.current.stat().st_mtime_ns
    for folder in (*site.work.glob("run-*"), *site.quarantine.glob("run-*")):
        if folder.name != run and (_collected(site, folder.name) or 0) < published:
            reason = "a run collected later is published"
            yield Outdated("run", _below(site, folder), reason)


def _collected(site: Site, run: str) -> int | None:
    """Return when a run was collected, in nanoseconds; None when it was not, or is gone."""
    path = site.work / run / "batch.json"
    return path.stat().st_mtime_ns if path.is_file() else None


def _reports(site: Site, runs: set[str], now: datetime) -> Iterator[Outdated]:
    """Yield old reports and reviews whose run is no release any more."""
    found = [*site.reports.glob("*"), *site.review.glob("*.json"), *site.review.glob("*/*.json")]
    for path in found:
        if path.stem not in runs and _is_old(site, path, now):
            yield Outdated("report", _below(site, path), _reason(site))


def _logs(site: Site, now: datetime) -> Iterator[Outdated]:
    """Yield logs that nobody wrote to for long, and the node's log when it begins long ago."""
    for path in (site.work / "errors.log", site.work / "node.log"):
        if path.is_file() and _is_old(site, path, now):
            yield Outdated("log", _below(site, path), _reason(site))
        elif path.name == "node.log" and path.is_file() and _begins_old(site, path, now):
            yield Outdated("log lines", _below(site, path), _reason(site))


def _begins_old(site: Site, path: Path, now: datetime) -> bool:
    """Return whether the first line with a day is older than logs are kept."""
    limit = f"{now - timedelta(days=site.retention.log_days):%Y-%m-%d}".encode()
    with path.open("rb") as file:
        days = (DAY.match(line) for line in file)
        first = next((day.group(1) for day in days if day), limit)
    return first < limit


def _trim(path: Path, limit: datetime) -> None:
    """Drop a log's lines before a day; its writer appends, and goes on after them."""
    first = f"{limit:%Y-%m-%d}".encode()
    with path.open("r+b") as file:
        lines = file.readlines()
        days = [DAY.match(line) for line in lines]
        start = next((n for n, day in enumerate(days) if day and day.group(1) >= first), len(lines))
        file.seek(0)
        file.writelines(lines[start:])
        file.truncate()


def _is_old(site: Site, path: Path, now: datetime) -> bool:
    """Return whether a file, or all that a folder holds, was written to longest ago."""
    newest = max((inner.stat().st_mtime for inner in path.rglob("*")), default=path.stat().st_mtime)
    limit = now - timedelta(days=site.retention.log_days)
    return datetime.fromtimestamp(newest, UTC) < limit


def _reason(site: Site) -> str:
    """Say why reports and logs go."""
    return f"older than {site.retention.log_days} days"


def _below(site: Site, path: Path) -> Path:
    """Return a path relative to the site's folder."""
    return path.relative_to(site.folder)
