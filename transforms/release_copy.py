"""A copy of a release for the centre's own use: verified, in Parquet, CSV or one DuckDB file.

The copy holds patients' rows and is no longer looked after by Marmor: no later withdrawal reaches
it. It is therefore never made inside a site's folder, never over anything, and is for its owner
alone (0700, 0600).
"""

import os
import re
import secrets
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Literal

import duckdb
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pa_csv
import pyarrow.parquet as pq

from transforms.durable import fsync_file, fsync_folder, remove
from transforms.errors import ReleaseError
from transforms.formulas import disarmed_column
from transforms.manifest import MANIFEST
from transforms.release import verify
from transforms.site import Site
from transforms.sql import qualified


__all__ = ["Format", "copy_release"]

Format = Literal["parquet", "csv", "duckdb"]


def copy_release(site: Site, release: str, target: Path, kind: Format) -> Path:
    """Copy a release of `site` to the new folder `target`; return it.

    Raises ReleaseError when the release is not intact, when `target` is there already or inside the
    site's folder, or when it cannot be written; nothing half-written stays behind.
    """
    manifest = verify(site, release)
    place = target.expanduser().absolute()
    if place.exists() or place.is_symlink():
        raise ReleaseError(f"{place}: is there already; name a folder that is not")
    if place.resolve().is_relative_to(site.folder):
        raise ReleaseError(
            f"{place}: is inside the site's folder, where only Marmor writes; choose another place"
        )
    draft = place.with_name(f".{place.name}.{secrets.token_hex(4)}")
    try:
        place.parent.mkdir(parents=True, exist_ok=True)
        draft.mkdir(mode=0o700)
        WRITERS[kind](site.releases / release, draft, sorted(manifest["files"]))
        shutil.copyfile(site.releases / release / MANIFEST, draft / MANIFEST)
        _close(draft)
        os.rename(draft, place)
        fsync_folder(place.parent)
    except (OSError, duckdb.Error) as error:
        said = error.strerror if isinstance(error, OSError) else "the disk may be full"
        raise ReleaseError(f"{place}: cannot be written ({said}); nothing was copied") from None
    finally:
        remove(draft)
    return place


def _parquet(release: Path, draft: Path, files: list[str]) -> None:
    """Copy the bytes as they are."""
    for file in files:
        (draft / file).parent.mkdir(mode=0o700, exist_ok=True)
        shutil.copyfile(release / file, draft / file)


def _csv(release: Path, draft: Path, files: list[str]) -> None:
    """Write one UTF-8 CSV per table and view; no cell begins as a formula would."""
    for file in files:
        path = (draft / file).with_suffix(".csv")
        path.parent.mkdir(mode=0o700, exist_ok=True)
        table = pq.read_table(release / file)
        columns = [_as_text(table.column(name)) for name in table.column_names]
        pa_csv.write_csv(pa.table(columns, names=table.column_names), path)


def _as_text(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """Make a list one text with `;` between its codes, and a would-be formula a plain text."""
    if pa.types.is_list(column.type):
        column = pc.binary_join(column, ";")
    if not pa.types.is_string(column.type):
        return column
    return disarmed_column(column)


def _duckdb(release: Path, draft: Path, files: list[str]) -> None:
    """Write one database with the schemas `tables` and `views`."""
    with duckdb.connect(str(draft / f"{release.name}.duckdb")) as connection:
        for schema in ("tables", "views"):
            connection.execute(f"create schema {schema}")
        for file in files:
            schema, name = re.fullmatch(r"(\w+)/(\w+)\.parquet", file).groups()  # type: ignore[union-attr]
            connection.read_parquet(str(release / file)).create_view("incoming", replace=True)
            connection.execute(f"create table {qualified(schema, name)} as from incoming")
            connection.execute("drop view incoming")


WRITERS: Mapping[Format, Callable[[Path, Path, list[str]], None]] = {
    "parquet": _parquet,
    "csv": _csv,
    "duckdb": _duckdb,
}


def _close(draft: Path) -> None:
    """Leave the files to their owner alone, and wait until they are on the disk."""
    for path in draft.rglob("*"):
        if path.is_file():
            path.chmod(0o600)
            fsync_file(path)
    for folder in (*(path for path in draft.rglob("*") if path.is_dir()), draft):
        fsync_folder(folder)
