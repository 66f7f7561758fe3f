"""Whatever breaks at a site, a code crosses the wire, and the log has where under its reference."""

import logging
from collections.abc import Callable
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from federated import executor, ledger, site
from federated.executor import ExecutorError
from federated.messages import (
    Contribute,
    Failed,
    Hello,
    Open,
    Preflight,
    Refused,
    decode,
    encode,
)
from federated.policy import load_policy
from federated.roster import Roster
from federated.site import SiteParty
from transforms.dictionary import DICTIONARY


SECRET = "Could not convert 'Jeanne Dupont, 4711'"
REQUEST = {
    "analysis": "crosstab",
    "view": "person",
    "parameters": {"variables": ["gene_group", "ever_fractured"]},
    "minimum_sites": 3,
}


def fail(*_: object, **__: object) -> None:
    raise ValueError(SECRET)


def make_party(folder: Path, compute: Callable[..., object] = fail) -> SiteParty:
    key = Ed25519PrivateKey.generate()
    roster = Roster({"lyon": key.public_key().public_bytes_raw()})
    return SiteParty(
        "lyon",
        key,
        roster,
        load_policy(folder / "none.toml"),
        folder / "ledger",
        compute,  # type: ignore[arg-type]
        lambda: "rel-lyon",
    )


def asked(party: SiteParty, kind: type) -> object:
    """Send an Open or a Preflight as it comes from the wire; return what goes back, decoded."""
    policy = dict(party._policy.canonical())
    values = (REQUEST, policy, party._roster.digest, DICTIONARY.version)
    message = kind("0" * 32, *values) if kind is Open else kind(*values)
    wire = party.handle_bytes(encode(message))
    assert SECRET.encode() not in wire
    assert b"Dupont" not in wire
    return decode(wire)


@pytest.mark.parametrize("kind", [Open, Preflight])
@pytest.mark.parametrize(
    ("owner", "name"),
    [
        (site, "parse_request"),
        (site, "table_problems"),
        (site.SiteParty, "_accepted"),
        (site.SiteParty, "_check_standing"),
        (ledger.Ledger, "check_budget"),
    ],
)
def test_a_fault_anywhere_becomes_a_code(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    kind: type,
    owner: object,
    name: str,
) -> None:
    party = make_party(tmp_path)
    monkeypatch.setattr(owner, name, fail)
    reply = asked(party, kind)
    assert isinstance(reply, Failed)
    assert reply.code == "internal"
    (line,) = [record.getMessage() for record in caplog.records]
    assert line.startswith(f"{reply.reference} internal: ValueError < fail:")
    assert "Dupont" not in caplog.text


def test_a_message_that_is_none_has_a_reference_too(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    reply = decode(make_party(tmp_path).handle_bytes(b"MRM1 Jeanne Dupont"))
    assert isinstance(reply, Failed)
    assert reply.code == "garbled"
    assert f"{reply.reference} garbled: MessageError" in caplog.text
    assert "Dupont" not in caplog.text


def test_a_refusal_is_a_line_of_the_log(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    party = make_party(tmp_path)
    with caplog.at_level(logging.WARNING):
        assert asked_of_another_roster(party) == Refused("roster_differs")
        assert decode(party.handle_bytes(encode(Contribute("1" * 32, {})))) == Refused(
            "unknown_session"
        )
    assert "refused Preflight: roster_differs" in caplog.text
    assert "refused Contribute: unknown_session" in caplog.text
    assert not isinstance(party.handle(Hello()), Refused)


def asked_of_another_roster(party: SiteParty) -> object:
    values = (REQUEST, dict(party._policy.canonical()), "f" * 64, DICTIONARY.version)
    return decode(party.handle_bytes(encode(Preflight(*values))))


def test_what_the_executor_says_of_a_failure_stands_under_the_reference(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    failure = ExecutorError("view_changed", ("FrameError", "frame.py:1:parse_view"))
    reply = make_party(tmp_path)._failed(failure, failure.code)
    assert f"{reply.reference} view_changed: ExecutorError < FrameError < frame.py" in caplog.text


def test_walls_that_a_kernel_cannot_give_are_told(caplog: pytest.LogCaptureFixture) -> None:
    walls = {"network": False, "files": True, "limits": True, "user": False}
    with caplog.at_level(logging.INFO):
        executor._log_walls(7, walls)
    assert "executor 7: walls stand: files, limits" in caplog.text
    assert "executor 7: this kernel does not wall off its network" in caplog.text
    assert "its files" not in caplog.text
