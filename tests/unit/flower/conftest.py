"""Everything here needs Flower, so it runs in the federation environment only."""

import importlib
import warnings
from pathlib import Path

import pytest


# Needs Flower, so it is collected in the federation environment only. Flower is imported here
# because what it imports in turn warns of its own deprecations.
with warnings.catch_warnings(action="ignore"):
    try:
        importlib.import_module("flwr.supercore.logger")
    except ModuleNotFoundError:
        collect_ignore_glob = ["*.py"]
HERE = Path(__file__).parent


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if HERE in item.path.parents:
            item.add_marker(pytest.mark.federation)
