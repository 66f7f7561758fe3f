"""A site's plain statistics from its release: no key, no network, nothing to write to."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, cast

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from federated.analysis import AnalysisView
from federated.cohort import cohort_fields
from federated.frame import (
    FrameError,
    cohort_rows,
    parse_view,
    read_view,
    select_view,
    to_codes,
    to_frame,
)
from federated.overlap import OVERLAP, cells, differences
from federated.request import Request, parse_request
from federated.statistics import CONTRIBUTING, Blocks, Broadcast, Counts, check_blocks
from federated.views import DICTIONARY_VIEWS


__all__ = ["FrameError", "tally", "tally_files", "tally_tables"]

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
        blocks[CONTRIBUTING] = Counts(np.array([frame.rows > 0], dtype=np.int64))
    check_blocks(blocks, question.shapes(broadcast))
    return blocks


def _compare(
    read: Callable[[str, Sequence[str]], pa.Table],
    job: Mapping[str, Any],
    views: Mapping[str, AnalysisView],
) -> Blocks:
    """Count how far the cells of a question lie from those of earlier ones: see `overlap`."""
    new = parse_request(job["question"], views)
    earlier = [(parse_request(item["question"], views), item["here"]) for item in job["earlier"]]
    questions = [new, *(question for question, here in earlier if here)]
    view = views[new.view]
    table = read(new.view, sorted({BAND, *_fields(questions)} & set(view.variables)))
    codes = dict(zip((q.digest for q in questions), _cells(table, questions, view), strict=True))
    sizes = [(codes[q.digest] if here else None, cells(q)) for q, here in earlier]
    rows = codes[new.digest]
    return {OVERLAP: differences(rows, cells(new), sizes, _bands(table, view), job["limit"])}


def _fields(questions: Sequence[Request]) -> set[str]:
    """Names of the columns that the questions' cohorts and tables look at."""
    tables = {v.name for q in questions for v in q.definition.table(q.design)}
    return tables.union(*(cohort_fields(question.cohort) for question in questions))


def _cells(
    table: pa.Table, questions: Sequence[Request], view: AnalysisView
) -> Iterator[NDArray[np.int64]]:
    """For each question the cell of every row, -1 where it is in none."""
    cohorts = {question.cohort: None for question in questions}
    rows = dict(zip(cohorts, cohort_rows(table, list(cohorts), view.variables), strict=True))
    names = {v.name for q in questions for v in q.definition.table(q.design)}
    codes = {name: to_codes(table, name, view.variables[name]) for name in names}
    for question in questions:
        variables = question.definition.table(question.design)
        known = rows[question.cohort] & np.logical_and.reduce(
            [codes[variable.name] >= 0 for variable in variables] or [rows[question.cohort]]
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
