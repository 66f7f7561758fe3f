"""What free-text genotypes mean: every vector of the data reference (7.3, 1.3) is a row here.

One text, then what the variants must be: gene, coding change, protein change, zygosity, class. A
dash stands for "the text does not say".
"""

import pytest

from transforms.genotype import ALIASES, gene_symbol, normalize


Row = tuple[str, str, str, str, str]

UNDERSTOOD: list[tuple[str, list[Row]]] = [
    # data reference 7.3
    ("CLCN7: c.643G>A (p.G215R) het",
     [("CLCN7", "c.643G>A", "p.(Gly215Arg)", "heterozygous", "missense")]),
    ("c.C1360T", [("-", "c.1360C>T", "-", "-", "-")]),
    ("c.212 + 1 G > T", [("-", "c.212+1G>T", "-", "-", "splice")]),
    ("c.647_648dupTG", [("-", "c.647_648dup", "-", "-", "frameshift")]),
    ("p.R767W", [("-", "-", "p.(Arg767Trp)", "-", "missense")]),
    ("R286W/–", [("-", "-", "p.(Arg286Trp)", "heterozygous", "missense")]),
    ("TCIRG1 c.1213G>A homozygote", [("TCIRG1", "c.1213G>A", "-", "homozygous", "-")]),
    ("c.[43del];[1360C>T]",
     [("-", "c.43del", "-", "compound_heterozygous", "frameshift"),
      ("-", "c.1360C>T", "-", "compound_heterozygous", "-")]),
    ("c.(43del)(;)(1360C>T)",
     [("-", "c.43del", "-", "heterozygous", "frameshift"),
      ("-", "c.1360C>T", "-", "heterozygous", "-")]),
    ("S66Nfs*15", [("-", "-", "p.(Ser66Asnfs*15)", "-", "frameshift")]),
    ("RANKL", [("TNFSF11", "-", "-", "-", "-")]),
    ("CLCN7 VUS", [("CLCN7", "-", "-", "-", "-")]),
    # spellings seen in papers, data reference 1.3
    ("c.647_648dupTG (K217X)", [("-", "c.647_648dup", "p.(Lys217*)", "-", "nonsense")]),
    ("p.N372fs", [("-", "-", "p.(Asn372fs)", "-", "frameshift")]),
    ("c.43delA(p.K15fs)", [("-", "c.43del", "p.(Lys15fs)", "-", "frameshift")]),
    ("S66Nfs * 15", [("-", "-", "p.(Ser66Asnfs*15)", "-", "frameshift")]),
    # recurrent variants, data reference 1.3: the codon check holds for all of them
    ("c.856C>T p.(Arg286Trp)", [("-", "c.856C>T", "p.(Arg286Trp)", "-", "missense")]),
    ("p.R767W, c.2299C>T", [("-", "c.2299C>T", "p.(Arg767Trp)", "-", "missense")]),
    ("c.937G>A p.Glu313Lys", [("-", "c.937G>A", "p.(Glu313Lys)", "-", "missense")]),
    ("c.2144A>G (Tyr715Cys)", [("-", "c.2144A>G", "p.(Tyr715Cys)", "-", "missense")]),
    ("c.1360C>T p.Arg454Ter", [("-", "c.1360C>T", "p.(Arg454*)", "-", "nonsense")]),
    ("c.2232-2A>G", [("-", "c.2232-2A>G", "-", "-", "splice")]),
    ("c.807+5G>A", [("-", "c.807+5G>A", "-", "-", "-")]),
    # how else sites write
    ("NM_001287.6(CLCN7):c.643g>a", [("CLCN7", "c.643G>A", "-", "-", "-")]),
    ("c.643G→A hétérozygote", [("-", "c.643G>A", "-", "heterozygous", "-")]),
    ("CA II c.232+1G>A omozigote", [("CA2", "c.232+1G>A", "-", "homozygous", "splice")]),
    ("IKBKG c.1167dup hemizygous", [("IKBKG", "c.1167dup", "-", "hemizygous", "frameshift")]),
    ("hétérozygote composite c.43del et c.1360C>T",
     [("-", "c.43del", "-", "compound_heterozygous", "frameshift"),
      ("-", "c.1360C>T", "-", "compound_heterozygous", "-")]),
    ("c.43del / c.1360C>T",
     [("-", "c.43del", "-", "-", "frameshift"), ("-", "c.1360C>T", "-", "-", "-")]),
    ("TCIRG1: c.43del p.(Lys15fs); c.1360C>T p.(Arg454*)",
     [("TCIRG1", "c.43del", "p.(Lys15fs)", "-", "frameshift"),
      ("TCIRG1", "c.1360C>T", "p.(Arg454*)", "-", "nonsense")]),
    ("c.[43del];[1360C>T] p.[(Lys15fs)];[(Arg454*)]",
     [("-", "c.43del", "p.(Lys15fs)", "compound_heterozygous", "frameshift"),
      ("-", "c.1360C>T", "p.(Arg454*)", "compound_heterozygous", "nonsense")]),
    ("c.43del/c.43del", [("-", "c.43del", "-", "homozygous", "frameshift")]),
    ("c.[43del];[43del]", [("-", "c.43del", "-", "homozygous", "frameshift")]),
    ("c.[856C>T];[=]", [("-", "c.856C>T", "-", "heterozygous", "-")]),
    ("c.43_45del", [("-", "c.43_45del", "-", "-", "inframe")]),
    ("c.643_645delGGAinsTTT", [("-", "c.643_645delinsTTT", "-", "-", "-")]),
]  # fmt: skip


@pytest.mark.parametrize(("text", "expected"), UNDERSTOOD, ids=[text for text, _ in UNDERSTOOD])
def test_a_text_is_understood(text: str, expected: list[Row]) -> None:
    variants = normalize(text).variants
    assert {v.status for v in variants} == {"understood"}
    assert [v.raw for v in variants] == [text] * len(expected)
    found = [(v.gene, v.hgvs_c, v.hgvs_p, v.zygosity, v.variant_class) for v in variants]
    said = [tuple(None if part == "-" else part for part in row) for row in expected]
    assert [tuple(None if part == "unknown" else part for part in row) for row in found] == said


@pytest.mark.parametrize(
    "text",
    [
        "IVS2+1G>A",  # legacy numbering needs the transcript
        "A123T",  # alanine to threonine, or adenine to thymine
        "1360C>T",  # coding or genomic
        "c.643G>A p.R286W",  # codon 215 is not codon 286
        "c.643G>A not found",
        "pas de c.643G>A",
        "CLCN7/TCIRG1 c.643G>A",
        "homozygous c.43del; c.1360C>T",
        "c.43del hom het",
        "c.43delAA",  # two bases at one position
        "c.647_648dupTGA",
        "c.647-648dup",  # a dash for "to"?
        "c.648_647dup",
        "c.0A>G",
        "c.643A>A",  # no change
        "c.A643A",
        "exon 3 deletion",
        "NC_000016.10:g.1449450C>T",
        "see report",
        "c.643G>A " * 100,
        "?",
    ],
)
def test_what_is_not_understood_is_left_to_a_person_with_its_text(text: str) -> None:
    variants = normalize(text).variants
    assert {v.status for v in variants} == {"needs_review"}
    assert {v.raw for v in variants} == {text.strip()}


@pytest.mark.parametrize(
    ("text", "result"),
    [
        ("no mutation found", "negative"),  # data reference 7.3
        ("NGS en attente", "pending"),  # data reference 7.3
        ("Négatif", "negative"),
        ("CLCN7: pas de mutation retrouvée", "negative"),
        ("keine Mutation gefunden", "negative"),
        ("geen mutatie", "negative"),
        ("nessuna mutazione trovata", "negative"),
        ("WES ausstehend", "pending"),
        ("afventer", "pending"),
        ("non fait", "not_done"),
        ("ikke udført", "not_done"),
    ],
)
def test_no_variant_and_no_variant_yet_are_results_of_the_test(text: str, result: str) -> None:
    genotype = normalize(text)
    assert (genotype.variants, genotype.result) == ((), result)


@pytest.mark.parametrize(
    ("text", "acmg", "result"),
    [
        ("CLCN7 VUS", 3, "vus_only"),  # data reference 7.3
        ("CLCN7 c.643G>A class 5", 5, "causal_found"),
        ("CLCN7 c.643G>A (ACMG IV)", 4, "causal_found"),
        ("CLCN7 c.643G>A likely pathogenic", 4, "causal_found"),
        ("CLCN7 c.643G>A pathogène", 5, "causal_found"),
        ("CLCN7 c.643G>A benign", 1, None),
        ("CLCN7 c.643G>A", None, None),
    ],
)
def test_the_class_says_what_the_test_found(
    text: str, acmg: int | None, result: str | None
) -> None:
    genotype = normalize(text)
    assert ([v.acmg_class for v in genotype.variants], genotype.result) == ([acmg], result)


@pytest.mark.parametrize(
    ("text", "phase"),
    [
        ("c.[43del];[1360C>T]", "in_trans"),  # data reference 7.3
        ("c.(43del)(;)(1360C>T)", "unknown"),  # data reference 7.3
        ("c.[43del;1360C>T]", "in_cis"),
        ("c.43del and c.1360C>T in trans", "in_trans"),
        ("c.43del, c.1360C>T", "unknown"),
    ],
)
def test_two_rows_say_how_they_lie_to_each_other(text: str, phase: str) -> None:
    assert [v.phase for v in normalize(text).variants] == [phase, phase]


@pytest.mark.parametrize(
    ("text", "gene", "found"),
    [
        ("c.643G>A", "ClC-7", ("CLCN7", "understood")),
        ("CLCN7 c.643G>A", "CLCN7", ("CLCN7", "understood")),
        (None, "Kindlin-3", ("FERMT3", "understood")),
        ("CLCN7 c.643G>A", "TCIRG1", (None, "needs_review")),
        ("c.643G>A", "BRCA1", (None, "needs_review")),
    ],
)
def test_the_gene_may_stand_in_a_column_of_its_own(
    text: str | None, gene: str, found: tuple[str | None, str]
) -> None:
    (variant,) = normalize(text, gene).variants
    assert (variant.gene, variant.status) == found


@pytest.mark.parametrize(
    ("alias", "symbol"),
    # data reference 1.2
    [("ClC-7", "CLCN7"), ("OC116", "TCIRG1"), ("ATP6i", "TCIRG1"), ("a3", "TCIRG1"),
     ("ATP6V0A3", "TCIRG1"), ("GL", "OSTM1"), ("RANKL", "TNFSF11"), ("OPGL", "TNFSF11"),
     ("TRANCE", "TNFSF11"), ("RANK", "TNFRSF11A"), ("NEMO", "IKBKG"), ("CAII", "CA2"),
     ("CA-2", "CA2"), ("Kindlin-3", "FERMT3"), ("cathepsin K", "CTSK"), ("ENT3", "SLC29A3")],
)  # fmt: skip
def test_every_alias_is_known_alone_and_within_a_text(alias: str, symbol: str) -> None:
    assert gene_symbol(alias) == symbol
    (variant,) = normalize(f"{alias} c.643G>A").variants
    assert (variant.gene, variant.status) == (symbol, "understood")
    assert set(ALIASES.values()) >= {symbol}


def test_nothing_gives_nothing() -> None:
    assert [normalize(text) == normalize(None) for text in ("", "  ", "\u00a0")] == [True] * 3
    assert normalize(None).variants == ()


def test_a_text_too_long_to_be_a_genotype_is_not_even_made_plain(monkeypatch) -> None:
    """One sign may become 18 in Unicode's plain form, so length is looked at before."""

    def plainly(text: str) -> str:
        assert len(text) <= 400
        return text

    monkeypatch.setattr("transforms.genotype._plainly", plainly)
    text = "\ufdfa" * 401
    (variant,) = normalize(text).variants
    assert (variant.raw, variant.status) == (text, "needs_review")
    (variant,) = normalize("c.643G>A", text).variants
    assert (variant.raw, variant.gene, variant.status) == ("c.643G>A", None, "needs_review")


def test_a_long_text_keeps_the_gene_of_its_column() -> None:
    (variant,) = normalize("c.643G>A " * 50, "ClC-7").variants
    assert (variant.gene, variant.status) == ("CLCN7", "needs_review")
