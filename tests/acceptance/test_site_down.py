"""A consortium set up by hand: a question is answered, a site goes down, the answer says so."""

import json
import shutil
import socket
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

import infra.consortium
from infra.demo.run import REQUESTS
from tests.acceptance.conftest import Typed


Marmor = Callable[..., Typed]
SITES = ("leiden", "lyon", "odense", "torino", "ulm")


@pytest.fixture
def home(published_consortium: Path, tmp_path: Path) -> Iterator[Path]:
    """Five published centres and a consortium's folder; whatever runs is stopped at the end."""
    for site in SITES:
        shutil.copytree(published_consortium / site, tmp_path / site)
    yield tmp_path
    for site in SITES:
        infra.consortium.stop_node(tmp_path / site)
    infra.consortium.stop(tmp_path / "consortium")


def free_port() -> int:
    """Return a loopback port that nothing listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def test_a_site_that_is_down(marmor: Marmor, home: Path) -> None:
    consortium = home / "consortium"
    variables = {"MARMOR_HOME": str(home)}
    nodes = [word for site in SITES for word in ("--site", site)]
    for arguments in (
        ("init", consortium, "--port", free_port()),
        ("enroll", consortium, *SITES),
        ("start", consortium, *nodes),
    ):
        typed = marmor("consortium", *arguments, **variables)
        assert typed.code == 0, typed.err

    variables |= {
        "MARMOR_GATEWAY": json.loads(
            marmor("consortium", "status", consortium, "--json", **variables).out
        )["url"],
        "MARMOR_TOKEN": str(consortium / "tokens" / "analyst.token"),
        "MARMOR_CA": str(consortium / "certificates" / "ca.pem"),
    }
    wait_online(marmor, consortium, 5, variables)
    answered = marmor("query", "run", REQUESTS / "crosstab.toml", "--json", **variables)
    assert answered.code == 0, answered.err
    assert sorted(json.loads(answered.out)["provenance"]["releases"]) == sorted(SITES)

    assert marmor("site", "disconnect", "leiden", **variables).code == 0
    refused = marmor("query", "run", REQUESTS / "rate.toml", **variables)
    assert refused.code == 22, refused.err or refused.out
    assert "Traceback" not in refused.err
    assert "4" in refused.err
    assert "5" in refused.err

    fewer = home / "fewer.toml"
    fewer.write_text(
        (REQUESTS / "rate.toml").read_text().replace("minimum_sites = 5", "minimum_sites = 3")
    )
    partial = marmor("query", "run", fewer, "--json", **variables)
    assert partial.code == 0, partial.err
    provenance = json.loads(partial.out)["provenance"]
    assert provenance["absent"] == {"offline": 1}
    assert len(provenance["releases"]) == 4
    assert len(json.loads(marmor("query", "list", "--json", **variables).out)) == 2


def wait_online(marmor: Marmor, consortium: Path, count: int, variables: dict[str, str]) -> None:
    """Wait until `count` nodes are connected."""
    for _ in range(30):
        typed = marmor("consortium", "status", consortium, "--json", **variables)
        states = json.loads(typed.out)["sites"]
        if sum(state == "online" for state in states.values()) == count:
            return
    raise AssertionError(f"not online: {states}")


def test_a_gateway_that_does_not_answer(marmor: Marmor, tmp_path: Path) -> None:
    token = tmp_path / "token"
    token.write_text("x")
    infra.consortium.init(tmp_path / "consortium", port=free_port())
    typed = marmor(
        *("query", "run", REQUESTS / "crosstab.toml"),
        *("--gateway", f"https://127.0.0.1:{free_port()}", "--token", token),
        *("--ca", tmp_path / "consortium" / "certificates" / "ca.pem"),
    )
    assert typed.code == 23
    assert "marmor consortium start" in typed.err
