"""A site's plain statistics from its release: no key, no network, nothing to write to."""

from collections.abc import Mapping
from pathlib import Path

from federated.statistics import Blocks, Broadcast


__all__ = ["tally"]


def tally(views: Path, request: Mapping[str, object], broadcast: Broadcast) -> Blocks:
    """Compute the blocks of `request` (plain mapping) on the Parquet files in folder `views`.

    Raises TallyError with a fixed code; the text of another error never leaves this function.
    """
    raise NotImplementedError
