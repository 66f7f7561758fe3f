"""What the tests of the running Airflow share: looking at processes and sockets from outside."""

import time
from collections.abc import Callable
from pathlib import Path

import pytest


def session_members(session: int) -> set[int]:
    """Return the processes of a session, without those that have ended."""
    members = set()
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            stat = (folder / "stat").read_text(encoding="utf-8").rpartition(")")[2].split()
        except OSError:
            continue
        if int(stat[3]) == session and stat[0] != "Z":
            members.add(int(folder.name))
    return members


def listening_addresses(pids: set[int]) -> set[str]:
    """Return the local addresses, in hexadecimal, on which `pids` accept TCP connections."""
    inodes = set()
    for pid in pids:
        for link in Path(f"/proc/{pid}/fd").glob("*"):
            try:
                inodes.add(str(link.readlink()).removeprefix("socket:[").removesuffix("]"))
            except OSError:
                continue
    addresses = set()
    for table in ("/proc/net/tcp", "/proc/net/tcp6"):
        for line in Path(table).read_text(encoding="ascii").splitlines()[1:]:
            fields = line.split()
            if fields[3] == "0A" and fields[9] in inodes:
                addresses.add(fields[1].partition(":")[0])
    return addresses


def wait_until(condition: Callable[[], object], seconds: float, what: str) -> None:
    """Wait for a condition; fail with `what` when it does not come true."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            pytest.fail(f"not within {seconds:.0f} s: {what}")
        time.sleep(0.1)


class Observer:
    """Looks at processes from outside."""

    session_members = staticmethod(session_members)
    listening_addresses = staticmethod(listening_addresses)
    wait_until = staticmethod(wait_until)


@pytest.fixture(scope="session")
def observer() -> type[Observer]:
    """The same looks for every test: test files cannot import from here."""
    return Observer
