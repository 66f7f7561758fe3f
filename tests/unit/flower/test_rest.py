"""The REST door: who may come in, what is answered, how little an error tells."""

from collections.abc import Callable
from pathlib import Path

import httpx
import pytest
from fastapi import FastAPI

from federated.flower.rest import Services, rest_app
from federated.flower.shelf import Shelf
from federated.flower.tokens import Person, Tokens, fingerprint
from federated.policy import CONSORTIUM
from federated.preflight import Report, Verdict
from federated.request import Request
from federated.results import Result
from transforms.errors import RefusedError, SiteDownError


REQUEST = {
    "analysis": "crosstab",
    "view": "person",
    "parameters": {"variables": ["gene_group", "ever_fractured"]},
}
PEOPLE = Tokens(
    {
        fingerprint(name): Person(name, frozenset({role}))
        for name, role in (("ann", "analyst"), ("bob", "analyst"), ("olga", "operator"))
    }
)


def app(folder: Path, answer: Callable[[Request], Result]) -> FastAPI:
    return rest_app(
        Services(
            tokens=PEOPLE,
            shelf=Shelf(folder),
            sites=lambda: ("lyon", "ulm"),
            online=lambda: frozenset({"ulm"}),
            answer=lambda request, analyst: answer(request),
            preflight=lambda request: Report(
                request.digest,
                3,
                {"lyon": Verdict("allowed"), "ulm": Verdict("absent", "offline")},
                CONSORTIUM,
            ),
            catalogue=lambda: {"views": {}},
            facts=dict,
            greet=lambda: 1,
        )
    )


def result(request: Request) -> Result:
    return Result(request.analysis, request.to_mapping(), {"cells": []}, {"sites": {}})


async def call(
    folder: Path,
    method: str,
    path: str,
    token: str | None = "ann",
    answer: Callable[[Request], Result] = result,
    **arguments: object,
) -> httpx.Response:
    transport = httpx.ASGITransport(app(folder, answer), raise_app_exceptions=False)
    headers = {"authorization": f"Bearer {token}"} if token else {}
    async with httpx.AsyncClient(transport=transport, base_url="https://gateway") as client:
        return await client.request(method, f"/marmor/v1{path}", headers=headers, **arguments)  # type: ignore[arg-type]


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


pytestmark = pytest.mark.anyio


@pytest.mark.parametrize("token", [None, "", "nobody", "ann\x7f"])
@pytest.mark.parametrize("path", ["/queries", "/status", "/catalogue", "/queries/01234567"])
async def test_every_door_needs_a_token(tmp_path: Path, path: str, token: str | None) -> None:
    answer = await call(tmp_path, "GET", path, token)
    assert answer.status_code == 401
    assert set(answer.json()) == {"error", "kind", "exit_code"}


async def test_a_result_is_kept_byte_for_byte(tmp_path: Path) -> None:
    asked = await call(tmp_path, "POST", "/queries", json=REQUEST)
    assert asked.status_code == 200
    (entry,) = (await call(tmp_path, "GET", "/queries")).json()
    again = await call(tmp_path, "GET", f"/queries/{entry['digest'][:8]}")
    assert again.content == asked.content


async def test_results_belong_to_their_analyst(tmp_path: Path) -> None:
    await call(tmp_path, "POST", "/queries", json=REQUEST)
    (entry,) = (await call(tmp_path, "GET", "/queries")).json()
    assert (await call(tmp_path, "GET", "/queries", "bob")).json() == []
    other = await call(tmp_path, "GET", f"/queries/{entry['digest']}", "bob")
    assert other.status_code == 404


async def test_an_operator_sees_sites_and_asks_nothing(tmp_path: Path) -> None:
    assert (await call(tmp_path, "POST", "/queries", "olga", json=REQUEST)).status_code == 403
    status = (await call(tmp_path, "GET", "/status", "olga")).json()
    assert status["site_status"] == {"lyon": "offline", "ulm": "online"}
    assert "site_status" not in (await call(tmp_path, "GET", "/status")).json()


async def test_an_operator_tries_the_connections(tmp_path: Path) -> None:
    answer = await call(tmp_path, "GET", "/round-trip", "olga")
    assert answer.json() == {"answered": 1}
    assert (await call(tmp_path, "GET", "/round-trip")).status_code == 403


async def test_who_would_answer_is_counted_for_an_analyst_and_named_for_an_operator(
    tmp_path: Path,
) -> None:
    counted = (await call(tmp_path, "POST", "/preflight", json=REQUEST)).json()
    assert counted["answerable"] is False
    assert [(item["kind"], item["sites"]) for item in counted["verdicts"]] == [
        ("absent", 1),
        ("allowed", 1),
    ]
    assert "by_site" not in counted
    named = (await call(tmp_path, "POST", "/preflight", "olga", json=REQUEST)).json()
    assert named["by_site"]["ulm"]["rule"] == "offline"


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"[]",
        b"{",
        b'{"analysis": NaN}',
        b'{"analysis": "crosstab", "analysis": "rate"}',
        b"[" * 5000 + b"]" * 5000,
        b'{"analysis": "no such analysis", "view": "person", "parameters": {}}',
        b"\xff\xfe",
    ],
)
async def test_a_bad_request_is_a_request_error(tmp_path: Path, body: bytes) -> None:
    answer = await call(tmp_path, "POST", "/queries", content=body)
    assert answer.status_code == 422
    assert answer.json()["kind"] == "RequestError"


async def test_a_huge_request_is_not_read_to_its_end(tmp_path: Path) -> None:
    answer = await call(tmp_path, "POST", "/queries", content=b" " * (2**20 + 1))
    assert answer.status_code == 413


@pytest.mark.parametrize(
    ("error", "status"), [(RefusedError("rule"), 403), (SiteDownError("one of three"), 503)]
)
async def test_errors_of_the_query_keep_their_kind(
    tmp_path: Path, error: Exception, status: int
) -> None:
    def fail(_: Request) -> Result:
        raise error

    answer = await call(tmp_path, "POST", "/queries", answer=fail, json=REQUEST)
    assert answer.status_code == status
    assert answer.json()["kind"] == type(error).__name__
    assert answer.json()["error"] == str(error)


async def test_a_defect_tells_nothing(tmp_path: Path) -> None:
    def fail(_: Request) -> Result:
        raise ValueError("secret")

    answer = await call(tmp_path, "POST", "/queries", answer=fail, json=REQUEST)
    assert answer.status_code == 500
    assert "secret" not in answer.text


@pytest.mark.parametrize("digest", ["..%2F..%2Ftokens", "a*", "abc", "0" * 65])
async def test_a_digest_is_not_a_path(tmp_path: Path, digest: str) -> None:
    answer = await call(tmp_path, "GET", f"/queries/{digest}")
    assert answer.status_code in (404, 422)
