"""Preflight: every rule that would stand against a question, before anything is computed."""

import dataclasses
from collections.abc import Mapping
from pathlib import Path

import pytest

from federated.coordinator import AskSites
from federated.ledger import Ledger, Spending
from federated.messages import Absent, Message, Refused, Reply
from federated.policy import CONSORTIUM, PUBLIC, Policy
from federated.preflight import Report, preflight
from federated.rehearsal import in_process, parties
from federated.request import Request, parse_request
from federated.roster import Roster
from federated.site import SiteParty
from federated.statistics import Blocks, Broadcast


TABLE = parse_request(
    {"analysis": "crosstab", "view": "person", "parameters": {"variables": ["died"]}}
)
SITES = ("lyon", "odense", "ulm")


def nothing(request: Mapping[str, object], broadcast: Broadcast, release: str) -> Blocks:
    """Fail the test: a preflight computes nothing."""
    raise AssertionError("a preflight must not touch a release")


def consortium(folder: Path, policy: Policy = CONSORTIUM) -> tuple[Roster, dict[str, SiteParty]]:
    releases = {site: f"rel-{site}" for site in SITES}
    roster, sites = parties(dict.fromkeys(SITES, nothing), releases, policy, folder)
    return roster, dict(sites)


def asked(
    roster: Roster,
    ask: AskSites,
    request: Request = TABLE,
    policy: Policy = CONSORTIUM,
) -> Report:
    return preflight(request, roster=roster, policy=policy, ask=ask)


def test_a_question_that_all_would_answer_is_allowed(tmp_path: Path) -> None:
    roster, sites = consortium(tmp_path)
    report = asked(roster, in_process(sites))
    assert report.answerable
    assert {item.kind for item in report.sites.values()} == {"allowed"}
    for site in SITES:
        assert Ledger(tmp_path / site / "ledger").entries() == ()


def test_a_site_that_cannot_and_an_absent_one_are_told_apart(tmp_path: Path) -> None:
    roster, sites = consortium(tmp_path)
    sites["lyon"]._release_id = lambda: None
    carry = in_process(sites)

    def ask(messages: Mapping[str, Message], timeout: float) -> Mapping[str, Reply | Absent]:
        return {**carry(messages, timeout), "ulm": Absent("offline")}

    report = asked(roster, ask)
    assert not report.answerable
    assert (report.sites["lyon"].kind, report.sites["lyon"].rule) == ("refused", "no_release")
    assert (report.sites["ulm"].kind, report.sites["ulm"].rule) == ("absent", "offline")
    merged = report.to_mapping(by_site=False)
    assert "by_site" not in merged
    assert "lyon" not in str(merged)


def test_where_a_site_is_stricter_all_are_asked_under_its_rules(tmp_path: Path) -> None:
    roster, sites = consortium(tmp_path)
    sites["lyon"]._policy = PUBLIC
    report = asked(roster, in_process(sites))
    assert report.answerable
    policy = report.to_mapping(by_site=False)["policy"]
    assert isinstance(policy, Mapping)
    assert (policy["profile"], policy["grid"]) == ("public", 10)


def test_what_fits_the_strictest_policy_is_named(tmp_path: Path) -> None:
    roster, sites = consortium(tmp_path)
    sites["lyon"]._policy = PUBLIC
    names = ["died", "sex_at_birth", "gene_group"]
    words = {"analysis": "crosstab", "view": "person", "parameters": {"variables": names}}
    report = asked(roster, in_process(sites), parse_request(words))
    assert {item.rule for item in report.sites.values()} == {"table_too_large"}
    first, *others = report.would_pass
    assert first.words == "drop gene_group"
    assert parse_request(first.request).parameters["variables"] == ["died", "sex_at_birth"]
    assert [item.words for item in others] == ["drop sex_at_birth", "drop died"]


def test_a_spent_budget_can_be_remedied(tmp_path: Path) -> None:
    policy = dataclasses.replace(CONSORTIUM, max_queries_per_day=1)
    roster, sites = consortium(tmp_path, policy)
    spent = Spending("other", "other", "rel-lyon", 1, roster.digest, SITES, "00")
    Ledger(tmp_path / "lyon" / "ledger").spend(spent)
    report = asked(roster, in_process(sites), policy=policy)
    assert report.sites["lyon"].kind == "allowed_after_change"
    assert report.sites["lyon"].rule == "budget_spent"
    assert report.sites["odense"].kind == "allowed"


def test_a_table_that_is_too_large_is_said_without_asking_anybody(tmp_path: Path) -> None:
    roster, _ = consortium(tmp_path)
    policy = dataclasses.replace(CONSORTIUM, max_cells=1)

    def ask(messages: Mapping[str, Message], timeout: float) -> Mapping[str, Reply | Absent]:
        raise AssertionError("nobody needs to be asked")

    report = asked(roster, ask, policy=policy)
    (verdict,) = set(report.sites.values())
    assert verdict.rule == "table_too_large"
    assert "2 cells" in verdict.remedy


@pytest.mark.parametrize("rule", ["made_up", "lyon has 3 patients"])
def test_a_word_that_is_none_of_ours_is_not_passed_on(tmp_path: Path, rule: str) -> None:
    roster, _ = consortium(tmp_path)
    report = asked(roster, lambda messages, timeout: dict.fromkeys(messages, Refused(rule)))
    assert rule not in str(report.to_mapping(by_site=True))
    assert {item.rule for item in report.sites.values()} == {"protocol"}
