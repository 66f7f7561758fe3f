"""Where the two installed environments are: `site` (Airflow) and `federation` (Flower)."""

import os
import sys
from pathlib import Path
from typing import Literal

from transforms.errors import SetupError


__all__ = ["ROOT", "Environment", "is_current", "python"]

Environment = Literal["site", "federation"]

ROOT = Path(__file__).resolve().parent.parent


def python(name: Environment) -> Path:
    """Return the interpreter of environment `name`.

    `MARMOR_SITE_PYTHON` and `MARMOR_FEDERATION_PYTHON` override the folders that `make` creates.
    Raises SetupError when there is none.
    """
    declared = os.environ.get(f"MARMOR_{name.upper()}_PYTHON")
    path = Path(declared) if declared else ROOT / ".venv" / name / "bin" / "python"
    if not path.exists():
        raise SetupError(
            f"environment {name}: no interpreter at {path}; run `make install`, or say where it is "
            f"in MARMOR_{name.upper()}_PYTHON"
        )
    return path


def is_current(name: Environment) -> bool:
    """Return whether this process runs in environment `name`."""
    return Path(sys.prefix).resolve() == python(name).parent.parent.resolve()
