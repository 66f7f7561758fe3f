"""The policy: profiles, files, thresholds that split no bin, and that nobody can relax a rule."""

from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from federated.policy import (
    CONSORTIUM,
    EXACT,
    LAXEST,
    PUBLIC,
    Policy,
    load_policy,
    parse_policy,
    site_policy,
    strictest,
)
from transforms.errors import RefusedError


def test_the_defaults_are_the_consortium_profile() -> None:
    assert parse_policy({}) == CONSORTIUM
    assert (CONSORTIUM.grid, CONSORTIUM.min_denominator, CONSORTIUM.min_sites) == (6, 10, 3)
    assert parse_policy({"profile": "public"}) == PUBLIC
    assert (PUBLIC.grid, PUBLIC.min_denominator, PUBLIC.max_dimensions) == (10, 20, 2)


def test_a_digest_names_the_numbers() -> None:
    assert parse_policy({"grid": 6}).digest == CONSORTIUM.digest
    assert parse_policy({"min_step_events": 7}).digest != CONSORTIUM.digest


@pytest.mark.parametrize(
    ("grid", "threshold", "acts"),
    # Bins of 6 begin at 1, 7, 13, 19, 25; bins of 10 at 1, 11, 21, 31; exact ones at every number.
    # In bins of 10, the start in bins of 6 comes first: 10 is 13 there, and 21 the next start.
    [(6, 10, 13), (6, 7, 7), (6, 13, 13), (6, 20, 25), (10, 10, 21), (10, 20, 31), (1, 10, 10)],
)
def test_a_threshold_acts_from_the_next_start_of_a_bin(
    grid: int, threshold: int, acts: int
) -> None:
    assert Policy(grid=grid).least(threshold) == acts


def test_a_file_may_be_stricter(tmp_path: Path) -> None:
    path = tmp_path / "policy.toml"
    assert load_policy(path) == CONSORTIUM
    path.write_text("grid = 10\n")
    assert load_policy(path).grid == 10


def test_a_wider_grid_never_lowers_a_threshold() -> None:
    for threshold in range(1, 300):
        assert Policy(grid=10).least(threshold) >= Policy(grid=6).least(threshold) >= threshold


def test_grids_that_do_not_exist_are_refused() -> None:
    for grid in (1, 5, 7, 8, 12):
        with pytest.raises(RefusedError, match="grid must be one of 6, 10"):
            parse_policy({"grid": grid, "min_denominator": 50})


def test_a_sites_policy_stands_in_its_site_toml(tmp_path: Path) -> None:
    assert site_policy(tmp_path) == CONSORTIUM
    site = tmp_path / "site.toml"
    site.write_text('id = "lyon"\n[policy]\nprofile = "public"\nmax_cells = 50\n')
    assert site_policy(tmp_path) == replace(PUBLIC, max_cells=50)
    site.write_text("[policy]\nmax_cells = 201\n")
    with pytest.raises(RefusedError, match=r"site\.toml: \[policy\]: max_cells may not be laxer"):
        site_policy(tmp_path)
    site.write_text("policy = 3\n")
    with pytest.raises(RefusedError, match="must be a table"):
        site_policy(tmp_path)


def test_a_policy_file_that_nobody_would_read_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "policy.toml").write_text("max_cells = 50\n")
    with pytest.raises(RefusedError, match=r"move the lines of policy\.toml"):
        site_policy(tmp_path)


def test_every_problem_is_listed() -> None:
    with pytest.raises(RefusedError) as caught:
        parse_policy({"profile": "lax", "gird": 6, "grid": True, "min_sites": "3"}, "site.toml")
    lines = str(caught.value).splitlines()
    assert lines[0] == "site.toml: profile must be one of consortium, public"
    assert lines[1].startswith("site.toml: unknown rule gird; there are profile, digits, grid")
    assert lines[2:] == [
        "site.toml: grid must be a whole number",
        "site.toml: min_sites must be a whole number",
    ]


@pytest.mark.parametrize("name", [n for n in CONSORTIUM.canonical() if n != "grid"])
def test_no_rule_can_be_relaxed(name: str) -> None:
    floor = LAXEST.canonical()[name]
    smaller_is_stricter = name.startswith("max_") or name == "digits"
    lax = floor + 1 if smaller_is_stricter else floor - 1
    with pytest.raises(RefusedError, match=f"{name} may not be laxer than"):
        parse_policy({name: lax})


def test_laxer_names_the_rules() -> None:
    assert Policy(min_denominator=5, max_cells=300).laxer_than(CONSORTIUM) == (
        "max_cells",
        "min_denominator",
    )
    assert CONSORTIUM.laxer_than(Policy(grid=5)) == ()
    assert CONSORTIUM.laxer_than(PUBLIC) != ()
    assert PUBLIC.laxer_than(CONSORTIUM) == ()


def test_a_policy_knows_its_profile() -> None:
    assert (CONSORTIUM.profile, CONSORTIUM.stricter_in) == ("consortium", ())
    assert (PUBLIC.profile, PUBLIC.stricter_in) == ("public", ())
    assert replace(PUBLIC, max_cells=50).stricter_in == ("max_cells",)
    almost = replace(PUBLIC, max_dimensions=3)
    assert almost.profile == "consortium"
    assert "grid" in almost.stricter_in
    assert EXACT.profile == "exact"


POLICIES = st.builds(
    Policy,
    grid=st.sampled_from([6, 10]),
    min_denominator=st.integers(10, 40),
    min_at_risk=st.integers(10, 40),
    min_step_events=st.integers(6, 12),
    max_cells=st.integers(10, 200),
)


@given(POLICIES, POLICIES, POLICIES)
def test_the_strictest_is_too_lax_for_nobody_whatever_their_order(
    one: Policy, two: Policy, three: Policy
) -> None:
    merged = strictest(one, two, three)
    assert all(merged.laxer_than(policy) == () for policy in (one, two, three))
    assert strictest(three, one, two) == merged
    assert strictest(one) == one


def test_the_exact_policy_cannot_be_written_in_a_file() -> None:
    with pytest.raises(RefusedError):
        parse_policy(dict(EXACT.canonical()))


def test_a_broken_file_is_named(tmp_path: Path) -> None:
    path = tmp_path / "policy.toml"
    path.write_text("grid =", encoding="utf-8")
    with pytest.raises(RefusedError, match=r"policy\.toml: not a TOML file"):
        load_policy(path)
