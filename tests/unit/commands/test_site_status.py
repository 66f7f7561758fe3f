"""`marmor site init` and `status`: codes of ISO, ids that are taken, a broken site among others."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from infra.cli import app
from transforms.collect import empty_inbox
from transforms.errors import MappingError, SetupError
from transforms.mapping import SHEETS, parse_mapping
from transforms.site import create_site, load_site


def make(folder: Path, site_id: str = "lyon", country: str = "FR", language: str = "fr") -> None:
    create_site(folder, site_id=site_id, name="Clinic", country=country, language=language)


@pytest.mark.parametrize(
    ("country", "language", "expected"),
    [
        ("fr", "fr", "did you mean FR?"), ("FRA", "fr", "two capitals, such as FR"),
        ("FR", "FR", "did you mean fr?"), ("FR", "french", "two small letters, such as fr"),
    ],
)  # fmt: skip
def test_only_codes_of_iso_are_taken(
    tmp_path: Path, country: str, language: str, expected: str
) -> None:
    with pytest.raises(SetupError) as caught:
        make(tmp_path / "a", country=country, language=language)
    assert expected in str(caught.value)
    assert not (tmp_path / "a").exists()


def test_a_refused_site_leaves_no_folder(tmp_path: Path) -> None:
    with pytest.raises(SetupError):
        make(tmp_path / "new" / "a", site_id="Not An Id")
    assert list(tmp_path.iterdir()) == []
    (tmp_path / "there").mkdir(mode=0o755)
    (tmp_path / "there" / "notes.txt").write_text("ours")
    with pytest.raises(SetupError):
        make(tmp_path / "there", site_id="Not An Id")
    assert [path.name for path in (tmp_path / "there").iterdir()] == ["notes.txt"]
    assert (tmp_path / "there").stat().st_mode & 0o777 == 0o755


def test_two_folders_cannot_have_one_id(tmp_path: Path) -> None:
    make(tmp_path / "a")
    with pytest.raises(SetupError, match="has the id lyon already"):
        make(tmp_path / "b")


def test_a_name_may_hold_quotation_marks(tmp_path: Path) -> None:
    folder = tmp_path / "a"
    create_site(folder, site_id="a1", name='Clinic "Bone\\Marrow"', country="FR", language="fr")
    assert load_site(folder).name == 'Clinic "Bone\\Marrow"'


def test_a_broken_site_hides_no_other(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("a", "b", "c"):
        make(tmp_path / name, site_id=f"site-{name}")
    (tmp_path / "b" / "site.toml").write_text("id = \n", encoding="utf-8")
    text = (tmp_path / "a" / "site.toml").read_text("utf-8")
    (tmp_path / "c" / "site.toml").write_text(text, encoding="utf-8")
    monkeypatch.setenv("MARMOR_HOME", str(tmp_path))
    done = CliRunner().invoke(app, ["site", "status", "--json"])
    assert done.exit_code == 0, done.output
    rows = json.loads(done.output)
    assert [row["site"] for row in rows] == ["site-a", "b", "site-a"]
    assert rows[0]["problem"] == ""
    assert "not a TOML file" in rows[1]["problem"]
    assert rows[2]["problem"] == "has the id of a; change one of the two in site.toml"


def test_an_inbox_says_why_it_gives_nothing(tmp_path: Path) -> None:
    assert "there is no such folder" in empty_inbox(tmp_path / "inbox")
    assert "no file there" in empty_inbox(tmp_path)


def test_a_sheet_that_cannot_be_opened_is_not_called_damaged(tmp_path: Path) -> None:
    for name in SHEETS:
        (tmp_path / f"{name}.csv").write_text("x\n", encoding="utf-8")
    (tmp_path / "fields.csv").unlink()
    (tmp_path / "fields.csv").symlink_to(tmp_path / "sources.csv" / "x")
    with pytest.raises(MappingError) as caught:
        parse_mapping(tmp_path)
    assert "UTF-8" not in str(caught.value)


def test_a_centre_that_has_phenopackets_starts_with_the_ready_mapping(tmp_path: Path) -> None:
    options = ["--id", "lyon", "--name", "Lyon", "--country", "FR", "--language", "fr"]
    folder = str(tmp_path / "a")
    done = CliRunner().invoke(app, ["site", "init", folder, *options, "--mapping", "phenopackets"])
    assert done.exit_code == 0, done.output
    assert "consent" in done.output
    sources = parse_mapping(tmp_path / "a" / "mapping").sources
    assert {source.ready for source in sources} == {"phenopackets"}
    again = CliRunner().invoke(
        app, ["site", "init", str(tmp_path / "b"), *options, "--mapping", "x"]
    )
    assert isinstance(again.exception, SetupError)
    assert not (tmp_path / "b").exists()


def test_a_site_may_say_since_when_it_is_open(tmp_path: Path) -> None:
    make(tmp_path / "a")
    path = tmp_path / "a" / "site.toml"
    text = path.read_text("utf-8")
    assert load_site(tmp_path / "a").opened is None
    path.write_text(text.replace("# opened", "opened"), encoding="utf-8")
    assert str(load_site(tmp_path / "a").opened) == "1998-01-01"
    for wrong in ('"1998-01-01"', "1998", "1998-01-01T00:00:00"):
        path.write_text(text.replace("# opened = 1998-01-01", f"opened = {wrong}"), "utf-8")
        with pytest.raises(SetupError, match="opened must be a day"):
            load_site(tmp_path / "a")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("executor = 1", "executor must be a table with user"),
        ("[executor]\nuser = 7", "executor must be a table with user"),
        ("[executor]\nnode = 'x'", "[executor] has no node; it has user"),
    ],
)
def test_a_wrong_executor_is_named(tmp_path: Path, text: str, expected: str) -> None:
    make(tmp_path / "a")
    path = tmp_path / "a" / "site.toml"
    whole = path.read_text("utf-8")
    head = text if text.startswith("executor") else ""
    path.write_text(f"{head}\n{whole}\n{'' if head else text}\n", encoding="utf-8")
    with pytest.raises(SetupError) as caught:
        load_site(tmp_path / "a")
    assert expected in str(caught.value)


def test_an_executor_may_have_a_user_of_its_own(tmp_path: Path) -> None:
    make(tmp_path / "a")
    assert load_site(tmp_path / "a").executor.user == ""
    with (tmp_path / "a" / "site.toml").open("a", encoding="utf-8") as file:
        file.write('\n[executor]\nuser = "marmor-executor"\n')
    assert load_site(tmp_path / "a").executor.user == "marmor-executor"
