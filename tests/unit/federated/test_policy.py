"""The policy: defaults, files, and that nobody can relax it below its floors."""

from pathlib import Path

import pytest

from federated.policy import CONSORTIUM, EXACT, FLOORS, Policy, load_policy, parse_policy
from transforms.errors import RefusedError


def test_the_defaults_are_the_consortium_profile() -> None:
    assert parse_policy({}) == CONSORTIUM
    assert (CONSORTIUM.grid, CONSORTIUM.min_denominator, CONSORTIUM.min_sites) == (6, 10, 3)


def test_a_digest_names_the_numbers() -> None:
    assert parse_policy({"grid": 6}).digest == CONSORTIUM.digest
    assert parse_policy({"grid": 7}).digest != CONSORTIUM.digest


def test_a_file_may_be_stricter(tmp_path: Path) -> None:
    path = tmp_path / "policy.toml"
    assert load_policy(path) == CONSORTIUM
    path.write_text("grid = 10\nmin_denominator = 20\n", encoding="utf-8")
    assert load_policy(path) == Policy(grid=10, min_denominator=20)


def test_every_problem_is_listed() -> None:
    with pytest.raises(RefusedError) as caught:
        parse_policy({"gird": 6, "grid": True, "min_sites": "3"}, "site.toml")
    assert str(caught.value).splitlines() == [
        "site.toml: unknown rule gird",
        "site.toml: grid must be a int",
        "site.toml: min_sites must be a int",
    ]


@pytest.mark.parametrize("name", list(CONSORTIUM.canonical()))
def test_no_rule_can_be_relaxed_below_its_floor(name: str) -> None:
    floor = int(FLOORS.canonical()[name])
    is_ceiling = CONSORTIUM.laxer_than(Policy(**{name: 0})) == (name,)
    lax = floor + 1 if is_ceiling else floor - 1
    with pytest.raises(RefusedError, match=f"{name} may not be laxer than"):
        parse_policy({name: lax})


def test_laxer_names_the_rules() -> None:
    assert Policy(grid=5, max_cells=300).laxer_than(CONSORTIUM) == ("grid", "max_cells")
    assert CONSORTIUM.laxer_than(Policy(grid=5)) == ()


def test_the_exact_policy_cannot_be_written_in_a_file() -> None:
    with pytest.raises(RefusedError):
        parse_policy(dict(EXACT.canonical()))


def test_a_broken_file_is_named(tmp_path: Path) -> None:
    path = tmp_path / "policy.toml"
    path.write_text("grid =", encoding="utf-8")
    with pytest.raises(RefusedError, match=r"policy\.toml: not a TOML file"):
        load_policy(path)
