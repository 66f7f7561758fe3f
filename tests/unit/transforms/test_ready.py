"""Ready mappings: a name in the sheet sources stands for all that a shipped mapping says."""

from pathlib import Path

import pytest

from transforms.dictionary import DICTIONARY
from transforms.dictionary.entry import made_here
from transforms.errors import MappingError
from transforms.mapping import NOT_HELD, Mapping, parse_mapping
from transforms.mapping_check import check_mapping, load_mapping
from transforms.ready import FORM, READY, carries_consent, ready_names, shipped, write_ready


SOURCES = (
    "source,ready,system,file,format,sheet,header_row,encoding,delimiter,decimal,date_order,missing,"
    "id_column\n"
)
FIELDS = "table,field,source,column,rule,arg,unit,status\n"
VALUES = "table,field,source,source_value,target_code,status\n"
IGNORE = "source,column,reason\n"
CONSENT = "person,consent_reuse,own_subjects,,const,yes,,approved\n"
SHIPPED = tuple(path.name for path in sorted(READY.iterdir()) if path.is_dir())
# Formats that carry a yes to reuse; all others cannot.
WITH_CONSENT = ("fhir", "rarelink_redcap")


def parsed(folder: Path, sources: str, fields="", values="", ignore="") -> Mapping:
    """Return the mapping that these rows make."""
    write(folder, sources, fields, values, ignore)
    return parse_mapping(folder)


def write(folder: Path, sources: str, fields="", values="", ignore="") -> None:
    (folder / "sources.csv").write_text(SOURCES + sources)
    (folder / "fields.csv").write_text(FIELDS + fields)
    (folder / "values.csv").write_text(VALUES + values)
    (folder / "ignore.csv").write_text(IGNORE + ignore)


OWN = "own,phenopackets,,export/*.json,,,,,,,,,\n"


def test_the_names_are_those_of_the_shipped_folders_and_the_form():
    assert ready_names() == (*SHIPPED, FORM)
    assert set(SHIPPED) == {"fhir", "omop", "phenopackets", "rarelink_redcap"}


@pytest.mark.parametrize("name", SHIPPED)
def test_a_shipped_mapping_lacks_nothing_but_a_consent_that_its_format_cannot_carry(tmp_path, name):
    mapping = parsed(tmp_path, f"x,{name},,*,,,,,,,,,\n")
    problems = list(check_mapping(mapping))
    if name in WITH_CONSENT:
        assert problems == []
    else:
        (problem,) = problems
        assert "mandatory field consent_reuse is neither mapped" in problem
        assert "person, consent_reuse, x_" in problem  # what to add


@pytest.mark.parametrize("name", SHIPPED)
def test_every_field_is_mapped_or_said_not_to_be_there(name):
    mapping = shipped(name)
    said = {(rule.table, rule.field) for rule in mapping.fields}
    filled_by_hgvs = {("variant", field) for field in HGVS} if mapping_has_hgvs(mapping) else set()
    silent = [
        (table.name, field.name)
        for table in DICTIONARY.tables.values()
        for field in table.fields
        if not made_here(table, field)
        and field.references is None
        and (table.name, field.name) not in said | filled_by_hgvs | UNSAID
        and field.name != table.discriminator
    ]
    assert silent == []


HGVS = ("transcript", "hgvs_p", "zygosity", "phase", "variant_class", "acmg_class", "variant_raw")
UNSAID = {("person", "consent_reuse")}


def mapping_has_hgvs(mapping: Mapping) -> bool:
    return any(rule.rule == "hgvs" for rule in mapping.fields)


@pytest.mark.parametrize("name", SHIPPED)
def test_no_shipped_mapping_says_yes_for_the_persons(name):
    rules = [rule for rule in shipped(name).fields if rule.field == "consent_reuse"]
    assert all(rule.rule == "recode" for rule in rules)


@pytest.mark.parametrize("name", SHIPPED)
def test_what_is_shipped_is_approved_and_says_where_it_stands(name):
    mapping = shipped(name)
    assert {row.status for row in (*mapping.fields, *mapping.values)} == {"approved"}
    assert all(row.place.startswith(f"ready mapping {name}, ") for row in mapping.fields)


def test_a_row_becomes_the_sources_of_the_shipped_mapping(tmp_path):
    mapping = parsed(tmp_path, OWN, CONSENT)
    ids = [source.source for source in mapping.sources]
    assert ids[:2] == ["own_subjects", "own_diseases"]
    assert {source.file for source in mapping.sources} == {"export/*.json"}
    assert all(source.optional and source.ready == "phenopackets" for source in mapping.sources)
    assert list(check_mapping(mapping)) == []


def test_other_sources_stay_in_their_place(tmp_path):
    labs = "labs,,,labs.csv,delimited,,,,,,,,id\n"
    mapping = parsed(tmp_path, labs + OWN + labs.replace("labs", "more"))
    ids = [source.source for source in mapping.sources]
    assert ids[0] == "labs"
    assert ids[-1] == "more"
    assert not mapping.source("labs").optional


def test_the_centres_own_field_wins(tmp_path):
    own = CONSENT + "person,birth_date,own_subjects,,not_collected,,,approved\n"
    mapping = parsed(tmp_path, OWN, own)
    (rule,) = [r for r in mapping.fields if (r.table, r.field) == ("person", "birth_date")]
    assert rule.rule in NOT_HELD
    # the column that only the shipped row used is known to be left behind
    assert ("own_subjects", "date_of_birth") in {(i.source, i.column) for i in mapping.ignores}
    assert list(check_mapping(mapping)) == []


def test_the_centres_own_value_wins(tmp_path):
    value = "diagnosis,dx_subtype,own_diseases,omim:300291,OPT_ANY,approved\n"
    mapping = parsed(tmp_path, OWN, CONSENT, value)
    codes = [v.target_code for v in mapping.values if v.source_value.lower() == "omim:300291"]
    assert codes == ["OPT_ANY"]
    assert list(check_mapping(mapping)) == []


def test_the_centre_maps_a_column_that_is_shipped_as_ignored(tmp_path):
    own = CONSENT + "complication,evidence,own_features,label,recode,,,approved\n"
    mapping = parsed(tmp_path, OWN, own, "complication,evidence,own_features,*,clinical,approved\n")
    assert ("own_features", "label") not in {(i.source, i.column) for i in mapping.ignores}
    assert list(check_mapping(mapping)) == []


def test_the_centre_ignores_a_column_that_is_shipped_as_mapped(tmp_path):
    mapping = parsed(tmp_path, OWN, CONSENT, "", "own_features,laterality_id,not_needed\n")
    assert not [r for r in mapping.fields if r.field == "laterality" and r.source == "own_features"
                and r.rule not in NOT_HELD]  # fmt: skip
    assert list(check_mapping(mapping)) == []


def test_the_digest_follows_what_is_shipped(tmp_path, monkeypatch):
    before = parsed(tmp_path, OWN, CONSENT).digest
    assert parsed(tmp_path, OWN, CONSENT).digest == before
    changed = shipped("phenopackets")
    fewer = Mapping(changed.sources, changed.fields, changed.values[1:], changed.ignores)
    monkeypatch.setattr("transforms.ready.shipped", lambda _: fewer)
    assert parsed(tmp_path, OWN, CONSENT).digest != before


@pytest.mark.parametrize(
    ("row", "problem"),
    [
        ("own,phenopacket,,*,,,,,,,,,\n", "ready 'phenopacket': expected one of"),
        ("own,omop,,,,,,,,,,,\n", "file is empty"),
        ("own,omop,,*,omop,person,,,,,,,id\n", "format, sheet, id_column: the ready mapping omop"),
        ("own,omop,,*,,,2,,,,,,\n", "header_row: the ready mapping omop says this"),
    ],
)
def test_a_row_says_no_more_than_it_may(tmp_path, row, problem):
    with pytest.raises(MappingError, match=problem):
        parsed(tmp_path, row)


def test_a_centre_that_does_not_speak_for_its_patients_is_told_what_to_add(tmp_path):
    write(tmp_path, OWN)
    with pytest.raises(MappingError, match=r"says that persons agreed to reuse.*own_subjects"):
        load_mapping(tmp_path)


@pytest.mark.parametrize("name", [*SHIPPED, FORM])
def test_a_mapping_that_is_written_is_one_row_and_can_be_read(tmp_path, name):
    write_ready(tmp_path / "mapping", name)
    mapping = parse_mapping(tmp_path / "mapping")
    assert {source.ready for source in mapping.sources} == {name}
    problems = list(check_mapping(mapping))
    assert bool(problems) == (not carries_consent(name))
    with pytest.raises(MappingError, match="there is a mapping already"):
        write_ready(tmp_path / "mapping", name)
