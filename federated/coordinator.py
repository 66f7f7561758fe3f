"""The coordinator's side of a query: asks the sites, adds up, passes the gate, keeps the result.

How a transport uses it: give `run` an `ask` that sends each site its message and returns, after at
most `timeout` seconds, a reply or `Absent` for every site it was given:

    def ask(messages: Mapping[str, Message], timeout: float) -> Mapping[str, Reply | Absent]: ...

`run` blocks until the query is answered or fails; several may run at once in threads, as long as
`ask` can be called from several threads.
"""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TypeAlias

from federated.messages import Absent, Message, Reply
from federated.policy import Policy
from federated.request import Request
from federated.results import Result
from federated.roster import Roster


__all__ = ["AskSites", "run"]

AskSites: TypeAlias = Callable[[Mapping[str, Message], float], Mapping[str, Reply | Absent]]


def run(
    request: Request,
    *,
    roster: Roster,
    policy: Policy,
    ask: AskSites,
    state: Path,
    timeout: float = 30.0,
) -> Result:
    """Answer `request` from the sites of `roster`; ledger and result store lie in folder `state`.

    Raises RefusedError when a rule says no, SiteDownError when fewer sites than needed answered.
    """
    raise NotImplementedError
