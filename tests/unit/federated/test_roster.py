"""The roster file."""

from pathlib import Path

import pytest

from federated.roster import Roster, fingerprint, load_roster, parse_roster, write_roster
from transforms.errors import ConsortiumError


ROSTER = Roster({"ulm": b"\x01" * 32, "lyon": b"\x02" * 32})


def test_a_roster_survives_the_file_whatever_its_order(tmp_path: Path) -> None:
    path = tmp_path / "roster.toml"
    write_roster(path, ROSTER)
    found = load_roster(path)
    assert dict(found.sites) == dict(ROSTER.sites)
    assert found.digest == ROSTER.digest == Roster(dict(reversed(ROSTER.sites.items()))).digest


def test_another_key_is_another_roster() -> None:
    assert Roster({**ROSTER.sites, "ulm": b"\x03" * 32}).digest != ROSTER.digest


def test_a_fingerprint_is_in_groups_of_four() -> None:
    groups = fingerprint(b"\x01" * 32).split()
    assert len(groups) == 8
    assert all(len(group) == 4 for group in groups)


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("version = 1\n[sites]\nulm = 'xyz'", "key of ulm must be 64 hexadecimal digits"),
        ("version = 1\n[sites]\nulm = 3", "key of ulm must be 64 hexadecimal digits"),
        ("version = 2\n[sites]", "expected version = 1"),
        ("version = 1\nmore = 1\n[sites]", "expected version = 1"),
        ("version =", "not a TOML file"),
        (f"version = 1\n[sites]\na = '{'0' * 64}'\nb = '{'0' * 64}'", "have the same key"),
    ],
)
def test_what_is_wrong_is_said(text: str, problem: str) -> None:
    with pytest.raises(ConsortiumError, match=problem):
        parse_roster(text)


def test_a_missing_roster_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(ConsortiumError, match="enroll the sites first"):
        load_roster(tmp_path / "roster.toml")
