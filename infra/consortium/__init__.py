"""Setting up and running a consortium: certificates, keys, roster, tokens, processes.

    init(folder, host, port)      an operator's folder with its own CA and a first analyst's token
    enroll(folder, sites)         keys for sites, their entries in the roster, the pinned copies
    request, admit, signed_roster, join   the same for a site elsewhere, by two files
    remove(folder, site)          a site off the roster, its node key taken back
    add_analyst(folder, name)     another token; remove_analyst takes it back
    start / stop / status         the gateway process
    start_node / stop_node        a site's node process

Works in either environment: the processes run in the federation environment, nothing here imports
Flower.
"""

from infra.consortium.enrollment import (
    add_analyst,
    enroll,
    init,
    read_token,
    remove,
    remove_analyst,
    renew,
)
from infra.consortium.joining import admit, join, request, review, signed_roster
from infra.consortium.service import (
    Status,
    node_walls,
    start,
    start_node,
    status,
    stop,
    stop_node,
)


__all__ = [
    "Status",
    "add_analyst",
    "admit",
    "enroll",
    "init",
    "join",
    "node_walls",
    "read_token",
    "remove",
    "remove_analyst",
    "renew",
    "request",
    "review",
    "signed_roster",
    "start",
    "start_node",
    "status",
    "stop",
    "stop_node",
]
