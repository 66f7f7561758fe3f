"""Ask a centre's Airflow over its REST API: start runs, follow them, read their states."""

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Any

import httpx

from transforms.errors import SetupError


__all__ = ["STAGES", "AirflowClient", "Run", "RunProgress", "dag_id"]

STAGES = (
    "collect", "harmonize", "validate", "review", "publish", "aggregate", "announce", "retain",
)  # fmt: skip

DONE = frozenset({"success", "skipped"})
FAILED = frozenset({"failed", "upstream_failed", "removed"})
TOKEN_SECONDS = 3600.0  # a token lives 24 hours; a new one each hour is never too old
POLL_SECONDS = 0.6  # a look costs the API server 30 ms of one core


@dataclass(frozen=True)
class Run:
    """One run of one site's DAG by Airflow's own name for it, and the time it was asked for."""

    site: str
    dag_run: str
    after: str

    @property
    def names(self) -> tuple[str, str]:
        """The DAG's name and the run's, which identify it together."""
        return dag_id(self.site), self.dag_run


@dataclass(frozen=True)
class RunProgress:
    """How far a run is: its state, its stage, and seconds per finished stage.

    `stage` is the first stage that is not done; None after the last one.
    """

    run: Run
    state: str
    stage: str | None
    tasks: Mapping[str, str]
    seconds: Mapping[str, float]

    @property
    def finished(self) -> bool:
        """Whether nothing more will happen."""
        return self.state in {"success", "failed"}

    @property
    def waits_for_review(self) -> bool:
        """Whether a reviewer has to decide before this run goes on."""
        return self.tasks.get("review") == "up_for_reschedule"


class AirflowClient:
    """A session with one Airflow on the loopback interface."""

    def __init__(
        self,
        url: str,
        username: str,
        password: str,
        transport: httpx.BaseTransport | None = None,
    ) -> None:
        self._credentials = {"username": username, "password": password}
        # The proxy of the environment is not for the loopback interface.
        self._http = httpx.Client(base_url=url, timeout=10, trust_env=False, transport=transport)
        self._token_from = -TOKEN_SECONDS

    def __enter__(self) -> "AirflowClient":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._http.close()

    def health(self) -> dict[str, str]:
        """Return the status of each component; empty while the API server does not answer."""
        try:
            answer = self._http.get("/api/v2/monitor/health")
        except httpx.TransportError:
            return {}
        if answer.status_code != httpx.codes.OK:
            return {}
        return {name: part.get("status") or "absent" for name, part in answer.json().items()}

    def warm(self) -> None:
        """Let the API server build what the first task would otherwise wait 3 s for."""
        self._http.get("/execution/health/ping", timeout=60)

    def sites(self) -> frozenset[str]:
        """Return the sites whose DAGs Airflow has read."""
        dags = self._get("/api/v2/dags", tags="marmor", limit=100)["dags"]
        return frozenset(dag["dag_id"].removeprefix("marmor_") for dag in dags)

    def import_errors(self) -> Sequence[str]:
        """Return why DAG files could not be read, one text per file."""
        found = self._get("/api/v2/importErrors")["import_errors"]
        return [f"{item['filename']}: {item['stack_trace'].strip()}" for item in found]

    def trigger(self, site: str) -> Run:
        """Start a run of `site` and return it. Raises SetupError when the site has no DAG."""
        path = f"/api/v2/dags/{dag_id(site)}/dagRuns"
        made = self._request("POST", path, json={"logical_date": None})
        return Run(site, made["dag_run_id"], made["run_after"])

    def runs(self, site: str) -> tuple[Run, ...]:
        """Return the latest runs of `site`, newest first, whatever started them."""
        path = f"/api/v2/dags/{dag_id(site)}/dagRuns"
        found = self._get(path, order_by="-run_after", limit=20)["dag_runs"]
        return tuple(Run(site, item["dag_run_id"], item["run_after"]) for item in found)

    def progress(self, runs: Sequence[Run]) -> tuple[RunProgress, ...]:
        """Return how far each of `runs` is; one request for all of them."""
        tasks = self._tasks_since(min(run.after for run in runs)) if runs else []
        return tuple(
            _progress(run, [t for t in tasks if (t["dag_id"], t["dag_run_id"]) == run.names])
            for run in runs
        )

    def complaint(self, progress: RunProgress) -> str:
        """Return what the failed step of a run said; empty when none failed or it was killed."""
        if progress.state != "failed" or progress.stage is None:
            return ""
        site, run = progress.run.names
        path = f"/api/v2/dags/{site}/dagRuns/{run}/taskInstances/{progress.stage}"
        attempt = self._get(path)["try_number"]
        lines = self._get(f"{path}/logs/{attempt}", full_content="true")["content"]
        errors = [line["error_detail"] for line in lines if line.get("error_detail")]
        return str(errors[-1][0]["exc_value"]) if errors else ""

    def wait(
        self,
        runs: Iterable[Run],
        on_progress: Callable[[Sequence[RunProgress]], None] | None = None,
        timeout: float = 1800,
    ) -> tuple[RunProgress, ...]:
        """Follow `runs` until each has finished or waits for a reviewer; return where they are.

        `on_progress` is called with all of them at each look. Raises SetupError after `timeout`
        seconds.
        """
        runs, deadline = tuple(runs), time.monotonic() + timeout
        settled: dict[Run, RunProgress] = {}
        while True:
            open_runs = [run for run in runs if run not in settled]
            looked = {item.run: item for item in self.progress(open_runs)}
            settled.update({run: item for run, item in looked.items() if item.finished})
            seen = tuple(settled.get(run) or looked[run] for run in runs)
            if on_progress:
                on_progress(seen)
            if all(item.finished or item.waits_for_review for item in seen):
                return seen
            if time.monotonic() > deadline:
                late = ", ".join(f"{i.run.site} ({i.stage})" for i in seen if not i.finished)
                raise SetupError(f"Airflow: not finished after {timeout:.0f} s: {late}")
            time.sleep(POLL_SECONDS)

    def _tasks_since(self, after: str) -> list[Mapping[str, Any]]:
        """Return the tasks of all runs from `after` on; Airflow gives at most 100 at a time."""
        path = "/api/v2/dags/~/dagRuns/~/taskInstances"
        tasks: list[Mapping[str, Any]] = []
        while True:
            page = self._get(path, run_after_gte=after, limit=100, offset=len(tasks), order_by="id")
            tasks += page["task_instances"]
            if not page["task_instances"] or len(tasks) >= page["total_entries"]:
                return tasks

    def _get(self, path: str, **parameters: str | int) -> dict[str, Any]:
        """Return the answer to a GET request."""
        return self._request("GET", path, params=parameters)

    def _request(self, method: str, path: str, **content: Any) -> dict[str, Any]:
        """Send an authenticated request; raise SetupError naming it when it is not accepted."""
        try:
            self._authenticate()
            answer = self._http.request(method, path, **content)
            answer.raise_for_status()
        except httpx.HTTPStatusError as error:
            status = error.response.status_code
            raise SetupError(
                f"Airflow answered {status} to {method} {path} at {self._http.base_url}; "
                "see logs/components/api-server.log in its folder"
            ) from None
        except httpx.TransportError as error:
            raise SetupError(
                f"Airflow does not answer at {self._http.base_url} ({type(error).__name__}); "
                "is it started?"
            ) from None
        return dict(answer.json())

    def _authenticate(self) -> None:
        """Exchange the password for a token, when there is none or it is old."""
        if time.monotonic() - self._token_from < TOKEN_SECONDS:
            return
        answer = self._http.post("/auth/token", json=self._credentials)
        answer.raise_for_status()
        self._http.headers["Authorization"] = f"Bearer {answer.json()['access_token']}"
        self._token_from = time.monotonic()


def dag_id(site: str) -> str:
    """Return the name of a site's DAG."""
    return f"marmor_{site}"


def _progress(run: Run, tasks: Sequence[Mapping[str, Any]]) -> RunProgress:
    """Read the tasks of one run."""
    states = {task["task_id"]: task["state"] for task in tasks}
    ordered = {stage: states.get(stage) or "waiting" for stage in STAGES}
    return RunProgress(
        run=run,
        state=_run_state(ordered.values()),
        stage=next((name for name, state in ordered.items() if state not in DONE), None),
        tasks=ordered,
        seconds={task["task_id"]: task["duration"] for task in tasks if task["duration"]},
    )


def _run_state(states: Iterable[str]) -> str:
    """Return `queued`, `running`, `success` or `failed`."""
    states = set(states)
    if states == {"waiting"}:
        return "queued"
    if not states <= DONE | FAILED:
        return "running"
    return "failed" if states & FAILED else "success"
