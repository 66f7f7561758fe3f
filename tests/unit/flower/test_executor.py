"""The executor is another process without network, and no failure of it is the node's."""

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from federated import executor as module
from federated import tally
from federated.executor import Executor, ExecutorError, Limits
from federated.statistics import Counts, Sums


@pytest.fixture
def releases(tmp_path: Path) -> Path:
    """A folder with one release of a view that is none."""
    (tmp_path / "rel-0/views").mkdir(parents=True)
    for name in ("MANIFEST.json", "views/person.parquet", "views/late.parquet"):
        (tmp_path / "rel-0" / name).write_bytes(b"{}")
    return tmp_path


@pytest.fixture
def executor(releases: Path) -> Iterator[Executor]:
    running = Executor(releases, Limits(wall=10.0))
    yield running
    running.close()


def code_of(executor: Executor, release: str = "rel-0", view: str = "person") -> str:
    with pytest.raises(ExecutorError) as caught:
        executor({"view": view}, {}, release)
    return caught.value.code


def test_a_failure_is_a_code(executor: Executor) -> None:
    assert code_of(executor).isidentifier()


def test_it_is_another_process_without_network_or_environment(executor: Executor) -> None:
    code_of(executor)  # it has answered, so it has finished starting
    process = Path(f"/proc/{executor.pid}")
    assert executor.pid != os.getpid()
    devices = (process / "net/dev").read_text().splitlines()[2:]
    if os.readlink(process / "ns/net") != os.readlink("/proc/self/ns/net"):
        assert [line.split(":")[0].strip() for line in devices] == ["lo"]
    else:
        pytest.skip("this kernel gives no network namespaces to ordinary users")
    limits = (process / "limits").read_text()
    assert "Max file size             0 " in limits
    space = int(limits.split("Max address space")[1].split()[0])
    assert 3 * 2**29 < space < 8 * 2**30
    lines = (process / "environ").read_text().split("\0")
    assert {line.split("=")[0] for line in lines} - {"", "LC_CTYPE"} == set(module._ENVIRONMENT)


WALLED = """\
import os, socket, sys
from pathlib import Path
from transforms import sandbox

folder = Path(sys.argv[1])
network = sandbox.leave_network()
files = sandbox.only_read([folder / "releases"])
print(network, files)
for attempt in (
    lambda: (folder / "releases/view").read_text(),
    lambda: (folder / "keys/node.key").read_text(),
    lambda: (folder / "releases/view").write_text("changed"),
    lambda: (folder / "releases/new").mkdir(),
    lambda: (folder / "releases/link").symlink_to(folder / "keys"),
    lambda: os.listdir(folder),
    lambda: socket.create_connection(("127.0.0.1", int(sys.argv[2])), 1),
):
    try:
        attempt()
        print("yes")
    except OSError as error:
        print(type(error).__name__)
"""


def test_keys_and_network_are_out_of_reach(tmp_path: Path) -> None:
    """The wall opens for reading releases; a link to a key does not lead through it."""
    for name in ("releases/view", "keys/node.key"):
        (tmp_path / name).parent.mkdir()
        (tmp_path / name).write_text("content")
    with socket.create_server(("127.0.0.1", 0)) as server:
        command = [sys.executable, "-c", WALLED, str(tmp_path), str(server.getsockname()[1])]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
    stands, *seen = done.stdout.splitlines()
    if stands != "True True":
        pytest.skip(f"this kernel gives ordinary users no such walls (network, files): {stands}")
    assert seen[:-1] == ["yes", *["PermissionError"] * 5]
    assert seen[-1] != "yes"


def test_killed_executor_is_replaced(executor: Executor) -> None:
    first = executor.pid
    os.kill(first, signal.SIGKILL)
    code_of(executor)
    assert executor.pid != first


def test_stuck_executor_is_killed_at_its_deadline(releases: Path) -> None:
    executor = Executor(releases, Limits(wall=5.0))
    code_of(executor)
    executor._limits = Limits(wall=0.2)
    first = executor.pid
    os.kill(first, signal.SIGSTOP)
    assert code_of(executor) == "timeout"
    assert not Path(f"/proc/{first}").exists()
    executor.close()


@pytest.mark.parametrize("name", ["../other", "a/b", "..", ".", ".staging", ""])
def test_a_release_and_a_view_are_names_and_not_paths(executor: Executor, name: str) -> None:
    (executor._releases / ".staging/views").mkdir(parents=True)
    assert code_of(executor, release=name) == "internal"
    assert code_of(executor, view=name) == "internal"


def test_a_file_that_is_missing_or_a_link_has_its_code(executor: Executor, tmp_path: Path) -> None:
    assert code_of(executor, view="fracture") == "view_missing"
    (tmp_path / "rel-0/views/fracture.parquet").symlink_to(tmp_path / "rel-0/views/late.parquet")
    assert code_of(executor, view="fracture") == "view_missing"
    (tmp_path / "rel-0/MANIFEST.json").unlink()
    assert code_of(executor) == "manifest_missing"


def answer() -> bytes:
    """Have a job answered in this process, on two empty files."""
    files = [os.open("/dev/null", os.O_RDONLY) for _ in range(2)]
    return module._answer({}, {"cells": np.ones(2, np.uint8)}, files)


def test_blocks_come_through_the_wire(monkeypatch: pytest.MonkeyPatch) -> None:
    blocks = {
        "file": Counts(np.arange(6, dtype=np.int64).reshape(2, 3)),
        "sums": Sums(np.array([0.1, 1e300, -0.0])),
    }
    monkeypatch.setattr(tally, "tally_files", lambda *_: blocks)
    header, arrays = module._unpack(answer())
    for name, block in module._blocks(header["kinds"], arrays).items():
        assert type(block) is type(blocks[name])
        assert block.values.tobytes() == blocks[name].values.tobytes()


def test_the_text_of_an_error_stays_inside(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise ValueError("Could not convert 'patient 4711'")

    monkeypatch.setattr(tally, "tally_files", fail)
    packed = answer()
    assert b"4711" not in packed
    header, _ = module._unpack(packed)
    assert header["code"] == "internal"
    assert header["where"][0] == "ValueError"


def test_arrays_of_objects_are_refused() -> None:
    import io

    buffer = io.BytesIO()
    np.savez(buffer, header=np.array([{"a": 1}], dtype=object), allow_pickle=True)
    with pytest.raises(ValueError, match="pickle"):
        module._unpack(buffer.getvalue())
