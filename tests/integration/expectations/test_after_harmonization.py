"""What harmonisation writes is what validation reads: a synthetic centre, by the real functions."""

import json
from pathlib import Path

from expectations.validate import validate
from infra.demo.synthesize import synthesize
from transforms.collect import collect
from transforms.harmonize import harmonize
from transforms.site import load_site


def test_a_harmonised_run_is_validated_with_all_its_counts(tmp_path: Path) -> None:
    synthesize(sites=1, patients=60, seed=5, out=tmp_path)
    (folder,) = (path.parent for path in tmp_path.glob("*/site.toml"))
    site = load_site(folder)
    batch = collect(site)
    harmonised = harmonize(site, batch.run_id)
    outcome = validate(site, batch.run_id)
    document = json.loads((outcome.report.parent / "validation.json").read_text(encoding="utf-8"))
    assert {one["table"]: one["rows"] for one in document["tables"]} == harmonised.rows
    assert sum(one["rejected"] for one in document["tables"]) == harmonised.rejected
    assert sum(one["rows"] for one in document["flags"]) == harmonised.flagged
    assert document["rejects"], "the synthetic centre has faults"
    assert all(one["statement"] for one in (*document["rejects"], *document["flags"]))
    assert all(one["source"] != "unknown source" for one in document["rejects"])
    assert outcome.criteria[2].value == 0, "what harmonisation lets through breaks nothing critical"
