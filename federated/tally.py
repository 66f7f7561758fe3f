"""A site's plain statistics from its release: no key, no network, nothing to write to."""

from collections.abc import Callable, Iterator, Mapping, Sequence
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
    if "compare" in request:
        return _compare(read, cast(Mapping[str, Any], request["compare"]), views)
    question = parse_request(request, views)
    analysis, design = question.definition, question.design
    fields = analysis.fields(design)
    table = read(question.view, sorted({*fields, *cohort_fields(question.cohort)}))
    frame = to_frame(table, fields, views[question.view].variables, question.cohort)
    blocks = dict(analysis.site(frame, design, broadcast))
    if not broadcast:
        holds = frame.rows > 0 or _holds_anybody(table, question, views[question.view])
        blocks[CONTRIBUTING] = Counts(np.array([holds], dtype=np.int64))
    check_blocks(blocks, question.shapes(broadcast))
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


def _compare(
    read: Callable[[str, Sequence[str]], pa.Table],
    job: Mapping[str, Any],
    views: Mapping[str, AnalysisView],
) -> Blocks:
    """Count how far the cells of a question lie from those of earlier ones: see `overlap`."""
    new = parse_request(job["question"], views)
    earlier = [(parse_again(item["question"], views), item["here"]) for item in job["earlier"]]
    questions = [new, *(question for question, here in earlier if here)]
    view, cell = views[new.view], by_cell(new, (question for question, _ in earlier))
    parts = [compared(question, cell=cell) for question in questions]
    table = read(new.view, sorted({BAND, *_fields(parts)} & set(view.variables)))
    codes = dict(zip((q.digest for q in questions), _cells(table, parts, view), strict=True))
    sizes = [(codes[q.digest] if here else None, cells(q, cell=cell)) for q, here in earlier]
    rows, size = codes[new.digest], cells(new, cell=cell)
    return {OVERLAP: differences(rows, size, sizes, _bands(table, view), job["limit"])}


def _fields(parts: Sequence[Compared]) -> set[str]:
    """Names of the columns that the questions' cohorts and tables look at."""
    tables = {variable.name for _, variables in parts for variable in variables}
    return tables.union(*(cohort_fields(cohort) for cohort, _ in parts))


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
