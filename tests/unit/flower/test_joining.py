"""A site elsewhere is enrolled by two files, and nothing is trusted that nobody compared."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from federated.flower.layout import load_membership
from federated.roster import load_roster
from infra import consortium
from infra.cli import app
from transforms.errors import ConsortiumError
from transforms.site import Site, create_site


def make_site(folder: Path, name: str) -> Site:
    return create_site(folder / name, site_id=name, name=name, country="IL", language="he")


@pytest.fixture
def place(tmp_path: Path) -> Path:
    consortium.init(tmp_path / "c", host="localhost", port=8443)
    return tmp_path / "c"


def test_two_files_and_two_telephone_calls_enroll_a_site(place: Path, tmp_path: Path) -> None:
    haifa, lyon = make_site(tmp_path / "far", "haifa"), make_site(tmp_path, "lyon")
    consortium.enroll(place, [lyon.folder])
    asked, read_aloud = consortium.request(haifa)
    assert consortium.admit(place, asked) == ("haifa", read_aloud)
    answer, mark = consortium.signed_roster(place)
    assert consortium.review(haifa, answer).fingerprint == mark
    assert not (haifa.keys / "federation.toml").exists()
    for site in (haifa, lyon):
        consortium.join(site, answer, mark)
        membership = load_membership(site.keys)
        assert membership.roster == load_roster(place / "roster.toml")
        assert membership.gateway == "localhost:8443"
        assert membership.ca == (place / "certificates/ca.pem").read_bytes()
    assert b"PRIVATE" not in asked + answer
    for secret in (*haifa.keys.glob("*.key"), *haifa.keys.glob("*.pem")):
        assert secret.read_bytes() not in asked + answer or secret.name == "ca.pem"


def test_the_commands_do_the_same(
    place: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    site = make_site(tmp_path / "far", "haifa").folder
    monkeypatch.chdir(tmp_path)

    def run(*arguments: object) -> dict[str, object]:
        done = CliRunner().invoke(app, [*map(str, arguments), "--json"])
        assert done.exit_code == 0, (done.output, done.exception)
        return dict(json.loads(done.output))

    asked = run("site", "request", site, "--to", "haifa.toml")
    assert run("consortium", "admit", place, "haifa.toml") == {"haifa": asked["fingerprint"]}
    mark = run("consortium", "roster", place, "--to", "roster.toml")["fingerprint"]
    seen = run("site", "join", site, "roster.toml")
    assert (seen["pinned"], seen["fingerprint"]) == (False, mark)
    assert not (site / "keys/federation.toml").exists()
    assert run("site", "join", site, "roster.toml", "--fingerprint", mark)["pinned"] is True
    assert set(load_membership(site / "keys").roster.sites) == {"haifa"}


def flipped(content: bytes, at: int) -> bytes:
    return content[:at] + bytes([content[at] ^ 1]) + content[at + 1 :]


def test_a_changed_file_is_not_taken(place: Path, tmp_path: Path) -> None:
    haifa = make_site(tmp_path, "haifa")
    asked, _ = consortium.request(haifa)
    consortium.admit(place, asked)
    answer, mark = consortium.signed_roster(place)
    for content, take in (
        (asked, lambda changed: consortium.admit(place, changed)),
        (answer, lambda changed: consortium.join(haifa, changed, mark)),
    ):
        start = content.index(b" = ")  # comments before it tell nothing
        for at in range(start, len(content) - 1, 7):
            with pytest.raises(ConsortiumError):
                take(flipped(content, at))
    assert set(load_roster(place / "roster.toml").sites) == {"haifa"}
    assert not (haifa.keys / "federation.toml").exists()


def test_what_nobody_compared_is_not_pinned(place: Path, tmp_path: Path) -> None:
    haifa = make_site(tmp_path, "haifa")
    consortium.admit(place, consortium.request(haifa)[0])
    old, compared = consortium.signed_roster(place)
    consortium.admit(place, consortium.request(make_site(tmp_path, "ulm"))[0])
    new, mark = consortium.signed_roster(place)
    with pytest.raises(ConsortiumError, match="another file than the one that was compared"):
        consortium.join(haifa, new, compared)
    consortium.join(haifa, new, mark)
    with pytest.raises(ConsortiumError, match="older than the one this site has pinned"):
        consortium.join(haifa, old, compared)


def test_another_operator_is_not_believed(place: Path, tmp_path: Path) -> None:
    haifa = make_site(tmp_path, "haifa")
    asked, _ = consortium.request(haifa)
    consortium.admit(place, asked)
    consortium.join(haifa, *consortium.signed_roster(place))
    consortium.init(tmp_path / "false", port=1)
    consortium.admit(tmp_path / "false", asked)
    with pytest.raises(ConsortiumError, match="another operator"):
        consortium.join(haifa, *consortium.signed_roster(tmp_path / "false"))


def test_a_key_is_exchanged_only_on_purpose(place: Path, tmp_path: Path) -> None:
    first, second = (make_site(tmp_path / name, "haifa") for name in ("a", "b"))
    consortium.admit(place, consortium.request(first)[0])
    with pytest.raises(ConsortiumError, match="has another key on the roster"):
        consortium.admit(place, consortium.request(second)[0])
    with pytest.raises(ConsortiumError, match="not on the roster as haifa"):
        consortium.review(second, consortium.signed_roster(place)[0])
    consortium.admit(place, consortium.request(second)[0], replace=True)
    consortium.join(second, *consortium.signed_roster(place))
