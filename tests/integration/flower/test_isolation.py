"""A real tally needs no network, no other file of its site, and no right of its node's user."""

import json
import os
import shutil
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from .conftest import make_site


REQUEST = {
    "analysis": "crosstab",
    "view": "person",
    "parameters": {"variables": ["gene_group", "ever_fractured"]},
}
PROGRAM = """\
    import json, sys
    from pathlib import Path
    from federated.executor import Executor
    from federated.request import parse_request
    site, user, request = Path(sys.argv[1]), sys.argv[2], json.loads(sys.argv[3])
    walls = {}
    executor = Executor(site / "releases", user=user, note=walls.update)
    blocks = executor(parse_request(request).to_mapping(), {}, "rel-lyon")
    executor.close()
    told = {name: block.values.tolist() for name, block in sorted(blocks.items())}
    print(json.dumps([walls, told]))
"""


def tallied(site: Path, *prefix: str, user: str = "") -> tuple[dict[str, bool], object]:
    """Tally in a process that `prefix` starts; return which walls stood, and the blocks."""
    command = [*prefix, sys.executable, "-c", textwrap.dedent(PROGRAM), str(site), user]
    done = subprocess.run([*command, json.dumps(REQUEST)], capture_output=True, check=True)
    walls, blocks = json.loads(done.stdout)
    return walls, blocks


def test_it_counts_where_there_is_no_network(tmp_path: Path) -> None:
    """`unshare -n` takes even loopback away before anything of ours starts."""
    site = make_site(tmp_path / "lyon", "lyon")
    unshare = [shutil.which("unshare") or "unshare", "-n" if os.geteuid() == 0 else "-rn"]
    if subprocess.run([*unshare, "true"], capture_output=True).returncode != 0:
        pytest.skip("`unshare -n` is not allowed on this machine")
    walls, blocks = tallied(site)
    assert tallied(site, *unshare)[1] == blocks
    assert walls["limits"]


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")
def test_it_counts_as_a_user_who_may_read_nothing_of_the_site(tmp_path: Path) -> None:
    site = make_site(tmp_path / "lyon", "lyon")
    tmp_path.chmod(0o700)
    walls, blocks = tallied(site, user="nobody")
    assert walls["user"]
    assert blocks == tallied(site)[1]
