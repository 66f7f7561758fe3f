"""A site's plain statistics from its release: no key, no network, nothing to write to."""

from collections.abc import Mapping
from pathlib import Path

from federated.frame import FrameError, load_frame
from federated.request import parse_request, variables_of
from federated.statistics import Blocks, Broadcast, check_blocks
from transforms.dictionary import DICTIONARY


__all__ = ["FrameError", "tally"]


def tally(views: Path, request: Mapping[str, object], broadcast: Broadcast) -> Blocks:
    """Compute the blocks of `request` (plain mapping) on the Parquet files in folder `views`.

    Raises FrameError with a fixed code when the view cannot be read, RequestError when the request
    does not fit this site's dictionary, ValueError when the broadcast does not fit the request.
    """
    question = parse_request(request)
    analysis, design = question.definition, question.design
    variables = variables_of(DICTIONARY.views[question.view])
    path = views / f"{question.view}.parquet"
    frame = load_frame(path, analysis.fields(design), variables, question.cohort)
    blocks = analysis.site(frame, design, broadcast)
    check_blocks(blocks, analysis.shapes(design, broadcast))
    return blocks
