"""The client of the REST API, against an API that is written down here."""

from collections.abc import Callable, Mapping
from typing import Any

import httpx
import pytest

from infra.site.client import STAGES, AirflowClient, Run
from transforms.errors import SetupError


RUN = Run("lyon", "manual__1", "2026-01-01T00:00:00Z")


class Api:
    """Answers like Airflow; `looks` are the task states of one run, one mapping per request."""

    def __init__(self, *looks: Mapping[str, str | None], status: int = 200) -> None:
        self.looks = list(looks)
        self.status = status
        self.tokens = 0

    def __call__(self, request: httpx.Request) -> httpx.Response:
        if request.url.path == "/auth/token":
            self.tokens += 1
            return httpx.Response(201, json={"access_token": "t"})
        assert request.headers["Authorization"] == "Bearer t"
        if request.method == "POST":
            made = {"dag_run_id": RUN.dag_run, "run_after": RUN.after}
            return httpx.Response(self.status, json=made)
        look = self.looks.pop(0) if len(self.looks) > 1 else self.looks[0]
        tasks = [task(name, state) for name, state in look.items()]
        other = task("collect", "failed") | {"dag_run_id": "manual__2"}
        answer = {"task_instances": [*tasks, other], "total_entries": len(tasks) + 1}
        return httpx.Response(self.status, json=answer)


def task(name: str, state: str | None) -> dict[str, Any]:
    return {
        "dag_id": "marmor_lyon",
        "dag_run_id": RUN.dag_run,
        "task_id": name,
        "state": state,
        "duration": 0.5 if state == "success" else None,
    }


@pytest.fixture
def talk(monkeypatch: pytest.MonkeyPatch) -> Callable[[Callable[..., Any]], AirflowClient]:
    """Return a client of an API; looking again takes no time."""
    monkeypatch.setattr("infra.site.client.POLL_SECONDS", 0.0)

    def client(api: Callable[..., Any]) -> AirflowClient:
        return AirflowClient("http://airflow", "manager", "p", httpx.MockTransport(api))

    return client


def test_a_run_is_followed_to_its_end(talk: Callable[..., AirflowClient]) -> None:
    api = Api(
        dict.fromkeys(STAGES),
        {"collect": "success", "harmonize": "running"},
        dict.fromkeys(STAGES, "success"),
    )
    seen: list[tuple[str, str | None]] = []
    client = talk(api)
    run = client.trigger("lyon")
    (end,) = client.wait([run], lambda looks: seen.extend((x.state, x.stage) for x in looks))
    assert run == RUN
    assert seen == [("queued", "collect"), ("running", "harmonize"), ("success", None)]
    assert end.seconds == dict.fromkeys(STAGES, 0.5)
    assert api.tokens == 1


def test_a_run_that_waits_for_a_reviewer_is_not_waited_for(
    talk: Callable[..., AirflowClient],
) -> None:
    done = dict.fromkeys(STAGES[:3], "success")
    (look,) = talk(Api({**done, "review": "up_for_reschedule"})).wait([RUN])
    assert look.waits_for_review
    assert (look.state, look.stage) == ("running", "review")


@pytest.mark.parametrize(
    ("states", "expected"),
    [
        (dict.fromkeys(STAGES, "skipped"), "success"),
        ({**dict.fromkeys(STAGES, "upstream_failed"), "collect": "failed"}, "failed"),
        ({**dict.fromkeys(STAGES, "success"), "announce": "up_for_retry"}, "running"),
    ],
)
def test_the_state_of_a_run_follows_from_its_tasks(
    talk: Callable[..., AirflowClient], states: dict[str, str | None], expected: str
) -> None:
    assert talk(Api(states)).progress([RUN])[0].state == expected


def test_waiting_has_an_end(talk: Callable[..., AirflowClient]) -> None:
    with pytest.raises(SetupError, match=r"not finished after 0 s: lyon \(collect\)"):
        talk(Api({"collect": "running"})).wait([RUN], timeout=0)


def test_a_refusal_names_the_request(talk: Callable[..., AirflowClient]) -> None:
    with pytest.raises(SetupError, match="answered 404 to POST /api/v2/dags/marmor_lyon/dagRuns"):
        talk(Api({}, status=404)).trigger("lyon")


def test_an_airflow_that_is_not_there_is_named(talk: Callable[..., AirflowClient]) -> None:
    def refuse(request: httpx.Request) -> httpx.Response:
        raise httpx.ConnectError("refused")

    client = talk(refuse)
    assert client.health() == {}
    with pytest.raises(SetupError, match=r"does not answer at http://airflow \(ConnectError\)"):
        client.sites()
