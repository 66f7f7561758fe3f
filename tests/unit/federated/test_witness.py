"""Who remembers a ledger's head finds what its chain cannot show: a cut tail, a ledger anew."""

import json
import shutil
from dataclasses import asdict
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from federated.agreement import ProtocolError
from federated.ledger import Head, Ledger
from federated.policy import CONSORTIUM
from federated.roster import Roster
from federated.site import SiteParty
from federated.witness import Note, genuine_head, sign_head
from tests.unit.federated.test_query import RATE, SITES, World, compute
from transforms.errors import ConsortiumError


KEY = Ed25519PrivateKey.from_private_bytes(b"k" * 32)
ROSTER = Roster({"lyon": KEY.public_key().public_bytes_raw()})


def restart(world: World, site: str) -> None:
    """Let a site's process begin anew, with what is on its disk."""
    old = world.sites[site]
    world.sites[site] = SiteParty(
        site,
        old._identity,
        world.roster,
        CONSORTIUM,
        world.folder / site / "ledger",
        compute,
        lambda: world.releases[site],
    )


def test_a_head_is_believed_only_under_its_sites_signature() -> None:
    head = sign_head("lyon", KEY, 3, "f" * 64)
    assert genuine_head("lyon", asdict(head), ROSTER) == head
    for change in ({"entries": 4}, {"hash": "0" * 64}, {"signature": "00" * 64}, {"entries": "3"}):
        assert genuine_head("lyon", {**asdict(head), **change}, ROSTER) is None
    assert genuine_head("ulm", asdict(head), ROSTER) is None
    for noise in (None, {}, "x", {"entries": 1}):
        assert genuine_head("lyon", noise, ROSTER) is None


def test_a_note_survives_the_way_and_noise_is_refused() -> None:
    note = Note(Head(2, "a" * 64, "00"), (("q" * 64, ("lyon", "ulm")),))
    assert Note.unpack(note.pack()) == note
    for noise in (b"", b"[]", b"{}", b'{"answered": [1], "head": {}}', b"[" * 100_000):
        with pytest.raises(ProtocolError, match="malformed_note"):
            Note.unpack(noise)


def test_every_ledger_is_witness_of_the_others(tmp_path: Path) -> None:
    world = World(tmp_path)
    world.run()
    lyon = Ledger(tmp_path / "lyon" / "ledger")
    assert set(lyon.heads()) == {*SITES, "coordinator"} - {"lyon"}
    kept = Ledger(tmp_path / "state" / "ledger").heads()
    assert kept["lyon"]["hash"] == lyon.head().hash  # it holds the very last unmasking


@pytest.mark.parametrize("loss", ["tail", "all", "rewritten"])
def test_a_site_whose_ledger_lacks_what_it_signed_answers_nothing(
    tmp_path: Path, loss: str
) -> None:
    world = World(tmp_path)
    world.run()
    path = tmp_path / "lyon" / "ledger" / "ledger.jsonl"
    if loss == "rewritten":  # a chain that is whole in itself
        spent = json.loads(path.read_bytes().splitlines()[0])["body"]
        path.unlink()
        Ledger(path.parent).append("spent", {**spent, "question": "0" * 64})
    else:
        path.write_bytes(b"")
        if loss == "all":
            shutil.rmtree(path.parent)
    restart(world, "lyon")
    assert world.run(RATE).provenance["failed"] == {"ledger_broken": 1}
    # What the others told is kept beside the ledger, for `marmor site ledger verify`.
    ledger = Ledger(tmp_path / "lyon" / "ledger")
    witnessed = ledger.witnessed()
    assert witnessed is not None
    assert not ledger.holds(witnessed)


def test_a_coordinator_notices_a_ledger_that_fell_behind(tmp_path: Path) -> None:
    """A site that does not look at its own past is left out all the same."""
    world = World(tmp_path)
    world.run()
    (tmp_path / "lyon" / "ledger" / "ledger.jsonl").unlink()
    restart(world, "lyon")
    memory = world.sites["lyon"]._memory
    memory.check_witnessed = lambda heads, roster: None  # type: ignore[method-assign]
    assert world.run(RATE).provenance["failed"] == {"ledger_broken": 1}


def test_a_coordinator_cannot_invent_a_head(tmp_path: Path) -> None:
    world = World(tmp_path)
    world.run()
    lie = {"entries": 99, "hash": "f" * 64, "signature": "00" * 64}
    reply = world.sites["lyon"].handle(world.open(heads={"lyon": lie}))
    assert type(reply).__name__ == "Announced"


def test_a_head_is_of_this_ledger_or_not(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path)
    assert ledger.holds(Head(0, "0" * 64))
    ledger.append("asked", {"question": "q"})
    first = ledger.head()
    ledger.append("asked", {"question": "r"})
    assert ledger.holds(first)
    assert ledger.holds(ledger.head())
    assert not ledger.holds(Head(2, first.hash))
    assert not ledger.holds(Head(3, first.hash))
    with pytest.raises(ConsortiumError, match="saw it with 5 entries"):
        ledger.check_witness(Head(5, "f" * 64))
    assert ledger.witnessed() == Head(5, "f" * 64)
