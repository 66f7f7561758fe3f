"""Starting what cannot start says why; a number alone is not a process."""

import json
import os
import socket
import sys
import time
from pathlib import Path

import pytest

from infra import consortium
from infra.consortium.processes import end_processes, running, start_process
from transforms.errors import ConsortiumError, SetupError
from transforms.site import create_site


def test_a_port_that_is_taken_is_named(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        consortium.init(tmp_path / "c", port=taken.getsockname()[1])
        create_site(tmp_path / "s", site_id="lyon", name="Lyon", country="FR", language="fr")
        consortium.enroll(tmp_path / "c", [tmp_path / "s"])
        with pytest.raises(SetupError, match=r"cannot listen there.*consortium\.toml"):
            consortium.start(tmp_path / "c")


def test_a_consortium_without_sites_does_not_start(tmp_path: Path) -> None:
    consortium.init(tmp_path, port=1)
    with pytest.raises(ConsortiumError, match="no site is enrolled"):
        consortium.start(tmp_path)


def test_a_recycled_number_is_not_our_process(tmp_path: Path) -> None:
    record = tmp_path / "p.json"
    record.write_text(json.dumps({"pid": os.getpid(), "started": "1"}))
    assert running(record) is None
    assert end_processes(record) == [False]
    assert not record.exists()


@pytest.mark.parametrize("text", ["", "{}", "[]", '{"pid": "x"}', '{"pid": 999999999}'])
def test_a_damaged_record_is_no_process(tmp_path: Path, text: str) -> None:
    (tmp_path / "p.json").write_text(text)
    assert running(tmp_path / "p.json") is None


def test_a_process_that_ignores_the_request_to_end_is_killed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("infra.consortium.processes.GRACE", 0.3)
    stubborn = (
        "import signal, time; signal.signal(15, signal.SIG_IGN); print(1, flush=True); "
        "time.sleep(60)"
    )
    record, log = tmp_path / "p.json", tmp_path / "p.log"
    start_process([sys.executable, "-c", stubborn], log=log, record=record, env={}, tied=False)
    while log.stat().st_size == 0:
        assert running(record) is not None
        time.sleep(0.01)
    with pytest.raises(SetupError, match="runs already"):
        start_process([sys.executable], log=log, record=record, env={}, tied=False)
    assert end_processes(record) == [True]
    assert running(record) is None
