"""A whole consortium in one process: the very same site and coordinator code, no network.

For tests, for learning, and for checking a question before the consortium is asked. Every message
is encoded and decoded as on the wire; keys and ledgers are made for the occasion and thrown away.
"""

import hashlib
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Literal, TypeAlias

import pyarrow as pa
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from federated.analysis import AnalysisView
from federated.coordinator import AskSites, run
from federated.messages import Absent, Message, Reply, decode, encode
from federated.policy import CONSORTIUM, EXACT, Policy
from federated.request import Request, load_request, parse_request
from federated.results import Result
from federated.roster import Roster
from federated.site import Compute, SiteParty
from federated.statistics import Blocks, Broadcast
from federated.tally import tally, tally_tables
from federated.views import DICTIONARY_VIEWS, load_views, without_bounds
from transforms.errors import ReleaseError, raise_all


__all__ = ["Asking", "Rows", "by_site", "in_process", "parties", "rehearse", "rehearsing"]

# What a rehearsal knows of one site: its release folder, or its tables by the view they are of.
Rows: TypeAlias = Path | Mapping[str, pa.Table]
# A question, parsed or not, answered by a consortium that remembers the ones before.
Asking: TypeAlias = Callable[[Request | Mapping[str, object] | Path], Result]


def rehearse(
    request: Request | Mapping[str, object] | Path,
    sites: Mapping[str, Rows],
    *,
    views: Path | None = None,
    gate: Literal["on", "off"] = "on",
    policy: Policy = CONSORTIUM,
) -> Result:
    """Answer `request` (parsed, plain, or a .toml or .json file) from the rows of `sites`.

    `views` is a folder of view declarations (`federated.views`), by default the dictionary's views.
    `gate="off"` publishes exact numbers, from any number of sites: whoever rehearses holds the rows
    already. Raises RequestError, ReleaseError when a folder has no views, and what
    `coordinator.run` raises.
    """
    known = load_views(views) if views is not None else DICTIONARY_VIEWS
    question = _question(request, known)
    if gate == "off":
        known, policy = without_bounds(known), EXACT
        question = replace(parse_request(question.to_mapping(), known), minimum_sites=1)
    with rehearsing(sites, views=known, policy=policy) as ask:
        return ask(question)


@contextmanager
def rehearsing(
    sites: Mapping[str, Rows],
    *,
    views: Mapping[str, AnalysisView] = DICTIONARY_VIEWS,
    policy: Policy = CONSORTIUM,
) -> Iterator[Asking]:
    """Keep a consortium for several questions, so that its ledgers remember the earlier ones.

    Raises ReleaseError when a folder has no views; what it yields raises RequestError and what
    `coordinator.run` raises.
    """
    raise_all(
        ReleaseError,
        [
            f"{rows}: is not a release folder"
            for rows in sites.values()
            if isinstance(rows, Path) and not (rows / "views").is_dir()
        ],
    )
    with tempfile.TemporaryDirectory(prefix="marmor-rehearsal-") as scratch:
        state = Path(scratch)
        computes = {site: _computing(rows, views) for site, rows in sites.items()}
        ids = {site: _release_id(rows) for site, rows in sites.items()}
        roster, present = parties(computes, ids, policy, state, views)
        ask = in_process(present)
        yield lambda request: run(
            _question(request, views),
            roster=roster,
            policy=policy,
            ask=ask,
            state=state,
            views=views,
        )


def by_site(releases: Iterable[Path]) -> Mapping[str, Path]:
    """Name each release folder by the site that it lies below: <site>/releases/<id>.

    Raises ReleaseError when two are of one site.
    """
    folders: dict[str, Path] = {}
    for path in (path.resolve() for path in releases):
        site = path.parent.parent.name
        if folders.setdefault(site, path) != path:
            raise ReleaseError(f"{site}: two releases of one site; give the one CURRENT names")
    return folders


def parties(
    computes: Mapping[str, Compute],
    releases: Mapping[str, str],
    policy: Policy,
    folder: Path,
    views: Mapping[str, AnalysisView] = DICTIONARY_VIEWS,
) -> tuple[Roster, Mapping[str, SiteParty]]:
    """Return a roster of fresh keys and one `SiteParty` per site, ledgers below `folder`."""
    keys = {site: Ed25519PrivateKey.generate() for site in computes}
    roster = Roster({site: key.public_key().public_bytes_raw() for site, key in keys.items()})

    def party(site: str) -> SiteParty:
        release: Callable[[], str] = lambda: releases[site]  # noqa: E731 - typed, one expression
        ledger = folder / site / "ledger"
        return SiteParty(site, keys[site], roster, policy, ledger, computes[site], release, views)

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


def _question(
    request: Request | Mapping[str, object] | Path, views: Mapping[str, AnalysisView]
) -> Request:
    """Return the request, parsed if it is not yet."""
    if isinstance(request, Request):
        return request
    return (
        load_request(request, views) if isinstance(request, Path) else parse_request(request, views)
    )


def _computing(rows: Rows, views: Mapping[str, AnalysisView]) -> Compute:
    """Return a `compute` on one site's rows."""

    def compute(request: Mapping[str, object], broadcast: Broadcast, release_id: str) -> Blocks:
        if isinstance(rows, Path):
            return tally(rows / "views", request, broadcast, views)
        return tally_tables(rows, request, broadcast, views)

    return compute


def _release_id(rows: Rows) -> str:
    """Return the release's name; tables in memory are named by their content."""
    if isinstance(rows, Path):
        return rows.name
    digest = hashlib.sha256()
    for view in sorted(rows):
        digest.update(f"{view}\0{rows[view].num_rows}\0".encode())
        sink = pa.BufferOutputStream()
        with pa.ipc.new_stream(sink, rows[view].schema) as stream:
            stream.write_table(rows[view].combine_chunks())
        digest.update(sink.getvalue())
    return f"mem-{digest.hexdigest()[:12]}"
