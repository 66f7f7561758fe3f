"""Seen from inside a real executor: what it can open, reach and grow to, with a control outside."""

import json
import os
import pwd
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from federated import executor as module
from federated.executor import Executor, ExecutorError, Limits
from transforms.errors import SetupError


SITE_FILES = (
    "site.toml",
    "keys/node.key",
    "keys/identity.pem",
    "keys/pseudonym.key",
    "ledger/ledger.jsonl",
    "inbox/export.csv",
    "work/run-1/landing/export.csv",
    "quarantine/run-1.csv",
    "releases/rel-0/tables/patient.parquet",
    "releases/rel-0/views/person.parquet",
    "releases/rel-0/MANIFEST.json",
)

# An executor whose tally tries what a hostile one would, once before and once behind the walls.
PROBE = """\
import ctypes, json, os, socket, sys
import numpy as np
from federated import executor
from transforms import sandbox

told = json.loads({told!r})
site, parent = told["site"], os.getppid()

def opened(path, mode="rb"):
    with open(path, mode) as file:
        return file.read(1) if mode == "rb" else True

def connected(family, address):
    with socket.socket(family) as probe:
        probe.settimeout(1)
        probe.connect(address)

def sent(address):
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.sendto(b"?", address)

def traced():
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.ptrace(16, parent, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "ptrace")
    os.waitpid(parent, 0)
    libc.ptrace(17, parent, 0, 0)

def listed():
    return os.listdir(site)

ATTEMPTS = {{
    **{{
        f"read {{name}}": lambda name=name: opened(f"{{site}}/{{name}}")
        for name in told["files"]
    }},
    "list": listed,
    "password file": lambda: opened("/etc/passwd"),
    "resolver": lambda: opened("/etc/resolv.conf"),
    "parent's environment": lambda: opened(f"/proc/{{parent}}/environ"),
    "append": lambda: opened(f"{{site}}/ledger/ledger.jsonl", "ab"),
    "truncate": lambda: os.truncate(f"{{site}}/ledger/ledger.jsonl", 2),
    "make": lambda: os.mkdir(f"{{site}}/releases/new-{{os.getpid()}}"),
    "link": lambda: os.symlink("/", f"{{site}}/releases/link-{{os.getpid()}}"),
    "tcp": lambda: connected(socket.AF_INET, ("127.0.0.1", told["port"])),
    "udp": lambda: sent(("127.0.0.1", told["port"])),
    "abstract socket": lambda: connected(socket.AF_UNIX, "\\0" + told["abstract"]),
    "signal": lambda: os.kill(parent, 0),
}}

def attempt():
    seen = {{}}
    for name, work in ATTEMPTS.items():
        try:
            work()
            seen[name] = 1
        except OSError:
            seen[name] = 0
    return seen

if told["control"]:
    print(json.dumps(attempt()))
    sys.exit()

def tally_files(view, manifest, request, broadcast):
    if request["view"] == "bomb":
        np.ones(2**31, np.int64)
    if request["view"] == "spin":
        while True:
            pass
    if request["view"] == "write":
        os.write(os.memfd_create("x"), b"x")
    if request["view"] == "descriptors":
        kept = []
        try:
            while True:
                kept.append(os.dup(0))
        finally:
            for descriptor in kept:
                os.close(descriptor)
    seen = {{"read " + told["files"][9] + " handed over": int(view == b"{{}}"), **attempt()}}
    from federated.statistics import Counts
    return {{name: Counts(np.array([value])) for name, value in seen.items()}}

limit_growth = sandbox.limit_growth

def limit_and_replace(memory):
    sys.modules["federated.tally"].tally_files = tally_files
    limit_growth(memory)

sandbox.limit_growth = limit_and_replace
executor.main()
"""


class Inside:
    """A site's folder, listeners of the machine, and a way to start executors that probe them."""

    def __init__(self, site: Path, port: int, abstract: str) -> None:
        self.site = site
        self.told = {"files": SITE_FILES, "port": port, "abstract": abstract, "site": str(site)}

    def program(self, *, control: bool) -> tuple[str, str]:
        told = json.dumps({**self.told, "control": control})
        return "-c", PROBE.format(told=told)

    def outside(self) -> dict[str, int]:
        """What succeeds without walls: the control."""
        done = subprocess.run(
            [sys.executable, *self.program(control=True)], capture_output=True, check=True
        )
        return dict(json.loads(done.stdout))

    def executor(
        self, monkeypatch: pytest.MonkeyPatch, user: str = "", wall: float = 20
    ) -> Executor:
        monkeypatch.setattr(module, "_PROGRAM", self.program(control=False))
        walls: dict[str, bool] = {}
        running = Executor(
            self.site / "releases", Limits(wall=wall, cpu=3), user=user, note=walls.update
        )
        running.warm_up()
        if not (walls.get("network") and walls.get("files")):
            running.close()
            pytest.skip(f"this kernel does not give ordinary processes all walls: {walls}")
        return running


@pytest.fixture
def inside(tmp_path: Path) -> Iterator[Inside]:
    for name in (*SITE_FILES, *(f"releases/rel-0/views/{v}.parquet" for v in ODD)):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(b"{}")
    abstract = f"marmor-{os.getpid()}"
    with (
        socket.create_server(("127.0.0.1", 0)) as tcp,
        socket.socket(socket.AF_UNIX) as unix,
    ):
        unix.bind("\0" + abstract)
        unix.listen()
        yield Inside(tmp_path, tcp.getsockname()[1], abstract)


ODD = ("bomb", "spin", "write", "descriptors")


def seen_by(executor: Executor) -> dict[str, int]:
    blocks = executor({"view": "person"}, {}, "rel-0")
    return {name: int(block.values[0]) for name, block in blocks.items()}


def test_nothing_of_the_site_and_of_the_machine_is_in_reach(
    inside: Inside, monkeypatch: pytest.MonkeyPatch
) -> None:
    control = inside.outside()
    expected = {"resolver"} if not Path("/etc/resolv.conf").exists() else set()
    assert {name for name, succeeded in control.items() if not succeeded} <= expected
    executor = inside.executor(monkeypatch)
    try:
        seen = seen_by(executor)
    finally:
        executor.close()
    assert seen.pop("read releases/rel-0/views/person.parquet handed over") == 1
    assert seen.keys() == control.keys()
    assert {name for name, succeeded in seen.items() if succeeded} == set()
    assert (inside.site / "ledger/ledger.jsonl").read_bytes() == b"{}"


def test_growth_is_bounded_and_the_next_question_is_answered(
    inside: Inside, monkeypatch: pytest.MonkeyPatch
) -> None:
    executor = inside.executor(monkeypatch, wall=12)
    try:
        for view, codes in (
            ("bomb", {"internal", "crashed"}),  # 16 GiB
            ("write", {"internal", "crashed"}),
            ("descriptors", {"internal"}),
            ("spin", {"timeout", "crashed"}),  # CPU time or the deadline, whichever is first
        ):
            with pytest.raises(ExecutorError) as caught:
                executor({"view": view}, {}, "rel-0")
            assert caught.value.code in codes, view
            assert seen_by(executor), view
    finally:
        executor.close()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")
def test_it_runs_as_the_user_that_the_site_names(
    inside: Inside, monkeypatch: pytest.MonkeyPatch
) -> None:
    nobody = pwd.getpwnam("nobody")
    executor = inside.executor(monkeypatch, user="nobody")
    try:
        seen = seen_by(executor)
        status = Path(f"/proc/{executor.pid}/status").read_text()
    finally:
        executor.close()
    numbers = dict(line.split(":\t") for line in status.splitlines() if "id:" in line)
    assert numbers["Uid"].split() == [str(nobody.pw_uid)] * 4
    assert numbers["Gid"].split() == [str(nobody.pw_gid)] * 4
    assert seen.pop("read releases/rel-0/views/person.parquet handed over") == 1
    assert set(seen.values()) == {0}


def test_a_user_that_is_not_there_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(SetupError, match="no user gandalf"):
        Executor(tmp_path, user="gandalf")
