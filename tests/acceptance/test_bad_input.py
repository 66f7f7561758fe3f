"""Bad input: a clear message, an exit code of its own, nothing lost, the last release in place."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

from tests.acceptance.conftest import Typed


Marmor = Callable[..., Typed]
Published = Callable[[str], tuple[Path, str]]


def assert_told(typed: Typed, code: int, *words: str) -> None:
    """The command failed with `code` and one line per problem that has all `words`."""
    assert typed.code == code, typed.err or typed.out
    assert "Traceback" not in typed.err
    assert all(line.startswith("marmor: ") for line in typed.err.splitlines())
    for word in words:
        assert word in typed.err


def release_of(folder: Path) -> str:
    """Return the current release's id, after checking that it is whole."""
    return (folder / "CURRENT").read_text().strip()


def assert_kept(marmor: Marmor, folder: Path, release: str) -> None:
    """The last good release is current and intact."""
    assert release_of(folder) == release
    assert marmor("site", "verify", folder).code == 0


def test_a_file_of_the_wrong_format(marmor: Marmor, published: Published) -> None:
    folder, release = published("ulm")
    path = next((folder / "inbox").glob("*.csv"))
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + bytes(range(256)) * 20)
    assert_told(marmor("site", "run", folder), 14, path.name, "a picture", "waits for a decision")
    report = json.loads(marmor("quality", "report", folder, "--json").out)
    assert "refused_files" in json.dumps(report)
    assert path.exists()
    assert_kept(marmor, folder, release)


def test_an_unreadable_workbook(marmor: Marmor, published: Published) -> None:
    folder, release = published("lyon")
    path = next((folder / "inbox").glob("*.xlsx"))
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])
    assert_told(marmor("site", "run", folder), 10, path.name)
    assert_kept(marmor, folder, release)


def test_an_unknown_column(marmor: Marmor, published: Published) -> None:
    folder, release = published("ulm")
    path = sorted((folder / "inbox").glob("*.csv"))[0]
    lines = path.read_text("cp1252").splitlines()
    spoiled = [line + (";Neue Spalte" if index == 0 else ";x") for index, line in enumerate(lines)]
    path.write_text("\n".join(spoiled) + "\n", "cp1252")
    assert_told(marmor("site", "run", folder), 11, "Neue Spalte", "ignore")
    assert_kept(marmor, folder, release)


def test_an_unknown_code_in_the_mapping(marmor: Marmor, published: Published) -> None:
    folder, release = published("leiden")
    path = folder / "mapping" / "values.csv"
    text = path.read_text("utf-8")
    assert ",female," in text
    path.write_text(text.replace(",female,", ",femail,", 1), "utf-8")
    assert_told(marmor("site", "run", folder), 11, "values.csv, row", "femail", "nearest: female")
    assert_kept(marmor, folder, release)


def test_an_unknown_code_in_the_data(marmor: Marmor, published: Published) -> None:
    """What the mapping says to reject is rejected; too many rejects make the run wait."""
    folder, release = published("leiden")
    path = folder / "mapping" / "values.csv"
    lines = path.read_text("utf-8").splitlines()
    kept = [line for line in lines if ",female," not in line]
    assert len(kept) < len(lines)
    path.write_text("\n".join(kept) + "\n", "utf-8")
    typed = marmor("site", "run", folder)
    assert_told(typed, 14, "leiden", "marmor quality accept")
    report = marmor("quality", "report", folder, "--json")
    assert "unknown_code" in report.out
    assert_kept(marmor, folder, release)


def test_a_release_with_a_changed_byte(marmor: Marmor, published: Published) -> None:
    folder, release = published("ulm")
    path = folder / "releases" / release / "tables" / "fracture.parquet"
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.chmod(0o644)
    path.write_bytes(bytes(content))
    assert_told(marmor("site", "verify", folder), 13, "fracture.parquet", release)


def test_a_request_with_an_unknown_variable(
    marmor: Marmor, published: Published, tmp_path: Path
) -> None:
    folder, release = published("ulm")
    request = tmp_path / "request.toml"
    request.write_text(
        'version = 1\nanalysis = "crosstab"\nview = "person"\n'
        '[parameters]\nvariables = ["gene_grup", "hsct"]\n'
    )
    typed = marmor("query", "rehearse", request, folder / "releases" / release)
    assert_told(typed, 20, "gene_grup", "gene_group")


def test_a_site_that_does_not_exist(marmor: Marmor, tmp_path: Path) -> None:
    assert_told(marmor("site", "run", tmp_path / "nowhere"), 30, "nowhere", "site init")


def test_an_empty_inbox(marmor: Marmor, published: Published) -> None:
    folder, release = published("odense")
    shutil.rmtree(folder / "inbox")
    (folder / "inbox").mkdir()
    assert_told(marmor("site", "run", folder), 10, "inbox")
    assert_kept(marmor, folder, release)


def test_every_reporting_command_speaks_json(marmor: Marmor, published: Published) -> None:
    folder, release = published("torino")
    for arguments in (
        ("site", "status", folder),
        ("site", "releases", folder),
        ("site", "verify", folder),
        ("site", "run", folder),
        ("quality", "report", folder),
        ("dictionary", "show"),
        ("dictionary", "show", "person"),
        ("dictionary", "show", "view:person"),
        ("dictionary", "show", "sex"),
    ):
        typed = marmor(*arguments, "--json")
        assert typed.code == 0, (arguments, typed.err)
        json.loads(typed.out)
    assert release in marmor("site", "releases", folder).out


def test_a_reviewer_accepts_a_run_that_waits(marmor: Marmor, published: Published) -> None:
    """Without a decision nothing is published; with one the run goes on where it waited."""
    folder, release = published("leiden")
    text = (folder / "site.toml").read_text("utf-8")
    (folder / "site.toml").write_text(
        text.replace("[acceptance]", "").split("max_rejected_share")[0]
        + "\n[acceptance]\nmin_mandatory_completeness = 1.0\nmax_rejected_share = 0.0\n",
        "utf-8",
    )
    path = folder / "mapping" / "values.csv"
    lines = path.read_text("utf-8").splitlines()
    path.write_text("\n".join(line for line in lines if ",female," not in line) + "\n", "utf-8")
    typed = marmor("site", "run", folder)
    assert_told(typed, 14, "leiden", "marmor quality accept")
    run = json.loads(marmor("site", "status", folder, "--json").out)[0]["waiting"][0]
    assert_kept(marmor, folder, release)
    assert_told(
        marmor("quality", "accept", folder, "run-000000000000", "--by", "A", "--reason", "b"), 14
    )
    accepted = marmor("quality", "accept", folder, run, "--by", "A. Reviewer", "--reason", "known")
    assert accepted.code == 0, accepted.err
    typed = marmor("site", "run", folder, "--json")
    assert typed.code == 0, typed.err
    published_now = json.loads(typed.out)["release"]
    assert published_now != release
    manifest = json.loads((folder / "releases" / published_now / "MANIFEST.json").read_text())
    assert manifest["decision"]["who"] == "A. Reviewer"


def test_a_file_where_a_folder_belongs(marmor: Marmor, tmp_path: Path) -> None:
    """A slip of the hand is told in one line, whatever command it meets."""
    file = tmp_path / "file"
    file.write_bytes(b"[1]")
    site = ("--id", "haifa", "--name", "X", "--country", "IL", "--language", "he")
    asked = ("--gateway", "https://127.0.0.1:1", "--ca", file, "--token")
    junk = tmp_path / "junk"
    junk.write_bytes(b"\xff\xfe")
    request = tmp_path / "request.json"
    request.write_text(
        '{"analysis": "crosstab", "view": "person", "parameters": {"variables": ["hsct"]}}'
    )
    assert_told(marmor("site", "init", file, *site), 30, str(file))
    assert_told(marmor("consortium", "init", file), 30, str(file))
    assert_told(marmor("demo", "synthesize", "--out", file), 30, str(file))
    assert_told(marmor("demo", "run", "--folder", file), 30, str(file))
    assert_told(marmor("query", "plot", file), 20, str(file))
    assert_told(marmor("query", "run", request, *asked, junk), 23, str(junk))
    assert_told(marmor("query", "show", "a/b", *asked, junk), 20, "a/b", "query list")
