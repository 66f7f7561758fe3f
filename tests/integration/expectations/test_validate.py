"""Validating a harmonised run: verdict, counts and report, on real Parquet."""

import json
from collections.abc import Callable

import pytest

from transforms.site import Site


pytestmark = pytest.mark.site
validate = pytest.importorskip("expectations.validate", reason="needs Great Expectations").validate

RUN = "run-000000000001"
CANARY = "Kanarienvogel-4711"


def document(site: Site) -> dict:
    return json.loads((site.reports / RUN / "validation.json").read_text(encoding="utf-8"))


def failed(site: Site) -> dict[str, int]:
    return {
        one["id"]: one["unexpected"] for one in document(site)["expectations"] if not one["passed"]
    }


def test_a_clean_run_passes(harmonised: Callable[..., Site]) -> None:
    site = harmonised()
    outcome = validate(site, RUN)
    assert failed(site) == {}
    assert outcome.verdict == "passed"
    assert all(criterion.held for criterion in outcome.criteria)
