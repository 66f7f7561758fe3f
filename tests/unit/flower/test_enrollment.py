"""Keys are private, the roster is pinned, the token's file holds no token."""

import json
from pathlib import Path

import pytest

from federated.flower.layout import load_consortium, load_membership
from federated.flower.tokens import TokenFile, load_tokens
from infra import consortium
from transforms.errors import ConsortiumError, SetupError
from transforms.site import create_site


def make_sites(folder: Path, *names: str) -> list[Path]:
    for name in names:
        create_site(folder / name, site_id=name, name=name, country="DE", language="de")
    return [folder / name for name in names]


def test_enrolled_sites_have_the_same_roster_and_private_keys(tmp_path: Path) -> None:
    consortium.init(tmp_path / "c", port=1)
    sites = make_sites(tmp_path, "lyon", "ulm")
    roster = consortium.enroll(tmp_path / "c", sites)
    for site in sites:
        membership = load_membership(site / "keys")
        assert membership.roster == roster
        for secret in ("node.key", "identity.pem"):
            assert (site / "keys" / secret).stat().st_mode & 0o777 == 0o400
    assert (tmp_path / "c/certificates/ca.key").stat().st_mode & 0o777 == 0o400


def test_enrolling_again_keeps_keys(tmp_path: Path) -> None:
    consortium.init(tmp_path / "c", port=1)
    first = consortium.enroll(tmp_path / "c", make_sites(tmp_path, "lyon"))
    both = consortium.enroll(tmp_path / "c", [tmp_path / "lyon", *make_sites(tmp_path, "ulm")])
    assert both.sites["lyon"] == first.sites["lyon"]
    assert set(both.sites) == {"lyon", "ulm"}


def test_a_changed_roster_is_not_taken(tmp_path: Path) -> None:
    consortium.init(tmp_path / "c", port=1)
    (site,) = make_sites(tmp_path, "lyon")
    consortium.enroll(tmp_path / "c", [site])
    consortium.enroll(tmp_path / "c", make_sites(tmp_path, "ulm"))
    (site / "keys/roster.toml").write_bytes((tmp_path / "c/roster.toml").read_bytes())
    with pytest.raises(ConsortiumError, match="not the roster that this site has pinned"):
        load_membership(site / "keys")


def test_a_key_that_others_can_read_is_not_used(tmp_path: Path) -> None:
    consortium.init(tmp_path / "c", port=1)
    (site,) = make_sites(tmp_path, "lyon")
    consortium.enroll(tmp_path / "c", [site])
    (site / "keys/node.key").chmod(0o444)
    with pytest.raises(ConsortiumError, match="chmod 400"):
        load_membership(site / "keys")


def test_a_site_that_is_not_enrolled_is_told_so(tmp_path: Path) -> None:
    (site,) = make_sites(tmp_path, "lyon")
    with pytest.raises(ConsortiumError, match="enroll this site"):
        load_membership(site / "keys")


def test_tokens_are_kept_as_hashes(tmp_path: Path) -> None:
    place = consortium.init(tmp_path, port=1)
    token = consortium.read_token(tmp_path)
    assert token not in place.tokens.read_text()
    person = load_tokens(place.tokens).person(token)
    assert person is not None
    assert person.name == "analyst"
    assert load_tokens(place.tokens).person(token[:-1]) is None


def test_a_token_is_known_and_taken_back_without_a_restart(tmp_path: Path) -> None:
    place = consortium.init(tmp_path, port=1)
    tokens = TokenFile(place.tokens)
    consortium.add_analyst(tmp_path, "maria")
    token = consortium.read_token(tmp_path, "maria")
    person = tokens.person(token)
    assert person is not None
    assert person.name == "maria"
    consortium.remove_analyst(tmp_path, "maria")
    assert tokens.person(token) is None
    assert not (tmp_path / "tokens" / "maria.token").exists()
    with pytest.raises(ConsortiumError, match="known are analyst"):
        consortium.remove_analyst(tmp_path, "maria")


def test_nobody_gets_in_while_the_file_of_tokens_is_malformed(tmp_path: Path) -> None:
    place = consortium.init(tmp_path, port=1)
    tokens = TokenFile(place.tokens)
    place.tokens.write_text("{")
    with pytest.raises(ConsortiumError, match="not a file of analyst tokens"):
        tokens.person(consortium.read_token(tmp_path))


@pytest.mark.parametrize("name", ["../x", "A", "", "a/b"])
def test_names_of_analysts_are_safe(tmp_path: Path, name: str) -> None:
    place = consortium.init(tmp_path, port=1)
    with pytest.raises(ConsortiumError):
        consortium.add_analyst(tmp_path, name)
    data = json.loads(place.tokens.read_text())
    place.tokens.write_text(json.dumps({**data, name: data["analyst"]}))
    with pytest.raises(ConsortiumError):
        load_tokens(place.tokens)


def test_a_second_init_changes_nothing(tmp_path: Path) -> None:
    consortium.init(tmp_path, port=1)
    before = (tmp_path / "certificates/ca.pem").read_bytes()
    with pytest.raises(SetupError, match="already"):
        consortium.init(tmp_path, port=2)
    assert (tmp_path / "certificates/ca.pem").read_bytes() == before


@pytest.mark.parametrize("text", ["", "host = 1", 'host = "h"\nport = 0', "not toml ["])
def test_a_broken_consortium_file_is_named(tmp_path: Path, text: str) -> None:
    (tmp_path / "consortium.toml").write_text(text)
    with pytest.raises(ConsortiumError, match=r"consortium\.toml"):
        load_consortium(tmp_path)
