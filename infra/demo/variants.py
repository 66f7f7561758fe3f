"""Draws the variants of synthetic patients from `variants.toml`."""

import numpy as np

from infra.demo.columns import Array, Columns
from infra.demo.parameters import read_toml


__all__ = ["GENE_OF", "variants"]

GENE_OF = {
    "ADO2": "CLCN7",
    "CARRIER_UNAFFECTED": "CLCN7",
    "ADO1": "LRP5",
    "PYCNO": "CTSK",
    "CA2D": "CA2",
    "XLO": "IKBKG",
    "LAD3": "FERMT3",
    "ARO_TCIRG1": "TCIRG1",
    "ARO_CLCN7": "CLCN7",
    "ARO_OSTM1": "OSTM1",
    "ARO_SNX10": "SNX10",
    "ARO_TNFRSF11A": "TNFRSF11A",
    "ARO_TNFSF11": "TNFSF11",
}
ONE_ALLELE = {
    "ADO2": ("dominant", "heterozygous"),
    "CARRIER_UNAFFECTED": ("dominant", "heterozygous"),
    "ADO1": ("dominant", "heterozygous"),
    "XLO": ("hemizygous", "hemizygous"),
}


def variants(rng: np.random.Generator, person: Columns) -> Columns:
    """Return one row per variant: two for a compound heterozygote, none where no gene is known.

    Children of related parents are homozygous, others of a recessive form compound heterozygous.
    """
    rows: list[tuple[int, str, str, Array, str, int]] = []
    genes = {entry["gene"]: entry for entry in read_toml("variants.toml")["variants"]}
    related = person["consanguinity"] == "yes"
    for subtype, gene in GENE_OF.items():
        entry = genes[gene]
        use, zygosity = ONE_ALLELE.get(subtype, ("recessive", ""))
        choices = np.array(entry[use], dtype=object)
        who = np.flatnonzero((person["subtype"] == subtype) & person["tested"])
        first = rng.integers(len(choices), size=len(who))
        step = rng.integers(1, max(len(choices), 2), size=len(who))
        for index, a, b in zip(who, first, (first + step) % len(choices), strict=True):
            state = zygosity or ("homozygous" if related[index] else "compound_heterozygous")
            alleles = (a, b) if state == "compound_heterozygous" else (a,)
            rows.extend(
                (int(index), gene, entry["transcript"], choices[allele], state, number)
                for number, allele in enumerate(alleles, start=1)
            )
    rows.sort(key=lambda row: (row[0], row[5]))
    return _table(rows, rng)


def _table(rows: list[tuple[int, str, str, Array, str, int]], rng: np.random.Generator) -> Columns:
    """Return the rows as columns, with an ACMG class of 4 or 5."""
    return Columns(
        {
            "person": np.array([row[0] for row in rows], dtype=int),
            "gene": np.array([row[1] for row in rows], dtype=object),
            "transcript": np.array([row[2] for row in rows], dtype=object),
            "hgvs_c": np.array([row[3][0] for row in rows], dtype=object),
            "hgvs_p": np.array([row[3][1] for row in rows], dtype=object),
            "zygosity": np.array([row[4] for row in rows], dtype=object),
            "kind": np.array([row[3][2] for row in rows], dtype=object),
            "acmg": rng.integers(4, 6, size=len(rows)),
            "allele": np.array([row[5] for row in rows], dtype=int),
        }
    )
