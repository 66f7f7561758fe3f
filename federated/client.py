"""The analyst's client: ask the consortium from Python, get results back as `Result`.

    client = Client("https://127.0.0.1:8443", token, ca="ca.pem")
    result = client.run({"analysis": "crosstab", …})

Every failure is one of `transforms.errors`, with what to do about it in its message.
"""

import ssl
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import httpx

from federated.request import Request
from federated.results import Result
from transforms import errors
from transforms.errors import ConsortiumError, UserError


__all__ = ["Client"]

TIMEOUT = httpx.Timeout(10.0, read=300.0)
"""Seconds: 10 to connect and send; a query may wait for the slowest site of several rounds."""

_KINDS: Mapping[str, type[UserError]] = {
    name: kind
    for name, kind in vars(errors).items()
    if isinstance(kind, type) and issubclass(kind, UserError)
}


class Client:
    """A connection to one consortium's gateway; usable as a context manager."""

    def __init__(self, url: str, token: str, ca: Path | str | None = None) -> None:
        """Prepare a connection to `url`; `ca` is the consortium's certificate in PEM.

        Raises ConsortiumError when the certificate cannot be read or the token is none.
        """
        self._url = url.rstrip("/")
        token = token.strip()
        if not (token.isascii() and token.isprintable() and token):
            raise ConsortiumError("the token is empty or damaged; ask the operator for yours")
        self._client = httpx.Client(
            base_url=f"{self._url}/marmor/v1",
            headers={"authorization": f"Bearer {token}"},
            verify=_trust(ca),
            timeout=TIMEOUT,
            trust_env=False,
        )

    def run(self, request: Request | Mapping[str, object]) -> Result:
        """Ask the consortium and return the result.

        Raises RequestError (unknown variable, bad parameter), RefusedError (a rule of the policy
        says no), SiteDownError (too few sites answered) or ConsortiumError (gateway, token).
        """
        body = request.to_mapping() if isinstance(request, Request) else request
        return Result.from_json(self._call("POST", "/queries", json=dict(body)).content)

    def preflight(self, request: Request | Mapping[str, object]) -> Mapping[str, Any]:
        """Return how many sites would answer, refuse or are absent, with each rule's remedy.

        Nothing is computed at any site. Raises RequestError or ConsortiumError.
        """
        body = request.to_mapping() if isinstance(request, Request) else request
        found: Mapping[str, Any] = self._call("POST", "/preflight", json=dict(body)).json()
        return found

    def list(self) -> list[Mapping[str, str]]:
        """Return this analyst's earlier results: digest, analysis, answered_at; newest first."""
        found: list[Mapping[str, str]] = self._call("GET", "/queries").json()
        return found

    def get(self, digest: str) -> Result:
        """Return an earlier result by its digest, or by the first 8 or more digits of it."""
        return Result.from_json(self._call("GET", f"/queries/{digest}").content)

    def status(self) -> Mapping[str, Any]:
        """Return how many sites there are and are online; for an operator also which."""
        found: Mapping[str, Any] = self._call("GET", "/status").json()
        return found

    def round_trip(self) -> int:
        """Send every site an empty message and return how many answered; for an operator."""
        answered: int = self._call("GET", "/round-trip").json()["answered"]
        return answered

    def catalogue(self) -> Mapping[str, Any]:
        """Return analyses, views and variables that may be asked."""
        found: Mapping[str, Any] = self._call("GET", "/catalogue").json()
        return found

    def close(self) -> None:
        """Close the connection."""
        self._client.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def _call(self, method: str, path: str, **arguments: Any) -> httpx.Response:
        try:
            response = self._client.request(method, path, **arguments)
        except httpx.ReadTimeout:
            raise ConsortiumError(f"{self._url}: no answer in time; ask its operator") from None
        except (httpx.TransportError, ssl.SSLError) as error:
            raise ConsortiumError(_unreachable(self._url, error)) from None
        if response.is_success:
            return response
        raise _problem(self._url, response)


def _trust(ca: Path | str | None) -> ssl.SSLContext | bool:
    """Return what to verify the gateway against: only `ca` when given."""
    if ca is None:
        return True
    try:
        return ssl.create_default_context(cafile=str(ca))
    except (OSError, ssl.SSLError):
        raise ConsortiumError(
            f"{ca}: not a certificate; ask the consortium's operator for its ca.pem"
        ) from None


def _unreachable(url: str, error: Exception) -> str:
    """Say why nobody answers at `url`."""
    if "certificate has expired" in str(error):
        return f"{url}: its certificate has expired; its operator can renew it"
    if "certificate is not yet valid" in str(error):
        return f"{url}: its certificate is not valid yet; is this machine's clock right?"
    if "CERTIFICATE" in str(error).upper():
        return f"{url}: its certificate is not of this consortium; check the address and ca.pem"
    return f"{url}: the gateway does not answer; start it with `marmor consortium start`"


def _problem(url: str, response: httpx.Response) -> UserError:
    """Return the error that the gateway has described."""
    try:
        data = response.json()
        return _KINDS[data["kind"]](data["error"])
    except (ValueError, KeyError, TypeError):
        return ConsortiumError(f"{url}: is not a Marmor gateway (HTTP {response.status_code})")
