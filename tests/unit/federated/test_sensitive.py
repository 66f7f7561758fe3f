"""What a colleague does not know of a patient: how it may be asked, and what is told of it."""

import numpy as np
import pytest

from federated.analysis import AnalysisView, Variable
from federated.cohort import known_part, mixed_fields, parse_cohort
from federated.gate.cells import Withheld
from federated.gate.tables import shown_counts
from federated.policy import CONSORTIUM, EXACT
from federated.request import parse_request


SEX = Variable("sex", "sex", ("f", "m"), ("f", "m"))
GENE = Variable("gene", "gene", ("a", "b"), ("a", "b"))
DIED = Variable("died", "died", ("false", "true"), ("No", "Yes"), sensitive=True)
VIEWS = {"v": AnalysisView("v", "patient", {item.name: item for item in (SEX, GENE, DIED)})}
FEMALE = {"field": "sex", "operator": "==", "value": "f"}
GENE_A = {"field": "gene", "operator": "==", "value": "a"}
DEAD = {"field": "died", "operator": "==", "value": "true"}
HIDDEN = Withheld("sensitive_line")


@pytest.mark.parametrize(
    ("cohort", "mixed", "known"),
    [
        (None, [], None),
        (FEMALE, [], FEMALE),
        (DEAD, [], None),
        ({"and": [DEAD, FEMALE]}, [], FEMALE),
        ({"and": [DEAD, {"or": [FEMALE, GENE_A]}]}, [], {"or": [GENE_A, FEMALE]}),
        ({"or": [FEMALE, {"and": [GENE_A, DEAD]}]}, ["died", "gene", "sex"], None),
        ({"and": [FEMALE, {"not": {"and": [GENE_A, DEAD]}}]}, ["died", "gene"], FEMALE),
        ({"and": [FEMALE, {"not": DEAD}]}, [], FEMALE),
    ],
)
def test_a_sensitive_condition_stands_by_itself(
    cohort: object, mixed: list[str], known: object
) -> None:
    parsed = parse_cohort(cohort, VIEWS["v"].variables)[0] if cohort else None
    part = known_part(parsed, {"died"})
    assert sorted(mixed_fields(parsed, {"died"})) == mixed
    assert (part.to_mapping() if part else None) == known


def test_a_mixed_cohort_is_named_with_what_to_ask_instead() -> None:
    question = {"analysis": "crosstab", "view": "v", "parameters": {"variables": ["sex", "died"]}}
    request = parse_request({**question, "cohort": {"or": [FEMALE, DEAD]}}, VIEWS)
    (problem,) = request.cohort_problems()
    assert problem.startswith("cohort: died, sex stand in one `or` or `not`; ")
    assert [item.name for item in request.lines] == ["sex"]


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ([7, 0], [HIDDEN, HIDDEN]),  # of seven who are known, all would be told
        ([20, 3], [HIDDEN, HIDDEN]),
        ([20, 0], [HIDDEN, HIDDEN]),
        ([20, 9], [21, 9]),
        ([8, 9, 2], [9, 9, HIDDEN]),
        ([30, 1, 0], [HIDDEN, HIDDEN, HIDDEN]),
    ],
)
def test_a_cell_is_told_beside_another_only(line: list[int], told: list[object]) -> None:
    assert shown_counts(np.array([line]), CONSORTIUM, [1]) == told
    assert shown_counts(np.array([line]), EXACT, [1]) == line
