"""No process looks up an outside host, and none outlives whoever started it."""

import json
import os
import signal
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from federated import executor
from federated.request import parse_request
from infra import consortium
from infra.bench_stock import free_port
from infra.environments import ROOT

from .conftest import NAMES, Running, make_site
from .test_failures import await_none, new_question, processes_of


CONTROL = """
from federated import tally
tally.tally_files = lambda *_: __import__("socket").getaddrinfo("localhost", 1)
"""

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


# An executor that ends when anything in it asks for the address of a host, itself included.
QUIET_EXECUTOR = """\
import os, sys

def end(event, arguments):
    if event in ("socket.getaddrinfo", "socket.gethostbyname", "socket.connect"):
        os._exit(9)

sys.addaudithook(end)
from federated import executor
{last}
executor.main()
"""


@pytest.mark.parametrize(("last", "quiet"), [("", True), (CONTROL, False)])
def test_an_executor_asks_for_no_host(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, last: str, quiet: bool
) -> None:
    site = make_site(tmp_path / "lyon", "lyon")
    monkeypatch.setattr(executor, "_PROGRAM", ("-c", QUIET_EXECUTOR.format(last=last)))
    running = executor.Executor(site / "releases")
    question = parse_request(new_question()).to_mapping()
    try:
        if quiet:
            assert running(question, {}, "rel-lyon")
        else:
            with pytest.raises(executor.ExecutorError, match="crashed"):
                running(question, {}, "rel-lyon")
    finally:
        running.close()


def test_the_commands_ask_for_no_outside_host(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of operator, analyst and data manager, as they are typed, also against a real gateway."""
    (tmp_path / "sitecustomize.py").write_text(LOOKUPS)
    lookups = tmp_path / "lookups"
    sites = [make_site(tmp_path / name, name) for name in NAMES[:3]]
    place, request, port = tmp_path / "c", tmp_path / "request.json", free_port()
    request.write_text(json.dumps(new_question()))

    def marmor(*arguments: object) -> str:
        environment = {
            **os.environ,
            "MARMOR_GATEWAY": f"https://127.0.0.1:{port}",
            "MARMOR_TOKEN": str(place / "tokens/analyst.token"),
            "MARMOR_CA": str(place / "certificates/ca.pem"),
            "PYTHONPATH": str(tmp_path),
            "MARMOR_TEST_LOOKUPS": str(lookups),
        }
        command = [sys.executable, "-m", "infra.cli", *map(str, arguments)]
        done = subprocess.run(command, env=environment, cwd=ROOT, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        return done.stdout

    consortium.init(place, port=port)
    marmor("consortium", "enroll", place, *sites)
    try:
        marmor("consortium", "start", place, *(f"--site={site}" for site in sites))
        Running(place, {site.name: site for site in sites}).await_online(3)
        marmor("query", "run", request)
        (told,) = json.loads(marmor("site", "status", sites[0], "--json"))
        assert "limits" in told["walls"]
    finally:
        consortium.stop(place, sites)
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
