"""Small releases made of random rows, one Parquet file per analysis view."""

import hashlib
import json
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from transforms.dictionary import DICTIONARY, Field
from transforms.dictionary.arrow import schema
from transforms.manifest import seal_digest


Columns = Mapping[str, list[object]]
Consortium = Mapping[str, Path]


@pytest.fixture(scope="session")
def write_release() -> Callable[[Path, Mapping[str, Columns]], Path]:
    """Write a release folder below `<folder>/releases` from view → column → values."""

    def write(folder: Path, views: Mapping[str, Columns]) -> Path:
        release = folder / "releases" / "rel-000000000001"
        (release / "views").mkdir(parents=True)
        for name, columns in views.items():
            table = pa.table(dict(columns), schema=schema(DICTIONARY.views[name]))
            pq.write_table(table, release / "views" / f"{name}.parquet")
        files = {
            f"views/{path.name}": {"sha256": hashlib.sha256(path.read_bytes()).hexdigest()}
            for path in (release / "views").iterdir()
        }
        manifest = {"files": files, "seal_sha256": seal_digest({"files": files})}
        (release / "MANIFEST.json").write_text(json.dumps(manifest), encoding="utf-8")
        return release

    return write


@pytest.fixture(scope="session")
def random_rows() -> Callable[[str, int, np.random.Generator], Columns]:
    """Return random values for every column of a view, some missing."""

    def rows(view: str, count: int, source: np.random.Generator) -> Columns:
        return {f.name: _values(f, count, source) for f in DICTIONARY.views[view].fields}

    return rows


@pytest.fixture(scope="session")
def consortium(
    tmp_path_factory: pytest.TempPathFactory,
    write_release: Callable[[Path, Mapping[str, Columns]], Path],
    random_rows: Callable[[str, int, np.random.Generator], Columns],
) -> Consortium:
    """Five sites of 0 to 90 patients."""
    source = np.random.default_rng(20261122)
    home = tmp_path_factory.mktemp("consortium")
    sizes = {"leiden": 90, "lyon": 60, "odense": 3, "torino": 45, "ulm": 0}
    return {
        site: write_release(
            home / site, {view: random_rows(view, size, source) for view in DICTIONARY.views}
        )
        for site, size in sizes.items()
    }


def _values(field: Field, count: int, source: np.random.Generator) -> list[object]:
    """Random values of one column, one in twenty missing."""
    if field.type == "code":
        levels = list(DICTIONARY.codelists[str(field.codelist)].codes)[:4]
        values = [levels[i] for i in source.integers(0, len(levels), count)]
    elif field.type == "boolean":
        values = [bool(bit) for bit in source.integers(0, 2, count)]
    elif field.type == "integer":
        values = [int(number) for number in source.poisson(0.8, count)]
    elif field.name == "entry_age_y":
        values = [float(max(0.0, age)) for age in source.normal(0, 6, count)]
    else:
        values = [float(age) for age in source.gamma(2.0, 8.0, count)]
    return [value if source.random() > 0.05 else None for value in values]
