"""A site's plain statistics from its release: no key, no network, nothing to write to."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa

from federated.analysis import AnalysisView
from federated.cohort import cohort_fields
from federated.frame import FrameError, parse_view, read_view, select_view, to_frame
from federated.request import parse_request
from federated.statistics import CONTRIBUTING, Blocks, Broadcast, Counts, check_blocks
from federated.views import DICTIONARY_VIEWS


__all__ = ["FrameError", "tally", "tally_files", "tally_tables"]


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
