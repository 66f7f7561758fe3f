"""The DAG file as Airflow reads it: one DAG per site, documented, and cheap to parse."""

import json
import os
import subprocess
import sys
from typing import Any

import pytest

from infra.environments import ROOT
from infra.site.client import STAGES
from transforms.site import create_site


HEAVY = {"great_expectations", "duckdb", "pyarrow", "pandas", "openpyxl", "scipy", "federated"}

READ_DAGS = """
import json, sys
from airflow.dag_processing.dagbag import DagBag

before = set(sys.modules)
bag = DagBag(sys.argv[1])
print("DAGS", json.dumps({
    "errors": bag.import_errors,
    "loaded": sorted(set(sys.modules) - before),
    "dags": {dag_id: {
        "doc": dag.doc_md,
        "max_active_runs": dag.max_active_runs,
        "tasks": {task.task_id: task.doc_md for task in dag.topological_sort()},
        "downstream": {t.task_id: sorted(t.downstream_task_ids) for t in dag.tasks},
    } for dag_id, dag in bag.dags.items()},
}))
"""


@pytest.fixture(scope="module")
def parsed(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What Airflow makes of the dags folder for four sites, two of them broken."""
    home = tmp_path_factory.mktemp("marmor")
    for site_id in ("lyon", "ulm"):
        create_site(home / site_id, site_id=site_id, name=site_id, country="FR", language="fr")
    (home / "torino").mkdir()
    (home / "torino" / "site.toml").write_text("id = torino", encoding="utf-8")
    (home / "Odense (new)").mkdir()
    (home / "Odense (new)" / "site.toml").write_text('id = "Odense U"\nname = "O"', "utf-8")
    (home / "notes").mkdir()
    environment = {
        **os.environ,
        "AIRFLOW_HOME": str(tmp_path_factory.mktemp("airflow")),
        "MARMOR_HOME": str(home),
    }
    answer = subprocess.run(
        [sys.executable, "-c", READ_DAGS, str(ROOT / "dags")],
        env=environment,
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    line = next(line for line in answer.stdout.splitlines() if line.startswith("DAGS "))
    return dict(json.loads(line.removeprefix("DAGS ")))


def test_every_site_folder_has_a_dag_also_a_broken_one(parsed: dict[str, Any]) -> None:
    assert parsed["errors"] == {}
    assert sorted(parsed["dags"]) == [
        "marmor_Odense__new_",
        "marmor_lyon",
        "marmor_torino",
        "marmor_ulm",
    ]


def test_tasks_stand_in_order(parsed: dict[str, Any]) -> None:
    dag = parsed["dags"]["marmor_lyon"]
    assert tuple(dag["tasks"]) == STAGES
    expected = dict(zip(STAGES, [[name] for name in STAGES[1:]] + [[]], strict=True))
    assert dag["downstream"] == expected


def test_a_waiting_run_leaves_room_for_the_next(parsed: dict[str, Any]) -> None:
    assert parsed["dags"]["marmor_lyon"]["max_active_runs"] > 1


def test_every_dag_and_task_tells_its_user_what_to_do(parsed: dict[str, Any]) -> None:
    for dag in parsed["dags"].values():
        assert "When a step fails" in dag["doc"]
        for name, doc in dag["tasks"].items():
            assert doc, name
            assert "\n    " not in doc, name
            assert name == "announce" or "**fail" in doc.lower(), name


def test_parsing_loads_nothing_heavy(parsed: dict[str, Any]) -> None:
    assert HEAVY.isdisjoint(name.partition(".")[0] for name in parsed["loaded"])
