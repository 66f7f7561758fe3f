"""Write what the attacks found as a page."""

import os
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from functools import reduce
from pathlib import Path

from federated.policy import CONSORTIUM
from infra.attacks import membership
from infra.attacks.campaign import CONSORTIA, MOST_AUC, Finding, Membership, Tally
from infra.attacks.world import SIZES


__all__ = ["ATTACKS", "page"]

# By attack: title, words and target.
ATTACKS: Mapping[str, Mapping[str, str]] = tomllib.loads(
    Path(__file__).with_name("attacks.toml").read_text(encoding="utf-8")
)
INTRODUCTION = """\
What a determined insider gets out of a consortium. Each attack knows what a colleague could know,
asks only what anybody may ask, and goes through the real sites, secure sum, coordinator, gate and
ledgers. Each is made twice: on bare numbers, where it has to succeed or it would prove nothing, and
on what is published.
"""
PREMISE = """\
- The secret is true of 30 % of patients and independent of all else: whoever guesses it better has
  learned it from an answer. The attacker knows sex, age band, gene, transplant and region of
  everybody."""
MEMBERSHIP = """
## Membership in a model

The attacker knows the candidate's whole record and a sample of 4,000 others of the same population,
and asks how far the published coefficients lie along the candidate's score. No test is much better;
in theory its AUC is Φ(√(p / 2n)) for p coefficients of n patients. Target: AUC at most {limit}.
"""


def page(findings: Sequence[Finding], members: Membership, minutes: float) -> str:
    """Return the report as Markdown."""
    return "\n".join([*_head(findings, members, minutes), *_details(findings), *_members(members)])


def _head(findings: Sequence[Finding], members: Membership, minutes: float) -> Iterator[str]:
    """What was done, and the table of all targets."""
    consortia = ", ".join(f"{n} of {s} sites and {SIZES[s]} patients" for s, n in CONSORTIA.items())
    yield "<!-- Written by `make audit` (`python -m infra.attacks`); do not edit. -->"
    yield "# Attack report\n"
    yield INTRODUCTION
    yield f"- Consortia, all synthetic: {consortia}."
    yield f"- Policy: profile `{CONSORTIUM.profile}`, digest `{CONSORTIUM.digest[:16]}`."
    yield PREMISE
    yield f"- Taken together this run took {minutes:.0f} minutes on {os.cpu_count()} processors.\n"
    yield "| attack | on bare numbers | on what is published | target | met |"
    yield "| --- | --- | --- | --- | --- |"
    for name, attack in ATTACKS.items():
        items = [item for item in findings if item.attack == name]
        unguarded = reduce(Tally.__add__, (item.unguarded for item in items))
        published = reduce(Tally.__add__, (item.published for item in items))
        met = "yes" if all(item.met for item in items) else "**no**"
        yield f"| {attack['title']} | {unguarded} | {published} | {attack['target']} | {met} |"
    worst = max(item.auc for item in members.published)
    yield (
        f"| Membership in a model | AUC {members.unguarded.auc:.2f} | AUC at most {worst:.2f} | "
        f"AUC at most {MOST_AUC} | {'yes' if members.met else '**no**'} |"
    )


def _details(findings: Sequence[Finding]) -> Iterator[str]:
    """One section per attack, with its figures by the size of the consortium."""
    for name, attack in ATTACKS.items():
        yield f"\n## {attack['title']}\n\n{attack['words']} Target: {attack['target']}.\n"
        yield "| sites | on bare numbers | on what is published | target allows | met |"
        yield "| ---: | --- | --- | --- | --- |"
        for item in sorted((f for f in findings if f.attack == name), key=lambda f: f.sites):
            met = "yes" if item.met else "**no**"
            yield f"| {item.sites} | {item.unguarded} | {item.published} | {item.allowed} | {met} |"


def _members(members: Membership) -> Iterator[str]:
    """The section on membership inference."""
    yield MEMBERSHIP.format(limit=MOST_AUC)
    yield "| models | patients | coefficients | AUC | in theory, every digit published |"
    yield "| --- | ---: | ---: | ---: | ---: |"
    for kind, item in (
        ("unguarded", members.unguarded),
        *(("published", item) for item in members.published),
    ):
        theory = membership.expected_auc(item.parameters, item.patients)
        auc = f"{item.auc:.3f}" if item.models else "refused"
        yield (
            f"| {item.models} {kind} | {item.patients} | {item.parameters} | {auc} | {theory:.3f} |"
        )
    yield ""
