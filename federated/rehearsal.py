"""A whole consortium in one process: the very same site and coordinator code, no network.

For tests, for learning, and for checking a question before the consortium is asked. Every message
is encoded and decoded as on the wire; keys and ledgers are made for the occasion and thrown away.
"""

import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Literal

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from federated.coordinator import AskSites, run
from federated.messages import Absent, Message, Reply, decode, encode
from federated.policy import CONSORTIUM, EXACT, Policy
from federated.request import Request
from federated.results import Result
from federated.roster import Roster
from federated.site import Compute, SiteParty
from federated.statistics import Blocks, Broadcast
from federated.tally import tally
from transforms.errors import ReleaseError, raise_all


__all__ = ["in_process", "parties", "rehearse"]


def rehearse(
    request: Request,
    releases: Sequence[Path] | Mapping[str, Path],
    *,
    gate: Literal["on", "off"] = "on",
    policy: Policy = CONSORTIUM,
) -> Result:
    """Answer `request` from release folders (site → folder, or folders under `<site>/releases/`).

    `gate="off"` publishes exact numbers, from any number of sites: whoever rehearses holds the rows
    already. Raises ReleaseError when a folder has no views, and what `coordinator.run` raises.
    """
    folders = releases if isinstance(releases, Mapping) else _by_site(releases)
    raise_all(
        ReleaseError,
        [f"{path}: is not a release folder" for path in folders.values() if not _is_release(path)],
    )
    if gate == "off":
        request, policy = replace(request, minimum_sites=1), EXACT
    with tempfile.TemporaryDirectory(prefix="marmor-rehearsal-") as scratch:
        computes = {site: _computing(path) for site, path in folders.items()}
        ids = {site: path.name for site, path in folders.items()}
        roster, sites = parties(computes, ids, policy, Path(scratch))
        return run(
            request, roster=roster, policy=policy, ask=in_process(sites), state=Path(scratch)
        )


def parties(
    computes: Mapping[str, Compute], releases: Mapping[str, str], policy: Policy, folder: Path
) -> tuple[Roster, Mapping[str, SiteParty]]:
    """Return a roster of fresh keys and one `SiteParty` per site, ledgers below `folder`."""
    keys = {site: Ed25519PrivateKey.generate() for site in computes}
    roster = Roster({site: key.public_key().public_bytes_raw() for site, key in keys.items()})

    def party(site: str) -> SiteParty:
        release: Callable[[], str] = lambda: releases[site]  # noqa: E731 - typed, one expression
        ledger = folder / site / "ledger"
        return SiteParty(site, keys[site], roster, policy, ledger, computes[site], release)

    return roster, {site: party(site) for site in computes}


def in_process(sites: Mapping[str, SiteParty]) -> AskSites:
    """Return an `ask` that hands each message to its site as bytes, and the reply back."""

    def ask(messages: Mapping[str, Message], timeout: float) -> Mapping[str, Reply | Absent]:
        replies: dict[str, Reply | Absent] = {}
        for site, message in messages.items():
            party = sites.get(site)
            answer = decode(party.handle_bytes(encode(message))) if party else Absent("offline")
            replies[site] = answer  # type: ignore[assignment]
        return replies

    return ask


def _computing(release: Path) -> Compute:
    """Return a `compute` on one release folder."""

    def compute(request: Mapping[str, object], broadcast: Broadcast, release_id: str) -> Blocks:
        return tally(release / "views", request, broadcast)

    return compute


def _by_site(releases: Sequence[Path]) -> Mapping[str, Path]:
    """Name each folder by the site that it lies below: <site>/releases/<id>."""
    folders: dict[str, Path] = {}
    for path in (path.resolve() for path in releases):
        site = path.parent.parent.name
        if folders.setdefault(site, path) != path:
            raise ReleaseError(f"{site}: two releases of one site; give the one CURRENT names")
    return folders


def _is_release(path: Path) -> bool:
    """Whether `path` looks like a release folder."""
    return (path / "views").is_dir()
