"""Airflow's processes: whatever ends the launcher, none of them is left."""

import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from infra.environments import ROOT
from infra.site.airflow import AirflowStack
from infra.site.components import COMPONENTS
from infra.site.settings import LOOPBACK
from transforms.errors import SetupError


@pytest.fixture
def launcher(tmp_path: Path, observer: Any) -> Iterator[subprocess.Popen[bytes]]:
    """The launcher in the foreground, as systemd would run it, with all components forked."""
    (tmp_path / "sites").mkdir()
    options = f"--home {tmp_path}/airflow --marmor-home {tmp_path}/sites --port {free_port()}"
    process = subprocess.Popen(
        [sys.executable, "-m", "infra.site.airflow", *options.split()],
        cwd=ROOT,
        stdout=subprocess.DEVNULL,
    )
    try:
        state = tmp_path / "airflow" / "airflow.json"
        observer.wait_until(state.exists, 120, "the components are forked")
        observer.wait_until(
            lambda: len(observer.session_members(head(tmp_path))) > len(COMPONENTS), 60, "all run"
        )
        yield process
    finally:
        process.kill()
        process.wait()


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind((LOOPBACK, 0))
        return int(probe.getsockname()[1])


def head(folder: Path) -> int:
    """Return the process that all components descend from."""
    state = json.loads((folder / "airflow" / "airflow.json").read_text(encoding="utf-8"))
    return int(state["pid"])


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGKILL])
def test_nothing_is_left_when_the_launcher_ends(
    launcher: subprocess.Popen[bytes], tmp_path: Path, observer: Any, number: signal.Signals
) -> None:
    session = head(tmp_path)
    launcher.send_signal(number)
    launcher.wait(60)
    observer.wait_until(
        lambda: not observer.session_members(session), 60, f"all gone after {number.name}"
    )


def test_nothing_is_left_when_the_head_of_the_family_is_killed(
    launcher: subprocess.Popen[bytes], tmp_path: Path, observer: Any
) -> None:
    session = head(tmp_path)
    os.kill(session, signal.SIGKILL)
    observer.wait_until(
        lambda: not observer.session_members(session), 30, "all killed with their parents"
    )
    assert launcher.wait(60) == SetupError.exit_code


def test_a_dead_component_ends_the_family(
    launcher: subprocess.Popen[bytes], tmp_path: Path, observer: Any
) -> None:
    session = head(tmp_path)
    children = Path(f"/proc/{session}/task/{session}/children").read_text(encoding="ascii")
    os.kill(int(children.split()[1]), signal.SIGKILL)
    observer.wait_until(lambda: not observer.session_members(session), 60, "all gone")
    assert launcher.wait(60) == SetupError.exit_code
    log = (tmp_path / "airflow" / "launcher.log").read_text(encoding="utf-8")
    assert "scheduler ended by itself" in log


LEAVE_IT_RUNNING = """
import pathlib, sys, time
from infra.site.airflow import AirflowStack

home = pathlib.Path(sys.argv[1])
with AirflowStack(home / "airflow", home / "sites") as stack:
    stack.detach()
"""


def test_it_may_be_left_running_and_stopped_from_elsewhere(tmp_path: Path, observer: Any) -> None:
    (tmp_path / "sites").mkdir()
    command = [sys.executable, "-c", LEAVE_IT_RUNNING, str(tmp_path)]
    subprocess.run(command, cwd=ROOT, check=True, timeout=240)
    session = head(tmp_path)
    stack = AirflowStack(tmp_path / "airflow", tmp_path / "sites")
    assert set(stack.status().values()) == {"healthy"}
    with pytest.raises(SetupError, match="runs already at http"):
        AirflowStack(tmp_path / "airflow", tmp_path / "sites").start()
    stack.stop()
    assert not observer.session_members(session)


def test_a_taken_port_is_said_before_anything_starts(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind((LOOPBACK, 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(SetupError, match=f"port {port} is taken"):
            AirflowStack(tmp_path / "airflow", tmp_path, port).start()


def test_asking_an_airflow_that_does_not_run(tmp_path: Path) -> None:
    stack = AirflowStack(tmp_path / "airflow", tmp_path)
    assert stack.status() == {}
    stack.stop()
    with pytest.raises(SetupError, match="is not started"):
        stack.trigger("lyon")
