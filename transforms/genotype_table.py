"""The distinct genotype texts of a source beside what they say, for rule `hgvs` to join.

`genotype(key, variants, result)`: `key` is text and gene as `key_sql` joins them, `variants` a list
of structs with the fields of `transforms.genotype.Variant`, `result` a code of the test's result.
Only distinct texts are looked at one by one; their rows are joined set-wise. Reading a text takes
microseconds a letter, so how many letters are read is limited: beyond, texts wait for a person.
"""

import duckdb
import pyarrow as pa

from transforms.genotype import Genotype, normalize


__all__ = ["FILLED", "RELATION", "key_sql", "load_genotypes"]

RELATION = "genotype"
MOST_LETTERS = 4_000_000  # of distinct texts, the shortest first: some 60,000 patients' genotypes
# Fields of table variant that a genotype text fills, and the part of a variant that fills each.
FILLED = {
    "gene_symbol": "gene", "transcript": "transcript", "hgvs_c": "hgvs_c", "hgvs_p": "hgvs_p",
    "zygosity": "zygosity", "phase": "phase", "variant_class": "variant_class",
    "acmg_class": "acmg_class", "variant_raw": "raw",
}  # fmt: skip
VARIANT = pa.struct([
    *((name, pa.string()) for name in ("raw", "gene", "transcript", "hgvs_c", "hgvs_p")),
    *((name, pa.string()) for name in ("zygosity", "phase", "variant_class")),
    ("acmg_class", pa.int64()),
    ("status", pa.string()),
])  # fmt: skip
SCHEMA = pa.schema([
    ("key", pa.string()), ("variants", pa.list_(VARIANT)), ("result", pa.string()),
])  # fmt: skip


def key_sql(text: str, gene: str) -> str:
    """Return the SQL expression that joins two text expressions to the key; NULL for nothing."""
    joined = f"concat(coalesce({text}, ''), '\x1f', coalesce({gene}, ''))"
    return f"nullif({joined}, '\x1f')"


def load_genotypes(
    connection: duckdb.DuckDBPyConnection, keys: str, parameters: dict[str, object]
) -> None:
    """Make the relation `genotype` for the distinct keys that the query `keys` gives."""
    connection.execute(
        "create or replace temp table genotype_key as "
        f"with said as (select distinct key from ({keys}) where key is not null) "
        "select key, sum(length(key)) over (order by length(key), key rows unbounded preceding) "
        f"<= {MOST_LETTERS} as is_read from said",
        parameters,
    )
    rows = connection.execute("select key from genotype_key where is_read order by key")
    read = [_row(key) for (key,) in rows.fetchall()]
    connection.register("marmor_genotypes", pa.Table.from_pylist(read, SCHEMA))
    connection.execute(f"create or replace temp table {RELATION} as from marmor_genotypes")
    connection.unregister("marmor_genotypes")
    _add_unread(connection)


def _add_unread(connection: duckdb.DuckDBPyConnection) -> None:
    """Add the texts that were too many to read, each as a variant for a person to look at."""
    connection.execute(
        f"insert into {RELATION} select key, [{{"
        "'raw': coalesce(nullif(split_part(key, '\x1f', 1), ''), split_part(key, '\x1f', 2)), "
        "'gene': null, 'transcript': null, 'hgvs_c': null, 'hgvs_p': null, 'zygosity': 'unknown', "
        "'phase': 'unknown', 'variant_class': 'unknown', 'acmg_class': null, "
        "'status': 'needs_review'}], null from genotype_key where not is_read"
    )


def _row(key: str) -> dict[str, object]:
    """Return one row of the relation."""
    text, _, gene = key.partition("\x1f")
    genotype = normalize(text, gene)
    return {"key": key, "variants": _variants(genotype), "result": genotype.result}


def _variants(genotype: Genotype) -> list[dict[str, object]]:
    """Return the variants as plain data."""
    return [vars(variant) for variant in genotype.variants]
