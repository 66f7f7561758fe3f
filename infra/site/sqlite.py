"""What Airflow 3.3.2 needs so that its components can share one SQLite file under load.

SQLite has one writer at a time. Airflow writes its audit log on the API server's event loop
(`action_logging`: a coroutine that calls `session.commit()`). When another request of that server
is between its first write and its commit, the loop waits for that lock while the commit waits for
the loop: both stand still until SQLite's time-out, the request fails with 500, and a scheduler
that wants to write meanwhile dies of "database is locked". Seen with four of 36 triggers while
tasks were running; never since.

PostgreSQL locks rows and not the file, so none of this is used with it.
"""

import asyncio
import functools
from collections.abc import Callable, Coroutine
from typing import Any


__all__ = ["CONNECT_ARGUMENTS", "audit_off_the_event_loop"]

CONNECT_ARGUMENTS = {"timeout": 30.0}
"""Seconds that a writer waits for another one; five, the default, are few on a busy machine."""


def audit_off_the_event_loop() -> None:
    """Let the API server write its audit log in a thread; call this before its routes exist."""
    from airflow.api_fastapi.logging import decorators

    decorators.action_logging = _in_a_thread(decorators.action_logging)


def _in_a_thread(
    action_logging: Callable[..., Callable[..., Coroutine[Any, Any, None]]],
) -> Callable[..., Callable[..., Coroutine[Any, Any, None]]]:
    """Wrap Airflow's maker of dependencies; the dependency keeps its signature."""

    @functools.wraps(action_logging)
    def make(event: str | None = None) -> Callable[..., Coroutine[Any, Any, None]]:
        log_action = action_logging(event)

        @functools.wraps(log_action)
        async def log_in_a_thread(request: Any, session: Any, user: Any) -> None:
            await request.body()  # read here and kept: the thread cannot wait for the network
            await asyncio.to_thread(lambda: asyncio.run(log_action(request, session, user)))

        return log_in_a_thread

    return make
