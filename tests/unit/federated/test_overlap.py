"""How far cells lie from answered ones: worked by hand, over sites, and through a whole query."""

from collections.abc import Mapping

import numpy as np
import pyarrow as pa
import pytest

from federated.analysis import AnalysisView, Variable
from federated.overlap import (
    OVERLAP,
    Earlier,
    cells,
    counters,
    differences,
    earlier_questions,
    job,
    near,
    shape,
)
from federated.policy import CONSORTIUM, EXACT
from federated.rehearsal import rehearsing
from federated.request import Request, parse_request
from federated.statistics import Counts
from federated.tally import tally_tables
from transforms.errors import RequestError


LIMIT = CONSORTIUM.grid + 1
SEX = Variable("sex", "Sex", ("female", "male"), ("female", "male"))
SICK = Variable("sick", "Sick", ("false", "true"), ("no", "yes"))
AGE = Variable("age", "Age", unit="years")
VIEWS = {
    "people": AnalysisView("people", "patient", {"sex": SEX, "sick": SICK, "age": AGE}),
}


def question(*variables: str, cohort: object = None) -> Request:
    return parse_request(asked(*variables, cohort=cohort), VIEWS)


def asked(*variables: str, cohort: object = None) -> dict[str, object]:
    parameters = {"variables": list(variables)}
    return {"analysis": "crosstab", "view": "people", "parameters": parameters, "cohort": cohort}


def older(than: float) -> dict[str, object]:
    return {"field": "age", "operator": ">", "value": than}


def people(sexes: str, ages: list[float]) -> Mapping[str, pa.Table]:
    names = {"f": "female", "m": "male", "?": None}
    sick = [str(age > 50).lower() for age in ages]
    columns = {"sex": [names[s] for s in sexes], "sick": sick, "age": ages}
    return {"people": pa.table(columns)}


def pooled(
    new: Request, earlier: list[Earlier], sites: Mapping[str, Mapping[str, pa.Table]]
) -> list[bool]:
    """The verdict of sites that compare the questions on their tables."""
    blocks = [
        tally_tables(tables, job(new, earlier, site, LIMIT), {}, VIEWS)[OVERLAP].values
        for site, tables in sites.items()
    ]
    assert all(block.shape == shape(new, earlier).size for block in blocks)
    return near(Counts(np.sum(blocks, axis=0)), new, earlier, LIMIT).tolist()


AGES = [float(age) for age in range(1, 41)]


@pytest.mark.parametrize(
    ("than", "too_near"),
    [
        (0.5, False),  # the very same patients
        (1.5, True),  # 1 patient of the first site is left out, and 1 of the second: 2
        (3.5, True),  # 6
        (4.5, False),  # 8
    ],
)
def test_a_cohort_that_leaves_few_out_is_too_near(than: float, too_near: bool) -> None:
    sites = {"a": people("f" * 40, AGES), "b": people("f" * 40, AGES)}
    earlier = [Earlier(question("sex"), ("a", "b"))]
    assert pooled(question("sex", cohort=older(than)), earlier, sites) == [too_near, False]


def test_differences_are_judged_over_all_sites_together() -> None:
    # Four at each of two sites, 8 in all: far enough, though neither alone would be.
    sites = {"a": people("f" * 40, AGES), "b": people("f" * 40, AGES)}
    earlier = [Earlier(question("sex"), ("a", "b"))]
    assert pooled(question("sex", cohort=older(4)), earlier, sites) == [False, False]
    assert pooled(question("sex", cohort=older(4)), earlier, {"a": sites["a"]}) == [True, False]


def test_a_finer_table_is_compared_with_the_coarser_one() -> None:
    # Of 20 women 3 are sick: the 17 others lie 3 from all women. The 20 men are all well.
    ages = [10.0] * 17 + [60.0] * 3 + [10.0] * 20
    sites = {"a": people("f" * 20 + "m" * 20, ages)}
    earlier = [Earlier(question("sex"), ("a",))]
    found = pooled(question("sex", "sick"), earlier, sites)
    assert found == [True, False, False, False]  # (f, well), (f, sick), (m, well), (m, sick)


def test_cells_that_are_not_shown_are_not_compared() -> None:
    # Two small cells always differ by few; neither is told.
    ages = [60.0] * 3 + [10.0] * 20
    sites = {"a": people("f" * 3 + "m" * 20, ages)}
    earlier = [Earlier(question("sick"), ("a",))]
    assert pooled(question("sex"), earlier, sites) == [False, False]


def test_a_site_that_did_not_answer_before_counts_its_whole_cell() -> None:
    new, earlier = question("sex"), [Earlier(question("sex"), ("a",))]
    large, small = people("f" * 40, AGES), people("fff", [1.0, 2.0, 3.0])
    assert pooled(new, earlier, {"a": large, "b": small}) == [True, False]
    assert pooled(new, earlier, {"a": large, "b": large}) == [False, False]


def test_rows_of_one_patient_are_counted_once() -> None:
    # Eight rows left out, but of four patients at most: in no band are there more than 4.
    new = np.array([0] * 20 + [-1] * 8)
    old = np.zeros(28, dtype=np.int64)
    bands = np.array([0, 1] * 10 + [0, 1] * 4)
    found = differences(new, 1, [(old, 1)], bands, LIMIT)
    numbers = [(int(found.values[0]) >> (10 * place)) & 1023 for place in range(3)]
    assert numbers == [LIMIT, LIMIT, 4]  # both cells are large enough to be shown; 4 differ


def test_the_clipped_counters_of_64_sites_do_not_run_into_each_other() -> None:
    rows = np.zeros(100, dtype=np.int64)
    one = differences(rows, 1, [(None, 2)], np.zeros(100, dtype=np.int64), 11).values
    total = one * 64
    numbers = [(int(total[0]) >> (10 * place)) & 1023 for place in range(5)]
    assert numbers == [704, 0, 0, 704, 704]


def test_what_is_compared_follows_from_what_all_sites_say() -> None:
    new, old = question("sick"), question("sex")
    words = {old.digest: old.question(), new.digest: new.question()}
    abc = (old.digest, ("a", "b", "c"))
    everywhere = {site: [abc] for site in "abc"}
    assert earlier_questions(everywhere, words, new, VIEWS) == (Earlier(old, abc[1]),)
    # c was away then; b is away now.
    assert earlier_questions({**everywhere, "d": []}, words, new, VIEWS) == (Earlier(old, abc[1]),)
    assert earlier_questions({"a": [abc], "c": [abc]}, words, new, VIEWS) == (Earlier(old, abc[1]),)
    # b has another release by now: its rows of then cannot be found again.
    assert earlier_questions({**everywhere, "b": []}, words, new, VIEWS) == ()
    # The very same question of the same sites is its own answer.
    itself = {site: [(new.digest, ("a", "b", "c"))] for site in "abc"}
    assert earlier_questions(itself, words, new, VIEWS) == ()


@pytest.mark.parametrize("told", [None, {"analysis": "crosstab"}, "sex"])
def test_words_that_are_not_those_of_the_question_are_an_error(told: object) -> None:
    new, old = question("sick"), question("sex")
    words = {old.digest: question("sick").question() if told is None else told}
    with pytest.raises(RequestError):
        earlier_questions({"a": [(old.digest, ("a",))]}, words, new, VIEWS)


def test_the_public_length_follows_from_the_questions() -> None:
    earlier = [Earlier(question("sex"), ("a",)), Earlier(question("sex", "sick"), ("a",))]
    new = question("sick")
    assert (cells(new), counters(new, earlier)) == (2, 2 + 2 * 3 + 4 * 3)
    assert shape(new, earlier).size == (4,)  # 20 counters, six to a number


@pytest.fixture
def consortium() -> dict[str, Mapping[str, pa.Table]]:
    """Three sites of 40; the second variable is that of the age."""
    return {site: people("f" * 25 + "m" * 15, AGES) for site in ("lyon", "odense", "ulm")}


def ask_in_turn(
    consortium: Mapping[str, Mapping[str, pa.Table]], *questions: Mapping[str, object]
) -> list[dict[str, object]]:
    with rehearsing(consortium, views=VIEWS, policy=CONSORTIUM) as ask:
        return [dict(ask(one).data) for one in questions]


def test_a_near_cell_is_withheld_and_the_others_are_shown(
    consortium: dict[str, Mapping[str, pa.Table]],
) -> None:
    # Leaving out everybody of age 1, three women in all: the women's cell is too near, the men's
    # is the same as before.
    first, second = ask_in_turn(consortium, asked("sex"), asked("sex", cohort=older(1)))
    assert first["counts"] == [75, 45]
    assert second["counts"] == [{"withheld": "small_cell"}, 45]


def test_the_first_question_alone_is_not_touched(
    consortium: dict[str, Mapping[str, pa.Table]],
) -> None:
    assert ask_in_turn(consortium, asked("sex", cohort=older(1)))[0]["counts"] == [69, 45]


def test_with_the_gate_off_nothing_is_compared(
    consortium: dict[str, Mapping[str, pa.Table]],
) -> None:
    with rehearsing(consortium, views=VIEWS, policy=EXACT) as ask:
        assert ask(asked("sex")).data["counts"] == [75, 45]
        assert ask(asked("sex", cohort=older(1))).data["counts"] == [72, 45]
