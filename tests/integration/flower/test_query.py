"""A query through TLS, Flower, four nodes and their executors gives the bytes of a rehearsal."""

from concurrent.futures import ThreadPoolExecutor

import pytest

from federated.rehearsal import rehearse
from federated.request import parse_request
from infra import consortium
from transforms.errors import RequestError

from .conftest import Running


CROSSTAB = {
    "analysis": "crosstab",
    "view": "person",
    "parameters": {"variables": ["gene_group", "ever_fractured"]},
}
KAPLAN_MEIER = {
    "analysis": "kaplan_meier",
    "view": "person",
    "parameters": {
        "time": "time_to_first_fracture_y",
        "event": "first_fracture_observed",
        "group": "gene_group",
    },
}
RATE = {"analysis": "rate", "view": "person_time", "parameters": {"by": ["age_band"]}}


@pytest.mark.parametrize(
    "request_", [CROSSTAB, KAPLAN_MEIER, RATE], ids=lambda item: item["analysis"]
)
def test_the_answer_is_the_rehearsals(running: Running, request_: dict[str, object]) -> None:
    releases = {name: running.release(name) for name in running.sites}
    rehearsed = rehearse(parse_request(request_), releases)
    with running.client() as client:
        assert client.run(request_).to_json() == rehearsed.to_json()


def test_questions_asked_at_once_are_all_answered(running: Running) -> None:
    def ask(question: dict[str, object]) -> int:
        with running.client() as client:
            return len(client.run(question).provenance["releases"])

    questions = [
        {**CROSSTAB, "parameters": {"variables": [first, second]}}
        for first in ("sex_at_birth", "severity", "visual_loss", "hearing_loss")
        for second in ("died", "hsct", "gene_group")
    ]
    with ThreadPoolExecutor(len(questions)) as pool:
        assert set(pool.map(ask, questions)) == {len(running.sites)}


def test_the_same_question_is_answered_from_the_store(running: Running) -> None:
    with running.client() as client:
        first = client.run(CROSSTAB)
        assert client.run(CROSSTAB) == first
        assert client.get(first.digest[:12]) == first
        assert {"crosstab"} <= {item["analysis"] for item in client.list()}


def test_a_preflight_says_that_all_would_answer_and_begins_nothing(running: Running) -> None:
    with running.client() as client:
        before = len(client.list())
        report = client.preflight(CROSSTAB)
        assert report["answerable"]
        assert [item["kind"] for item in report["verdicts"]] == ["allowed"]
        assert len(client.list()) == before


def test_an_unknown_variable_is_named(running: Running) -> None:
    question = {**CROSSTAB, "parameters": {"variables": ["gene_grup"]}}
    with running.client() as client, pytest.raises(RequestError, match=r"gene_grup.*gene_group"):
        client.run(question)


def test_the_catalogue_names_what_may_be_asked(running: Running) -> None:
    with running.client() as client:
        catalogue = client.catalogue()
    assert set(catalogue["analyses"]) >= {"crosstab", "kaplan_meier", "rate"}
    assert "gene_group" in catalogue["views"]["person"]["variables"]


def test_an_operator_sees_which_sites_are_connected(running: Running) -> None:
    assert consortium.status(running.folder).sites == dict.fromkeys(running.sites, "online")
