"""What a free-text genotype says: variants in HGVS, or that there is none, or that it is awaited.

`normalize` reads one text; it never guesses. Whatever is left over after genes, changes, zygosity
and class are taken out makes the text one for a person to look at (`needs_review`): it may say
"not found". Changes are spelled as HGVS recommends (v21) and checked with `mavehgvs`; a change in
the protein must lie where the change in the coding sequence puts it (three letters to a codon).
`transforms.genotype_table` applies this to the distinct texts of a source.
"""

import re
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Literal

from transforms.dictionary import DICTIONARY
from transforms.protein import CODON_SLACK, first_codon, protein_change, protein_class


__all__ = ["ALIASES", "Genotype", "Variant", "gene_symbol", "normalize"]

Status = Literal["understood", "needs_review"]
Result = Literal["causal_found", "vus_only", "negative", "pending", "not_done"]

MAX_LENGTH = 400
# Names in use before, or besides, the HGNC symbol (data reference 1.2), as `_plain` writes them.
ALIASES = {
    "CLC7": "CLCN7", "OC116": "TCIRG1", "ATP6I": "TCIRG1", "A3": "TCIRG1", "ATP6V0A3": "TCIRG1",
    "GL": "OSTM1", "RANKL": "TNFSF11", "OPGL": "TNFSF11", "TRANCE": "TNFSF11",
    "RANK": "TNFRSF11A", "NEMO": "IKBKG", "CAII": "CA2", "KINDLIN3": "FERMT3",
    "CATHEPSINK": "CTSK", "ENT3": "SLC29A3",
}  # fmt: skip
WORD_OF_ALIAS = (
    r"ClC-?7|OC-?116|ATP6i|ATP6V0A3|RANKL|OPGL|TRANCE|RANK|NEMO|CA ?II|CA-2|Kindlin-?3"
    r"|cathepsin[ -]?K|ENT3"
)
CASED_ALIAS = r"a3|GL"  # too short to be taken in another case

ZYGOSITIES = {
    "compound_heterozygous": r"(?:compound|comp\.?) ?het(?:ero[zc][iy]g\w*)?\.?"
    r"|h[eé]t[eé]rozygotes? (?:composites?|compos[eé]e?s?)|compound-heterozygo\w*"
    r"|samengesteld heterozygoot|eterozigo\w+ compost[ao]|heteroc\w+ compuest[ao]",
    "hemizygous": r"h[eé]mi[zc][iy]g\w*|emizigo\w+|hemi",
    "homozygous": r"hom(?:o(?:[zc][iy]g\w*)?)?\.?|omozigo\w+|hmz",
    "heterozygous": r"h[eé]t(?:[eé]ro(?:[zc][iy]g\w*)?)?\.?|eterozigo\w+|htz",
}
CLASSES = {
    4: r"likely pathogenic|probablement pathog[eè]ne|wahrscheinlich pathogen|LP"
    r"|waarschijnlijk pathogeen|probabilmente patogen[ao]|probablemente patog[eé]nic[ao]"
    r"|sandsynligt patogen",
    2: r"likely benign|probablement b[eé]nin|wahrscheinlich benigne?|LB",
    3: r"VUS|VOUS|variant of (?:uncertain|unknown) significance",
    5: r"pathogenic|pathog[eè]ne|pathogene?|pathogeen|patogen[ao]|patog[eé]nic[ao]|patogen",
    1: r"benign|b[eé]nin|benigne",
}
GRADE = r"(?:ACMG )?(?:class|classe|klasse|clase|ACMG)[ :]?(?P<grade>[1-5]|IV|V|I{1,3})"
ROMAN = {"I": 1, "II": 2, "III": 3, "IV": 4, "V": 5}
FILLERS = (
    r"mutations?|mutati(?:e|on|onen)|mutazione|mutaci[oó]n|variante?s?|varianten|g[eè]nes?|gen"
    r"|(?:ex(?:on)?|int(?:ron)?)\.? ?[0-9]{1,2}|and|et|und|en|e|y|og|in|im|allele?"
)
METHOD = r"(?:NGS|panel|WES|WGS|exome|exom|esoma|exoma|genome|genom|Sanger|g[eé]n[eé]tique)"
NOTHING = (
    r"(?:no|aucune?|pas de|keine?|geen|nessuna|ninguna|sin|ingen) "
    r"(?:(?:causal|pathogenic|causale|pathog[eè]ne) )?"
    r"(?:mutations?|mutatie|mutazione|mutaci[oó]n|variante?)"
    r"(?: (?:found|identified|detected|identifi[eé]e|trouv[eé]e|retrouv[eé]e|gefunden"
    r"|nachgewiesen|nachweisbar|gevonden|trovata|identificata|encontrada|identificada|fundet))?"
    r"|n[eé]gati(?:ve|f|v|ef|vo|va)"
)
AWAITED = (
    r"pending|awaited|in progress|en attente|en cours|ausstehend|steht aus|in arbeit|l[aä]uft"
    r"|in behandeling|lopend|in attesa|in corso|pendiente|en curso|afventer|afventes"
)
UNDONE = (
    r"not (?:done|tested|performed)|non (?:fait|r[eé]alis[eé]e?|eseguit[ao]|test[eé]e?)"
    r"|nicht (?:durchgef[uü]hrt|getestet)|niet (?:gedaan|uitgevoerd|getest)"
    r"|no (?:realizad[ao]|hech[ao])|ikke (?:udf[oø]rt|testet)"
)

# What two variants written so are, when nothing else is said.
IMPLIED = {
    "in_trans": "compound_heterozygous",
    "in_cis": "heterozygous",
    "uncertain": "heterozygous",
}

POSITION = r"[-*]?[0-9]{1,6}(?:[+-][0-9]{1,5})?"
CHANGE = (
    rf"(?:{POSITION}[ACGT]>[ACGT]|[ACGT]{POSITION}[ACGT]"
    rf"|{POSITION}(?:_{POSITION})?(?:del[ACGT]*ins[ACGT]+|(?:del|dup)(?:[ACGT]+|[0-9]{{1,4}})?)"
    rf"|{POSITION}_{POSITION}(?:ins[ACGT]+|inv))(?![A-Za-z0-9>_])"
)
AMINO = r"(?:Ala|Arg|Asn|Asp|Cys|Gln|Glu|Gly|His|Ile|Leu|Lys|Met|Phe|Pro|Ser|Thr|Trp|Tyr|Val)"
ONE = r"[ACDEFGHIKLMNPQRSTVWY]"
RESIDUE = rf"(?:{AMINO}|{ONE})[0-9]{{1,5}}"
END = r"(?:\*|X|Ter|stop)"
EFFECT = (
    rf"(?:{RESIDUE}(?:{AMINO}|{ONE})?fs(?:{END}(?:[0-9]{{1,4}}|\?)?)?"
    rf"|{RESIDUE}(?:_{RESIDUE})?(?:delins(?:{AMINO}|{ONE})+|del|dup)"
    rf"|{RESIDUE}_{RESIDUE}ins(?:{AMINO}|{ONE})+|{RESIDUE}(?:{AMINO}|{ONE}|{END}|=|\?))"
    rf"(?![A-Za-z0-9>_])"
)


@dataclass(frozen=True)
class Variant:
    """One variant as far as the text says it; `zygosity` and `phase` are `unknown` if it does not.

    `hgvs_c` and `hgvs_p` are in HGVS, the protein change in parentheses because it is predicted.
    """

    raw: str
    gene: str | None = None
    transcript: str | None = None
    hgvs_c: str | None = None
    hgvs_p: str | None = None
    zygosity: str = "unknown"
    phase: str = "unknown"
    variant_class: str = "unknown"
    acmg_class: int | None = None
    status: Status = "understood"


@dataclass(frozen=True)
class Genotype:
    """The variants of one text, and what it means for `genetic_test.result`; None: it says not."""

    variants: tuple[Variant, ...] = ()
    result: Result | None = None


def normalize(text: str | None, gene: str | None = None) -> Genotype:
    """Return what `text` says; `gene` is what another column says the gene is.

    >>> normalize("CLCN7: c.643G>A (p.G215R) het").variants[0].hgvs_p
    'p.(Gly215Arg)'
    >>> normalize("NGS en attente").result
    'pending'
    """
    raw, said = (text or "").strip(), (gene or "").strip()
    if len(said) > MAX_LENGTH:  # before it is made plain: one sign may become 18
        return _for_review(raw or said)
    known = _plainly(said)
    named = gene_symbol(known) if known else None
    plain = _plainly(raw) if len(raw) <= MAX_LENGTH else raw
    if not plain and not known:
        return Genotype()
    if len(plain) > MAX_LENGTH:
        return _for_review(raw, named)
    if result := _no_variant(plain or known):
        return Genotype(result=result)
    if known and named is None:
        return _for_review(raw or known)
    variants = _variants(plain, raw or known, named)
    return Genotype(variants, _result(variants))


def _for_review(raw: str, gene: str | None = None) -> Genotype:
    """Return a text as one variant that a person has to look at."""
    return Genotype((Variant(raw, gene, status="needs_review"),))


def gene_symbol(text: str) -> str | None:
    """Return the HGNC symbol that a text names and nothing else, or None.

    >>> gene_symbol("ClC-7"), gene_symbol("RANKL"), gene_symbol("CLCN7/TCIRG1")
    ('CLCN7', 'TNFSF11', None)
    """
    word = re.sub(r"[ -]", "", text.strip()).upper()
    symbol = ALIASES.get(word, word)
    return symbol if symbol in DICTIONARY.codelists["gene"].codes else None


def _plainly(text: str) -> str:
    """Return `text` with one kind of blank, dash and arrow, blanks taken out inside a change."""
    plain = unicodedata.normalize("NFKC", text)
    plain = re.sub("[\u2010-\u2015\u2212]", "-", plain).replace("\u2192", ">").replace("->", ">")
    plain = " ".join(plain.split())
    plain = re.sub(r"(?<=[0-9ACGTacgt]) ?> ?(?=[ACGTacgt]\b)", ">", plain)
    plain = re.sub(r"(?<=[0-9]) ?([+-]) ?(?=[0-9])", r"\1", plain)
    plain = re.sub(r"\b([cp]) ?\. ?(?=[0-9A-Za-z(\[*-])", r"\1.", plain, flags=re.IGNORECASE)
    plain = re.sub(r"(?<=[0-9]) (?=[ACGTacgt]>|(?:del|dup|ins)[ACGT0-9]*\b)", "", plain)
    return re.sub(r"(?<=fs) ?(\*|X|Ter) ?(?=[0-9?])", r"\1", plain)


def _no_variant(plain: str) -> Result | None:
    """Return what a text says that holds no variant, perhaps with the gene or the method."""
    genes = "|".join(DICTIONARY.codelists["gene"].codes)
    before = rf"(?:(?:{METHOD}|{genes}|{WORD_OF_ALIAS})[ :,-]*)?"
    for result, words in (("negative", NOTHING), ("pending", AWAITED), ("not_done", UNDONE)):
        if re.fullmatch(rf"{before}(?:{words})[ .]*", plain, re.IGNORECASE):
            return result  # type: ignore[return-value]
    return None


def _result(variants: tuple[Variant, ...]) -> Result | None:
    """Return what variants mean for the test, where all of them are understood and classified."""
    classes = [v.acmg_class for v in variants if v.status == "understood"]
    if any(grade is not None and grade >= 4 for grade in classes):
        return "causal_found"
    if classes and len(classes) == len(variants) and set(classes) == {3}:
        return "vus_only"
    return None


Token = tuple[str, str]
"""Kind and text: gene, transcript, c, p, zygosity, class, bound, wildtype, phase, other."""


def _scanner() -> re.Pattern[str]:
    """Return the pattern whose named groups are the kinds of tokens, tried in order."""
    genes = "|".join(sorted(DICTIONARY.codelists["gene"].codes, key=len, reverse=True))
    zygosities = "|".join(f"(?P<zyg_{k}>(?:{v})(?![a-z]))" for k, v in ZYGOSITIES.items())
    classes = "|".join(f"(?P<class_{k}>(?:{v})(?![a-z]))" for k, v in CLASSES.items())
    edge = r"(?<![A-Za-z0-9_])"
    return re.compile(
        rf"(?P<transcript>\bN[MR]_[0-9]+(?:\.[0-9]+)?)"
        rf"|(?P<phase>\(;\)|\b(?:in )?(?:trans|cis)\b)"
        rf"|(?P<wildtype>/ ?(?:-|=|\+|wt|normal|N)(?= |$|\))|\[=\])"
        rf"|{edge}(?P<gene>{genes}|{WORD_OF_ALIAS}|(?-i:{CASED_ALIAS}))(?![A-Za-z0-9])"
        rf"|{edge}c\.(?P<c>{CHANGE})"
        rf"|{edge}p\.(?P<p>[(\[]*{EFFECT}[)\]]*|\(?[?=]\)?)"
        rf"|{edge}(?P<bare>{EFFECT})"
        rf"|{edge}(?:{zygosities}|{classes}|{GRADE}(?![a-z0-9]))"
        rf"|{edge}(?P<filler>{FILLERS})(?![A-Za-z0-9])"
        rf"|(?P<bound>[;/+&])"
        rf"|(?P<blank>(?:(?!\(;\)|\[=\])[\s,:()\[\].])+)"
        rf"|(?P<other>.)",
        re.IGNORECASE | re.DOTALL,
    )


SCANNER = _scanner()
BRACKETS = re.compile(r"\bc\.((?:[\[(][^\[\]()]*[\])](?:\(;\)|[;+])?)+)", re.IGNORECASE)


def _tokens(plain: str) -> Iterator[Token]:
    """Yield what a text is made of, blanks and fillers left away."""
    for match in SCANNER.finditer(_unfolded(plain)):
        kind, text = match.lastgroup or "other", match.group()
        if match["grade"]:
            yield "class", str(ROMAN.get(match["grade"].upper(), match["grade"]))
        elif kind.startswith(("zyg_", "class_")):
            name, _, value = kind.partition("_")
            yield name, value
        elif kind in ("c", "p", "gene", "transcript"):
            yield kind, match[kind]
        elif kind == "bare":
            yield ("p" if _only_protein(text) else "other"), text
        elif kind not in ("blank", "filler"):
            yield kind, text.lower()


def _only_protein(text: str) -> bool:
    """Return whether a change without prefix cannot be one of nucleotides: `R286W`, not `A12T`."""
    return re.fullmatch(r"(?i)[ACGT][0-9]+[ACGT]", text) is None


def _unfolded(plain: str) -> str:
    """Write `c.[43del];[1360C>T]` as `c.43del trans c.1360C>T`, and likewise cis and unknown."""

    def unfold(match: re.Match[str]) -> str:
        body = match[1]
        if "(;)" in body:
            marker = " (;) "
        elif re.search(r"\][;+]\[", body):
            marker = " trans "
        else:
            marker = " cis "
        parts = [part.strip() for part in re.split(r"\(;\)|[\[\]();+]", body) if part.strip()]
        if len(parts) == 2 and "=" in parts:
            return f"c.{next((p for p in parts if p != '='), '=')} [=]"
        return marker.join(part if part.lower().startswith("c.") else f"c.{part}" for part in parts)

    loose = re.sub(rf"\bc\.({CHANGE})\(;\)(?:c\.)?(?={POSITION})", r"c.\1 (;) c.", plain)
    loose = re.sub(r"([\])]) ?([;+]) ?(?=[\[(])", r"\1\2", loose)
    return BRACKETS.sub(unfold, loose)


def _variants(plain: str, raw: str, named: str | None) -> tuple[Variant, ...]:
    """Return the variants of a text; one for review when anything in it is not understood."""
    tokens = list(_tokens(plain))
    genes = {gene_symbol(text) for kind, text in tokens if kind == "gene"}
    if named is not None:
        genes.add(named)
    gene = genes.pop() if len(genes) == 1 else None
    review = (Variant(raw, gene, status="needs_review"),)
    if genes or any(kind == "other" for kind, _ in tokens):
        return review
    found = _paired(tokens)
    if found is None or (not found and gene is None):
        return review
    variants = [replace(v, raw=raw, gene=gene) for v in found] or [Variant(raw, gene)]
    judged = _described(variants, tokens)
    return tuple(_alike(judged)) if judged is not None else review


def _paired(tokens: list[Token]) -> list[Variant] | None:
    """Return variants with the change in sequence and protein that belong together, or None."""
    changes = [_coding(text) for kind, text in tokens if kind == "c"]
    effects = [protein_change(text) for kind, text in tokens if kind == "p"]
    if None in changes or None in effects:
        return None
    order = "".join(kind for kind, _ in tokens if kind in "cp")
    if len(changes) == len(effects) and re.fullmatch("c+p+|(cp)+|(pc)+", order):
        pairs = list(zip(changes, effects, strict=True))
    elif not effects:
        pairs = [(change, None) for change in changes]
    elif not changes:
        pairs = [(None, effect) for effect in effects]
    else:
        pairs = _nearest(order, changes, effects)
    return [
        Variant(
            "", hgvs_c=c, hgvs_p=p, variant_class=_class(c, p),
            status="understood" if _fits(c, p) else "needs_review",
        )
        for c, p in pairs
    ]  # fmt: skip


def _nearest(
    order: str, changes: list[str | None], effects: list[str | None]
) -> list[tuple[str | None, str | None]]:
    """Pair each protein change with the coding change right before it."""
    c, p = iter(changes), iter(effects)
    pairs: list[tuple[str | None, str | None]] = []
    for part in re.findall("cp|c|p", order):
        pairs.append((next(c) if "c" in part else None, next(p) if "p" in part else None))
    return pairs


def _described(variants: list[Variant], tokens: list[Token]) -> list[Variant] | None:
    """Return variants with transcript, zygosity, class and phase; None when the text disagrees."""
    said = {
        kind: [text for found, text in tokens if found == kind]
        for kind in ("zyg", "class", "transcript", "phase")
    }
    wildtype = any(kind == "wildtype" for kind, _ in tokens)
    if wildtype:
        said["zyg"].append("heterozygous")
    for kind, texts in said.items():
        if len(set(texts)) > 1 and len(texts) != len(variants):
            return None
        said[kind] = texts if len(texts) == len(variants) else texts[:1] * len(variants)
    phase = _phase(said["phase"], len(variants))
    if wildtype and len(variants) > 1:
        return None
    return [
        replace(
            variant,
            transcript=dict(enumerate(said["transcript"])).get(nr),
            zygosity=dict(enumerate(said["zyg"])).get(nr, _implied(phase)),
            acmg_class=int(said["class"][nr]) if said["class"] else None,
            phase=phase,
        )
        for nr, variant in enumerate(variants)
    ]


def _phase(said: list[str], variants: int) -> str:
    """Return `in_trans`, `in_cis`, `unknown`, or `uncertain` for two variants joined by `(;)`."""
    if variants < 2 or not said:
        return "unknown"
    return "uncertain" if said[0] == "(;)" else f"in_{said[0].removeprefix('in ')}"


def _implied(phase: str) -> str:
    """Return the zygosity that the way of writing two variants implies."""
    return IMPLIED.get(phase, "unknown")


def _alike(variants: list[Variant]) -> Iterator[Variant]:
    """Yield variants; the same change on both alleles is one homozygous variant."""
    changes = {(v.hgvs_c, v.hgvs_p) for v in variants}
    if len(variants) == 2 and len(changes) == 1:
        first, second = variants
        same = {first.zygosity, second.zygosity} <= {
            "unknown",
            "compound_heterozygous",
            "homozygous",
        }
        if same and first.phase in ("unknown", "in_trans"):
            yield replace(first, zygosity="homozygous", phase="unknown")
            return
    several = len(changes) > 1
    for variant in variants:
        odd = several and variant.zygosity == "homozygous"
        phase = "unknown" if variant.phase == "uncertain" else variant.phase
        yield replace(variant, phase=phase, status="needs_review" if odd else variant.status)


def _coding(text: str) -> str | None:
    """Return a change of the coding sequence in HGVS, or None when it cannot be one."""
    change = _cased(text)
    if old := re.fullmatch(rf"([ACGT])({POSITION})([ACGT])", change):
        change = f"{old[2]}{old[1]}>{old[3]}"
    if _backwards(change) or re.search(r"([ACGT])>\1", change):
        return None
    if repeat := re.fullmatch(
        rf"({POSITION}(?:_{POSITION})?)(del|dup)([ACGT]+|[0-9]+)(ins[ACGT]+)?", change
    ):
        if not _as_long(repeat[1], repeat[3]):
            return None
        change = f"{repeat[1]}{repeat[2]}{repeat[4] or ''}"
    named = f"c.{change}"
    return named if _valid(named) else None


def _cased(text: str) -> str:
    """Return a change with upper-case bases and lower-case `del`, `dup`, `ins`, `inv`."""
    upper = text.upper()
    return re.sub("DEL|DUP|INS|INV", lambda match: match[0].lower(), upper)


def _backwards(change: str) -> bool:
    """Return whether a dash may stand for `to`: `647-648` is not 648 bases before exon base 647."""
    match = re.match(r"([0-9]+)-([0-9]+)", change)
    return bool(match and int(match[2]) > int(match[1]))


def _as_long(place: str, said: str) -> bool:
    """Return whether the bases (or their number) that are said to go fit the positions."""
    size = int(said) if said.isdigit() else len(said)
    first, _, last = place.partition("_")
    if not last:
        return size == 1
    exonic = first.isdigit() and last.isdigit()
    return not exonic or int(last) - int(first) + 1 == size


def _valid(hgvs: str) -> bool:
    """Return whether `mavehgvs` takes a variant for well formed."""
    from mavehgvs import MaveHgvsParseError  # a library of the site environment
    from mavehgvs import Variant as Parsed

    try:
        Parsed(hgvs)
    except MaveHgvsParseError:
        return False
    return True


def _fits(hgvs_c: str | None, hgvs_p: str | None) -> bool:
    """Return whether a protein change lies in the codon of the coding change, p ≈ ⌈c / 3⌉.

    A substitution changes its own codon. What a deletion or insertion changes first may be some
    residues further on, where the bases repeat.
    """
    codon = first_codon(hgvs_p)
    coding = re.match(r"c\.([0-9]+)([+-][0-9]+)?", hgvs_c or "")
    if codon is None or coding is None:
        return True
    off = codon - -(-int(coding[1]) // 3)
    if coding[2]:
        return protein_class(hgvs_p) != "missense" and abs(off) <= CODON_SLACK
    return off == 0 if ">" in (hgvs_c or "") else -1 <= off <= CODON_SLACK


def _class(hgvs_c: str | None, hgvs_p: str | None) -> str:
    """Return the class that follows from the spelling alone, else `unknown`."""
    if (known := protein_class(hgvs_p)) != "unknown":
        return known
    if hgvs_c is None:
        return "unknown"
    if re.match(r"c\.[0-9]+[+-][12][ACGT]>", hgvs_c):
        return "splice"
    length = re.fullmatch(r"c\.([0-9]+)(?:_([0-9]+))?(?:del|dup)", hgvs_c)
    if length is None:
        return "unknown"
    size = int(length[2] or length[1]) - int(length[1]) + 1
    return "frameshift" if size % 3 else "inframe"
