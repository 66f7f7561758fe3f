"""Every Airflow setting that a centre changes, each with its reason, in one place.

The figures were measured on two cores with Airflow 3.3.2, SQLite and LocalExecutor.
"""

import json
import os
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from infra.environments import ROOT


__all__ = ["LOOPBACK", "SETTINGS", "Setting", "environment", "passwords", "secret_values"]

LOOPBACK = "127.0.0.1"


@dataclass(frozen=True)
class Setting:
    """One option of Airflow's configuration, and why it is not the default."""

    section: str
    key: str
    value: str
    reason: str

    @property
    def variable(self) -> str:
        """The environment variable that Airflow reads this option from."""
        return f"AIRFLOW__{self.section.upper()}__{self.key.upper()}"


BUNDLES = json.dumps(
    [
        {
            "name": "marmor",
            "classpath": "airflow.dag_processing.bundles.local.LocalDagBundle",
            "kwargs": {"path": str(ROOT / "dags")},
        }
    ]
)

SETTINGS = (
    Setting("core", "executor", "LocalExecutor", "one machine, no broker; tasks fork in 0.1 s"),
    Setting("core", "parallelism", "3", "tasks compute: more than cores + 1 only take memory"),
    Setting("core", "load_examples", "False", "a centre sees its own DAGs only"),
    Setting("core", "dags_are_paused_at_creation", "False", "a new site folder works at once"),
    Setting("core", "hostname_callable", "socket.gethostname", "the default asks DNS: offline"),
    Setting(
        "core",
        "simple_auth_manager_users",
        "manager:admin,reviewer:user,viewer:viewer",
        "one account per role of a centre; passwords are made at the first start",
    ),
    Setting("api", "host", LOOPBACK, "the default listens on all interfaces"),
    Setting("api", "enable_swagger_ui", "False", "that page loads its scripts from a CDN"),
    Setting("api", "instance_name", "Marmor", "the title of the pages"),
    Setting("scheduler", "scheduler_idle_sleep_time", "0.25", "default 1 s is lost per task"),
    Setting(
        "scheduler",
        "task_instance_heartbeat_timeout",
        "60",
        "a killed worker is noticed after one minute instead of five",
    ),
    Setting("workers", "min_heartbeat_interval", "1", "default 5 s keeps a finished slot busy"),
    Setting("dag_processor", "dag_bundle_config_list", BUNDLES, "the project's own dags folder"),
    Setting("dag_processor", "parsing_processes", "1", "there is one DAG file"),
    Setting("dag_processor", "min_file_process_interval", "20", "a new site appears in 20 s"),
    Setting("dag_processor", "refresh_interval", "60", "DAG files change at an upgrade only"),
    Setting("dag_processor", "print_stats_interval", "600", "quiet"),
    Setting("logging", "colored_console_log", "False", "component logs are files"),
    Setting("logging", "uvicorn_logging_level", "WARNING", "quiet"),
    Setting("logging", "namespace_levels", "http.access=WARNING", "quiet: no line per request"),
    Setting("logging", "file_task_handler_new_folder_permissions", "0o700", "owner only"),
    Setting("logging", "file_task_handler_new_file_permissions", "0o600", "owner only"),
)

QUIET_AND_OFFLINE = {
    "NO_COLOR": "1",
    "GX_ANALYTICS_ENABLED": "False",
    "PYTHONWARNINGS": "ignore",  # deprecations inside Airflow's own dependencies
    "NO_PROXY": LOOPBACK,  # workers reach the API server directly, whatever the proxy
    "no_proxy": LOOPBACK,
}


def environment(
    home: Path, marmor_home: Path, port: int, database_url: str | None = None
) -> dict[str, str]:
    """Return the whole environment of the Airflow processes.

    Airflow variables of the caller are dropped, so that what is written here is what runs.
    `PYTHONDONTWRITEBYTECODE` is dropped too: without bytecode each process starts 3 s later.
    """
    inherited = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith("AIRFLOW") and name != "PYTHONDONTWRITEBYTECODE"
    }
    address = f"http://{LOOPBACK}:{port}"
    return {
        **inherited,
        **QUIET_AND_OFFLINE,
        **{setting.variable: setting.value for setting in SETTINGS},
        **secret_values(home),
        "AIRFLOW_HOME": str(home),
        "MARMOR_HOME": str(marmor_home),
        "AIRFLOW__API__PORT": str(port),
        "AIRFLOW__API__BASE_URL": address,
        "AIRFLOW__CORE__EXECUTION_API_SERVER_URL": f"{address}/execution/",
        "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_PASSWORDS_FILE": str(_password_file(home)),
        **_database(home, database_url),
    }


def _database(home: Path, url: str | None) -> dict[str, str]:
    """Return where the metadata is, and for SQLite how long a writer waits for another one."""
    if url:
        return {"AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": url}
    return {
        "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": f"sqlite:///{home}/airflow.db",
        "AIRFLOW__DATABASE__SQL_ALCHEMY_CONNECT_ARGS": "infra.site.sqlite.CONNECT_ARGUMENTS",
        "AIRFLOW__DATABASE__SQL_ALCHEMY_CONNECT_ARGS_ASYNC": "infra.site.sqlite.CONNECT_ARGUMENTS",
    }


def secret_values(home: Path) -> dict[str, str]:
    """Return Airflow's three secrets; make them at the first call, in a file of mode 0400.

    All components must hold the same: with different ones every task fails its authentication.
    """
    path = home / "secrets.json"
    if not path.exists():
        _write_once(path, _new_secrets(), mode=0o400)
    return dict(json.loads(path.read_text(encoding="utf-8")))


def passwords(home: Path) -> dict[str, str]:
    """Return the password of each account; make them at the first call, in a file of mode 0600."""
    path = _password_file(home)
    if not path.exists():
        users = next(s.value for s in SETTINGS if s.key == "simple_auth_manager_users")
        names = [user.split(":")[0] for user in users.split(",")]
        _write_once(path, {name: secrets.token_urlsafe(12) for name in names}, mode=0o600)
    return dict(json.loads(path.read_text(encoding="utf-8")))


def _password_file(home: Path) -> Path:
    """Airflow opens this file for writing, so it cannot be 0400."""
    return home / "passwords.json"


def _new_secrets() -> dict[str, str]:
    """Draw the signing key of tokens, the session key, and the key of stored connections."""
    from cryptography.fernet import Fernet

    return {
        "AIRFLOW__API_AUTH__JWT_SECRET": secrets.token_hex(32),
        "AIRFLOW__API__SECRET_KEY": secrets.token_hex(32),
        "AIRFLOW__CORE__FERNET_KEY": Fernet.generate_key().decode(),
    }


def _write_once(path: Path, content: Mapping[str, str], mode: int) -> None:
    """Create `path` with `mode` from its first byte on; leave it alone when it is there."""
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        json.dump(content, file, indent=1)
