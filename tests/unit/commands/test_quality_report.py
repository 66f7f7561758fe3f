"""What `marmor quality report` says of a run: its verdict, and what was decided since."""

import hashlib
import json
from pathlib import Path

from infra.commands.quality import _summary
from transforms.site import create_site


def test_a_decision_is_told(tmp_path: Path) -> None:
    site = create_site(tmp_path / "haifa", site_id="haifa", name="H", country="IL", language="he")
    (site.reports / "run-1").mkdir(parents=True)
    site.review.mkdir()
    validation = {"verdict": "needs_review", "categories": {}}
    text = json.dumps(validation)
    (site.reports / "run-1" / "validation.json").write_text(text, encoding="utf-8")
    assert "accepted" not in str(_summary(site, "run-1", validation).title)
    decided = {
        "run_id": "run-1", "outcome": "accepted", "who": "Dr. Cohen", "why": "looked at",
        "when": "2026-05-04T08:00:00+00:00",
        "validation_sha256": hashlib.sha256(text.encode()).hexdigest(),
    }  # fmt: skip
    (site.review / "run-1.json").write_text(json.dumps(decided), encoding="utf-8")
    title = str(_summary(site, "run-1", validation).title)
    assert "needs_review, accepted by Dr. Cohen on 2026-05-04" in title
