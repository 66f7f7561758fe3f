"""The settings: real options, real reasons, secrets for their owner alone."""

import importlib.util
import stat
from pathlib import Path

import pytest
import yaml

from infra.site.settings import SETTINGS, environment, passwords, secret_values


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_every_setting_exists_in_this_airflow_and_differs_from_its_default() -> None:
    spec = importlib.util.find_spec("airflow")
    assert spec is not None
    assert spec.origin is not None
    config = Path(spec.origin).parent / "config_templates" / "config.yml"
    options = yaml.safe_load(config.read_text(encoding="utf-8"))
    for setting in SETTINGS:
        assert setting.key in options[setting.section]["options"], setting.variable
        stated = setting.key == "executor"  # everything else rests on it: said even if default
        assert stated or options[setting.section]["options"][setting.key]["default"] != (
            setting.value
        ), f"{setting.variable} is the default"
        assert setting.reason


def test_secrets_are_made_once_and_only_their_owner_reads_them(tmp_path: Path) -> None:
    home = tmp_path / "airflow"
    first = secret_values(home), passwords(home)
    assert (secret_values(home), passwords(home)) == first
    assert mode(home) == 0o700
    assert mode(home / "secrets.json") == 0o400
    assert mode(home / "passwords.json") == 0o600
    assert len(set(first[0].values()) | set(first[1].values())) == 6


def test_the_environment_is_ours_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AIRFLOW__CORE__EXECUTOR", "CeleryExecutor")
    monkeypatch.setenv("AIRFLOW__CORE__LOAD_EXAMPLES", "True")
    monkeypatch.setenv("AIRFLOW_CONFIG", "/elsewhere/airflow.cfg")
    monkeypatch.setenv("PYTHONDONTWRITEBYTECODE", "1")
    variables = environment(tmp_path, tmp_path / "sites", 8801)
    assert variables["AIRFLOW__CORE__EXECUTOR"] == "LocalExecutor"
    assert variables["AIRFLOW__CORE__LOAD_EXAMPLES"] == "False"
    assert variables["AIRFLOW__DATABASE__SQL_ALCHEMY_CONN"] == f"sqlite:///{tmp_path}/airflow.db"
    assert "AIRFLOW_CONFIG" not in variables
    assert "PYTHONDONTWRITEBYTECODE" not in variables


def test_a_database_may_be_given(tmp_path: Path) -> None:
    url = "postgresql+psycopg2://airflow@127.0.0.1/airflow"
    variables = environment(tmp_path, tmp_path, 8801, url)
    assert variables["AIRFLOW__DATABASE__SQL_ALCHEMY_CONN"] == url
