"""A query through TLS, Flower, three nodes and their executors gives the bytes of a rehearsal."""

import pytest

from federated.rehearsal import rehearse
from federated.request import parse_request

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
