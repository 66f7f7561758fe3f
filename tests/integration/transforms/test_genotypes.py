"""Genotypes in free text, from the file to the harmonized tables, the flags and the coverage."""

import json
from collections.abc import Callable

from tests.integration.transforms.conftest import FIELDS, PATIENTS, VALUES
from tests.integration.transforms.test_harmonize import reasons, rows, run
from transforms.site import Site


GENOTYPE = """\
variant,hgvs_c,patients,Variant,hgvs,gene_column=Gène,,approved,
genetic_test,result,patients,Variant,hgvs,gene_column=Gène,,approved,
"""


def test_a_genotype_in_words_becomes_variants_and_a_result(centre: Callable[..., Site]) -> None:
    plain = [line for line in FIELDS.splitlines() if not line.startswith("variant,")]
    patients = (
        PATIENTS.replace(";TCIRG1;c.1213G>A;hom;", ";OC116;c.[43del];[1360C>T];x;")
        .replace(";CLCN7;c.643G>A;het;non;NR", ";ClC-7;c.643G>A (R286W) het classe 5;x;non;NR")
    )  # fmt: skip
    # a semicolon is the delimiter here
    patients = patients.replace("c.[43del];[1360C>T]", '"c.[43del];[1360C>T]"')
    ignore = (
        "source,column,reason,comment\npatients,Nom,identifier,\npatients,Zygotie,not_needed,\n"
    )
    values = "\n".join(line for line in VALUES.splitlines() if "zygosity" not in line) + "\n"
    folder = run(
        centre(
            fields="\n".join(plain) + "\n" + GENOTYPE, patients=patients, ignore=ignore,
            values=values,
        )
    )  # fmt: skip
    # of a text that nobody understands nobody knows what the test found
    assert reasons(folder, "rejects") == {("genetic_test", "result", "needs_review")}
    found = sorted(
        (row["gene_symbol"], row["hgvs_c"], row["zygosity"], row["phase"], row["acmg_class"])
        for row in rows(folder, "tables/variant")
    )
    assert found == [
        ("CLCN7", "c.643G>A", "heterozygous", "unknown", 5),
        ("TCIRG1", "c.1360C>T", "compound_heterozygous", "in_trans", None),
        ("TCIRG1", "c.43del", "compound_heterozygous", "in_trans", None),
    ]
    # the protein change is 71 codons away from the coding change
    assert ("variant", "hgvs_c", "needs_review") in reasons(folder, "flags")
    coverage = {
        (row["table"], row["field"]): row["mapped"]
        for row in json.loads((folder / "coverage.json").read_text("utf-8"))
    }
    assert coverage["variant", "zygosity"] == "mapped"
