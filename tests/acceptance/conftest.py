"""Small synthetic centres, and a way to type `marmor` as a person would."""

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from infra.demo.synthesize import synthesize
from infra.environments import ROOT
from infra.local_run import run_site
from transforms.site import load_site, site_folders


@dataclass(frozen=True)
class Typed:
    """What a person sees after a command."""

    code: int
    out: str
    err: str


@pytest.fixture
def marmor() -> Callable[..., Typed]:
    """Type `marmor …`; environment variables may be given as keywords."""

    def typed(*arguments: object, **variables: str) -> Typed:
        done = subprocess.run(
            [sys.executable, "-m", "infra.cli", *map(str, arguments)],
            cwd=ROOT,
            env={**os.environ, "COLUMNS": "200", "NO_COLOR": "1", **variables},
            capture_output=True,
            text=True,
            timeout=300,
        )
        return Typed(done.returncode, done.stdout, done.stderr)

    return typed


@pytest.fixture(scope="session")
def published_consortium(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Five centres of 12 patients without artefacts, each with a published release."""
    folder = tmp_path_factory.mktemp("published")
    synthesize(sites=5, patients=12, seed=7, out=folder, artefacts=False)
    for site in site_folders(folder):
        run_site(load_site(site))
    return folder


@pytest.fixture
def published(published_consortium: Path, tmp_path: Path) -> Callable[[str], tuple[Path, str]]:
    """Copy one published centre, so that a test may spoil it; return its folder and release."""

    def copied(name: str) -> tuple[Path, str]:
        folder = Path(shutil.copytree(published_consortium / name, tmp_path / name))
        return folder, (folder / "CURRENT").read_text().strip()

    return copied
