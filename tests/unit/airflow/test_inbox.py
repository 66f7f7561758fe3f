"""The watcher: it fires for a settled change, again until somebody takes it up."""

import asyncio
import os
import time
from pathlib import Path

import pytest

from dags.inbox import InboxTrigger, fingerprint, take_up


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in ("inbox", "mapping"):
        (tmp_path / name).mkdir()
    return tmp_path


def deliver(folder: Path, name: str = "inbox/patients.csv", age: float = 60) -> None:
    path = folder / name
    path.write_text("id;sex\n1;f\n", encoding="utf-8")
    os.utime(path, (time.time() - age, time.time() - age))


def events(folder: Path, seconds: float = 0.3, **options: float) -> int:
    """Count what a watcher announces in some tenths of a second."""

    async def listen() -> int:
        count = 0
        trigger = InboxTrigger(folder=str(folder), poll=0.01, **options)
        try:
            async with asyncio.timeout(seconds):
                async for _ in trigger.run():
                    count += 1
        except TimeoutError:
            return count
        return count

    return asyncio.run(listen())


def test_an_empty_inbox_is_silent(folder: Path) -> None:
    deliver(folder, "mapping/sources.csv")
    assert events(folder) == 0


def test_a_delivery_is_announced_once(folder: Path) -> None:
    deliver(folder)
    assert events(folder) == 1


def test_a_delivery_nobody_takes_up_is_announced_again(folder: Path) -> None:
    deliver(folder)
    assert events(folder, remind=0.05) >= 2


def test_a_copy_under_way_is_not_announced(folder: Path) -> None:
    deliver(folder, age=0)
    assert events(folder, settle=30) == 0


def test_what_was_taken_up_is_silent_until_it_changes(folder: Path) -> None:
    deliver(folder)
    assert take_up(folder)
    assert events(folder) == 0
    deliver(folder, "mapping/values.csv", age=50)
    assert events(folder) == 1


def test_hidden_files_do_not_count(folder: Path) -> None:
    deliver(folder, "inbox/.patients.csv.part")
    deliver(folder, "inbox/~$patients.xlsx")
    assert fingerprint(folder)[0] == ""
    assert not take_up(folder)


def test_airflow_can_store_the_watcher(folder: Path) -> None:
    path, options = InboxTrigger(folder=str(folder), settle=3).serialize()
    assert path == f"{InboxTrigger.__module__}.{InboxTrigger.__qualname__}"
    assert InboxTrigger(**options).serialize() == (path, options)
