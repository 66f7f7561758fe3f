"""Sites whose harmonised tables are written by hand: clean rows, and then what a test changes."""

import json
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from transforms.dictionary import DICTIONARY, Field, Table
from transforms.dictionary.arrow import schema
from transforms.site import Site, create_site


Rows = list[dict[str, Any]]
Change = Callable[[Rows], None]

REJECTS = pa.schema(
    [
        *((name, pa.string()) for name in ("table", "source_file", "source_sheet")),
        ("source_row", pa.int64()),
        *((name, pa.string()) for name in ("field", "rule", "severity", "remedy")),
    ]
)
FLAGS = pa.schema(
    [(name, pa.string()) for name in ("table", "row_id", "field", "rule", "severity", "remedy")]
)
FORMS = {
    "orpha_code": "53",
    "transcript": "NM_001287.6",
    "hgvs_c": "c.643G>A",
    "hgvs_p": "p.(Gly215Arg)",
    "birth_date": date(1990, 5, 17),
    "first_contact_date": date(1999, 3, 9),
    "dx_subtype": "ADO2",
    "laterality": "left",
    "unit_status": "declared",
    "value_comparator": "=",
    "status": "excluded",
    "z_score": 6.5,
    "t_score": 5.5,
    "acmg_class": 5,
    "onset_age_y": 8.0,
    "dx_age_y": 9.0,
    "vital_status": "alive",
    "value_source_unit": "mmol/L",
    "omim": "166600",
    "mondo": "0008156",
    "icd10": "Q78.2",
    "icd11": "LD24.10",
    "snomed": "725050005",
    "gene_hgnc": "2025",
    "hgvs_g": "NC_000016.10:g.1447483C>T",
    "clinvar_vcv": "VCV000005250",
    "loinc": "2000-8",
    "atc": "L03AB03",
    "rxnorm": "1",
    "icd10_cause": "A41.9",
    "surgery_id": "surgery000000",
    "reoperation_of": "surgery000000",
    "result": "negative",
    "height_cm": 100.0,
    "weight_kg": 16.0,
    "bmi_kg_m2": 16.0,
}


def usual(field: Field) -> float:
    """Return a number a little within the limits of a field."""
    lows = [limits.low for limits in (field.hard, field.soft) if limits and limits.low is not None]
    return max(lows) + 1 if lows else 1.0


def clean_value(table: Table, field: Field, index: int) -> Any:
    """Return a value that every expectation likes."""
    if field.name == "person_id":
        return f"P{index % 20:024x}"
    if field.name in table.key:
        return f"{table.name}{index:06d}"
    if field.name in FORMS:
        return FORMS[field.name]
    if field.name == "value":
        return DICTIONARY.analytes["calcium"].soft.low
    if field.name == "analyte":
        return "calcium"
    by_type: dict[str, Callable[[], Any]] = {
        "code": lambda: next(iter(DICTIONARY.codelists[str(field.codelist)].codes)),
        "codes": lambda: sorted(DICTIONARY.codelists[str(field.codelist)].codes)[:2],
        "date": lambda: date(2010, 1, 2) + timedelta(days=index % 20),
        "boolean": lambda: index % 2 == 0,
        "number": lambda: usual(field),
        "integer": lambda: 1,
        "string": lambda: f"text {index}",
    }
    return by_type[field.type]()


def clean_rows(table: Table, count: int) -> Rows:
    """Return `count` rows without a fault."""
    return [
        {field.name: clean_value(table, field, index) for field in table.fields}
        for index in range(count)
    ]


@pytest.fixture
def harmonised(tmp_path: Path) -> Callable[..., Site]:
    """Return a function that writes a harmonised run and returns its site."""

    def write(
        changes: Mapping[str, Change] = {},
        rejects: Sequence[Mapping[str, Any]] = (),
        flags: Iterable[Mapping[str, Any]] = (),
        not_collected: Sequence[str] = (),
        run_id: str = "run-000000000001",
    ) -> Site:
        folder = tmp_path / "lyon"
        site = create_site(folder, site_id="lyon", name="Lyon", country="FR", language="fr")
        tables = site.work / run_id / "tables"
        tables.mkdir(parents=True)
        for name, table in DICTIONARY.tables.items():
            rows = clean_rows(table, 20 if name == "person" else 60)
            changes.get(name, lambda rows: None)(rows)
            pq.write_table(pa.Table.from_pylist(rows, schema(table)), tables / f"{name}.parquet")
        work = site.work / run_id
        pq.write_table(pa.Table.from_pylist(list(rejects), REJECTS), work / "rejects.parquet")
        pq.write_table(pa.Table.from_pylist(list(flags), FLAGS), work / "flags.parquet")
        coverage = [
            {
                "table": name,
                "field": field,
                "mapped": "not collected" if f"{name}.{field}" in not_collected else "mapped",
            }
            for name, table in DICTIONARY.tables.items()
            for field in table.field_names
        ]
        (work / "coverage.json").write_text(json.dumps(coverage), encoding="utf-8")
        rejected = Counter(
            table
            for table, *_ in {
                (one["table"], one["source_file"], one["source_row"]) for one in rejects
            }
        )
        counts = {
            "rows_read": {"patients": 20},
            "files_read": {"patients": 1},
            "not_held": {},
            "refused_files": [],
            "excluded_for_consent": 0,
            "rejected": rejected,
            "skipped": {},
        }
        (work / "harmonization.json").write_text(json.dumps(counts), encoding="utf-8")
        return site

    return write
