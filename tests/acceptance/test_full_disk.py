"""A full disk and a folder that may not be written: told in words, nothing half-written."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from infra.environments import ROOT
from tests.acceptance.conftest import Typed


Marmor = Callable[..., Typed]
Published = Callable[[str], tuple[Path, str]]

# A mount namespace of its own: what is mounted in it is seen by nobody else and ends with it.
ALONE = ["unshare", "--mount", "--map-root-user"] if os.getuid() else ["unshare", "--mount"]


def possible() -> bool:
    """Return whether this machine lets a test mount something for itself."""
    tried = "mount -t tmpfs -o size=64k tmpfs /mnt"
    try:
        return not subprocess.run([*ALONE, "sh", "-c", tried], capture_output=True).returncode
    except FileNotFoundError:
        return False


pytestmark = pytest.mark.skipif(not possible(), reason="nothing can be mounted here")


def typed_in(prepare: str, *arguments: object) -> Typed:
    """Type `marmor …` where the shell command `prepare` was run before, in a namespace of its own.

    Whatever that namespace's disk holds afterwards is copied out by the command itself.
    """
    command = [sys.executable, "-m", "infra.cli", *map(str, arguments)]
    done = subprocess.run(
        [*ALONE, "sh", "-c", f'{prepare} && exec "$@"', "sh", *command],
        cwd=ROOT, capture_output=True, text=True, timeout=300,
        env={**os.environ, "COLUMNS": "200", "NO_COLOR": "1"},
    )  # fmt: skip
    return Typed(done.returncode, done.stdout, done.stderr)


def assert_told(typed: Typed, *words: str) -> None:
    """The command failed in words, with an exit code that is not a crash's."""
    assert typed.code in (13, 30), typed.err or typed.out
    assert "Traceback" not in typed.err
    assert all(line.startswith("marmor: ") for line in typed.err.splitlines())
    assert any(word in typed.err for word in words), typed.err


def changed(folder: Path) -> None:
    """Change the centre's export a little, so that there is something new to publish."""
    path = next(path for path in sorted((folder / "inbox").glob("*.csv")))
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join([*lines, lines[-1]]))


def snapshot(folder: Path) -> dict[str, bytes]:
    """Return the bytes of all that must not change."""
    kept = [folder / "CURRENT", *(folder / "releases").rglob("*.*")]
    return {str(path): path.read_bytes() for path in kept if path.is_file()}


@pytest.mark.parametrize("room_kb", [0, 60])
def test_a_full_disk(marmor: Marmor, published: Published, room_kb: int, tmp_path: Path) -> None:
    """The site lies on a disk with little room left; after a run it is what it was before."""
    folder, release = published("ulm")
    changed(folder)
    before = snapshot(folder)
    disk, kept = tmp_path / "disk", tmp_path / "kept"
    disk.mkdir()
    size = sum(path.stat().st_size // 4096 * 4 + 4 for path in folder.rglob("*")) + room_kb
    script = (
        f"mount -t tmpfs -o size={size}k tmpfs {disk} && cp -a {folder}/. {disk}/ && "
        f"{sys.executable} -m infra.cli site run {disk}; code=$?; "
        f"cp -a {disk} {kept}; exit $code"
    )
    done = subprocess.run(
        [*ALONE, "sh", "-c", script], cwd=ROOT, capture_output=True, text=True, timeout=300
    )
    told = Typed(done.returncode, done.stdout, done.stderr)
    assert_told(told, "No space left", "room", "full")
    after = {path.replace(str(kept), str(folder)): data for path, data in snapshot(kept).items()}
    assert after == before
    assert json.loads(marmor("site", "verify", kept, "--json").out)["release"] == release
    # With room again the next run is correct.
    assert marmor("site", "run", kept).code in (0, 14)


def test_releases_that_may_not_be_written(published: Published) -> None:
    folder, release = published("ulm")
    changed(folder)
    releases = folder / "releases"
    told = typed_in(f"mount --bind -o ro {releases} {releases}", "site", "run", folder)
    assert_told(told, "Read-only file system")
    assert (folder / "CURRENT").read_text() == release


def test_a_site_that_may_not_be_written(published: Published) -> None:
    folder, release = published("ulm")
    for command in (["run"], ["withdraw", "1", "--yes"], ["purge"]):
        told = typed_in(
            f"mount --bind -o ro {folder} {folder}", "site", command[0], folder, *command[1:]
        )
        assert_told(told, "Read-only file system")
    assert (folder / "CURRENT").read_text() == release


def test_reading_needs_no_writing(published: Published) -> None:
    """What only reads works on a read-only site, such as a backup."""
    folder, release = published("ulm")
    for command in ("verify", "releases"):
        told = typed_in(f"mount --bind -o ro {folder} {folder}", "site", command, folder)
        assert told.code == 0, told.err
        assert release in told.out


def test_an_export_that_does_not_fit_leaves_nothing(published: Published, tmp_path: Path) -> None:
    folder, _ = published("ulm")
    disk = tmp_path / "disk"
    disk.mkdir()
    for kind in ("parquet", "csv", "duckdb"):
        done = subprocess.run(
            [*ALONE, "sh", "-c",
             f"mount -t tmpfs -o size=16k tmpfs {disk} && {sys.executable} -m infra.cli site "
             f"export {folder} --to {disk}/copy --format {kind}; code=$?; ls -A {disk}; "
             "exit $code"],
            cwd=ROOT, capture_output=True, text=True, timeout=120,
        )  # fmt: skip
        assert_told(Typed(done.returncode, done.stdout, done.stderr), "nothing was copied")
        assert done.stdout.strip() == ""
