"""How many cells a release answers about one sensitive attribute, and no more.

Who may ask for ever rebuilds the rows: about as many answers as patients are enough to do it (Dinur
and Nissim, PODS 2003), with rounding or without. So each release answers so many cells about each
sensitive attribute and then nothing further about it; a quarter of the consortium's patients is a
good number. An attribute that only selects the cohort is asked about as well. The same numbers put
in other words, or asked for again, cost nothing: they are answered alike.
"""

from collections import Counter
from collections.abc import Iterable, Mapping

from federated.cohort import cohort_fields
from federated.ledger import SpentError
from federated.overlap import cells
from federated.request import Request


__all__ = ["answered_cells", "attributes", "check_cells"]


def attributes(question: Request) -> frozenset[str]:
    """Return the sensitive fields that a question is about."""
    fields = {*question.definition.fields(question.design), *cohort_fields(question.cohort)}
    return frozenset(fields & question.sensitive)


def answered_cells(questions: Iterable[Request]) -> Mapping[str, int]:
    """Return how many cells were answered about each sensitive field."""
    spent: Counter[str] = Counter()
    for question in {item.counted: item for item in questions}.values():
        spent.update(dict.fromkeys(attributes(question), cells(question)))
    return spent


def check_cells(question: Request, answered: Iterable[Request], most: int) -> None:
    """Raise SpentError when the cells of `question` would exceed `most` for an attribute."""
    before = list(answered)
    if any(item.counted == question.counted for item in before):
        return
    spent = answered_cells(before)
    if any(spent.get(name, 0) + cells(question) > most for name in attributes(question)):
        raise SpentError("cells_spent")
