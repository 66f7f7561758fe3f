"""Whatever a cell holds, the normaliser answers; what it spells, it understands again."""

import dataclasses

import hypothesis.strategies as st
from hypothesis import example, given, settings

from transforms.genotype import Variant, normalize


QUICK = settings(max_examples=400, deadline=None)
PIECES = st.sampled_from([
    "CLCN7", "RANK", "a3", "c.643G>A", "c.43delA", "c.[43del];[1360C>T]", "c.(43del)(;)(1360C>T)",
    "(p.G215R)", "p.K15fs", "S66Nfs * 15", "R286W/–", "het", "homozygote", "comp het", "VUS",
    "class 5", "IVS2+1G>A", "in trans", ";", "/", "c.", "p.(", "[", "NM_001287.6:", "not", "١",
    "c.647_648dupTG", "c.٣C>T", "*", "fs", "=",
])  # fmt: skip


def spelled(variant: Variant) -> str:
    """Write one variant as a careful person would."""
    words = (variant.gene, variant.transcript, variant.hgvs_c, variant.hgvs_p)
    known = variant.zygosity.replace("_", " ") if variant.zygosity != "unknown" else None
    grade = f"class {variant.acmg_class}" if variant.acmg_class else None
    return " ".join(word for word in (*words, known, grade) if word)


def check(text: str, gene: str | None = None) -> None:
    """Normalize; what is understood must come out again as it went in."""
    for variant in normalize(text, gene).variants:
        assert variant.status in ("understood", "needs_review")
        assert variant.raw == text.strip() or variant.raw == gene
        if variant.status == "understood":
            (again,) = normalize(spelled(variant)).variants
            same = dataclasses.replace(
                again, raw=variant.raw, phase=variant.phase, variant_class=variant.variant_class
            )
            assert same == variant


@QUICK
@given(st.text(max_size=80))
@example("\x00c.643G>A")
@example("c.²G>A")
@example("ﬁ c.643G>A")
@example("İ het")
@example("c.1G>A" * 60)
@example("((((((((((((((((((((((((((((((((((((((((c.[")
def test_any_text_is_answered(text: str) -> None:
    check(text)


@QUICK
@given(st.lists(PIECES, max_size=7), st.sampled_from([" ", "", ", "]))
def test_any_mixture_of_pieces_is_answered_and_spelled_again(pieces: list[str], glue: str) -> None:
    check(glue.join(pieces))
