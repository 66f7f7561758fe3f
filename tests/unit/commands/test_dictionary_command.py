"""`marmor dictionary`: what it shows, writes and compares."""

import csv
import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from typer.testing import CliRunner

from infra.commands.dictionary import Target, app
from transforms.dictionary import DICTIONARY
from transforms.dictionary.snapshot import snapshot
from transforms.errors import DictionaryError, SetupError
from transforms.site import create_site


SHEETS = {
    "sources": "source,system,file,format,sheet,header_row,encoding,delimiter,decimal,date_order,"
    "missing,id_column\np,excel,p.csv,delimited,,1,,,.,YMD,,ID\n",
    "fields": "table,field,source,column,rule,arg,unit,status\n"
    "fracture,bone_site,p,Bone,recode,,,approved\n",
    "values": "table,field,source,source_value,target_code,status\n"
    "fracture,bone_site,,shin,tibia,approved\nfracture,bone_site,,leg,tibia,approved\n",
    "ignore": "source,column,reason\n",
}


def typed(*arguments: object) -> str:
    """Return what the command prints; raise what it raises."""
    done = CliRunner().invoke(app, [str(one) for one in arguments])
    if done.exception is not None and not isinstance(done.exception, SystemExit):
        raise done.exception
    assert done.exit_code == 0, done.output
    return done.output


def asked(*arguments: object) -> Any:
    return json.loads(typed(*arguments, "--json"))


def test_a_field_is_shown_with_all_that_is_known_of_it() -> None:
    text = " ".join(typed("show", "fracture.age_at_fracture_y").split())
    field = DICTIONARY.tables["fracture"].field("age_at_fracture_y")
    assert field.hard is not None
    for word in ("hard 0 to 110", field.hard.reason[:20], "recommended", "aggregate", "derived"):
        assert word in text
    shown = asked("show", "fracture.age_at_fracture_y")
    assert (shown["unit"], shown["hard"]["high"]) == ("a", 110)


def test_tables_views_and_lists_are_shown() -> None:
    assert asked("show")["version"] == DICTIONARY.version
    fields = asked("show", "person")["fields"]
    assert next(one for one in fields if one["name"] == "birth_date")["jrc"] == "2.1"
    assert asked("show", "view:person")["name"] == "person"
    assert "not re-checked" in " ".join(typed("show", "drug").split())


def test_an_unknown_name_gets_the_nearest() -> None:
    with pytest.raises(DictionaryError, match=r"did you mean fracture\.bone_site"):
        typed("show", "fracture.bone_sit")


@pytest.mark.parametrize("target", Target)
def test_each_target_writes_its_file_and_never_over_another(tmp_path: Path, target: Target) -> None:
    path = tmp_path / "new" / "file"
    written = asked("export", "--to", target.value, "--output", path)
    assert written["files"][0] == str(path)
    assert path.stat().st_size > 10_000
    with pytest.raises(SetupError, match="is there already"):
        typed("export", "--to", target.value, "--output", path)


def test_the_texts_read_back(tmp_path: Path) -> None:
    for target in ("redcap", "linkml", "jsonschema", "snapshot"):
        typed("export", "--to", target, "--output", tmp_path / target)
    with (tmp_path / "redcap").open(encoding="utf-8", newline="") as file:
        assert {len(row) for row in csv.reader(file)} == {18}
    assert yaml.safe_load((tmp_path / "linkml").read_text())["version"] == DICTIONARY.version
    assert json.loads((tmp_path / "jsonschema").read_text())["$defs"]["person"]
    assert json.loads((tmp_path / "snapshot").read_text()) == snapshot(DICTIONARY)
    assert {path.stem for path in (tmp_path / "redcap-mapping").iterdir()} == set(SHEETS)


def test_versions_releases_and_snapshots_compare(tmp_path: Path) -> None:
    assert asked("diff", DICTIONARY.version)["changes"] == []
    first = asked("diff", "0.1.0")
    assert (first["old"], first["new"]) == ("0.1.0", DICTIONARY.version)
    assert first["changes"]
    release = tmp_path / "rel-1"
    release.mkdir()
    (release / "MANIFEST.json").write_text('{"dictionary_version": "0.1.0"}')
    assert asked("diff", release) == first
    typed("export", "--to", "snapshot", "--output", tmp_path / "now.json")
    assert asked("diff", "0.1.0", tmp_path / "now.json") == first


def test_what_cannot_be_compared_says_what_can(tmp_path: Path) -> None:
    with pytest.raises(DictionaryError, match=r"neither a version \(0\.1\.0"):
        typed("diff", "0.0.9")
    (tmp_path / "x.json").write_text("{}")
    with pytest.raises(DictionaryError, match="not a snapshot"):
        typed("diff", tmp_path / "x.json")


def test_the_rows_of_a_centres_mapping_are_named(tmp_path: Path) -> None:
    site = create_site(tmp_path / "s", site_id="haifa", name="H", country="IL", language="he")
    for name, text in SHEETS.items():
        (site.mapping / f"{name}.csv").write_text(text)
    data = snapshot(DICTIONARY)
    del data["codelists"]["bone_site"]["tibia"]
    (tmp_path / "next.json").write_text(json.dumps(data | {"version": "9.0.0"}))
    comparison = asked("diff", DICTIONARY.version, tmp_path / "next.json", "--site", site.folder)
    (change,) = comparison["changes"]
    assert (change["kind"], change["code"]) == ("code_removed", "tibia")
    assert change["rows"] == ["values.csv, row 2", "values.csv, row 3"]


def test_a_centre_that_has_only_forms_has_no_rows(tmp_path: Path) -> None:
    site = create_site(tmp_path / "s", site_id="haifa", name="H", country="IL", language="he")
    assert all(not one["rows"] for one in asked("diff", "0.1.0", "--site", site.folder)["changes"])
