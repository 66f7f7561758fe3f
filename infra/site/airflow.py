"""Start, watch and stop a centre's Airflow.

    python -m infra.site.airflow --home /srv/marmor/airflow --marmor-home /srv/marmor/sites

keeps it in the foreground (for systemd); `AirflowStack` does the same from Python. Only loopback
addresses are listened on. This module never imports Airflow, so it runs in both environments.
"""

import argparse
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Any

from infra.environments import ROOT, python
from infra.processes import started_at
from infra.site.client import AirflowClient, Run, RunProgress
from infra.site.components import GRACE_SECONDS
from infra.site.settings import LOOPBACK, environment, passwords
from transforms.errors import SetupError
from transforms.site import load_site, site_folders


__all__ = ["AirflowStack", "main"]

ACCOUNT = "manager"
POLL_SECONDS = 0.2


class AirflowStack:
    """One Airflow: its folder `home` and the folder `marmor_home` that holds the sites.

    `port` None takes the one of the running stack, or a free one. `database_url` None keeps the
    metadata in SQLite; `postgresql+psycopg2://…` is for a centre with many runs.
    """

    def __init__(
        self,
        home: Path,
        marmor_home: Path,
        port: int | None = None,
        database_url: str | None = None,
    ) -> None:
        self.home = home.resolve()
        self.marmor_home = marmor_home.resolve()
        self.port = port
        self._database_url = database_url
        self._process: subprocess.Popen[bytes] | None = None
        self._client: AirflowClient | None = None
        self._detached = False

    def __enter__(self) -> "AirflowStack":
        self.start()
        try:
            self.wait_ready()
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if not self._detached:
            self.stop()

    @property
    def url(self) -> str:
        """The address of the pages and of the REST API."""
        return f"http://{LOOPBACK}:{self._known_port()}"

    @property
    def account(self) -> tuple[str, str]:
        """Name and password for the pages."""
        return ACCOUNT, passwords(self.home)[ACCOUNT]

    @property
    def client(self) -> AirflowClient:
        """The session with the REST API."""
        if self._client is None:
            self._client = AirflowClient(self.url, *self.account)
        return self._client

    def start(self) -> None:
        """Start the components; return at once.

        They end with this process, however it ends, unless `detach` is called. Raises SetupError
        when this stack runs already or the port is taken.
        """
        if self._running() is not None:
            raise SetupError(f"Airflow runs already at {self.url} (folder {self.home}); stop it")
        self.home.mkdir(parents=True, exist_ok=True, mode=0o700)
        self.port = _free_port(self.port)
        passwords(self.home)
        with (self.home / "launcher.log").open("ab") as log:
            self._process = subprocess.Popen(
                [str(python("site")), "-m", "infra.site.components"],
                cwd=ROOT,
                env=environment(self.home, self.marmor_home, self.port, self._database_url),
                stdin=subprocess.PIPE,  # the lifeline: it closes when this process ends
                stdout=log,
                stderr=log,
                start_new_session=True,  # Ctrl-C reaches this process, which then stops the family
            )

    def detach(self) -> None:
        """Let Airflow go on when this process ends; `stop` from any process ends it."""
        if pid := self._running():
            os.kill(pid, signal.SIGUSR1)
            self._detached = True

    def wait_ready(
        self, timeout: float = 180, on_progress: Callable[[dict[str, str]], None] | None = None
    ) -> None:
        """Wait until every component is healthy and every site's DAG is read.

        Raises SetupError when a component ends, a DAG file is wrong, or `timeout` seconds pass.
        """
        deadline = time.monotonic() + timeout
        warm = False
        while time.monotonic() < deadline:
            self._check_alive()
            health = self.status()
            if on_progress:
                on_progress(health)
            if not warm and health:
                self.client.warm()
                warm = True
            if warm and set(health.values()) == {"healthy"} and self._sites_read():
                return
            time.sleep(POLL_SECONDS)
        raise SetupError(f"Airflow is not ready after {timeout:.0f} s; see {self.home}/logs")

    def status(self) -> dict[str, str]:
        """Return the status of each component; empty when Airflow does not answer."""
        return self.client.health() if self._process or self._running() else {}

    def stop(self) -> bool:
        """End all processes, wherever this stack was started from; return whether any ran."""
        pid = self._running()
        ran = pid is not None or self._process is not None
        if self._client is not None:
            self._client.__exit__(None, None, None)
            self._client = None
        if self._process is not None:
            self._process.terminate()
            if self._process.stdin:
                self._process.stdin.close()
            self._process.wait()
            self._process = None
        elif pid:
            os.kill(pid, signal.SIGTERM)
            _wait_gone(pid, GRACE_SECONDS + 10)
        (self.home / "airflow.json").unlink(missing_ok=True)
        return ran

    def trigger(self, site: str) -> Run:
        """Start a run of `site`."""
        return self.client.trigger(site)

    def wait(
        self,
        runs: Iterable[Run],
        on_progress: Callable[[Sequence[RunProgress]], None] | None = None,
        timeout: float = 1800,
    ) -> tuple[RunProgress, ...]:
        """Follow `runs` until each has finished or waits for a reviewer."""
        return self.client.wait(runs, on_progress, timeout)

    def task_states(self, run: Run) -> dict[str, str]:
        """Return the state of each task of `run`, in order."""
        return dict(self.client.progress([run])[0].tasks)

    def _sites_read(self) -> bool:
        """Whether each site folder has its DAG; raise when the DAG file cannot be read."""
        if errors := self.client.import_errors():
            raise SetupError("Airflow cannot read a DAG file:\n" + "\n".join(errors))
        return {
            load_site(path).id for path in site_folders(self.marmor_home)
        } <= self.client.sites()

    def _check_alive(self) -> None:
        """Raise SetupError when the components this process started have ended."""
        if self._process is not None and self._process.poll() is not None:
            raise SetupError(
                f"Airflow ended while starting (exit code {self._process.returncode}); "
                f"see {self.home}/launcher.log and {self.home}/logs/components"
            )

    def _state(self) -> dict[str, Any]:
        """Return what the running components wrote about themselves."""
        path = self.home / "airflow.json"
        with suppress(FileNotFoundError):
            return dict(json.loads(path.read_text(encoding="utf-8")))
        return {}

    def _running(self) -> int | None:
        """Return the process number of this stack's components, None when they do not run."""
        state = self._state()
        if state and started_at(state["pid"]) == state["started"]:
            return int(state["pid"])
        return None

    def _known_port(self) -> int:
        """Return the port given, or the one that the running stack took."""
        if self._process is None and self._running() is not None:
            return int(self._state()["port"])
        if self.port is None:
            raise SetupError(f"Airflow is not started (folder {self.home})")
        return self.port


def main(arguments: Sequence[str] | None = None) -> int:
    """Run Airflow in the foreground until SIGTERM, SIGINT or the death of a component."""
    parser = argparse.ArgumentParser(prog="python -m infra.site.airflow", description=__doc__)
    parser.add_argument("--home", type=Path, required=True, help="Airflow's own folder")
    parser.add_argument("--marmor-home", type=Path, required=True, help="the folder of the sites")
    parser.add_argument("--port", type=int, default=8801, help="loopback port (8801)")
    parser.add_argument("--database-url", help="PostgreSQL instead of SQLite")
    options = parser.parse_args(arguments)
    stack = AirflowStack(options.home, options.marmor_home, options.port, options.database_url)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: sys.exit(0))
    try:
        with stack:
            print(f"Airflow is ready at {stack.url}", flush=True)  # noqa: T201
            while True:
                stack._check_alive()
                time.sleep(1)
    except SetupError as error:
        print(error, file=sys.stderr)  # noqa: T201
        return error.exit_code


def _free_port(port: int | None) -> int:
    """Return `port`, or any free one for None; raise SetupError when it is taken."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((LOOPBACK, port or 0))
        except OSError:
            raise SetupError(f"port {port} is taken on {LOOPBACK}; choose another one") from None
        return int(probe.getsockname()[1])


def _wait_gone(pid: int, seconds: float) -> None:
    """Wait until process `pid` has ended; raise SetupError when it does not."""
    deadline = time.monotonic() + seconds
    while started_at(pid) is not None:
        if time.monotonic() > deadline:
            raise SetupError(f"process {pid} of Airflow does not end")
        time.sleep(0.05)


if __name__ == "__main__":
    sys.exit(main())
