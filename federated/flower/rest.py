"""The gateway's REST door for analysts and operators, under `/marmor/v1`.

    POST /queries            a request (JSON) → its result; held until the sites have answered
    POST /preflight          a request → which sites would answer it; nothing is computed
    GET  /queries            the analyst's own results
    GET  /queries/{digest}   one of them
    GET  /status             how many sites are connected; operators see which
    GET  /round-trip         how many sites answer an empty message; for an operator
    GET  /catalogue          analyses, views and variables that may be asked
    GET  /health             is the gateway up (needs no token)

Every answer but a result is JSON; an error is {"error": message, "kind": class, "exit_code": n}.
"""

import json
import logging
import re
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Annotated, Any

from fastapi import Depends, FastAPI, HTTPException, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException as StarletteHTTPException

from federated.flower.shelf import Shelf
from federated.flower.tokens import Person, TokenFile, Tokens
from federated.preflight import Report
from federated.request import Request as Query
from federated.request import parse_request
from federated.results import Result
from transforms.errors import (
    ConsortiumError,
    RefusedError,
    RequestError,
    SiteDownError,
    UserError,
)


__all__ = ["Services", "rest_app"]

PREFIX = "/marmor/v1"
MAX_REQUEST = 2**20
"""Largest request in bytes; a full cohort filter over every variable has a few kB."""

STATUS: Mapping[type[UserError], int] = {
    RequestError: 422,
    RefusedError: 403,
    SiteDownError: 503,
    ConsortiumError: 503,
}

_log = logging.getLogger("marmor.gateway")


@dataclass(frozen=True)
class Services:
    """What the routes need of the rest of the gateway.

    `answer` runs one query for the person of that name and `preflight` asks who would answer it;
    both may block. `online` names the connected sites; `sites` are all; `facts` is what everybody
    must agree on; `greet` sends every site a message without a question and counts who answers.
    """

    tokens: Tokens | TokenFile
    shelf: Shelf
    sites: Callable[[], tuple[str, ...]]
    online: Callable[[], frozenset[str]]
    answer: Callable[[Query, str], Result]
    preflight: Callable[[Query], Report]
    catalogue: Callable[[], Mapping[str, object]]
    facts: Callable[[], Mapping[str, object]]
    greet: Callable[[], int]


def rest_app(services: Services) -> FastAPI:
    """Return the app with all analyst routes and its OpenAPI document, /marmor/v1/openapi.json."""
    app = FastAPI(
        title="Marmor gateway",
        openapi_url=f"{PREFIX}/openapi.json",
        docs_url=None,
        redoc_url=None,
    )
    _errors(app)
    person = Depends(_authenticator(services.tokens))
    _queries(app, services, person)
    _information(app, services, person)
    return app


def _authenticator(tokens: Tokens | TokenFile) -> Callable[[Request], Person]:
    """Return the dependency that turns the bearer token into a person, or answers 401."""

    def person(request: Request) -> Person:
        scheme, _, token = request.headers.get("authorization", "").partition(" ")
        found = tokens.person(token.strip()) if scheme.lower() == "bearer" else None
        if found is None:
            raise HTTPException(401, "no token, or one that this gateway does not know")
        return found

    return person


def _queries(app: FastAPI, services: Services, who: Any) -> None:
    """Add the routes that ask and re-read."""

    @app.post(f"{PREFIX}/queries")
    async def ask(request: Request, person: Annotated[Person, who]) -> Response:
        """Ask the consortium; the body is the request."""
        if "analyst" not in person.roles:
            raise HTTPException(403, "only an analyst may ask")
        query = parse_request(await _body(request))
        started = time.perf_counter()
        result = await run_in_threadpool(services.answer, query, person.name)
        content = services.shelf.put(person.name, result)
        seconds = time.perf_counter() - started
        _log.info("%s asked %s %s: %.3f s", person.name, query.analysis, query.digest, seconds)
        return Response(content, media_type="application/json")

    @app.post(f"{PREFIX}/preflight")
    async def would_answer(
        request: Request, person: Annotated[Person, who]
    ) -> Mapping[str, object]:
        """Ask every site whether it would answer the request; to an operator, which would."""
        query = parse_request(await _body(request))
        report = await run_in_threadpool(services.preflight, query)
        return report.to_mapping(by_site="operator" in person.roles)

    @app.get(f"{PREFIX}/queries")
    def stored(person: Annotated[Person, who]) -> list[dict[str, str]]:
        """List the analyst's own results, newest first."""
        return services.shelf.list(person.name)

    @app.get(f"{PREFIX}/queries/{{digest}}")
    def one(digest: str, person: Annotated[Person, who]) -> Response:
        """Return one stored result, byte for byte; a prefix of 8 or more digits is enough."""
        if not re.fullmatch(r"[0-9a-f]{8,64}", digest):
            raise RequestError("a result is named by 8 to 64 hexadecimal digits")
        content = services.shelf.get(person.name, digest)
        if content is None:
            raise HTTPException(404, f"you have no result {digest}; list yours first")
        return Response(content, media_type="application/json")


def _information(app: FastAPI, services: Services, who: Any) -> None:
    """Add the routes that describe the consortium."""

    @app.get(f"{PREFIX}/status")
    def status(person: Annotated[Person, who]) -> dict[str, object]:
        """Say how many sites are connected; to an operator, which."""
        online, sites = services.online(), services.sites()
        answer: dict[str, object] = {
            "sites": len(sites),
            "online": len(online),
            **services.facts(),
        }
        if "operator" in person.roles:
            answer["site_status"] = {
                site: "online" if site in online else "offline" for site in sites
            }
        return answer

    @app.get(f"{PREFIX}/round-trip")
    def round_trip(person: Annotated[Person, who]) -> dict[str, int]:
        """Reach every site and back with an empty message: the least that any query takes."""
        if "operator" not in person.roles:
            raise HTTPException(403, "only an operator may try the connections")
        return {"answered": services.greet()}

    @app.get(f"{PREFIX}/catalogue")
    def catalogue(person: Annotated[Person, who]) -> Mapping[str, object]:
        """List what may be asked."""
        return services.catalogue()

    @app.get(f"{PREFIX}/health")
    def health() -> dict[str, str]:
        """Say that the gateway is up."""
        return {"status": "ok"}


async def _body(request: Request) -> Mapping[str, object]:
    """Read the request body as one JSON object without duplicate keys, NaN or excessive size."""
    raw = bytearray()
    async for chunk in request.stream():
        raw += chunk
        if len(raw) > MAX_REQUEST:
            raise HTTPException(413, f"a request has at most {MAX_REQUEST} bytes")
    try:
        data = json.loads(bytes(raw), object_pairs_hook=_unique, parse_constant=_no_constant)
    except (ValueError, RecursionError):
        raise RequestError("the request is not a JSON object (UTF-8, no duplicate keys)") from None
    if not isinstance(data, dict):
        raise RequestError('the request must be a JSON object, such as {"analysis": "crosstab", …}')
    return data


def _unique(pairs: list[tuple[str, object]]) -> dict[str, object]:
    result = dict(pairs)
    if len(result) != len(pairs):
        raise ValueError("duplicate key")
    return result


def _no_constant(name: str) -> object:
    raise ValueError(name)


def _errors(app: FastAPI) -> None:
    """Answer every error in one form; never with a traceback or another program's text."""

    async def of_person(_request: Request, error: Exception) -> JSONResponse:
        known = error if isinstance(error, UserError) else UserError()
        return _problem(STATUS.get(type(known), 500), str(known), type(known))

    async def of_route(_request: Request, error: Exception) -> JSONResponse:
        status = error.status_code if isinstance(error, StarletteHTTPException) else 422
        detail = error.detail if isinstance(error, StarletteHTTPException) else "malformed request"
        kind = ConsortiumError if status in (401, 403) else RequestError
        return _problem(status, str(detail), kind)

    async def of_ours(_request: Request, error: Exception) -> JSONResponse:
        _log.error("internal error", exc_info=error)
        return _problem(500, "the gateway failed; its log says where", UserError)

    app.add_exception_handler(UserError, of_person)
    app.add_exception_handler(StarletteHTTPException, of_route)
    app.add_exception_handler(RequestValidationError, of_route)
    app.add_exception_handler(Exception, of_ours)


def _problem(status: int, message: str, kind: type[UserError]) -> JSONResponse:
    content = {"error": message, "kind": kind.__name__, "exit_code": kind.exit_code}
    return JSONResponse(content, status_code=status)
