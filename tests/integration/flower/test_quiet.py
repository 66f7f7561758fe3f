"""No process looks up an outside host, and none outlives whoever started it."""

import os
import signal
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from infra import consortium

from .conftest import NAMES, Running, free_port, make_site
from .test_failures import await_none, new_question, processes_of


LOOKUPS = """\
import os, sys

def note(event, arguments):
    if event in ("socket.getaddrinfo", "socket.gethostbyname"):
        with open(os.environ["MARMOR_TEST_LOOKUPS"], "a") as file:
            file.write(f"{arguments[0]}\\n")

sys.addaudithook(note)
"""


def test_no_outside_host_is_looked_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "sitecustomize.py").write_text(LOOKUPS)
    lookups = tmp_path / "lookups"
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    monkeypatch.setenv("MARMOR_TEST_LOOKUPS", str(lookups))
    sites = {name: make_site(tmp_path / name, name) for name in NAMES[:3]}
    consortium.init(tmp_path / "c", port=free_port())
    consortium.enroll(tmp_path / "c", list(sites.values()))
    world = Running(tmp_path / "c", sites)
    try:
        world.start_gateway()
        for name in sites:
            world.start_node(name)
        world.await_online(3)
        with world.client() as client:
            client.run(new_question())
    finally:
        world.close()
    seen = set(lookups.read_text().split())
    assert "127.0.0.1" in seen, "the hook would have seen a look-up"
    assert seen == {"127.0.0.1"}


def test_everything_ends_with_a_starter_that_is_killed(tmp_path: Path) -> None:
    sites = [make_site(tmp_path / name, name) for name in NAMES[:2]]
    consortium.init(tmp_path / "c", port=free_port())
    consortium.enroll(tmp_path / "c", sites)
    script = f"""\
        import time
        from pathlib import Path
        from infra import consortium
        consortium.start(Path({str(tmp_path / "c")!r}), tied=True)
        for site in {list(map(str, sites))}:
            consortium.start_node(Path(site), tied=True)
        print("up", flush=True)
        time.sleep(60)
    """
    command = [sys.executable, "-c", textwrap.dedent(script)]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as starter:
        assert starter.stdout is not None
        assert starter.stdout.readline() == b"up\n"
        assert len(processes_of(tmp_path)) > 3
        os.kill(starter.pid, signal.SIGKILL)
    await_none(tmp_path)
