"""The budget of cells: what counts, what is free, and that a site keeps to it."""

from collections.abc import Mapping

import pyarrow as pa
import pytest

from federated.analysis import AnalysisView, Variable
from federated.budget import answered_cells, attributes, check_cells
from federated.ledger import SpentError
from federated.policy import Policy
from federated.rehearsal import rehearsing
from federated.request import Request, parse_request
from transforms.errors import RefusedError


SEX = Variable("sex", "Sex", ("female", "male"), ("female", "male"))
SICK = Variable("sick", "Sick", ("no", "yes"), ("no", "yes"), sensitive=True)
DEAD = Variable("dead", "Dead", ("no", "yes"), ("no", "yes"), sensitive=True)
VIEWS = {"people": AnalysisView("people", "patient", {"sex": SEX, "sick": SICK, "dead": DEAD})}
ONLY_SICK = {"field": "sick", "operator": "==", "value": "yes"}


def asked(*variables: str, cohort: object = None) -> dict[str, object]:
    parameters = {"variables": list(variables)}
    return {"analysis": "crosstab", "view": "people", "parameters": parameters, "cohort": cohort}


def question(*variables: str, cohort: object = None) -> Request:
    return parse_request(asked(*variables, cohort=cohort), VIEWS)


def test_a_question_is_about_the_sensitive_fields_of_table_and_cohort() -> None:
    assert attributes(question("sex")) == frozenset()
    assert attributes(question("sex", "sick")) == {"sick"}
    assert attributes(question("dead", cohort=ONLY_SICK)) == {"dead", "sick"}


def test_cells_add_up_per_field_and_the_same_numbers_count_once() -> None:
    questions = [
        question("sex", "sick"),  # 4 about sick
        question("sick", "sex"),  # the same numbers
        question("sick", "dead"),  # 4 about each
        question("sex", cohort=ONLY_SICK),  # 2 about sick
        question("sex"),
    ]
    assert answered_cells(questions) == {"sick": 10, "dead": 4}


def test_the_last_cell_is_answered_and_not_one_more() -> None:
    before = [question("sex", "sick")]
    check_cells(question("sick", "dead"), before, 8)
    check_cells(question("sick", "sex"), before, 4)  # answered alike already
    check_cells(question("sex"), before, 0)  # about nothing sensitive
    with pytest.raises(SpentError, match="cells_spent"):
        check_cells(question("sick", "dead"), before, 7)


def test_a_site_refuses_once_its_release_has_answered_enough() -> None:
    columns = {
        "sex": ["female", "male"] * 20,
        "sick": ["no"] * 20 + ["yes"] * 20,
        "dead": ["no"] * 10 + ["yes"] * 20 + ["no"] * 10,
    }
    tables: Mapping[str, pa.Table] = {"people": pa.table(columns)}
    sites = dict.fromkeys(("lyon", "odense", "ulm"), tables)
    with rehearsing(sites, views=VIEWS, policy=Policy(max_answered_cells=6)) as ask:
        first = ask(asked("sex", "sick")).to_json()
        assert ask(asked("sex", "sick")).to_json() == first
        assert ask(asked("dead")).status == "released"
        with pytest.raises(RefusedError, match="most cells about one of the sensitive variables"):
            ask(asked("sex", "sick", "dead"))
        assert ask(asked("sex")).status == "released"
