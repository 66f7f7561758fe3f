"""A site's plain statistics from its release: no key, no network, nothing to write to."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias, cast

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from federated.analysis import AnalysisView, Variable
from federated.cohort import Cohort, cohort_fields
from federated.frame import (
    FrameError,
    cohort_rows,
    parse_view,
    read_view,
    select_view,
    to_codes,
    to_frame,
)
from federated.overlap import OVERLAP, by_cell, cells, compared, differences
from federated.request import Request, parse_again, parse_request
from federated.statistics import CONTRIBUTING, Blocks, Broadcast, Counts, check_blocks
from federated.views import DICTIONARY_VIEWS


__all__ = ["FrameError", "tally", "tally_files", "tally_tables"]

Compared: TypeAlias = tuple[Cohort | None, tuple[Variable, ...]]
BAND = "age_band"  # in a view of patients and age bands a patient has one row in each


@dataclass(frozen=True)
class _Comparison:
    """Earlier questions, each with whether this site answered it, and where counts are clipped."""

    earlier: tuple[tuple[Request, bool], ...]
    limit: int

    def by_cell(self, new: Request) -> bool:
        """Whether cells are compared and not lines."""
        return by_cell(new, (question for question, _ in self.earlier))

    def here(self, new: Request) -> tuple[Request, ...]:
        """The new question, and those earlier ones whose rows this site has to find."""
        return (new, *(question for question, answered in self.earlier if answered))

    def parts(self, new: Request) -> list[Compared]:
        """What is compared of each of them."""
        return [compared(question, cell=self.by_cell(new)) for question in self.here(new)]


def tally(
    views: Path,
    request: Mapping[str, object],
    broadcast: Broadcast,
    known: Mapping[str, AnalysisView] = DICTIONARY_VIEWS,
) -> Blocks:
    """Compute the blocks of `request` (plain mapping) on the Parquet files in folder `views`.

    Raises FrameError with a fixed code when the view cannot be read, RequestError when the request
    does not fit this site's dictionary, ValueError when the broadcast does not fit the request.
    """
    return _tally(
        lambda view, names: read_view(views / f"{view}.parquet", names),
        request,
        broadcast,
        known,
    )


def tally_files(
    view: bytes, manifest: bytes, request: Mapping[str, object], broadcast: Broadcast
) -> Blocks:
    """Compute the same on the bytes of one view's file and of its release's manifest."""
    return _tally(
        lambda name, names: parse_view(name, view, manifest, names),
        request,
        broadcast,
        DICTIONARY_VIEWS,
    )


def tally_tables(
    tables: Mapping[str, pa.Table],
    request: Mapping[str, object],
    broadcast: Broadcast,
    views: Mapping[str, AnalysisView],
) -> Blocks:
    """Compute the same on tables in memory, one for each view of `views` that is asked for."""
    return _tally(lambda view, names: select_view(tables, view, names), request, broadcast, views)


def _tally(
    read: Callable[[str, Sequence[str]], pa.Table],
    request: Mapping[str, object],
    broadcast: Broadcast,
    views: Mapping[str, AnalysisView],
) -> Blocks:
    """Read the columns that the question needs, restrict them to its cohort, and count."""
    question = parse_request({k: v for k, v in request.items() if k != "compare"}, views)
    comparison = _comparison(request, views)
    analysis, design, view = question.definition, question.design, views[question.view]
    fields = analysis.fields(design)
    names = {*fields, *cohort_fields(question.cohort)}
    table = read(question.view, sorted(names | _compared_fields(question, comparison, view)))
    frame = to_frame(table.select(sorted(names)), fields, view.variables, question.cohort)
    blocks = dict(analysis.site(frame, design, broadcast))
    if not broadcast:
        holds = frame.rows > 0 or _holds_anybody(table, question, view)
        blocks[CONTRIBUTING] = Counts(np.array([holds], dtype=np.int64))
    check_blocks(blocks, question.shapes(broadcast))
    if comparison:
        blocks[OVERLAP] = _compare(table, question, comparison, view)
    return blocks


def _holds_anybody(table: pa.Table, question: Request, view: AnalysisView) -> bool:
    """Whether the site holds anybody of whom only what is known is asked.

    Judged on the whole cohort, a refusal for too few sites would tell what is secret of the only
    one a site holds.
    """
    if question.known_cohort == question.cohort:
        return False
    (rows,) = cohort_rows(table, [question.known_cohort], view.variables)
    return bool(rows.any())


def _comparison(
    request: Mapping[str, object], views: Mapping[str, AnalysisView]
) -> _Comparison | None:
    """The earlier questions that a request is to be compared with, if any."""
    if "compare" not in request:
        return None
    job = cast(Mapping[str, Any], request["compare"])
    earlier = ((parse_again(item["question"], views), item["here"]) for item in job["earlier"])
    return _Comparison(tuple(earlier), job["limit"])


def _compared_fields(
    new: Request, comparison: _Comparison | None, view: AnalysisView
) -> frozenset[str]:
    """Names of the columns that a comparison looks at."""
    if comparison is None:
        return frozenset()
    parts = comparison.parts(new)
    tables = {BAND, *(variable.name for _, variables in parts for variable in variables)}
    fields = tables.union(*(cohort_fields(cohort) for cohort, _ in parts))
    return frozenset(fields & set(view.variables))


def _compare(table: pa.Table, new: Request, comparison: _Comparison, view: AnalysisView) -> Counts:
    """Count how far the cells of a question lie from those of earlier ones: see `overlap`."""
    cell, here = comparison.by_cell(new), comparison.here(new)
    codes = dict(
        zip((q.digest for q in here), _cells(table, comparison.parts(new), view), strict=True)
    )
    sizes = [
        (codes[question.digest] if answered else None, cells(question, cell=cell))
        for question, answered in comparison.earlier
    ]
    size = cells(new, cell=cell)
    return differences(codes[new.digest], size, sizes, _bands(table, view), comparison.limit)


def _cells(
    table: pa.Table, parts: Sequence[Compared], view: AnalysisView
) -> Iterator[NDArray[np.int64]]:
    """For each question the cell, or line, of every row, -1 where it is in none."""
    cohorts = {cohort: None for cohort, _ in parts}
    rows = dict(zip(cohorts, cohort_rows(table, list(cohorts), view.variables), strict=True))
    names = {variable.name for _, variables in parts for variable in variables}
    codes = {name: to_codes(table, name, view.variables[name]) for name in names}
    for cohort, variables in parts:
        inside = rows[cohort]
        known = inside & np.logical_and.reduce(
            [codes[variable.name] >= 0 for variable in variables] or [inside]
        )
        flat = np.zeros(table.num_rows, dtype=np.int64)
        for variable in variables:
            flat = flat * len(variable.levels) + codes[variable.name]
        yield np.where(known, flat, -1)


def _bands(table: pa.Table, view: AnalysisView) -> NDArray[np.int64]:
    """Numbers such that rows with the same one are different patients."""
    if view.unit == "patient":
        return np.zeros(table.num_rows, dtype=np.int64)
    if view.unit == "patient and age band":
        return to_codes(table, BAND, view.variables[BAND]) + 1
    return np.arange(table.num_rows, dtype=np.int64)  # any two rows may be one patient's
