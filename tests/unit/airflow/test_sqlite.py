"""The audit log is written in a thread, so that a waiting writer cannot stop the API server."""

import asyncio
import inspect
import threading
import warnings
from types import ModuleType
from typing import Any

import pytest

from infra.site.sqlite import audit_off_the_event_loop


@pytest.fixture(scope="module")
def decorators() -> ModuleType:
    """Airflow's module; what it imports warns of its own future."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from airflow.api_fastapi.logging import decorators
    return decorators


class Request:
    """A request whose body has to come over the network first."""

    read_in: threading.Thread | None = None

    async def body(self) -> bytes:
        self.read_in = self.read_in or threading.current_thread()
        return b"{}"


def test_the_audit_is_written_off_the_event_loop(
    decorators: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    written: list[tuple[str, threading.Thread]] = []

    def action_logging(event: str | None = None) -> Any:
        async def log_action(request: Request, session: int, user: str) -> None:
            await request.body()
            written.append((f"{event} {session} {user}", threading.current_thread()))

        return log_action

    monkeypatch.setattr(decorators, "action_logging", action_logging)
    audit_off_the_event_loop()
    dependency = decorators.action_logging("trigger")
    assert list(inspect.signature(dependency).parameters) == ["request", "session", "user"]
    request = Request()
    asyncio.run(dependency(request, 1, "ada"))
    ((text, thread),) = written
    assert text == "trigger 1 ada"
    assert thread is not threading.main_thread()
    assert request.read_in is threading.main_thread()


def test_airflow_still_has_what_is_replaced(decorators: ModuleType) -> None:
    dependency = decorators.action_logging("trigger")
    assert inspect.iscoroutinefunction(dependency)
    assert list(inspect.signature(dependency).parameters) == ["request", "session", "user"]
