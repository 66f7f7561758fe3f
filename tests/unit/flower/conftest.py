"""Everything here needs Flower, so it runs in the federation environment only."""

from pathlib import Path

import pytest


pytest.importorskip("flwr")
HERE = Path(__file__).parent


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if HERE in item.path.parents:
            item.add_marker(pytest.mark.federation)
