"""Rules that make sets, variants and events: what each makes of the rows of a source."""

import pytest

from tests.spec.transforms.test_limits import judged, rule
from transforms.mapping import Mapping, Source, ValueRule
from transforms.mapping_check import check_mapping


def test_split_makes_a_sorted_set_of_codes() -> None:
    rules = [
        rule("genetic_test.genes_tested", "split", "genes", arg="separator=,"),
        rule("genetic_test.result", "const", arg="negative"),
    ]
    values = (ValueRule("genetic_test", "genes_tested", "", "Albers", "CLCN7"),)
    cells = ["TCIRG1, clcn7", "albers,CLCN7", "SNX10,,", ",", "CLCN7, BRCA1", None]
    rows = [{"id": str(nr), "genes": cell} for nr, cell in enumerate(cells)]
    connection = judged(rules, {"genetic_test": rows}, *values)
    found = connection.execute(
        'select source_row, genes_tested, "genes_tested:problem" from staged.genetic_test '
        "order by source_row"
    ).fetchall()
    assert found == [
        (0, ["CLCN7", "TCIRG1"], None),
        (1, ["CLCN7"], None),
        (2, ["SNX10"], None),
        (3, None, None),  # nothing between the commas
        (4, None, "unmapped_value"),  # one part unknown, and the set is not known
    ]  # the row without a text makes nothing


@pytest.mark.parametrize("sign", ["semicolon", "newline", "/", "+"])
def test_split_takes_any_declared_sign(sign: str) -> None:
    text = {"semicolon": "SNX10;CA2", "newline": "SNX10\nCA2"}.get(sign, f"SNX10{sign}CA2")
    rules = [
        rule("genetic_test.genes_tested", "split", "genes", arg=f"separator={sign}"),
        rule("genetic_test.result", "const", arg="negative"),
    ]
    connection = judged(rules, {"genetic_test": [{"id": "1", "genes": text}]})
    assert connection.execute("select genes_tested from staged.genetic_test").fetchall() == [
        (["CA2", "SNX10"],)
    ]


def test_checkboxes_make_the_set_of_what_is_checked() -> None:
    boxes = rule(
        "genetic_test.genes_tested", "checkbox", "genes___clcn7;genes___2", arg="gate=done"
    )
    rules = [
        rule("genetic_test.result", "copy", "result"),
        type(boxes)(**{**vars(boxes), "columns": ("genes___clcn7", "genes___2")}),
    ]
    values = (ValueRule("genetic_test", "genes_tested", "", "genes___2", "TCIRG1"),)
    rows = [
        {"id": "1", "result": "negative", "genes___clcn7": one, "genes___2": two, "done": gate}
        for one, two, gate in [
            ("1", "1", "2"), ("0", "1", "2"), ("0", "0", "2"), ("0", "0", "0"), ("7", "1", "2"),
        ]
    ]  # fmt: skip
    connection = judged(rules, {"genetic_test": rows}, *values)
    found = connection.execute(
        'select genes_tested, "genes_tested:problem", "genes_tested:closed" '
        "from staged.genetic_test order by source_row"
    ).fetchall()
    assert found == [
        (["CLCN7", "TCIRG1"], None, False),
        (["TCIRG1"], None, False),
        (None, None, False),  # looked at, none checked
        (None, None, True),  # nobody opened the form
        (None, "unknown_code", False),
    ]


GENOTYPES = [
    # text, gene column: rows of (gene, change, zygosity, phase), rule found
    ("CLCN7 c.643G>A het", None, [("CLCN7", "c.643G>A", "heterozygous", "unknown")], set()),
    ("c.[43del];[1360C>T]", "TCIRG1",
     [("TCIRG1", "c.1360C>T", "compound_heterozygous", "in_trans"),
      ("TCIRG1", "c.43del", "compound_heterozygous", "in_trans")], set()),
    ("no mutation found", None, [], set()),
    (None, "RANKL", [("TNFSF11", None, "unknown", "unknown")], set()),
    ("IVS2+1G>A", "TCIRG1", [("TCIRG1", None, "unknown", "unknown")], {"needs_review soft"}),
    ("c.643G>A", None, [(None, "c.643G>A", "unknown", "unknown")], {"missing_mandatory hard"}),
]  # fmt: skip


@pytest.mark.parametrize(("text", "gene", "rows", "rules_found"), GENOTYPES)
def test_a_genotype_makes_a_row_for_each_variant(
    text: str | None, gene: str | None, rows: list[object], rules_found: set[str]
) -> None:
    rules = [rule("variant.hgvs_c", "hgvs", "genotype", arg="gene_column=gene")]
    connection = judged(rules, {"variant": [{"id": "1", "genotype": text, "gene": gene}]})
    found = connection.execute(
        "select gene_symbol, hgvs_c, zygosity, phase from staged.variant order by hgvs_c"
    ).fetchall()
    assert found == rows
    ids = connection.execute("select count(distinct row_id), count(*) from staged.variant")
    assert ids.fetchall() == [(len(rows), len(rows))]
    said = connection.execute("select rule || ' ' || severity from violations").fetchall()
    assert {rule_found for (rule_found,) in said} == rules_found


def test_a_column_of_its_own_wins_over_the_text_and_a_contradiction_is_for_review() -> None:
    rules = [
        rule("variant.hgvs_c", "hgvs", "genotype"),
        rule("variant.zygosity", "copy", "zygosity"),
    ]
    cells = [
        ("CLCN7 c.643G>A", "heterozygous"),
        ("CLCN7 c.643G>A het", None),
        ("CLCN7 c.643G>A het", "unknown"),
        ("CLCN7 c.643G>A hom", "heterozygous"),
    ]
    rows = [
        {"id": str(nr), "genotype": text, "zygosity": own} for nr, (text, own) in enumerate(cells)
    ]
    connection = judged(rules, {"variant": rows})
    found = connection.execute(
        'select zygosity, "hgvs_c:problem" from staged.variant order by source_row'
    ).fetchall()
    assert found == [("heterozygous", None)] * 3 + [("heterozygous", "needs_review")]


def test_a_genotype_says_what_the_test_found_where_it_can() -> None:
    rules = [rule("genetic_test.result", "hgvs", "genotype")]
    cells = ["no mutation found", "NGS en attente", "CLCN7 VUS", "CLCN7 c.643G>A class 5",
             "CLCN7 c.643G>A", "see letter"]  # fmt: skip
    rows = [{"id": str(nr), "genotype": cell} for nr, cell in enumerate(cells)]
    connection = judged(rules, {"genetic_test": rows})
    found = connection.execute("select result from staged.genetic_test order by source_row")
    assert [result for (result,) in found.fetchall()] == [
        "negative", "pending", "vus_only", "causal_found", None,
    ]  # fmt: skip
    assert connection.execute("select rule, severity from violations").fetchall() == [
        ("needs_review", "hard")
    ]


def test_a_count_makes_undated_events() -> None:
    events = rule(
        "fracture.*", "count_to_events", "femur", arg="bone_site=femur_shaft;date=unknown"
    )
    tibia = rule("fracture.*", "count_to_events", "tibia", arg="bone_site=tibia;date=unknown")
    rows = [
        {"id": "1", "femur": "2", "tibia": "1.0"},
        {"id": "2", "femur": "0", "tibia": "two"},
        {"id": "3", "femur": None, "tibia": "1-2"},
    ]
    connection = judged([events, tibia], {"fracture": rows})
    found = connection.execute(
        "select source_row, bone_site, fracture_date, rule, severity "
        "from staged.fracture join violations using (row_id) order by all"
    ).fetchall()
    undated = (None, "undated_event", "info")
    assert found == [
        (0, "femur_shaft", *undated),
        (0, "femur_shaft", *undated),
        (0, "tibia", *undated),
        (1, "tibia", None, "not_a_number", "hard"),
        (1, "tibia", *undated),
        (2, "tibia", None, "not_a_number", "hard"),
        (2, "tibia", *undated),
    ]


def test_a_field_may_be_required_in_some_rows() -> None:
    rules = [
        rule("death_followup.vital_status", "copy", "status"),
        rule("death_followup.death_date", "date", "died", required_if="vital_status=dead"),
    ]
    rows = [
        {"id": "1", "status": "dead", "died": None},
        {"id": "2", "status": "alive", "died": None},
        {"id": "3", "status": "dead", "died": "2020-01-01"},
    ]
    connection = judged(rules, {"death_followup": rows})
    assert connection.execute(
        "select source_row, field, rule, severity from violations "
        "join staged.death_followup using (row_id)"
    ).fetchall() == [(0, "death_date", "required_if", "soft")]


@pytest.mark.parametrize(
    ("target", "kind", "arg", "expected"),
    [
        ("variant.gene_symbol", "hgvs", "", "rule hgvs fills variant.hgvs_c"),
        ("variant.hgvs_c", "hgvs", "gene=x", "arg 'gene' is not known for rule hgvs"),
        ("fracture.bone_site", "count_to_events", "", "rule 'count_to_events'"),
        ("fracture.*", "copy", "", "field * is for rule count_to_events"),
        ("fracture.*", "count_to_events", "date=unknown", "arg does not say bone_site="),
        ("fracture.*", "count_to_events", "bone_site=knee;date=unknown", "bone_site='knee'"),
        ("fracture.*", "count_to_events", "bone_site=tibia", "arg must say date=unknown"),
        ("person.*", "count_to_events", "date=unknown", "arg does not say"),
        ("genetic_test.genes_tested", "checkbox", "gate=g", "stands for no code of genes_tested"),
        ("genetic_test.genes_tested", "copy", "", "rule copy cannot fill genes_tested"),
    ],
)
def test_a_rule_that_cannot_work_is_refused(
    target: str, kind: str, arg: str, expected: str
) -> None:
    table = target.partition(".")[0]
    mapping = Mapping(
        (Source(table, "excel", "f", "delimited", "id"),),
        (rule(target, kind, "x", arg=arg),),
        (),
        (),
    )
    assert any(expected in problem for problem in check_mapping(mapping))


def test_what_a_format_cannot_carry_is_said_like_what_nobody_collects() -> None:
    impossible = rule("variant.zygosity", "impossible")
    mapping = Mapping(
        (Source("variant", "omop", "f", "omop", "id"),),
        (rule("variant.gene_symbol", "copy", "gene"), impossible), (), (),
    )  # fmt: skip
    assert mapping.not_collected("variant", "variant") == {"zygosity"}
    assert not any("zygosity" in problem for problem in check_mapping(mapping))
