"""What every test may use: the sample files, and a skip that says so where they are absent."""

from pathlib import Path

import pytest


DATA = Path(__file__).resolve().parent.parent.parent / "shared" / "data"


@pytest.fixture(scope="session")
def data() -> Path:
    """The folder of real and sample files; tests that need it are skipped where it is absent."""
    if not DATA.is_dir():
        pytest.skip(f"no sample files: {DATA} is not a folder")
    return DATA
