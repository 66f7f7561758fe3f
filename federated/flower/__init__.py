"""Thin adapters between the federated protocol and Flower: the only place that imports `flwr`.

Whoever imports anything of Flower here has imported this file first, so Flower's contacts to the
outside are switched off here: telemetry, update check, package installation, its app hub.
"""

import os


OFFLINE = {
    "FLWR_TELEMETRY_ENABLED": "0",
    "FLWR_DISABLE_UPDATE_CHECK": "1",
    "FLWR_DISABLE_RUNTIME_DEPENDENCY_INSTALLATION": "1",
    "FLWR_SUPERGRID_API_URL": "https://127.0.0.1:9",  # nobody listens on the discard port
}

os.environ.update(OFFLINE)
