"""The site's own dashboard, counted from a published release."""

import datetime
import json
from collections.abc import Callable

import pytest

from transforms.aggregate import aggregate
from transforms.collect import collect
from transforms.errors import ReleaseError
from transforms.harmonize import harmonize
from transforms.release import publish
from transforms.site import Site


def test_the_dashboard_counts_what_the_release_holds(centre: Callable[..., Site]) -> None:
    site = centre()
    batch = collect(site, datetime.date(2026, 11, 22))
    harmonize(site, batch.run_id)
    release = publish(site, batch.run_id, {"outcome": "accepted"}, "0" * 64)
    page = aggregate(site, release)
    panels = {
        panel["name"]: {row[0]: row[1:] for row in panel["rows"]}
        for panel in json.loads(page.with_suffix(".json").read_text("utf-8"))["panels"]
    }
    assert panels["laboratory"]["Hemoglobin (g/L)"] == [2, 2, 108.0, 0]
    assert sum(figures[0] for figures in panels["gene_groups"].values()) == 2
    assert sum(figures[0] for figures in panels["age_bands"].values()) == 2
    assert sum(figures[0] for figures in panels["bones"].values()) == 2
    text = page.read_text("utf-8")
    assert release in text
    assert "http" not in text.replace('http-equiv="Content', "")
    assert all(secret not in text for secret in ("1001", "MARTIN", "14/03/1985"))
    path = site.releases / release / "tables" / "fracture.parquet"
    path.chmod(0o644)
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(ReleaseError, match="was changed"):
        aggregate(site, release)
