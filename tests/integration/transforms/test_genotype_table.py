"""Distinct genotype texts beside what they say; too many to read are left to a person."""

import duckdb
import pytest

from transforms import genotype_table
from transforms.genotype_table import key_sql, load_genotypes


TEXTS = (("c.643G>A", "CLCN7"), ("c.1213G>A", "TCIRG1"), ("c.1360C>T hom", ""), (None, "OSTM1"))


@pytest.fixture
def found() -> dict[str, tuple[list[dict[str, object]], str | None]]:
    """Return a function that reads TEXTS, each several times in the source."""

    def read() -> dict[str, tuple[list[dict[str, object]], str | None]]:
        with duckdb.connect() as connection:
            connection.execute("create table source (text varchar, gene varchar)")
            connection.executemany("insert into source values (?, ?)", [*TEXTS, *TEXTS])
            key = key_sql("text", "gene")
            load_genotypes(connection, f"select {key} as key from source", {})
            rows = connection.execute("select key, variants, result from genotype").fetchall()
        return {key.replace("\x1f", "|"): (variants, result) for key, variants, result in rows}

    return read


def test_each_distinct_text_is_read_once(found) -> None:
    read = found()
    assert set(read) == {"c.643G>A|CLCN7", "c.1213G>A|TCIRG1", "c.1360C>T hom|", "|OSTM1"}
    ((variant,), _) = read["c.643G>A|CLCN7"]
    assert (variant["hgvs_c"], variant["status"]) == ("c.643G>A", "understood")


def test_texts_beyond_the_most_letters_wait_for_a_person(found, monkeypatch) -> None:
    """The shortest are read: 6 and 14 letters with the sign between text and gene."""
    monkeypatch.setattr(genotype_table, "MOST_LETTERS", 20)
    read = found()
    status = {key: variants[0]["status"] for key, (variants, _) in read.items()}
    assert status == {
        "|OSTM1": "understood",
        "c.1360C>T hom|": "understood",
        "c.643G>A|CLCN7": "needs_review",
        "c.1213G>A|TCIRG1": "needs_review",
    }
    (variant,), result = read["c.1213G>A|TCIRG1"]
    assert (variant["raw"], variant["gene"], variant["zygosity"], result) == (
        "c.1213G>A", None, "unknown", None,
    )  # fmt: skip
