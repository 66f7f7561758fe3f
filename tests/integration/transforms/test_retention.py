"""What a site need not keep goes, after its time and not before; the current release never."""

import os
import stat
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from tests.integration.transforms.conftest import LABS
from tests.integration.transforms.test_release import release
from transforms import audit
from transforms.errors import ReleaseError, SetupError
from transforms.lock import at_work
from transforms.release import releases, verify
from transforms.retention import outdated, purge, purge_if_idle
from transforms.site import Retention, Site, current_release, load_site


Centre = Callable[..., Site]
NOW = datetime.now(UTC)


def days(count: int) -> datetime:
    """Return a moment so many days after the test began."""
    return NOW + timedelta(days=count)


def published(centre: Centre, count: int) -> tuple[Site, list[str]]:
    """Publish `count` releases one after the other."""
    names = [
        release(centre(labs=LABS + f"1001;04/04/2021;12,{number};;;\n")) for number in range(count)
    ]
    return centre(labs=LABS + f"1001;04/04/2021;12,{count - 1};;;\n"), names


def test_the_newest_releases_and_the_current_runs_work_are_kept(centre: Centre) -> None:
    site, names = published(centre, 5)
    gone = purge(site)
    assert list(releases(site)) == names[2:]
    verify(site)
    assert {path.name for path in site.work.glob("run-*")} == {verify(site)["run_id"]}
    assert {item.kind for item in gone} == {"release", "run"}
    assert purge(site) == ()
    told = audit.entries(site)[-1]
    assert told["event"] == "purged"
    assert f"releases/{names[0]}" in told["body"]["paths"]


def test_an_older_release_that_is_current_stays(centre: Centre) -> None:
    site, names = published(centre, 4)
    site.current.write_text(names[0])
    purge(site)
    assert set(releases(site)) == {names[0], *names[1:]}
    assert current_release(site) == names[0]


def test_the_inbox_goes_as_a_whole_and_only_when_it_is_what_was_published(centre: Centre) -> None:
    site, _ = published(centre, 1)
    assert not [item for item in outdated(site, days(29)) if item.kind == "inbox file"]
    extra = site.inbox / "more.csv"
    extra.write_text("not read by anybody\n")
    assert not [item for item in outdated(site, days(31)) if item.kind == "inbox file"]
    extra.unlink()
    gone = purge(site, days(31))
    assert len([item for item in gone if item.kind == "inbox file"]) == 3
    assert list(site.inbox.iterdir()) == []
    told = audit.entries(site)[-1]["body"]
    assert told == {"paths": [], "inbox_files": 3}  # a file's name may hold a patient's
    verify(site)


def test_reports_of_releases_stay_others_go_after_their_time(centre: Centre) -> None:
    site, _ = published(centre, 1)
    run = str(verify(site)["run_id"])
    for name in (run, "run-000000000000"):
        (site.reports / name).mkdir(parents=True)
        (site.reports / name / "validation.json").write_text("{}")
    assert not [item for item in outdated(site, days(364)) if item.kind == "report"]
    gone = [item.path for item in outdated(site, days(366)) if item.kind == "report"]
    assert gone == [Path("reports/run-000000000000")]


def test_logs_go_after_a_year_and_a_log_in_use_loses_its_oldest_lines(centre: Centre) -> None:
    site, _ = published(centre, 1)
    old, new = days(-400), NOW
    log = site.work / "node.log"
    log.write_text(f"{old:%Y-%m-%d} 10:00:00 INFO old\n  more of it\n{new:%Y-%m-%d} INFO new\n")
    errors = site.work / "errors.log"
    errors.write_text("== 1\n")
    os.utime(errors, (old.timestamp(), old.timestamp()))
    with log.open("a") as writer:  # as the node has it open
        purge(site)
        assert not errors.exists()
        writer.write("after\n")
    assert log.read_text() == f"{new:%Y-%m-%d} INFO new\nafter\n"


def test_a_step_at_work_keeps_the_cleaner_out(centre: Centre) -> None:
    site, names = published(centre, 4)
    with at_work(site):
        assert purge_if_idle(site) == ()
    assert list(releases(site)) == names
    assert purge_if_idle(site)


def test_nothing_goes_before_there_is_a_release(centre: Centre) -> None:
    site = centre()
    assert purge(site, days(1000)) == ()
    assert list(site.inbox.iterdir())


def test_what_cannot_be_removed_is_told(centre: Centre, monkeypatch: pytest.MonkeyPatch) -> None:
    site, _ = published(centre, 2)

    def refused(path: Path) -> None:
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr("transforms.retention.remove", refused)
    with pytest.raises(ReleaseError, match="cannot be removed"):
        purge(site)
    verify(site)


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("releases = 0", "retention.releases must be a whole number from 1"),
        ("log_days = 1.5", "retention.log_days must be a whole number from 1"),
        ("inbox_days = true", "retention.inbox_days must be a whole number from 1"),
        ("weeks = 3", r"\[retention\] has no weeks; it has inbox_days, log_days, releases"),
    ],
)
def test_a_wrong_setting_is_refused(centre: Centre, text: str, problem: str) -> None:
    path = centre().folder / "site.toml"
    whole = path.read_text()
    path.write_text(whole[: whole.index("[retention]")] + f"[retention]\n{text}\n")
    with pytest.raises(SetupError, match=problem):
        load_site(path.parent)


def test_the_defaults_hold_without_the_table(centre: Centre) -> None:
    path = centre().folder / "site.toml"
    whole = path.read_text()
    path.write_text(whole[: whole.index("# What is taken away")])
    assert load_site(path.parent).retention == Retention(3, 30, 365)


def test_nobody_else_can_enter(centre: Centre) -> None:
    site = centre()
    release(site)
    entered = [site.folder, site.inbox, site.mapping, site.releases]
    entered += [path for path in site.releases.rglob("*") if path.is_dir()]
    assert {stat.S_IMODE(path.stat().st_mode) for path in entered} == {0o700}
