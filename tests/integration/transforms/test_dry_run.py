"""The dry run: what is in the way of a run, in the order in which to mend it, and nothing kept."""

import json
from collections.abc import Callable
from pathlib import Path

from tests.integration.transforms.conftest import FIELDS, FRACTURES, SOURCES, VALUES
from transforms.dry_run import _of_several, dry_run
from transforms.site import Site


Centre = Callable[..., Site]


def everything(folder: Path) -> set[str]:
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}


def test_a_good_mapping_is_in_nobody_s_way(centre: Centre) -> None:
    site = centre()
    found = dry_run(site)
    assert found.blocks == ()
    assert found.rows["person"] == 2
    assert found.rejected == {}
    assert found.counts["excluded_for_consent"] == 1
    (birth,) = [one for one in found.coverage if one["field"] == "birth_date"]
    assert (birth["mapped"], birth["filled"], birth["rows"]) == ("mapped", 2, 2)


def test_nothing_is_left_behind(centre: Centre) -> None:
    site = centre()
    before = everything(site.folder)
    dry_run(site, texts=True)
    assert {name for name in everything(site.folder) - before if not name.startswith("keys/")} == (
        set()
    )


def test_suggestions_are_tried_as_if_approved_and_block_all_the_same(centre: Centre) -> None:
    site = centre(fields=FIELDS.replace("mg/L,approved", "mg/L,suggested"))
    found = dry_run(site)
    assert found.rows["lab_measurement"] == 6
    assert found.waiting == {"fields": 1, "values": 0, "ignore": 0}
    assert found.blocks == (
        "sheet fields: 1 row waits for approval: set status to approved or rejected",
    )


def test_all_that_blocks_is_said_at_once_in_the_order_to_mend_it(centre: Centre) -> None:
    header, *lines = FRACTURES.splitlines()
    site = centre(
        sources=SOURCES.replace("labs,excel,labs*.csv,delimited,,1,utf-8,;,\",\",DMY",
                                "labs,excel,labs*.csv,delimited,,1,utf-8,;,\",\",?"),
        fractures="\n".join([f"{header};Remarque", *(f"{line};x" for line in lines)]) + "\n",
        fields=FIELDS.replace("number,,mg/L", "number,,mg/m3").replace(
            "person,birth_date,patients,Naissance,date,,,approved",
            "person,birth_date,patients,Naissance,date,,,suggested",
        ),
        values=VALUES.replace("fracture,bone_site,,tibia,tibia,approved,\n", "").replace(
            "fracture,bone_site,,*,reject,approved,\n", ""
        ),
    )  # fmt: skip
    said = dry_run(site).blocks
    order = [
        next(i for i, line in enumerate(said) if words in line)
        for words in ("date_order '?'", "unit 'mg/m3'", "unmapped column 'Remarque'",
                      "1 value in 1 row that no row of the sheet", "waits for approval")
    ]  # fmt: skip
    assert order == sorted(order)
    assert not any("'Calcémie'" in line for line in said)  # its row is wrong, it is not unmapped


def test_a_row_that_stands_twice_is_said_and_the_rest_is_tried(centre: Centre) -> None:
    again = next(line for line in FIELDS.splitlines() if line.startswith("person,birth_date"))
    found = dry_run(centre(fields=f"{FIELDS.rstrip()}\n{again}\n"))
    assert [line for line in found.blocks if "says the same as fields.csv, row" in line] == list(
        found.blocks
    )
    assert len(found.blocks) == 1
    assert found.rows["person"] == 2


def test_texts_come_out_on_demand_and_never_into_plain_data(centre: Centre) -> None:
    values = VALUES.replace("fracture,bone_site,,*,reject,approved,\n", "")
    site = centre(fractures=FRACTURES + "1001;01/01/2003;Rotule\n", values=values)
    silent, shown = dry_run(site), dry_run(site, texts=True)
    assert silent.words == silent.examples == ()
    (words,) = shown.words
    assert words.words == (("Rotule", 1),)
    bones = [one for one in shown.examples if one.target == "fracture.bone_site"]
    assert ("Rotule", "? unmapped_value") in {(one.before, one.after) for one in bones}
    assert ("fémur", "femur_shaft") in {(one.before, one.after) for one in bones}
    assert "Rotule" not in json.dumps(shown.plain(), default=str, ensure_ascii=False)
    assert "Rotule" not in str(shown.blocks)


def test_rejects_are_estimated_with_their_remedy(centre: Centre) -> None:
    found = dry_run(centre(fractures=FRACTURES + "1001;01/01/1980;tibia\n"))
    assert found.rejected == {"fracture": 1}
    (hard,) = [one for one in found.findings if one.severity == "hard"]
    assert (hard.table, hard.rule, hard.rows) == ("fracture", "R01", 1)
    assert hard.remedy


def test_a_file_that_is_not_there_is_said_and_nothing_is_tried(centre: Centre) -> None:
    site = centre(sources=SOURCES.replace("labs*.csv", "laboratory*.csv"))
    found = dry_run(site)
    assert any("laboratory*.csv" in line for line in found.blocks)
    assert found.rows == {}


def test_what_is_true_of_several_sources_is_said_once() -> None:
    said = ["source a: no file", "source b: no file", "source c: empty", "labs.csv: damaged"]
    assert sorted(_of_several(said)) == [
        "labs.csv: damaged", "source c: empty", "sources a, b: no file",
    ]  # fmt: skip


def test_a_refused_suggestion_is_as_if_it_were_not_there(centre: Centre) -> None:
    rejected = "patients,Nom,identifier,rejected,\n"
    site = centre(ignore="source,column,reason,status,comment\n" + rejected)
    assert any("unmapped column 'Nom'" in line for line in dry_run(site).blocks)
