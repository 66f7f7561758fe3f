"""What each block of a phenopacket becomes, what is counted, what is mended, what is refused."""

import json
from typing import Any

import pytest

from transforms.errors import SourceError


HPO = {"id": "HP:0000365", "label": "Hearing impairment"}
VARIANT = {
    "acmgPathogenicityClassification": "PATHOGENIC",
    "variationDescriptor": {
        "geneContext": {"valueId": "HGNC:2025", "symbol": "CLCN7"},
        "expressions": [
            {"syntax": "hgvs.c", "value": "NM_001287.6(CLCN7):c.643G>A"},
            {"syntax": "hgvs.p", "value": "NP_001278.1:p.(Gly215Arg)"},
        ],
        "allelicState": {"id": "GENO:0000135", "label": "heterozygous"},
    },
}


def packet(**parts: Any) -> dict[str, Any]:
    return {"id": "1", "subject": {"id": "p1"}, "metaData": {"created": "2024"}, **parts}


@pytest.fixture
def block(reading):
    """Read `sheet` of the packets, given as objects or as the text of a file."""

    def run(sheet: str, *packets: Any, **declared: Any):
        texts = [p if isinstance(p, str | bytes) else json.dumps(p) for p in packets]
        files = {f"{number}.json": text for number, text in enumerate(texts, 1)}
        return reading(files, format="phenopackets", sheet=sheet, **declared)

    return run


def row(found: Any) -> dict[str, str]:
    """The only row, without empty columns."""
    (values,) = found.rows
    return {c: v for c, v in zip(found.table.columns, values, strict=True) if v is not None}


def feature(**parts: Any) -> dict[str, Any]:
    return packet(phenotypicFeatures=[{"type": HPO, **parts}])


PRESENT = {
    "subject_id": "p1",
    "hpo_id": "HP:0000365",
    "label": "Hearing impairment",
    "excluded": "false",
    "status": "present",
}


@pytest.mark.parametrize(
    ("parts", "more"),
    [
        ({}, {}),
        ({"excluded": False}, {}),
        ({"excluded": True}, {"excluded": "true", "status": "excluded"}),
        ({"negated": True}, {"excluded": "true", "status": "excluded"}),
        ({"onset": {"age": {"iso8601duration": "P2Y6M"}}}, {"onset_age_iso": "P2Y6M"}),
        ({"onset": {"age": {"iso8601duration": "35Y"}}}, {"onset_age_iso": "P35Y"}),
        ({"ageOfOnset": {"age": "P1Y"}}, {"onset_age_iso": "P1Y"}),
        ({"onset": {"timestamp": "2010-03-04T00:00:00Z"}}, {"onset_date": "2010-03-04"}),
        ({"onset": {"timestamp": "1970-01-01T00:00:00Z"}}, {}),
        (
            {"onset": {"ontologyClass": {"id": "HP:0003577", "label": "Congenital onset"}}},
            {"onset_class_id": "HP:0003577", "onset_class_label": "Congenital onset"},
        ),
        (
            {"modifiers": [{"id": "HP:0012834", "label": "Right"}]},
            {"laterality_id": "HP:0012834", "laterality_label": "Right"},
        ),
        (
            {"severity": {"id": "HP:0012826", "label": "Moderate"}},
            {"severity_id": "HP:0012826", "severity_label": "Moderate"},
        ),
    ],
)
def test_features(block, parts, more):
    assert row(block("features", feature(**parts))) == PRESENT | more


@pytest.mark.parametrize(
    ("subject", "more"),
    [
        ({"sex": "FEMALE", "karyotypicSex": "XX"}, {"sex": "FEMALE", "karyotypic_sex": "XX"}),
        ({"dateOfBirth": "2015-01-12T00:00:00Z"}, {"date_of_birth": "2015-01-12"}),
        ({"date_of_birth": "2015-01-12T00:00:00Z"}, {"date_of_birth": "2015-01-12"}),
        ({"dateOfBirth": "1970-01-01T00:00:00Z"}, {}),
        (
            {"timeAtLastEncounter": {"age": {"iso8601duration": "P5Y"}}},
            {"last_encounter_age_iso": "P5Y"},
        ),
        ({"age": {"age": "35Y"}}, {"last_encounter_age_iso": "P35Y"}),
        (
            {
                "vitalStatus": {
                    "status": "DECEASED",
                    "timeOfDeath": {"timestamp": "2020-02-03T00:00:00Z"},
                    "causeOfDeath": {"id": "NCIT:C3026", "label": "Infection"},
                }
            },
            {
                "vital_status": "DECEASED",
                "death_date": "2020-02-03",
                "cause_of_death_id": "NCIT:C3026",
                "cause_of_death_label": "Infection",
            },
        ),
        ({"taxonomy": {"id": "NCBITaxon:9606", "label": "Homo sapiens"}}, {}),
    ],
)
def test_subjects(block, subject, more):
    found = block("subjects", packet(subject={"id": "p1", **subject}))
    assert row(found) == {"subject_id": "p1"} | more


def test_diseases(block):
    disease = {
        "term": {"id": "OMIM:166600", "label": "ADO2"},
        "onset": {"age": {"iso8601duration": "P9Y"}},
    }
    assert row(block("diseases", packet(diseases=[disease]))) == {
        "subject_id": "p1",
        "term_id": "OMIM:166600",
        "label": "ADO2",
        "excluded": "false",
        "onset_age_iso": "P9Y",
    }


def test_measurements_keep_the_number_as_written(block):
    text = json.dumps(
        packet(
            measurements=[
                {
                    "assay": {"id": "LOINC:718-7", "label": "Hemoglobin"},
                    "value": {"quantity": {"unit": {"id": "UCUM:g/L", "label": "g/L"}, "value": 7}},
                    "timeObserved": {"timestamp": "2011-12-13T08:00:00Z"},
                }
            ]
        )
    ).replace('"value": 7}', '"value": 112.50}')
    assert row(block("measurements", text)) == {
        "subject_id": "p1",
        "assay_id": "LOINC:718-7",
        "assay_label": "Hemoglobin",
        "value": "112.50",
        "unit_id": "UCUM:g/L",
        "unit_label": "g/L",
        "unit_ucum": "g/L",
        "observed_date": "2011-12-13",
    }


def interpretation(*genomic: Any) -> dict[str, Any]:
    diagnosis = {"disease": {"id": "OMIM:166600", "label": "ADO2"}}
    diagnosis |= {"genomicInterpretations": list(genomic)} if genomic else {}
    return packet(interpretations=[{"id": "i", "progressStatus": "SOLVED", "diagnosis": diagnosis}])


CALL = {"subject_or_biosample_id": "p1", "interpretationStatus": "CAUSATIVE"}


def test_variants(block):
    found = block("variants", interpretation({**CALL, "variantInterpretation": VARIANT}))
    assert row(found) == {
        "subject_id": "p1",
        "subject_or_biosample_id": "p1",
        "disease_id": "OMIM:166600",
        "disease_label": "ADO2",
        "progress_status": "SOLVED",
        "interpretation_status": "CAUSATIVE",
        "gene_symbol": "CLCN7",
        "gene_id": "HGNC:2025",
        "transcript": "NM_001287.6",
        "hgvs_c": "c.643G>A",
        "hgvs_p": "p.(Gly215Arg)",
        "zygosity_id": "GENO:0000135",
        "zygosity_label": "heterozygous",
        "acmg": "PATHOGENIC",
    }
    assert found.table.not_held == {}


@pytest.mark.parametrize(
    ("syntax", "value", "expected"),
    [
        ("hgvs.c", "c.643G>A", {"hgvs_c": "c.643G>A"}),
        ("hgvs", "NM_001287.6:c.643G>A", {"hgvs_c": "c.643G>A", "transcript": "NM_001287.6"}),
        ("hgvs", "NP_001278.1:p.(Gly215Arg)", {"hgvs_p": "p.(Gly215Arg)"}),
        ("hgvs.g", "NC_000016.10:g.1461000C>T", {"hgvs_g": "NC_000016.10:g.1461000C>T"}),
        ("spdi", "NC_000016.10:1:C:T", {}),
    ],
)
def test_expressions(block, syntax, value, expected):
    descriptor = {"expressions": [{"syntax": syntax, "value": value}]}
    call = {"variantInterpretation": {"variationDescriptor": descriptor}}
    found = row(block("variants", interpretation(call)))
    assert {c: v for c, v in found.items() if c[:4] in {"hgvs", "tran"}} == expected


def test_a_gene_without_a_variant_is_a_row(block):
    found = block(
        "variants", interpretation({**CALL, "gene": {"valueId": "HGNC:2025", "symbol": "CLCN7"}})
    )
    assert row(found)["gene_symbol"] == "CLCN7"


def test_procedures(block):
    action = {
        "procedure": {
            "code": {"id": "NCIT:C15431", "label": "HSCT"},
            "performed": {"timestamp": "2012-01-02T00:00:00Z"},
        }
    }
    assert row(block("procedures", packet(medicalActions=[action]))) == {
        "subject_id": "p1",
        "procedure_id": "NCIT:C15431",
        "procedure_label": "HSCT",
        "performed_date": "2012-01-02",
    }


@pytest.mark.parametrize(
    ("sheet", "content", "not_held"),
    [
        (
            "subjects",
            packet(biosamples=[{"id": 1}, {"id": 2}], files=[{}]),
            {"biosamples": 2, "files": 1},
        ),
        (
            "subjects",
            packet(subject={"id": "p1", "gender": {"id": "x", "label": "y"}}),
            {"subjects.gender": 1},
        ),
        (
            "subjects",
            packet(subject={"id": "p1", "alternateIds": ["q"]}),
            {"subjects.alternate_ids": 1},
        ),
        (
            "subjects",
            packet(subject={"id": "p1", "dateOfBirth": "1970-01-01T00:00:00Z"}),
            {"subjects.date_of_birth: 1970-01-01, never set": 1},
        ),
        (
            "subjects",
            packet(subject={"id": "p1", "dateOfBirth": "1980-05-04T22:00:00Z"}),
            {"subjects.date_of_birth: time of day": 1},
        ),
        ("features", feature(modifiers=[{"id": "HP:0031796"}]), {"features.modifiers": 1}),
        (
            "features",
            feature(description="fell on the ice", evidence=[{}]),
            {"features.description": 1, "features.evidence": 1},
        ),
        (
            "features",
            feature(onset={"ageRange": {"start": {}}}),
            {},
        ),
        ("features", feature(modifiers=[], evidence=None), {}),
        (
            "measurements",
            packet(measurements=[{"complexValue": {"typedQuantities": [{}]}}]),
            {"measurements.complex_value": 1},
        ),
        ("variants", interpretation(), {"interpretations without variant": 1}),
        ("variants", interpretation(CALL), {"interpretations without variant": 1}),
        (
            "procedures",
            packet(medicalActions=[{"radiationTherapy": {"dosage": 5}}, {"treatment": {}}]),
            {"medical_actions.radiation_therapy": 1},
        ),
    ],
)
def test_what_has_no_column_is_counted(block, sheet, content, not_held):
    assert block(sheet, content).table.not_held == not_held


@pytest.mark.parametrize(
    ("onset", "expected"),
    [
        ({"age": {"iso8601duration": "P3Y"}}, {"onset_age_iso": "P3Y"}),
        (
            {
                "ageRange": {
                    "start": {"iso8601duration": "P3Y"},
                    "end": {"iso8601duration": "5Y"},
                }
            },
            {"onset_age_range_iso": "P3Y/P5Y"},
        ),
        ({"gestationalAge": {"weeks": 24, "days": 3}}, {"onset_gestation_iso": "P24W3D"}),
        ({"gestationalAge": {"weeks": 30}}, {"onset_gestation_iso": "P30W"}),
        (
            {"ontologyClass": {"id": "HP:0003577", "label": "Congenital onset"}},
            {"onset_class_id": "HP:0003577", "onset_class_label": "Congenital onset"},
        ),
        ({"timestamp": "2010-03-04T00:00:00Z"}, {"onset_date": "2010-03-04"}),
        (
            {"interval": {"start": "2010-03-04T00:00:00Z", "end": "2011-03-04T00:00:00Z"}},
            {"onset_date": "2010-03-04", "onset_date_end": "2011-03-04"},
        ),
    ],
)
def test_every_kind_of_time(block, onset, expected):
    found = block("diseases", packet(diseases=[{"term": {"id": "OMIM:1"}, "onset": onset}]))
    assert row(found) == {"subject_id": "p1", "term_id": "OMIM:1", "excluded": "false", **expected}
    assert not found.table.not_held


def test_columns_for_rare_times_are_there_only_when_filled(block):
    rare = ("onset_age_range_iso", "onset_gestation_iso", "onset_date_end")
    assert not set(rare) & set(block("features", feature()).table.columns)
    before = feature(onset={"gestationalAge": {"weeks": 30}})
    assert set(rare) & set(block("features", before, feature()).table.columns) == {
        "onset_gestation_iso"
    }


def test_treatment(block):
    action = {
        "treatment": {
            "agent": {"id": "ATC:L03AB03", "label": "interferon gamma"},
            "routeOfAdministration": {"id": "NCIT:C38299", "label": "Subcutaneous"},
            "doseIntervals": [
                {
                    "quantity": {"unit": {"id": "UCUM:ug/m2", "label": "x"}, "value": 50},
                    "scheduleFrequency": {"id": "NCIT:C64530", "label": "Three Times Weekly"},
                    "interval": {"start": "2012-01-02T00:00:00Z", "end": "2013-01-02T00:00:00Z"},
                },
                {"quantity": {"value": 100}},
            ],
            "drugType": "PRESCRIPTION",
        },
        "treatmentIntent": {"id": "NCIT:C62220", "label": "Cure"},
    }
    found = block("treatments", packet(medicalActions=[action, {"procedure": {}}]))
    cells = row(found)
    assert {key: cells[key] for key in ("agent_id", "dose", "dose_unit_ucum", "schedule_id")} == {
        "agent_id": "ATC:L03AB03",
        "dose": "50",
        "dose_unit_ucum": "ug/m2",
        "schedule_id": "NCIT:C64530",
    }
    assert (cells["start_date"], cells["stop_date"]) == ("2012-01-02", "2013-01-02")
    assert found.table.not_held["treatments.dose_intervals after the first"] == 1
    assert found.table.other_parts == ("procedures", "subjects")


def test_a_vcf_record_is_one_text(block):
    record = {
        "genomeAssembly": "hg38", "chrom": "chr16", "pos": "1447390", "ref": "C", "alt": "T",
    }  # fmt: skip
    called = {**VARIANT, "variationDescriptor": {"vcfRecord": record}}
    found = block("variants", interpretation({"variantInterpretation": called}))
    assert (row(found)["vcf"], row(found)["genome_assembly"]) == ("chr16:1447390:C:T", "hg38")


def test_phenopackets_one_a_line(block):
    lines = "\n".join(json.dumps(packet(subject={"id": f"p{n}"})) for n in (1, 2, 3))
    assert block("subjects", lines).column("subject_id") == ["p1", "p2", "p3"]


def test_a_list_of_phenopackets_in_one_file(block):
    packets = json.dumps([packet(), packet(subject={"id": "p2"})])
    found = block("subjects", packets)
    assert found.column("subject_id") == ["p1", "p2"]
    assert found.places == [("1.json", "subjects", 1), ("1.json", "subjects", 2)]


def test_blocks_with_content_that_are_not_read_are_named(block):
    assert block("subjects", feature()).table.other_parts == ("features",)


GOOD = json.dumps(packet())


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("id;sex\n1;F\n", "not a readable phenopacket: it is not valid JSON at line 1"),
        (b"\xff\xfe\x00", "not UTF-8"),
        ("[]", "the list is empty"),
        ("[1]", "item 1: an object with 'id', 'subject' and 'metaData' was expected"),
        ('{"resourceType": "Patient"}', "'subject' with an 'id' is missing"),
        ('{"subject": {"reference": "Patient/1"}}', "'subject' with an 'id' is missing"),
        ('[{"record_id": "1", "error": "x"}]', "item 1: 'subject' with an 'id' is missing"),
        ('{"id": "f", "proband": {}}', "it is a Family message; export one phenopacket per person"),
        ('{"id": "c", "members": []}', "it is a Cohort message"),
        ('{"id": "1", "id": "2"}', "a key is given twice"),
        ('{"subject": {"dateOfBirth": "x", "date_of_birth": "y"}}', "a key is given twice"),
        (GOOD.replace('"2024"', "NaN"), "NaN or Infinity"),
        (GOOD.replace('"2024"', "1e999"), "a number that is too large"),
        (GOOD.replace('"2024"', "1" * 200_000), "a number that is too large"),
        (GOOD.replace('"2024"', "[" * 200_000 + "]" * 200_000), "nested too deeply"),
        (json.dumps(packet(diseases={"term": {}})), "'diseases' must be a list of objects"),
        (
            json.dumps(packet(interpretations=[{"diagnosis": "x"}])),
            "variants are not as in version 2",
        ),
    ],
)
def test_refused_with_file_and_what_is_missing(block, content, message):
    with pytest.raises(SourceError, match=f"1.json: .*{message}"):
        block("variants", content, GOOD)


def test_every_bad_file_is_named_at_once(block):
    with pytest.raises(SourceError) as refused:
        block("subjects", "x", GOOD, "{}")
    assert [line[:6] for line in str(refused.value).splitlines()] == ["1.json", "3.json"]


@pytest.mark.parametrize(
    ("declared", "message"),
    [
        ({"sheet": "fractures"}, "no block 'fractures'; use one of subjects"),
        ({"decimal": ","}, "JSON writes"),
    ],
)
def test_a_wrong_declaration(block, declared, message):
    with pytest.raises(SourceError, match=message):
        block(declared.pop("sheet", "subjects"), GOOD, **declared)
