"""What every test may use, and which tests belong to the environment that pytest runs in."""

import warnings
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path

import pytest


TESTS = Path(__file__).resolve().parent
DATA = TESTS.parent.parent / "shared" / "data"

# Folders below unit/, spec/, generative/ and integration/ that need the federation environment;
# everything else needs the site environment.
FEDERATION = {"analyses", "federated", "flower"}
IN_FEDERATION = find_spec("flwr") is not None

# What these import in turn warns of deprecations that are not ours to mend.
with warnings.catch_warnings(action="ignore"):
    import_module("flwr.supercore.logger" if IN_FEDERATION else "expectations.engine")


def pytest_ignore_collect(collection_path: Path) -> bool | None:
    """Leave out what belongs to the other environment; `make test` runs both."""
    parts = collection_path.relative_to(TESTS).parts
    if collection_path.suffix != ".py" or len(parts) < 2:
        return None
    belongs = FEDERATION & set(parts) != set()
    return True if belongs != IN_FEDERATION else None


@pytest.fixture(scope="session")
def data() -> Path:
    """The folder of real and sample files; tests that need it are skipped where it is absent."""
    if not DATA.is_dir():
        pytest.skip(f"no sample files: {DATA} is not a folder")
    return DATA
